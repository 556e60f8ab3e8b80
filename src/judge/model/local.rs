//! Which addresses a node takes for its own (the table `local`, `inet_addr_type`).

use std::net::IpAddr;

use crate::facts::{AddressFact, NodeFacts, RouteFact};
use crate::judge::host::{address_line, route_line};

/// Why an address is a node's own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::judge) enum Local<'a> {
    /// It carries it.
    Address(&'a AddressFact),
    /// An address on `lo` makes its whole prefix local (`fib_add_ifaddr`).
    Prefix(&'a AddressFact),
    /// A route of type `local`.
    Route(&'a RouteFact),
}

impl Local<'_> {
    /// As `ip` writes it.
    pub(in crate::judge) fn line(&self) -> String {
        match self {
            Self::Address(fact) | Self::Prefix(fact) => address_line(fact),
            Self::Route(fact) => route_line(fact),
        }
    }
}

/// Whether an address may be used: not while duplicate detection goes on, nor once it failed.
pub(in crate::judge) fn usable(fact: &AddressFact) -> bool {
    !fact.flags.iter().any(|f| matches!(f.as_str(), "tentative" | "dadfailed"))
}

/// Why the address is the node's own, if it is.
pub(in crate::judge) fn local(facts: &NodeFacts, address: IpAddr) -> Option<Local<'_>> {
    let carried = facts.addresses.iter().find(|a| a.address.addr() == address && usable(a));
    let around = || {
        let mut on_lo = facts.addresses.iter().filter(|a| a.interface == "lo" && address.is_ipv4());
        on_lo.find(|a| a.address.contains(&address)).map(Local::Prefix)
    };
    let routed = || {
        let mut routes = facts.routes.iter().filter(|r| r.kind == "local");
        routes.find(|r| r.destination.contains(&address)).map(Local::Route)
    };
    carried.map(Local::Address).or_else(around).or_else(routed)
}
