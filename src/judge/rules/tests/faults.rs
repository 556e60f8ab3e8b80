//! One mistake at a time, in facts: each is named by its rule and by nothing else; and what comes near one is not named.

use std::net::{IpAddr, SocketAddr};

use super::ids;
use crate::base::{Mac, Protocol, ServiceId};
use crate::facts::{LinkFact, NeighbourFact, NodeFacts, SocketFact};
use crate::judge::testlab::{Back, Exchange, Lab, SERVICE, VIP, arp, carried, route};

/// A run in which a request was not answered, so that there is something to explain.
pub(super) fn failed() -> Lab {
    let mut lab = Lab::ran(1);
    lab.exchange(&Exchange::with("rs1").back(Back::Never));
    lab
}

/// What is found where one node's facts are changed.
pub(super) fn with(node: &str, edit: impl Fn(&mut NodeFacts)) -> Vec<String> {
    let mut lab = failed();
    lab.edit_facts(node, edit);
    ids(&lab)
}

/// What is found where sysctls below `net.ipv4.conf` are changed on a node.
fn conf(node: &str, values: &[(&str, u32)]) -> Vec<String> {
    with(node, |f| set(f, values))
}

pub(super) fn set(facts: &mut NodeFacts, values: &[(&str, u32)]) {
    for (key, value) in values {
        facts.sysctls.insert(format!("net.ipv4.conf.{key}"), value.to_string());
    }
}

pub(super) fn bind(facts: &mut NodeFacts, address: IpAddr, mac: Mac, state: &str) {
    let interface = "eth0".parse().unwrap();
    facts.neighbours.push(NeighbourFact { interface, address, mac: Some(mac), state: state.into() });
}

/// Another interface, with its own address and route.
pub(super) fn second(facts: &mut NodeFacts, name: &str, address: &str, noarp: bool) {
    let link = LinkFact { name: name.parse().unwrap(), index: 9, noarp, ..facts.links[0].clone() };
    facts.links.push(link);
    facts.addresses.push(carried(name, address, None));
    for key in ["arp_ignore", "arp_announce", "rp_filter"] {
        set(facts, &[(&format!("{name}.{key}"), 0)]);
    }
}

/// The VIP from `lo` to another device.
pub(super) fn vip_on(facts: &mut NodeFacts, device: &str) {
    facts.addresses.retain(|a| a.interface != "lo");
    facts.addresses.push(carried(device, &format!("{VIP}/32"), None));
}

pub(super) fn without_default(facts: &mut NodeFacts) {
    facts.routes.retain(|r| r.destination.prefix_len() > 0);
}

pub(super) const OFF: [(&str, u32); 2] = [("all.arp_ignore", 0), ("all.arp_announce", 0)];
pub(super) const SOMEBODY: Mac = Mac([2, 0, 0, 0, 0, 0xff]);

#[test]
fn nothing_wrong_in_facts_is_nothing_found() {
    assert_eq!(ids(&failed()), [""; 0]);
}

#[test]
fn arp_mistakes_are_told_apart() {
    let table: &[(&str, &[(&str, u32)])] = &[
        ("rs-arp-default", &OFF),
        ("rs-sysctl-lo-only", &[OFF[0], OFF[1], ("lo.arp_ignore", 1)]),
        ("rs-sysctl-default-only", &[OFF[0], OFF[1], ("default.arp_ignore", 1)]),
        ("rs-announce-0", &[OFF[1]]),
        ("rs-announce-1-same-subnet", &[("all.arp_announce", 1)]),
        ("rs-ignore-3-global-scope", &[("all.arp_ignore", 3)]),
        ("rs-ignore-reserved", &[("all.arp_ignore", 7)]),
        ("rs-ignore-reserved", &[("all.arp_ignore", 9)]),
        ("rs-announce-0", &[("all.arp_announce", 3)]),
        ("rs-ignore-8", &[("all.arp_ignore", 8)]),
        ("rs-arp-filter-instead", &[OFF[0], OFF[1], ("all.arp_filter", 1)]),
    ];
    for (id, values) in table {
        assert_eq!(conf("rs1", values), [*id], "{values:?}");
    }
}

#[test]
fn what_comes_near_an_arp_mistake_is_none() {
    for values in [
        &[OFF[0], ("eth0.arp_ignore", 1)][..],
        &[OFF[1], ("eth0.arp_announce", 2)],
        &[("all.arp_ignore", 2)],
        &[("lo.arp_ignore", 0), ("default.arp_ignore", 0)],
        &[("all.rp_filter", 2)],
        &[("all.rp_filter", 1)],
    ] {
        assert_eq!(conf("rs1", values), [""; 0], "{values:?}");
    }
    let host_scope = with("rs1", |f| {
        set(f, &[("all.arp_ignore", 3)]);
        f.addresses.last_mut().unwrap().scope = "host".into();
    });
    assert_eq!(host_scope, [""; 0]);
    // The Director may have whatever a real server must not.
    assert_eq!(conf("director", &OFF), [""; 0]);
}

#[test]
fn sysctls_that_were_not_read_prove_nothing() {
    assert_eq!(with("rs1", |f| f.sysctls.clear()), [""; 0]);
}

#[test]
fn a_vip_of_a_foreign_subnet_is_safe_with_arp_announce_1() {
    let mut lab = failed();
    lab.edit_facts("rs1", |f| set(f, &[("all.arp_announce", 1)]));
    for facts in lab.before.iter_mut().chain(&mut lab.after) {
        facts.addresses.iter_mut().filter(|a| a.address.prefix_len() == 16).for_each(|a| {
            a.address = format!("{}/18", a.address.addr()).parse().unwrap();
        });
    }
    assert_eq!(ids(&lab), [""; 0]);
}

#[test]
fn the_vips_place_is_told() {
    assert_eq!(with("rs1", |f| vip_on(f, "eth0")), ["rs-vip-on-nic"]);
    let dummy = |f: &mut NodeFacts| {
        second(f, "dummy0", "10.9.9.9/32", true);
        vip_on(f, "dummy0");
    };
    assert_eq!(with("rs1", dummy), [""; 0]);
    let open = |f: &mut NodeFacts| {
        dummy(f);
        set(f, &OFF);
    };
    assert_eq!(with("rs1", open), ["rs-vip-noarp-dummy"]);
    let mut lab = failed();
    for node in ["rs1", "rs2"] {
        lab.edit_facts(node, open);
    }
    lab.edit_facts("director", |f| {
        second(f, "dummy0", "10.9.9.9/32", true);
        f.addresses
            .iter_mut()
            .filter(|a| a.address.addr() == VIP)
            .for_each(|a| a.interface = "dummy0".parse().unwrap());
    });
    assert_eq!(ids(&lab), ["all-nodes-own-vip"]);
}

#[test]
fn an_arp_filter_needs_both_rules() {
    let rules = |rules: &[&str]| {
        let rules: Vec<String> = rules.iter().map(|r| (*r).to_owned()).collect();
        with("rs1", move |f| {
            set(f, &OFF);
            f.arptables = Some(rules.clone());
        })
    };
    let (hide, mangle) =
        ("-A INPUT -j DROP -d 172.16.0.66", "-A OUTPUT -j mangle -s 172.16.0.66 --mangle-ip-s 172.16.252.137");
    assert_eq!(rules(&[hide, mangle]), [""; 0]);
    assert_eq!(rules(&[hide]), ["rs-arptables-in-only"]);
    assert_eq!(rules(&[hide, "-A OUTPUT -j DROP -s 172.16.0.66"]), ["rs-arptables-out-drop"]);
    // What it answers is then the RIP's MAC for the RIP.
    assert_eq!(rules(&[mangle]), [""; 0]);
    assert_eq!(rules(&[hide, mangle, "-A INPUT -j DROP -s 172.16.251.73"]), ["arp-unanswered"]);
}

#[test]
fn an_interface_without_arp_or_down_is_told() {
    assert_eq!(with("rs1", |f| f.links[0].noarp = true), ["rs-nic-noarp"]);
    assert_eq!(with("rs1", |f| f.links[0].up = false), ["link-down"]);
}

#[test]
fn a_director_that_is_silent_about_the_vip_is_told() {
    let off = |f: &mut NodeFacts| f.addresses.retain(|a| a.address.addr() != VIP);
    assert_eq!(with("director", off), ["dir-vip-missing"]);
    let suppressed = |f: &mut NodeFacts| {
        vip_on(f, "lo");
        f.addresses.retain(|a| a.interface == "lo" || a.address.addr() != VIP);
        set(f, &[("all.arp_ignore", 1)]);
    };
    assert_eq!(with("director", suppressed), ["dir-arp-suppressed"]);
}

#[test]
fn a_director_that_asks_in_the_vips_name_is_told() {
    let primary = |f: &mut NodeFacts| {
        f.addresses.retain(|a| a.address.addr() != VIP);
        f.addresses.insert(0, carried("eth0", "172.16.0.66/16", None));
    };
    assert_eq!(with("director", primary), ["dir-vip-primary"]);
    // First, but alone in its prefix, it is not chosen.
    let alone = |f: &mut NodeFacts| {
        f.addresses.retain(|a| a.address.addr() != VIP);
        f.addresses.insert(0, carried("eth0", "172.16.0.66/32", None));
    };
    assert_eq!(with("director", alone), [""; 0]);
}

#[test]
fn neighbour_entries_are_compared_with_the_right_macs() {
    let lab = Lab::textbook();
    let (director, rs1) = (lab.port("director", "lan").mac, lab.port("rs1", "lan").mac);
    let rip = lab.address("rs1", "lan");
    assert_eq!(with("director", |f| bind(f, rip, SOMEBODY, "permanent")), ["rip-neigh-stale"]);
    assert_eq!(with("director", |f| bind(f, rip, rs1, "permanent")), [""; 0]);
    assert_eq!(with("router", |f| bind(f, VIP.into(), SOMEBODY, "permanent")), ["router-static-arp"]);
    assert_eq!(with("router", |f| bind(f, VIP.into(), director, "permanent")), [""; 0]);
    assert_eq!(with("router", |f| bind(f, VIP.into(), rs1, "stale")), ["rs-arp-cache-survives-fix"]);
    assert_eq!(with("router", |f| bind(f, VIP.into(), director, "stale")), [""; 0]);
    let learned = |f: &mut NodeFacts| f.links[0].mac = Some(rs1);
    assert_eq!(with("rs2", learned), ["rs-same-mac"]);
}

#[test]
fn what_was_learned_from_a_mistake_is_not_one_of_its_own() {
    let mut lab = failed();
    let rs1 = lab.port("rs1", "lan").mac;
    lab.edit_facts("rs1", |f| set(f, &OFF));
    lab.edit_facts("router", |f| bind(f, VIP.into(), rs1, "reachable"));
    assert_eq!(ids(&lab), ["rs-arp-default"]);
}

#[test]
fn the_order_in_time_is_told() {
    let mut lab = failed();
    lab.case.changes = true;
    lab.before.iter_mut().filter(|f| f.node == "rs1").for_each(|f| set(f, &OFF));
    assert_eq!(ids(&lab), ["rs-vip-before-sysctl"]);
    let mut lab = failed();
    lab.case.changes = true;
    lab.after.iter_mut().filter(|f| f.node == "rs1").for_each(|f| set(f, &OFF));
    assert_eq!(ids(&lab), ["rs-sysctl-reverted"]);
}

#[test]
fn an_announcement_by_a_real_server_is_found_in_the_capture() {
    let mut lab = failed();
    let mac = lab.port("rs1", "lan").mac;
    lab.broadcast("rs1", "lan", arp(1, mac, VIP.into(), Mac([0; 6]), VIP.into()));
    assert_eq!(ids(&lab), ["rs-garp-on-boot"]);
    let mut lab = failed();
    let mac = lab.port("director", "lan").mac;
    lab.broadcast("director", "lan", arp(1, mac, VIP.into(), Mac([0; 6]), VIP.into()));
    assert_eq!(ids(&lab), [""; 0]);
}

#[test]
fn masks_on_lo_are_told_by_what_they_do() {
    let wide = |values: &'static [(&str, u32)]| {
        with("rs1", move |f| {
            f.addresses.pop();
            f.addresses.push(carried("lo", "172.16.0.66/16", None));
            set(f, values);
        })
    };
    assert_eq!(wide(&[]), ["rs-vip-prefix-on-lo"]);
    assert_eq!(wide(&[("all.rp_filter", 1)]), ["rs-vip-prefix-on-lo-rpf"]);
    assert_eq!(wide(&OFF), ["rs-vip-prefix-on-lo-arp"]);
}

/// The node's own address on `eth0` with another prefix length, or none.
pub(super) fn prefix(facts: &mut NodeFacts, len: Option<u8>) {
    let own = facts.addresses.iter().position(|a| a.interface == "eth0").unwrap();
    let ip = facts.addresses.remove(own).address.addr();
    if let Some(len) = len {
        facts.addresses.insert(own, carried("eth0", &format!("{ip}/{len}"), None));
    }
    let near = |net: ipnet::IpNet| len.is_some_and(|len| net.prefix_len() > 0 && net.prefix_len() == len);
    facts.routes.retain(|r| near(r.destination));
}

#[test]
fn an_interface_without_an_address_is_one_cause_with_all_that_follows() {
    for node in ["rs1", "director", "router", "client"] {
        assert_eq!(with(node, |f| prefix(f, None)), ["no-address"], "{node}");
    }
    // An address is not missed where another one does as well.
    let two = |f: &mut NodeFacts| f.addresses.insert(0, carried("eth0", "172.16.252.200/16", None));
    assert_eq!(with("rs1", two), [""; 0]);
}

#[test]
fn a_mask_that_leaves_the_next_hop_out_is_told_from_a_missing_route() {
    for node in ["rs1", "director", "client"] {
        assert_eq!(with(node, |f| prefix(f, Some(32))), ["address-prefix-narrow"], "{node}");
    }
    assert_eq!(with("rs1", without_default), ["rs-gw-missing"]);
}

#[test]
fn a_mask_that_takes_others_in_is_told_from_a_wrong_gateway() {
    let wide = |f: &mut NodeFacts| {
        f.addresses.push(carried("eth0", "203.0.113.77/24", None));
        f.routes.push(route("203.0.113.0/24", None, "eth0"));
    };
    assert_eq!(with("rs1", wide), ["address-prefix-wide"]);
    let elsewhere = |f: &mut NodeFacts| f.routes.push(route("203.0.113.0/24", Some("172.16.9.9"), "eth0"));
    assert_eq!(with("rs1", elsewhere), ["rs-gw-wrong"]);
}

#[test]
fn a_rip_that_nobody_has_is_the_tables_mistake() {
    let renumbered = |f: &mut NodeFacts| {
        let own = f.addresses.iter_mut().find(|a| a.interface == "eth0").unwrap();
        own.address = "172.16.9.9/16".parse().unwrap();
    };
    assert_eq!(with("rs1", renumbered), ["ipvs-rip-nobody"]);
    let typed = |f: &mut NodeFacts| {
        f.ipvs.as_mut().unwrap().services[0].destinations[0].at = "172.16.9.9:80".parse().unwrap();
    };
    assert_eq!(with("director", typed), ["ipvs-rip-nobody"]);
}

#[test]
fn a_gateway_that_does_not_forward_is_the_mistake_of_who_sends_there() {
    let host = |f: &mut NodeFacts| {
        without_default(f);
        f.routes.push(route("0.0.0.0/0", Some("172.16.253.202"), "eth0"));
    };
    assert_eq!(with("rs1", host), ["rs-gw-wrong"]);
}

#[test]
fn ways_are_followed_to_their_end() {
    assert_eq!(with("rs1", without_default), ["rs-gw-missing"]);
    let nobody = |f: &mut NodeFacts| {
        without_default(f);
        f.routes.push(route("0.0.0.0/0", Some("172.16.9.9"), "eth0"));
    };
    assert_eq!(with("rs1", nobody), ["rs-gw-wrong"]);
    assert_eq!(with("client", without_default), ["no-route"]);
    let specific = |f: &mut NodeFacts| {
        nobody(f);
        f.routes.push(route("203.0.113.0/24", Some("172.16.255.254"), "eth0"));
    };
    assert_eq!(with("rs1", specific), [""; 0]);
    assert_eq!(conf("router", &[("eth0.forwarding", 0), ("eth1.forwarding", 0)]), ["not-forwarding"]);
    assert_eq!(conf("director", &[("eth0.forwarding", 0)]), [""; 0]);
}

#[test]
fn a_source_check_is_broken_by_a_way_back_that_leaves_elsewhere() {
    let elsewhere = |level: u32| {
        move |f: &mut NodeFacts| {
            second(f, "eth9", "10.9.9.9/24", false);
            f.routes.push(route("203.0.113.0/24", None, "eth9"));
            set(f, &[("eth0.rp_filter", level)]);
        }
    };
    assert!(with("director", elsewhere(1)).contains(&"dir-rpfilter-two-arm".to_owned()));
    assert!(with("rs1", elsewhere(1)).contains(&"rs-rpfilter-two-nic".to_owned()));
    assert!(!with("director", elsewhere(2)).contains(&"dir-rpfilter-two-arm".to_owned()));
    let router = |f: &mut NodeFacts| {
        f.addresses.push(carried("lo", "203.0.113.2/32", None));
    };
    assert!(with("director", router).contains(&"source-refused".to_owned()));
}

#[test]
fn a_real_server_without_the_vip_drops_or_loops() {
    let off = |f: &mut NodeFacts| f.addresses.retain(|a| a.interface != "lo");
    assert_eq!(with("rs1", off), ["rs-vip-missing"]);
    let forwards = |f: &mut NodeFacts| {
        off(f);
        set(f, &[("eth0.forwarding", 1)]);
    };
    assert_eq!(with("rs1", forwards), ["rs-vip-missing-forwarding"]);
    assert_eq!(conf("rs1", &[("eth0.forwarding", 1)]), [""; 0]);
}

#[test]
fn the_directors_table_is_followed() {
    let services = |edit: fn(&mut crate::facts::IpvsFacts)| with("director", move |f| edit(f.ipvs.as_mut().unwrap()));
    assert_eq!(services(|i| i.services.clear()), ["ipvs-service-missing"]);
    assert_eq!(services(|i| i.services[0].destinations.iter_mut().for_each(|d| d.weight = 0)), ["ipvs-no-dest"]);
    assert_eq!(services(|i| i.services[0].destinations[0].weight = 0), [""; 0]);
    assert_eq!(
        services(|i| i.services[0].service = ServiceId::Fwmark { mark: 1, v6: false }),
        ["ipvs-fwmark-unmarked"]
    );
    let tunnel =
        |i: &mut crate::facts::IpvsFacts| i.services[0].destinations[0].forwarding = crate::base::Forwarding::Tun;
    assert_eq!(services(tunnel), ["ipvs-method-tun"]);
    let marked = with("director", |f| {
        f.ipvs.as_mut().unwrap().services[0].service = ServiceId::Fwmark { mark: 1, v6: false };
        f.iptables = Some(vec![
            "-t mangle -A PREROUTING -d 172.16.0.66/32 -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x1/0xffffffff"
                .into(),
        ]);
    });
    assert_eq!(marked, [""; 0]);
    assert_eq!(with("director", |f| f.ipvs = None), [""; 0]);
}

#[test]
fn packet_filters_are_followed_as_far_as_they_are_understood() {
    let rule = |node: &'static str, rule: &'static str| with(node, move |f| f.iptables = Some(vec![rule.into()]));
    let drop = "-A INPUT -d 172.16.0.66/32 -p tcp -m tcp --dport 80 -j DROP";
    assert_eq!(rule("director", drop), ["dir-fw-input"]);
    assert_eq!(rule("rs1", drop), ["rs-fw"]);
    assert_eq!(rule("rs1", "-A INPUT -d 172.16.0.66/32 -p tcp -m tcp --dport 81 -j DROP"), [""; 0]);
    assert_eq!(rule("rs1", "-A INPUT -m conntrack --ctstate INVALID -j DROP"), [""; 0]);
    assert_eq!(rule("rs1", "-P INPUT DROP"), ["rs-fw"]);
}

#[test]
fn sockets_are_compared_with_what_comes_in() {
    let listens = |at: Option<&str>| {
        let sockets: Vec<SocketFact> =
            at.into_iter().map(|at| SocketFact { protocol: Protocol::Tcp, at: at.parse().unwrap() }).collect();
        with("rs1", move |f| f.sockets = Some(sockets.clone()))
    };
    assert_eq!(listens(Some("172.16.252.137:80")), ["app-bound-rip"]);
    assert_eq!(listens(Some("127.0.0.1:80")), ["app-bound-rip"]);
    assert_eq!(listens(Some("0.0.0.0:8080")), ["app-not-listening"]);
    assert_eq!(listens(None), ["app-not-listening"]);
    assert_eq!(listens(Some("172.16.0.66:80")), [""; 0]);
    assert_eq!(listens(Some("[::]:80")), [""; 0]);
    assert_eq!(with("rs1", |f| f.sockets = None), [""; 0]);
}

#[test]
fn a_udp_server_that_answers_from_the_rip_is_found_in_the_capture() {
    let answered = |back: Back| {
        let mut lab = Lab::textbook();
        lab.service().id = ServiceId::Address { protocol: Protocol::Udp, at: SERVICE };
        let everywhere = SocketFact { protocol: Protocol::Udp, at: SocketAddr::new([0, 0, 0, 0].into(), 80) };
        for node in ["rs1", "rs2"] {
            lab.edit_facts(node, |f| f.sockets = Some(vec![everywhere]));
        }
        lab.edit_facts("director", |f| {
            f.ipvs.as_mut().unwrap().services[0].service = ServiceId::Address { protocol: Protocol::Udp, at: SERVICE };
        });
        lab.exchange(&Exchange::with("rs1").by(Protocol::Udp).back(back));
        ids(&lab)
    };
    assert_eq!(answered(Back::FromRip), ["app-udp-source"]);
    assert_eq!(answered(Back::Straight), [""; 0]);
}

#[test]
fn what_a_real_server_of_weight_0_lacks_is_not_missed() {
    let stopped = |weight: u32| {
        let mut lab = failed();
        lab.edit_facts("rs1", |f| f.sockets = Some(Vec::new()));
        lab.edit_facts("director", |f| {
            let of_rs1 = |d: &&mut crate::facts::DestinationFact| d.at.ip() == IpAddr::from([172, 16, 252, 137]);
            let destinations = &mut f.ipvs.as_mut().unwrap().services[0].destinations;
            destinations.iter_mut().find(of_rs1).unwrap().weight = weight;
        });
        ids(&lab)
    };
    assert_eq!(stopped(1), ["app-not-listening"]);
    assert_eq!(stopped(0), [""; 0]);
}

#[test]
fn two_mistakes_are_two_findings() {
    let mut lab = failed();
    lab.edit_facts("rs1", |f| set(f, &OFF));
    lab.edit_facts("rs2", without_default);
    lab.edit_facts("director", |f| bind(f, "172.16.253.202".parse().unwrap(), SOMEBODY, "permanent"));
    assert_eq!(ids(&lab), ["rs-arp-default", "rip-neigh-stale", "rs-gw-missing"]);
}

#[test]
fn a_cause_tells_its_consequences() {
    let mut lab = failed();
    lab.edit_facts("rs1", |f| set(f, &OFF));
    let findings = lab.findings();
    assert_eq!(findings.len(), 1);
    assert!(findings[0].effects[0].contains("in the VIP's name by rs1"), "{:?}", findings[0].effects);
}
