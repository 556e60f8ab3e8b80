//! What happens in the lab, one action after the other.

use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Load, SysctlValue};
use crate::base::{IfName, Mac, NodeName};

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
    /// Add a real server to a service as the scenario has it. Where the timeline says this first of it, the table does
    /// not have it at the start.
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
        /// IPv4: only where nobody answers an ARP probe for it, as ifup does (`arping -D`).
        #[serde(default)]
        unless_taken: bool,
        /// IPv6: with duplicate address detection. Takes `accept_dad` too.
        #[serde(default)]
        dad: bool,
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
    /// Start a daemon of a node and wait until it is ready; one that runs is left alone.
    StartDaemon {
        /// Where.
        node: NodeName,
        /// Which one; the node's only one where not said.
        #[serde(default)]
        daemon: Option<String>,
    },
    /// Stop a daemon as an administrator does: SIGTERM, and SIGKILL to what is left after five seconds.
    StopDaemon {
        /// Where.
        node: NodeName,
        /// Which one; the node's only one where not said.
        #[serde(default)]
        daemon: Option<String>,
    },
    /// Kill a daemon and all that it started with SIGKILL, so that none of it cleans up.
    KillDaemon {
        /// Where.
        node: NodeName,
        /// Which one; the node's only one where not said.
        #[serde(default)]
        daemon: Option<String>,
    },
    /// Run a shell command in a node and wait for its end; one that fails is an error.
    Run {
        /// Where.
        node: NodeName,
        /// The command.
        command: String,
        /// Whether it may fail.
        #[serde(default)]
        may_fail: bool,
        /// How long it may take, in milliseconds; 30000 where not said.
        #[serde(default)]
        deadline_ms: Option<u64>,
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
    /// Let time pass, so that timers run out.
    Pause {
        /// In milliseconds.
        ms: u64,
    },
    /// Wait until something holds. Where it does not in time, the timeline ends there and the run is broken (exit code
    /// 1), whatever the checks come to; the report says what was seen instead, and the capture is kept.
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
    /// A Director's IPVS table has a real server with this weight; where none is given, with any but 0.
    RealServer {
        /// The real server's node.
        real_server: NodeName,
        /// Its weight there: 0 while it only drains.
        #[serde(default)]
        weight: Option<u32>,
        /// `false`: the table does not have it at all.
        #[serde(default)]
        listed: Option<bool>,
        /// The Director; the first one where not said.
        #[serde(default)]
        director: Option<NodeName>,
    },
    /// An interface is up with carrier.
    LinkUp {
        /// Where.
        node: NodeName,
        /// Which.
        interface: IfName,
    },
    /// An address is there and in use; or, with `usable = false`, duplicate address detection has refused it.
    Address {
        /// Where.
        node: NodeName,
        /// Which.
        address: IpAddr,
        /// Whether it may be used, as where not said.
        #[serde(default)]
        usable: Option<bool>,
    },
    /// IPVS holds so many connection entries.
    Connections {
        /// The Director; the only one where not said.
        #[serde(default)]
        node: Option<NodeName>,
        /// The fewest; 0 where not said.
        #[serde(default)]
        at_least: u32,
        /// The most; any number where not said.
        #[serde(default)]
        at_most: Option<u32>,
    },
}
