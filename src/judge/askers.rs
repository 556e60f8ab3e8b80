//! Who has to ask where a VIP is, and who has the answer for good.

use std::net::IpAddr;

use super::case::Station;
use super::host::Host;
use super::traffic::Traffic;
use crate::base::{Mac, NodeName, Role};

/// Who may have to ask for the VIP on the segment: routers and clients that reach it there without a next hop. One
/// whose routes are not known counts.
pub(super) fn askers<'a>(traffic: &Traffic<'a>, vip: IpAddr, segment: &NodeName) -> Vec<&'a Station> {
    let input = traffic.input;
    let asks = |s: &&Station| {
        let route = input.facts(&s.node).map(|f| Host(f).route_to(vip));
        matches!(s.role, Role::Router | Role::Client)
            && s.is_on(segment)
            && route.is_none_or(|r| r.is_some_and(|r| r.gateway.is_none()))
    };
    input.case.stations.iter().filter(asks).collect()
}

/// The Director's MAC that the station has bound the VIP to for good, before the timeline and after.
pub(super) fn bound(traffic: &Traffic<'_>, station: &Station, vip: IpAddr) -> Option<Mac> {
    let input = traffic.input;
    let of_director = |mac: &Mac| input.case.owners(*mac).iter().any(|(s, _)| traffic.is_director(s));
    let mac = Host(input.facts(&station.node)?).bound(vip).filter(of_director)?;
    let still = input.facts_after(&station.node).is_none_or(|f| Host(f).bound(vip) == Some(mac));
    still.then_some(mac)
}

/// Whether nobody on the segment can be told a wrong MAC for the VIP.
pub(super) fn all_bound(traffic: &Traffic<'_>, vip: IpAddr, segment: &NodeName) -> bool {
    let askers = askers(traffic, vip, segment);
    !askers.is_empty() && askers.iter().all(|s| bound(traffic, s, vip).is_some())
}
