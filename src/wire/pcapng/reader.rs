//! Reading, packet by packet, with nothing kept but the interfaces.

use std::io::{self, Chain, Cursor, Read};

use pcap_file::pcapng::blocks::block_common::Block;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::blocks::interface_statistics::InterfaceStatisticsOption;
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::{PcapNgReadError, PcapNgReader};

use super::LINKTYPE_ETHERNET;
use crate::wire::frame::Direction;

/// The largest block that is read, in bytes; larger ones are reported as cut short.
const BLOCK_LIMIT_BYTES: usize = 1 << 20;

/// What a section header begins with, in either byte order.
const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

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
    inner: PcapNgReader<Chain<Cursor<Vec<u8>>, R>>,
    interfaces: Vec<Interface>,
    /// Where the interfaces of the section in hand begin.
    section: usize,
    any_link: bool,
    failed: bool,
}

enum Step {
    Packet(Packet),
    Nothing,
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
        match PcapNgReader::with_capacity(Cursor::new(start).chain(stream), BLOCK_LIMIT_BYTES) {
            Ok(inner) => Ok(Self { inner, interfaces: Vec::new(), section: 0, any_link: false, failed: false }),
            Err(PcapNgReadError::Io(cause)) => Err(stream_error(0, cause)),
            Err(cause) => Err(ReadError::Malformed { at_byte: 0, cause: Box::new(cause) }),
        }
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

    fn step(&mut self) -> Option<Result<Step, ReadError>> {
        let at_byte = self.inner.bytes_parsed();
        let block = match self.inner.next_block()? {
            Ok((block, _)) => block,
            Err(PcapNgReadError::Io(cause)) => return Some(Err(stream_error(at_byte, cause))),
            Err(cause) => return Some(Err(ReadError::Malformed { at_byte, cause: Box::new(cause) })),
        };
        Some(match block {
            Block::SectionHeader(_) => {
                self.section = self.interfaces.len();
                Ok(Step::Nothing)
            }
            Block::InterfaceDescription(description) => {
                self.interfaces.push(interface(&description));
                Ok(Step::Nothing)
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
                Ok(Step::Nothing)
            }
            Block::EnhancedPacket(block) => {
                let index = self.section + block.interface_id as usize;
                let wrong = |i: &&Interface| !self.any_link && i.linktype != u32::from(LINKTYPE_ETHERNET);
                if let Some(of) = self.interfaces.get(index).filter(wrong) {
                    let name = of.name.clone().unwrap_or_else(|| index.to_string());
                    return Some(Err(ReadError::LinkType { name, linktype: of.linktype }));
                }
                packet(block, index, at_byte).map(Step::Packet)
            }
            Block::Packet(_) | Block::SimplePacket(_) => Err(ReadError::Untimed { at_byte }),
            _ => Ok(Step::Nothing),
        })
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Packet, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            match self.step()? {
                Ok(Step::Packet(packet)) => return Some(Ok(packet)),
                Ok(Step::Nothing) => {}
                Err(e) => {
                    self.failed = true;
                    return Some(Err(e));
                }
            }
        }
        None
    }
}

fn stream_error(at_byte: u64, cause: io::Error) -> ReadError {
    if cause.kind() == io::ErrorKind::UnexpectedEof {
        ReadError::CutShort { at_byte }
    } else {
        ReadError::Stream { after_bytes: at_byte, cause }
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

fn packet(block: EnhancedPacketBlock<'_>, index: usize, at_byte: u64) -> Result<Packet, ReadError> {
    let mut direction = Direction::Unknown;
    let mut comments = Vec::new();
    for option in &block.options {
        match option {
            EnhancedPacketOption::Flags(flags) => {
                direction = match flags & 3 {
                    1 => Direction::In,
                    2 => Direction::Out,
                    _ => Direction::Unknown,
                };
            }
            EnhancedPacketOption::Common(CommonOption::Comment(text)) => comments.push(text.to_string()),
            _ => {}
        }
    }
    let at_ns = u64::try_from(block.timestamp.as_nanos()).map_err(|_| ReadError::Time { at_byte })?;
    let data = block.data.into_owned();
    Ok(Packet { interface: index, direction, at_ns, length: block.original_len, data, comments })
}
