//! A node's first process: makes the node's file systems, says so, and lives as long as the node.
//!
//! Owns: what a node's `/proc`, `/sys`, `/etc`, `/var`, `/tmp` and `/run` are, and the words in which an agent reports.
//! Refuses: running anything. What the node writes goes to memory; the machine's files stay as they are.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};

use super::{NsError, Seed, tool_folder};

mod guard;

/// The report of success; a failure is the errno as a number, a space, and the step.
const READY: &[u8] = b"ready";

/// A step of the preparation that failed.
struct Failed {
    step: String,
    errno: Errno,
}

/// What the agent does from its first instruction on. Returns when it may end, with its exit code.
pub(super) fn live(seed: Seed<'_>, tools: &[PathBuf], report: &OwnedFd, life: &OwnedFd) -> isize {
    let done = keep_only(report.as_raw_fd(), life.as_raw_fd()).and_then(|()| prepare(seed, tools));
    let text = match &done {
        Ok(()) => READY.to_vec(),
        Err(failed) => format!("{} {}", failed.errno as i32, failed.step).into_bytes(),
    };
    write_all(&text);
    if done.is_err() {
        return 1;
    }
    sleep_until_the_end();
    0
}

/// Reads an agent's report.
pub(super) fn heard(report: &mut File, node: &str) -> Result<(), NsError> {
    let mut text = [0; 512];
    let length = report.read(&mut text).map_err(|source| NsError::Io {
        node: node.to_owned(),
        what: "hear from the first process",
        source,
    })?;
    let text = &text[..length];
    if text == READY {
        return Ok(());
    }
    let words = String::from_utf8_lossy(text);
    let failed = words.split_once(' ').and_then(|(errno, step)| Some((errno.parse::<i32>().ok()?, step)));
    match failed {
        Some((errno, step)) => {
            Err(NsError::Prepare { node: node.to_owned(), step: step.to_owned(), source: Errno::from_raw(errno) })
        }
        None => Err(NsError::Died { node: node.to_owned() }),
    }
}

/// Descriptor of the report once [`keep_only`] is done.
const REPORT: RawFd = 0;
/// Descriptor of the life line once [`keep_only`] is done.
const LIFE: RawFd = 1;

/// Ends with the parent, and holds none of the parent's descriptors: a pipe held here would never be seen closed.
#[expect(unsafe_code, reason = "closing all descriptors but two has no safe wrapper, nor has dup2 to a given number")]
fn keep_only(report: RawFd, life: RawFd) -> Result<(), Failed> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(at("tie it to its parent"))?;
    // SAFETY: plain system calls on numbers; the descriptors closed belong to copies of objects that are never
    // used or dropped in this process, which leaves by returning from `live`.
    unsafe {
        let report = Errno::result(libc::fcntl(report, libc::F_DUPFD, 10)).map_err(at("keep the report's pipe"))?;
        let life = Errno::result(libc::fcntl(life, libc::F_DUPFD, 10)).map_err(at("keep the life line"))?;
        Errno::result(libc::dup2(report, REPORT)).map_err(at("keep the report's pipe"))?;
        Errno::result(libc::dup2(life, LIFE)).map_err(at("keep the life line"))?;
        Errno::result(libc::syscall(libc::SYS_close_range, 2, u32::MAX, 0)).map_err(at("close what is not its own"))?;
    }
    Ok(())
}

fn prepare(seed: Seed<'_>, tools: &[PathBuf]) -> Result<(), Failed> {
    signals()?;
    nix::unistd::sethostname(seed.name).map_err(at("set its hostname"))?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).map_err(at("make its mounts private"))?;
    if seed.guarded {
        guard::make_read_only("/", true)?;
    }
    let bare = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), bare, none).map_err(at("mount its /proc"))?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), bare, none).map_err(at("mount its /sys"))?;
    // Opened before anything covers them, and bound afterwards.
    let tools: Vec<File> = tools.iter().map(open_folder).collect::<Result<_, _>>()?;
    let tree = seed.tree.map(open_folder).transpose()?;
    own_layers(seed.guarded, tree.as_ref())?;
    let tidy = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), "/tmp", Some("tmpfs"), tidy, Some("mode=1777")).map_err(at("mount its /tmp"))?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), tidy, Some("mode=0755")).map_err(at("mount its /run"))?;
    if seed.guarded {
        guard::cover_the_machines()?;
    }
    // Debian's /var/lock points here, and tools of the iptables family want a lock file.
    folder("/run/lock", 0o1777)?;
    for (index, tool) in tools.iter().enumerate() {
        let target = tool_folder(index);
        DirBuilder::new().recursive(true).create(&target).map_err(of_io("make a folder for tools"))?;
        let source = format!("/proc/self/fd/{}", tool.as_fd().as_raw_fd());
        mount(Some(source.as_str()), &target, none, MsFlags::MS_BIND, none).map_err(at("bind a folder of tools"))?;
    }
    Ok(())
}

/// What a node can write to in any case.
const WRITABLE: [&str; 2] = ["/etc", "/var"];

/// Where packages have their files besides; where the machine has `/bin` and its like as links they are below `/usr`.
const OF_PACKAGES: [&str; 7] = ["/usr", "/opt", "/srv", "/bin", "/sbin", "/lib", "/lib64"];

/// Lays memory over `/etc` and `/var`, with a tree of packages between it and the machine's; the same over all else that
/// the tree has, and memory alone in place of what we may not read. The tmpfs that takes what is written is on `/tmp` for
/// a moment only: an overlay keeps its own reference, so that nobody finds it afterwards.
fn own_layers(guarded: bool, tree: Option<&File>) -> Result<(), Failed> {
    let stage = "/tmp";
    let tree = tree.map(|tree| PathBuf::from(format!("/proc/self/fd/{}", tree.as_raw_fd())));
    mount(Some("tmpfs"), stage, Some("tmpfs"), MsFlags::empty(), Some("mode=0700")).map_err(at("mount memory"))?;
    let further: &[&str] = if guarded { &guard::FURTHER_FOLDERS } else { &[] };
    let mut laid: Vec<&str> = Vec::new();
    for lower in WRITABLE.iter().chain(&OF_PACKAGES).chain(further).copied() {
        let packed = tree.as_ref().map(|tree| tree.join(&lower[1..])).filter(|folder| folder.is_dir());
        let is_folder = Path::new(lower).symlink_metadata().is_ok_and(|found| found.is_dir());
        let wanted = packed.is_some() || WRITABLE.contains(&lower) || further.contains(&lower);
        // Overlays can be stacked twice only, and the machine's root may be one.
        if !is_folder || !wanted || laid.iter().any(|outer| Path::new(lower).starts_with(outer)) {
            continue;
        }
        laid.push(lower);
        // A guest of an ordinary user cannot look into every folder: `/root` is the machine's root's alone.
        let readable = std::fs::read_dir(lower).is_ok();
        if packed.is_none() && !readable {
            mount(Some("tmpfs"), lower, Some("tmpfs"), MsFlags::empty(), Some("mode=0700"))
                .map_err(|errno| Failed { step: format!("put memory in place of its {lower}"), errno })?;
            continue;
        }
        let part = lower[1..].replace('/', "-");
        let upper = format!("{stage}/{part}");
        let work = format!("{stage}/{part}-work");
        folder(&upper, 0o755)?;
        folder(&work, 0o700)?;
        let layers =
            packed.map(|folder| folder.display().to_string()).into_iter().chain(readable.then(|| lower.to_owned()));
        let layers = layers.collect::<Vec<_>>().join(":");
        let options = format!("lowerdir={layers},upperdir={upper},workdir={work}");
        mount(Some("overlay"), lower, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
            .map_err(|errno| Failed { step: format!("lay memory over its {lower} (overlayfs)"), errno })?;
    }
    umount2(stage, MntFlags::MNT_DETACH).map_err(at("hide the memory under its layers"))
}

/// Puts signals back to what a new process expects; children are reaped by the kernel.
fn signals() -> Result<(), Failed> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).map_err(at("unblock signals"))?;
    for (number, handler) in [
        (Signal::SIGCHLD, SigHandler::SigIgn),
        (Signal::SIGINT, SigHandler::SigDfl),
        (Signal::SIGTERM, SigHandler::SigDfl),
        (Signal::SIGHUP, SigHandler::SigDfl),
    ] {
        #[expect(unsafe_code, reason = "setting a signal's disposition is unsafe for the sake of handlers")]
        // SAFETY: no handler is installed, only the default and ignoring.
        unsafe { signal(number, handler) }.map_err(at("reset signals"))?;
    }
    // Out of the terminal's process group: a Ctrl-C is for drlab, which then ends its nodes in order.
    nix::unistd::setsid().map(drop).map_err(at("leave the terminal"))
}

fn open_folder(path: impl AsRef<Path>) -> Result<File, Failed> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(path)
        .map_err(of_io("open a folder of tools or packages"))
}

fn folder(path: &str, mode: u32) -> Result<(), Failed> {
    DirBuilder::new().mode(mode).create(path).map_err(of_io("make a folder in its memory"))
}

#[expect(unsafe_code, reason = "descriptor 0 is ours by number only")]
fn write_all(text: &[u8]) {
    // SAFETY: the buffer is valid for its length. A report is shorter than PIPE_BUF, so it is written whole or not at
    // all; not at all shows on the other side as an early end.
    unsafe { libc::write(REPORT, text.as_ptr().cast(), text.len()) };
    // SAFETY: nothing else in this process uses the descriptor.
    unsafe { libc::close(REPORT) };
}

#[expect(unsafe_code, reason = "descriptor 1 is ours by number only")]
fn sleep_until_the_end() {
    let mut byte = 0_u8;
    loop {
        // SAFETY: one byte is read into one byte. Nobody writes; the end comes when the last writer is gone.
        let got = unsafe { libc::read(LIFE, std::ptr::from_mut(&mut byte).cast(), 1) };
        if got == 0 || (got < 0 && Errno::last() != Errno::EINTR) {
            return;
        }
    }
}

fn at(step: &'static str) -> impl Fn(Errno) -> Failed {
    move |errno| Failed { step: step.to_owned(), errno }
}

fn of_io(step: &'static str) -> impl Fn(std::io::Error) -> Failed {
    move |error| Failed { step: step.to_owned(), errno: Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)) }
}
