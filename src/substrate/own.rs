//! drlab's own User-Mode Linux kernel: Debian's source, a small configuration and a few patches, built on this machine.
//!
//! Owns: what the kernel is made of, which built ones are in the cache, and building one: `kernels/VERSION-HASH` below
//! the cache, the hash over all that it was made of, each whole or not there. Refuses: installing a compiler. One
//! process at a time builds; what one left half-done the next removes. Errs towards building anew: a kernel that was
//! made by another configuration or other patches is not taken.

mod making;
mod means;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use include_dir::{Dir, include_dir};
use nix::sys::statvfs::statvfs;
use serde::{Deserialize, Serialize};

use self::making::Making;
use super::cache::{Cache, CacheError, lock_file};
use super::packages::{self, PackageError};

/// Debian's package of the source.
pub const SOURCE: &str = "linux-source-6.12";

/// What the release of a kernel of ours ends with, by its configuration.
pub const SUFFIX: &str = "-drlab";

/// What the kernel has beside the smallest configuration there is.
const CONFIGURATION: &str = include_str!("../../ci/kernel/config");

/// What is changed of Debian's source, in the order of the names.
static PATCHES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/ci/kernel/patches");

/// What unpacked source and compiled files take together, in MiB.
const ROOM_MIB: u64 = 1200;

/// Why drlab's own kernel could not be built.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// User-Mode Linux is for x86-64.
    #[error("could not build a User-Mode Linux kernel for {architecture}: it is for x86_64 only")]
    Architecture {
        /// This machine's.
        architecture: &'static str,
    },
    /// Programs that can't be unpacked without root.
    #[error("found no {} to build a kernel with; as root: apt-get install {}", .programs.join(", "), .packages.join(" "))]
    Missing {
        /// What is missing.
        programs: Vec<&'static str>,
        /// What has it.
        packages: Vec<&'static str>,
    },
    /// A package could not be fetched.
    #[error("could not fetch what a kernel is built of")]
    Package {
        /// Why.
        #[from]
        source: PackageError,
    },
    /// The disk is too small.
    #[error("found {free_mib} MiB free in {} and a build takes {ROOM_MIB} MiB", .folder.display())]
    NoRoom {
        /// Where.
        folder: PathBuf,
        /// What is free.
        free_mib: u64,
    },
    /// A step failed.
    #[error("could not {step}: {said} (all of its output: {})", .log.display())]
    Step {
        /// What was attempted.
        step: &'static str,
        /// The program's last lines.
        said: String,
        /// The file with all that was said.
        log: PathBuf,
    },
    /// The source does not know options, or does not let them be.
    #[error("could not configure the kernel: its source does not take {}", .options.join(" "))]
    Options {
        /// The lines that were lost.
        options: Vec<String>,
    },
    /// A file or folder.
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

fn io_on(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OwnError {
    let path = path.to_owned();
    move |source| OwnError::Io { what, path, source }
}

/// What a kernel was made of; kept beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// The version of Debian's source package.
    pub source: String,
    /// The configuration and the patches, as a hash.
    pub recipe: String,
    /// What the compiler says of itself.
    pub compiler: String,
    /// The release that the kernel says it is, known once it is built.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub release: String,
}

impl Inputs {
    fn of(source: &str) -> Result<Self, OwnError> {
        Ok(Self { source: source.to_owned(), recipe: recipe(), compiler: means::compiler()?, release: String::new() })
    }

    /// The name of the folder.
    fn folder(&self) -> String {
        format!("{}-{}", self.source, hash(&[&self.source, &self.recipe, &self.compiler]))
    }
}

/// A kernel that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The program.
    pub image: PathBuf,
    /// What it was made of.
    pub inputs: Inputs,
}

/// The built kernels in the cache that are made by this drlab's configuration and patches, in no order.
pub fn built(cache: &Cache) -> Vec<Built> {
    let Ok(entries) = fs::read_dir(cache.root().join("kernels")) else { return Vec::new() };
    let recipe = recipe();
    entries
        .flatten()
        .filter_map(|entry| {
            let text = fs::read(entry.path().join(INPUTS)).ok()?;
            let inputs: Inputs = serde_json::from_slice(&text).ok()?;
            let image = entry.path().join(IMAGE);
            (inputs.recipe == recipe && image.is_file()).then_some(Built { image, inputs })
        })
        .collect()
}

const IMAGE: &str = "linux";
const INPUTS: &str = "inputs.json";

/// Where a kernel is until it is whole; whoever holds the lock may remove it.
const HALF_DONE: &str = ".new";

/// Builds the kernel, unless one is there that is made of the same; with `newest` the package servers are asked for a
/// newer source even where one is there.
///
/// `progress` is told what goes on, a short line each.
///
/// # Errors
/// [`OwnError`]; the kernels that were there are there still.
pub fn build(cache: &Cache, newest: bool, progress: &mut dyn FnMut(&str)) -> Result<Built, OwnError> {
    if std::env::consts::ARCH != "x86_64" {
        return Err(OwnError::Architecture { architecture: std::env::consts::ARCH });
    }
    let folder = cache.folder("kernels")?;
    let door = folder.join(".lock");
    let lock = lock_file(&door).map_err(io_on("open", &door))?;
    if lock.try_lock().is_err() {
        progress("another drlab is building a kernel: waiting for it");
        lock.lock().map_err(io_on("lock", &door))?;
    }
    let compiler = means::compiler()?;
    let same = |built: &Built| built.inputs.compiler == compiler;
    if let Some(there) = built(cache).into_iter().find(|built| !newest && same(built)) {
        progress("it is there already");
        return Ok(there);
    }
    let half_done = folder.join(HALF_DONE);
    remove(&half_done)?;
    let made = make(cache, &folder, &half_done, progress);
    let cleaned = remove(&half_done);
    let made = made?;
    cleaned?;
    Ok(made)
}

fn make(cache: &Cache, folder: &Path, half_done: &Path, progress: &mut dyn FnMut(&str)) -> Result<Built, OwnError> {
    let means = means::ready(cache, progress)?;
    let package = packages::fetch_source(cache, SOURCE, progress)?;
    let inputs = Inputs::of(&version_of(&package))?;
    let goal = folder.join(inputs.folder());
    if let Some(there) = built(cache).into_iter().find(|built| built.image.parent() == Some(goal.as_path())) {
        progress("it is there already");
        remove(&package)?;
        return Ok(there);
    }
    has_room(folder)?;
    fs::create_dir_all(half_done).map_err(io_on("make the folder", half_done))?;
    let archive = package.join("usr/src").join(format!("{SOURCE}.tar.xz"));
    let making = Making { means: &means, folder: half_done, log: folder.join("build.log") };
    let image = making.image(&archive, SOURCE, CONFIGURATION, &patches(), progress)?;
    let release = release(&image)?;
    let inputs = Inputs { release, ..inputs };
    let result = half_done.join("result");
    fs::create_dir_all(&result).map_err(io_on("make the folder", &result))?;
    fs::copy(&image, result.join(IMAGE)).map_err(io_on("copy", &image))?;
    let text = serde_json::to_vec_pretty(&inputs).map_err(|error| io_on("write", &result)(error.into()))?;
    fs::write(result.join(INPUTS), text).map_err(io_on("write", &result))?;
    remove(&goal)?;
    fs::rename(&result, &goal).map_err(io_on("put in place", &goal))?;
    // It takes more room than all else in the cache, and is asked for again only where it has changed.
    remove(&package)?;
    Ok(Built { image: goal.join(IMAGE), inputs })
}

fn remove(path: &Path) -> Result<(), OwnError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_on("remove", path)(error)),
        _ => Ok(()),
    }
}

fn has_room(folder: &Path) -> Result<(), OwnError> {
    let found = statvfs(folder).map_err(|errno| io_on("look for room in", folder)(errno.into()))?;
    let free_mib = found.blocks_available().saturating_mul(found.fragment_size()) >> 20;
    if free_mib < ROOM_MIB {
        return Err(OwnError::NoRoom { folder: folder.to_owned(), free_mib });
    }
    Ok(())
}

/// The version in `linux-source-6.12_6.12.117-1_all`.
fn version_of(package: &Path) -> String {
    let name = package.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.split('_').nth(1).unwrap_or(&name).replace("%3a", ":")
}

/// Asks the kernel for its release, which does not boot it.
fn release(image: &Path) -> Result<String, OwnError> {
    let asked = Command::new(image).arg("--version").env_clear().env("HOME", "/").stdin(Stdio::null()).output();
    let answer = asked.map_err(io_on("ask for its version", image))?;
    Ok(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
}

/// Each patch's name and text, in order.
fn patches() -> Vec<(String, &'static [u8])> {
    let mut patches: Vec<_> = PATCHES
        .files()
        .filter(|file| file.path().extension().is_some_and(|extension| extension == "patch"))
        .map(|file| (file.path().display().to_string(), file.contents()))
        .collect();
    patches.sort();
    patches
}

/// The configuration and the patches, as a hash.
fn recipe() -> String {
    let patches = patches();
    let texts = patches.iter().map(|(_, text)| *text);
    hash_bytes(std::iter::once(CONFIGURATION.as_bytes()).chain(texts))
}

fn hash(texts: &[&str]) -> String {
    hash_bytes(texts.iter().map(|text| text.as_bytes()))
}

/// FNV-1a of 64 bits, the same on every machine and in every version; it tells versions apart and guards nothing.
fn hash_bytes<'a>(texts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for text in texts {
        for byte in text.len().to_le_bytes().iter().chain(text) {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    format!("{state:016x}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{CONFIGURATION, Inputs, SUFFIX, hash, patches, version_of};

    #[test]
    fn what_a_kernel_is_made_of_names_its_folder() {
        let inputs = |source: &str, recipe: &str, compiler: &str| Inputs {
            source: source.into(),
            recipe: recipe.into(),
            compiler: compiler.into(),
            release: "6.12.117-drlab".into(),
        };
        let one = inputs("6.12.117-1", "a", "gcc 12");
        assert!(one.folder().starts_with("6.12.117-1-"));
        assert_eq!(one.folder(), Inputs { release: String::new(), ..one.clone() }.folder());
        for other in [
            inputs("6.12.118-1", "a", "gcc 12"),
            inputs("6.12.117-1", "b", "gcc 12"),
            inputs("6.12.117-1", "a", "gcc 14"),
        ] {
            assert_ne!(one.folder(), other.folder());
        }
    }

    #[test]
    fn where_one_text_ends_and_the_next_begins_is_part_of_the_hash() {
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
    }

    #[test]
    fn a_packages_folder_tells_the_sources_version() {
        assert_eq!(version_of(Path::new("/c/linux-source-6.12_6.12.117-1~deb12u1_all")), "6.12.117-1~deb12u1");
    }

    #[test]
    fn every_line_of_the_configuration_sets_an_option_once() {
        let mut seen = std::collections::BTreeSet::new();
        for line in CONFIGURATION.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (option, _) = line.split_once('=').unwrap();
            assert!(option.starts_with("CONFIG_") && seen.insert(option), "{line}");
        }
        assert!(!CONFIGURATION.contains("=m"), "all is built in");
        assert!(CONFIGURATION.contains(&format!("CONFIG_LOCALVERSION=\"{SUFFIX}\"")));
    }

    #[test]
    fn every_patch_says_why_it_is_there() {
        for (name, text) in patches() {
            let text = std::str::from_utf8(text).unwrap();
            let why = text.split("\n---").next().unwrap();
            assert!(why.len() > 100, "{name}");
        }
    }
}
