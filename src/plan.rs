//! The plan: a scenario with nothing left open. Every name, MAC, address, route and sysctl is fixed, and what roles
//! implied is said.
//!
//! Owns: the plan's shape and (in its parts) how a scenario becomes one. Refuses: touching anything.

pub mod act;
mod addresses;
mod arp;
pub mod case;
pub mod compile;
pub mod describe;
mod draft;
pub mod error;
pub mod expect;
pub mod facts;
mod filters;
mod interfaces;
mod ipvs;
pub mod labels;
mod loads;
mod macs;
mod neighbours;
mod probes;
pub mod programs;
mod routes;
mod segments;
mod servers;
pub mod statements;
pub mod sysctls;
mod timeline;
mod vip;
pub mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::base::{DirectorKind, Forwarding, IfName, Mac, NodeName, Protocol, Role, ServiceId, Verdict};
use crate::facts::{PortFact, PortFilter};
pub use act::{Act, Condition, During, Load, LoadMode, TimedAct, Trigger};
pub use case::case;
pub use compile::compile;
pub use describe::describe;
pub use error::CompileError;
pub use programs::{Command, Daemon, PlacedFile, Ready};

/// Everything that `drlab inside` needs to build and run a lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The scenario's name, as `basic/lvs-dr`.
    pub scenario: String,
    /// Its title.
    pub title: String,
    /// The VIPs, first the one that probes and pictures take.
    pub vips: Vec<IpAddr>,
    /// Broadcast domains.
    pub segments: Vec<Segment>,
    /// Nodes, in the scenario's order.
    pub nodes: Vec<Node>,
    /// What happens once the lab is built, in order.
    pub timeline: Vec<TimedAct>,
    /// Who asks on the wire, after the timeline, who has which VIP.
    pub probes: Vec<Probe>,
    /// What the scenario did not say and its roles implied, in plain words.
    pub implied: Vec<Implied>,
    /// What is expected to come of it.
    pub expect: Expect,
    /// The least memory of the lab's kernel, in MiB.
    #[serde(default)]
    pub memory_mib: u32,
}

impl Plan {
    /// The nodes in which programs of the scenario's choice run.
    pub fn with_programs(&self) -> BTreeSet<NodeName> {
        self.nodes.iter().filter(|node| node.has_programs()).map(|node| node.name.clone()).collect()
    }

    /// All texts by which programs in a node may change what it is: files, commands, and daemons' commands.
    pub fn texts_of<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a str> {
        let files = node.files.iter().filter_map(|file| file.content.as_ref()?.text());
        let commands = node.commands.iter().map(|command| command.text.as_str());
        let daemons = node.daemons.iter().map(|daemon| daemon.command.as_str());
        let later = case::acts(self).filter_map(|act| match act {
            Act::Run { node: at, command } if *at == node.name => Some(command.text.as_str()),
            _ => None,
        });
        files.chain(commands).chain(daemons).chain(later)
    }
}

/// What a scenario expects of its run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Expect {
    /// The checks that are made and what each is to give; a check that is not listed is not made.
    pub checks: BTreeMap<String, Verdict>,
    /// Ids of the root findings that are to be named, no more and no fewer.
    pub findings: Vec<String>,
    /// Answers per real server, where the scenario states them: smallest and largest number.
    pub share: BTreeMap<NodeName, (u64, u64)>,
}

/// Something that the scenario left open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Implied {
    /// Whom it concerns: a node's or segment's name, or `lab`.
    pub whom: String,
    /// What was filled in.
    pub what: String,
    /// Why.
    pub why: String,
}

/// A broadcast domain: a bridge in the lab's own switch namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its name.
    pub name: NodeName,
    /// Its IPv4 subnet.
    pub v4: Option<Ipv4Net>,
    /// Its IPv6 subnet.
    pub v6: Option<Ipv6Net>,
    /// Largest IP packet, in bytes.
    pub mtu: u32,
    /// The bridge's name.
    pub bridge: IfName,
    /// Its ports in the order in which they join. The last one is flooded first and wins an ARP race.
    pub ports: Vec<Port>,
}

/// The switch's end of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The node at the other end.
    pub node: NodeName,
    /// Its interface.
    pub interface: IfName,
    /// The port's own name in the switch namespace.
    pub name: IfName,
    /// Whether it is isolated from other isolated ports.
    pub isolated: bool,
    /// Its VLAN, untagged; on all ports of a segment or on none.
    pub vlan: Option<u16>,
    /// The only MACs that it takes frames from; all of them where none is stated.
    pub locked: Option<Vec<Mac>>,
    /// Its filters.
    pub filters: Vec<PortFilter>,
}

impl Port {
    /// What is read back of it, where it does more than switch.
    pub fn fact(&self) -> Option<PortFact> {
        let plain = !self.isolated && self.vlan.is_none() && self.locked.is_none() && self.filters.is_empty();
        (!plain).then(|| PortFact {
            name: self.name.clone(),
            node: self.node.clone(),
            interface: self.interface.clone(),
            isolated: self.isolated,
            vlan: self.vlan,
            locked: self.locked.clone(),
            filters: self.filters.clone(),
        })
    }
}

/// A node: one host with its own network, mount, PID and UTS namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its name and hostname.
    pub name: NodeName,
    /// Its part.
    pub role: Role,
    /// The node that it is a container on.
    #[serde(default)]
    pub runs_on: Option<NodeName>,
    /// Its interfaces, loopback included (kind [`LinkKind::Loopback`], always first).
    pub interfaces: Vec<Interface>,
    /// Sysctls in the order in which they are written, after interfaces exist and before addresses are added.
    pub sysctls: Vec<Sysctl>,
    /// Routes to add, in order, after all addresses.
    pub routes: Vec<Route>,
    /// Static neighbours.
    pub neighbours: Vec<Neighbour>,
    /// Argument lists for `arptables`, one call each, in order (`["-A", "INPUT", …]`).
    pub arptables: Vec<Vec<String>>,
    /// Argument lists for `iptables` (or `ip6tables`), one call each, in order; marks for fwmark services are made so.
    pub iptables: Vec<Vec<String>>,
    /// What makes a Director of it.
    #[serde(default)]
    pub kind: DirectorKind,
    /// The IPVS table, on a Director; `None` where nothing that its script calls makes one.
    pub ipvs: Option<Ipvs>,
    /// The virtual services that its own commands or daemons are to make.
    #[serde(default)]
    pub balances: Vec<Service>,
    /// What it serves.
    pub servers: Vec<Server>,
    /// The access logs of its own web servers.
    #[serde(default)]
    pub access_logs: Vec<String>,
    /// The packages that it has beside those of the machine, in order and each once.
    #[serde(default)]
    pub packages: Vec<String>,
    /// The files that are placed in it before anything runs.
    #[serde(default)]
    pub files: Vec<PlacedFile>,
    /// The programs that run in it for as long as the lab stands, in the order of starting.
    #[serde(default)]
    pub daemons: Vec<Daemon>,
    /// Shell commands that are run in it once it is built, in order, before daemons start and facts are read.
    #[serde(default)]
    pub commands: Vec<Command>,
    /// Whether the timeline runs commands in it.
    #[serde(default)]
    pub commands_later: bool,
}

impl Node {
    /// Whether programs of the scenario's choice run in it: then only its kernel can tell how it is configured.
    pub fn has_programs(&self) -> bool {
        let at_start = !self.files.is_empty() || !self.daemons.is_empty() || !self.commands.is_empty();
        at_start || self.commands_later
    }

    /// Whether it is a Director that balances by other means than IPVS.
    pub fn is_without_ipvs(&self) -> bool {
        self.role == Role::Director && self.kind == DirectorKind::Script && self.ipvs.is_none()
    }
}

/// What an interface is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkKind {
    /// The namespace's own `lo`.
    Loopback,
    /// A veth into a segment.
    Segment(NodeName),
    /// A dummy device.
    Dummy,
    /// The namespace's IPIP device (`tunl0`), for TUN.
    Ipip,
    /// An interface on top of another one.
    Upper(Upper),
}

/// An interface on top of another one, which may be another node's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upper {
    /// `macvlan` with a MAC of its own, or `ipvlan` with the lower one's.
    pub macvlan: bool,
    /// Whose the interface below is.
    pub node: NodeName,
    /// The interface below.
    pub lower: IfName,
    /// The segment that both are on.
    pub segment: NodeName,
}

/// An interface of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: IfName,
    /// What it is.
    pub kind: LinkKind,
    /// Its MAC; `None` where the device has none.
    pub mac: Option<Mac>,
    /// Largest IP packet, in bytes.
    pub mtu: u32,
    /// Whether it is up once the lab is built.
    pub up: bool,
    /// Whether it does ARP, where it is an Ethernet interface.
    pub arp: bool,
    /// Whether checksums of TCP and UDP are left to whoever takes its packets in.
    #[serde(default)]
    pub tx_checksum: bool,
    /// Addresses in the order in which they are added.
    pub addresses: Vec<Address>,
}

/// An address to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Address and prefix length.
    pub address: IpNet,
    /// Broadcast address, IPv4 only.
    pub broadcast: Option<Ipv4Addr>,
    /// Label such as `lo:0`.
    pub label: Option<String>,
    /// Whether IPv6 duplicate address detection is left out (`IFA_F_NODAD`).
    pub nodad: bool,
}

/// A sysctl to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctl {
    /// Its key with dots, `net.ipv4.conf.all.arp_ignore`.
    pub key: String,
    /// Its value as it is written.
    pub value: String,
    /// Whether it belongs to drlab's pinned baseline (and not to the scenario or a role).
    pub baseline: bool,
}

/// A route to add to the table `main`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where to.
    pub destination: IpNet,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// The interface it leaves by.
    pub interface: Option<IfName>,
    /// The preferred source.
    pub source: Option<IpAddr>,
    /// The path's MTU in bytes.
    pub mtu: Option<u32>,
}

/// A permanent neighbour entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// The interface.
    pub interface: IfName,
    /// The neighbour's address.
    pub address: IpAddr,
    /// Its MAC.
    pub mac: Mac,
}

/// A Director's IPVS table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipvs {
    /// The virtual services, in the order in which they are added.
    pub services: Vec<Service>,
    /// Timeouts in seconds for TCP, TCP after FIN, and UDP; `None` leaves the kernel's.
    pub timeouts_s: Option<(u32, u32, u32)>,
}

/// A virtual service to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Which one.
    pub id: ServiceId,
    /// The scheduler's name, one of [`crate::base::SCHEDULERS`].
    pub scheduler: String,
    /// `sched-1` to `sched-3` (for `sh`: 1 is fallback, 2 is port; for `mh` likewise) and `ops`.
    pub flags: Vec<String>,
    /// Persistence in seconds.
    pub persistence_s: Option<u32>,
    /// Prefix length that persistence groups clients by.
    pub persistence_prefix: Option<u8>,
    /// Its real servers, in order.
    pub destinations: Vec<Destination>,
}

/// A real server to add to a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The node that it is, where it is one of the lab's.
    pub node: Option<NodeName>,
    /// RIP and port.
    pub at: SocketAddr,
    /// The forwarding method.
    pub forwarding: Forwarding,
    /// The weight.
    pub weight: u32,
    /// Upper threshold, 0 for none.
    pub upper: u32,
    /// Lower threshold, 0 for none.
    pub lower: u32,
}

/// A server on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Its name in the timeline and in logs, unique on the node.
    pub name: String,
    /// Over TCP it speaks HTTP/1.1, over UDP it echoes with the node's name before the payload.
    pub protocol: Protocol,
    /// What it binds: the unspecified address, or a certain one.
    pub bind: SocketAddr,
    /// Size of a body in bytes beyond the line that tells the node.
    pub body_bytes: u32,
    /// The names of its sites; every name where there are none.
    pub hosts: Vec<String>,
    /// Whether the route gives a datagram's answer its source, and not the address that was asked.
    pub source_by_route: bool,
}

/// One active question: who has `target`? Asked by ARP or, for IPv6, by a neighbour solicitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Who asks.
    pub node: NodeName,
    /// By which interface.
    pub interface: IfName,
    /// The asker's own address.
    pub sender: IpAddr,
    /// The VIP.
    pub target: IpAddr,
}
