//! Interfaces: the loopback first, then what the scenario names, or `eth0` for the shorthand.

use super::draft::Draft;
use super::{CompileError, Interface, LinkKind, Node, Upper};
use crate::base::{IfName, NodeName};
use crate::scenario::spec::{self, InterfaceKind};

/// The kernel's MTU of `lo`.
const LOOPBACK_MTU: u32 = 65_536;
/// An Ethernet device's MTU.
const ETHERNET_MTU: u32 = 1500;
/// `tunl0`'s: Ethernet's less the outer header.
const IPIP_MTU: u32 = 1480;

/// Adds the nodes with their interfaces, without addresses and MACs other than given ones.
pub(super) fn add(draft: &mut Draft<'_>) -> Result<(), CompileError> {
    let scenario = draft.scenario;
    for (name, said) in &scenario.nodes {
        let mut loopback = bare(device(name, "lo")?, LinkKind::Loopback);
        if let Some(said) = said.interfaces.get("lo") {
            loopback.up = said.up.unwrap_or(true);
            loopback.mtu = said.mtu.unwrap_or(LOOPBACK_MTU);
        }
        let mut interfaces = vec![loopback];
        if let Some(segment) = &said.segment {
            let eth0 = spec::Interface { segment: Some(segment.clone()), mac: said.mac, ..spec::Interface::default() };
            interfaces.push(interface(draft, name, &device(name, "eth0")?, &eth0)?);
        }
        for (interface_name, said) in &said.interfaces {
            if interface_name == "lo" {
                continue;
            }
            interfaces.push(interface(draft, name, interface_name, said)?);
        }
        draft.nodes.push(Node {
            name: name.clone(),
            role: said.role,
            runs_on: said.runs_on.clone(),
            interfaces,
            sysctls: Vec::new(),
            routes: Vec::new(),
            neighbours: Vec::new(),
            arptables: Vec::new(),
            iptables: Vec::new(),
            kind: said.kind.unwrap_or_default(),
            ipvs: None,
            balances: Vec::new(),
            servers: Vec::new(),
            access_logs: said.access_logs.clone(),
            packages: packages(said),
            files: Vec::new(),
            daemons: Vec::new(),
            commands: Vec::new(),
            commands_later: false,
        });
    }
    draft.imply(
        "lab",
        "offloads of checksums, segmentation and merging off on every interface",
        "a capture shows then what a wire would carry; `tx_checksum` leaves checksums open",
    );
    Ok(())
}

fn packages(said: &spec::Node) -> Vec<String> {
    let mut packages = said.packages.clone();
    packages.sort();
    packages.dedup();
    packages
}

fn interface(
    draft: &Draft<'_>,
    node: &NodeName,
    name: &IfName,
    said: &spec::Interface,
) -> Result<Interface, CompileError> {
    let (kind, mtu) = match (&said.segment, said.kind) {
        (Some(segment), _) => {
            let unknown = || CompileError::UnknownSegment { node: node.clone(), segment: segment.clone() };
            let found = draft.segment(segment).ok_or_else(unknown)?;
            (LinkKind::Segment(segment.clone()), found.mtu)
        }
        (None, Some(InterfaceKind::Dummy)) => (LinkKind::Dummy, ETHERNET_MTU),
        (None, Some(InterfaceKind::Ipip)) => (LinkKind::Ipip, IPIP_MTU),
        (None, Some(InterfaceKind::Macvlan | InterfaceKind::Ipvlan)) => upper(draft, node, name, said)?,
        (None, None) => {
            let nowhere = || CompileError::InterfaceNowhere { node: node.clone(), interface: name.clone() };
            let made = by_name(name).ok_or_else(nowhere)?;
            (made.kind, made.mtu)
        }
    };
    Ok(Interface {
        name: name.clone(),
        kind,
        mac: said.mac,
        mtu: said.mtu.unwrap_or(mtu),
        up: said.up.unwrap_or(true),
        arp: said.arp.unwrap_or(true),
        tx_checksum: said.tx_checksum.unwrap_or(false),
        addresses: Vec::new(),
    })
}

/// What an interface on top of another is, and the MTU of that one's segment.
fn upper(
    draft: &Draft<'_>,
    node: &NodeName,
    name: &IfName,
    said: &spec::Interface,
) -> Result<(LinkKind, u32), CompileError> {
    let text = said.parent.as_deref().unwrap_or_default();
    let (owner, lower) = match text.split_once(':') {
        Some((owner, lower)) => (owner, lower),
        None => (node.as_str(), text),
    };
    let unknown = || CompileError::UnknownInterface {
        node: node.clone(),
        interface: text.to_owned(),
        what: format!("{name} on top of it"),
    };
    let (owner, below) = draft.scenario.nodes.get_key_value(owner).ok_or_else(unknown)?;
    let own = below.interfaces.get(lower).and_then(|i| i.segment.as_ref());
    let segment = own.or(below.segment.as_ref().filter(|_| lower == "eth0")).ok_or_else(unknown)?;
    let mtu = draft.segment(segment).ok_or_else(unknown)?.mtu;
    let (macvlan, lower) = (said.kind == Some(InterfaceKind::Macvlan), device(node, lower)?);
    Ok((LinkKind::Upper(Upper { macvlan, node: owner.clone(), lower, segment: segment.clone() }), mtu))
}

/// The device that a name alone tells: `dummy0`, `tunl0`.
pub(super) fn by_name(name: &IfName) -> Option<Interface> {
    let kind = match name.as_str() {
        "tunl0" => LinkKind::Ipip,
        other if other.starts_with("dummy") => LinkKind::Dummy,
        _ => return None,
    };
    Some(bare(name.clone(), kind))
}

/// A device's name out of a text.
pub(super) fn device(node: &NodeName, text: &str) -> Result<IfName, CompileError> {
    text.parse().map_err(|source| CompileError::BadDevice { node: node.clone(), text: text.to_owned(), source })
}

fn bare(name: IfName, kind: LinkKind) -> Interface {
    let mtu = match kind {
        LinkKind::Loopback => LOOPBACK_MTU,
        LinkKind::Ipip => IPIP_MTU,
        LinkKind::Segment(_) | LinkKind::Dummy | LinkKind::Upper(_) => ETHERNET_MTU,
    };
    Interface { name, kind, mac: None, mtu, up: true, arp: true, tx_checksum: false, addresses: Vec::new() }
}
