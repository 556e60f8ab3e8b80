//! The folder in which drlab keeps what it fetched, and a folder below it for each guest that runs.
//!
//! Owns: where the cache is, and the life of a run's folder. Refuses: what is put into it. A run's folder is locked by
//! its owner for as long as it lives; one whose lock is free belongs to nobody and is removed at the next start.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access, geteuid};

/// Why there is no cache folder or no folder for a run.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The folder that `DRLAB_CACHE` names can't be used.
    #[error("could not use the cache folder {} that DRLAB_CACHE names", .path.display())]
    Named {
        /// The folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// None of the usual places can be used.
    #[error("found no folder to keep things in (tried {}); set DRLAB_CACHE to one that can be written", .tried.join(", "))]
    Nowhere {
        /// What was tried and what was wrong with it.
        tried: Vec<String>,
    },
    /// Something below the cache folder failed.
    #[error("could not {what} {}", .path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// The cache folder; it exists and can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
    /// A cache of somebody else, which is only read.
    shared: Option<PathBuf>,
}

impl Cache {
    /// Finds or makes the cache folder: `DRLAB_CACHE`, else `drlab` in `XDG_CACHE_HOME`, else `.cache/drlab` in a `HOME`
    /// that is the user's own, else `/tmp/drlab-UID`. What `DRLAB_SHARED_CACHE` holds is used as well, and not written.
    ///
    /// # Errors
    /// [`CacheError::Named`] and [`CacheError::Nowhere`].
    pub fn locate() -> Result<Self, CacheError> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let shared = set("DRLAB_SHARED_CACHE");
        if let Some(path) = set("DRLAB_CACHE") {
            let absolute = std::path::absolute(&path).and_then(|path| usable(&path).map(|()| path));
            return match absolute {
                Ok(root) => Ok(Self { root, shared }),
                Err(source) => Err(CacheError::Named { path, source }),
            };
        }
        // A home of somebody else (as `sudo -E` leaves it) is not for our files: its owner could not remove them.
        let own_home = set("HOME")
            .filter(|home| fs::metadata(home).is_ok_and(|found| found.uid() == geteuid().as_raw()))
            .map(|home| home.join(".cache/drlab"));
        let private = PathBuf::from(format!("/tmp/drlab-{}", geteuid()));
        let candidates = [set("XDG_CACHE_HOME").map(|folder| folder.join("drlab")), own_home, Some(private)];
        let mut tried = Vec::new();
        for root in candidates.into_iter().flatten().filter(|root| root.is_absolute()) {
            match usable(&root) {
                Ok(()) => return Ok(Self { root, shared }),
                Err(error) => tried.push(format!("{}: {error}", root.display())),
            }
        }
        Err(CacheError::Nowhere { tried })
    }

    /// A cache in a folder of one's choice, which is made where it isn't there.
    ///
    /// # Errors
    /// [`CacheError::Named`].
    pub fn at(root: &Path) -> Result<Self, CacheError> {
        let named = |source| CacheError::Named { path: root.to_owned(), source };
        let root = std::path::absolute(root).map_err(named)?;
        usable(&root).map_err(named)?;
        Ok(Self { root, shared: None })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What is whole below a folder of it: its own, or that of the cache which is only read.
    pub fn holds(&self, folder: &str, name: &str) -> Option<PathBuf> {
        self.all(folder).into_iter().map(|path| path.join(name)).find(|path| path.is_dir())
    }

    /// Where a folder of it may be: its own, then that of the cache which is only read.
    pub fn all(&self, folder: &str) -> Vec<PathBuf> {
        let roots = [Some(&self.root), self.shared.as_ref()];
        roots.into_iter().flatten().map(|root| root.join(folder)).collect()
    }

    /// A folder below it, made where it isn't there.
    ///
    /// # Errors
    /// [`CacheError::Io`].
    pub fn folder(&self, name: &str) -> Result<PathBuf, CacheError> {
        let path = self.root.join(name);
        make_private(&path).map_err(|source| CacheError::Io { what: "make the folder", path: path.clone(), source })?;
        Ok(path)
    }
}

/// The folders of this process's own runs that are still there, those outside the cache included.
pub fn remains(cache: &Cache) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(cache.root().join("runs")) else { return Vec::new() };
    let own = format!("{}-", std::process::id());
    let mut found = Vec::new();
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&own)) {
        let elsewhere = fs::read_to_string(entry.path().join("elsewhere")).unwrap_or_default();
        found.extend(elsewhere.lines().map(PathBuf::from).filter(|path| path.is_dir()));
        found.push(entry.path());
    }
    found.sort();
    found
}

/// Makes a folder and its parents, for nobody else to look into.
fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Whether a folder can be made or is there, is ours, and can be written.
fn usable(path: &Path) -> io::Result<()> {
    make_private(path)?;
    // In a folder that all may write, somebody else may have made it first, or a link in its place.
    let found = fs::symlink_metadata(path)?;
    if found.uid() != geteuid().as_raw() && !found.is_symlink() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the folder belongs to another user"));
    }
    if found.is_symlink() && path.starts_with("/tmp") {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the folder is a link"));
    }
    access(path, AccessFlags::W_OK | AccessFlags::X_OK)?;
    Ok(())
}

/// Opens a file for locking, made where it isn't there.
pub(super) fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// The longest path that fits a unix socket's address, with its closing zero.
const SOCKET_PATH_BYTES: usize = 107;

/// What User-Mode Linux puts below its folder, longest first.
pub(super) const SOCKET_BELOW: &str = "/u/mconsole";

/// A folder of one guest's own, removed when this is dropped and locked until then.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    elsewhere: Vec<PathBuf>,
    /// Holding it open is holding the lock.
    _lock: File,
}

impl RunFolder {
    /// Removes what dead runs left, then makes a folder for this one.
    ///
    /// # Errors
    /// [`CacheError::Io`].
    pub fn make(cache: &Cache) -> Result<Self, CacheError> {
        let runs = cache.folder("runs")?;
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| CacheError::Io { what, path, source }
        };
        let guard = enter(&runs).map_err(io("lock", &runs.join(DOOR)))?;
        sweep(&runs);
        let mut number = 0_u32;
        let path = loop {
            let path = runs.join(format!("{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => break path,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(io("make the folder", &path)(error)),
            }
        };
        let lock = path.join("lock");
        let lock = lock_file(&lock).and_then(|file| file.lock().map(|()| file)).map_err(io("lock", &lock))?;
        drop(guard);
        Ok(Self { path, elsewhere: Vec::new(), _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder for sockets and for names on the kernel's command line: this one, or, where its path is too long or holds
    /// characters that a command line does not carry, a short one that goes away with [`RunFolder::leave_elsewhere`].
    ///
    /// # Errors
    /// [`CacheError::Io`].
    pub fn plain(&mut self) -> Result<PathBuf, CacheError> {
        if is_plain(&self.path) {
            return Ok(self.path.clone());
        }
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let parent =
            runtime.filter(|path| access(path, AccessFlags::W_OK).is_ok() && is_plain(&path.join("drlab-4194304-99")));
        self.beside(&parent.unwrap_or_else(|| PathBuf::from("/tmp")))
    }

    /// A folder of our own in another one; it goes away with [`RunFolder::leave_elsewhere`].
    ///
    /// # Errors
    /// [`CacheError::Io`].
    pub fn beside(&mut self, parent: &Path) -> Result<PathBuf, CacheError> {
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| CacheError::Io { what, path, source }
        };
        let note = self.path.join("elsewhere");
        let mut number = 0_u32;
        loop {
            let path = parent.join(format!("drlab-{}-{number}", std::process::id()));
            number += 1;
            if fs::symlink_metadata(&path).is_ok() {
                continue;
            }
            // Written down before it is made: who sweeps after us must find it.
            let mut list = fs::read_to_string(&note).unwrap_or_default();
            list.push_str(&path.to_string_lossy());
            list.push('\n');
            fs::write(&note, list).map_err(io("write", &note))?;
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    self.elsewhere.push(path.clone());
                    return Ok(path);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(io("make the folder", &path)(error)),
            }
        }
    }

    /// Removes the folders that are not below the cache; they are needed only until the guest has booted.
    pub fn leave_elsewhere(&mut self) {
        for path in self.elsewhere.drain(..) {
            discard(&path);
        }
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        self.leave_elsewhere();
        let guard = self.path.parent().map(enter);
        discard(&self.path);
        drop(guard);
    }
}

/// The file below `runs` that is locked by whoever makes or removes a folder there: one at a time, so that nobody sweeps a folder
/// between its making and its locking, or removes by name one that was made anew.
const DOOR: &str = ".lock";

fn enter(runs: &Path) -> io::Result<File> {
    lock_file(&runs.join(DOOR)).and_then(|file| file.lock().map(|()| file))
}

/// Whether a path goes unquoted into a kernel's command line and leaves room for a socket's name.
fn is_plain(path: &Path) -> bool {
    let text = path.as_os_str().as_encoded_bytes();
    text.len() + SOCKET_BELOW.len() <= SOCKET_PATH_BYTES
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@~".contains(byte))
}

/// Removes the folders of runs whose owner is dead.
fn sweep(runs: &Path) {
    let Ok(entries) = fs::read_dir(runs) else { return };
    for folder in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        // The lock is held until the folder is gone, so that two sweepers don't meet in it.
        let owned = lock_file(&folder.join("lock"));
        if owned.as_ref().is_ok_and(|lock| lock.try_lock().is_err()) {
            continue;
        }
        for path in fs::read_to_string(folder.join("elsewhere")).unwrap_or_default().lines().map(Path::new) {
            let ours =
                fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw());
            let named = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("drlab-"));
            if ours && named {
                discard(path);
            }
        }
        discard(&folder);
    }
}

/// Removes a folder; one that won't go is tried again by the next start's sweep.
fn discard(path: &Path) {
    fs::remove_dir_all(path).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Cache, RunFolder, is_plain};

    fn cache(name: &str) -> Cache {
        let root = std::env::temp_dir().join(format!("drlab-test-{}-{name}", std::process::id()));
        Cache::at(&root).unwrap()
    }

    #[test]
    fn a_runs_folder_is_gone_when_the_run_is() {
        let cache = cache("gone");
        let run = RunFolder::make(&cache).unwrap();
        let path = run.path().to_owned();
        assert!(path.join("lock").exists());
        drop(run);
        assert!(!path.exists());
        std::fs::remove_dir_all(cache.root()).unwrap();
    }

    #[test]
    fn runs_that_begin_as_others_end_keep_their_folders() {
        let cache = cache("crowd");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let run = RunFolder::make(&cache).unwrap();
                        std::fs::write(run.path().join("log"), "begun").unwrap();
                    }
                });
            }
        });
        std::fs::remove_dir_all(cache.root()).unwrap();
    }

    #[test]
    fn what_remains_of_this_process_is_listed_until_it_is_gone() {
        let cache = cache("remains");
        let mut run = RunFolder::make(&cache).unwrap();
        let beside = run.beside(&std::env::temp_dir()).unwrap();
        let mut wanted = vec![beside, run.path().to_owned()];
        wanted.sort();
        assert_eq!(super::remains(&cache), wanted);
        drop(run);
        assert!(super::remains(&cache).is_empty());
        std::fs::remove_dir_all(cache.root()).unwrap();
    }

    #[test]
    fn a_dead_runs_folder_is_swept_and_a_living_ones_is_not() {
        let cache = cache("swept");
        let living = RunFolder::make(&cache).unwrap();
        let dead = cache.root().join("runs/1-0");
        let far = cache.root().join("drlab-far");
        std::fs::create_dir(&dead).unwrap();
        std::fs::create_dir(&far).unwrap();
        std::fs::write(dead.join("elsewhere"), format!("{}\n", far.display())).unwrap();
        let second = RunFolder::make(&cache).unwrap();
        assert!(!dead.exists() && !far.exists());
        assert!(living.path().exists() && second.path().exists() && living.path() != second.path());
        drop((living, second));
        std::fs::remove_dir_all(cache.root()).unwrap();
    }

    #[test]
    fn only_a_path_that_a_command_line_and_a_socket_carry_is_plain() {
        assert!(is_plain(Path::new("/home/tester/.cache/drlab/runs/17-0")));
        assert!(!is_plain(Path::new("/home/my files/.cache")));
        assert!(!is_plain(Path::new("/home/\"quoted\"")));
        assert!(!is_plain(Path::new(&format!("/{}", "x".repeat(100)))));
    }
}
