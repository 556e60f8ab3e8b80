use std::io::Read;

use proptest::prelude::*;

use super::{CaptureError, Reader};
use crate::wire::decode;
use crate::wire::frame::Direction;
use crate::wire::pcapng::{NewPacket, Writer};

fn u32s(big: bool, values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| if big { v.to_be_bytes() } else { v.to_le_bytes() }).collect()
}

/// A pcap with two packets, one and a half seconds after the epoch and a microsecond later.
fn pcap(big: bool, nanoseconds: bool, linktype: u32) -> Vec<u8> {
    let version = if big { 0x0002_0004 } else { 0x0004_0002 };
    let magic = if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let mut bytes = u32s(big, &[magic, version, 0, 0, 0, linktype]);
    let unit = if nanoseconds { 1000 } else { 1 };
    for fraction in [500_000 * unit, 500_001 * unit] {
        bytes.extend(u32s(big, &[1, fraction, 60, 1514]));
        bytes.extend([0x11; 60]);
    }
    bytes
}

fn pcapng() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes).unwrap();
    writer.interface("rs1:eth0", "", 262_144).unwrap();
    for at_ns in [1_500_000_000, 1_500_001_000] {
        let packet = NewPacket {
            interface: 0,
            direction: Direction::Out,
            at_ns,
            length: 1514,
            data: &[0x11; 60],
            comments: &[],
        };
        writer.packet(&packet).unwrap();
    }
    writer.flush().unwrap();
    bytes
}

#[test]
fn every_kind_of_pcap_gives_the_same_packets() {
    for (big, nanoseconds) in [(false, false), (false, true), (true, false), (true, true)] {
        let bytes = pcap(big, nanoseconds, 1);
        let reader = Reader::new(bytes.as_slice()).unwrap();
        assert_eq!(reader.format(), if nanoseconds { "pcap (ns)" } else { "pcap (µs)" });
        let packets: Vec<_> = reader.map(Result::unwrap).collect();
        assert_eq!(packets.iter().map(|p| p.at_ns).collect::<Vec<_>>(), [1_500_000_000, 1_500_001_000]);
        assert!(packets.iter().all(|p| p.length == 1514 && p.data.len() == 60));
        assert_eq!(packets.iter().map(|p| p.number).collect::<Vec<_>>(), [1, 2]);
    }
}

#[test]
fn a_pcapng_gives_its_interfaces_and_directions() {
    let mut reader = Reader::new(&*pcapng().leak()).unwrap();
    let packets: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
    assert_eq!(packets.len(), 2);
    assert_eq!(packets[0].direction, Direction::Out);
    assert_eq!(reader.interfaces()[0].name.as_deref(), Some("rs1:eth0"));
}

#[test]
fn packets_of_an_unknown_link_type_are_counted() {
    let bytes = pcap(false, false, 189);
    let mut reader = Reader::new(bytes.as_slice()).unwrap();
    assert!(reader.by_ref().next().is_none());
    assert_eq!((reader.met(), reader.skipped()), (2, 2));
}

#[test]
fn a_file_cut_short_gives_what_stands_before_the_cut() {
    for bytes in [pcap(false, false, 1), pcapng()] {
        let cut = &bytes[..bytes.len() - 10];
        let all: Vec<_> = Reader::new(cut).unwrap().collect();
        assert!(matches!(all.as_slice(), [Ok(_), Err(CaptureError::CutShort { .. })]), "{all:?}");
    }
}

#[test]
fn what_is_no_capture_is_named() {
    let said = |bytes: &[u8]| Reader::new(bytes).err().unwrap().to_string();
    assert!(said(b"\x1f\x8b\x08\x00\x00\x00").contains("gunzip"));
    assert!(said(b"12:00:01 IP 10.0.0.1 > 10.0.0.2").contains("text (`12:00:01 IP"));
    assert!(said(b"\x00\x01\x02\x03\xff").contains("00 01 02 03 ff"));
    assert!(matches!(Reader::new(&b""[..]), Err(CaptureError::Empty)));
    assert!(matches!(Reader::new(&[0xd4, 0xc3, 0xb2, 0xa1, 2][..]), Err(CaptureError::CutShort { at_byte: 0 })));
}

fn read_all(bytes: &[u8]) -> usize {
    let Ok(reader) = Reader::new(bytes.take(u64::MAX)) else { return 0 };
    reader.flatten().inspect(|p| drop(decode(&p.data))).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// cargo-fuzz needs a nightly compiler; these take its place.
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0_usize..6) {
        let head: &[u8] = match kind {
            0 => &[],
            1 => &[0x0a, 0x0d, 0x0d, 0x0a],
            2 => &[0xd4, 0xc3, 0xb2, 0xa1],
            3 => &[0xa1, 0xb2, 0x3c, 0x4d],
            4 => &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 113, 0, 0, 0],
            _ => &[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0],
        };
        read_all(&[head, &bytes].concat());
    }

    #[test]
    fn a_capture_changed_anywhere_makes_no_panic_and_no_packet_more(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ng in any::<bool>(),
        linktype in prop::sample::select(vec![1_u32, 101, 113, 276]),
    ) {
        let mut bytes = if ng { pcapng() } else { pcap(false, false, linktype) };
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        // A packet has a header of 16 bytes at least.
        prop_assert!(read_all(&bytes) <= bytes.len() / 16);
    }
}
