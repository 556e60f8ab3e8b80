//! What is behind a way that is not there: an interface that is down or has no address, a prefix that is too long, a
//! next hop that nobody is; and by which way the packet would go if it were mended.

use std::net::IpAddr;

use super::answer::{Answer, Because, answer};
use super::{Kind, Place, Predicted, World};
use crate::base::Role;
use crate::facts::{AddressFact, RouteFact};
use crate::judge::case::StationPort;

/// A next hop: by which interface, which address, whose.
#[derive(Debug, Clone, Copy)]
pub(in crate::judge) struct Next<'a> {
    pub(in crate::judge) out: &'a StationPort,
    pub(in crate::judge) address: IpAddr,
    pub(in crate::judge) meant: (Place<'a>, &'a StationPort),
}

impl<'a> World<'a> {
    /// Notes why the node has no route, and gives the way that it would have.
    pub(in crate::judge) fn no_way(
        &self,
        place: &Place<'a>,
        to: IpAddr,
        route: Option<&'a RouteFact>,
        predicted: &mut Predicted<'a>,
    ) -> Option<Next<'a>> {
        let next = self.would(place, to);
        let is_down = |p: &&StationPort| place.link(p.interface.as_str()).is_some_and(|l| !l.up);
        let leading = next.map(|n| n.out);
        let down = leading.filter(is_down).or_else(|| place.station.ports.iter().find(is_down));
        if let Some(port) = down {
            predicted.note(place.node(), Some(&port.interface), Kind::Down);
            return next;
        }
        if !next.is_some_and(|n| self.short_of(place, &n, predicted)) {
            predicted.note(place.node(), None, Kind::NoWay { to, route });
        }
        next
    }

    /// Notes an interface without an address, or with a prefix that leaves the next hop out; whether it is so.
    pub(in crate::judge) fn short_of(&self, place: &Place<'a>, next: &Next<'a>, predicted: &mut Predicted<'a>) -> bool {
        let interface = &next.out.interface;
        if self.unaddressed(place, next.out, next.address) {
            predicted.note(place.node(), Some(interface), Kind::Unaddressed { wanted: None });
            return true;
        }
        let Some((fact, wide)) = self.narrow(place, next) else { return false };
        let gateway = (next.meant.0.station.role == Role::Router).then_some(next.address);
        predicted.note(place.node(), Some(interface), Kind::NarrowPrefix { fact, wide, gateway });
        true
    }

    /// Where a packet would go that has no route: straight to whom it is for, else to a router beside.
    fn would(&self, place: &Place<'a>, to: IpAddr) -> Option<Next<'a>> {
        let station = place.station;
        let other = |meant: &(Place<'a>, &'a StationPort)| meant.0.node() != place.node();
        let straight = station.ports.iter().find_map(|out| {
            let meant =
                if self.case.is_vip(to) { self.director_of(to, &out.segment) } else { self.owner(&out.segment, to) };
            Some(Next { out, address: to, meant: meant.filter(other)? })
        });
        straight.or_else(|| station.ports.iter().find_map(|out| self.router_on(place, out, to)))
    }

    /// A router on the segment, by its own address of that family.
    pub(in crate::judge) fn router_on(
        &self,
        place: &Place<'a>,
        out: &'a StationPort,
        like: IpAddr,
    ) -> Option<Next<'a>> {
        let mut routers =
            self.on(&out.segment).filter(|(p, _)| p.station.role == Role::Router && p.node() != place.node());
        routers.find_map(|meant| {
            let address = self.own(&meant.0, meant.1, like).next().map(|a| a.address.addr())?;
            Some(Next { out, address, meant })
        })
    }

    /// The addresses of that family on the interface. A VIP counts where it has a subnet; link-local ones do not.
    fn own(&self, place: &Place<'a>, port: &'a StationPort, like: IpAddr) -> impl Iterator<Item = &'a AddressFact> {
        let case = self.case;
        place.facts.addresses.iter().filter(move |a| {
            let ip = a.address.addr();
            a.interface == port.interface
                && ip.is_ipv4() == like.is_ipv4()
                && a.scope != "link"
                && (!case.is_vip(ip) || a.address.prefix_len() < a.address.max_prefix_len())
        })
    }

    /// Whether the interface has no address of that family of its own.
    pub(in crate::judge) fn unaddressed(&self, place: &Place<'a>, port: &'a StationPort, like: IpAddr) -> bool {
        let read = !place.facts.unread.iter().any(|u| u.what.contains("addresses"));
        read && place.link(port.interface.as_str()).is_some() && self.own(place, port, like).next().is_none()
    }

    /// The interface's address whose prefix leaves the next hop out, and another's on the segment whose prefix holds both.
    fn narrow(&self, place: &Place<'a>, next: &Next<'a>) -> Option<(&'a AddressFact, &'a AddressFact)> {
        if self.own(place, next.out, next.address).any(|a| a.address.contains(&next.address)) {
            return None;
        }
        self.own(place, next.out, next.address).find_map(|fact| {
            let holds = |wide: &&'a AddressFact| {
                wide.address.prefix_len() < fact.address.prefix_len()
                    && wide.address.contains(&fact.address.addr())
                    && wide.address.contains(&next.address)
            };
            let others = self.on(&next.out.segment).filter(|(p, _)| p.node() != place.node());
            let mut others = others.flat_map(|(p, port)| self.own(&p, port, next.address).collect::<Vec<_>>());
            Some((fact, others.find(holds)?))
        })
    }

    /// Who answers for an address that it forwards to, and so leads there.
    pub(in crate::judge) fn proxy(
        &self,
        place: &Place<'a>,
        out: &'a StationPort,
        address: IpAddr,
    ) -> Option<(Place<'a>, &'a StationPort)> {
        let asker = self.own(place, out, address).next()?.address.addr();
        let stands_in = |p: &Place<'a>, port: &StationPort| {
            matches!(answer(p, port.interface.as_str(), address, asker), Answer::Yes(Because::Proxy(_)))
        };
        self.on(&out.segment).find(|(p, port)| p.node() != place.node() && stands_in(p, port))
    }

    /// Notes that the next hop of a route is nobody, and gives the one who would be.
    pub(in crate::judge) fn astray(
        &self,
        place: &Place<'a>,
        out: &'a StationPort,
        (to, route): (IpAddr, &'a RouteFact),
        predicted: &mut Predicted<'a>,
    ) -> Option<Next<'a>> {
        if let Some(gateway) = route.gateway {
            let bare = self.on(&out.segment).find(|(p, port)| {
                p.station.role == Role::Router && p.node() != place.node() && self.unaddressed(p, port, gateway)
            });
            if let Some(meant) = bare {
                let kind = Kind::Unaddressed { wanted: Some(gateway) };
                predicted.note(meant.0.node(), Some(&meant.1.interface), kind);
                return Some(Next { out, address: gateway, meant });
            }
        }
        if self.all_read(&out.segment) {
            predicted.note(place.node(), Some(&out.interface), Kind::Astray { to, route });
        }
        self.router_on(place, out, to)
    }
}
