//! What is known about the lab that is judged, whoever made it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::base::{Forwarding, IfName, Mac, NodeName, Role, ServiceId};

/// The lab as the judge knows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Case {
    /// The VIPs.
    pub vips: Vec<IpAddr>,
    /// The stations and their parts.
    pub stations: Vec<Station>,
    /// The Director's virtual services as they are wanted.
    pub services: Vec<WantedService>,
    /// What each node's configuration should read like: lines as [`crate::facts::NodeFacts::statements`] writes them.
    /// A node without an entry is not compared.
    pub wanted: BTreeMap<NodeName, Vec<String>>,
    /// Whether the timeline changes what was configured, so that facts after it may differ from the plan.
    pub changes: bool,
    /// Whether the timeline changes what a scheduler goes by: services, real servers, weights, IPVS's own sysctls.
    pub reschedules: bool,
    /// Answers per real server that the scenario states: smallest and largest number.
    pub share: BTreeMap<NodeName, (u64, u64)>,
}

/// A node and its part.
#[derive(Debug, Clone, PartialEq)]
pub struct Station {
    /// Its name.
    pub node: NodeName,
    /// Its part.
    pub role: Role,
    /// The node that it is a container on.
    pub runs_on: Option<NodeName>,
    /// Its interfaces into segments.
    pub ports: Vec<StationPort>,
}

/// A station's interface into a segment.
#[derive(Debug, Clone, PartialEq)]
pub struct StationPort {
    /// The interface.
    pub interface: IfName,
    /// The segment's name.
    pub segment: NodeName,
    /// Its MAC.
    pub mac: Mac,
    /// Its addresses as planned, VIPs included.
    pub addresses: Vec<IpNet>,
}

/// A virtual service as it is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedService {
    /// The Director that holds it.
    pub director: NodeName,
    /// Which one.
    pub id: ServiceId,
    /// The scheduler's name.
    pub scheduler: String,
    /// Its flags.
    pub flags: Vec<String>,
    /// Persistence in seconds.
    pub persistence_s: Option<u32>,
    /// Its real servers.
    pub destinations: Vec<WantedDestination>,
}

/// A real server as it is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedDestination {
    /// The node, where it is one of the stations.
    pub node: Option<NodeName>,
    /// RIP and port.
    pub at: SocketAddr,
    /// The forwarding method.
    pub forwarding: Forwarding,
    /// The weight.
    pub weight: u32,
}

impl Case {
    /// The station of that name.
    pub fn station(&self, node: &NodeName) -> Option<&Station> {
        self.stations.iter().find(|s| s.node == *node)
    }

    /// All stations with that part.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = &Station> {
        self.stations.iter().filter(move |s| s.role == role)
    }

    /// Whose MAC it is.
    pub fn owner_of(&self, mac: Mac) -> Option<(&Station, &StationPort)> {
        self.stations.iter().find_map(|s| s.ports.iter().find(|p| p.mac == mac).map(|p| (s, p)))
    }

    /// All whose MAC it is: several where a MAC was given twice.
    pub fn owners(&self, mac: Mac) -> Vec<(&Station, &StationPort)> {
        let ports = self.stations.iter().flat_map(|s| s.ports.iter().map(move |p| (s, p)));
        ports.filter(|(_, p)| p.mac == mac).collect()
    }

    /// The MAC with the name of its owner, as `02:d1:00:00:01:00 (director:eth0)`.
    pub fn name_of(&self, mac: Mac) -> String {
        if mac == Mac::BROADCAST {
            return format!("{mac} (everyone)");
        }
        match self.owner_of(mac) {
            Some((station, port)) => format!("{mac} ({}:{})", station.node, port.interface),
            None if mac.is_group() => format!("{mac} (a group)"),
            None => format!("{mac} (nobody's)"),
        }
    }

    /// Whether the address is one of the VIPs.
    pub fn is_vip(&self, address: IpAddr) -> bool {
        self.vips.contains(&address)
    }
}

impl Station {
    /// Whether one of its interfaces has the address, VIPs included.
    pub fn has(&self, address: IpAddr) -> bool {
        self.ports.iter().any(|p| p.has(address))
    }

    /// Whether it has an interface in the segment.
    pub fn is_on(&self, segment: &NodeName) -> bool {
        self.ports.iter().any(|p| p.segment == *segment)
    }
}

impl StationPort {
    /// Whether the interface has the address.
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|a| a.addr() == address)
    }
}
