//! A plan in the making: what is fixed so far, and the questions that later parts ask of it.

use std::fmt::Display;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{CompileError, Implied, Interface, LinkKind, Node, Segment, Service};
use crate::base::{IfName, NodeName, Protocol, Role};
use crate::scenario::Scenario;
use crate::scenario::spec::{self, OneOrMany};

/// A plan in the making.
pub(super) struct Draft<'a> {
    /// What is wanted.
    pub(super) scenario: &'a Scenario,
    /// The VIPs in the scenario's order.
    pub(super) vips: Vec<IpAddr>,
    /// Segments, without ports until the last.
    pub(super) segments: Vec<Segment>,
    /// Nodes in the scenario's order, filled in part by part.
    pub(super) nodes: Vec<Node>,
    /// The virtual services in the scenario's order.
    pub(super) services: Vec<Wanted>,
    /// What was filled in.
    pub(super) implied: Vec<Implied>,
}

/// A virtual service and who holds it.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The Directors that hold it.
    pub(super) directors: Vec<NodeName>,
    /// Its VIP, for a firewall mark too.
    pub(super) vip: IpAddr,
    /// Its port, for a firewall mark too; 0 for every port.
    pub(super) port: u16,
    /// Its transport.
    pub(super) protocol: Protocol,
    /// As it is added, with all its real servers.
    pub(super) service: Service,
}

impl Wanted {
    /// The port that a client asks for.
    pub(super) fn asked_port(&self) -> u16 {
        if self.port == 0 { 80 } else { self.port }
    }
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub(super) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// The whole address space, as a default route's destination.
    pub(super) fn everything(self) -> IpNet {
        match self {
            Self::V4 => IpNet::V4(ipnet::Ipv4Net::default()),
            Self::V6 => IpNet::V6(ipnet::Ipv6Net::default()),
        }
    }

    /// Bits of an address.
    pub(super) fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

/// The prefix that holds one address only.
pub(super) fn host(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

/// The values of a key that takes one or several.
pub(super) fn many<T>(value: &OneOrMany<T>) -> &[T] {
    match value {
        OneOrMany::One(one) => std::slice::from_ref(one),
        OneOrMany::Many(all) => all,
    }
}

impl Segment {
    /// Its subnet of that family.
    pub(super) fn subnet(&self, family: Family) -> Option<IpNet> {
        match family {
            Family::V4 => self.v4.map(IpNet::V4),
            Family::V6 => self.v6.map(IpNet::V6),
        }
    }

    /// Whether one of its subnets holds the address.
    pub(super) fn holds(&self, address: IpAddr) -> bool {
        self.subnet(Family::of(address)).is_some_and(|net| net.contains(&address))
    }
}

impl Interface {
    /// The segment that it is on.
    pub fn segment(&self) -> Option<&NodeName> {
        match &self.kind {
            LinkKind::Segment(name) => Some(name),
            LinkKind::Upper(upper) => Some(&upper.segment),
            LinkKind::Loopback | LinkKind::Dummy | LinkKind::Ipip => None,
        }
    }

    /// Its first address of that family.
    pub(super) fn first(&self, family: Family) -> Option<IpAddr> {
        self.addresses.iter().map(|a| a.address.addr()).find(|a| Family::of(*a) == family)
    }

    /// Whether it carries the address.
    pub(super) fn carries(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|a| a.address.addr() == address)
    }
}

impl Node {
    /// Its interfaces into segments.
    pub(super) fn ports(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.iter().filter(|i| i.segment().is_some())
    }

    /// Its interface of that name.
    pub(super) fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|i| i.name == *name)
    }

    /// Its interface on that segment.
    pub(super) fn port_on(&self, segment: &NodeName) -> Option<&Interface> {
        self.ports().find(|i| i.segment() == Some(segment))
    }

    /// Whether any of its interfaces carries the address.
    pub(super) fn owns(&self, address: IpAddr) -> bool {
        self.interfaces.iter().any(|i| i.carries(address))
    }
}

impl Draft<'_> {
    /// Notes something that the scenario left open.
    pub(super) fn imply(&mut self, whom: impl Display, what: impl Into<String>, why: impl Into<String>) {
        self.implied.push(Implied { whom: whom.to_string(), what: what.into(), why: why.into() });
    }

    /// The node of that name.
    pub(super) fn node(&self, name: &str, what: &str) -> Result<&Node, CompileError> {
        let unknown = || CompileError::UnknownNode { node: name.to_owned(), what: what.to_owned() };
        self.nodes.iter().find(|n| n.name == *name).ok_or_else(unknown)
    }

    /// What the scenario says of a node.
    pub(super) fn said(&self, node: &NodeName) -> Option<&spec::Node> {
        self.scenario.nodes.get(node)
    }

    /// The segment of that name.
    pub(super) fn segment(&self, name: &NodeName) -> Option<&Segment> {
        self.segments.iter().find(|s| s.name == *name)
    }

    /// All nodes with that part.
    pub(super) fn with_role(&self, role: Role) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |n| n.role == role)
    }

    /// Whether anything in the lab speaks IPv6.
    pub(super) fn speaks_v6(&self) -> bool {
        self.vips.iter().any(IpAddr::is_ipv6) || self.segments.iter().any(|s| s.v6.is_some())
    }

    /// The interface of a node on the side where clients come from: on the VIP's subnet, else beside a router, else
    /// beside a client, else the first.
    pub(super) fn front<'n>(&self, node: &'n Node, vip: IpAddr) -> Option<&'n Interface> {
        let beside =
            |i: &Interface, role| self.with_role(role).any(|n| i.segment().is_some_and(|s| n.port_on(s).is_some()));
        let on_vip = |i: &Interface| i.segment().and_then(|s| self.segment(s)).is_some_and(|s| s.holds(vip));
        node.ports()
            .find(|i| on_vip(i))
            .or_else(|| node.ports().find(|i| beside(i, Role::Router)))
            .or_else(|| node.ports().find(|i| beside(i, Role::Client)))
            .or_else(|| node.ports().next())
    }

    /// The Director that owns the VIP towards the segments, and its interface there.
    pub(super) fn vip_home(&self, vip: IpAddr) -> Option<(&Node, &Interface)> {
        let director =
            self.with_role(Role::Director).find(|d| d.owns(vip)).or_else(|| self.with_role(Role::Director).next())?;
        let carrier = director.ports().find(|i| i.carries(vip));
        Some((director, carrier.or_else(|| self.front(director, vip))?))
    }

    /// The segment on which the VIP is asked for.
    pub(super) fn vip_segment(&self, vip: IpAddr) -> Option<&NodeName> {
        self.vip_home(vip)?.1.segment()
    }

    /// The interface of a node by which it reaches a neighbour: one whose subnet holds it, or, for a VIP, the one on
    /// the VIP's segment.
    pub(super) fn towards(&self, node: &NodeName, address: IpAddr) -> Result<IfName, CompileError> {
        let here = self.node(node.as_str(), "a neighbour")?;
        let holding =
            here.ports().find(|i| i.segment().and_then(|s| self.segment(s)).is_some_and(|s| s.holds(address)));
        let vip = || if self.vips.contains(&address) { here.port_on(self.vip_segment(address)?) } else { None };
        holding
            .or_else(vip)
            .map(|i| i.name.clone())
            .ok_or_else(|| CompileError::NoInterfaceFor { node: node.clone(), address })
    }

    /// A node's own address of that family, VIPs left out: on the segment that it shares with `asker` where it does.
    pub(super) fn own_address(&self, node: &Node, asker: Option<&Node>, family: Family) -> Option<IpAddr> {
        let own = |i: &Interface| {
            i.addresses.iter().map(|a| a.address.addr()).find(|a| Family::of(*a) == family && !self.vips.contains(a))
        };
        let shared = |i: &&Interface| asker.is_some_and(|a| i.segment().is_some_and(|s| a.port_on(s).is_some()));
        node.ports().filter(shared).find_map(own).or_else(|| node.ports().find_map(own))
    }
}
