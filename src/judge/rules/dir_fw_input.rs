//! `dir-fw-input`: the Director's packet filter drops what clients send to the VIP.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "dir-fw-input",
    title: "the Director's packet filter drops requests",
    teaches: "IPVS takes packets at LOCAL_IN, after the chain INPUT of the table filter. What INPUT drops never \
              gets to IPVS: no entry, no counter, no answer. The service's port has to be open on the Director as \
              well as on the real servers.",
    causes: "SYNs enter the Director and nothing leaves it; its counters stay 0",
    source: "iptables(8); net/netfilter/ipvs/ip_vs_core.c: ip_vs_ops (LOCAL_IN, after filter INPUT)",
    outranks: &[],
    what: |nodes| format!("the packet filter drops what clients send to the VIP on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Filtered { rule, destination, source } = deviation.kind else { return None };
    if !diagnosis.is_director(deviation.node) {
        return None;
    }
    let tool = if destination.is_ipv4() { "iptables" } else { "ip6tables" };
    let what = format!("{} drops what {source} sends to {destination}", deviation.node);
    let evidence = vec![Evidence::fact(what, format!("{tool} {rule}"))];
    let command = if let Some(chain) = rule.strip_prefix("-P ") {
        format!("{tool} -I {} -d {destination} -j ACCEPT", chain.split(' ').next().unwrap_or("INPUT"))
    } else {
        format!("{tool} {}", rule.replacen("-A ", "-D ", 1))
    };
    let mend = vec![mended(deviation.node, Dialect::Iptables, command)];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
