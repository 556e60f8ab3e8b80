//! A real server's part in a packet's way: how it gets there from the Director, what it does with it, and the reply's way
//! back to the client.

use std::net::IpAddr;

use super::answer::forwards;
use super::local::{Local, local};
use super::lost::Next;
use super::passage::{again, filtered, leaves, takes_by_rule};
use super::route::{Way, lookup};
use super::source::refusal;
use super::walk::{At, Leg, Packet};
use super::{Kind, Place, Predicted, World};
use crate::base::Forwarding;
use crate::facts::{DestinationFact, ServiceFact, SocketFact};
use crate::judge::case::StationPort;

impl<'a> World<'a> {
    /// One real server's part: the way there, what it does with the packet, and its reply.
    pub(super) fn serve(
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
        let server = self.server(destination);
        // By which hook and which MAC it sends is its own affair.
        let blind = self.case.without_ipvs.contains_key(director.node());
        let start = At { place: *director, into: None };
        // Who was not read may be the one.
        let read = self.case.stations.iter().all(|s| self.place(&s.node).is_some());
        let known = !read || self.places().any(|p| p.facts.addresses.iter().any(|a| a.address.addr() == rip));
        let beside = server.and_then(|s| {
            let shared = |port: &&StationPort| director.station.is_on(&port.segment);
            let into = s.station.ports.iter().find(shared)?;
            let out = director.station.ports.iter().find(|port| port.segment == into.segment)?;
            Some(Next { out, address: rip, meant: (s, into) })
        });
        let routed = matches!(lookup(director.facts, rip), Way::By(route) if route.gateway.is_some());
        let short = match beside {
            Some(_) if blind => true,
            None if blind && server.is_none() => return,
            Some(next) if !known => {
                self.nobody(director, &next, (service, destination), predicted);
                true
            }
            Some(next) => routed && method == Forwarding::DirectRouting && self.short_of(director, &next, predicted),
            None => false,
        };
        // Beyond a router there may be somebody that nobody knows of.
        if server.is_none() && !known && !routed {
            let kind = Kind::RipNobody {
                at: destination.at,
                service: service.service,
                weight: destination.weight,
                server: None,
            };
            return predicted.note(director.node(), None, kind);
        }
        if method == Forwarding::DirectRouting && !short {
            let on_it = |s: &Place<'a>, port: &StationPort| {
                port.has(rip)
                    || s.facts.addresses.iter().any(|a| a.interface == port.interface && a.address.addr() == rip)
            };
            let shares = |port: &StationPort| director.station.is_on(&port.segment);
            let beside = |s: &Place<'a>| s.station.ports.iter().any(|port| shares(port) && on_it(s, port));
            let route = match lookup(director.facts, rip) {
                Way::By(route) => Some(route),
                Way::Here(_) | Way::Nowhere(_) => None,
            };
            if route.is_some_and(|r| r.gateway.is_some()) || server.is_some_and(|s| !beside(&s)) {
                let node = server.map_or(director.node(), |s| s.node());
                let kind = Kind::Remote { rip, from: director.node(), route, service: service.service };
                return predicted.note(node, None, kind);
            }
        }
        let nat = method == Forwarding::Nat;
        let outer = if method == Forwarding::Tun { own_address(director, rip) } else { Some(packet.source) };
        let shown = if method == Forwarding::DirectRouting { vip } else { rip };
        let is_server = |p: &Place<'a>| server.is_some_and(|s| s.node() == p.node());
        let ends = (outer.unwrap_or(packet.source), rip);
        let reached = match beside.filter(|_| short) {
            Some(next) => Some((At { place: next.meant.0, into: Some(next.meant.1) }, Vec::new())),
            None => self.travel(start, ends, shown, &is_server, predicted),
        };
        let Some((at, legs)) = reached else { return };
        let server = at.place;
        if method == Forwarding::DirectRouting {
            if !blind {
                leaves(director, legs.first(), packet, predicted);
            }
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
            predicted.note(server.node(), None, kind);
        }
        let target = if nat { destination.at } else { packet.target };
        if let Some(into) = at.into.filter(|_| method == Forwarding::DirectRouting) {
            unheard(&server, into, vip, predicted);
        }
        if !nat && local(server.facts, vip).is_none() && !takes_by_rule(&server, at.into, packet) {
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

    /// The node that a real server of the table is: by its address, else by what was planned.
    fn server(&self, destination: &DestinationFact) -> Option<Place<'a>> {
        let rip = destination.at.ip();
        let carries = |p: &Place<'a>| p.facts.addresses.iter().any(|a| a.address.addr() == rip);
        let planned = |p: &Place<'a>| p.station.ports.iter().any(|port| port.has(rip));
        let mut wanted = self.case.services.iter().flat_map(|s| &s.destinations).filter(|d| d.at.ip() == rip);
        let wanted = || self.place(wanted.find_map(|d| d.node.as_ref())?);
        self.places().find(carries).or_else(|| self.places().find(planned)).or_else(wanted)
    }

    /// Notes that nobody has the RIP: the real server's interface has no address, or another than the table says.
    fn nobody(
        &self,
        director: &Place<'a>,
        next: &Next<'a>,
        (service, destination): (&'a ServiceFact, &'a DestinationFact),
        predicted: &mut Predicted<'a>,
    ) {
        let (server, into) = next.meant;
        if self.unaddressed(&server, into, next.address) {
            let kind = Kind::Unaddressed { wanted: Some(next.address) };
            return predicted.note(server.node(), Some(&into.interface), kind);
        }
        let kind = Kind::RipNobody {
            at: destination.at,
            service: service.service,
            weight: destination.weight,
            server: Some(server.node()),
        };
        predicted.note(director.node(), None, kind);
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
                    predicted.note(server.node(), route.interface.as_ref(), kind);
                    let out = route.interface.as_ref().and_then(|i| server.port(i.as_str()));
                    if let Some(next) = out.and_then(|out| self.router_on(server, out, to)) {
                        self.hop(server, &next, (from, to), predicted);
                    }
                    return;
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

/// Whether the real server takes the packet out of its tunnel.
fn unwraps(server: &Place<'_>, packet: Packet) -> bool {
    let tunnel = server.facts.links.iter().find(|l| l.kind.as_deref() == Some("ipip") && l.up);
    tunnel.is_some_and(|l| refusal(server.facts, l.name.as_str(), packet.source).is_none())
}

/// Notes where packets come in by an ipvlan that has not got their address: several share one MAC there, and only the
/// addresses on them tell whose a packet is (`ipvlan_addr_lookup`).
fn unheard<'a>(server: &Place<'a>, into: &'a StationPort, vip: IpAddr, predicted: &mut Predicted<'a>) {
    let link = server.link(into.interface.as_str()).filter(|l| l.kind.as_deref() == Some("ipvlan"));
    let mut here = server.facts.addresses.iter().filter(|a| a.interface == into.interface);
    if link.is_some() && !here.any(|a| a.address.addr() == vip) {
        predicted.note(server.node(), Some(&into.interface), Kind::Unheard { vip });
    }
}
