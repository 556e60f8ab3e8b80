//! `rs-gw-wrong`: a real server's way to the clients leads to nobody.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule};
use crate::judge::host::route_line;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-gw-wrong",
    title: "a real server's gateway is nobody",
    teaches: "The next hop of the reply must be a host on the segment that forwards towards the client. An address \
              that nobody has is asked for three times and then given up; the reply is dropped.",
    causes: "SYNs arrive and only questions for the next hop leave: connections to that real server time out",
    source: "net/ipv4/arp.c: arp_solicit; net/core/neighbour.c: neigh_timer_handler",
    outranks: &[],
    what: |nodes| format!("the route to the clients leads to nobody, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Astray { to, route } = deviation.kind else { return None };
    if !diagnosis.is_server(deviation.node) {
        return None;
    }
    let node = deviation.node;
    let evidence = vec![Evidence::fact(format!("{node} reaches {to} by"), route_line(route))];
    let subnet = if route.destination.prefix_len() == 0 { "default".to_owned() } else { route.destination.to_string() };
    let mend = match super::rs_gw_missing::router_beside(diagnosis, diagnosis.place(deviation)?.station, to) {
        Some(router) if route.gateway.is_some() => {
            super::rs_gw_missing::replace(node, &subnet, router, route.interface.as_ref(), route.gateway)
        }
        _ => vec![mended(node, Dialect::Ip, format!("ip route del {}", route_line(route)))],
    };
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
