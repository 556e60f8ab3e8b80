//! A trace as a capture file, and back.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use super::{RawFrame, Trace, Vantage};
use crate::base::name::BadName;
use crate::wire::pcapng::{Interface, NewPacket, ReadError, Reader, SNAPLEN, Writer};

/// Why a capture is no trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file can't be read.
    #[error("could not read the capture as pcapng")]
    Read(#[from] ReadError),
    /// An interface of the file is not named as a vantage.
    #[error("interface {number} of the capture is named `{name}`, a vantage is named node:interface")]
    NoVantage {
        /// Its number in the file, from 0.
        number: usize,
        /// Its name, empty where it has none.
        name: String,
    },
    /// A part of a vantage's name is no legal name.
    #[error("interface {number} of the capture is named `{name}`, which is no vantage")]
    BadName {
        /// Its number in the file, from 0.
        number: usize,
        /// Its name.
        name: String,
        /// What is wrong with it.
        #[source]
        cause: BadName,
    },
}

/// A trace, and what the capture says of frames that are missing in it.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// The trace.
    pub trace: Trace,
    /// Frames dropped at each vantage, in the order of [`Trace::vantages`]; `None` where the file does not say, as
    /// when the capture was not ended in good order.
    pub dropped: Vec<Option<u64>>,
}

impl Trace {
    /// Reads a capture whose interfaces are named `node:interface`; frames may stand in any order.
    ///
    /// # Errors
    /// Where it is no such capture or ends inside a block.
    pub fn read(stream: impl Read) -> Result<Recorded, TraceError> {
        let mut reader = Reader::new(stream)?;
        let mut frames = Vec::new();
        for packet in &mut reader {
            let packet = packet?;
            frames.push(RawFrame {
                vantage: packet.interface,
                direction: packet.direction,
                at_ns: packet.at_ns,
                length: packet.length,
                data: packet.data,
            });
        }
        let mut vantages: Vec<Vantage> = Vec::new();
        let mut dropped: Vec<Option<u64>> = Vec::new();
        let mut places = Vec::new();
        for (number, interface) in reader.interfaces().iter().enumerate() {
            let vantage = vantage(number, interface)?;
            let place = vantages.iter().position(|v| *v == vantage).unwrap_or_else(|| {
                vantages.push(vantage);
                dropped.push(None);
                vantages.len() - 1
            });
            if let (Some(sum), Some(more)) = (dropped.get_mut(place), interface.dropped) {
                *sum = Some(sum.unwrap_or(0) + more);
            }
            places.push(place);
        }
        for frame in &mut frames {
            frame.vantage = places.get(frame.vantage).copied().unwrap_or(usize::MAX);
        }
        Ok(Recorded { trace: Self::build(vantages, frames), dropped })
    }

    /// Writes a capture in which frame `n` is the `n`-th packet, with these comments by frame number, and with the frames
    /// dropped at each vantage in the order of [`Trace::vantages`], as far as they are given.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn write(
        &self,
        stream: impl Write,
        comments: &BTreeMap<u32, Vec<String>>,
        dropped: &[Option<u64>],
    ) -> io::Result<()> {
        let mut writer = Writer::new(stream)?;
        for vantage in &self.vantages {
            let description = format!("interface {} of node {}", vantage.interface, vantage.node);
            writer.interface(&vantage.to_string(), &description, SNAPLEN)?;
        }
        for frame in &self.frames {
            writer.packet(&NewPacket {
                interface: u32::try_from(frame.vantage).unwrap_or(u32::MAX),
                direction: frame.direction,
                at_ns: frame.at_ns,
                length: frame.length,
                data: &frame.data,
                comments: comments.get(&frame.number).map_or(&[], Vec::as_slice),
            })?;
        }
        let end_ns = self.frames.last().map_or(0, |f| f.at_ns);
        for (interface, count) in (0..).zip(dropped.iter().take(self.vantages.len())) {
            if let Some(count) = count {
                writer.statistics(interface, end_ns, *count)?;
            }
        }
        writer.flush()
    }
}

fn vantage(number: usize, interface: &Interface) -> Result<Vantage, TraceError> {
    let name = interface.name.clone().unwrap_or_default();
    let Some((node, device)) = name.split_once(':') else {
        return Err(TraceError::NoVantage { number, name });
    };
    let bad = |cause| TraceError::BadName { number, name: name.clone(), cause };
    Ok(Vantage { node: node.parse().map_err(bad)?, interface: device.parse().map_err(bad)? })
}
