//! Captures of any maker, packet by packet: pcap of either byte order and resolution, or pcapng.
//!
//! Owns: telling the formats apart, and saying what a file is instead when it is none. Refuses: link types other than
//! those of [`super::link`]; their packets are counted. Errs towards reading: a file that is cut short or goes wrong gives
//! what stands before that place, then the error, then nothing more.

use std::borrow::Cow;
use std::io::{self, Chain, Cursor, Read};

use pcap_file::pcap::PcapTsResolution;
use pcap_file::pcap::{PcapReadError, PcapReader};

use super::frame::Direction;
use super::link;
use super::pcapng::{self, Interface, ReadError};

/// The largest packet of a pcap that is read, in bytes; one that claims more is taken for damage.
const PACKET_LIMIT_BYTES: usize = 1 << 20;

/// How many bytes at the start of a file are looked at.
const LOOKED_AT: u64 = 24;

const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const PCAP: [[u8; 4]; 4] =
    [[0xa1, 0xb2, 0xc3, 0xd4], [0xd4, 0xc3, 0xb2, 0xa1], [0xa1, 0xb2, 0x3c, 0x4d], [0x4d, 0x3c, 0xb2, 0xa1]];

/// How other files begin that are given by mistake.
const OTHERS: &[(&[u8], &str)] = &[
    (&[0x1f, 0x8b], "gzip: unpack it first, `gunzip FILE`"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd: unpack it first, `unzstd FILE`"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "xz: unpack it first, `unxz FILE`"),
    (b"BZh", "bzip2: unpack it first, `bunzip2 FILE`"),
    (b"PK", "zip: unpack it first"),
    (&[0xa1, 0xb2, 0xcd, 0x34], "a pcap as Kuznetzov changed it: `editcap -F pcapng FILE NEW` makes one that is read"),
    (&[0x34, 0xcd, 0xb2, 0xa1], "a pcap as Kuznetzov changed it: `editcap -F pcapng FILE NEW` makes one that is read"),
    (b"snoop\0", "a snoop capture: `editcap -F pcapng FILE NEW` makes one that is read"),
    (b"{", "JSON"),
    (b"<", "XML or HTML"),
    (b"\x7fELF", "a program"),
];

/// Why a file is no capture, or where it stops being one.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It begins like no capture.
    #[error("the file is no capture of a known kind (pcap or pcapng): it begins with {bytes}, which looks like {like}")]
    NotACapture {
        /// Its first bytes in hexadecimal.
        bytes: String,
        /// What begins so.
        like: String,
    },
    /// It ends inside a packet or its header.
    #[error("the capture ends inside what begins at byte {at_byte}")]
    CutShort {
        /// Where the packet begins.
        at_byte: u64,
    },
    /// The stream failed.
    #[error("could not read the capture on at byte {at_byte}")]
    Stream {
        /// How far it was read.
        at_byte: u64,
        /// The stream's error.
        #[source]
        cause: io::Error,
    },
    /// Its parts contradict each other.
    #[error("the capture is damaged at byte {at_byte}")]
    Damaged {
        /// Where.
        at_byte: u64,
        /// How.
        #[source]
        cause: Box<PcapReadError>,
    },
    /// pcapng that can't be read on.
    #[error("could not read the pcapng on")]
    Pcapng(#[source] ReadError),
}

/// A packet as an Ethernet frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its number in the file, from 1.
    pub number: u64,
    /// Index into [`Reader::interfaces`].
    pub interface: usize,
    /// The interface's index on the machine that captured it, where the packet tells.
    pub device: Option<u32>,
    /// Which way it went.
    pub direction: Direction,
    /// Nanoseconds since the epoch.
    pub at_ns: u64,
    /// Length on the wire in bytes.
    pub length: u32,
    /// The bytes stored.
    pub data: Vec<u8>,
}

/// A packet as an Ethernet frame, where it can be as it stands in the reader's buffer.
#[derive(Debug)]
pub struct PacketRef<'a> {
    /// Its number in the file, from 1.
    pub number: u64,
    /// Index into [`Reader::interfaces`].
    pub interface: usize,
    /// The interface's index on the machine that captured it, where the packet tells.
    pub device: Option<u32>,
    /// Which way it went.
    pub direction: Direction,
    /// Nanoseconds since the epoch.
    pub at_ns: u64,
    /// Length on the wire in bytes.
    pub length: u32,
    /// The bytes stored.
    pub data: Cow<'a, [u8]>,
}

type Stream<R> = Chain<Cursor<Vec<u8>>, R>;

enum Format<R: Read> {
    Pcapng(Box<pcapng::Reader<Stream<R>>>),
    Pcap { reader: Box<PcapReader<Stream<R>>>, interface: [Interface; 1], nanoseconds: bool, at_byte: u64 },
}

/// Reads a capture packet by packet. As an iterator it ends after the first error.
pub struct Reader<R: Read> {
    format: Format<R>,
    /// Of the interfaces met before the last step.
    linktypes: Vec<u32>,
    number: u64,
    skipped: u64,
    failed: bool,
}

impl<R: Read> Reader<R> {
    /// Begins to read.
    ///
    /// # Errors
    /// Where the stream begins like no capture.
    pub fn new(mut stream: R) -> Result<Self, CaptureError> {
        let mut start = Vec::new();
        let looked = stream.by_ref().take(LOOKED_AT).read_to_end(&mut start);
        looked.map_err(|cause| CaptureError::Stream { at_byte: 0, cause })?;
        let magic = start.first_chunk::<4>().copied();
        let format = match magic {
            _ if start.is_empty() => return Err(CaptureError::Empty),
            Some(SECTION_HEADER) => {
                let reader = pcapng::Reader::new(Cursor::new(start).chain(stream)).map_err(of_pcapng)?;
                // The inner reader takes its own look at the start.
                Format::Pcapng(Box::new(reader.of_any_link()))
            }
            Some(magic) if PCAP.contains(&magic) => {
                let reader = PcapReader::with_capacity(Cursor::new(start).chain(stream), PACKET_LIMIT_BYTES + 16);
                let reader = reader.map_err(|cause| of_pcap(0, cause))?;
                let header = reader.header();
                // The upper half says how long the frame check sequence is.
                let linktype = u32::from(header.datalink) & 0xffff;
                let interface = [Interface { name: None, description: None, linktype, dropped: None }];
                let nanoseconds = header.ts_resolution == PcapTsResolution::NanoSecond;
                Format::Pcap { reader: Box::new(reader), interface, nanoseconds, at_byte: 24 }
            }
            _ => return Err(not_a_capture(&start)),
        };
        Ok(Self { format, linktypes: Vec::new(), number: 0, skipped: 0, failed: false })
    }

    /// The interfaces met so far; one without a name for a pcap.
    pub fn interfaces(&self) -> &[Interface] {
        match &self.format {
            Format::Pcapng(reader) => reader.interfaces(),
            Format::Pcap { interface, .. } => interface,
        }
    }

    /// The format's name.
    pub fn format(&self) -> &'static str {
        match &self.format {
            Format::Pcapng(_) => "pcapng",
            Format::Pcap { nanoseconds: true, .. } => "pcap (ns)",
            Format::Pcap { nanoseconds: false, .. } => "pcap (µs)",
        }
    }

    /// Packets met so far, those that were no frames included.
    pub fn met(&self) -> u64 {
        self.number
    }

    /// Packets so far that went over loopback or have a link type that is not known.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Reads on by one step: a packet, or something that is none; nothing at the end.
    ///
    /// # Errors
    /// As the iterator, which ends there; this may not be called again.
    pub fn step(&mut self) -> Option<Result<Option<PacketRef<'_>>, CaptureError>> {
        if self.linktypes.len() < self.interfaces().len() {
            self.linktypes = self.interfaces().iter().map(|i| i.linktype).collect();
        }
        let packet = match &mut self.format {
            Format::Pcapng(reader) => match reader.step()? {
                Ok(Some(packet)) => packet,
                Ok(None) => return Some(Ok(None)),
                Err(error) => return Some(Err(of_pcapng(error))),
            },
            Format::Pcap { reader, nanoseconds, at_byte, .. } => {
                let raw = match reader.next_raw_packet()? {
                    Ok(raw) => raw,
                    Err(cause) => return Some(Err(of_pcap(*at_byte, cause))),
                };
                *at_byte += 16 + u64::from(raw.incl_len);
                let fraction = u64::from(raw.ts_frac) * if *nanoseconds { 1 } else { 1000 };
                pcapng::PacketRef {
                    interface: 0,
                    direction: Direction::Unknown,
                    at_ns: u64::from(raw.ts_sec) * 1_000_000_000 + fraction,
                    length: raw.orig_len.max(raw.incl_len),
                    data: raw.data,
                    comments: Vec::new(),
                }
            }
        };
        self.number += 1;
        let number = self.number;
        let pcapng::PacketRef { interface, direction, at_ns, length, data, .. } = packet;
        let linktype = self.linktypes.get(interface).copied();
        if linktype == Some(link::ETHERNET) {
            return Some(Ok(Some(PacketRef { number, interface, device: None, direction, at_ns, length, data })));
        }
        let Some(framed) = linktype.and_then(|linktype| link::framed(linktype, data.into_owned(), length)) else {
            self.skipped += 1;
            return Some(Ok(None));
        };
        let direction = if framed.direction == Direction::Unknown { direction } else { framed.direction };
        let (device, length, data) = (framed.interface, framed.length, Cow::Owned(framed.data));
        Some(Ok(Some(PacketRef { number, interface, device, direction, at_ns, length, data })))
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Packet, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            match self.step()? {
                Ok(Some(PacketRef { number, interface, device, direction, at_ns, length, data })) => {
                    let data = data.into_owned();
                    return Some(Ok(Packet { number, interface, device, direction, at_ns, length, data }));
                }
                Ok(None) => {}
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

fn of_pcapng(error: ReadError) -> CaptureError {
    match error {
        ReadError::Empty => CaptureError::Empty,
        ReadError::CutShort { at_byte } => CaptureError::CutShort { at_byte },
        ReadError::Stream { after_bytes, cause } => CaptureError::Stream { at_byte: after_bytes, cause },
        other => CaptureError::Pcapng(other),
    }
}

fn of_pcap(at_byte: u64, error: PcapReadError) -> CaptureError {
    match error {
        PcapReadError::Io(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => CaptureError::CutShort { at_byte },
        PcapReadError::Io(cause) => CaptureError::Stream { at_byte, cause },
        cause @ PcapReadError::Validation(_) => CaptureError::Damaged { at_byte, cause: Box::new(cause) },
    }
}

fn not_a_capture(start: &[u8]) -> CaptureError {
    let shown = start.get(..8).unwrap_or(start);
    let bytes = shown.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
    let known = OTHERS.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, like)| (*like).to_owned());
    let text = || {
        let printable = start.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace());
        printable.then(|| format!("text (`{}`)", String::from_utf8_lossy(start).trim_end().escape_debug()))
    };
    let like = known.or_else(text).unwrap_or_else(|| "nothing that drlab knows".to_owned());
    CaptureError::NotACapture { bytes, like }
}

#[cfg(test)]
mod tests;
