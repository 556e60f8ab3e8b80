//! `ha-backup-redirect-left`: a REDIRECT rule for the VIP was left on the active Director.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ha-backup-redirect-left",
    title: "a REDIRECT rule takes the VIP away from IPVS",
    teaches: "A node that stands by is often made a real server by `iptables -t nat … -j REDIRECT` for the VIP, and a \
              notify script is to take the rule away when it becomes master. Where it stays, destination NAT in \
              PREROUTING rewrites the address before IPVS sees the packet at LOCAL_IN: there is no service for the \
              node's own address, so the local server answers. Nothing is balanced, the site works, the counters of \
              IPVS stand still. Remove the rule in notify_master, before the VIP comes up. Trap: connections that \
              conntrack knows keep being redirected until they end.",
    causes: "the Director serves everything itself, or refuses it where nothing listens",
    source: "net/netfilter/ipvs/ip_vs_core.c: ip_vs_ops (LOCAL_IN); net/netfilter/xt_REDIRECT.c",
    outranks: &["ipvs-service-missing"],
    what: |nodes| format!("packets for the VIP are redirected before IPVS sees them, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Redirected { rule, at } = deviation.kind else { return None };
    if !diagnosis.is_director(deviation.node) {
        return None;
    }
    let node = deviation.node;
    let evidence = vec![Evidence::fact(format!("{node}: takes what is for {at}"), format!("iptables {rule}"))];
    let command = format!("iptables {}", rule.replacen("-A ", "-D ", 1));
    let mend = vec![
        mended(node, Dialect::Iptables, command.clone()),
        mended(node, Dialect::Keepalived, format!("notify_master \"/sbin/{command}\"")),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
