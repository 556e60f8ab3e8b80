//! What the switch between two stations lets pass (`br_allowed_ingress`, `br_handle_frame_finish`, `should_deliver`, filters
//! at its ports).
//!
//! A port of which nothing was read lets everything pass: a real switch is not asked, and the model invents no drop.

use std::net::IpAddr;

use super::World;
use crate::base::{Mac, NodeName};
use crate::facts::{LooksAt, PortFact, PortFilter};
use crate::judge::case::StationPort;

/// A frame on its way from one port to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::judge) struct Sent {
    pub(in crate::judge) from: Mac,
    /// Sender and target of ARP, or source and destination of an IP packet.
    pub(in crate::judge) source: IpAddr,
    pub(in crate::judge) destination: IpAddr,
    pub(in crate::judge) arp: bool,
}

/// Why the switch does not pass it on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::judge) enum Block<'a> {
    /// Both ports are isolated.
    Isolated,
    /// The ports are in different VLANs.
    Vlan { from: u16, to: u16 },
    /// The port takes frames from certain MACs only; `elsewhere` is another port that has this one's.
    Locked { mac: Mac, elsewhere: Option<&'a PortFact> },
    /// A filter at a port lets only certain addresses pass.
    Filter { filter: &'a PortFilter, address: IpAddr },
}

impl Block<'_> {
    /// Whether it is the same setting of a port, whatever frame it stops.
    pub(in crate::judge) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Isolated, Self::Isolated) | (Self::Vlan { .. }, Self::Vlan { .. }) => true,
            (Self::Locked { mac: a, .. }, Self::Locked { mac: b, .. }) => a == b,
            (Self::Filter { filter: a, .. }, Self::Filter { filter: b, .. }) => a.looks_at == b.looks_at,
            _ => false,
        }
    }
}

impl<'a> World<'a> {
    /// What is known of the switch's ports.
    pub(in crate::judge) fn switch(&self) -> &'a [PortFact] {
        let facts = self.input.facts(&NodeName::switch());
        facts.map_or(&[], |f| f.ports.as_slice())
    }

    /// The switch's name as its facts have it; the sender's where there are none.
    pub(in crate::judge) fn switch_name(&self, sender: &'a NodeName) -> &'a NodeName {
        self.input.facts(&NodeName::switch()).map_or(sender, |f| &f.node)
    }

    fn switch_port(&self, node: &NodeName, port: &StationPort) -> Option<&'a PortFact> {
        let own = self.switch().iter().find(|p| p.node == *node && p.interface == port.interface);
        // What is on top of another interface goes by that one's port.
        let below = || {
            let ports = &self.case.station(node)?.ports;
            let beside = ports.iter().filter(|p| p.segment == port.segment && p.interface != port.interface);
            beside
                .into_iter()
                .find_map(|b| self.switch().iter().find(|p| p.node == *node && p.interface == b.interface))
        };
        own.or_else(below)
    }

    /// Why a frame of one station does not get to the other, and the port where it ends; nothing where it gets there.
    pub(in crate::judge) fn blocked(
        &self,
        (from, out): (&NodeName, &StationPort),
        (to, into): (&NodeName, &StationPort),
        sent: Sent,
    ) -> Option<(&'a PortFact, Block<'a>)> {
        let (near, far) = (self.switch_port(from, out), self.switch_port(to, into));
        if let Some(port) = near {
            if port.locked.as_ref().is_some_and(|macs| !macs.contains(&sent.from)) {
                let has = |p: &&PortFact| p.name != port.name && p.locked.iter().flatten().any(|m| *m == sent.from);
                let elsewhere = self.switch().iter().find(has);
                return Some((port, Block::Locked { mac: sent.from, elsewhere }));
            }
            let looks_at = if sent.arp { LooksAt::ArpSender } else { LooksAt::SourceIp };
            if let Some(filter) = stops(port, looks_at, sent.source) {
                return Some((port, Block::Filter { filter, address: sent.source }));
            }
        }
        let far = far?;
        if let Some(near) = near {
            if near.isolated && far.isolated {
                return Some((near, Block::Isolated));
            }
            if let (Some(from), Some(to)) = (near.vlan, far.vlan)
                && from != to
            {
                // Port 1 of 2 is as good as the other: the one that differs from most is told.
                let same = |vlan: u16| self.switch().iter().filter(|p| p.vlan == Some(vlan)).count();
                let odd = if same(from) < same(to) { near } else { far };
                return Some((odd, Block::Vlan { from, to }));
            }
        }
        let filter = if sent.arp { None } else { stops(far, LooksAt::DestinationIp, sent.destination) };
        filter.map(|filter| (far, Block::Filter { filter, address: sent.destination }))
    }
}

/// The port's filter of that kind, where it does not let the address pass.
fn stops(port: &PortFact, looks_at: LooksAt, address: IpAddr) -> Option<&PortFilter> {
    let IpAddr::V4(address) = address else { return None };
    port.filters.iter().find(|f| f.looks_at == looks_at && !f.passes.contains(&address))
}
