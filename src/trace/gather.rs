//! A trace out of captures that were made elsewhere, packet by packet and in bounded memory.
//!
//! Owns: keeping of each frame its headers and a hash of the rest, the limit on their number, one time for all points. Within
//! a point the order of the file is trusted and kept. Refuses: choosing frames; whoever gathers gives those that matter.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::clocks::{Offset, Sighting, offsets};
use super::journey::{self, Likeness};
use super::{Beyond, Connections, Frame, RawFrame, Trace, Vantage};
use crate::wire::frame::Decoded;

/// How many bytes of an IP packet are kept: the largest IPv4 and TCP headers (60 each) and a little more.
const KEPT: usize = 128;

/// How many bytes of other frames are kept.
const KEPT_OTHER: usize = 128;

/// Frames that are asked for the clocks' sake; the first ones tell as much as all.
const ASKED_FOR_CLOCKS: usize = 200_000;

/// Gathers frames.
#[derive(Debug)]
pub struct Gatherer {
    vantages: Vec<Vantage>,
    frames: Vec<Frame>,
    limit: usize,
    /// How many frames were met.
    taken: u32,
}

/// What was gathered.
#[derive(Debug)]
pub struct Gathered {
    /// The trace, all times by the first vantage's clock.
    pub trace: Trace,
    /// How far each vantage's clock was off; nothing where no packet told.
    pub clocks: Vec<Option<Offset>>,
}

impl Gatherer {
    /// One that takes so many frames at most.
    pub fn new(limit: usize) -> Self {
        Self { vantages: Vec::new(), frames: Vec::new(), limit, taken: 0 }
    }

    /// Adds a vantage; gives its index.
    pub fn vantage(&mut self, vantage: Vantage) -> usize {
        self.vantages.push(vantage);
        self.vantages.len() - 1
    }

    /// The vantages so far.
    pub fn vantages(&self) -> &[Vantage] {
        &self.vantages
    }

    /// Takes a frame with its parts and its number in its file; refuses it where there are too many.
    #[must_use]
    pub fn take(&mut self, raw: RawFrame, decoded: Decoded, origin: u32) -> bool {
        self.taken += 1;
        let number = self.taken;
        self.keep(raw, decoded, origin, number)
    }

    /// Takes a frame that was met as the one of that number, whenever that was.
    pub(super) fn keep(&mut self, raw: RawFrame, decoded: Decoded, origin: u32, number: u32) -> bool {
        if self.frames.len() >= self.limit {
            return false;
        }
        let RawFrame { vantage, direction, at_ns, length, mut data } = raw;
        let (keep, end) = match decoded.ip() {
            Some(ip) => (
                ip.innermost().offset.saturating_add(KEPT),
                ip.offset.saturating_add(usize::try_from(ip.length).unwrap_or(usize::MAX)),
            ),
            None => (KEPT_OTHER, usize::MAX),
        };
        let mut beyond = Beyond::default();
        if data.len() > keep {
            beyond.bytes = u32::try_from(data.len() - keep).unwrap_or(u32::MAX);
            let rest = data.get(keep..end.min(data.len())).unwrap_or_default();
            if !rest.is_empty() {
                let mut hasher = DefaultHasher::new();
                rest.hash(&mut hasher);
                beyond.hash = hasher.finish();
            }
            data.truncate(keep);
        }
        data.shrink_to_fit();
        let alike = 0;
        self.frames.push(Frame { number, vantage, direction, at_ns, length, data, beyond, alike, origin, decoded });
        true
    }

    /// How many frames are held.
    pub(super) fn held(&self) -> usize {
        self.frames.len()
    }

    /// Meets a frame that is not taken yet; gives its number.
    pub(super) fn meet(&mut self) -> u32 {
        self.taken += 1;
        self.taken
    }

    /// Says of frames that were taken one after the other, from that one on, that so many more went like each.
    pub(super) fn alike(&mut self, from: usize, frames: usize, more: u64) {
        for frame in self.frames.iter_mut().skip(from).take(frames) {
            frame.alike += more;
        }
    }

    /// Puts everything in order.
    pub fn finish(self) -> Gathered {
        let Self { vantages, mut frames, .. } = self;
        frames.sort_by_key(|f| f.number);
        let clocks = offsets(vantages.len(), &sightings(&frames));
        let mut latest = vec![0; vantages.len()];
        for frame in &mut frames {
            let offset = clocks.get(frame.vantage).copied().flatten().map_or(0, |o| o.ns);
            frame.at_ns = frame.at_ns.saturating_add_signed(offset.saturating_neg());
            if let Some(latest) = latest.get_mut(frame.vantage) {
                *latest = frame.at_ns.max(*latest);
                frame.at_ns = *latest;
            }
        }
        frames.sort_by_key(|f| f.at_ns);
        for (number, frame) in (1..).zip(&mut frames) {
            frame.number = number;
        }
        let (journeys, journey_of) = journey::group(&vantages, &frames, Likeness::Headers);
        let connections = Connections::of(&frames);
        // Elsewhere likeness is by headers, which a cut does not reach.
        let spoilt = vec![0; vantages.len()];
        Gathered { trace: Trace { vantages, frames, journeys, journey_of, connections, spoilt }, clocks }
    }
}

fn sightings(frames: &[Frame]) -> Vec<Sighting> {
    let mut several = frames.iter().map(|f| f.vantage);
    let first = several.next();
    if several.all(|v| Some(v) == first) {
        return Vec::new();
    }
    let mut asked: Vec<usize> = Vec::new();
    let share = |counted: &mut Vec<usize>, vantage: usize| {
        counted.resize(counted.len().max(vantage + 1), 0);
        counted[vantage] += 1;
        counted[vantage] <= ASKED_FOR_CLOCKS
    };
    let mut all = Vec::new();
    for frame in frames {
        let (Some(packet), Some(ip)) = (journey::likeness(frame), frame.ip()) else { continue };
        if share(&mut asked, frame.vantage) {
            all.push(Sighting { packet, point: frame.vantage, at_ns: frame.at_ns, ttl: ip.innermost().ttl });
        }
    }
    all
}
