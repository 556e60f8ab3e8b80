use std::net::SocketAddr;

use super::Clue;
use crate::base::{Mac, Protocol};
use crate::judge::Finding;
use crate::judge::infer::tests::{ALL, hinted, points};
use crate::judge::rules;
use crate::judge::testlab::{Back, Exchange, Lab, SERVICE, There, VIP, arp, tcp};

fn of(lab: &Lab) -> (Vec<Finding>, Vec<Clue>) {
    hinted(points(lab, ALL))
}

/// A lab in which ARP told whose the RIPs are.
fn introduced(mut lab: Lab) -> Lab {
    for server in ["rs1", "rs2"] {
        let (mac, rip) = (lab.port(server, "lan").mac, lab.address(server, "lan"));
        let answer = arp(2, mac, rip, lab.port("director", "lan").mac, lab.address("director", "lan"));
        lab.unicast(server, "director", "lan", answer);
    }
    lab
}

fn found(lab: &Lab) -> Vec<String> {
    of(lab).0.into_iter().map(|f| f.id).collect()
}

/// The hint whose words begin so.
fn clue(lab: &Lab, begins: &str) -> Clue {
    let (findings, clues) = of(lab);
    assert!(findings.is_empty(), "{findings:?}");
    clues.iter().find(|c| c.what.starts_with(begins)).cloned().unwrap_or_else(|| panic!("{begins}: {clues:?}"))
}

#[test]
fn every_rule_that_comes_into_question_is_one() {
    let lists = [
        super::ANSWERS,
        super::ANSWERS_V6,
        super::LEAKS,
        super::NOBODY,
        super::UNRESOLVED,
        super::REFUSED,
        super::NO_SERVICE,
        super::NO_SERVER,
        super::SWALLOWED,
        super::SILENT,
        super::ASTRAY,
        super::STRANDED,
        &["rip-neigh-stale"],
        &["rs-gw-wrong", "arp-unanswered", "dir-vip-primary", "all-nodes-own-vip", "no-route", "rs-gw-missing"],
        &["dir-fw-input", "rs-fw", "rs-gw-director", "rs-remote-subnet", "rs-vip-missing-forwarding"],
    ];
    for id in lists.into_iter().flatten() {
        assert!(rules::find(id).is_some(), "{id}");
    }
}

#[test]
fn what_is_right_gives_no_finding_and_no_hint() {
    let (findings, clues) = of(&Lab::ran(6));
    assert!(findings.is_empty() && clues.is_empty(), "{findings:?} {clues:?}");
}

#[test]
fn replies_to_the_director_are_a_real_servers_gateway() {
    let mut lab = Lab::ran(4);
    lab.exchange(&Exchange::with("rs1").back(Back::ThroughDirector));
    let findings = of(&lab).0;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!((findings[0].id.as_str(), findings[0].node.as_str()), ("rs-gw-director", "rs1"));
    assert!(!findings[0].mend.is_empty());
}

#[test]
fn nat_is_a_finding_only_where_replies_pass_the_director_by() {
    let mut lab = introduced(Lab::ran(4));
    lab.exchange(&Exchange::with("rs1").there(There::Nat).back(Back::FromRip));
    assert_eq!(found(&lab), ["ipvs-method-masq"]);
    let mut lab = Lab::ran(4);
    lab.exchange(&Exchange::with("rs1").there(There::Nat).back(Back::ThroughDirector));
    assert_eq!(clue(&lab, "director forwards TCP").rules, ["ipvs-method-masq"]);
}

#[test]
fn a_tunnel_is_hinted_at() {
    let mut lab = Lab::ran(4);
    lab.exchange(&Exchange::with("rs1").there(There::Tunnel));
    assert_eq!(clue(&lab, "director forwards TCP").rules, ["ipvs-method-tun"]);
}

#[test]
fn a_datagram_server_that_answers_from_the_rip_is_found() {
    let mut lab = introduced(Lab::textbook());
    for server in ["rs2", "rs1", "rs2"] {
        lab.exchange(&Exchange::with(server).by(Protocol::Udp));
    }
    lab.exchange(&Exchange::with("rs1").by(Protocol::Udp).back(Back::FromRip));
    assert_eq!(found(&lab), ["app-udp-source"]);
}

#[test]
fn a_real_server_that_answers_arp_leaves_open_which_setting_is_wrong() {
    let mut lab = Lab::ran(4);
    lab.ask("router", &["director", "rs1"]);
    let clue = clue(&lab, "rs1 answers who-has 172.16.0.66");
    assert!(clue.rules.contains(&"rs-arp-default".to_owned()) && clue.rules.len() > 3);
    assert!(clue.next.contains("arp_(ignore"), "{}", clue.next);
    assert_eq!(clue.evidence.len(), 1);
}

#[test]
fn an_announcement_by_a_real_server_is_found() {
    let mut lab = Lab::ran(4);
    let rs1 = lab.port("rs1", "lan").mac;
    lab.broadcast("rs1", "lan", arp(1, rs1, VIP.into(), Mac([0; 6]), VIP.into()));
    assert_eq!(found(&lab), ["rs-garp-on-boot"]);
}

#[test]
fn a_refusal_is_told_by_who_refuses() {
    let client: SocketAddr = "203.0.113.2:50000".parse().unwrap();
    for (who, rule) in [("director", "ipvs-service-missing"), ("rs1", "app-not-listening")] {
        let mut lab = Lab::ran(4);
        lab.exchange(&Exchange::with("rs1").there(There::Swallowed));
        lab.unicast(who, "router", "lan", tcp(SERVICE, client, 99, 0, 4 | 16, b""));
        assert!(clue(&lab, &format!("{who} refuses")).rules.contains(&rule.to_owned()));
    }
}

#[test]
fn a_request_that_the_director_keeps_says_that_it_was_not_seen_to_leave() {
    let mut lab = Lab::ran(4);
    lab.exchange(&Exchange::with("rs1").there(There::Swallowed));
    assert!(clue(&lab, "director was not seen to send on").rules.contains(&"dir-fw-input".to_owned()));
}
