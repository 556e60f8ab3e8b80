//! Writing, block by block, with nothing kept but the block in hand.

use std::io::{self, Write};

use super::LINKTYPE_ETHERNET;
use crate::wire::frame::Direction;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;
const ISB_IFDROP: u16 = 5;

/// A packet to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewPacket<'a> {
    /// What [`Writer::interface`] gave.
    pub interface: u32,
    /// Which way it went.
    pub direction: Direction,
    /// Nanoseconds since the epoch.
    pub at_ns: u64,
    /// Length on the wire in bytes; never written smaller than what is stored.
    pub length: u32,
    /// The bytes to store.
    pub data: &'a [u8],
    /// Comments; each is cut to 65 535 bytes, the format's limit.
    pub comments: &'a [String],
}

/// Writes one section to any stream, block by block.
///
/// The same calls give the same bytes: nothing of the machine or the clock goes into the file.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    interfaces: u32,
    block: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins the file.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn new(out: W) -> io::Result<Self> {
        let mut writer = Self { out, interfaces: 0, block: Vec::with_capacity(2048) };
        writer.begin(SECTION_HEADER);
        writer.u32(0x1a2b_3c4d);
        writer.u16(1);
        writer.u16(0);
        writer.u64(u64::MAX);
        writer.option(SHB_USERAPPL, concat!("drlab ", env!("CARGO_PKG_VERSION")).as_bytes());
        writer.end_of_options();
        writer.finish_block()?;
        Ok(writer)
    }

    /// Adds an interface, at any time before its first packet, and gives its number.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn interface(&mut self, name: &str, description: &str, snaplen: u32) -> io::Result<u32> {
        self.begin(INTERFACE_DESCRIPTION);
        self.u16(LINKTYPE_ETHERNET);
        self.u16(0);
        self.u32(snaplen);
        self.option(IF_NAME, name.as_bytes());
        self.option(IF_DESCRIPTION, description.as_bytes());
        self.option(IF_TSRESOL, &[9]);
        self.end_of_options();
        self.finish_block()?;
        let number = self.interfaces;
        self.interfaces += 1;
        Ok(number)
    }

    /// Adds a packet.
    ///
    /// # Errors
    /// Those of the stream; `InvalidInput` for an interface that was not added or data over 4 GiB.
    pub fn packet(&mut self, packet: &NewPacket<'_>) -> io::Result<()> {
        self.known(packet.interface)?;
        let stored = u32::try_from(packet.data.len()).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        self.begin(ENHANCED_PACKET);
        self.u32(packet.interface);
        self.time(packet.at_ns);
        self.u32(stored);
        self.u32(packet.length.max(stored));
        self.block.extend_from_slice(packet.data);
        self.pad();
        let flags: u32 = match packet.direction {
            Direction::Unknown => 0,
            Direction::In => 1,
            Direction::Out => 2,
        };
        if flags != 0 {
            self.option(EPB_FLAGS, &flags.to_le_bytes());
        }
        for comment in packet.comments {
            self.option(OPT_COMMENT, comment.as_bytes());
        }
        if flags != 0 || !packet.comments.is_empty() {
            self.end_of_options();
        }
        self.finish_block()
    }

    /// Adds how many frames an interface dropped until then.
    ///
    /// # Errors
    /// Those of the stream; `InvalidInput` for an interface that was not added.
    pub fn statistics(&mut self, interface: u32, at_ns: u64, dropped: u64) -> io::Result<()> {
        self.known(interface)?;
        self.begin(INTERFACE_STATISTICS);
        self.u32(interface);
        self.time(at_ns);
        self.option(ISB_IFDROP, &dropped.to_le_bytes());
        self.end_of_options();
        self.finish_block()
    }

    /// Flushes the stream; what was written so far is a whole file.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Flushes and gives the stream back.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn known(&self, interface: u32) -> io::Result<()> {
        if interface < self.interfaces {
            return Ok(());
        }
        let why = format!("interface {interface} was not added, there are {}", self.interfaces);
        Err(io::Error::new(io::ErrorKind::InvalidInput, why))
    }

    fn begin(&mut self, kind: u32) {
        self.block.clear();
        self.u32(kind);
        self.u32(0);
    }

    fn finish_block(&mut self) -> io::Result<()> {
        let length = u32::try_from(self.block.len() + 4).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        self.block[4..8].copy_from_slice(&length.to_le_bytes());
        self.u32(length);
        self.out.write_all(&self.block)
    }

    /// An option; a value over the 16 bits of its length is cut, text at a character's border.
    fn option(&mut self, code: u16, value: &[u8]) {
        let (length, value) = match u16::try_from(value.len()) {
            Ok(length) => (length, value),
            Err(_) => cut(value),
        };
        self.u16(code);
        self.u16(length);
        self.block.extend_from_slice(value);
        self.pad();
    }

    fn end_of_options(&mut self) {
        self.u32(0);
    }

    fn time(&mut self, at_ns: u64) {
        let bytes = at_ns.to_le_bytes();
        self.block.extend_from_slice(&bytes[4..]);
        self.block.extend_from_slice(&bytes[..4]);
    }

    fn pad(&mut self) {
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    fn u16(&mut self, value: u16) {
        self.block.extend_from_slice(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.block.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.block.extend_from_slice(&value.to_le_bytes());
    }
}

fn cut(value: &[u8]) -> (u16, &[u8]) {
    let mut length = u16::MAX;
    while length > 0 && value.get(usize::from(length)).is_some_and(|b| b & 0xc0 == 0x80) {
        length -= 1;
    }
    (length, &value[..usize::from(length)])
}
