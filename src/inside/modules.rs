//! Kernel modules: which ones a plan needs, and loading them without modprobe.
//!
//! Owns: `modules.dep` and `finit_module`. Refuses: unloading. A module that is built in or loaded already is fine; one
//! that can't be had is reported and left to whoever needs it, because a kernel may have it under another roof.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};

use crate::base::SCHEDULERS;
use crate::plan::{Act, LinkKind, Node, Plan, Service};

/// A modules folder that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("could not read the list of modules {path}")]
pub struct ModulesError {
    /// Which file.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// A module that could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unloaded {
    /// Its name.
    pub module: String,
    /// Why not, in words.
    pub why: String,
}

/// The modules that a plan needs, in an order in which they can be loaded.
pub fn needed(plan: &Plan) -> Vec<&'static str> {
    // `ipv6` first: bridge and ip_vs use it where it is there, and namespaces get their sysctls from it.
    let mut wanted = vec!["overlay", "ipv6", "bridge", "veth", "af_packet"];
    if plan.segments.iter().flat_map(|segment| &segment.ports).any(|port| !port.filters.is_empty()) {
        wanted.extend(["sch_ingress", "cls_u32", "act_gact"]);
    }
    let interfaces = || plan.nodes.iter().flat_map(|node| &node.interfaces);
    if interfaces().any(|interface| interface.kind == LinkKind::Dummy) {
        wanted.push("dummy");
    }
    for macvlan in [true, false] {
        if interfaces().any(|one| matches!(&one.kind, LinkKind::Upper(upper) if upper.macvlan == macvlan)) {
            wanted.push(if macvlan { "macvlan" } else { "ipvlan" });
        }
    }
    if interfaces().any(|interface| interface.kind == LinkKind::Ipip) {
        wanted.push("ipip");
    }
    if plan.nodes.iter().any(|node| !node.arptables.is_empty()) {
        wanted.extend(ARP_FILTER);
    }
    let filters = plan.nodes.iter().flat_map(|node| &node.iptables).flatten();
    if filters.clone().next().is_some() {
        wanted.extend(IP_FILTER);
        let v6 = |word: &str| word == "ip6tables" || word.split('/').next().is_some_and(|ip| ip.contains("::"));
        if filters.clone().any(|word| v6(word)) {
            wanted.extend(["ip6_tables", "ip6table_filter", "ip6table_mangle"]);
        }
        let words = || filters.clone().map(String::as_str);
        let named = EXTENSIONS.iter().filter(|(name, _)| words().any(|word| word == *name));
        wanted.extend(named.flat_map(|(_, modules)| *modules));
    }
    let services: Vec<&Service> = services(plan).collect();
    if !services.is_empty() || plan.nodes.iter().any(|node| node.ipvs.is_some()) {
        wanted.push("ip_vs");
        for (scheduler, module) in SCHEDULERS.iter().zip(SCHEDULER_MODULES) {
            if services.iter().any(|service| service.scheduler == *scheduler) {
                wanted.push(module);
            }
        }
    }
    for node in plan.nodes.iter().filter(|node| node.has_programs()) {
        wanted.extend(of_programs(plan, node));
    }
    wanted
}

/// The modules that a node's own programs may ask for, by the names of tools that stand in their texts.
fn of_programs(plan: &Plan, node: &Node) -> Vec<&'static str> {
    let mut wanted: Vec<&str> = plan.texts_of(node).flat_map(of_tools).collect();
    if node.ipvs.is_some() {
        wanted.push("ip_vs");
        wanted.extend(SCHEDULER_MODULES);
    }
    wanted
}

/// The modules of any lab, for a guest in which something else builds one.
pub fn all() -> Vec<&'static str> {
    let mut all = vec!["overlay", "ipv6", "bridge", "veth", "af_packet", "dummy", "ipip", "ip_vs"];
    all.extend(ARP_FILTER.into_iter().chain(IP_FILTER).chain(SCHEDULER_MODULES));
    all.extend(NFTABLES.into_iter().chain(TRAFFIC_CONTROL));
    all
}

/// Tables, matches and targets of `iptables`, and the modules that they are made of.
const EXTENSIONS: &[(&str, &[&str])] = &[
    ("nat", &["iptable_nat", "xt_nat", "xt_MASQUERADE", "xt_REDIRECT"]),
    ("raw", &["iptable_raw"]),
    ("conntrack", &["nf_conntrack", "xt_conntrack"]),
    ("state", &["nf_conntrack", "xt_conntrack", "xt_state"]),
    ("CT", &["nf_conntrack", "xt_CT"]),
    ("NOTRACK", &["nf_conntrack", "xt_CT"]),
    ("REJECT", &["ipt_REJECT", "ip6t_REJECT"]),
    ("TCPMSS", &["xt_TCPMSS"]),
    ("comment", &["xt_comment"]),
    ("limit", &["xt_limit"]),
    ("statistic", &["xt_statistic"]),
    ("addrtype", &["xt_addrtype"]),
    ("length", &["xt_length"]),
];
/// The modules that tools may ask for which a text of shell commands calls.
pub fn of_tools(text: &str) -> Vec<&'static str> {
    let mut wanted = Vec::new();
    if text.contains("arptables") {
        wanted.extend(ARP_FILTER);
    }
    let v6 = text.contains("ip6tables");
    if v6 || text.contains("iptables") {
        wanted.extend(IP_FILTER);
        let words = || text.split(|c: char| c.is_whitespace() || matches!(c, ';' | '&' | '|'));
        let named = EXTENSIONS.iter().filter(|(name, _)| words().any(|word| word == *name));
        wanted.extend(named.flat_map(|(_, modules)| *modules));
        wanted.extend(["xt_conntrack", "iptable_nat", "xt_nat", "xt_MASQUERADE", "xt_REDIRECT", "iptable_raw"]);
    }
    if v6 {
        wanted.extend(["ip6_tables", "ip6table_filter", "ip6table_mangle", "ip6table_nat"]);
    }
    if text.contains("ipvsadm") || text.contains("keepalived") {
        wanted.push("ip_vs");
        wanted.extend(SCHEDULER_MODULES);
    }
    if text.contains("vmac") || text.contains("macvlan") {
        wanted.push("macvlan");
    }
    let calls = |tool: &str| text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == tool);
    if calls("nft") {
        wanted.extend(NFTABLES);
    }
    if calls("tc") {
        wanted.extend(TRAFFIC_CONTROL);
    }
    if text.contains("tunl0") {
        wanted.push("ipip");
    }
    wanted
}

/// What a virtual machine's ports are made of, where it is not built in.
pub const OF_PORTS: [&str; 2] = ["virtio_pci", "virtio_console"];

/// What rules of `nft` are made of that forward, share out and filter.
const NFTABLES: [&str; 6] = ["nf_tables", "nft_ct", "nft_hash", "nft_numgen", "nft_dup_netdev", "nft_fwd_netdev"];
/// What `tc` is called for where frames are taken up as they come in.
const TRAFFIC_CONTROL: [&str; 9] = [
    "sch_ingress",
    "cls_u32",
    "cls_flower",
    "cls_matchall",
    "act_gact",
    "act_mirred",
    "act_pedit",
    "act_skbmod",
    "act_csum",
];
const ARP_FILTER: [&str; 3] = ["arp_tables", "arptable_filter", "arpt_mangle"];
const IP_FILTER: [&str; 6] = ["ip_tables", "iptable_filter", "iptable_mangle", "xt_tcpudp", "xt_mark", "xt_multiport"];

/// The module of each of [`SCHEDULERS`], in the same order.
const SCHEDULER_MODULES: [&str; 14] = [
    "ip_vs_rr",
    "ip_vs_wrr",
    "ip_vs_lc",
    "ip_vs_wlc",
    "ip_vs_fo",
    "ip_vs_ovf",
    "ip_vs_lblc",
    "ip_vs_lblcr",
    "ip_vs_dh",
    "ip_vs_sh",
    "ip_vs_mh",
    "ip_vs_sed",
    "ip_vs_nq",
    "ip_vs_twos",
];

/// All services that a plan has or adds on the way.
fn services(plan: &Plan) -> impl Iterator<Item = &Service> {
    fn added(act: &Act) -> Option<&Service> {
        match act {
            Act::AddService { service, .. } => Some(service),
            _ => None,
        }
    }
    let at_first = plan.nodes.iter().filter_map(|node| node.ipvs.as_ref()).flat_map(|ipvs| &ipvs.services);
    let later = plan.timeline.iter().filter_map(|timed| added(&timed.act));
    let within = plan.timeline.iter().filter_map(move |timed| match &timed.act {
        Act::Load(load) => Some(load.during.iter().filter_map(|during| added(&during.act.act))),
        _ => None,
    });
    at_first.chain(later).chain(within.flatten())
}

/// Loads modules and what they depend on from a folder such as `/lib/modules/6.1.176`. Says which could not be had.
///
/// # Errors
/// A folder without `modules.dep`.
pub fn load(folder: &Path, wanted: &[&str]) -> Result<Vec<Unloaded>, ModulesError> {
    let read = |file: &str| {
        let path = folder.join(file);
        fs::read_to_string(&path).map_err(|source| ModulesError { path, source })
    };
    let list = read("modules.dep")?;
    let list = Dependencies::parse(&list);
    let built_in: BTreeSet<String> = read("modules.builtin").unwrap_or_default().lines().map(name).collect();
    let mut done = loaded();
    let mut unloaded = Vec::new();
    for module in wanted {
        if built_in.contains(&name(module)) {
            continue;
        }
        let Some(order) = list.order(module) else {
            unloaded
                .push(Unloaded { module: (*module).to_owned(), why: format!("{} does not hold it", folder.display()) });
            continue;
        };
        for path in order {
            if !done.insert(name(path)) {
                continue;
            }
            if let Err(why) = insert(&folder.join(path)) {
                unloaded.push(Unloaded { module: name(path), why });
            }
        }
    }
    Ok(unloaded)
}

/// Names of modules that are loaded; none where the kernel does not say.
fn loaded() -> BTreeSet<String> {
    let list = fs::read_to_string("/proc/modules").unwrap_or_default();
    list.lines().filter_map(|line| line.split_ascii_whitespace().next()).map(name).collect()
}

fn insert(path: &Path) -> Result<(), String> {
    // `MODULE_INIT_COMPRESSED_FILE` (Linux 5.17): the kernel unpacks it itself.
    const COMPRESSED: libc::c_uint = 4;
    let plain = path.extension().is_some_and(|extension| extension == "ko");
    let flags = if plain { ModuleInitFlags::empty() } else { ModuleInitFlags::from_bits_retain(COMPRESSED) };
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    match finit_module(&file, c"", flags) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(format!("{}: {errno}", path.display())),
    }
}

/// A module's name from its path: without folder and endings, `-` written `_`.
fn name(path: &str) -> String {
    let file = path.trim_end_matches(':').rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

/// `modules.dep`: each module's file, and the files that it needs, farthest last.
struct Dependencies<'a>(BTreeMap<String, (&'a str, Vec<&'a str>)>);

impl<'a> Dependencies<'a> {
    fn parse(text: &'a str) -> Self {
        let entry = |line: &'a str| {
            let (file, needs) = line.split_once(':')?;
            Some((name(file), (file, needs.split_ascii_whitespace().collect())))
        };
        Self(text.lines().filter_map(entry).collect())
    }

    /// The files to load for a module, it last; `None` where the list does not hold it.
    fn order(&self, module: &str) -> Option<Vec<&'a str>> {
        let (file, needs) = self.0.get(&name(module))?;
        Some(needs.iter().rev().copied().chain([*file]).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{Dependencies, SCHEDULER_MODULES, name};
    use crate::base::SCHEDULERS;

    #[test]
    fn what_a_module_needs_is_loaded_before_it() {
        let list = Dependencies::parse(
            "kernel/net/bridge/bridge.ko: kernel/net/802/stp.ko kernel/net/llc/llc.ko kernel/lib/crc-ccitt.ko\n\
             kernel/net/llc/llc.ko:\n",
        );
        let order = list.order("bridge").unwrap();
        assert_eq!(order.iter().map(|path| name(path)).collect::<Vec<_>>(), ["crc_ccitt", "llc", "stp", "bridge"]);
        assert!(list.order("veth").is_none());
    }

    #[test]
    fn a_compressed_file_has_the_same_name() {
        assert_eq!(name("kernel/drivers/net/veth.ko.xz"), "veth");
    }

    #[test]
    fn each_scheduler_has_its_module() {
        for (scheduler, module) in SCHEDULERS.iter().zip(SCHEDULER_MODULES) {
            assert_eq!(module, format!("ip_vs_{scheduler}"));
        }
        assert_eq!(SCHEDULERS.len(), SCHEDULER_MODULES.len());
    }
}
