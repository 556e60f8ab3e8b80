//! Whole blocks out of a stream, one after the other, in one buffer.
//!
//! Owns: how far the stream is read and where a block ends. Refuses: what is in a block, and one that is larger than the limit: of
//! that, as of one that the stream ends in, it says that there is no more. A length that no block has is given on as it
//! stands, for whoever parses it to say so.

use std::io::{self, ErrorKind, Read};

use super::reader::SECTION_HEADER;

/// How much is read at once: what fits a processor's cache, so that it is still there when it is looked at.
const READ_BYTES: usize = 128 << 10;

/// Type and length, and what follows: a length once more, or a section's mark of byte order.
const HEAD_BYTES: usize = 12;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Blocks<R> {
    stream: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of the blocks that were given out.
    given: u64,
    limit: usize,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(stream: R, limit: usize) -> Self {
        Self { stream, buffer: vec![0; READ_BYTES], start: 0, end: 0, given: 0, limit }
    }

    /// Bytes of all blocks before the next one.
    pub(super) fn given(&self) -> u64 {
        self.given
    }

    /// Reads until the next block is whole and gives it out; nothing at the end of the stream. `big` is the byte order of
    /// the section in hand.
    ///
    /// # Errors
    /// The stream's, and [`ErrorKind::UnexpectedEof`] where it ends inside the block.
    pub(super) fn next(&mut self, big: bool) -> io::Result<Option<&[u8]>> {
        let mut wanted = HEAD_BYTES;
        loop {
            let there = &self.buffer[self.start..self.end];
            if there.len() >= HEAD_BYTES {
                wanted = length(there, big);
            }
            if there.len() >= wanted {
                break;
            }
            let nothing = there.is_empty();
            if wanted > self.limit {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            match self.fill(wanted)? {
                0 if nothing => return Ok(None),
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        }
        let start = self.start;
        self.start += wanted;
        self.given += wanted as u64;
        Ok(self.buffer.get(start..start + wanted))
    }

    fn fill(&mut self, wanted: usize) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if wanted > self.buffer.len() {
            self.buffer.resize(wanted.next_power_of_two().min(self.limit.max(wanted)), 0);
        }
        loop {
            match self.stream.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(read) => {
                    self.end += read;
                    return Ok(read);
                }
            }
        }
    }
}

/// The length that a block states, or that of its head where it states one that no block has.
fn length(head: &[u8], big: bool) -> usize {
    let Some([t0, t1, t2, t3, l0, l1, l2, l3, m0, m1, m2, m3]) = head.first_chunk::<HEAD_BYTES>().copied() else {
        return HEAD_BYTES;
    };
    let big = if [t0, t1, t2, t3] == SECTION_HEADER { [m0, m1, m2, m3] == [0x1a, 0x2b, 0x3c, 0x4d] } else { big };
    let stated = [l0, l1, l2, l3];
    let stated = if big { u32::from_be_bytes(stated) } else { u32::from_le_bytes(stated) };
    match usize::try_from(stated) {
        Ok(length) if length >= HEAD_BYTES && length % 4 == 0 => length,
        _ => HEAD_BYTES,
    }
}
