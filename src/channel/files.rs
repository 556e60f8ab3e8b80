//! Files across a stream, for a guest that shares no folder with the machine: inside asks, outside answers.
//!
//! Owns: the questions, the answers and their bytes on the stream. Refuses: which files may be asked for; whoever answers
//! decides that. A name is relative to the one folder that both sides know.
//!
//! A question is a letter (`g`et, `p`ut, `a`ppend), the name's length in two bytes and the name; what is put follows as a
//! length in four bytes and the bytes. An answer is a byte, 0 where it was done, and a length with the content, or with
//! the words of what went wrong.

use std::io::{self, Read, Write};

/// How many bytes are put at once.
pub const CHUNK_BYTES: usize = 256 << 10;

/// The longest file that is handed over in one answer; plans and texts of commands are far below.
const LIMIT_BYTES: usize = 256 << 20;

/// What inside asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// A file's content.
    Get {
        /// Its name.
        name: String,
    },
    /// That a file is written.
    Put {
        /// Its name.
        name: String,
        /// Whether the bytes go behind what is there; else they replace it.
        append: bool,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

impl Question {
    /// Writes it.
    ///
    /// # Errors
    /// Those of the stream; `InvalidInput` for a name of more than 65,535 bytes.
    pub fn send(&self, stream: &mut impl Write) -> io::Result<()> {
        let (letter, name) = match self {
            Self::Get { name } => (b'g', name),
            Self::Put { name, append: false, .. } => (b'p', name),
            Self::Put { name, append: true, .. } => (b'a', name),
        };
        let length = u16::try_from(name.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the name of a file is too long"))?;
        let mut text = vec![letter];
        text.extend_from_slice(&length.to_be_bytes());
        text.extend_from_slice(name.as_bytes());
        if let Self::Put { bytes, .. } = self {
            append_sized(&mut text, bytes)?;
        }
        stream.write_all(&text)?;
        stream.flush()
    }

    /// Reads one; `None` where the stream has ended.
    ///
    /// # Errors
    /// Those of the stream; `InvalidData` for what is no question.
    pub fn receive(stream: &mut impl Read) -> io::Result<Option<Self>> {
        let mut letter = [0];
        match stream.read_exact(&mut letter) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut name = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut name)?;
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let name = String::from_utf8(name).map_err(|_| invalid("the name of a file is no text"))?;
        match letter {
            [b'g'] => Ok(Some(Self::Get { name })),
            [b'p' | b'a'] => {
                let bytes = receive_sized(stream)?;
                Ok(Some(Self::Put { name, append: letter == [b'a'], bytes }))
            }
            _ => Err(invalid("this is no question for a file")),
        }
    }
}

/// Writes an answer: the content that was asked for, or what went wrong.
///
/// # Errors
/// Those of the stream.
pub fn answer(stream: &mut impl Write, result: Result<&[u8], &str>) -> io::Result<()> {
    let mut text = vec![u8::from(result.is_err())];
    append_sized(&mut text, result.unwrap_or_else(str::as_bytes))?;
    stream.write_all(&text)?;
    stream.flush()
}

/// Reads an answer.
///
/// # Errors
/// Those of the stream; `Other` with the words of the other side where it could not be done.
pub fn answered(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut status = [0];
    stream.read_exact(&mut status)?;
    let bytes = receive_sized(stream)?;
    if status == [0] { Ok(bytes) } else { Err(io::Error::other(String::from_utf8_lossy(&bytes).into_owned())) }
}

fn append_sized(text: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len())
        .ok()
        .filter(|_| bytes.len() <= LIMIT_BYTES)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the file is too large to be handed over"))?;
    text.extend_from_slice(&length.to_be_bytes());
    text.extend_from_slice(bytes);
    Ok(())
}

fn receive_sized(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > LIMIT_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a file of {length} bytes is announced")));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Question, answer, answered};

    #[test]
    fn a_question_that_is_sent_is_received() {
        let asked = [
            Question::Get { name: "plan.json".into() },
            Question::Put { name: "capture.raw.pcapng".into(), append: true, bytes: vec![1, 2, 3] },
            Question::Put { name: "empty".into(), append: false, bytes: Vec::new() },
        ];
        let mut bytes = Vec::new();
        for question in &asked {
            question.send(&mut bytes).unwrap();
        }
        let mut stream = bytes.as_slice();
        for question in asked {
            assert_eq!(Question::receive(&mut stream).unwrap(), Some(question));
        }
        assert_eq!(Question::receive(&mut stream).unwrap(), None);
    }

    #[test]
    fn every_truncated_question_is_an_error_and_none_panics() {
        let mut bytes = Vec::new();
        Question::Put { name: "a".into(), append: false, bytes: vec![0; 9] }.send(&mut bytes).unwrap();
        for length in 1..bytes.len() {
            assert!(Question::receive(&mut &bytes[..length]).is_err(), "{length}");
        }
        assert!(Question::receive(&mut [b'x', 0, 0].as_slice()).is_err());
    }

    #[test]
    fn what_went_wrong_outside_is_told_inside() {
        let mut bytes = Vec::new();
        answer(&mut bytes, Err("could not open it")).unwrap();
        assert_eq!(answered(&mut bytes.as_slice()).unwrap_err().to_string(), "could not open it");
        let mut bytes = Vec::new();
        answer(&mut bytes, Ok(b"content")).unwrap();
        assert_eq!(answered(&mut bytes.as_slice()).unwrap(), b"content");
    }

    #[test]
    fn a_length_out_of_bounds_is_refused_before_memory_is_taken() {
        assert!(answered(&mut [0, 0xff, 0xff, 0xff, 0xff].as_slice()).is_err());
    }
}
