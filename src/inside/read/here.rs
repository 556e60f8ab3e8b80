//! Reading the machine that this process runs on, for `drlab audit`.
//!
//! Owns: that nothing is changed by it. Asking for a table of filters or for IPVS by netlink would load modules, so each
//! is asked for only where the kernel shows that it is there already. Refuses: filters that neither iptables nor
//! arptables made; they are listed as unread.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Wanted, everywhere, table};
use crate::base::NodeName;
use crate::facts::{IpvsFacts, NodeFacts, Unread};
use crate::inside::arpfilter::{listed, packet_rules_of};

/// Where the files of the calling thread's network are.
const HERE: &str = "/proc/thread-self/net";

/// Reads all facts of this machine, as far as this user may.
///
/// # Errors
/// Those of starting the runtime that netlink is talked by.
pub fn facts(node: NodeName, ipvs: bool) -> io::Result<NodeFacts> {
    let wanted =
        Wanted { node: node.clone(), sysctls: BTreeSet::new(), arptables: true, iptables: BTreeSet::new(), ipvs };
    let mut facts = NodeFacts::unread(node);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(everywhere(&mut facts, &wanted, HERE));
    filters(&mut facts);
    if ipvs {
        if Path::new(HERE).join("ip_vs").exists() {
            table(&mut facts, HERE);
        } else {
            facts.ipvs = Some(nothing());
        }
    }
    Ok(facts)
}

/// The table of a kernel in which IPVS is not even loaded.
fn nothing() -> IpvsFacts {
    IpvsFacts {
        version: String::new(),
        timeout_tcp_s: 0,
        timeout_tcp_fin_s: 0,
        timeout_udp_s: 0,
        services: Vec::new(),
        connections: Vec::new(),
        total_connections: 0,
        total_in_packets: 0,
        total_out_packets: 0,
    }
}

/// A family of filters: its file of legacy tables, its tools, its name in nft.
struct Family {
    /// Under which name what can't be read is listed.
    what: &'static str,
    tables: &'static str,
    legacy: &'static str,
    nft: &'static str,
    plain: &'static str,
    of_nft: &'static str,
}

const FAMILIES: [Family; 3] = [
    Family {
        what: "arptables",
        tables: "arp_tables_names",
        legacy: "arptables-legacy",
        nft: "arptables-nft",
        plain: "arptables",
        of_nft: "arp",
    },
    Family {
        what: "iptables",
        tables: "ip_tables_names",
        legacy: "iptables-legacy",
        nft: "iptables-nft",
        plain: "iptables",
        of_nft: "ip",
    },
    Family {
        what: "iptables",
        tables: "ip6_tables_names",
        legacy: "ip6tables-legacy",
        nft: "ip6tables-nft",
        plain: "ip6tables",
        of_nft: "ip6",
    },
];

/// Tables that may hold a drop or a mark, by the names that iptables gives them.
const TABLES: [&str; 2] = ["filter", "mangle"];

fn filters(facts: &mut NodeFacts) {
    let (mut arp, mut packet) = (Some(Vec::new()), Some(Vec::new()));
    let nft = nft_tables();
    for family in &FAMILIES {
        let rules = rules(family, nft.as_deref());
        let into = if family.what == "arptables" { &mut arp } else { &mut packet };
        match (rules, into.as_mut()) {
            (Ok(rules), Some(all)) => all.extend(rules),
            (Ok(_), None) => {}
            (Err(why), _) => {
                *into = None;
                facts.unread.push(Unread { what: family.what.to_owned(), why });
            }
        }
    }
    for (family, name) in nft.iter().flatten().filter(|(family, name)| !known(family, name)) {
        let why = "its rules were not made by iptables, and are not followed".to_owned();
        facts.unread.push(Unread { what: format!("nft table {family} {name}"), why });
    }
    (facts.arptables, facts.iptables) = (arp, packet);
}

/// Whether iptables or arptables would list the table, or it says nothing of arriving packets.
fn known(family: &str, name: &str) -> bool {
    let named = TABLES.contains(&name) || matches!(name, "nat" | "raw" | "security");
    matches!(family, "ip" | "ip6" | "arp") && named || family == "bridge" || family == "netdev"
}

/// The rules of a family, of both kinds.
fn rules(family: &Family, nft: Result<&[(String, String)], &String>) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    let legacy = match fs::read_to_string(format!("{HERE}/{}", family.tables)) {
        Ok(text) => text,
        // The module is not loaded.
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err("only root may read it".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    for table in TABLES.iter().filter(|table| legacy.lines().any(|line| line == **table)) {
        all.extend(listing(family, &[family.legacy, family.plain], table)?);
    }
    let nft = nft.map_err(Clone::clone)?;
    for table in TABLES.iter().filter(|t| nft.iter().any(|(of, name)| of == family.of_nft && name == **t)) {
        all.extend(listing(family, &[family.nft, family.plain], table)?);
    }
    Ok(all)
}

fn listing(family: &Family, tools: &[&str], table: &str) -> Result<Vec<String>, String> {
    let arp = family.what == "arptables";
    let arguments: &[&str] = if arp { &["-L", "-n"] } else { &["-t", table, "-S"] };
    let tool = tools.iter().find_map(|name| found(name)).ok_or_else(|| format!("there is no {}", family.plain))?;
    let text = said(&tool, arguments)?;
    Ok(if arp { listed(&text) } else { packet_rules_of(&text, table) })
}

/// The tables of nft, as family and name; none where its module is not there.
fn nft_tables() -> Result<Vec<(String, String)>, String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let builtin = fs::read_to_string(format!("/lib/modules/{}/modules.builtin", release.trim())).unwrap_or_default();
    if !Path::new("/sys/module/nf_tables").exists() && !builtin.contains("/nf_tables.ko") {
        return Ok(Vec::new());
    }
    let Some(tool) = found("nft") else { return Err("nf_tables is loaded, and there is no nft to ask it".to_owned()) };
    let text = said(&tool, &["list", "tables"])?;
    let table = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip(1).map(str::to_owned);
        Some((words.next()?, words.next()?))
    };
    Ok(text.lines().filter_map(table).collect())
}

fn found(tool: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/sbin"]).filter(|folder| folder.starts_with('/'));
    folders.map(|folder| Path::new(folder).join(tool)).find(|path| path.is_file())
}

fn said(tool: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(tool).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("could not start {}: {error}", tool.display()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let first = errors.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it failed without a word");
    Err(format!("`{} {}`: {first}", tool.display(), arguments.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::known;

    #[test]
    fn a_table_that_iptables_does_not_list_is_not_known() {
        assert!(known("ip", "filter") && known("arp", "filter") && known("bridge", "any"));
        assert!(!known("inet", "firewalld") && !known("ip", "mine"));
    }
}
