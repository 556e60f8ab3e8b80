//! Four tests for each rule: broken (its mistake is named, and nothing else), held (the same facts where nothing failed
//! name nothing), undecided (the same mistake, but what tells of it was not read), and a near miss that is right.
//!
//! The tables are below `quartets/`, by what packets meet; a test counts their entries and says which rules have none.

mod arp;
mod segment;
mod service;
mod ways;

use std::net::{IpAddr, SocketAddr};

use super::faults::{failed, set, without_default};
use super::ids;
use crate::base::{Protocol, ServiceId, Verdict};
use crate::facts::{IpvsFacts, NodeFacts, SocketFact};
use crate::judge::rules::{ALL, findings};
use crate::judge::testlab::{Lab, carried, route};
use crate::judge::{CheckResult, checks};

/// What makes the four tests of a rule.
pub(super) struct Four {
    pub(super) rule: &'static str,
    /// The run that is then changed.
    pub(super) run: fn() -> Lab,
    pub(super) broken: fn(&mut Lab),
    /// What takes away from the broken lab the evidence that the rule goes by.
    unread: fn(&mut Lab),
    near: fn(&mut Lab),
}

fn edit(lab: &mut Lab, node: &str, edit: impl Fn(&mut NodeFacts)) {
    lab.edit_facts(node, edit);
}

/// Nothing was read of a node.
pub(super) fn without(lab: &mut Lab, node: &str) {
    lab.before.retain(|f| f.node != node);
    lab.after.retain(|f| f.node != node);
}

fn without_rs1(lab: &mut Lab) {
    without(lab, "rs1");
}

fn without_director(lab: &mut Lab) {
    without(lab, "director");
}

fn without_router(lab: &mut Lab) {
    without(lab, "router");
}

/// The sysctls of rs1 were not read.
fn no_sysctls(lab: &mut Lab) {
    edit(lab, "rs1", |f| f.sysctls.clear());
}

fn sysctls(lab: &mut Lab, node: &str, values: &[(&str, u32)]) {
    edit(lab, node, |f| {
        for (key, value) in values {
            set(f, &[(*key, *value)]);
        }
    });
}

/// The cure on the interface, whatever conf/all says.
fn services(lab: &mut Lab, change: impl Fn(&mut IpvsFacts)) {
    edit(lab, "director", |f| f.ipvs.iter_mut().for_each(&change));
}

fn no_table(lab: &mut Lab) {
    edit(lab, "director", |f| f.ipvs = None);
}

fn filters(lab: &mut Lab, node: &str, lines: &[&str]) {
    let lines: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
    edit(lab, node, |f| f.iptables = Some(lines.clone()));
}

fn iptables(lab: &mut Lab, node: &str, rule: &str) {
    filters(lab, node, &[rule]);
}

fn gateway(lab: &mut Lab, node: &str, via: &str) {
    edit(lab, node, |f| {
        without_default(f);
        f.routes.push(route("0.0.0.0/0", Some(via), "eth0"));
    });
}

/// Another interface by which the clients are reached.
/// A datagram service, and one exchange with it.
/// IPv6 beside IPv4: a VIP, a service, addresses and routes of both on every node.
fn dual() -> Lab {
    let vip: IpAddr = "2001:db8:16::66".parse().unwrap();
    let mut lab = failed();
    lab.case.vips.push(vip);
    let mut service = lab.case.services[0].clone();
    service.id = ServiceId::Address { protocol: Protocol::Tcp, at: SocketAddr::new(vip, 80) };
    let at = |node: &str| format!("2001:db8:16::{}", if node == "rs1" { 5 } else { 6 });
    for (destination, node) in service.destinations.iter_mut().zip(["rs1", "rs2"]) {
        destination.at = SocketAddr::new(at(node).parse().unwrap(), 80);
    }
    lab.case.services.push(service);
    let lan = [
        ("router", "2001:db8:16::2"),
        ("director", "2001:db8:16::4"),
        ("rs1", "2001:db8:16::5"),
        ("rs2", "2001:db8:16::6"),
    ];
    for (node, address) in lan {
        let address = format!("{address}/64");
        let station = lab.case.stations.iter_mut().find(|s| s.node == node).unwrap();
        station.ports.iter_mut().find(|p| p.segment == "lan").unwrap().addresses.push(address.parse().unwrap());
        edit(&mut lab, node, |f| {
            f.addresses.push(carried("eth0", &address, None));
            f.routes.push(route("2001:db8:16::/64", None, "eth0"));
            match node {
                "router" => {}
                _ => f.routes.push(route("::/0", Some("2001:db8:16::2"), "eth0")),
            }
            match node {
                "router" => {}
                "director" => f.addresses.push(carried("eth0", "2001:db8:16::66/128", None)),
                _ => f.addresses.push(carried("lo", "2001:db8:16::66/128", None)),
            }
            if let Some(sockets) = &mut f.sockets {
                sockets.push(SocketFact { protocol: Protocol::Tcp, at: "[::]:80".parse().unwrap() });
            }
        });
    }
    for (node, address, interface) in
        [("client", "2001:db8:203::2/64", "eth0"), ("router", "2001:db8:203::1/64", "eth1")]
    {
        let station = lab.case.stations.iter_mut().find(|s| s.node == node).unwrap();
        station.ports.iter_mut().find(|p| p.segment == "front").unwrap().addresses.push(address.parse().unwrap());
        edit(&mut lab, node, |f| {
            f.addresses.push(carried(interface, address, None));
            f.routes.push(route("2001:db8:203::/64", None, interface));
            if node == "client" {
                f.routes.push(route("::/0", Some("2001:db8:203::1"), "eth0"));
            }
        });
    }
    services(&mut lab, |i| {
        let mut service = i.services[0].clone();
        service.service = ServiceId::Address { protocol: Protocol::Tcp, at: SocketAddr::new(vip, 80) };
        for destination in &mut service.destinations {
            let node = if destination.at.ip() == IpAddr::from([172, 16, 252, 137]) { "rs1" } else { "rs2" };
            destination.at = SocketAddr::new(at(node).parse().unwrap(), 80);
        }
        i.services.push(service);
    });
    lab
}

/// The IPv6 VIP of a node is on that interface, with that flag.
fn vip6_on(lab: &mut Lab, node: &str, interface: &str, flag: &'static str) {
    edit(lab, node, |f| {
        let vip = f.addresses.iter_mut().find(|a| a.address.to_string() == "2001:db8:16::66/128").unwrap();
        vip.interface = interface.parse().unwrap();
        vip.flags = vec![flag.into()];
    });
}

/// The four of every rule that has a cause to name.
pub(super) fn fours() -> Vec<&'static Four> {
    [arp::FOURS, segment::FOURS, ways::FOURS, service::FOURS].into_iter().flatten().collect()
}

/// Places, which no fact tells: their four are in `places`.
const PLACES: [&str; 2] = ["unexplained-drop", "unexplained-refusal"];

#[test]
fn every_rule_has_its_four() {
    let four: Vec<&str> = fours().iter().map(|f| f.rule).chain(PLACES).collect();
    let rules: Vec<&str> = ALL.iter().map(|r| r.id).collect();
    let lacking: Vec<&&str> = rules.iter().filter(|r| !four.contains(r)).collect();
    assert!(lacking.is_empty(), "no four tests of {lacking:?}");
    assert!(four.iter().all(|f| rules.contains(f)), "four tests of what is no rule");
}

/// What is found besides what ought to be, by rule.
fn wrong(
    named: impl Fn(&Four) -> Vec<String>,
    right: impl Fn(&Four) -> Vec<&'static str>,
) -> Vec<(&'static str, Vec<String>)> {
    let found = fours().into_iter().map(|four| (four, named(four)));
    found.filter(|(four, ids)| *ids != right(four)).map(|(four, ids)| (four.rule, ids)).collect()
}

fn changed(four: &Four, changes: &[fn(&mut Lab)]) -> Lab {
    let mut lab = (four.run)();
    for change in changes {
        change(&mut lab);
    }
    lab
}

#[test]
fn broken_names_the_rule_and_nothing_else() {
    assert_eq!(wrong(|four| ids(&changed(four, &[four.broken])), |four| vec![four.rule]), []);
}

#[test]
fn held_names_nothing_whatever_facts_say() {
    let named = |four: &Four| {
        let found = changed(four, &[four.broken]).judged(|input| {
            let held = |c: &checks::Check| CheckResult { verdict: Verdict::Held, ..(c.run)(input) };
            findings(input, &checks::ALL.iter().map(held).collect::<Vec<_>>())
        });
        found.into_iter().map(|f| f.id).collect()
    };
    assert_eq!(wrong(named, |_| Vec::new()), []);
}

#[test]
fn undecided_names_nothing_where_the_evidence_was_not_read() {
    assert_eq!(wrong(|four| ids(&changed(four, &[four.broken, four.unread])), |_| Vec::new()), []);
}

#[test]
fn a_near_miss_is_right() {
    assert_eq!(wrong(|four| ids(&changed(four, &[four.near])), |_| Vec::new()), []);
}
