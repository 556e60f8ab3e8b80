//! From rings to a file: the raw capture of a lab.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::build::{Lab, StepError};
use super::capture::file::Pcapng;
use super::capture::{self, Capture, CaptureError, Tap};
use super::ns::WorkerGone;
use super::ring::{Ring, RingError};
use super::{read, rtnl};
use crate::base::IfName;

/// Why capturing could not begin.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A node's ring could not be had.
    #[error("could not open the packet ring of {node}")]
    Ring {
        /// The node.
        node: String,
        /// Why.
        source: RingError,
    },
    /// A node's interfaces could not be listed.
    #[error("could not list the interfaces of {node}")]
    Links {
        /// The node.
        node: String,
        /// Why.
        source: StepError,
    },
    /// A node's worker has ended.
    #[error("could not begin to capture")]
    Gone(#[from] WorkerGone),
    /// The file could not be made.
    #[error("could not make {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The capture's thread could not be started.
    #[error("could not begin to capture")]
    Capture(#[from] CaptureError),
}

/// Begins to capture every interface of every node into a file.
///
/// # Errors
/// [`RecordError`].
pub fn start(lab: &Lab, path: &Path) -> Result<Capture, RecordError> {
    let bytes = capture::ring_bytes(lab.workers().count());
    let mut opening = Vec::new();
    for (node, worker) in lab.workers() {
        let job = move || async move {
            let ring = Ring::open(bytes);
            let links = async { read::netlink::links(&rtnl::open()?).await }.await;
            (ring, links)
        };
        opening.push((node, worker.start(job)));
    }
    let mut taps = Vec::new();
    for (node, opened) in opening {
        let (ring, links) = opened.wait()?;
        let named = |source| RecordError::Ring { node: node.name.to_string(), source };
        let links =
            links.map_err(|source| RecordError::Links { node: node.name.to_string(), source: source.into() })?;
        let planned = |name: &IfName| node.interfaces.iter().any(|interface| interface.name == *name);
        let interfaces: BTreeMap<u32, IfName> =
            links.into_iter().filter(|link| planned(&link.name)).map(|link| (link.index, link.name)).collect();
        taps.push(Tap { node: node.name.clone(), ring: ring.map_err(named)?, interfaces });
    }
    let failed = |source| RecordError::File { path: path.to_owned(), source };
    let file = File::create(path).map_err(failed)?;
    let sink = Pcapng::new(Synced(file), &capture::vantages(&taps)).map_err(failed)?;
    Ok(Capture::start(taps, sink)?)
}

/// A file that is on the disk once it is flushed, for whoever reads it does so past this kernel, which may hold pages back.
#[derive(Debug)]
struct Synced(File);

impl Write for Synced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }
}
