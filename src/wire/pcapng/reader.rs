//! Reading, packet by packet, with nothing kept but the interfaces.

use std::borrow::Cow;
use std::io::{self, Chain, Cursor, Read};

use pcap_file::Endianness;
use pcap_file::pcapng::PcapNgState;
use pcap_file::pcapng::blocks::block_common::Block;
use pcap_file::pcapng::blocks::block_common::ENHANCED_PACKET_BLOCK;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::interface_statistics::InterfaceStatisticsOption;
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::{PcapNgParseError, PcapNgParser, PcapNgReadError};

use super::LINKTYPE_ETHERNET;
use super::blocks::Blocks;
use crate::wire::frame::Direction;

/// The largest block that is read, in bytes; larger ones are reported as cut short.
const BLOCK_LIMIT_BYTES: usize = 1 << 20;

/// What a section header begins with, in either byte order.
pub(super) const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// An interface that the file describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// `if_name`, where it is given.
    pub name: Option<String>,
    /// `if_description`, where it is given.
    pub description: Option<String>,
    /// The link type's number.
    pub linktype: u32,
    /// Frames dropped, as the last statistics block said, where one came.
    pub dropped: Option<u64>,
}

/// A packet as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Index into [`Reader::interfaces`].
    pub interface: usize,
    /// Which way it went.
    pub direction: Direction,
    /// Nanoseconds since the epoch.
    pub at_ns: u64,
    /// Length on the wire in bytes.
    pub length: u32,
    /// The bytes stored.
    pub data: Vec<u8>,
    /// Its comments.
    pub comments: Vec<String>,
}

/// A packet as it stands in the reader's buffer.
#[derive(Debug)]
pub struct PacketRef<'a> {
    /// Index into [`Reader::interfaces`].
    pub interface: usize,
    /// Which way it went.
    pub direction: Direction,
    /// Nanoseconds since the epoch.
    pub at_ns: u64,
    /// Length on the wire in bytes.
    pub length: u32,
    /// The bytes stored.
    pub data: Cow<'a, [u8]>,
    /// Its comments.
    pub comments: Vec<String>,
}

impl PacketRef<'_> {
    fn into_owned(self) -> Packet {
        let Self { interface, direction, at_ns, length, data, comments } = self;
        Packet { interface, direction, at_ns, length, data: data.into_owned(), comments }
    }
}

/// Why a capture can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The stream failed.
    #[error("could not read the capture after {after_bytes} bytes")]
    Stream {
        /// Bytes of whole blocks before.
        after_bytes: u64,
        /// The stream's error.
        #[source]
        cause: io::Error,
    },
    /// It does not begin as pcapng does.
    #[error("the capture does not begin with a pcapng section header")]
    NotPcapng,
    /// There is nothing in it.
    #[error("the capture is empty")]
    Empty,
    /// It ends inside a block.
    #[error(
        "the capture ends inside the block at byte {at_byte} (or that block is larger than {BLOCK_LIMIT_BYTES} bytes)"
    )]
    CutShort {
        /// Where the block begins.
        at_byte: u64,
    },
    /// A block contradicts itself.
    #[error("the block at byte {at_byte} of the capture is malformed")]
    Malformed {
        /// Where the block begins.
        at_byte: u64,
        /// What is wrong with it.
        #[source]
        cause: Box<PcapNgReadError>,
    },
    /// A packet of another link type than Ethernet.
    #[error("interface {name} of the capture has link type {linktype}, only Ethernet ({LINKTYPE_ETHERNET}) is read")]
    LinkType {
        /// The interface's name or number.
        name: String,
        /// Its link type's number.
        linktype: u32,
    },
    /// A packet block that has no interface or no time of its own.
    #[error("the block at byte {at_byte} of the capture is of an old or simple packet type: its packets have no time")]
    Untimed {
        /// Where the block begins.
        at_byte: u64,
    },
    /// A time beyond what 64 bits of nanoseconds hold.
    #[error("the packet at byte {at_byte} of the capture has a time beyond the year 2554")]
    Time {
        /// Where the block begins.
        at_byte: u64,
    },
}

/// Reads a capture packet by packet.
///
/// As an iterator it ends after the first error.
#[derive(Debug)]
pub struct Reader<R: Read> {
    blocks: Blocks<Chain<Cursor<Vec<u8>>, R>>,
    parser: PcapNgParser,
    interfaces: Vec<Interface>,
    /// Where the interfaces of the section in hand begin.
    section: usize,
    /// Of the section's interfaces, whether their times are plain nanoseconds.
    plain: Vec<bool>,
    any_link: bool,
    failed: bool,
}

impl<R: Read> Reader<R> {
    /// Begins to read.
    ///
    /// # Errors
    /// Where the stream does not begin with a whole section header.
    pub fn new(mut stream: R) -> Result<Self, ReadError> {
        let mut start = Vec::with_capacity(4);
        if let Err(cause) = stream.by_ref().take(4).read_to_end(&mut start) {
            return Err(ReadError::Stream { after_bytes: 0, cause });
        }
        if start.is_empty() {
            return Err(ReadError::Empty);
        }
        if !SECTION_HEADER.starts_with(&start) {
            return Err(ReadError::NotPcapng);
        }
        let mut blocks = Blocks::new(Cursor::new(start).chain(stream), BLOCK_LIMIT_BYTES);
        let parser = match blocks.next(true) {
            Ok(Some(block)) => PcapNgParser::new(block).map(|(_, parser)| parser),
            Ok(None) => return Err(ReadError::Empty),
            Err(cause) => return Err(stream_error(0, cause)),
        };
        let parser = parser.map_err(|cause| malformed(0, cause))?;
        Ok(Self {
            blocks,
            parser,
            interfaces: Vec::new(),
            section: 0,
            plain: Vec::new(),
            any_link: false,
            failed: false,
        })
    }

    /// Reads packets of every link type, as they are; [`Interface::linktype`] tells which each is.
    #[must_use]
    pub fn of_any_link(self) -> Self {
        Self { any_link: true, ..self }
    }

    /// The interfaces met so far; all of them once the iterator has ended.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// Reads one block: a packet, or something else; nothing at the end.
    ///
    /// # Errors
    /// As the iterator, which ends there; this may not be called again.
    pub fn step(&mut self) -> Option<Result<Option<PacketRef<'_>>, ReadError>> {
        let at_byte = self.blocks.given();
        let big = self.parser.state().endianness() == Endianness::Big;
        let whole = match self.blocks.next(big) {
            Ok(whole) => whole?,
            Err(cause) => return Some(Err(stream_error(at_byte, cause))),
        };
        if let Some(body) = body_of_packet(whole, big)
            && let Some(packet) = plain(body, big, self.parser.state(), &self.plain, self.section)
            && (self.any_link || is_ethernet(&self.interfaces, packet.interface))
        {
            return Some(Ok(Some(packet)));
        }
        let raw = match self.parser.next_raw_block(whole) {
            Ok((_, raw)) => raw,
            Err(cause) => return Some(Err(malformed(at_byte, cause))),
        };
        let state = self.parser.state();
        let block = match raw.try_into_block(state) {
            Ok(block) => block,
            Err(cause) => {
                let cause = Box::new(PcapNgReadError::from(cause));
                return Some(Err(ReadError::Malformed { at_byte, cause }));
            }
        };
        Some(match block {
            Block::SectionHeader(_) => {
                self.section = self.interfaces.len();
                self.plain.clear();
                Ok(None)
            }
            Block::InterfaceDescription(description) => {
                let nanoseconds = description.ts_resolution() == InterfaceTsResolution::NANO;
                self.plain.push(nanoseconds && description.ts_offset() == 0);
                self.interfaces.push(interface(&description));
                Ok(None)
            }
            Block::InterfaceStatistics(statistics) => {
                let dropped = statistics.options.iter().find_map(|o| match o {
                    InterfaceStatisticsOption::IsbIfDrop(n) => Some(*n),
                    _ => None,
                });
                let index = self.section + statistics.interface_id as usize;
                if let (Some(interface), Some(_)) = (self.interfaces.get_mut(index), dropped) {
                    interface.dropped = dropped;
                }
                Ok(None)
            }
            Block::EnhancedPacket(block) => {
                let index = self.section + block.interface_id as usize;
                let wrong = |i: &&Interface| !self.any_link && i.linktype != u32::from(LINKTYPE_ETHERNET);
                if let Some(of) = self.interfaces.get(index).filter(wrong) {
                    let name = of.name.clone().unwrap_or_else(|| index.to_string());
                    return Some(Err(ReadError::LinkType { name, linktype: of.linktype }));
                }
                packet(block, index, at_byte).map(Some)
            }
            Block::Packet(_) | Block::SimplePacket(_) => Err(ReadError::Untimed { at_byte }),
            _ => Ok(None),
        })
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Packet, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            match self.step()? {
                Ok(Some(packet)) => return Some(Ok(packet.into_owned())),
                Ok(None) => {}
                Err(e) => {
                    self.failed = true;
                    return Some(Err(e));
                }
            }
        }
        None
    }
}

fn is_ethernet(interfaces: &[Interface], index: usize) -> bool {
    interfaces.get(index).is_some_and(|i| i.linktype == u32::from(LINKTYPE_ETHERNET))
}

fn stream_error(at_byte: u64, cause: io::Error) -> ReadError {
    if cause.kind() == io::ErrorKind::UnexpectedEof {
        ReadError::CutShort { at_byte }
    } else {
        ReadError::Stream { after_bytes: at_byte, cause }
    }
}

fn malformed(at_byte: u64, cause: PcapNgParseError) -> ReadError {
    match PcapNgReadError::from(cause) {
        PcapNgReadError::Io(cause) => stream_error(at_byte, cause),
        cause => ReadError::Malformed { at_byte, cause: Box::new(cause) },
    }
}

fn interface(block: &InterfaceDescriptionBlock<'_>) -> Interface {
    let mut interface = Interface { name: None, description: None, linktype: u32::from(block.linktype), dropped: None };
    for option in &block.options {
        match option {
            InterfaceDescriptionOption::IfName(name) => interface.name = Some(name.to_string()),
            InterfaceDescriptionOption::IfDescription(text) => interface.description = Some(text.to_string()),
            _ => {}
        }
    }
    interface
}

fn packet(block: EnhancedPacketBlock<'_>, index: usize, at_byte: u64) -> Result<PacketRef<'_>, ReadError> {
    let mut direction = Direction::Unknown;
    let mut comments = Vec::new();
    for option in &block.options {
        match option {
            EnhancedPacketOption::Flags(flags) => direction = way(*flags),
            EnhancedPacketOption::Common(CommonOption::Comment(text)) => comments.push(text.to_string()),
            _ => {}
        }
    }
    let at_ns = u64::try_from(block.timestamp.as_nanos()).map_err(|_| ReadError::Time { at_byte })?;
    Ok(PacketRef { interface: index, direction, at_ns, length: block.original_len, data: block.data, comments })
}

/// The direction in the flags of a packet.
fn way(flags: u32) -> Direction {
    match flags & 3 {
        1 => Direction::In,
        2 => Direction::Out,
        _ => Direction::Unknown,
    }
}

/// What stands between the head and the tail of an enhanced packet block; nothing where it is another block, or contradicts
/// itself.
fn body_of_packet(whole: &[u8], big: bool) -> Option<&[u8]> {
    let word = |bytes: [u8; 4]| if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
    let (head, rest) = whole.split_first_chunk::<8>()?;
    let (body, stated) = rest.split_last_chunk::<4>()?;
    let [t0, t1, t2, t3, length @ ..] = *head;
    let is_packet = word([t0, t1, t2, t3]) == ENHANCED_PACKET_BLOCK && length == *stated;
    is_packet.then_some(body)
}

/// A packet block whose only option is its flags, as nearly all are, read in place; nothing where there is anything else
/// about it, a mistake included. `nanoseconds` tells of which interfaces the times are just that.
fn plain<'a>(
    body: &'a [u8],
    big: bool,
    state: &PcapNgState,
    nanoseconds: &[bool],
    section: usize,
) -> Option<PacketRef<'a>> {
    const FLAGS: u16 = 2;
    let (head, rest) = body.split_first_chunk::<20>()?;
    let word = |bytes: [u8; 4]| if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
    let [i0, i1, i2, i3, h0, h1, h2, h3, l0, l1, l2, l3, c0, c1, c2, c3, o0, o1, o2, o3] = *head;
    let interface = word([i0, i1, i2, i3]);
    let kept = usize::try_from(word([c0, c1, c2, c3])).ok()?;
    let length = word([o0, o1, o2, o3]);
    let data = rest.get(..kept)?;
    let options = rest.get(kept.checked_next_multiple_of(4)?..)?;
    let direction = match options {
        [] => Direction::Unknown,
        [a0, a1, b0, b1, f0, f1, f2, f3] | [a0, a1, b0, b1, f0, f1, f2, f3, 0, 0, 0, 0] => {
            let half = |bytes: [u8; 2]| if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
            let flags = half([*a0, *a1]) == FLAGS && half([*b0, *b1]) == 4;
            flags.then(|| way(word([*f0, *f1, *f2, *f3])))?
        }
        _ => return None,
    };
    let (high, low) = (word([h0, h1, h2, h3]), word([l0, l1, l2, l3]));
    let at = usize::try_from(interface).ok()?;
    let at_ns = if nanoseconds.get(at) == Some(&true) {
        u64::from(high) << 32 | u64::from(low)
    } else {
        u64::try_from(state.decode_timestamp(interface, high, low).ok()?.as_nanos()).ok()?
    };
    let whole = usize::try_from(length).is_ok_and(|length| length >= kept);
    Some(PacketRef {
        interface: section + at,
        direction,
        at_ns,
        length,
        data: Cow::Borrowed(data),
        comments: Vec::new(),
    })
    .filter(|_| whole)
}
