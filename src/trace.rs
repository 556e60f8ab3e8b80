//! All frames of a run in the order of time, and the journeys that they make up.
//!
//! Owns: merging, numbering, recognising one packet at every hop. Refuses: judging.

pub mod journey;

use std::fmt;

use crate::base::{IfName, NodeName};
use crate::wire::frame::Decoded;
pub use journey::Journey;

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

/// Which way a frame went at its vantage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Into the node.
    In,
    /// Out of the node.
    Out,
    /// The capture does not tell.
    Unknown,
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
    /// The bytes captured.
    pub data: Vec<u8>,
    /// Its parts.
    pub decoded: Decoded,
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
}
