//! Every scenario that ships becomes a plan.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't read its input has failed")]

use std::path::{Path, PathBuf};

use drlab::judge::{checks, rules};
use drlab::plan::{Interface, LinkKind, Node, Plan, case, compile, describe};
use drlab::scenario::{self, Scenario};

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "toml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn scenario_of(path: &Path) -> Scenario {
    let text = std::fs::read_to_string(path).expect("the file can be read");
    let checks: Vec<&str> = checks::ALL.iter().map(|c| c.id).collect();
    let findings: Vec<&str> = rules::ALL.iter().map(|r| r.id).collect();
    let scenario = scenario::load(&path.to_string_lossy(), &text, &checks, &findings);
    scenario.unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

fn plan_of(path: &Path) -> Plan {
    let name = path.strip_prefix(root()).expect("it is below the folder").with_extension("");
    compile(&name.to_string_lossy(), &scenario_of(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn every_shipped_scenario_becomes_a_plan() {
    let all = files(&root());
    assert!(!all.is_empty());
    for path in all {
        let plan = plan_of(&path);
        assert!(case(&plan).stations.len() == plan.nodes.len(), "{}", path.display());
    }
}

#[test]
fn the_plan_and_the_judge_know_the_same_checks() {
    let judged: Vec<&str> = checks::ALL.iter().map(|c| c.id).collect();
    assert_eq!(judged, drlab::plan::expect::CHECKS);
}

#[test]
fn every_rule_has_a_lab_that_must_fail_for_it() {
    let labs = files(&root().join("broken"));
    let shown = |id: &str| labs.iter().any(|p| p.file_stem().is_some_and(|name| name == id));
    let missing: Vec<&str> = rules::ALL.iter().map(|r| r.id).filter(|id| !shown(id)).collect();
    assert!(missing.is_empty(), "no scenario under broken/ is named {missing:?}");
}

#[test]
fn every_shipped_scenario_says_first_what_it_shows() {
    for path in files(&root()) {
        let text = std::fs::read_to_string(&path).expect("the file can be read");
        assert!(text.starts_with("# "), "{} has no comment at its head", path.display());
    }
}

#[test]
fn a_plan_survives_the_channel() {
    for path in files(&root()) {
        let plan = plan_of(&path);
        let text = serde_json::to_string(&plan).expect("a plan can be written");
        let back: Plan = serde_json::from_str(&text).expect("and read");
        assert_eq!(plan, back, "{}", path.display());
    }
}

#[test]
fn no_two_things_in_a_plan_have_one_name_or_address() {
    for path in files(&root()) {
        let plan = plan_of(&path);
        let interfaces = || plan.nodes.iter().flat_map(|n| &n.interfaces);
        let scenario = scenario_of(&path);
        let all = plan.nodes.iter().flat_map(|n| n.interfaces.iter().map(move |i| (n, i)));
        let (shared, own): (Vec<_>, Vec<_>) = all.partition(|(n, i)| shares_its_mac(&scenario, n, i));
        // VRRP's MAC goes from node to node: one has it up at a time.
        let has_it = |i: &Interface| i.mac.filter(|mac| i.up || !mac.is_vrrp());
        let macs: Vec<_> = own.iter().filter_map(|(_, i)| has_it(i)).collect();
        let taken = |i: &Interface| i.mac.is_some_and(|mac| macs.contains(&mac));
        assert!(shared.iter().all(|(_, i)| taken(i)), "{}", path.display());
        let addresses: Vec<_> = interfaces().flat_map(|i| &i.addresses).map(|a| a.address.addr()).collect();
        let held: Vec<_> = addresses.into_iter().filter(|a| !plan.vips.contains(a)).collect();
        let ports = plan.segments.iter().flat_map(|s| s.ports.iter().map(|p| &p.name));
        let links: Vec<_> = plan.segments.iter().map(|s| &s.bridge).chain(ports).collect();
        assert!(all_differ(&macs) && all_differ(&held) && all_differ(&links), "{}", path.display());
    }
}

/// Whether an interface is to have the MAC of another: a clone, or an ipvlan with that of the interface below.
fn shares_its_mac(scenario: &Scenario, node: &Node, interface: &Interface) -> bool {
    let said = scenario.nodes.get(&node.name).and_then(|n| n.interfaces.get(&interface.name));
    let ipvlan = matches!(&interface.kind, LinkKind::Upper(upper) if !upper.macvlan);
    ipvlan || said.is_some_and(|i| i.mac_of.is_some())
}

fn all_differ<T: Ord>(all: &[T]) -> bool {
    all.iter().collect::<std::collections::BTreeSet<_>>().len() == all.len()
}

/// Labs that come to root causes, which have labs of their own, by another way: by a real daemon.
const VARIANTS: [(&str, &[&str]); 5] = [
    ("keepalived-killed", &["ha-split-brain"]),
    ("keepalived-removed", &["ipvs-nodest-drop"]),
    ("keepalived-no-sync", &["ha-failover-no-sync"]),
    ("keepalived-split-brain", &["ha-split-brain"]),
    ("keepalived-vmac", &["ha-vmac"]),
];

#[test]
fn a_lab_that_must_fail_says_how() {
    for path in files(&root().join("broken")) {
        let plan = plan_of(&path);
        let held = |v: &drlab::base::Verdict| *v == drlab::base::Verdict::Held;
        assert!(!plan.expect.checks.values().all(held), "{} expects no broken check", path.display());
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let variant = VARIANTS.iter().find(|(file, _)| *file == name).map(|(_, findings)| findings.to_vec());
        let findings = variant.unwrap_or_else(|| vec![name.as_str()]);
        assert_eq!(plan.expect.findings, findings, "{} is named for its finding", path.display());
    }
}

#[test]
fn the_plan_of_the_textbook_case() {
    insta::assert_snapshot!(describe(&plan_of(&root().join("basic/lvs-dr.toml"))));
}
