//! Files that are placed in a node.
//!
//! Owns: writing them where the node alone sees them. Refuses: choosing where; must be called by the node's worker.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::base::NodeName;
use crate::plan::PlacedFile;

/// Why a file could not be placed.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It could not be written.
    #[error("could not place {path} in {node}")]
    Write {
        /// The node.
        node: NodeName,
        /// The file's path there.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The plan does not have it.
    #[error("could not place {path} in {node}: {file} was not read")]
    Unread {
        /// The node.
        node: NodeName,
        /// The file's path there.
        path: String,
        /// The file beside the scenario.
        file: String,
    },
}

/// A lab has no name server, and asking one fails at once: nothing listens at the node's own port 53.
const NO_NAME_SERVER: &str = "# There is no name server in a lab.\nnameserver 127.0.0.1\n";

/// Places what every node with programs has, in the node whose worker this is called in: it knows its own name, and asks
/// nobody for others.
///
/// # Errors
/// The first that can't be placed.
pub fn place_names(node: &NodeName) -> Result<(), FileError> {
    let hosts = format!("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 {node}\n");
    [("/etc/hosts", hosts.as_str()), ("/etc/resolv.conf", NO_NAME_SERVER)].into_iter().try_for_each(|(path, text)| {
        let failed = |source| FileError::Write { node: node.clone(), path: path.to_owned(), source };
        write(Path::new(path), text.as_bytes(), false).map_err(failed)
    })
}

/// Places all files of the node whose worker this is called in.
///
/// # Errors
/// The first that can't be placed.
pub fn place(node: &NodeName, files: &[PlacedFile]) -> Result<(), FileError> {
    files.iter().try_for_each(|file| {
        let Some(content) = &file.content else {
            let beside = file.copy_of.clone().unwrap_or_else(|| "its content".to_owned());
            return Err(FileError::Unread { node: node.clone(), path: file.path.clone(), file: beside });
        };
        let failed = |source| FileError::Write { node: node.clone(), path: file.path.clone(), source };
        write(Path::new(&file.path), content.bytes(), file.executable).map_err(failed)
    })
}

/// Writes a file anew, in a folder that is made where it lacks.
pub(in crate::inside) fn write(path: &Path, bytes: &[u8], executable: bool) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // A link of the machine's would lead elsewhere, and its mode would stay.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mode = if executable { 0o755 } else { 0o644 };
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(bytes)
}
