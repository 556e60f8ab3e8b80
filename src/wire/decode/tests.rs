use etherparse::{
    Icmpv4Type, Icmpv6Type, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6FragmentHeader,
    Ipv6Header, Ipv6RawExtHeader, PacketBuilder, UdpHeader, VlanId, icmpv4, icmpv6, ip_number,
};
use proptest::prelude::*;

use super::decode;
use crate::base::Mac;
use crate::wire::frame::{Body, Decoded, Ip, Transport};

const A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
const B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];
const A6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xa];
const B6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xb];

macro_rules! written {
    ($builder:expr, $payload:expr) => {{
        let mut bytes = Vec::new();
        $builder.write(&mut bytes, $payload).unwrap();
        bytes
    }};
}

fn tcp_syn() -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(A, B).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(40000, 80, 1, 64240);
    let options =
        [etherparse::TcpOptionElement::MaximumSegmentSize(1460), etherparse::TcpOptionElement::WindowScale(7)];
    written!(builder.syn().options(&options).unwrap(), &[])
}

fn udp() -> Vec<u8> {
    written!(PacketBuilder::ethernet2(A, B).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(40000, 53), b"question")
}

fn tagged() -> Vec<u8> {
    let (outer, inner) = (VlanId::try_new(100).unwrap(), VlanId::try_new(7).unwrap());
    let builder = PacketBuilder::ethernet2(A, B).double_vlan(outer, inner).ipv6(A6, B6, 63);
    written!(builder.tcp(40000, 443, 9, 100).ack(5), b"hello")
}

/// IPv6 with a hop-by-hop header and a fragment header that does not fragment.
fn extended() -> Vec<u8> {
    let header = Ipv6Header { hop_limit: 9, source: A6, destination: B6, ..Ipv6Header::default() };
    let extensions = Ipv6Extensions {
        hop_by_hop_options: Some(Ipv6RawExtHeader::new_raw(IpNumber(0), &[0; 6]).unwrap()),
        fragment: Some(Ipv6FragmentHeader::new(IpNumber(0), 0.try_into().unwrap(), false, 1)),
        ..Ipv6Extensions::default()
    };
    let builder = PacketBuilder::ethernet2(A, B).ip(IpHeaders::Ipv6(header, extensions));
    written!(builder.udp(1, 2), b"ext")
}

fn fragment(offset: u16) -> Vec<u8> {
    let mut header = Ipv4Header::new(0, 64, ip_number::UDP, [10, 0, 0, 1], [10, 0, 0, 2]).unwrap();
    header.fragment_offset = offset.try_into().unwrap();
    header.more_fragments = true;
    let builder = PacketBuilder::ethernet2(A, B).ip(IpHeaders::Ipv4(header, Ipv4Extensions::default()));
    written!(builder.udp(1000, 2000), b"fragment")
}

fn icmp_error() -> Vec<u8> {
    let unreachable = icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1400 };
    let builder = PacketBuilder::ethernet2(A, B).ipv4([10, 0, 0, 9], [10, 0, 0, 1], 64);
    written!(builder.icmpv4(Icmpv4Type::DestinationUnreachable(unreachable)), &tcp_syn()[14..42])
}

fn icmpv6_error() -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(A, B).ipv6(A6, B6, 64);
    written!(builder.icmpv6(Icmpv6Type::TimeExceeded(icmpv6::TimeExceededCode::HopLimitExceeded)), &tagged()[22..])
}

fn neighbour(kind: u8, flags: u8, options: &[u8]) -> Vec<u8> {
    let body = [&B6[..], options].concat();
    written!(PacketBuilder::ethernet2(A, B).ipv6(A6, B6, 255).icmpv6_raw(kind, 0, [flags, 0, 0, 0]), &body)
}

fn arp_reply() -> Vec<u8> {
    let header = [&B[..], &A[..], &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2]].concat();
    [&header[..], &A[..], &[10, 0, 0, 1], &B[..], &[10, 0, 0, 2]].concat()
}

/// That packet in another IPv4 header.
fn wrapped(frame: &[u8]) -> Vec<u8> {
    let length = u16::try_from(frame.len() - 14).unwrap();
    let outer = Ipv4Header::new(length, 64, ip_number::IPV4, [10, 9, 0, 1], [10, 9, 0, 2]).unwrap();
    let mut bytes = [&B[..], &A[..], &[8, 0]].concat();
    outer.write(&mut bytes).unwrap();
    bytes.extend_from_slice(&frame[14..]);
    bytes
}

fn all() -> Vec<Vec<u8>> {
    vec![
        tcp_syn(),
        udp(),
        tagged(),
        extended(),
        fragment(0),
        fragment(3),
        icmp_error(),
        icmpv6_error(),
        neighbour(135, 0, &[1, 1, 2, 0, 0, 0, 0, 0xa]),
        neighbour(136, 0x60, &[14, 1, 0, 0, 0, 0, 0, 0, 2, 1, 2, 0, 0, 0, 0, 0xb]),
        arp_reply(),
        wrapped(&tcp_syn()),
    ]
}

fn ip(data: &[u8]) -> Ip {
    match decode(data).body {
        Body::Ip(ip) => ip,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_syn_has_its_ports_flags_and_a_right_checksum() {
    let frame = tcp_syn();
    let ip = ip(&frame);
    let tcp = *ip.tcp().unwrap();
    assert_eq!(ip.ports(), Some((40000, 80)));
    assert!(tcp.opens());
    assert_eq!((tcp.sequence, tcp.payload), (1, 0));
    assert_eq!((ip.ttl, ip.offset, ip.fragment), (64, 14, false));
    assert_eq!(ip.header_checksum_ok, Some(true));
    assert_eq!(usize::try_from(ip.length).unwrap(), frame.len() - 14);
    assert_eq!((decode(&frame).source, decode(&frame).destination), (Mac(A), Mac(B)));
}

#[test]
fn a_wrong_header_checksum_is_seen() {
    let mut frame = tcp_syn();
    frame[22] -= 1;
    assert_eq!(ip(&frame).header_checksum_ok, Some(false));
}

#[test]
fn vlan_tags_are_gone_through() {
    let frame = tagged();
    assert_eq!(decode(&frame).vlans, [100, 7]);
    let ip = ip(&frame);
    assert_eq!((ip.ttl, ip.offset, ip.id, ip.header_checksum_ok), (63, 22, None, None));
    assert_eq!(ip.tcp().unwrap().payload, 5);
}

#[test]
fn extension_headers_are_gone_through() {
    let ip = ip(&extended());
    assert_eq!((ip.ports(), ip.fragment, ip.ttl), (Some((1, 2)), false, 9));
}

#[test]
fn the_first_fragment_has_ports_and_later_ones_have_not() {
    let first = ip(&fragment(0));
    assert!(first.fragment);
    assert_eq!(first.ports(), Some((1000, 2000)));
    let later = ip(&fragment(3));
    assert!(later.fragment);
    assert_eq!(later.transport, Transport::Other(17));
}

#[test]
fn an_icmp_error_quotes_the_packet_that_it_is_about() {
    let Transport::Icmp { kind: 3, code: 4, quotes: Some(quoted) } = ip(&icmp_error()).transport else {
        panic!("an ICMP error")
    };
    assert_eq!((quoted.source.to_string(), quoted.destination.to_string()), ("10.0.0.1".into(), "10.0.0.2".into()));
    assert_eq!((quoted.protocol, quoted.ports), (6, Some((40000, 80))));
    let Transport::Icmp { kind: 3, code: 0, quotes: Some(quoted) } = ip(&icmpv6_error()).transport else {
        panic!("an ICMPv6 error")
    };
    assert_eq!((quoted.protocol, quoted.ports), (6, Some((40000, 443))));
}

#[test]
fn an_echo_quotes_nothing() {
    let frame = written!(
        PacketBuilder::ethernet2(A, B).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).icmpv4_echo_request(1, 2),
        &tcp_syn()[14..]
    );
    assert_eq!(ip(&frame).transport, Transport::Icmp { kind: 8, code: 0, quotes: None });
}

#[test]
fn neighbour_discovery_gives_target_and_link_layer_address() {
    let target = B6.into();
    assert_eq!(
        ip(&neighbour(135, 0, &[1, 1, 2, 0, 0, 0, 0, 0xa])).transport,
        Transport::NeighbourSolicitation { target, source_mac: Some(Mac(A)) }
    );
    assert_eq!(
        ip(&neighbour(136, 0x60, &[14, 1, 0, 0, 0, 0, 0, 0, 2, 1, 2, 0, 0, 0, 0, 0xb])).transport,
        Transport::NeighbourAdvertisement { target, target_mac: Some(Mac(B)), solicited: true, overrides: true }
    );
}

#[test]
fn an_option_of_length_zero_ends_the_options() {
    let frame = neighbour(135, 0, &[14, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 0xa]);
    assert_eq!(ip(&frame).transport, Transport::NeighbourSolicitation { target: B6.into(), source_mac: None });
}

#[test]
fn an_arp_reply_tells_who_has_what() {
    let decoded = decode(&arp_reply());
    let arp = decoded.arp().unwrap();
    assert_eq!((arp.operation, arp.sender_mac, arp.target_mac), (2, Mac(A), Mac(B)));
    assert_eq!((arp.sender_ip.to_string(), arp.target_ip.to_string()), ("10.0.0.1".into(), "10.0.0.2".into()));
    assert!(!arp.is_gratuitous());
}

#[test]
fn arp_of_another_kind_is_not_taken_for_ipv4() {
    let mut frame = arp_reply();
    frame[17] = 0xdd;
    assert_eq!(decode(&frame).body, Body::Other(0x0806));
}

#[test]
fn ip_in_ip_shows_the_packet_inside() {
    let outer = ip(&wrapped(&tcp_syn()));
    assert_eq!(outer.source.to_string(), "10.9.0.1");
    assert_eq!(outer.ports(), None);
    let inner = outer.innermost();
    assert_eq!((inner.offset, inner.ports()), (34, Some((40000, 80))));
}

#[test]
fn ip_in_ip_without_end_is_malformed_not_endless() {
    let mut frame = tcp_syn();
    for _ in 0..100 {
        frame = wrapped(&frame);
    }
    assert!(matches!(ip(&frame).innermost().transport, Transport::Malformed(_)));
}

#[test]
fn the_ethertype_and_the_ip_version_must_agree() {
    let mut frame = tcp_syn();
    frame[12..14].copy_from_slice(&[0x86, 0xdd]);
    assert_eq!(decode(&frame).body, Body::Malformed("EtherType of IPv6, but IP version 4".to_owned()));
}

#[test]
fn a_tcp_header_longer_than_its_packet_is_malformed() {
    let mut frame =
        written!(PacketBuilder::ethernet2(A, B).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(1, 2, 3, 4), &[]);
    frame[46] = 0xf0;
    assert!(matches!(ip(&frame).transport, Transport::Malformed(_)));
}

#[test]
fn a_cut_frame_tells_the_lengths_that_its_headers_state() {
    let builder = PacketBuilder::ethernet2(A, B).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(40000, 80, 1, 64240);
    let frame = written!(builder, &[7; 1000]);
    let ip = ip(&frame[..60]);
    assert_eq!((ip.length, ip.tcp().unwrap().payload), (1040, 1000));
}

#[test]
fn a_frame_cut_inside_the_tcp_options_still_has_its_ports() {
    assert_eq!(ip(&tcp_syn()[..54]).ports(), Some((40000, 80)));
    assert!(matches!(ip(&tcp_syn()[..53]).transport, Transport::Malformed(_)));
}

#[test]
fn a_length_of_zero_means_what_was_captured() {
    let mut frame = tcp_syn();
    frame[16..18].copy_from_slice(&[0, 0]);
    assert_eq!(usize::try_from(ip(&frame).length).unwrap(), frame.len() - 14);
    assert!(ip(&frame).tcp().unwrap().opens());
}

#[test]
fn other_ethertypes_are_named_and_an_empty_frame_is_malformed() {
    assert_eq!(decode(&[&B[..], &A[..], &[0x88, 0xcc, 1]].concat()).body, Body::Other(0x88cc));
    assert_eq!(decode(&[]).body, Body::Malformed("0 bytes, an Ethernet header has 14".to_owned()));
}

/// What holds of every decoded frame.
fn sound(data: &[u8], decoded: &Decoded) {
    let mut next = decoded.ip();
    while let Some(ip) = next {
        assert!(ip.offset < data.len(), "the header stands in the frame");
        assert_eq!(ip.source.is_ipv4(), ip.destination.is_ipv4());
        assert_eq!(ip.source.is_ipv4(), ip.header_checksum.is_some());
        next = match &ip.transport {
            Transport::Encapsulated(inner) => Some(inner),
            _ => None,
        };
    }
}

#[test]
fn no_truncation_panics_or_invents_anything() {
    for frame in all() {
        let whole = decode(&frame);
        for length in 0..frame.len() {
            let cut = decode(&frame[..length]);
            sound(&frame[..length], &cut);
            if length >= 14 {
                assert_eq!((cut.source, cut.destination), (whole.source, whole.destination));
            }
            if let (Some(cut), Some(whole)) = (cut.ip(), whole.ip()) {
                assert_eq!((cut.source, cut.destination, cut.length), (whole.source, whole.destination, whole.length));
                if let (Some(cut), Some(whole)) = (cut.ports(), whole.ports()) {
                    assert_eq!(cut, whole);
                }
            }
        }
    }
}

#[test]
fn udp_is_what_etherparse_wrote() {
    let header = UdpHeader::from_slice(&udp()[34..]).unwrap().0;
    let Transport::Udp(udp) = ip(&udp()).transport else { panic!("UDP") };
    assert_eq!((udp.source, udp.destination, udp.payload, udp.checksum), (40000, 53, 8, header.checksum));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        sound(&data, &decode(&data));
    }

    #[test]
    fn arbitrary_bytes_after_a_known_ethertype_never_panic(
        kind in prop::sample::select(vec![0x0800_u16, 0x86dd, 0x0806, 0x8100, 0x88a8]),
        first in any::<u8>(),
        data in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let version = if kind == 0x0800 { 0x40 } else { 0x60 };
        let frame = [&B[..], &A[..], &kind.to_be_bytes(), &[version | (first & 0xf)], &data[..]].concat();
        sound(&frame, &decode(&frame));
    }

    #[test]
    fn mutated_frames_never_panic(
        which in 0..12_usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut frame = all().swap_remove(which);
        for (at, value) in changes {
            let at = at.index(frame.len());
            frame[at] = value;
        }
        let length = frame.len() / 2 + keep.index(frame.len() / 2 + 1);
        frame.truncate(length);
        sound(&frame, &decode(&frame));
    }
}
