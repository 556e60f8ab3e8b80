//! `source-refused`: a node on the way does not believe a packet's source.

use super::diagnosis::Diagnosis;
use super::diagnosis::sysctls;
use super::{Affliction, Rule, ways};
use crate::judge::Evidence;
use crate::judge::host::route_line;
use crate::judge::model::source::Refusal;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "source-refused",
    title: "a node drops packets for their source address",
    teaches: "A packet whose source is one of the host's own addresses is a martian and is dropped unless \
              accept_local is set; with rp_filter so is one whose way back leaves elsewhere (1) or nowhere (1 and \
              2). Nothing is sent in return, and only a counter or log_martians tells.",
    causes: "packets end at that node without a trace",
    source: "net/ipv4/fib_frontend.c: __fib_validate_source; Documentation/networking/ip-sysctl.rst: rp_filter \
              (the larger of conf/all and conf/INTERFACE counts)",
    outranks: &[],
    what: |nodes| format!("packets are dropped for their source address on {nodes}"),
    claims,
};

/// What shows any refusal of a source, and its mend; rules for certain nodes and reasons say the same of theirs.
pub(super) fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Refuses { source, why } = &deviation.kind else { return None };

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
    Some(Diagnosis::afflict(
        deviation,
        evidence,
        sysctls(deviation.node, &values, &format!("90-source-check-{interface}")),
    ))
}

/// What shows the refusal, and the sysctls without it.
pub(super) fn told(interface: &str, why: &Refusal<'_>) -> (Vec<Evidence>, Vec<(String, u32)>) {
    match why {
        Refusal::Own(own) => (
            vec![Evidence::fact("the source is one of the node's own addresses", own.line())],
            vec![(ways::conf(interface, "accept_local"), 1)],
        ),
        Refusal::Elsewhere { route, .. } => (
            vec![Evidence::fact("the way back leaves elsewhere", route_line(route))],
            vec![(ways::conf(interface, "rp_filter"), 2)],
        ),
        Refusal::NoWayBack { level } => {
            let what = format!("there is no way back, and rp_filter is {level}");
            let values = ["all", interface].map(|d| (ways::conf(d, "rp_filter"), 0));
            (vec![Evidence::told(what)], values.to_vec())
        }
    }
}
