//! `unexplained-drop`, `unexplained-refusal`: where a failed request's packets end, when no fact says why.
//!
//! Owns: the first difference between the way that the model gives a packet and the way that the capture shows. Refuses:
//! guessing a cause, and speaking beside a rule that names one. A capture that lost or cut frames says nothing here.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::shown::{Sent, Sight, wants_answer};
use super::{Affliction, Rule};
use crate::base::{IfName, NodeName};
use crate::facts::run::{Outcome, RequestResult};
use crate::judge::host::address_line;
use crate::judge::ladder::words;
use crate::judge::traffic::{Hop, Packet, Traffic, Way};
use crate::judge::{Evidence, Finding, Input};
use crate::wire::frame::{Body, Tcp, Transport};

/// A packet that ends without a cause.
pub(super) const DROP: Rule = Rule {
    id: "unexplained-drop",
    title: "packets end at a node, and no fact says why",
    teaches: "The capture shows where a packet was seen last, and nothing that was read of that node explains it: \
              neighbour entries, routes, source checks, addresses, the packet filter as far as its rules are \
              understood, IPVS, sockets. What is not read may do it: nft, tc, XDP, ebtables, XFRM, policy routing, \
              cgroups, a switch. This is a place and no cause: look there, with `nstat`, `ip -s link`, \
              `tc -s filter show`, `nft list ruleset`, `perf trace -e skb:kfree_skb`.",
    causes: "requests that are sent this way are not answered",
    source: "net/core/skbuff.c: kfree_skb_reason; include/net/dropreason-core.h: skb_drop_reason",
    outranks: &[],
    what: |nodes| format!("packets end at {nodes}, and nothing that was read there says why"),
    claims: |_, _| None,
};

/// A refusal without a cause.
pub(super) const REFUSAL: Rule = Rule {
    id: "unexplained-refusal",
    title: "a node refuses connections, and no fact says why",
    teaches: "A reset or an ICMP error came from that node although a service and a listening socket are there by all that \
              was read. A rule with `-j REJECT` and a match that is not understood, a full backlog with \
              tcp_abort_on_overflow, an application that resets do it. This is a place and no cause: look there.",
    causes: "requests that are sent there are refused",
    source: "net/ipv4/tcp_ipv4.c: tcp_v4_send_reset; net/ipv4/icmp.c: icmp_send; RFC 9293 section 3.5.2",
    outranks: &[],
    what: |nodes| format!("connections are refused by {nodes}, and nothing that was read there says why"),
    claims: |_, _| None,
};

/// Places that are told at most.
const PLACES: usize = 3;

/// Failed requests that are followed at most.
const LOOKED_AT: usize = 64;

/// Whether it names a place only.
pub fn is_unexplained(finding: &Finding) -> bool {
    [DROP.id, REFUSAL.id].contains(&finding.id.as_str())
}

/// Where packets of failed requests end, as findings.
pub(super) fn findings(input: &Input<'_>) -> Vec<Finding> {
    let whole = |f: &crate::trace::Frame| !f.is_cut() && !matches!(f.decoded.body, Body::Malformed(_));
    if input.capture.dropped.values().any(|lost| *lost > 0) || !input.trace.frames.iter().all(whole) {
        return Vec::new();
    }
    let trails = Trails::new(input);
    let mut places: Vec<(&'static Rule, Affliction)> = Vec::new();
    let failed = |r: &&RequestResult| matches!(r.outcome, Outcome::Failed { .. });
    for request in input.ran.loads.iter().flat_map(|l| &l.requests).filter(failed).take(LOOKED_AT) {
        let Some((rule, place)) = trails.end_of(request) else { continue };
        let known =
            places.iter().any(|(r, p)| r.id == rule.id && p.node == place.node && p.interface == place.interface);
        if places.len() < PLACES && !known {
            places.push((rule, place));
        }
    }
    let of = |rule: &'static Rule| {
        let whom: Vec<&Affliction> = places.iter().filter(|(r, _)| r.id == rule.id).map(|(_, p)| p).collect();
        rule.finding(&whom)
    };
    [&DROP, &REFUSAL]
        .into_iter()
        .filter_map(of)
        .map(|f| Finding { confidence: crate::judge::Confidence::Likely, ..f })
        .collect()
}

/// All packets by their clients' ends, with what leaves each node.
struct Trails<'a> {
    traffic: Traffic<'a>,
    sent: BTreeMap<&'a NodeName, Sent>,
}

impl<'a> Trails<'a> {
    fn new(input: &'a Input<'a>) -> Self {
        let traffic = Traffic::new(input);
        let sent = input.case.stations.iter().map(|s| (&s.node, Sight { traffic: &traffic, node: &s.node }.sent()));
        let sent = sent.collect();
        Self { traffic, sent }
    }

    fn end_of(&self, request: &RequestResult) -> Option<(&'static Rule, Affliction)> {
        let local = request.local?;
        let own = |p: &&Packet<'a>| {
            p.protocol == request.protocol
                && ((p.source == local && p.destination == request.target) || p.destination == local)
        };
        let packets: Vec<&Packet<'a>> = self.traffic.packets.iter().filter(own).collect();
        if let Some(place) = self.refusal(request, local, &packets) {
            return Some((&REFUSAL, place));
        }
        let mut copies: BTreeMap<(SocketAddr, Option<u32>, u32), Vec<&Packet<'a>>> = BTreeMap::new();
        for packet in packets.iter().filter(|p| wants_answer(p)) {
            copies.entry((packet.source, packet.sequence(), payload(packet))).or_default().push(packet);
        }
        // Of a packet that was sent again the copy counts that came furthest.
        let ends = copies.into_values().filter_map(|copies| {
            let ends: Option<Vec<Affliction>> = copies.iter().map(|p| self.drop(request, p)).collect();
            let furthest = copies.iter().enumerate().rev().max_by_key(|(_, p)| p.hops.len())?.0;
            let first = copies.first()?.hops.first()?.frame.number;
            Some((first, ends?.into_iter().nth(furthest)?))
        });
        ends.min_by_key(|(first, _)| *first).map(|(_, place)| (&DROP, place))
    }

    /// A reset or an ICMP error of this request, where another than the client sent it.
    fn refusal(&self, request: &RequestResult, local: SocketAddr, packets: &[&Packet<'a>]) -> Option<Affliction> {
        let resets = |p: &&&Packet<'a>| p.destination == local && p.ip.tcp().is_some_and(|t| t.flags & Tcp::RST != 0);
        let reset = packets.iter().find(resets).and_then(|p| Some((p.hops.first()?, words(p, p.hops.first()?))));
        let (hop, what) = match reset {
            Some((hop, what)) => (*hop, what),
            None => self.error(request, local)?,
        };
        (hop.way == Way::Leaves && hop.station.node != request.client)
            .then(|| self.place(&hop.station.node, Some(&hop.port.interface), vec![self.shown(&hop, what)]))
    }

    /// The first ICMP error that quotes the request.
    fn error(&self, request: &RequestResult, local: SocketAddr) -> Option<(Hop<'a>, String)> {
        let trace = self.traffic.input.trace;
        trace.frames.iter().find_map(|frame| {
            let Transport::Icmp { kind, code, quotes: Some(quoted) } = &frame.ip()?.innermost().transport else {
                return None;
            };
            let of_it = quoted.source == local.ip()
                && quoted.destination == request.target.ip()
                && quoted.ports == Some((local.port(), request.target.port()));
            let hop = self.traffic.hop(frame).filter(|_| of_it)?;
            Some((hop, format!("ICMP {kind}/{code} about {local} > {}", request.target)))
        })
    }

    /// Where the packet ends short of its aim.
    fn drop(&self, request: &RequestResult, packet: &Packet<'a>) -> Option<Affliction> {
        let last = packet.hops.last()?;
        let case = self.traffic.input.case;
        if last.way == Way::Enters {
            if last.station.node == request.client {
                return None;
            }
            let sight = Sight { traffic: &self.traffic, node: &last.station.node };
            let hop = sight.ends_here(packet, self.sent.get(&last.station.node)?)?;
            let what = format!("{} comes in and nothing comes of it", words(packet, &hop));
            return Some(self.place(&hop.station.node, Some(&hop.port.interface), vec![self.shown(&hop, what)]));
        }
        let to = last.frame.decoded.destination;
        let owners = case.owners(to);
        let receiver = owners.iter().find(|(_, p)| p.segment == last.port.segment);
        let Some((station, port)) = receiver else {
            let what = format!("{} leaves for {}", words(packet, last), case.name_of(to));
            return Some(self.place(&last.station.node, Some(&last.port.interface), vec![self.shown(last, what)]));
        };
        let captured = |v: &crate::trace::Vantage| v.node == station.node && v.interface == port.interface;
        self.traffic.input.trace.vantages.iter().find(|v| captured(v))?;
        let what = format!("{} leaves for {}, and is not seen there", words(packet, last), case.name_of(to));
        Some(self.place(&station.node, Some(&port.interface), vec![self.shown(last, what)]))
    }

    fn shown(&self, hop: &Hop<'a>, what: String) -> Evidence {
        Evidence::frame(self.traffic.input.trace, hop.frame, what)
    }

    /// The place, with what was read there: rules that may do it, and what says that it should not have happened.
    fn place(&self, node: &NodeName, interface: Option<&IfName>, mut evidence: Vec<Evidence>) -> Affliction {
        let rules = self.traffic.input.facts(node).and_then(|f| f.iptables.as_deref()).unwrap_or_default();
        let stops = |r: &&String| ["DROP", "REJECT"].iter().any(|target| r.split(' ').any(|word| word == *target));
        let what = format!("{node} has a rule that the model did not follow or that did not apply");
        evidence.extend(rules.iter().filter(stops).map(|r| Evidence::fact(what.clone(), format!("iptables {r}"))));
        let facts = self.traffic.input.facts(node);
        let own =
            facts.into_iter().flat_map(|f| &f.addresses).filter(|a| self.traffic.input.case.is_vip(a.address.addr()));
        evidence.extend(own.map(|a| Evidence::fact(format!("{node} has the VIP"), address_line(a))));
        let sockets = facts.and_then(|f| f.sockets.as_deref()).unwrap_or_default();
        let listens = |s: &crate::facts::SocketFact| {
            Evidence::fact(format!("{node} listens at"), format!("{} {}", s.protocol, s.at))
        };
        evidence.extend(sockets.iter().map(listens));
        Affliction { node: node.clone(), interface: interface.cloned(), evidence, mend: Vec::new() }
    }
}

fn payload(packet: &Packet<'_>) -> u32 {
    packet.ip.tcp().map_or(0, |t| t.payload)
}
