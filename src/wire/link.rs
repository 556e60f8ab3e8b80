//! Link types: packets of captures that were not made on plain Ethernet, as the Ethernet frames that they stand for.
//!
//! Owns: the headers of Linux cooked captures and of raw IP. Refuses: guessing an address that the header does not give;
//! it becomes [`UNKNOWN`]. Errs towards skipping: what never was on a wire (loopback) is no frame.

use super::frame::Direction;
use crate::base::Mac;

/// What stands for an Ethernet address that a capture does not tell.
pub const UNKNOWN: Mac = Mac([0; 6]);

/// `IPPROTO_IPIP`.
pub const IP_IN_IP: u8 = 4;

/// `LINKTYPE_ETHERNET`.
pub const ETHERNET: u32 = 1;
const RAW: &[u32] = &[12, 14, 101, 228, 229];
const LINUX_SLL: u32 = 113;
const LINUX_SLL2: u32 = 276;

/// `ARPHRD_LOOPBACK` in Linux's `include/uapi/linux/if_arp.h`.
const LOOPBACK: u16 = 772;

const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];

/// A packet as an Ethernet frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framed {
    /// Which way it went, where its header tells.
    pub direction: Direction,
    /// The interface's index on the machine that captured it, where its header tells.
    pub interface: Option<u32>,
    /// Length on the wire in bytes.
    pub length: u32,
    /// The bytes captured.
    pub data: Vec<u8>,
}

/// Whether packets of that link type (`LINKTYPE_*`, <https://www.tcpdump.org/linktypes.html>) can be read.
pub fn is_known(linktype: u32) -> bool {
    matches!(linktype, ETHERNET | LINUX_SLL | LINUX_SLL2) || RAW.contains(&linktype)
}

/// The link type's name for people.
pub fn name(linktype: u32) -> String {
    match linktype {
        ETHERNET => "Ethernet".to_owned(),
        LINUX_SLL => "Linux cooked v1".to_owned(),
        LINUX_SLL2 => "Linux cooked v2".to_owned(),
        other if RAW.contains(&other) => "raw IP".to_owned(),
        other => format!("link type {other}"),
    }
}

/// The packet as an Ethernet frame; nothing where it never was on a wire or the link type is not known.
pub fn framed(linktype: u32, data: Vec<u8>, length: u32) -> Option<Framed> {
    match linktype {
        ETHERNET => Some(Framed { direction: Direction::Unknown, interface: None, length, data }),
        LINUX_SLL => {
            let Some(&[_, kind, h0, h1, _, sized, ref rest @ .., p0, p1]) = data.first_chunk::<16>() else {
                return Some(headless(length));
            };
            let source = address(sized, *rest);
            cooked(kind, u16::from_be_bytes([h0, h1]), source, [p0, p1], None, data.get(16..)?, length, 16)
        }
        LINUX_SLL2 => {
            let Some(head) = data.first_chunk::<20>() else { return Some(headless(length)) };
            let [p0, p1, _, _, i0, i1, i2, i3, h0, h1, kind, sized, ref rest @ ..] = *head;
            let source = address(sized, *rest);
            let interface = Some(u32::from_be_bytes([i0, i1, i2, i3]));
            cooked(kind, u16::from_be_bytes([h0, h1]), source, [p0, p1], interface, data.get(20..)?, length, 20)
        }
        raw if RAW.contains(&raw) => {
            let kind = if data.first().is_some_and(|first| first >> 4 == 6) { IPV6 } else { IPV4 };
            Some(assembled(Direction::Unknown, UNKNOWN, UNKNOWN, kind, None, &data, length, 0))
        }
        _ => None,
    }
}

/// The address in a cooked header: eight bytes, of which so many are used.
fn address(sized: u8, bytes: [u8; 8]) -> Mac {
    bytes.first_chunk::<6>().filter(|_| sized == 6).map_or(UNKNOWN, |mac| Mac(*mac))
}

/// Cut before the end of its header: a frame without any part that can be read.
fn headless(length: u32) -> Framed {
    Framed { direction: Direction::Unknown, interface: None, length, data: Vec::new() }
}

#[expect(clippy::too_many_arguments, reason = "the parts of a header, each used once")]
fn cooked(
    kind: u8,
    hardware: u16,
    source: Mac,
    protocol: [u8; 2],
    interface: Option<u32>,
    payload: &[u8],
    length: u32,
    header: u32,
) -> Option<Framed> {
    if hardware == LOOPBACK {
        return None;
    }
    let (direction, destination) = match kind {
        0 => (Direction::In, UNKNOWN),
        1 => (Direction::In, Mac::BROADCAST),
        // Some group; which one is not told, and no verdict hangs on it.
        2 => (Direction::In, Mac([0x01, 0, 0, 0, 0, 0])),
        4 => (Direction::Out, UNKNOWN),
        _ => (Direction::Unknown, UNKNOWN),
    };
    Some(assembled(direction, destination, source, protocol, interface, payload, length, header))
}

#[expect(clippy::too_many_arguments, reason = "the parts of a frame, each used once")]
fn assembled(
    direction: Direction,
    destination: Mac,
    source: Mac,
    protocol: [u8; 2],
    interface: Option<u32>,
    payload: &[u8],
    length: u32,
    header: u32,
) -> Framed {
    let mut data = Vec::with_capacity(14 + payload.len());
    data.extend_from_slice(&destination.0);
    data.extend_from_slice(&source.0);
    data.extend_from_slice(&protocol);
    data.extend_from_slice(payload);
    Framed { direction, interface, length: length.saturating_sub(header).saturating_add(14), data }
}

#[cfg(test)]
mod tests {
    use super::{UNKNOWN, framed};
    use crate::base::Mac;
    use crate::wire::decode;
    use crate::wire::frame::{Body, Direction};

    const MAC: [u8; 6] = [2, 0xd1, 0, 0, 1, 0];

    fn packet() -> Vec<u8> {
        let mut bytes = Vec::new();
        let builder = etherparse::PacketBuilder::ipv4([192, 0, 2, 10], [172, 16, 0, 66], 63).tcp(40000, 80, 1, 1024);
        builder.write(&mut bytes, b"x").unwrap();
        bytes
    }

    fn sll(kind: u8, hardware: u16) -> Vec<u8> {
        let mut bytes = vec![0, kind];
        bytes.extend(hardware.to_be_bytes());
        bytes.extend([0, 6]);
        bytes.extend(MAC);
        bytes.extend([0, 0, 8, 0]);
        bytes.extend(packet());
        bytes
    }

    fn sll2(kind: u8) -> Vec<u8> {
        let mut bytes = vec![8, 0, 0, 0, 0, 0, 0, 3, 0, 1, kind, 6];
        bytes.extend(MAC);
        bytes.extend([0, 0]);
        bytes.extend(packet());
        bytes
    }

    #[test]
    fn a_cooked_packet_has_its_sender_and_its_direction_and_no_receiver() {
        for (linktype, data, interface) in [(113, sll(4, 1), None), (276, sll2(4), Some(3))] {
            let length = u32::try_from(data.len()).unwrap();
            let frame = framed(linktype, data, length).unwrap();
            assert_eq!((frame.direction, frame.interface), (Direction::Out, interface));
            assert_eq!(usize::try_from(frame.length).unwrap(), frame.data.len());
            let decoded = decode(&frame.data);
            assert_eq!((decoded.source, decoded.destination), (Mac(MAC), UNKNOWN));
            assert!(decoded.ip().is_some_and(|ip| ip.ttl == 63));
        }
    }

    #[test]
    fn what_went_over_loopback_is_no_frame() {
        assert_eq!(framed(113, sll(0, super::LOOPBACK), 100), None);
    }

    #[test]
    fn raw_ip_has_no_addresses_of_the_link() {
        let frame = framed(101, packet(), 41).unwrap();
        let decoded = decode(&frame.data);
        assert_eq!((decoded.source, decoded.destination), (UNKNOWN, UNKNOWN));
        assert!(matches!(decoded.body, Body::Ip(_)));
    }

    #[test]
    fn a_header_cut_anywhere_is_no_panic() {
        for (linktype, whole) in [(113, sll(0, 1)), (276, sll2(0)), (101, packet()), (1, sll(0, 1))] {
            for end in 0..=whole.len() {
                let frame = framed(linktype, whole[..end].to_vec(), 100).unwrap();
                decode(&frame.data);
            }
        }
    }

    #[test]
    fn an_unknown_link_type_gives_nothing() {
        assert_eq!(framed(147, packet(), 41), None);
    }
}
