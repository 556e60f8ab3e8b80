//! `ipvs-conn-reuse-1s`: a SYN from a port used before is dropped, and its repetition a second later is not.

use std::net::SocketAddr;

use super::diagnosis::{Diagnosis, mended, sysctl};
use super::{Affliction, Rule};
use crate::base::{NodeName, Protocol, ServiceId};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ipvs-conn-reuse-1s",
    title: "a client's port that comes again costs it a second",
    teaches: "When a SYN comes from a port whose connection IPVS still holds, IPVS wants to schedule it anew. With \
              vs.conntrack=1, and conntrack still holding the connection before, it drops that SYN, has the entry expire, \
              and takes the repetition one second later. Since Linux 5.9 only a connection that conntrack believes \
              alive is held so; behind direct routing it believes all of them alive, for it never sees a reply. Set \
              vs.conntrack=0, which direct routing never needs, or leave the service untracked. The trap: \
              conn_reuse_mode=0 avoids the wait by sending the new connection to the old real server, drained or not.",
    causes: "now and then a connection takes exactly one second longer, the more the busier the client",
    source: "Documentation/networking/ipvs-sysctl.rst: conn_reuse_mode, conntrack; include/net/ip_vs.h: ip_vs_conn_uses_old_conntrack",
    outranks: &[],
    what: |nodes| format!("a port that is used again is made to wait by connection tracking on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Reused { client, frame, again, after_ms } = deviation.kind else { return None };
    let (node, trace) = (deviation.node, diagnosis.traffic.input.trace);
    let mut evidence = Vec::new();
    for key in ["net.ipv4.vs.conntrack", "net.ipv4.vs.conn_reuse_mode"] {
        let value = diagnosis.traffic.input.facts_after(node).and_then(|f| f.sysctls.get(key));
        evidence.extend(value.map(|v| Evidence::fact(node.to_string(), format!("{key} = {v}"))));
    }
    let text = format!("a SYN from {client}, a port that was used before, enters {node} and does not leave it");
    evidence.extend(trace.frame(frame).map(|f| Evidence::frame(trace, f, text)));
    let text = format!("its repetition {after_ms} ms later does");
    evidence.extend(trace.frame(again).map(|f| Evidence::frame(trace, f, text)));
    let services = diagnosis.world.case.services.iter().filter_map(|s| match s.id {
        ServiceId::Address { protocol: Protocol::Tcp, at } => Some(at),
        _ => None,
    });
    let mut mend: Vec<_> = services.map(|at| mended(node, Dialect::Iptables, untracked(diagnosis, node, at))).collect();
    if mend.is_empty() {
        mend = sysctl(node, "net.ipv4.vs.conntrack", 0, "90-lvs-director");
    } else {
        let setting = "or sysctl -w net.ipv4.vs.conntrack=0: each port that IPVS still holds then waits once more";
        mend.push(mended(node, Dialect::ByHand, setting));
    }
    Some(Diagnosis::afflict(deviation, evidence, mend))
}

/// Leaves a service untracked at once, also where connections of it are still held. A filter that drops goes by what
/// connection tracking says, so it is told to let these pass.
fn untracked(diagnosis: &Diagnosis<'_>, node: &NodeName, at: SocketAddr) -> String {
    let tool = if at.is_ipv4() { "iptables" } else { "ip6tables" };
    let what = format!("-d {} -p tcp --dport {}", at.ip(), at.port());
    let rules = diagnosis.facts(node).and_then(|f| f.iptables.as_deref()).unwrap_or_default();
    let drops = rules.iter().any(|r| r.contains("INPUT") && (r.contains("DROP") || r.contains("REJECT")));
    let pass = format!(" && {tool} -I INPUT {what} -m conntrack --ctstate UNTRACKED -j ACCEPT");
    let pass = if drops { pass } else { String::new() };
    format!("{tool} -t raw -I PREROUTING {what} -j CT --notrack{pass}")
}
