//! Each rule: where it fires, where another cure is in place, and what outranks what.

use std::net::IpAddr;

use crate::base::Forwarding;
use crate::facts::NeighbourFact;
use crate::judge::Finding;
use crate::judge::rules::{ALL, is_unexplained};
use crate::judge::testlab::{Back, Exchange, Lab, There, VIP, carried, name, route};

/// The causes that are named; places where packets end are none (see `unexplained`).
fn ids(lab: &Lab) -> Vec<String> {
    lab.findings().into_iter().filter(|f| !is_unexplained(f)).map(|f| f.id).collect()
}

/// What mends a finding, as it is printed.
fn mends(finding: &Finding) -> Vec<String> {
    finding.mend.iter().map(ToString::to_string).collect()
}

/// The sysctls of a real server as the kernel has them from the start.
fn uncured(lab: &mut Lab, node: &str) {
    lab.sysctl(node, "net.ipv4.conf.all.arp_ignore", "0").sysctl(node, "net.ipv4.conf.all.arp_announce", "0");
}

/// A run in which both real servers answer ARP for the VIP.
fn arp_problem() -> Lab {
    let mut lab = Lab::ran(2);
    lab.ask("router", &["director", "rs1", "rs2"]);
    uncured(&mut lab, "rs1");
    uncured(&mut lab, "rs2");
    lab
}

#[test]
fn defaults_are_one_finding_that_names_all_nodes_and_mends_each() {
    let lab = arp_problem();
    let findings = lab.findings();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0].id, "rs-arp-default");
    assert!(findings[0].what.contains("answered by rs1 and rs2:"), "{}", findings[0].what);
    for node in ["rs1", "rs2"] {
        let command = format!("on {node}: sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2");
        assert!(mends(&findings[0]).contains(&command), "{:?}", findings[0].mend);
    }
}

#[test]
fn of_a_director_without_ipvs_its_own_ways_are_nobodys_business_and_real_servers_are() {
    let mut lab = Lab::textbook();
    lab.exchange(&Exchange::with("rs1").back(Back::Never));
    lab.without_ipvs();
    let drop = "-A INPUT -d 172.16.0.66/32 -j DROP".to_owned();
    lab.edit_facts("director", |f| f.iptables = Some(vec![drop.clone()]));
    assert_eq!(ids(&lab), [""; 0]);
    lab.edit_facts("rs1", |f| f.addresses.retain(|a| a.address.addr() != VIP));
    assert_eq!(ids(&lab), ["rs-vip-missing"]);
}

#[test]
fn arp_ignore_from_4_to_7_is_as_good_as_none() {
    let mut lab = arp_problem();
    lab.sysctl("rs1", "net.ipv4.conf.all.arp_ignore", "5").sysctl("rs2", "net.ipv4.conf.all.arp_ignore", "2");
    let findings = lab.findings();
    let found: Vec<(&str, &str)> = findings.iter().map(|f| (f.id.as_str(), f.node.as_str())).collect();
    assert_eq!(found, [("rs-ignore-reserved", "rs1"), ("rs-announce-0", "rs2")]);
}

#[test]
fn the_interfaces_own_sysctl_is_a_cure_too() {
    let mut lab = arp_problem();
    for node in ["rs1", "rs2"] {
        lab.sysctl(node, "net.ipv4.conf.eth0.arp_ignore", "1").sysctl(node, "net.ipv4.conf.eth0.arp_announce", "2");
    }
    assert_eq!(ids(&lab), [""; 0]);
}

#[test]
fn the_cure_on_lo_alone_is_named_as_such() {
    let mut lab = arp_problem();
    lab.sysctl("rs1", "net.ipv4.conf.lo.arp_ignore", "1");
    assert_eq!(ids(&lab), ["rs-sysctl-lo-only", "rs-arp-default"]);
    lab.sysctl("rs2", "net.ipv4.conf.lo.arp_ignore", "1");
    assert_eq!(ids(&lab), ["rs-sysctl-lo-only"]);
    lab.sysctl("rs1", "net.ipv4.conf.all.arp_ignore", "1").sysctl("rs2", "net.ipv4.conf.all.arp_ignore", "1");
    assert_eq!(ids(&lab), ["rs-announce-0"]);
}

#[test]
fn an_arp_filter_or_a_binding_of_all_askers_is_another_cure() {
    let mut lab = arp_problem();
    for node in ["rs1", "rs2"] {
        lab.edit_facts(node, |f| {
            f.arptables = Some(vec![
                "-A INPUT -j DROP -d 172.16.0.66 ".into(),
                "-A OUTPUT -j mangle -s 172.16.0.66 --mangle-ip-s 172.16.252.137".into(),
            ]);
        });
    }
    assert_eq!(ids(&lab), [""; 0]);
    let mut lab = arp_problem();
    let director = lab.port("director", "lan").mac;
    lab.edit_facts("router", |f| {
        f.neighbours.push(NeighbourFact {
            interface: "eth0".parse().unwrap(),
            address: IpAddr::V4(VIP),
            mac: Some(director),
            state: "permanent".into(),
        });
    });
    assert_eq!(ids(&lab), [""; 0]);
}

#[test]
fn an_arp_filter_for_another_address_is_no_cure() {
    let mut lab = arp_problem();
    for node in ["rs1", "rs2"] {
        lab.edit_facts(node, |f| f.arptables = Some(vec!["-A INPUT -j DROP -d 172.16.0.67".into()]));
    }
    assert_eq!(ids(&lab), ["rs-arp-default"]);
}

#[test]
fn a_cause_that_came_with_the_timeline_is_found() {
    let mut lab = arp_problem();
    lab.before = Lab::textbook().before;
    assert_eq!(ids(&lab), [""; 0]);
    lab.case.changes = true;
    assert_eq!(ids(&lab), ["rs-sysctl-reverted"]);
}

#[test]
fn a_gateway_that_is_the_director_is_mended_with_the_router() {
    let mut lab = Lab::ran(2);
    let through_director = |lab: &mut Lab| {
        lab.edit_facts("rs1", |f| {
            f.routes.retain(|r| r.destination.prefix_len() > 0);
            f.routes.push(route("0.0.0.0/0", Some("172.16.251.73"), "eth0"));
        });
    };
    through_director(&mut lab);
    let findings = lab.findings();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0].id, "rs-gw-director");
    assert_eq!(mends(&findings[0])[0], "on rs1: ip route replace default via 172.16.255.254 dev eth0");
}

#[test]
fn a_gateway_that_is_the_director_is_right_with_nat() {
    let mut lab = Lab::textbook();
    lab.exchange(&Exchange::with("rs1").there(There::Nat).back(Back::ThroughDirector));
    nat(&mut lab);
    for node in ["rs1", "rs2"] {
        lab.edit_facts(node, |f| {
            f.addresses.retain(|a| a.interface != "lo");
            f.routes.retain(|r| r.destination.prefix_len() > 0);
            f.routes.push(route("0.0.0.0/0", Some("172.16.251.73"), "eth0"));
        });
    }
    assert_eq!(ids(&lab), [""; 0]);
}

/// The service forwards by NAT.
fn nat(lab: &mut Lab) {
    lab.service().destinations.iter_mut().for_each(|d| d.forwarding = Forwarding::Nat);
    lab.edit_facts("director", |f| {
        for destination in &mut f.ipvs.as_mut().unwrap().services[0].destinations {
            destination.forwarding = Forwarding::Nat;
        }
    });
}

#[test]
fn nat_whose_replies_take_another_way_is_found() {
    let mut lab = Lab::textbook();
    lab.exchange(&Exchange::with("rs1").there(There::Nat).back(Back::FromRip));
    nat(&mut lab);
    let findings = lab.findings();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!((findings[0].id.as_str(), findings[0].node.as_str()), ("ipvs-method-masq", "director"));
    let command = "on director: ipvsadm -e -t 172.16.0.66:80 -r 172.16.252.137:80 -g -w 1".to_owned();
    assert!(mends(&findings[0]).contains(&command), "{findings:#?}");
}

#[test]
fn a_port_mapping_is_found_but_not_with_nat() {
    let mut lab = Lab::ran(2);
    lab.service().destinations[1].at.set_port(8080);
    let findings = lab.findings();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0].id, "ipvs-port-mapping");
    lab.service().destinations[1].forwarding = Forwarding::Nat;
    assert_eq!(ids(&lab), [""; 0]);
}

#[test]
fn a_missing_vip_is_found_and_mended_in_the_right_order() {
    let mut lab = Lab::ran(1);
    lab.exchange(&Exchange::with("rs1").back(Back::Never));
    lab.edit_facts("rs1", |f| f.addresses.retain(|a| a.interface != "lo"));
    let findings = lab.findings();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0].id, "rs-vip-missing");
    let command = &findings[0].mend[0].command;
    assert!(command.find("arp_ignore") < command.find("address replace"), "{command}");
}

#[test]
fn the_subnets_mask_on_lo_is_its_own_finding() {
    let mut lab = Lab::ran(2);
    lab.edit_facts("rs1", |f| {
        f.addresses.pop();
        f.addresses.push(carried("lo", "172.16.0.66/16", Some("lo:0")));
    });
    assert_eq!(ids(&lab), ["rs-vip-prefix-on-lo"]);
    uncured(&mut lab, "rs1");
    assert_eq!(ids(&lab), ["rs-vip-prefix-on-lo-arp"]);
}

#[test]
fn a_real_server_behind_a_router_is_found_but_not_where_packets_are_readdressed() {
    let mut lab = Lab::ran(2);
    lab.case.stations[3].ports[0].segment = name("front");
    assert_eq!(ids(&lab), ["rs-remote-subnet"]);
    lab.edit_facts("director", |f| {
        f.ipvs.as_mut().unwrap().services[0].destinations.iter_mut().for_each(|d| d.forwarding = Forwarding::Nat);
    });
    assert!(!ids(&lab).contains(&"rs-remote-subnet".to_owned()));
}

mod clients;
mod damaged;
mod faults;
mod filters;
mod memory;
mod places;
mod quartets;
mod segment;
mod sizes;
mod takeover;

#[test]
fn whoever_learned_a_neighbour_for_the_vip_forgets_it_after_all_else() {
    let mut lab = arp_problem();
    let rs1 = lab.port("rs1", "lan").mac;
    lab.edit_facts("router", |f| {
        f.neighbours.push(NeighbourFact {
            interface: "eth0".parse().unwrap(),
            address: IpAddr::V4(VIP),
            mac: Some(rs1),
            state: "reachable".into(),
        });
    });
    let all = mends(&lab.findings()[0]);
    let flush = all.iter().position(|m| m == "on router: ip neighbour flush to 172.16.0.66 dev eth0");
    let last = all.iter().rposition(|m| m.starts_with("on rs"));
    assert!(flush > last, "{all:?}");
}

#[test]
fn two_findings_on_a_node_never_write_the_same_file() {
    let mut lab = arp_problem();
    lab.sysctl("rs1", "net.ipv4.conf.all.rp_filter", "1");
    lab.edit_facts("rs1", |f| f.routes.push(route("203.0.113.0/24", None, "lo")));
    let files: Vec<(String, String)> = lab
        .findings()
        .iter()
        .flat_map(|f| f.mend.iter().filter(|m| m.node == name("rs1")).map(|m| (f.id.clone(), m.command.clone())))
        .filter_map(|(id, c)| Some((id, c.split("> ").nth(1)?.split(' ').next()?.to_owned())))
        .collect();
    for (id, file) in &files {
        assert!(files.iter().all(|(other, same)| same != file || other == id), "{files:?}");
    }
}

#[test]
fn what_a_rule_outranks_is_a_rule() {
    for rule in ALL {
        for other in rule.outranks {
            assert!(super::find(other).is_some_and(|o| o.id != rule.id), "{} outranks {other}", rule.id);
        }
    }
}
