//! The raw capture as a file: frames as they come, ring by ring, so not in the order of time across nodes.

use std::io::{self, BufWriter, Write};

use super::Sink;
use crate::wire::frame::Direction;
use crate::wire::pcapng::{NewPacket, SNAPLEN, Writer};

/// Large enough that a slow file system is asked seldom.
const BUFFER_BYTES: usize = 256 << 10;

/// Writes frames as pcapng to any stream, an interface block for each vantage.
#[derive(Debug)]
pub struct Pcapng<W: Write> {
    writer: Writer<BufWriter<W>>,
    interfaces: Vec<u32>,
}

impl<W: Write> Pcapng<W> {
    /// Begins the file; `vantages` as [`super::vantages`] gives them.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn new(out: W, vantages: &[String]) -> io::Result<Self> {
        let mut writer = Writer::new(BufWriter::with_capacity(BUFFER_BYTES, out))?;
        let interfaces = vantages.iter().map(|name| writer.interface(name, "", SNAPLEN)).collect::<Result<_, _>>()?;
        Ok(Self { writer, interfaces })
    }
}

impl<W: Write + Send + 'static> Sink for Pcapng<W> {
    fn frame(&mut self, vantage: usize, direction: Direction, at_ns: u64, length: u32, data: &[u8]) -> io::Result<()> {
        let interface = *self.interfaces.get(vantage).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("vantage {vantage} has no interface block"))
        })?;
        self.writer.packet(&NewPacket { interface, direction, at_ns, length, data, comments: &[] })
    }

    fn vantage(&mut self, name: &str) -> io::Result<()> {
        let interface = self.writer.interface(name, "", SNAPLEN)?;
        self.interfaces.push(interface);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
