//! Debian's packages on a machine whose distribution has `apt-get` and not the package, as Ubuntu has no User-Mode Linux.
//!
//! Owns: where Debian's archive is and which keys it is signed with, by the word of the machine's own distribution, whose
//! `debootstrap` names the one and whose `debian-archive-keyring` holds the other. Refuses: a package whose C library
//! would be newer than the machine's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::apt::Apt;
use super::{PackageError, Source, fetch, fetch_with, io_on};
use crate::substrate::cache::Cache;

/// Debian's releases that have what is wanted, newest first, with the C library that their programs ask for
/// (`Depends` of their `user-mode-linux`).
const RELEASES: [(&str, (u32, u32)); 2] = [("trixie", (2, 38)), ("bookworm", (2, 34))];

/// Fetches a package of the newest release whose programs run with this machine's C library.
///
/// # Errors
/// [`PackageError`]; the cache then has of this package what it had before.
pub(super) fn fetch_from(
    cache: &Cache,
    package: &str,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, PackageError> {
    let lacking = |said: &str| PackageError::NoSuchPackage { package: package.to_owned(), said: said.to_owned() };
    let library = library_version().ok_or_else(|| lacking("and this machine has no GNU C library for Debian's"))?;
    let release = RELEASES.iter().find(|(_, needs)| *needs <= library).map(|(release, _)| *release);
    let release = release.ok_or_else(|| lacking("and its C library is older than what Debian's asks for"))?;
    fetch_of(release, cache, package, progress)
}

/// Fetches a package that holds no programs, so that any C library will do, of the newest release.
///
/// # Errors
/// [`PackageError`]; the cache then has of this package what it had before.
pub(super) fn fetch_source(
    cache: &Cache,
    package: &str,
    progress: &mut dyn FnMut(&str),
) -> Result<std::path::PathBuf, PackageError> {
    let [(newest, _), ..] = RELEASES;
    fetch_of(newest, cache, package, progress)
}

fn fetch_of(
    release: &str,
    cache: &Cache,
    package: &str,
    progress: &mut dyn FnMut(&str),
) -> Result<std::path::PathBuf, PackageError> {
    progress(&format!("this distribution has no {package}: taking that of Debian {release}"));
    let (folder, line) = source_of(cache, package, release, progress)?;
    let source: Source<'_> = &|| Apt::with_source(&folder, &line);
    fetch_with(cache, package, source, &mut |_, _, _, _| Ok(()), progress)
}

/// The folder for what `apt-get` knows of a release of Debian's, and the line that names it as its source.
///
/// # Errors
/// [`PackageError`].
pub(super) fn source_of(
    cache: &Cache,
    package: &str,
    release: &str,
    progress: &mut dyn FnMut(&str),
) -> Result<(PathBuf, String), PackageError> {
    let lacking = |said: &str| PackageError::NoSuchPackage { package: package.to_owned(), said: said.to_owned() };
    let knows_archive = fetch(cache, "debootstrap", progress)?.join("usr/sbin/debootstrap");
    let keys = fetch(cache, "debian-archive-keyring", progress)?.join("usr/share/keyrings/debian-archive-keyring.gpg");
    let text = fs::read_to_string(&knows_archive).map_err(io_on("read", &knows_archive))?;
    let archive = archive_in(&text).ok_or_else(|| lacking("and its debootstrap names no archive of Debian's"))?;
    Ok((cache.folder(&format!("apt-debian-{release}"))?, source_line(archive, &keys, release)))
}

fn source_line(archive: &str, keys: &Path, release: &str) -> String {
    format!("deb [signed-by={}] {archive} {release} main\n", keys.display())
}

/// What `debootstrap` takes where it is told no mirror.
fn archive_in(script: &str) -> Option<&str> {
    let value = script.lines().find_map(|line| line.strip_prefix("DEF_MIRROR="))?;
    Some(value.trim().trim_matches('"')).filter(|archive| archive.starts_with("http"))
}

fn library_version() -> Option<(u32, u32)> {
    let asked = Command::new("getconf").arg("GNU_LIBC_VERSION").stdin(Stdio::null()).output().ok()?;
    version_in(&String::from_utf8_lossy(&asked.stdout))
}

/// `glibc 2.39`.
fn version_in(said: &str) -> Option<(u32, u32)> {
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{archive_in, source_line, version_in};

    #[test]
    fn the_archive_is_the_one_that_debootstrap_takes_by_itself() {
        let script = "#!/bin/sh\nVARIANT=\"\"\nDEF_MIRROR=\"http://archive.example.org/debian\"\n";
        assert_eq!(archive_in(script), Some("http://archive.example.org/debian"));
        assert_eq!(archive_in("DEF_MIRROR=\"$OTHER\"\n"), None);
        assert_eq!(archive_in(""), None);
    }

    #[test]
    fn the_archive_has_to_be_signed_with_the_keys_that_were_fetched() {
        let line = source_line("http://archive.example.org/debian", Path::new("/keys.gpg"), "trixie");
        assert_eq!(line, "deb [signed-by=/keys.gpg] http://archive.example.org/debian trixie main\n");
    }

    #[test]
    fn versions_of_the_c_library_are_compared_by_their_numbers() {
        assert_eq!(version_in("glibc 2.39\n"), Some((2, 39)));
        assert!(version_in("glibc 2.9") < version_in("glibc 2.38"));
        assert_eq!(version_in("musl"), None);
    }
}
