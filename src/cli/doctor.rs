//! `drlab doctor`: what this machine can do, what it can't, and for each lack the one command that changes it.
//!
//! Looking and judging are apart: [`look`] asks the machine, [`diagnose`] is a function of what it saw.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::unistd::{User, geteuid};
use serde::Serialize;

use super::{Exit, complain_of, needs, print};
use crate::base::error_chain;
use crate::substrate::abilities::{Abilities, IpVs, MemoryRoom};
use crate::substrate::cache::RunFolder;
use crate::substrate::packages::trees;
use crate::substrate::qemu::{Accelerator, Qemu, known_accelerator};
use crate::substrate::{self, Cache, Kernel, MEMORY_MIB, StartOptions, Substrate, kernels, tools};

/// How long the trial boot may take until hello.
const TRIAL_WITHIN: Duration = Duration::from_secs(10);

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is there and works.
    Good,
    /// It is not there, and labs can do without.
    Without,
    /// It is not there, and some lab needs it.
    Lacking,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// A word for scripts.
    pub id: Cow<'static, str>,
    /// How it stands.
    pub state: State,
    /// What was found, in a sentence.
    pub found: String,
    /// The one command that would change it, where there is one.
    pub change: Option<String>,
}

/// What `drlab doctor` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The kernel and the user.
    pub machine: String,
    /// What `drlab run` would take; `None` where nothing works.
    pub substrate: Option<Substrate>,
    /// Each thing, in the order of weight.
    pub items: Vec<Item>,
    /// What was found about the machine, for scripts.
    pub abilities: Abilities,
}

/// How the trial boot of User-Mode Linux went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// It said hello after so many milliseconds.
    Booted {
        /// Which kernel.
        kernel: Kernel,
        /// How long it took.
        ms: u128,
    },
    /// No kernel is there.
    NoKernel {
        /// Whether it could be fetched here.
        fetchable: bool,
    },
    /// It did not come up; the chain of errors.
    Failed(Vec<String>),
}

/// A program and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its name, and its package's.
    pub name: &'static str,
    /// Where it is.
    pub at: Option<PathBuf>,
    /// How many shipped scenarios call it.
    pub scenarios: usize,
}

/// A set of packages that nodes of shipped scenarios have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSet {
    /// Their names.
    pub packages: Vec<String>,
    /// Where what this machine lacks of them was unpacked, where that was done.
    pub at: Option<PathBuf>,
    /// The scenarios.
    pub scenarios: Vec<String>,
}

/// What virtual machines could be started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Virtual {
    /// QEMU.
    pub qemu: Option<PathBuf>,
    /// The kernels of distributions that are here.
    pub kernels: Vec<String>,
    /// What runs a guest's instructions, where that is known.
    pub accelerator: Option<Accelerator>,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The user's name.
    pub user: String,
    /// What the kernel and the user's rights allow.
    pub abilities: Abilities,
    /// The trial boot.
    pub trial: Trial,
    /// Virtual machines.
    pub machines: Virtual,
    /// The cache folder, or the chain of errors.
    pub cache: Result<PathBuf, Vec<String>>,
    /// Where a guest's memory would be kept.
    pub room: MemoryRoom,
    /// Programs that some labs call.
    pub tools: Vec<Program>,
    /// Packages that nodes of some labs have.
    pub sets: Vec<PackageSet>,
    /// `tshark`.
    pub tshark: Option<PathBuf>,
    /// Whether Yama forbids tracing altogether, without which User-Mode Linux can't run.
    pub tracing_forbidden: bool,
}

/// Prints what this machine can do.
pub fn doctor(json: bool) -> Exit {
    let diagnosis = diagnose(&look());
    if json {
        match serde_json::to_string_pretty(&diagnosis) {
            Ok(text) => print(&(text + "\n")),
            Err(error) => {
                complain_of(&error);
                return Exit::Lab;
            }
        }
    } else {
        print(&render(&diagnosis));
    }
    if diagnosis.substrate.is_some() { Exit::AsExpected } else { Exit::Lacking }
}

/// Asks the machine; boots a kernel for a moment where there is one.
pub fn look() -> Seen {
    let cache = Cache::locate();
    let named = User::from_uid(geteuid()).ok().flatten().map(|user| user.name);
    let fetched = |name| cache.as_ref().ok().and_then(|cache| tools::fetched(cache, name));
    let needs::Shipped { tools, sets } = needs::of_shipped();
    let mut called: BTreeMap<&'static str, usize> = tools::OF_MENDS.into_iter().map(|name| (name, 0)).collect();
    called.extend(tools);
    let program = |(name, scenarios)| {
        let at = tools::on_machine(name).or_else(|| fetched(name));
        Program { name, at, scenarios }
    };
    let set = |(packages, scenarios): (Vec<String>, Vec<String>)| {
        let at = cache.as_ref().ok().and_then(|cache| trees::made(cache, &packages));
        PackageSet { packages, at, scenarios }
    };
    Seen {
        user: named.unwrap_or_else(|| format!("user {}", geteuid())),
        abilities: Abilities::look(),
        trial: match &cache {
            Ok(cache) => trial(cache),
            Err(error) => Trial::Failed(error_chain(error)),
        },
        machines: machines(cache.as_ref().ok()),
        room: MemoryRoom::look(cache.as_ref().ok(), MEMORY_MIB),
        tools: called.into_iter().map(program).collect(),
        sets: sets.into_iter().map(set).collect(),
        tshark: tools::on_path("tshark"),
        tracing_forbidden: std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope")
            .is_ok_and(|scope| scope.trim() == "3"),
        cache: cache.map(|cache| cache.root().to_owned()).map_err(|error| error_chain(&error)),
    }
}

fn machines(cache: Option<&Cache>) -> Virtual {
    let kernels = cache.and_then(|cache| kernels::list(cache).ok()).unwrap_or_default();
    let kernels: Vec<Kernel> = kernels.into_iter().filter(|kernel| kernel.substrate() == Substrate::Qemu).collect();
    Virtual {
        qemu: cache.and_then(Qemu::find).map(|qemu| qemu.program),
        accelerator: kernels.first().zip(cache).and_then(|(kernel, cache)| known_accelerator(kernel, cache)),
        kernels: kernels.into_iter().map(|kernel| kernel.name).collect(),
    }
}

fn trial(cache: &Cache) -> Trial {
    let kernel = match kernels::chosen(cache) {
        Ok(kernel) => kernel,
        Err(kernels::KernelError::None) => {
            let fetchable = ["apt-get", "dpkg-deb"].iter().all(|name| tools::on_path(name).is_some());
            return Trial::NoKernel { fetchable };
        }
        Err(error) => return Trial::Failed(error_chain(&error)),
    };
    let folder = match RunFolder::make(cache) {
        Ok(folder) => folder,
        Err(error) => return Trial::Failed(error_chain(&error)),
    };
    let options =
        StartOptions { kernel: Some(kernel.clone()), hello_within: TRIAL_WITHIN, ..StartOptions::new(folder.path()) };
    let begun = Instant::now();
    match substrate::start(Substrate::Uml, &options) {
        Ok(guest) => {
            let ms = begun.elapsed().as_millis();
            drop(guest);
            Trial::Booted { kernel, ms }
        }
        Err(error) => Trial::Failed(error_chain(&error)),
    }
}

/// Judges what was seen.
pub fn diagnose(seen: &Seen) -> Diagnosis {
    let uml = uml(seen);
    let host = host(&seen.abilities);
    let uml_works = matches!(seen.trial, Trial::Booted { .. } | Trial::NoKernel { fetchable: true });
    let substrate = match seen.abilities.choice() {
        Substrate::Host => Some(Substrate::Host),
        // Never chosen by itself.
        Substrate::Uml | Substrate::Qemu => uml_works.then_some(Substrate::Uml),
    };
    let mut items = vec![uml, host, qemu(&seen.machines), cache(seen), room(seen)];
    items.extend(seen.tools.iter().map(tool));
    items.extend(seen.sets.iter().map(package_set));
    items.extend([tshark(seen), landlock(&seen.abilities)]);
    let machine = format!("Linux {}, user {}", seen.abilities.kernel, seen.user);
    Diagnosis { machine, substrate, items, abilities: seen.abilities.clone() }
}

fn item(id: impl Into<Cow<'static, str>>, state: State, found: impl Into<String>, change: Option<&str>) -> Item {
    Item { id: id.into(), state, found: found.into(), change: change.map(str::to_owned) }
}

fn uml(seen: &Seen) -> Item {
    let lacking = |found: String, change: Option<&str>| item("uml", State::Lacking, found, change);
    match &seen.trial {
        Trial::Booted { kernel, ms } => item(
            "uml",
            State::Good,
            format!("User-Mode Linux runs labs here: {} booted in {ms} ms ({})", kernel.version, kernel.origin),
            None,
        ),
        Trial::NoKernel { fetchable: true } => item(
            "uml",
            State::Without,
            "there is no User-Mode Linux kernel yet; `drlab run` fetches one when it needs it (about 40 MB, no root)",
            Some("drlab kernel fetch"),
        ),
        Trial::NoKernel { fetchable: false } => lacking(
            "there is no User-Mode Linux kernel, and no apt-get and dpkg-deb to fetch Debian's with".to_owned(),
            Some("export DRLAB_KERNEL=/path/to/linux.uml"),
        ),
        Trial::Failed(_) if seen.tracing_forbidden => lacking(
            "User-Mode Linux can't run: this kernel forbids all tracing (kernel.yama.ptrace_scope is 3, until reboot)"
                .to_owned(),
            Some("echo kernel.yama.ptrace_scope=1 | sudo tee /etc/sysctl.d/99-ptrace.conf && sudo reboot"),
        ),
        Trial::Failed(chain) => lacking(format!("User-Mode Linux does not run here: {}", chain.join(": ")), None),
    }
}

fn host(abilities: &Abilities) -> Item {
    let without = |found: &str, change: Option<&str>| item("host", State::Without, found, change);
    match abilities.ip_vs {
        _ if abilities.host() => item("host", State::Good, "this kernel can hold labs itself", None),
        IpVs::Absent => without(
            "this kernel can't hold labs itself: it has no ip_vs, which is no matter where User-Mode Linux runs",
            None,
        ),
        IpVs::Present | IpVs::Loadable if abilities.root => {
            without("this kernel has ip_vs, but this root may not make network namespaces (a container's)", None)
        }
        IpVs::NotAllowed if abilities.root => without(
            "this kernel has an ip_vs module, but this root may not load it (a container's); on the machine itself:",
            Some("sudo modprobe ip_vs"),
        ),
        _ => without(
            "this kernel has ip_vs and could hold labs itself, for root",
            Some("sudo drlab run lvs-dr --substrate host"),
        ),
    }
}

fn qemu(machines: &Virtual) -> Item {
    let without = |found: &str, change: &str| item("qemu", State::Without, found, Some(change));
    if machines.kernels.is_empty() {
        return without(
            "no distribution's kernel is here to compare with others in virtual machines",
            "drlab kernel fetch 5.10 6.1 6.12",
        );
    }
    let kernels = machines.kernels.join(", ");
    if machines.qemu.is_none() {
        return without(
            &format!("QEMU is not here, which {kernels} would run in; it is fetched when it is needed (no root)"),
            "drlab kernel fetch qemu",
        );
    }
    let how = match machines.accelerator {
        Some(Accelerator::Kvm) => "on this machine's processor (KVM)",
        Some(Accelerator::Tcg) => "translated (TCG): KVM is not here, or runs none",
        None => "by KVM, if a first run shows that it works, else translated (TCG)",
    };
    item("qemu", State::Good, format!("virtual machines hold labs under {kernels}, {how}"), None)
}

fn cache(seen: &Seen) -> Item {
    match &seen.cache {
        Ok(path) => item("cache", State::Good, format!("what is fetched is kept in {}", path.display()), None),
        Err(chain) => item(
            "cache",
            State::Lacking,
            format!("there is no folder to keep things in: {}", chain.join(": ")),
            Some("export DRLAB_CACHE=/a/folder/of/yours"),
        ),
    }
}

fn room(seen: &Seen) -> Item {
    match &seen.room.folder {
        Some(folder) => item(
            "memory",
            State::Good,
            format!("{} has room for a guest's {} MiB of memory", folder.display(), seen.room.wanted_mib),
            None,
        ),
        None => item(
            "memory",
            State::Lacking,
            format!(
                "no folder has room for a guest's {} MiB of memory: {}",
                seen.room.wanted_mib,
                seen.room.tried.join("; ")
            ),
            Some("export TMPDIR=/a/folder/with/room"),
        ),
    }
}

fn tool(program: &Program) -> Item {
    let Program { name, at, scenarios } = program;
    let whom = match scenarios {
        0 => "mends".to_owned(),
        count => shipped(*count),
    };
    match at {
        Some(path) => item(*name, State::Good, format!("{name} is there, for {whom}: {}", path.display()), None),
        None => item(
            *name,
            State::Without,
            format!("{name} is not there; `drlab run` fetches it for {whom} (no root)"),
            Some(&format!("sudo apt-get install {name}")),
        ),
    }
}

fn shipped(count: usize) -> String {
    if count == 1 { "1 shipped scenario".to_owned() } else { format!("{count} shipped scenarios") }
}

fn package_set(set: &PackageSet) -> Item {
    let PackageSet { packages, at, scenarios } = set;
    let (id, whom) = (packages.join("+"), shipped(scenarios.len()));
    let (names, are) = (packages.join(", "), if packages.len() == 1 { "is" } else { "are" });
    match at {
        Some(path) => item(id, State::Good, format!("{names} {are} fetched, for {whom}: {}", path.display()), None),
        None => item(
            id,
            State::Without,
            format!("{names} {are} not fetched; `drlab run` does so for {whom} (no root)"),
            scenarios.first().map(|name| format!("drlab run {name}")).as_deref(),
        ),
    }
}

fn tshark(seen: &Seen) -> Item {
    match &seen.tshark {
        Some(path) => {
            item("tshark", State::Good, format!("tshark is there to look at captures: {}", path.display()), None)
        }
        None => item(
            "tshark",
            State::Without,
            "tshark is not there; only needed to look at captures yourself",
            Some("sudo apt-get install tshark"),
        ),
    }
}

fn landlock(abilities: &Abilities) -> Item {
    if abilities.landlock {
        item("landlock", State::Good, "Landlock keeps a guest from writing outside its own folders", None)
    } else {
        item(
            "landlock",
            State::Without,
            "this kernel has no Landlock: a guest's root is kept from your files by its read-only mounts only",
            None,
        )
    }
}

/// The diagnosis as people read it.
pub fn render(diagnosis: &Diagnosis) -> String {
    let mut text = format!("{}\n\n", diagnosis.machine);
    // Writing to a string can't fail.
    for item in &diagnosis.items {
        let mark = match item.state {
            State::Good => "yes",
            State::Without => " - ",
            State::Lacking => " NO",
        };
        writeln!(text, " {mark}  {}", item.found.replace('\n', "\n      ")).unwrap_or_default();
        if let Some(change) = &item.change {
            writeln!(text, "        $ {change}").unwrap_or_default();
        }
    }
    text.push('\n');
    let summary = match diagnosis.substrate {
        Some(substrate) => format!("Labs run here, on the substrate `{substrate}`. Next: drlab run lvs-dr\n"),
        None => "No lab can run here as things are: see the NO lines.\n".to_owned(),
    };
    text + &summary
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::{PackageSet, Program, Seen, State, Trial, Virtual, diagnose, render};
    use crate::substrate::abilities::{Abilities, IpVs, MemoryRoom};
    use crate::substrate::kernels::Origin;
    use crate::substrate::{Kernel, Substrate};

    fn kernel() -> Kernel {
        Kernel {
            name: "uml-6.1.176".into(),
            version: "6.1.176".into(),
            image: "/cache/linux.uml".into(),
            modules: None,
            origin: Origin::System,
        }
    }

    fn users_laptop() -> Seen {
        Seen {
            user: "tester".into(),
            abilities: Abilities {
                kernel: "6.12.0".into(),
                root: false,
                net_namespaces: false,
                user_namespaces: true,
                ip_vs: IpVs::NotAllowed,
                kvm: false,
                landlock: true,
            },
            trial: Trial::Booted { kernel: kernel(), ms: 100 },
            machines: Virtual { qemu: None, kernels: vec![], accelerator: None },
            cache: Ok("/home/tester/.cache/drlab".into()),
            room: MemoryRoom { wanted_mib: 256, folder: Some("/dev/shm".into()), tried: vec![] },
            tools: vec![
                Program { name: "arptables", at: None, scenarios: 9 },
                Program { name: "iptables", at: Some("/usr/sbin/iptables-legacy".into()), scenarios: 0 },
            ],
            sets: vec![
                PackageSet {
                    packages: vec!["apache2".into(), "php-mysql".into()],
                    at: None,
                    scenarios: vec!["apps/wordpress".into()],
                },
                PackageSet {
                    packages: vec!["keepalived".into()],
                    at: Some("/home/tester/.cache/drlab/trees/keepalived-00c0ffee".into()),
                    scenarios: vec!["ha/link-down".into(), "ha/health-check".into()],
                },
            ],
            tshark: None,
            tracing_forbidden: false,
        }
    }

    #[test]
    fn a_users_laptop_reads_well() {
        assert_snapshot!(render(&diagnose(&users_laptop())), @r"
        Linux 6.12.0, user tester

         yes  User-Mode Linux runs labs here: 6.1.176 booted in 100 ms (installed on this machine)
          -   this kernel has ip_vs and could hold labs itself, for root
                $ sudo drlab run lvs-dr --substrate host
          -   no distribution's kernel is here to compare with others in virtual machines
                $ drlab kernel fetch 5.10 6.1 6.12
         yes  what is fetched is kept in /home/tester/.cache/drlab
         yes  /dev/shm has room for a guest's 256 MiB of memory
          -   arptables is not there; `drlab run` fetches it for 9 shipped scenarios (no root)
                $ sudo apt-get install arptables
         yes  iptables is there, for mends: /usr/sbin/iptables-legacy
          -   apache2, php-mysql are not fetched; `drlab run` does so for 1 shipped scenario (no root)
                $ drlab run apps/wordpress
         yes  keepalived is fetched, for 2 shipped scenarios: /home/tester/.cache/drlab/trees/keepalived-00c0ffee
          -   tshark is not there; only needed to look at captures yourself
                $ sudo apt-get install tshark
         yes  Landlock keeps a guest from writing outside its own folders

        Labs run here, on the substrate `uml`. Next: drlab run lvs-dr
        ");
    }

    #[test]
    fn virtual_machines_are_told_by_what_they_lack() {
        let said = |qemu: bool, kernels: &[&str], accelerator| {
            let kernels = kernels.iter().map(|name| (*name).to_owned()).collect();
            let found = qemu.then(|| "/usr/bin/qemu-system-x86_64".into());
            super::qemu(&Virtual { qemu: found, kernels, accelerator })
        };
        let whole = said(true, &["debian-6.12.117"], Some(super::Accelerator::Tcg));
        assert_eq!(whole.state, State::Good);
        assert!(whole.found.contains("debian-6.12.117, translated"), "{}", whole.found);
        assert_eq!(said(false, &["debian-6.1.1"], None).change.as_deref(), Some("drlab kernel fetch qemu"));
        assert_eq!(said(true, &[], None).state, State::Without);
    }

    #[test]
    fn a_machine_that_can_do_nothing_says_so_and_what_would_help() {
        let seen = Seen {
            trial: Trial::NoKernel { fetchable: false },
            cache: Err(vec!["found no folder".into(), "EROFS".into()]),
            room: MemoryRoom { wanted_mib: 256, folder: None, tried: vec!["/dev/shm: 63 MiB free".into()] },
            ..users_laptop()
        };
        let diagnosis = diagnose(&seen);
        assert_eq!(diagnosis.substrate, None);
        let lacking = diagnosis.items.iter().filter(|item| item.state == State::Lacking);
        assert!(lacking.clone().count() == 3 && lacking.clone().all(|item| item.change.is_some()), "{diagnosis:#?}");
    }

    #[test]
    fn a_kernel_that_can_be_fetched_counts_as_one_that_runs() {
        let seen = Seen { trial: Trial::NoKernel { fetchable: true }, ..users_laptop() };
        assert_eq!(diagnose(&seen).substrate, Some(Substrate::Uml));
    }
}
