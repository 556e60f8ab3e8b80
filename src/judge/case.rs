//! What is known about the lab that is judged, whoever made it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::base::{Forwarding, IfName, Mac, NodeName, Role, ServiceId};
use crate::facts::{NodeFacts, ServiceFact};

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
    /// Set where the frames were captured by others: then what is missing among them is no evidence, and a frame seen
    /// anywhere tells of both its sender and its receiver.
    pub elsewhere: Option<Elsewhere>,
    /// Directors that balance by other means than IPVS: what each is wanted to do, in the shape in which IPVS would tell
    /// it, as no kernel does. How they take packets up and hand them on is their own affair.
    pub without_ipvs: BTreeMap<NodeName, Vec<ServiceFact>>,
}

/// What is known of captures that were made by others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Elsewhere {
    /// For each vantage the stations whose own frames it shows.
    pub own: Vec<BTreeSet<NodeName>>,
    /// For each vantage the segment that it is on, where frames tell.
    pub segments: Vec<Option<NodeName>>,
    /// Whether the user named the real servers, so that there are no others.
    pub servers_given: bool,
}

impl Elsewhere {
    /// Whether a vantage shows the station's own frames.
    pub fn is_own(&self, vantage: usize, node: &NodeName) -> bool {
        self.own.get(vantage).is_some_and(|own| own.contains(node))
    }

    /// Whether any vantage does.
    pub fn captured(&self, node: &NodeName) -> bool {
        self.own.iter().any(|own| own.contains(node))
    }
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
    /// The same lab as its facts tell it, for one that was changed since it was planned: MACs, addresses and services
    /// are those that were read; nothing is known any more of what was wanted, and nothing changes on the way.
    #[must_use]
    pub fn as_read(&self, facts: &[NodeFacts]) -> Self {
        let of = |node: &NodeName| facts.iter().find(|f| f.node == *node);
        let stations: Vec<Station> = self.stations.iter().map(|s| s.as_read(of(&s.node))).collect();
        let holder = |at: SocketAddr| stations.iter().find(|s| s.has(at.ip())).map(|s| s.node.clone());
        let services = facts.iter().flat_map(|f| f.ipvs.iter().flat_map(move |i| &i.services).map(move |s| (f, s)));
        let services = services.map(|(facts, service)| WantedService {
            director: facts.node.clone(),
            id: service.service,
            scheduler: service.scheduler.clone(),
            flags: service.flags.iter().filter(|flag| *flag != "persistent").cloned().collect(),
            persistence_s: service.persistence_s,
            destinations: service
                .destinations
                .iter()
                // The kernel lists the newest first.
                .rev()
                .map(|d| WantedDestination { node: holder(d.at), at: d.at, forwarding: d.forwarding, weight: d.weight })
                .collect(),
        });
        // No table tells what these do.
        let other = self.services.iter().filter(|service| self.without_ipvs.contains_key(&service.director)).cloned();
        Self {
            services: services.chain(other).collect(),
            stations,
            wanted: BTreeMap::new(),
            share: BTreeMap::new(),
            changes: false,
            reschedules: false,
            ..self.clone()
        }
    }

    /// The same where only some nodes are known by what was read of them, for programs of their own configure them.
    /// `started` are the facts before the timeline.
    #[must_use]
    pub fn as_read_on(&self, started: &[NodeFacts], nodes: &BTreeSet<NodeName>) -> Self {
        let read = self.as_read(started);
        let mut case = self.clone();
        for (station, read) in case.stations.iter_mut().zip(read.stations) {
            if nodes.contains(&station.node) {
                *station = read;
            }
        }
        let read = read.services.into_iter().filter(|service| nodes.contains(&service.director));
        let read: Vec<WantedService> = read.collect();
        // One that balances without IPVS shows no table, and does what is wanted or not.
        case.services.retain(|service| !read.iter().any(|read| read.director == service.director));
        case.services.extend(read);
        case.wanted.retain(|node, _| !nodes.contains(node));
        case
    }

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

    /// In captures from elsewhere, whether a vantage shows all that a router or a client on a Director's segment sends
    /// and gets there: then no connection stays unseen.
    pub fn front_captured(&self) -> bool {
        let Some(elsewhere) = &self.elsewhere else { return true };
        let segments: BTreeSet<&NodeName> =
            self.with_role(Role::Director).flat_map(|d| &d.ports).map(|p| &p.segment).collect();
        let fronts = || self.stations.iter().filter(|s| matches!(s.role, Role::Router | Role::Client));
        elsewhere.segments.iter().enumerate().any(|(vantage, segment)| {
            segment.as_ref().is_some_and(|s| segments.contains(s))
                && fronts().any(|front| elsewhere.is_own(vantage, &front.node))
        })
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

impl Station {
    fn as_read(&self, facts: Option<&NodeFacts>) -> Self {
        let Some(facts) = facts else { return self.clone() };
        let ports = self.ports.iter().map(|port| {
            let mac = facts.links.iter().find(|l| l.name == port.interface).and_then(|l| l.mac);
            let addresses = facts.addresses.iter().filter(|a| a.interface == port.interface).map(|a| a.address);
            StationPort { mac: mac.unwrap_or(port.mac), addresses: addresses.collect(), ..port.clone() }
        });
        Self { ports: ports.collect(), ..self.clone() }
    }
}

impl StationPort {
    /// Whether the interface has the address.
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|a| a.addr() == address)
    }
}

#[cfg(test)]
mod tests {
    use crate::base::{Forwarding, Mac};
    use crate::judge::testlab::{Lab, name};

    #[test]
    fn a_case_as_read_is_the_planned_one_where_nothing_was_changed() {
        let lab = Lab::textbook();
        let read = lab.case.as_read(&lab.before);
        assert_eq!(read.services, lab.case.services);
        assert_eq!(read.stations, lab.case.stations);
        assert!(read.wanted.is_empty() && !read.changes);
    }

    #[test]
    fn what_was_changed_is_read_from_the_facts() {
        let mut lab = Lab::textbook();
        let mac = Mac([2, 0, 0, 0, 0, 9]);
        lab.edit_facts("rs1", |f| f.links.iter_mut().filter(|l| l.name == *"eth0").for_each(|l| l.mac = Some(mac)));
        lab.edit_facts("director", |f| {
            f.ipvs.as_mut().unwrap().services[0].destinations[0].forwarding = Forwarding::Nat;
        });
        let read = lab.case.as_read(&lab.before);
        assert_eq!(read.owner_of(mac).unwrap().0.node, name("rs1"));
        assert!(read.services[0].destinations.iter().any(|d| d.forwarding == Forwarding::Nat));
    }
}
