//! What a mutation does to a plan, and what follows from it on a real machine.
//!
//! Owns: changes as data, and applying them. A change that finds nothing to change says so, so that two mutations of
//! which one removes what the other is about are not taken for a pair.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::Serialize;

use crate::base::{IfName, Mac, NodeName, Protocol, ServiceId};
use crate::plan::{
    Act, Address, Destination, Interface, LinkKind, Load, Node, Plan, Route, Server, Service, Sysctl, TimedAct,
};

/// One edit of a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Change {
    /// A sysctl gets another value.
    Sysctl { node: NodeName, key: String, value: String },
    /// A sysctl is written once the lab has served some requests.
    SysctlLater { node: NodeName, key: String, value: String },
    /// An interface is down.
    Down { node: NodeName, interface: IfName },
    /// An interface has another MAC.
    Mac { node: NodeName, interface: IfName, mac: Mac },
    /// An address is another one, or gone.
    Address { node: NodeName, interface: IfName, address: IpAddr, to: Option<Address> },
    /// An address is on another interface; a dummy is made where there is none of that name.
    Move { node: NodeName, from: IfName, address: IpAddr, to: IfName },
    /// An address is the first that the interface gets.
    First { node: NodeName, interface: IfName, address: IpAddr },
    /// A route has another gateway, or is gone.
    Route { node: NodeName, destination: IpNet, gateway: Option<IpAddr> },
    /// A rule of `arptables` is another one, or gone.
    ArpRule { node: NodeName, rule: Vec<String>, to: Option<Vec<String>> },
    /// A rule of `iptables` is another one, or gone.
    IpRule { node: NodeName, rule: Vec<String>, to: Option<Vec<String>> },
    /// A rule of `iptables` more.
    AddIpRule { node: NodeName, rule: Vec<String> },
    /// A permanent neighbour entry has another MAC, is gone, or is made.
    Neighbour { node: NodeName, interface: IfName, address: IpAddr, mac: Option<Mac> },
    /// A service is gone.
    NoService { node: NodeName, service: ServiceId },
    /// A service is another one; its real servers keep to its port.
    Service { node: NodeName, service: ServiceId, to: ServiceId },
    /// A service has another scheduler.
    Scheduler { node: NodeName, service: ServiceId, scheduler: String },
    /// A real server of a service is another one, or gone.
    Destination { node: NodeName, service: ServiceId, at: SocketAddr, to: Option<Destination> },
    /// A server listens elsewhere, or not at all.
    Server { node: NodeName, name: String, to: Option<(Protocol, SocketAddr)> },
}

impl Change {
    /// Makes the change; whether there was anything to change.
    pub(super) fn apply(&self, plan: &mut Plan) -> bool {
        match self {
            Self::Sysctl { node, key, value } => on(plan, node, |n| set(n, key, value)),
            Self::SysctlLater { node, key, value } => later(plan, node, key, value),
            Self::Down { node, interface } => with(plan, node, interface, |i| std::mem::replace(&mut i.up, false)),
            Self::Mac { node, interface, mac } => {
                with(plan, node, interface, |i| i.mac.replace(*mac).is_some_and(|old| old != *mac))
            }
            Self::Address { node, interface, address, to } => {
                with(plan, node, interface, |i| replace(&mut i.addresses, |a| a.address.addr() == *address, to.clone()))
            }
            Self::Move { node, from, address, to } => on(plan, node, |n| moved(n, from, *address, to)),
            Self::First { node, interface, address } => with(plan, node, interface, |i| {
                let at = i.addresses.iter().position(|a| a.address.addr() == *address).filter(|at| *at > 0);
                at.map(|at| i.addresses[..=at].rotate_right(1)).is_some()
            }),
            Self::Route { node, destination, gateway } => on(plan, node, |n| {
                let to = n.routes.iter().find(|r| r.destination == *destination).cloned();
                let to = gateway.and_then(|g| to.map(|r| Route { gateway: Some(g), ..r }));
                replace(&mut n.routes, |r| r.destination == *destination, to)
            }),
            Self::ArpRule { node, rule, to } => {
                on(plan, node, |n| replace(&mut n.arptables, |r| r == rule, to.clone()))
            }
            Self::IpRule { node, rule, to } => on(plan, node, |n| replace(&mut n.iptables, |r| r == rule, to.clone())),
            Self::AddIpRule { node, rule } => on(plan, node, |n| {
                n.iptables.push(rule.clone());
                true
            }),
            Self::Neighbour { node, interface, address, mac } => on(plan, node, |n| {
                let known = n.neighbours.iter().any(|e| e.address == *address);
                n.neighbours.retain(|e| e.address != *address);
                let entry = |mac| crate::plan::Neighbour { interface: interface.clone(), address: *address, mac };
                n.neighbours.extend(mac.map(entry));
                known || mac.is_some()
            }),
            Self::NoService { node, service } => on(plan, node, |n| {
                n.ipvs.as_mut().is_some_and(|i| replace(&mut i.services, |s| s.id == *service, None))
            }),
            Self::Service { node, service, to } => of_service(plan, node, service, |s| {
                if let ServiceId::Address { at, .. } = to {
                    s.destinations.iter_mut().for_each(|d| d.at.set_port(at.port()));
                }
                s.id = *to;
                true
            }),
            Self::Scheduler { node, service, scheduler } => of_service(plan, node, service, |s| {
                s.scheduler.clone_from(scheduler);
                true
            }),
            Self::Destination { node, service, at, to } => {
                of_service(plan, node, service, |s| replace(&mut s.destinations, |d| d.at == *at, to.clone()))
            }
            Self::Server { node, name, to } => on(plan, node, |n| {
                let known = n.servers.iter().find(|s| s.name == *name).cloned();
                let to = to.and_then(|(protocol, bind)| known.map(|s| Server { protocol, bind, ..s }));
                replace(&mut n.servers, |s| s.name == *name, to)
            }),
        }
    }
}

/// Takes out of a plan what the kernel would refuse or lose: routes of an interface that is down, and those whose
/// gateway is on no subnet of the node; a probe whose sender its node lacks.
pub(super) fn settle(plan: &mut Plan) {
    for node in &mut plan.nodes {
        let interfaces = node.interfaces.clone();
        node.routes.retain(|route| stands(&interfaces, route));
    }
    let nodes = plan.nodes.clone();
    plan.probes.retain(|probe| {
        let node = nodes.iter().find(|n| n.name == probe.node);
        let interface = node.and_then(|n| n.interfaces.iter().find(|i| i.name == probe.interface));
        interface.is_some_and(|i| i.up && i.addresses.iter().any(|a| a.address.addr() == probe.sender))
    });
}

fn stands(interfaces: &[Interface], route: &Route) -> bool {
    let by = |i: &&Interface| route.interface.as_ref().is_none_or(|name| *name == i.name);
    let mut leaving = interfaces.iter().filter(by).filter(|i| i.up && i.kind != LinkKind::Loopback);
    let Some(gateway) = route.gateway else { return leaving.next().is_some() };
    leaving.any(|i| gateway.is_ipv6() || i.addresses.iter().any(|a| a.address.contains(&gateway)))
}

fn on(plan: &mut Plan, node: &NodeName, edit: impl FnOnce(&mut Node) -> bool) -> bool {
    plan.nodes.iter_mut().find(|n| n.name == *node).is_some_and(edit)
}

fn with(plan: &mut Plan, node: &NodeName, interface: &IfName, edit: impl FnOnce(&mut Interface) -> bool) -> bool {
    on(plan, node, |n| n.interfaces.iter_mut().find(|i| i.name == *interface).is_some_and(edit))
}

fn of_service(plan: &mut Plan, node: &NodeName, id: &ServiceId, edit: impl FnOnce(&mut Service) -> bool) -> bool {
    let services = |n: &mut Node| {
        let table = n.ipvs.as_mut()?;
        table.services.iter_mut().find(|s| s.id == *id).map(edit)
    };
    on(plan, node, |n| services(n).unwrap_or(false))
}

/// Puts another in the place of the first that fits, or takes that one out.
fn replace<T>(list: &mut Vec<T>, fits: impl Fn(&T) -> bool, to: Option<T>) -> bool {
    let Some(at) = list.iter().position(fits) else { return false };
    match to {
        Some(to) => list[at] = to,
        None => drop(list.remove(at)),
    }
    true
}

fn set(node: &mut Node, key: &str, value: &str) -> bool {
    let new = Sysctl { key: key.to_owned(), value: value.to_owned(), baseline: false };
    match node.sysctls.iter_mut().rev().find(|s| s.key == key) {
        Some(known) if known.value == value => return false,
        Some(known) => *known = new,
        None => node.sysctls.push(new),
    }
    true
}

fn moved(node: &mut Node, from: &IfName, address: IpAddr, to: &IfName) -> bool {
    let Some(source) = node.interfaces.iter_mut().find(|i| i.name == *from) else { return false };
    let Some(at) = source.addresses.iter().position(|a| a.address.addr() == address) else { return false };
    let taken = Address { label: None, ..source.addresses.remove(at) };
    match node.interfaces.iter_mut().find(|i| i.name == *to) {
        Some(interface) => interface.addresses.push(taken),
        None => node.interfaces.push(Interface {
            name: to.clone(),
            kind: LinkKind::Dummy,
            mac: None,
            mtu: 1500,
            up: true,
            arp: true,
            tx_checksum: false,
            addresses: vec![taken],
        }),
    }
    true
}

/// Writes the sysctl after a first few requests, in front of everything else that the timeline does.
fn later(plan: &mut Plan, node: &NodeName, key: &str, value: &str) -> bool {
    let act = Act::SetSysctl { node: node.clone(), key: key.to_owned(), value: value.to_owned() };
    let act = TimedAct { label: format!("{key} = {value} on {node}"), act };
    let known = |t: &TimedAct| matches!(&t.act, Act::Load(load) if load.name == FIRST);
    if !plan.timeline.iter().any(known) {
        let Some(load) = plan.timeline.iter().find_map(|t| load(&t.act)).cloned() else { return false };
        let first = Load { name: FIRST.to_owned(), requests: 4, during: Vec::new(), ..load };
        plan.timeline.insert(0, TimedAct { label: "4 requests before it".to_owned(), act: Act::Load(first) });
    }
    let at = plan.timeline.iter().rposition(|t| known(t) || matches!(t.act, Act::SetSysctl { .. }));
    plan.timeline.insert(at.map_or(0, |at| at + 1), act);
    true
}

/// The load that precedes what is changed later.
const FIRST: &str = "before";

fn load(act: &Act) -> Option<&Load> {
    match act {
        Act::Load(load) => Some(load),
        _ => None,
    }
}
