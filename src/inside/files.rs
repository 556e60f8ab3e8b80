//! The files that outside and inside hand each other where a guest has no folder of the machine's.
//!
//! Owns: bringing what outside wrote, and delivering what was written here. Refuses: names outside of the one folder that
//! both know. What is delivered is removed here, for it lies in the guest's memory.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::channel::files::{CHUNK_BYTES, Question, answered};

/// A file that could not be handed over.
#[derive(Debug, thiserror::Error)]
#[error("could not hand over {}", .path.display())]
pub struct FilesError {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// The line by which files are handed over, and the folder that they are in on both sides.
#[derive(Debug)]
pub struct Files {
    line: File,
    folder: PathBuf,
    brought: BTreeSet<PathBuf>,
}

impl Files {
    /// Files of `folder`, by a line whose other end outside holds.
    pub fn new(line: File, folder: &Path) -> Self {
        Self { line, folder: folder.to_owned(), brought: BTreeSet::new() }
    }

    /// Has a file here as it is outside.
    ///
    /// # Errors
    /// [`FilesError`].
    pub fn bring(&mut self, path: &Path) -> Result<(), FilesError> {
        let failed = |source| FilesError { path: path.to_owned(), source };
        let content = self.ask(&Question::Get { name: self.name(path).map_err(failed)? }).map_err(failed)?;
        fs::write(path, content).map_err(failed)?;
        self.brought.insert(path.to_owned());
        Ok(())
    }

    /// Has all files outside that were written here, and no longer here.
    ///
    /// # Errors
    /// [`FilesError`] for the first that could not be delivered.
    pub fn deliver(&mut self) -> Result<(), FilesError> {
        for path in files_below(&self.folder)? {
            if !self.brought.contains(&path) {
                self.deliver_one(&path).map_err(|source| FilesError { path: path.clone(), source })?;
            }
        }
        Ok(())
    }

    fn deliver_one(&mut self, path: &Path) -> io::Result<()> {
        let name = self.name(path)?;
        let mut file = File::open(path)?;
        let mut append = false;
        loop {
            let mut bytes = Vec::with_capacity(CHUNK_BYTES);
            file.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut bytes)?;
            if append && bytes.is_empty() {
                return fs::remove_file(path);
            }
            self.ask(&Question::Put { name: name.clone(), append, bytes })?;
            append = true;
        }
    }

    fn name(&self, path: &Path) -> io::Result<String> {
        let inner = path.strip_prefix(&self.folder).ok().and_then(Path::to_str).map(str::to_owned);
        inner.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is not below the folder for output"))
    }

    fn ask(&mut self, question: &Question) -> io::Result<Vec<u8>> {
        question.send(&mut self.line)?;
        answered(&mut self.line)
    }
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>, FilesError> {
    let failed = |source| FilesError { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
