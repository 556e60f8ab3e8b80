//! Sets of packages that the nodes of a lab have and the machine lacks, unpacked into one tree each.
//!
//! Owns: `trees/NAMES-DIGEST` below the cache, each whole or not there, with the list of what it is made of. What a set
//! needs is what `apt-get` would install on this machine for it, so a tree goes with the machine's own packages: a machine
//! with others gets another tree. Refuses: installing, and running what a package would run when installed; what that
//! would leave behind is in `installed`.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use super::apt::{self, Apt};
use super::{HALF_DONE, PackageError, installed, io_on, locked, of_this_machine, remove};
use crate::substrate::cache::Cache;

/// The machine's list of what is installed.
const STATUS: &str = "/var/lib/dpkg/status";

/// The folder below the cache.
const TREES: &str = "trees";

/// In a tree: the names of the files that it was unpacked from, a line each.
const CONTENTS: &str = "packages";

/// To be raised where the same packages are made into another tree.
const LAYOUT: u32 = 1;

/// A set of packages and the folder that holds what of it the machine lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The packages that were asked for.
    pub packages: Vec<String>,
    /// The folder, with `usr`, `etc` and `var` below it.
    pub folder: PathBuf,
}

/// The tree of a set of packages; fetched and unpacked where it isn't yet.
///
/// `progress` is told what goes on, a short line each.
///
/// # Errors
/// [`PackageError`]; the cache then has of this set what it had before.
pub fn tree(cache: &Cache, packages: &[String], progress: &mut dyn FnMut(&str)) -> Result<Tree, PackageError> {
    let name = name(packages, digest(packages)?);
    let there = || cache.holds(TREES, &name).map(|folder| Tree { packages: packages.to_vec(), folder });
    if let Some(tree) = there() {
        return Ok(tree);
    }
    let (room, _lock) = locked(cache, progress)?;
    if let Some(tree) = there() {
        return Ok(tree);
    }
    let folder = cache.folder(TREES)?.join(&name);
    let half_done = room.join(HALF_DONE);
    remove(&half_done)?;
    let made = make(cache, packages, &half_done, &folder, progress);
    let cleaned = remove(&half_done);
    made?;
    cleaned?;
    Ok(Tree { packages: packages.to_vec(), folder })
}

/// The folder of a set's tree, where it was made earlier.
pub fn made(cache: &Cache, packages: &[String]) -> Option<PathBuf> {
    cache.holds(TREES, &name(packages, digest(packages).ok()?))
}

/// What a set's tree is called: for people its first packages, and the digest of all that it follows from.
fn name(packages: &[String], digest: u64) -> String {
    const LONGEST: usize = 48;
    let mut names = packages.join("+");
    // An overlay's options know a colon and a comma as signs of their own; a package's name holds neither.
    names.truncate(LONGEST);
    format!("{names}-{digest:016x}")
}

/// A digest of everything that a tree follows from, beside the machine's sources.
fn digest(packages: &[String]) -> Result<u64, PackageError> {
    let mut digest = DefaultHasher::new();
    (LAYOUT, packages).hash(&mut digest);
    for file in [STATUS, "/etc/passwd", "/etc/group"].map(Path::new) {
        let text = fs::read(file).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => PackageError::NoProgram { name: "dpkg", source },
            _ => io_on("read", file)(source),
        })?;
        text.hash(&mut digest);
    }
    Ok(digest.finish())
}

fn make(
    cache: &Cache,
    packages: &[String],
    half_done: &Path,
    folder: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<(), PackageError> {
    progress(&format!("fetching {} and what of their needs this machine lacks, without root", packages.join(", ")));
    let apt = of_this_machine(cache)?;
    let files = download(&apt, packages, half_done, progress)?;
    let unpacked = half_done.join("unpacked");
    fs::create_dir_all(unpacked.join("usr")).map_err(io_on("make the folder", &unpacked))?;
    let mut names = Vec::new();
    for file in &files {
        apt::unpack(file, &unpacked, progress)?;
        names.push(file.file_stem().unwrap_or_default().to_string_lossy().into_owned());
    }
    progress(&format!("unpacked {} packages", names.len()));
    merge_usr(&unpacked)?;
    installed::complete(&unpacked)?;
    let list = unpacked.join(CONTENTS);
    fs::write(&list, names.join("\n") + "\n").map_err(io_on("write", &list))?;
    fs::rename(&unpacked, folder).map_err(io_on("put in place", folder))
}

/// The files of all packages that the machine would install for a set, in the order of their names.
pub(super) fn download(
    apt: &Apt,
    packages: &[String],
    half_done: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<PathBuf>, PackageError> {
    let archives = half_done.join("archives");
    let state = half_done.join("state");
    for folder in [&archives.join("partial"), &state] {
        fs::create_dir_all(folder).map_err(io_on("make the folder", folder))?;
    }
    // Beside the list of what is installed, `apt-get` wants a lock, which on the machine's own is root's.
    let status = state.join("status");
    fs::copy(STATUS, &status).map_err(io_on("copy the list of what is installed to", &status))?;
    // Lists of an earlier fetch save the update, unless what they name is no longer there.
    let earlier = apt.has_lists() && apt.install(packages, &status, &archives, progress).is_ok();
    if !earlier {
        progress("fetching the lists of packages");
        let update = apt.update(progress);
        // One source out of several may be broken, and the packages in another.
        if let Err(error) = apt.install(packages, &status, &archives, progress) {
            return Err(match (update, error) {
                (Err(cause), PackageError::NoSuchPackage { .. } | PackageError::Failed { .. }) => cause,
                (_, error) => error,
            });
        }
    }
    let mut files: Vec<PathBuf> = fs::read_dir(&archives)
        .map_err(io_on("read", &archives))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    files.sort();
    Ok(files)
}

/// Where the machine has `/lib` and its like as links into `/usr`, moves what packages have there to the same place.
fn merge_usr(unpacked: &Path) -> Result<(), PackageError> {
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        let apart = unpacked.join(name);
        let linked = fs::symlink_metadata(Path::new("/").join(name)).is_ok_and(|found| found.is_symlink());
        if linked && apart.is_dir() {
            merge(&apart, &unpacked.join("usr").join(name))?;
        }
    }
    Ok(())
}

fn merge(from: &Path, into: &Path) -> Result<(), PackageError> {
    let is_folder = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    if !(is_folder(from) && is_folder(into)) {
        return fs::rename(from, into).map_err(io_on("put in place", into));
    }
    for entry in fs::read_dir(from).map_err(io_on("read", from))? {
        let entry = entry.map_err(io_on("read", from))?;
        merge(&entry.path(), &into.join(entry.file_name()))?;
    }
    fs::remove_dir(from).map_err(io_on("remove", from))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{merge, name};

    #[test]
    fn a_trees_name_goes_into_an_overlays_options() {
        let packages = vec!["libapache2-mod-php".to_owned(), "g++".to_owned(), "x".repeat(60)];
        let name = name(&packages, 7);
        assert!(name.starts_with("libapache2-mod-php+g++") && name.ends_with("-0000000000000007"), "{name}");
        assert!(name.is_ascii() && !name.contains([':', ',']), "{name}");
    }

    #[test]
    fn folders_that_both_have_become_one() {
        let root = std::env::temp_dir().join(format!("drlab-test-{}-merge", std::process::id()));
        for folder in ["lib/systemd/system", "usr/lib/systemd"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("lib/systemd/system/one"), "1").unwrap();
        fs::write(root.join("usr/lib/systemd/two"), "2").unwrap();
        merge(&root.join("lib"), &root.join("usr/lib")).unwrap();
        assert!(!root.join("lib").exists());
        assert_eq!(fs::read_to_string(root.join("usr/lib/systemd/system/one")).unwrap(), "1");
        assert_eq!(fs::read_to_string(root.join("usr/lib/systemd/two")).unwrap(), "2");
        fs::remove_dir_all(root).unwrap();
    }
}
