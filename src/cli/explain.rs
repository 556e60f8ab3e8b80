//! `drlab explain`: what a check proves or a rule says.

use std::fmt::Write;

use crate::judge::{checks, rules};
use crate::report::wrap;

/// As wide as prose reads well.
const COLUMNS: usize = 90;

/// The text for one check or rule, or an error that names those that come near.
///
/// # Errors
/// A sentence for the user where nothing has that id.
pub fn explain(id: &str) -> Result<String, String> {
    if let Some(check) = checks::find(id) {
        return Ok(format!(
            "{id}: {}\n\nWhat it proves\n{}\n\nWhat would fool it\n{}\n\nThe usual cause when it breaks\n{}\n\nSource\n{}\n",
            check.title,
            indent(check.proves),
            indent(check.fooled_by),
            indent(check.usual_cause),
            indent(check.source)
        ));
    }
    if let Some(rule) = rules::find(id) {
        let links: String = rule.links().iter().map(|link| format!("  {link}\n")).collect();
        let source = indent(rule.source);
        return Ok(format!("{id}: {}\n\n{}\n\nSource\n{source}\n{links}", rule.title, indent(rule.teaches)));
    }
    let ids = checks::ALL.iter().map(|c| c.id).chain(rules::ALL.iter().map(|r| r.id));
    let near = ids.max_by(|a, b| strsim::jaro_winkler(id, a).total_cmp(&strsim::jaro_winkler(id, b)));
    let hint = near.map(|n| format!(" Did you mean `{n}`?")).unwrap_or_default();
    Err(format!("no check or rule `{id}`.{hint} `drlab explain` lists them."))
}

/// Every check and rule, a line each.
pub fn list() -> String {
    let mut text = String::from("Checks\n");
    for check in checks::ALL {
        line(&mut text, check.id, check.title);
    }
    text.push_str("\nRules (root causes)\n");
    for rule in rules::ALL {
        line(&mut text, rule.id, rule.title);
    }
    text
}

#[expect(clippy::expect_used, reason = "writing to a String can't fail")]
fn line(text: &mut String, id: &str, title: &str) {
    writeln!(text, "  {id:24} {title}").expect("a String takes all text");
}

/// Each paragraph wrapped and set in.
fn indent(text: &str) -> String {
    text.trim()
        .lines()
        .flat_map(|line| wrap(line, COLUMNS - 2))
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}
