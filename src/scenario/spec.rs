//! What a scenario file may say, version 1. These types are the format: the schema, the reference in
//! `scenarios/README.md` and the checks of a file's shape are all made from them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use indexmap::IndexMap;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::{Forwarding, IfName, LoadMode, Mac, NodeName, Protocol, Role, Verdict};

/// A whole scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Scenario {
    /// The version of the format: 1.
    pub format: u32,
    /// One line that says what the lab shows.
    pub title: String,
    /// More about it: what to look at, where the case was met.
    #[serde(default)]
    pub about: Option<String>,
    /// The virtual IP address, or a list of them.
    pub vip: OneOrMany<IpAddr>,
    /// How the VIP is placed on nodes that don't say it themselves.
    #[serde(default)]
    pub vip_placement: VipPlacement,
    /// The cure of the ARP problem that every real server and front router gets: `sysctl` where not said.
    #[serde(default)]
    pub arp_cure: Option<ArpCure>,
    /// Broadcast domains by name.
    #[schemars(extend("propertyNames" = { "type": "string", "format": "node-name" }))]
    pub segments: IndexMap<NodeName, Segment>,
    /// Nodes by name, in order.
    #[schemars(extend("propertyNames" = { "type": "string", "format": "node-name" }))]
    pub nodes: IndexMap<NodeName, Node>,
    /// Virtual services. Without one: TCP port 80 of the first VIP with every real server, scheduler `rr`.
    #[serde(default)]
    pub services: Vec<Service>,
    /// IPVS timeouts.
    #[serde(default)]
    pub timeouts: Option<Timeouts>,
    /// The load. Without load and timeline: 20 requests, 4 at once, from every client in turn.
    #[serde(default)]
    pub load: Option<Load>,
    /// What happens in which order; without it the load is all that happens.
    #[serde(default)]
    pub timeline: Vec<Step>,
    /// What is expected. Without it: every check that applies holds.
    #[serde(default)]
    pub expect: Expect,
}

/// One value, or a list of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// Several.
    Many(Vec<T>),
}

/// How the ARP problem is cured: only the Director may answer who-has for the VIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArpCure {
    /// `arp_ignore=1` and `arp_announce=2` on `all`, on every real server.
    Sysctl,
    /// `arptables` on every real server: requests for the VIP are dropped, the VIP as sender is mangled to the RIP.
    Arptables,
    /// A permanent neighbour entry of the VIP with the Director's MAC on every router and client of the segment.
    StaticBinding,
    /// None: the kernel's defaults.
    None,
}

/// How the VIP is placed where a node does not place it itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VipPlacement {
    /// On real servers: `lo:0`, `lo`, `dummy0`, or an interface.
    pub real_server: String,
    /// On the Director: an interface, or one with a label as `eth0:0`.
    pub director: String,
    /// Prefix length on both; 32 or 128 where not said.
    pub prefix: Option<u8>,
}

impl Default for VipPlacement {
    fn default() -> Self {
        Self { real_server: "lo:0".into(), director: "eth0:0".into(), prefix: None }
    }
}

/// A broadcast domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// Its IPv4 or IPv6 subnet, or one of each.
    pub subnet: OneOrMany<IpNet>,
    /// Largest IP packet in bytes, 1500 where not said.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// The order in which nodes' ports join; the last one is flooded first and wins an ARP race. Without it: Directors,
    /// then routers, clients and real servers, so that an uncured ARP problem shows.
    #[serde(default)]
    pub join_order: Vec<NodeName>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its part: `client`, `router`, `director`, `real-server`.
    pub role: Role,
    /// Shorthand for one interface `eth0`: the segment that it is on.
    #[serde(default)]
    pub segment: Option<NodeName>,
    /// Shorthand for `eth0`: its address or addresses, with or without prefix length; derived where not given.
    #[serde(default)]
    pub address: Option<OneOrMany<String>>,
    /// Shorthand for `eth0`: its MAC; derived from node and interface where not given.
    #[serde(default)]
    pub mac: Option<Mac>,
    /// Its interfaces by name, instead of the shorthand.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "type": "string", "format": "interface-name" }))]
    pub interfaces: IndexMap<IfName, Interface>,
    /// The default gateway: an address, a node's name, `none`, or not said: the segment's router.
    #[serde(default)]
    pub gateway: Option<OneOrMany<String>>,
    /// Further routes.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Permanent neighbour entries: address and MAC, or a node's name in place of the MAC.
    #[serde(default)]
    pub neighbours: Vec<Neighbour>,
    /// Sysctls, written over the baseline and what the ARP cure sets: `"net.ipv4.conf.all.arp_ignore" = 1`.
    #[serde(default)]
    pub sysctls: IndexMap<String, SysctlValue>,
    /// Rules for `arptables`, a line each: `-A INPUT -d 172.16.0.66 -j DROP`.
    #[serde(default)]
    pub arptables: Vec<String>,
    /// Rules for `iptables`, a line each: `-t mangle -A PREROUTING …`.
    #[serde(default)]
    pub iptables: Vec<String>,
    /// The VIP on this node: where it is, or `false` for not at all.
    #[serde(default)]
    pub vip: Option<NodeVip>,
    /// The cure of the ARP problem on this node, where it differs from the scenario's.
    #[serde(default)]
    pub arp_cure: Option<ArpCure>,
    /// What it serves; a real server serves HTTP on each service's port where not said.
    #[serde(default)]
    pub serve: Option<Vec<Serve>>,
}

/// The VIP on one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum NodeVip {
    /// `false`: this node does not own it. `true`: as the scenario places it.
    Own(bool),
    /// Where it is, as `lo:0`, `dummy0`, `eth0`.
    On(String),
    /// Where, and with which prefix length.
    Placed(PlacedVip),
}

/// Where a node has the VIP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlacedVip {
    /// The device, with a label where wanted: `lo:0`.
    pub on: String,
    /// Prefix length; 32 or 128 where not said.
    #[serde(default)]
    pub prefix: Option<u8>,
    /// Broadcast address; the VIP itself for a /32, as in the textbook.
    #[serde(default)]
    pub broadcast: Option<IpAddr>,
}

/// An interface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// The segment that it is on.
    #[serde(default)]
    pub segment: Option<NodeName>,
    /// `dummy` or `ipip` for one that is on no segment.
    #[serde(default)]
    pub kind: Option<InterfaceKind>,
    /// Its address or addresses, with or without prefix length; derived where not given, none for `[]`.
    #[serde(default)]
    pub address: Option<OneOrMany<String>>,
    /// Its MAC; derived from node and interface where not given.
    #[serde(default)]
    pub mac: Option<Mac>,
    /// Its MTU in bytes; the segment's where not given.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// Whether it is up, as it is where not said.
    #[serde(default)]
    pub up: Option<bool>,
}

/// What an interface on no segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InterfaceKind {
    /// A dummy device.
    Dummy,
    /// The IPIP device `tunl0`.
    Ipip,
}

/// A sysctl's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SysctlValue {
    /// A number.
    Number(i64),
    /// A text, as `1024 65535`.
    Text(String),
}

/// A route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Where to: a prefix, or `default`.
    pub to: String,
    /// The next hop.
    #[serde(default)]
    pub via: Option<IpAddr>,
    /// The interface.
    #[serde(default)]
    pub dev: Option<IfName>,
    /// The preferred source.
    #[serde(default)]
    pub src: Option<IpAddr>,
    /// The path's MTU in bytes.
    #[serde(default)]
    pub mtu: Option<u32>,
}

/// A permanent neighbour entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Neighbour {
    /// The neighbour's address.
    pub address: IpAddr,
    /// Its MAC, or the name of a node (or `node:interface`) whose MAC it is.
    pub mac: String,
    /// The interface; found by the address where not given.
    #[serde(default)]
    pub dev: Option<IfName>,
}

/// A virtual service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The Director that holds it; every Director where not said.
    #[serde(default)]
    pub director: Option<NodeName>,
    /// The VIP; the scenario's first where not said.
    #[serde(default)]
    pub vip: Option<IpAddr>,
    /// The port; 80 where not said, 0 for every port (persistent services only).
    #[serde(default)]
    pub port: Option<u16>,
    /// `tcp` where not said.
    #[serde(default)]
    pub protocol: Option<Protocol>,
    /// A firewall mark; packets for VIP, port and protocol get it by an iptables rule unless `mark_packets = false`.
    #[serde(default)]
    pub fwmark: Option<u32>,
    /// Whether drlab adds the rule that marks packets.
    #[serde(default)]
    pub mark_packets: Option<bool>,
    /// The scheduler: `rr` where not said.
    #[serde(default)]
    pub scheduler: Option<String>,
    /// The scheduler's flags (`sh-fallback`, `sh-port`, `mh-fallback`, `mh-port`) and `ops`.
    #[serde(default)]
    pub flags: Vec<String>,
    /// Persistence in seconds.
    #[serde(default)]
    pub persistence_s: Option<u32>,
    /// Prefix length by which persistence groups clients.
    #[serde(default)]
    pub persistence_prefix: Option<u8>,
    /// The forwarding method of its real servers: `direct-routing` where not said.
    #[serde(default)]
    pub forwarding: Option<Forwarding>,
    /// Its real servers; every node with that role where not said.
    #[serde(default)]
    pub real_servers: Option<Vec<RealServer>>,
}

/// A real server of a service: a node's name, or more about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RealServer {
    /// A node, with weight 1.
    Node(NodeName),
    /// More about it.
    Detailed(DetailedRealServer),
}

/// A real server of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DetailedRealServer {
    /// The node.
    #[serde(default)]
    pub node: Option<NodeName>,
    /// The RIP, where the node has several or is not in the lab.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// The port; the service's where not said. Direct routing can't map ports.
    #[serde(default)]
    pub port: Option<u16>,
    /// The weight, 1 where not said.
    #[serde(default)]
    pub weight: Option<u32>,
    /// Its forwarding method, where it differs from the service's.
    #[serde(default)]
    pub forwarding: Option<Forwarding>,
    /// Upper threshold of connections.
    #[serde(default)]
    pub upper: Option<u32>,
    /// Lower threshold of connections.
    #[serde(default)]
    pub lower: Option<u32>,
}

/// IPVS timeouts in seconds; what is not given keeps the kernel's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// Of an established TCP connection (900).
    #[serde(default)]
    pub tcp_s: Option<u32>,
    /// After a FIN (120).
    #[serde(default)]
    pub tcp_fin_s: Option<u32>,
    /// Of a UDP pseudo connection (300).
    #[serde(default)]
    pub udp_s: Option<u32>,
}

/// What a node serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Serve {
    /// Its name in the timeline; `http-80` or `udp-53` after its port where not said.
    #[serde(default)]
    pub name: Option<String>,
    /// `tcp` (HTTP/1.1) where not said, `udp` for an echo.
    #[serde(default)]
    pub protocol: Option<Protocol>,
    /// The port.
    pub port: u16,
    /// The address that it binds; every one where not said.
    #[serde(default)]
    pub bind: Option<IpAddr>,
    /// Bytes of body beyond the line that tells the node; 512 where not said.
    #[serde(default)]
    pub body_bytes: Option<u32>,
}

/// A load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Its name in reports.
    #[serde(default)]
    pub name: Option<String>,
    /// The clients; every node with that role where not said.
    #[serde(default)]
    pub clients: Vec<NodeName>,
    /// How many source addresses each client sends from; they are added to its interface. 1 where not said.
    #[serde(default)]
    pub addresses_per_client: Option<u32>,
    /// The VIP; the first service's where not said.
    #[serde(default)]
    pub vip: Option<IpAddr>,
    /// The port; the first service's where not said.
    #[serde(default)]
    pub port: Option<u16>,
    /// `tcp` for HTTP or `udp`; the first service's where not said.
    #[serde(default)]
    pub protocol: Option<Protocol>,
    /// How many requests in all; 20 where neither this nor a duration is given.
    #[serde(default)]
    pub requests: Option<u32>,
    /// How many at once; 4 where not said.
    #[serde(default)]
    pub concurrency: Option<u32>,
    /// At most so many a second.
    #[serde(default)]
    pub rate_per_s: Option<f64>,
    /// At most so long, in milliseconds.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// `per-request` for a connection of its own each (so where not said), or `keep-alive`.
    #[serde(default)]
    pub connections: Option<LoadMode>,
    /// Paths, taken in turn; `/` where not said.
    #[serde(default)]
    pub paths: Vec<String>,
    /// The `Host` header; the VIP where not said.
    #[serde(default)]
    pub host: Option<String>,
    /// How long one request may take, in milliseconds; 3000 where not said.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// What else happens while it runs.
    #[serde(default)]
    pub during: Vec<DuringStep>,
}

/// Something in the middle of a load: `after_requests` or `at_ms`, and one action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DuringStep {
    /// Once so many requests have ended.
    #[serde(default)]
    pub after_requests: Option<u32>,
    /// So many milliseconds after the load began.
    #[serde(default)]
    pub at_ms: Option<u64>,
    /// What.
    #[serde(rename = "do")]
    pub action: Action,
}

/// One step of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What a reader sees of it; made from the action where not given.
    #[serde(default)]
    pub label: Option<String>,
    /// What.
    #[serde(rename = "do")]
    pub action: Action,
}

/// Something that is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Send requests; `{}` for the scenario's own load.
    Load(Load),
    /// Write a sysctl.
    SetSysctl {
        /// Where.
        node: NodeName,
        /// With dots.
        key: String,
        /// Its value.
        value: SysctlValue,
    },
    /// Change a real server's weight.
    SetWeight {
        /// The real server.
        real_server: NodeName,
        /// Its new weight.
        weight: u32,
        /// Which service, counted from 0 in the scenario's order; 0 where not said.
        #[serde(default)]
        service: usize,
    },
    /// Add the service of that number to the Director.
    AddService {
        /// Which one, counted from 0.
        service: usize,
    },
    /// Delete the service of that number.
    DeleteService {
        /// Which one, counted from 0.
        service: usize,
    },
    /// Remove a real server from a service.
    DeleteRealServer {
        /// The real server.
        real_server: NodeName,
        /// Which service, counted from 0; 0 where not said.
        #[serde(default)]
        service: usize,
    },
    /// Add a real server to a service as the scenario has it.
    AddRealServer {
        /// The real server.
        real_server: NodeName,
        /// Which service, counted from 0; 0 where not said.
        #[serde(default)]
        service: usize,
    },
    /// Set an interface up or down. Down takes its routes with it, the default gateway too, and up brings none back.
    SetLink {
        /// Where.
        node: NodeName,
        /// Which interface.
        interface: IfName,
        /// Up or down.
        up: bool,
    },
    /// Add an address: `172.16.0.66/32` on `lo:0`.
    AddAddress {
        /// Where.
        node: NodeName,
        /// On which device, with a label where wanted.
        on: String,
        /// With prefix length.
        address: IpNet,
    },
    /// Remove an address.
    DeleteAddress {
        /// Where.
        node: NodeName,
        /// From which device.
        on: String,
        /// With prefix length.
        address: IpNet,
    },
    /// Stop a node's server.
    StopServer {
        /// Where.
        node: NodeName,
        /// Which one; the node's only one where not said.
        #[serde(default)]
        server: Option<String>,
    },
    /// Start a stopped server.
    StartServer {
        /// Where.
        node: NodeName,
        /// Which one; the node's only one where not said.
        #[serde(default)]
        server: Option<String>,
    },
    /// Delete neighbour entries that are not permanent.
    FlushNeighbours {
        /// Where.
        node: NodeName,
        /// Only this interface's.
        #[serde(default)]
        interface: Option<IfName>,
        /// Only this address.
        #[serde(default)]
        address: Option<IpAddr>,
    },
    /// Set a neighbour entry.
    SetNeighbour {
        /// Where.
        node: NodeName,
        /// The neighbour's address.
        address: IpAddr,
        /// Its MAC, or a node's name.
        mac: String,
        /// Whether it is permanent, as where not said, or stale like one that was learned.
        #[serde(default)]
        permanent: Option<bool>,
    },
    /// Send a gratuitous ARP or an unsolicited neighbour advertisement.
    GratuitousArp {
        /// Who sends.
        node: NodeName,
        /// By which interface; the one on the VIP's segment where not said.
        #[serde(default)]
        interface: Option<IfName>,
        /// For which address; the first VIP where not said.
        #[serde(default)]
        address: Option<IpAddr>,
        /// With which MAC; the interface's own where not said.
        #[serde(default)]
        mac: Option<Mac>,
    },
    /// Send echo requests.
    Ping {
        /// Who sends.
        node: NodeName,
        /// To whom: an address, or a node's name.
        to: String,
        /// How many; 1 where not said.
        #[serde(default)]
        count: Option<u16>,
        /// How long to wait for each answer in milliseconds; 1000 where not said.
        #[serde(default)]
        timeout_ms: Option<u64>,
    },
    /// Wait until something holds.
    WaitUntil {
        /// What.
        condition: Condition,
        /// For how long at most, in milliseconds; 5000 where not said.
        #[serde(default)]
        deadline_ms: Option<u64>,
    },
}

/// Something to wait for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    /// A neighbour entry is there, with this MAC where one is given.
    Neighbour {
        /// Where.
        node: NodeName,
        /// Whose.
        address: IpAddr,
        /// A MAC, or a node's name.
        #[serde(default)]
        mac: Option<String>,
    },
    /// No usable neighbour entry is there.
    NoNeighbour {
        /// Where.
        node: NodeName,
        /// Whose.
        address: IpAddr,
    },
    /// A TCP port accepts a connection.
    PortOpen {
        /// From where.
        node: NodeName,
        /// Address and port.
        #[schemars(with = "String", extend("format" = "socket-address"))]
        at: std::net::SocketAddr,
    },
    /// A sysctl has a value.
    Sysctl {
        /// Where.
        node: NodeName,
        /// With dots.
        key: String,
        /// Its value.
        value: SysctlValue,
    },
    /// An interface is up with carrier.
    LinkUp {
        /// Where.
        node: NodeName,
        /// Which.
        interface: IfName,
    },
    /// IPVS holds at least so many connection entries.
    Connections {
        /// The Director; the only one where not said.
        #[serde(default)]
        node: Option<NodeName>,
        /// How many.
        at_least: u32,
    },
}

/// What is expected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Checks that don't hold, and what they come to: `arp-census = "broken"`. All others that apply hold.
    #[serde(default)]
    pub checks: BTreeMap<String, Verdict>,
    /// Checks that are not made.
    #[serde(default)]
    pub skip: Vec<String>,
    /// Ids of the root findings that are named.
    #[serde(default)]
    pub findings: Vec<String>,
    /// Answers per real server: a number, or smallest and largest.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "type": "string", "format": "node-name" }))]
    pub share: BTreeMap<NodeName, Share>,
}

/// How many answers a real server gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Share {
    /// Exactly so many.
    Exactly(u64),
    /// From the first to the second.
    Between(u64, u64),
}
