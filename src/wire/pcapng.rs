//! pcapng as drlab writes and reads it: one section, an interface block per vantage, nanoseconds, comments.
//!
//! Owns: the blocks and options that a capture of Ethernet frames needs (draft-ietf-opsawg-pcapng). Refuses: other link
//! types, packets without a time, files in their entirety: both ends are streams.

mod blocks;
mod reader;
mod writer;

pub use reader::{Interface, Packet, PacketRef, ReadError, Reader};
pub use writer::{NewPacket, Writer};

/// The largest frame that a vantage stores, in bytes; also what Wireshark takes at most.
pub const SNAPLEN: u32 = 262_144;

const LINKTYPE_ETHERNET: u16 = 1;

#[cfg(test)]
mod tests;
