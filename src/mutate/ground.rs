//! A plan as an administrator looks at it: by which ways packets go, who asks whom, what stands in the way.
//!
//! Owns: the ways, by the plan's own addresses and routes. It is not the judge's model: a mutation's verdict must not
//! come from the program that is tried by it. Errs towards short ways: what leads nowhere ends there.

use std::net::{IpAddr, SocketAddr};

use crate::base::{Forwarding, NodeName, Protocol, Role, ServiceId};
use crate::plan::{Act, Destination, Interface, LinkKind, Node, Plan, Service};

/// More nodes in a row than any plan has.
const HOPS: usize = 16;

/// From one node to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hop<'p> {
    pub(super) from: &'p Node,
    pub(super) out: &'p Interface,
    pub(super) neighbour: IpAddr,
    pub(super) to: &'p Node,
    pub(super) into: &'p Interface,
    /// The packet's source address.
    pub(super) source: IpAddr,
}

/// A part of the way of a request and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// From a client to the Director.
    Ask,
    /// From the Director to a real server.
    Hand,
    /// From a real server to a client.
    Reply,
}

/// Hops in a row, and whether they get there.
#[derive(Debug, Clone)]
pub(super) struct Leg<'p> {
    pub(super) part: Part,
    pub(super) start: &'p Node,
    pub(super) source: IpAddr,
    pub(super) target: IpAddr,
    pub(super) hops: Vec<Hop<'p>>,
    pub(super) whole: bool,
}

/// A plan and the ways through it.
#[derive(Debug)]
pub(super) struct Ground<'p> {
    pub(super) plan: &'p Plan,
    pub(super) legs: Vec<Leg<'p>>,
}

impl<'p> Ground<'p> {
    pub(super) fn of(plan: &'p Plan) -> Self {
        let mut ground = Self { plan, legs: Vec::new() };
        for client in plan.nodes.iter().filter(|n| n.role == Role::Client) {
            for (protocol, at) in ground.asked() {
                ground.exchange(client, protocol, at);
            }
        }
        ground
    }

    /// What the loads ask for.
    pub(super) fn asked(&self) -> Vec<(Protocol, SocketAddr)> {
        let mut all = Vec::new();
        for timed in &self.plan.timeline {
            let Act::Load(load) = &timed.act else { continue };
            if !all.contains(&(load.protocol, load.target)) {
                all.push((load.protocol, load.target));
            }
        }
        all
    }

    pub(super) fn is_vip(&self, address: IpAddr) -> bool {
        self.plan.vips.contains(&address)
    }

    pub(super) fn vip_on(&self, node: &Node) -> impl Iterator<Item = IpAddr> {
        self.plan.vips.iter().copied().filter(|vip| has(node, *vip))
    }

    /// Nodes that hold an IPVS table.
    pub(super) fn directors(&self) -> impl Iterator<Item = &'p Node> {
        self.plan.nodes.iter().filter(|n| n.ipvs.is_some())
    }

    /// All real servers of all services with the node that each is.
    pub(super) fn destinations(&self) -> impl Iterator<Item = (&'p Node, &'p Service, &'p Destination)> {
        self.directors().flat_map(|n| {
            let services = n.ipvs.iter().flat_map(|i| &i.services);
            services.flat_map(move |s| s.destinations.iter().map(move |d| (n, s, d)))
        })
    }

    fn exchange(&mut self, client: &'p Node, protocol: Protocol, at: SocketAddr) {
        let Some(source) = source_of(self.plan, client, at.ip()) else { return };
        let vip = at.ip();
        let ask = self.travel((Part::Ask, client), source, vip, &|n: &Node| n.ipvs.is_some());
        let director = ask.hops.last().map(|h| h.to).filter(|d| ask.whole && has(d, vip));
        self.legs.push(ask);
        let Some(service) = director.and_then(|d| taker(d, protocol, at)) else { return };
        let Some(director) = director else { return };
        for to in &service.destinations {
            let hand = self.travel((Part::Hand, director), source, to.at.ip(), &|n: &Node| has(n, to.at.ip()));
            let server = hand.hops.last().map(|h| h.to).filter(|_| hand.whole);
            self.legs.push(hand);
            let Some(server) = server else { continue };
            if to.forwarding != Forwarding::Nat && !has(server, vip) {
                continue;
            }
            let from = if to.forwarding == Forwarding::Nat { to.at.ip() } else { vip };
            let reply = self.travel((Part::Reply, server), from, source, &|n: &Node| n.name == client.name);
            self.legs.push(reply);
        }
    }

    fn travel(
        &self,
        (part, start): (Part, &'p Node),
        source: IpAddr,
        target: IpAddr,
        arrived: &dyn Fn(&Node) -> bool,
    ) -> Leg<'p> {
        let mut leg = Leg { part, start, source, target, hops: Vec::new(), whole: false };
        let mut at = start;
        while leg.hops.len() < HOPS {
            let Some((out, gateway)) = route(at, target) else { break };
            let neighbour = gateway.unwrap_or(target);
            let Some((to, into)) = self.holder(out, neighbour) else { break };
            leg.hops.push(Hop { from: at, out, neighbour, to, into, source });
            if arrived(to) {
                leg.whole = true;
                break;
            }
            if !forwards(to, target) {
                break;
            }
            at = to;
        }
        leg
    }

    /// Who has the address on the segment of the interface; of a VIP the Director.
    pub(super) fn holder(&self, out: &Interface, address: IpAddr) -> Option<(&'p Node, &'p Interface)> {
        let there = || {
            self.plan.nodes.iter().flat_map(|n| n.interfaces.iter().map(move |i| (n, i))).filter(|(_, i)| {
                i.up && i.kind == out.kind && i.name.as_str() != "lo" && matches!(i.kind, LinkKind::Segment(_))
            })
        };
        if self.is_vip(address) {
            return there().find(|(n, _)| n.ipvs.is_some() && has(n, address));
        }
        there().find(|(_, i)| i.addresses.iter().any(|a| a.address.addr() == address))
    }

    pub(super) fn hops(&self) -> impl Iterator<Item = &Hop<'p>> {
        self.legs.iter().flat_map(|l| &l.hops)
    }

    /// Hops on which somebody has to ask who has a VIP.
    pub(super) fn asking(&self, vip: IpAddr) -> impl Iterator<Item = &Hop<'p>> {
        self.hops().filter(move |h| h.neighbour == vip)
    }

    /// Whether the node is asked by ARP for an address of its own.
    pub(super) fn is_asked(&self, node: &NodeName) -> bool {
        let mut known: Vec<(&NodeName, IpAddr)> = Vec::new();
        for hop in self.hops() {
            if hop.to.name == *node
                && bound(hop.from, hop.neighbour).is_none()
                && !known.contains(&(&hop.from.name, hop.neighbour))
            {
                return true;
            }
            // Who is asked learns the asker's address by the question.
            let asker = hop.out.addresses.iter().map(|a| a.address.addr()).find(|a| !self.is_vip(*a));
            known.extend(asker.filter(|_| bound(hop.from, hop.neighbour).is_none()).map(|a| (&hop.to.name, a)));
        }
        false
    }
}

/// The one service of a Director that takes what is asked for.
pub(super) fn taker(director: &Node, protocol: Protocol, at: SocketAddr) -> Option<&Service> {
    let mut services = director.ipvs.iter().flat_map(|i| &i.services);
    services.find(|s| match s.id {
        ServiceId::Address { protocol: p, at: a } => {
            p == protocol && a.ip() == at.ip() && [0, at.port()].contains(&a.port())
        }
        ServiceId::Fwmark { v6, .. } => v6 == at.is_ipv6() && !director.iptables.is_empty(),
    })
}

/// The MAC that the node has for the address for good.
pub(super) fn bound(node: &Node, address: IpAddr) -> Option<crate::base::Mac> {
    node.neighbours.iter().find(|n| n.address == address).map(|n| n.mac)
}

/// Whether one of the node's interfaces has the address.
pub(super) fn has(node: &Node, address: IpAddr) -> bool {
    node.interfaces.iter().flat_map(|i| &i.addresses).any(|a| a.address.addr() == address)
}

/// Where the node has the address.
pub(super) fn where_has(node: &Node, address: IpAddr) -> Option<&Interface> {
    node.interfaces.iter().find(|i| i.addresses.iter().any(|a| a.address.addr() == address))
}

/// The interface and the gateway by which the node reaches the address.
pub(super) fn route(node: &Node, to: IpAddr) -> Option<(&Interface, Option<IpAddr>)> {
    let usable = || node.interfaces.iter().filter(|i| i.up && matches!(i.kind, LinkKind::Segment(_)));
    let connected = usable().flat_map(|i| {
        let around = i.addresses.iter().filter(|a| a.address.contains(&to)).map(|a| a.address.prefix_len());
        around.map(move |len| (len, i, None))
    });
    let added = node.routes.iter().filter(|r| r.destination.contains(&to)).filter_map(|r| {
        let by = |i: &&Interface| match (&r.interface, r.gateway) {
            (Some(name), _) => *name == i.name,
            (None, Some(gateway)) => i.addresses.iter().any(|a| a.address.contains(&gateway)),
            (None, None) => false,
        };
        Some((r.destination.prefix_len(), usable().find(by)?, r.gateway))
    });
    connected.chain(added).max_by_key(|(len, ..)| *len).map(|(_, out, gateway)| (out, gateway))
}

/// The address that a client asks from.
fn source_of(plan: &Plan, client: &Node, like: IpAddr) -> Option<IpAddr> {
    let all = client.interfaces.iter().filter(|i| matches!(i.kind, LinkKind::Segment(_))).flat_map(|i| &i.addresses);
    all.map(|a| a.address.addr()).find(|a| a.is_ipv4() == like.is_ipv4() && !plan.vips.contains(a))
}

/// Whether the node sends on what is not its own.
pub(super) fn forwards(node: &Node, to: IpAddr) -> bool {
    let key = if to.is_ipv4() { "net.ipv4.ip_forward" } else { "net.ipv6.conf.all.forwarding" };
    sysctl(node, key) == Some("1")
}

/// The value that a sysctl has in the end.
pub(super) fn sysctl<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.sysctls.iter().rev().find(|s| s.key == key).map(|s| s.value.as_str())
}

/// A number below `net.ipv4.conf`.
pub(super) fn conf(node: &Node, device: &str, key: &str) -> u32 {
    let device = device.replace('.', "/");
    sysctl(node, &format!("net.ipv4.conf.{device}.{key}")).and_then(|v| v.parse().ok()).unwrap_or(0)
}

/// What counts on an interface where the larger of `all` and the interface does.
pub(super) fn level(node: &Node, device: &str, key: &str) -> u32 {
    conf(node, "all", key).max(conf(node, device, key))
}
