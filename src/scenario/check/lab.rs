//! What a scenario says of its nodes' interfaces, with the shorthand for `eth0` written out.

use std::net::IpAddr;

use ipnet::IpNet;

use super::each;
use crate::base::{Mac, NodeName, Role};
use crate::scenario::format;
use crate::scenario::source::Path;
use crate::scenario::spec::{InterfaceKind, Node, OneOrMany, Scenario};

/// All interfaces that the scenario names.
#[derive(Debug)]
pub(super) struct Lab<'a> {
    pub(super) ports: Vec<Port<'a>>,
}

/// An interface.
#[derive(Debug)]
pub(super) struct Port<'a> {
    pub(super) node: &'a NodeName,
    pub(super) role: Role,
    pub(super) interface: &'a str,
    pub(super) segment: Option<&'a NodeName>,
    pub(super) kind: Option<InterfaceKind>,
    pub(super) mac: Option<Mac>,
    pub(super) mtu: Option<u32>,
    /// The table that holds it: the node's for the shorthand.
    pub(super) path: Path,
    /// What could be read of its addresses.
    pub(super) addresses: Vec<Given>,
    pub(super) unreadable: Vec<(Path, format::Wrong)>,
}

/// An address that the scenario gives.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) ip: IpAddr,
    pub(super) prefix: Option<u8>,
    pub(super) path: Path,
}

impl<'a> Lab<'a> {
    pub(super) fn of(scenario: &'a Scenario) -> Self {
        let ports = scenario.nodes.iter().flat_map(|(name, node)| ports(name, node)).collect();
        Self { ports }
    }

    /// The interfaces of one node.
    pub(super) fn of_node(&self, node: &str) -> impl Iterator<Item = &Port<'a>> {
        self.ports.iter().filter(move |port| port.node.as_str() == node)
    }

    /// The names of a node's devices, `lo` first.
    pub(super) fn devices(&self, node: &str) -> Vec<&'a str> {
        let named = self.of_node(node).map(|port| port.interface).filter(|name| *name != "lo");
        std::iter::once("lo").chain(named).collect()
    }

    /// Where the scenario says which segments a node is on.
    pub(super) fn places(&self, node: &str) -> Vec<Path> {
        let path = Path::of(&["nodes", node]);
        let ports = self.of_node(node).map(|port| port.path.at("segment"));
        ports.chain([path.at("segment")]).collect()
    }

    /// Every address that the scenario gives to some node.
    pub(super) fn given(&self) -> impl Iterator<Item = (&Port<'a>, &Given)> {
        self.ports.iter().flat_map(|port| port.addresses.iter().map(move |given| (port, given)))
    }
}

/// Whether a device comes with its name alone.
pub(super) fn comes_by_name(device: &str) -> bool {
    device == "tunl0" || device.starts_with("dummy")
}

/// A segment's subnets, each with its path.
pub(super) fn subnets(scenario: &Scenario, segment: &NodeName) -> Vec<(Path, IpNet)> {
    let path = Path::of(&["segments", segment.as_str(), "subnet"]);
    let Some(said) = scenario.segments.get(segment) else { return Vec::new() };
    each(&path, &said.subnet).into_iter().map(|(path, net)| (path, *net)).collect()
}

/// Where the interfaces of a node are named.
pub(super) fn interfaces(node: &str) -> Path {
    Path::of(&["nodes", node, "interfaces"])
}

/// Where the role of a node is said.
pub(super) fn role(node: &str) -> Path {
    Path::of(&["nodes", node, "role"])
}

fn ports<'a>(name: &'a NodeName, node: &'a Node) -> Vec<Port<'a>> {
    let path = Path::of(&["nodes", name.as_str()]);
    let mut ports = Vec::new();
    if node.segment.is_some() {
        let (addresses, unreadable) = read(&path.at("address"), node.address.as_ref());
        ports.push(Port {
            node: name,
            role: node.role,
            interface: "eth0",
            segment: node.segment.as_ref(),
            kind: None,
            mac: node.mac,
            mtu: None,
            path: path.clone(),
            addresses,
            unreadable,
        });
    }
    for (interface, said) in &node.interfaces {
        let path = path.at("interfaces").at(interface);
        let (addresses, unreadable) = read(&path.at("address"), said.address.as_ref());
        ports.push(Port {
            node: name,
            role: node.role,
            interface: interface.as_str(),
            segment: said.segment.as_ref(),
            kind: said.kind,
            mac: said.mac,
            mtu: said.mtu,
            path,
            addresses,
            unreadable,
        });
    }
    ports
}

fn read(path: &Path, said: Option<&OneOrMany<String>>) -> (Vec<Given>, Vec<(Path, format::Wrong)>) {
    let (mut addresses, mut unreadable) = (Vec::new(), Vec::new());
    for (path, text) in said.map(|said| each(path, said)).unwrap_or_default() {
        match format::address_or_net(text) {
            Ok((ip, prefix)) => addresses.push(Given { ip, prefix, path }),
            Err(wrong) => unreadable.push((path, wrong)),
        }
    }
    (addresses, unreadable)
}
