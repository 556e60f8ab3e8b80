//! The archive that becomes a guest's root: folders, files, links and the console, as the kernel unpacks them.
//!
//! Owns: the archive's form (cpio `newc`, `Documentation/driver-api/early-userspace/buffer-format.rst`), and that each folder
//! comes before what is in it. Refuses: what is put into it. Of two files with one name the first stays.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cpio::newc::{Builder, trailer};

/// An archive that is being written.
pub(super) struct Archive<W: Write> {
    out: W,
    there: BTreeSet<PathBuf>,
}

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_777;
const CHARACTER_DEVICE: u32 = 0o020_600;

impl<W: Write> Archive<W> {
    /// An archive with nothing but the console, to which the kernel opens its first process's standard streams.
    pub(super) fn new(out: W) -> io::Result<Self> {
        let mut archive = Self { out, there: BTreeSet::new() };
        archive.folder(Path::new("/dev"))?;
        let console = Builder::new("dev/console").mode(CHARACTER_DEVICE).nlink(1).rdev_major(5).rdev_minor(1);
        archive.entry(Path::new("/dev/console"), console, &[])?;
        Ok(archive)
    }

    /// Adds a folder and those above it.
    pub(super) fn folder(&mut self, path: &Path) -> io::Result<()> {
        let above: Vec<&Path> = path.ancestors().filter(|one| one.parent().is_some()).collect();
        for one in above.into_iter().rev() {
            self.entry(one, Builder::new(&inner(one)).mode(FOLDER).nlink(2), &[])?;
        }
        Ok(())
    }

    /// Adds a file, and the folders above it.
    pub(super) fn file(&mut self, path: &Path, permissions: u32, content: &[u8]) -> io::Result<()> {
        self.folder(path.parent().unwrap_or(path))?;
        self.entry(path, Builder::new(&inner(path)).mode(FILE | permissions & 0o777).nlink(1), content)
    }

    /// Adds a symbolic link, and the folders above it.
    pub(super) fn link(&mut self, path: &Path, goal: &Path) -> io::Result<()> {
        self.folder(path.parent().unwrap_or(path))?;
        self.entry(path, Builder::new(&inner(path)).mode(LINK).nlink(1), goal.as_os_str().as_encoded_bytes())
    }

    /// Whether something of this name is in it.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.there.contains(path)
    }

    /// Ends it.
    pub(super) fn finish(self) -> io::Result<W> {
        trailer(self.out)
    }

    fn entry(&mut self, path: &Path, entry: Builder, content: &[u8]) -> io::Result<()> {
        if !self.there.insert(path.to_owned()) {
            return Ok(());
        }
        let length = u32::try_from(content.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("{} is too large", path.display())))?;
        let number = u32::try_from(self.there.len()).unwrap_or(u32::MAX);
        let mut writer = entry.ino(number).write(&mut self.out, length);
        writer.write_all(content)?;
        writer.finish().map(drop)
    }
}

/// The name in an archive, which begins without a slash.
fn inner(path: &Path) -> String {
    path.to_string_lossy().trim_start_matches('/').to_owned()
}

/// Where the part of an ELF file ends that is needed to run it: what follows, as symbols for debuggers, is not loaded.
pub(super) fn loaded_part(elf: &[u8]) -> &[u8] {
    let number = |at: usize, bytes: usize| {
        let field = elf.get(at..at.checked_add(bytes)?)?;
        let value = field.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        usize::try_from(value).ok()
    };
    let end = || {
        let (table, size, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
        let segment = |index: usize| {
            let header = table.checked_add(index.checked_mul(size)?)?;
            number(header.checked_add(8)?, 8)?.checked_add(number(header.checked_add(0x20)?, 8)?)
        };
        let ends = (0..count).map(segment).collect::<Option<Vec<_>>>()?;
        ends.into_iter().chain([table.checked_add(size.checked_mul(count)?)?]).max()
    };
    let is_elf = elf.get(..6) == Some(b"\x7fELF\x02\x01");
    is_elf.then(end).flatten().and_then(|end| elf.get(..end)).unwrap_or(elf)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::Path;

    use cpio::newc::Reader;

    use super::{Archive, loaded_part};

    #[test]
    fn folders_come_before_what_is_in_them_and_nothing_comes_twice() {
        let mut archive = Archive::new(Vec::new()).unwrap();
        archive.file(Path::new("/usr/bin/one"), 0o755, b"first").unwrap();
        archive.file(Path::new("/usr/bin/one"), 0o755, b"second").unwrap();
        archive.link(Path::new("/bin"), Path::new("usr/bin")).unwrap();
        assert!(archive.has(Path::new("/usr/bin")) && !archive.has(Path::new("/usr/lib")));
        let bytes = archive.finish().unwrap();
        let mut reader = Reader::new(bytes.as_slice()).unwrap();
        let mut found = Vec::new();
        while !reader.entry().is_trailer() {
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            let mut content = String::new();
            reader.read_to_string(&mut content).unwrap();
            found.push(format!("{mode:o} {name} {content}"));
            reader = Reader::new(reader.finish().unwrap()).unwrap();
        }
        let wanted = [
            "40755 dev ",
            "20600 dev/console ",
            "40755 usr ",
            "40755 usr/bin ",
            "100755 usr/bin/one first",
            "120777 bin usr/bin",
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn what_is_behind_the_last_segment_is_not_needed() {
        let mut elf = vec![0; 64 + 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[0x20] = 64;
        elf[0x36] = 56;
        elf[0x38] = 1;
        elf[64 + 8] = 120;
        elf[64 + 0x20] = 30;
        elf.extend_from_slice(&[1; 30]);
        let needed = elf.len();
        elf.extend_from_slice(&[2; 99]);
        assert_eq!(loaded_part(&elf).len(), needed);
        assert_eq!(loaded_part(b"#!/bin/sh").len(), 9);
        for length in 0..elf.len() {
            assert!(loaded_part(&elf[..length]).len() <= length);
        }
    }
}
