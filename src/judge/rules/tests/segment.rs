//! What the switch does not pass on, and who else of the segment speaks: each is named, and what comes near it is not.

use std::net::{IpAddr, Ipv4Addr};

use super::faults::{OFF, failed, second, set, vip_on, with};
use super::ids;
use crate::base::{IfName, Mac, NodeName};
use crate::facts::{LooksAt, NodeFacts, PortFact, PortFilter};
use crate::judge::Finding;
use crate::judge::testlab::{Lab, VIP, arp, carried, name};
use crate::trace::Direction;

pub(super) const DIP: Ipv4Addr = Ipv4Addr::new(172, 16, 251, 73);
pub(super) const RIP: Ipv4Addr = Ipv4Addr::new(172, 16, 252, 137);

/// The switch's port of a node, as yet doing nothing.
fn port(node: &str) -> PortFact {
    PortFact {
        name: format!("{node}.eth0").parse().unwrap(),
        node: name(node),
        interface: "eth0".parse().unwrap(),
        isolated: false,
        vlan: None,
        locked: None,
        filters: Vec::new(),
    }
}

pub(super) fn guarded(node: &str, looks_at: &[LooksAt], passes: &[Ipv4Addr]) -> PortFact {
    let filters = looks_at.iter().map(|l| PortFilter { looks_at: *l, passes: passes.to_vec() }).collect();
    PortFact { filters, ..port(node) }
}

pub(super) fn in_vlan(node: &str, vlan: u16) -> PortFact {
    PortFact { vlan: Some(vlan), ..port(node) }
}

pub(super) fn isolated(node: &str) -> PortFact {
    PortFact { isolated: true, ..port(node) }
}

pub(super) fn locked(node: &str, macs: &[Mac]) -> PortFact {
    PortFact { locked: Some(macs.to_vec()), ..port(node) }
}

fn behind(ports: &[PortFact]) -> Lab {
    let mut lab = failed();
    switched(&mut lab, ports);
    lab
}

/// The switch was read, and its ports do that.
pub(super) fn switched(lab: &mut Lab, ports: &[PortFact]) {
    let mut facts = NodeFacts::unread(NodeName::switch());
    facts.ports = ports.to_vec();
    lab.before.push(facts.clone());
    lab.after.push(facts);
}

fn found(ports: &[PortFact]) -> Vec<String> {
    ids(&behind(ports))
}

pub(super) const SOURCE: &[LooksAt] = &[LooksAt::SourceIp];
pub(super) const BOTH: &[LooksAt] = &[LooksAt::SourceIp, LooksAt::DestinationIp];
pub(super) const ARP: &[LooksAt] = &[LooksAt::ArpSender];

#[test]
fn a_port_that_knows_the_rip_only_drops_replies_from_the_vip() {
    assert_eq!(found(&[guarded("rs1", SOURCE, &[RIP])]), ["virt-port-security"]);
    assert_eq!(found(&[guarded("rs1", SOURCE, &[RIP, VIP])]), [""; 0]);
    // What the Director hands on has the client's address, and is not its own.
    assert_eq!(found(&[guarded("rs1", ARP, &[RIP])]), [""; 0]);
}

#[test]
fn a_port_that_checks_both_ways_is_the_providers() {
    assert_eq!(found(&[guarded("rs1", BOTH, &[RIP])]), ["cloud-src-dst-check"]);
    assert_eq!(found(&[guarded("rs1", BOTH, &[RIP, VIP])]), [""; 0]);
    assert_eq!(found(&[guarded("rs1", &[LooksAt::DestinationIp], &[RIP])]), ["virt-port-security"]);
}

#[test]
fn a_guard_of_arp_at_the_directors_port_hides_the_vip() {
    assert_eq!(found(&[guarded("director", ARP, &[DIP])]), ["virt-arp-guard"]);
    assert_eq!(found(&[guarded("director", ARP, &[DIP, VIP])]), [""; 0]);
}

#[test]
fn ports_are_isolated_from_each_other_only_where_both_are() {
    assert_eq!(found(&[isolated("director"), isolated("rs1")]), ["virt-pvlan"]);
    assert_eq!(found(&[isolated("rs1"), isolated("rs2")]), [""; 0]);
    assert_eq!(found(&[isolated("director")]), [""; 0]);
}

#[test]
fn a_port_in_another_vlan_is_told_by_what_most_are_in() {
    let all = |rs2: u16| [in_vlan("director", 10), in_vlan("router", 10), in_vlan("rs1", 10), in_vlan("rs2", rs2)];
    let findings = behind(&all(20)).findings();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0].id, "switch-wrong-vlan");
    assert_eq!(findings[0].interface, Some("rs2.eth0".parse::<IfName>().unwrap()));
    let command = "bridge vlan del dev rs2.eth0 vid 20 && bridge vlan add dev rs2.eth0 vid 10 pvid untagged";
    assert_eq!(findings[0].mend[0].command, command);
    assert_eq!(found(&all(10)), [""; 0]);
}

#[test]
fn a_locked_port_takes_its_own_mac_and_a_pinned_mac_does_not_move() {
    let own = Lab::textbook().port("director", "lan").mac;
    assert_eq!(found(&[locked("director", &[own])]), [""; 0]);
    assert_eq!(found(&[locked("director", &[])]), ["virt-vmac-filter"]);
    let rs2 = Lab::textbook().port("rs2", "lan").mac;
    assert_eq!(found(&[locked("director", &[]), locked("rs2", &[rs2, own])]), ["switch-mac-moved"]);
}

#[test]
fn a_switch_that_was_not_read_drops_nothing() {
    assert_eq!(found(&[]), [""; 0]);
}

#[test]
fn a_frame_that_left_and_never_came_is_shown() {
    let frame =
        |finding: &Finding| finding.evidence.iter().any(|e| e.frame.is_some() && e.what.contains("never gets to"));
    let asking = || {
        let mut lab = behind(&[guarded("director", ARP, &[DIP])]);
        let (asker, mac) = (lab.port("router", "lan"), lab.port("director", "lan").mac);
        let mut data = arp(2, mac, VIP.into(), asker.mac, asker.addresses[0].addr());
        data[0..6].copy_from_slice(&asker.mac.0);
        data[6..12].copy_from_slice(&mac.0);
        lab.frames.retain(|f| f.data[12..14] == [8, 0]);
        lab.record("director", "lan", Direction::Out, &data);
        lab
    };
    assert!(frame(&asking().findings()[0]));
    // A capture that lost frames shows nothing by their absence.
    let mut lossy = asking();
    lossy.lose("router");
    assert!(!frame(&lossy.findings()[0]));
}

/// A second interface of rs1 on the same segment; the first one has the cure.
pub(super) fn beside(lab: &mut Lab, values: &[(&str, u32)]) {
    let mut beside = lab.port("rs1", "lan");
    beside.interface = "eth1".parse().unwrap();
    beside.mac = Mac([2, 0xd1, 0, 0, 1, 5]);
    beside.addresses = vec!["172.16.252.138/16".parse().unwrap()];
    lab.case.stations.iter_mut().find(|s| s.node == "rs1").unwrap().ports.push(beside);
    lab.edit_facts("rs1", |f| {
        second(f, "eth1", "172.16.252.138/16", false);
        f.links.last_mut().unwrap().mac = Some(Mac([2, 0xd1, 0, 0, 1, 5]));
        set(f, &OFF);
        set(f, &[("eth0.arp_ignore", 1), ("eth0.arp_announce", 2)]);
        set(f, values);
    });
}

#[test]
fn a_second_interface_without_the_cure_is_flux() {
    let two = |values: &[(&str, u32)]| {
        let mut lab = failed();
        beside(&mut lab, values);
        ids(&lab)
    };
    assert_eq!(two(&[]), ["arp-flux"]);
    assert_eq!(two(&[("eth1.arp_ignore", 1), ("eth1.arp_announce", 2)]), [""; 0]);
    // With no cure at all it is the plain problem.
    assert_eq!(two(&[("eth0.arp_ignore", 0), ("eth0.arp_announce", 0)]), ["rs-arp-default"]);
}

/// A host that is no part of the service, with the VIP on a device of its own or without it.
pub(super) fn stranger(lab: &mut Lab, vip_on: Option<&str>) {
    let mut station = lab.case.station(&name("rs2")).unwrap().clone();
    let mut facts = lab.before.iter().find(|f| f.node == "rs2").unwrap().clone();
    station.node = name("printer");
    station.role = crate::base::Role::Client;
    station.ports[0].mac = Mac([2, 0, 0, 0, 9, 9]);
    station.ports[0].addresses = vec!["172.16.9.9/16".parse().unwrap()];
    facts.node = name("printer");
    facts.links[0].mac = Some(Mac([2, 0, 0, 0, 9, 9]));
    facts.addresses.retain(|a| a.interface == "lo" && a.address.addr() != VIP);
    facts.addresses.push(carried("eth0", "172.16.9.9/16", None));
    facts.addresses.extend(vip_on.map(|device| carried(device, &format!("{VIP}/32"), None)));
    lab.case.stations.push(station);
    lab.before.push(facts.clone());
    lab.after.push(facts);
}

#[test]
fn a_strangers_vip_is_no_real_servers() {
    let with = |vip_on: Option<&str>| {
        let mut lab = failed();
        stranger(&mut lab, vip_on);
        ids(&lab)
    };
    assert_eq!(with(Some("eth0")), ["vip-twice"]);
    assert_eq!(with(None), [""; 0]);
    // On lo with the cure nobody hears of it.
    assert_eq!(with(Some("lo")), [""; 0]);
}

#[test]
fn arp_notify_is_told_from_a_program_that_announces() {
    let announced = |edit: fn(&mut NodeFacts)| {
        let mut lab = failed();
        let mac = lab.port("rs1", "lan").mac;
        lab.broadcast("rs1", "lan", arp(1, mac, VIP.into(), Mac([0; 6]), VIP.into()));
        lab.edit_facts("rs1", edit);
        ids(&lab)
    };
    assert_eq!(announced(|f| set(f, &[("eth0.arp_notify", 1)])), ["rs-garp-on-boot"]);
    let on_nic = announced(|f| {
        set(f, &[("eth0.arp_notify", 1), ("all.arp_ignore", 8)]);
        vip_on(f, "eth0");
    });
    assert!(on_nic.contains(&"rs-arp-notify".to_owned()), "{on_nic:?}");
}

#[test]
fn a_container_has_its_own_sysctls() {
    let on_host = |host: Option<&'static str>| {
        let mut lab = failed();
        lab.case.stations.iter_mut().find(|s| s.node == "rs1").unwrap().runs_on = host.map(name);
        lab.edit_facts("rs1", |f| set(f, &OFF));
        ids(&lab)
    };
    assert_eq!(on_host(Some("rs2")), ["host-sysctl-not-in-container"]);
    assert_eq!(on_host(Some("router")), ["rs-arp-default"]);
    assert_eq!(on_host(None), ["rs-arp-default"]);
}

/// The address that clients have for their gateway is on another device, and `eth1` has none.
pub(super) fn unnumbered(lab: &mut Lab, values: &[(&str, u32)]) {
    lab.edit_facts("router", |f| {
        second(f, "dummy0", "203.0.113.1/32", true);
        f.addresses.retain(|a| a.interface != "eth1");
        set(f, values);
    });
}

#[test]
fn a_gateway_address_elsewhere_on_the_host_is_silenced_by_arp_ignore_on_all() {
    let with_values = |values: &[(&str, u32)]| {
        let mut lab = failed();
        unnumbered(&mut lab, values);
        ids(&lab)
    };
    assert_eq!(with_values(&[("all.arp_ignore", 1)]), ["strict-arp-breaks-unnumbered"]);
    assert_eq!(with_values(&[("eth0.arp_ignore", 1)]), [""; 0]);
    // A VIP is not a gateway: that is the Director's own mistake.
    let on_lo = with("director", |f| {
        vip_on(f, "lo");
        f.addresses.retain(|a| a.interface == "lo" || a.address.addr() != IpAddr::V4(VIP));
        set(f, &[("all.arp_ignore", 1)]);
    });
    assert_eq!(on_lo, ["dir-arp-suppressed"]);
}

#[test]
fn an_ipvlan_hears_only_what_has_its_address() {
    let ipvlan = |f: &mut NodeFacts| f.links[0].kind = Some("ipvlan".into());
    assert_eq!(with("rs1", ipvlan), ["virt-ipvlan"]);
    assert_eq!(with("rs1", |f| f.links[0].kind = Some("macvlan".into())), [""; 0]);
}
