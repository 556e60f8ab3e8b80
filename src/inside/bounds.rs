//! How many processes programs of a scenario may have: a control group for each node where they run, with a bound that no
//! fork gets past.
//!
//! Owns: these groups, from making to removing. Refuses: to go without: under the machine's own kernel a program that
//! does nothing but fork would take the machine down. Root is past every resource limit, so limits would not do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::unistd::Pid;

/// How many processes and threads a node's programs may have together.
const MOST: u32 = 512;

/// Where a machine has its control groups: all in one tree, or one for each controller.
const PLACES: [&str; 3] = ["/sys/fs/cgroup", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"];

/// What the names of our groups begin with.
const NAME: &str = "drlab";

/// No bound is to be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "could not bound how many processes programs in {node} may have: no control group (controller `pids`) can be made \
     in {}", PLACES.join(", ")
)]
pub struct BoundsError {
    /// The node.
    pub node: String,
    /// Why not, at the last place that was tried.
    pub source: io::Error,
}

/// A node's control group. It is to be removed once the node's processes are gone.
#[derive(Debug)]
pub struct Bound {
    folder: PathBuf,
}

impl Bound {
    /// Makes one.
    ///
    /// # Errors
    /// [`BoundsError`].
    pub fn new(node: &str) -> Result<Self, BoundsError> {
        mount_where_none_is();
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for place in PLACES.map(Path::new).into_iter().filter(|place| place.join("cgroup.procs").is_file()) {
            remove_stale(place);
            match Self::below(place, node) {
                Ok(bound) => return Ok(bound),
                Err(error) => last = error,
            }
        }
        Err(BoundsError { node: node.to_owned(), source: last })
    }

    fn below(place: &Path, node: &str) -> io::Result<Self> {
        let bound = Self { folder: place.join(format!("{NAME}-{}-{node}", std::process::id())) };
        fs::create_dir(&bound.folder)?;
        let most = bound.folder.join("pids.max");
        if !most.exists() {
            // The controller may be there and not be handed down.
            let handed_down = fs::write(place.join("cgroup.subtree_control"), "+pids");
            handed_down.inspect_err(|_| bound.remove().unwrap_or_default())?;
        }
        fs::write(&most, MOST.to_string()).inspect_err(|_| bound.remove().unwrap_or_default())?;
        Ok(bound)
    }

    /// Puts a process under the bound, and with it all that it starts afterwards.
    ///
    /// # Errors
    /// Those of the file.
    pub fn take_in(&self, process: Pid) -> io::Result<()> {
        fs::write(self.folder.join("cgroup.procs"), process.to_string())
    }

    /// Removes the group, whose processes have ended.
    ///
    /// # Errors
    /// Those of the folder: it is busy where one has not ended.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_dir(&self.folder)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// A guest's kernel has its control groups mounted by nobody.
fn mount_where_none_is() {
    let place = Path::new(PLACES[0]);
    let empty = fs::read_dir(place).is_ok_and(|mut entries| entries.next().is_none());
    if empty {
        let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        // Where it is refused, no place has what is looked for.
        mount(Some(NAME), place, Some("cgroup2"), plain, None::<&str>).unwrap_or_default();
    }
}

/// Removes groups of labs that were killed: those whose maker is gone.
fn remove_stale(place: &Path) {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let maker = name.to_str().and_then(|name| name.strip_prefix(NAME)?.strip_prefix('-')?.split('-').next());
        let gone = |maker: &str| maker.parse::<u32>().is_ok() && !Path::new("/proc").join(maker).exists();
        if maker.is_some_and(gone) {
            // One that is still in use stays.
            fs::remove_dir(entry.path()).unwrap_or_default();
        }
    }
}
