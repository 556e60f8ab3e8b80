//! What `drlab mutate` would break of the scenarios that ship, and what it would accept for it; no kernel is needed.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test says by a panic what is wrong")]

use std::collections::BTreeSet;

use drlab::cli::select;
use drlab::judge::{checks, rules};
use drlab::mutate::{self, Expected, Mutation, report};
use drlab::plan::{self, Plan};
use drlab::report::Style;
use drlab::scenario;

/// Shipped scenarios in which all is well.
fn correct() -> Vec<Plan> {
    let known_checks: Vec<&str> = checks::ALL.iter().map(|check| check.id).collect();
    let known_findings: Vec<&str> = rules::ALL.iter().map(|rule| rule.id).collect();
    let plans = select::shipped().into_iter().filter(|one| !one.name.starts_with("broken/")).map(|one| {
        let scenario = scenario::load(&one.origin, &one.text, &known_checks, &known_findings);
        let scenario = scenario.unwrap_or_else(|problems| panic!("{}", problems.render(false)));
        plan::compile(&one.name, &scenario).expect("a shipped scenario becomes a plan")
    });
    plans.filter(|plan| plan.expect.findings.is_empty() && plan.with_programs().is_empty()).collect()
}

fn plan_of(name: &str) -> Plan {
    correct().into_iter().find(|plan| plan.scenario == name).unwrap()
}

fn named(all: &[Mutation], what: &str) -> Expected {
    all.iter().find(|m| m.what == what).unwrap_or_else(|| panic!("no mutation `{what}`")).expected.clone()
}

fn ids(expected: &Expected) -> Vec<&'static str> {
    expected.causes().iter().map(|cause| cause.id).collect()
}

#[test]
fn every_cause_that_may_be_named_is_a_rule_and_every_mutation_can_be_made() {
    for plan in correct() {
        let all = mutate::derive(&plan);
        let names: BTreeSet<&str> = all.iter().map(|m| m.what.as_str()).collect();
        assert_eq!(names.len(), all.len(), "{}: two mutations have one name", plan.scenario);
        for cause in all.iter().flat_map(|m| m.expected.causes()) {
            assert!(rules::find(cause.id).is_some(), "{}: {}", plan.scenario, cause.id);
            assert!(cause.nodes.iter().all(|node| plan.nodes.iter().any(|n| n.name == *node)));
        }
        for trial in mutate::singles(&all).iter().skip(1) {
            let mutated = mutate::to_run(&plan, trial).unwrap_or_else(|| panic!("{}: {}", plan.scenario, trial.what));
            assert!(mutated.nodes != plan.nodes || mutated.timeline.len() != plan.timeline.len(), "{}", trial.what);
        }
    }
}

#[test]
fn what_programs_have_in_hand_is_not_said_to_break() {
    let known_checks: Vec<&str> = checks::ALL.iter().map(|check| check.id).collect();
    let known_findings: Vec<&str> = rules::ALL.iter().map(|rule| rule.id).collect();
    let of = |name: &str| {
        let one = select::shipped().into_iter().find(|one| one.name == name).unwrap();
        plan::compile(name, &scenario::load(&one.origin, &one.text, &known_checks, &known_findings).unwrap()).unwrap()
    };
    let refused = |name: &str| mutate::told_by(&of(name)).unwrap_err().to_string();
    assert!(refused("ha/link-down").contains("what lb1, lb2 runs has the VIP and the table in hand"));
    assert!(refused("apps/textbook-verbatim").contains("commands or a script set up"));
    assert_eq!(mutate::told_by(&of("apps/nginx")), Ok(()));
    assert_eq!(mutate::left_out(&of("apps/nginx")), ["rs1: how nginx is set up", "rs2: how nginx is set up"]);
    for plan in correct() {
        assert_eq!(mutate::told_by(&plan), Ok(()), "{}", plan.scenario);
        assert!(mutate::left_out(&plan).is_empty(), "{}", plan.scenario);
    }
}

#[test]
fn shares_of_a_longer_load_are_not_asked_of_a_short_one() {
    let mut plan = plan_of("basic/lvs-dr");
    let control = &mutate::singles(&[])[0];
    plan.expect.share.extend(plan_of("basic/lvs-dr").nodes.iter().map(|node| (node.name.clone(), (50, 50))));
    assert!(mutate::to_run(&plan, control).unwrap().expect.share.is_empty());
}

#[test]
fn each_kind_of_thing_that_a_plan_has_is_broken() {
    let kinds = |name: &str| {
        let all = mutate::derive(&plan_of(name));
        all.iter().map(|m| format!("{:?}", m.thing)).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
    };
    let always = "Address Destination Filter Link Neighbour Order Route Server Service Sysctl";
    assert_eq!(kinds("basic/lvs-dr"), always);
    assert_eq!(kinds("arp/static-binding"), always);
}

#[test]
fn what_a_mutation_does_hangs_on_the_topology() {
    let (sysctl, arptables, bound) = (
        mutate::derive(&plan_of("basic/lvs-dr")),
        mutate::derive(&plan_of("arp/arptables")),
        mutate::derive(&plan_of("arp/static-binding")),
    );
    assert_eq!(ids(&named(&sysctl, "rs1: net.ipv4.conf.all.arp_ignore 1 → 0")), ["rs-arp-default"]);
    let on_nic = "rs1: VIP 172.16.0.66/32 on eth0 instead of lo";
    assert_eq!(ids(&named(&sysctl, on_nic)), ["rs-vip-on-nic"]);
    assert_eq!(ids(&named(&arptables, on_nic)), [""; 0]);
    assert_eq!(ids(&named(&bound, on_nic)), [""; 0]);
    let forgotten = named(&bound, "router: permanent entry for 172.16.0.66 gone");
    assert_eq!(ids(&forgotten), ["rs-arp-default"]);
    assert_eq!(
        forgotten.causes()[0].nodes.iter().map(drlab::base::NodeName::as_str).collect::<Vec<_>>(),
        ["rs1", "rs2"]
    );
    let drop = "rs1: arptables -A INPUT -d 172.16.0.66 -j DROP gone";
    // The other rule still puts the RIP into what it answers.
    assert_eq!(ids(&named(&arptables, drop)), [""; 0]);
}

#[test]
fn pairs_are_the_same_each_time_and_touch_two_things() {
    let plan = plan_of("basic/lvs-dr");
    let all = mutate::derive(&plan);
    let pairs = mutate::pairs(&plan, &all, Some(40));
    assert_eq!(pairs, mutate::pairs(&plan, &all, Some(40)));
    assert_eq!(pairs.len(), 40);
    for pair in &pairs {
        let [one, other] = pair.parts.as_slice() else { panic!("{}", pair.what) };
        assert_ne!(one.what, other.what);
        assert!(mutate::to_run(&plan, pair).is_some(), "{}", pair.what);
    }
}

#[test]
fn what_is_upstream_hides_what_is_beyond() {
    let plan = plan_of("basic/lvs-dr");
    let all = mutate::derive(&plan);
    let pairs = mutate::pairs(&plan, &all, None);
    let hidden = |what: &str, by: &str| {
        let pair = pairs.iter().find(|p| p.parts.iter().all(|part| part.what == what || part.what == by));
        let pair = pair.unwrap_or_else(|| panic!("no pair of `{what}` and `{by}`"));
        pair.parts.iter().filter(|part| part.expected.causes().is_empty()).map(|p| p.what.clone()).collect::<Vec<_>>()
    };
    let (server, service) = ("rs1: http-80 not running", "director: service TCP 172.16.0.66:80 gone");
    assert_eq!(hidden(server, service), [server]);
    assert_eq!(hidden(server, "rs2: route default gone"), [""; 0]);
}

#[test]
fn the_mutations_of_the_textbook_case() {
    let all = mutate::derive(&plan_of("basic/lvs-dr"));
    let style = Style { width: 160, ..Style::default() };
    insta::assert_snapshot!(report::list(&all, &style));
}
