//! `ipvs-nodest-drop`: connections to a real server that was removed are dropped without a word.

use super::diagnosis::{Diagnosis, mended, sysctl};
use super::{Affliction, Rule};
use crate::base::{NodeName, Protocol};
use crate::facts::ConnectionFact;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence, Mend};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ipvs-nodest-drop",
    title: "a removed real server's connections are dropped",
    teaches: "Entries of the connection table outlive the real server that they lead to, in case it comes back. While it \
              is gone and expire_nodest_conn is 0, each packet of such a connection is dropped silently: clients wait \
              until their own patience ends, and each retry keeps the entry. With expire_nodest_conn=1 the entry goes with \
              the next packet, and the client hears a RST at once. To take a real server out without harm, give it weight \
              0, wait for its connections to end, and only then remove it: a session that is in use is lost otherwise.",
    causes: "clients of the removed real server hang: their packets enter the Director and nothing leaves it",
    source: "Documentation/networking/ipvs-sysctl.rst: expire_nodest_conn; net/netfilter/ipvs/ip_vs_core.c: ip_vs_in_hook",
    outranks: &[],
    what: |nodes| format!("connections to a removed real server are dropped without a word on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Orphaned { entry, frame } = deviation.kind else { return None };
    if entry.protocol != Protocol::Tcp {
        return None;
    }
    let node = deviation.node;
    let mut mend = expire(node);
    mend.push(mended(
        node,
        Dialect::ByHand,
        format!(
            "before the next removal: ipvsadm -e -t {} -r {} -g -w 0, until ipvsadm -Ln shows ActiveConn 0",
            entry.service, entry.destination
        ),
    ));
    Some(Diagnosis::afflict(deviation, shown(diagnosis, node, entry, frame), mend))
}

/// The entry, the switch and a packet that ended at the Director.
pub(super) fn shown(diagnosis: &Diagnosis<'_>, node: &NodeName, entry: &ConnectionFact, frame: u32) -> Vec<Evidence> {
    let trace = diagnosis.traffic.input.trace;
    let line = format!(
        "{} {} {} {} {} expires in {} s",
        entry.protocol, entry.client, entry.service, entry.destination, entry.state, entry.expires_s
    );
    let mut evidence = vec![
        Evidence::fact(
            format!("{node} still has a connection to {}, which is none of its real servers", entry.destination),
            line,
        ),
        Evidence::fact(format!("{node} keeps it"), "net.ipv4.vs.expire_nodest_conn = 0"),
    ];
    let what = format!("a packet of it enters {node} and does not leave it");
    evidence.extend(trace.frame(frame).map(|f| Evidence::frame(trace, f, what)));
    evidence
}

/// Has such entries expire.
pub(super) fn expire(node: &NodeName) -> Vec<Mend> {
    sysctl(node, "net.ipv4.vs.expire_nodest_conn", 1, "90-lvs-director")
}
