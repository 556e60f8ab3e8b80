//! Packet filters that go by the state of connections, on nodes that see one half of them and on nodes that see both.

use super::faults::{failed, with};
use super::{ids, mends};
use crate::base::{Protocol, ServiceId};
use crate::judge::testlab::{Lab, SERVICE};

pub(super) const ESTABLISHED: &str = "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";
pub(super) const INVALID: &str = "-A INPUT -m conntrack --ctstate INVALID -j DROP";
pub(super) const NEW_IS_SYN: &str =
    "-A INPUT -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW -j DROP";
pub(super) const SERVED: &str = "-A INPUT -d 172.16.0.66/32 -p tcp -m tcp --dport 80 -j ACCEPT";
pub(super) const POLICY: &str = "-P INPUT DROP";

fn rules(node: &str, lines: &[&str]) -> Vec<String> {
    let lines: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
    with(node, move |f| f.iptables = Some(lines.clone()))
}

#[test]
fn a_filter_by_state_on_the_director_is_told_from_one_that_is_closed() {
    assert_eq!(rules("director", &[ESTABLISHED, INVALID, NEW_IS_SYN, SERVED, POLICY]), ["dir-fw-stateful"]);
    let new_only =
        "-A INPUT -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW -j ACCEPT";
    assert_eq!(rules("director", &[POLICY, ESTABLISHED, new_only]), ["dir-fw-stateful"]);
    assert_eq!(rules("director", &[POLICY, ESTABLISHED]), ["dir-fw-input"]);
}

#[test]
fn a_filter_that_drops_only_what_is_invalid_keeps_each_fin() {
    assert_eq!(rules("director", &[INVALID]), ["dir-fw-stateful"]);
    let state = "-A INPUT -m state --state INVALID -j DROP";
    assert_eq!(rules("director", &[state]), ["dir-fw-stateful"]);
}

#[test]
fn a_filter_that_accepts_the_service_first_or_leaves_it_untracked_is_none() {
    assert_eq!(rules("director", &[SERVED, ESTABLISHED, INVALID, NEW_IS_SYN, POLICY]), [""; 0]);
    let untracked = "-t raw -A PREROUTING -d 172.16.0.66/32 -p tcp -m tcp --dport 80 -j CT --notrack";
    assert_eq!(rules("director", &[untracked, ESTABLISHED, INVALID, NEW_IS_SYN, SERVED, POLICY]), [""; 0]);
    // Untracked is neither NEW nor ESTABLISHED: what passes by its state alone does not pass any more.
    assert_eq!(rules("director", &[untracked, ESTABLISHED, POLICY]), ["dir-fw-input"]);
    let any = "-A INPUT -p tcp -m tcp --dport 80 -m conntrack --ctstate NEW,ESTABLISHED,INVALID -j ACCEPT";
    assert_eq!(rules("director", &[any, POLICY]), [""; 0]);
}

#[test]
fn a_filter_by_state_on_a_real_server_sees_both_halves() {
    assert_eq!(rules("rs1", &[ESTABLISHED, INVALID, NEW_IS_SYN, SERVED, POLICY]), [""; 0]);
}

#[test]
fn letting_conntrack_keep_connections_makes_an_ack_invalid() {
    let accepts_new = "-A INPUT -p tcp -m tcp --dport 80 -m conntrack --ctstate NEW -j ACCEPT";
    let kept = |value: &str| {
        let mut lab = failed();
        lab.sysctl("director", "net.ipv4.vs.conntrack", value);
        lab.edit_facts("director", |f| {
            f.iptables = Some(vec![accepts_new.into(), "-A INPUT -p icmp -j ACCEPT".into()]);
        });
        lab.edit_facts("director", |f| f.iptables.as_mut().unwrap().push(INVALID.to_owned()));
        lab.findings()
    };
    let (off, on) = (kept("0"), kept("1"));
    assert!(off[0].evidence[0].what.contains("a FIN"), "{off:#?}");
    assert!(on[0].evidence[0].what.contains("an ACK without SYN"), "{on:#?}");
}

#[test]
fn chains_that_a_rule_calls_are_followed() {
    let jump = [
        "-N WEB",
        "-A INPUT -p tcp -j WEB",
        "-A WEB -p tcp -m tcp --dport 443 -j RETURN",
        "-A WEB -p tcp -m tcp --dport 80 -j DROP",
    ];
    assert_eq!(rules("director", &jump), ["dir-fw-input"]);
    let back = ["-A INPUT -j WEB", "-A WEB -p tcp -m tcp --dport 80 -j RETURN", "-A WEB -j DROP"];
    assert_eq!(rules("director", &back), [""; 0]);
    let commented = "-A INPUT -p tcp -m comment --comment \"not for us\" -m tcp --dport 80 -j DROP";
    assert_eq!(rules("rs1", &[commented]), ["rs-fw"]);
}

#[test]
fn a_list_of_ports_drops_what_is_in_it() {
    let director = |rule: &str| rules("director", &[rule]);
    assert_eq!(director("-A INPUT -p tcp -m multiport --dports 22,80 -j DROP"), ["dir-fw-input"]);
    assert_eq!(director("-A INPUT -p tcp -m multiport --dports 22,79:81 -j DROP"), ["dir-fw-input"]);
    assert_eq!(director("-A INPUT -p tcp -m multiport --dports 22,8000:8100 -j DROP"), [""; 0]);
    assert_eq!(director("-A INPUT -p tcp -m multiport ! --dports 80,443 -j DROP"), [""; 0]);
    assert_eq!(rules("rs1", &["-A INPUT -p tcp -m multiport --dports 80,443 -j DROP"]), ["rs-fw"]);
    let open = ["-A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT", POLICY];
    assert_eq!(rules("rs1", &open), [""; 0]);
    let other = ["-A INPUT -p tcp -m multiport --dports 8080,443 -j ACCEPT", POLICY];
    assert_eq!(rules("rs1", &other), ["rs-fw"]);
}

#[test]
fn what_the_director_hands_on_passes_its_output_chain_untracked() {
    let out = ["-P OUTPUT DROP", "-A OUTPUT -m conntrack --ctstate NEW,RELATED,ESTABLISHED -j ACCEPT"];
    assert_eq!(rules("director", &out), ["dir-fw-input"]);
    let open = ["-P OUTPUT DROP", "-A OUTPUT -m conntrack --ctstate NEW,RELATED,ESTABLISHED,UNTRACKED -j ACCEPT"];
    assert_eq!(rules("director", &open), [""; 0]);
}

#[test]
fn rules_that_were_not_read_drop_nothing() {
    assert_eq!(with("director", |f| f.iptables = None), [""; 0]);
}

#[test]
fn a_datagram_is_new_every_time() {
    let udp = |rule: &str| {
        let mut lab = Lab::textbook();
        lab.service().id = ServiceId::Address { protocol: Protocol::Udp, at: SERVICE };
        let lines = vec![ESTABLISHED.to_owned(), rule.to_owned(), POLICY.to_owned()];
        lab.edit_facts("director", |f| {
            f.ipvs.as_mut().unwrap().services[0].service = ServiceId::Address { protocol: Protocol::Udp, at: SERVICE };
            f.iptables = Some(lines.clone());
        });
        for node in ["rs1", "rs2"] {
            lab.edit_facts(node, |f| f.sockets = None);
        }
        ids(&lab)
    };
    assert_eq!(udp("-A INPUT -p udp -m udp --dport 80 -m conntrack --ctstate NEW -j ACCEPT"), [""; 0]);
    assert_eq!(udp("-A INPUT -p udp -m udp --dport 81 -m conntrack --ctstate NEW -j ACCEPT"), ["dir-fw-input"]);
}

#[test]
fn the_mend_comes_before_every_other_rule() {
    let mut lab = failed();
    let lines: Vec<String> = [INVALID, NEW_IS_SYN].iter().map(|l| (*l).to_owned()).collect();
    lab.edit_facts("director", |f| f.iptables = Some(lines.clone()));
    let findings = lab.findings();
    assert_eq!(mends(&findings[0])[0], "on director: iptables -I INPUT -d 172.16.0.66 -p tcp --dport 80 -j ACCEPT");
}
