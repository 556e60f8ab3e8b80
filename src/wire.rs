//! Bytes on the wire: frames taken apart, packets compared, captures written and read.
//!
//! Owns: decoding of Ethernet, ARP, IPv4, IPv6, TCP, UDP, ICMP and NDP as far as a check looks at it, pcapng, and
//! captures of other makers (pcap, other link types).
//! Refuses: meaning. A frame that can't be taken apart is [`frame::Body::Malformed`] with the reason, never a panic.

pub mod capture;
pub mod checksum;
pub mod compare;
pub mod decode;
pub mod fields;
pub mod frame;
pub mod glance;
pub mod link;
pub mod pcapng;

pub use compare::{Difference, Rewrite, difference};
pub use decode::decode;
pub use fields::Field;
