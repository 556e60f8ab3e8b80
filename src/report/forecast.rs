//! What is foreseen of a scenario, or of machines, from facts alone: text, JSON, JUnit.
//!
//! Owns: the value that `drlab check` and `drlab audit` come to, and how it is shown. Errs towards modesty: it says each
//! time what facts can't show.

use quick_junit::{NonSuccessKind, Report as Suites, SerializeError, TestCase, TestCaseStatus, TestSuite};
use serde::{Deserialize, Serialize};

use super::page::Page;
use super::proof::{self, quoted};
use super::style::{Ink, Style, escape};
use super::table::Table;
use super::{Expected, junit};
use crate::judge::Finding;

/// The version of the JSON.
pub const SCHEMA: &str = "drlab-check/1";

/// What no configuration shows.
pub const ONLY_IN_A_LAB: &[&str] = &[
    "whether packets arrive, are rewritten as they must be, and return past the Director",
    "what programs send of their own accord, as a gratuitous ARP for the VIP",
    "who answers first, what neighbour tables learn, how duplicate address detection ends",
    "how connections are shared out, and what the answers say",
];

/// What is foreseen of one scenario, or of one set of machines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// [`SCHEMA`].
    pub schema: String,
    /// The scenario's name; the machines' where there is none.
    pub scenario: String,
    /// Its title.
    pub title: String,
    /// What it came to.
    pub verdict: ForecastVerdict,
    /// Whether that is what the scenario expects.
    pub expected: Expected,
    /// What was looked at, in a few words.
    pub looked_at: String,
    /// The root causes.
    pub findings: Vec<Finding>,
    /// Root causes that the scenario expects and only a lab can show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_in_a_lab: Vec<OnlyInALab>,
    /// What was taken for granted of machines whose facts are not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<String>,
    /// What could not be read on machines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
}

/// An expected root cause that facts don't show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnlyInALab {
    /// The rule.
    pub id: String,
    /// Why not.
    pub why: String,
}

/// What a forecast came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForecastVerdict {
    /// No root cause.
    Clean,
    /// At least one.
    Found,
}

impl Forecast {
    /// The ids of its findings, each once.
    pub fn ids(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.findings.iter().map(|f| f.id.as_str()).collect();
        ids.dedup();
        ids
    }
}

/// All of one, as a reader at a terminal wants it.
pub fn render(forecast: &Forecast, style: &Style) -> String {
    let mut page = Page::new(style);
    let (ink, word) = words(forecast);
    page.line(&[
        (Ink::Strong, forecast.scenario.clone()),
        (Ink::Plain, format!(" – {}: ", forecast.title)),
        (ink, word.to_owned()),
    ]);
    page.item(0, "looked at", Ink::Plain, &forecast.looked_at);
    if !forecast.findings.is_empty() {
        proof::findings(&mut page, &forecast.findings);
    }
    for (head, lines) in [("Taken for granted", &forecast.assumed), ("Facts that could not be read", &forecast.unread)]
    {
        if !lines.is_empty() {
            page.heading(head, "");
        }
        for line in lines {
            page.wrapped(&[(Ink::Faint, "• ".to_owned())], Ink::Plain, line);
        }
    }
    page.heading("Verdict", "");
    page.wrapped(&[(ink, format!("{word}: "))], Ink::Plain, &sentence(forecast));
    for difference in forecast.expected.differences.iter().filter(|_| forecast.assumed.is_empty()) {
        page.wrapped(&[(Ink::Broken, "  ✗ not as expected: ".to_owned())], Ink::Plain, difference);
    }
    for one in &forecast.only_in_a_lab {
        page.wrapped(&[(Ink::Undecided, "  ? not seen here: ".to_owned())], Ink::Plain, &told(one));
    }
    page.item(0, "took", Ink::Faint, &format!("{:.1} ms, no kernel was started", forecast.took_ms));
    if forecast.assumed.is_empty() {
        let run = format!("drlab run {}", quoted(&forecast.scenario));
        page.command(0, "next", &run, "the same in a lab, proven by frames");
    }
    closing(&mut page);
    page.finish()
}

/// Several in one table; what is not as expected is shown whole.
pub fn render_all(forecasts: &[Forecast], style: &Style) -> String {
    let mut page = Page::new(style);
    let mut table = Table::new(&[]);
    table.head(&["scenario", "verdict", "expected", "root causes"]);
    for forecast in forecasts {
        let met = forecast.expected.met;
        let (ink, word) = match forecast.verdict {
            ForecastVerdict::Clean if forecast.only_in_a_lab.is_empty() => (Ink::Held, "✓ clean"),
            ForecastVerdict::Clean => (Ink::Undecided, "– not seen"),
            ForecastVerdict::Found => (if met { Ink::Held } else { Ink::Broken }, "✗ found"),
        };
        let open = forecast.only_in_a_lab.iter().map(|one| format!("{} (only in a lab)", one.id));
        let causes: Vec<String> = forecast.ids().into_iter().map(str::to_owned).chain(open).collect();
        table.row([
            (Ink::Strong, forecast.scenario.clone()),
            (ink, word.to_owned()),
            if met { (Ink::Held, "yes".to_owned()) } else { (Ink::Broken, "NO".to_owned()) },
            (Ink::Plain, causes.join(", ")),
        ]);
    }
    table.write(&mut page, 0);
    let met = forecasts.iter().filter(|f| f.expected.met).count();
    let other = forecasts.len() - met;
    page.blank();
    page.line(&[
        (Ink::Strong, format!("{} scenarios: ", forecasts.len())),
        (if met > 0 { Ink::Held } else { Ink::Plain }, format!("{met} as expected")),
        (Ink::Plain, ", ".to_owned()),
        (if other > 0 { Ink::Broken } else { Ink::Plain }, format!("{other} not as expected")),
    ]);
    let took: f64 = forecasts.iter().map(|f| f.took_ms).sum();
    page.item(0, "took", Ink::Faint, &format!("{took:.0} ms, no kernel was started"));
    closing(&mut page);
    let mut text = String::new();
    for forecast in forecasts.iter().filter(|f| !f.expected.met) {
        text.push_str(&render(forecast, style));
        text.push('\n');
    }
    text + &page.finish()
}

/// What only a lab can show.
fn closing(page: &mut Page<'_>) {
    page.heading("What only a lab can show", "");
    for line in ONLY_IN_A_LAB {
        page.wrapped(&[(Ink::Faint, "• ".to_owned())], Ink::Plain, line);
    }
}

fn words(forecast: &Forecast) -> (Ink, &'static str) {
    match (forecast.verdict, forecast.expected.met) {
        (ForecastVerdict::Clean, true) if !forecast.unread.is_empty() => (Ink::Undecided, "UNDECIDED"),
        (ForecastVerdict::Clean, true) if forecast.only_in_a_lab.is_empty() => (Ink::Held, "CLEAN"),
        (ForecastVerdict::Clean, true) => (Ink::Undecided, "NOTHING SEEN HERE"),
        (ForecastVerdict::Clean, false) => (Ink::Broken, "CLEAN, BUT NOT AS EXPECTED"),
        (ForecastVerdict::Found, true) => (Ink::Held, "FOUND AS EXPECTED"),
        (ForecastVerdict::Found, false) => (Ink::Broken, "FOUND"),
    }
}

fn sentence(forecast: &Forecast) -> String {
    match forecast.verdict {
        ForecastVerdict::Clean => "no rule finds a root cause in the configuration.".to_owned(),
        ForecastVerdict::Found if forecast.expected.met => {
            format!("{} in the configuration, as this scenario says.", forecast.ids().join(", "))
        }
        ForecastVerdict::Found => format!("{} in the configuration.", forecast.ids().join(", ")),
    }
}

fn told(one: &OnlyInALab) -> String {
    format!("{}, for {}", one.id, one.why)
}

/// One as JSON, or several as an array.
///
/// # Errors
/// Only where a map's key is no text, which no type here has.
pub fn json(forecasts: &[Forecast]) -> Result<String, serde_json::Error> {
    let text = match forecasts {
        [one] => serde_json::to_string_pretty(one),
        several => serde_json::to_string_pretty(several),
    };
    text.map(|text| text + "\n")
}

/// A test suite for each scenario, with a test case for what was expected.
///
/// # Errors
/// Only where the XML writer refuses its own events.
pub fn junit(forecasts: &[Forecast]) -> Result<String, SerializeError> {
    let mut suites = Suites::new("drlab check");
    suites.add_test_suites(forecasts.iter().map(|forecast| {
        let mut suite = TestSuite::new(escape(&forecast.scenario));
        let mut status = TestCaseStatus::success();
        if !forecast.expected.met {
            status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let message = forecast.expected.differences.first().map_or_else(String::new, |first| escape(first));
            status.set_type("not-as-expected").set_message(message);
            status.set_description(junit::lines(forecast.findings.iter().flat_map(junit::of_finding)));
        }
        let mut case = TestCase::new("configuration as expected", status);
        case.set_classname(format!("drlab.{}", escape(&forecast.scenario).replace('/', ".")));
        if forecast.expected.met && !(forecast.findings.is_empty() && forecast.only_in_a_lab.is_empty()) {
            let open = forecast.only_in_a_lab.iter().map(|one| format!("only in a lab: {}", told(one)));
            case.set_system_out(junit::lines(forecast.findings.iter().flat_map(junit::of_finding).chain(open)));
        }
        suite.add_test_case(case);
        suite
    }));
    suites.to_string()
}

#[cfg(test)]
mod tests;
