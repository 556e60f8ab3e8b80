//! Whether a packet's source is believed where it comes in (`fib_validate_source`).

use std::net::IpAddr;

use super::local::{Local, local};
use super::route::{Way, lookup};
use crate::facts::{NodeFacts, RouteFact};
use crate::judge::host::Host;

/// Why a source is not believed.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::judge) enum Refusal<'a> {
    /// It is one of the node's own addresses, and `accept_local` is 0.
    Own(Local<'a>),
    /// Strict: the way back leaves by another interface.
    Elsewhere { level: u32, route: &'a RouteFact },
    /// There is no way back at all.
    NoWayBack { level: u32 },
}

/// Why a packet from there, coming in by the interface, is dropped; nothing where it is taken.
pub(in crate::judge) fn refusal<'a>(facts: &'a NodeFacts, interface: &str, source: IpAddr) -> Option<Refusal<'a>> {
    if source.is_unspecified() || source.is_ipv6() {
        return None;
    }
    let host = Host(facts);
    let accepts = host.conf_or(interface, "accept_local");
    let level = host.conf_max(interface, "rp_filter").unwrap_or(0);
    if let Some(own) = local(facts, source) {
        // A prefix on lo is only looked up where rp_filter asks for a route; the fast path looks at addresses.
        let looked_up = matches!(own, Local::Address(_)) || level > 0;
        return (!accepts && looked_up).then_some(Refusal::Own(own));
    }
    if level == 0 {
        return None;
    }
    match lookup(facts, source) {
        Way::By(route) if level == 1 && route.interface.as_ref().is_some_and(|i| *i != *interface) => {
            Some(Refusal::Elsewhere { level, route })
        }
        Way::By(_) | Way::Here(_) => None,
        Way::Nowhere(_) => Some(Refusal::NoWayBack { level }),
    }
}
