//! The first steps of `drlab inside`: making a bare kernel fit to hold a lab, opening the channel, and leaving.
//!
//! Owns: what the first process of a guest has to do, and what a process beside the host's has instead. Refuses: loading
//! the modules of a lab and building anything. In a guest a step that fails ends the boot; the console says which.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

use super::files::Files;
use super::modules::{self, ModulesError};
use crate::channel::Command;
use crate::channel::boot::{BootFile, CHANNEL_PORT, FILES_PORT};

/// What this process was started under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boot {
    /// As the first process of User-Mode Linux.
    Uml {
        /// Where outside left what is to be known.
        boot_file: PathBuf,
    },
    /// As the first process of a virtual machine, with nothing but what its initramfs holds.
    Qemu {
        /// Where the initramfs has what is to be known.
        boot_file: PathBuf,
    },
    /// As a process beside the host's others.
    Host {
        /// The number under which the channel was passed.
        channel: RawFd,
    },
}

/// What is there once the first steps are done.
#[derive(Debug)]
pub struct Booted {
    /// Both directions of the channel; what it gives to read is read by one reader only.
    pub channel: File,
    /// The folder with the kernel's `modules.dep`; `None` where the host's own mechanism serves, or there are no modules.
    pub modules: Option<PathBuf>,
    /// What to carry out without being asked.
    pub orders: Vec<Command>,
    /// How files are handed over, where no folder of the machine's is seen here.
    pub files: Option<Files>,
    /// Whether this kernel runs for the lab alone.
    pub sole: bool,
}

/// Why the first steps failed.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A file could not be read or written.
    #[error("could not {what} {}", .path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Something could not be mounted.
    #[error("could not mount {kind} on {}", .path.display())]
    Mount {
        /// The file system.
        kind: &'static str,
        /// Where.
        path: PathBuf,
        /// The kernel's answer.
        source: Errno,
    },
    /// The loopback device could not be set up.
    #[error("could not set lo up")]
    Loopback {
        /// The kernel's answer.
        source: Errno,
    },
    /// The channel could not be opened.
    #[error("could not open the channel")]
    Channel {
        /// The kernel's answer.
        source: io::Error,
    },
    /// The modules by which a virtual machine reaches outside could not be loaded.
    #[error("could not load the modules of the machine's devices")]
    Modules {
        /// Why.
        #[from]
        source: ModulesError,
    },
}

/// Where User-Mode Linux has the channel.
const SERIAL_LINE: &str = "/dev/ttyS0";

/// How many files the first process and its children may have open; the kernel's own 1024 is little for a large lab.
const OPEN_FILES: u64 = 65_536;

/// From here on the kernel's errors go to the console; what it says about its own boot was held back.
const ERRORS: &str = "4";

/// Does the first steps.
///
/// # Errors
/// [`BootError`]; in a guest the caller shows it on the console and calls [`leave`].
pub fn boot(boot: &Boot) -> Result<Booted, BootError> {
    match boot {
        Boot::Host { channel } => {
            loopback_up()?;
            let channel = passed(*channel).map_err(|source| BootError::Channel { source })?;
            Ok(Booted { channel, modules: None, orders: Vec::new(), files: None, sole: false })
        }
        Boot::Uml { boot_file } => {
            let known = read_boot_file(boot_file)?;
            mount_kernel_file_systems()?;
            cover(&known)?;
            mount_output(&known.output)?;
            settle()?;
            let channel = open_serial_line().map_err(|source| BootError::Channel { source })?;
            Ok(Booted { channel, modules: known.modules, orders: known.orders, files: None, sole: true })
        }
        Boot::Qemu { boot_file } => {
            let known = read_boot_file(boot_file)?;
            mount_kernel_file_systems()?;
            for path in ["/tmp", "/run", "/var/tmp"].map(Path::new).into_iter().chain([known.output.as_path()]) {
                made(path)?;
            }
            settle()?;
            if let Some(folder) = &known.modules {
                // One that is built in, or that this machine does without, shows by the port that is not there.
                modules::load(folder, &modules::OF_PORTS)?;
            }
            let port = |name| open_port(name).map_err(|source| BootError::Channel { source });
            let channel = port(CHANNEL_PORT)?;
            let files = Files::new(port(FILES_PORT)?, &known.output);
            Ok(Booted { channel, modules: known.modules, orders: known.orders, files: Some(files), sole: true })
        }
    }
}

/// What a guest's kernel leaves to its first process.
fn settle() -> Result<(), BootError> {
    loopback_up()?;
    // A smaller limit only bounds the size of a lab.
    setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES).unwrap_or_default();
    let level = Path::new("/proc/sys/kernel/printk");
    fs::write(level, ERRORS).map_err(|source| BootError::Io { what: "write", path: level.to_owned(), source })
}

/// Ends what [`boot`] began: in a guest it writes out what was written and switches the machine off.
pub fn leave(boot: &Boot) {
    if !matches!(boot, Boot::Host { .. }) {
        // The output's pages are written out by the guest's kernel when asked to, not by its end.
        nix::unistd::sync();
        // Where it fails the first process ends, which the kernel takes for a reason to stop as well.
        reboot(RebootMode::RB_POWER_OFF).map_or_else(drop, |never| match never {});
    }
}

fn read_boot_file(path: &Path) -> Result<BootFile, BootError> {
    fs::read(path).and_then(|text| Ok(serde_json::from_slice(&text)?)).map_err(|source| BootError::Io {
        what: "read",
        path: path.to_owned(),
        source,
    })
}

fn mounted(kind: &'static str, at: &Path, flags: MsFlags, options: Option<&Path>) -> Result<(), BootError> {
    match mount(Some("drlab"), at, Some(kind), flags, options) {
        Ok(()) => Ok(()),
        // The kernel has mounted it itself.
        Err(Errno::EBUSY) if kind == "devtmpfs" => Ok(()),
        Err(source) => Err(BootError::Mount { kind, path: at.to_owned(), source }),
    }
}

fn made(path: &Path) -> Result<(), BootError> {
    fs::create_dir_all(path).map_err(|source| BootError::Io { what: "make the folder", path: path.to_owned(), source })
}

fn mount_kernel_file_systems() -> Result<(), BootError> {
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mounted("proc", Path::new("/proc"), plain, None)?;
    mounted("sysfs", Path::new("/sys"), plain, None)?;
    mounted("devtmpfs", Path::new("/dev"), MsFlags::MS_NOSUID, None)?;
    for (kind, at) in [("devpts", "/dev/pts"), ("tmpfs", "/dev/shm")] {
        made(Path::new(at))?;
        mounted(kind, Path::new(at), MsFlags::MS_NOSUID, None)?;
    }
    let fd = Path::new("/dev/fd");
    match symlink("/proc/self/fd", fd) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(BootError::Io { what: "make the link", path: fd.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Puts empty, writable folders over the machine's `/tmp` and `/run`, and what must stay visible into them again.
fn cover(known: &BootFile) -> Result<(), BootError> {
    for covered in ["/tmp", "/run"].map(Path::new).into_iter().filter(|path| path.is_dir()) {
        let mut kept: Vec<(&Path, File)> = Vec::new();
        for path in known.visible.iter().chain(&known.modules).filter(|path| path.starts_with(covered)) {
            let opened = OpenOptions::new()
                .read(true)
                .custom_flags((OFlag::O_PATH | OFlag::O_DIRECTORY).bits())
                .open(path)
                .map_err(|source| BootError::Io { what: "open", path: path.clone(), source })?;
            kept.push((path, opened));
        }
        // From the outermost in, so that none covers one that is there already.
        kept.sort_by_key(|(path, _)| path.components().count());
        mounted("tmpfs", covered, MsFlags::MS_NOSUID | MsFlags::MS_NODEV, None)?;
        let mut placed: Vec<&Path> = Vec::new();
        for (path, opened) in &kept {
            if placed.iter().any(|outer| path.starts_with(outer)) {
                continue;
            }
            made(path)?;
            let source = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
            mount(Some(&source), *path, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(|source| {
                BootError::Mount { kind: "the machine's folder", path: (*path).to_owned(), source }
            })?;
            placed.push(path);
        }
    }
    Ok(())
}

/// The one folder of the machine that can be written to, under its own path.
fn mount_output(output: &Path) -> Result<(), BootError> {
    if !output.is_dir() {
        made(output)?;
    }
    mounted("hostfs", output, MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(output))
}

fn open_serial_line() -> io::Result<File> {
    let line = OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(SERIAL_LINE)?;
    let mut settings = tcgetattr(&line)?;
    cfmakeraw(&mut settings);
    tcsetattr(&line, SetArg::TCSANOW, &settings)?;
    Ok(line)
}

/// How long the devices of a virtual machine may take to show once their modules are loaded.
const PORTS_WITHIN: Duration = Duration::from_secs(5);

/// Opens the port of a virtual machine that has a name; there is no udev here that would link it.
fn open_port(name: &str) -> io::Result<File> {
    let listed = Path::new("/sys/class/virtio-ports");
    let deadline = Instant::now() + PORTS_WITHIN;
    loop {
        let entries = fs::read_dir(listed).map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
        let named = |entry: &fs::DirEntry| {
            fs::read_to_string(entry.path().join("name")).is_ok_and(|found| found.trim() == name)
        };
        if let Some(port) = entries.iter().find(|entry| named(entry)) {
            let device = Path::new("/dev").join(port.file_name());
            return OpenOptions::new().read(true).write(true).open(device);
        }
        if Instant::now() > deadline {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("the machine has no port named {name}")));
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn loopback_up() -> Result<(), BootError> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

    let name = |error: Errno| BootError::Loopback { source: error };
    let asking = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).map_err(name)?;
    let mut request =
        libc::ifreq { ifr_name: [0; libc::IFNAMSIZ], ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: UP } };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    #[expect(unsafe_code, reason = "an interface's flags are set before there is any netlink of ours")]
    // SAFETY: the structure is whole and outlives the call.
    Errno::result(unsafe { libc::ioctl(asking.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }).map_err(name)?;
    Ok(())
}

/// `IFF_UP`, which fits.
const UP: libc::c_short = 1;

/// Takes over a descriptor that was passed to this process under a number.
fn passed(number: RawFd) -> io::Result<File> {
    use std::os::fd::FromRawFd;

    #[expect(unsafe_code, reason = "a descriptor that is passed by a command line is only a number")]
    // SAFETY: asking for a descriptor's flags by number touches no memory.
    Errno::result(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    #[expect(unsafe_code, reason = "a descriptor that is passed by a command line is only a number")]
    // SAFETY: it is open, as just seen; whoever started us passed it for us to own, and this is called once.
    Ok(unsafe { File::from_raw_fd(number) })
}
