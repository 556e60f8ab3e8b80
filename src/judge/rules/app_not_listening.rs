//! `app-not-listening`: nothing listens at the service's port.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "app-not-listening",
    title: "nothing listens on a real server",
    teaches: "A packet that reaches a host at a port where nothing listens is refused: TCP by a RST, UDP by ICMP \
              port unreachable. Its source is the VIP, its MAC the real server's. Without health checks the \
              Director goes on sending connections there.",
    causes: "connections that are sent there are refused",
    source: "net/ipv4/tcp_ipv4.c: tcp_v4_rcv, tcp_v4_send_reset",
    outranks: &[],
    what: |nodes| format!("nothing listens at the service's port on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Deaf { protocol, at, listening, method } = &deviation.kind else { return None };
    let mapped = |d: &Deviation<'_>| {
        let Kind::Mapped { at: to, .. } = d.kind else { return false };
        diagnosis.world.case.station(deviation.node).is_some_and(|s| s.has(to.ip()))
    };
    if diagnosis.predicted.deviations.iter().any(mapped) {
        return None;
    }

    let all: Vec<String> = listening.iter().map(|s| format!("{} {}", s.protocol, s.at)).collect();
    let all = if all.is_empty() { "nothing".to_owned() } else { all.join(", ") };
    let what = format!("packets for {protocol} {at} come in ({method}); {} listens at", deviation.node);
    let evidence = vec![Evidence::fact(what, all)];
    let mend = vec![mended(
        deviation.node,
        Dialect::ByHand,
        format!("start the server at {at}, or set the weight of {} to 0 until it runs", deviation.node),
    )];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
