//! Several Directors: who has the VIP, who was told, who knows the connections; each mistake is named, and what comes near
//! it is not.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::faults::{failed, second, set, with};
use super::ids;
use crate::base::Mac;
use crate::facts::NodeFacts;
use crate::judge::testlab::{CLIENT, Exchange, Lab, SERVICE, There, VIP, arp, carried, name, tcp};

const RST: u8 = 4;
pub(super) const OTHER: Mac = Mac([2, 0xd1, 0, 0, 0, 9]);

/// A second Director, with the same table and, as yet, without the VIP.
pub(super) fn join(lab: &mut Lab) {
    let mut station = lab.case.station(&name("director")).unwrap().clone();
    station.node = name("lb2");
    station.ports[0].mac = OTHER;
    station.ports[0].addresses = vec!["172.16.251.74/16".parse().unwrap()];
    lab.vantages.push(crate::trace::Vantage { node: name("lb2"), interface: "eth0".parse().unwrap() });
    lab.case.stations.push(station);
    for all in [&mut lab.before, &mut lab.after] {
        let mut facts = all.iter().find(|f| f.node == "director").unwrap().clone();
        facts.node = name("lb2");
        facts.links[0].mac = Some(OTHER);
        facts.addresses.retain(|a| a.address.addr() != VIP && a.interface != "eth0");
        facts.addresses.push(carried("eth0", "172.16.251.74/16", None));
        all.push(facts);
    }
}

pub(super) fn vip(device: &str) -> impl Fn(&mut NodeFacts) {
    let address = carried(device, &format!("{VIP}/32"), None);
    move |f| f.addresses.push(address.clone())
}

#[test]
fn two_directors_that_answer_are_a_split_brain() {
    let both = |edit: &dyn Fn(&mut NodeFacts)| {
        let mut lab = failed();
        join(&mut lab);
        lab.edit_facts("lb2", edit);
        ids(&lab)
    };
    assert_eq!(both(&vip("eth0")), ["ha-split-brain"]);
    assert_eq!(both(&|_| {}), [""; 0]);
    let standing_by = both(&|f| {
        vip("lo")(f);
        set(f, &[("all.arp_ignore", 1)]);
    });
    assert_eq!(standing_by, [""; 0]);
    let unread = both(&|f| {
        vip("eth0")(f);
        f.sysctls.clear();
    });
    assert_eq!(unread, [""; 0]);
}

/// The VIP goes from the Director to lb2, and a request still goes to the Director.
pub(super) fn moved() -> Lab {
    let mut lab = Lab::ran(2);
    join(&mut lab);
    lab.exchange(&Exchange::with("rs1").there(There::Swallowed));
    lab.case.changes = true;
    let after = |lab: &mut Lab, node: &str, edit: &dyn Fn(&mut NodeFacts)| {
        lab.after.iter_mut().filter(|f| f.node == node).for_each(edit);
    };
    after(&mut lab, "director", &|f| f.addresses.retain(|a| a.address.addr() != VIP));
    after(&mut lab, "lb2", &vip("eth0"));
    lab
}

/// lb2 announces the VIP.
pub(super) fn tell(lab: &mut Lab) {
    lab.broadcast("lb2", "lan", arp(1, OTHER, VIP.into(), Mac([0; 6]), VIP.into()));
}

/// lb2 resets a connection of the client's.
pub(super) fn reset(lab: &mut Lab, port: u16) {
    let client = SocketAddr::new(IpAddr::V4(CLIENT), port);
    lab.unicast("lb2", "router", "lan", tcp(SERVICE, client, 900, 77, RST, b""));
}

#[test]
fn a_takeover_that_nobody_was_told_of_is_named() {
    assert_eq!(ids(&moved()), ["ha-no-garp"]);
    let mut told = moved();
    tell(&mut told);
    assert_eq!(ids(&told), [""; 0]);
    for node in ["director", "lb2"] {
        let mut lossy = moved();
        lossy.lose(node);
        assert_eq!(ids(&lossy), [""; 0], "{node}");
    }
    // Without facts from both ends nothing is known to have moved.
    let mut later = moved();
    later.after = later.before.clone();
    assert_eq!(ids(&later), [""; 0]);
}

#[test]
fn a_router_whose_arp_filter_drops_the_announcement_is_named_with_the_rule() {
    let told = |rule: &str| {
        let mut lab = moved();
        lab.edit_facts("router", |f| f.arptables = Some(vec![rule.to_owned()]));
        tell(&mut lab);
        lab.exchange(&Exchange::with("rs1").there(There::Swallowed));
        lab.findings()
    };
    let findings = told("-A INPUT -s 172.16.0.66 -d 172.16.0.66 -j DROP");
    assert_eq!((findings.len(), findings[0].id.as_str()), (1, "ha-garp-ignored"), "{findings:#?}");
    assert!(findings[0].mend[0].command.starts_with("arptables -D INPUT -s 172.16.0.66 "), "{findings:#?}");
    let other = told("-A INPUT -s 172.16.0.67 -d 172.16.0.67 -j DROP");
    assert!(other.iter().all(|f| f.id != "ha-garp-ignored"), "{other:#?}");
}

#[test]
fn a_dead_directors_share_is_seen_where_it_was_sent() {
    let mut lab = moved();
    let at = lab.vantages.iter().position(|v| v.node == "director").unwrap();
    lab.frames.retain(|f| f.vantage != at || f.data[12..14] != [8, 0]);
    assert_eq!(ids(&lab), ["ha-no-garp"]);
}

#[test]
fn a_reset_by_the_new_director_of_an_old_connection_is_named() {
    let mut lab = moved();
    tell(&mut lab);
    // Nobody had opened that one before.
    reset(&mut lab, 50_000);
    assert_eq!(ids(&lab), [""; 0]);
    reset(&mut lab, 40_001);
    assert_eq!(ids(&lab), ["ha-failover-no-sync"]);
}

#[test]
fn a_real_server_with_the_same_table_balances_again() {
    let table = failed().before.iter().find(|f| f.node == "director").unwrap().ipvs.clone();
    let (own, other) = (table.clone(), table);
    assert_eq!(with("rs1", move |f| f.ipvs.clone_from(&other)), ["ha-peer-loop"]);
    let alone = move |f: &mut NodeFacts| {
        f.ipvs.clone_from(&own);
        let service = &mut f.ipvs.as_mut().unwrap().services[0];
        service.destinations.retain(|d| d.at.ip() == IpAddr::V4(Ipv4Addr::new(172, 16, 252, 137)));
    };
    assert_eq!(with("rs1", alone), [""; 0]);
    assert_eq!(with("rs1", |f| f.ipvs = None), [""; 0]);
}

#[test]
fn a_redirect_is_a_mistake_on_the_director_and_for_the_vip_only() {
    let rule = |rule: &'static str| with("director", move |f| f.iptables = Some(vec![rule.to_owned()]));
    let found = rule("-t nat -A PREROUTING -d 172.16.0.66/32 -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 80");
    assert_eq!(found, ["ha-backup-redirect-left"]);
    let listed = rule("-t nat -A PREROUTING -d 172.16.0.66/32 -p tcp -m multiport --dports 443,80 -j REDIRECT");
    assert_eq!(listed, ["ha-backup-redirect-left"]);
    assert_eq!(
        rule("-t nat -A PREROUTING -d 172.16.0.66/32 -p tcp -m multiport --dports 443,8080 -j REDIRECT"),
        [""; 0]
    );
    assert_eq!(rule("-t nat -A PREROUTING -d 172.16.0.67/32 -p tcp -m tcp --dport 80 -j REDIRECT"), [""; 0]);
    assert_eq!(rule("-t nat -A OUTPUT -d 172.16.0.66/32 -p tcp -m tcp --dport 80 -j REDIRECT"), [""; 0]);
    assert_eq!(with("director", |f| f.iptables = None), [""; 0]);
}

/// The Director has no VIP; rs1 may have no cure, and may have answered the Director's question whether the VIP is free.
pub(super) fn refused(lab: &mut Lab, answers: bool, cured: bool) {
    lab.edit_facts("director", |f| f.addresses.retain(|a| a.address.addr() != VIP));
    if !cured {
        lab.edit_facts("rs1", |f| set(f, &super::faults::OFF));
    }
    if answers {
        objects(lab);
    }
}

/// rs1 says to the Director, which asks without an address of its own, that it has the VIP.
pub(super) fn objects(lab: &mut Lab) {
    let (rs1, director) = (lab.port("rs1", "lan").mac, lab.port("director", "lan").mac);
    let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    lab.unicast("rs1", "director", "lan", arp(2, rs1, VIP.into(), director, nobody));
}

#[test]
fn a_director_that_is_refused_the_vip_names_those_who_answered() {
    let probed = |answers: bool, cured: bool| {
        let mut lab = failed();
        refused(&mut lab, answers, cured);
        ids(&lab)
    };
    assert_eq!(probed(true, false), ["dir-dad-conflict"]);
    assert_eq!(probed(false, true), ["dir-vip-missing"]);
    let without = probed(false, false);
    assert!(!without.contains(&"dir-dad-conflict".to_owned()), "{without:?}");
}

/// The Director's VIP is on an interface of that kind with VRRP's MAC.
pub(super) fn on_vmac(lab: &mut Lab, kind: &str, level: u32) {
    let mut port = lab.port("director", "lan");
    port.interface = "vrrp1".parse().unwrap();
    port.mac = "00:00:5e:00:01:33".parse().unwrap();
    port.addresses = vec![format!("{VIP}/32").parse().unwrap()];
    lab.case.stations.iter_mut().find(|s| s.node == "director").unwrap().ports.push(port);
    lab.edit_facts("director", |f| {
        second(f, "vrrp1", &format!("{VIP}/32"), false);
        f.addresses.retain(|a| a.address.addr() != VIP || a.interface == "vrrp1");
        let link = f.links.last_mut().unwrap();
        (link.kind, link.mac) = (Some(kind.into()), "00:00:5e:00:01:33".parse().ok());
        set(f, &[("all.rp_filter", level)]);
    });
}

#[test]
fn a_source_check_on_a_virtual_mac_interface_comes_from_all() {
    let vmac = |kind: &str, level: u32| {
        let mut lab = failed();
        on_vmac(&mut lab, kind, level);
        ids(&lab)
    };
    assert_eq!(vmac("macvlan", 1), ["ha-vmac"]);
    assert_eq!(vmac("macvlan", 0), [""; 0]);
    assert!(!vmac("veth", 1).contains(&"ha-vmac".to_owned()));
}
