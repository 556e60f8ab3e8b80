//! A machine of which nothing was read, as one that does its part right.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::{device, name};
use crate::base::{IfName, Mac, NodeName, Role, ServiceId};
use crate::facts::{AddressFact, DestinationFact, IpvsFacts, LinkFact, NodeFacts, RouteFact, ServiceFact, SocketFact};
use crate::judge::case::{Station, StationPort, WantedService};

/// A stand-in in the making.
pub(super) struct Made {
    node: NodeName,
    role: Role,
    ports: Vec<StationPort>,
    addresses: Vec<AddressFact>,
    routes: Vec<RouteFact>,
}

impl Made {
    pub(super) fn new(node: &str, role: Role) -> Self {
        Self { node: name(node), role, ports: Vec::new(), addresses: Vec::new(), routes: Vec::new() }
    }

    /// With an interface on a segment.
    pub(super) fn port(
        mut self,
        interface: &str,
        segment: &NodeName,
        mac: Mac,
        addresses: impl IntoIterator<Item = IpNet>,
    ) -> Self {
        let interface = device(interface);
        let addresses: Vec<IpNet> = addresses.into_iter().collect();
        for address in &addresses {
            self.addresses.push(carried(&interface, *address));
            if !self.routes.iter().any(|r| r.destination == address.trunc()) {
                self.routes.push(route(address.trunc(), None, Some(&interface)));
            }
        }
        self.ports.push(StationPort { interface, segment: segment.clone(), mac, addresses });
        self
    }

    /// With the VIP on an interface.
    pub(super) fn carry(&mut self, interface: &str, vip: IpAddr) {
        let interface = device(interface);
        for port in self.ports.iter_mut().filter(|p| p.interface == interface) {
            port.addresses.push(IpNet::from(vip));
        }
        self.addresses.push(carried(&interface, IpNet::from(vip)));
    }

    pub(super) fn default_by(&mut self, gateway: IpAddr) {
        let everything = IpNet::from(gateway).supernet_of_all();
        let interface = self.ports.first().map(|p| p.interface.clone());
        self.routes.push(route(everything, Some(gateway), interface.as_ref()));
    }

    pub(super) fn has_default(&self) -> bool {
        self.routes.iter().any(|r| r.destination.prefix_len() == 0)
    }

    /// With the VIP on the first interface's own segment.
    pub(super) fn direct(&mut self, vip: IpAddr) {
        let interface = self.ports.first().map(|p| p.interface.clone());
        self.routes.push(route(IpNet::from(vip), None, interface.as_ref()));
    }

    /// With the VIP on that interface's segment.
    pub(super) fn leads_to(&mut self, interface: &str, vip: IpAddr) {
        self.routes.push(route(IpNet::from(vip), None, Some(&device(interface))));
    }

    /// The station and its facts.
    pub(super) fn whole(self, mtu: &dyn Fn(&NodeName) -> u32) -> (Station, NodeFacts) {
        let mut sysctls = BTreeMap::new();
        let cured = self.role == Role::RealServer;
        let forwards = self.role == Role::Router;
        let devices: Vec<&str> = self.ports.iter().map(|p| p.interface.as_str()).collect();
        for device in ["all", "default", "lo"].into_iter().chain(devices) {
            let values = [
                ("arp_ignore", u8::from(cured && device == "all")),
                ("arp_announce", 2 * u8::from(cured && device == "all")),
                ("rp_filter", 0),
                ("forwarding", u8::from(forwards)),
            ];
            sysctls.extend(values.map(|(key, value)| (format!("net.ipv4.conf.{device}.{key}"), value.to_string())));
            sysctls.insert(format!("net.ipv6.conf.{device}.forwarding"), u8::from(forwards).to_string());
        }
        let links = (2..).zip(&self.ports).map(|(index, port)| LinkFact {
            name: port.interface.clone(),
            index,
            kind: Some("veth".to_owned()),
            mac: Some(port.mac),
            mtu: mtu(&port.segment),
            up: true,
            carrier: true,
            noarp: false,
            tx_checksum: Some(false),
            rx_packets: 0,
            tx_packets: 0,
            dropped: 0,
        });
        let facts = NodeFacts {
            links: links.collect(),
            addresses: self.addresses,
            routes: self.routes,
            sysctls,
            arptables: Some(Vec::new()),
            iptables: Some(Vec::new()),
            ..NodeFacts::unread(self.node.clone())
        };
        (Station { node: self.node, role: self.role, runs_on: None, ports: self.ports }, facts)
    }
}

/// The network of everything.
trait Everything {
    fn supernet_of_all(self) -> IpNet;
}

impl Everything for IpNet {
    fn supernet_of_all(self) -> IpNet {
        let mut all = self;
        while let Some(wider) = all.supernet() {
            all = wider;
        }
        all
    }
}

fn carried(interface: &IfName, address: IpNet) -> AddressFact {
    AddressFact {
        interface: interface.clone(),
        address,
        broadcast: None,
        label: None,
        scope: "global".to_owned(),
        flags: vec!["permanent".to_owned()],
    }
}

fn route(destination: IpNet, gateway: Option<IpAddr>, interface: Option<&IfName>) -> RouteFact {
    RouteFact {
        table: "main".to_owned(),
        kind: "unicast".to_owned(),
        destination,
        gateway,
        interface: interface.cloned(),
        source: None,
        scope: "global".to_owned(),
        metric: 0,
        mtu: None,
        protocol: "static".to_owned(),
    }
}

/// The default route by a gateway.
pub(super) fn default_route(gateway: IpAddr, interface: &IfName) -> RouteFact {
    route(IpNet::from(gateway).supernet_of_all(), Some(gateway), Some(interface))
}

/// A table with those services.
pub(super) fn table(services: &[WantedService]) -> IpvsFacts {
    let services = services.iter().map(|s| ServiceFact {
        service: s.id,
        scheduler: s.scheduler.clone(),
        flags: s.flags.clone(),
        persistence_s: s.persistence_s,
        destinations: s.destinations.iter().map(|d| DestinationFact::unused(d.at, d.forwarding, d.weight)).collect(),
        connections: 0,
        in_packets: 0,
    });
    IpvsFacts {
        version: String::new(),
        timeout_tcp_s: 0,
        timeout_tcp_fin_s: 0,
        timeout_udp_s: 0,
        services: services.collect(),
        connections: Vec::new(),
        total_connections: 0,
        total_in_packets: 0,
        total_out_packets: 0,
    }
}

/// Makes a stand-in listen to whatever the services want.
pub(super) fn serve(facts: &mut NodeFacts, services: &[WantedService]) {
    let wanted = services.iter().filter_map(|s| match s.id {
        ServiceId::Address { protocol, at } => {
            let everywhere: IpAddr = if at.is_ipv4() {
                std::net::Ipv4Addr::UNSPECIFIED.into()
            } else {
                std::net::Ipv6Addr::UNSPECIFIED.into()
            };
            Some(SocketFact { protocol, at: SocketAddr::new(everywhere, at.port()) })
        }
        ServiceId::Fwmark { .. } => None,
    });
    // By mark any port may be asked for, so nothing is said of sockets.
    let by_mark = services.iter().any(|s| matches!(s.id, ServiceId::Fwmark { .. }));
    facts.sockets = (!by_mark).then(|| wanted.collect());
}
