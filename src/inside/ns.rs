//! Namespaces: making them, entering them, starting programs in them, and giving them up.
//!
//! Owns: a lab's only calls of `clone`, `unshare` and `setns`. A namespace is a file descriptor; nothing is left in the
//! file system, so that everything is gone once the descriptors and the node's first process are. Refuses: what is
//! built inside a namespace. Errs towards failing: a namespace that turns out to be the caller's own is an error, never
//! used.

mod agent;
pub mod worker;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, chroot, fchdir, pipe2};

pub use worker::{Pending, Worker, WorkerGone};

/// Why a namespace could not be made or entered.
#[derive(Debug, thiserror::Error)]
pub enum NsError {
    /// Nodes can only be made before any thread was started, for each one begins as a copy of this process.
    #[error("could not make nodes: {0} threads run already, and a node begins as a copy of this process's only one")]
    Threads(usize),
    /// The kernel refused to make the node's first process.
    #[error("could not make the namespaces of {node}")]
    Clone {
        /// The node.
        node: String,
        /// Its errno.
        source: Errno,
    },
    /// The node's first process failed to prepare the node.
    #[error("could not prepare {node}: {step}")]
    Prepare {
        /// The node.
        node: String,
        /// What it was doing.
        step: String,
        /// Its errno.
        source: Errno,
    },
    /// The node's first process ended before it was ready.
    #[error("the first process of {node} ended before it was ready")]
    Died {
        /// The node.
        node: String,
    },
    /// A namespace that should be new is the caller's.
    #[error("the {kind} namespace of {node} is not one of its own")]
    NotNew {
        /// The node.
        node: String,
        /// Which one.
        kind: &'static str,
    },
    /// A file or pipe that is needed on the way.
    #[error("could not {what} for {node}")]
    Io {
        /// The node.
        node: String,
        /// What was tried.
        what: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A thread could not enter.
    #[error("could not enter the {kind} namespace of {node}")]
    Enter {
        /// The node.
        node: String,
        /// Which one.
        kind: &'static str,
        /// Its errno.
        source: Errno,
    },
}

/// What a node is to be.
#[derive(Debug, Clone, Copy)]
pub struct Seed<'a> {
    /// Its name and hostname.
    pub name: &'a str,
    /// Whether programs of somebody else's choice run in it: then it has devices of its own, and what is the machine's
    /// can't be written.
    pub guarded: bool,
    /// A folder with unpacked packages that it sees as part of its own file system.
    pub tree: Option<&'a Path>,
}

impl<'a> From<&'a str> for Seed<'a> {
    fn from(name: &'a str) -> Self {
        Self { name, guarded: false, tree: None }
    }
}

/// A set of namespaces: a node's, or the switch's, which is a network namespace and nothing else.
#[derive(Debug)]
pub struct Space {
    name: String,
    net: OwnedFd,
    host: Option<HostPart>,
}

/// What makes a network namespace a host of its own.
#[derive(Debug)]
struct HostPart {
    guarded: bool,
    agent: Pid,
    mnt: OwnedFd,
    root: OwnedFd,
    pid: OwnedFd,
    uts: OwnedFd,
    /// The agent ends when this is closed, also by our death.
    _life: OwnedFd,
}

/// How many bytes of stack an agent gets; it makes a dozen system calls and then sleeps.
const AGENT_STACK_BYTES: usize = 256 << 10;

/// How long teardown waits for killed agents.
const REAP_DEADLINE: Duration = Duration::from_secs(5);

impl Space {
    /// Makes the namespaces of all nodes at once: network, mount, PID and UTS, each with an agent as its first process.
    ///
    /// `tools` are folders that each node sees under [`tool_folder`], even where its own `/tmp` or `/var` covers them.
    /// Must be called from the process's only thread, which must live as long as the nodes do. `ready` is told time and
    /// again how many nodes are ready; at the last one threads may be started.
    ///
    /// # Errors
    /// [`NsError`]; agents that were already made end.
    pub fn nodes<'a>(
        seeds: impl IntoIterator<Item = impl Into<Seed<'a>>>,
        tools: &[PathBuf],
        ready: &mut dyn FnMut(usize),
    ) -> Result<Vec<Self>, NsError> {
        let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
        if threads != 1 {
            return Err(NsError::Threads(threads));
        }
        let seeds: Vec<Seed<'_>> = seeds.into_iter().map(Into::into).collect();
        allow_descriptors(seeds.len())?;
        let mut agents = Vec::with_capacity(seeds.len());
        Self::make(&seeds, tools, &mut agents, ready).inspect_err(|_| drop(reap(agents)))
    }

    /// Does it, and lists each agent as soon as there is one.
    fn make(
        seeds: &[Seed<'_>],
        tools: &[PathBuf],
        agents: &mut Vec<(Pid, String)>,
        ready: &mut dyn FnMut(usize),
    ) -> Result<Vec<Self>, NsError> {
        let own = OwnNamespaces::read()?;
        let mut stack = vec![0; AGENT_STACK_BYTES];
        let mut begun = Vec::with_capacity(seeds.len());
        for seed in seeds {
            let agent = Begun::new(*seed, tools, &mut stack)?;
            agents.push((agent.agent, agent.name.clone()));
            begun.push(agent);
            ready(0);
        }
        let counted = begun.into_iter().zip(1..);
        counted.map(|(agent, count)| agent.ready(&own).inspect(|_| ready(count))).collect()
    }

    /// Makes a network namespace without a host: the switch that holds all bridges.
    ///
    /// # Errors
    /// [`NsError`].
    pub fn switch(name: &str) -> Result<Self, NsError> {
        let own = name.to_owned();
        let made = thread::Builder::new().name(format!("new {name}")).spawn(move || -> Result<OwnedFd, NsError> {
            let before = thread_net(&own)?;
            unshare(CloneFlags::CLONE_NEWNET).map_err(|source| NsError::Clone { node: own.clone(), source })?;
            let after = thread_net(&own)?;
            if inode(&before, &own)? == inode(&after, &own)? {
                return Err(NsError::NotNew { node: own, kind: "network" });
            }
            Ok(after)
        });
        let made = made.map_err(|source| NsError::Io { node: name.to_owned(), what: "start a thread", source })?;
        let net = made.join().map_err(|_| NsError::Died { node: name.to_owned() })??;
        Ok(Self { name: name.to_owned(), net, host: None })
    }

    /// The node's name, or the switch's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The network namespace.
    pub fn net(&self) -> &OwnedFd {
        &self.net
    }

    /// The node's first process, by its number in our own PID namespace; `None` for the switch.
    pub fn agent(&self) -> Option<Pid> {
        self.host.as_ref().map(|host| host.agent)
    }

    /// Brings the calling thread into the network, UTS and mount namespace, for good.
    ///
    /// # Errors
    /// [`NsError::Enter`] and [`NsError::NotNew`] where the kernel did something else than it was asked.
    fn enter(&self) -> Result<(), NsError> {
        self.set(&self.net, CloneFlags::CLONE_NEWNET, "network")?;
        if inode(&thread_net(&self.name)?, &self.name)? != inode(&self.net, &self.name)? {
            return Err(NsError::NotNew { node: self.name.clone(), kind: "network" });
        }
        let Some(host) = &self.host else { return Ok(()) };
        self.set(&host.uts, CloneFlags::CLONE_NEWUTS, "UTS")?;
        // Threads share root and working directory; a mount namespace can only be entered with ones of one's own.
        unshare(CloneFlags::CLONE_FS).map_err(|source| self.refused("mount", source))?;
        self.set(&host.mnt, CloneFlags::CLONE_NEWNS, "mount")?;
        // A mount namespace is entered at its own root, which is not ours where drlab was started in a chroot.
        let at_root = |source| self.refused("mount", source);
        fchdir(&host.root).map_err(at_root)?;
        chroot(".").map_err(at_root)
    }

    fn set(&self, namespace: &OwnedFd, flag: CloneFlags, kind: &'static str) -> Result<(), NsError> {
        setns(namespace.as_fd(), flag).map_err(|source| self.refused(kind, source))
    }

    fn refused(&self, kind: &'static str, source: Errno) -> NsError {
        NsError::Enter { node: self.name.clone(), kind, source }
    }

    /// Starts a program in all of the node's namespaces; it ends with the node.
    ///
    /// # Errors
    /// Those of starting a program; a namespace that can't be entered shows as `Other` with an [`NsError`] inside.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        // A thread that has set the PID namespace of its children can never start a thread again, so it is one that
        // does nothing else. No PDEATHSIG: it would fire at this thread's end; the program dies with the node's
        // first process instead.
        thread::scope(|scope| {
            let starter = thread::Builder::new().name(format!("start {}", self.name)).spawn_scoped(scope, || {
                self.enter().map_err(io::Error::other)?;
                if let Some(host) = &self.host {
                    self.set(&host.pid, CloneFlags::CLONE_NEWPID, "PID").map_err(io::Error::other)?;
                    if host.guarded {
                        give_up_rights();
                    }
                }
                command.spawn()
            })?;
            starter.join().unwrap_or_else(|_| Err(io::Error::other("the starting thread panicked")))
        })
    }
}

/// Rights over the machine beyond the node (`linux/capability.h`): to load modules, to reach its memory and ports, to
/// trace, to mount, to reboot, to set its clock, to make devices, and what is like them. A program that is started by the
/// calling thread has none of them, though it runs as root.
fn give_up_rights() {
    const SYS_MODULE: libc::c_ulong = 16;
    const SYS_RAWIO: libc::c_ulong = 17;
    const SYS_PTRACE: libc::c_ulong = 19;
    const SYS_ADMIN: libc::c_ulong = 21;
    const SYS_BOOT: libc::c_ulong = 22;
    const SYS_TIME: libc::c_ulong = 25;
    const MKNOD: libc::c_ulong = 27;
    const AUDIT_CONTROL: libc::c_ulong = 30;
    const MAC_OVERRIDE: libc::c_ulong = 32;
    const MAC_ADMIN: libc::c_ulong = 33;
    const SYSLOG: libc::c_ulong = 34;
    const WAKE_ALARM: libc::c_ulong = 35;
    const BLOCK_SUSPEND: libc::c_ulong = 36;
    const PERFMON: libc::c_ulong = 38;
    const BPF: libc::c_ulong = 39;
    const CHECKPOINT_RESTORE: libc::c_ulong = 40;
    for right in [
        SYS_MODULE,
        SYS_RAWIO,
        SYS_PTRACE,
        SYS_ADMIN,
        SYS_BOOT,
        SYS_TIME,
        MKNOD,
        AUDIT_CONTROL,
        MAC_OVERRIDE,
        MAC_ADMIN,
        SYSLOG,
        WAKE_ALARM,
        BLOCK_SUSPEND,
        PERFMON,
        BPF,
        CHECKPOINT_RESTORE,
    ] {
        #[expect(unsafe_code, reason = "the bounding set has no safe wrapper")]
        // SAFETY: takes numbers. One that this kernel does not have is refused, and needs no giving up.
        unsafe {
            libc::prctl(libc::PR_CAPBSET_DROP, right, 0, 0, 0)
        };
    }
}

/// Raises the limit of open descriptors to what so many nodes, their sockets and their captures need.
fn allow_descriptors(nodes: usize) -> Result<(), NsError> {
    const PER_NODE: u64 = 64;
    const BESIDES: u64 = 1024;
    let failed = |errno: Errno| NsError::Io {
        node: format!("{nodes} nodes"),
        what: "raise the limit of open files",
        source: errno.into(),
    };
    let wanted = u64::try_from(nodes).unwrap_or(u64::MAX).saturating_mul(PER_NODE).saturating_add(BESIDES);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    if soft >= wanted {
        return Ok(());
    }
    match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)) {
        // Whoever may not raise it gets what is allowed; that is enough for all but the largest labs.
        Err(Errno::EPERM) => setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(failed),
        other => other.map_err(failed),
    }
}

/// Where a node sees the `index`th of the tool folders.
pub fn tool_folder(index: usize) -> PathBuf {
    PathBuf::from(format!("/run/drlab/tools/{index}"))
}

/// Ends the nodes: kills their agents and with them whatever runs in their PID namespaces, and lets go of the
/// descriptors. Says what is left; a space that somebody else still holds is left.
pub fn end(spaces: Vec<Arc<Space>>) -> Vec<String> {
    let agents = spaces.iter().filter_map(|space| Some((space.agent()?, space.name.clone()))).collect();
    let held = spaces.iter().filter(|space| Arc::strong_count(space) > 1);
    let mut left: Vec<String> = held.map(|space| format!("{}: its namespaces are still held", space.name)).collect();
    drop(spaces);
    left.extend(reap(agents));
    left
}

/// Kills agents and waits for their end. Says which of them are left.
fn reap(mut agents: Vec<(Pid, String)>) -> Vec<String> {
    let mut left = Vec::new();
    agents.retain(|(agent, name)| match kill(*agent, Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => true,
        Err(errno) => {
            left.push(format!("{name}: its first process {agent} could not be killed: {errno}"));
            false
        }
    });
    let deadline = Instant::now() + REAP_DEADLINE;
    // Any child is reaped, not only agents: a PID namespace ends only after its last process has been, and programs
    // started by `Space::spawn` are our own children.
    while !agents.is_empty() {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) if Instant::now() < deadline => thread::sleep(Duration::from_micros(100)),
            Ok(WaitStatus::StillAlive) => break,
            Ok(status) => agents.retain(|(agent, _)| Some(*agent) != status.pid()),
            Err(Errno::EINTR) => {}
            // No child is left at all.
            Err(_) => agents.clear(),
        }
    }
    left.extend(agents.into_iter().map(|(agent, name)| format!("{name}: its first process {agent} has not ended")));
    left
}

/// An agent that was made and has not yet said that it is ready.
struct Begun {
    name: String,
    guarded: bool,
    agent: Pid,
    report: File,
    life: OwnedFd,
}

impl Begun {
    fn new(seed: Seed<'_>, tools: &[PathBuf], stack: &mut [u8]) -> Result<Self, NsError> {
        let node = || seed.name.to_owned();
        let pipe = || {
            pipe2(OFlag::O_CLOEXEC).map_err(|errno| NsError::Io {
                node: node(),
                what: "make a pipe",
                source: errno.into(),
            })
        };
        let (report, report_end) = pipe()?;
        let (life_end, life) = pipe()?;
        let flags =
            CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWUTS;
        let body = Box::new(|| agent::live(seed, tools, &report_end, &life_end));
        #[expect(unsafe_code, reason = "a process with namespaces of its own is only to be had by clone")]
        // SAFETY: without CLONE_VM the child has a copy of this memory and of the stack given, and this process has
        // no other thread (checked by the caller), so no lock is held that the child could wait for.
        let agent = unsafe { nix::sched::clone(body, stack, flags, Some(libc::SIGCHLD)) };
        let agent = agent.map_err(|source| NsError::Clone { node: node(), source })?;
        Ok(Self { name: node(), guarded: seed.guarded, agent, report: report.into(), life })
    }

    fn ready(mut self, own: &OwnNamespaces) -> Result<Space, NsError> {
        agent::heard(&mut self.report, &self.name)?;
        let open = |kind: &'static str, file: &str, mine: u64| {
            let path = format!("/proc/{}/ns/{file}", self.agent);
            let opened = File::open(path).map_err(|source| NsError::Io {
                node: self.name.clone(),
                what: "open a namespace",
                source,
            })?;
            if inode(&opened, &self.name)? == mine {
                return Err(NsError::NotNew { node: self.name.clone(), kind });
            }
            Ok(OwnedFd::from(opened))
        };
        let net = open("network", "net", own.net)?;
        let mnt = open("mount", "mnt", own.mnt)?;
        let root = File::open(format!("/proc/{}/root", self.agent)).map_err(|source| NsError::Io {
            node: self.name.clone(),
            what: "open its root folder",
            source,
        })?;
        let pid = open("PID", "pid", own.pid)?;
        let uts = open("UTS", "uts", own.uts)?;
        Ok(Space {
            name: self.name,
            net,
            host: Some(HostPart {
                guarded: self.guarded,
                agent: self.agent,
                mnt,
                root: root.into(),
                pid,
                uts,
                _life: self.life,
            }),
        })
    }
}

/// The inodes of this process's own namespaces.
struct OwnNamespaces {
    net: u64,
    mnt: u64,
    pid: u64,
    uts: u64,
}

impl OwnNamespaces {
    fn read() -> Result<Self, NsError> {
        let of =
            |file: &str| {
                std::fs::metadata(format!("/proc/self/ns/{file}")).map(|found| found.ino()).map_err(|source| {
                    NsError::Io { node: "drlab itself".to_owned(), what: "look at a namespace", source }
                })
            };
        Ok(Self { net: of("net")?, mnt: of("mnt")?, pid: of("pid")?, uts: of("uts")? })
    }
}

/// The calling thread's network namespace, asked of a socket and not of `/proc`: a thread that is in a node's mount
/// namespace and not in its PID namespace has no `self` there.
#[expect(unsafe_code, reason = "SIOCGSKNS has no safe wrapper")]
fn thread_net(node: &str) -> Result<OwnedFd, NsError> {
    const SIOCGSKNS: libc::Ioctl = 0x894c;
    let failed = |errno: Errno| NsError::Io {
        node: node.to_owned(),
        what: "find out the thread's network namespace",
        source: errno.into(),
    };
    let asked = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).map_err(failed)?;
    // SAFETY: the call takes no argument and gives a new descriptor, which nobody else owns.
    unsafe {
        let found = Errno::result(libc::ioctl(asked.as_raw_fd(), SIOCGSKNS)).map_err(failed)?;
        Ok(OwnedFd::from_raw_fd(found))
    }
}

fn inode(namespace: &impl AsFd, node: &str) -> Result<u64, NsError> {
    nix::sys::stat::fstat(namespace).map(|found| found.st_ino).map_err(|errno| NsError::Io {
        node: node.to_owned(),
        what: "look at a namespace",
        source: errno.into(),
    })
}
