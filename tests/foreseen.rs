//! What `drlab check` sees of every shipped scenario without a kernel, against what the lab finds.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't read its input has failed")]

use drlab::cli::select;
use drlab::judge::{checks, rules};
use drlab::plan::{self, Plan, facts};
use drlab::scenario;

fn plans() -> Vec<Plan> {
    let known_checks: Vec<&str> = checks::ALL.iter().map(|check| check.id).collect();
    let known_findings: Vec<&str> = rules::ALL.iter().map(|rule| rule.id).collect();
    let compile = |one: &select::Selected| {
        let scenario = scenario::load(&one.origin, &one.text, &known_checks, &known_findings)
            .unwrap_or_else(|problems| panic!("{}", problems.render(false)));
        plan::compile(&one.name, &scenario).expect("a shipped scenario becomes a plan")
    };
    // What programs of their own set on nodes no plan tells.
    select::shipped().iter().map(compile).filter(|plan| plan.with_programs().is_empty()).collect()
}

fn foreseen(plan: &Plan) -> Vec<String> {
    let (before, after) = facts::facts(plan);
    let findings = rules::foreseen(&plan::case(plan), &before, &after, &facts::asked(plan));
    findings.into_iter().map(|f| f.id).collect()
}

#[test]
fn what_is_foreseen_is_what_the_lab_finds_but_for_what_only_frames_show() {
    let mut differences = Vec::new();
    for plan in plans() {
        let by_configuration = |id: &&String| rules::find(id).is_some_and(|r| r.seen().why().is_none());
        let mut expected: Vec<String> = plan.expect.findings.iter().filter(by_configuration).cloned().collect();
        expected.sort();
        let mut seen = foreseen(&plan);
        seen.retain(|id| !rules::lessons::is_explained_by(id, &plan.expect.findings));
        seen.sort();
        if seen != expected {
            differences.push(format!("{}: foreseen {seen:?}, the lab finds {expected:?}", plan.scenario));
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn a_scenario_in_which_every_check_holds_has_nothing_foreseen() {
    let held = plans().into_iter().filter(|p| p.expect.findings.is_empty()).collect::<Vec<_>>();
    assert!(held.len() > 25, "{}", held.len());
    for plan in held {
        assert_eq!(foreseen(&plan), Vec::<String>::new(), "{}", plan.scenario);
    }
}

#[test]
fn every_rule_that_only_frames_show_says_why() {
    let why: Vec<_> = rules::ALL.iter().filter_map(|rule| rule.seen().why()).collect();
    assert!(why.len() < rules::ALL.len() / 4, "{why:?}");
    assert!(why.iter().all(|why| !why.is_empty()));
}
