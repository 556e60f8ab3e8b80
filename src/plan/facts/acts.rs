//! What a timeline's acts do to the facts of a plan.
//!
//! Owns: the same acts that a kernel is given, done to facts. Refuses: acts that only send or wait; what they leave in
//! neighbour tables is not known before they are done.

use std::net::IpAddr;

use super::{add_address, destination, routes_of, service, sysctls};
use crate::base::{IfName, NodeName, ServiceId};
use crate::facts::{AddressFact, IpvsFacts, NeighbourFact, NodeFacts, ServiceFact, SocketFact};
use crate::plan::{Act, Plan};

/// Does one act.
pub(super) fn apply(plan: &Plan, act: &Act, all: &mut [NodeFacts]) {
    if let Act::AddAddress { node, address, unless_taken: true, .. } = act
        && all.iter().any(|f| f.node != *node && answers(plan, f, address.address.addr()))
    {
        return;
    }
    let Some(facts) = act.node().and_then(|node| all.iter_mut().find(|f| f.node == *node)) else { return };
    match act {
        Act::SetSysctl { key, value, .. } => sysctls::write(&mut facts.sysctls, key, value),
        Act::SetWeight { service, destination, weight, .. } => {
            let held = held(facts, *service).into_iter().flat_map(|s| &mut s.destinations);
            held.filter(|d| d.at == *destination).for_each(|d| d.weight = *weight);
        }
        Act::AddService { service: new, .. } => table(facts).extend(std::iter::once(service(new))),
        Act::DeleteService { service, .. } => table(facts).retain(|s| s.service != *service),
        Act::AddDestination { service, destination: new, .. } => {
            if let Some(held) = held(facts, *service) {
                held.destinations.push(destination(new));
            }
        }
        Act::DeleteDestination { service, destination, .. } => {
            if let Some(held) = held(facts, *service) {
                held.destinations.retain(|d| d.at != *destination);
            }
        }
        Act::SetLink { interface, up, .. } => set_link(facts, interface, *up),
        Act::AddAddress { interface, address, .. } => add_address(facts, interface, address),
        Act::DeleteAddress { interface, address, .. } => delete_address(facts, interface, *address),
        Act::StopServer { node, server } | Act::StartServer { node, server } => {
            let servers = plan.nodes.iter().filter(|n| n.name == *node).flat_map(|n| &n.servers);
            let Some(server) = servers.into_iter().find(|s| s.name == *server) else { return };
            let socket = SocketFact { protocol: server.protocol, at: server.bind };
            let sockets = facts.sockets.get_or_insert_default();
            sockets.retain(|s| *s != socket);
            if matches!(act, Act::StartServer { .. }) {
                sockets.push(socket);
            }
        }
        Act::FlushNeighbours { interface, address, .. } => facts.neighbours.retain(|n| {
            n.state == "permanent"
                || interface.as_ref().is_some_and(|i| *i != n.interface)
                || address.is_some_and(|a| a != n.address)
        }),
        Act::SetNeighbour { interface, address, mac, permanent, .. } => {
            facts.neighbours.retain(|n| n.interface != *interface || n.address != *address);
            facts.neighbours.push(NeighbourFact {
                interface: interface.clone(),
                address: *address,
                mac: Some(*mac),
                state: if *permanent { "permanent" } else { "stale" }.to_owned(),
            });
        }
        // What programs set and take back only a kernel can tell.
        Act::StartDaemon { .. }
        | Act::StopDaemon { .. }
        | Act::KillDaemon { .. }
        | Act::Run { .. }
        | Act::Load(_)
        | Act::GratuitousArp { .. }
        | Act::Ping { .. }
        | Act::Pause { .. }
        | Act::WaitUntil { .. } => {}
    }
}

/// Whether a node answers who has the address, by `arp_ignore` alone.
fn answers(plan: &Plan, facts: &NodeFacts, address: IpAddr) -> bool {
    let carried = |interface: &IfName| {
        let mut all = facts.addresses.iter().filter(|a| a.interface == *interface);
        all.any(|a| a.address.addr() == address)
    };
    let level = |device: &str| {
        let key = format!("net.ipv4.conf.{}.arp_ignore", device.replace('.', "/"));
        facts.sysctls.get(&key).and_then(|value| value.parse::<u32>().ok()).unwrap_or(0)
    };
    let ports = plan.nodes.iter().filter(|n| n.name == facts.node).flat_map(|n| &n.interfaces);
    ports.filter(|i| i.segment().is_some()).any(|port| match level("all").max(level(port.name.as_str())) {
        0 | 4..=7 => facts.addresses.iter().any(|a| a.address.addr() == address),
        1 | 2 => carried(&port.name),
        _ => false,
    })
}

/// Ends duplicate address detection where one of two that have an address does none: the other one loses it
/// (`addrconf_dad_failure`). Where both detect, nobody knows who was first.
pub(super) fn detect(plan: &Plan, all: &mut [NodeFacts]) {
    let port = |facts: &NodeFacts, name: &IfName| {
        let node = plan.nodes.iter().find(|n| n.name == facts.node)?;
        node.interface(name.as_str())?.segment().cloned()
    };
    let detects = |facts: &NodeFacts, a: &AddressFact| {
        let on = ["all", a.interface.as_str()].iter().any(|device| {
            let key = format!("net.ipv6.conf.{}.accept_dad", device.replace('.', "/"));
            facts.sysctls.get(&key).and_then(|value| value.parse::<i32>().ok()).is_some_and(|value| value > 0)
        });
        on && !a.flags.iter().any(|flag| flag == "nodad")
    };
    let mut sure = Vec::new();
    for facts in all.iter() {
        for a in facts.addresses.iter().filter(|a| a.address.addr().is_ipv6() && !detects(facts, a)) {
            sure.extend(port(facts, &a.interface).map(|segment| (facts.node.clone(), segment, a.address.addr())));
        }
    }
    for facts in all.iter_mut() {
        let lost: Vec<usize> = (0..facts.addresses.len())
            .filter(|at| {
                let a = &facts.addresses[*at];
                let segment = port(facts, &a.interface);
                let other = |(node, on, ip): &(NodeName, NodeName, IpAddr)| {
                    *node != facts.node && Some(on) == segment.as_ref() && *ip == a.address.addr()
                };
                detects(facts, a) && sure.iter().any(other)
            })
            .collect();
        for at in lost {
            // It never came into use.
            let single = ipnet::IpNet::from(facts.addresses[at].address.addr());
            facts.routes.retain(|r| r.destination != single || r.protocol != "kernel");
            let flags = &mut facts.addresses[at].flags;
            if !flags.iter().any(|flag| flag == "dadfailed") {
                flags.extend(["tentative".to_owned(), "dadfailed".to_owned()]);
            }
        }
    }
}

fn table(facts: &mut NodeFacts) -> &mut Vec<ServiceFact> {
    let empty = || IpvsFacts {
        version: String::new(),
        timeout_tcp_s: super::IPVS_TIMEOUTS_S.0,
        timeout_tcp_fin_s: super::IPVS_TIMEOUTS_S.1,
        timeout_udp_s: super::IPVS_TIMEOUTS_S.2,
        services: Vec::new(),
        connections: Vec::new(),
        total_connections: 0,
        total_in_packets: 0,
        total_out_packets: 0,
    };
    &mut facts.ipvs.get_or_insert_with(empty).services
}

fn held(facts: &mut NodeFacts, service: ServiceId) -> Option<&mut ServiceFact> {
    facts.ipvs.as_mut()?.services.iter_mut().find(|s| s.service == service)
}

/// An interface that goes down loses its routes in `main`; only those of its addresses come back with it
/// (`fib_disable_ip`, `fib_add_ifaddr`).
fn set_link(facts: &mut NodeFacts, interface: &IfName, up: bool) {
    for link in facts.links.iter_mut().filter(|l| l.name == *interface && l.up != up) {
        (link.up, link.carrier) = (up, up);
        facts.routes.retain(|r| r.table != "main" || r.interface.as_ref() != Some(interface));
        if up {
            let carried = facts.addresses.iter().filter(|a| a.interface == *interface);
            let connected = carried.flat_map(|a| routes_of(a, true)).filter(|r| r.table == "main");
            facts.routes.extend(connected);
        } else {
            facts.neighbours.retain(|n| n.interface != *interface);
            // IPv6 addresses go with the link (`addrconf_ifdown`).
            let gone = |address: &ipnet::IpNet| address.addr().is_ipv6();
            facts.addresses.retain(|a| a.interface != *interface || !gone(&a.address));
            facts.routes.retain(|r| r.interface.as_ref() != Some(interface) || !gone(&r.destination));
        }
    }
}

/// A primary address takes the secondary ones of its subnet along, unless they are promoted (`__inet_del_ifa`).
fn delete_address(facts: &mut NodeFacts, interface: &IfName, address: ipnet::IpNet) {
    let is = |a: &crate::facts::AddressFact| a.interface == *interface && a.address == address;
    let Some(at) = facts.addresses.iter().position(is) else { return };
    let gone = facts.addresses.remove(at);
    let mut lost = vec![gone.clone()];
    let secondary = |flags: &[String]| flags.iter().any(|flag| flag == "secondary");
    if gone.address.addr().is_ipv4() && !secondary(&gone.flags) {
        let promotes = ["all", interface.as_str()].iter().any(|device| {
            let key = format!("net.ipv4.conf.{}.promote_secondaries", device.replace('.', "/"));
            facts.sysctls.get(&key).is_some_and(|value| value != "0")
        });
        let along = |a: &crate::facts::AddressFact| {
            a.interface == *interface && a.address.trunc() == address.trunc() && secondary(&a.flags)
        };
        let (mut others, kept): (Vec<_>, Vec<_>) = facts.addresses.drain(..).partition(along);
        facts.addresses = kept;
        if promotes {
            for one in &mut others {
                one.flags.retain(|flag| flag != "secondary");
            }
            facts.addresses.append(&mut others);
        }
        lost.extend(others);
    }
    for one in lost {
        for route in routes_of(&one, true) {
            let used = facts.addresses.iter().flat_map(|a| routes_of(a, true)).any(|r| same_way(&r, &route));
            facts.routes.retain(|r| used || !same_way(r, &route) || r.protocol != "kernel");
        }
    }
}

/// Whether two routes are to the same place by the same interface.
fn same_way(one: &crate::facts::RouteFact, other: &crate::facts::RouteFact) -> bool {
    one.table == other.table && one.destination == other.destination && one.interface == other.interface
}
