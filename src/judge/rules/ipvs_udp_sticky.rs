//! `ipvs-udp-sticky`: datagrams from one port go on being sent to a real server that was removed.

use super::diagnosis::{Diagnosis, mended};
use super::ipvs_nodest_drop::{expire, shown};
use super::{Affliction, Rule};
use crate::base::Protocol;
use crate::judge::Dialect;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ipvs-udp-sticky",
    title: "a removed real server goes on swallowing datagrams",
    teaches: "UDP has no connections, so IPVS takes all datagrams from one client's port for one, for 300 seconds after the \
              last of them. Clients that always send from one port (DNS forwarders, syslog, SIP, RADIUS) never leave \
              their real server, and when it is removed each of their datagrams is dropped and keeps the entry alive. \
              expire_nodest_conn=1 lets the next datagram be scheduled anew. One-packet scheduling (--ops) does without \
              entries, and fits where each datagram stands alone.",
    causes: "clients with a fixed port lose every datagram until they are silent for the timeout",
    source: "Documentation/networking/ipvs-sysctl.rst: expire_nodest_conn; ipvsadm(8): --ops; net/netfilter/ipvs/ip_vs_core.c: ip_vs_in_hook",
    outranks: &[],
    what: |nodes| format!("datagrams are kept for a removed real server on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Orphaned { entry, frame } = deviation.kind else { return None };
    if entry.protocol != Protocol::Udp {
        return None;
    }
    let node = deviation.node;
    let services = diagnosis.world.case.services.iter();
    let scheduler = services.clone().find(|s| s.id.vip() == Some(entry.service.ip())).map_or("rr", |s| &s.scheduler);
    let mut mend = expire(node);
    // The entry that is there already has to go all the same.
    let ops = format!("ipvsadm -E -u {} -s {scheduler} --ops", entry.service);
    mend.push(mended(node, Dialect::Ipvsadm, format!("sysctl -w net.ipv4.vs.expire_nodest_conn=1 && {ops}")));
    mend.push(mended(node, Dialect::Keepalived, "in virtual_server: ops; in global_defs: lvs_timeouts udp 5"));
    Some(Diagnosis::afflict(deviation, shown(diagnosis, node, entry, frame), mend))
}
