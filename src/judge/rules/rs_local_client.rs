//! `rs-local-client`: a real server asks for a VIP, and serves itself.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-local-client",
    title: "a real server asks the VIP",
    teaches: "The VIP is an address of every real server, so what a real server sends to it never leaves the machine: it is \
              served by its own server, is not balanced, is in no counter of the Director, and fails when its own server \
              does, however well the others are. Applications on real servers have to use another VIP, whose real \
              servers they are not, or RIPs.",
    causes: "that real server's own requests are all served by itself, and no frame of them is on the wire",
    source: "LVS-HOWTO: clients on realservers; net/ipv4/route.c: RTN_LOCAL",
    outranks: &[],
    what: |nodes| format!("the VIP is asked for by a real server, which is served by itself: {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::OwnClient { at, balanced: false } = deviation.kind else { return None };
    let node = deviation.node;
    if !diagnosis.is_server(node) {
        return None;
    }
    let mut evidence = diagnosis.address_shown(node, at.ip());
    let requests = diagnosis.traffic.input.ran.loads.iter().flat_map(|l| &l.requests);
    let own = requests.filter(|r| r.client == *node && r.target == at).count();
    evidence.push(Evidence::told(format!("{node} made {own} requests to {at}, and none of them is on the wire")));
    let others = diagnosis.world.case.services.iter().flat_map(|s| &s.destinations);
    let others: Vec<String> = others.filter(|d| d.node.as_ref() != Some(node)).map(|d| d.at.to_string()).collect();
    let others = if others.is_empty() { "another real server".to_owned() } else { others.join(", ") };
    let mend = vec![mended(
        node,
        Dialect::ByHand,
        format!("ask {others} by its RIP, or a VIP whose real servers do not include {node}"),
    )];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
