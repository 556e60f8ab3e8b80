//! ARP filters and packet marks: `arptables` and `iptables`, run in the node.
//!
//! Owns: finding the tools (legacy tables first, for those are in every kernel that matters here), running a plan's
//! argument lists, reading the ARP filter back. Refuses: understanding a rule. A missing tool is a lack of the machine, a
//! rule that the tool refuses is the plan's fault.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::ns::{Space, tool_folder};

/// Why a filter is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ArpFilterError {
    /// None of the tools is there.
    #[error("this machine has no {tool} (looked in PATH and in {looked} further folders)")]
    Missing {
        /// Its name.
        tool: &'static str,
        /// How many tool folders were looked through.
        looked: usize,
    },
    /// It could not be started.
    #[error("could not start {tool}")]
    Start {
        /// Its path.
        tool: String,
        /// Why not.
        source: io::Error,
    },
    /// It said no.
    #[error("`{command}` failed: {said}")]
    Refused {
        /// The whole command.
        command: String,
        /// The last line of what it said.
        said: String,
    },
}

impl ArpFilterError {
    /// Whether it is the machine that lacks something.
    pub fn is_lacking(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Start { .. })
    }
}

/// A family of tools that change one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Arp,
    Ip4,
    Ip6,
}

impl Family {
    const fn name(self) -> &'static str {
        match self {
            Self::Arp => "arptables",
            Self::Ip4 => "iptables",
            Self::Ip6 => "ip6tables",
        }
    }

    const fn legacy(self) -> &'static str {
        match self {
            Self::Arp => "arptables-legacy",
            Self::Ip4 => "iptables-legacy",
            Self::Ip6 => "ip6tables-legacy",
        }
    }
}

/// A tool as a node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tool {
    pub(super) path: PathBuf,
    pub(super) environment: Vec<(&'static str, OsString)>,
}

/// The tools, looked for once for all nodes.
#[derive(Debug, Clone)]
pub struct Filters {
    arp: Option<Tool>,
    ip4: Option<Tool>,
    ip6: Option<Tool>,
    looked: usize,
}

impl Filters {
    /// Looks for the tools in `path` (as in the environment's `PATH`) and in the tool folders, which a node sees at
    /// [`tool_folder`].
    pub fn find(path: &str, roots: &[PathBuf]) -> Self {
        let find = |family: Family| found(&[family.legacy(), family.name()], path, roots);
        Self { arp: find(Family::Arp), ip4: find(Family::Ip4), ip6: find(Family::Ip6), looked: roots.len() }
    }

    /// Runs a node's argument lists for `arptables`, in order.
    ///
    /// # Errors
    /// The first that failed.
    pub fn apply_arp(&self, space: &Space, lists: &[Vec<String>]) -> Result<(), ArpFilterError> {
        lists.iter().try_for_each(|list| {
            let list = without_name(list, Family::Arp.name());
            self.run(space, Family::Arp, list).map(drop)
        })
    }

    /// Runs a node's argument lists for `iptables`, or `ip6tables` where a list begins with that word or names an IPv6
    /// address, in order.
    ///
    /// # Errors
    /// The first that failed.
    pub fn apply_ip(&self, space: &Space, lists: &[Vec<String>]) -> Result<(), ArpFilterError> {
        lists.iter().try_for_each(|list| {
            let family = family(list);
            self.run(space, family, without_name(list, family.name())).map(drop)
        })
    }

    /// The rules of the ARP filter, one `-A CHAIN …` each; a chain that does not accept by default is a `-P` line.
    ///
    /// # Errors
    /// A missing tool, or one that failed.
    pub fn rules(&self, space: &Space) -> Result<Vec<String>, ArpFilterError> {
        let output = self.run(space, Family::Arp, &["-L".to_owned(), "-n".to_owned()])?;
        Ok(listed(&String::from_utf8_lossy(&output.stdout)))
    }

    /// The rules of a table of the packet filter, as `-S` lists them; a table other than `filter` is named first. Chains
    /// that accept by default are left out.
    ///
    /// # Errors
    /// A missing tool, or one that failed.
    pub fn packet_rules(&self, space: &Space, v6: bool, table: &str) -> Result<Vec<String>, ArpFilterError> {
        let family = if v6 { Family::Ip6 } else { Family::Ip4 };
        let output = self.run(space, family, &["-t", table, "-S"].map(str::to_owned))?;
        Ok(packet_rules_of(&String::from_utf8_lossy(&output.stdout), table))
    }

    fn run(&self, space: &Space, family: Family, arguments: &[String]) -> Result<Output, ArpFilterError> {
        let tool = match family {
            Family::Arp => &self.arp,
            Family::Ip4 => &self.ip4,
            Family::Ip6 => &self.ip6,
        };
        let missing = || ArpFilterError::Missing { tool: family.name(), looked: self.looked };
        let tool = tool.as_ref().ok_or_else(missing)?;
        let mut command = Command::new(&tool.path);
        command.args(arguments).envs(tool.environment.iter().map(|(key, value)| (key, value))).current_dir("/");
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let start = |source| ArpFilterError::Start { tool: tool.path.display().to_string(), source };
        let output = space.spawn(&mut command).and_then(std::process::Child::wait_with_output).map_err(start)?;
        if output.status.success() {
            return Ok(output);
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        // Its last line only points to its help.
        let tells = |line: &&str| !line.is_empty() && !line.starts_with("Try `");
        let said = errors.lines().map(str::trim).rfind(tells).unwrap_or("nothing").to_owned();
        Err(ArpFilterError::Refused { command: format!("{} {}", family.name(), arguments.join(" ")), said })
    }
}

fn family(list: &[String]) -> Family {
    let v6 = |word: &str| word.split('/').next().is_some_and(|ip| matches!(ip.parse(), Ok(IpAddr::V6(_))));
    match list.first().map(String::as_str) {
        Some("ip6tables") => Family::Ip6,
        Some("iptables") => Family::Ip4,
        _ if list.iter().any(|word| v6(word)) => Family::Ip6,
        _ => Family::Ip4,
    }
}

/// Whether an argument list is for `ip6tables`.
pub fn is_v6(list: &[String]) -> bool {
    family(list) == Family::Ip6
}

fn without_name<'a>(list: &'a [String], name: &str) -> &'a [String] {
    match list.split_first() {
        Some((first, rest)) if first == name => rest,
        _ => list,
    }
}

/// The first of the names that is there; of each, what the machine has before what was unpacked. The plain name of a
/// filter's tool may be the nft variant, for which the kernel may lack the tables: it comes last.
pub(super) fn found(names: &[&str], path: &str, roots: &[PathBuf]) -> Option<Tool> {
    found_as(names, path, roots, &|index, _| tool_folder(index))
}

/// The same for whoever is in no node, and sees what was unpacked where it is.
pub(super) fn found_outside(names: &[&str], path: &str, roots: &[PathBuf]) -> Option<Tool> {
    found_as(names, path, roots, &|_, root| root.to_owned())
}

fn found_as(names: &[&str], path: &str, roots: &[PathBuf], seen: Seen<'_>) -> Option<Tool> {
    names.iter().find_map(|name| in_path(name, path).or_else(|| in_roots(name, roots, seen)))
}

/// Where the folder of that number is seen by whoever runs what is in it.
type Seen<'a> = &'a dyn Fn(usize, &Path) -> PathBuf;

/// Where programs are below a root.
const FOLDERS: [&str; 4] = ["usr/sbin", "sbin", "usr/bin", "bin"];

fn in_path(name: &str, path: &str) -> Option<Tool> {
    // An ordinary user's PATH has no sbin, and yet in a lab's kernel this is root.
    let folders = path.split(':').chain(["/usr/sbin", "/sbin"]).filter(|folder| folder.starts_with('/'));
    let found = folders.map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())?;
    Some(Tool { path: found, environment: Vec::new() })
}

fn in_roots(name: &str, roots: &[PathBuf], seen: Seen<'_>) -> Option<Tool> {
    roots.iter().enumerate().find_map(|(index, root)| {
        let folder = FOLDERS.into_iter().find(|folder| present(&root.join(folder).join(name)))?;
        let seen = seen(index, root);
        let libraries = libraries(root);
        let mut environment = Vec::new();
        if let Some(plugins) =
            libraries.iter().map(|folder| folder.join("xtables")).find(|folder| root.join(folder).is_dir())
        {
            environment.push(("XTABLES_LIBDIR", seen.join(plugins).into_os_string()));
        }
        let mut list = OsString::new();
        for folder in &libraries {
            if !list.is_empty() {
                list.push(":");
            }
            list.push(seen.join(folder));
        }
        environment.push(("LD_LIBRARY_PATH", list));
        Some(Tool { path: seen.join(folder).join(name), environment })
    })
}

/// The names of all programs that were unpacked.
pub(super) fn unpacked(roots: &[PathBuf]) -> BTreeSet<String> {
    let folders = roots.iter().flat_map(|root| FOLDERS.map(|folder| root.join(folder)));
    let entries = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Whether there is such a file, be it a link whose goal exists only once the package is installed.
fn present(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Folders of libraries below a root, relative to it: the architecture's first.
fn libraries(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for parent in ["usr/lib", "lib"] {
        let entries = fs::read_dir(root.join(parent)).into_iter().flatten().filter_map(Result::ok);
        let mut triplets: Vec<PathBuf> = entries
            .filter(|entry| entry.file_name().to_string_lossy().contains("-linux-gnu"))
            .map(|entry| Path::new(parent).join(entry.file_name()))
            .collect();
        triplets.sort();
        found.extend(triplets);
        found.push(PathBuf::from(parent));
    }
    found
}

/// Turns the listing of `iptables -t TABLE -S` into rules that name their table.
pub(super) fn packet_rules_of(text: &str, table: &str) -> Vec<String> {
    let tells = |line: &&str| line.starts_with("-A ") || (line.starts_with("-P ") && !line.ends_with(" ACCEPT"));
    let head = if table == "filter" { String::new() } else { format!("-t {table} ") };
    text.lines().map(str::trim).filter(tells).map(|line| format!("{head}{line}")).collect()
}

/// Turns `arptables -L -n` into rules as `-A` takes them. The save tool is not used: it is a Perl script with a bug for
/// each release.
pub(super) fn listed(text: &str) -> Vec<String> {
    let mut chain = "";
    let mut rules = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(head) = line.strip_prefix("Chain ") {
            let (name, rest) = head.split_once(' ').unwrap_or((head, ""));
            chain = name;
            let policy = rest.trim_matches(['(', ')']).strip_prefix("policy ").and_then(|rest| rest.split(' ').next());
            rules.extend(policy.filter(|policy| *policy != "ACCEPT").map(|policy| format!("-P {chain} {policy}")));
        } else if !line.is_empty() {
            rules.push(format!("-A {chain} {line}"));
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::{Family, family, listed};

    #[test]
    fn a_listing_becomes_rules() {
        let text = "Chain INPUT (policy DROP)\n-j DROP -d 172.16.0.66 \n\nChain OUTPUT (policy ACCEPT)\n\
                    -j mangle -s 172.16.0.66 --mangle-ip-s 172.16.252.137 \n\nChain FORWARD (policy ACCEPT)\n";
        assert_eq!(
            listed(text),
            [
                "-P INPUT DROP",
                "-A INPUT -j DROP -d 172.16.0.66",
                "-A OUTPUT -j mangle -s 172.16.0.66 --mangle-ip-s 172.16.252.137"
            ]
        );
    }

    #[test]
    fn an_ipv6_address_asks_for_ip6tables() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(family(&words("-t mangle -A PREROUTING -d 2001:db8::66/128 -j MARK")), Family::Ip6);
        assert_eq!(family(&words("-t mangle -A PREROUTING -d 172.16.0.66 -j MARK")), Family::Ip4);
        assert_eq!(family(&words("ip6tables -F")), Family::Ip6);
    }
}
