//! What the machine looks like, to see that a lab left nothing of itself on it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a condition may take that is to hold at once; generous, for the machine may be busy.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// Waits until something is as it must be; the error says what was seen last.
pub(crate) fn until<T>(within: Duration, what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if begun.elapsed() > within => panic!("{what}: not within {within:?}; seen last: {seen}"),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// A process, as `/proc/PID/stat` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    name: String,
    state: String,
    pub(crate) parent: i32,
    group: i32,
    session: i32,
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (before, after) = text.rsplit_once(") ")?;
        let name = before.split_once('(')?.1.to_owned();
        let mut fields = after.split(' ');
        let state = fields.next()?.to_owned();
        let mut number = || fields.next()?.parse().ok();
        Some(Self { pid, name, state, parent: number()?, group: number()?, session: number()? })
    }

    /// Whether it leads a session, as a guest's first process does.
    pub(crate) fn leads(&self) -> bool {
        self.session == self.pid
    }

    /// Whether it was started with a size of its memory, as a kernel that is to boot is.
    pub(crate) fn was_given_memory(&self) -> bool {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word.starts_with(b"mem="))
    }

    /// One that waits to be reaped does nothing any more.
    fn lives(&self) -> bool {
        self.state != "Z" && self.state != "X"
    }
}

/// All processes of the machine that live.
pub(crate) fn living() -> Vec<Process> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Process::read).filter(Process::lives).collect()
}

/// The living processes of a guest: a program whose first process leads a session.
pub(crate) fn of_session(leader: i32) -> Vec<Process> {
    living().into_iter().filter(|process| process.session == leader || process.group == leader).collect()
}

/// What a lab could change on the machine and must not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    interfaces: BTreeSet<String>,
    routes: String,
    mounts: String,
    host_name: String,
    forwarding: String,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let interfaces = fs::read_dir("/sys/class/net")
            .map(|entries| entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect());
        // The last columns of a route are counters.
        let routes: Vec<String> = ["/proc/net/route", "/proc/net/ipv6_route"]
            .iter()
            .flat_map(|path| read(path).lines().map(destination).collect::<Vec<_>>())
            .collect();
        Self {
            interfaces: interfaces.unwrap_or_default(),
            routes: routes.join("\n"),
            mounts: read("/proc/self/mountinfo"),
            host_name: read("/proc/sys/kernel/hostname"),
            forwarding: read("/proc/sys/net/ipv4/ip_forward"),
        }
    }

    pub(crate) fn is_unchanged(&self) -> Result<(), String> {
        let now = Self::look();
        if *self == now { Ok(()) } else { Err(format!("before: {self:#?}\nnow: {now:#?}")) }
    }
}

fn destination(line: &str) -> String {
    line.split_whitespace().take(3).chain(line.split_whitespace().last()).collect::<Vec<_>>().join(" ")
}

/// Files and folders of a run of drlab outside its cache and output folders.
pub(crate) fn strays(pid: u32) -> Vec<String> {
    let runtime = std::env::var("XDG_RUNTIME_DIR").unwrap_or_default();
    let folders = ["/tmp", "/var/tmp", "/dev/shm", "/run", runtime.as_str()];
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let named = |path: &Path| path.file_name().unwrap().to_string_lossy().starts_with(&format!("drlab-{pid}-"));
    paths.filter(|path| named(path)).map(|path| path.display().to_string()).collect()
}
