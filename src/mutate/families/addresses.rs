//! Addresses other than VIPs: gone, another one, with a prefix that is too long or too short.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::base::Role;
use crate::mutate::ground::{Ground, Part};
use crate::mutate::{Cause, Change, Expected, Maker, Thing};
use crate::plan::{Address, Interface, LinkKind, Node};

pub(super) fn derive(maker: &mut Maker<'_>) {
    for node in &maker.ground.plan.nodes {
        for interface in node.interfaces.iter().filter(|i| matches!(i.kind, LinkKind::Segment(_))) {
            for address in interface.addresses.iter().filter(|a| !maker.ground.is_vip(a.address.addr())) {
                one(maker, node, interface, address);
            }
        }
    }
}

fn one(maker: &mut Maker<'_>, node: &Node, interface: &Interface, address: &Address) {
    let (name, ip, net) = (&node.name, address.address.addr(), address.address);
    let key = format!("address {ip}");
    let change = |to: Option<Address>| {
        vec![Change::Address { node: name.clone(), interface: interface.name.clone(), address: ip, to }]
    };
    let with = |net: IpNet| Some(Address { address: net, ..address.clone() });
    let expected = if breaks(maker, &change(None)) {
        Expected::one("no-address", name)
    } else {
        Expected::without("another address of the interface does as well")
    };
    maker.add(
        Thing::Address,
        name,
        (&key, format!("address {net} on {} gone", interface.name)),
        change(None),
        expected,
    );
    if let Some(other) = free(maker.ground.plan, net) {
        let expected = renumbered(maker.ground, node, ip);
        let to = with(other);
        let what = format!("address {net} on {} is {}", interface.name, other.addr());
        maker.add(Thing::Address, name, (&key, what), change(to), expected);
    }
    let half = net.prefix_len() + 1;
    for len in [half, net.max_prefix_len()] {
        let Ok(narrow) = IpNet::new(ip, len) else { continue };
        let expected = narrowed(maker.ground, node, interface, narrow);
        let what = format!("address {net} on {} with /{len}", interface.name);
        maker.add(Thing::Address, name, (&key, what), change(with(narrow)), expected);
    }
    if let Ok(wide) = IpNet::new(ip, net.prefix_len() - 8.min(net.prefix_len())) {
        let expected = widened(maker.ground, node, net, wide);
        let what = format!("address {net} on {} with /{}", interface.name, wide.prefix_len());
        maker.add(Thing::Address, name, (&key, what), change(with(wide)), expected);
    }
}

/// Whether a part of the way is cut by the changes.
fn breaks(maker: &Maker<'_>, changes: &[Change]) -> bool {
    let whole = |ground: &Ground<'_>| ground.legs.iter().filter(|l| l.whole).count();
    maker.after(changes).is_some_and(|plan| whole(&Ground::of(&plan)) < whole(maker.ground))
}

/// An address of the subnet that nobody has.
pub(super) fn free(plan: &crate::plan::Plan, net: IpNet) -> Option<IpNet> {
    let taken = |ip: IpAddr| {
        plan.nodes.iter().flat_map(|n| &n.interfaces).flat_map(|i| &i.addresses).any(|a| a.address.addr() == ip)
    };
    let mut candidates = net.trunc().hosts().skip(200).filter(|ip| !taken(*ip));
    IpNet::new(candidates.next()?, net.prefix_len()).ok()
}

/// Whoever relies on the very address is led astray.
fn renumbered(ground: &Ground<'_>, node: &Node, ip: IpAddr) -> Expected {
    let mut causes: Vec<Cause> = Vec::new();
    let mut put = |id: &'static str, node: &crate::base::NodeName| match causes.iter_mut().find(|c| c.id == id) {
        Some(cause) if cause.nodes.contains(node) => {}
        Some(cause) => cause.nodes.push(node.clone()),
        None => causes.push(Cause::at(id, node)),
    };
    for leg in &ground.legs {
        for hop in leg.hops.iter().filter(|h| h.neighbour == ip && h.to.name == node.name) {
            match (leg.part, hop.from.role) {
                (Part::Hand, _) if leg.target == ip => {
                    put("ipvs-rip-nobody", &hop.from.name);
                    put("ipvs-rip-nobody", &node.name);
                }
                // The client asks from its new address, and is answered there.
                _ if leg.target == ip => {}
                (_, Role::RealServer) => put("rs-gw-wrong", &hop.from.name),
                _ => put("no-route", &hop.from.name),
            }
        }
    }
    if causes.is_empty() { Expected::without("nobody sends to that very address") } else { Expected::Killed(causes) }
}

/// Next hops that the longer prefix leaves out can't be reached any more.
fn narrowed(ground: &Ground<'_>, node: &Node, interface: &Interface, narrow: IpNet) -> Expected {
    let needed = |h: &&crate::mutate::ground::Hop<'_>| {
        h.from.name == node.name && h.out.name == interface.name && h.neighbour.is_ipv4() == narrow.addr().is_ipv4()
    };
    let held = |ip: IpAddr| {
        let others = interface.addresses.iter().filter(|a| a.address.addr() != narrow.addr());
        narrow.contains(&ip) || others.into_iter().any(|a| a.address.contains(&ip))
    };
    let mut out = ground.hops().filter(needed).filter(|h| !held(h.neighbour));
    match out.next() {
        Some(_) => Expected::one("address-prefix-narrow", &node.name),
        None => Expected::without("every next hop is still inside"),
    }
}

/// What the shorter prefix takes in besides is asked for on the segment, where nobody has it.
fn widened(ground: &Ground<'_>, node: &Node, net: IpNet, wide: IpNet) -> Expected {
    let sent = |l: &&crate::mutate::ground::Leg<'_>| l.hops.iter().any(|h| h.from.name == node.name);
    let mut inside = ground.legs.iter().filter(sent).filter(|l| wide.contains(&l.target) && !net.contains(&l.target));
    match inside.next() {
        Some(_) => Expected::one("address-prefix-wide", &node.name),
        None => Expected::without("nothing that is sent there lies in what is added"),
    }
}
