//! The checksum of TCP and UDP over header, payload and pseudo header (RFC 9293, section 3.1; RFC 768).
//!
//! Owns: whether it is right. Refuses: saying why not; a host that leaves it to its card has a wrong one in its own capture.
//! Errs towards not knowing: a fragment, a frame that was not captured whole and an IPv6 extension header give no answer.

use std::net::IpAddr;

use etherparse::checksum::Sum16BitWords;

use super::frame::{Ip, Transport};

/// Whether the checksum of the transport is right; nothing where that can't be told, or where UDP has none.
///
/// `frame` is the frame from its first byte, `ip` the outermost packet in it.
pub fn transport_holds(frame: &[u8], ip: &Ip) -> Option<bool> {
    if ip.fragment {
        return None;
    }
    let number = match &ip.transport {
        Transport::Tcp(_) => 6,
        Transport::Udp(udp) if udp.checksum != 0 => 17,
        _ => return None,
    };
    let first = *frame.get(ip.offset)?;
    let header = match first >> 4 {
        4 => usize::from(first & 0x0f) * 4,
        6 if *frame.get(ip.offset + 6)? == number => 40,
        _ => return None,
    };
    let end = ip.offset.checked_add(usize::try_from(ip.length).ok()?)?;
    let segment = frame.get(ip.offset.checked_add(header)?..end)?;
    let mut sum = match (ip.source, ip.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            Sum16BitWords::new().add_4bytes(source.octets()).add_4bytes(destination.octets())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Sum16BitWords::new().add_16bytes(source.octets()).add_16bytes(destination.octets())
        }
        _ => return None,
    };
    let length = u32::try_from(segment.len()).ok()?;
    let sum = sum.add_4bytes(length.to_be_bytes()).add_2bytes([0, number]).add_slice(segment);
    Some(sum.ones_complement() == 0)
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use proptest::prelude::*;

    use super::transport_holds;
    use crate::wire::decode::decode;

    fn of(payload: &[u8], tcp: bool, v6: bool) -> Vec<u8> {
        let start = PacketBuilder::ethernet2([2; 6], [4; 6]);
        let ip = if v6 { start.ipv6([1; 16], [2; 16], 64) } else { start.ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64) };
        let mut bytes = Vec::new();
        if tcp {
            ip.tcp(40000, 80, 1, 64000).syn().write(&mut bytes, payload).unwrap();
        } else {
            ip.udp(40000, 53).write(&mut bytes, payload).unwrap();
        }
        bytes
    }

    fn holds(bytes: &[u8]) -> Option<bool> {
        transport_holds(bytes, decode(bytes).ip()?)
    }

    proptest! {
        #[test]
        fn what_a_sender_computed_holds_and_what_a_bit_changed_does_not(
            payload in proptest::collection::vec(any::<u8>(), 0..80), tcp: bool, v6: bool, at: usize, bit in 0..8_u8,
        ) {
            let mut bytes = of(&payload, tcp, v6);
            prop_assert_eq!(holds(&bytes), Some(true));
            // A change of the transport's own bytes, its ports to its payload, of UDP not the checksum itself, which may say "none".
            let start = if v6 { 54 } else { 34 };
            let at = start + at % (bytes.len() - start);
            prop_assume!(tcp || !(start + 4..start + 8).contains(&at));
            prop_assume!(!tcp || at != start + 12);
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(holds(&bytes), Some(false));
        }

        #[test]
        fn a_frame_that_was_cut_tells_nothing(tcp: bool, v6: bool, left: usize) {
            let bytes = of(b"something", tcp, v6);
            let left = left % bytes.len();
            prop_assert_eq!(holds(&bytes[..left]), None);
        }
    }

    #[test]
    fn a_pseudo_headers_sum_alone_is_what_is_left_to_a_card() {
        let mut bytes = of(b"", true, false);
        // 192.0.2.1 + 192.0.2.2 + TCP + 20 bytes, as `tcp_v4_send_check` leaves it (CHECKSUM_PARTIAL).
        let sum: u32 = 0xc000 + 0x0201 + 0xc000 + 0x0202 + 6 + 20;
        let folded = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
        bytes[50..52].copy_from_slice(&folded.to_be_bytes());
        assert_eq!(holds(&bytes), Some(false));
    }

    #[test]
    fn udp_without_a_checksum_tells_nothing() {
        let mut bytes = of(b"q", false, false);
        bytes[40..42].copy_from_slice(&[0, 0]);
        assert_eq!(holds(&bytes), None);
    }
}
