//! Starting `drlab inside` under a kernel that can hold the lab.
//!
//! Owns: which kernel, how it is had, how it is started, watched and ended. Refuses: what is built in it, and judging.
//! Errs towards saying what the machine lacks: nothing here counts as a run that did not happen.

pub mod abilities;
pub mod bound;
pub mod cache;
pub mod guest;
mod host;
pub mod kernels;
pub mod own;
pub mod packages;
pub mod qemu;
mod uml;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::channel::Command;

pub use abilities::Abilities;
pub use cache::{Cache, CacheError};
pub use guest::{ConsoleTail, Guest, GuestError, Killer, OnConsole};
pub use kernels::{Kernel, KernelError};
pub use packages::tools;

/// What the lab's kernel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Substrate {
    /// This machine's own, in namespaces: needs root, and `ip_vs` where the Director is IPVS.
    Host,
    /// User-Mode Linux, a kernel that is an ordinary process: needs nothing.
    Uml,
    /// A distribution's kernel in a virtual machine: needs QEMU.
    Qemu,
}

impl fmt::Display for Substrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Uml => "uml",
            Self::Qemu => "qemu",
        })
    }
}

/// Memory of a guest where nothing else is said, in MiB.
pub const MEMORY_MIB: u32 = 256;

/// How long a guest may take until it says hello.
pub const HELLO_WITHIN: Duration = Duration::from_secs(20);

/// How a guest is started.
#[derive(Clone)]
pub struct StartOptions {
    /// The one folder of the machine that the guest may write to; it must exist. It has the same path inside.
    pub output: PathBuf,
    /// The guest's memory, in MiB; for `uml` and `qemu`.
    pub memory_mib: u32,
    /// The kernel; for `uml` and `qemu`. `None`: [`kernels::chosen`], [`kernels::chosen_for_qemu`].
    pub kernel: Option<Kernel>,
    /// Folders that must stay visible inside even where they lie below `/tmp` or `/run`, such as those of tools; `qemu`
    /// carries what is in them.
    pub visible: Vec<PathBuf>,
    /// The packages of which programs are called inside, or programs; `qemu` carries them, for it sees no others.
    pub programs: Vec<String>,
    /// How long it may take until hello.
    pub hello_within: Duration,
    /// The program that is `drlab`. `None`: this one.
    pub program: Option<PathBuf>,
    /// Called with each line of the guest's console.
    pub on_console: Option<OnConsole>,
    /// What all of the kernel's randomness is drawn from, with time that passes only as it is needed; only for drlab's
    /// own kernel ([`Kernel::is_own`]).
    pub seed: Option<u64>,
    /// What the guest carries out without being asked; for `uml`.
    pub orders: Vec<Command>,
    /// Called with the guest before it has said anything, so that it can be ended from elsewhere.
    pub on_spawn: Option<fn(&Guest)>,
}

impl StartOptions {
    /// The usual ones.
    pub fn new(output: &Path) -> Self {
        Self {
            output: output.to_owned(),
            memory_mib: MEMORY_MIB,
            kernel: None,
            visible: Vec::new(),
            programs: Vec::new(),
            hello_within: HELLO_WITHIN,
            program: None,
            on_console: None,
            seed: None,
            orders: Vec::new(),
            on_spawn: None,
        }
    }
}

/// Why a guest could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `host` without root.
    #[error("the host substrate needs root; without it there is `--substrate uml`")]
    NotRoot,
    /// `host` as root, but in a container that keeps root from making namespaces.
    #[error("the host substrate needs namespaces, which this root may not make; there is `--substrate uml`")]
    NoNamespaces,
    /// `host` in a chroot whose root folder is no mount point.
    #[error(
        "the host substrate needs a root folder that is a mount point, or its mounts would show on the machine; there \
         is `--substrate uml`, or a bind mount of the folder onto itself before chroot"
    )]
    BareChroot,
    /// `qemu` without QEMU.
    #[error(
        "the qemu substrate needs {} (Debian's package {}), which is not here; `drlab kernel fetch qemu` fetches it, \
         without root",
        qemu::PROGRAM,
        qemu::PACKAGE
    )]
    NoQemu,
    /// No kernel is there.
    #[error("found no kernel to start")]
    Kernel {
        /// Why.
        #[from]
        source: KernelError,
    },
    /// No folder to work in.
    #[error("could not make a folder for this run")]
    Cache {
        /// Why.
        #[from]
        source: CacheError,
    },
    /// The output folder is not there.
    #[error("could not use {} as the output folder", .path.display())]
    Output {
        /// The folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// No folder has room for the guest's memory.
    #[error("found no folder with room for a guest's {memory_mib} MiB of memory ({}); set TMPDIR to one", .tried.join("; "))]
    NoRoom {
        /// The memory wanted, in MiB.
        memory_mib: u32,
        /// What is wrong with each.
        tried: Vec<String>,
    },
    /// The kernel or program could not be started at all.
    #[error("could not start {}", .program.display())]
    Spawn {
        /// What was to be started.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Something small on the way failed.
    #[error("could not {what}")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// It started and did not say hello.
    #[error("the lab's kernel or process did not come up")]
    NoHello {
        /// What came instead.
        #[from]
        source: GuestError,
    },
}

/// Starts `drlab inside` and waits for its hello.
///
/// # Errors
/// [`StartError`]; nothing of the guest is left then.
pub fn start(kind: Substrate, options: &StartOptions) -> Result<Guest, StartError> {
    let mut guest = match kind {
        Substrate::Host => host::spawn(options)?,
        Substrate::Uml => {
            let cache = Cache::locate()?;
            let kernel = match &options.kernel {
                Some(kernel) => kernel.clone(),
                None => kernels::chosen(&cache)?,
            };
            uml::spawn(&kernel, options, &cache)?
        }
        Substrate::Qemu => {
            let cache = Cache::locate()?;
            let kernel = match &options.kernel {
                Some(kernel) => kernel.clone(),
                None => kernels::chosen_for_qemu(&cache)?,
            };
            qemu::spawn(&kernel, qemu::accelerator(&kernel, &cache)?, options, &cache)?
        }
    };
    if let Some(on_spawn) = options.on_spawn {
        on_spawn(&guest);
    }
    let longest = if kind == Substrate::Qemu { qemu::HELLO_WITHIN } else { Duration::ZERO };
    guest.greet(options.hello_within.max(longest))?;
    Ok(guest)
}
