//! The words of LVS: who plays which part, what a virtual service is, how a packet is forwarded.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The part that a node plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Sends requests to the VIP.
    Client,
    /// Forwards between segments; the front of the VIP's segment.
    Router,
    /// Owns the VIP towards the segment and picks a real server for each connection.
    Director,
    /// Serves; owns the VIP without telling anyone.
    RealServer,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Client => "client",
            Self::Router => "router",
            Self::Director => "director",
            Self::RealServer => "real server",
        })
    }
}

/// What makes a Director of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DirectorKind {
    /// drlab gives it the VIP and an IPVS table.
    #[default]
    Ipvs,
    /// keepalived, a daemon of the node's, gives it both.
    Keepalived,
    /// Its own commands or daemons do, with IPVS or with something else.
    Script,
}

impl fmt::Display for DirectorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ipvs => "ipvs",
            Self::Keepalived => "keepalived",
            Self::Script => "script",
        })
    }
}

/// A transport protocol that IPVS balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// The number in the IP header.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

/// How the Director hands a packet to the chosen real server (`IP_VS_CONN_F_*` in `uapi/linux/ip_vs.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Forwarding {
    /// The same packet in a new frame (`ipvsadm -g`); the default.
    #[default]
    DirectRouting,
    /// Destination NAT, replies come back through the Director (`ipvsadm -m`).
    Nat,
    /// IP in IP to the RIP (`ipvsadm -i`).
    Tun,
    /// The Director serves it itself.
    LocalNode,
}

impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::DirectRouting => "Route",
            Self::Nat => "Masq",
            Self::Tun => "Tunnel",
            Self::LocalNode => "Local",
        })
    }
}

/// Every scheduler of the kernel (`net/netfilter/ipvs/Kconfig`), by the name that IPVS knows it under.
pub const SCHEDULERS: &[&str] =
    &["rr", "wrr", "lc", "wlc", "fo", "ovf", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "twos"];

/// What makes a virtual service one: protocol, VIP and port, or a firewall mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceId {
    /// By address; port 0 stands for every port (persistent services only).
    Address {
        /// The transport.
        protocol: Protocol,
        /// VIP and port.
        at: SocketAddr,
    },
    /// By firewall mark.
    Fwmark {
        /// The mark, not 0.
        mark: u32,
        /// Whether it balances IPv6.
        v6: bool,
    },
}

impl ServiceId {
    /// The VIP, where the service names one.
    pub fn vip(&self) -> Option<IpAddr> {
        match self {
            Self::Address { at, .. } => Some(at.ip()),
            Self::Fwmark { .. } => None,
        }
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { protocol, at } => write!(f, "{protocol} {at}"),
            Self::Fwmark { mark, v6: false } => write!(f, "FWM {mark}"),
            Self::Fwmark { mark, v6: true } => write!(f, "FWM {mark} IPv6"),
        }
    }
}
