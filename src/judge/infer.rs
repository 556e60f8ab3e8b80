//! Who plays which part in captures that were made elsewhere, told by what their frames do.
//!
//! Owns: the way from a trace and a few given addresses to a [`Case`]. Refuses: facts and wishes; what a scenario would
//! state stays empty. Errs towards not knowing: a part that two stations could play is nobody's, and the report says why.

mod segments;
mod signs;
#[cfg(test)]
pub(in crate::judge) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::case::{Case, Elsewhere, Station, StationPort, WantedDestination, WantedService};
use crate::base::{Forwarding, IfName, Mac, NodeName, Protocol, Role, ServiceId};
use crate::trace::Trace;
use crate::wire::link::UNKNOWN;
use signs::Signs;

/// A station as the user names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// By its MAC.
    Mac(Mac),
    /// By an address that ARP or neighbour discovery ties to its MAC.
    Address(IpAddr),
}

/// What the user knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The VIPs, with the service's port where it is given.
    pub vips: Vec<(IpAddr, Option<u16>)>,
    /// Stations and their parts.
    pub parts: Vec<(Role, Who)>,
}

/// A station's part and why it is thought to play it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name, as checks and evidence call it.
    pub node: NodeName,
    /// Its part.
    pub role: Role,
    /// Its MACs.
    pub macs: Vec<Mac>,
    /// Its addresses, as far as ARP or neighbour discovery told them.
    pub addresses: Vec<String>,
    /// Whether the user said so.
    pub given: bool,
    /// What shows it.
    pub why: String,
}

/// What was made of the frames.
#[derive(Debug, Clone)]
pub struct Inferred {
    /// For the checks.
    pub case: Case,
    /// Who is who.
    pub parts: Vec<Part>,
    /// What is not known and what would tell it.
    pub open: Vec<String>,
}

/// What the name of a vantage's node is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// None was given.
    Anonymous,
    /// It tells files apart.
    File,
    /// The capture itself names the machine.
    Machine,
}

/// Infers who is who.
pub fn infer(trace: &Trace, known: &Known, named: &[Naming]) -> Inferred {
    let owned = segments::own_macs(trace);
    let signs = Signs::of(trace, known, &owned);
    let machines = machines(trace, &owned, named);
    let mut cast = Cast { signs: &signs, roles: BTreeMap::new(), open: Vec::new() };
    cast.given(known);
    cast.directors(known);
    cast.of_machines(&machines);
    cast.servers(known);
    cast.fronts(known);
    cast.clients();
    cast.of_machines(&machines);
    let Cast { roles, open, .. } = cast;
    let vips: Vec<IpAddr> = known.vips.iter().map(|(vip, _)| *vip).collect();
    let groups = grouped(&machines, &roles, &signs);
    let segments = segments::Segments::of(trace);
    let (stations, parts) = stations(trace, &groups, &roles, &signs, &owned, named, &segments, &vips);
    let director = stations.iter().find(|s| s.role == Role::Director);
    let name_of_director = director.map(|s| s.node.clone());
    let lan = director.and_then(|s| s.ports.first()).map(|p| p.mac);
    let elsewhere = Elsewhere {
        own: owned
            .iter()
            .map(|own| {
                stations
                    .iter()
                    .filter(|s| s.ports.iter().any(|p| own.contains(&p.mac)))
                    .map(|s| s.node.clone())
                    .collect()
            })
            .collect(),
        segments: (0..trace.vantages.len())
            .map(|v| segments.of_vantage(v).and_then(|s| segments.name(s, lan)))
            .collect(),
        servers_given: Cast::is_given(known, Role::RealServer),
    };
    let services = name_of_director.map(|d| services(&signs, known, &d, &stations, &roles)).unwrap_or_default();
    Inferred { case: Case { vips, stations, services, elsewhere: Some(elsewhere), ..Case::default() }, parts, open }
}

/// MACs of one machine each, by the names in the capture.
fn machines(trace: &Trace, owned: &[BTreeSet<Mac>], named: &[Naming]) -> Vec<BTreeSet<Mac>> {
    let mut of: BTreeMap<&NodeName, BTreeSet<Mac>> = BTreeMap::new();
    for ((vantage, own), _) in trace.vantages.iter().zip(owned).zip(named).filter(|(_, n)| **n == Naming::Machine) {
        of.entry(&vantage.node).or_default().extend(own);
    }
    of.into_values().filter(|macs| macs.len() > 1).collect()
}

/// Who has which part so far.
struct Cast<'a> {
    signs: &'a Signs,
    roles: BTreeMap<Mac, (Role, bool, String)>,
    open: Vec<String>,
}

impl Cast<'_> {
    fn with(&self, role: Role) -> BTreeSet<Mac> {
        self.roles.iter().filter(|(_, (r, ..))| *r == role).map(|(mac, _)| *mac).collect()
    }

    fn set(&mut self, mac: Mac, role: Role, why: String) {
        self.roles.entry(mac).or_insert((role, false, why));
    }

    fn given(&mut self, known: &Known) {
        for (role, who) in &known.parts {
            let macs: Vec<Mac> = match who {
                Who::Mac(mac) => vec![*mac],
                Who::Address(address) => self.signs.macs_of(*address),
            };
            if macs.is_empty()
                && let Who::Address(address) = who
            {
                self.open.push(format!(
                    "no ARP or neighbour discovery frame tells the MAC of {address}, given as {role}; give its MAC instead"
                ));
            }
            for mac in macs {
                self.roles.insert(mac, (*role, true, "given on the command line".to_owned()));
            }
        }
    }

    fn is_given(known: &Known, role: Role) -> bool {
        known.parts.iter().any(|(r, _)| *r == role)
    }

    fn directors(&mut self, known: &Known) {
        if Self::is_given(known, Role::Director) {
            return;
        }
        let signs = self.signs;
        let claims = |mac: &Mac| signs.claims.get(mac).copied().unwrap_or(0);
        let free = |mac: &&Mac| !self.roles.contains_key(*mac);
        let forwards: BTreeSet<Mac> = signs.handing().iter().filter(free).copied().collect();
        let told = |mac: &Mac| {
            let onward = signs.handed.range((*mac, Mac([0; 6]))..=(*mac, Mac([0xff; 6])));
            let (frames, to) = onward.fold((0, 0), |(frames, to), (_, n)| (frames + n, to + 1));
            let to = if to == 1 { "another MAC".to_owned() } else { format!("{to} other MACs") };
            format!("takes requests for the VIP and sends the same packets on to {to} ({frames} frames)")
        };
        let both: Vec<Mac> = forwards.iter().filter(|m| claims(m) > 0).copied().collect();
        if !both.is_empty() {
            for mac in both {
                self.set(mac, Role::Director, format!("{}, and says by ARP that it has the VIP", told(&mac)));
            }
            return;
        }
        let origins = signs.origins();
        // One that hands to another that hands on is a router with one arm; one whose receivers don't answer though
        // others do hands to the Director.
        let last = |mac: &&Mac| {
            let mut to = signs.handed_by(**mac);
            let onward_answers = signs.handed_by(**mac).any(|y| origins.contains(&y));
            !signs.handed_by(**mac).any(|y| forwards.contains(&y))
                && (onward_answers || origins.is_empty())
                && to.next().is_some()
        };
        let lasts: Vec<Mac> = forwards.iter().filter(last).copied().collect();
        if !lasts.is_empty() {
            for mac in lasts {
                self.set(mac, Role::Director, told(&mac));
            }
            return;
        }
        let past: Vec<Mac> = signs
            .arrivals
            .keys()
            .filter(|(x, y)| {
                origins.contains(y) && !signs.replied_to(*y).any(|z| z == *x) && signs.replied_to(*y).next().is_some()
            })
            .map(|(x, _)| *x)
            .filter(|x| free(&x) && !origins.contains(x))
            .collect();
        if !past.is_empty() {
            for mac in past {
                let why =
                    "hands requests for the VIP to one that answers them, and gets none of the answers".to_owned();
                self.set(mac, Role::Director, why);
            }
            return;
        }
        let silent: Vec<Mac> = signs
            .ends
            .keys()
            .filter(|m| free(m) && !origins.contains(m) && !signs.passed_on.contains(m))
            .copied()
            .collect();
        // Seen from the router, requests go to the Director only; one that gets them beside others that answer may be
        // a server whose answers were lost.
        let alone = !origins.is_empty() && !origins.iter().any(|y| signs.ends.contains_key(y));
        let claims_alone = |mac: &Mac| claims(mac) > 0 && signs.claims.len() == 1;
        if let ([one], true) = (silent.as_slice(), alone || silent.iter().any(claims_alone)) {
            let and = if claims(one) > 0 { ", and says by ARP that it has the VIP" } else { ", while others do" };
            self.set(*one, Role::Director, format!("is sent requests for the VIP and sends no reply from it{and}"));
            return;
        }
        let claiming: Vec<Mac> = signs.claims.keys().filter(|m| free(m) && !origins.contains(m)).copied().collect();
        if let ([one], false) = (claiming.as_slice(), origins.is_empty()) {
            self.set(*one, Role::Director, "says by ARP that it has the VIP, and sends no reply from it".to_owned());
            return;
        }
        let many = silent.len().max(claiming.len());
        self.open.push(if many > 1 {
            format!("{many} stations could be the Director; --director MAC says which one is")
        } else {
            "nobody was seen to hand requests on or to claim the VIP: a capture on the Director's segment, or --director \
             MAC, would tell who it is"
                .to_owned()
        });
    }

    /// Gives a machine's other MACs its part.
    fn of_machines(&mut self, machines: &[BTreeSet<Mac>]) {
        for macs in machines {
            let part = macs.iter().find_map(|mac| Some((*mac, self.roles.get(mac)?.0)));
            let Some((known, role)) = part else { continue };
            for mac in macs {
                self.set(*mac, role, format!("is on the machine of {known}, as the capture names it"));
            }
        }
        let linked: Vec<(Mac, Mac)> = self.signs.links().collect();
        for (one, other) in linked {
            for (new, old) in [(one, other), (other, one)] {
                if let Some((role @ (Role::Director | Role::Router), ..)) = self.roles.get(&old) {
                    self.set(new, *role, format!("forwards the packets that {old} gets or sends"));
                }
            }
        }
    }

    fn servers(&mut self, known: &Known) {
        if Self::is_given(known, Role::RealServer) {
            return;
        }
        let signs = self.signs;
        let directors = self.with(Role::Director);
        for ((from, to), frames) in &signs.handed {
            let back = signs.arrivals.contains_key(&(*to, *from));
            if directors.contains(from) && !directors.contains(to) && !back && *to != UNKNOWN {
                if !signs.heard.contains(to) {
                    // A stale neighbour entry leads to a MAC that nobody has.
                    self.open.push(format!(
                        "the Director hands {frames} requests on to {to}, of whom no frame was seen: --rs {to}, if that is \
                         a real server"
                    ));
                    continue;
                }
                let answers = signs.origin.get(to).copied().unwrap_or(0);
                let and = if answers > 0 { format!(" and sends {answers} replies from it") } else { String::new() };
                self.set(*to, Role::RealServer, format!("gets {frames} requests for the VIP from the Director{and}"));
            }
        }
        for mac in signs.origins() {
            if !directors.contains(&mac) {
                let answers = signs.origin.get(&mac).copied().unwrap_or(0);
                self.set(
                    mac,
                    Role::RealServer,
                    format!("sends {answers} replies from the VIP with a TTL that nobody lowered"),
                );
            }
        }
        if !self.roles.values().any(|(role, ..)| *role == Role::RealServer) {
            self.open.push(
                "no real server was seen: a capture at the Director, at a real server or at the router's side of their \
                 segment would show them, or --rs MAC"
                    .to_owned(),
            );
        }
    }

    /// Routers and clients on the segment: whom replies go to, and who sends requests to the Director.
    fn fronts(&mut self, known: &Known) {
        let signs = self.signs;
        let (directors, servers) = (self.with(Role::Director), self.with(Role::RealServer));
        let given = [Role::Router, Role::Client].iter().any(|r| Self::is_given(known, *r));
        let from_servers =
            signs.replies.iter().filter(|((from, _), _)| servers.contains(from)).map(|((_, to), n)| (to, n));
        for (to, frames) in from_servers.filter(|(to, _)| !given && **to != UNKNOWN) {
            let role = self.front(*to);
            self.set(*to, role, format!("is handed {frames} replies by a real server"));
        }
        let to_directors =
            signs.arrivals.iter().filter(|((_, to), _)| directors.contains(to)).map(|((from, _), n)| (from, n));
        for (from, frames) in to_directors.filter(|(from, _)| !directors.contains(from)) {
            let role = self.front(*from);
            self.set(*from, role, format!("sends {frames} requests for the VIP to the Director"));
        }
        self.of_machines(&[]);
    }

    /// A client where its own address is one that requests come from, else a router.
    fn front(&self, mac: Mac) -> Role {
        let own = self.signs.addresses.get(&mac).into_iter().flatten();
        if own.clone().any(|a| self.signs.clients.contains(a)) { Role::Client } else { Role::Router }
    }

    fn clients(&mut self) {
        let routers = self.with(Role::Router);
        for ((from, to), frames) in &self.signs.starts {
            if routers.contains(to) {
                self.set(
                    *from,
                    Role::Client,
                    format!("sends {frames} requests for the VIP to a router, with a TTL that nobody lowered"),
                );
            }
        }
    }
}

/// MACs with parts, those of one machine together.
fn grouped(machines: &[BTreeSet<Mac>], roles: &BTreeMap<Mac, (Role, bool, String)>, signs: &Signs) -> Vec<Vec<Mac>> {
    let mut groups: Vec<Vec<Mac>> = roles.keys().map(|mac| vec![*mac]).collect();
    let mut join = |a: Mac, b: Mac| {
        let at = |groups: &[Vec<Mac>], mac| groups.iter().position(|g| g.contains(&mac));
        if let (Some(one), Some(other)) = (at(&groups, a), at(&groups, b))
            && one != other
            && roles.get(&a).map(|r| r.0) == roles.get(&b).map(|r| r.0)
        {
            let more = groups.swap_remove(one.max(other));
            groups[one.min(other)].extend(more);
        }
    };
    signs.links().for_each(|(a, b)| join(a, b));
    for macs in machines {
        macs.iter().zip(macs.iter().skip(1)).for_each(|(a, b)| join(*a, *b));
    }
    for group in &mut groups {
        group.sort();
    }
    groups.sort();
    groups
}

#[expect(clippy::too_many_arguments, reason = "everything that was found out, put together in one place")]
fn stations(
    trace: &Trace,
    groups: &[Vec<Mac>],
    roles: &BTreeMap<Mac, (Role, bool, String)>,
    signs: &Signs,
    owned: &[BTreeSet<Mac>],
    named: &[Naming],
    segments: &segments::Segments,
    vips: &[IpAddr],
) -> (Vec<Station>, Vec<Part>) {
    let mut taken: BTreeSet<NodeName> = BTreeSet::new();
    let lan = roles.iter().find(|(_, (role, ..))| *role == Role::Director).map(|(mac, _)| *mac);
    let mut found = Vec::new();
    for role in [Role::Client, Role::Router, Role::Director, Role::RealServer] {
        let of_role: Vec<&Vec<Mac>> =
            groups.iter().filter(|g| g.first().and_then(|m| roles.get(m)).is_some_and(|r| r.0 == role)).collect();
        for (nth, macs) in of_role.iter().enumerate() {
            let vantage = |mac: &Mac| owned.iter().position(|own| own.len() == 1 && own.contains(mac));
            let chosen =
                macs.iter().find_map(vantage).filter(|v| named.get(*v).is_some_and(|n| *n != Naming::Anonymous));
            let chosen = chosen.and_then(|v| trace.vantages.get(v)).map(|v| v.node.clone());
            let Some(node) =
                chosen.filter(|n| !taken.contains(n)).or_else(|| free_name(role, nth, of_role.len(), &taken))
            else {
                continue;
            };
            taken.insert(node.clone());
            let ports = macs.iter().enumerate().filter_map(|(n, mac)| {
                let own = vantage(mac).and_then(|v| trace.vantages.get(v)).map(|v| v.interface.clone());
                let mut addresses: Vec<IpAddr> = signs.addresses.get(mac).into_iter().flatten().copied().collect();
                if role == Role::Director {
                    addresses.extend(vips);
                }
                Some(StationPort {
                    interface: own.or_else(|| format!("if{n}").parse::<IfName>().ok())?,
                    segment: segments
                        .of_mac(*mac)
                        .and_then(|s| segments.name(s, lan))
                        .or_else(|| "lan".parse().ok())?,
                    mac: *mac,
                    addresses: addresses.into_iter().map(IpNet::from).collect(),
                })
            });
            let addresses = macs.iter().filter_map(|m| signs.addresses.get(m)).flatten().map(ToString::to_string);
            let why = macs.iter().filter_map(|m| roles.get(m)).map(|(_, _, why)| why.clone()).collect::<BTreeSet<_>>();
            let part = Part {
                node: node.clone(),
                role,
                macs: (*macs).clone(),
                addresses: addresses.collect::<BTreeSet<_>>().into_iter().collect(),
                given: macs.iter().filter_map(|m| roles.get(m)).any(|(_, given, _)| *given),
                why: why.into_iter().collect::<Vec<_>>().join("; "),
            };
            found.push((Station { node, role, runs_on: None, ports: ports.collect() }, part));
        }
    }
    found.into_iter().unzip()
}

/// `director`, or `director1` where there are several; `rs1` always.
fn free_name(role: Role, nth: usize, of: usize, taken: &BTreeSet<NodeName>) -> Option<NodeName> {
    let (stem, numbered) = match role {
        Role::Client => ("client", of > 1),
        Role::Router => ("router", of > 1),
        Role::Director => ("director", of > 1),
        Role::RealServer => ("rs", true),
    };
    let first = if numbered { format!("{stem}{}", nth + 1) } else { stem.to_owned() };
    let more = (of + 1..of + 1000).map(|n| format!("{stem}{n}"));
    std::iter::once(first).chain(more).filter_map(|n| n.parse().ok()).find(|n| !taken.contains(n))
}

/// The services, by the ports that were given or that were handed on or answered.
fn services(
    signs: &Signs,
    known: &Known,
    director: &NodeName,
    stations: &[Station],
    roles: &BTreeMap<Mac, (Role, bool, String)>,
) -> Vec<WantedService> {
    let is = |mac: &Mac, role: Role| roles.get(mac).is_some_and(|r| r.0 == role);
    let mut at: BTreeSet<(Protocol, SocketAddr)> = BTreeSet::new();
    for (vip, port) in &known.vips {
        if let Some(port) = port {
            at.extend([Protocol::Tcp, Protocol::Udp].map(|p| (p, SocketAddr::new(*vip, *port))));
            continue;
        }
        let of_vip = |s: &(Protocol, SocketAddr)| s.1.ip() == *vip;
        let handed = signs.services_handed.iter().filter(|(mac, _)| is(mac, Role::Director)).map(|(_, s)| *s);
        let answered = signs.services_answered.iter().filter(|(mac, _)| is(mac, Role::RealServer)).map(|(_, s)| *s);
        let found: BTreeSet<_> = handed.chain(answered).filter(of_vip).collect();
        let asked =
            signs.services_asked.iter().filter(|(mac, _)| is(mac, Role::Director)).map(|(_, s)| *s).filter(of_vip);
        let asked: BTreeSet<_> = asked.collect();
        let seen = || signs.services_seen.iter().copied().filter(of_vip);
        match (found.is_empty(), asked.is_empty()) {
            (false, _) => at.extend(found),
            (true, false) => at.extend(asked),
            (true, true) => at.extend(seen()),
        }
    }
    let destinations = |port: u16| {
        let servers = stations.iter().filter(|s| s.role == Role::RealServer);
        servers.map(move |s| WantedDestination {
            node: Some(s.node.clone()),
            at: SocketAddr::new(
                s.ports
                    .iter()
                    .flat_map(|p| &p.addresses)
                    .map(IpNet::addr)
                    .next()
                    .unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
                port,
            ),
            forwarding: Forwarding::DirectRouting,
            weight: 1,
        })
    };
    at.into_iter()
        .map(|(protocol, at)| WantedService {
            director: director.clone(),
            id: ServiceId::Address { protocol, at },
            scheduler: String::new(),
            flags: Vec::new(),
            persistence_s: None,
            destinations: destinations(at.port()).collect(),
        })
        .collect()
}
