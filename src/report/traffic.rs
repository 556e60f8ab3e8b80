//! What the run did and what came of it: timeline, ARP census, sharing, latencies.

use std::collections::BTreeMap;

use super::ladder::micros;
use super::page::{Page, fold};
use super::style::Ink;
use super::table::Table;
use super::{CensusEntry, LoadSummary};
use crate::facts::run::{Acted, Stopped};

/// Names in a list before the others are only counted.
const LISTED: usize = 6;

/// Columns of the longest bar.
const BAR: u64 = 40;

/// Writes the timeline, an act a line.
pub(crate) fn timeline(page: &mut Page<'_>, acts: &[Acted]) {
    page.heading("Timeline", "");
    let (shown, more) = fold(acts, 12);
    let mut table = Table::new(&[1]);
    for act in shown {
        table.row([
            (Ink::Plain, act.label.clone()),
            (Ink::Faint, format!("{:.1} ms", act.ms)),
            (Ink::Plain, act.outcome.clone()),
        ]);
    }
    table.write(page, 2);
    if more > 0 {
        page.line(&[(Ink::Faint, format!("  … and {more} more acts, in report.json"))]);
    }
}

/// Writes which condition did not come to hold, and what was left out for it.
pub(crate) fn stopped(page: &mut Page<'_>, stopped: &Stopped) {
    page.heading("Waited in vain", "");
    page.item(2, "until", Ink::Strong, &stopped.condition);
    page.item(2, "for", Ink::Plain, &format!("{} ms, in step `{}`", stopped.deadline_ms, stopped.label));
    page.item(2, "seen", Ink::Broken, &stopped.seen);
    let rest = match stopped.left_out {
        0 => "it was the last step".to_owned(),
        1 => "the one step after it was left out".to_owned(),
        n => format!("the {n} steps after it were left out"),
    };
    page.item(2, "then", Ink::Plain, &rest);
}

/// Writes who asked and who answered for each VIP.
pub(crate) fn census(page: &mut Page<'_>, entries: &[CensusEntry]) {
    page.heading("ARP census: who has the VIP?", "");
    let mut table = Table::new(&[]);
    table.head(&["VIP", "segment", "asked", "answered", "announced"]);
    for entry in entries {
        table.tall_row([
            (Ink::Vip, vec![entry.vip.clone()]),
            (Ink::Plain, vec![entry.segment.clone()]),
            (Ink::Plain, counted(&entry.asked)),
            (Ink::Strong, counted(&entry.answered)),
            (Ink::Plain, counted(&entry.gratuitous)),
        ]);
    }
    table.write(page, 2);
    for entry in entries.iter().filter(|entry| !entry.leaked.is_empty()) {
        let who = counted(&entry.leaked).join(", ");
        let what = format!(
            "{who} asked on {} with {} as sender, and so told everyone there a MAC for it",
            entry.segment, entry.vip
        );
        page.wrapped(&[(Ink::Broken, "  ✗ leaked ".to_owned())], Ink::Plain, &what);
    }
}

fn counted(by: &BTreeMap<String, u64>) -> Vec<String> {
    if by.is_empty() {
        return vec!["nobody".to_owned()];
    }
    let all: Vec<_> = natural(by);
    let (shown, more) = fold(&all, LISTED);
    let mut lines: Vec<String> = shown.iter().map(|(who, n)| format!("{who} {n}×")).collect();
    if more > 0 {
        lines.push(format!("… and {more} more"));
    }
    lines
}

/// Writes how the answers were shared out, what failed and how long answers took.
pub(crate) fn sharing(page: &mut Page<'_>, load: &LoadSummary) {
    page.heading("Sharing", &format!("{} requests, {} answered whole, {} failed", load.requests, load.ok, load.failed));
    let all = natural(&load.per_server);
    let most = load.per_server.values().copied().max().unwrap_or(0);
    let (shown, more) = fold(&all, LISTED);
    let mut table = Table::new(&[1]);
    for (server, answers) in shown {
        table.row([
            (Ink::Plain, (*server).to_owned()),
            (Ink::Strong, answers.to_string()),
            (Ink::Held, bar(*answers, most)),
        ]);
    }
    table.write(page, 2);
    if let Some(rest) = all.get(shown.len()..).filter(|rest| more > 0 && !rest.is_empty()) {
        let least = rest.iter().map(|(_, n)| *n).min().unwrap_or(0);
        let most = rest.iter().map(|(_, n)| *n).max().unwrap_or(0);
        page.line(&[(Ink::Faint, format!("  … and {more} more servers with {least} to {most} each"))]);
    }
    if all.is_empty() {
        page.line(&[(Ink::Plain, "  no server answered".to_owned())]);
    }
    if !load.errors.is_empty() {
        let kinds: Vec<String> = load.errors.iter().map(|(kind, n)| format!("{kind} {n}×")).collect();
        page.wrapped(&[(Ink::Broken, "  ✗ failed ".to_owned())], Ink::Plain, &kinds.join(", "));
    }
    if load.ok > 0 {
        let l = load.latency;
        let parts = [("min", l.min_us), ("median", l.p50_us), ("p90", l.p90_us), ("p99", l.p99_us), ("max", l.max_us)];
        let parts: Vec<String> = parts.iter().map(|(name, us)| format!("{name} {}", micros(*us))).collect();
        page.line(&[(Ink::Faint, "  latency  ".to_owned()), (Ink::Plain, parts.join(" · "))]);
    }
}

fn bar(answers: u64, most: u64) -> String {
    let long = if most <= BAR { answers } else { (answers * BAR).div_ceil(most) };
    "█".repeat(usize::try_from(long).unwrap_or_default())
}

/// By name as people count: `rs2` before `rs10`.
fn natural(by: &BTreeMap<String, u64>) -> Vec<(&str, u64)> {
    let mut all: Vec<(&str, u64)> = by.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    all.sort_by_key(|(name, _)| crate::base::natural(name));
    all
}

#[cfg(test)]
mod tests {
    use super::{natural, sharing};
    use crate::report::LoadSummary;
    use crate::report::page::Page;
    use crate::report::style::Style;

    fn servers(n: u64) -> LoadSummary {
        let per_server = (1..=n).map(|i| (format!("rs{i}"), i)).collect();
        LoadSummary { requests: n, ok: 0, per_server, ..LoadSummary::default() }
    }

    #[test]
    fn the_second_server_stands_before_the_tenth() {
        let load = servers(11);
        let names: Vec<&str> = natural(&load.per_server).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names[..3], ["rs1", "rs2", "rs3"]);
        assert_eq!(names[10], "rs11");
    }

    #[test]
    fn a_hundred_servers_are_folded() {
        let style = Style::default();
        let mut page = Page::new(&style);
        sharing(&mut page, &servers(100));
        let text = page.finish();
        assert!(text.contains("… and 94 more servers with 7 to 100 each"), "{text}");
    }

    #[test]
    fn a_bar_never_leaves_the_page_and_a_single_answer_shows() {
        assert_eq!(super::bar(1, 1_000_000).chars().count(), 1);
        assert_eq!(super::bar(1_000_000, 1_000_000).chars().count(), 40);
        assert_eq!(super::bar(0, 0), "");
    }
}
