//! What the scenario's own commands came to, and what they and its daemons had set.

use super::Report;
use super::page::{Page, fold};
use super::style::Ink;
use crate::facts::run::CommandResult;

/// Lines of a command's output that are shown where it failed.
const OUTPUT: usize = 6;

/// Statements of a node that are shown.
const STATEMENTS: usize = 24;

/// Writes the commands of each node in their order, and what was read back of them.
pub(crate) fn draw(page: &mut Page<'_>, report: &Report) {
    page.heading("Commands and daemons", "what they set is judged as it was read back");
    for command in &report.commands {
        one(page, command);
    }
    for by in &report.by_programs {
        page.line(&[(Ink::Strong, format!("  {}", by.node)), (Ink::Plain, " reads back".to_owned())]);
        let gone = by.gone.iter().map(|line| format!("- {line}"));
        let lines: Vec<String> = gone.chain(by.added.iter().map(|line| format!("+ {line}"))).collect();
        let (shown, more) = fold(&lines, STATEMENTS);
        for line in shown {
            page.wrapped(&[(Ink::Faint, "    ".to_owned())], Ink::Plain, line);
        }
        if more > 0 {
            page.line(&[(Ink::Faint, format!("    … and {more} more, in report.json"))]);
        }
    }
}

fn one(page: &mut Page<'_>, command: &CommandResult) {
    let (ink, mark, came_of_it) = match (command.status, command.may_fail) {
        (Some(0), _) => (Ink::Held, "✓", String::new()),
        (Some(status), true) => (Ink::Undecided, "–", format!(" (status {status}, which is allowed)")),
        (Some(status), false) => (Ink::Broken, "✗", format!(" (status {status})")),
        (None, _) => (Ink::Broken, "✗", " (killed)".to_owned()),
    };
    let text = format!("{}: {}{came_of_it}", command.node, command.command);
    page.wrapped(&[(ink, format!("  {mark} "))], Ink::Plain, &text);
    if command.status != Some(0) {
        for line in command.output.lines().take(OUTPUT) {
            page.wrapped(&[(Ink::Faint, "      | ".to_owned())], Ink::Faint, line);
        }
    }
}
