//! How large a packet may be on its way, and who hears of it where it is too large (RFC 1191).
//!
//! Both ends announce what they take (TCP's MSS, by their own interface), so a packet is as large as the smaller end. A
//! link or route between them that takes less refuses it with ICMP, which has to reach the sender: to a real server by way
//! of the Director, since it is sent to the VIP. Refuses: IPv6, and datagrams larger than the ends take.

use std::net::IpAddr;

use super::conntrack::State;
use super::filter::{Fate, Shown, chain};
use super::walk::{At, Leg};
use super::{Kind, Place, Predicted, World};

/// IPv4 alone knows fragmentation needed: type and code.
const TOO_LARGE: (u8, u8) = (3, 4);

impl Leg<'_> {
    /// What the sender puts into one packet here; nothing where it was not read.
    fn sends(&self) -> Option<u32> {
        let link = self.from.link(self.out.interface.as_str())?.mtu;
        Some(self.route.mtu.filter(|mtu| *mtu > 0).map_or(link, |mtu| mtu.min(link)))
    }

    /// What the receiver takes.
    fn takes(&self) -> Option<u32> {
        self.to.link(self.into.interface.as_str()).map(|l| l.mtu)
    }
}

impl<'a> World<'a> {
    /// Notes where a packet of full size is too large on its way from one end to the other.
    pub(super) fn fits(
        &self,
        way: &[Leg<'a>],
        (source, to): (IpAddr, IpAddr),
        (director, server): (&Place<'a>, &Place<'a>),
        predicted: &mut Predicted<'a>,
    ) {
        let ends = way.first().and_then(Leg::sends).zip(way.last().and_then(Leg::takes));
        let Some((sends, takes)) = ends.filter(|_| source.is_ipv4()) else { return };
        let size = sends.min(takes);
        for (at, leg) in way.iter().enumerate() {
            let (Some(sends), Some(takes)) = (leg.sends(), leg.takes()) else { return };
            if at > 0 && sends < size {
                if leg.from.node() == director.node() {
                    let server = server.node();
                    let to =
                        leg.route.gateway.unwrap_or_else(|| leg.into.addresses.first().map_or(to, ipnet::IpNet::addr));
                    let kind = Kind::Narrow { to, mtu: sends, size, route: leg.route, server };
                    predicted.note(leg.from.node(), Some(&leg.out.interface), kind);
                }
                self.hears(leg, source, (director, server), predicted);
                return;
            }
            if takes < size {
                let kind = Kind::Tight { mtu: takes, size, from: leg.from.node() };
                return predicted.note(leg.to.node(), Some(&leg.into.interface), kind);
            }
        }
    }

    /// Notes a filter on the way by which the sender hears that its packets are too large.
    fn hears(
        &self,
        narrow: &Leg<'a>,
        sender: IpAddr,
        (director, server): (&Place<'a>, &Place<'a>),
        predicted: &mut Predicted<'a>,
    ) {
        let to_vip = self.case.is_vip(sender);
        let probes = |p: &Place<'_>| p.facts.sysctls.get("net.ipv4.tcp_mtu_probing").is_some_and(|v| v != "0");
        if to_vip && probes(server) {
            return;
        }
        let arrived = |p: &Place<'_>| {
            if to_vip { self.speaks_for(p, sender) } else { p.station.has(sender) }
        };
        let start = At { place: narrow.from, into: None };
        let own = narrow.out.addresses.first().map_or(sender, ipnet::IpNet::addr);
        let mut silent = Predicted::default();
        let Some((_, legs)) = self.travel(start, (own, sender), sender, &arrived, &mut silent) else { return };
        let shown =
            Shown { destination: Some(sender), protocol: Some("icmp"), icmp: Some(TOO_LARGE), ..Shown::default() };
        let mut gates: Vec<(Place<'a>, &str, Shown<'_>)> = Vec::new();
        if let Some(first) = legs.first() {
            let out_of = Some(first.out.interface.as_str());
            gates.push((narrow.from, "OUTPUT", Shown { out_of, state: Some(State::Related), ..shown }));
        }
        for (at, leg) in legs.iter().enumerate() {
            let into = Some(leg.into.interface.as_str());
            let shown = Shown { into, state: Some(State::Related), ..shown };
            let last = at + 1 == legs.len();
            match (last, to_vip) {
                (false, _) => gates.push((leg.to, "FORWARD", shown)),
                (true, false) => gates.push((leg.to, "INPUT", shown)),
                // The Director has confirmed no connection that this could belong to.
                (true, true) => gates.push((leg.to, "INPUT", Shown { state: Some(State::Invalid), ..shown })),
            }
        }
        if to_vip {
            gates.push((*director, "OUTPUT", Shown { state: Some(State::Untracked), ..shown }));
            gates.push((*server, "INPUT", Shown { state: Some(State::Related), ..shown }));
        }
        for (place, name, shown) in gates {
            let rules = place.facts.iptables.as_deref().unwrap_or_default();
            if let Fate::Dropped(rule) = chain(rules, "filter", name, shown) {
                let (node, interface) = (narrow.from.node(), &narrow.out.interface);
                let mtu = narrow.sends().unwrap_or(0);
                let kind = Kind::Muted { rule, to: sender, narrow: node, interface, mtu };
                return predicted.note(place.node(), None, kind);
            }
        }
    }
}
