use etherparse::{PacketBuilder, VlanId};
use proptest::prelude::*;

use super::{End, Segment, glance};
use crate::wire::decode;
use crate::wire::frame::Transport;

const A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
const B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];

macro_rules! written {
    ($builder:expr, $payload:expr) => {{
        let mut bytes = Vec::new();
        $builder.write(&mut bytes, $payload).unwrap();
        bytes
    }};
}

fn ordinary() -> Vec<Vec<u8>> {
    let v4 = || PacketBuilder::ethernet2(A, B).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
    let (outer, inner) = (VlanId::try_new(100).unwrap(), VlanId::try_new(7).unwrap());
    let tagged = PacketBuilder::ethernet2(A, B).double_vlan(outer, inner).ipv6([1; 16], [2; 16], 63);
    let mut padded = written!(v4().tcp(40000, 80, 1, 100).ack(7), &[]);
    padded.resize(60, 0);
    vec![
        written!(v4().tcp(40000, 80, 1, 64240).syn(), &[]),
        written!(v4().tcp(40000, 80, 1, 64240).ack(9).psh(), b"GET / HTTP/1.1"),
        written!(v4().udp(40000, 53), b"question"),
        written!(tagged.tcp(40000, 443, 9, 100).ack(5), b"hello"),
        padded,
    ]
}

/// What a glance says, decoding says as well.
fn agrees(data: &[u8]) -> bool {
    let Some(seen) = glance(data) else { return false };
    let decoded = decode(data);
    assert_eq!((decoded.source, decoded.destination), (seen.source, seen.destination));
    let ip = decoded.ip().expect("a glance sees IP only");
    let address = |end: End| {
        if end.v6 {
            std::net::IpAddr::V6(end.address.into())
        } else {
            std::net::Ipv4Addr::from(u32::try_from(end.address).unwrap()).into()
        }
    };
    assert_eq!((ip.source, ip.destination), (address(seen.from), address(seen.to)));
    assert_eq!((ip.ttl, ip.id.unwrap_or(0), ip.length), (seen.ttl, seen.id, seen.length));
    assert_eq!((ip.offset, ip.fragment), (seen.offset, false));
    assert_ne!(ip.header_checksum_ok, Some(false));
    assert_eq!(ip.ports(), Some((seen.from.port, seen.to.port)));
    match (&ip.transport, seen.segment) {
        (Transport::Tcp(a), Segment::Tcp(b)) => assert_eq!(*a, b),
        (Transport::Udp(a), Segment::Udp(b)) => assert_eq!(*a, b),
        (other, seen) => panic!("{other:?} is taken for {seen:?}"),
    }
    assert!(data[seen.offset..].starts_with(seen.packet));
    true
}

#[test]
fn a_glance_sees_what_decoding_sees() {
    for data in ordinary() {
        assert!(agrees(&data), "{data:02x?}");
    }
}

#[test]
fn a_frame_cut_anywhere_is_seen_rightly_or_not_at_all() {
    for whole in ordinary() {
        for end in 0..whole.len() {
            agrees(&whole[..end]);
        }
    }
}

#[test]
fn what_is_out_of_the_ordinary_is_not_seen() {
    let fragment = |data: &mut Vec<u8>| data[20] |= 0x20;
    let checksum = |data: &mut Vec<u8>| data[24] ^= 1;
    for change in [fragment, checksum] {
        let mut data = ordinary().remove(0);
        change(&mut data);
        assert_eq!(glance(&data), None);
    }
}

proptest! {
    #[test]
    fn whatever_changes_is_seen_rightly_or_not_at_all(
        which in 0..5_usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        fix in any::<bool>(),
    ) {
        let mut data = ordinary().remove(which);
        for (at, value) in changes {
            let at = at.index(data.len());
            data[at] = value;
        }
        // Without this nearly all changes of the IPv4 header would only make its checksum wrong.
        if fix && data[14] == 0x45 {
            data[24..26].copy_from_slice(&[0, 0]);
            let sum = etherparse::checksum::Sum16BitWords::new().add_slice(&data[14..34]).ones_complement();
            data[24..26].copy_from_slice(&sum.to_be().to_be_bytes());
        }
        agrees(&data);
    }
}
