//! Starting a distribution's kernel in a virtual machine, whose only files are those of an initramfs made for it.
//!
//! Owns: QEMU's command line, and which QEMU and processor it is. Refuses: which kernel it is and what happens inside. The
//! guest sees no file system of this machine: commands and events go by one serial port, files of the run's folder by
//! another, and `files` decides which.

mod accel;
mod carried;
mod files;
mod initramfs;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

pub use accel::{Accelerator, accelerator, known_accelerator};

use super::bound::{Confinement, bind};
use super::cache::{Cache, RunFolder};
use super::guest::Guest;
use super::kernels::Kernel;
use super::packages::{self, PackageError, tools};
use super::{StartError, StartOptions};
use crate::channel::boot::{BootFile, CHANNEL_PORT, FILES_PORT};
use carried::INIT;
use initramfs::Archive;

/// The program, and Debian's package of it.
pub const PROGRAM: &str = "qemu-system-x86_64";
/// Debian's package of it.
pub const PACKAGE: &str = "qemu-system-x86";

/// How long a kernel may take until hello where every instruction is translated, on a machine with other things to do.
pub(super) const HELLO_WITHIN: Duration = Duration::from_secs(90);

/// How much longer anything may take where every instruction is translated: its seconds, by which it gives signs of life,
/// are instructions, and on a machine with other things to do many of ours.
const TRANSLATED: u32 = 12;

/// Parameters without which boot takes longer: no mitigations of processors that this one is
/// not, no tests of ciphers, no calibration, one serial line, random numbers from the processor, and namespaces that end
/// without waiting for a quiet moment.
const QUICK: &str = "mitigations=off cryptomgr.notests no_timer_check tsc=reliable 8250.nr_uarts=1 \
                     random.trust_cpu=on rcupdate.rcu_expedited=1 audit=0 selinux=0 apparmor=0";

/// A QEMU that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qemu {
    /// The program.
    pub program: PathBuf,
    /// Where its package is unpacked, where it is not installed.
    pub root: Option<PathBuf>,
}

impl Qemu {
    /// The machine's, else one that was fetched; `None` where there is none.
    pub fn find(cache: &Cache) -> Option<Self> {
        if let Some(program) = tools::on_path(PROGRAM) {
            return Some(Self { program, root: None });
        }
        let root = packages::cached(cache, PACKAGE).into_iter().max()?;
        let program = root.join("usr/bin").join(PROGRAM);
        program.is_file().then_some(Self { program, root: Some(root) })
    }

    /// The same; fetched with all that it needs, without root, where there is none.
    ///
    /// # Errors
    /// [`PackageError`].
    pub fn find_or_fetch(cache: &Cache, progress: &mut dyn FnMut(&str)) -> Result<Self, PackageError> {
        if let Some(qemu) = Self::find(cache) {
            return Ok(qemu);
        }
        progress(&format!("this machine has no {PROGRAM}: fetching its package {PACKAGE}, without root"));
        packages::fetch_with_needs(cache, PACKAGE, progress)?;
        Self::find(cache).ok_or_else(|| PackageError::Failed {
            name: "apt-get",
            said: format!("what was fetched as {PACKAGE} has no {PROGRAM}"),
        })
    }

    /// The program as a command, with what an unpacked one has to be told.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear();
        if let Some(root) = &self.root {
            let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map(|folder| root.join(folder));
            // Paths of ours hold no colon; a cache whose path does finds no library, and says so.
            command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries).unwrap_or_default());
            for data in ["usr/share/qemu", "usr/share/seabios"] {
                command.arg("-L").arg(root.join(data));
            }
        }
        command
    }
}

/// Starts a kernel whose first process is `drlab inside`, and does not wait for it.
pub(super) fn spawn(
    kernel: &Kernel,
    accelerator: Accelerator,
    options: &StartOptions,
    cache: &Cache,
) -> Result<Guest, StartError> {
    let doing = |what: &'static str| move |source: io::Error| StartError::Io { what, source };
    let qemu = Qemu::find(cache).ok_or(StartError::NoQemu)?;
    let output = fs::canonicalize(&options.output)
        .map_err(|source| StartError::Output { path: options.output.clone(), source })?;
    let run = RunFolder::make(cache)?;
    let image = run.path().join("initramfs");
    pack(&image, kernel, options, &output).map_err(doing("make the guest's initramfs"))?;

    let pair = || UnixStream::pair().map_err(doing("make a socket pair"));
    let (ours, channel) = pair()?;
    let (file_server, file_line) = pair()?;
    let (console, console_end) = io::pipe().map_err(doing("make a pipe"))?;
    let mut command = qemu.command();
    command
        .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-smp", "1", "-M", "pc"])
        .args(["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny"])
        .args(accelerator.arguments())
        .args(["-m", &format!("{}M", options.memory_mib)])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(&image)
        .args(["-append", &format!("rdinit={INIT} console=ttyS0 panic=-1 quiet loglevel=1 {QUICK} {TO_INIT}")])
        .args(["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"])
        .args(["-device", "virtio-serial-pci"]);
    for (name, end) in [(CHANNEL_PORT, &channel), (FILES_PORT, &file_line)] {
        command
            .args(["-chardev", &format!("socket,id={name},fd={}", end.as_raw_fd())])
            .args(["-device", &format!("virtserialport,chardev={name},name={name}")]);
    }
    command
        .env("HOME", "/")
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(console_end.try_clone().map_err(doing("copy a pipe's end"))?)
        .stderr(console_end);
    let writable = [run.path().to_owned()].into_iter().chain(accelerator.device()).collect();
    let confinement = Confinement { writable: Some(writable), ..Confinement::default() };
    let passed = [channel.as_raw_fd(), file_line.as_raw_fd()];
    let life = bind(&mut command, &passed, &confinement).map_err(doing("make ready to start a kernel"))?;
    let child = command.spawn().map_err(|source| StartError::Spawn { program: qemu.program, source })?;
    // Both hold ends that must close with the guest.
    drop((command, channel, file_line));
    // It ends when the guest is gone and its end of the line with it.
    thread::spawn(move || files::serve(file_server, &output));
    let mut guest = Guest::watch(child, ours, console, options.on_console.clone(), life, Some(run));
    if accelerator == Accelerator::Tcg {
        guest.slow_down(TRANSLATED);
    }
    Ok(guest)
}

/// What the kernel hands to its first process.
const TO_INIT: &str = "-- inside --boot qemu --boot-file /boot.json";

fn pack(image: &Path, kernel: &Kernel, options: &StartOptions, output: &Path) -> io::Result<()> {
    let drlab = match &options.program {
        Some(program) => program.clone(),
        None => std::env::current_exe()?,
    };
    let mut archive = Archive::new(BufWriter::with_capacity(1 << 20, File::create(image)?))?;
    let boot = BootFile {
        output: output.to_owned(),
        modules: kernel.modules.clone(),
        visible: Vec::new(),
        orders: Vec::new(),
    };
    archive.file(Path::new("/boot.json"), 0o644, &serde_json::to_vec(&boot)?)?;
    carried::pack(&mut archive, &drlab, &options.programs, &options.visible, kernel.modules.as_deref())?;
    archive.finish()?.flush()
}
