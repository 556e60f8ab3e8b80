//! One packet over all its hops, although MACs, TTL and header checksum change on the way.
//!
//! Two frames carry the same packet where their IP bytes are equal but for TTL (or hop limit) and header checksum. IP in IP
//! counts as the packet inside, so that a journey goes on through a tunnel. A packet that a host sent twice with
//! the same bytes (a repeated SYN-ACK has id 0 each time) makes two journeys: the same vantage, direction and TTL again means
//! a repetition, while a loop shows itself by a falling TTL and stays one journey.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::net::IpAddr;

use super::{Direction, Frame, Trace, Vantage};
use crate::base::{Mac, NodeName};
use crate::wire::frame::Transport;

/// The frames that carried one packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journey {
    /// Indices into [`Trace::frames`], in the order of time.
    pub hops: Vec<usize>,
}

/// A frame that left one interface and came in at others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing {
    /// Index of the frame that went out.
    pub out: usize,
    /// Indices of the frames that came in with the very same bytes: several where a bridge flooded it, none where it was lost
    /// or the receiver was not captured.
    pub into: Vec<usize>,
}

impl Journey {
    /// Its frames, in the order of time.
    pub fn frames<'a>(&'a self, trace: &'a Trace) -> impl DoubleEndedIterator<Item = &'a Frame> {
        self.hops.iter().filter_map(|&hop| trace.frames.get(hop))
    }

    /// Its first frame.
    pub fn first<'a>(&self, trace: &'a Trace) -> Option<&'a Frame> {
        trace.frames.get(*self.hops.first()?)
    }

    /// Its last frame.
    pub fn last<'a>(&self, trace: &'a Trace) -> Option<&'a Frame> {
        trace.frames.get(*self.hops.last()?)
    }

    /// Its frames at a node, in the order of time.
    pub fn at<'a>(&'a self, trace: &'a Trace, node: &'a NodeName) -> impl DoubleEndedIterator<Item = &'a Frame> {
        self.frames(trace).filter(move |f| trace.node(f) == Some(node))
    }

    /// Its frames that came into a node.
    pub fn into<'a>(&'a self, trace: &'a Trace, node: &'a NodeName) -> impl DoubleEndedIterator<Item = &'a Frame> {
        self.at(trace, node).filter(|f| f.direction == Direction::In)
    }

    /// Its frames that left a node.
    pub fn out_of<'a>(&'a self, trace: &'a Trace, node: &'a NodeName) -> impl DoubleEndedIterator<Item = &'a Frame> {
        self.at(trace, node).filter(|f| f.direction == Direction::Out)
    }

    /// Every link that it crossed: out at one interface, in at others with the same bytes. A frame in goes with the last
    /// equal frame out that is not later; within one nanosecond their order in the capture says nothing.
    pub fn crossings(&self, trace: &Trace) -> Vec<Crossing> {
        let frame = |hop: usize| trace.frames.get(hop);
        let went = |direction| {
            self.hops.iter().copied().filter(move |&hop| frame(hop).is_some_and(|f| f.direction == direction))
        };
        let mut crossings: Vec<Crossing> = went(Direction::Out).map(|out| Crossing { out, into: Vec::new() }).collect();
        for hop in went(Direction::In) {
            let sent = crossings.iter_mut().rev().find(|c| match (frame(c.out), frame(hop)) {
                (Some(out), Some(into)) => {
                    out.at_ns <= into.at_ns
                        && out.length == into.length
                        && out.data == into.data
                        && may_share_a_link(out, into, &trace.vantages)
                }
                _ => false,
            });
            if let Some(crossing) = sent {
                crossing.into.push(hop);
            }
        }
        crossings
    }
}

/// How long a packet may rest between two hops while an equal packet is under way as well, in nanoseconds. TCP's smallest
/// retransmission timeout is 200 ms (`TCP_RTO_MIN`), so that a repetition never falls below it.
pub(super) const REST_NS: u64 = 100_000_000;

/// What a capture gives as both MACs for devices without an Ethernet header.
const NO_MAC: Mac = Mac([0; 6]);

/// How many journeys with equal packets may be under way at once; what exceeds it goes to the newest.
const UNDER_WAY_LIMIT: usize = 64;

/// Makes journeys out of frames in the order of time, and says for each frame which it is in.
pub(super) fn group(vantages: &[Vantage], frames: &[Frame], likeness: Likeness) -> (Vec<Journey>, Vec<Option<u32>>) {
    let mut journeys: Vec<Journey> = Vec::new();
    let mut of = vec![None; frames.len()];
    let mut known: HashMap<u64, Vec<Known>, BuildHasherDefault<DefaultHasher>> = HashMap::default();
    for (index, frame) in frames.iter().enumerate() {
        let Some(identity) = Identity::of(frame, likeness) else { continue };
        let alike = known.entry(identity.hash()).or_default();
        let same = alike
            .iter()
            .position(|k| {
                let other = frames.get(k.example).and_then(|f| Identity::of(f, likeness));
                other.is_some_and(|other| other == identity)
            })
            .unwrap_or_else(|| {
                alike.push(Known { example: index, under_way: Vec::new() });
                alike.len() - 1
            });
        let Some(Known { under_way, .. }) = alike.get_mut(same) else { continue };
        let found = find(under_way, &journeys, vantages, frames, frame);
        let journey = found.unwrap_or_else(|| {
            journeys.push(Journey { hops: Vec::new() });
            under_way.push(journeys.len() - 1);
            journeys.len() - 1
        });
        if let Some(journey) = journeys.get_mut(journey) {
            journey.hops.push(index);
        }
        if let Some(slot) = of.get_mut(index) {
            *slot = u32::try_from(journey).ok();
        }
    }
    (journeys, of)
}

/// A packet that was met, and the journeys of its copies that may still go on, oldest first.
struct Known {
    /// A frame that carries it.
    example: usize,
    under_way: Vec<usize>,
}

/// Which of the journeys under way the frame continues, if any: the oldest that it follows on, since copies of
/// one packet don't overtake each other on a path.
fn find(
    under_way: &mut Vec<usize>,
    journeys: &[Journey],
    vantages: &[Vantage],
    frames: &[Frame],
    frame: &Frame,
) -> Option<usize> {
    let hops = |journey: usize| journeys.get(journey).into_iter().flat_map(|j| &j.hops).filter_map(|&h| frames.get(h));
    if let Some((&newest, older)) = under_way.split_last() {
        let rested = older
            .iter()
            .take_while(|&&j| hops(j).next_back().is_some_and(|last| frame.at_ns.saturating_sub(last.at_ns) > REST_NS))
            .count();
        let excess = under_way.len().saturating_sub(UNDER_WAY_LIMIT);
        under_way.drain(..rested.max(excess));
        debug_assert_eq!(under_way.last(), Some(&newest), "the newest journey stays under way");
    }
    let place = place(frame);
    let open = || under_way.iter().copied().filter(|&j| hops(j).all(|hop| self::place(hop) != place));
    open().find(|&j| hops(j).any(|hop| leads_to(hop, frame, vantages))).or_else(|| open().next())
}

/// What occurs once in a journey. Where the capture does not tell directions, the sender's MAC does it.
fn place(frame: &Frame) -> (usize, Direction, u8, Option<Mac>) {
    let ttl = frame.ip().map_or(0, |ip| ip.ttl);
    let sender = (frame.direction == Direction::Unknown).then_some(frame.decoded.source);
    (frame.vantage, frame.direction, ttl, sender)
}

/// Whether `next` may be what became of `hop`: the same frame at the other end of a link, or on its way through the node
/// that it came into.
fn leads_to(hop: &Frame, next: &Frame, vantages: &[Vantage]) -> bool {
    match next.direction {
        Direction::In => {
            hop.decoded.source == next.decoded.source
                && hop.decoded.destination == next.decoded.destination
                && may_share_a_link(hop, next, vantages)
        }
        Direction::Out => hop.direction == Direction::In && same_node(hop, next, vantages),
        Direction::Unknown => true,
    }
}

/// Whether frames with equal MACs may have been seen at two ends of one link. Without MACs (loopback, tunnels) the link does not
/// leave the node.
fn may_share_a_link(a: &Frame, b: &Frame, vantages: &[Vantage]) -> bool {
    let no_macs = a.decoded.source == NO_MAC && a.decoded.destination == NO_MAC;
    if no_macs { same_node(a, b, vantages) } else { a.vantage != b.vantage }
}

fn same_node(a: &Frame, b: &Frame, vantages: &[Vantage]) -> bool {
    match (vantages.get(a.vantage), vantages.get(b.vantage)) {
        (Some(a), Some(b)) => a.node == b.node,
        _ => false,
    }
}

/// What makes two frames carry the same packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// All bytes of the packet but TTL and header checksum.
    Bytes,
    /// The fields that headers know a packet by. For captures from elsewhere, whose points may have kept more or less of
    /// the same packet, and a sender of which leaves the checksum to its network card.
    Headers,
}

/// What stays the same on the way.
#[derive(PartialEq, Eq, Hash)]
enum Identity<'a> {
    /// The bytes of the innermost IP packet without TTL and header checksum.
    Bytes { before_ttl: &'a [u8], between: &'a [u8], after_checksum: &'a [u8] },
    /// Its addresses, its IPv4 id, and what its transport has.
    Headers { addresses: (IpAddr, IpAddr), id: Option<u16>, length: u32, transport: Header<'a> },
}

/// What a transport's header knows a packet by.
#[derive(PartialEq, Eq, Hash)]
enum Header<'a> {
    Tcp { ports: (u16, u16), numbers: (u32, u32), flags: u8 },
    Udp { ports: (u16, u16), payload: &'a [u8] },
    Other(&'a [u8]),
}

impl<'a> Identity<'a> {
    fn of(frame: &'a Frame, likeness: Likeness) -> Option<Self> {
        let ip = frame.ip()?.innermost();
        let packet = frame.data.get(ip.offset..)?;
        let stated = usize::try_from(ip.length).unwrap_or(usize::MAX);
        let packet = packet.get(..stated).unwrap_or(packet);
        let (ttl, between, rest) = if ip.source.is_ipv4() { (8, 9..10, 12) } else { (7, 8..8, 8) };
        let after_checksum = packet.get(rest..)?;
        if likeness == Likeness::Bytes {
            return Some(Self::Bytes { before_ttl: packet.get(..ttl)?, between: packet.get(between)?, after_checksum });
        }
        let transport = match &ip.transport {
            Transport::Tcp(t) => Header::Tcp {
                ports: (t.source, t.destination),
                numbers: (t.sequence, t.acknowledgement),
                flags: t.flags,
            },
            // Without the checksum, which stands before the payload.
            Transport::Udp(u) => Header::Udp { ports: (u.source, u.destination), payload: datagram_start(packet) },
            _ => Header::Other(after_checksum.get(..ALIKE).unwrap_or(after_checksum)),
        };
        Some(Self::Headers { addresses: (ip.source, ip.destination), id: ip.id, length: ip.length, transport })
    }

    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        Hash::hash(self, &mut hasher);
        hasher.finish()
    }
}

/// A number for what headers know the frame's packet by, where it carries one.
pub(super) fn likeness(frame: &Frame) -> Option<u64> {
    Identity::of(frame, Likeness::Headers).map(|identity| identity.hash())
}

/// How many bytes of a packet without TCP count for its likeness.
const ALIKE: usize = 48;

/// The first bytes that a datagram carries, as far as they were captured; IPv6 extension headers count among them.
fn datagram_start(packet: &[u8]) -> &[u8] {
    let header = packet.first().map_or(0, |first| if first >> 4 == 4 { usize::from(first & 15) * 4 } else { 40 });
    let all = packet.get(header + 8..).unwrap_or_default();
    all.get(..ALIKE).unwrap_or(all)
}
