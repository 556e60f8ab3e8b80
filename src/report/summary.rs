//! Several scenarios in one table, the totals, and what was not as expected.

use super::page::{Page, fold};
use super::proof::quoted;
use super::style::{Ink, Style};
use super::table::Table;
use super::{Mended, Report, RunVerdict, mended};
use crate::base::Verdict;

/// Differences that are shown of a scenario.
const DIFFERENCES: usize = 4;

/// How many of the slowest are named, and from how many scenarios on.
const SLOWEST: usize = 10;

/// The summary of a call with several scenarios.
pub fn render(reports: &[Report], style: &Style) -> String {
    let mut page = Page::new(style);
    let mut table = Table::new(&[4, 5, 6, 7]);
    table.head(&["scenario", "verdict", "expected", "checks", "causes", "requests", "frames", "time"]);
    for report in reports {
        row(&mut table, report);
    }
    table.write(&mut page, 0);
    totals(&mut page, reports);
    for report in reports.iter().filter(|report| !report.expected.met) {
        unexpected(&mut page, report);
    }
    for (report, mended) in reports.iter().filter_map(|r| Some((r, r.mended.as_ref().filter(|m| !m.is_green())?))) {
        let (ink, word, text) = mended::words(mended);
        page.blank();
        page.line(&[(ink, format!("✗ {}  ", word.to_lowercase())), (Ink::Strong, report.scenario.clone())]);
        page.wrapped(&[(Ink::Plain, "  ".to_owned())], Ink::Plain, &text);
        let again = format!("drlab run {} --apply-mend", quoted(&report.scenario));
        page.command(2, "next", &again, "its whole report");
    }
    page.finish()
}

fn row(table: &mut Table, report: &Report) {
    let (ink, verdict) = match report.verdict {
        RunVerdict::Held => (Ink::Held, "✓ held"),
        RunVerdict::Broken => (Ink::Broken, "✗ broken"),
        RunVerdict::Undecided => (Ink::Undecided, "? undecided"),
        RunVerdict::NotRun => (Ink::Undecided, "– not run"),
    };
    // A break that must come is good news.
    let ink = if report.expected.met { Ink::Held } else { ink };
    let met = if report.expected.met { (Ink::Held, "yes") } else { (Ink::Broken, "NO") };
    let plain = |n: u64| (Ink::Plain, n.to_string());
    table.row([
        (Ink::Strong, report.scenario.clone()),
        (ink, verdict.to_owned()),
        (met.0, met.1.to_owned()),
        (Ink::Plain, checks(report)),
        plain(report.findings.len() as u64),
        plain(report.load.requests),
        plain(report.capture.frames),
        (Ink::Plain, format!("{:.2} s", report.timing_ms.total / 1e3)),
    ]);
}

fn checks(report: &Report) -> String {
    let all = [Verdict::Held, Verdict::Broken, Verdict::Undecided].map(|v| (count(report, v), v));
    let told: Vec<String> = all.iter().filter(|(n, _)| *n > 0).map(|(n, v)| format!("{n} {v}")).collect();
    if told.is_empty() { "none".to_owned() } else { told.join(", ") }
}

fn totals(page: &mut Page<'_>, reports: &[Report]) {
    let met = reports.iter().filter(|r| r.expected.met).count();
    let not_run = reports.iter().filter(|r| !r.expected.met && r.verdict == RunVerdict::NotRun).count();
    let other = reports.len() - met - not_run;
    let ink = |n: usize, ink| if n > 0 { ink } else { Ink::Plain };
    let noun = if reports.len() == 1 { "scenario" } else { "scenarios" };
    page.blank();
    page.line(&[
        (Ink::Strong, format!("{} {noun}: ", reports.len())),
        (ink(met, Ink::Held), format!("{met} as expected")),
        (Ink::Plain, ", ".to_owned()),
        (ink(other, Ink::Broken), format!("{other} not as expected")),
        (Ink::Plain, ", ".to_owned()),
        (ink(not_run, Ink::Undecided), format!("{not_run} not run")),
    ]);
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let text = format!(
        "checks {} held, {} broken, {} undecided · {} root causes · {} requests, {} failed · {} frames, {} dropped · {:.1} s",
        sum(|r| count(r, Verdict::Held)),
        sum(|r| count(r, Verdict::Broken)),
        sum(|r| count(r, Verdict::Undecided)),
        sum(|r| r.findings.len() as u64),
        sum(|r| r.load.requests),
        sum(|r| r.load.failed),
        sum(|r| r.capture.frames),
        sum(|r| r.capture.dropped),
        reports.iter().map(|r| r.timing_ms.total).sum::<f64>() / 1e3,
    );
    page.wrapped(&[], Ink::Plain, &text);
    slowest(page, reports);
    let mended: Vec<&Mended> = reports.iter().filter_map(|r| r.mended.as_ref()).collect();
    if !mended.is_empty() {
        let green = mended.iter().filter(|m| m.is_green()).count();
        let text = format!("{green} of {} are as they should be after their mends", mended.len());
        page.line(&[(if green == mended.len() { Ink::Held } else { Ink::Broken }, text)]);
    }
}

/// Names the slowest, where there are many.
fn slowest(page: &mut Page<'_>, reports: &[Report]) {
    if reports.len() <= SLOWEST {
        return;
    }
    let mut by_time: Vec<&Report> = reports.iter().collect();
    by_time.sort_by(|a, b| b.timing_ms.total.total_cmp(&a.timing_ms.total));
    let told = by_time.iter().take(SLOWEST).map(|r| format!("{} {:.2} s", r.scenario, r.timing_ms.total / 1e3));
    let text = format!("slowest: {}", told.collect::<Vec<_>>().join(" · "));
    page.wrapped(&[], Ink::Faint, &text);
}

fn unexpected(page: &mut Page<'_>, report: &Report) {
    page.blank();
    let (ink, lead, why) = if report.verdict == RunVerdict::NotRun {
        (Ink::Undecided, "– not run", &report.failure)
    } else {
        (Ink::Broken, "✗ not as expected", &report.expected.differences)
    };
    page.line(&[(ink, format!("{lead}  ")), (Ink::Strong, report.scenario.clone())]);
    let (shown, more) = fold(why, DIFFERENCES);
    for line in shown {
        page.wrapped(&[(Ink::Plain, "  ".to_owned())], Ink::Plain, line);
    }
    if more > 0 {
        page.line(&[(Ink::Faint, format!("  … and {more} more"))]);
    }
    page.command(2, "next", &format!("drlab run {}", quoted(&report.scenario)), "its whole report");
}

fn count(report: &Report, verdict: Verdict) -> u64 {
    report.checks.iter().filter(|c| c.verdict == verdict).count() as u64
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::report::sample;
    use crate::report::style::Style;

    #[test]
    fn several_scenarios() {
        let reports =
            [sample::held(), sample::broken(), sample::broken_unexpectedly(), sample::undecided(), sample::not_run()];
        let text = render(&reports, &Style::default());
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        insta::assert_snapshot!(text);
    }
}
