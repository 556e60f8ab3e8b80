//! Facts of the textbook topology, as a kernel with the right cure would give them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use super::{SERVICE, VIP};
use crate::base::{Protocol, Role, ServiceId};
use crate::facts::{AddressFact, DestinationFact, IpvsFacts, LinkFact, NodeFacts, RouteFact, ServiceFact, SocketFact};
use crate::judge::Case;
use crate::judge::case::{Station, WantedService};

/// The facts of all nodes.
pub(super) fn of(case: &Case) -> Vec<NodeFacts> {
    case.stations.iter().map(|s| node(case, s)).collect()
}

fn node(case: &Case, station: &Station) -> NodeFacts {
    let mut addresses = Vec::new();
    let mut routes = Vec::new();
    let mut links = Vec::new();
    for (index, port) in (2..).zip(&station.ports) {
        links.push(LinkFact {
            name: port.interface.clone(),
            index,
            kind: Some("veth".into()),
            mac: Some(port.mac),
            mtu: 1500,
            up: true,
            carrier: true,
            noarp: false,
            tx_checksum: Some(false),
            rx_packets: 0,
            tx_packets: 0,
            dropped: 0,
        });
        for address in &port.addresses {
            addresses.push(carried(port.interface.as_str(), &address.to_string(), None));
        }
        routes.push(route(&port.addresses[0].trunc().to_string(), None, port.interface.as_str()));
    }
    let default = match station.role {
        Role::Router => None,
        Role::Client => Some("203.0.113.1"),
        Role::Director | Role::RealServer => Some("172.16.255.254"),
    };
    routes.extend(default.map(|gateway| route("0.0.0.0/0", Some(gateway), "eth0")));
    let mut sysctls: BTreeMap<String, String> = BTreeMap::new();
    for device in ["all", "default", "lo", "eth0"] {
        for key in ["arp_ignore", "arp_announce", "rp_filter"] {
            sysctls.insert(format!("net.ipv4.conf.{device}.{key}"), "0".into());
        }
    }
    let forwards = u32::from(station.role == Role::Router).to_string();
    for device in ["eth0", "eth1"] {
        sysctls.insert(format!("net.ipv4.conf.{device}.forwarding"), forwards.clone());
    }
    for key in ["arp_ignore", "arp_announce", "rp_filter"] {
        sysctls.insert(format!("net.ipv4.conf.eth1.{key}"), "0".into());
    }
    if station.role == Role::RealServer {
        addresses.push(carried("lo", &format!("{VIP}/32"), Some("lo:0")));
        sysctls.insert("net.ipv4.conf.all.arp_ignore".into(), "1".into());
        sysctls.insert("net.ipv4.conf.all.arp_announce".into(), "2".into());
    }
    NodeFacts {
        node: station.node.clone(),
        links,
        addresses,
        routes,
        neighbours: Vec::new(),
        sysctls,
        arptables: Some(Vec::new()),
        iptables: Some(Vec::new()),
        sockets: (station.role == Role::RealServer).then(|| vec![listening()]),
        ipvs: (station.role == Role::Director).then(|| ipvs(&case.services[0])),
        counters: BTreeMap::new(),
        ports: Vec::new(),
        unread: Vec::new(),
    }
}

/// What a real server listens at.
fn listening() -> SocketFact {
    SocketFact { protocol: Protocol::Tcp, at: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), SERVICE.port()) }
}

/// An address fact.
pub(in crate::judge) fn carried(interface: &str, address: &str, label: Option<&str>) -> AddressFact {
    AddressFact {
        interface: interface.parse().unwrap(),
        address: address.parse().unwrap(),
        broadcast: None,
        label: label.map(Into::into),
        scope: "global".into(),
        flags: vec!["permanent".into()],
    }
}

/// A route fact.
pub(in crate::judge) fn route(destination: &str, gateway: Option<&str>, interface: &str) -> RouteFact {
    RouteFact {
        table: "main".into(),
        kind: "unicast".into(),
        destination: destination.parse().unwrap(),
        gateway: gateway.map(|g| g.parse().unwrap()),
        interface: Some(interface.parse().unwrap()),
        source: None,
        scope: "global".into(),
        metric: 0,
        mtu: None,
        protocol: "static".into(),
    }
}

/// The table as the kernel holds it: the last one added comes first.
fn ipvs(service: &WantedService) -> IpvsFacts {
    let destinations = service.destinations.iter().rev().map(|d| DestinationFact::unused(d.at, d.forwarding, d.weight));
    IpvsFacts {
        version: "1.2.1".into(),
        timeout_tcp_s: 900,
        timeout_tcp_fin_s: 120,
        timeout_udp_s: 300,
        services: vec![ServiceFact {
            service: ServiceId::Address { protocol: crate::base::Protocol::Tcp, at: SERVICE },
            scheduler: service.scheduler.clone(),
            flags: Vec::new(),
            persistence_s: None,
            destinations: destinations.collect(),
            connections: 0,
            in_packets: 0,
        }],
        connections: Vec::new(),
        total_connections: 0,
        total_in_packets: 0,
        total_out_packets: 0,
    }
}
