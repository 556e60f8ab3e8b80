//! Scores for people, for programs and for CI.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as Suites, SerializeError, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

use super::score::{Named, Outcome, Score, Totals, reasons};
use super::{Cause, Expected, Mutation};
use crate::report::page::{Page, wrap};
use crate::report::style::{Ink, Style, escape};
use crate::report::table::Table;

/// The version of the JSON document.
pub const SCHEMA: &str = "drlab-mutate/1";

/// The name of the run without a mutation.
const CONTROL: &str = "nothing broken";

/// The table for a terminal and for `mutations.txt`.
pub fn text(scenario: &str, scores: &[Score], style: &Style) -> String {
    let mut page = Page::new(style);
    let mut table = Table::new(&[]);
    table.head(&["outcome", "mutation", "broke", "named, or why not"]);
    let room = style.columns().saturating_sub(13 + 22);
    for score in scores {
        row(&mut table, score, room * 55 / 100);
    }
    table.write(&mut page, 0);
    page.blank();
    page.wrapped(&[], Ink::Strong, &total(scenario, scores));
    page.finish()
}

fn row(table: &mut Table, score: &Score, room: usize) {
    let ink = if score.outcome.is_right() { Ink::Held } else { Ink::Broken };
    let mut broke = score.broke.clone();
    broke.extend(score.undecided.iter().filter(|_| score.broke.is_empty()).map(|id| format!("{id}?")));
    table.tall_row([
        (ink, vec![score.outcome.word().to_owned()]),
        (Ink::Plain, wrap(name(score), room)),
        (Ink::Plain, broke),
        (Ink::Plain, told(score)),
    ]);
}

fn name(score: &Score) -> &str {
    if score.trial.what.is_empty() { CONTROL } else { &score.trial.what }
}

/// What was named, what should have been, or why nothing breaks.
fn told(score: &Score) -> Vec<String> {
    let mut lines: Vec<String> = score.named.iter().map(said).collect();
    lines.extend(score.failure.iter().cloned());
    lines.extend(reasons(&score.trial).into_iter().map(str::to_owned));
    if !score.outcome.is_right() && !score.trial.may.is_empty() {
        lines.push(format!("should be {}", wanted(&score.trial.may)));
    }
    lines
}

fn said(named: &Named) -> String {
    let nodes: Vec<&str> = named.nodes.iter().map(crate::base::NodeName::as_str).collect();
    format!("{} on {}", named.id, nodes.join(", "))
}

fn wanted(causes: &[Cause]) -> String {
    let mut all: Vec<String> = Vec::new();
    for cause in causes {
        let nodes: Vec<&str> = cause.nodes.iter().map(crate::base::NodeName::as_str).collect();
        let one = format!("{} on {}", cause.id, nodes.join(" or "));
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all.join(", ")
}

/// One line with the totals.
pub fn total(scenario: &str, scores: &[Score]) -> String {
    let mutations: Vec<Score> = scores.iter().filter(|s| !s.trial.parts.is_empty()).cloned().collect();
    let totals = Totals::of(&mutations);
    let per_mille = totals.per_mille_right();
    format!(
        "{scenario}: {} mutations: {} killed with the right cause, {} without effect as documented, {} wrong; {}.{} % right",
        totals.all,
        totals.killed,
        totals.without,
        totals.wrong,
        per_mille / 10,
        per_mille % 10,
    )
}

/// What would be run, as text.
pub fn list(all: &[Mutation], style: &Style) -> String {
    let mut page = Page::new(style);
    let mut table = Table::new(&[]);
    table.head(&["mutation", "what is to come of it"]);
    for mutation in all {
        let (ink, expected) = match &mutation.expected {
            Expected::Killed(causes) => (Ink::Plain, wanted(causes)),
            Expected::Without(why) => (Ink::Faint, format!("no effect: {why}")),
        };
        table.tall_row([(Ink::Plain, wrap(&mutation.what, style.columns() * 55 / 100)), (ink, vec![expected])]);
    }
    table.write(&mut page, 0);
    page.blank();
    let killing = all.iter().filter(|m| !m.expected.causes().is_empty()).count();
    let text = format!("{} mutations: {killing} to be killed, {} without effect", all.len(), all.len() - killing);
    page.wrapped(&[], Ink::Strong, &text);
    page.finish()
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    scenario: &'a str,
    totals: Totals,
    mutations: &'a [Score],
}

/// Scores as JSON.
///
/// # Errors
/// Only where `serde_json` refuses its own values.
pub fn json(scenario: &str, scores: &[Score]) -> Result<String, serde_json::Error> {
    let totals = Totals::of(scores);
    let document = Document { schema: SCHEMA, scenario, totals, mutations: scores };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// Mutations as JSON.
///
/// # Errors
/// Only where `serde_json` refuses its own values.
pub fn list_json(all: &[Mutation]) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string_pretty(all)? + "\n")
}

/// Scores as JUnit: a test case for each trial.
///
/// # Errors
/// Only where the XML writer refuses its own events.
pub fn junit(scenario: &str, scores: &[Score]) -> Result<String, SerializeError> {
    let mut suite = TestSuite::new(escape(&format!("{scenario} mutations")));
    suite.add_test_cases(scores.iter().map(|score| {
        let status = if score.outcome.is_right() {
            TestCaseStatus::success()
        } else {
            let kind = if score.outcome == Outcome::NotRun { NonSuccessKind::Error } else { NonSuccessKind::Failure };
            let mut status = TestCaseStatus::non_success(kind);
            status.set_type(score.outcome.word().to_lowercase()).set_message(escape(&told(score).join("; ")));
            status
        };
        let mut case = TestCase::new(escape(name(score)), status);
        case.set_classname(format!("drlab.mutate.{}", escape(scenario).replace('/', ".")));
        case.set_time(Duration::from_secs_f64(score.took_ms.max(0.0) / 1e3));
        if score.outcome.is_right() {
            case.set_system_out(escape(&told(score).join("; ")));
        }
        case
    }));
    let mut suites = Suites::new("drlab mutate");
    suites.add_test_suite(suite);
    suites.to_string()
}
