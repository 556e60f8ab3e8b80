//! The timeline: what happens once the lab is built, one act after the other.

use std::net::IpAddr;

use super::draft::{Draft, Family, Wanted};
use super::loads::{self, Wave};
use super::sysctls::text;
use super::{
    Act, Address, CompileError, Condition, Destination, Node, Service, TimedAct, labels, neighbours, programs,
};
use crate::base::{IfName, Mac, NodeName};
use crate::scenario::spec::{self, Action};

const PING_TIMEOUT_MS: u64 = 1000;
const DEADLINE_MS: u64 = 5000;

/// All acts, in order.
pub(super) fn timeline(draft: &mut Draft<'_>, waves: &[Wave]) -> Result<Vec<TimedAct>, CompileError> {
    if draft.scenario.timeline.is_empty() {
        if draft.scenario.load.is_none() {
            draft.imply(
                "lab",
                "a load of 20 requests, 4 at once, from every client in turn",
                "no load and no timeline is stated",
            );
        }
        return waves.iter().map(|wave| load(draft, wave, None)).collect();
    }
    let mut waves = waves.iter();
    let mut timeline = Vec::new();
    for step in &draft.scenario.timeline {
        match (&step.action, step.label.as_deref()) {
            (Action::Load(_), label) => {
                if let Some(wave) = waves.next() {
                    timeline.push(load(draft, wave, label)?);
                }
            }
            (action, label) => timeline.extend(acts(draft, action, label)?),
        }
    }
    Ok(timeline)
}

fn load(draft: &Draft<'_>, wave: &Wave, label: Option<&str>) -> Result<TimedAct, CompileError> {
    Ok(labelled(Act::Load(loads::build(draft, wave)?), label))
}

fn labelled(act: Act, label: Option<&str>) -> TimedAct {
    TimedAct { label: label.map_or_else(|| labels::of(&act), ToOwned::to_owned), act }
}

/// The acts of one action that is no load: one, or one for each Director that holds the service.
pub(super) fn acts(draft: &Draft<'_>, action: &Action, label: Option<&str>) -> Result<Vec<TimedAct>, CompileError> {
    let made = match action {
        Action::SetWeight { service, .. }
        | Action::AddService { service }
        | Action::DeleteService { service }
        | Action::DeleteRealServer { service, .. }
        | Action::AddRealServer { service, .. } => {
            let wanted = wanted(draft, *service)?;
            wanted.directors.iter().map(|d| on_director(d, wanted, *service, action)).collect::<Result<_, _>>()?
        }
        other => vec![elsewhere(draft, other)?],
    };
    Ok(made.into_iter().flatten().map(|act| labelled(act, label)).collect())
}

fn wanted<'d>(draft: &'d Draft<'_>, index: usize) -> Result<&'d Wanted, CompileError> {
    draft.services.get(index).ok_or(CompileError::UnknownService { index, count: draft.services.len() })
}

fn on_director(
    director: &NodeName,
    wanted: &Wanted,
    index: usize,
    action: &Action,
) -> Result<Option<Act>, CompileError> {
    let node = director.clone();
    let service = wanted.service.id;
    let found = |name: &NodeName| -> Result<&Destination, CompileError> {
        let destination = wanted.service.destinations.iter().find(|d| d.node.as_ref() == Some(name));
        destination.ok_or_else(|| CompileError::NotInService { node: name.clone(), index })
    };
    Ok(match action {
        Action::SetWeight { real_server, weight, .. } => {
            Some(Act::SetWeight { node, service, destination: found(real_server)?.at, weight: *weight })
        }
        Action::AddService { .. } => Some(Act::AddService { node, service: Service::clone(&wanted.service) }),
        Action::DeleteService { .. } => Some(Act::DeleteService { node, service }),
        Action::DeleteRealServer { real_server, .. } => {
            Some(Act::DeleteDestination { node, service, destination: found(real_server)?.at })
        }
        Action::AddRealServer { real_server, .. } => {
            Some(Act::AddDestination { node, service, destination: found(real_server)?.clone() })
        }
        _ => None,
    })
}

fn elsewhere(draft: &Draft<'_>, action: &Action) -> Result<Option<Act>, CompileError> {
    let known = |name: &NodeName| draft.node(name.as_str(), "the timeline").map(|n| n.name.clone());
    Ok(Some(match action {
        Action::Load(_)
        | Action::SetWeight { .. }
        | Action::AddService { .. }
        | Action::DeleteService { .. }
        | Action::DeleteRealServer { .. }
        | Action::AddRealServer { .. } => return Ok(None),
        Action::SetSysctl { node, key, value } => {
            Act::SetSysctl { node: known(node)?, key: key.clone(), value: text(value) }
        }
        Action::SetLink { node, interface, up } => {
            Act::SetLink { node: known(node)?, interface: on(draft, node, interface.as_str())?, up: *up }
        }
        Action::AddAddress { node, on: device, address, unless_taken, dad } => {
            let interface = on(draft, node, device)?;
            let vip = draft.vips.contains(&address.addr());
            let broadcast = match address {
                ipnet::IpNet::V4(net) if vip && net.prefix_len() == 32 => Some(net.addr()),
                ipnet::IpNet::V4(_) | ipnet::IpNet::V6(_) => None,
            };
            let nodad = address.addr().is_ipv6() && interface != *"lo" && !dad;
            let label = device.contains(':').then(|| device.clone());
            let address = Address { address: *address, broadcast, label, nodad };
            Act::AddAddress { node: known(node)?, interface, address, unless_taken: *unless_taken }
        }
        Action::DeleteAddress { node, on: device, address } => {
            Act::DeleteAddress { node: known(node)?, interface: on(draft, node, device)?, address: *address }
        }
        Action::StopServer { node, server } => {
            Act::StopServer { node: known(node)?, server: named_server(draft, node, server.as_ref())? }
        }
        Action::StartServer { node, server } => {
            Act::StartServer { node: known(node)?, server: named_server(draft, node, server.as_ref())? }
        }
        Action::StartDaemon { node, daemon } => {
            Act::StartDaemon { node: known(node)?, daemon: programs::named(draft, node, daemon.as_ref())? }
        }
        Action::StopDaemon { node, daemon } => {
            Act::StopDaemon { node: known(node)?, daemon: programs::named(draft, node, daemon.as_ref())? }
        }
        Action::KillDaemon { node, daemon } => {
            Act::KillDaemon { node: known(node)?, daemon: programs::named(draft, node, daemon.as_ref())? }
        }
        Action::Run { node, command, may_fail, deadline_ms } => {
            let (command, deadline_ms) = (command.clone(), *deadline_ms);
            let said = spec::Run::Said(spec::SaidRun { command, may_fail: *may_fail, deadline_ms });
            Act::Run { node: known(node)?, command: programs::command(&said) }
        }
        Action::FlushNeighbours { node, interface, address } => {
            Act::FlushNeighbours { node: known(node)?, interface: interface.clone(), address: *address }
        }
        Action::SetNeighbour { node, address, mac, permanent } => {
            let interface = draft.towards(node, *address)?;
            let mac = neighbours::mac(draft, node, &interface, mac, *address)?;
            Act::SetNeighbour {
                node: known(node)?,
                interface,
                address: *address,
                mac,
                permanent: permanent.unwrap_or(true),
            }
        }
        Action::GratuitousArp { node, interface, address, mac } => {
            let address = address.unwrap_or(draft.vips[0]);
            let interface = match interface {
                Some(name) => on(draft, node, name.as_str())?,
                None => draft.towards(node, address)?,
            };
            Act::GratuitousArp { node: known(node)?, interface, address, mac: *mac }
        }
        Action::Ping { node, to, count, timeout_ms } => Act::Ping {
            node: known(node)?,
            target: target(draft, node, to)?,
            count: count.unwrap_or(1),
            timeout_ms: timeout_ms.unwrap_or(PING_TIMEOUT_MS),
        },
        Action::Pause { ms } => Act::Pause { ms: *ms },
        Action::WaitUntil { condition, deadline_ms } => {
            Act::WaitUntil { condition: waited(draft, condition)?, deadline_ms: deadline_ms.unwrap_or(DEADLINE_MS) }
        }
    }))
}

/// The interface that a device with or without label is.
fn on(draft: &Draft<'_>, node: &NodeName, device: &str) -> Result<IfName, CompileError> {
    let name = device.split_once(':').map_or(device, |(name, _)| name);
    let unknown = || CompileError::UnknownInterface {
        node: node.clone(),
        interface: name.to_owned(),
        what: "the timeline".to_owned(),
    };
    draft.node(node.as_str(), "the timeline")?.interface(name).map(|i| i.name.clone()).ok_or_else(unknown)
}

fn named_server(draft: &Draft<'_>, node: &NodeName, server: Option<&String>) -> Result<String, CompileError> {
    let here = draft.node(node.as_str(), "the timeline")?;
    let found = match (server, here.servers.as_slice()) {
        (None, [only]) => Some(only),
        (None, _) => None,
        (Some(name), all) => all.iter().find(|s| s.name == *name),
    };
    let unknown = || CompileError::UnknownServer {
        node: node.clone(),
        server: server.cloned(),
        has: here.servers.iter().map(|s| s.name.clone()).collect(),
    };
    found.map(|s| s.name.clone()).ok_or_else(unknown)
}

/// An address out of an address or a node's name; of a node, one of the family that the sender speaks.
fn target(draft: &Draft<'_>, from: &NodeName, to: &str) -> Result<IpAddr, CompileError> {
    if let Ok(address) = to.parse() {
        return Ok(address);
    }
    let (asker, other) = (draft.node(from.as_str(), "a ping")?, draft.node(to, "a ping")?);
    let speaks = |family| asker.ports().any(|i| i.first(family).is_some());
    let address = Family::BOTH.iter().filter(|f| speaks(**f)).find_map(|f| draft.own_address(other, Some(asker), *f));
    address.ok_or_else(|| CompileError::NoAddress { node: other.name.clone(), family: "", what: "a ping".to_owned() })
}

fn waited(draft: &Draft<'_>, said: &spec::Condition) -> Result<Condition, CompileError> {
    Ok(match said {
        spec::Condition::Neighbour { node, address, mac } => {
            let mac: Option<Mac> = match mac {
                Some(mac) => {
                    let interface = draft.towards(node, *address)?;
                    Some(neighbours::mac(draft, node, &interface, mac, *address)?)
                }
                None => None,
            };
            Condition::Neighbour { node: node.clone(), address: *address, mac }
        }
        spec::Condition::NoNeighbour { node, address } => {
            Condition::NoNeighbour { node: node.clone(), address: *address }
        }
        spec::Condition::PortOpen { node, at } => Condition::PortOpen { node: node.clone(), at: *at },
        spec::Condition::Sysctl { node, key, value } => {
            Condition::Sysctl { node: node.clone(), key: key.clone(), value: text(value) }
        }
        spec::Condition::LinkUp { node, interface } => {
            Condition::LinkUp { node: node.clone(), interface: interface.clone() }
        }
        spec::Condition::Address { node, address, usable } => {
            Condition::Address { node: node.clone(), address: *address, usable: usable.unwrap_or(true) }
        }
        spec::Condition::RealServer { real_server, weight, listed, director } => {
            let first = || draft.with_role(crate::base::Role::Director).next().map(|n: &Node| n.name.clone());
            let unknown =
                || CompileError::UnknownNode { node: "of a Director".to_owned(), what: "a real server".to_owned() };
            let node = director.clone().or_else(first).ok_or_else(unknown)?;
            let here = draft.node(real_server.as_str(), "the timeline")?;
            let addresses = here.interfaces.iter().flat_map(|interface| &interface.addresses);
            Condition::RealServer {
                node,
                real_server: real_server.clone(),
                addresses: addresses.map(|one| one.address.addr()).filter(|ip| !draft.vips.contains(ip)).collect(),
                weight: *weight,
                listed: listed.unwrap_or(true),
            }
        }
        spec::Condition::Connections { node, at_least, at_most } => {
            let first = || draft.with_role(crate::base::Role::Director).next().map(|n: &Node| n.name.clone());
            let unknown =
                || CompileError::UnknownNode { node: "of a Director".to_owned(), what: "connections".to_owned() };
            let node = node.clone().or_else(first).ok_or_else(unknown)?;
            Condition::Connections { node, at_least: *at_least, at_most: *at_most }
        }
    })
}
