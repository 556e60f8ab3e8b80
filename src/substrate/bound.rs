//! Starting a process so that it can't outlive us and can't reach what is not its own.
//!
//! Owns: all that happens between fork and exec. Refuses: what is started. Where a kernel lacks a means of confinement
//! the process is started without it, for the lab's own programs are not hostile; [`Confinement::means`] says what is on.
//!
//! A process that is bound is killed together with all its children by the kernel itself when we end, however we end:
//! it leads a session of its own and holds the reading end of a pipe that is set to signal the whole process group with
//! SIGKILL on any change, and the only writing end is ours. `PR_SET_PDEATHSIG` would not do for User-Mode Linux: it
//! reaches one process only, and the processes that User-Mode Linux traces are then let go and run on under *this*
//! kernel, with the registers and memory of the guest's programs. A signal to the group leaves no such moment.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{geteuid, pipe2, setsid};

/// While this is held the bound process may live; when it goes, or we do, the kernel kills the process's whole group.
#[derive(Debug)]
pub struct LifeLine {
    /// Nothing is ever written to it.
    _end: OwnedFd,
}

/// What a process may still do to this machine.
#[derive(Debug, Clone, Default)]
pub struct Confinement {
    /// The folders below which it may write, besides a few devices. `None`: wherever it may.
    pub writable: Option<Vec<PathBuf>>,
    /// Descriptors of folders among those passed below which it may write as well.
    pub writable_passed: Vec<RawFd>,
    /// Whether it gets network, UTS, IPC and mount namespaces of its own; needs root.
    pub own_namespaces: bool,
    /// Whether its address space is laid out the same each time, which saves User-Mode Linux a gigabyte of page table.
    pub fixed_addresses: bool,
}

/// A means of confinement and whether this machine has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Means {
    /// Landlock, which any user may use.
    pub landlock: bool,
    /// A mount namespace in which everything else is read-only: root's, where the root folder is a mount point, which
    /// that of a bare chroot is not.
    pub mounts: bool,
}

impl Confinement {
    /// What this machine has to confine a process with.
    pub fn means() -> Means {
        Means { landlock: landlock_present(), mounts: rules_mounts() && root_is_mounted() }
    }
}

fn rules_mounts() -> bool {
    geteuid().is_root() && capable(CAP_SYS_ADMIN)
}

/// Whether the root folder is a mount point: only then can what is mounted below it be kept from the machine.
pub(super) fn root_is_mounted() -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(4) == Some("/"))
}

const CAP_DAC_READ_SEARCH: u32 = 2;
const CAP_SETPCAP: u32 = 8;
/// What loading a module needs.
pub(super) const CAP_SYS_MODULE: u32 = 16;
/// What making namespaces needs.
pub(super) const CAP_SYS_ADMIN: u32 = 21;

/// Whether this process has a capability.
pub(super) fn capable(capability: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).map(str::trim);
    effective.and_then(|hex| u64::from_str_radix(hex, 16).ok()).is_some_and(|set| set & (1 << capability) != 0)
}

fn landlock_present() -> bool {
    let asked = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_write(ABI::V1))
        .and_then(Ruleset::create);
    asked.is_ok()
}

/// Has a command's process bound to us and confined; `passed` are the descriptors that it gets, under the same numbers.
///
/// To be called once for a command, which is then spawned once. The command must not set a process group itself.
///
/// # Errors
/// Those of making the pipe and of opening the writable folders.
pub fn bind(command: &mut Command, passed: &[RawFd], confinement: &Confinement) -> io::Result<LifeLine> {
    let (reading, writing) = pipe2(OFlag::O_CLOEXEC)?;
    let mut child = Child::prepare(passed, confinement)?;
    let ours = writing.as_raw_fd();
    let closure = move || child.become_bound(&reading, ours);
    #[expect(
        unsafe_code,
        reason = "what a child does to itself before it becomes another program goes through pre_exec"
    )]
    // SAFETY: the closure only makes system calls on values that were made before the fork; it allocates nothing and
    // takes no lock (Landlock's crate makes two system calls with a descriptor that is already open).
    unsafe {
        command.pre_exec(closure);
    }
    Ok(LifeLine { _end: writing })
}

/// What the child needs, made ready before the fork.
struct Child {
    passed: Vec<RawFd>,
    landlock: Option<RulesetCreated>,
    read_only_but: Option<Vec<CString>>,
    /// Whether it keeps no capabilities but that of reading.
    reads_only: bool,
    own_namespaces: bool,
    fixed_addresses: bool,
}

impl Child {
    fn prepare(passed: &[RawFd], confinement: &Confinement) -> io::Result<Self> {
        let means = Confinement::means();
        let writable = confinement.writable.as_ref();
        let paths = |folders: &Vec<PathBuf>| {
            folders.iter().map(|path| CString::new(path.as_os_str().as_bytes())).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            passed: passed.to_vec(),
            landlock: writable
                .filter(|_| means.landlock)
                .map(|f| ruleset(f, &confinement.writable_passed))
                .transpose()
                .map_err(io::Error::other)?,
            read_only_but: writable.filter(|_| means.mounts).map(paths).transpose()?,
            reads_only: writable.is_some() && rules_mounts(),
            own_namespaces: confinement.own_namespaces,
            fixed_addresses: confinement.fixed_addresses,
        })
    }

    fn become_bound(&mut self, life: &OwnedFd, ours: RawFd) -> io::Result<()> {
        let group = setsid()?;
        child::hear_signals()?;
        child::close(ours);
        child::kill_group_with(life.as_raw_fd(), group.as_raw())?;
        child::keep(life.as_raw_fd())?;
        for &fd in &self.passed {
            child::keep(fd)?;
        }
        // The other end may have gone before the group was set to be killed.
        if child::hung_up(life.as_raw_fd()) {
            return Err(Errno::ECHILD.into());
        }
        if self.fixed_addresses {
            child::fix_addresses();
        }
        if self.own_namespaces {
            child::new_world()?;
        }
        if let Some(folders) = &self.read_only_but {
            child::make_read_only_but(folders)?;
        }
        if self.reads_only {
            child::drop_capabilities()?;
        }
        if let Some(rules) = self.landlock.take() {
            rules.restrict_self().map_err(|_| io::Error::from(Errno::EPERM))?;
        }
        Ok(())
    }
}

/// Devices that any program may write to.
const DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/ptmx"];

fn ruleset(writable: &[PathBuf], passed: &[RawFd]) -> Result<RulesetCreated, RulesetError> {
    let abi = ABI::V7;
    let writes = AccessFs::from_write(abi);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(writes)?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?;
    let passed = passed.iter().map(|fd| PathBuf::from(format!("/proc/self/fd/{fd}")));
    for folder in writable.iter().cloned().chain(passed).filter_map(|path| PathFd::new(path).ok()) {
        rules = rules.add_rule(PathBeneath::new(folder, writes & !(AccessFs::MakeChar | AccessFs::MakeBlock)))?;
    }
    for device in DEVICES.iter().filter_map(|path| PathFd::new(path).ok()) {
        rules = rules.add_rule(PathBeneath::new(device, writes & AccessFs::from_file(abi)))?;
    }
    Ok(rules)
}

/// The system calls of the child between fork and exec, for which there is no safe wrapper.
#[expect(
    unsafe_code,
    reason = "descriptor flags, personality, capabilities and recursive read-only mounts are bare system calls"
)]
mod child {
    use std::ffi::{CStr, CString};
    use std::io;
    use std::os::fd::RawFd;

    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};

    use super::{CAP_DAC_READ_SEARCH, CAP_SETPCAP};
    use crate::calls::{Writing, set_writing};

    fn done(result: libc::c_long) -> io::Result<()> {
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Neither blocks nor ignores what tells a process to end: programs of a lab are told so, and inherit this.
    pub(super) fn hear_signals() -> io::Result<()> {
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
        for number in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
            // SAFETY: no handler is installed.
            if unsafe { libc::signal(number, libc::SIG_DFL) } == libc::SIG_ERR {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }

    pub(super) fn close(fd: RawFd) {
        // SAFETY: the number is that of our parent's descriptor; this process's copy of it is owned by nobody.
        unsafe { libc::close(fd) };
    }

    /// Lets a descriptor through to the program.
    pub(super) fn keep(fd: RawFd) -> io::Result<()> {
        // SAFETY: setting a flag by number touches no memory.
        done(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) }.into())
    }

    /// Has the kernel send SIGKILL to a process group as soon as something happens at the other end of a pipe.
    pub(super) fn kill_group_with(pipe: RawFd, group: i32) -> io::Result<()> {
        // SAFETY: these only set attributes of an open file, by number.
        unsafe {
            done(libc::fcntl(pipe, libc::F_SETOWN, -group).into())?;
            done(libc::fcntl(pipe, F_SETSIG, libc::SIGKILL).into())?;
            done(libc::fcntl(pipe, libc::F_SETFL, libc::O_RDONLY | libc::O_ASYNC).into())
        }
    }

    /// As in `linux/fcntl.h`; the `libc` crate has it for few targets.
    const F_SETSIG: libc::c_int = 10;

    pub(super) fn hung_up(pipe: RawFd) -> bool {
        let mut asked = libc::pollfd { fd: pipe, events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure of ours is read and written.
        unsafe { libc::poll(&raw mut asked, 1, 0) > 0 }
    }

    /// Where it is refused (a container's filter may), it only costs memory.
    pub(super) fn fix_addresses() {
        // SAFETY: takes and returns numbers.
        unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) };
    }

    pub(super) fn new_world() -> io::Result<()> {
        unshare(
            CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC,
        )?;
        private_mounts()
    }

    fn private_mounts() -> io::Result<()> {
        mount(None::<&CStr>, c"/", None::<&CStr>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&CStr>)?;
        Ok(())
    }

    pub(super) fn make_read_only_but(folders: &[CString]) -> io::Result<()> {
        unshare(CloneFlags::CLONE_NEWNS)?;
        private_mounts()?;
        for folder in folders {
            mount(Some(folder.as_c_str()), folder.as_c_str(), None::<&CStr>, MsFlags::MS_BIND, None::<&CStr>)?;
        }
        set_writing(c"/", Writing::ForbiddenBelow)?;
        folders.iter().try_for_each(|folder| Ok(set_writing(folder, Writing::Allowed)?))
    }

    /// Leaves the program nothing of root's rights but to read every file.
    pub(super) fn drop_capabilities() -> io::Result<()> {
        for capability in (0..64).filter(|&c| c != CAP_DAC_READ_SEARCH && c != CAP_SETPCAP).chain([CAP_SETPCAP]) {
            // SAFETY: takes numbers. One that this kernel doesn't have is refused, and needs no dropping.
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), 0, 0, 0) };
        }
        // SAFETY: takes numbers.
        done(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;

    use nix::sys::signal::{SigSet, Signal};

    use super::{Confinement, bind};

    #[test]
    fn what_is_started_hears_what_we_block() {
        let started = thread::spawn(|| {
            let mut blocked = SigSet::empty();
            blocked.add(Signal::SIGTERM);
            blocked.thread_block().unwrap();
            let mut command = Command::new("/bin/sh");
            command.args(["-c", "kill -TERM $$; echo deaf"]);
            let _life = bind(&mut command, &[], &Confinement::default()).unwrap();
            command.output().unwrap()
        });
        let output = started.join().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    }
}
