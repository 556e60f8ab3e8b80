//! Packages of the machine's distribution, fetched and unpacked into the cache without root.
//!
//! Owns: `packages/NAME_VERSION_ARCH` below the cache, each whole or not there; `trees` has sets of them. Refuses: installing, and running what a
//! package would run when installed. One process at a time changes the folder; what one left half-done the next removes.

mod apt;
mod debian;
mod installed;
pub mod tools;
pub mod trees;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use apt::Apt;

use super::cache::{Cache, CacheError, lock_file};

/// Why a package could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The machine is not of the family whose packages these are.
    #[error("could not find {name}: packages are fetched with Debian's and Ubuntu's tools")]
    NoProgram {
        /// The tool.
        name: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The tool could not be started or followed.
    #[error("could not run {name}")]
    NoStart {
        /// The tool.
        name: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The servers that the machine's sources name were not reached.
    #[error("could not reach the package servers: {said}")]
    NoNetwork {
        /// The line in which the tool says so.
        said: String,
    },
    /// The machine's sources don't have it.
    #[error("could not find the package {package} in this machine's sources: {said}")]
    NoSuchPackage {
        /// Its name.
        package: String,
        /// The tool's line.
        said: String,
    },
    /// The disk is full.
    #[error("found no room for the package in the cache: {said}")]
    NoRoom {
        /// The tool's line.
        said: String,
    },
    /// The tool failed otherwise.
    #[error("{name} failed: {said}")]
    Failed {
        /// The tool.
        name: &'static str,
        /// Its last error line.
        said: String,
    },
    /// A file or folder of ours.
    #[error("could not {what} {}", .path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// On which.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The cache can't be used.
    #[error("could not use the cache")]
    Cache {
        /// Why.
        #[from]
        source: CacheError,
    },
}

fn io_on(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PackageError {
    let path = path.to_owned();
    move |source| PackageError::Io { what, path, source }
}

/// Where a package is until it is whole, below the folder of packages; whoever holds the lock may remove it.
const HALF_DONE: &str = ".new";

/// The folders of a package's versions that are in the cache, in no order.
pub fn cached(cache: &Cache, package: &str) -> Vec<PathBuf> {
    cached_like(cache, &|name| name == package)
}

/// The folders of the packages in the cache whose names are wanted, in no order.
pub(super) fn cached_like(cache: &Cache, wanted: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let folders = cache.all("packages").into_iter().filter_map(|folder| fs::read_dir(folder).ok());
    folders
        .flat_map(Iterator::flatten)
        .filter(|entry| entry.file_name().to_string_lossy().split('_').next().is_some_and(wanted))
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

/// Fetches the newest version of a package that the machine's sources have and unpacks it; gives its folder.
///
/// `progress` is told what goes on, a short line each.
///
/// # Errors
/// [`PackageError`]; the cache then has of this package what it had before.
pub fn fetch(cache: &Cache, package: &str, progress: &mut dyn FnMut(&str)) -> Result<PathBuf, PackageError> {
    fetch_with(cache, package, &|| of_this_machine(cache), &mut |_, _, _, _| Ok(()), progress)
}

/// As [`fetch`]; where the machine's sources don't have the package, Debian's.
///
/// # Errors
/// [`PackageError`]; the cache then has of this package what it had before.
pub fn fetch_or_borrow(cache: &Cache, package: &str, progress: &mut dyn FnMut(&str)) -> Result<PathBuf, PackageError> {
    match fetch(cache, package, progress) {
        Err(PackageError::NoSuchPackage { .. }) => debian::fetch_from(cache, package, progress),
        other => other,
    }
}

/// Fetches a package of source code, whatever this machine's C library: from the machine's sources, else Debian's.
///
/// # Errors
/// [`PackageError`]; the cache then has of this package what it had before.
pub fn fetch_source(cache: &Cache, package: &str, progress: &mut dyn FnMut(&str)) -> Result<PathBuf, PackageError> {
    match fetch(cache, package, progress) {
        Err(PackageError::NoSuchPackage { .. }) => debian::fetch_source(cache, package, progress),
        other => other,
    }
}

/// Fetches a package and all that it needs and this machine lacks, unpacked into one folder.
///
/// # Errors
/// [`PackageError`]; the cache then has of this package what it had before.
pub fn fetch_with_needs(cache: &Cache, package: &str, progress: &mut dyn FnMut(&str)) -> Result<PathBuf, PackageError> {
    let needs: Complete<'_> = &mut |apt, unpacked, room, progress| {
        progress("fetching what it needs and this machine lacks");
        for file in trees::download(apt, &[package.to_owned()], room, progress)? {
            let is_itself =
                || file.file_name().is_some_and(|name| name.to_string_lossy().split('_').next() == Some(package));
            if file.extension().is_some_and(|extension| extension == "deb") && !is_itself() {
                apt::unpack(&file, unpacked, progress)?;
            }
        }
        Ok(())
    };
    fetch_with(cache, package, &|| of_this_machine(cache), needs, progress)
}

/// A package that is chosen by what the sources have.
pub(super) struct Choice<'a> {
    /// What is wanted, for people.
    pub(super) wanted: &'a str,
    /// How the names begin that come into question.
    pub(super) prefix: &'a str,
    /// Chooses among names.
    pub(super) choose: &'a dyn Fn(&[String]) -> Option<String>,
    /// The release of Debian's that has it where the machine's sources don't.
    pub(super) release: &'a str,
}

/// Is given where a package is unpacked, and what unpacks a further one to the same place.
pub(super) type Completed<'a> =
    &'a mut dyn FnMut(&Path, &mut dyn FnMut(&str) -> Result<(), PackageError>) -> Result<(), PackageError>;

/// Unpacks a package to where another one is; its file is put below `room`.
fn unpack_into(
    apt: &Apt,
    package: &str,
    room: &Path,
    unpacked: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<(), PackageError> {
    let folder = room.join(package);
    fs::create_dir_all(&folder).map_err(io_on("make the folder", &folder))?;
    apt.download(package, &folder, progress)?;
    apt::unpack(&only_file(&folder)?, unpacked, progress)
}

/// Fetches the package that is chosen of those that the machine's sources have, else of those that Debian's release has.
///
/// # Errors
/// [`PackageError`]; the cache then has of this package what it had before.
pub(super) fn fetch_chosen(
    cache: &Cache,
    choice: &Choice<'_>,
    complete: Completed<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, PackageError> {
    let complete: Complete<'_> = &mut |apt, unpacked, room, progress| {
        complete(unpacked, &mut |package| unpack_into(apt, package, room, unpacked, progress))
    };
    let own: Source<'_> = &|| of_this_machine(cache);
    match choose(&own()?, choice, progress) {
        Ok(package) => return fetch_with(cache, &package, own, complete, progress),
        Err(PackageError::NoSuchPackage { .. }) => {}
        Err(other) => return Err(other),
    }
    progress(&format!("this machine's sources have no {}: taking that of Debian {}", choice.wanted, choice.release));
    let (folder, line) = debian::source_of(cache, choice.wanted, choice.release, progress)?;
    let debian: Source<'_> = &|| Apt::with_source(&folder, &line);
    let package = choose(&debian()?, choice, progress)?;
    fetch_with(cache, &package, debian, complete, progress)
}

/// Chooses by earlier lists where they have what is wanted, else by new ones.
fn choose(apt: &Apt, choice: &Choice<'_>, progress: &mut dyn FnMut(&str)) -> Result<String, PackageError> {
    let chosen = |apt: &Apt| Ok::<_, PackageError>((choice.choose)(&apt.names(choice.prefix)?));
    if apt.has_lists()
        && let Some(package) = chosen(apt)?
    {
        return Ok(package);
    }
    progress("fetching the lists of packages");
    let update = apt.update(progress);
    match (chosen(apt)?, update) {
        (Some(package), _) => Ok(package),
        (None, Err(cause)) => Err(cause),
        (None, Ok(())) => Err(PackageError::NoSuchPackage {
            package: choice.wanted.to_owned(),
            said: "no package has such a name".to_owned(),
        }),
    }
}

/// Makes the `apt-get` to ask.
type Source<'a> = &'a dyn Fn() -> Result<Apt, PackageError>;

fn of_this_machine(cache: &Cache) -> Result<Apt, PackageError> {
    Apt::at(&cache.folder("apt")?)
}

/// What is still to be done to a package that is unpacked and not yet in its place: given where it is unpacked and a
/// folder for files.
type Complete<'a> = &'a mut dyn FnMut(&Apt, &Path, &Path, &mut dyn FnMut(&str)) -> Result<(), PackageError>;

fn fetch_with(
    cache: &Cache,
    package: &str,
    source: Source<'_>,
    complete: Complete<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, PackageError> {
    let (packages, _lock) = locked(cache, progress)?;
    let half_done = packages.join(HALF_DONE);
    remove(&half_done)?;
    let fetched = fetch_into(package, source, &packages, complete, progress);
    let cleaned = remove(&half_done);
    let folder = fetched?;
    cleaned?;
    Ok(folder)
}

/// The folder of packages, and the lock of whoever changes it or what is made of packages.
fn locked(cache: &Cache, progress: &mut dyn FnMut(&str)) -> Result<(PathBuf, File), PackageError> {
    let packages = cache.folder("packages")?;
    let door = packages.join(".lock");
    let lock = lock_file(&door).map_err(io_on("open", &door))?;
    if lock.try_lock().is_err() {
        progress("another drlab is fetching a package: waiting for it");
        lock.lock().map_err(io_on("lock", &door))?;
    }
    Ok((packages, lock))
}

fn remove(folder: &Path) -> Result<(), PackageError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_on("remove", folder)(error)),
        _ => Ok(()),
    }
}

fn fetch_into(
    package: &str,
    source: Source<'_>,
    packages: &Path,
    complete: Complete<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, PackageError> {
    let half_done = packages.join(HALF_DONE);
    let apt = source()?;
    let downloaded = half_done.join("download");
    fs::create_dir_all(&downloaded).map_err(io_on("make the folder", &downloaded))?;
    // Lists of an earlier fetch save the update, unless what they name is no longer there.
    let earlier = apt.has_lists() && apt.download(package, &downloaded, progress).is_ok();
    if !earlier {
        progress("fetching the lists of packages");
        let update = apt.update(progress);
        // One source out of several may be broken, and the package in another.
        if let Err(error) = apt.download(package, &downloaded, progress) {
            return Err(match (update, error) {
                (Err(cause), PackageError::NoSuchPackage { .. } | PackageError::Failed { .. }) => cause,
                (_, error) => error,
            });
        }
    }
    let file = only_file(&downloaded)?;
    let folder = packages.join(file.file_stem().unwrap_or_default());
    if folder.is_dir() {
        progress(&format!("{} is there already", folder.display()));
        return Ok(folder);
    }
    progress(&format!("unpacking it to {}", folder.display()));
    let unpacked = half_done.join("unpacked");
    apt::unpack(&file, &unpacked, progress)?;
    link_alternatives(&unpacked)?;
    complete(&apt, &unpacked, &half_done.join("libraries"), progress)?;
    fs::rename(&unpacked, &folder).map_err(io_on("put in place", &folder))?;
    Ok(folder)
}

fn only_file(folder: &Path) -> Result<PathBuf, PackageError> {
    let missing = || PackageError::Failed { name: "apt-get", said: "it ended well and fetched nothing".to_owned() };
    fs::read_dir(folder)
        .map_err(io_on("read", folder))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or_else(missing)
}

/// Gives a package's `NAME-legacy` programs their plain names, which its installation would do.
fn link_alternatives(unpacked: &Path) -> Result<(), PackageError> {
    for folder in ["usr/sbin", "sbin"].map(|name| unpacked.join(name)) {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for name in entries.flatten().map(|entry| entry.file_name()) {
            let Some(plain) = plain_name(&name) else { continue };
            let link = folder.join(plain);
            match symlink(&name, &link) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(io_on("make the link", &link)(error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// `iptables` for `iptables-legacy`, `iptables-save` for `iptables-legacy-save`.
fn plain_name(name: &std::ffi::OsStr) -> Option<OsString> {
    let name = name.to_str()?;
    let (before, after) = name.split_once("-legacy")?;
    Some(format!("{before}{after}").into())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::plain_name;

    #[test]
    fn a_legacy_programs_plain_name_is_what_an_installation_would_link() {
        assert_eq!(plain_name(OsStr::new("iptables-legacy-save")), Some("iptables-save".into()));
        assert_eq!(plain_name(OsStr::new("arptables-legacy")), Some("arptables".into()));
        assert_eq!(plain_name(OsStr::new("arptables-nft")), None);
    }
}
