//! Segments and their subnets, the router in front and the client behind it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::parts::Host;
use super::super::values;
use super::{Interface, Node, Scene, Segment, Stage};
use crate::base::{Forwarding, Role};

/// Subnets for the client that nobody has, of each family.
const OUTSIDE: [&str; 6] = [
    "203.0.113.0/24",
    "198.51.100.0/24",
    "192.0.2.0/24",
    "2001:db8:203::/64",
    "2001:db8:198::/64",
    "2001:db8:192::/64",
];

/// The segments of a lab, and which of them the router is on.
#[derive(Debug, Default)]
pub(super) struct Ground {
    segments: Vec<Segment>,
    routed: Vec<String>,
    /// Addresses that somebody has.
    taken: Vec<IpAddr>,
}

impl Ground {
    /// Finds the segments from what the texts say of addresses.
    pub(super) fn lay(stage: &Stage<'_>, scene: &mut Scene) -> Self {
        let mut ground = Self { taken: stage.taken(), ..Self::default() };
        let hints = hints(stage);
        for v4 in [true, false] {
            let of = |wanted: &[Forwarding]| -> Vec<IpAddr> {
                let ours = stage.servers.iter().map(|(rip, _)| *rip).filter(|rip| rip.is_ipv4() == v4);
                ours.filter(|rip| stage.ways(*rip).iter().any(|way| wanted.contains(way))).collect()
            };
            let vips: Vec<IpAddr> = stage.vips.iter().copied().filter(|vip| vip.is_ipv4() == v4).collect();
            let (direct, nat, tun) = (
                of(&[Forwarding::DirectRouting, Forwarding::LocalNode]),
                of(&[Forwarding::Nat]),
                of(&[Forwarding::Tun]),
            );
            if !direct.is_empty() {
                let known = stage.neighbours_of(&direct);
                ground.add("lan", &direct, &known, &hints, true, None);
            } else if let Some(vip) = vips.first() {
                let known = stage.neighbours_of(&[*vip]);
                let name = if nat.is_empty() { "lan" } else { "front" };
                ground.add(name, &[*vip], &known, &hints, true, None);
            }
            for vip in &vips {
                let hint = hints.iter().find(|(net, of_director)| *of_director && net.contains(vip));
                if let Some((net, _)) = hint.filter(|_| ground.find(*vip).is_none()) {
                    ground.push("front", *net, None);
                    ground.route("front");
                }
            }
            let beyond = |ground: &Self, all: &[IpAddr]| {
                all.iter().copied().filter(|rip| ground.find(*rip).is_none()).collect::<Vec<_>>()
            };
            let behind = beyond(&ground, &nat);
            if !behind.is_empty() {
                ground.add("back", &behind, &[], &hints, false, None);
            }
            for far in [beyond(&ground, &direct), beyond(&ground, &tun), beyond(&ground, &nat)] {
                for rip in far {
                    if ground.find(rip).is_none() {
                        let name = format!("remote{}", ground.segments.len());
                        ground.add(
                            &name,
                            &[rip],
                            &[],
                            &hints,
                            true,
                            Some("its real server is on no segment of the Director"),
                        );
                    }
                }
            }
        }
        for segment in &ground.segments {
            if let Some(assumed) = &segment.assumed {
                scene.assume(assumed.clone());
            }
        }
        ground
    }

    /// Adds a segment for these addresses: by a subnet that a text names, else the smallest usual one.
    fn add(
        &mut self,
        name: &str,
        members: &[IpAddr],
        known: &[IpAddr],
        hints: &[(IpNet, bool)],
        routed: bool,
        why: Option<&str>,
    ) {
        let first = members[0];
        let holds = |net: &IpNet| members.iter().filter(|m| net.contains(*m)).count();
        let mut named: Vec<IpNet> = hints.iter().map(|(net, _)| *net).filter(|net| net.contains(&first)).collect();
        // Most texts are right about it; of those that are as many, the widest.
        let votes = named.clone();
        named.sort_by_key(|net| {
            (std::cmp::Reverse((holds(net), votes.iter().filter(|v| *v == net).count())), net.prefix_len())
        });
        if let Some(net) = named.first() {
            self.push(name, *net, None);
        } else {
            let with_known: Vec<IpAddr> = members.iter().chain(known).copied().collect();
            let net =
                values::common(&with_known).or_else(|| values::common(members)).or_else(|| values::common(&[first]));
            let Some(net) = net else { return };
            let why = why.map(|why| format!("; {why}")).unwrap_or_default();
            self.push(name, net, Some(format!("segment {name} has the subnet {net}, as no file gives a netmask{why}")));
        }
        if routed {
            self.route(name);
        }
    }

    fn push(&mut self, name: &str, net: IpNet, assumed: Option<String>) {
        match self.segments.iter_mut().find(|s| s.name == name) {
            // A subnet of each family.
            Some(segment) if segment.nets.iter().all(|n| n.addr().is_ipv4() != net.addr().is_ipv4()) => {
                segment.nets.push(net);
                segment.assumed = match (segment.assumed.take(), assumed) {
                    (Some(one), Some(other)) => Some(format!("{one}; {other}")),
                    (one, other) => one.or(other),
                };
            }
            Some(_) => {
                let name = format!("{name}{}", self.segments.len());
                self.segments.push(Segment { name: name.clone(), nets: vec![net], assumed });
                self.routed.push(name);
            }
            None => self.segments.push(Segment { name: name.to_owned(), nets: vec![net], assumed }),
        }
    }

    fn route(&mut self, name: &str) {
        if !self.routed.iter().any(|known| known == name) {
            self.routed.push(name.to_owned());
        }
    }

    /// The segment whose subnet has the address.
    pub(super) fn find(&self, address: IpAddr) -> Option<&Segment> {
        self.segments.iter().find(|s| s.nets.iter().any(|net| net.contains(&address)))
    }

    /// Whether that is a segment's own subnet.
    pub(super) fn find_net(&self, text: &str) -> bool {
        self.segments.iter().flat_map(|s| &s.nets).any(|net| net.to_string() == text)
    }

    /// A segment by name.
    pub(super) fn named(&self, name: &str) -> Option<&Segment> {
        self.segments.iter().find(|s| s.name == name)
    }

    /// Addresses that nobody has, one for each family of the segment; `wish` is the host number that is tried first.
    pub(super) fn free(&self, segment: &Segment, wish: u32, taken: &[IpAddr]) -> Vec<IpAddr> {
        let is_taken = |ip: IpAddr| self.taken.contains(&ip) || taken.contains(&ip);
        segment.nets.iter().filter_map(|net| values::free(*net, wish, &is_taken)).collect()
    }

    /// Adds the router and the client, and the segments themselves.
    pub(super) fn front(&self, stage: &Stage<'_>, scene: &mut Scene) {
        let families = [true, false].map(|v4| stage.vips.iter().any(|vip| vip.is_ipv4() == v4));
        let free = |net: &IpNet| {
            let clash =
                self.segments.iter().flat_map(|s| &s.nets).any(|n| n.contains(&net.addr()) || net.contains(&n.addr()));
            !clash && !self.taken.iter().any(|ip| net.contains(ip))
        };
        let outside: Vec<IpNet> = [true, false]
            .into_iter()
            .zip(families)
            .filter(|(_, wanted)| *wanted)
            .filter_map(|(v4, _)| {
                OUTSIDE.iter().filter_map(|n| n.parse::<IpNet>().ok()).find(|n| n.addr().is_ipv4() == v4 && free(n))
            })
            .collect();
        let mut router = Node::new("router", Role::Router);
        for (at, name) in self.routed.iter().enumerate() {
            let Some(segment) = self.named(name) else { continue };
            let addresses = self.router_addresses(stage, scene, segment);
            let addresses = addresses.iter().map(ToString::to_string).collect();
            router.interfaces.push(Interface {
                name: format!("eth{at}"),
                segment: Some(name.clone()),
                addresses,
                ..Interface::default()
            });
        }
        router.interfaces.push(Interface {
            name: format!("eth{}", self.routed.len()),
            segment: Some("outside".to_owned()),
            ..Interface::default()
        });
        for vip in stage.vips.iter().filter(|vip| self.find(**vip).is_none()) {
            let home = router.interfaces.first().map(|i| i.name.clone());
            scene.assume(format!(
                "{vip} is in no segment's subnet, so the router has a route to it by the real servers' segment"
            ));
            router.routes.push((IpNet::from(*vip).to_string(), None, home, None));
        }
        if let Some(host) = &stage.router {
            super::server::settings(stage, scene, &mut router, host);
        }
        let mut client = Node::new("client", Role::Client);
        client.interfaces.push(Interface {
            name: "eth0".to_owned(),
            segment: Some("outside".to_owned()),
            ..Interface::default()
        });
        if let Some(host) = &stage.client {
            super::server::settings(stage, scene, &mut client, host);
        }
        scene.assume(format!(
            "clients are behind a router, on a network of their own ({})",
            outside.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        ));
        scene.nodes.insert(0, client);
        scene.nodes.insert(1, router);
        scene.segments = vec![Segment { name: "outside".to_owned(), nets: outside, assumed: None }];
        scene.segments.extend(self.segments.iter().cloned());
    }

    /// The router's addresses on a segment: as the user or the hosts' gateways say, else the first that is free.
    fn router_addresses(&self, stage: &Stage<'_>, scene: &mut Scene, segment: &Segment) -> Vec<IpAddr> {
        let on_it = |ip: &IpAddr| segment.nets.iter().any(|net| net.contains(ip));
        let said = stage.request.router.map(|(ip, _)| ip).filter(on_it);
        let own = stage.router.iter().flat_map(|h| &h.addresses).map(|a| a.net.addr()).find(on_it);
        let owned: Vec<IpAddr> = scene
            .nodes
            .iter()
            .flat_map(|n| &n.interfaces)
            .flat_map(|i| &i.addresses)
            .filter_map(|a| values::net(a).ok())
            .map(|n| n.addr())
            .collect();
        let hosts = || stage.servers.iter().map(|(_, host)| host).chain(&stage.directors);
        let gateways: Vec<IpAddr> = hosts()
            .flat_map(Host::gateways)
            .filter(on_it)
            .filter(|ip| !owned.contains(ip) && !stage.vips.contains(ip))
            .collect();
        let votes = |ip: &IpAddr| gateways.iter().filter(|other| *other == ip).count();
        let mut all = Vec::new();
        for net in &segment.nets {
            let same = |ip: &IpAddr| net.contains(ip);
            let by_gateway = gateways.iter().copied().filter(same).rev().max_by_key(votes);
            let known = said.filter(same).or(own.filter(same)).or(by_gateway);
            let free = || values::free(*net, 1, &|ip| self.taken.contains(&ip) || owned.contains(&ip));
            if known.is_none()
                && let Some(free) = free()
            {
                scene.assume(format!(
                    "the router's address on {} is {free}, and it is the hosts' gateway (another one by --router)",
                    segment.name
                ));
            }
            all.extend(known.or_else(free));
        }
        all
    }
}

impl Stage<'_> {
    /// Addresses that the texts put on one segment with these hosts: gateways, the router, what speaks VRRP.
    fn neighbours_of(&self, members: &[IpAddr]) -> Vec<IpAddr> {
        let v4 = members.first().is_some_and(IpAddr::is_ipv4);
        let near = |ip: &IpAddr| ip.is_ipv4() == v4 && values::common(&[members, &[*ip]].concat()).is_some();
        let servers = self.servers.iter().filter(|(rip, _)| members.contains(rip)).map(|(_, host)| host);
        let speaking = self.directors.iter().flat_map(|d| &d.vrrps).filter_map(|v| v.source);
        let router = self.request.router.map(|(ip, _)| ip);
        servers.flat_map(Host::gateways).chain(speaking).chain(router).filter(near).collect()
    }
}

/// Subnets that texts name by a prefix length, and whether a Director is in it.
fn hints(stage: &Stage<'_>) -> Vec<(IpNet, bool)> {
    let mut all = Vec::new();
    let narrow = |net: &IpNet| net.prefix_len() < net.max_prefix_len().saturating_sub(1) && net.prefix_len() > 0;
    for director in &stage.directors {
        let own = director.addresses.iter().filter(|a| director.wires().any(|w| *w == a.device)).map(|a| a.net);
        // The mask of the VIP says least of the wire that it is on.
        let vrrp = director.vrrps.iter().flat_map(|v| &v.addresses).map(|a| a.net);
        all.extend(own.chain(vrrp).filter(narrow).map(|net| (net.trunc(), true)));
    }
    for (_, host) in &stage.servers {
        let own = host.addresses.iter().filter(|a| host.wires().any(|w| *w == a.device));
        let own = own.filter(|a| !stage.vips.contains(&a.net.addr())).map(|a| a.net);
        all.extend(own.filter(narrow).map(|net| (net.trunc(), false)));
    }
    if let Some((ip, Some(length))) = stage.request.router
        && let Ok(net) = IpNet::new(ip, length)
    {
        all.extend(std::iter::repeat_n((net.trunc(), false), 1 + stage.servers.len()));
    }
    all
}
