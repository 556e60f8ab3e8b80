//! What a scenario file may say, version 1. These types are the format: the schema, the reference in
//! `scenarios/README.md` and the checks of a file's shape are all made from them.

mod expect;
mod load;
mod node;
mod program;
mod service;
mod switch;
mod timeline;

use std::net::IpAddr;

use indexmap::IndexMap;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::NodeName;
pub use expect::{Expect, Share};
pub use load::{DuringStep, Load};
pub use node::{Interface, InterfaceKind, Neighbour, Node, NodeVip, PlacedVip, Route, Serve, SysctlValue};
pub use program::{Daemon, FileSource, Ready, Run, SaidFile, SaidRun, SaidScript, Script};
pub use service::{DetailedRealServer, RealServer, Service, Timeouts};
pub use switch::{Guard, SwitchPort};
pub use timeline::{Action, Condition, Step};

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
    /// Memory that the lab takes in MiB, where that is more than `--memory` says: of the kernel in a guest, and of it three
    /// quarters at most for the programs of one node together, everywhere.
    #[serde(default)]
    pub memory_mib: Option<u32>,
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
    /// What the switch does at the ports of certain nodes.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "type": "string", "format": "node-name" }))]
    pub ports: IndexMap<NodeName, SwitchPort>,
}
