//! `no-route`: a node on the way has no route.

use super::diagnosis::Diagnosis;
use super::diagnosis::{mended, single};
use super::{Affliction, Rule};
use crate::judge::host::route_line;
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
            let command = format!("take {to} off {}, where it belongs to another", deviation.node);
            return Some(Diagnosis::afflict(
                deviation,
                evidence,
                vec![mended(deviation.node, Dialect::ByHand, command)],
            ));
        }
        _ => return None,
    };
    let facts = diagnosis.facts(deviation.node)?;
    let all: Vec<String> = facts.routes.iter().filter(|r| r.table == "main").map(route_line).collect();
    let shown = route.map_or_else(|| all.join(", "), route_line);
    let evidence = vec![Evidence::fact(format!("{} has no way to {to}", deviation.node), shown)];
    let router = super::rs_gw_missing::router_beside(diagnosis, diagnosis.place(deviation)?.station, to);
    let mend = match router {
        Some(router) if !diagnosis.world.case.is_vip(to) => {
            super::rs_gw_missing::replace(deviation.node, &single(to), router, None, None)
        }
        _ => vec![mended(deviation.node, Dialect::ByHand, format!("add a route to {to}"))],
    };
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
