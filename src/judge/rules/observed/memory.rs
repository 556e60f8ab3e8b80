//! What IPVS remembers of connections (`ip_vs_conn.c`, `ip_vs_in_hook`), held against packets that end at the Director: an
//! entry whose real server is gone, one that has expired, one whose port came again.
//!
//! Errs towards nothing: a Director of which frames were lost shows nothing, and an entry that was not read explains none.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::base::{Protocol, ServiceId};
use crate::facts::{ConnectionFact, IpvsFacts, NodeFacts};
use crate::judge::case::Station;
use crate::judge::model::deviation::{Kind, Predicted};
use crate::judge::traffic::{Packet, Traffic};
use crate::trace::Frame;
use crate::wire::frame::Tcp;

/// A client's packet at the Director.
#[derive(Clone, Copy)]
struct Seen<'t, 'a> {
    packet: &'t Packet<'a>,
    frame: &'a Frame,
    /// Whether it left the Director again.
    handed: bool,
}

impl Seen<'_, '_> {
    fn has(&self, flag: u8) -> bool {
        self.packet.ip.tcp().is_some_and(|t| t.flags & flag != 0)
    }
}

/// By transport, client's end and service: packets in order of time.
type Flows<'t, 'a> = BTreeMap<(Protocol, SocketAddr, SocketAddr), Vec<Seen<'t, 'a>>>;

/// Adds what the Directors' memory explains.
pub(super) fn add<'a>(traffic: &Traffic<'a>, predicted: &mut Predicted<'a>) {
    for director in traffic.directors().filter(|d| traffic.input.lost(&d.node) == 0) {
        let Some(facts) = traffic.input.facts_after(&director.node) else { continue };
        let Some(ipvs) = &facts.ipvs else { continue };
        for ((protocol, client, target), flow) in flows(traffic, director) {
            let of = (protocol, client, target);
            let found = orphaned(facts, ipvs, of, &flow)
                .or_else(|| forgotten(traffic, director, ipvs, of, &flow))
                .or_else(|| reused(facts, client, &flow));
            if let Some(kind) = found {
                predicted.note(&director.node, None, kind);
            }
        }
    }
}

fn flows<'t, 'a>(traffic: &'t Traffic<'a>, director: &Station) -> Flows<'t, 'a> {
    let local = traffic.served_by_director();
    let mut flows: Flows<'t, 'a> = BTreeMap::new();
    for (packet, _) in traffic.requests().filter(|(p, _)| !local.contains(&(p.protocol, p.source))) {
        let here = |s: &Station| s.node == director.node;
        let Some(into) = packet.entry(here) else { continue };
        let handed = packet.exit(here).is_some();
        let flow = flows.entry((packet.protocol, packet.source, packet.destination)).or_default();
        flow.push(Seen { packet, frame: into.frame, handed });
    }
    for flow in flows.values_mut() {
        flow.sort_by_key(|s| s.frame.number);
    }
    flows
}

type Of = (Protocol, SocketAddr, SocketAddr);

/// An entry whose real server is none of the service any more, and a packet that it swallowed.
fn orphaned<'a>(facts: &'a NodeFacts, ipvs: &'a IpvsFacts, of: Of, flow: &[Seen<'_, 'a>]) -> Option<Kind<'a>> {
    let (protocol, client, target) = of;
    if facts.sysctls.get("net.ipv4.vs.expire_nodest_conn").is_none_or(|v| v != "0") {
        return None;
    }
    let last = flow.iter().rev().take_while(|s| !s.handed).last()?;
    let entry = ipvs
        .connections
        .iter()
        .find(|c| c.protocol == protocol && c.client == client && c.service == target)
        .filter(|c| !is_member(ipvs, c))?;
    Some(Kind::Orphaned { entry, frame: last.frame.number })
}

fn is_member(ipvs: &IpvsFacts, entry: &ConnectionFact) -> bool {
    let own = |id: ServiceId| match id {
        ServiceId::Address { protocol, at } => {
            protocol == entry.protocol
                && at.ip() == entry.service.ip()
                && [0, entry.service.port()].contains(&at.port())
        }
        ServiceId::Fwmark { v6, .. } => v6 == entry.service.is_ipv6(),
    };
    let services = ipvs.services.iter().filter(|s| own(s.service));
    services.flat_map(|s| &s.destinations).any(|d| d.at.ip() == entry.destination.ip())
}

/// A segment that met no entry any more, for it came later than IPVS remembers, and the Director's RST.
fn forgotten<'a>(
    traffic: &Traffic<'a>,
    director: &Station,
    ipvs: &IpvsFacts,
    (protocol, client, target): Of,
    flow: &[Seen<'_, 'a>],
) -> Option<Kind<'a>> {
    if protocol != Protocol::Tcp {
        return None;
    }
    let mut ended = false;
    for pair in flow.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        ended = (ended || before.has(Tcp::FIN)) && !before.has(Tcp::SYN);
        let timeout_s = if ended { ipvs.timeout_tcp_fin_s } else { ipvs.timeout_tcp_s };
        let pause = after.frame.at_ns.saturating_sub(before.frame.at_ns);
        let late = pause >= u64::from(timeout_s) * 1_000_000_000;
        if !late || !before.handed || after.handed || after.has(Tcp::SYN | Tcp::RST) {
            continue;
        }
        let refusal = traffic.packets.iter().find_map(|p| {
            let out = p.exit(|s| s.node == director.node)?;
            let own = p.source == target && p.destination == client && out.frame.number > after.frame.number;
            (own && p.ip.tcp().is_some_and(|t| t.flags & Tcp::RST != 0)).then_some(out.frame.number)
        })?;
        let idle_ms = pause / 1_000_000;
        return Some(Kind::Forgotten { client, idle_ms, timeout_s, ended, data: after.frame.number, refusal });
    }
    None
}

/// A SYN from a port that was used before, which IPVS dropped while conntrack still held the connection before it, and
/// the repetition that it took.
fn reused<'a>(facts: &NodeFacts, client: SocketAddr, flow: &[Seen<'_, 'a>]) -> Option<Kind<'a>> {
    let on = |key: &str| facts.sysctls.get(key).is_some_and(|v| v != "0");
    if !on("net.ipv4.vs.conntrack") || !on("net.ipv4.vs.conn_reuse_mode") {
        return None;
    }
    let at = flow.iter().enumerate().position(|(at, s)| {
        let earlier = flow.get(..at).unwrap_or_default();
        s.has(Tcp::SYN) && !s.handed && earlier.iter().any(|e| e.handed && e.has(Tcp::FIN | Tcp::RST))
    })?;
    let first = flow.get(at)?;
    let again = flow.iter().skip(at + 1).find(|s| s.has(Tcp::SYN) && s.packet.sequence() == first.packet.sequence())?;
    let after_ms = again.frame.at_ns.saturating_sub(first.frame.at_ns) / 1_000_000;
    again.handed.then_some(Kind::Reused { client, frame: first.frame.number, again: again.frame.number, after_ms })
}
