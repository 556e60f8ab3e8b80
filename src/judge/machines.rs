//! Real machines as a case: what their facts tell of the segments between them, with stand-ins for the parts of which
//! there are no facts.
//!
//! Owns: which interfaces are on one segment (by their subnets), and what is taken for granted of a machine that was not
//! read: that it does its part right. Refuses: findings on stand-ins. Errs towards too little: what only another
//! machine's facts could contradict (whose a gateway or a MAC is) is taken to be right.

mod checklist;
mod stand_in;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::case::{Station, StationPort, WantedDestination, WantedService};
use super::host::Host;
use super::{Case, Finding, rules};
use crate::base::{Forwarding, IfName, Mac, NodeName, Protocol, Role, ServiceId};
use crate::facts::run::{LoadResult, Outcome, Ran, RequestResult};
use crate::facts::{DestinationFact, LinkFact, NodeFacts};
pub use checklist::{Item, ItemState, checklist};
use stand_in::Made;

/// The version of a file with a machine's facts.
pub const SCHEMA: &str = "drlab-facts/1";

/// Devices that lead to nobody else.
const BESIDE: [&str; 8] = ["dummy", "ipip", "sit", "gre", "tun", "wireguard", "ip6tnl", "nlmon"];

/// A machine: its part, and what its kernel said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// [`SCHEMA`].
    pub schema: String,
    /// The part that it plays.
    pub role: Role,
    /// The VIPs that it plays it for.
    pub vips: Vec<IpAddr>,
    /// What else is known.
    #[serde(default)]
    pub hints: Hints,
    /// What its kernel said.
    pub facts: NodeFacts,
}

/// What is known besides facts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hints {
    /// The Director's own address.
    #[serde(default)]
    pub director: Option<IpAddr>,
    /// A client's address.
    #[serde(default)]
    pub client: Option<IpAddr>,
    /// The machine's own address by which the Director reaches it.
    #[serde(default)]
    pub rip: Option<IpAddr>,
    /// What clients ask for.
    #[serde(default)]
    pub services: Vec<(Protocol, u16)>,
}

/// Why machines can't be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MachinesError {
    /// There is none.
    #[error("there is no machine to judge")]
    None,
    /// Machines are of one setup only where they have the VIPs in common.
    #[error("the machines have no VIP in common: {0} is not a VIP of {1}")]
    Vips(IpAddr, NodeName),
    /// Two files of one name.
    #[error("two machines are called {0}")]
    Twice(NodeName),
    /// Nothing leads to the VIP's segment.
    #[error("no machine has an interface with an {family} address besides {vip}, so it is on no segment", family = if .0.is_ipv4() { "IPv4" } else { "IPv6" }, vip = .0)]
    NoSegment(IpAddr),
    /// Only these parts are played by machines.
    #[error("{0} is a client; roles are rs, director and router")]
    Client(NodeName),
}

/// What machines came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The root causes on them.
    pub findings: Vec<Finding>,
    /// What was taken for granted, a line each.
    pub assumed: Vec<String>,
}

/// Judges machines together.
///
/// # Errors
/// [`MachinesError`].
pub fn judge(machines: &[Machine]) -> Result<Judged, MachinesError> {
    let first = machines.first().ok_or(MachinesError::None)?;
    for (at, machine) in machines.iter().enumerate() {
        if machine.role == Role::Client {
            return Err(MachinesError::Client(machine.facts.node.clone()));
        }
        if machines.iter().take(at).any(|m| m.facts.node == machine.facts.node) {
            return Err(MachinesError::Twice(machine.facts.node.clone()));
        }
        if let Some(vip) = first.vips.iter().find(|v| !machine.vips.contains(v)) {
            return Err(MachinesError::Vips(*vip, machine.facts.node.clone()));
        }
    }
    let mut judged = Judged { findings: Vec::new(), assumed: Vec::new() };
    for vip in &first.vips {
        let world = World::new(machines, *vip)?;
        let real = |node: &NodeName| machines.iter().any(|m| m.facts.node == *node);
        let found = rules::foreseen_on(&world.case, &world.facts, &world.ran, &real);
        let known = |f: &Finding| judged.findings.iter().any(|k| k.id == f.id && k.node == f.node);
        let new: Vec<Finding> = found.into_iter().filter(|f| !known(f)).map(|f| f.without(&world.made_up)).collect();
        judged.findings.extend(new);
        for line in world.assumed {
            if !judged.assumed.contains(&line) {
                judged.assumed.push(line);
            }
        }
    }
    Ok(judged)
}

/// Machines and stand-ins around one VIP.
struct World {
    case: Case,
    facts: Vec<NodeFacts>,
    ran: Ran,
    assumed: Vec<String>,
    made_up: Vec<(IpAddr, &'static str)>,
}

impl World {
    fn new(machines: &[Machine], vip: IpAddr) -> Result<Self, MachinesError> {
        let mut here = Around::new(machines, vip)?;
        here.director();
        here.servers();
        here.way_to_client();
        let services = here.services();
        let services = here.judged_only(services);
        let ran = here.ran();
        let case = Case {
            vips: machines.first().map(|m| m.vips.clone()).unwrap_or_default(),
            stations: here.stations,
            services,
            ..Case::default()
        };
        Ok(Self { case, facts: here.facts, ran, assumed: here.assumed, made_up: here.made_up })
    }
}

/// The world in the making.
struct Around<'a> {
    machines: &'a [Machine],
    vip: IpAddr,
    hints: Hints,
    stations: Vec<Station>,
    facts: Vec<NodeFacts>,
    /// The segments with the subnets that are on them.
    segments: Vec<(NodeName, Vec<IpNet>)>,
    /// Where the Director is.
    home: NodeName,
    assumed: Vec<String>,
    /// Addresses that were made up, and the word to put in their place.
    made_up: Vec<(IpAddr, &'static str)>,
}

impl<'a> Around<'a> {
    fn new(machines: &'a [Machine], vip: IpAddr) -> Result<Self, MachinesError> {
        let mut hints = Hints::default();
        for machine in machines {
            let same = |ip: &IpAddr| ip.is_ipv4() == vip.is_ipv4();
            hints.director = hints.director.or(machine.hints.director.filter(same));
            hints.client = hints.client.or(machine.hints.client.filter(same));
            hints.services.extend(
                machine.hints.services.iter().filter(|s| !hints.services.contains(s)).copied().collect::<Vec<_>>(),
            );
        }
        let mut here = Self {
            machines,
            vip,
            hints,
            stations: Vec::new(),
            facts: machines.iter().map(|m| m.facts.clone()).collect(),
            segments: Vec::new(),
            home: name("segment1"),
            assumed: Vec::new(),
            made_up: Vec::new(),
        };
        for machine in machines {
            let ports = machine.facts.links.iter().filter_map(|link| here.port(&machine.facts, link));
            let station = Station { node: machine.facts.node.clone(), role: machine.role, ports: ports.collect() };
            here.stations.push(station);
        }
        here.join();
        here.home = here.find_home().ok_or(MachinesError::NoSegment(vip))?;
        Ok(here)
    }

    /// A link as a port, its segment still open.
    fn port(&self, facts: &NodeFacts, link: &LinkFact) -> Option<StationPort> {
        let aside = link.name == "lo" || link.kind.as_deref().is_some_and(|kind| BESIDE.contains(&kind));
        let mac = link.mac.filter(|_| !aside)?;
        let addresses: Vec<IpNet> = facts
            .addresses
            .iter()
            .filter(|a| a.interface == link.name && a.scope != "link")
            .map(|a| a.address)
            .collect();
        let told =
            addresses.iter().any(|a| a.prefix_len() < a.max_prefix_len() && a.addr().is_ipv4() == self.vip.is_ipv4());
        told.then(|| StationPort { interface: link.name.clone(), segment: name("open"), mac, addresses })
    }

    /// Puts ports with the same subnet on one segment.
    fn join(&mut self) {
        for at in 0..self.stations.len() {
            for port in 0..self.stations[at].ports.len() {
                let nets =
                    self.stations[at].ports[port].addresses.iter().filter(|a| a.prefix_len() < a.max_prefix_len());
                let nets: Vec<IpNet> = nets.map(IpNet::trunc).collect();
                let meets = |(_, others): &&mut (NodeName, Vec<IpNet>)| {
                    nets.iter().any(|n| others.iter().any(|o| n.contains(&o.addr()) || o.contains(&n.addr())))
                };
                let segment = if let Some((segment, others)) = self.segments.iter_mut().find(meets) {
                    others.extend(nets);
                    segment.clone()
                } else {
                    let segment = name(&format!("segment{}", self.segments.len() + 1));
                    self.segments.push((segment.clone(), nets));
                    segment
                };
                self.stations[at].ports[port].segment = segment;
            }
        }
    }

    fn of_role(&self, role: Role) -> Vec<usize> {
        (0..self.machines.len()).filter(|at| self.machines[*at].role == role).collect()
    }

    /// The segment that the node's way to an address leaves by.
    fn segment_towards(&self, at: usize, to: IpAddr) -> Option<NodeName> {
        let interface = Host(&self.facts[at]).route_to(to)?.interface.as_ref()?;
        let port = self.stations[at].ports.iter().find(|p| p.interface == *interface)?;
        Some(port.segment.clone())
    }

    /// The segment whose subnet holds the address, of those that the node is on.
    fn segment_around(&self, at: usize, ip: IpAddr) -> Option<NodeName> {
        let holds =
            |p: &&StationPort| p.addresses.iter().any(|a| a.prefix_len() < a.max_prefix_len() && a.contains(&ip));
        Some(self.stations[at].ports.iter().find(holds)?.segment.clone())
    }

    fn find_home(&self) -> Option<NodeName> {
        let outside = self.outside();
        let by = |at: usize| {
            let carried = self.stations[at].ports.iter().find(|p| p.has(self.vip));
            let carried = carried.filter(|_| self.machines[at].role == Role::Director).map(|p| p.segment.clone());
            carried
                .or_else(|| self.segment_around(at, self.vip))
                .or_else(|| self.hints.director.and_then(|d| self.segment_around(at, d)))
                .or_else(|| {
                    (self.machines[at].role == Role::Router).then(|| self.segment_towards(at, self.vip)).flatten()
                })
                .or_else(|| self.segment_towards(at, outside))
        };
        let roles = [Role::Director, Role::RealServer, Role::Router];
        let order: Vec<usize> = roles.iter().flat_map(|role| self.of_role(*role)).collect();
        order
            .iter()
            .find_map(|at| by(*at))
            .or_else(|| self.stations.iter().flat_map(|s| &s.ports).next().map(|p| p.segment.clone()))
    }

    /// A client's address: the one that was told, else one that no route but a default one leads to.
    fn outside(&self) -> IpAddr {
        let v4 = [[198, 51, 100], [203, 0, 113], [192, 0, 2]].map(|[a, b, c]| IpAddr::V4(Ipv4Addr::new(a, b, c, 101)));
        let v6 = [0xffff, 0xfffe, 0xfffd].map(|net| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, 0x101)));
        let made = if self.vip.is_ipv4() { v4 } else { v6 };
        let led_to = |ip: &IpAddr| {
            let mut routes = self.machines.iter().flat_map(|m| &m.facts.routes);
            routes.any(|r| r.destination.prefix_len() > 0 && r.destination.contains(ip))
        };
        let mut nobodys = made.iter().filter(|ip| !led_to(ip) && self.vip != **ip);
        self.hints.client.or_else(|| nobodys.next().copied()).unwrap_or(made[0])
    }

    /// The subnet of a segment in the VIP's family.
    fn subnet(&self, segment: &NodeName) -> Option<IpNet> {
        let (_, nets) = self.segments.iter().find(|(s, _)| s == segment)?;
        nets.iter().find(|n| n.addr().is_ipv4() == self.vip.is_ipv4()).copied()
    }

    /// Whose address it is, of all that are there.
    fn owner(&self, ip: IpAddr) -> Option<&NodeName> {
        let carries = |f: &&NodeFacts| f.addresses.iter().any(|a| a.address.addr() == ip);
        self.facts.iter().find(carries).map(|f| &f.node)
    }

    /// An address of a segment that nobody is known to have, from its upper end.
    fn free(&self, segment: &NodeName) -> Option<IpAddr> {
        let net = self.subnet(segment)?;
        let named = |ip: &IpAddr| {
            let routes = self.facts.iter().flat_map(|f| &f.routes).any(|r| r.gateway == Some(*ip));
            let known = self.facts.iter().flat_map(|f| &f.neighbours).any(|n| n.address == *ip);
            routes || known || self.owner(*ip).is_some() || self.hints.director == Some(*ip) || self.vip == *ip
        };
        let all: Box<dyn Iterator<Item = IpAddr>> = match net {
            IpNet::V4(net) => {
                let (low, high) = (u32::from(net.network()), u32::from(net.broadcast()));
                Box::new((low + 1..high).rev().map(|n| IpAddr::V4(n.into())))
            }
            IpNet::V6(net) => {
                let low = u128::from(net.network());
                Box::new((1..=0xffff_u128).rev().map(move |n| IpAddr::V6((low | n).into())))
            }
        };
        let mut all = all.filter(|ip| net.contains(ip));
        all.find(|ip| !named(ip))
    }

    /// A MAC for a stand-in: what machines know of the address, as long as it is nobody's whose facts are here.
    fn mac_of(&self, ips: &[IpAddr]) -> Mac {
        let known = self.facts.iter().flat_map(|f| &f.neighbours).filter(|n| ips.contains(&n.address));
        let mine = |mac: &Mac| !self.stations.iter().flat_map(|s| &s.ports).any(|p| p.mac == *mac);
        let made = Mac([2, 0, 0x5e, 0, 0, u8::try_from(self.stations.len()).unwrap_or(u8::MAX)]);
        known.filter_map(|n| n.mac).find(mine).unwrap_or(made)
    }

    fn add(&mut self, made: Made) {
        let (station, facts) = made.whole();
        self.stations.push(station);
        self.facts.push(facts);
    }

    /// A stand-in for the Director where none was read.
    fn director(&mut self) {
        if !self.of_role(Role::Director).is_empty() {
            return;
        }
        // Whoever a router hands packets for the VIP to stands for the Director.
        let routers = self.of_role(Role::Router);
        let handed = routers.iter().find_map(|at| Host(&self.facts[*at]).route_to(self.vip)?.gateway);
        let told = self.hints.director.or(handed).filter(|ip| self.owner(*ip).is_none());
        let Some(own) = told.or_else(|| self.free(&self.home)) else { return };
        let Some(net) = self.subnet(&self.home) else { return };
        let known = if told.is_some() { format!("at {own}") } else { "at an address that is not known".to_owned() };
        self.assumed.push(format!("the Director is right: {known}, it has {} and balances it", self.vip));
        if told.is_none() {
            self.made_up.push((own, "DIRECTOR"));
        }
        let mac = self.mac_of(&[self.vip, own]);
        let mut made = Made::new("director", Role::Director).port("eth0", &self.home, mac, [with_length(own, net)]);
        // Where a real server is reached on another segment, the Director is there as well.
        let rips: Vec<IpAddr> = self.machines.iter().filter_map(|m| m.hints.rip).collect();
        let mut others: Vec<NodeName> = rips
            .iter()
            .filter_map(|rip| (0..self.machines.len()).find_map(|at| self.segment_around(at, *rip)))
            .collect();
        others.sort();
        others.dedup();
        others.retain(|segment| *segment != self.home);
        for (nth, segment) in (1..).zip(others) {
            let (Some(own), Some(net)) = (self.free(&segment), self.subnet(&segment)) else { continue };
            self.made_up.push((own, "DIRECTOR"));
            let mac = Mac([2, 0, 0x5d, 0, 0, nth]);
            made = made.port(&format!("eth{nth}"), &segment, mac, [with_length(own, net)]);
        }
        made.carry("eth0", self.vip);
        self.add(made);
    }

    /// Stand-ins for real servers that were not read: those of a Director's table, else one beside it.
    fn servers(&mut self) {
        let mut wanted: Vec<(IpAddr, NodeName)> = Vec::new();
        let mut told = false;
        for at in self.of_role(Role::Director) {
            let Some(ipvs) = &self.facts[at].ipvs else { continue };
            let all = ipvs.services.iter().flat_map(|s| &s.destinations);
            for rip in all.filter(|d| d.forwarding == Forwarding::DirectRouting).map(|d| d.at.ip()) {
                told = true;
                let direct = Host(&self.facts[at]).route_to(rip).is_some_and(|r| r.gateway.is_none());
                let segment = self.segment_towards(at, rip).filter(|_| direct && self.owner(rip).is_none());
                if let Some(segment) = segment.filter(|_| !wanted.iter().any(|(ip, _)| *ip == rip)) {
                    wanted.push((rip, segment));
                }
            }
        }
        if !told && self.of_role(Role::RealServer).is_empty() {
            wanted.extend(self.free(&self.home).map(|ip| (ip, self.home.clone())));
            self.made_up.extend(wanted.iter().map(|(ip, _)| (*ip, "REAL-SERVER")));
        }
        for (nth, (rip, segment)) in (1..).zip(wanted) {
            let Some(net) = self.subnet(&segment) else { continue };
            let which = if told { format!("at {rip}") } else { "at an address that is not known".to_owned() };
            self.assumed.push(format!("a real server {which} is right: cured, with {} on lo", self.vip));
            let mac = self.mac_of(&[rip]);
            let mut made = Made::new(&format!("real-server-{nth}"), Role::RealServer).port(
                "eth0",
                &segment,
                mac,
                [with_length(rip, net)],
            );
            made.carry("lo", self.vip);
            self.add(made);
        }
    }

    /// Stand-ins for a client and, where it takes one, a router on the way to it.
    fn way_to_client(&mut self) {
        let router = self.of_role(Role::Router).first().copied();
        let told = self.hints.client.is_some();
        let leads = |facts: &NodeFacts| Host(facts).route_to(self.outside()).is_some();
        // Where no machine has a way out, there is nobody out there.
        let nobody = !told && router.is_none() && !self.facts.iter().take(self.machines.len()).any(leads);
        let on_home =
            nobody || self.hints.client.is_some_and(|c| self.subnet(&self.home).is_some_and(|net| net.contains(&c)));
        let outside = if nobody { self.free(&self.home).unwrap_or_else(|| self.outside()) } else { self.outside() };
        let (segment, client, net) = match router {
            _ if on_home => (Some(self.home.clone()), outside, self.subnet(&self.home)),
            Some(at) => {
                let towards = self.segment_towards(at, outside);
                let other = || self.stations[at].ports.iter().map(|p| &p.segment).find(|s| **s != self.home).cloned();
                let segment = towards.or_else(other).unwrap_or_else(|| self.home.clone());
                let gateway = Host(&self.facts[at]).route_to(outside).and_then(|r| r.gateway);
                let net = self.subnet(&segment);
                let held = net.is_some_and(|net| net.contains(&outside));
                let client = if held { Some(outside) } else { gateway.or_else(|| self.free(&segment)) };
                let Some(client) = client else { return };
                (Some(segment), client, net)
            }
            None => (None, outside, None),
        };
        let length = if self.vip.is_ipv4() { 24 } else { 64 };
        let far = IpNet::new(outside, length).map(|net| net.trunc());
        let (Some(net), Ok(far)) = (net.or(far.as_ref().ok().copied()), far) else { return };
        let beyond = segment.clone().unwrap_or_else(|| name("outside"));
        let needs_router = router.is_none() && !on_home;
        let mut gateways = self.gateways(client);
        let mut made =
            Made::new("client", Role::Client).port("eth0", &beyond, self.mac_of(&[client]), [with_length(client, net)]);
        if needs_router {
            let own = host(far, 1);
            if !gateways.iter().any(|(_, segment)| *segment == self.home) {
                let made_up = self.free(&self.home);
                self.made_up.extend(made_up.map(|ip| (ip, "ROUTER")));
                gateways.extend(made_up.map(|ip| (ip, self.home.clone())));
            }
            made.default_by(own);
            self.assumed.push(format!(
                "a router is right: it leads from clients to {}, and is every gateway that is not another's: {}",
                self.vip,
                gateways
                    .iter()
                    .map(|(ip, _)| ip.to_string())
                    .filter(|ip| self.made_up.iter().all(|(m, _)| m.to_string() != *ip))
                    .collect::<Vec<_>>()
                    .join(", ")
            ));
            let router =
                self.router("router", &gateways).port("out0", &beyond, self.mac_of(&[own]), [with_length(own, far)]);
            self.add(router);
        } else if let Some(at) = router {
            let own = self.stations[at].ports.iter().filter(|p| p.segment == beyond).flat_map(|p| &p.addresses);
            let own = own.map(IpNet::addr).find(|ip| ip.is_ipv4() == self.vip.is_ipv4() && *ip != self.vip);
            if let Some(own) = own.filter(|_| !on_home) {
                made.default_by(own);
            }
            let beyond_others: Vec<_> = gateways.into_iter().filter(|(ip, _)| *ip != client).collect();
            if !beyond_others.is_empty() {
                let second = self.router("router-2", &beyond_others);
                self.add(second);
            }
        }
        if on_home || net.contains(&self.vip) || !made.has_default() {
            made.direct(self.vip);
        }
        self.lead_back(on_home);
        self.assumed.push(match (told, nobody) {
            (true, _) => format!("clients are as {client}"),
            (_, true) => "clients are on the segment, for no default route leads beyond: tell by --client".to_owned(),
            _ => "clients are beyond the default route: tell by --client where they are not".to_owned(),
        });
        if router.is_none() {
            self.assumed.push(format!("nobody is bound to {} by a permanent neighbour entry", self.vip));
        }
        if self.hints.client.is_none() {
            self.made_up.push((client, "CLIENT"));
        }
        self.add(made);
    }

    /// Gives stand-ins beside the router their way to clients.
    fn lead_back(&mut self, on_home: bool) {
        let routers = self.stations.iter().filter(|s| s.role == Role::Router).flat_map(|s| &s.ports);
        let at_home = routers.filter(|p| p.segment == self.home).flat_map(|p| &p.addresses).map(IpNet::addr);
        let router = at_home.into_iter().find(|ip| ip.is_ipv4() == self.vip.is_ipv4() && *ip != self.vip);
        let Some(router) = router.filter(|_| !on_home) else { return };
        let count = self.machines.len();
        for (station, facts) in self.stations.iter().zip(&mut self.facts).skip(count) {
            if matches!(station.role, Role::Director | Role::RealServer) {
                facts.routes.extend(station.ports.first().map(|port| stand_in::default_route(router, &port.interface)));
            }
        }
    }

    /// Next hops of the machines towards the VIP and the client that nobody here is, with their segments.
    fn gateways(&self, client: IpAddr) -> Vec<(IpAddr, NodeName)> {
        let mut all: Vec<(IpAddr, NodeName)> = Vec::new();
        for (at, machine) in self.machines.iter().enumerate() {
            // Where a router was read, a next hop that is not it has to be somebody who was read.
            let to = match machine.role {
                Role::Router => vec![self.vip, client],
                _ if self.of_role(Role::Router).is_empty() => vec![client],
                _ => Vec::new(),
            };
            for to in to {
                let Some(gateway) = Host(&self.facts[at]).route_to(to).and_then(|r| r.gateway) else { continue };
                let Some(segment) = self.segment_towards(at, to) else { continue };
                let holds = self.subnet(&segment).is_some_and(|net| net.contains(&gateway));
                let new = self.owner(gateway).is_none() && !all.iter().any(|(ip, _)| *ip == gateway);
                if holds && new && gateway != self.vip {
                    all.push((gateway, segment));
                }
            }
        }
        all
    }

    /// A router on those segments and on the Director's, that knows the way to the VIP.
    fn router(&self, called: &str, gateways: &[(IpAddr, NodeName)]) -> Made {
        let mut made = Made::new(called, Role::Router);
        let mut segments: Vec<&NodeName> = gateways.iter().map(|(_, segment)| segment).collect();
        segments.sort();
        segments.dedup();
        for (nth, segment) in (0..).zip(segments) {
            let Some(net) = self.subnet(segment) else { continue };
            let own: Vec<IpAddr> = gateways.iter().filter(|(_, s)| s == segment).map(|(ip, _)| *ip).collect();
            let interface = format!("in{nth}");
            made = made.port(&interface, segment, self.mac_of(&own), own.iter().map(|ip| with_length(*ip, net)));
            if *segment == self.home {
                made.to_vip(&interface, self.vip);
            }
        }
        made
    }

    /// What clients ask for: a Director's table, else what was told, else HTTP; sent to every real server.
    fn services(&mut self) -> Vec<WantedService> {
        let mut services = Vec::new();
        for at in self.of_role(Role::Director) {
            let director = self.facts[at].node.clone();
            let Some(ipvs) = &self.facts[at].ipvs else { continue };
            let concerns = |s: &&crate::facts::ServiceFact| match s.service {
                ServiceId::Address { at, .. } => at.ip() == self.vip,
                ServiceId::Fwmark { v6, .. } => v6 == self.vip.is_ipv6(),
            };
            services.extend(ipvs.services.iter().filter(concerns).map(|s| {
                WantedService {
                    director: director.clone(),
                    id: s.service,
                    scheduler: s.scheduler.clone(),
                    flags: s.flags.clone(),
                    persistence_s: s.persistence_s,
                    destinations: s
                        .destinations
                        .iter()
                        .map(|d| WantedDestination {
                            node: self.owner(d.at.ip()).cloned(),
                            at: d.at,
                            forwarding: d.forwarding,
                            weight: d.weight,
                        })
                        .collect(),
                }
            }));
        }
        if !services.is_empty() {
            return services;
        }
        let mut asked = self.hints.services.clone();
        if asked.is_empty() {
            asked.push((Protocol::Tcp, 80));
        }
        let directors: Vec<Station> = self.stations.iter().filter(|s| s.role == Role::Director).cloned().collect();
        for director in directors {
            let Some(facts) = self.facts.iter().position(|f| f.node == director.node) else { continue };
            // A table that was read and has nothing for the VIP is left as it is.
            let given = self.facts[facts].ipvs.is_some() && self.machines.get(facts).is_some();
            let made: Vec<WantedService> =
                asked.iter().map(|(protocol, port)| self.service(&director.node, *protocol, *port)).collect();
            if !given {
                if self.machines.get(facts).is_some() {
                    self.assumed.push(format!("the IPVS table of {}, which was not read, is right", director.node));
                }
                self.facts[facts].ipvs = Some(stand_in::table(&made));
            }
            services.extend(made);
        }
        services
    }

    fn service(&self, director: &NodeName, protocol: Protocol, port: u16) -> WantedService {
        let servers = self.stations.iter().filter(|s| s.role == Role::RealServer);
        let destinations = servers.filter_map(|s| {
            let told = self.machines.iter().find(|m| m.facts.node == s.node).and_then(|m| m.hints.rip);
            let near = s.ports.iter().find(|p| p.segment == self.home).or_else(|| s.ports.first())?;
            let mut own = near.addresses.iter().map(IpNet::addr);
            let rip = told.or_else(|| own.find(|ip| ip.is_ipv4() == self.vip.is_ipv4() && *ip != self.vip))?;
            Some(WantedDestination {
                node: Some(s.node.clone()),
                at: SocketAddr::new(rip, port),
                forwarding: Forwarding::DirectRouting,
                weight: 1,
            })
        });
        WantedService {
            director: director.clone(),
            id: ServiceId::Address { protocol, at: SocketAddr::new(self.vip, port) },
            scheduler: "rr".to_owned(),
            flags: Vec::new(),
            persistence_s: None,
            destinations: destinations.collect(),
        }
    }

    /// Takes away what can't be judged here: real servers by NAT or tunnel that were not read, and, where nobody said
    /// what clients ask for, packet filters and sockets, which go by ports.
    fn judged_only(&mut self, mut services: Vec<WantedService>) -> Vec<WantedService> {
        let known: Vec<IpAddr> = self.facts.iter().flat_map(|f| &f.addresses).map(|a| a.address.addr()).collect();
        let judged = |d: &DestinationFact| d.forwarding == Forwarding::DirectRouting || known.contains(&d.at.ip());
        let count = self.machines.len();
        for table in self.facts.iter_mut().take(count).filter_map(|f| f.ipvs.as_mut()) {
            for service in table.services.iter_mut().filter(|s| !s.destinations.iter().all(judged)) {
                let id = service.service;
                self.assumed.push(format!("real servers of {id} by NAT or tunnel, which were not read, are right"));
                service.destinations.retain(judged);
                if service.destinations.is_empty() {
                    services.retain(|s| s.id != id);
                    self.hints.services.retain(|(protocol, port)| {
                        id != ServiceId::Address { protocol: *protocol, at: SocketAddr::new(self.vip, *port) }
                    });
                }
            }
        }
        let guessed = self.hints.services.is_empty()
            && self.machines.iter().all(|m| m.role != Role::Director || m.facts.ipvs.is_none());
        for facts in self.facts.iter_mut().take(count).filter(|_| guessed) {
            (facts.sockets, facts.iptables) = (None, None);
        }
        if guessed {
            self.assumed.push(
                "what clients ask for is let in and served: tell it by --service, as --service tcp:80".to_owned(),
            );
        }
        for facts in self.facts.iter_mut().skip(count) {
            stand_in::serve(facts, &services);
        }
        services
    }

    /// What is asked besides what the services offer.
    fn ran(&self) -> Ran {
        let request = |(protocol, port): &(Protocol, u16)| RequestResult {
            number: 0,
            client: name("client"),
            local: None,
            target: SocketAddr::new(self.vip, *port),
            protocol: *protocol,
            path: String::new(),
            start_ns: 0,
            latency_us: 0,
            outcome: Outcome::Failed { kind: "local".to_owned(), detail: "not asked".to_owned() },
        };
        let requests = self.hints.services.iter().map(request).collect();
        let load = LoadResult { name: "clients".to_owned(), ms: 0.0, requests };
        Ran { loads: vec![load], access_logs: BTreeMap::new(), probes: Vec::new() }
    }
}

impl Finding {
    /// With words in place of addresses that were made up.
    fn without(mut self, made_up: &[(IpAddr, &'static str)]) -> Self {
        let clean = |text: &mut String| {
            for (ip, word) in made_up {
                *text = replaced(text, &ip.to_string(), word);
            }
        };
        clean(&mut self.what);
        self.effects.iter_mut().for_each(clean);
        self.evidence.iter_mut().for_each(|e| {
            clean(&mut e.what);
            e.fact.iter_mut().for_each(clean);
        });
        for mend in &mut self.mend {
            let before = mend.command.clone();
            clean(&mut mend.command);
            if mend.command != before {
                // A word has to be filled in first.
                mend.dialect = super::Dialect::ByHand;
            }
        }
        self
    }
}

/// The text with a word in place of an address, where that is not part of a longer one.
fn replaced(text: &str, ip: &str, word: &str) -> String {
    let longer = |c: Option<char>| c.is_some_and(|c| c.is_ascii_hexdigit() || c == '.' || c == ':');
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(ip) {
        let (before, after) = (&rest[..at], &rest[at + ip.len()..]);
        let before_is = before.chars().next_back().or_else(|| out.chars().next_back().filter(|_| before.is_empty()));
        let end = after.chars().next().filter(|c| *c != '.' || after[1..].starts_with(|c: char| c.is_ascii_digit()));
        out.push_str(before);
        out.push_str(if longer(before_is) || longer(end.filter(|c| *c != ':')) { ip } else { word });
        rest = after;
    }
    out + rest
}

/// A name of ours, which is always one.
#[expect(clippy::expect_used, reason = "made of letters and digits here")]
fn name(text: &str) -> NodeName {
    text.parse().expect("letters and digits are a name")
}

#[expect(clippy::expect_used, reason = "made of letters and digits here")]
fn device(text: &str) -> IfName {
    text.parse().expect("letters and digits are a name")
}

/// The address with the length of its subnet.
fn with_length(ip: IpAddr, net: IpNet) -> IpNet {
    IpNet::new(ip, net.prefix_len()).unwrap_or_else(|_| IpNet::from(ip))
}

/// A host of a subnet.
fn host(net: IpNet, number: u32) -> IpAddr {
    match net.network() {
        IpAddr::V4(ip) => IpAddr::V4((u32::from(ip) | number).into()),
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) | u128::from(number)).into()),
    }
}
