//! Starting User-Mode Linux: a real kernel as an ordinary process, with this machine's files as its root, read-only.
//!
//! Owns: its command line and the place of its memory. Refuses: which kernel it is and what happens inside.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::fcntl::OFlag;

use super::abilities::MemoryRoom;
use super::bound::{Confinement, bind};
use super::cache::{Cache, RunFolder};
use super::guest::Guest;
use super::kernels::Kernel;
use super::{StartError, StartOptions};
use crate::channel::boot::BootFile;

/// Parameters without which boot takes 1.2 s instead of 0.07 s (medians of 8 on two cores): no 256 legacy terminals
/// (0.25 s), no measuring of RAID and XOR algorithms nor file systems that want them (0.85 s), a fixed loop count instead
/// of a calibrated one (0.07 s; delay loops are all that it serves).
const QUICK: [&str; 4] = [
    "pty.legacy_count=0",
    "initcall_blacklist=raid6_select_algo,calibrate_xor_blocks,register_xor_blocks,init_btrfs_fs,init_xfs_fs,\
     init_jfs_fs,init_zswap",
    "lpj=40000000",
    "cryptomgr.notests",
];

/// The time at which a seeded guest boots, in nanoseconds since the epoch: the first moment of the year 2000.
const SEEDED_START_NS: u64 = 946_684_800_000_000_000;

/// What makes a run the same each time: time passes as it is needed and not as the machine has it, and drlab's own kernel
/// draws all random numbers from the seed.
fn seeded(seed: u64) -> [String; 3] {
    ["time-travel=inf-cpu".to_owned(), format!("time-travel-start={SEEDED_START_NS}"), format!("drlab.seed={seed}")]
}

/// The folder in which a guest's memory is a file without a name.
enum Memory {
    /// A folder that is removed already, so that nothing of it can be left; a file without a name can be made in it still.
    Nameless(File),
    /// A folder that goes away once the guest has booted, for file systems that make no files without a name.
    Named(PathBuf),
}

impl Memory {
    fn place(run: &mut RunFolder, parent: &Path) -> Result<Self, StartError> {
        let path = run.beside(parent)?;
        let folder = OpenOptions::new().read(true).custom_flags(OFlag::O_DIRECTORY.bits()).open(&path);
        let folder =
            folder.map_err(|source| StartError::Io { what: "open the folder for the guest's memory", source })?;
        run.leave_elsewhere();
        let nameless = Self::Nameless(folder);
        let unnamed =
            OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_TMPFILE.bits()).open(nameless.path());
        Ok(if unnamed.is_ok() { nameless } else { Self::Named(run.beside(parent)?) })
    }

    /// What the kernel is told.
    fn path(&self) -> PathBuf {
        match self {
            Self::Nameless(folder) => format!("/proc/self/fd/{}", folder.as_raw_fd()).into(),
            Self::Named(path) => path.clone(),
        }
    }

    fn nameless(&self) -> Vec<RawFd> {
        match self {
            Self::Nameless(folder) => vec![folder.as_raw_fd()],
            Self::Named(_) => Vec::new(),
        }
    }
}

/// Starts a kernel whose first process is `drlab inside`, and does not wait for it.
pub(super) fn spawn(kernel: &Kernel, options: &StartOptions, cache: &Cache) -> Result<Guest, StartError> {
    let doing = |what: &'static str| move |source: io::Error| StartError::Io { what, source };
    let output = fs::canonicalize(&options.output)
        .map_err(|source| StartError::Output { path: options.output.clone(), source })?;
    let mut run = RunFolder::make(cache)?;
    let room = MemoryRoom::look(Some(cache), options.memory_mib);
    let no_room = StartError::NoRoom { memory_mib: options.memory_mib, tried: room.tried };
    let memory = Memory::place(&mut run, &room.folder.ok_or(no_room)?)?;
    let plain = run.plain()?;
    let program = match &options.program {
        Some(program) => program.clone(),
        None => std::env::current_exe().map_err(doing("find out where this program is"))?,
    };
    let init = plain.join("init");
    symlink(&program, &init).map_err(doing("make the link to this program"))?;
    let boot_file = plain.join("boot.json");
    let mut visible = options.visible.clone();
    visible.extend(program.parent().map(Path::to_owned));
    let orders = options.orders.clone();
    let boot = BootFile { output: output.clone(), modules: kernel.modules.clone(), visible, orders };
    let text = serde_json::to_vec(&boot).map_err(|error| doing("write the boot file")(error.into()))?;
    fs::write(&boot_file, text).map_err(doing("write the boot file"))?;

    let (ours, theirs) = UnixStream::pair().map_err(doing("make a socket pair"))?;
    let (console, console_end) = io::pipe().map_err(doing("make a pipe"))?;
    let fd = theirs.as_raw_fd();
    let mut command = Command::new(&kernel.image);
    command
        .arg(format!("mem={}M", options.memory_mib))
        .arg(format!("uml_dir={}", plain.display()))
        .args(["umid=u", "con=null", "con0=null,fd:1", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"])
        .arg(format!("ssl0=fd:{fd},fd:{fd}"))
        .args(QUICK)
        .args(options.seed.map(seeded).into_iter().flatten())
        // A panic ends the process at once. Until boot is over only that is worth a line; `inside` lets more through then.
        .args(["panic=-1", "quiet", "loglevel=1"])
        .arg(format!("init={}", init.display()))
        .args(["--", "inside", "--boot", "uml", "--boot-file"])
        .arg(&boot_file)
        .env_clear()
        .env("HOME", &plain)
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("TMPDIR", memory.path())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(console_end.try_clone().map_err(doing("copy a pipe's end"))?)
        .stderr(console_end);
    let (mut writable, mut passed) = (vec![output, plain], vec![fd]);
    match &memory {
        Memory::Nameless(folder) => passed.push(folder.as_raw_fd()),
        Memory::Named(path) => writable.push(path.clone()),
    }
    let confinement = Confinement {
        writable: Some(writable),
        writable_passed: memory.nameless(),
        own_namespaces: false,
        fixed_addresses: true,
    };
    let life = bind(&mut command, &passed, &confinement).map_err(doing("make ready to start a kernel"))?;
    let child = command.spawn().map_err(|source| StartError::Spawn { program: kernel.image.clone(), source })?;
    // Both hold ends that must close with the guest.
    drop((command, theirs, memory));
    Ok(Guest::watch(child, ours, console, options.on_console.clone(), life, Some(run)))
}
