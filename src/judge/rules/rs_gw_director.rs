//! `rs-gw-director`: a real server sends its replies to the Director.

use std::net::IpAddr;

use super::{Affliction, Rule};
use crate::base::{Forwarding, NodeName, Role};
use crate::facts::RouteFact;
use crate::judge::Evidence;
use crate::judge::case::Station;
use crate::judge::host::{Host, route_line};
use crate::judge::traffic::Traffic;

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-gw-director",
    title: "a real server's gateway is the Director",
    teaches: "With direct routing the reply carries the VIP as its source and goes straight to the client. Sent to the \
              Director it arrives from outside with one of the Director's own addresses as source: a martian, which is \
              dropped unless accept_local is set. The gateway belongs to NAT; here it is the router.",
    causes: "replies end at the Director, and connections to that real server time out",
    source: "net/ipv4/fib_frontend.c: __fib_validate_source; net/ipv4/route.c: ip_handle_martian_source",
    outranks: &[],
    what: |nodes| format!("the route to the clients leads through the Director on {nodes}"),
    afflicted,
};

fn afflicted(traffic: &Traffic<'_>) -> Vec<Affliction> {
    let input = traffic.input;
    let mut found = Vec::new();
    for station in traffic.real_servers() {
        let services = input.case.services.iter().filter(|s| traffic.members(s).iter().any(|m| m.node == station.node));
        let methods: Vec<Forwarding> = services.filter_map(|s| traffic.forwarding_to(s, station)).collect();
        if !methods.is_empty() && methods.iter().all(|m| *m == Forwarding::Nat) {
            continue;
        }
        let Some(facts) = input.facts(&station.node) else { continue };
        let back = traffic.client_addresses().into_iter().find_map(|client| {
            let route = Host(facts).route_to(client)?;
            Some((client, route, route.gateway.filter(|&g| traffic.is_directors_address(g))?))
        });
        if let Some((client, route, gateway)) = back {
            found.push(Affliction {
                node: station.node.clone(),
                interface: route.interface.clone(),
                evidence: vec![Evidence::fact(format!("{} reaches {client} by", station.node), route_line(route))],
                mend: mend(traffic, station, route, gateway),
            });
        }
    }
    found
}

fn mend(traffic: &Traffic<'_>, station: &Station, route: &RouteFact, director: IpAddr) -> Vec<String> {
    let node: &NodeName = &station.node;
    let to = if route.destination.prefix_len() == 0 { "default".to_owned() } else { route.destination.to_string() };
    let Some(router) = router_beside(traffic, station, director) else {
        return vec![format!("on {node}: ip route del {to} via {director}")];
    };
    let device = route.interface.as_ref().map_or_else(String::new, |i| format!(" dev {i}"));
    let mut commands = vec![format!("on {node}: ip route replace {to} via {router}{device}")];
    if to == "default" && router.is_ipv4() {
        commands.push(format!("on {node}: route del default gw {director}; route add default gw {router}"));
    }
    commands
}

/// A router's address on a segment of the station, of the same family.
fn router_beside(traffic: &Traffic<'_>, station: &Station, like: IpAddr) -> Option<IpAddr> {
    let case = traffic.input.case;
    let ports = case.with_role(Role::Router).flat_map(|r| &r.ports).filter(|p| station.is_on(&p.segment));
    ports.flat_map(|p| &p.addresses).map(ipnet::IpNet::addr).find(|a| a.is_ipv4() == like.is_ipv4() && !case.is_vip(*a))
}
