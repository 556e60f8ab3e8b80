//! `ipvs-method-masq`: NAT in a topology that is made for direct routing.

use super::{Affliction, Rule};
use crate::base::{Forwarding, Protocol, ServiceId};
use crate::judge::Evidence;
use crate::judge::host::{Host, route_line};
use crate::judge::traffic::Traffic;

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ipvs-method-masq",
    title: "the service forwards by NAT, but replies do not come back through the Director",
    teaches: "With NAT (`-m`) the Director writes the RIP into the packet and must see the reply to put the VIP back. Where \
              real servers answer through another gateway, the client gets a packet from an address that it never \
              asked, and resets it. Direct routing (`-g`) fits that topology.",
    causes: "replies reach the client with the RIP as source: connections time out",
    source: "net/netfilter/ipvs/ip_vs_xmit.c: ip_vs_nat_xmit; ip_vs_core.c: handle_response",
    outranks: &[],
    what: |nodes| format!("NAT to real servers whose replies do not come back through it, on {nodes}"),
    afflicted,
};

fn afflicted(traffic: &Traffic<'_>) -> Vec<Affliction> {
    let input = traffic.input;
    let mut found = Vec::new();
    for service in &input.case.services {
        let clients = traffic.client_addresses();
        for station in traffic.members(service).iter().filter(|s| traffic.is_real_server(s)) {
            let Some(facts) = input.facts(&station.node) else { continue };
            let elsewhere = clients.iter().find_map(|&client| {
                let route = Host(facts).route_to(client)?;
                let back = route.gateway.is_some_and(|g| traffic.is_directors_address(g));
                (!back).then_some((client, route))
            });
            let (Some((client, route)), Some(Forwarding::Nat)) = (elsewhere, traffic.forwarding_to(service, station))
            else {
                continue;
            };
            let (director, node) = (&service.director, &station.node);
            let Some(wanted) = service.destinations.iter().find(|d| station.has(d.at.ip())) else { continue };
            let mut mend = Vec::new();
            if let ServiceId::Address { protocol, at } = service.id {
                let flag = flag(protocol);
                mend.push(format!("on {director}: ipvsadm -e {flag} {at} -r {} -g -w {}", wanted.at, wanted.weight));
                mend.push(format!(
                    "on {director}: in keepalived.conf, virtual_server {} {}: lb_kind DR",
                    at.ip(),
                    at.port()
                ));
            } else if let ServiceId::Fwmark { mark, .. } = service.id {
                mend.push(format!("on {director}: ipvsadm -e -f {mark} -r {} -g -w {}", wanted.at, wanted.weight));
            }
            let evidence = vec![
                Evidence::fact(
                    format!("{director} reaches {node} by NAT"),
                    format!("{} -> {} {}", service.id, wanted.at, Forwarding::Nat),
                ),
                Evidence::fact(format!("{node} answers {client} by"), route_line(route)),
            ];
            found.push(Affliction { node: director.clone(), interface: None, evidence, mend });
        }
    }
    found
}

/// How ipvsadm writes the transport.
pub(super) fn flag(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "-t",
        Protocol::Udp => "-u",
    }
}
