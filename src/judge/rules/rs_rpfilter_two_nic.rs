//! `rs-rpfilter-two-nic`: the source check of a real server with two interfaces refuses the clients.

use super::diagnosis::Diagnosis;
use super::{Affliction, Rule, source_refused};
use crate::judge::model::source::Refusal;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-rpfilter-two-nic",
    title: "rp_filter on a real server with two interfaces",
    teaches: "The request comes in by the interface towards the Director and the reply leaves by another. Strict \
              reverse path filtering (rp_filter=1) asks whether the way back to the client leaves where the packet \
              came in, and drops it. 2 asks only whether there is a way at all. The larger of conf/all and the \
              interface counts, so 0 on the interface alone does not help where all is 1.",
    causes: "SYNs arrive and are dropped; tests of the RIP succeed",
    source: "net/ipv4/fib_frontend.c: __fib_validate_source; Documentation/networking/ip-sysctl.rst: rp_filter \
              (the larger of conf/all and conf/INTERFACE counts)",
    outranks: &[],
    what: |nodes| format!("the source check refuses the clients' packets on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Refuses { why, .. } = &deviation.kind else { return None };
    if !diagnosis.is_server(deviation.node) || !matches!(why, Refusal::Elsewhere { .. } | Refusal::NoWayBack { .. }) {
        return None;
    }
    source_refused::claims(diagnosis, deviation)
}
