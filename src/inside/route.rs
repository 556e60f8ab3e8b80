//! Routes of the namespace that the handle was opened in.
//!
//! Owns: adding routes to the table `main`. Refuses: choosing between them.

use std::net::IpAddr;

use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage, RouteMetric, RouteScope};
use rtnetlink::{Handle, RouteMessageBuilder};

use super::rtnl::{Attempt, RtnlError};
use crate::plan::Route;

/// Adds a route; `index` is the number of the interface that the route names.
///
/// # Errors
/// The kernel's refusal, as "Nexthop has invalid gateway".
pub async fn add(handle: &Handle, index: Option<u32>, route: &Route) -> Result<(), RtnlError> {
    handle.route().add(message(index, route)).execute().await.attempt(|| {
        let via = route.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
        let dev = route.interface.as_ref().map(|name| format!(" dev {name}")).unwrap_or_default();
        format!("add the route {}{via}{dev}", route.destination)
    })
}

fn message(index: Option<u32>, route: &Route) -> RouteMessage {
    let destination = (route.destination.network(), route.destination.prefix_len());
    let mut message = match destination {
        (IpAddr::V4(network), length) => {
            RouteMessageBuilder::<std::net::Ipv4Addr>::new().destination_prefix(network, length).build()
        }
        (IpAddr::V6(network), length) => {
            RouteMessageBuilder::<std::net::Ipv6Addr>::new().destination_prefix(network, length).build()
        }
    };
    // As ip(8): what has no next hop is on the link.
    if route.gateway.is_none() && route.destination.addr().is_ipv4() {
        message.header.scope = RouteScope::Link;
    }
    let attributes = &mut message.attributes;
    attributes.extend(route.gateway.map(|gateway| RouteAttribute::Gateway(gateway.into())));
    attributes.extend(index.map(RouteAttribute::Oif));
    attributes.extend(route.source.map(|source| RouteAttribute::PrefSource(source.into())));
    attributes.extend(route.mtu.map(|mtu| RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)])));
    message
}
