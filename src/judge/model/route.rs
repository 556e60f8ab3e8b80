//! Where a node sends a packet (`ip_route_output_key`, `fib_table_lookup`): the table `local` first, then `main` by the
//! longest prefix and the lowest metric.

use std::net::IpAddr;

use super::local::{Local, local};
use crate::facts::{NodeFacts, RouteFact};
use crate::judge::host::Host;

/// Where a packet goes.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::judge) enum Way<'a> {
    /// Nowhere: the node takes it for itself.
    Here(Local<'a>),
    /// By that route.
    By(&'a RouteFact),
    /// There is no route, or one that refuses.
    Nowhere(Option<&'a RouteFact>),
}

/// The way to the address.
pub(in crate::judge) fn lookup(facts: &NodeFacts, to: IpAddr) -> Way<'_> {
    if let Some(own) = local(facts, to) {
        return Way::Here(own);
    }
    match Host(facts).route_to(to) {
        Some(route) if route.kind == "unicast" => Way::By(route),
        other => Way::Nowhere(other),
    }
}
