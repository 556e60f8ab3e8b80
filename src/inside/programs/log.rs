//! What a program writes: kept in a file of the output folder, and its last lines at hand for whoever has to say why.
//!
//! Owns: the file, its bound, the last lines, and whether a text that somebody waits for has come. Errs towards going on:
//! a program is never held up by its log, and a file that can't be written costs the file only.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How much of a program's output is kept, in bytes.
const FILE_LIMIT_BYTES: usize = 16 << 20;

/// How many lines are at hand.
const LAST_LINES: usize = 12;

/// How much of a line is at hand, in bytes.
const LINE_BYTES: usize = 400;

/// A log that its writer and those who ask of it share.
#[derive(Debug, Clone)]
pub struct Log(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    file: Option<File>,
    kept: Option<Vec<u8>>,
    /// Where it all goes as well.
    also: Option<Log>,
    room: usize,
    last: VecDeque<String>,
    begun: Vec<u8>,
    wanted: Option<String>,
    seen: bool,
}

impl Log {
    /// A log in that file; its folder is made.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn new(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self::of(Inner { file: Some(file), room: FILE_LIMIT_BYTES, ..Inner::default() }))
    }

    /// A log of which only the first bytes are kept, and at hand. All of it goes to another log as well.
    pub fn in_memory(bytes: usize, also: Option<Self>) -> Self {
        Self::of(Inner { kept: Some(Vec::new()), room: bytes, also, ..Inner::default() })
    }

    fn of(inner: Inner) -> Self {
        Self(Arc::new(Mutex::new(inner)))
    }

    /// What was kept in memory.
    pub fn text(&self) -> String {
        let inner = self.inner();
        let text = inner.kept.as_ref().map(|kept| String::from_utf8_lossy(kept).trim_end().to_owned());
        let cut = if inner.room == 0 { " …" } else { "" };
        format!("{}{cut}", text.unwrap_or_default())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to look for a line that holds the text; what came before does not count.
    pub fn look_for(&self, text: Option<&str>) {
        let mut inner = self.inner();
        inner.wanted = text.map(str::to_owned);
        inner.seen = false;
        inner.last.clear();
    }

    /// Whether such a line has come since.
    pub fn has_come(&self) -> bool {
        self.inner().seen
    }

    /// Its last lines.
    pub fn last(&self) -> LastLines {
        let inner = self.inner();
        let begun = String::from_utf8_lossy(&inner.begun).trim_end().to_owned();
        let begun = Some(begun).filter(|line| !line.is_empty());
        LastLines(inner.last.iter().cloned().chain(begun).collect())
    }

    /// Takes in what was written.
    pub fn take(&self, bytes: &[u8]) {
        let mut inner = self.inner();
        inner.keep(bytes);
        if let Some(also) = &inner.also {
            also.take(bytes);
        }
        for byte in bytes {
            if *byte == b'\n' {
                inner.end_line();
            } else if inner.begun.len() < LINE_BYTES {
                inner.begun.push(*byte);
            }
        }
    }

    /// Takes in all that comes, until its end.
    pub fn take_all(&self, mut from: impl Read) {
        let mut room = [0; 8192];
        loop {
            match from.read(&mut room) {
                Ok(0) => return,
                Ok(length) => self.take(&room[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

impl Inner {
    fn keep(&mut self, bytes: &[u8]) {
        let fits = &bytes[..bytes.len().min(self.room)];
        self.room -= fits.len();
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(fits);
        }
        let written = self.file.as_mut().map(|file| file.write_all(fits));
        if matches!(written, Some(Err(_))) {
            self.file = None;
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.begun).trim_end().to_owned();
        self.begun.clear();
        self.seen |= self.wanted.as_ref().is_some_and(|wanted| line.contains(wanted.as_str()));
        if line.is_empty() {
            return;
        }
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

/// The last lines of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastLines(pub Vec<String>);

impl fmt::Display for LastLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("it wrote nothing");
        }
        f.write_str("the last that it wrote:")?;
        self.0.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Log;

    fn log() -> Log {
        Log::new(std::path::Path::new("/dev/null")).unwrap()
    }

    #[test]
    fn a_text_that_comes_in_pieces_is_seen_at_the_lines_end() {
        let log = log();
        log.look_for(Some("Entering MASTER STATE"));
        log.take(b"(VI_1) Entering MAS");
        log.take(b"TER STATE");
        assert!(!log.has_come());
        log.take(b"\nnext");
        assert!(log.has_come());
        assert_eq!(log.last().0, ["(VI_1) Entering MASTER STATE", "next"]);
    }

    #[test]
    fn only_the_last_lines_are_at_hand() {
        let log = log();
        for number in 0..1000 {
            log.take(format!("line {number}\n").as_bytes());
        }
        assert_eq!(log.last().0.len(), super::LAST_LINES);
        assert_eq!(log.last().0.last().unwrap(), "line 999");
    }
}
