//! The programs that build a kernel: the machine's own, and unpacked ones where it lacks them.
//!
//! Refuses: a compiler. It and the C library's headers are more packages than can be laid side by side without their
//! installation, so they are the machine's or missing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::packages::tools;
use super::{Cache, OwnError};

/// Programs that can be unpacked, and their packages.
const UNPACKED: [(&str, &str); 7] = [
    ("make", "make"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("m4", "m4"),
    ("bc", "bc"),
    ("patch", "patch"),
    ("xz", "xz-utils"),
];

/// Programs that are the machine's, and their packages.
const INSTALLED: [(&str, &str); 4] = [("gcc", "gcc"), ("ld", "binutils"), ("tar", "tar"), ("perl", "perl-base")];

/// A header that only the C library's development package has.
const HEADER: &str = "/usr/include/stdio.h";

/// What is there to build with.
#[derive(Debug)]
pub(super) struct Means {
    /// Where the unpacked programs are.
    roots: Vec<PathBuf>,
}

/// Sees to all that is needed.
pub(super) fn ready(cache: &Cache, progress: &mut dyn FnMut(&str)) -> Result<Means, OwnError> {
    let mut missing: Vec<(&str, &str)> =
        INSTALLED.into_iter().filter(|(program, _)| tools::on_path(program).is_none()).collect();
    if !Path::new(HEADER).is_file() {
        missing.push((HEADER, "libc6-dev"));
    }
    if !missing.is_empty() {
        let (programs, packages) = missing.into_iter().unzip();
        return Err(OwnError::Missing { programs, packages });
    }
    let lacking = UNPACKED.into_iter().filter(|(program, _)| tools::on_path(program).is_none());
    let roots = lacking.map(|(_, package)| tools::unpacked(cache, package, progress)).collect::<Result<_, _>>()?;
    Ok(Means { roots })
}

impl Means {
    /// A command that finds the unpacked programs and what belongs to them.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let below = |part: &str| self.roots.iter().map(|root| root.join(part)).collect::<Vec<_>>();
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env("PATH", joined(below("usr/bin"), std::env::split_paths(&path)));
        let libraries = below("usr/lib/x86_64-linux-gnu").into_iter().chain(below("lib/x86_64-linux-gnu"));
        let theirs = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        command.env("LD_LIBRARY_PATH", joined(libraries, std::env::split_paths(&theirs)));
        if let Some(m4) = below("usr/bin/m4").into_iter().find(|path| path.is_file()) {
            command.env("M4", m4);
        }
        if let Some(data) = below("usr/share/bison").into_iter().find(|path| path.is_dir()) {
            command.env("BISON_PKGDATADIR", data);
        }
        // What a user sets for other builds is not for this one.
        for name in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "KBUILD_OUTPUT", "KCONFIG_CONFIG", "ARCH", "CROSS_COMPILE"] {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C").stdin(Stdio::null());
        command
    }
}

/// Paths with colons between; none is empty, which would mean the current folder.
fn joined(first: impl IntoIterator<Item = PathBuf>, then: impl Iterator<Item = PathBuf>) -> OsString {
    let all = first.into_iter().chain(then).filter(|path| !path.as_os_str().is_empty());
    std::env::join_paths(all).unwrap_or_default()
}

/// What the compiler says of itself.
pub(super) fn compiler() -> Result<String, OwnError> {
    let missing = || OwnError::Missing { programs: vec!["gcc"], packages: vec!["gcc", "libc6-dev"] };
    let asked = Command::new("gcc").arg("--version").env("LC_ALL", "C").stdin(Stdio::null()).output();
    let said = String::from_utf8_lossy(&asked.map_err(|_| missing())?.stdout).into_owned();
    said.lines().next().map(str::to_owned).ok_or_else(missing)
}
