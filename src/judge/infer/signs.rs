//! What frames show of the parts that stations play, counted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::Known;
use crate::base::{Mac, Protocol};
use crate::trace::{Direction, Journey, Trace};
use crate::wire::frame::{Arp, Body, Tcp, Transport, is_initial};
use crate::wire::link::UNKNOWN;

/// How many packets must show that two MACs are of one machine; a few may mislead where frames were lost.
const LINKING: u64 = 3;

/// From whom to whom, and how often.
pub(super) type Edges = BTreeMap<(Mac, Mac), u64>;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// Addresses other than VIPs that ARP or neighbour discovery ties to MACs.
    pub(super) addresses: BTreeMap<Mac, BTreeSet<IpAddr>>,
    /// Who sent any frame, or is told of by ARP or neighbour discovery.
    pub(super) heard: BTreeSet<Mac>,
    /// Who says that it has a VIP, and how often.
    pub(super) claims: BTreeMap<Mac, u64>,
    /// Request frames.
    pub(super) arrivals: Edges,
    /// Request frames of packets that their sender had got from another.
    pub(super) handed: Edges,
    /// Request frames with a TTL that nobody lowered.
    pub(super) starts: Edges,
    /// Who got a request that nobody was seen to get after it.
    pub(super) ends: BTreeMap<Mac, u64>,
    /// Reply frames, each packet's first one.
    pub(super) replies: Edges,
    /// Who sent replies with a TTL that nobody lowered.
    pub(super) origin: BTreeMap<Mac, u64>,
    /// Who sent replies that others had sent before.
    pub(super) passed_on: BTreeSet<Mac>,
    /// Addresses that requests come from.
    pub(super) clients: BTreeSet<IpAddr>,
    /// Services with those who handed their requests on.
    pub(super) services_handed: BTreeSet<(Mac, (Protocol, SocketAddr))>,
    /// Services with those who sent replies from them.
    pub(super) services_answered: BTreeSet<(Mac, (Protocol, SocketAddr))>,
    /// Services with those who were asked to open a connection.
    pub(super) services_asked: BTreeSet<(Mac, (Protocol, SocketAddr))>,
    /// Services that anybody was asked to open a connection to.
    pub(super) services_seen: BTreeSet<(Protocol, SocketAddr)>,
    /// A packet got by the one and sent by the other, its TTL lower by one.
    linked: BTreeMap<(Mac, Mac), u64>,
    /// The same two, with another station between them.
    unlinked: BTreeSet<(Mac, Mac)>,
}

/// One frame of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    /// Counted down, so that the first frame comes first.
    lowered: u8,
    from: Mac,
    to: Mac,
}

impl Signs {
    /// All that a trace shows.
    pub(super) fn of(trace: &Trace, known: &Known, owned: &[BTreeSet<Mac>]) -> Self {
        let heard = trace.frames.iter().map(|f| f.decoded.source).collect();
        let mut signs = Self { heard, ..Self::default() };
        for frame in trace.neighbour_frames() {
            signs.neighbour(&frame.decoded, known);
        }
        for journey in &trace.journeys {
            signs.packet(trace, journey, known, owned);
        }
        signs
    }

    fn neighbour(&mut self, decoded: &crate::wire::frame::Decoded, known: &Known) {
        let (mac, address, claims) = match &decoded.body {
            Body::Arp(arp) => {
                let says = arp.operation == Arp::REPLY || arp.is_gratuitous();
                (arp.sender_mac, IpAddr::V4(arp.sender_ip), says)
            }
            Body::Ip(ip) => match ip.transport {
                Transport::NeighbourAdvertisement { target, target_mac, .. } => {
                    (target_mac.unwrap_or(decoded.source), IpAddr::V6(target), true)
                }
                Transport::NeighbourSolicitation { source_mac: Some(mac), .. } => (mac, ip.source, false),
                _ => return,
            },
            _ => return,
        };
        if mac == UNKNOWN || address.is_unspecified() {
            return;
        }
        self.heard.insert(mac);
        if !known.vips.iter().any(|(vip, _)| *vip == address) {
            self.addresses.entry(mac).or_default().insert(address);
        } else if claims {
            *self.claims.entry(mac).or_default() += 1;
        }
    }

    fn packet(&mut self, trace: &Trace, journey: &Journey, known: &Known, owned: &[BTreeSet<Mac>]) {
        let Some(first) = journey.first(trace) else { return };
        let Some(ip) = first.ip().map(crate::wire::frame::Ip::innermost) else { return };
        let protocol = match ip.transport {
            Transport::Tcp(_) => Protocol::Tcp,
            Transport::Udp(_) => Protocol::Udp,
            _ => return,
        };
        let Some((from, to)) = ip.ports() else { return };
        let is_service = |address: IpAddr, port: u16| {
            known.vips.iter().any(|(vip, at)| *vip == address && at.is_none_or(|p| p == port))
        };
        let is_vip = |address: IpAddr| known.vips.iter().any(|(vip, _)| *vip == address);
        let mut edges: Vec<Edge> = journey
            .frames(trace)
            .filter_map(|f| {
                let ttl = f.ip()?.innermost().ttl;
                let to = f.decoded.destination;
                // A cooked capture says that it came in, and not to which MAC.
                let own = owned.get(f.vantage).filter(|own| own.len() == 1 && f.direction == Direction::In);
                let to = if to == UNKNOWN { own.and_then(|own| own.first().copied()).unwrap_or(to) } else { to };
                Some(Edge { lowered: u8::MAX - ttl, from: f.decoded.source, to })
            })
            .filter(|e| e.from != UNKNOWN && !e.to.is_group())
            .collect();
        edges.sort_unstable();
        edges.dedup();
        // The same frame with its receiver says more.
        let whole: Vec<(u8, Mac)> = edges.iter().filter(|e| e.to != UNKNOWN).map(|e| (e.lowered, e.from)).collect();
        edges.retain(|e| e.to != UNKNOWN || !whole.contains(&(e.lowered, e.from)));
        if is_service(ip.destination, to) && !is_vip(ip.source) {
            self.clients.insert(ip.source);
            let opens = ip.tcp().is_none_or(Tcp::opens);
            if opens {
                self.services_seen.insert((protocol, SocketAddr::new(ip.destination, to)));
            }
            self.request(&edges, (protocol, SocketAddr::new(ip.destination, to)), opens, first.times());
        } else if is_service(ip.source, from) && !is_vip(ip.destination) {
            let resets = ip.tcp().is_some_and(|t| t.flags & Tcp::RST != 0);
            self.reply(&edges, (protocol, SocketAddr::new(ip.source, from)), resets, first.times());
        } else {
            return;
        }
        self.links_of(&edges, first.times());
    }

    fn request(&mut self, edges: &[Edge], service: (Protocol, SocketAddr), opens: bool, times: u64) {
        for edge in edges {
            *self.arrivals.entry((edge.from, edge.to)).or_default() += times;
            if is_initial(u8::MAX - edge.lowered) {
                *self.starts.entry((edge.from, edge.to)).or_default() += times;
            }
            if edges.iter().any(|e| e.to == edge.from && e.from != edge.to && e.from != edge.from) {
                *self.handed.entry((edge.from, edge.to)).or_default() += times;
                self.services_handed.insert((edge.from, service));
            }
            if opens {
                self.services_asked.insert((edge.to, service));
            }
        }
        if let Some(last) = edges.last().filter(|last| last.to != UNKNOWN && !edges.iter().any(|e| e.from == last.to)) {
            *self.ends.entry(last.to).or_default() += times;
        }
    }

    fn reply(&mut self, edges: &[Edge], service: (Protocol, SocketAddr), resets: bool, times: u64) {
        for edge in edges {
            let before = edges.iter().any(|e| e.to == edge.from || e.lowered < edge.lowered);
            if before {
                self.passed_on.insert(edge.from);
            } else {
                *self.replies.entry((edge.from, edge.to)).or_default() += times;
                // A reset may come from whoever feels asked.
                if is_initial(u8::MAX - edge.lowered) && !resets {
                    *self.origin.entry(edge.from).or_default() += times;
                    self.services_answered.insert((edge.from, service));
                }
            }
        }
    }

    fn links_of(&mut self, edges: &[Edge], times: u64) {
        for into in edges {
            for out in edges.iter().filter(|out| out.lowered == into.lowered.saturating_add(1)) {
                if into.to == out.from || into.to == UNKNOWN {
                    continue;
                }
                let between = edges.iter().any(|e| e.from == into.to || e.to == out.from);
                let two = (into.to.min(out.from), into.to.max(out.from));
                if between {
                    self.unlinked.insert(two);
                } else {
                    *self.linked.entry(two).or_default() += times;
                }
            }
        }
    }

    /// MACs that packets show to be of one machine.
    pub(super) fn links(&self) -> impl Iterator<Item = (Mac, Mac)> + '_ {
        self.linked.iter().filter(|(two, n)| **n >= LINKING && !self.unlinked.contains(two)).map(|(two, _)| *two)
    }

    /// Who sends on requests that it gets.
    pub(super) fn handing(&self) -> BTreeSet<Mac> {
        self.handed.keys().map(|(from, _)| *from).collect()
    }

    /// To whom it sends them.
    pub(super) fn handed_by(&self, mac: Mac) -> impl Iterator<Item = Mac> + '_ {
        self.handed.keys().filter(move |(from, _)| *from == mac).map(|(_, to)| *to)
    }

    /// Who sends replies of its own.
    pub(super) fn origins(&self) -> BTreeSet<Mac> {
        self.origin.keys().filter(|mac| !self.passed_on.contains(mac)).copied().collect()
    }

    /// To whom it sends them.
    pub(super) fn replied_to(&self, mac: Mac) -> impl Iterator<Item = Mac> + '_ {
        self.replies.keys().filter(move |(from, _)| *from == mac).map(|(_, to)| *to)
    }

    /// The MACs of an address.
    pub(super) fn macs_of(&self, address: IpAddr) -> Vec<Mac> {
        self.addresses.iter().filter(|(_, all)| all.contains(&address)).map(|(mac, _)| *mac).collect()
    }
}
