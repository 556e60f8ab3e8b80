//! What a run's verdict comes to: its exit code, and the same word in every format.

use std::fs;
use std::path::Path;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::program::Said;
use crate::running::{drlab, place};
use crate::trial;

/// Arguments, the exit code that they must come to, and the verdict.
const CASES: [(&str, &str, i32, &str); 5] = [
    ("held", "lvs-dr", 0, "held"),
    ("broken_as_expected", "rs-arp-default", 0, "broken"),
    ("unexpectedly_held", "fixtures/cli/unexpectedly-held.toml", 1, "held"),
    ("undecided", "fixtures/cli/undecided.toml", 3, "undecided"),
    ("waited_in_vain", "fixtures/cli/waited-in-vain.toml", 1, "broken"),
];

pub(crate) fn trials() -> Vec<Trial> {
    let cases = CASES.map(|(name, scenario, code, verdict)| {
        trial(format!("{name}_ends_with_{code}"), move || ends(name, scenario, code, verdict))
    });
    cases.into_iter().chain([trial("several_scenarios_have_one_summary_and_the_worst_code", several)]).collect()
}

fn ends(name: &str, scenario: &str, code: i32, verdict: &str) {
    let place = place(name);
    let out = place.path("out");
    let run =
        drlab(&place, &["run", scenario, "--substrate", "uml", "--format", "json", "--out", &out]).output().unwrap();
    let report = Said::of(run).ends_with(code).json();
    assert_eq!(report["verdict"], verdict);
    assert_eq!(report["expected"]["met"], code == 0);
    let folder = Path::new(&out).join(report["scenario"].as_str().unwrap());
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&read("report.json")).unwrap(), report, "the file is what was printed");
    assert!(read("report.txt").contains("Verdict"), "{}", read("report.txt"));
    let failures = cases(&read("junit.xml"), "<failure");
    assert_eq!(failures > 0, code != 0, "{}", read("junit.xml"));
    let checks = report["checks"].as_array().unwrap().len();
    assert_eq!(
        cases(&read("junit.xml"), "<testcase "),
        checks + 1,
        "a case for each check and one for the expectation"
    );
    let capture = fs::read(folder.join("capture.pcapng")).unwrap();
    assert_eq!(capture[..4], [0x0a, 0x0d, 0x0d, 0x0a], "a section header block");
}

fn cases(xml: &str, tag: &str) -> usize {
    xml.matches(tag).count()
}

fn several() {
    let place = place("many");
    let wanted = ["run", "lvs-dr", "same-lan", "fixtures/cli/unexpectedly-held.toml", "--substrate", "uml"];
    let text = Said::of(drlab(&place, &wanted).output().unwrap()).ends_with(1).out;
    assert!(text.contains("3 scenarios: 2 as expected, 1 not as expected, 0 not run"), "{text}");
    let xml =
        Said::of(drlab(&place, &[&wanted[..], &["--format", "junit"]].concat()).output().unwrap()).ends_with(1).out;
    assert_eq!(cases(&xml, "<testsuite "), 3, "{xml}");
    assert_eq!(cases(&xml, "type=\"not-as-expected\""), 1, "{xml}");
}
