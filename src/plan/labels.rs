//! Acts in plain words, as reports and progress lines show them.

use std::collections::BTreeSet;

use super::{Act, Condition, Load};
use crate::base::Protocol;

/// What an act does, in a few words.
pub fn of(act: &Act) -> String {
    match act {
        Act::Load(load) => of_load(load),
        Act::SetSysctl { node, key, value } => format!("{node}: sysctl {key} = {value}"),
        Act::SetWeight { node, service, destination, weight } => {
            format!("{node}: weight of {destination} in {service} becomes {weight}")
        }
        Act::AddService { node, service } => format!("{node}: add the service {}", service.id),
        Act::DeleteService { node, service } => format!("{node}: delete the service {service}"),
        Act::AddDestination { node, service, destination } => {
            format!("{node}: add the real server {} to {service}", destination.at)
        }
        Act::DeleteDestination { node, service, destination } => {
            format!("{node}: remove the real server {destination} from {service}")
        }
        Act::SetLink { node, interface, up } => {
            format!("{node}: {interface} goes {}", if *up { "up" } else { "down" })
        }
        Act::AddAddress { node, interface, address, unless_taken } => {
            let on = address.label.as_deref().unwrap_or(interface.as_str());
            let unless = if *unless_taken { " unless somebody has it" } else { "" };
            format!("{node}: add {} on {on}{unless}", address.address)
        }
        Act::DeleteAddress { node, interface, address } => format!("{node}: remove {address} from {interface}"),
        Act::StopServer { node, server } => format!("{node}: stop {server}"),
        Act::StartServer { node, server } => format!("{node}: start {server}"),
        Act::StartDaemon { node, daemon } => format!("{node}: start {daemon}"),
        Act::StopDaemon { node, daemon } => format!("{node}: stop {daemon}"),
        Act::KillDaemon { node, daemon } => format!("{node}: kill {daemon}"),
        Act::Run { node, command } => format!("{node}: {}", command.shown),
        Act::FlushNeighbours { node, interface, address } => {
            let which = address.map_or_else(|| "neighbours".to_owned(), |a| format!("the neighbour {a}"));
            let of = interface.as_ref().map(|i| format!(" of {i}")).unwrap_or_default();
            format!("{node}: forget {which}{of}")
        }
        Act::SetNeighbour { node, address, mac, permanent, .. } => {
            let kind = if *permanent { "for good" } else { "as if learned" };
            format!("{node}: bind {address} to {mac} {kind}")
        }
        Act::GratuitousArp { node, interface, address, mac } => {
            let with = mac.map(|m| format!(" with {m}")).unwrap_or_default();
            format!("{node}: announce {address}{with} by {interface}")
        }
        Act::Ping { node, target, count, .. } => {
            format!("{node}: ping {target}{}", if *count == 1 { String::new() } else { format!(" {count} times") })
        }
        Act::Pause { ms } => format!("let {ms} ms pass"),
        Act::WaitUntil { condition, deadline_ms } => {
            format!("wait until {}, at most {deadline_ms} ms", until(condition))
        }
    }
}

fn of_load(load: &Load) -> String {
    let nodes: BTreeSet<_> = load.clients.iter().map(|c| c.node.as_str()).collect();
    let from = match nodes.len() {
        0..=3 => nodes.into_iter().collect::<Vec<_>>().join(", "),
        more => format!("{more} clients"),
    };
    let from = match load.clients.len() {
        addresses if load.clients.iter().any(|c| c.source.is_some()) => format!("{addresses} addresses of {from}"),
        _ => from,
    };
    let what = match load.protocol {
        Protocol::Tcp => "requests",
        Protocol::Udp => "datagrams",
    };
    let amount = match (load.requests, load.duration_ms) {
        (u32::MAX, Some(ms)) => format!("{what} for {ms} ms"),
        (requests, Some(ms)) => format!("{requests} {what} or {ms} ms"),
        (requests, None) => format!("{requests} {what}"),
    };
    format!("{amount}, {} at once, to {} from {from}", load.concurrency, load.target)
}

/// A condition, as what it is waited for.
pub fn until(condition: &Condition) -> String {
    match condition {
        Condition::Neighbour { node, address, mac: Some(mac) } => format!("{node} has {address} at {mac}"),
        Condition::Neighbour { node, address, mac: None } => format!("{node} knows the MAC of {address}"),
        Condition::NoNeighbour { node, address } => format!("{node} has no usable neighbour entry for {address}"),
        Condition::PortOpen { node, at } => format!("{at} accepts a connection from {node}"),
        Condition::Sysctl { node, key, value } => format!("{key} is {value} on {node}"),
        Condition::Address { node, address, usable: true } => format!("{address} on {node} is in use"),
        Condition::Address { node, address, usable: false } => format!("{node} may not use {address}"),
        Condition::LinkUp { node, interface } => format!("{interface} on {node} is up and has carrier"),
        Condition::RealServer { node, real_server, listed: false, .. } => {
            format!("{real_server} is not in the table of {node}")
        }
        Condition::RealServer { node, real_server, weight: Some(weight), .. } => {
            format!("{real_server} has weight {weight} in the table of {node}")
        }
        Condition::RealServer { node, real_server, weight: None, .. } => {
            format!("{real_server} is in the table of {node}, with a weight")
        }
        Condition::Connections { node, at_least, at_most: None } => {
            format!("IPVS on {node} holds {at_least} connections or more")
        }
        Condition::Connections { node, at_least: 0, at_most: Some(most) } => {
            format!("IPVS on {node} holds {most} connections or fewer")
        }
        Condition::Connections { node, at_least, at_most: Some(most) } => {
            format!("IPVS on {node} holds {at_least} to {most} connections")
        }
    }
}
