//! Commands that only print: `plan`, `list`, `explain`, `schema`.

use std::io::{self, IsTerminal};

use super::exit::Exit;
use super::{complain, explain as explained, print, run, select};
use crate::report::Style;
use crate::{plan, scenario};

/// `drlab plan`.
pub fn plan(wanted: &str, json: bool) -> Exit {
    let plans = match run::plans(&[wanted.to_owned()]) {
        Ok(plans) => plans,
        Err(exit) => return exit,
    };
    if json {
        let text = match plans.as_slice() {
            [one] => serde_json::to_string_pretty(one),
            several => serde_json::to_string_pretty(several),
        };
        match text {
            Ok(text) => print(&format!("{text}\n")),
            Err(error) => {
                complain(&format!("drlab: could not write the plan as JSON: {error}"));
                return Exit::Lab;
            }
        }
    } else {
        let texts: Vec<String> = plans.iter().map(plan::describe).collect();
        print(&texts.join("\n"));
    }
    Exit::AsExpected
}

/// `drlab list`.
pub fn list() -> Exit {
    for one in select::shipped() {
        let title = one.text.lines().find_map(|l| l.strip_prefix("title = ")).unwrap_or_default();
        print(&format!("{:40} {}\n", one.name, title.trim().trim_matches('"')));
    }
    Exit::AsExpected
}

/// `drlab explain`.
pub fn explain(id: Option<&str>) -> Exit {
    match id.map(explained::explain) {
        None => print(&explained::list()),
        Some(Ok(text)) => print(&text),
        Some(Err(text)) => {
            complain(&format!("drlab: {text}"));
            return Exit::Usage;
        }
    }
    Exit::AsExpected
}

/// `drlab rules`.
pub fn rules(json: bool) -> Exit {
    if json {
        match explained::rules_json() {
            Ok(text) => print(&text),
            Err(error) => {
                complain(&format!("drlab: could not write the rules as JSON: {error}"));
                return Exit::Lab;
            }
        }
    } else {
        print(&explained::rules());
    }
    Exit::AsExpected
}

/// `drlab schema`.
pub fn schema(reference: bool) -> Exit {
    if reference {
        print(&scenario::reference());
    } else {
        print(&format!("{:#}\n", scenario::schema()));
    }
    Exit::AsExpected
}

fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether a terminal is to be written to in colour.
pub fn colored(terminal: bool) -> bool {
    terminal && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

/// How text is drawn on this stdout.
pub fn style() -> Style {
    if !io::stdout().is_terminal() {
        return Style::default();
    }
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default().to_lowercase();
    Style {
        color: colored(true),
        width: terminal_size::terminal_size().map_or(100, |(width, _)| width.0.into()),
        unicode: locale.contains("utf-8") || locale.contains("utf8"),
        out: None,
        scenario: None,
    }
}
