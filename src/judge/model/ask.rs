//! Which sender address a question for a neighbour carries (`arp_solicit`, `inet_select_addr`, `ndisc_solicit`).

use std::net::IpAddr;

use super::Place;
use super::filter::{Fate, Shown, chain};
use super::local::local;
use crate::judge::host::Host;

/// How a question leaves.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::judge) enum Question<'a> {
    /// With that sender; `level` is the `arp_announce` that counts.
    Asked { sender: IpAddr, level: u32 },
    /// The node's own ARP filter drops it.
    Dropped { rule: &'a str, sender: IpAddr },
    /// What it depends on was not read.
    Unknown,
}

/// The question for `next_hop` that a packet from `source` gives rise to.
pub(in crate::judge) fn question<'a>(place: &Place<'a>, out: &str, next_hop: IpAddr, source: IpAddr) -> Question<'a> {
    let facts = place.facts;
    let on_device = || facts.addresses.iter().filter(|a| a.interface == *out && a.address.addr().is_ipv4());
    if next_hop.is_ipv6() {
        let carried = facts.addresses.iter().any(|a| a.interface == *out && a.address.addr() == source);
        let own = facts.addresses.iter().find(|a| a.interface == *out && a.address.addr().is_ipv6());
        let sender = if carried { Some(source) } else { own.map(|a| a.address.addr()) };
        return sender.map_or(Question::Unknown, |sender| Question::Asked { sender, level: 0 });
    }
    let Some(level) = Host(facts).conf_max(out, "arp_announce") else { return Question::Unknown };
    let own = local(facts, source).is_some();
    // `arp_solicit` takes what it does not know for 0.
    let keeps = match level {
        1 => own && on_device().any(|a| a.address.contains(&next_hop) && a.address.contains(&source)),
        2 => false,
        _ => own,
    };
    let sender = if keeps { Some(source) } else { selected(place, out, next_hop) };
    let Some(sender) = sender else { return Question::Unknown };
    let shown = Shown {
        source: Some(sender),
        destination: Some(next_hop),
        out_of: Some(out),
        operation: Some(1),
        ..Shown::default()
    };
    match chain(facts.arptables.as_deref().unwrap_or_default(), "filter", "OUTPUT", shown) {
        Fate::Dropped(rule) => Question::Dropped { rule, sender },
        Fate::Mangled(other) => Question::Asked { sender: other, level },
        Fate::Passes | Fate::Untracked => Question::Asked { sender, level },
    }
}

/// `inet_select_addr`: the first primary address of the device whose prefix holds the target, else its first primary.
fn selected(place: &Place<'_>, out: &str, next_hop: IpAddr) -> Option<IpAddr> {
    let primary = || {
        let carried = place.facts.addresses.iter().filter(|a| a.interface == *out && a.address.addr().is_ipv4());
        carried.filter(|a| a.scope != "host" && !a.flags.iter().any(|f| f == "secondary"))
    };
    let mut fitting = primary().filter(|a| a.address.contains(&next_hop));
    fitting.next().or_else(|| primary().next()).map(|a| a.address.addr())
}
