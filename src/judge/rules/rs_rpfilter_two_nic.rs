//! `rs-rpfilter-two-nic`: the source check of a real server with two interfaces refuses the clients.

use super::diagnosis::Diagnosis;
use super::diagnosis::sysctls;
use super::source_refused::told;
use super::{Affliction, Rule};
use crate::judge::Evidence;
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
    let Kind::Refuses { source, why } = &deviation.kind else { return None };
    if !diagnosis.is_server(deviation.node) || !matches!(why, Refusal::Elsewhere { .. } | Refusal::NoWayBack { .. }) {
        return None;
    }
    let interface = deviation.interface?;
    let (mut evidence, values) = told(interface.as_str(), why);
    evidence.extend(diagnosis.conf_shown(deviation, "rp_filter"));
    evidence.push(Evidence::told(format!("packets from {source} come in by {interface}")));
    if let Some(count) = diagnosis.facts(deviation.node)?.counters.get("TcpExtIPReversePathFilter") {
        evidence.push(Evidence::fact(
            "packets that the source check dropped",
            format!("TcpExtIPReversePathFilter {count}"),
        ));
    }
    Some(Diagnosis::afflict(deviation, evidence, sysctls(deviation.node, &values, "90-source-check")))
}
