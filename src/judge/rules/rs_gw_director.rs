//! `rs-gw-director`: a real server sends its replies to the Director.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule};
use crate::judge::host::route_line;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-gw-director",
    title: "a real server's gateway is the Director",
    teaches: "With direct routing the reply carries the VIP as its source and goes straight to the client. Sent to \
              the Director it arrives from outside with one of the Director's own addresses as source: a martian, \
              which is dropped unless accept_local is set. The gateway belongs to NAT; here it is the router.",
    causes: "replies end at the Director, and connections to that real server time out",
    source: "net/ipv4/fib_frontend.c: __fib_validate_source; net/ipv4/route.c: ip_handle_martian_source",
    outranks: &[],
    what: |nodes| format!("the route to the clients leads through the Director on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::ThroughDirector { to, route, gateway } = deviation.kind else { return None };
    let node = deviation.node;
    let place = diagnosis.place(deviation)?;
    let evidence = vec![Evidence::fact(format!("{node} reaches {to} by"), route_line(route))];
    let subnet = if route.destination.prefix_len() == 0 { "default".to_owned() } else { route.destination.to_string() };
    let mend = match super::rs_gw_missing::router_beside(diagnosis, place.station, to) {
        Some(router) => super::rs_gw_missing::replace(node, &subnet, router, route.interface.as_ref(), Some(gateway)),
        None => vec![mended(node, Dialect::Ip, format!("ip route del {subnet} via {gateway}"))],
    };
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
