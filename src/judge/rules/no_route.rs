//! `no-route`: a node on the way has no route.

use std::net::IpAddr;

use super::diagnosis::Diagnosis;
use super::diagnosis::{mended, single};
use super::{Affliction, Rule};
use crate::facts::RouteFact;
use crate::judge::case::{Station, StationPort};
use crate::judge::host::route_line;
use crate::judge::model::local::Local;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "no-route",
    title: "a node on the way has no route",
    teaches: "Each node that a packet passes needs a route to where it goes, towards the VIP and back to the \
              client. The first one without ends the way; it may answer with an ICMP error.",
    causes: "packets end at that node: `No route to host`, or nothing at all",
    source: "net/ipv4/route.c: ip_route_input_slow, ip_route_output_key_hash_rcu",
    outranks: &[],
    what: |nodes| format!("there is no usable route on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let (to, route) = match deviation.kind {
        Kind::NoWay { to, route } => (to, route),
        Kind::Astray { to, route } => (to, Some(route)),
        Kind::Keeps { to, ref own } => {
            let evidence = vec![Evidence::fact(format!("{} takes {to} for its own", deviation.node), own.line())];
            let node = deviation.node;
            let mend = match own {
                Local::Address(fact) | Local::Prefix(fact) => {
                    let command = format!("ip address del {} dev {}", fact.address, fact.interface);
                    mended(node, Dialect::Ip, command)
                }
                Local::Route(route) => mended(node, Dialect::Ip, format!("ip route del {}", local_route(route))),
            };
            return Some(Diagnosis::afflict(deviation, evidence, vec![mend]));
        }
        _ => return None,
    };
    let facts = diagnosis.facts(deviation.node)?;
    let all: Vec<String> = facts.routes.iter().filter(|r| r.table == "main").map(route_line).collect();
    let shown = route.map_or_else(|| all.join(", "), route_line);
    let evidence = vec![Evidence::fact(format!("{} has no way to {to}", deviation.node), shown)];
    let station = diagnosis.place(deviation)?.station;
    let router = super::rs_gw_missing::router_beside(diagnosis, station, to);
    let mend = match (beside(diagnosis, station, to), router) {
        (Some(port), _) => {
            let command = format!("ip route replace {} dev {}", single(to), port.interface);
            vec![mended(deviation.node, Dialect::Ip, command)]
        }
        (None, Some(router)) => super::rs_gw_missing::replace(deviation.node, &single(to), router, None, None),
        (None, None) => vec![mended(deviation.node, Dialect::ByHand, format!("add a route to {to}"))],
    };
    Some(Diagnosis::afflict(deviation, evidence, mend))
}

/// The station's interface on a segment where the one is who has the address; of a VIP, the Director.
fn beside<'a>(diagnosis: &Diagnosis<'a>, station: &'a Station, to: IpAddr) -> Option<&'a StationPort> {
    let case = diagnosis.world.case;
    let holds = |s: &&Station| s.node != station.node && (!case.is_vip(to) || diagnosis.is_director(&s.node));
    let holder = |port: &&StationPort| {
        let mut others = case.stations.iter().filter(holds).flat_map(|s| &s.ports);
        others.any(|p| p.segment == port.segment && p.has(to))
    };
    station.ports.iter().find(holder)
}

fn local_route(route: &RouteFact) -> String {
    let device = route.interface.as_ref().map_or_else(String::new, |i| format!(" dev {i}"));
    format!("local {}{device} table local", route.destination)
}
