//! `drlab explain`: what a check proves or a rule says.

use std::fmt::Write;

use super::select;
use crate::judge::checks;
use crate::judge::rules::lessons::Seen;
use crate::judge::rules::{self, Rule};
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
        return Ok(of_rule(rule));
    }
    let ids = checks::ALL.iter().map(|c| c.id).chain(rules::ALL.iter().map(|r| r.id));
    let near = ids.max_by(|a, b| strsim::jaro_winkler(id, a).total_cmp(&strsim::jaro_winkler(id, b)));
    let hint = near.map(|n| format!(" Did you mean `{n}`?")).unwrap_or_default();
    Err(format!("no check or rule `{id}`.{hint} `drlab explain` lists them."))
}

/// What a rule teaches.
fn of_rule(rule: &Rule) -> String {
    let (kernel, trap) = rule.taught();
    let mut parts = vec![("What happens in the kernel", indent(kernel))];
    if let Some(lesson) = rule.lesson() {
        let picture: Vec<&str> = lesson.picture.lines().filter(|line| !line.is_empty()).collect();
        parts.push(("The picture", picture.join("\n")));
    }
    parts.push(("What it causes", indent(rule.causes)));
    parts.push(("The cure", rule.lesson().map_or_else(String::new, |lesson| indent(lesson.cure))));
    parts.push(("The trap in the cure", trap.map_or_else(String::new, indent)));
    parts.push(("Seen by", indent(&seen(rule))));
    parts.push((
        "Try it",
        shown_by(rule.id).iter().map(|name| format!("  drlab run {name}")).collect::<Vec<_>>().join("\n"),
    ));
    let links: String = rule.links().iter().flat_map(|link| ["\n  ", link.as_ref()]).collect();
    parts.push(("Source", indent(rule.source) + &links));
    let parts = parts.iter().filter(|(_, text)| !text.trim().is_empty());
    let parts: Vec<String> = parts.map(|(head, text)| format!("{head}\n{text}\n")).collect();
    format!("{}: {}\n\n{}", rule.id, rule.title, parts.join("\n"))
}

/// By what a rule's finding can be seen, in words.
fn seen(rule: &Rule) -> String {
    match rule.seen() {
        Seen::Configuration => "configuration alone: `drlab check`, and `drlab audit` on a machine".to_owned(),
        Seen::Frames(why) => format!("frames alone, for {why}: `drlab run`"),
        Seen::Both(why) => format!("frames and configuration together, for {why}: `drlab run`"),
    }
}

/// The shipped scenarios that have the rule's finding, the one that is named for it first.
fn shown_by(id: &str) -> Vec<String> {
    let quoted = format!("\"{id}\"");
    let names = |text: &str| text.lines().any(|l| l.trim_start().starts_with("findings") && l.contains(&quoted));
    let mut found: Vec<String> =
        select::shipped().into_iter().filter(|one| names(&one.text)).map(|one| one.name).collect();
    found.sort_by_key(|name| name.rsplit('/').next() != Some(id));
    found.truncate(2);
    found
}

/// Every rule with its title and by what it can be seen.
pub fn rules() -> String {
    let ids = rules::ALL.iter().map(|r| r.id.len()).max().unwrap_or(0);
    let line = |id: &str, word: &str, title: &str| format!("{id:ids$}  {word:13}  {title}\n");
    let lines = rules::ALL.iter().map(|rule| line(rule.id, rule.seen().word(), rule.title));
    let count = |word: &str| rules::ALL.iter().filter(|r| r.seen().word() == word).count();
    let total = format!(
        "\n{} rules: {} seen by configuration alone, {} by frames alone, {} by both together\n\
         drlab explain RULE   # what happens in the kernel, the picture, the cure, the trap in the cure\n",
        rules::ALL.len(),
        count("configuration"),
        count("frames"),
        count("both")
    );
    std::iter::once(line("rule", "seen by", "root cause")).chain(lines).chain([total]).collect()
}

/// The same for programs.
///
/// # Errors
/// None that a list of texts can give.
pub fn rules_json() -> Result<String, serde_json::Error> {
    let all: Vec<serde_json::Value> = rules::ALL
        .iter()
        .map(|rule| {
            let lesson = rule.lesson();
            serde_json::json!({
                "id": rule.id,
                "title": rule.title,
                "seen_by": rule.seen().word(),
                "why_not_by_configuration": rule.seen().why(),
                "teaches": rule.taught().0,
                "causes": rule.causes,
                "cure": lesson.map(|l| l.cure),
                "trap": rule.taught().1,
                "source": rule.source,
                "outranks": rule.outranks,
                "scenarios": shown_by(rule.id),
            })
        })
        .collect();
    serde_json::to_string_pretty(&all).map(|text| text + "\n")
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
