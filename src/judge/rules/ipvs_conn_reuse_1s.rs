//! `ipvs-conn-reuse-1s`: a SYN from a port used before is dropped, and its repetition a second later is not.

use super::diagnosis::{Diagnosis, mended, sysctl};
use super::{Affliction, Rule};
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
    let mut mend = sysctl(node, "net.ipv4.vs.conntrack", 0, "90-lvs-director");
    for at in diagnosis.world.case.services.iter().filter_map(|s| match s.id {
        crate::base::ServiceId::Address { at, .. } if at.is_ipv4() => Some(at),
        _ => None,
    }) {
        let (vip, port) = (at.ip(), at.port());
        let command = format!("iptables -t raw -I PREROUTING -d {vip} -p tcp --dport {port} -j CT --notrack");
        mend.push(mended(node, Dialect::Iptables, command));
    }
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
