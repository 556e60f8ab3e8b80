//! Kernels of distributions, from Debian's packages for virtual machines: what the `qemu` substrate starts.
//!
//! Owns: which package it is, and what of it is kept: the kernel, and those of its modules that a lab can have a use for,
//! unpacked, with the list of their order that the package lacks. Refuses: starting it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::modinfo::{self, Module};
use super::{Kernel, KernelError, Origin, version_key};
use crate::substrate::cache::Cache;
use crate::substrate::packages::{self, PackageError};

/// How the packages' names begin and end; between them is the kernel's release.
const NAME: (&str, &str) = ("linux-image-", "-cloud-amd64");

/// The folders of modules that are kept with what those need; the others are of devices and protocols that no lab has.
const KEPT: [&str; 17] = [
    "net/802/",
    "net/bridge/",
    "net/core/",
    "net/ipv4/",
    "net/ipv6/",
    "net/llc/",
    "net/netfilter/",
    "net/packet/",
    "net/sched/",
    "net/sctp/",
    "drivers/char/virtio_console",
    "drivers/net/dummy",
    "drivers/net/ipvlan/",
    "drivers/net/macvlan",
    "drivers/net/veth",
    "drivers/virtio/",
    "fs/overlayfs/",
];

/// Debian's releases by the kernel series that they have.
const RELEASES: [(&str, &str); 3] = [("5.10", "bullseye"), ("6.1", "bookworm"), ("6.12", "trixie")];

/// The release for any other series, which only newer ones can be.
const NEWER: &str = "trixie-backports";

/// The kernels that were fetched, from the newest.
pub(super) fn list(cache: &Cache) -> Vec<Kernel> {
    let mut kernels: Vec<Kernel> = packages::cached_like(cache, &|package| release(package).is_some())
        .iter()
        .filter_map(|folder| below(folder))
        .collect();
    kernels.sort_by_key(|kernel| std::cmp::Reverse(version_key(&kernel.name)));
    kernels
}

/// The kernel's release in a package's name.
fn release(package: &str) -> Option<&str> {
    let release = package.strip_prefix(NAME.0)?.strip_suffix(NAME.1)?;
    release.starts_with(|c: char| c.is_ascii_digit()).then_some(release)
}

/// Whether a release is of a series: 6.1.0-56 is of 6.1, and 6.12.1 is not.
fn is_of(release: &str, series: &str) -> bool {
    release.strip_prefix(series).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '+']))
}

/// The newest package of a series among names; meta packages, which have no version of a kernel's patch level, are none.
fn newest<'a>(names: &'a [String], series: Option<&str>) -> Option<&'a str> {
    names
        .iter()
        .filter(|name| {
            release(name).is_some_and(|release| {
                release.split(['.', '-', '+']).count() > 2 && series.is_none_or(|series| is_of(release, series))
            })
        })
        .max_by_key(|name| version_key(name))
        .map(String::as_str)
}

/// Fetches the newest kernel of a series, or the newest at all; one that is there is left as it is.
///
/// # Errors
/// [`KernelError`].
pub(super) fn fetch(
    cache: &Cache,
    series: Option<&str>,
    progress: &mut dyn FnMut(&str),
) -> Result<Kernel, KernelError> {
    if !cfg!(target_arch = "x86_64") {
        return Err(KernelError::Architecture);
    }
    let wanted = format!("{}{}{}", NAME.0, series.map_or("*".to_owned(), |series| format!("{series}*")), NAME.1);
    let choose = |names: &[String]| newest(names, series).map(str::to_owned);
    let release = series.map_or(RELEASES[RELEASES.len() - 1].1, |series| {
        RELEASES.iter().find(|(of, _)| is_of(series, of)).map_or(NEWER, |(_, release)| release)
    });
    let folder = packages::fetch_chosen(
        cache,
        &packages::Choice { wanted: &wanted, prefix: NAME.0, choose: &choose, release },
        &mut |unpacked, add| {
            // Newer packages are only a name for others.
            if let Some(release) = chosen_release(unpacked) {
                for part in ["binary", "modules"] {
                    add(&format!("linux-{part}-{release}{}", NAME.1))?;
                }
            }
            keep_what_labs_need(unpacked)
        },
        progress,
    )?;
    below(&folder).ok_or(KernelError::Empty { package: folder })
}

/// The release of a package that has no kernel in itself, by the folder of its documents.
fn chosen_release(unpacked: &Path) -> Option<String> {
    if unpacked.join("boot").is_dir() {
        return None;
    }
    let documents = fs::read_dir(unpacked.join("usr/share/doc")).ok()?;
    documents.flatten().find_map(|entry| release(&entry.file_name().to_string_lossy()).map(str::to_owned))
}

/// The kernel in the folder of a package, `linux-image-RELEASE_VERSION_ARCH`.
fn below(folder: &Path) -> Option<Kernel> {
    let package = folder.file_name()?.to_string_lossy().into_owned();
    let mut parts = package.split('_');
    let version = format!("{}-cloud-amd64", release(parts.next()?)?);
    // Debian's releases have a number of their own; the package's version says what the kernel is.
    let upstream = parts.next()?.split(['-', '+', '~']).next()?.to_owned();
    let image = folder.join("boot").join(format!("vmlinuz-{version}"));
    let modules = folder.join("lib/modules").join(&version);
    image.is_file().then(|| Kernel {
        name: format!("debian-{upstream}"),
        modules: modules.join("modules.dep").is_file().then_some(modules),
        version,
        image,
        origin: Origin::Fetched(package),
    })
}

fn io_on(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PackageError {
    let path = path.to_owned();
    move |source| PackageError::Io { what, path, source }
}

/// Leaves of an unpacked package the kernel and the modules that labs need, unpacked, and lists their order.
fn keep_what_labs_need(unpacked: &Path) -> Result<(), PackageError> {
    // Releases with a merged /usr may have them below it.
    let merged = unpacked.join("usr/lib/modules");
    if merged.is_dir() {
        let plain = unpacked.join("lib");
        fs::create_dir_all(&plain).map_err(io_on("make the folder", &plain))?;
        fs::rename(&merged, plain.join("modules")).map_err(io_on("move", &merged))?;
    }
    let all = unpacked.join("lib/modules");
    let boot = unpacked.join("boot");
    let mut has_kernel = false;
    for folder in fs::read_dir(&all).map_err(io_on("read", &all))?.flatten() {
        let image = boot.join(format!("vmlinuz-{}", folder.file_name().to_string_lossy()));
        let beside = folder.path().join("vmlinuz");
        if beside.is_file() {
            fs::create_dir_all(&boot).map_err(io_on("make the folder", &boot))?;
            fs::rename(&beside, &image).map_err(io_on("move", &beside))?;
        }
        has_kernel |= image.is_file();
        keep_modules(&folder.path())?;
    }
    if !has_kernel {
        return Err(PackageError::Failed { name: "dpkg-deb", said: "the package has no kernel in it".to_owned() });
    }
    let share = unpacked.join("usr");
    match fs::remove_dir_all(&share) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_on("remove", &share)(error)),
        _ => Ok(()),
    }
}

fn keep_modules(folder: &Path) -> Result<(), PackageError> {
    let mut files = BTreeMap::new();
    list_modules(folder, &folder.join("kernel"), &mut files)?;
    let wanted = |path: &str| KEPT.iter().any(|kept| path.strip_prefix("kernel/").is_some_and(|p| p.starts_with(kept)));
    let mut due: Vec<String> = files.iter().filter(|(_, path)| wanted(path)).map(|(name, _)| name.clone()).collect();
    let kept = folder.join("kept");
    let mut modules: BTreeMap<String, Module> = BTreeMap::new();
    while let Some(name) = due.pop() {
        // What is needed and not there is built in.
        let Some(path) = files.get(&name).filter(|_| !modules.contains_key(&name)) else { continue };
        let packed = folder.join(path);
        let bytes = unpacked(&packed).map_err(io_on("unpack", &packed))?;
        let plain = format!("{}.ko", path.split(".ko").next().unwrap_or(path));
        let goal = kept.join(plain.strip_prefix("kernel/").unwrap_or(&plain));
        let place = goal.parent().unwrap_or(&kept);
        fs::create_dir_all(place).map_err(io_on("make the folder", place))?;
        fs::write(&goal, &bytes).map_err(io_on("write", &goal))?;
        let needs = modinfo::needs(&bytes);
        due.extend(needs.iter().cloned());
        modules.insert(name, Module { path: plain, needs });
    }
    let whole = folder.join("kernel");
    fs::remove_dir_all(&whole).map_err(io_on("remove", &whole))?;
    if !modules.is_empty() {
        fs::rename(&kept, &whole).map_err(io_on("put in place", &whole))?;
    }
    let list = folder.join("modules.dep");
    fs::write(&list, modinfo::modules_dep(&modules)).map_err(io_on("write", &list))
}

/// The modules below a folder, by name, each as its path below `root`.
fn list_modules(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) -> Result<(), PackageError> {
    for entry in fs::read_dir(folder).map_err(io_on("read", folder))?.flatten() {
        let path: PathBuf = entry.path();
        if path.is_dir() {
            list_modules(root, &path, files)?;
        } else if let Some(inner) = path.strip_prefix(root).ok().and_then(Path::to_str)
            && inner.contains(".ko")
        {
            files.insert(modinfo::name(inner), inner.to_owned());
        }
    }
    Ok(())
}

/// A module's bytes, whatever it is packed with.
fn unpacked(path: &Path) -> io::Result<Vec<u8>> {
    let packed = fs::read(path)?;
    let mut bytes = Vec::with_capacity(packed.len() * 4);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => lzma_rust2::XzReader::new(packed.as_slice(), false).read_to_end(&mut bytes)?,
        Some("zst") => ruzstd::decoding::StreamingDecoder::new(packed.as_slice())
            .map_err(io::Error::other)?
            .read_to_end(&mut bytes)?,
        _ => return Ok(packed),
    };
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{is_of, newest, release, unpacked};

    #[test]
    fn the_newest_package_of_a_series_is_chosen_and_no_meta_package() {
        let names = [
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.1.0-57-cloud-amd64-unsigned",
            "linux-image-6.12-cloud-amd64",
            "linux-image-6.12.101+deb12-cloud-amd64",
            "linux-image-6.12.99+deb12-cloud-amd64",
            "linux-image-cloud-amd64",
        ]
        .map(str::to_owned);
        assert_eq!(newest(&names, Some("6.1")), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(newest(&names, Some("6.12")), Some("linux-image-6.12.101+deb12-cloud-amd64"));
        assert_eq!(newest(&names, None), Some("linux-image-6.12.101+deb12-cloud-amd64"));
        assert_eq!(newest(&names, Some("5.10")), None);
    }

    #[test]
    fn a_series_is_not_a_beginning_of_letters() {
        assert!(is_of("6.1.0-56", "6.1") && is_of("6.1", "6.1") && !is_of("6.12.1", "6.1"));
        assert_eq!(release("linux-image-cloud-amd64"), None);
    }

    #[test]
    fn modules_are_unpacked_by_their_ending() {
        let folder = std::env::temp_dir().join(format!("drlab-test-unpack-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        // `printf drlab | xz -c` and `printf drlab | zstd -c`.
        let xz: &[u8] = XZ;
        let zst: &[u8] = ZST;
        for (name, bytes) in [("a.ko.xz", xz), ("b.ko.zst", zst), ("c.ko", b"drlab")] {
            let path = folder.join(name);
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(unpacked(&path).unwrap(), b"drlab", "{name}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    const XZ: &[u8] = &[
        253, 55, 122, 88, 90, 0, 0, 4, 230, 214, 180, 70, 2, 0, 33, 1, 22, 0, 0, 0, 116, 47, 229, 163, 1, 0, 4, 100,
        114, 108, 97, 98, 0, 0, 0, 0, 3, 210, 169, 35, 77, 90, 33, 136, 0, 1, 29, 5, 184, 45, 128, 175, 31, 182, 243,
        125, 1, 0, 0, 0, 0, 4, 89, 90,
    ];
    const ZST: &[u8] = &[40, 181, 47, 253, 4, 88, 41, 0, 0, 100, 114, 108, 97, 98, 80, 34, 72, 18];
}
