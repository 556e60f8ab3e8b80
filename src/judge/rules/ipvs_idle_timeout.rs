//! `ipvs-idle-timeout`: a connection was idle for longer than IPVS remembers it.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ipvs-idle-timeout",
    title: "an idle connection is forgotten",
    teaches: "IPVS remembers a TCP connection for 900 seconds after its last packet, and 120 after the client's FIN. What \
              comes later meets no entry; it is no SYN, so it is not scheduled, and the Director's own stack answers it \
              with a RST from the VIP, while client and real server both think the connection fine. Make the timeout \
              longer than what applications are idle for, or have clients send TCP keepalives: they pass the Director, \
              and so do a client's answers to the server's. The trap: sloppy_tcp=1 schedules the segment anew, which is \
              right with sh or mh only.",
    causes: "connections that were idle are reset by the Director with the next thing that the client sends",
    source: "net/netfilter/ipvs/ip_vs_proto_tcp.c: tcp_timeouts, tcp_conn_schedule; ipvsadm(8): --set",
    outranks: &[],
    what: |nodes| format!("connections are forgotten sooner than they are used again, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Forgotten { client, idle_ms, timeout_s, ended, data, refusal } = deviation.kind else { return None };
    let (node, trace) = (deviation.node, diagnosis.traffic.input.trace);
    let state = if ended { "after the client's FIN" } else { "while established" };
    let timeouts = diagnosis.traffic.input.facts_after(node).and_then(|f| f.ipvs.as_ref());
    let (tcp, fin, udp) =
        timeouts.map_or((timeout_s, 0, 0), |i| (i.timeout_tcp_s, i.timeout_tcp_fin_s, i.timeout_udp_s));
    let what = format!("{node} remembers a connection for {timeout_s} s {state}");
    let mut evidence = vec![Evidence::fact(what, format!("timeouts (tcp tcpfin udp): {tcp} {fin} {udp}"))];
    let text = format!("{client} goes on after {idle_ms} ms");
    evidence.extend(trace.frame(data).map(|f| Evidence::frame(trace, f, text)));
    let text = format!("{node} refuses it in the VIP's name");
    evidence.extend(trace.frame(refusal).map(|f| Evidence::frame(trace, f, text)));
    let idle_s = u32::try_from(idle_ms.div_ceil(1000)).unwrap_or(u32::MAX);
    let wanted = idle_s.saturating_mul(2).max(if ended { 120 } else { 900 });
    let (set, word) = if ended {
        (format!("0 {wanted} 0"), format!("tcpfin {wanted}"))
    } else {
        (format!("{wanted} 0 0"), format!("tcp {wanted}"))
    };
    let mend = vec![
        mended(node, Dialect::Ipvsadm, format!("ipvsadm --set {set}")),
        mended(node, Dialect::Keepalived, format!("in global_defs: lvs_timeouts {word}")),
        mended(
            node,
            Dialect::ByHand,
            format!("TCP keepalives in clients or servers, more often than every {timeout_s} s"),
        ),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
