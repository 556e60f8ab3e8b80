//! `dir-rpfilter-two-arm`: the source check of a Director with two arms refuses the clients.

use super::diagnosis::Diagnosis;
use super::{Affliction, Rule, source_refused};
use crate::judge::model::source::Refusal;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "dir-rpfilter-two-arm",
    title: "rp_filter on a Director with two arms",
    teaches: "A Director with two interfaces gets clients' packets by one and has its default route by the other. \
              Strict reverse path filtering (rp_filter=1) then drops each of them before IPVS sees it. rp_filter=2 \
              on the interface that clients come in by is enough, as the larger of it and conf/all counts.",
    causes: "SYNs enter the Director and nothing leaves it",
    source: "net/ipv4/fib_frontend.c: __fib_validate_source; Documentation/networking/ip-sysctl.rst: rp_filter \
              (the larger of conf/all and conf/INTERFACE counts)",
    outranks: &[],
    what: |nodes| format!("the source check refuses the clients' packets on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Refuses { why, .. } = &deviation.kind else { return None };
    if !diagnosis.is_director(deviation.node) || !matches!(why, Refusal::Elsewhere { .. } | Refusal::NoWayBack { .. }) {
        return None;
    }
    source_refused::claims(diagnosis, deviation)
}
