//! JUnit XML for CI: a test suite for each scenario, a test case for each check and one for the expectation; where
//! mends were applied, one for each check of the second pass and one for the mend.
//!
//! Errs towards red: an undecided check is a failure and a run that did not happen is an error, never a skip, as most
//! CI systems show skipped cases as green. Where the run is as its scenario expects, what broke passes with a note.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report as Suites, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::proof::told as told_of;
use super::style::escape;
use super::text::{broken_as_expected, tally};
use super::{Mended, MendedCommand, Report, RunVerdict, mended};
use crate::base::Verdict;
use crate::judge::{CheckResult, Finding};

/// The test case that stands for the whole scenario.
const EXPECTATION: &str = "expectation met";

/// The test case that stands for the mend.
const MENDED: &str = "mended";

/// All scenarios in one document.
///
/// # Errors
/// Only where the XML writer refuses its own events.
pub fn render(reports: &[Report]) -> Result<String, SerializeError> {
    let mut suites = Suites::new("drlab");
    suites.set_time(reports.iter().map(time).sum());
    suites.add_test_suites(reports.iter().map(suite));
    suites.to_string()
}

fn suite(report: &Report) -> TestSuite {
    let mut suite = TestSuite::new(escape(&report.scenario));
    suite.set_time(time(report));
    for (name, value) in [("kernel", &report.kernel), ("substrate", &report.substrate), ("schema", &report.schema)] {
        suite.add_property(Property::new(name, escape(value)));
    }
    suite.add_test_cases(report.checks.iter().map(|check| of_check(report, check)));
    suite.add_test_case(of_expectation(report));
    if let Some(mended) = &report.mended {
        suite.add_test_cases(mended.checks.iter().map(|check| of_mended_check(report, check)));
        suite.add_test_case(of_mended(report, mended));
    }
    if !report.findings.is_empty() {
        suite.set_system_out(lines(report.findings.iter().flat_map(of_finding)));
    }
    suite
}

fn of_check(report: &Report, check: &CheckResult) -> TestCase {
    let kind = match check.verdict {
        Verdict::Broken if !report.expected.met => Some("broken"),
        Verdict::Undecided if !report.expected.met => Some("undecided"),
        _ => None,
    };
    let mut status = TestCaseStatus::success();
    if let Some(kind) = kind {
        status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type(kind).set_message(escape(&check.summary)).set_description(shown(check));
    }
    let mut case = case(report, &check.id, status);
    case.set_assertions(usize::try_from(check.examined).unwrap_or(usize::MAX));
    if kind.is_none() && check.verdict != Verdict::Held {
        case.set_system_out(format!("{} as expected: {}\n{}", check.verdict, escape(&check.summary), shown(check)));
    }
    case
}

fn of_expectation(report: &Report) -> TestCase {
    if report.verdict == RunVerdict::NotRun {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        let first = report.failure.first().map_or("it is not known why", String::as_str);
        status.set_type("not-run").set_message(format!("not run: {}", escape(first)));
        status.set_description(lines(report.failure.iter().cloned()));
        return case(report, EXPECTATION, status);
    }
    if !report.expected.met {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        let message = report.expected.differences.first().map_or_else(|| tally(report), |first| escape(first));
        status.set_type("not-as-expected").set_message(message);
        status.set_description(lines(report.expected.differences.iter().cloned()));
        return case(report, EXPECTATION, status);
    }
    let mut case = case(report, EXPECTATION, TestCaseStatus::success());
    if report.verdict == RunVerdict::Broken {
        case.set_system_out(escape(&format!("broken as expected: {}", broken_as_expected(report))));
    }
    case
}

fn of_mended_check(report: &Report, check: &CheckResult) -> TestCase {
    let mut status = TestCaseStatus::success();
    if check.verdict != Verdict::Held {
        status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type(check.verdict.to_string()).set_message(escape(&check.summary)).set_description(shown(check));
    }
    case(report, &format!("mended: {}", check.id), status)
}

/// The mend as a whole, with its commands; one that is left to a hand is a failure where it leaves the lab broken.
fn of_mended(report: &Report, mended: &Mended) -> TestCase {
    let (_, word, text) = mended::words(mended);
    let told = |c: &MendedCommand| {
        let status = c.status.map_or_else(|| "by hand".to_owned(), |status| format!("exit {status}"));
        let output = c.output.lines().map(|line| format!("    {line}"));
        std::iter::once(format!("{status}: on {}: {}", c.node, c.command)).chain(output).collect::<Vec<_>>()
    };
    let commands = lines(mended.commands.iter().flat_map(told).chain(mended.failure.iter().cloned()));
    if mended.is_green() {
        let mut case = case(report, MENDED, TestCaseStatus::success());
        case.set_system_out(commands);
        return case;
    }
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_type("not-mended").set_message(escape(&format!("{word}: {text}"))).set_description(commands);
    case(report, MENDED, status)
}

fn case(report: &Report, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(escape(name), status);
    case.set_classname(format!("drlab.{}", escape(&report.scenario).replace('/', ".")));
    case
}

fn shown(check: &CheckResult) -> String {
    lines(check.evidence.iter().map(told_of).chain([format!("drlab explain {}", check.id)]))
}

pub(super) fn of_finding(finding: &Finding) -> Vec<String> {
    let mut told = vec![format!("root cause {} on {}: {}", finding.id, finding.node, finding.what)];
    told.push(format!("    {}", finding.confidence.means()));
    told.extend(finding.evidence.iter().map(|one| format!("    {}", told_of(one))));
    told.extend(finding.links.iter().map(|link| format!("    see {link}")));
    told.extend(finding.mend.iter().map(|command| format!("    mend {command}")));
    told
}

pub(super) fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| escape(&line)).collect::<Vec<_>>().join("\n")
}

fn time(report: &Report) -> Duration {
    Duration::try_from_secs_f64(report.timing_ms.total / 1e3).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::report::sample;

    #[test]
    fn held_and_broken() {
        insta::assert_snapshot!(render(&[sample::held(), sample::broken_unexpectedly()]).unwrap());
    }

    #[test]
    fn a_break_that_was_expected_passes_with_a_note() {
        let text = render(&[sample::broken()]).unwrap();
        assert!(text.contains("failures=\"0\"") && text.contains("broken as expected"), "{text}");
        assert!(!text.contains("<failure"), "{text}");
    }

    #[test]
    fn what_was_not_run_is_an_error_and_what_is_undecided_a_failure() {
        let text = render(&[sample::not_run()]).unwrap();
        assert!(
            text.contains("<error") && text.contains("type=\"not-run\"") && !text.contains("skipped=\"1\""),
            "{text}"
        );
        let text = render(&[sample::undecided()]).unwrap();
        assert!(text.contains("<failure") && text.contains("type=\"undecided\""), "{text}");
    }

    #[test]
    fn a_mend_is_a_case_of_its_own_and_so_is_each_check_after_it() {
        let text = render(&[sample::mended()]).unwrap();
        assert!(text.contains("failures=\"0\"") && text.contains("name=\"mended: mac-rewrite\""), "{text}");
        assert!(text.contains("exit 0: on rs1: sysctl -w"), "{text}");
        let text = render(&[sample::not_mended()]).unwrap();
        assert!(text.contains("type=\"not-mended\"") && text.contains("by hand: on router"), "{text}");
    }

    #[test]
    fn control_characters_in_data_leave_the_document_valid() {
        let text = render(&[sample::hostile()]).unwrap();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(!text.contains("<script>"), "{text}");
        quick_junit::Report::deserialize_from_str(&text).unwrap();
    }
}
