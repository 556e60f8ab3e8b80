//! What the kernel said about a node when it was asked: addresses, routes, neighbours, sysctls, IPVS.
//!
//! Owns: the shape of facts, the same for a lab's node and for a live host. Refuses: how they are read, and any
//! opinion on them. What could not be read is listed in [`NodeFacts::unread`], never left out silently.

pub mod run;
pub mod statements;
pub mod survey;
pub mod weblog;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::base::{Forwarding, IfName, Mac, NodeName, Protocol, ServiceId};

/// All that is known about one node at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// The node.
    pub node: NodeName,
    /// Interfaces, by index.
    pub links: Vec<LinkFact>,
    /// Addresses, in the kernel's order (the first of an interface is its primary one).
    pub addresses: Vec<AddressFact>,
    /// Routes of the tables `main` and `local`, without multicast ones.
    pub routes: Vec<RouteFact>,
    /// Neighbour entries that hold a MAC, are permanent or have failed.
    pub neighbours: Vec<NeighbourFact>,
    /// Sysctls, key as `sysctl` writes it with dots (`net.ipv4.conf.eth0.arp_ignore`; a dot inside an interface's name is written `/`).
    pub sysctls: BTreeMap<String, String>,
    /// Rules of the ARP filter, one line each as `arptables-save` writes them; `None` where none can be loaded.
    pub arptables: Option<Vec<String>>,
    /// Rules of the packet filter, one line each as `iptables -S` writes them, headed by `-t TABLE` where it is not
    /// `filter`; `None` where they were not read.
    #[serde(default)]
    pub iptables: Option<Vec<String>>,
    /// Sockets that take in what comes for their address; `None` where they were not read.
    #[serde(default)]
    pub sockets: Option<Vec<SocketFact>>,
    /// The IPVS table; `None` on a node without a Director's part.
    pub ipvs: Option<IpvsFacts>,
    /// Counters of `/proc/net/snmp` and `/proc/net/netstat` that are not zero (`IpInAddrErrors`, `TcpExtIPReversePathFilter`).
    pub counters: BTreeMap<String, u64>,
    /// Ports that do more than switch; only the lab's switch has some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortFact>,
    /// What could not be read, and why.
    pub unread: Vec<Unread>,
}

impl NodeFacts {
    /// Facts of a node of which nothing has been read.
    pub fn unread(node: NodeName) -> Self {
        Self {
            node,
            links: Vec::new(),
            addresses: Vec::new(),
            routes: Vec::new(),
            neighbours: Vec::new(),
            sysctls: BTreeMap::new(),
            arptables: None,
            iptables: None,
            sockets: None,
            ipvs: None,
            counters: BTreeMap::new(),
            ports: Vec::new(),
            unread: Vec::new(),
        }
    }
}

/// A switch's port (`RTM_GETLINK` of the bridge, `RTM_GETTFILTER`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortFact {
    /// Its name.
    pub name: IfName,
    /// The node at the other end of its link.
    pub node: NodeName,
    /// Its interface there.
    pub interface: IfName,
    /// Whether it is isolated (`IFLA_BRPORT_ISOLATED`).
    pub isolated: bool,
    /// The VLAN of what comes in untagged, where the bridge heeds VLANs.
    pub vlan: Option<u16>,
    /// The only MACs that it takes frames from, where it is locked (`IFLA_BRPORT_LOCKED`).
    pub locked: Option<Vec<Mac>>,
    /// Its filters.
    pub filters: Vec<PortFilter>,
}

/// A filter of a port: what has another address is dropped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortFilter {
    /// What it looks at.
    pub looks_at: LooksAt,
    /// What passes.
    pub passes: Vec<Ipv4Addr>,
}

/// What a port's filter looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LooksAt {
    /// The source address of IPv4 packets from the node.
    SourceIp,
    /// The destination address of IPv4 packets to the node.
    DestinationIp,
    /// The sender's address in ARP from the node.
    ArpSender,
}

impl LooksAt {
    /// The filter's preference at its port, by which `tc` names it.
    pub fn preference(self) -> u16 {
        match self {
            Self::SourceIp => 1,
            Self::DestinationIp => 2,
            Self::ArpSender => 3,
        }
    }

    /// As statements write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SourceIp => "source-ip",
            Self::DestinationIp => "destination-ip",
            Self::ArpSender => "arp-sender",
        }
    }
}

impl PortFact {
    /// What it does beyond switching, a line each, as statements write it.
    pub fn lines(&self) -> Vec<String> {
        let name = &self.name;
        let mut lines = Vec::new();
        lines.extend(self.isolated.then(|| format!("port {name} isolated")));
        lines.extend(self.vlan.map(|vlan| format!("port {name} vlan {vlan}")));
        lines.extend(self.locked.as_ref().map(|macs| format!("port {name} source-mac only {}", listed(macs))));
        let filters = self.filters.iter();
        lines.extend(filters.map(|f| format!("port {name} {} only {}", f.looks_at.name(), listed(&f.passes))));
        lines
    }
}

/// In order, between spaces.
fn listed<T: Ord + Copy + std::fmt::Display>(all: &[T]) -> String {
    let mut all = all.to_vec();
    all.sort_unstable();
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// A fact that was wanted and not had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// What was asked for.
    pub what: String,
    /// Why there is no answer.
    pub why: String,
}

/// An interface (`RTM_GETLINK`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkFact {
    /// Its name.
    pub name: IfName,
    /// Its number in the namespace.
    pub index: u32,
    /// Its kind as the kernel names it (`veth`, `dummy`, `ipip`); `None` for the loopback.
    pub kind: Option<String>,
    /// Its Ethernet address, where it has one.
    pub mac: Option<Mac>,
    /// Largest IP packet, in bytes.
    pub mtu: u32,
    /// `IFF_UP`.
    pub up: bool,
    /// `IFF_LOWER_UP`.
    pub carrier: bool,
    /// `IFF_NOARP`.
    pub noarp: bool,
    /// Whether it leaves checksums of TCP and UDP to whoever takes its packets in (`ETHTOOL_GTXCSUM`); only read of a veth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx_checksum: Option<bool>,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets dropped, both ways.
    pub dropped: u64,
}

/// An address (`RTM_GETADDR`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressFact {
    /// The interface that carries it.
    pub interface: IfName,
    /// Address and prefix length.
    pub address: IpNet,
    /// The broadcast address, where one is set.
    pub broadcast: Option<IpAddr>,
    /// The label (`lo:0`), where it differs from the interface's name.
    pub label: Option<String>,
    /// `global`, `link`, `host`.
    pub scope: String,
    /// Flags that matter: `secondary`, `tentative`, `dadfailed`, `nodad`, `permanent`.
    pub flags: Vec<String>,
}

/// A route (`RTM_GETROUTE`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteFact {
    /// `main`, `local`, or the table's number.
    pub table: String,
    /// `unicast`, `local`, `broadcast`, `anycast`, `unreachable`, `blackhole`.
    pub kind: String,
    /// Where to; `0.0.0.0/0` and `::/0` are the default routes.
    pub destination: IpNet,
    /// The next hop, where there is one.
    pub gateway: Option<IpAddr>,
    /// The interface it leaves by.
    pub interface: Option<IfName>,
    /// The preferred source address.
    pub source: Option<IpAddr>,
    /// `global`, `link`, `host`.
    pub scope: String,
    /// The metric, 0 where none is set.
    pub metric: u32,
    /// The path's MTU in bytes, where the route sets one.
    pub mtu: Option<u32>,
    /// Who installed it: `kernel`, `boot`, `static`, `ra`.
    pub protocol: String,
}

/// A neighbour entry (`RTM_GETNEIGH`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighbourFact {
    /// The interface.
    pub interface: IfName,
    /// The neighbour's IP address.
    pub address: IpAddr,
    /// Its MAC, where it is known.
    pub mac: Option<Mac>,
    /// `permanent`, `reachable`, `stale`, `delay`, `probe`, `failed`, `incomplete`, `noarp`.
    pub state: String,
}

/// A TCP socket that listens, or a UDP socket that is bound (`/proc/net/tcp`, `udp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketFact {
    /// The transport.
    pub protocol: Protocol,
    /// The address and port that it is bound to.
    pub at: SocketAddr,
}

/// The IPVS table of a network namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IpvsFacts {
    /// Version of the kernel's IPVS, as `1.2.1`.
    pub version: String,
    /// Timeout of an established TCP connection, in seconds.
    pub timeout_tcp_s: u32,
    /// Timeout after FIN, in seconds.
    pub timeout_tcp_fin_s: u32,
    /// Timeout of a UDP pseudo connection, in seconds.
    pub timeout_udp_s: u32,
    /// The virtual services.
    pub services: Vec<ServiceFact>,
    /// The connection table (`/proc/net/ip_vs_conn`), at most 10 000 entries.
    pub connections: Vec<ConnectionFact>,
    /// Whole connections since the namespace was made (`/proc/net/ip_vs_stats_percpu`, exact at once).
    pub total_connections: u64,
    /// Packets taken in from clients, likewise.
    pub total_in_packets: u64,
    /// Packets that came back through the Director, likewise; direct routing has none.
    pub total_out_packets: u64,
}

/// A virtual service as the kernel holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceFact {
    /// Which one.
    pub service: ServiceId,
    /// The scheduler's name.
    pub scheduler: String,
    /// Flags: `persistent`, `ops`, `sched-1`, `sched-2`, `sched-3`.
    pub flags: Vec<String>,
    /// Persistence in seconds, where it is on.
    pub persistence_s: Option<u32>,
    /// Its real servers.
    pub destinations: Vec<DestinationFact>,
    /// Connections, by the estimator: up to 2 s old.
    pub connections: u64,
    /// Packets in, by the estimator: up to 2 s old.
    pub in_packets: u64,
}

/// A real server as the kernel holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DestinationFact {
    /// RIP and port.
    pub at: SocketAddr,
    /// The forwarding method.
    pub forwarding: Forwarding,
    /// The weight; 0 takes no new connections.
    pub weight: u32,
    /// Upper threshold of connections, 0 for none.
    pub upper: u32,
    /// Lower threshold of connections, 0 for none.
    pub lower: u32,
    /// Active connections now (exact at once).
    pub active: u32,
    /// Inactive connections now (exact at once).
    pub inactive: u32,
    /// Persistent connections now.
    pub persistent: u32,
    /// Connections, by the estimator: up to 2 s old.
    pub connections: u64,
    /// Packets in, by the estimator: up to 2 s old.
    pub in_packets: u64,
}

impl DestinationFact {
    /// One that no connection has come to, without thresholds.
    pub fn unused(at: SocketAddr, forwarding: Forwarding, weight: u32) -> Self {
        Self {
            at,
            forwarding,
            weight,
            upper: 0,
            lower: 0,
            active: 0,
            inactive: 0,
            persistent: 0,
            connections: 0,
            in_packets: 0,
        }
    }
}

/// One entry of the connection table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionFact {
    /// Its transport.
    pub protocol: Protocol,
    /// The client's end.
    pub client: SocketAddr,
    /// VIP and port.
    pub service: SocketAddr,
    /// The chosen real server.
    pub destination: SocketAddr,
    /// The state as IPVS sees it (`ESTABLISHED`, `FIN_WAIT`, `SYN_RECV`, `UDP`).
    pub state: String,
    /// Seconds until it is forgotten.
    pub expires_s: u32,
}
