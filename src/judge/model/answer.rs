//! Who answers a who-has or a neighbour solicitation (`arp_process`, `arp_ignore`, `ndisc_recv_ns`).

use std::net::IpAddr;

use super::Place;
use super::filter::{Fate, Shown, chain};
use super::local::{Local, local, usable};
use super::route::{Way, lookup};
use super::source::{Refusal, refusal};
use crate::facts::RouteFact;
use crate::judge::host::Host;

/// What an interface does with a question.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::judge) enum Answer<'a> {
    /// It answers.
    Yes(Because<'a>),
    /// It does not.
    No(Silence<'a>),
    /// What it depends on was not read.
    Unknown,
}

/// Why a node answers.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::judge) enum Because<'a> {
    /// The address is its own.
    Own(Local<'a>),
    /// It answers for others (`proxy_arp`).
    Proxy(&'a RouteFact),
}

/// Why a node does not answer.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::judge) enum Silence<'a> {
    /// The interface is down.
    Down,
    /// The interface does no ARP.
    NoArp,
    /// Its ARP filter drops the question or the answer.
    Filtered(&'a str),
    /// It does not believe the asker's address.
    Refused(Refusal<'a>),
    /// The address is not its own.
    NotOwn,
    /// `arp_ignore` forbids it.
    Ignored(u32),
    /// `arp_filter` forbids it: the way to the asker leaves elsewhere.
    ArpFilter(&'a RouteFact),
}

/// What the node does with a question for `target` by `sender` that comes in by the interface.
pub(in crate::judge) fn answer<'a>(place: &Place<'a>, interface: &str, target: IpAddr, sender: IpAddr) -> Answer<'a> {
    let facts = place.facts;
    if let Some(link) = place.link(interface) {
        if !link.up || !link.carrier {
            return Answer::No(Silence::Down);
        }
        if link.noarp {
            return Answer::No(Silence::NoArp);
        }
    }
    if target.is_ipv6() {
        let here =
            facts.addresses.iter().find(|a| a.interface == *interface && a.address.addr() == target && usable(a));
        return here.map_or(Answer::No(Silence::NotOwn), |a| Answer::Yes(Because::Own(Local::Address(a))));
    }
    let rules = facts.arptables.as_deref().unwrap_or_default();
    let asked = Shown {
        source: Some(sender),
        destination: Some(target),
        into: Some(interface),
        operation: Some(1),
        ..Shown::default()
    };
    if let Fate::Dropped(rule) = chain(rules, "filter", "INPUT", asked) {
        return Answer::No(Silence::Filtered(rule));
    }
    if let Some(refused) = refusal(facts, interface, sender) {
        return Answer::No(Silence::Refused(refused));
    }
    let host = Host(facts);
    let Some(own) = local(facts, target) else {
        return proxied(place, interface, target)
            .map_or(Answer::No(Silence::NotOwn), |r| Answer::Yes(Because::Proxy(r)));
    };
    let Some(level) = host.conf_max(interface, "arp_ignore") else { return Answer::Unknown };
    if ignores(place, interface, level, target, sender) {
        return Answer::No(Silence::Ignored(level));
    }
    if let Some(route) = filtered_by_route(place, interface, sender) {
        return Answer::No(Silence::ArpFilter(route));
    }
    let said = Shown {
        source: Some(target),
        destination: Some(sender),
        out_of: Some(interface),
        operation: Some(2),
        ..Shown::default()
    };
    match chain(rules, "filter", "OUTPUT", said) {
        Fate::Dropped(rule) => Answer::No(Silence::Filtered(rule)),
        // The answer then speaks of another address.
        Fate::Mangled(other) if other != target => Answer::No(Silence::NotOwn),
        Fate::Mangled(_) | Fate::Passes | Fate::Untracked => Answer::Yes(Because::Own(own)),
    }
}

/// `arp_ignore` in `net/ipv4/arp.c`; 4 to 7 are reserved, more than 8 has no meaning, and both forbid nothing.
fn ignores(place: &Place<'_>, interface: &str, level: u32, target: IpAddr, sender: IpAddr) -> bool {
    let here = || place.facts.addresses.iter().filter(|a| a.interface == *interface);
    let carried_here = here().any(|a| a.address.addr() == target);
    match level {
        1 => !carried_here,
        2 => !(carried_here && here().any(|a| a.address.contains(&target) && a.address.contains(&sender))),
        3 => !place.facts.addresses.iter().any(|a| a.address.addr() == target && a.scope != "host"),
        8 => true,
        _ => false,
    }
}

/// `arp_filter`: the route to the asker, where it leaves by another interface.
fn filtered_by_route<'a>(place: &Place<'a>, interface: &str, sender: IpAddr) -> Option<&'a RouteFact> {
    if !Host(place.facts).conf_or(interface, "arp_filter") || sender.is_unspecified() {
        return None;
    }
    match lookup(place.facts, sender) {
        Way::By(route) => Some(route).filter(|r| r.interface.as_ref().is_some_and(|i| *i != *interface)),
        Way::Here(_) | Way::Nowhere(_) => None,
    }
}

fn proxied<'a>(place: &Place<'a>, interface: &str, target: IpAddr) -> Option<&'a RouteFact> {
    let host = Host(place.facts);
    if !host.conf_or(interface, "proxy_arp") || !forwards(place, interface) {
        return None;
    }
    match lookup(place.facts, target) {
        Way::By(route) if route.interface.as_ref().is_some_and(|i| *i != *interface) => Some(route),
        _ => None,
    }
}

/// Whether the node forwards what comes in by the interface, where that was read.
fn forwarding(place: &Place<'_>, interface: &str) -> Option<bool> {
    let host = Host(place.facts);
    host.conf(interface, "forwarding").or_else(|| host.single("net.ipv4.ip_forward")).map(|v| v > 0)
}

/// Whether it is known to forward what comes in by the interface.
pub(in crate::judge) fn forwards(place: &Place<'_>, interface: &str) -> bool {
    forwarding(place, interface) == Some(true)
}

/// Whether it is known to forward nothing that comes in by the interface.
pub(in crate::judge) fn stays(place: &Place<'_>, interface: &str) -> bool {
    forwarding(place, interface) == Some(false)
}
