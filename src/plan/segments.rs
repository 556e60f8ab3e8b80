//! Segments: subnets, the bridge's and the ports' names, and the order in which ports join.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::draft::{Draft, many};
use super::{Interface, LinkKind, Node, Port, Segment};
use crate::base::{IfName, NodeName, Role};
use crate::facts::{LooksAt, PortFilter};
use crate::scenario::Scenario;
use crate::scenario::spec::{self, Guard};

/// The VLAN of a port that names none (IEEE 802.1Q, table 9-2: the default PVID).
const DEFAULT_VLAN: u16 = 1;

/// The segments, their ports not joined yet.
pub(super) fn segments(scenario: &Scenario) -> Vec<Segment> {
    let mut taken = BTreeSet::new();
    let with_bridge = |(name, said): (&NodeName, &crate::scenario::spec::Segment)| {
        let bridge = short(&format!("br-{name}"), &mut taken)?;
        let subnets = many(&said.subnet);
        let v4 = subnets.iter().find_map(|n| if let IpNet::V4(net) = n { Some(net.trunc()) } else { None });
        let v6 = subnets.iter().find_map(|n| if let IpNet::V6(net) = n { Some(net.trunc()) } else { None });
        Some(Segment { name: name.clone(), v4, v6, mtu: said.mtu.unwrap_or(1500), bridge, ports: Vec::new() })
    };
    scenario.segments.iter().filter_map(with_bridge).collect()
}

/// Joins every node's interfaces to their segments.
pub(super) fn join(draft: &mut Draft<'_>) {
    let mut taken: BTreeSet<String> = draft.segments.iter().map(|s| s.bridge.to_string()).collect();
    let mut said = Vec::new();
    for segment in &mut draft.segments {
        let listed = draft.scenario.segments.get(&segment.name).map_or(&[][..], |s| &s.join_order);
        let mut nodes: Vec<_> = draft.nodes.iter().collect();
        nodes.sort_by_key(|n| (listed.iter().position(|l| *l == n.name).map_or(0, |at| at + 1), joins(n.role)));
        let ports = nodes
            .iter()
            .flat_map(|node| node.ports().map(move |interface| (*node, interface)))
            .filter(|(_, interface)| interface.kind == LinkKind::Segment(segment.name.clone()));
        for (node, interface) in ports {
            if let Some(name) = short(&format!("{}.{}", node.name, interface.name), &mut taken) {
                let said = draft.scenario.segments.get(&segment.name);
                segment.ports.push(port(said, node, interface, name, &draft.vips));
            }
        }
        if listed.is_empty() && segment.ports.len() > 2 {
            said.push(segment.name.clone());
        }
    }
    for segment in said {
        draft.imply(
            segment,
            "ports join in the order Directors, routers, clients, real servers",
            "the bridge floods the last port first, so real servers win an ARP race and an uncured ARP problem shows",
        );
    }
}

/// The port of an interface, with what the scenario says of it.
fn port(segment: Option<&spec::Segment>, node: &Node, interface: &Interface, name: IfName, vips: &[IpAddr]) -> Port {
    let mut port = Port {
        node: node.name.clone(),
        interface: interface.name.clone(),
        name,
        isolated: false,
        vlan: None,
        locked: None,
        filters: Vec::new(),
    };
    let Some(segment) = segment else { return port };
    let said = segment.ports.get(&node.name).cloned().unwrap_or_default();
    port.isolated = said.isolated;
    // A bridge that heeds VLANs heeds them at every port.
    port.vlan = segment.ports.values().any(|p| p.vlan.is_some()).then(|| said.vlan.unwrap_or(DEFAULT_VLAN));
    let own = interface.addresses.iter().map(|a| a.address.addr()).filter(|a| !vips.contains(a));
    let own = own.filter_map(|a| if let IpAddr::V4(v4) = a { Some(v4) } else { None });
    let passes: Vec<Ipv4Addr> = own.chain(said.allowed.iter().copied()).collect();
    for guard in &said.guards {
        let looks_at = match guard {
            Guard::SourceIp => LooksAt::SourceIp,
            Guard::DestinationIp => LooksAt::DestinationIp,
            Guard::ArpSender => LooksAt::ArpSender,
            Guard::SourceMac => {
                port.locked = Some(interface.mac.into_iter().chain(said.allowed_macs.iter().copied()).collect());
                continue;
            }
        };
        port.filters.push(PortFilter { looks_at, passes: passes.clone() });
    }
    port.filters.sort();
    port
}

fn joins(role: Role) -> u8 {
    match role {
        Role::Director => 0,
        Role::Router => 1,
        Role::Client => 2,
        Role::RealServer => 3,
    }
}

/// The name itself, or where it is too long or taken, its beginning and a number. `None` only for a name that no
/// interface can have.
fn short(wanted: &str, taken: &mut BTreeSet<String>) -> Option<IfName> {
    let fits = |name: &str, taken: &BTreeSet<String>| name.len() <= 15 && !taken.contains(name);
    let name = if fits(wanted, taken) {
        wanted.to_owned()
    } else {
        (1..10_000_u32).find_map(|number| {
            let suffix = format!("~{number}");
            let name = format!("{}{suffix}", wanted.get(..wanted.len().min(15 - suffix.len()))?);
            fits(&name, taken).then_some(name)
        })?
    };
    taken.insert(name.clone());
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::short;

    #[test]
    fn long_names_are_shortened_and_stay_unique() {
        let mut taken = BTreeSet::new();
        assert_eq!(short("rs1.eth0", &mut taken).unwrap(), "rs1.eth0");
        assert_eq!(short("a-very-long-name-1.eth0", &mut taken).unwrap(), "a-very-long-n~1");
        assert_eq!(short("a-very-long-name-2.eth0", &mut taken).unwrap(), "a-very-long-n~2");
    }
}
