//! `dir-fw-input`: the Director's packet filter drops what clients send to the VIP.

use super::diagnosis::Diagnosis;
use super::{Affliction, Rule, rs_fw};
use crate::judge::model::Deviation;

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "dir-fw-input",
    title: "the Director's packet filter drops requests",
    teaches: "IPVS takes packets at LOCAL_IN, after the chain INPUT of the table filter. What INPUT drops never \
              gets to IPVS: no entry, no counter, no answer. The service's port has to be open on the Director as \
              well as on the real servers.",
    causes: "SYNs enter the Director and nothing leaves it; its counters stay 0",
    source: "iptables(8); net/netfilter/ipvs/ip_vs_core.c: ip_vs_ops4 (LOCAL_IN, after filter INPUT)",
    outranks: &[],
    what: |nodes| format!("the packet filter drops what clients send to the VIP on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    if !diagnosis.is_director(deviation.node) {
        return None;
    }
    rs_fw::claims(diagnosis, deviation)
}
