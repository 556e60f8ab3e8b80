//! How many processes programs of a scenario may have: a control group for each node where they run, with a bound that no
//! fork gets past.
//!
//! Owns: these groups, from making to removing, and the end of all that is in one as soon as the bound is met. Refuses: to go without: under the machine's own kernel a program that
//! does nothing but fork would take the machine down. Root is past every resource limit, so limits would not do.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe2};

/// How many processes and threads a node's programs may have together.
pub const MOST: u32 = 512;

/// How often, and after which pauses, what is in a group is killed until it is empty.
const ROUNDS: u32 = 200;
const BETWEEN_ROUNDS: Duration = Duration::from_millis(10);

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
    overrun: Arc<AtomicBool>,
    /// The watcher ends when this is closed.
    life: Option<OwnedFd>,
    watcher: Option<JoinHandle<()>>,
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
        let folder = place.join(format!("{NAME}-{}-{node}", std::process::id()));
        fs::create_dir(&folder)?;
        let mut bound = Self { folder, overrun: Arc::default(), life: None, watcher: None };
        let most = bound.folder.join("pids.max");
        if !most.exists() {
            // The controller may be there and not be handed down.
            let handed_down = fs::write(place.join("cgroup.subtree_control"), "+pids");
            handed_down.inspect_err(|_| bound.remove().unwrap_or_default())?;
        }
        let set = fs::write(&most, MOST.to_string()).and_then(|()| bound.watch());
        set.inspect_err(|_| bound.remove().unwrap_or_default())?;
        Ok(bound)
    }

    /// Ends all that is in the group once it was refused a process.
    fn watch(&mut self) -> io::Result<()> {
        let mut events = File::open(self.folder.join("pids.events"))?;
        let (end, life) = pipe2(OFlag::O_CLOEXEC)?;
        let (folder, overrun) = (self.folder.clone(), Arc::clone(&self.overrun));
        let watcher = thread::Builder::new().name("watch a bound".to_owned()).spawn(move || {
            while !refused(&mut events) {
                let mut either =
                    [PollFd::new(events.as_fd(), PollFlags::POLLPRI), PollFd::new(end.as_fd(), PollFlags::POLLIN)];
                match poll(&mut either, PollTimeout::NONE) {
                    Err(Errno::EINTR) => {}
                    Err(_) => return,
                    Ok(_) if either[1].any().unwrap_or(true) => return,
                    Ok(_) => {}
                }
            }
            overrun.store(true, Ordering::Release);
            end_all(&folder);
        })?;
        (self.life, self.watcher) = (Some(life), Some(watcher));
        Ok(())
    }

    /// Whether the node's programs asked for more processes than they may have. All of them have been killed then.
    pub fn is_overrun(&self) -> bool {
        self.overrun.load(Ordering::Acquire)
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

impl Drop for Bound {
    fn drop(&mut self) {
        self.life = None;
        if let Some(watcher) = self.watcher.take() {
            // A panic has been printed by its thread.
            drop(watcher.join());
        }
    }
}

/// Whether a process was ever refused: `max 3`.
fn refused(events: &mut File) -> bool {
    let mut text = String::new();
    let read = events.rewind().and_then(|()| events.read_to_string(&mut text));
    let times = text.lines().find_map(|line| line.strip_prefix("max ")?.parse::<u64>().ok());
    read.is_ok() && times.is_some_and(|times| times > 0)
}

/// Kills all that is in a group. None of it gets another process meanwhile.
fn end_all(folder: &Path) {
    // Where it can't be set the rounds have to do.
    fs::write(folder.join("pids.max"), "0").unwrap_or_default();
    for _ in 0..ROUNDS {
        let inside = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        if inside.trim().is_empty() {
            return;
        }
        for process in inside.lines().filter_map(|line| line.parse().ok()) {
            // One that has just ended is what was wanted.
            kill(Pid::from_raw(process), Signal::SIGKILL).ok();
        }
        thread::sleep(BETWEEN_ROUNDS);
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
