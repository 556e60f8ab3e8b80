//! All packets that are walked, and what the model sees at a glance without a packet: two nodes with one MAC, a mask
//! that is too wide, a port that is to be mapped, a neighbour entry that is wrong.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::walk::Packet;
use super::{Kind, Predicted, World, own};
use crate::base::{Forwarding, Protocol, Role, ServiceId};
use crate::judge::Input;

/// Everything that the model predicts to go wrong with the facts of that input.
pub(in crate::judge) fn predict<'a>(input: &'a Input<'a>) -> Predicted<'a> {
    let world = World::new(input);
    let mut predicted = Predicted::default();
    masks(&world, &mut predicted);
    macs(&world, &mut predicted);
    mapped(&world, &mut predicted);
    for client in world.places().filter(|p| p.station.role == Role::Client) {
        for (protocol, target) in targets(input) {
            let own = client.station.ports.iter().flat_map(|p| &p.addresses).map(ipnet::IpNet::addr);
            let source = own.into_iter().find(|a| a.is_ipv4() == target.is_ipv4() && !input.case.is_vip(*a));
            if let Some(source) = source {
                world.walk(client, Packet { protocol, source, target }, &mut predicted);
            }
        }
    }
    for request in input.ran.loads.iter().flat_map(|l| &l.requests).filter(|r| input.case.is_vip(r.target.ip())) {
        if let Some(place) = world.place(&request.client).filter(|p| p.station.role != Role::Client) {
            let (protocol, target) = (request.protocol, request.target);
            own::asks(place, Packet { protocol, source: target.ip(), target }, &mut predicted);
        }
    }
    unweighted(&world, &mut predicted);
    learned(&world, &mut predicted);
    predicted
}

/// Schedulers that look at weights only to leave out those of 0 (`ip_vs_rr.c`, `ip_vs_lc.c`, `ip_vs_dh.c`).
const EVEN: [&str; 3] = ["rr", "lc", "dh"];

/// Weights that differ, for a scheduler that makes no difference.
fn unweighted<'a>(world: &World<'a>, predicted: &mut Predicted<'a>) {
    for place in world.places() {
        let services = place.facts.ipvs.iter().flat_map(|i| &i.services);
        for service in services.filter(|s| EVEN.contains(&s.scheduler.as_str())) {
            let weights: BTreeSet<u32> = service.destinations.iter().map(|d| d.weight).filter(|w| *w > 0).collect();
            if weights.len() > 1 {
                predicted.note(place.node(), None, Kind::Unweighted { service });
            }
        }
    }
}

/// What clients ask for: what the services offer, and what was asked.
fn targets(input: &Input<'_>) -> BTreeSet<(Protocol, SocketAddr)> {
    let offered = input.case.services.iter().filter_map(|s| match s.id {
        ServiceId::Address { protocol, at } if at.port() != 0 => Some((protocol, at)),
        ServiceId::Address { .. } | ServiceId::Fwmark { .. } => None,
    });
    let requests = input.ran.loads.iter().flat_map(|l| &l.requests);
    let asked = requests.map(|r| (r.protocol, r.target)).filter(|(_, at)| input.case.is_vip(at.ip()));
    offered.chain(asked).collect()
}

fn masks<'a>(world: &World<'a>, predicted: &mut Predicted<'a>) {
    for place in world.places().filter(|p| p.station.role == Role::RealServer) {
        let on_lo = place.facts.addresses.iter().filter(|a| a.interface == "lo" && world.case.is_vip(a.address.addr()));
        for fact in on_lo.filter(|a| a.address.prefix_len() < a.address.max_prefix_len()) {
            predicted.note(place.node(), Some(&fact.interface), Kind::WholePrefix { fact });
        }
    }
}

fn macs<'a>(world: &World<'a>, predicted: &mut Predicted<'a>) {
    let ports: Vec<_> = world
        .places()
        .flat_map(|place| place.station.ports.iter().map(move |port| (place, port)))
        .filter_map(|(place, port)| Some((place, port, place.link(port.interface.as_str())?.mac?)))
        .collect();
    for (at, (place, port, mac)) in ports.iter().enumerate() {
        let mut earlier = ports.iter().take(at).filter(|(_, p, m)| m == mac && p.segment == port.segment);
        if let Some((other, ..)) = earlier.next() {
            predicted.note(place.node(), Some(&port.interface), Kind::SameMac { mac: *mac, other: other.node() });
        }
    }
}

fn mapped<'a>(world: &World<'a>, predicted: &mut Predicted<'a>) {
    for service in &world.case.services {
        let ServiceId::Address { at, .. } = service.id else { continue };
        for to in &service.destinations {
            let keeps = matches!(to.forwarding, Forwarding::DirectRouting | Forwarding::Tun);
            if keeps && at.port() != 0 && to.at.port() != 0 && to.at.port() != at.port() {
                let kind = Kind::Mapped { service: service.id, at: to.at, wanted: to.at.port() };
                predicted.note(&service.director, None, kind);
            }
        }
    }
}

/// Entries for the VIP that were learned and are not the Director's MAC.
fn learned<'a>(world: &World<'a>, predicted: &mut Predicted<'a>) {
    for place in world.places().filter(|p| matches!(p.station.role, Role::Router | Role::Client)) {
        for entry in &place.facts.neighbours {
            let vip = world.case.is_vip(entry.address)
                && !matches!(entry.state.as_str(), "permanent" | "failed" | "incomplete");
            let Some(port) = place.port(entry.interface.as_str()).filter(|_| vip) else { continue };
            let Some((director, right)) = world.director_of(entry.address, &port.segment) else { continue };
            if entry.mac.is_some_and(|mac| mac != right.mac) {
                let kind = Kind::Learned { entry, meant: director.node(), right: right.mac };
                predicted.note(place.node(), Some(&entry.interface), kind);
            }
        }
    }
}

/// An address of the family on the interface that is no VIP.
pub(in crate::judge) fn own_address(
    world: &World<'_>,
    place: &super::Place<'_>,
    interface: &str,
    like: IpAddr,
) -> Option<IpAddr> {
    let here = place.facts.addresses.iter().filter(|a| a.interface == *interface).map(|a| a.address.addr());
    here.into_iter().find(|a| a.is_ipv4() == like.is_ipv4() && !world.case.is_vip(*a))
}
