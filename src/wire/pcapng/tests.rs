use std::io::{self, Read, Write};

use proptest::prelude::*;

use super::{NewPacket, Packet, ReadError, Reader, Writer};
use crate::wire::frame::Direction;

fn example() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).unwrap();
    let comments = ["who has the VIP".to_owned(), "zwölf".to_owned()];
    let first = writer.interface("client:eth0", "interface eth0 of node client", 65_535).unwrap();
    let packet = NewPacket {
        interface: first,
        direction: Direction::Out,
        at_ns: 1_700_000_000_123_456_789,
        length: 1514,
        data: &[1, 2, 3, 4, 5],
        comments: &comments,
    };
    writer.packet(&packet).unwrap();
    let second = writer.interface("rs1:lo", "", 0).unwrap();
    writer
        .packet(&NewPacket {
            interface: second,
            direction: Direction::In,
            at_ns: 5,
            data: &[9; 8],
            length: 8,
            comments: &[],
        })
        .unwrap();
    writer
        .packet(&NewPacket {
            interface: first,
            direction: Direction::Unknown,
            data: &[],
            length: 0,
            comments: &[],
            ..packet
        })
        .unwrap();
    writer.statistics(first, packet.at_ns, 12).unwrap();
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<Vec<Packet>, ReadError> {
    Reader::new(bytes)?.collect()
}

#[test]
fn what_is_written_reads_back() {
    let bytes = example();
    let mut reader = Reader::new(bytes.as_slice()).unwrap();
    let packets: Vec<Packet> = reader.by_ref().map(Result::unwrap).collect();
    assert_eq!(packets.len(), 3);
    assert_eq!(
        packets[0],
        Packet {
            interface: 0,
            direction: Direction::Out,
            at_ns: 1_700_000_000_123_456_789,
            length: 1514,
            data: vec![1, 2, 3, 4, 5],
            comments: vec!["who has the VIP".to_owned(), "zwölf".to_owned()],
        }
    );
    assert_eq!((packets[1].interface, packets[1].direction, packets[1].at_ns), (1, Direction::In, 5));
    assert_eq!(packets[2].direction, Direction::Unknown);
    let interfaces = reader.interfaces();
    assert_eq!(interfaces[0].name.as_deref(), Some("client:eth0"));
    assert_eq!(interfaces[0].description.as_deref(), Some("interface eth0 of node client"));
    assert_eq!((interfaces[0].dropped, interfaces[1].dropped), (Some(12), None));
}

#[test]
fn the_file_tells_who_wrote_it_and_nothing_that_varies() {
    let bytes = example();
    let wanted = concat!("drlab ", env!("CARGO_PKG_VERSION"));
    assert!(bytes.windows(wanted.len()).any(|w| w == wanted.as_bytes()));
    assert_eq!(bytes, example());
}

#[test]
fn a_file_cut_at_any_byte_gives_the_packets_before_the_cut() {
    let bytes = example();
    let whole = read(&bytes).unwrap();
    for length in 0..bytes.len() {
        let Ok(reader) = Reader::new(&bytes[..length]) else { continue };
        let mut packets = Vec::new();
        for packet in reader {
            match packet {
                Ok(packet) => packets.push(packet),
                Err(error) => assert!(matches!(error, ReadError::CutShort { .. }), "{length}: {error:?}"),
            }
        }
        assert_eq!(packets, whole[..packets.len()], "{length}");
    }
}

#[test]
fn a_cut_file_says_where() {
    let bytes = example();
    let error = read(&bytes[..bytes.len() - 1]).unwrap_err();
    let ReadError::CutShort { at_byte } = error else { panic!("{error:?}") };
    assert!(at_byte > 0 && at_byte < bytes.len() as u64);
    assert!(matches!(read(&bytes[..2]), Err(ReadError::CutShort { at_byte: 0 })));
    assert!(matches!(read(&[]), Err(ReadError::Empty)));
}

#[test]
fn a_file_of_another_kind_is_refused() {
    let pcap = [&0xa1b2_c3d4_u32.to_le_bytes()[..], &[2, 0, 4, 0], &[0; 40]].concat();
    assert!(matches!(read(&pcap), Err(ReadError::NotPcapng)));
    assert!(matches!(read(&[b'x'; 64]), Err(ReadError::NotPcapng)));
}

#[test]
fn a_packet_of_an_interface_that_was_not_described_is_malformed() {
    let mut bytes = example();
    let packet = bytes.windows(4).position(|w| w == [1, 2, 3, 4]).unwrap() - 20;
    bytes[packet] = 7;
    assert!(matches!(read(&bytes), Err(ReadError::Malformed { .. })));
}

#[test]
fn a_packet_without_ethernet_is_refused_by_name() {
    let mut bytes = example();
    let name = bytes.windows(11).position(|w| w == b"client:eth0").unwrap();
    bytes[name - 12] = 101;
    let error = read(&bytes).unwrap_err();
    assert_eq!(error.to_string(), "interface client:eth0 of the capture has link type 101, only Ethernet (1) is read");
}

#[test]
fn a_stream_that_fails_is_told_from_one_that_ends() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::BrokenPipe))
        }
    }
    let bytes = example();
    let error = Reader::new(bytes.chain(Failing)).unwrap().find_map(Result::err).unwrap();
    assert!(matches!(error, ReadError::Stream { after_bytes, .. } if after_bytes == example().len() as u64));
}

#[test]
fn an_iterator_ends_after_an_error() {
    let bytes = example();
    let mut reader = Reader::new(&bytes[..bytes.len() - 1]).unwrap();
    assert!(reader.by_ref().any(|p| p.is_err()));
    assert!(reader.next().is_none());
}

#[test]
fn a_comment_beyond_the_limit_is_cut_at_a_character() {
    let mut writer = Writer::new(Vec::new()).unwrap();
    let interface = writer.interface("a:b", "", 0).unwrap();
    let comments = [format!("x{}", "ö".repeat(40_000))];
    let packet = NewPacket { interface, direction: Direction::In, at_ns: 0, length: 0, data: &[], comments: &comments };
    writer.packet(&packet).unwrap();
    let packets = read(&writer.finish().unwrap()).unwrap();
    assert_eq!(packets[0].comments[0].len(), 65_535);
    assert!(comments[0].starts_with(&packets[0].comments[0]));
    let mut writer = Writer::new(Vec::new()).unwrap();
    writer.interface("a:b", "", 0).unwrap();
    writer.packet(&NewPacket { comments: &["ö".repeat(40_000)], ..packet }).unwrap();
    assert_eq!(read(&writer.finish().unwrap()).unwrap()[0].comments[0].len(), 65_534);
}

#[test]
fn a_length_on_the_wire_below_what_is_stored_is_raised() {
    let mut writer = Writer::new(Vec::new()).unwrap();
    let interface = writer.interface("a:b", "", 0).unwrap();
    let packet = NewPacket { interface, direction: Direction::In, at_ns: 0, length: 3, data: &[0; 10], comments: &[] };
    writer.packet(&packet).unwrap();
    assert_eq!(read(&writer.finish().unwrap()).unwrap()[0].length, 10);
}

#[test]
fn an_interface_that_was_not_added_is_refused() {
    let mut writer = Writer::new(Vec::new()).unwrap();
    let packet = NewPacket { interface: 0, direction: Direction::In, at_ns: 0, length: 0, data: &[], comments: &[] };
    assert_eq!(writer.packet(&packet).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(writer.statistics(0, 0, 0).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn a_stream_that_takes_no_more_is_an_error() {
    #[derive(Debug)]
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    assert_eq!(Writer::new(Full).unwrap_err().kind(), io::ErrorKind::StorageFull);
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::In), Just(Direction::Out), Just(Direction::Unknown)]
}

proptest! {
    #[test]
    fn any_packet_reads_back(
        at_ns in any::<u64>(),
        direction in direction(),
        data in proptest::collection::vec(any::<u8>(), 0..300),
        more in 0..1000_u32,
        comments in proptest::collection::vec(".{0,40}", 0..4),
    ) {
        let mut writer = Writer::new(Vec::new()).unwrap();
        let interface = writer.interface("a:b", "", 0).unwrap();
        let length = u32::try_from(data.len()).unwrap() + more;
        writer.packet(&NewPacket { interface, direction, at_ns, length, data: &data, comments: &comments }).unwrap();
        let packets = read(&writer.finish().unwrap()).unwrap();
        prop_assert_eq!(packets, vec![Packet { interface: 0, direction, at_ns, length, data, comments }]);
    }

    #[test]
    fn a_mutated_file_never_panics(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = example();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(reader) = Reader::new(bytes.as_slice()) {
            prop_assert!(reader.count() <= 5);
        }
    }

    #[test]
    fn arbitrary_bytes_after_a_header_never_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = Writer::new(Vec::new()).unwrap().finish().unwrap();
        bytes.extend_from_slice(&data);
        if let Ok(reader) = Reader::new(bytes.as_slice()) {
            prop_assert!(reader.count() <= 20);
        }
    }

    #[test]
    fn any_block_of_a_known_type_never_panics(
        kind in prop::sample::select(vec![0x0a0d_0d0a_u32, 1, 2, 3, 4, 5, 6, 9, 0xbad, 0x4000_0bad, 77]),
        words in proptest::collection::vec(any::<u32>(), 0..30),
        small in any::<bool>(),
    ) {
        let mut bytes = example();
        let length = u32::try_from(words.len() * 4 + 12).unwrap();
        bytes.extend_from_slice(&kind.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        for word in words {
            bytes.extend_from_slice(&(if small { word & 0x0003_0003 } else { word }).to_le_bytes());
        }
        bytes.extend_from_slice(&length.to_le_bytes());
        prop_assert!(Reader::new(bytes.as_slice()).unwrap().count() <= 5);
    }
}
