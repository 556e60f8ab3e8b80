//! Packets that are too large for their way, and the word of it that has to reach the sender.

use super::faults::{failed, with};
use super::{ids, mends};
use crate::facts::NodeFacts;
use crate::judge::testlab::{Lab, route};

/// The Director's route to rs2 has an MTU.
pub(super) fn narrow(facts: &mut NodeFacts, mtu: u32) {
    let mut host = route("172.16.253.202/32", None, "eth0");
    host.mtu = Some(mtu);
    facts.routes.push(host);
}

/// The router's way to clients takes 1300 bytes.
pub(super) fn tunnelled() -> Lab {
    let mut lab = failed();
    lab.edit_facts("router", |f| {
        for route in f.routes.iter_mut().filter(|r| r.interface.as_ref().is_some_and(|i| *i == *"eth1")) {
            route.mtu = Some(1300);
        }
    });
    lab
}

fn filtered(node: &str, lines: &[&str]) -> Vec<String> {
    let mut lab = tunnelled();
    let lines: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
    lab.edit_facts(node, |f| f.iptables = Some(lines.clone()));
    ids(&lab)
}

#[test]
fn a_way_to_a_real_server_that_is_too_narrow_is_found() {
    let mut lab = failed();
    lab.edit_facts("director", |f| narrow(f, 1400));
    let findings = lab.findings();
    assert_eq!((findings.len(), findings[0].id.as_str()), (1, "mtu-dir-to-rs"));
    assert_eq!(mends(&findings[0])[0], "on director: ip route replace 172.16.253.202/32 dev eth0");
}

#[test]
fn a_narrow_way_is_none_where_the_real_server_takes_no_more_either() {
    assert_eq!(with("director", |f| narrow(f, 1500)), [""; 0]);
    let mut lab = failed();
    lab.edit_facts("director", |f| narrow(f, 1400));
    lab.edit_facts("rs2", |f| f.links.iter_mut().for_each(|l| l.mtu = 1400));
    assert_eq!(ids(&lab), [""; 0]);
}

#[test]
fn an_mtu_that_was_not_read_proves_nothing() {
    let mut lab = failed();
    lab.edit_facts("director", |f| narrow(f, 1400));
    lab.edit_facts("client", |f| f.links.clear());
    assert_eq!(ids(&lab), [""; 0]);
}

#[test]
fn an_interface_that_takes_less_than_it_is_sent_is_found() {
    let small = |node| with(node, |f| f.links.iter_mut().for_each(|l| l.mtu = 1400));
    assert_eq!(small("director"), ["mtu-jumbo-one-side"]);
    // The ends announce what they take, so nothing larger is sent to them.
    assert_eq!(small("rs1"), [""; 0]);
    assert_eq!(small("client"), [""; 0]);
}

#[test]
fn icmp_that_would_make_packets_smaller_has_to_reach_the_real_server() {
    assert_eq!(ids(&tunnelled()), [""; 0]);
    assert_eq!(filtered("director", &["-A INPUT -p icmp -j DROP"]), ["pmtu-icmp-blackhole"]);
    assert_eq!(filtered("rs1", &["-A INPUT -p icmp -j DROP"]), ["pmtu-icmp-blackhole"]);
    assert_eq!(filtered("router", &["-A OUTPUT -p icmp -m icmp --icmp-type 3/4 -j DROP"]), ["pmtu-icmp-blackhole"]);
}

#[test]
fn icmp_that_may_pass_or_is_of_another_kind_is_no_black_hole() {
    let accepts = "-A INPUT -p icmp -m icmp --icmp-type 3/4 -j ACCEPT";
    assert_eq!(filtered("director", &[accepts, "-A INPUT -p icmp -j DROP"]), [""; 0]);
    assert_eq!(filtered("director", &["-A INPUT -p icmp -m icmp --icmp-type 8 -j DROP"]), [""; 0]);
    assert_eq!(filtered("rs1", &["-A INPUT -m conntrack --ctstate INVALID -j DROP"]), [""; 0]);
    // The same drop where nothing is too large.
    assert_eq!(with("director", |f| f.iptables = Some(vec!["-A INPUT -p icmp -j DROP".into()])), [""; 0]);
}

#[test]
fn icmp_about_a_connection_is_invalid_to_the_director() {
    let drops = ["-A INPUT -p icmp -m conntrack --ctstate INVALID -j DROP"];
    assert_eq!(filtered("director", &drops), ["pmtu-icmp-blackhole"]);
}

#[test]
fn a_real_server_that_finds_the_size_by_itself_needs_no_icmp() {
    let mut lab = tunnelled();
    lab.edit_facts("director", |f| f.iptables = Some(vec!["-A INPUT -p icmp -j DROP".into()]));
    for node in ["rs1", "rs2"] {
        lab.sysctl(node, "net.ipv4.tcp_mtu_probing", "1");
    }
    assert_eq!(ids(&lab), [""; 0]);
}
