//! How many processes and how much memory programs of a scenario may have: a control group for each node where they run,
//! with bounds that nothing in it gets past.
//!
//! Owns: these groups, from making to removing, and the end of all that is in one as soon as a bound is met. Refuses: to go
//! without a bound of processes: under the machine's own kernel a program that does nothing but fork would take the machine
//! down. Root is past that resource limit, so a limit would not do. Memory is bounded by a group where the kernel counts it
//! by groups, else by a limit of each process.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe2};

/// How many processes and threads a node's programs may have together.
pub const MOST: u32 = 512;

/// Of the memory that a lab may take, the part that the programs of one node may have together, in hundredths. The rest is
/// for the kernel and for those who look after the node.
const PART_OF_MEMORY: u64 = 75;

/// What is taken for a lab's memory where nothing tells it.
const UNKNOWN_MIB: u64 = 256;

/// After how many milliseconds a watcher looks again by itself.
const LOOK_AGAIN_MS: u16 = 200;

/// How often, and after which pauses, what is in a group is killed until it is empty.
const ROUNDS: u32 = 200;
const BETWEEN_ROUNDS: Duration = Duration::from_millis(10);

/// Where a machine has its control groups: all in one tree, or one for each controller.
const PLACES: [&str; 3] = ["/sys/fs/cgroup", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"];

/// Where groups of memory are where each controller has a tree of its own.
const OF_MEMORY: &str = "/sys/fs/cgroup/memory";

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

/// What programs went past. All of them have been killed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overrun {
    /// They asked for more processes.
    Processes,
    /// They asked for more memory than so many MiB.
    Memory(u64),
}

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Processes => write!(f, "asked for more than {MOST} processes"),
            Self::Memory(mib) => write!(f, "asked for more than {mib} MiB of memory"),
        }
    }
}

/// A node's control group. It is to be removed once the node's processes are gone.
#[derive(Debug)]
pub struct Bound {
    folder: PathBuf,
    /// The group of its memory, where that is another one.
    memory: Option<PathBuf>,
    /// How much memory each process may have, where there is no group of it.
    each_mib: Option<u64>,
    /// The counters of what was refused: the file, the word before the number, and what it is that was refused.
    refusals: Vec<(PathBuf, &'static str, Overrun)>,
    overrun: Arc<OnceLock<Overrun>>,
    /// The watcher ends when this is closed.
    life: Option<OwnedFd>,
    watcher: Option<JoinHandle<()>>,
}

impl Bound {
    /// Makes one, for the programs of a node that may have so much memory together.
    ///
    /// # Errors
    /// [`BoundsError`].
    pub fn new(node: &str, memory_mib: u64) -> Result<Self, BoundsError> {
        mount_where_none_is();
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for place in PLACES.map(Path::new).into_iter().filter(|place| place.join("cgroup.procs").is_file()) {
            remove_stale(place);
            match Self::below(place, node, memory_mib) {
                Ok(bound) => return Ok(bound),
                Err(error) => last = error,
            }
        }
        Err(BoundsError { node: node.to_owned(), source: last })
    }

    fn below(place: &Path, node: &str, memory_mib: u64) -> io::Result<Self> {
        let name = format!("{NAME}-{}-{node}", std::process::id());
        let folder = place.join(&name);
        fs::create_dir(&folder)?;
        let refusals = vec![(folder.join("pids.events"), "max", Overrun::Processes)];
        let (memory, each_mib, overrun) = (None, None, Arc::default());
        let mut bound = Self { folder, memory, each_mib, refusals, overrun, life: None, watcher: None };
        let most = bound.folder.join("pids.max");
        if !most.exists() {
            // The controller may be there and not be handed down.
            let handed_down = fs::write(place.join("cgroup.subtree_control"), "+pids");
            handed_down.inspect_err(|_| bound.remove().unwrap_or_default())?;
        }
        bound.bound_memory(place, &name, memory_mib);
        let set = fs::write(&most, MOST.to_string()).and_then(|()| bound.watch());
        set.inspect_err(|_| bound.remove().unwrap_or_default())?;
        Ok(bound)
    }

    /// Bounds the memory in the group, in another one, or of each process.
    fn bound_memory(&mut self, place: &Path, name: &str, mib: u64) {
        let bytes = (mib << 20).to_string();
        if !self.folder.join("memory.max").exists() {
            // Where it is not handed down, the next way is taken.
            fs::write(place.join("cgroup.subtree_control"), "+memory").unwrap_or_default();
        }
        if fs::write(self.folder.join("memory.max"), &bytes).is_ok() {
            // Else the kernel kills one of them and the others go on.
            fs::write(self.folder.join("memory.oom.group"), "1").unwrap_or_default();
            fs::write(self.folder.join("memory.swap.max"), "0").unwrap_or_default();
            return self.refusals.push((self.folder.join("memory.events"), "oom_kill", Overrun::Memory(mib)));
        }
        let tree = Path::new(OF_MEMORY);
        if tree.join("cgroup.procs").is_file() {
            remove_stale(tree);
            let folder = tree.join(name);
            let made = fs::create_dir(&folder);
            self.memory = made.is_ok().then(|| folder.clone());
            if made.and_then(|()| fs::write(folder.join("memory.limit_in_bytes"), &bytes)).is_ok() {
                return self.refusals.push((folder.join("memory.oom_control"), "oom_kill", Overrun::Memory(mib)));
            }
        }
        self.each_mib = Some(mib);
    }

    /// Ends all that is in the group once it was refused a process, or memory.
    fn watch(&mut self) -> io::Result<()> {
        let mut counters = Vec::new();
        for (path, word, what) in &self.refusals {
            counters.push((File::open(path)?, *word, *what));
        }
        let (end, life) = pipe2(OFlag::O_CLOEXEC)?;
        let (folder, overrun) = (self.folder.clone(), Arc::clone(&self.overrun));
        let watcher = thread::Builder::new().name("watch a bound".to_owned()).spawn(move || {
            let what = loop {
                let gone_past =
                    counters.iter_mut().find_map(|(counter, word, what)| refused(counter, word).then_some(*what));
                if let Some(what) = gone_past {
                    break what;
                }
                let events = counters.iter().map(|(counter, ..)| PollFd::new(counter.as_fd(), PollFlags::POLLPRI));
                let mut any: Vec<PollFd<'_>> =
                    std::iter::once(PollFd::new(end.as_fd(), PollFlags::POLLIN)).chain(events).collect();
                // Where each controller has a tree of its own the kernel tells nobody of an event.
                match poll(&mut any, LOOK_AGAIN_MS) {
                    Err(Errno::EINTR) => {}
                    Err(_) => return,
                    Ok(_) if any[0].any().unwrap_or(true) => return,
                    Ok(_) => {}
                }
            };
            overrun.get_or_init(|| what);
            end_all(&folder);
        })?;
        (self.life, self.watcher) = (Some(life), Some(watcher));
        Ok(())
    }

    /// What the node's programs went past, as far as that was noticed.
    pub fn overrun(&self) -> Option<Overrun> {
        self.overrun.get().copied()
    }

    /// The same, looked at now: for a program that was ended by whoever was quicker than its watcher.
    pub fn overrun_by_now(&self) -> Option<Overrun> {
        let refused = |path: &Path, word: &str| File::open(path).is_ok_and(|mut counter| refused(&mut counter, word));
        let now = || self.refusals.iter().find(|(path, word, _)| refused(path, word)).map(|(.., what)| *what);
        self.overrun().or_else(now)
    }

    /// How much memory each process may have, where the kernel counts none by groups.
    pub fn each_mib(&self) -> Option<u64> {
        self.each_mib
    }

    /// Puts a process under the bound, and with it all that it starts afterwards.
    ///
    /// # Errors
    /// Those of the file.
    pub fn take_in(&self, process: Pid) -> io::Result<()> {
        let mut groups = std::iter::once(&self.folder).chain(&self.memory);
        groups.try_for_each(|folder| fs::write(folder.join("cgroup.procs"), process.to_string()))
    }

    /// Removes the group, whose processes have ended.
    ///
    /// # Errors
    /// Those of the folder: it is busy where one has not ended.
    pub fn remove(&self) -> io::Result<()> {
        let memory = self.memory.as_ref().map_or(Ok(()), fs::remove_dir);
        fs::remove_dir(&self.folder).and(memory)
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

/// Of the memory that a lab may take, in MiB, what the programs of one of its nodes may have together.
pub fn of_a_node(lab_mib: u32) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib =
        text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let said = (lab_mib > 0).then(|| u64::from(lab_mib));
    let whole = kib.map(|kib| kib >> 10).into_iter().chain(said).min().unwrap_or(UNKNOWN_MIB);
    whole * PART_OF_MEMORY / 100
}

/// Whether a counter of refusals is not at nought: `max 3`.
fn refused(counter: &mut File, word: &str) -> bool {
    let mut text = String::new();
    let read = counter.rewind().and_then(|()| counter.read_to_string(&mut text));
    let number = |line: &str| line.strip_prefix(word)?.strip_prefix(' ')?.parse::<u64>().ok();
    read.is_ok() && text.lines().find_map(number).is_some_and(|times| times > 0)
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
