//! Permanent neighbour entries that the scenario states, and MACs named after nodes.

use std::net::IpAddr;

use super::draft::Draft;
use super::{CompileError, Neighbour};
use crate::base::{IfName, Mac, NodeName};

/// Adds each node's own entries.
pub(super) fn add(draft: &mut Draft<'_>) -> Result<(), CompileError> {
    for index in 0..draft.nodes.len() {
        let node = &draft.nodes[index];
        let said = draft.said(&node.name).map_or(&[][..], |n| &n.neighbours);
        let entries = said.iter().map(|entry| {
            let interface = match &entry.dev {
                Some(dev) => dev.clone(),
                None => draft.towards(&node.name, entry.address)?,
            };
            let mac = mac(draft, &node.name, &interface, &entry.mac, entry.address)?;
            Ok(Neighbour { interface, address: entry.address, mac })
        });
        let entries = entries.collect::<Result<_, _>>()?;
        draft.nodes[index].neighbours = entries;
    }
    Ok(())
}

/// The MAC that a text means to a node: a MAC, `node:interface`, or a node, then the MAC of its interface on the
/// segment that `interface` is on.
pub(super) fn mac(
    draft: &Draft<'_>,
    node: &NodeName,
    interface: &IfName,
    text: &str,
    address: IpAddr,
) -> Result<Mac, CompileError> {
    let here = draft.node(node.as_str(), "a neighbour")?;
    let segment = here.interface(interface.as_str()).and_then(|i| i.segment());
    let named = |name: &str| draft.nodes.iter().find(|n| n.name == *name);
    let by_node = || {
        let other = named(text)?;
        segment.and_then(|s| other.port_on(s)).or_else(|| other.ports().next())?.mac
    };
    let by_interface = || {
        let (name, interface) = text.split_once(':')?;
        named(name)?.interface(interface)?.mac
    };
    let unknown = || CompileError::UnknownMac {
        node: node.clone(),
        mac: text.to_owned(),
        what: format!("the neighbour {address}"),
    };
    text.parse().ok().or_else(by_node).or_else(by_interface).ok_or_else(unknown)
}
