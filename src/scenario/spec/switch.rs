//! What a segment's switch does at the port of one node.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::Mac;

/// The switch's port of a node. Without it the port takes and gives everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchPort {
    /// Whether it is isolated: nothing passes between two isolated ports (a private VLAN).
    #[serde(default)]
    pub isolated: bool,
    /// Its VLAN, untagged; 1 where another port of the segment has one and this one does not say.
    #[serde(default)]
    pub vlan: Option<u16>,
    /// What is checked at it: what is not the node's own (its addresses but VIPs, its MACs) is dropped.
    #[serde(default)]
    pub guards: Vec<Guard>,
    /// IPv4 addresses that a guard lets pass besides the node's own (allowed address pairs).
    #[serde(default)]
    pub allowed: Vec<Ipv4Addr>,
    /// MACs that the guard `source-mac` lets pass besides the node's own.
    #[serde(default)]
    pub allowed_macs: Vec<Mac>,
}

/// What a port's guard looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// The source address of IPv4 packets that the node sends.
    SourceIp,
    /// The destination address of IPv4 packets that are sent to the node.
    DestinationIp,
    /// The sender's address in ARP that the node sends.
    ArpSender,
    /// The source MAC of all that the node sends.
    SourceMac,
}
