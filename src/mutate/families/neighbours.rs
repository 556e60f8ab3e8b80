//! Permanent neighbour entries: gone, with another's MAC, with nobody's; and one with nobody's MAC where there is none.

use super::super::voice::speech;
use crate::base::{Mac, Role};
use crate::mutate::ground::Ground;
use crate::mutate::{Cause, Change, Expected, Maker, Thing};

/// A MAC that no node has.
const NOBODY: Mac = Mac([0x02, 0, 0, 0, 0xde, 0xad]);

pub(super) fn derive(maker: &mut Maker<'_>) {
    for node in &maker.ground.plan.nodes {
        let name = &node.name;
        for entry in &node.neighbours {
            let change = |mac| {
                vec![Change::Neighbour {
                    node: name.clone(),
                    interface: entry.interface.clone(),
                    address: entry.address,
                    mac,
                }]
            };
            let key = format!("neighbour {}", entry.address);
            let expected = forgotten(maker, &change(None));
            maker.add(
                Thing::Neighbour,
                name,
                (&key, format!("permanent entry for {} gone", entry.address)),
                change(None),
                expected,
            );
            let other = maker.ground.plan.nodes.iter().filter(|n| n.role == Role::RealServer);
            let other = other
                .flat_map(|n| n.interfaces.iter().filter_map(move |i| Some((n, i.mac?))))
                .find(|(_, mac)| *mac != entry.mac);
            let used = maker.ground.hops().any(|h| h.from.name == *name && h.neighbour == entry.address);
            let id = if maker.ground.is_vip(entry.address) { "router-static-arp" } else { "rip-neigh-stale" };
            for (whose, mac) in
                other.map(|(n, mac)| (n.name.to_string(), mac)).into_iter().chain([("nobody".to_owned(), NOBODY)])
            {
                let expected = if used { Expected::one(id, name) } else { Expected::without("nothing is sent there") };
                let what = format!("permanent entry for {} has the MAC of {whose}", entry.address);
                maker.add(Thing::Neighbour, name, (&key, what), change(Some(mac)), expected);
            }
        }
        let hops: Vec<_> =
            maker.ground.hops().filter(|h| h.from.name == *name).map(|h| (h.out.name.clone(), h.neighbour)).collect();
        for (interface, address) in hops {
            if node.neighbours.iter().any(|e| e.address == address) {
                continue;
            }
            let id = if maker.ground.is_vip(address) { "router-static-arp" } else { "rip-neigh-stale" };
            let changes = vec![Change::Neighbour { node: name.clone(), interface, address, mac: Some(NOBODY) }];
            let what = format!("a permanent entry for {address} with the MAC of nobody");
            maker.add(
                Thing::Neighbour,
                name,
                (&format!("neighbour {address}"), what),
                changes,
                Expected::one(id, name),
            );
        }
    }
}

/// Without the entry everybody who speaks for the address is heard.
fn forgotten(maker: &Maker<'_>, changes: &[Change]) -> Expected {
    let Some(plan) = maker.after(changes) else { return Expected::without("there is none") };
    let ground = Ground::of(&plan);
    let mut causes: Vec<Cause> = Vec::new();
    for node in plan.nodes.iter().filter(|n| n.ipvs.is_none()) {
        for cause in speech(&ground, node).causes() {
            match causes.iter_mut().find(|c| c.id == cause.id) {
                Some(known) => known.nodes.extend(cause.nodes.iter().cloned()),
                None => causes.push(cause.clone()),
            }
        }
    }
    if causes.is_empty() {
        Expected::without("who is asked for answers, and nobody else")
    } else {
        Expected::Killed(causes)
    }
}
