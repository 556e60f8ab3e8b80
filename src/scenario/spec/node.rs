//! What a node is, has and serves.

use std::net::IpAddr;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ArpCure, Daemon, FileSource, OneOrMany, Run, Script};
use crate::base::{DirectorKind, IfName, Mac, NodeName, Protocol, Role};

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its part: `client`, `router`, `director`, `real-server`.
    pub role: Role,
    /// What makes a Director of it, `ipvs` where not said. With `keepalived` or `script` drlab gives it neither the VIP nor
    /// an IPVS table; what it has then is read from its kernel.
    #[serde(default)]
    pub kind: Option<DirectorKind>,
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
    /// The node that this one is a container on. It has namespaces and sysctls of its own all the same.
    #[serde(default)]
    pub runs_on: Option<NodeName>,
    /// Debian or Ubuntu packages that it has, with what they need: `["keepalived"]`. What the machine lacks of them is
    /// fetched and unpacked without root, and seen in this node only. Their scripts are not run and nothing is started.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Access logs of web servers of its own, in the common or combined format: `["/var/log/nginx/access.log"]`. They are
    /// read after the timeline as evidence of what was asked here. Such a node serves nothing by drlab where `serve` is
    /// not said, and its pages need not name it.
    #[serde(default)]
    pub access_logs: Vec<String>,
    /// What it serves; a real server serves HTTP on each service's port where not said.
    #[serde(default)]
    pub serve: Option<Vec<Serve>>,
    /// Files that are placed into the node's own view of the file system before anything runs in it, by the path that
    /// they get there; the machine's own files stay as they are. Each is the path of a file beside the scenario, or
    /// `{ text = "…" }`.
    #[serde(default)]
    pub files: IndexMap<String, FileSource>,
    /// Shell commands that are run in the node with the machine's own tools, once it is built: `"ip addr add …"`, `"echo 1 >
    /// /proc/sys/…"`. Each is a command, or `{ command = "…", may_fail = true }`. What they set is read back.
    #[serde(default)]
    pub run: Vec<Run>,
    /// A shell script that is run in the node after the commands of `run`: the path of a file beside the scenario, or
    /// `{ file = "…", arguments = ["start"] }`.
    #[serde(default)]
    pub script: Option<Script>,
    /// Programs that run in the node for as long as the lab stands, started in this order: `keepalived`, `nginx`.
    #[serde(default)]
    pub daemons: Vec<Daemon>,
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
    /// Each VIP in its own place; those that are not in the list are not on this node.
    Each(Vec<PlacedVip>),
}

/// Where a node has the VIP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlacedVip {
    /// The device, with a label where wanted: `lo:0`.
    pub on: String,
    /// The VIP that is meant, where each has a place of its own; every one where not said.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// Prefix length; 32 or 128 where not said.
    #[serde(default)]
    pub prefix: Option<u8>,
    /// Broadcast address; the VIP itself for a /32, as in the textbook.
    #[serde(default)]
    pub broadcast: Option<IpAddr>,
    /// Whether IPv6 asks first whether somebody has it (duplicate address detection); it is added last then, once the
    /// lab stands. Takes `accept_dad` too.
    #[serde(default)]
    pub dad: bool,
}

/// An interface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// The segment that it is on.
    #[serde(default)]
    pub segment: Option<NodeName>,
    /// `dummy` or `ipip` for one that is on no segment; `macvlan` or `ipvlan` for one on top of another.
    #[serde(default)]
    pub kind: Option<InterfaceKind>,
    /// The interface below, for `macvlan` and `ipvlan`: `eth0`, or `host:eth0` where it is another node's.
    #[serde(default)]
    pub parent: Option<String>,
    /// Its address or addresses, with or without prefix length; derived where not given, none for `[]`.
    #[serde(default)]
    pub address: Option<OneOrMany<String>>,
    /// Its MAC; derived from node and interface where not given.
    #[serde(default)]
    pub mac: Option<Mac>,
    /// The node whose MAC on the segment it has as well, as a clone does.
    #[serde(default)]
    pub mac_of: Option<NodeName>,
    /// Its MTU in bytes; the segment's where not given.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// Whether it is up, as it is where not said.
    #[serde(default)]
    pub up: Option<bool>,
    /// Whether it does ARP (`ip link set … arp off`), as it does where not said.
    #[serde(default)]
    pub arp: Option<bool>,
    /// `true`: it leaves the checksums of TCP and UDP that its node sends to whoever takes its packets in, as a network
    /// card's driver does and every veth by itself (`ethtool -K … tx on`). Where not said they are computed before
    /// packets leave, so that a capture shows what a wire would carry.
    #[serde(default)]
    pub tx_checksum: Option<bool>,
}

/// What an interface is that has no port of its own at a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InterfaceKind {
    /// A dummy device.
    Dummy,
    /// The IPIP device `tunl0`.
    Ipip,
    /// A second Ethernet interface on the same wire, with a MAC of its own (mode `bridge`).
    Macvlan,
    /// A second interface on the same wire, with the same MAC, told apart by IP addresses (mode `l2`).
    Ipvlan,
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
    /// HTTP: the names of its sites. A request with another `Host` gets a 404; every name is served where not said.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// UDP: whether the route gives an answer its source, as with a server that knows no `IP_PKTINFO`; where not said,
    /// it is the address that was asked.
    #[serde(default)]
    pub source_by_route: Option<bool>,
}
