//! Virtual services and their real servers.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::{Forwarding, NodeName, Protocol};

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
    /// `false`: the Director's table does not get it from drlab, for its own commands or daemons make it. The load and
    /// the real servers' HTTP go by it all the same.
    #[serde(default)]
    pub built: Option<bool>,
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
