//! Reading a node back: everything that can be configured, and the counters that tell causes apart.
//!
//! Owns: what is asked of a kernel and in which files. Refuses: failing; what could not be read is listed as unread. A
//! sysctl that this kernel does not have is unread only where the plan set it.

pub mod here;
pub mod netlink;
mod sockets;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::sync::Arc;

use nix::errno::Errno;

use crate::base::{IfName, NodeName, Protocol, error_chain};
use crate::facts::{IpvsFacts, NodeFacts, Unread};
use crate::inside::arpfilter::{self, Filters};
use crate::inside::ipvs::{self, IpvsError};
use crate::inside::link::offload::Ethtool;
use crate::inside::ns::Space;
use crate::inside::{rtnl, sysctl};
use crate::plan::Node;

/// Keys below `net.ipv4.conf.<interface>.` that decide about ARP and about which packets are taken or sent on.
const IPV4_CONF: [&str; 11] = [
    "arp_ignore",
    "arp_announce",
    "arp_filter",
    "arp_notify",
    "arp_accept",
    "drop_gratuitous_arp",
    "rp_filter",
    "accept_local",
    "proxy_arp",
    "send_redirects",
    "forwarding",
];
/// Keys below `net.ipv6.conf.<interface>.`, likewise.
const IPV6_CONF: [&str; 4] = ["disable_ipv6", "accept_dad", "accept_ra", "forwarding"];
/// Keys by themselves.
const SINGLE: [&str; 2] = ["net.ipv4.ip_forward", "net.ipv4.icmp_ratelimit"];

/// What is to be read of a node beyond what every node has.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The node.
    pub node: NodeName,
    /// Sysctls that must be read, with dots.
    pub sysctls: BTreeSet<String>,
    /// Whether the ARP filter is read.
    pub arptables: bool,
    /// The tables of packet filters that are read, each with whether it is IPv6's.
    pub iptables: BTreeSet<(bool, String)>,
    /// Whether the IPVS table is read.
    pub ipvs: bool,
}

impl Wanted {
    /// What a plan's node calls for.
    pub fn of(node: &Node) -> Self {
        Self {
            node: node.name.clone(),
            sysctls: node.sysctls.iter().map(|one| one.key.clone()).collect(),
            arptables: !node.arptables.is_empty(),
            iptables: tables(node),
            ipvs: node.ipvs.is_some(),
        }
    }
}

impl Wanted {
    /// Also what a text of shell commands may have set.
    pub fn touched_by(&mut self, text: &str) {
        self.arptables |= text.contains("arptables");
        let words: Vec<&str> = text.split_whitespace().collect();
        for (at, word) in words.iter().enumerate().filter(|(_, word)| matches!(**word, "iptables" | "ip6tables")) {
            let table = match words.get(at + 1..at + 3) {
                Some(["-t", table]) => (*table).to_owned(),
                _ => "filter".to_owned(),
            };
            self.iptables.insert((*word == "ip6tables", table));
        }
    }
}

/// The packet filters' tables that a node's rules are in; in others nothing was ever set.
fn tables(node: &Node) -> BTreeSet<(bool, String)> {
    let named = node.iptables.iter().map(|list| {
        let table = list.windows(2).find(|w| matches!(w[0].as_str(), "-t" | "--table")).map(|w| w[1].clone());
        (arpfilter::is_v6(list), table.unwrap_or_else(|| "filter".to_owned()))
    });
    named.collect()
}

/// Reads all facts of the node whose worker this is called in.
pub async fn facts(wanted: Wanted, space: Arc<Space>, filters: Arc<Filters>) -> NodeFacts {
    let mut facts = NodeFacts::unread(wanted.node.clone());
    everywhere(&mut facts, &wanted, NODE).await;
    if wanted.arptables {
        match filters.rules(&space) {
            Ok(rules) => facts.arptables = Some(rules),
            Err(error) => unread(&mut facts, "arptables", &error),
        }
    }
    let mut rules = Vec::new();
    for (v6, table) in &wanted.iptables {
        match filters.packet_rules(&space, *v6, table) {
            Ok(found) => rules.extend(found),
            Err(error) => unread(&mut facts, "iptables", &error),
        }
    }
    facts.iptables = Some(rules).filter(|_| !facts.unread.iter().any(|one| one.what == "iptables"));
    if wanted.ipvs {
        table(&mut facts, NODE);
    }
    facts
}

/// Where the files of the network that is read are, in a node: as its first process sees them. Our own `self` does not
/// exist in the node's `/proc`, as this thread is not in its PID namespace, and outside it would be the main thread's
/// network.
const NODE: &str = "/proc/1/net";

/// Reads what is read alike in a node and on a live machine, in the network of the calling thread, whose files are in
/// `files`.
async fn everywhere(facts: &mut NodeFacts, wanted: &Wanted, files: &str) {
    by_netlink(facts).await;
    sysctls(facts, wanted);
    for file in ["snmp", "netstat"] {
        match fs::read_to_string(format!("{files}/{file}")) {
            Ok(text) => facts.counters.extend(counters(&text)),
            Err(error) => unread(facts, &format!("/proc/net/{file}"), &error),
        }
    }
    match sockets::all(files) {
        Ok(found) => facts.sockets = Some(found),
        Err(error) => unread(facts, "sockets", &error),
    }
}

/// Reads the IPVS table.
fn table(facts: &mut NodeFacts, files: &str) {
    match ipvs_facts(files) {
        Ok(found) => facts.ipvs = Some(found),
        Err(error) => unread(facts, "ipvs", &error),
    }
}

async fn by_netlink(facts: &mut NodeFacts) {
    let handle = match rtnl::open() {
        Ok(handle) => handle,
        Err(error) => return unread(facts, "links, addresses, routes and neighbours", &error),
    };
    match netlink::links(&handle).await {
        Ok(found) => facts.links = found,
        Err(error) => return unread(facts, "links, addresses, routes and neighbours", &error),
    }
    if let Err(error) = checksums(facts) {
        unread(facts, "checksum offloads", &error);
    }
    let names = facts.links.iter().map(|link| (link.index, link.name.clone())).collect();
    match netlink::addresses(&handle, &names).await {
        Ok(found) => facts.addresses = found,
        Err(error) => unread(facts, "addresses", &error),
    }
    match netlink::routes(&handle, &names).await {
        Ok(found) => facts.routes = found,
        Err(error) => unread(facts, "routes", &error),
    }
    match netlink::neighbours(&handle, &names).await {
        Ok(found) => facts.neighbours = found,
        Err(error) => unread(facts, "neighbours", &error),
    }
}

/// Reads which links leave checksums to others; a network card that computes them itself is none of these.
fn checksums(facts: &mut NodeFacts) -> Result<(), Errno> {
    let ethtool = Ethtool::open()?;
    for link in facts.links.iter_mut().filter(|link| link.kind.as_deref() == Some("veth")) {
        link.tx_checksum = ethtool.tx_checksum(&link.name)?;
    }
    Ok(())
}

fn sysctls(facts: &mut NodeFacts, wanted: &Wanted) {
    let mut keys = wanted.sysctls.clone();
    keys.extend(SINGLE.map(str::to_owned));
    let interfaces: Vec<String> = facts.links.iter().map(|link| in_key(&link.name)).collect();
    for name in ["all", "default"].into_iter().chain(interfaces.iter().map(String::as_str)) {
        keys.extend(IPV4_CONF.iter().map(|key| format!("net.ipv4.conf.{name}.{key}")));
        keys.extend(IPV6_CONF.iter().map(|key| format!("net.ipv6.conf.{name}.{key}")));
    }
    if wanted.ipvs {
        let files = fs::read_dir("/proc/sys/net/ipv4/vs").into_iter().flatten().filter_map(Result::ok);
        keys.extend(files.map(|file| format!("net.ipv4.vs.{}", file.file_name().to_string_lossy())));
    }
    for key in keys {
        match sysctl::get(&key) {
            Ok(value) => {
                facts.sysctls.insert(key, value);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && !wanted.sysctls.contains(&key) => {}
            // Some keys of IPVS can only be written.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !wanted.sysctls.contains(&key) => {}
            Err(error) => unread(facts, &key, &error),
        }
    }
}

/// An interface's name as it stands in a key.
fn in_key(name: &IfName) -> String {
    name.as_str().replace('.', "/")
}

fn ipvs_facts(files: &str) -> Result<IpvsFacts, IpvsError> {
    let mut session = ipvs::Session::open()?;
    let timeouts = session.timeouts()?;
    let version = session.version()?;
    let services = session.services()?;
    let file = |name: &str| {
        fs::read_to_string(format!("{files}/{name}")).map_err(|error| IpvsError::Conversation {
            what: format!("read /proc/net/{name}"),
            detail: error.to_string(),
        })
    };
    let totals = ipvs::proc::totals(&file("ip_vs_stats_percpu")?);
    Ok(IpvsFacts {
        version,
        timeout_tcp_s: timeouts.tcp,
        timeout_tcp_fin_s: timeouts.fin,
        timeout_udp_s: timeouts.udp,
        services,
        connections: ipvs::proc::connections(&file("ip_vs_conn")?),
        total_connections: totals.connections,
        total_in_packets: totals.in_packets,
        total_out_packets: totals.out_packets,
    })
}

/// A file of `/proc/net` as the node's first process sees it.
///
/// # Errors
/// Those of the file.
pub fn net_file(name: &str) -> io::Result<String> {
    fs::read_to_string(format!("{NODE}/{name}"))
}

/// Whether a socket of the node whose worker this is called in takes in what comes to a port.
///
/// # Errors
/// Those of the files in which the kernel tells its sockets.
pub fn listens(protocol: Protocol, port: u16) -> io::Result<bool> {
    Ok(sockets::all(NODE)?.iter().any(|socket| socket.protocol == protocol && socket.at.port() == port))
}

/// Counters that are not zero, from pairs of lines: `Ip: InReceives …` and `Ip: 17 …` give `IpInReceives`.
fn counters(text: &str) -> BTreeMap<String, u64> {
    let lines: Vec<&str> = text.lines().collect();
    let pairs = lines.chunks_exact(2).filter_map(|pair| {
        let (group, names) = pair[0].split_once(':')?;
        let (_, values) = pair[1].split_once(':')?;
        Some(names.split_ascii_whitespace().zip(values.split_ascii_whitespace()).map(move |(name, value)| {
            // A value may be -1 where there is no limit (TcpMaxConn); it counts nothing.
            (format!("{group}{name}"), value.parse().unwrap_or(0))
        }))
    });
    pairs.flatten().filter(|(_, value)| *value != 0).collect()
}

fn unread(facts: &mut NodeFacts, what: &str, why: &dyn std::error::Error) {
    facts.unread.push(Unread { what: what.to_owned(), why: error_chain(why).join(": ") });
}

#[cfg(test)]
mod tests {
    use super::counters;

    #[test]
    fn counters_are_named_by_group_and_column_and_zeros_left_out() {
        let text = "Ip: Forwarding InAddrErrors InReceives\nIp: 2 1 0\nTcp: MaxConn ActiveOpens\nTcp: -1 4\n";
        let found = counters(text);
        assert_eq!(found.get("IpInAddrErrors"), Some(&1));
        assert_eq!(found.get("TcpActiveOpens"), Some(&4));
        assert_eq!(found.len(), 3);
    }
}
