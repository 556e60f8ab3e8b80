//! Interfaces: down, and with the MAC of another.

use crate::base::Role;
use crate::mutate::{Cause, Change, Expected, Maker, Thing};
use crate::plan::{LinkKind, Node};

pub(super) fn derive(maker: &mut Maker<'_>) {
    for node in &maker.ground.plan.nodes {
        down(maker, node);
        clash(maker, node);
    }
}

fn down(maker: &mut Maker<'_>, node: &Node) {
    let name = &node.name;
    for interface in node.interfaces.iter().filter(|i| i.up && matches!(i.kind, LinkKind::Segment(_))) {
        let passes = maker.ground.hops().any(|h| {
            (h.from.name == *name && h.out.name == interface.name)
                || (h.to.name == *name && h.into.name == interface.name)
        });
        let expected =
            if passes { Expected::one("link-down", name) } else { Expected::without("nothing enters or leaves there") };
        let changes = vec![Change::Down { node: name.clone(), interface: interface.name.clone() }];
        let key = format!("link {}", interface.name);
        maker.add(Thing::Link, name, (&key, format!("{} down", interface.name)), changes, expected);
    }
}

/// The MAC of whoever else frames on that segment are for: of the first there, and of another real server.
fn clash(maker: &mut Maker<'_>, node: &Node) {
    let name = &node.name;
    for interface in node.interfaces.iter().filter(|i| matches!(i.kind, LinkKind::Segment(_))) {
        let others = || {
            let nodes = maker.ground.plan.nodes.iter().filter(|n| n.name != *name);
            nodes
                .flat_map(|n| n.interfaces.iter().map(move |i| (n, i)))
                .filter(|(_, i)| i.kind == interface.kind && i.mac.is_some())
        };
        let met = |n: &Node| maker.ground.hops().any(|h| h.to.name == n.name || h.from.name == n.name);
        let first = others().find(|(n, _)| n.role != Role::RealServer);
        let server = others().find(|(n, _)| n.role == Role::RealServer && node.role == Role::RealServer);
        for (other, from) in [first, server].into_iter().flatten() {
            let Some(mac) = from.mac else { continue };
            let expected = if met(other) && met(node) {
                let mut causes = vec![Cause { id: "rs-same-mac", nodes: vec![name.clone(), other.name.clone()] }];
                // Whoever has the old MAC for good has a wrong one now.
                for binding in &maker.ground.plan.nodes {
                    let old = binding.neighbours.iter().filter(|e| Some(e.mac) == interface.mac);
                    causes.extend(old.map(|entry| {
                        let vip = maker.ground.is_vip(entry.address);
                        Cause::at(if vip { "router-static-arp" } else { "rip-neigh-stale" }, &binding.name)
                    }));
                }
                Expected::Killed(causes)
            } else {
                Expected::without("no frame on that segment is for either")
            };
            let changes = vec![Change::Mac { node: name.clone(), interface: interface.name.clone(), mac }];
            let what = format!("{} has the MAC of {}", interface.name, other.name);
            maker.add(Thing::Link, name, (&format!("link {}", interface.name), what), changes, expected);
        }
    }
}
