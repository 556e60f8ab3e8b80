//! One client's end of conversations, its packets once each and where they were seen, and what it is compared by.

use super::super::journey::REST_NS;
use super::super::{Direction, RawFrame};
use super::InHand;
use crate::wire::frame::Tcp;
use crate::wire::glance::{End, Glance, Segment};

/// More packets than this make a conversation out of the ordinary.
const PACKETS: usize = 256;

/// More frames than this do as well.
const FRAMES: usize = 4096;

/// From this length on packets are compared by their very length, as limits on it lie there; below it by whether they carry
/// anything.
const LONG: u32 = 1200;

/// What a hop takes in what conversations are compared by.
const HOP_BYTES: usize = 40;

/// No earlier frame.
const NONE: u16 = u16::MAX;

/// A packet, whatever the number of frames that carried it.
#[derive(Debug, Clone, Copy)]
struct Packet {
    forth: bool,
    other: u8,
    flags: u8,
    /// The last frame that carried it.
    latest: u16,
    id: u16,
    sequence: u32,
    acknowledgement: u32,
    payload: u32,
    length: u32,
    start: u32,
    kept: u32,
}

/// One frame: a packet at a place.
#[derive(Debug, Clone, Copy)]
struct Hop {
    at_ns: u64,
    number: u32,
    origin: u32,
    length: u32,
    vantage: u32,
    /// What follows the packet in the frame.
    padding: (u32, u32),
    packet: u16,
    /// The frame before it that carried the same packet.
    before: u16,
    checksum: [u8; 2],
    direction: Direction,
    ttl: u8,
    macs: [u8; 12],
    /// VLAN tags and `EtherType`.
    tags: [u8; 10],
    tags_bytes: u8,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Met {
    Added,
    /// It makes the conversation one that has to be held.
    Unlike,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    pub(super) client: Option<End>,
    /// How often this place was used before.
    pub(super) generation: u32,
    /// Whether its frames wait here.
    pub(super) ordinary: bool,
    /// Whether the client was seen to ask a VIP.
    pub(super) asked: bool,
    /// The number of the segment that opened it.
    pub(super) opened: Option<u32>,
    pub(super) last_ns: u64,
    /// Who has sent the end of its direction.
    ended: [bool; 2],
    reset: bool,
    others: Vec<End>,
    packets: Vec<Packet>,
    hops: Vec<Hop>,
    bytes: Vec<u8>,
}

/// Room for comparing.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    signature: Vec<u8>,
    /// Numbers that occur in each direction, relative to the first one.
    numbers: [Vec<i32>; 2],
}

/// Offsets of the bytes that change from hop to hop: the TTL, and the checksum where there is one.
fn changing(v6: bool) -> (usize, usize, usize) {
    if v6 { (7, 8, 8) } else { (8, 10, 12) }
}

/// Whether two packets are the same in all bytes that no hop changes. Both have the headers that a glance wants.
fn same_but_for_hops(known: &[u8], seen: &[u8], v6: bool) -> bool {
    if known.len() != seen.len() {
        return false;
    }
    // Arrays of a length that is known are compared in a register.
    match (known.split_first_chunk::<12>(), seen.split_first_chunk::<12>()) {
        (Some((head, rest)), Some((head_seen, rest_seen))) if !v6 => {
            head.first_chunk::<8>() == head_seen.first_chunk::<8>() && head[9] == head_seen[9] && rest == rest_seen
        }
        (Some((head, rest)), Some((head_seen, rest_seen))) => {
            head[..7] == head_seen[..7] && head[8..] == head_seen[8..] && rest == rest_seen
        }
        _ => false,
    }
}

impl Conversation {
    pub(super) fn begin(&mut self, client: End) {
        self.client = Some(client);
        self.ordinary = true;
    }

    pub(super) fn len(&self) -> usize {
        self.hops.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hops.is_empty()
    }

    pub(super) fn is_over(&self) -> bool {
        self.reset || self.ended == [true; 2]
    }

    pub(super) fn is_reset(&self) -> bool {
        self.reset
    }

    /// Forgets the frames.
    pub(super) fn empty(&mut self) {
        self.others.clear();
        self.packets.clear();
        self.hops.clear();
        self.bytes.clear();
    }

    /// Makes room for another one.
    pub(super) fn clear(&mut self) {
        self.empty();
        self.client = None;
        self.generation = self.generation.wrapping_add(1);
        self.ordinary = false;
        self.asked = false;
        self.opened = None;
        self.last_ns = 0;
        self.ended = [false; 2];
        self.reset = false;
    }

    /// Takes a frame.
    pub(super) fn add(&mut self, glance: &Glance<'_>, forth: bool, other: End, hand: &InHand<'_>, number: u32) -> Met {
        let in_order = hand.at_ns >= self.last_ns;
        self.last_ns = self.last_ns.max(hand.at_ns);
        if !in_order || self.hops.len() >= FRAMES {
            return Met::Unlike;
        }
        let other = self.others.iter().position(|o| *o == other).unwrap_or_else(|| {
            self.others.push(other);
            self.others.len() - 1
        });
        let Some(packet) = self.packet(glance, forth, other) else { return Met::Unlike };
        let Ok(at) = u16::try_from(self.hops.len()) else { return Met::Unlike };
        let before = std::mem::replace(&mut self.packets[usize::from(packet)].latest, at);
        let (_, checksum, _) = changing(glance.from.v6);
        let mut hop = Hop {
            at_ns: hand.at_ns,
            number,
            origin: hand.origin,
            length: hand.length,
            vantage: u32::try_from(hand.vantage).unwrap_or(u32::MAX),
            padding: (0, 0),
            packet,
            before,
            checksum: [glance.packet[checksum], glance.packet[checksum + 1]],
            direction: hand.direction,
            ttl: glance.ttl,
            macs: [0; 12],
            tags: [0; 10],
            tags_bytes: 0,
        };
        hop.macs.copy_from_slice(&hand.data[..12]);
        let tags = &hand.data[12..glance.offset];
        hop.tags[..tags.len()].copy_from_slice(tags);
        hop.tags_bytes = u8::try_from(tags.len()).unwrap_or(0);
        let padding = &hand.data[glance.offset + glance.packet.len()..];
        if !padding.is_empty() {
            let Some(range) = self.append(padding) else { return Met::Unlike };
            hop.padding = range;
        }
        self.hops.push(hop);
        Met::Added
    }

    fn append(&mut self, bytes: &[u8]) -> Option<(u32, u32)> {
        let range = (u32::try_from(self.bytes.len()).ok()?, u32::try_from(bytes.len()).ok()?);
        self.bytes.extend_from_slice(bytes);
        Some(range)
    }

    /// The packet that a frame carries, a new one where it was not met before; nothing where one that counts for the same has
    /// other bytes.
    fn packet(&mut self, glance: &Glance<'_>, forth: bool, other: usize) -> Option<u16> {
        let other = u8::try_from(other).ok()?;
        let (sequence, acknowledgement, flags, payload) = match &glance.segment {
            Segment::Tcp(tcp) => (tcp.sequence, tcp.acknowledgement, tcp.flags, tcp.payload),
            Segment::Udp(udp) => (0, 0, 0, udp.payload),
        };
        let (id, length) = (glance.id, glance.length);
        let alike = |p: &Packet| {
            p.sequence == sequence
                && p.acknowledgement == acknowledgement
                && (p.flags, p.id, p.length, p.forth, p.other) == (flags, id, length, forth, other)
        };
        if let Some(at) = self.packets.iter().rposition(alike) {
            let known = self.packets[at];
            let known = &self.bytes[known.start as usize..(known.start + known.kept) as usize];
            let same = same_but_for_hops(known, glance.packet, glance.from.v6);
            return if same { u16::try_from(at).ok() } else { None };
        }
        if self.packets.len() >= PACKETS {
            return None;
        }
        if let Segment::Tcp(tcp) = &glance.segment {
            if tcp.flags & Tcp::RST != 0 {
                self.reset = true;
            } else if tcp.flags & Tcp::FIN != 0 {
                self.ended[usize::from(forth)] = true;
            }
        }
        let (start, kept) = self.append(glance.packet)?;
        let latest = NONE;
        let packet =
            Packet { forth, other, flags, latest, id, sequence, acknowledgement, payload, length, start, kept };
        self.packets.push(packet);
        u16::try_from(self.packets.len() - 1).ok()
    }

    /// Every frame as it was captured, with its number in its file and among those met.
    pub(super) fn each(&self, mut take: impl FnMut(RawFrame, u32, u32)) {
        for hop in &self.hops {
            let packet = &self.packets[usize::from(hop.packet)];
            let (ttl, checksum, after) = changing(self.client.is_some_and(|client| client.v6));
            let whole = &self.bytes[packet.start as usize..(packet.start + packet.kept) as usize];
            let tags = &hop.tags[..usize::from(hop.tags_bytes)];
            let padding = &self.bytes[hop.padding.0 as usize..(hop.padding.0 + hop.padding.1) as usize];
            let mut data = Vec::with_capacity(12 + tags.len() + whole.len() + padding.len());
            data.extend_from_slice(&hop.macs);
            data.extend_from_slice(tags);
            data.extend_from_slice(&whole[..ttl]);
            data.push(hop.ttl);
            data.extend_from_slice(&whole[ttl + 1..checksum]);
            data.extend_from_slice(&hop.checksum[..after - checksum]);
            data.extend_from_slice(&whole[after..]);
            data.extend_from_slice(padding);
            let Hop { vantage, direction, at_ns, length, .. } = *hop;
            let vantage = if vantage == u32::MAX { usize::MAX } else { vantage as usize };
            take(RawFrame { vantage, direction, at_ns, length, data }, hop.origin, hop.number);
        }
    }

    /// What it is compared by; nothing where times could make a difference that is not in it.
    pub(super) fn signature<'s>(&self, scratch: &'s mut Scratch) -> Option<&'s [u8]> {
        if self.is_repetitive() && self.lasts() > REST_NS {
            return None;
        }
        let Scratch { signature, numbers } = scratch;
        signature.clear();
        signature.extend([u8::from(self.asked), u8::try_from(self.others.len()).ok()?]);
        for other in &self.others {
            signature.extend(other.address.to_le_bytes());
            signature.extend(other.port.to_le_bytes());
            signature.extend([u8::from(other.v6), u8::from(other.protocol == crate::base::Protocol::Udp)]);
        }
        let bases = self.count(numbers);
        signature.extend(u16::try_from(self.packets.len()).ok()?.to_le_bytes());
        for packet in &self.packets {
            let way = usize::from(packet.forth);
            let size = if packet.length >= LONG { packet.length } else { u32::from(packet.payload > 0) };
            let rank = |way: usize, number: u32| -> u16 {
                let place = relative(number, bases[way]);
                u16::try_from(numbers[way].partition_point(|n| *n < place)).unwrap_or(NONE)
            };
            let acknowledged = if packet.flags & Tcp::ACK == 0 { NONE } else { rank(1 - way, packet.acknowledgement) };
            let [z0, z1, z2, z3] = size.to_le_bytes();
            let [s0, s1] = rank(way, packet.sequence).to_le_bytes();
            let [n0, n1] = rank(way, after(packet)).to_le_bytes();
            let [a0, a1] = acknowledged.to_le_bytes();
            let [c0, c1, c2, c3] = (packet.length - packet.kept).to_le_bytes();
            let (forth, no_id) = (u8::from(packet.forth), u8::from(packet.id == 0));
            let Packet { other, flags, .. } = *packet;
            // One piece is many times as fast as its parts.
            signature.extend_from_slice(&[
                forth, other, flags, no_id, z0, z1, z2, z3, s0, s1, n0, n1, a0, a1, c0, c1, c2, c3,
            ]);
        }
        let mut last_ns = 0;
        for hop in &self.hops {
            let rested = hop.at_ns - last_ns > REST_NS;
            last_ns = hop.at_ns;
            let tags = usize::from(hop.tags_bytes);
            let way = match hop.direction {
                Direction::In => 0,
                Direction::Out => 1,
                Direction::Unknown => 2,
            };
            let kept = 12 + tags + self.packets[usize::from(hop.packet)].kept as usize + hop.padding.1 as usize;
            let cut = u32::try_from(kept).ok()?.abs_diff(hop.length);
            let mut piece = [0; HOP_BYTES];
            piece[..2].copy_from_slice(&hop.packet.to_le_bytes());
            piece[2..6].copy_from_slice(&hop.vantage.to_le_bytes());
            piece[6..10].copy_from_slice(&[way, hop.ttl, u8::from(rested), hop.tags_bytes]);
            piece[10..22].copy_from_slice(&hop.macs);
            // What follows on the tags' bytes is 0 as from the start.
            piece[22..32].copy_from_slice(&hop.tags);
            piece[32..36].copy_from_slice(&hop.padding.1.to_le_bytes());
            piece[36..].copy_from_slice(&cut.to_le_bytes());
            signature.extend_from_slice(&piece);
        }
        Some(signature)
    }

    fn lasts(&self) -> u64 {
        match (self.hops.first(), self.hops.last()) {
            (Some(first), Some(last)) => last.at_ns - first.at_ns,
            _ => 0,
        }
    }

    /// Whether a packet was seen twice at one place.
    fn is_repetitive(&self) -> bool {
        self.hops.iter().any(|hop| {
            let mut before = hop.before;
            while let Some(earlier) = self.hops.get(usize::from(before)) {
                if (earlier.vantage, earlier.direction, earlier.ttl) == (hop.vantage, hop.direction, hop.ttl) {
                    return true;
                }
                before = earlier.before;
            }
            false
        })
    }

    /// Collects the numbers that occur in each direction, in order; gives the first one of each.
    fn count(&self, numbers: &mut [Vec<i32>; 2]) -> [u32; 2] {
        let mut bases = [None, None];
        numbers.iter_mut().for_each(Vec::clear);
        for packet in &self.packets {
            let way = usize::from(packet.forth);
            let mut note = |way: usize, number: u32| {
                let base = *bases[way].get_or_insert(number);
                let place = relative(number, base);
                if !numbers[way].contains(&place) {
                    numbers[way].push(place);
                }
            };
            note(way, packet.sequence);
            note(way, after(packet));
            if packet.flags & Tcp::ACK != 0 {
                note(1 - way, packet.acknowledgement);
            }
        }
        for numbers in numbers {
            numbers.sort_unstable();
        }
        bases.map(Option::unwrap_or_default)
    }
}

fn relative(number: u32, base: u32) -> i32 {
    number.wrapping_sub(base).cast_signed()
}

/// The number that follows on the packet.
fn after(packet: &Packet) -> u32 {
    let marks = u32::from(packet.flags & Tcp::SYN != 0) + u32::from(packet.flags & Tcp::FIN != 0);
    packet.sequence.wrapping_add(packet.payload).wrapping_add(marks)
}
