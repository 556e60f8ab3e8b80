//! Which kernels this machine has for guests, and how one is had: User-Mode Linux, and those of distributions for `qemu`.
//!
//! Owns: finding them, their versions and modules, and which one a name means. Refuses: booting them. A kernel that can't
//! say its version is not listed.

mod distribution;
mod modinfo;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::Substrate;
use super::cache::{Cache, CacheError};
use super::own::{self, Built};
use super::packages::{self, PackageError};

/// Debian's package that has the kernel.
pub const PACKAGE: &str = "user-mode-linux";

/// Where a kernel comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// `DRLAB_KERNEL` names it.
    Named,
    /// drlab's own, built on this machine from a source package of this version.
    Built(String),
    /// The system's package.
    System,
    /// A package that was fetched into the cache, as `NAME_VERSION_ARCH`.
    Fetched(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named => f.write_str("named by DRLAB_KERNEL"),
            Self::Built(source) => write!(f, "built here: {} {source}", own::SOURCE),
            Self::System => f.write_str("installed on this machine"),
            Self::Fetched(package) => write!(f, "fetched: {package}"),
        }
    }
}

/// A kernel for guests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// What it is called in lists: `uml-VERSION`, `drlab-VERSION` for drlab's own, `debian-VERSION` for those of `qemu`.
    pub name: String,
    /// Its release, as `uname -r` will have it.
    pub version: String,
    /// The program; for `qemu` the image, `vmlinuz-VERSION`.
    pub image: PathBuf,
    /// The folder with its `modules.dep`.
    pub modules: Option<PathBuf>,
    /// Where it comes from.
    pub origin: Origin,
}

impl Kernel {
    /// What starts it. Images to boot are called `vmlinuz` everywhere; User-Mode Linux is a program.
    pub fn substrate(&self) -> Substrate {
        let is_image = self.image.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"));
        if is_image { Substrate::Qemu } else { Substrate::Uml }
    }

    /// Whether a name means this kernel: its own, the beginning of it up to a dot or dash, or the same of its version.
    pub fn is_meant_by(&self, name: &str) -> bool {
        let begins = |text: &str| {
            text.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '+']))
        };
        let number = self.name.split_once('-').map_or("", |(_, number)| number);
        !name.is_empty() && (begins(&self.name) || begins(number) || begins(&self.version))
    }

    /// Whether it is drlab's own, which has virtual time and draws its random numbers from a seed.
    pub fn is_own(&self) -> bool {
        self.version.ends_with(own::SUFFIX)
    }
}

impl From<Built> for Kernel {
    fn from(built: Built) -> Self {
        let version = built.inputs.release;
        Self {
            name: name(&version),
            version,
            image: built.image,
            modules: None,
            origin: Origin::Built(built.inputs.source),
        }
    }
}

/// Why there is no kernel.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// None is there, and none was asked to be fetched.
    #[error("there is no User-Mode Linux kernel on this machine; `drlab kernel fetch` fetches one, without root")]
    None,
    /// None is there for `qemu`.
    #[error("there is no kernel for virtual machines here; `drlab kernel fetch 6.12` fetches Debian's, without root")]
    NoneForQemu,
    /// None of those that are there is meant by a name.
    #[error("no kernel here is called {name}; `drlab kernel list` shows those that are, and {hint}")]
    Unknown {
        /// The name.
        name: String,
        /// What would get it.
        hint: String,
    },
    /// What is fetched is for another processor.
    #[error("kernels for virtual machines are fetched for x86-64 only, which this machine is not")]
    Architecture,
    /// The one that `DRLAB_KERNEL` names can't be used.
    #[error("could not use {} as the kernel, which DRLAB_KERNEL names", .path.display())]
    Named {
        /// What it names.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// It could not be fetched.
    #[error("could not fetch a kernel")]
    Fetch {
        /// Why.
        #[from]
        source: PackageError,
    },
    /// What was fetched has no kernel in it.
    #[error("found no kernel that runs here in the package {}", .package.display())]
    Empty {
        /// The folder.
        package: PathBuf,
    },
    /// The cache can't be used.
    #[error("could not look into the cache")]
    Cache {
        /// Why.
        #[from]
        source: CacheError,
    },
}

/// All kernels, the one that is taken first: `DRLAB_KERNEL`'s, drlab's own, the system's, the fetched ones, of several the
/// newest; behind them those of distributions, which only `qemu` takes.
///
/// # Errors
/// [`KernelError::Named`] where `DRLAB_KERNEL` names none, for then another one would be a surprise.
pub fn list(cache: &Cache) -> Result<Vec<Kernel>, KernelError> {
    let mut kernels = Vec::new();
    if let Some(path) = std::env::var_os("DRLAB_KERNEL").filter(|value| !value.is_empty()).map(PathBuf::from) {
        kernels.push(named(&path)?);
    }
    let mut built: Vec<Kernel> = own::built(cache).into_iter().map(Kernel::from).collect();
    built.sort_by_key(|kernel| std::cmp::Reverse(version_key(&kernel.version)));
    kernels.extend(built);
    kernels.extend(below(Path::new("/usr"), Origin::System));
    let mut fetched: Vec<Kernel> = packages::cached(cache, PACKAGE)
        .into_iter()
        .filter_map(|folder| {
            let package = folder.file_name()?.to_string_lossy().into_owned();
            below(&folder.join("usr"), Origin::Fetched(package))
        })
        .collect();
    fetched.sort_by_key(|kernel| std::cmp::Reverse(version_key(&kernel.version)));
    kernels.extend(fetched);
    kernels.extend(distribution::list(cache));
    Ok(kernels)
}

/// The kernel that `uml` takes where nothing else is said.
///
/// # Errors
/// [`KernelError`].
pub fn chosen(cache: &Cache) -> Result<Kernel, KernelError> {
    list(cache)?.into_iter().find(|kernel| kernel.substrate() == Substrate::Uml).ok_or(KernelError::None)
}

/// The kernel that `qemu` takes where nothing else is said.
///
/// # Errors
/// [`KernelError`].
pub fn chosen_for_qemu(cache: &Cache) -> Result<Kernel, KernelError> {
    list(cache)?.into_iter().find(|kernel| kernel.substrate() == Substrate::Qemu).ok_or(KernelError::NoneForQemu)
}

/// The same; Debian's newest is fetched first where there is none.
///
/// # Errors
/// [`KernelError`].
pub fn chosen_or_fetched_for_qemu(cache: &Cache, progress: &mut dyn FnMut(&str)) -> Result<Kernel, KernelError> {
    match chosen_for_qemu(cache) {
        Err(KernelError::NoneForQemu) => {
            progress("no kernel for virtual machines is here: fetching Debian's package, without root");
            distribution::fetch(cache, None, progress)
        }
        other => other,
    }
}

/// The first kernel of the list that a name means.
///
/// # Errors
/// [`KernelError::Unknown`], and those of [`list`].
pub fn called(cache: &Cache, name: &str) -> Result<Kernel, KernelError> {
    let found = list(cache)?.into_iter().find(|kernel| kernel.is_meant_by(name));
    found.ok_or_else(|| {
        let series = name.strip_prefix("debian-").unwrap_or(name);
        let hint = if series.starts_with(|c: char| c.is_ascii_digit()) {
            format!("`drlab kernel fetch {series}` fetches Debian's")
        } else {
            "`drlab kernel fetch` fetches some".to_owned()
        };
        KernelError::Unknown { name: name.to_owned(), hint }
    })
}

/// Fetches the newest of Debian's kernels of a series, such as `6.12`, for `qemu`.
///
/// # Errors
/// [`KernelError`].
pub fn fetch_series(cache: &Cache, series: &str, progress: &mut dyn FnMut(&str)) -> Result<Kernel, KernelError> {
    distribution::fetch(cache, Some(series), progress)
}

/// The kernel that is taken where nothing else is said; fetched first where there is none.
///
/// # Errors
/// [`KernelError`].
pub fn chosen_or_fetched(cache: &Cache, progress: &mut dyn FnMut(&str)) -> Result<Kernel, KernelError> {
    match chosen(cache) {
        Err(KernelError::None) => {
            progress("no User-Mode Linux kernel is here: fetching Debian's package, without root");
            fetch(cache, progress)
        }
        other => other,
    }
}

/// Fetches the distribution's kernel package into the cache; one that is there in the newest version is left as it is.
///
/// # Errors
/// [`KernelError::Fetch`] and [`KernelError::Empty`].
pub fn fetch(cache: &Cache, progress: &mut dyn FnMut(&str)) -> Result<Kernel, KernelError> {
    let package = packages::fetch_or_borrow(cache, PACKAGE, progress)?;
    let name = package.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    below(&package.join("usr"), Origin::Fetched(name)).ok_or(KernelError::Empty { package })
}

fn named(path: &Path) -> Result<Kernel, KernelError> {
    let image = fs::canonicalize(path).map_err(|source| KernelError::Named { path: path.to_owned(), source })?;
    if let Some(release) = image.file_name().and_then(|name| name.to_str()?.strip_prefix("vmlinuz-")) {
        let modules = module_folders(&image).map(|folder| folder.join(release)).find(|folder| has_modules(folder));
        let (name, version) = (format!("named-{release}"), release.to_owned());
        return Ok(Kernel { name, version, image, modules, origin: Origin::Named });
    }
    let version = ask_version(&image).map_err(|source| KernelError::Named { path: path.to_owned(), source })?;
    let modules = module_folders(&image).map(|folder| folder.join(&version)).find(|folder| has_modules(folder));
    Ok(Kernel { name: name(&version), version, image, modules, origin: Origin::Named })
}

/// Where the modules of a kernel lie: as a package has them, or beside it.
fn module_folders(image: &Path) -> impl Iterator<Item = PathBuf> {
    let folder = image.parent().unwrap_or(Path::new("/")).to_owned();
    let above = folder.parent().unwrap_or(Path::new("/")).to_owned();
    [above.join("lib/uml/modules"), above.join("lib/modules"), folder.join("modules"), folder.join("lib/modules")]
        .into_iter()
}

fn has_modules(folder: &Path) -> bool {
    folder.join("modules.dep").is_file()
}

/// The kernel of a package that is unpacked so that `usr` is this folder.
fn below(usr: &Path, origin: Origin) -> Option<Kernel> {
    let image = usr.join("bin/linux.uml");
    if !image.is_file() {
        return None;
    }
    let modules: Vec<PathBuf> = fs::read_dir(usr.join("lib/uml/modules"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).filter(|path| has_modules(path)).collect())
        .unwrap_or_default();
    // With one folder of modules its name is the version; asking the program takes longer.
    let (version, modules) = match modules.as_slice() {
        [only] => (only.file_name()?.to_string_lossy().into_owned(), Some(only.clone())),
        several => {
            let version = ask_version(&image).ok()?;
            let modules = several.iter().find(|path| path.ends_with(&version)).cloned();
            (version, modules)
        }
    };
    Some(Kernel { name: format!("uml-{version}"), version, image, modules, origin })
}

/// Asks a kernel's program for its version, which does not boot it.
fn ask_version(image: &Path) -> io::Result<String> {
    let answer = Command::new(image).arg("--version").env_clear().env("HOME", "/").output()?;
    let text = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    let plausible = text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains(char::is_whitespace);
    if !answer.status.success() || !plausible {
        let said = text.lines().next().unwrap_or_default();
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it is no User-Mode Linux: asked for its version it said `{said}`"),
        ));
    }
    Ok(text)
}

/// What a kernel is called in lists.
fn name(version: &str) -> String {
    version.strip_suffix(own::SUFFIX).map_or_else(|| format!("uml-{version}"), |plain| format!("drlab-{plain}"))
}

/// Numbers in a version, for order.
fn version_key(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Kernel, Origin, name, version_key};
    use crate::substrate::Substrate;

    #[test]
    fn a_kernel_is_meant_by_its_name_and_by_whole_parts_of_it() {
        let kernel = Kernel {
            name: "debian-6.12.117".into(),
            version: "6.12.117+deb12-cloud-amd64".into(),
            image: "/boot/vmlinuz-6.12.117+deb12-cloud-amd64".into(),
            modules: None,
            origin: Origin::System,
        };
        for name in ["debian", "debian-6.12", "debian-6.12.117", "6.12", "6", "6.12.117+deb12-cloud-amd64"] {
            assert!(kernel.is_meant_by(name), "{name}");
        }
        for name in ["", "deb", "debian-6.1", "6.1", "uml", "12.117"] {
            assert!(!kernel.is_meant_by(name), "{name}");
        }
        assert_eq!(kernel.substrate(), Substrate::Qemu);
        assert_eq!(Kernel { image: "/usr/bin/linux.uml".into(), ..kernel }.substrate(), Substrate::Uml);
    }

    #[test]
    fn our_own_kernel_is_known_by_the_end_of_its_release() {
        assert_eq!(name("6.12.117-drlab"), "drlab-6.12.117");
        assert_eq!(name("6.1.176"), "uml-6.1.176");
    }

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        assert!(version_key("6.12.3") > version_key("6.1.176"));
        assert!(version_key("6.1.176") > version_key("5.10.200"));
    }
}
