//! The way of a client's packet and of its reply, hop by hop, with all that the model says goes wrong on it.
//!
//! Where a hop fails, what fails is noted and the walk goes on as if it had not, so that a second mistake further on is
//! found as well as the first.

use std::net::{IpAddr, SocketAddr};

use super::answer::forwards;
use super::director::{Decision, decide};
use super::local::{Local, local};
use super::passage::{again, away, filtered, half_seen, leaves};
use super::resolve::{Sought, resolve};
use super::route::{Way, lookup};
use super::source::refusal;
use super::switch::Sent;
use super::{Kind, Place, Predicted, World};
use crate::base::{Forwarding, NodeName, Protocol, Role};
use crate::facts::{DestinationFact, RouteFact, ServiceFact, SocketFact};
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
        let serves =
            |s: &crate::judge::case::WantedService| s.director == *place.node() && s.id.vip().is_none_or(|v| v == vip);
        place.station.role == Role::Director || self.case.services.iter().any(serves)
    }

    /// The Director that has the VIP on the segment: the one that carries it, else the first one there.
    pub(in crate::judge) fn director_of(
        &self,
        vip: IpAddr,
        segment: &NodeName,
    ) -> Option<(Place<'a>, &'a StationPort)> {
        let there = || self.on(segment).filter(|(p, _)| self.speaks_for(p, vip));
        let carries = |(p, _): &(Place<'a>, &StationPort)| p.facts.addresses.iter().any(|a| a.address.addr() == vip);
        let planned = |(p, _): &(Place<'a>, &StationPort)| p.station.has(vip);
        there()
            .find(|d| carries(d) && planned(d))
            .or_else(|| there().find(carries))
            .or_else(|| there().find(planned))
            .or_else(|| there().next())
    }

    /// Sends a packet on from node to node until it is where it is meant to go, and gives that place
    /// and the links on the way. It is sent towards
    /// `to`, and says `destination`: not the same where the Director hands it to a real server.
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
        for _ in 0..HOPS {
            let node = at.place.node();
            if let Some(into) = at.into {
                if let Some(why) = refusal(at.place.facts, into.interface.as_str(), source) {
                    predicted.note(node, Some(&into.interface), Kind::Refuses { source, why });
                }
                if arrived(&at.place) {
                    return Some((at, legs));
                }
                if !forwards(&at.place, into.interface.as_str()) {
                    predicted.note(node, None, Kind::Stays { to });
                }
            }
            let route = match lookup(at.place.facts, to) {
                Way::By(route) => route,
                Way::Here(own) => {
                    predicted.note(node, None, Kind::Keeps { to, own });
                    return None;
                }
                Way::Nowhere(route) => {
                    no_way(&at.place, to, route, predicted);
                    return None;
                }
            };
            let out = route.interface.as_ref().and_then(|i| at.place.port(i.as_str()))?;
            let next_hop = route.gateway.unwrap_or(to);
            let meant = if self.case.is_vip(next_hop) {
                self.director_of(next_hop, &out.segment)
            } else {
                self.owner(&out.segment, next_hop)
            };
            let Some(meant) = meant.filter(|(p, _)| p.node() != node) else {
                if self.all_read(&out.segment) {
                    predicted.note(node, Some(&out.interface), Kind::Astray { to, route });
                }
                return None;
            };
            let immune = self.case.vips.iter().all(|v| self.immune(*v, &out.segment));
            let sought = Sought { from: at.place, out, next_hop, meant, source, immune };
            resolve(self, &sought, predicted);
            legs.push(Leg { from: at.place, out, route, to: meant.0, into: meant.1 });
            let sent = Sent { from: out.mac, source, destination, arp: false };
            if let Some((port, why)) = self.blocked((node, out), (meant.0.node(), meant.1), sent) {
                let kind = Kind::Blocked { port, why, from: node, to: meant.0.node(), sent };
                predicted.note(self.switch_name(node), Some(&port.name), kind);
            }
            at = At { place: meant.0, into: Some(meant.1) };
        }
        None
    }

    /// Whether everybody on the segment was read; who was not may be anybody.
    fn all_read(&self, segment: &NodeName) -> bool {
        self.case.stations.iter().filter(|s| s.is_on(segment)).all(|s| self.place(&s.node).is_some())
    }

    /// Whether everybody on the segment who has to ask for the VIP has a permanent entry for it.
    pub(in crate::judge) fn immune(&self, vip: IpAddr, segment: &NodeName) -> bool {
        let mut asked = false;
        for (place, port) in self.on(segment) {
            if !matches!(place.station.role, Role::Router | Role::Client) {
                continue;
            }
            let direct = match lookup(place.facts, vip) {
                Way::By(route) => route.gateway.is_none() && route.interface.as_ref() == Some(&port.interface),
                Way::Here(_) | Way::Nowhere(_) => false,
            };
            if direct {
                asked = true;
                if crate::judge::host::Host(place.facts).bound(vip).is_none() {
                    return false;
                }
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
        away(&director, at.into, packet, predicted);
        if filtered(&director, at.into, packet, "INPUT", predicted) {
            return;
        }
        half_seen(&director, at.into, packet, predicted);
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

    /// One real server's part: the way there, what it does with the packet, and its reply.
    fn serve(
        &self,
        director: &Place<'a>,
        service: &'a ServiceFact,
        destination: &'a DestinationFact,
        (packet, client, before): (Packet, Place<'a>, &[Leg<'a>]),
        predicted: &mut Predicted<'a>,
    ) {
        let (vip, rip, method) = (packet.target.ip(), destination.at.ip(), destination.forwarding);
        if local(director.facts, rip).is_some() {
            return;
        }
        let server = self.places().find(|p| p.station.ports.iter().any(|port| port.has(rip)));
        if method == Forwarding::DirectRouting {
            let beside = |s: &Station| s.ports.iter().any(|p| p.has(rip) && director.station.is_on(&p.segment));
            let route = match lookup(director.facts, rip) {
                Way::By(route) => Some(route),
                Way::Here(_) | Way::Nowhere(_) => None,
            };
            if route.is_some_and(|r| r.gateway.is_some()) || server.is_some_and(|s| !beside(s.station)) {
                let node = server.map_or(director.node(), |s| s.node());
                let kind = Kind::Remote { rip, from: director.node(), route, service: service.service };
                return predicted.note(node, None, kind);
            }
        }
        let nat = method == Forwarding::Nat;
        let outer = if method == Forwarding::Tun { own_address(director, rip) } else { Some(packet.source) };
        let start = At { place: *director, into: None };
        let shown = if method == Forwarding::DirectRouting { vip } else { rip };
        let is_server = |p: &Place<'a>| server.is_some_and(|s| s.node() == p.node());
        let ends = (outer.unwrap_or(packet.source), rip);
        let Some((at, legs)) = self.travel(start, ends, shown, &is_server, predicted) else { return };
        let server = at.place;
        if method == Forwarding::DirectRouting {
            leaves(director, legs.first(), packet, predicted);
            let way: Vec<Leg<'_>> = before.iter().chain(&legs).copied().collect();
            self.fits(&way, (packet.source, vip), (director, &server), predicted);
        }
        if method == Forwarding::Tun && !unwraps(&server, packet) {
            let kind = Kind::Unwrapped {
                service: service.service,
                to: destination.at,
                weight: destination.weight,
                vip,
                from: director.node(),
            };
            return predicted.note(server.node(), None, kind);
        }
        let target = if nat { destination.at } else { packet.target };
        if !nat && local(server.facts, vip).is_none() {
            let forwards = at.into.is_some_and(|p| forwards(&server, p.interface.as_str()));
            predicted.note(server.node(), None, Kind::NotOwn { address: vip, forwards });
        }
        let arriving = Packet { target, ..packet };
        if method == Forwarding::DirectRouting {
            again(director, &server, packet, predicted);
        }
        filtered(&server, at.into, arriving, "INPUT", predicted);
        listens(&server, arriving, method, predicted);
        self.reply(director, &server, service, destination, (arriving, client), predicted);
    }

    /// The way back.
    fn reply(
        &self,
        director: &Place<'a>,
        server: &Place<'a>,
        service: &'a ServiceFact,
        destination: &'a DestinationFact,
        (packet, client): (Packet, Place<'a>),
        predicted: &mut Predicted<'a>,
    ) {
        let (from, to) = (packet.target.ip(), packet.source);
        if server.station.has(to) {
            return;
        }
        let nat = destination.forwarding == Forwarding::Nat;
        if let Way::By(route) = lookup(server.facts, to) {
            let gateway =
                route.gateway.filter(|g| local(director.facts, *g).is_some_and(|l| matches!(l, Local::Address(_))));
            match gateway {
                Some(_) if nat => return,
                Some(gateway) => {
                    let kind = Kind::ThroughDirector { to, route, gateway };
                    return predicted.note(server.node(), route.interface.as_ref(), kind);
                }
                None if nat => {
                    let kind = Kind::Bypassed {
                        service: service.service,
                        to: destination.at,
                        weight: destination.weight,
                        real_server: server.node(),
                        client: to,
                        route,
                    };
                    return predicted.note(director.node(), None, kind);
                }
                None => {}
            }
        }
        let start = At { place: *server, into: None };
        let back = self.travel(start, (from, to), to, &|p| p.node() == client.node(), predicted);
        if let Some((_, legs)) = back.filter(|_| !nat) {
            self.fits(&legs, (from, to), (director, server), predicted);
        }
    }
}

/// The node's address on the interface towards another.
fn own_address(place: &Place<'_>, towards: IpAddr) -> Option<IpAddr> {
    let Way::By(route) = lookup(place.facts, towards) else { return None };
    let on = |a: &&crate::facts::AddressFact| Some(&a.interface) == route.interface.as_ref();
    place.facts.addresses.iter().filter(on).map(|a| a.address.addr()).find(|a| a.is_ipv4() == towards.is_ipv4())
}

/// Notes where nothing takes the packet up.
fn listens<'a>(server: &Place<'a>, packet: Packet, method: Forwarding, predicted: &mut Predicted<'a>) {
    let Some(sockets) = &server.facts.sockets else { return };
    let (protocol, at) = (packet.protocol, packet.target);
    let takes = |s: &&SocketFact| {
        s.protocol == protocol
            && s.at.port() == at.port()
            && (s.at.ip() == at.ip() || (s.at.ip().is_unspecified() && (s.at.is_ipv6() || at.is_ipv4())))
    };
    if !sockets.iter().any(|s| takes(&s)) {
        let listening = sockets.iter().filter(|s| s.protocol == protocol).collect();
        predicted.note(server.node(), None, Kind::Deaf { protocol, at, listening, method });
    }
}

/// No route: because an interface is down, or for want of one.
fn no_way<'a>(place: &Place<'a>, to: IpAddr, route: Option<&'a RouteFact>, predicted: &mut Predicted<'a>) {
    let down = place.station.ports.iter().find(|p| place.link(p.interface.as_str()).is_some_and(|l| !l.up));
    match down {
        Some(port) => predicted.note(place.node(), Some(&port.interface), Kind::Down),
        None => predicted.note(place.node(), None, Kind::NoWay { to, route }),
    }
}

/// Whether the real server takes the packet out of its tunnel.
fn unwraps(server: &Place<'_>, packet: Packet) -> bool {
    let tunnel = server.facts.links.iter().find(|l| l.kind.as_deref() == Some("ipip") && l.up);
    tunnel.is_some_and(|l| refusal(server.facts, l.name.as_str(), packet.source).is_none())
}
