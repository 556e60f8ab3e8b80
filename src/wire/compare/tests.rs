use etherparse::PacketBuilder;
use proptest::prelude::*;

use super::{Field, Rewrite, difference, layout};

const ROUTER: [u8; 6] = [2, 0xf0, 0, 0, 1, 1];
const DIRECTOR: [u8; 6] = [2, 0xd1, 0, 0, 1, 0];
const RS1: [u8; 6] = [2, 0x51, 0, 0, 1, 0];

fn v4(source: [u8; 6], destination: [u8; 6], ttl: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(source, destination)
        .ipv4([192, 0, 2, 10], [172, 16, 0, 66], ttl)
        .tcp(40000, 80, 1000, 64240)
        .psh()
        .ack(2000)
        .write(&mut bytes, b"GET / HTTP/1.1\r\nHost: vip\r\n\r\n")
        .unwrap();
    bytes
}

fn v6(source: [u8; 6], destination: [u8; 6], hop_limit: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(source, destination)
        .ipv6([0xfd; 16], [0xfe; 16], hop_limit)
        .udp(40000, 53)
        .write(&mut bytes, b"question")
        .unwrap();
    bytes
}

fn before() -> Vec<u8> {
    v4(ROUTER, DIRECTOR, 63)
}

#[test]
fn a_director_changes_macs_ttl_and_the_checksum_that_follows() {
    let found = difference(&before(), &v4(DIRECTOR, RS1, 62));
    assert_eq!(found.rewrite(), Rewrite::MacsAndTtl);
    assert!(found.rewrite().is_direct_routing());
    assert_eq!(
        found.to_string(),
        "destination MAC 02:d1:00:00:01:00 -> 02:51:00:00:01:00, source MAC 02:f0:00:00:01:01 -> 02:d1:00:00:01:00, \
         TTL 63 -> 62, header checksum 0xcd56 -> 0xce56"
    );
    assert_eq!(found.of(Field::DestinationMac).unwrap().offsets, [1]);
    assert_eq!(found.of(Field::SourceMac).unwrap().offsets, [7, 11]);
    assert_eq!(found.of(Field::Ttl).unwrap().range, 22..23);
    assert_eq!(found.bytes(), 5);
}

#[test]
fn an_older_kernel_changes_macs_alone() {
    let found = difference(&before(), &v4(DIRECTOR, RS1, 63));
    assert_eq!(found.rewrite(), Rewrite::MacsOnly);
    assert!(found.rewrite().is_direct_routing());
}

#[test]
fn ipv6_has_a_hop_limit_and_no_header_checksum() {
    let found = difference(&v6(ROUTER, DIRECTOR, 63), &v6(DIRECTOR, RS1, 62));
    assert_eq!(found.rewrite(), Rewrite::MacsAndTtl);
    assert_eq!(found.of(Field::HopLimit).unwrap().to_string(), "hop limit 63 -> 62");
}

#[test]
fn equal_frames_differ_in_nothing() {
    let found = difference(&before(), &before());
    assert!(found.is_none());
    assert_eq!(found.rewrite(), Rewrite::Nothing);
    assert!(!found.rewrite().is_direct_routing());
    assert_eq!(found.to_string(), "no byte differs");
}

#[test]
fn a_ttl_lowered_by_two_is_beyond_direct_routing() {
    let found = difference(&before(), &v4(DIRECTOR, RS1, 61));
    assert_eq!(found.rewrite(), Rewrite::Beyond(vec![Field::Ttl]));
    let found = difference(&v6(ROUTER, DIRECTOR, 63), &v6(DIRECTOR, RS1, 64));
    assert_eq!(found.rewrite(), Rewrite::Beyond(vec![Field::HopLimit]));
}

#[test]
fn a_ttl_that_falls_below_zero_is_not_lowered_by_one() {
    let found = difference(&v6(ROUTER, DIRECTOR, 0), &v6(DIRECTOR, RS1, 255));
    assert_eq!(found.rewrite(), Rewrite::Beyond(vec![Field::HopLimit]));
}

#[test]
fn a_checksum_that_does_not_follow_is_beyond_direct_routing() {
    let mut stale = v4(DIRECTOR, RS1, 63);
    stale[22] = 62;
    assert_eq!(difference(&before(), &stale).rewrite(), Rewrite::Beyond(vec![Field::Ttl]));
    let mut wrong = v4(DIRECTOR, RS1, 62);
    wrong[25] ^= 1;
    assert_eq!(difference(&before(), &wrong).rewrite(), Rewrite::Beyond(vec![Field::Ttl, Field::HeaderChecksum]));
    let mut alone = v4(DIRECTOR, RS1, 63);
    alone[25] ^= 1;
    assert_eq!(difference(&before(), &alone).rewrite(), Rewrite::Beyond(vec![Field::HeaderChecksum]));
}

#[test]
fn one_changed_payload_byte_is_beyond_direct_routing() {
    let mut after = v4(DIRECTOR, RS1, 62);
    let last = after.len() - 1;
    after[last] ^= 0x20;
    let found = difference(&before(), &after);
    assert_eq!(found.rewrite(), Rewrite::Beyond(vec![Field::Payload]));
    assert_eq!(found.of(Field::Payload).unwrap().to_string(), "payload 0a -> 2a");
}

#[test]
fn a_port_mapping_is_named() {
    let mut after = v4(DIRECTOR, RS1, 62);
    after[36..38].copy_from_slice(&8080_u16.to_be_bytes());
    let found = difference(&before(), &after);
    assert_eq!(found.rewrite(), Rewrite::Beyond(vec![Field::DestinationPort]));
    assert_eq!(found.of(Field::DestinationPort).unwrap().to_string(), "destination port 80 -> 8080");
}

#[test]
fn nat_is_named_by_its_addresses() {
    let mut after = v4(DIRECTOR, RS1, 62);
    after[30..34].copy_from_slice(&[172, 16, 0, 3]);
    let found = difference(&before(), &after);
    assert_eq!(
        found.of(Field::DestinationAddress).unwrap().to_string(),
        "destination address 172.16.0.66 -> 172.16.0.3"
    );
    assert!(!found.rewrite().is_direct_routing());
}

#[test]
fn a_longer_frame_differs_even_where_all_common_bytes_are_equal() {
    let mut after = v4(DIRECTOR, RS1, 62);
    after.push(0);
    let found = difference(&before(), &after);
    assert_eq!(found.rewrite(), Rewrite::Length(vec![]));
    assert_eq!(found.lengths, Some((before().len(), before().len() + 1)));
    assert!(!found.rewrite().is_direct_routing());
}

#[test]
fn bytes_behind_the_packet_are_a_trailer() {
    let (mut a, mut b) = (before(), v4(DIRECTOR, RS1, 62));
    a.push(1);
    b.push(2);
    assert_eq!(difference(&a, &b).rewrite(), Rewrite::Beyond(vec![Field::Trailer]));
}

#[test]
fn arp_and_vlan_tags_have_names() {
    let arp = [&ROUTER[..], &RS1[..], &[8, 6], &[0; 28]].concat();
    let mut other = arp.clone();
    other[20] = 1;
    assert_eq!(difference(&arp, &other).rewrite(), Rewrite::Beyond(vec![Field::Arp]));
    let tagged = |id| [&ROUTER[..], &RS1[..], &[0x81, 0, 0, id], &[8, 6], &[0; 28]].concat();
    let found = difference(&tagged(1), &tagged(2));
    assert_eq!(found.rewrite(), Rewrite::Beyond(vec![Field::VlanTag]));
    assert_eq!(found.changes[0].offsets, [15]);
}

#[test]
fn long_differences_are_shown_in_part() {
    let (a, b) = (vec![0; 100], vec![0xff; 100]);
    let found = difference(&a, &b);
    let payload = found.of(Field::Payload).unwrap();
    assert!(payload.old.ends_with(" ..."));
    assert_eq!(payload.offsets.len(), 86);
}

/// Every byte belongs to one field.
fn covered(data: &[u8]) {
    let mut end = 0;
    for (_, range) in layout(data).fields {
        assert_eq!(range.start, end);
        assert!(range.end > range.start);
        end = range.end;
    }
    assert_eq!(end, data.len());
}

#[test]
fn every_byte_of_every_truncation_has_a_name() {
    for frame in [before(), v6(ROUTER, DIRECTOR, 3)] {
        for length in 0..=frame.len() {
            covered(&frame[..length]);
        }
    }
}

proptest! {
    #[test]
    fn every_changed_byte_is_reported_once(
        data in proptest::collection::vec(any::<u8>(), 0..120),
        known in any::<bool>(),
        at in any::<prop::sample::Index>(),
        by in 1..=255_u8,
    ) {
        let frame = if known { before() } else { [&[0; 12][..], &[8, 0, 0x45], &data[..]].concat() };
        covered(&frame);
        let mut other = frame.clone();
        let at = at.index(other.len());
        other[at] ^= by;
        let found = difference(&frame, &other);
        prop_assert_eq!(found.bytes(), 1);
        prop_assert_eq!(&found.changes[0].offsets, &vec![at]);
        prop_assert_eq!(found.rewrite().is_direct_routing(), at < 12);
    }

    #[test]
    fn any_two_byte_strings_can_be_compared(
        a in proptest::collection::vec(any::<u8>(), 0..120),
        b in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let found = difference(&a, &b);
        prop_assert_eq!(found.is_none(), a == b);
        covered(&a);
    }
}
