//! Real machines as a case: what their facts tell of the segments between them, with stand-ins for the parts of which
//! there are no facts.
//!
//! Owns: which interfaces are on one segment (by their subnets), and what is taken for granted of a machine that was not
//! read: that it does its part right. Refuses: findings on stand-ins. Errs towards too little: what only another
//! machine's facts could contradict (whose a gateway or a MAC is) is taken to be right.

mod checklist;
mod parts;
mod services;
mod stand_in;
mod words;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::case::{Station, StationPort};
use super::host::Host;
use super::{Case, Finding, rules};
use crate::base::{IfName, Mac, NodeName, Protocol, Role};
use crate::facts::run::Ran;
use crate::facts::{LinkFact, NodeFacts};
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
            let station =
                Station { node: machine.facts.node.clone(), role: machine.role, runs_on: None, ports: ports.collect() };
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
        // What lies on top of another interface may have the VIP and nothing else.
        let above = matches!(link.kind.as_deref(), Some("macvlan" | "ipvlan")) && !addresses.is_empty();
        (told || above).then(|| StationPort { interface: link.name.clone(), segment: name("open"), mac, addresses })
    }

    /// Puts ports with the same subnet on one segment.
    fn join(&mut self) {
        for at in 0..self.stations.len() {
            for port in 0..self.stations[at].ports.len() {
                let nets =
                    self.stations[at].ports[port].addresses.iter().filter(|a| a.prefix_len() < a.max_prefix_len());
                let nets: Vec<IpNet> = nets.map(IpNet::trunc).collect();
                if nets.is_empty() {
                    continue;
                }
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
        for at in 0..self.stations.len() {
            let below = self.segment_around(at, self.vip).filter(|segment| *segment != name("open"));
            let first = self.stations[at].ports.iter().map(|p| &p.segment).find(|s| **s != name("open")).cloned();
            for port in self.stations[at].ports.iter_mut().filter(|p| p.segment == name("open")) {
                if let Some(segment) = below.as_ref().or(first.as_ref()) {
                    port.segment = segment.clone();
                }
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
        // An interface is as wide as those that are there already.
        let mtu = |segment: &NodeName| {
            let mut there = self.stations.iter().zip(&self.facts).filter_map(|(station, facts)| {
                let port = station.ports.iter().find(|p| p.segment == *segment)?;
                facts.links.iter().find(|l| l.name == port.interface).map(|l| l.mtu)
            });
            there.next().unwrap_or(1500)
        };
        let (station, facts) = made.whole(&mtu);
        self.stations.push(station);
        self.facts.push(facts);
    }
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
