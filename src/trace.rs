//! All frames of a run in the order of time, and the journeys that they make up.
//!
//! Owns: merging, numbering, recognising one packet at every hop. Refuses: judging. Errs towards two journeys where one
//! packet and a repetition of it can't be told apart; a frame is never in more than one.

pub mod alike;
pub mod clocks;
pub mod connection;
pub mod file;
pub mod gather;
pub mod journey;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::base::{IfName, NodeName, Protocol};
pub use crate::wire::frame::Direction;
use crate::wire::frame::{Body, Decoded, Ip, Transport};
pub use connection::{Connection, Connections, Ends};
pub use file::{Recorded, TraceError};
pub use gather::Gatherer;
pub use journey::{Crossing, Journey};

/// An interface that was captured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vantage {
    /// The node.
    pub node: NodeName,
    /// Its interface.
    pub interface: IfName,
}

impl fmt::Display for Vantage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.node, self.interface)
    }
}

/// A frame as it was captured, before it has a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFrame {
    /// Index into the vantages that it is given with.
    pub vantage: usize,
    /// Which way it went.
    pub direction: Direction,
    /// Nanoseconds since the epoch.
    pub at_ns: u64,
    /// Length on the wire in bytes; `data` may be shorter.
    pub length: u32,
    /// The bytes captured.
    pub data: Vec<u8>,
}

/// One frame at one vantage.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its number in the capture file, from 1, as Wireshark shows it.
    pub number: u32,
    /// Index into [`Trace::vantages`].
    pub vantage: usize,
    /// Which way it went.
    pub direction: Direction,
    /// Nanoseconds since the epoch.
    pub at_ns: u64,
    /// Length on the wire in bytes; `data` may be shorter.
    pub length: u32,
    /// The bytes captured; of a frame from elsewhere its first ones.
    pub data: Vec<u8>,
    /// What was captured beyond `data`.
    pub beyond: Beyond,
    /// How many further frames went just like it, in conversations that went just like its own, and are not held.
    pub alike: u64,
    /// Its number in the file that it came from, from 1; the same as `number` in a run of drlab's own.
    pub origin: u32,
    /// Its parts.
    pub decoded: Decoded,
}

/// Bytes of a frame that were captured and not kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beyond {
    /// How many.
    pub bytes: u32,
    /// A hash over those that belong to the IP packet, 0 where there are none.
    pub hash: u64,
}

impl Frame {
    /// The IP packet, where the frame carries one.
    pub fn ip(&self) -> Option<&Ip> {
        self.decoded.ip()
    }

    /// How many frames it stands for: itself and those alike.
    pub fn times(&self) -> u64 {
        1 + self.alike
    }

    /// Whether bytes of it are missing.
    pub fn is_cut(&self) -> bool {
        (self.data.len() as u64) + u64::from(self.beyond.bytes) < u64::from(self.length)
    }

    /// Whether it is ARP, or a neighbour solicitation or advertisement.
    pub fn resolves_neighbours(&self) -> bool {
        match &self.decoded.body {
            Body::Arp(_) => true,
            Body::Ip(ip) => {
                matches!(
                    ip.transport,
                    Transport::NeighbourSolicitation { .. } | Transport::NeighbourAdvertisement { .. }
                )
            }
            Body::Other(_) | Body::Malformed(_) => false,
        }
    }
}

/// All frames of a run.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// Where frames were captured.
    pub vantages: Vec<Vantage>,
    /// Frames in the order of time; the one numbered `n` stands at `n - 1`.
    pub frames: Vec<Frame>,
    /// Packets over all their hops, in the order of their first frame. Only IP packets make journeys.
    pub journeys: Vec<Journey>,
    /// For each frame the index of its journey.
    journey_of: Vec<Option<u32>>,
    connections: Connections,
    /// For each vantage how many of its frames are no evidence of what passed.
    spoilt: Vec<u64>,
}

impl Trace {
    /// Orders, numbers and decodes frames and makes the journeys.
    ///
    /// A frame that is the same in all it has, its time and place included, is one frame however often it is given.
    /// Frames of the same nanosecond stay in the order in which they were given. Frames with a vantage that isn't in
    /// the list are kept, but belong to no node. Takes time linear in the number of frames once they are in order.
    pub fn build(vantages: Vec<Vantage>, frames: impl IntoIterator<Item = RawFrame>) -> Self {
        let mut raw: Vec<RawFrame> = frames.into_iter().collect();
        raw.sort_by_key(|f| f.at_ns);
        // What a file has twice passed once.
        raw.dedup();
        let mut frames: Vec<Frame> = (1..)
            .zip(raw)
            .map(|(number, raw)| Frame {
                number,
                vantage: raw.vantage,
                direction: raw.direction,
                at_ns: raw.at_ns,
                length: raw.length,
                decoded: crate::wire::decode(&raw.data),
                data: raw.data,
                beyond: Beyond::default(),
                alike: 0,
                origin: number,
            })
            .collect();
        let spoilt = spoil(&vantages, &mut frames);
        let (journeys, journey_of) = journey::group(&vantages, &frames, journey::Likeness::Bytes);
        let connections = Connections::of(&frames);
        Self { vantages, frames, journeys, journey_of, connections, spoilt }
    }

    /// How many frames at a node were cut below what is kept of others there: what passed can't be told from them, so they
    /// count as lost. A capture that keeps the same first bytes of every frame has none.
    pub fn spoilt(&self, node: &NodeName) -> u64 {
        self.vantages.iter().zip(&self.spoilt).filter(|(v, _)| v.node == *node).map(|(_, count)| count).sum()
    }

    /// The same without the frames of connections that an earlier trace shows already and that are not opened anew in
    /// this one: what was left of them, as an answer that is sent again. Nothing opens UDP: there it is anew where the
    /// client speaks first, as nobody repeats a datagram by itself.
    #[must_use]
    pub fn without_rest_of(self, earlier: &Self) -> Self {
        let ends = |c: &Connection| {
            let Ends { protocol, client, service } = c.ends;
            (protocol, client.min(service), client.max(service))
        };
        let mut known: BTreeMap<_, BTreeSet<Option<u32>>> = BTreeMap::new();
        for connection in earlier.connections.iter() {
            known.entry(ends(connection)).or_default().insert(connection.opened);
        }
        let asked_anew =
            |c: &Connection| c.ends.protocol == Protocol::Udp && earlier.connections.between(&c.ends).next().is_some();
        let is_rest = |c: &&Connection| {
            !asked_anew(c) && known.get(&ends(c)).is_some_and(|opened| c.opened.is_none() || opened.contains(&c.opened))
        };
        let rest: BTreeSet<usize> =
            self.connections.iter().filter(is_rest).flat_map(|c| c.frames.iter().copied()).collect();
        if rest.is_empty() {
            return self;
        }
        let kept = self.frames.into_iter().enumerate().filter(|(at, _)| !rest.contains(at)).map(|(_, f)| RawFrame {
            vantage: f.vantage,
            direction: f.direction,
            at_ns: f.at_ns,
            length: f.length,
            data: f.data,
        });
        Self::build(self.vantages, kept)
    }

    /// The frame with that number.
    pub fn frame(&self, number: u32) -> Option<&Frame> {
        self.frames.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// Where a frame was captured.
    pub fn vantage(&self, frame: &Frame) -> Option<&Vantage> {
        self.vantages.get(frame.vantage)
    }

    /// The node where a frame was captured.
    pub fn node(&self, frame: &Frame) -> Option<&NodeName> {
        self.vantage(frame).map(|v| &v.node)
    }

    /// The frames at a vantage, in the order of time.
    pub fn at(&self, vantage: &Vantage) -> impl Iterator<Item = &Frame> {
        let wanted = self.vantages.iter().position(|v| v == vantage);
        self.frames.iter().filter(move |f| Some(f.vantage) == wanted)
    }

    /// The frames at a node, in the order of time.
    pub fn at_node(&self, node: &NodeName) -> impl Iterator<Item = &Frame> {
        let wanted: Vec<bool> = self.vantages.iter().map(|v| v.node == *node).collect();
        self.frames.iter().filter(move |f| wanted.get(f.vantage).copied().unwrap_or(false))
    }

    /// The journey that a frame is in; frames without IP are in none.
    pub fn journey_of(&self, frame: &Frame) -> Option<&Journey> {
        let index = self.journey_of.get(usize::try_from(frame.number).ok()?.checked_sub(1)?)?;
        self.journeys.get(usize::try_from((*index)?).ok()?)
    }

    /// Who spoke with whom over TCP and UDP.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// All ARP frames and neighbour solicitations and advertisements, in the order of time.
    pub fn neighbour_frames(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().filter(|f| f.resolves_neighbours())
    }
}

/// Takes frames that were cut more than others at their vantage for malformed, for they are no longer equal to the same
/// packet elsewhere; counted by vantage.
fn spoil(vantages: &[Vantage], frames: &mut [Frame]) -> Vec<u64> {
    let mut kept = vec![0; vantages.len()];
    for frame in frames.iter() {
        if let Some(most) = kept.get_mut(frame.vantage) {
            *most = frame.data.len().max(*most);
        }
    }
    let mut spoilt = vec![0; vantages.len()];
    for frame in frames.iter_mut().filter(|f| f.is_cut()) {
        let less = kept.get(frame.vantage).is_some_and(|most| frame.data.len() < *most);
        if let Some(count) = spoilt.get_mut(frame.vantage).filter(|_| less) {
            frame.decoded.body = Body::Malformed("cut more than others at its vantage".to_owned());
            *count += 1;
        }
    }
    spoilt
}

#[cfg(test)]
mod frames;
#[cfg(test)]
mod tests;
