//! The report as a student reads it at a terminal, and as `report.txt` keeps it.
//!
//! Owns: which parts there are and in what order; the headline; the verdict and the next step. The parts are drawn by
//! `picture`, `ladder`, `traffic`, `failover`, `drain` and `proof`. Refuses: computing. Errs towards saying what is not known.

use super::page::{Page, fold};
use super::proof::{self, Lookup};
use super::style::{Ink, Style};
use super::{Report, RunVerdict, drain, failover, ladder, mended, picture, programs, read, traffic};
use crate::base::Verdict;
use crate::judge::{CheckResult, checks, rules};

/// The whole report.
pub fn render(report: &Report, style: &Style) -> String {
    render_with(report, style, &|id| checks::find(id))
}

/// The same, with the checks' texts from `find`.
pub(crate) fn render_with(report: &Report, style: &Style, find: &Lookup) -> String {
    let mut page = Page::new(style);
    headline(&mut page, report);
    if !report.failure.is_empty() {
        failure(&mut page, report);
    }
    if report.verdict != RunVerdict::NotRun || !report.checks.is_empty() {
        if let Some(what) = &report.read {
            read::files(&mut page, what);
            read::parts(&mut page, what);
        }
        if !report.topology.segments.is_empty() {
            picture::draw(&mut page, &report.topology);
        }
        if !report.commands.is_empty() || !report.by_programs.is_empty() {
            programs::draw(&mut page, report);
        }
        if report.timeline.len() > 1 || report.stopped.is_some() {
            traffic::timeline(&mut page, &report.timeline);
        }
        if let Some(stopped) = &report.stopped {
            traffic::stopped(&mut page, stopped);
        }
        if !report.journey.is_empty() {
            ladder::draw(&mut page, &report.journey);
        }
        if !report.census.is_empty() {
            traffic::census(&mut page, &report.census);
            if let Some(told) = &report.failover {
                failover::draw(&mut page, told);
            }
        }
        if !report.drains.is_empty() {
            drain::draw(&mut page, &report.drains);
        }
        if report.load.requests > 0 {
            traffic::sharing(&mut page, &report.load);
        }
        proof::checks(&mut page, &report.checks);
        proof::failures(&mut page, &report.checks, find);
        let named = !report.findings.iter().all(rules::is_unexplained);
        if !report.findings.is_empty() {
            proof::findings(&mut page, &report.findings);
        }
        if !named && report.checks.iter().any(|c| c.verdict == Verdict::Broken) {
            if report.findings.is_empty() {
                page.heading("Root causes", "");
            } else {
                page.blank();
            }
            let text = "No root cause was found: no rule fits what was seen. The frames named above are all there is \
                        to go by.";
            page.wrapped(&[], Ink::Undecided, text);
            for line in &report.ruled_out {
                page.wrapped(&[(Ink::Plain, "• ".to_owned())], Ink::Plain, line);
            }
        }
        if let Some(read) = &report.read {
            read::clues(&mut page, read);
        }
        unread(&mut page, report);
        if let Some(mended) = &report.mended {
            mended::draw(&mut page, mended);
        }
    }
    verdict(&mut page, report);
    page.finish()
}

fn headline(page: &mut Page<'_>, report: &Report) {
    let (ink, word) = verdict_words(report);
    page.line(&[
        (Ink::Strong, report.scenario.clone()),
        (Ink::Plain, format!(" – {}: ", report.title)),
        (ink, word.to_owned()),
    ]);
    if report.verdict == RunVerdict::NotRun && report.kernel.is_empty() {
        return;
    }
    if let Some(what) = &report.read {
        read::headline(page, report, what);
        return;
    }
    page.item(0, "kernel", Ink::Plain, &format!("{}, substrate {}", report.kernel, report.substrate));
    let asked = format!("{} requests, {} checks", report.load.requests, report.checks.len());
    page.item(0, "asked", Ink::Plain, &asked);
    let capture = &report.capture;
    let ink = if capture.dropped > 0 { Ink::Broken } else { Ink::Plain };
    let text = format!("{} frames at {} vantages, {} dropped", capture.frames, capture.vantages.len(), capture.dropped);
    page.item(0, "captured", ink, &text);
}

fn failure(page: &mut Page<'_>, report: &Report) {
    let what = if report.verdict == RunVerdict::NotRun { "Why it was not run" } else { "What went wrong besides" };
    page.heading(what, "");
    for (nth, cause) in report.failure.iter().enumerate() {
        let (ink, lead) = match nth {
            0 => (Ink::Broken, "  "),
            // What somebody else wrote, quoted.
            _ if cause.starts_with(' ') => (Ink::Faint, "      | "),
            _ => (Ink::Plain, "    caused by: "),
        };
        page.wrapped(&[(Ink::Faint, lead.to_owned())], ink, cause);
    }
    let out = page.style().out.clone();
    for log in out.iter().flat_map(|out| report.logs.iter().map(move |log| format!("{out}/{log}"))) {
        page.wrapped(&[(Ink::Faint, "    log: ".to_owned())], Ink::Plain, &log);
    }
}

fn unread(page: &mut Page<'_>, report: &Report) {
    let nodes = report.facts.before.iter().chain(&report.facts.after);
    let mut all: Vec<String> =
        nodes.flat_map(|n| n.unread.iter().map(|u| format!("{}: {} ({})", n.node, u.what, u.why))).collect();
    all.dedup();
    if all.is_empty() {
        return;
    }
    page.heading("Facts that could not be read", "");
    let (shown, more) = fold(&all, 4);
    for line in shown {
        page.wrapped(&[(Ink::Undecided, "  ? ".to_owned())], Ink::Plain, line);
    }
    if more > 0 {
        page.line(&[(Ink::Faint, format!("  … and {more} more, in report.json"))]);
    }
}

/// The verdict in a few words, whether it was expected included.
pub(crate) fn verdict_words(report: &Report) -> (Ink, &'static str) {
    match (report.verdict, report.expected.broken, report.expected.met) {
        (RunVerdict::Held, false, true) => (Ink::Held, "HELD"),
        (RunVerdict::Held, false, false) => (Ink::Broken, "HELD, BUT NOT AS EXPECTED"),
        (RunVerdict::Held, true, _) => (Ink::Broken, "HELD, BUT SHOULD HAVE BROKEN"),
        (RunVerdict::Broken, true, true) => (Ink::Held, "BROKEN AS EXPECTED"),
        (RunVerdict::Broken, true, false) => (Ink::Broken, "BROKEN, BUT NOT AS EXPECTED"),
        (RunVerdict::Broken, false, _) => (Ink::Broken, "BROKEN"),
        (RunVerdict::Undecided, _, true) => (Ink::Undecided, "UNDECIDED, AS EXPECTED"),
        (RunVerdict::Undecided, _, false) => (Ink::Undecided, "UNDECIDED"),
        (RunVerdict::NotRun, _, _) => (Ink::Undecided, "NOT RUN"),
    }
}

fn verdict(page: &mut Page<'_>, report: &Report) {
    page.heading("Verdict", "");
    let (ink, word) = verdict_words(report);
    let text = match report.verdict {
        RunVerdict::NotRun => "nothing was proven, neither that it works nor that it does not.".to_owned(),
        RunVerdict::Broken if report.expected.met => broken_as_expected(report),
        _ if report.stopped.is_some() => format!("the timeline waited in vain; until then {}.", tally(report)),
        _ => format!("{}.", tally(report)),
    };
    page.wrapped(&[(ink, format!("{word}: "))], Ink::Plain, &text);
    let told = report.verdict == RunVerdict::NotRun;
    for difference in report.expected.differences.iter().filter(|_| !told) {
        page.wrapped(&[(Ink::Broken, "  ✗ not as expected: ".to_owned())], Ink::Plain, difference);
    }
    if let Some(mended) = &report.mended {
        let (ink, word, text) = mended::words(mended);
        page.wrapped(&[(ink, format!("{word}: "))], Ink::Plain, &text);
    }
    let t = report.timing_ms;
    if report.read.is_some() {
        page.item(0, "took", Ink::Faint, &format!("{:.0} ms: read {:.0}, judge {:.0}", t.total, t.load, t.judge));
        read::next_step(page, report);
        return;
    }
    if let Some(seed) = report.seed {
        let jitter =
            if report.jitter_us > 0 { format!(", jitter up to {} µs", report.jitter_us) } else { String::new() };
        let own = format!("{:.3} ms of the lab's own time: build {:.3}, load {:.3}", t.total, t.build, t.load);
        let twice = if report.same_twice { ", the same twice" } else { "" };
        page.item(0, "took", Ink::Faint, &format!("{own}; seed {seed}{jitter}{twice}"));
        next_step(page, report);
        return;
    }
    let parts = [("boot", t.boot), ("build", t.build), ("load", t.load), ("judge", t.judge), ("teardown", t.teardown)];
    let mut parts: Vec<String> = parts.iter().map(|(name, ms)| format!("{name} {ms:.0}")).collect();
    parts.extend(report.mended.as_ref().map(|m| format!("mending {:.0}", m.ms)));
    page.item(0, "took", Ink::Faint, &format!("{:.0} ms: {}", t.total, parts.join(", ")));
    next_step(page, report);
}

/// How many checks came to what.
pub(crate) fn tally(report: &Report) -> String {
    tally_of(&report.checks)
}

/// How many of these came to what.
pub(crate) fn tally_of(checks: &[CheckResult]) -> String {
    let count = |verdict| checks.iter().filter(|c| c.verdict == verdict).count();
    let (held, broken, undecided) = (count(Verdict::Held), count(Verdict::Broken), count(Verdict::Undecided));
    match (held, broken, undecided) {
        (0, 0, 0) => "no check was made".to_owned(),
        (1, 0, 0) => "the one check held".to_owned(),
        (n, 0, 0) => format!("all {n} checks held"),
        _ => format!("{held} checks held, {broken} broke, {undecided} undecided"),
    }
}

/// What broke and was named, in a scenario that says it must.
pub(crate) fn broken_as_expected(report: &Report) -> String {
    let mut broke: Vec<&str> =
        report.checks.iter().filter(|c| c.verdict == Verdict::Broken).map(|c| c.id.as_str()).collect();
    broke.dedup();
    let mut named: Vec<&str> = report.findings.iter().map(|f| f.id.as_str()).collect();
    named.dedup();
    let named = if named.is_empty() { "no root cause".to_owned() } else { format!("root cause {}", named.join(", ")) };
    format!("{} broke and {named} was named, as this scenario says it must.", broke.join(", "))
}

fn next_step(page: &mut Page<'_>, report: &Report) {
    let scenario = proof::quoted(page.style().scenario.as_deref().unwrap_or(&report.scenario));
    if report.verdict == RunVerdict::NotRun {
        if page.style().out.is_none() && !report.logs.is_empty() {
            let what =
                if let [one] = report.logs.as_slice() { one.as_str() } else { "what programs wrote, below nodes/" };
            page.command(0, "next", &format!("drlab run {scenario} --out OUT"), &format!("keeps {what}"));
        } else {
            page.command(
                0,
                "next",
                "drlab doctor",
                "what this machine can do, and the one command that would change it",
            );
        }
        let plan = format!("drlab plan {scenario}");
        page.command(0, "", &plan, "what would have been built");
        if report.substrate == "host" {
            let run = format!("drlab run {scenario} --substrate uml");
            page.command(0, "", &run, "under a kernel of its own, which has IPVS and needs no root");
        }
        return;
    }
    let worst = [Verdict::Broken, Verdict::Undecided, Verdict::Held];
    let check = worst.iter().find_map(|v| report.checks.iter().find(|c| c.verdict == *v));
    let Some(check) = check else {
        page.command(0, "next", &format!("drlab plan {scenario}"), "what the scenario asks for");
        return;
    };
    page.command(0, "next", &proof::explain(&check.id), "what it proves, what would fool it");
    if let Some(command) = proof::tshark(page.style(), check) {
        page.command(0, "", &command, "its first frame");
    }
    if report.mended.is_none() && !report.findings.is_empty() {
        page.command(0, "", &format!("drlab run {scenario} --apply-mend"), "mends it in the lab and drives it again");
    }
    if page.style().out.is_none() {
        page.command(0, "", &format!("drlab run {scenario} --out OUT"), "keeps capture.pcapng for Wireshark");
    }
}

#[cfg(test)]
mod tests {
    use super::render_with;
    use crate::report::style::Style;
    use crate::report::{Report, sample};

    fn text(report: &Report, style: &Style) -> String {
        render_with(report, style, &sample::explained)
    }

    fn kept() -> Style {
        Style { out: Some("out/basic/lvs-dr".to_owned()), ..Style::default() }
    }

    #[test]
    fn a_held_run() {
        let text = text(&sample::held(), &kept());
        assert!(text.lines().count() <= 70, "{} lines", text.lines().count());
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn the_next_step_names_the_scenario_as_it_can_be_typed() {
        let style = Style { scenario: Some("/tmp/my labs/x.toml".to_owned()), ..Style::default() };
        for report in [sample::held(), sample::not_run()] {
            let text = text(&report, &style);
            assert!(text.contains(" '/tmp/my labs/x.toml'"), "{text}");
        }
    }

    #[test]
    fn a_seeded_run_that_was_made_twice_says_that_it_came_out_the_same() {
        let mut report = Report { seed: Some(7), ..sample::held() };
        assert!(!text(&report, &Style::default()).contains("twice"));
        report.same_twice = true;
        assert!(text(&report, &Style::default()).contains("seed 7, the same twice"));
    }

    #[test]
    fn a_lab_that_broke_as_expected() {
        insta::assert_snapshot!(text(&sample::broken(), &Style::default()));
    }

    #[test]
    fn a_run_that_did_not_happen() {
        insta::assert_snapshot!(text(&sample::not_run(), &Style::default()));
    }

    #[test]
    fn at_eighty_columns_only_commands_are_wider() {
        for report in [sample::held(), sample::broken()] {
            let text = text(&report, &Style { width: 80, ..kept() });
            let wide = text.lines().find(|line| line.chars().count() > 80 && !line.contains("tshark"));
            assert_eq!(wide, None);
        }
    }

    #[test]
    fn a_break_without_a_finding_says_so() {
        let mut report = sample::broken_unexpectedly();
        report.findings.clear();
        let text = text(&report, &Style::default());
        assert!(text.contains("No root cause was found"), "{text}");
        assert!(text.contains("BROKEN: 2 checks held, 2 broke, 0 undecided."), "{text}");
        assert!(text.contains("not as expected: check arp-census is broken, expected held"), "{text}");
    }

    #[test]
    fn an_undecided_check_is_told_as_neither() {
        let text = text(&sample::undecided(), &Style::default());
        assert!(text.contains("? undecided") && text.contains("neither held nor broken"), "{text}");
    }

    #[test]
    fn a_check_that_this_build_does_not_know_is_still_told() {
        let text = render_with(&sample::broken(), &Style::default(), &|_| None);
        assert!(text.contains("✗ broken arp-census") && !text.contains("usual cause"), "{text}");
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let colored = text(&sample::broken(), &Style { color: true, ..Style::default() });
        let mut plain = String::new();
        for (nth, part) in colored.split('\u{1b}').enumerate() {
            plain.push_str(if nth == 0 { part } else { part.split_once('m').unwrap().1 });
        }
        let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        assert_eq!(trimmed(&plain), trimmed(&text(&sample::broken(), &Style::default())));
    }

    #[test]
    fn control_characters_in_data_never_reach_the_terminal() {
        for unicode in [true, false] {
            let text = text(&sample::hostile(), &Style { unicode, ..Style::default() });
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
            assert!(unicode || text.is_ascii(), "{text}");
        }
    }
}
