//! Rules of packet and ARP filters, a row each: what they match, and that what is not understood matches nothing.

use super::ip;
use crate::judge::model::filter::{Fate, Shown, chain, redirected};

fn fate(rules: &[&str], packet: Shown<'_>) -> String {
    let rules: Vec<String> = rules.iter().map(|r| (*r).to_owned()).collect();
    match chain(&rules, "filter", "INPUT", packet) {
        Fate::Mangled(to) => to.to_string(),
        fate => if matches!(fate, Fate::Dropped(_)) { "dropped" } else { "passes" }.to_owned(),
    }
}

fn request() -> Shown<'static> {
    Shown {
        source: Some(ip("203.0.113.2")),
        destination: Some(ip("172.16.0.66")),
        into: Some("eth0"),
        protocol: Some("tcp"),
        port: Some(80),
        ..Shown::default()
    }
}

#[test]
fn each_match_holds_or_does_not() {
    for (rule, wanted) in [
        ("-A INPUT -j DROP", "dropped"),
        ("-A INPUT -j REJECT --reject-with icmp-port-unreachable", "dropped"),
        ("-A INPUT -j ACCEPT", "passes"),
        ("-A OUTPUT -j DROP", "passes"),
        ("-A FORWARD -j DROP", "passes"),
        ("-t nat -A INPUT -j DROP", "passes"),
        ("-t filter -A INPUT -j DROP", "dropped"),
        ("-A INPUT -d 172.16.0.66/32 -j DROP", "dropped"),
        ("-A INPUT -d 172.16.0.0/16 -j DROP", "dropped"),
        ("-A INPUT -d 172.16.0.67 -j DROP", "passes"),
        ("-A INPUT ! -d 172.16.0.66 -j DROP", "passes"),
        ("-A INPUT ! -d 172.16.0.67 -j DROP", "dropped"),
        ("-A INPUT -s 203.0.113.0/24 -j DROP", "dropped"),
        ("-A INPUT -s 10.0.0.0/8 -j DROP", "passes"),
        ("-A INPUT -i eth0 -j DROP", "dropped"),
        ("-A INPUT -i eth1 -j DROP", "passes"),
        ("-A INPUT -p tcp -m tcp --dport 80 -j DROP", "dropped"),
        ("-A INPUT -p tcp -m tcp --dport 81 -j DROP", "passes"),
        ("-A INPUT -p udp -m udp --dport 80 -j DROP", "passes"),
        ("-A INPUT -p tcp -m tcp --dport 22:80 -j DROP", "dropped"),
        ("-A INPUT -p tcp -m tcp --dport :79 -j DROP", "passes"),
        ("-A INPUT -p tcp -m tcp --dport 80: -j DROP", "dropped"),
        ("-A INPUT -p tcp -m tcp ! --dport 80 -j DROP", "passes"),
        ("-A INPUT -p tcp -m multiport --dports 22,80,443 -j DROP", "dropped"),
        ("-A INPUT -p tcp -m multiport --dports 22,443 -j DROP", "passes"),
        ("-A INPUT -p tcp -m multiport --dports 22,79:81 -j DROP", "dropped"),
        ("-A INPUT -p tcp -m multiport --dports 22,8000:8100 -j DROP", "passes"),
        ("-A INPUT -p tcp -m multiport ! --dports 22,443 -j DROP", "dropped"),
        ("-A INPUT -p tcp -m multiport ! --dports 80,443 -j DROP", "passes"),
        ("-A INPUT -p tcp -m multiport --dports 800,8080 -j DROP", "passes"),
        ("-A INPUT -p tcp -m multiport --sports 80,443 -j DROP", "passes"),
        ("-A INPUT -p tcp -m multiport --dports http,https -j DROP", "passes"),
        ("-A INPUT -p tcp ! --tcp-option 200 -j DROP", "passes"),
        ("-A INPUT -m recent --update --seconds 60 -j DROP", "passes"),
        ("-P INPUT DROP", "dropped"),
        ("-P INPUT ACCEPT", "passes"),
    ] {
        assert_eq!(fate(&[rule], request()), wanted, "{rule}");
    }
}

#[test]
fn a_packet_is_sent_elsewhere_by_the_rules_of_its_port_before_it_is_routed() {
    let sent = |rule: &str| redirected(&[rule.to_owned()], request()).is_some();
    for rule in [
        "-t nat -A PREROUTING -d 172.16.0.66/32 -p tcp -m tcp --dport 80 -j REDIRECT",
        "-t nat -A PREROUTING -d 172.16.0.66/32 -p tcp -m multiport --dports 80,443 -j REDIRECT --to-ports 8080",
        "-t nat -A PREROUTING -p tcp -m tcp --dport 1:1023 -j DNAT --to-destination 172.16.252.137:80",
    ] {
        assert!(sent(rule), "{rule}");
    }
    for rule in [
        "-t nat -A PREROUTING -d 172.16.0.66/32 -p tcp -m multiport --dports 8080,443 -j REDIRECT",
        "-t nat -A PREROUTING -d 172.16.0.66/32 -p tcp -m multiport ! --dports 80,443 -j REDIRECT",
        "-t nat -A OUTPUT -d 172.16.0.66/32 -p tcp -m multiport --dports 80,443 -j REDIRECT",
        "-t mangle -A PREROUTING -d 172.16.0.66/32 -p tcp -m multiport --dports 80,443 -j MARK --set-mark 1",
    ] {
        assert!(!sent(rule), "{rule}");
    }
}

#[test]
fn the_first_rule_that_matches_decides_and_the_policy_comes_last() {
    let accept = "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT";
    assert_eq!(fate(&["-P INPUT DROP", accept], request()), "passes");
    assert_eq!(fate(&[accept, "-A INPUT -j DROP"], request()), "passes");
    assert_eq!(fate(&["-A INPUT -j DROP", accept], request()), "dropped");
    let other = Shown { port: Some(22), ..request() };
    assert_eq!(fate(&["-P INPUT DROP", accept], other), "dropped");
}

#[test]
fn a_question_and_an_answer_are_told_apart() {
    let asked = |operation: u16| Shown { operation: Some(operation), protocol: None, port: None, ..request() };
    for (rule, question, answer) in [
        ("-A INPUT --opcode Request -j DROP", "dropped", "passes"),
        ("-A INPUT --opcode 2 -j DROP", "passes", "dropped"),
        ("-A INPUT -j mangle --mangle-ip-s 172.16.9.9", "172.16.9.9", "172.16.9.9"),
    ] {
        assert_eq!(fate(&[rule], asked(1)), question, "{rule}");
        assert_eq!(fate(&[rule], asked(2)), answer, "{rule}");
    }
}
