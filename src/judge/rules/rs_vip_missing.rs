//! `rs-vip-missing`: a real server does not have the VIP, so it drops what the Director sends it.

use std::net::IpAddr;

use super::{Affliction, Rule};
use crate::base::Forwarding;
use crate::judge::Evidence;
use crate::judge::host::{Host, address_line};
use crate::judge::traffic::Traffic;

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-vip-missing",
    title: "a real server does not have the VIP",
    teaches: "Direct routing leaves the VIP in the packet as its destination. A host that does not own the address drops \
              it (IpInAddrErrors grows) or, when it forwards, sends it on in a loop. The VIP belongs on lo as a single \
              address, after the ARP sysctls. A health check of the RIP stays green all the while.",
    causes: "every connection that is sent there times out, which is a fixed share of all",
    source: "net/ipv4/route.c: ip_route_input_slow; net/ipv6/ip6_input.c",
    outranks: &[],
    what: |nodes| format!("the VIP is missing on {nodes}"),
    afflicted,
};

fn afflicted(traffic: &Traffic<'_>) -> Vec<Affliction> {
    let input = traffic.input;
    let mut found: Vec<Affliction> = Vec::new();
    for service in &input.case.services {
        for station in traffic.members(service).iter().filter(|s| traffic.is_real_server(s)) {
            let Some(facts) = input.facts(&station.node).filter(|f| !f.addresses.is_empty()) else { continue };
            let translated = traffic.forwarding_to(service, station) == Some(Forwarding::Nat);
            for vip in traffic.vips_of(service) {
                let inside = |a: &&crate::facts::AddressFact| a.interface == "lo" && a.address.contains(&vip);
                let has = Host(facts).carries(vip).next().is_some() || facts.addresses.iter().any(|a| inside(&a));
                if !translated && !has && !found.iter().any(|f| f.node == station.node) {
                    found.push(affliction(&station.node, vip, facts));
                }
            }
        }
    }
    found
}

fn affliction(node: &crate::base::NodeName, vip: IpAddr, facts: &crate::facts::NodeFacts) -> Affliction {
    let addresses: Vec<String> = facts.addresses.iter().map(address_line).collect();
    let mut evidence = vec![Evidence::fact(format!("all addresses of {node}"), addresses.join(", "))];
    if let Some(errors) = facts.counters.get("IpInAddrErrors") {
        evidence.push(Evidence::fact(
            format!("packets that {node} took for not its own"),
            format!("IpInAddrErrors {errors}"),
        ));
    }
    let mend = if vip.is_ipv4() {
        vec![
            format!("on {node}: sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2"),
            format!("on {node}: ip address add {vip}/32 dev lo label lo:0"),
            format!("on {node}: ifconfig lo:0 {vip} netmask 255.255.255.255 broadcast {vip} up"),
        ]
    } else {
        vec![format!("on {node}: ip -6 address add {vip}/128 dev lo")]
    };
    Affliction { node: node.clone(), interface: None, evidence, mend }
}
