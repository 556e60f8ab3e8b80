//! Routes: those given, default gateways by role, and what routers need to reach other segments and the VIP.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

use ipnet::IpNet;

use super::draft::{Draft, Family, host, many};
use super::{CompileError, Implied, Node, Route};
use crate::base::{Forwarding, IfName, NodeName, Role};
use crate::scenario::spec;

/// Adds each node's routes: implied ones first, so that a given one may lean on them.
pub(super) fn add(draft: &mut Draft<'_>) -> Result<(), CompileError> {
    for index in 0..draft.nodes.len() {
        let node = &draft.nodes[index];
        let given = given(draft, node)?;
        let (gateways, unsaid) = said_gateways(draft, node)?;
        let mut routes = Vec::new();
        let mut said = Vec::new();
        let to_vip = vip_routes(draft, node);
        let between = if node.role == Role::Router { segment_routes(draft, node) } else { Vec::new() };
        let default = unsaid.iter().filter_map(|family| default_route(draft, node, *family));
        // The kernel refuses a route by an interface that is down, and drops those that it has when one goes down.
        let down = |route: &Route| {
            let by = route.interface.as_ref().and_then(|name| node.interface(name.as_str()));
            by.is_some_and(|interface| !interface.up)
        };
        for (route, why) in to_vip.into_iter().chain(between).chain(default).filter(|(route, _)| !down(route)) {
            if !given.iter().chain(&gateways).any(|g| g.destination == route.destination) {
                said.push(Implied { whom: node.name.to_string(), what: words(&route), why });
                routes.push(route);
            }
        }
        routes.extend(gateways.into_iter().filter(|route| !down(route)));
        routes.extend(given);
        draft.nodes[index].routes = routes;
        draft.implied.extend(said);
    }
    Ok(())
}

/// A route as `ip route` writes it.
pub(super) fn words(route: &Route) -> String {
    let destination = if route.destination.prefix_len() == 0 {
        if route.destination.addr().is_ipv4() { "default".to_owned() } else { "default (IPv6)".to_owned() }
    } else {
        route.destination.to_string()
    };
    let words = [
        ("via", route.gateway.map(|g| g.to_string())),
        ("dev", route.interface.as_ref().map(ToString::to_string)),
        ("src", route.source.map(|s| s.to_string())),
        ("mtu", route.mtu.map(|m| m.to_string())),
    ];
    let words = words.into_iter().filter_map(|(word, value)| Some(format!(" {word} {}", value?)));
    format!("route {destination}{}", words.collect::<String>())
}

fn given(draft: &Draft<'_>, node: &Node) -> Result<Vec<Route>, CompileError> {
    let routes = draft.said(&node.name).map_or(&[][..], |n| &n.routes);
    routes.iter().map(|said| one(&node.name, said)).collect()
}

fn one(node: &NodeName, said: &spec::Route) -> Result<Route, CompileError> {
    let bad = || CompileError::BadRoute { node: node.clone(), text: said.to.clone() };
    let destination = if said.to == "default" {
        said.via.map_or(Family::V4, Family::of).everything()
    } else {
        let address = || said.to.parse::<IpAddr>().ok().map(host);
        said.to.parse::<IpNet>().ok().or_else(address).map(|net| net.trunc()).ok_or_else(bad)?
    };
    Ok(Route { destination, gateway: said.via, interface: said.dev.clone(), source: said.src, mtu: said.mtu })
}

/// The default routes that the node's `gateway` states, and the families of which it says nothing.
fn said_gateways(draft: &Draft<'_>, node: &Node) -> Result<(Vec<Route>, Vec<Family>), CompileError> {
    let mut unsaid = Family::BOTH.to_vec();
    let mut routes = Vec::new();
    for text in draft.said(&node.name).and_then(|n| n.gateway.as_ref()).map_or(&[][..], many) {
        if text == "none" {
            return Ok((Vec::new(), Vec::new()));
        }
        let addresses: Vec<IpAddr> = match (text.parse(), draft.nodes.iter().find(|n| n.name == **text)) {
            (Ok(address), _) => vec![address],
            (Err(_), Some(gateway)) => {
                Family::BOTH.iter().filter_map(|f| draft.own_address(gateway, Some(node), *f)).collect()
            }
            (Err(_), None) => Vec::new(),
        };
        if addresses.is_empty() {
            return Err(CompileError::BadGateway { node: node.name.clone(), text: text.clone() });
        }
        for address in addresses {
            let family = Family::of(address);
            unsaid.retain(|f| *f != family);
            routes.push(Route {
                destination: family.everything(),
                gateway: Some(address),
                interface: draft.towards(&node.name, address).ok(),
                source: None,
                mtu: None,
            });
        }
    }
    Ok((routes, unsaid))
}

fn default_route(draft: &Draft<'_>, node: &Node, family: Family) -> Option<(Route, String)> {
    if node.role == Role::Router {
        return None;
    }
    let masquerading = |director: &Node| {
        let held = draft.services.iter().filter(|w| w.directors.contains(&director.name));
        let mut destinations = held.flat_map(|w| &w.service.destinations);
        destinations.any(|d| d.node.as_ref() == Some(&node.name) && d.forwarding == Forwarding::Nat)
    };
    let director = draft
        .with_role(Role::Director)
        .filter(|d| d.name != node.name && masquerading(d))
        .find_map(|d| hop(draft, node, d, family))
        .map(|route| (route, "under NAT the replies must come back through the Director".to_owned()));
    let router = || {
        let (router, route) = node.ports().find_map(|interface| {
            let segment = interface.segment()?;
            let mut beside = draft.with_role(Role::Router).filter(|r| r.port_on(segment).is_some());
            beside.find_map(|r| Some((r, hop(draft, node, r, family)?)))
        })?;
        Some((route, format!("{} is the router on its segment", router.name)))
    };
    director.or_else(router)
}

/// The default route of a node by a neighbour on one of its segments.
fn hop(draft: &Draft<'_>, node: &Node, neighbour: &Node, family: Family) -> Option<Route> {
    let (gateway, interface) = neighbour_address(draft, node, neighbour, family)?;
    Some(Route {
        destination: family.everything(),
        gateway: Some(gateway),
        interface: Some(interface),
        source: None,
        mtu: None,
    })
}

/// A neighbour's own address on a segment where the node has an address of that family too, and the node's interface.
fn neighbour_address(draft: &Draft<'_>, node: &Node, neighbour: &Node, family: Family) -> Option<(IpAddr, IfName)> {
    node.ports().filter(|i| i.first(family).is_some()).find_map(|i| {
        let there = neighbour.port_on(i.segment()?)?;
        let own = there.addresses.iter().map(|a| a.address.addr());
        let address = own.into_iter().find(|a| Family::of(*a) == family && !draft.vips.contains(a))?;
        Some((address, i.name.clone()))
    })
}

/// Routes of a router to the segments that it is not on, by the shortest way over other routers.
fn segment_routes(draft: &Draft<'_>, here: &Node) -> Vec<(Route, String)> {
    let mut routes = Vec::new();
    for segment in draft.segments.iter().filter(|s| here.port_on(&s.name).is_none()) {
        let Some(first) = first_hop(draft, here, &segment.name) else { continue };
        for family in Family::BOTH {
            let (Some(subnet), Some((gateway, interface))) =
                (segment.subnet(family), neighbour_address(draft, here, first, family))
            else {
                continue;
            };
            routes.push((
                Route {
                    destination: subnet,
                    gateway: Some(gateway),
                    interface: Some(interface),
                    source: None,
                    mtu: None,
                },
                format!("segment {} lies behind {}", segment.name, first.name),
            ));
        }
    }
    routes
}

/// The neighbouring router over which the shortest way to a segment goes.
fn first_hop<'d>(draft: &'d Draft<'_>, from: &Node, target: &NodeName) -> Option<&'d Node> {
    let linked = |a: &Node, b: &Node| a.ports().any(|i| i.segment().is_some_and(|s| b.port_on(s).is_some()));
    let routers: Vec<&Node> = draft.with_role(Role::Router).collect();
    let mut seen: BTreeSet<&NodeName> = [&from.name].into();
    let start = routers.iter().copied().filter(|r| r.name != from.name && linked(from, r)).map(|r| (r, r));
    let mut queue: VecDeque<(&Node, &Node)> = start.collect();
    while let Some((at, first)) = queue.pop_front() {
        if !seen.insert(&at.name) {
            continue;
        }
        if at.port_on(target).is_some() {
            return Some(first);
        }
        queue.extend(routers.iter().copied().filter(|r| linked(at, r)).map(|r| (r, first)));
    }
    None
}

/// How a router, or a client beside the Director, reaches a VIP that lies in no segment's subnet.
fn vip_routes(draft: &Draft<'_>, node: &Node) -> Vec<(Route, String)> {
    let foreign = draft.vips.iter().filter(|vip| !draft.segments.iter().any(|s| s.holds(**vip)));
    let way = |vip: IpAddr| {
        let home = draft.vip_segment(vip)?;
        let route = |gateway, interface| Route {
            destination: host(vip),
            gateway,
            interface: Some(interface),
            source: None,
            mtu: None,
        };
        let routed = draft.with_role(Role::Router).any(|r| r.port_on(home).is_some());
        match (node.role, node.port_on(home)) {
            (Role::Router, Some(port)) => Some((
                route(None, port.name.clone()),
                "the VIP is in no segment's subnet, so the router asks for it by ARP on the Director's segment"
                    .to_owned(),
            )),
            (Role::Client, Some(port)) if !routed => Some((
                route(None, port.name.clone()),
                "the VIP is in no segment's subnet, and the client is on the Director's segment".to_owned(),
            )),
            (Role::Router, None) => {
                let first = first_hop(draft, node, home)?;
                let (gateway, interface) = neighbour_address(draft, node, first, Family::of(vip))?;
                Some((route(Some(gateway), interface), format!("the VIP lies behind {}", first.name)))
            }
            _ => None,
        }
    };
    foreign.filter_map(|vip| way(*vip)).collect()
}
