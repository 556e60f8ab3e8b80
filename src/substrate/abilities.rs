//! What this machine could hold a lab with, found out without changing it.
//!
//! Owns: looking. Refuses: trying things that leave a trace. Errs towards "can't": a sign that is missing counts as no.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};
use nix::sys::utsname::uname;
use nix::unistd::{AccessFlags, access, geteuid};
use serde::{Deserialize, Serialize};

use super::bound::{CAP_SYS_ADMIN, CAP_SYS_MODULE, Confinement, capable};
use super::{Cache, Substrate};

/// Whether this machine's kernel has IPVS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IpVs {
    /// It is in use or built in.
    Present,
    /// Its module is there and would be loaded.
    Loadable,
    /// Its module is there, and this process may not load it.
    NotAllowed,
    /// There is no module.
    Absent,
}

/// What was found.
#[expect(clippy::struct_excessive_bools, reason = "each is a thing that a machine has or has not, told side by side")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    /// `uname -r`.
    pub kernel: String,
    /// Whether the user is root.
    pub root: bool,
    /// Whether network namespaces can be made.
    pub net_namespaces: bool,
    /// Whether an ordinary user can make user namespaces; IPVS does not work in them, so it is only told.
    pub user_namespaces: bool,
    /// IPVS.
    pub ip_vs: IpVs,
    /// Whether `/dev/kvm` can be opened, which does not say that it works.
    pub kvm: bool,
    /// Whether Landlock confines the guest.
    pub landlock: bool,
}

impl Abilities {
    /// Looks.
    pub fn look() -> Self {
        let kernel = uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default();
        let root = geteuid().is_root();
        Self {
            root,
            net_namespaces: root && capable(CAP_SYS_ADMIN) && Path::new("/proc/self/ns/net").exists(),
            user_namespaces: user_namespaces(),
            ip_vs: ip_vs(&kernel),
            kvm: fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok(),
            landlock: Confinement::means().landlock,
            kernel,
        }
    }

    /// Whether the `host` substrate works here.
    pub fn host(&self) -> bool {
        self.root && self.net_namespaces && matches!(self.ip_vs, IpVs::Present | IpVs::Loadable)
    }

    /// What `--substrate auto` takes: `host` where it works, else `uml`.
    pub fn choice(&self) -> Substrate {
        if self.host() { Substrate::Host } else { Substrate::Uml }
    }
}

/// Where a guest's memory would be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryRoom {
    /// How much is wanted, in MiB.
    pub wanted_mib: u32,
    /// The first folder with room for it.
    pub folder: Option<PathBuf>,
    /// What is wrong with those before it.
    pub tried: Vec<String>,
}

impl MemoryRoom {
    /// Looks at the folders in which it may be kept.
    pub fn look(cache: Option<&Cache>, wanted_mib: u32) -> Self {
        let mut tried = Vec::new();
        for folder in memory_folders(cache) {
            match has_room(&folder, wanted_mib) {
                Ok(()) => return Self { wanted_mib, folder: Some(folder), tried },
                Err(why) => tried.push(format!("{}: {why}", folder.display())),
            }
        }
        Self { wanted_mib, folder: None, tried }
    }
}

/// What the kernel needs beside the memory that it gives to the guest.
const OVERHEAD_MIB: u64 = 32;

/// Where a guest's memory may be kept, best first.
fn memory_folders(cache: Option<&Cache>) -> Vec<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.map(|cache| cache.root().to_owned());
    let mut folders = Vec::new();
    let candidates = [Some("/dev/shm".into()), set("XDG_RUNTIME_DIR"), set("TMPDIR"), Some("/tmp".into()), cache];
    for folder in candidates.into_iter().flatten() {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// Whether a folder has room for a guest's memory; the error says what is wrong with it.
fn has_room(folder: &Path, memory_mib: u32) -> Result<(), String> {
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|errno| errno.desc().to_owned())?;
    let found = statvfs(folder).map_err(|errno| errno.desc().to_owned())?;
    if found.flags().contains(FsFlags::ST_NOEXEC) {
        return Err("mounted noexec".to_owned());
    }
    let free_mib = found.blocks_available().saturating_mul(found.fragment_size()) >> 20;
    let needed_mib = u64::from(memory_mib) + OVERHEAD_MIB;
    if free_mib < needed_mib {
        return Err(format!("{free_mib} MiB free, {needed_mib} MiB needed"));
    }
    Ok(())
}

fn user_namespaces() -> bool {
    let number = |path: &str| fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok());
    number("/proc/sys/user/max_user_namespaces").is_some_and(|most| most > 0)
        && number("/proc/sys/kernel/unprivileged_userns_clone") != Some(0)
        && number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") != Some(1)
}

fn ip_vs(kernel: &str) -> IpVs {
    if Path::new("/proc/net/ip_vs").exists() {
        return IpVs::Present;
    }
    let folders = [Path::new("/lib/modules").join(kernel), Path::new("/usr/lib/modules").join(kernel)];
    let lists = |file: &str| {
        folders.iter().any(|folder| fs::read_to_string(folder.join(file)).is_ok_and(|text| text.contains("/ip_vs.ko")))
    };
    match (lists("modules.dep"), capable(CAP_SYS_MODULE)) {
        (true, true) => IpVs::Loadable,
        (true, false) => IpVs::NotAllowed,
        (false, _) => IpVs::Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::{Abilities, IpVs};
    use crate::substrate::Substrate;

    fn all() -> Abilities {
        Abilities {
            kernel: "6.1.0".into(),
            root: true,
            net_namespaces: true,
            user_namespaces: true,
            ip_vs: IpVs::Loadable,
            kvm: true,
            landlock: true,
        }
    }

    #[test]
    fn host_is_chosen_where_root_can_have_ip_vs() {
        assert_eq!(all().choice(), Substrate::Host);
    }

    #[test]
    fn each_lack_leads_to_uml() {
        for lacking in [
            Abilities { root: false, ..all() },
            Abilities { net_namespaces: false, ..all() },
            Abilities { ip_vs: IpVs::Absent, ..all() },
            Abilities { ip_vs: IpVs::NotAllowed, ..all() },
        ] {
            assert_eq!(lacking.choice(), Substrate::Uml, "{lacking:?}");
        }
    }
}
