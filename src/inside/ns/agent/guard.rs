//! What keeps programs of somebody else's choice from the machine: in a node where they run, all that is the machine's is
//! read-only, and `/dev` has nothing but what any program may use.
//!
//! Owns: these mounts. Together with the rights that such programs don't get (they can't mount, make devices or load
//! modules) they hold under the machine's own kernel as well.

use std::ffi::CString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

use super::{Failed, at, of_io};
use crate::calls::{Writing, set_writing};

/// Folders that such a node has for itself besides `/etc` and `/var`.
pub(super) const FURTHER_FOLDERS: [&str; 5] = ["/root", "/home", "/opt", "/srv", "/usr/local"];

/// Devices that any program may use.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

const NONE: Option<&str> = None;

/// Takes the right to write from a mount, and with `all` from every mount below it.
pub(super) fn make_read_only(path: &str, all: bool) -> Result<(), Failed> {
    let failed = at("make what is the machine's read-only");
    let path = CString::new(path).map_err(|_| failed(Errno::EINVAL))?;
    set_writing(&path, if all { Writing::ForbiddenBelow } else { Writing::Forbidden }).map_err(failed)
}

/// Once `/proc` and `/sys` are the node's: leaves writable of them what is the network's.
pub(super) fn cover_the_machines() -> Result<(), Failed> {
    but("/proc/sys", "/proc/sys/net")?;
    but("/sys", "/sys/devices/virtual/net")?;
    if Path::new("/proc/sysrq-trigger").exists() {
        bind("/proc/sysrq-trigger", "/proc/sysrq-trigger")?;
        make_read_only("/proc/sysrq-trigger", false)?;
    }
    own_devices()
}

/// Makes a folder read-only but for one below it.
fn but(folder: &str, writable: &str) -> Result<(), Failed> {
    bind(folder, folder)?;
    bind(writable, writable)?;
    make_read_only(folder, false)
}

fn bind(from: &str, to: &str) -> Result<(), Failed> {
    mount(Some(from), to, NONE, MsFlags::MS_BIND, NONE).map_err(at("bind what of the kernel's it may write"))
}

/// A `/dev` of the node's own, so that `/dev/log` is, too.
fn own_devices() -> Result<(), Failed> {
    let open = |name: &'static str| {
        let path = format!("/dev/{name}");
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path);
        opened.ok().map(|opened| (name, opened))
    };
    let devices: Vec<(&str, File)> = DEVICES.into_iter().filter_map(open).collect();
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), "/dev", Some("tmpfs"), plain, Some("mode=0755,size=1m")).map_err(at("mount its /dev"))?;
    for (name, device) in &devices {
        let target = format!("/dev/{name}");
        File::create(&target).map_err(of_io("make its devices"))?;
        bind(&format!("/proc/self/fd/{}", device.as_raw_fd()), &target)?;
    }
    for (name, mode) in [("pts", 0o755), ("shm", 0o1777)] {
        DirBuilder::new().mode(mode).create(format!("/dev/{name}")).map_err(of_io("make its devices"))?;
    }
    let options = Some("newinstance,ptmxmode=0666,mode=0620");
    mount(Some("devpts"), "/dev/pts", Some("devpts"), plain, options).map_err(at("mount its /dev/pts"))?;
    mount(Some("tmpfs"), "/dev/shm", Some("tmpfs"), plain, Some("mode=1777")).map_err(at("mount its /dev/shm"))?;
    for (name, goal) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(goal, format!("/dev/{name}")).map_err(of_io("make its devices"))?;
    }
    Ok(())
}
