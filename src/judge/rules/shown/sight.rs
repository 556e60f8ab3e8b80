//! What the capture shows of one node: what it asks and answers, what it sends, refuses, and lets vanish.
//!
//! Owns: finding the first frame of each kind and counting the others. Refuses: saying why (see `shown`). Where a node has
//! no vantage its frames are recognised elsewhere by its MACs, and nothing is said to have vanished in it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::base::{Mac, NodeName, Protocol};
use crate::judge::ladder::words;
use crate::judge::traffic::{Hop, Packet, Traffic, Way};
use crate::judge::{Evidence, Input};
use crate::trace::Frame;
use crate::wire::frame::{Arp, Body, Tcp, Transport};

/// How long an answer may take, in nanoseconds: the kernel asks again after a second (`retrans_time_ms`).
const PATIENCE_NS: u64 = 1_000_000_000;

/// One node in the capture.
#[derive(Clone, Copy)]
pub(in crate::judge) struct Sight<'t, 'a> {
    pub(in crate::judge) traffic: &'t Traffic<'a>,
    pub(in crate::judge) node: &'a NodeName,
}

/// A question for a neighbour, or an answer.
#[derive(Debug, Clone, Copy)]
pub(in crate::judge) struct Spoken<'a> {
    pub(in crate::judge) frame: &'a Frame,
    pub(in crate::judge) asks: bool,
    /// In whose name.
    pub(in crate::judge) sender: IpAddr,
    /// Who is sought, or who is told of.
    pub(in crate::judge) about: IpAddr,
}

/// What leaves a node: when the last packet of its own to whom, and where packets of one source and number are sent to.
#[derive(Debug, Default)]
pub(in crate::judge) struct Sent {
    to: BTreeMap<(Protocol, SocketAddr), u64>,
    from: BTreeMap<(Protocol, SocketAddr, Option<u32>), BTreeSet<SocketAddr>>,
}

impl<'a> Sight<'_, 'a> {
    fn input(&self) -> &'a Input<'a> {
        self.traffic.input
    }

    /// Whether the node's own interfaces were captured.
    pub(in crate::judge) fn captured(&self) -> bool {
        self.input().trace.vantages.iter().any(|v| v.node == *self.node)
    }

    /// A frame with what it shows.
    pub(in crate::judge) fn evidence(&self, frame: &Frame, what: impl Into<String>) -> Evidence {
        Evidence::frame(self.input().trace, frame, what)
    }

    /// Whether the node sent the frame.
    fn sent_by(&self, frame: &'a Frame) -> bool {
        if self.captured() {
            return self.traffic.hop(frame).is_some_and(|h| h.station.node == *self.node && h.way == Way::Leaves);
        }
        let station = self.input().case.station(self.node);
        station.is_some_and(|s| s.ports.iter().any(|p| p.mac == frame.decoded.source))
    }

    /// Everything that was said of neighbours anywhere, as its sender sent it or as this node heard it.
    fn spoken(&self) -> impl Iterator<Item = Spoken<'a>> {
        self.input().trace.neighbour_frames().filter_map(spoken)
    }

    /// What the node itself says of neighbours.
    pub(in crate::judge) fn says(&self) -> impl Iterator<Item = Spoken<'a>> {
        let sight = *self;
        self.spoken().filter(move |s| sight.sent_by(s.frame))
    }

    /// What comes in at the node about neighbours.
    pub(in crate::judge) fn hears(&self) -> impl Iterator<Item = Spoken<'a>> {
        let sight = *self;
        self.spoken().filter(move |s| sight.enters(s.frame))
    }

    fn enters(&self, frame: &'a Frame) -> bool {
        self.traffic.hop(frame).is_some_and(|h| h.station.node == *self.node && h.way == Way::Enters)
    }

    /// The first answer that the node gives about an address.
    pub(in crate::judge) fn answers(&self, about: impl Fn(IpAddr) -> bool) -> Option<Evidence> {
        let answers: Vec<Spoken<'a>> = self.says().filter(|s| !s.asks && about(s.about)).collect();
        let first = answers.first()?;
        let what = format!("{} says that it has {}{}", self.node, first.about, times(answers.len()));
        Some(self.evidence(first.frame, what))
    }

    /// The first question that the node asks and that is such.
    pub(in crate::judge) fn asks(&self, such: impl Fn(&Spoken<'a>) -> bool) -> Option<Evidence> {
        let asked: Vec<Spoken<'a>> = self.says().filter(|s| s.asks && such(s)).collect();
        let first = asked.first()?;
        let name = format!("as {}", first.sender);
        let what = format!("{} asks who has {}, {name}{}", self.node, first.about, times(asked.len()));
        Some(self.evidence(first.frame, what))
    }

    /// The first question for this node that comes in and that it leaves without an answer; at the asker where this node
    /// did not get it or was not captured.
    pub(in crate::judge) fn leaves_unanswered(&self, such: impl Fn(&Spoken<'a>) -> bool) -> Option<Evidence> {
        let mut answers: BTreeMap<IpAddr, BTreeSet<u64>> = BTreeMap::new();
        for answer in self.says().filter(|s| !s.asks) {
            answers.entry(answer.about).or_default().insert(answer.frame.at_ns);
        }
        let answered = |asked: &Spoken<'a>| {
            let soon = asked.frame.at_ns..asked.frame.at_ns.saturating_add(PATIENCE_NS);
            answers.get(&asked.about).is_some_and(|at| at.range(soon).next().is_some())
        };
        let open = |s: &Spoken<'a>| s.asks && such(s) && !answered(s);
        let mut heard: Vec<Spoken<'a>> = self.hears().filter(open).collect();
        if heard.is_empty() {
            let leaves = |s: &Spoken<'a>| self.traffic.hop(s.frame).is_some_and(|h| h.way == Way::Leaves);
            heard = self.spoken().filter(|s| open(s) && !self.sent_by(s.frame) && leaves(s)).collect();
        }
        let first = heard.first()?;
        let what = format!(
            "{} asks who has {}{}: {} does not answer",
            first.sender,
            first.about,
            times(heard.len()),
            self.node
        );
        Some(self.evidence(first.frame, what))
    }

    /// The first packet that the node sends and that is such, with words for what is wrong with it.
    pub(in crate::judge) fn sends(
        &self,
        such: impl Fn(&Packet<'a>, &Hop<'a>) -> bool,
        wrong: &str,
    ) -> Option<Evidence> {
        let mut sent = self.traffic.packets.iter().filter_map(|p| Some((p, self.exit(p)?))).filter(|(p, h)| such(p, h));
        let (packet, hop) = sent.next()?;
        let to = self.input().case.name_of(hop.frame.decoded.destination);
        Some(self.evidence(hop.frame, format!("{} leaves for {to}{wrong}", words(packet, &hop))))
    }

    /// Where a packet leaves the node; where the node was not captured, the first frame with its MAC.
    fn exit(&self, packet: &Packet<'a>) -> Option<Hop<'a>> {
        packet.hops.iter().find(|h| self.sent_by(h.frame)).copied()
    }

    /// The first packet that comes in at the node and that is such, with words for what it shows.
    pub(in crate::judge) fn gets(&self, such: impl Fn(&Packet<'a>, &Hop<'a>) -> bool, shows: &str) -> Option<Evidence> {
        let got = |p: &Packet<'a>| p.entry(|s| s.node == *self.node);
        let mut got = self.traffic.packets.iter().filter_map(|p| Some((p, got(p)?))).filter(|(p, h)| such(p, h));
        let (packet, hop) = got.next()?;
        Some(self.evidence(hop.frame, format!("{} comes in{shows}", words(packet, &hop))))
    }

    /// The first packet that comes in at the node, is such, and is neither sent on nor answered by anything that leaves it.
    pub(in crate::judge) fn swallows(&self, such: impl Fn(&Packet<'a>) -> bool) -> Option<Evidence> {
        let sent = self.sent();
        let ends = self.traffic.packets.iter().filter(|p| such(p));
        let ends = ends.filter_map(|p| Some((p, self.ends_here(p, &sent)?)));
        let ends: Vec<(&Packet<'a>, Hop<'a>)> = ends.collect();
        let (packet, hop) = ends.first()?;
        let what = format!("{} comes in and nothing comes of it{}", words(packet, hop), times(ends.len()));
        Some(self.evidence(hop.frame, what))
    }

    /// All that leaves the node.
    pub(in crate::judge) fn sent(&self) -> Sent {
        let mut sent = Sent::default();
        for packet in &self.traffic.packets {
            let Some(hop) = self.exit(packet) else { continue };
            if packet.hops.first().is_some_and(|first| first.frame.number == hop.frame.number) {
                let last = sent.to.entry((packet.protocol, packet.destination)).or_default();
                *last = (*last).max(hop.frame.at_ns);
            }
            let key = (packet.protocol, packet.source, packet.sequence());
            sent.from.entry(key).or_default().insert(packet.destination);
        }
        sent
    }

    /// Where the packet was seen last, if that is where it came into the node, and the node neither answered it nor sent
    /// it on in other words.
    pub(in crate::judge) fn ends_here(&self, packet: &Packet<'a>, sent: &Sent) -> Option<Hop<'a>> {
        let last = packet
            .hops
            .last()
            .filter(|_| wants_answer(packet))
            .filter(|h| h.station.node == *self.node && h.way == Way::Enters)?;
        let answered = sent.to.get(&(packet.protocol, packet.source)).is_some_and(|latest| *latest >= last.frame.at_ns);
        let rewritten = sent
            .from
            .get(&(packet.protocol, packet.source, packet.sequence()))
            .is_some_and(|to| to.iter().any(|to| *to != packet.destination));
        (!answered && !rewritten).then_some(*last)
    }

    /// The first refusal that the node sends: an ICMP error, or a reset of a connection.
    pub(in crate::judge) fn refuses(&self, such: impl Fn(IpAddr) -> bool) -> Option<Evidence> {
        let trace = self.input().trace;
        let refusal = |frame: &'a Frame| {
            let ip = frame.ip()?.innermost();
            match &ip.transport {
                Transport::Icmp { kind, code, quotes: Some(quoted) } if such(quoted.destination) => {
                    let name = icmp(ip.source.is_ipv4(), *kind, *code);
                    let about = format!("about what {} sent to {}", quoted.source, quoted.destination);
                    Some(format!("{} answers {name} to {}, {about}", self.node, ip.destination))
                }
                Transport::Tcp(tcp) if tcp.flags & Tcp::RST != 0 && such(ip.source) => {
                    let (from, to) = ((ip.source, tcp.source), (ip.destination, tcp.destination));
                    Some(format!("{} answers RST {} > {}", self.node, at(from), at(to)))
                }
                _ => None,
            }
        };
        let sent = |f: &&'a Frame| !f.resolves_neighbours() && self.sent_by(f) && !self.forwarded(f);
        let mut refusals = trace.frames.iter().filter(sent).filter_map(|f| Some((f, refusal(f)?)));
        let (frame, what) = refusals.next()?;
        Some(self.evidence(frame, what))
    }

    /// Whether the node had got the packet that it sends.
    fn forwarded(&self, frame: &Frame) -> bool {
        let trace = self.input().trace;
        let first = trace.journey_of(frame).and_then(|j| j.first(trace));
        first.is_some_and(|first| first.number != frame.number)
    }

    /// The first frame with an IP packet that the node sends to a MAC.
    pub(in crate::judge) fn sends_to(&self, mac: Mac) -> Option<Evidence> {
        self.sends(|_, hop| hop.frame.decoded.destination == mac, "")
    }
}

/// Whether a packet is answered by the one that it is for: the last ACK of a connection is not, nor is a reset.
pub(in crate::judge) fn wants_answer(packet: &Packet<'_>) -> bool {
    let wants = |tcp: &Tcp| tcp.flags & Tcp::RST == 0 && (tcp.flags & (Tcp::SYN | Tcp::FIN) != 0 || tcp.payload > 0);
    packet.ip.tcp().is_none_or(wants)
}

fn spoken(frame: &Frame) -> Option<Spoken<'_>> {
    let (asks, sender, about) = match &frame.decoded.body {
        Body::Arp(arp) if arp.operation == Arp::REQUEST && !arp.is_gratuitous() => {
            (true, arp.sender_ip.into(), arp.target_ip.into())
        }
        Body::Arp(arp) if arp.operation == Arp::REPLY => (false, arp.sender_ip.into(), arp.sender_ip.into()),
        Body::Ip(ip) => match ip.transport {
            Transport::NeighbourSolicitation { target, .. } => (true, ip.source, target.into()),
            Transport::NeighbourAdvertisement { target, .. } => (false, target.into(), target.into()),
            _ => return None,
        },
        Body::Arp(_) | Body::Other(_) | Body::Malformed(_) => return None,
    };
    Some(Spoken { frame, asks, sender, about })
}

fn times(count: usize) -> String {
    if count < 2 { String::new() } else { format!(", {count} times") }
}

fn at((address, port): (IpAddr, u16)) -> String {
    SocketAddr::new(address, port).to_string()
}

/// An ICMP error by its name (RFC 792, RFC 4443).
fn icmp(v4: bool, kind: u8, code: u8) -> String {
    let name = match (v4, kind, code) {
        (true, 3, 0) | (false, 1, 0) => "network unreachable",
        (true, 3, 1) | (false, 1, 3) => "host unreachable",
        (true, 3, 2) => "protocol unreachable",
        (true, 3, 3) | (false, 1, 4) => "port unreachable",
        (true, 3, 4) => "fragmentation needed",
        (false, 2, _) => "packet too big",
        (true, 3, 9 | 10 | 13) | (false, 1, 1) => "administratively prohibited",
        (true, 5, _) => "redirect",
        (true, 11, _) | (false, 3, _) => "time exceeded",
        _ => return format!("ICMP {kind}/{code}"),
    };
    format!("ICMP {name} ({kind}/{code})")
}
