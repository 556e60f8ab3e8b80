//! A long capture in bounded memory: conversations that go just like one that is held are counted instead of held.
//!
//! Owns: finding the frames of one client's end together, telling when its conversation is over, and comparing it with those
//! before it by all that a check, a rule or the inference of parts can tell two conversations apart by: way, MACs, tags,
//! TTLs, flags, what follows on what, which bytes are on record, that each hop has the same bytes. What may differ are the
//! client's port, numbers, contents, and times within the bounds of `journey::REST_NS`. Refuses: judging. Errs towards holding:
//! whatever is out of the ordinary is held frame by frame.

mod conversation;

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::net::IpAddr;

use super::{Direction, Gatherer, RawFrame};
use crate::base::Protocol;
use crate::wire::decode;
use crate::wire::frame::{Body, Decoded, Ip, Transport};
use crate::wire::glance::{End, Glance};
use conversation::{Conversation, Met};

/// How long after its end a conversation waits for stragglers, in nanoseconds: the first two retransmissions of 200 ms and
/// 400 ms come within it.
const STRAGGLERS_NS: u64 = 1_000_000_000;

/// The same after a reset: who was refused by one may ask again after 1, 3, 7 and 15 seconds.
const REFUSED_NS: u64 = 16_000_000_000;

/// After how long without a frame a conversation is taken for ended.
const IDLE_NS: u64 = 60_000_000_000;

/// How many conversations of one kind are held, where each is with another client's address.
const CLIENTS: usize = 16;

/// How many frames of conversations that go on may wait for their end.
const WAITING: usize = 400_000;

/// How many clients' ends are remembered at once.
const ENDS: usize = 1 << 20;

/// By what a conversation is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Closed,
    Reset,
    Idle,
}

impl Over {
    const fn wait_ns(self) -> u64 {
        match self {
            Self::Closed => STRAGGLERS_NS,
            Self::Reset => REFUSED_NS,
            Self::Idle => IDLE_NS,
        }
    }
}

/// A frame that a reader has in hand.
#[derive(Debug, Clone, Copy)]
pub struct InHand<'a> {
    /// Index into the gatherer's vantages.
    pub vantage: usize,
    /// Which way it went.
    pub direction: Direction,
    /// Nanoseconds since the epoch.
    pub at_ns: u64,
    /// Length on the wire in bytes.
    pub length: u32,
    /// Its number in its file.
    pub origin: u32,
    /// The bytes captured.
    pub data: &'a [u8],
}

impl InHand<'_> {
    fn owned(&self) -> RawFrame {
        let Self { vantage, direction, at_ns, length, data, .. } = *self;
        RawFrame { vantage, direction, at_ns, length, data: data.to_vec() }
    }
}

/// One kind of conversation.
#[derive(Debug)]
struct Kind {
    /// The frames of the first one in the gatherer.
    from: usize,
    frames: usize,
    more: u64,
    clients: BTreeSet<u128>,
}

/// Conversations with a VIP, going on or told apart.
#[derive(Debug)]
pub struct Alike {
    vips: Vec<(u128, bool)>,
    /// Whether conversations are compared at all.
    counting: bool,
    all: Vec<Conversation>,
    free: Vec<u32>,
    open: HashMap<Key, u32, BuildHasherDefault<Spread>>,
    /// The one that the last frame belonged to.
    last: Option<(Key, u32)>,
    /// By what ends them: when to look, which, and which use of its place.
    queues: [VecDeque<(u64, u32, u32)>; 3],
    kinds: HashMap<Box<[u8]>, Kind, BuildHasherDefault<Folded>>,
    now_ns: u64,
    waiting: usize,
    scratch: conversation::Scratch,
    counted: u64,
    full: bool,
    unordered: bool,
}

/// An end as a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key(End);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let End { address, v6: _, protocol, port } = self.0;
        let low = u64::try_from(address & u128::from(u64::MAX)).unwrap_or(0);
        let high = u64::try_from(address >> 64).unwrap_or(0);
        let rest = u64::from(port) << 1 | u64::from(protocol == Protocol::Udp);
        state.write_u64(low ^ high.rotate_left(29) ^ rest << 40 ^ rest >> 8);
    }
}

/// Spreads one number over all bits (the finalizer of `MurmurHash3`); equality is checked by the map, so that what is made to
/// collide costs time alone.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value ^ value >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        self.0 = mixed ^ mixed >> 33;
    }
}

/// Folds long keys eight bytes at a time (as wyhash does); equality is checked by the map here too.
#[derive(Debug, Default)]
struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.write_u64(u64::from_le_bytes(last));
    }

    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.0 ^ value ^ 0xa076_1d64_78bd_642f) * 0xe703_7ed1_a0b4_28db;
        let (low, high) = (u64::try_from(product & u128::from(u64::MAX)), u64::try_from(product >> 64));
        // Halves of 128 bits are 64 bits.
        self.0 = low.unwrap_or_default() ^ high.unwrap_or_default();
    }
}

/// An address as a glance has it.
fn number(address: IpAddr) -> (u128, bool) {
    match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), false),
        IpAddr::V6(v6) => (u128::from(v6), true),
    }
}

impl Alike {
    /// Nothing yet. Without `counting` every frame is held, as it must be where one conversation is spread over several
    /// files.
    pub fn new(vips: impl IntoIterator<Item = IpAddr>, counting: bool) -> Self {
        Self {
            vips: vips.into_iter().map(number).collect(),
            counting,
            all: Vec::new(),
            free: Vec::new(),
            open: HashMap::default(),
            last: None,
            queues: Default::default(),
            kinds: HashMap::default(),
            now_ns: 0,
            waiting: 0,
            scratch: conversation::Scratch::default(),
            counted: 0,
            full: false,
            unordered: false,
        }
    }

    /// How many frames were counted instead of held.
    pub fn counted(&self) -> u64 {
        self.counted
    }

    /// Whether frames had to be left out, as more would have to be held than the gatherer takes.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Whether a frame came that is older than conversations that were taken for ended: what was counted is then worth nothing.
    pub fn is_unordered(&self) -> bool {
        self.unordered
    }

    fn is_vip(&self, address: u128, v6: bool) -> bool {
        self.vips.contains(&(address, v6))
    }

    /// Whether a frame has to do with a VIP: the client's end, where it is one of a conversation, and whether that sent it.
    pub fn concerns(&self, glance: &Glance<'_>) -> Option<(End, bool)> {
        let Glance { from, to, .. } = *glance;
        if self.is_vip(to.address, to.v6) {
            return Some((from, true));
        }
        if self.is_vip(from.address, from.v6) {
            return Some((to, false));
        }
        let asked = |end: &End| self.find(Key(*end)).is_some_and(|at| self.all[at as usize].asked);
        if asked(&from) {
            return Some((from, true));
        }
        asked(&to).then_some((to, false))
    }

    fn find(&self, key: Key) -> Option<u32> {
        match self.last {
            Some((last, at)) if last == key => Some(at),
            _ => self.open.get(&key).copied(),
        }
    }

    /// Takes an ordinary frame of that client's end.
    pub fn take(&mut self, glance: &Glance<'_>, (client, forth): (End, bool), hand: &InHand<'_>, to: &mut Gatherer) {
        self.unordered |= self.counting && hand.at_ns + STRAGGLERS_NS < self.now_ns;
        self.now_ns = self.now_ns.max(hand.at_ns);
        let key = Key(client);
        let other = if forth { glance.to } else { glance.from };
        let to_vip = forth && self.is_vip(other.address, other.v6);
        let opens = glance.segment.tcp().filter(|tcp| forth && tcp.opens()).map(|tcp| tcp.sequence);
        let mut at = self.find(key);
        if let (Some(known), Some(sequence)) = (at, opens)
            && self.all[known as usize].opened.is_some_and(|before| before != sequence)
        {
            self.close(known, to);
            at = None;
        }
        let Some(at) = at.or_else(|| self.begin(key)) else {
            self.hold(hand, None, to);
            return;
        };
        self.last = Some((key, at));
        let number = to.meet();
        let conversation = &mut self.all[at as usize];
        conversation.asked |= to_vip;
        conversation.opened = conversation.opened.or(opens);
        if conversation.ordinary {
            let was_over = conversation.is_over();
            match conversation.add(glance, forth, other, hand, number) {
                Met::Added => {
                    self.waiting += 1;
                    if !was_over && conversation.is_over() {
                        let over = if conversation.is_reset() { Over::Reset } else { Over::Closed };
                        let due = self.now_ns + over.wait_ns();
                        self.queues[over as usize].push_back((due, at, conversation.generation));
                    }
                }
                Met::Unlike => {
                    self.spill(at, to);
                    self.hold(hand, Some(number), to);
                }
            }
        } else {
            conversation.last_ns = hand.at_ns;
            self.hold(hand, Some(number), to);
        }
        if self.counting {
            self.sweep(to);
        } else {
            self.spill(at, to);
        }
    }

    /// Takes a frame that is out of the ordinary: one that `concerns` a VIP by what decoding tells, or resolves neighbours.
    pub fn take_other(&mut self, decoded: Decoded, hand: &InHand<'_>, to: &mut Gatherer) {
        if let Some(ip) = decoded.ip() {
            for end in Self::touched(ip) {
                if let Some(at) = self.find(Key(end)) {
                    self.spill(at, to);
                }
            }
        }
        let number = to.meet();
        self.full |= !to.keep(hand.owned(), decoded, hand.origin, number);
    }

    /// Whether a frame that is out of the ordinary has to do with a VIP, or tells whose an address is.
    pub fn concerns_other(&mut self, decoded: &Decoded, to: &mut Gatherer) -> bool {
        let ip = match &decoded.body {
            Body::Arp(_) => return true,
            Body::Ip(ip) => ip,
            Body::Other(_) | Body::Malformed(_) => return false,
        };
        if matches!(ip.transport, Transport::NeighbourSolicitation { .. } | Transport::NeighbourAdvertisement { .. }) {
            return true;
        }
        let is_vip = |address: IpAddr| {
            let (address, v6) = number(address);
            self.is_vip(address, v6)
        };
        if let Transport::Icmp { quotes: Some(quoted), .. } = &ip.transport
            && (is_vip(quoted.source) || is_vip(quoted.destination) || quoted.protocol == crate::wire::link::IP_IN_IP)
        {
            return true;
        }
        let inner = ip.innermost();
        if is_vip(inner.destination) {
            // Whatever else comes to or from that end matters from now on.
            if let Some((client, _)) = ends(inner)
                && let Some(at) = self.find(Key(client)).or_else(|| self.begin(Key(client)))
            {
                self.all[at as usize].asked = true;
                self.spill(at, to);
            }
            return true;
        }
        let asked = |end: End| self.find(Key(end)).is_some_and(|at| self.all[at as usize].asked);
        is_vip(inner.source) || ends(inner).is_some_and(|(from, to)| asked(from) || asked(to))
    }

    /// The ends of conversations that a frame out of the ordinary belongs to or speaks of.
    fn touched(ip: &Ip) -> Vec<End> {
        let mut touched: Vec<End> = ends(ip.innermost()).into_iter().flat_map(|(a, b)| [a, b]).collect();
        if let Transport::Icmp { quotes: Some(quoted), .. } = &ip.transport
            && let Some((from, to)) = quoted.ports
        {
            for (address, port) in [(quoted.source, from), (quoted.destination, to)] {
                let (address, v6) = number(address);
                touched.extend([Protocol::Tcp, Protocol::Udp].map(|protocol| End { address, v6, protocol, port }));
            }
        }
        touched
    }

    fn begin(&mut self, key: Key) -> Option<u32> {
        if self.open.len() >= ENDS {
            return None;
        }
        let at = if let Some(at) = self.free.pop() {
            at
        } else {
            self.all.push(Conversation::default());
            u32::try_from(self.all.len() - 1).ok()?
        };
        let conversation = &mut self.all[at as usize];
        conversation.begin(key.0);
        if self.counting {
            let due = self.now_ns + IDLE_NS;
            self.queues[Over::Idle as usize].push_back((due, at, conversation.generation));
        }
        self.open.insert(key, at);
        Some(at)
    }

    /// Ends conversations that are over, and the oldest where too many frames wait.
    fn sweep(&mut self, to: &mut Gatherer) {
        for end in [Over::Closed, Over::Reset, Over::Idle] {
            while let Some((due, at, generation)) = self.queues[end as usize].front().copied() {
                let pressed = self.waiting > WAITING;
                if due > self.now_ns && !pressed {
                    break;
                }
                self.queues[end as usize].pop_front();
                let conversation = &self.all[at as usize];
                if conversation.generation != generation {
                    continue;
                }
                let later = conversation.last_ns + end.wait_ns();
                if later > self.now_ns && !pressed {
                    self.queues[end as usize].push_back((later, at, generation));
                } else if end == Over::Idle && pressed && !conversation.is_over() {
                    // One that goes on can't be compared; what it has so far is held.
                    self.spill(at, to);
                    self.queues[end as usize].push_back((self.now_ns + IDLE_NS, at, generation));
                } else {
                    self.close(at, to);
                }
            }
        }
    }

    /// Ends a conversation: counts it where it went like another, else holds it.
    fn close(&mut self, at: u32, to: &mut Gatherer) {
        let conversation = &mut self.all[at as usize];
        let client = conversation.client;
        if conversation.ordinary && self.counting && !conversation.is_empty() {
            let frames = conversation.len();
            match conversation.signature(&mut self.scratch) {
                None => self.spill(at, to),
                Some(signature) => match self.kinds.get_mut(signature) {
                    Some(kind)
                        if kind.clients.len() >= CLIENTS
                            || client.is_none_or(|client| kind.clients.contains(&client.address)) =>
                    {
                        kind.more += 1;
                        self.counted += frames as u64;
                        self.waiting -= frames;
                    }
                    known => {
                        let address = client.map(|client| client.address);
                        let signature: Option<Box<[u8]>> = match known {
                            Some(kind) => {
                                kind.clients.extend(address);
                                None
                            }
                            None => Some(signature.into()),
                        };
                        let from = to.held();
                        self.spill(at, to);
                        if let Some(signature) = signature
                            && let Entry::Vacant(place) = self.kinds.entry(signature)
                        {
                            place.insert(Kind { from, frames, more: 0, clients: address.into_iter().collect() });
                        }
                    }
                },
            }
        }
        let conversation = &mut self.all[at as usize];
        if let Some(client) = conversation.client {
            self.open.remove(&Key(client));
        }
        conversation.clear();
        self.last = None;
        self.free.push(at);
    }

    /// Hands all frames of a conversation over to be held; those to come go the same way.
    fn spill(&mut self, at: u32, to: &mut Gatherer) {
        let conversation = &mut self.all[at as usize];
        if !conversation.ordinary {
            return;
        }
        self.waiting -= conversation.len();
        conversation.ordinary = false;
        let (full, all) = (&mut self.full, &self.all[at as usize]);
        all.each(|raw, origin, number| {
            let decoded = decode(&raw.data);
            *full |= !to.keep(raw, decoded, origin, number);
        });
        self.all[at as usize].empty();
    }

    fn hold(&mut self, hand: &InHand<'_>, number: Option<u32>, to: &mut Gatherer) {
        let number = number.unwrap_or_else(|| to.meet());
        self.full |= !to.keep(hand.owned(), decode(hand.data), hand.origin, number);
    }

    /// Ends whatever still goes on, and says of the frames held how many more there were.
    pub fn finish(&mut self, to: &mut Gatherer) {
        for at in 0..self.all.len() {
            let open = self.all[at].client.is_some();
            if let (true, Ok(at)) = (open, u32::try_from(at)) {
                self.close(at, to);
            }
        }
        for kind in self.kinds.values().filter(|kind| kind.more > 0) {
            to.alike(kind.from, kind.frames, kind.more);
        }
    }
}

/// Source and destination of a packet with ports.
fn ends(ip: &Ip) -> Option<(End, End)> {
    let protocol = match ip.transport {
        Transport::Tcp(_) => Protocol::Tcp,
        Transport::Udp(_) => Protocol::Udp,
        _ => return None,
    };
    let (from, to) = ip.ports()?;
    let end = |address: IpAddr, port| {
        let (address, v6) = number(address);
        End { address, v6, protocol, port }
    };
    Some((end(ip.source, from), end(ip.destination, to)))
}

#[cfg(test)]
mod tests;
