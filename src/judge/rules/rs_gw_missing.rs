//! `rs-gw-missing`: a real server has no way to the clients.

use std::net::IpAddr;

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule};
use crate::base::{IfName, NodeName, Role};
use crate::judge::case::Station;
use crate::judge::host::route_line;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence, Mend};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-gw-missing",
    title: "a real server has no route to the clients",
    teaches: "The request reaches the real server through the Director, whatever its own routes are. The reply \
              needs a route of its own to the client. Without one the kernel drops it and counts IpOutNoRoutes; \
              nothing is seen on the wire.",
    causes: "SYNs arrive and nothing leaves: connections to that real server time out",
    source: "net/ipv4/route.c: ip_route_output_key_hash_rcu",
    outranks: &[],
    what: |nodes| format!("there is no route to the clients on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::NoWay { to, route } = deviation.kind else { return None };
    if !diagnosis.is_server(deviation.node) {
        return None;
    }
    let facts = diagnosis.facts(deviation.node)?;
    let all: Vec<String> = facts.routes.iter().filter(|r| r.table == "main").map(route_line).collect();
    let what = format!("{} has no route to {to}", deviation.node);
    let shown = route.map_or_else(|| all.join(", "), route_line);
    let mut evidence = vec![Evidence::fact(what, shown)];
    if let Some(count) = facts.counters.get("IpOutNoRoutes") {
        evidence.push(Evidence::fact(
            format!("packets without a way out of {}", deviation.node),
            format!("IpOutNoRoutes {count}"),
        ));
    }
    let router = router_beside(diagnosis, diagnosis.place(deviation)?.station, to);
    let mend = router.map_or_else(Vec::new, |router| replace(deviation.node, "default", router, None, None));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}

/// A router's address on a segment of the station, of the same family.
pub(super) fn router_beside(diagnosis: &Diagnosis<'_>, station: &Station, like: IpAddr) -> Option<IpAddr> {
    let case = diagnosis.world.case;
    let ports = case.with_role(Role::Router).flat_map(|r| &r.ports).filter(|p| station.is_on(&p.segment));
    ports.flat_map(|p| &p.addresses).map(ipnet::IpNet::addr).find(|a| a.is_ipv4() == like.is_ipv4() && !case.is_vip(*a))
}

/// The route by the router, in place of what is there.
pub(super) fn replace(
    node: &NodeName,
    to: &str,
    router: IpAddr,
    device: Option<&IfName>,
    old: Option<IpAddr>,
) -> Vec<Mend> {
    let device = device.map_or_else(String::new, |i| format!(" dev {i}"));
    let mut mend = vec![mended(node, Dialect::Ip, format!("ip route replace {to} via {router}{device}"))];
    if to == "default" && router.is_ipv4() {
        let before = old.map_or_else(String::new, |g| format!("route del default gw {g}; "));
        mend.push(mended(node, Dialect::NetTools, format!("{before}route add default gw {router}")));
    }
    mend
}
