//! What `drlab audit` sees on single machines, and `drlab check --facts` on several, of every shipped scenario.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't read its input has failed")]

use std::collections::BTreeSet;

use drlab::base::{Forwarding, Role};
use drlab::cli::select;
use drlab::judge::machines::{self, Hints, Machine, MachinesError};
use drlab::judge::{checks, rules};
use drlab::plan::{self, Act, Node, Plan, facts};
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

/// The scenario's machines as they are once its timeline is over, each as `drlab audit` would read it; with all that an
/// operator can tell of them, or nothing.
fn audited(plan: &Plan, told: bool, alone: bool) -> Vec<Machine> {
    let (_, after) = facts::facts(plan);
    // A real server under NAT is none of Direct Routing's.
    let by_nat = |node: &Node| {
        let tables = plan.nodes.iter().filter_map(|n| n.ipvs.as_ref()).flat_map(|t| &t.services);
        let mut mine = tables.flat_map(|s| &s.destinations).filter(|d| d.node.as_ref() == Some(&node.name));
        mine.any(|d| d.forwarding == Forwarding::Nat)
    };
    // A Director that stands by is one only together with the others.
    let directors = plan.nodes.iter().filter(|n| n.role == Role::Director).count();
    let stands_by = |node: &Node| node.role == Role::Director && directors > 1;
    let left_out = |node: &Node| node.role == Role::Client || (alone && (by_nat(node) || stands_by(node)));
    let nodes = plan.nodes.iter().zip(after).filter(|(node, _)| !left_out(node));
    nodes
        .map(|(node, facts)| Machine {
            schema: machines::SCHEMA.to_owned(),
            role: node.role,
            vips: plan.vips.clone(),
            hints: if told { hints(plan, node) } else { Hints::default() },
            facts,
        })
        .collect()
}

fn hints(plan: &Plan, node: &Node) -> Hints {
    let own = |role: Role| {
        let nodes = plan.nodes.iter().filter(move |n| n.role == role).flat_map(|n| &n.interfaces);
        let mut all = nodes.filter(|i| i.segment().is_some()).flat_map(|i| &i.addresses).map(|a| a.address.addr());
        all.find(|ip| !plan.vips.contains(ip) && ip.is_ipv4() == plan.vips[0].is_ipv4())
    };
    let loads = plan.timeline.iter().filter_map(|step| match &step.act {
        Act::Load(load) => Some((load.protocol, load.target.port())),
        _ => None,
    });
    let tables = plan.nodes.iter().filter_map(|n| n.ipvs.as_ref()).flat_map(|t| &t.services);
    let mut destinations = tables.flat_map(|s| &s.destinations);
    Hints {
        director: own(Role::Director),
        client: own(Role::Client),
        rip: destinations.find(|d| d.node.as_ref() == Some(&node.name)).map(|d| d.at.ip()),
        services: loads.collect(),
    }
}

fn ids(machines: &[Machine]) -> BTreeSet<String> {
    match machines::judge(machines) {
        Ok(judged) => judged.findings.into_iter().map(|f| f.id).collect(),
        // One without any address is told so, and is on no segment where it could be blamed.
        Err(MachinesError::NoSegment(_)) => BTreeSet::new(),
        Err(error) => panic!("{error}"),
    }
}

/// Real servers' mistakes that each of them shows by itself, by that name.
const SEEN_ON_THE_SERVER_ALONE: &[&str] = &[
    "broken/app/app-bound-rip",
    "broken/app/app-not-listening",
    "broken/arp/arp-unanswered",
    "broken/arp/rs-announce-0",
    "broken/arp/rs-announce-1-same-subnet",
    "broken/arp/rs-arp-default",
    "broken/arp/rs-arp-filter-instead",
    "broken/arp/rs-arptables-in-only",
    "broken/arp/rs-arptables-out-drop",
    "broken/arp/rs-ignore-3-global-scope",
    "broken/arp/rs-ignore-8",
    "broken/arp/rs-ignore-reserved",
    "broken/arp/rs-sysctl-default-only",
    "broken/arp/rs-sysctl-lo-only",
    "broken/arp/rs-vip-noarp-dummy",
    "broken/arp/rs-vip-on-nic",
    "broken/ipv6/v6-vip-on-nic-nodad",
    "broken/ipvs/rs-fw",
    "broken/routing/rs-gw-director",
    "broken/routing/rs-gw-missing",
    "broken/routing/rs-rpfilter-two-nic",
    "broken/routing/rs-vip-missing",
    "broken/routing/rs-vip-missing-forwarding",
    "broken/routing/rs-vip-prefix-on-lo",
    "broken/routing/rs-vip-prefix-on-lo-rpf",
];

/// Where a machine by itself tells something else than the lab: what, and why.
const ALONE: &[(&str, &[&str], &str)] = &[
    ("arp/static-binding", &["rs-arp-default"], "that every asker is bound, only the askers tell"),
    ("correct/spare-without-vip", &["rs-vip-missing"], "that nothing is sent to it, only the Director tells"),
    ("correct/stopped-with-weight-0", &["app-not-listening"], "likewise"),
    ("broken/arp/host-sysctl-not-in-container", &["rs-arp-default"], "a container does not know what its host has"),
    ("broken/arp/all-nodes-own-vip", &["rs-vip-noarp-dummy"], "that all do it, one machine does not tell"),
    ("broken/arp/rs-sysctl-reverted", &["rs-arp-default"], "at one moment only what is wrong now shows"),
    ("broken/arp/proxy-arp", &["no-route"], "a host that leads elsewhere is no router of the VIP"),
    ("broken/ipvs/ipvs-port-mapping", &["app-not-listening"], "nothing listens at the port that packets come with"),
    ("broken/ipvs/ipvs-service-missing", &["app-not-listening"], "likewise"),
    (
        "broken/ipvs/ipvs-rip-nobody",
        &["app-not-listening"],
        "it is told the Director's word for its RIP, which is wrong",
    ),
    (
        "broken/routing/address-prefix-narrow",
        &["rs-remote-subnet"],
        "which of two masks is right, only neighbours tell",
    ),
    (
        "broken/routing/rs-vip-prefix-on-lo-arp",
        &["rs-arp-default", "rs-vip-prefix-on-lo"],
        "whose addresses it answers for, only their owners tell",
    ),
];

/// What machines together don't show, and why.
const NOT_TOGETHER: &[(&str, &str)] = &[
    ("broken/arp/host-sysctl-not-in-container", "that it is a container, its kernel does not say"),
    ("broken/routing/no-route", "it is a client that has no route, and clients are not read"),
    ("broken/ipvs/dir-local-client", "that the Director is a client, nobody says"),
    ("broken/ipvs/rs-local-client", "likewise of a real server"),
    ("broken/routing/mtu-jumbo-one-side", "how large packets are, only requests tell"),
    ("broken/arp/vip-twice", "it is a client that has the VIP"),
    ("broken/arp/strict-arp-breaks-unnumbered", "an interface without an address is on no segment that subnets tell"),
    ("broken/cloud/cloud-l3-only", "subnets look like one segment, and are not"),
    ("broken/ipvs/ipvs-rip-nobody", "who has an address that none of these has, might be a machine that was not read"),
];

fn allowed(plan: &Plan) -> BTreeSet<String> {
    let besides = ALONE.iter().filter(|(scenario, ..)| *scenario == plan.scenario);
    let besides = besides.flat_map(|(_, ids, _)| ids.iter().map(|id| (*id).to_owned()));
    plan.expect.findings.iter().cloned().chain(besides).collect()
}

#[test]
fn a_machine_alone_is_blamed_for_nothing_that_the_lab_does_not_find() {
    let mut blamed = Vec::new();
    for plan in plans() {
        let allowed = allowed(&plan);
        for machine in audited(&plan, true, true) {
            let untold = Machine { hints: Hints::default(), ..machine.clone() };
            for machine in [machine, untold] {
                let mut found = ids(std::slice::from_ref(&machine));
                found.retain(|id| !rules::lessons::is_explained_by(id, &plan.expect.findings));
                if !found.is_subset(&allowed) {
                    blamed.push(format!("{}: {} {found:?}", plan.scenario, machine.facts.node));
                }
            }
        }
    }
    assert!(blamed.is_empty(), "{blamed:#?}");
}

#[test]
fn a_real_servers_own_mistake_is_found_on_it_alone() {
    let plans = plans();
    for scenario in SEEN_ON_THE_SERVER_ALONE {
        let plan = plans.iter().find(|p| p.scenario == *scenario).unwrap_or_else(|| panic!("{scenario} ships"));
        let servers = audited(plan, true, true).into_iter().filter(|m| m.role == Role::RealServer);
        let found: BTreeSet<String> = servers.flat_map(|m| ids(&[m])).collect();
        assert_eq!(found, plan.expect.findings.iter().cloned().collect(), "{scenario}");
    }
}

#[test]
fn machines_together_tell_what_the_lab_finds_where_nothing_changes_and_never_anything_else() {
    let mut differences = Vec::new();
    for plan in plans() {
        let by_configuration = |id: &&String| rules::find(id).is_some_and(|r| r.seen().why().is_none());
        let expected: BTreeSet<String> = plan.expect.findings.iter().filter(by_configuration).cloned().collect();
        let (before, after) = facts::facts(&plan);
        // Clients and the switch are not audited, and what was before is over.
        let whole = before == after && before.iter().all(|f| f.ports.is_empty());
        let whole = whole && !NOT_TOGETHER.iter().any(|(scenario, _)| *scenario == plan.scenario);
        let (mut told, mut untold) = (ids(&audited(&plan, true, false)), ids(&audited(&plan, false, false)));
        for found in [&mut told, &mut untold] {
            found.retain(|id| !rules::lessons::is_explained_by(id, &plan.expect.findings));
        }
        let once = ["broken/arp/rs-sysctl-reverted", "broken/arp/host-sysctl-not-in-container"];
        let allowed = if once.contains(&plan.scenario.as_str()) {
            allowed(&plan)
        } else {
            plan.expect.findings.iter().cloned().collect()
        };
        if !told.is_subset(&allowed) || !untold.is_subset(&allowed) || (whole && told != expected) {
            differences.push(format!("{}: {expected:?}, told {told:?}, untold {untold:?}", plan.scenario));
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn an_address_that_was_made_up_is_in_no_mend() {
    let plan = plans().into_iter().find(|p| p.scenario == "broken/routing/rs-gw-missing").expect("it ships");
    let mut rs2 = audited(&plan, true, true).into_iter().find(|m| m.facts.node == *"rs2").expect("it has rs2");
    rs2.hints.director = None;
    let judged = machines::judge(&[rs2]).expect("one machine can be judged");
    let mends: Vec<&str> = judged.findings.iter().flat_map(|f| &f.mend).map(|m| m.command.as_str()).collect();
    assert!(mends.iter().any(|m| m.contains("default via ROUTER")), "{mends:?}");
}

#[test]
fn machines_that_do_not_belong_together_are_refused() {
    let plan = plans().into_iter().find(|p| p.scenario == "basic/lvs-dr").expect("it ships");
    let all = audited(&plan, true, false);
    let told = |machines: &[Machine]| machines::judge(machines).expect_err("it is refused").to_string();
    assert_eq!(told(&[]), "there is no machine to judge");
    assert_eq!(told(&[all[0].clone(), all[0].clone()]), "two machines are called router");
    let mut other = all[1].clone();
    other.vips = vec!["172.16.0.67".parse().expect("an address")];
    assert!(told(&[all[0].clone(), other]).contains("172.16.0.66 is not a VIP of director"));
    let mut bare = all[1].clone();
    bare.facts.addresses.clear();
    assert!(told(&[bare]).contains("no machine has an interface"));
}
