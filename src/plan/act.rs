//! What a timeline is made of: acts, loads, conditions.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Destination, Service};
pub use crate::base::LoadMode;
use crate::base::{IfName, Mac, NodeName, Protocol, ServiceId};
use crate::facts::run::{Listing, TableChange};

/// One step of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimedAct {
    /// What a reader sees of it.
    pub label: String,
    /// What is done.
    pub act: Act,
}

/// Something that is done to the lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Clients send requests until the load is done.
    Load(Load),
    /// A sysctl is written.
    SetSysctl {
        /// Where.
        node: NodeName,
        /// With dots.
        key: String,
        /// As written.
        value: String,
    },
    /// A real server's weight changes.
    SetWeight {
        /// The Director.
        node: NodeName,
        /// Which service.
        service: ServiceId,
        /// Which real server.
        destination: SocketAddr,
        /// Its new weight.
        weight: u32,
    },
    /// A virtual service is added with its real servers.
    AddService {
        /// The Director.
        node: NodeName,
        /// The service.
        service: Service,
    },
    /// A virtual service is deleted.
    DeleteService {
        /// The Director.
        node: NodeName,
        /// Which one.
        service: ServiceId,
    },
    /// A real server is added to a service.
    AddDestination {
        /// The Director.
        node: NodeName,
        /// Which service.
        service: ServiceId,
        /// The real server.
        destination: Destination,
    },
    /// A real server is removed from a service.
    DeleteDestination {
        /// The Director.
        node: NodeName,
        /// Which service.
        service: ServiceId,
        /// Which real server.
        destination: SocketAddr,
    },
    /// An interface goes up or down.
    SetLink {
        /// Where.
        node: NodeName,
        /// Which interface.
        interface: IfName,
        /// Up or down.
        up: bool,
    },
    /// An address is added.
    AddAddress {
        /// Where.
        node: NodeName,
        /// On which interface.
        interface: IfName,
        /// Which.
        address: super::Address,
        /// Whether it is only added where nobody answers an ARP probe for it.
        unless_taken: bool,
    },
    /// An address is removed.
    DeleteAddress {
        /// Where.
        node: NodeName,
        /// On which interface.
        interface: IfName,
        /// Which.
        address: ipnet::IpNet,
    },
    /// A node's server stops listening and closes its connections.
    StopServer {
        /// Where.
        node: NodeName,
        /// The server's name.
        server: String,
    },
    /// A stopped server listens again.
    StartServer {
        /// Where.
        node: NodeName,
        /// The server's name.
        server: String,
    },
    /// A daemon is started and is ready.
    StartDaemon {
        /// Where.
        node: NodeName,
        /// The daemon's name.
        daemon: String,
    },
    /// A daemon is told to end, and does.
    StopDaemon {
        /// Where.
        node: NodeName,
        /// The daemon's name.
        daemon: String,
    },
    /// A daemon is killed with all that it started.
    KillDaemon {
        /// Where.
        node: NodeName,
        /// The daemon's name.
        daemon: String,
    },
    /// A command of the scenario's is run, to its end.
    Run {
        /// Where.
        node: NodeName,
        /// Which.
        command: super::Command,
    },
    /// Neighbour entries that are not permanent are deleted.
    FlushNeighbours {
        /// Where.
        node: NodeName,
        /// Only those of this interface.
        interface: Option<IfName>,
        /// Only this address.
        address: Option<IpAddr>,
    },
    /// A neighbour entry is set.
    SetNeighbour {
        /// Where.
        node: NodeName,
        /// On which interface.
        interface: IfName,
        /// The neighbour.
        address: IpAddr,
        /// Its MAC.
        mac: Mac,
        /// Permanent, or stale as one that was learned.
        permanent: bool,
    },
    /// A gratuitous ARP request (IPv4) or unsolicited neighbour advertisement (IPv6) is sent.
    GratuitousArp {
        /// Who sends.
        node: NodeName,
        /// By which interface.
        interface: IfName,
        /// For which address.
        address: IpAddr,
        /// With which MAC; the interface's own where not given.
        mac: Option<Mac>,
    },
    /// Echo requests are sent and answered, or not.
    Ping {
        /// Who sends.
        node: NodeName,
        /// To whom.
        target: IpAddr,
        /// How many.
        count: u16,
        /// How long to wait for each answer, in milliseconds.
        timeout_ms: u64,
    },
    /// Nothing happens for a while.
    Pause {
        /// In milliseconds.
        ms: u64,
    },
    /// Nothing goes on until a condition holds.
    WaitUntil {
        /// What has to hold.
        condition: Condition,
        /// For how long at most, in milliseconds.
        deadline_ms: u64,
    },
}

impl Act {
    /// The node on which it is done; none for a load, which has clients, and for a wait, whose condition has one.
    pub fn node(&self) -> Option<&NodeName> {
        match self {
            Self::SetSysctl { node, .. }
            | Self::SetWeight { node, .. }
            | Self::AddService { node, .. }
            | Self::DeleteService { node, .. }
            | Self::AddDestination { node, .. }
            | Self::DeleteDestination { node, .. }
            | Self::SetLink { node, .. }
            | Self::AddAddress { node, .. }
            | Self::DeleteAddress { node, .. }
            | Self::StopServer { node, .. }
            | Self::StartServer { node, .. }
            | Self::StartDaemon { node, .. }
            | Self::StopDaemon { node, .. }
            | Self::KillDaemon { node, .. }
            | Self::Run { node, .. }
            | Self::FlushNeighbours { node, .. }
            | Self::SetNeighbour { node, .. }
            | Self::GratuitousArp { node, .. }
            | Self::Ping { node, .. } => Some(node),
            Self::Load(_) | Self::Pause { .. } | Self::WaitUntil { .. } => None,
        }
    }

    /// What it does, or sees done, to a real server's place in a Director's table.
    pub fn table_change(&self) -> Option<TableChange> {
        let weighed = |weight| if weight == 0 { Listing::Draining } else { Listing::Taking };
        let (director, service, addresses, now) = match self {
            Self::SetWeight { node, service, destination, weight } => {
                (node, Some(*service), vec![destination.ip()], weighed(*weight))
            }
            Self::AddDestination { node, service, destination } => {
                (node, Some(*service), vec![destination.at.ip()], weighed(destination.weight))
            }
            Self::DeleteDestination { node, service, destination } => {
                (node, Some(*service), vec![destination.ip()], Listing::Gone)
            }
            Self::WaitUntil { condition: Condition::RealServer { node, addresses, weight, listed, .. }, .. } => {
                let now = if *listed { weight.map_or(Listing::Taking, weighed) } else { Listing::Gone };
                (node, None, addresses.clone(), now)
            }
            _ => return None,
        };
        Some(TableChange { director: director.clone(), service, addresses, now })
    }

    /// Whether it changes what was configured, so that facts from before and after it differ.
    pub fn reconfigures(&self) -> bool {
        match self {
            Self::SetSysctl { .. }
            | Self::SetWeight { .. }
            | Self::AddService { .. }
            | Self::DeleteService { .. }
            | Self::AddDestination { .. }
            | Self::DeleteDestination { .. }
            | Self::SetLink { .. }
            | Self::AddAddress { .. }
            | Self::DeleteAddress { .. }
            | Self::SetNeighbour { .. }
            // What programs set and take back only they know.
            | Self::Run { .. }
            | Self::StartDaemon { .. }
            | Self::StopDaemon { .. }
            | Self::KillDaemon { .. } => true,
            Self::Load(_)
            | Self::StopServer { .. }
            | Self::StartServer { .. }
            | Self::FlushNeighbours { .. }
            | Self::GratuitousArp { .. }
            | Self::Ping { .. }
            | Self::Pause { .. }
            | Self::WaitUntil { .. } => false,
        }
    }

    /// Whether it changes what a scheduler goes by.
    pub fn reschedules(&self) -> bool {
        match self {
            Self::SetSysctl { key, .. } => key.starts_with("net.ipv4.vs."),
            Self::SetWeight { .. }
            | Self::AddService { .. }
            | Self::DeleteService { .. }
            | Self::AddDestination { .. }
            | Self::DeleteDestination { .. }
            | Self::Run { .. }
            | Self::StartDaemon { .. }
            | Self::StopDaemon { .. }
            | Self::KillDaemon { .. } => true,
            _ => false,
        }
    }
}

/// Something that can be waited for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// A neighbour entry has this MAC (or, without one, any).
    Neighbour {
        /// Where.
        node: NodeName,
        /// Whose.
        address: IpAddr,
        /// Which MAC.
        mac: Option<Mac>,
    },
    /// There is no usable neighbour entry.
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
        /// Which port.
        at: SocketAddr,
    },
    /// A sysctl has a value.
    Sysctl {
        /// Where.
        node: NodeName,
        /// With dots.
        key: String,
        /// As read.
        value: String,
    },
    /// An address is in use, or was refused by duplicate address detection.
    Address {
        /// Where.
        node: NodeName,
        /// Which.
        address: IpAddr,
        /// Which of the two.
        usable: bool,
    },
    /// An interface has carrier and is up.
    LinkUp {
        /// Where.
        node: NodeName,
        /// Which.
        interface: IfName,
    },
    /// An IPVS table has a real server.
    RealServer {
        /// The Director.
        node: NodeName,
        /// The real server's name.
        real_server: NodeName,
        /// Its addresses.
        addresses: Vec<IpAddr>,
        /// With which weight; any but 0 where none is given.
        weight: Option<u32>,
        /// Whether it is to be there at all.
        listed: bool,
    },
    /// IPVS holds this many connection entries.
    Connections {
        /// The Director.
        node: NodeName,
        /// The fewest.
        at_least: u32,
        /// The most, where there is one.
        at_most: Option<u32>,
    },
}

impl Condition {
    /// The node whose kernel is asked.
    pub fn node(&self) -> &NodeName {
        match self {
            Self::Neighbour { node, .. }
            | Self::NoNeighbour { node, .. }
            | Self::PortOpen { node, .. }
            | Self::Sysctl { node, .. }
            | Self::LinkUp { node, .. }
            | Self::Address { node, .. }
            | Self::RealServer { node, .. }
            | Self::Connections { node, .. } => node,
        }
    }
}

/// A load: who asks whom for what, how often and how fast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Its name in reports, unique in the plan.
    pub name: String,
    /// The clients, taken in turn for each request.
    pub clients: Vec<LoadClient>,
    /// HTTP over TCP, or datagrams over UDP.
    pub protocol: Protocol,
    /// VIP and port.
    pub target: SocketAddr,
    /// How many requests in all; with `duration_ms` the smaller of the two ends it.
    pub requests: u32,
    /// How many are under way at once.
    pub concurrency: u32,
    /// At most so many are started per second.
    pub rate_per_s: Option<f64>,
    /// At most so long, in milliseconds.
    pub duration_ms: Option<u64>,
    /// How connections are used.
    pub mode: LoadMode,
    /// Paths, taken in turn.
    pub paths: Vec<String>,
    /// The `Host` header.
    pub host: String,
    /// The port that clients send from; one of the kernel's choice where not given.
    pub source_port: Option<u16>,
    /// Bytes that each request carries to the server; a GET where 0.
    pub upload_bytes: u32,
    /// Text that every answer has to hold.
    #[serde(default)]
    pub contains: Option<String>,
    /// How long one request may take, in milliseconds.
    pub timeout_ms: u64,
    /// Whether real servers have web servers of their own: then an answer need not name who gave it, and it is whole where
    /// HTTP says so.
    #[serde(default)]
    pub foreign: bool,
    /// What else happens while it runs.
    pub during: Vec<During>,
}

/// A node that sends, and the address that it sends from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadClient {
    /// The node.
    pub node: NodeName,
    /// Its source address; `None` lets the kernel choose.
    pub source: Option<IpAddr>,
}

/// An act in the middle of a load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct During {
    /// When.
    pub when: Trigger,
    /// What.
    pub act: TimedAct,
}

/// When an act in the middle of a load happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// Once so many requests have ended; no further one starts before the act is done.
    AfterRequests(u32),
    /// So many milliseconds after the load began.
    AtMs(u64),
}
