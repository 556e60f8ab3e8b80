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

#[cfg(test)]
mod tests {
    use super::draw;
    use crate::facts::run::CommandResult;
    use crate::report::page::Page;
    use crate::report::style::Style;
    use crate::report::{ByPrograms, Report, sample};

    fn command(node: &str, command: &str, status: Option<i32>, may_fail: bool, output: &str) -> CommandResult {
        let (command, output) = (command.to_owned(), output.to_owned());
        CommandResult { node: node.parse().unwrap(), command, status, may_fail, output, ms: 12.5 }
    }

    fn with_programs() -> Report {
        let mut report = sample::held();
        let help = (1..=9).map(|n| format!("line {n} of what it wrote")).collect::<Vec<_>>().join("\n");
        report.commands = vec![
            command(
                "rs1",
                "ifconfig lo:0 172.16.0.66 netmask 255.255.255.255 broadcast 172.16.0.66 up",
                Some(0),
                false,
                "",
            ),
            command("rs1", "arptables -L", Some(1), true, "arptables: Incompatible with this kernel"),
            command("rs2", "script realserver.sh start", Some(2), false, &help),
            command("rs2", "ping 172.16.0.1", None, false, ""),
        ];
        report.by_programs = vec![ByPrograms {
            node: "rs1".parse().unwrap(),
            added: (0..30).map(|n| format!("sysctl net.ipv4.conf.eth{n}.arp_ignore = 1")).collect(),
            gone: vec!["address lo 172.16.0.66/32".to_owned()],
        }];
        report
    }

    #[test]
    fn commands_are_told_with_what_came_of_each_and_what_was_read_back() {
        let style = Style::default();
        let mut page = Page::new(&style);
        draw(&mut page, &with_programs());
        insta::assert_snapshot!(page.finish());
    }

    #[test]
    fn at_eighty_columns_no_line_is_wider() {
        let style = Style { width: 80, ..Style::default() };
        let mut page = Page::new(&style);
        draw(&mut page, &with_programs());
        let text = page.finish();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
