//! What the mends came to: each command, and the checks of the second pass.

use super::page::Page;
use super::proof;
use super::style::Ink;
use super::text::tally_of;
use super::{Mended, MendedCommand, RunVerdict};
use crate::base::Verdict;

/// Lines of a failed command's output that are shown.
const OUTPUT: usize = 6;

/// Writes the commands, and what did not hold afterwards.
pub(crate) fn draw(page: &mut Page<'_>, mended: &Mended) {
    page.heading("Mended, and driven again", "");
    for command in &mended.commands {
        one(page, command);
    }
    for (nth, cause) in mended.failure.iter().enumerate() {
        let lead = if nth == 0 { "  " } else { "    caused by: " };
        page.wrapped(&[(Ink::Faint, lead.to_owned())], Ink::Broken, cause);
    }
    if mended.verdict == RunVerdict::NotRun {
        return;
    }
    let open: Vec<_> = mended.checks.iter().filter(|c| c.verdict != Verdict::Held).cloned().collect();
    if !open.is_empty() {
        proof::checks(page, &open);
    }
    for finding in &mended.findings {
        let text = format!("still found on {}: {}", finding.node, finding.what);
        page.wrapped(&[(Ink::Broken, format!("• {} ", finding.id))], Ink::Plain, &text);
    }
    let load = &mended.load;
    page.item(0, "asked", Ink::Plain, &format!("{} requests, {} failed", load.requests, load.failed));
    for left_out in &mended.left_out {
        page.item(0, "left out", Ink::Faint, left_out);
    }
}

fn one(page: &mut Page<'_>, command: &MendedCommand) {
    let text = format!("on {}: {}", command.node, command.command);
    match command.status {
        None => page.wrapped(
            &[(Ink::Undecided, format!("{:<13}", "? by hand"))],
            Ink::Plain,
            &format!("not applied: {text}"),
        ),
        Some(0) => page.line(&[(Ink::Held, format!("{:<13}", "✓ done")), (Ink::Mark, text)]),
        Some(status) => {
            page.line(&[(Ink::Broken, format!("{:<13}", format!("✗ exit {status}"))), (Ink::Mark, text)]);
            for line in command.output.lines().take(OUTPUT) {
                page.item(0, "", Ink::Plain, line);
            }
        }
    }
}

/// What the second pass came to, in a word and a sentence.
pub(crate) fn words(mended: &Mended) -> (Ink, &'static str, String) {
    let by_hand = mended.by_hand().count();
    let hand = match by_hand {
        0 => String::new(),
        1 => "; one mend is left to a hand".to_owned(),
        n => format!("; {n} mends are left to a hand"),
    };
    let ran = mended.commands.len() - by_hand;
    let commands = if ran == 1 { "1 command".to_owned() } else { format!("{ran} commands") };
    if mended.verdict == RunVerdict::NotRun {
        let why = if mended.failure.is_empty() {
            "no command mends it; what a hand has to do is said above"
        } else {
            "the load could not be driven again"
        };
        return (Ink::Broken, "NOT MENDED", format!("{why}."));
    }
    let seen = tally_of(&mended.checks);
    if mended.is_green() {
        return (Ink::Held, "MENDED", format!("after {commands} {seen}{hand}."));
    }
    let failed = match mended.failed().count() {
        0 => String::new(),
        1 => ", one of which failed,".to_owned(),
        n => format!(", {n} of which failed,"),
    };
    (Ink::Broken, "NOT MENDED", format!("after {commands}{failed} {seen}{hand}."))
}

#[cfg(test)]
mod tests {
    use super::draw;
    use crate::report::page::Page;
    use crate::report::{Report, Style, sample};

    fn text(report: &Report) -> String {
        let style = Style::default();
        let mut page = Page::new(&style);
        draw(&mut page, report.mended.as_ref().unwrap());
        let (_, word, sentence) = super::words(report.mended.as_ref().unwrap());
        format!("{}{word}: {sentence}\n", page.finish())
    }

    #[test]
    fn a_lab_that_is_right_after_its_mends() {
        insta::assert_snapshot!(text(&sample::mended()));
    }

    #[test]
    fn a_lab_that_its_mends_leave_broken() {
        insta::assert_snapshot!(text(&sample::not_mended()));
    }

    #[test]
    fn a_mend_that_failed_is_none_even_where_all_checks_hold() {
        let mut report = sample::mended();
        assert!(report.is_right());
        report.mended.as_mut().unwrap().commands[0].status = Some(1);
        assert!(!report.is_right());
    }

    #[test]
    fn what_broke_without_being_expected_is_right_once_it_is_mended_but_not_where_another_break_was_expected() {
        let mut report = sample::mended();
        (report.expected.broken, report.expected.met) = (false, false);
        assert!(report.is_right());
        report.expected.broken = true;
        assert!(!report.is_right());
    }
}
