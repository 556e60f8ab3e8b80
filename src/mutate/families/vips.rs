//! The VIP: gone, on another interface, with another prefix length, before the Director's own address.

use std::net::IpAddr;

use ipnet::IpNet;

use super::sysctls::spoken;
use crate::mutate::ground::{Ground, Part, forwards, level};
use crate::mutate::{Change, Expected, Maker, Thing};
use crate::plan::{Address, Interface, LinkKind, Node};

pub(super) fn derive(maker: &mut Maker<'_>) {
    for node in &maker.ground.plan.nodes {
        for interface in &node.interfaces {
            for address in interface.addresses.iter().filter(|a| maker.ground.is_vip(a.address.addr())) {
                if node.ipvs.is_some() {
                    director(maker, node, interface, address);
                } else {
                    server(maker, node, interface, address);
                }
            }
        }
    }
}

fn gone(node: &Node, interface: &Interface, vip: IpAddr) -> Vec<Change> {
    vec![Change::Address { node: node.name.clone(), interface: interface.name.clone(), address: vip, to: None }]
}

/// The subnet of the segment on which the node's own address is, where it holds the VIP.
fn subnet(ground: &Ground<'_>, node: &Node, vip: IpAddr) -> Option<IpNet> {
    let own = node.interfaces.iter().filter(|i| matches!(i.kind, LinkKind::Segment(_))).flat_map(|i| &i.addresses);
    let own = own.map(|a| a.address).find(|a| a.contains(&vip) && !ground.is_vip(a.addr()));
    IpNet::new(vip, own?.prefix_len()).ok()
}

fn server(maker: &mut Maker<'_>, node: &Node, interface: &Interface, address: &Address) {
    let (name, vip) = (&node.name, address.address.addr());
    let key = format!("address {vip}");
    let handed = maker
        .ground
        .legs
        .iter()
        .any(|l| l.part == Part::Hand && l.whole && l.hops.last().is_some_and(|h| h.to.name == *name));
    let expected = match (handed, forwards(node, vip)) {
        (false, _) => Expected::without("nothing for the VIP is sent there"),
        (true, true) => Expected::one("rs-vip-missing-forwarding", name),
        (true, false) => Expected::one("rs-vip-missing", name),
    };
    let what = format!("VIP {} on {} gone", address.address, interface.name);
    maker.add(Thing::Address, name, (&key, what), gone(node, interface, vip), expected);
    let nic = node.interfaces.iter().find(|i| matches!(i.kind, LinkKind::Segment(_))).map(|i| i.name.clone());
    let dummy: Option<crate::base::IfName> = "dummy9".parse().ok();
    for to in [nic, dummy].into_iter().flatten().filter(|to| *to != interface.name && vip.is_ipv4()) {
        let what = format!("VIP {} on {to} instead of {}", address.address, interface.name);
        let changes = vec![Change::Move { node: name.clone(), from: interface.name.clone(), address: vip, to }];
        let expected = if handed {
            spoken(maker, name, &changes)
        } else {
            Some(Expected::without("nothing for the VIP is sent there"))
        };
        if let Some(expected) = expected {
            maker.add(Thing::Address, name, (&key, what), changes, expected);
        }
    }
    let wide = subnet(maker.ground, node, vip).filter(|_| interface.kind == LinkKind::Loopback && vip.is_ipv4());
    if let Some(wide) = wide {
        let device =
            node.interfaces.iter().find(|i| matches!(i.kind, LinkKind::Segment(_))).map_or("eth0", |i| i.name.as_str());
        let id = match (level(node, device, "arp_ignore"), level(node, device, "rp_filter")) {
            (_, 1..) => "rs-vip-prefix-on-lo-rpf",
            (0, _) => "rs-vip-prefix-on-lo-arp",
            _ => "rs-vip-prefix-on-lo",
        };
        let to = Address { address: wide, ..address.clone() };
        let changes =
            vec![Change::Address { node: name.clone(), interface: interface.name.clone(), address: vip, to: Some(to) }];
        let what = format!("VIP {} on {} with /{}", address.address, interface.name, wide.prefix_len());
        maker.add(Thing::Address, name, (&key, what), changes, Expected::one(id, name));
    }
}

fn director(maker: &mut Maker<'_>, node: &Node, interface: &Interface, address: &Address) {
    let (name, vip) = (&node.name, address.address.addr());
    let key = format!("address {vip}");
    let asked = maker.ground.asking(vip).any(|h| h.to.name == *name);
    let arrives = maker.ground.legs.iter().any(|l| l.part == Part::Ask && l.whole && l.target == vip);
    let expected = if asked || arrives {
        Expected::one("dir-vip-missing", name)
    } else {
        Expected::without("nothing for the VIP comes here")
    };
    let what = format!("VIP {} on {} gone", address.address, interface.name);
    maker.add(Thing::Address, name, (&key, what), gone(node, interface, vip), expected);
    let lo = node.interfaces.iter().find(|i| i.kind == LinkKind::Loopback).map(|i| i.name.clone());
    if let Some(to) = lo.filter(|to| *to != interface.name && vip.is_ipv4()) {
        let what = format!("VIP {} on {to} instead of {}", address.address, interface.name);
        let changes = vec![Change::Move { node: name.clone(), from: interface.name.clone(), address: vip, to }];
        let ear = interface.name.as_str();
        let expected = if asked && level(node, ear, "arp_ignore") > 0 {
            Expected::one("dir-arp-suppressed", name)
        } else {
            Expected::without("a host answers for any of its addresses on any interface, as arp_ignore is 0")
        };
        maker.add(Thing::Address, name, (&key, what), changes, expected);
    }
    let Some(wide) = subnet(maker.ground, node, vip).filter(|w| *w != address.address && vip.is_ipv4()) else { return };
    let to = Some(Address { address: wide, ..address.clone() });
    let change = Change::Address { node: name.clone(), interface: interface.name.clone(), address: vip, to };
    let what = format!("VIP {} on {} with /{}", address.address, interface.name, wide.prefix_len());
    let why = "the Director's own address is the first of the subnet, so it asks by that";
    maker.add(Thing::Address, name, (&key, what), vec![change.clone()], Expected::without(why));
    let first = Change::First { node: name.clone(), interface: interface.name.clone(), address: vip };
    let what = format!("VIP {} on {} with /{}, before all others", address.address, interface.name, wide.prefix_len());
    let mut hands = maker.ground.legs.iter().filter(|l| l.part == Part::Hand && l.start.name == *name);
    let expected =
        if hands.any(|l| l.hops.first().is_some_and(|h| h.out.name == interface.name && wide.contains(&h.neighbour))) {
            Expected::one("dir-vip-primary", name)
        } else {
            Expected::without("no real server is asked for by that interface")
        };
    maker.add(Thing::Order, name, (&key, what), vec![change, first], expected);
}
