//! `rs-fw`: a real server's packet filter drops what comes for the VIP.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-fw",
    title: "a real server's packet filter drops requests",
    teaches: "A rule that was written for the RIP alone, or a policy that drops the rest, does not let packets for \
              the VIP in. A health check of the RIP stays green.",
    causes: "SYNs arrive and nothing leaves: connections to that real server time out",
    source: "iptables(8); net/netfilter/ipvs/ip_vs_core.c: ip_vs_ops4 (LOCAL_IN, after filter INPUT)",
    outranks: &[],
    what: |nodes| format!("the packet filter drops what comes for the VIP on {nodes}"),
    claims,
};

/// What a packet filter drops on any node, and its mend.
pub(super) fn claims<'a>(_: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Filtered { rule, destination, source } = deviation.kind else { return None };

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
