//! One packet over all its hops, although MACs, TTL and header checksum change on the way.

/// The frames that carried one packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journey {
    /// Indices into [`super::Trace::frames`], in the order of time.
    pub hops: Vec<usize>,
}
