//! `app-not-listening`: nothing listens at the service's port.

use std::net::SocketAddr;

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule, ways};
use crate::base::{Protocol, ServiceId};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence, Mend};

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
    let Kind::Deaf { protocol, at, .. } = &deviation.kind else { return None };
    let evidence = deaf(diagnosis, deviation)?;
    let mut mend = vec![mended(deviation.node, Dialect::ByHand, format!("start the server at {at}"))];
    mend.extend(quiesced(diagnosis, deviation, (*protocol, *at)));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}

/// Where packets come in at a port and what listens; nothing where a port that is to be mapped is what makes it deaf.
pub(super) fn deaf(diagnosis: &Diagnosis<'_>, deviation: &Deviation<'_>) -> Option<Vec<Evidence>> {
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
    Some(vec![Evidence::fact(what, all)])
}

/// On each Director the real server gets nothing until it serves.
pub(super) fn quiesced(
    diagnosis: &Diagnosis<'_>,
    deviation: &Deviation<'_>,
    (protocol, at): (Protocol, SocketAddr),
) -> Vec<Mend> {
    let Some(station) = diagnosis.world.case.station(deviation.node) else { return Vec::new() };
    let mut mend = Vec::new();
    for place in diagnosis.world.places() {
        let services = place.facts.ipvs.iter().flat_map(|i| &i.services);
        for service in services.filter(|s| match s.service {
            ServiceId::Address { protocol: p, at: vip } => p == protocol && vip == at,
            ServiceId::Fwmark { v6, .. } => v6 == at.is_ipv6(),
        }) {
            for to in service.destinations.iter().filter(|d| d.weight > 0 && station.has(d.at.ip())) {
                let (id, method) = (ways::service(service.service), super::ipvs_no_dest::method_flag(to.forwarding));
                let command = format!("ipvsadm -e {id} -r {} {method} -w 0", to.at);
                mend.push(mended(place.node(), Dialect::Ipvsadm, command));
            }
        }
    }
    mend
}
