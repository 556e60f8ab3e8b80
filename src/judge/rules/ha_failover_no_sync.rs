//! `ha-failover-no-sync`: the new Director does not know the connections of the old one.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ha-failover-no-sync",
    title: "a failover without connection synchronisation",
    teaches: "IPVS keeps its connection table in memory. A Director that takes over gets segments in the middle of \
              connections that it never saw: IPVS schedules only a SYN (unless sloppy_tcp is set), so its own TCP \
              gets them for an address that it owns, and answers RST. The sync daemon sends the table by multicast \
              (224.0.0.81, port 8848) from the master to the backup. Trap: it sends every few seconds and only what \
              has seen sync_threshold packets, so the youngest connections are lost all the same. A hashing scheduler \
              (sh, mh) with sloppy_tcp=1 needs no table, for both Directors choose the same real server.",
    causes: "every connection that was open at the failover is reset",
    source: "net/netfilter/ipvs/ip_vs_proto_tcp.c: tcp_conn_schedule; Documentation/networking/ipvs-sysctl.rst: \
             sync_threshold, sloppy_tcp",
    outranks: &[],
    what: |nodes| format!("connections of the Director before it are not known to {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Unsynced { vip, from, frame } = deviation.kind else { return None };
    let node = deviation.node;
    let trace = diagnosis.traffic.input.trace;
    let what = format!("{node} resets as {vip} a connection that {from} had balanced");
    let mut evidence: Vec<Evidence> = trace.frame(frame).map(|f| Evidence::frame(trace, f, what)).into_iter().collect();
    let held = diagnosis.traffic.input.facts_after(from).and_then(|f| f.ipvs.as_ref());
    let of = held.into_iter().flat_map(|i| &i.connections).filter(|c| c.service.ip() == vip).count();
    evidence.push(Evidence::fact(format!("{from} still holds them"), format!("{of} entries in its connection table")));
    let interface = deviation.interface.map_or("eth0", |i| i.as_str());
    let daemon = |state: &str| format!("ipvsadm --start-daemon {state} --mcast-interface {interface}");
    let mend = vec![
        mended(from, Dialect::Ipvsadm, daemon("master")),
        mended(node, Dialect::Ipvsadm, daemon("backup")),
        mended(node, Dialect::Keepalived, format!("in global_defs, on both: lvs_sync_daemon {interface} VI_1")),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
