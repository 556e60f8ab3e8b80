//! Probes: who asks on the wire who has the VIP, so that silence and a second answer both show.

use super::Probe;
use super::draft::{Draft, Family};
use crate::base::Role;

/// One question for each VIP from each router and client on the VIP's segment. A node with a permanent entry for the
/// VIP never asks, so it is not made to.
pub(super) fn probes(draft: &Draft<'_>) -> Vec<Probe> {
    let mut probes = Vec::new();
    for vip in &draft.vips {
        let Some(segment) = draft.vip_segment(*vip) else { continue };
        for node in draft.nodes.iter().filter(|n| matches!(n.role, Role::Router | Role::Client)) {
            let Some(port) = node.port_on(segment) else { continue };
            let bound = node.neighbours.iter().any(|n| n.address == *vip);
            let own = port.addresses.iter().map(|a| a.address.addr());
            let sender = own.into_iter().find(|a| Family::of(*a) == Family::of(*vip) && !draft.vips.contains(a));
            if let (Some(sender), false) = (sender, bound || node.owns(*vip)) {
                let interface = port.name.clone();
                probes.push(Probe { node: node.name.clone(), interface, sender, target: *vip });
            }
        }
    }
    probes
}
