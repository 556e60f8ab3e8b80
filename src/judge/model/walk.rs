//! The way of a client's packet to the Director, hop by hop, with all that the model says goes wrong on it; `serve` has the
//! rest of it.
//!
//! Where a hop fails, what fails is noted and the walk goes on as if it had not, so that a second mistake further on is
//! found as well as the first.

use std::net::{IpAddr, SocketAddr};

use super::answer::stays;
use super::director::{Decision, decide};
use super::local::local;
use super::lost::Next;
use super::passage::{away, filtered, half_seen};
use super::resolve::{Sought, resolve};
use super::route::{Way, lookup};
use super::source::refusal;
use super::switch::Sent;
use super::{Kind, Place, Predicted, World};
use crate::base::{NodeName, Protocol, Role, ServiceId};
use crate::facts::{RouteFact, ServiceFact};
use crate::judge::case::{Station, StationPort};

/// More hops than any lab has.
const HOPS: usize = 16;

/// A packet that a client sends.
#[derive(Debug, Clone, Copy)]
pub(in crate::judge) struct Packet {
    pub(in crate::judge) protocol: Protocol,
    pub(in crate::judge) source: IpAddr,
    pub(in crate::judge) target: SocketAddr,
}

/// Where a packet stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) place: Place<'a>,
    /// The interface that it came in by; none where it was made.
    pub(super) into: Option<&'a StationPort>,
}

/// One link that a packet crosses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leg<'a> {
    pub(super) from: Place<'a>,
    pub(super) out: &'a StationPort,
    pub(super) route: &'a RouteFact,
    pub(super) to: Place<'a>,
    pub(super) into: &'a StationPort,
}

impl<'a> World<'a> {
    /// Whether the station is the one to answer for the VIP: a Director of it.
    pub(in crate::judge) fn speaks_for(&self, place: &Place<'a>, vip: IpAddr) -> bool {
        self.is_to_speak_for(place.station, vip)
    }

    fn is_to_speak_for(&self, station: &Station, vip: IpAddr) -> bool {
        let serves =
            |s: &crate::judge::case::WantedService| s.director == station.node && s.id.vip().is_none_or(|v| v == vip);
        station.role == Role::Director || self.case.services.iter().any(serves)
    }

    /// The Director that has the VIP on the segment: the one that carries it, else the first one there, where no other
    /// may have it that was not read.
    pub(in crate::judge) fn director_of(
        &self,
        vip: IpAddr,
        segment: &NodeName,
    ) -> Option<(Place<'a>, &'a StationPort)> {
        let there = || self.on(segment).filter(|(p, _)| self.speaks_for(p, vip));
        let carries = |(p, _): &(Place<'a>, &StationPort)| p.facts.addresses.iter().any(|a| a.address.addr() == vip);
        let planned = |(p, _): &(Place<'a>, &StationPort)| p.station.has(vip);
        // Of several interfaces on the segment the one that has the VIP, as a macvlan may.
        let on_it = |(p, port): &(Place<'a>, &StationPort)| {
            p.facts.addresses.iter().any(|a| a.address.addr() == vip && a.interface == port.interface)
        };
        let unread = |s: &&Station| s.is_on(segment) && self.place(&s.node).is_none();
        let other = self.case.stations.iter().filter(unread).any(|s| self.is_to_speak_for(s, vip));
        there()
            .find(|d| on_it(d) && planned(d))
            .or_else(|| there().find(|d| carries(d) && planned(d)))
            .or_else(|| there().find(on_it))
            .or_else(|| there().find(carries))
            .or_else(|| there().find(planned).filter(|_| !other))
            .or_else(|| there().next().filter(|_| !other))
    }

    /// Sends a packet on from node to node until it is where it is meant to go, and gives that place and the links on the
    /// way, none where a part of it is only what it would be. It is sent towards `to`, and says `destination`: not the same where the Director hands it to a real server.
    pub(super) fn travel(
        &self,
        start: At<'a>,
        (source, to): (IpAddr, IpAddr),
        destination: IpAddr,
        arrived: &dyn Fn(&Place<'a>) -> bool,
        predicted: &mut Predicted<'a>,
    ) -> Option<(At<'a>, Vec<Leg<'a>>)> {
        let mut at = start;
        let mut legs = Vec::new();
        let mut whole = true;
        for _ in 0..HOPS {
            let node = at.place.node();
            if let Some(into) = at.into {
                let refused = refusal(at.place.facts, into.interface.as_str(), source);
                // Who balances without IPVS may take packets up before they are looked at.
                if let Some(why) = refused.filter(|_| !self.case.without_ipvs.contains_key(node)) {
                    predicted.note(node, Some(&into.interface), Kind::Refuses { source, why });
                }
                if arrived(&at.place) {
                    return Some((at, if whole { legs } else { Vec::new() }));
                }
                if stays(&at.place, into.interface.as_str()) {
                    predicted.note(node, None, Kind::Stays { to });
                }
            }
            let mut leading = None;
            let next = match lookup(at.place.facts, to) {
                Way::By(route) => {
                    leading = Some(route);
                    self.by(&at.place, to, route, arrived, predicted)?
                }
                Way::Here(own) => {
                    predicted.note(node, None, Kind::Keeps { to, own });
                    return None;
                }
                Way::Nowhere(route) => self.no_way(&at.place, to, route, predicted)?,
            };
            self.hop(&at.place, &next, (source, destination), predicted);
            match leading {
                Some(route) => {
                    legs.push(Leg { from: at.place, out: next.out, route, to: next.meant.0, into: next.meant.1 });
                }
                None => whole = false,
            }
            at = At { place: next.meant.0, into: Some(next.meant.1) };
        }
        None
    }

    /// Whether everybody on the segment was read; who was not may be anybody.
    pub(in crate::judge) fn all_read(&self, segment: &NodeName) -> bool {
        self.case.stations.iter().filter(|s| s.is_on(segment)).all(|s| self.place(&s.node).is_some())
    }

    /// Finds the next hop's MAC for a packet with that source.
    pub(super) fn hop(
        &self,
        from: &Place<'a>,
        next: &Next<'a>,
        (source, destination): (IpAddr, IpAddr),
        predicted: &mut Predicted<'a>,
    ) {
        // Without an address on either side nobody can ask or be asked, but for IPv6, where link-local ones do.
        let bare = || self.unaddressed(from, next.out, next.address) || self.lacks(next);
        if next.address.is_ipv4() && bare() {
            return;
        }
        let immune = self.case.vips.iter().all(|v| self.immune(*v, &next.out.segment));
        let Next { out, address: next_hop, meant } = *next;
        resolve(self, &Sought { from: *from, out, next_hop, meant, source, immune }, predicted);
        let sent = Sent { from: out.mac, source, destination, arp: false };
        if let Some((port, why)) = self.blocked((from.node(), out), (meant.0.node(), meant.1), sent) {
            let kind = Kind::Blocked { port, why, from: from.node(), to: meant.0.node(), sent };
            predicted.note(self.switch_name(from.node()), Some(&port.name), kind);
        }
    }

    /// The next hop of a route: whoever has that address and leads there, else whoever would.
    fn by(
        &self,
        place: &Place<'a>,
        to: IpAddr,
        route: &'a RouteFact,
        arrived: &dyn Fn(&Place<'a>) -> bool,
        predicted: &mut Predicted<'a>,
    ) -> Option<Next<'a>> {
        let out = route.interface.as_ref().and_then(|i| place.port(i.as_str()))?;
        let address = route.gateway.unwrap_or(to);
        let vip = self.case.is_vip(address);
        let meant = if vip { self.director_of(address, &out.segment) } else { self.owner(&out.segment, address) };
        let meant = meant.filter(|(p, _)| p.node() != place.node());
        let meant = meant.or_else(|| self.proxy(place, out, address).filter(|_| !vip));
        // A host that is taken for a router is the mistake of whoever sends to it.
        let host = |(p, port): &(Place<'a>, &StationPort)| {
            route.gateway.is_some()
                && !vip
                && p.station.role != Role::Router
                && !arrived(p)
                && stays(p, port.interface.as_str())
        };
        match meant.filter(|m| !host(m)) {
            Some(meant) => Some(Next { out, address, meant }),
            None => self.astray(place, out, (to, route), predicted),
        }
    }

    /// Whether the next hop has no address, which is noted elsewhere; one on another of its interfaces will do.
    fn lacks(&self, next: &Next<'a>) -> bool {
        let (place, port) = next.meant;
        let elsewhere = place.facts.addresses.iter().any(|a| a.address.addr() == next.address);
        !self.case.is_vip(next.address) && !elsewhere && self.unaddressed(&place, port, next.address)
    }

    /// Whether everybody on the segment who has to ask for the VIP has a permanent entry for it.
    pub(in crate::judge) fn immune(&self, vip: IpAddr, segment: &NodeName) -> bool {
        let mut asked = false;
        for (place, port) in self.on(segment) {
            if !matches!(place.station.role, Role::Router | Role::Client) {
                continue;
            }
            // Whoever has an entry for good is told nothing, whether its way there stands or not.
            let mut entries = place.facts.neighbours.iter().filter(|n| n.interface == port.interface);
            if entries.any(|n| n.address == vip && n.state == "permanent") {
                asked = true;
                continue;
            }
            let direct = match lookup(place.facts, vip) {
                Way::By(route) => route.gateway.is_none() && route.interface.as_ref() == Some(&port.interface),
                Way::Here(_) | Way::Nowhere(_) => false,
            };
            if direct {
                return false;
            }
        }
        asked
    }

    /// Walks a client's packet to the Director, to each real server, and each reply back.
    pub(in crate::judge) fn walk(&self, client: Place<'a>, packet: Packet, predicted: &mut Predicted<'a>) {
        let (vip, source) = (packet.target.ip(), packet.source);
        if local(client.facts, vip).is_some() {
            return;
        }
        let start = At { place: client, into: None };
        let reached = self.travel(start, (source, vip), vip, &|p| self.speaks_for(p, vip), predicted);
        let Some((at, legs)) = reached else { return };
        let director = at.place;
        if local(director.facts, vip).is_none() {
            let into = at.into.map(|p| &p.interface);
            let silent =
                predicted.deviations.iter().any(|d| d.node == director.node() && matches!(d.kind, Kind::Silent { .. }));
            if !silent {
                predicted.note(director.node(), into, Kind::NotOwn { address: vip, forwards: false });
            }
        }
        if let Some(services) = self.case.without_ipvs.get(director.node()) {
            for service in services.iter().filter(|service| is_for(service, packet)) {
                for destination in service.destinations.iter().filter(|d| d.weight > 0) {
                    self.serve(&director, service, destination, (packet, client, &legs), predicted);
                }
            }
            return;
        }
        away(&director, at.into, packet, predicted);
        if !filtered(&director, at.into, packet, "INPUT", predicted) {
            half_seen(&director, at.into, packet, predicted);
        }
        match decide(&director, packet.protocol, packet.target) {
            Decision::Unread => {}
            Decision::Unknown => {
                let kind = Kind::NoService { protocol: packet.protocol, at: packet.target };
                predicted.note(director.node(), None, kind);
            }
            Decision::Unmarked { mark } => {
                let kind = Kind::Unmarked { mark, at: packet.target, protocol: packet.protocol };
                predicted.note(director.node(), None, kind);
            }
            Decision::Balanced(service) => {
                let none = service.destinations.iter().all(|d| d.weight == 0);
                if none {
                    predicted.note(director.node(), None, Kind::NoDestination { service });
                }
                // One of weight 0 beside others gets nothing new, so that what it lacks is not missed.
                for destination in service.destinations.iter().filter(|d| none || d.weight > 0) {
                    self.serve(&director, service, destination, (packet, client, &legs), predicted);
                }
            }
        }
    }
}

/// Whether a service is about the packet; one by mark may be about any.
fn is_for(service: &ServiceFact, packet: Packet) -> bool {
    match service.service {
        ServiceId::Address { protocol, at } => {
            protocol == packet.protocol
                && at.ip() == packet.target.ip()
                && [0, packet.target.port()].contains(&at.port())
        }
        ServiceId::Fwmark { v6, .. } => v6 == packet.target.is_ipv6(),
    }
}
