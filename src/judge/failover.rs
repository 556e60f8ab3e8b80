//! Who had a VIP when, where several Directors can have it, and what it cost that it came to another one.
//!
//! Owns: reading takeovers out of frames and of what clients met. Refuses: verdicts. A Director has the VIP from when it
//! announces it or hands on a packet to it. One that another has announced itself over does not get it back by what is
//! still sent to it: those packets are late. What no frame tells, as a VIP that moves while nobody asks, is not told here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::case::Station;
use super::census::{Said, words};
use super::traffic::{Packet, Traffic};
use super::{FrameRef, Input};
use crate::base::{NodeName, Protocol, Role};
use crate::facts::run::Outcome;
use crate::trace::{Direction, Frame};
use crate::wire::frame::{Tcp, Transport};

/// VRRP's protocol number (RFC 5798).
const VRRP: u8 = 112;

/// Who had the VIPs when. All times are milliseconds from the capture's first frame.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Failover {
    /// Each time that a Director had a VIP, in the order of time.
    pub held: Vec<Held>,
    /// Each time that a VIP came to another Director.
    pub moves: Vec<Moved>,
    /// Who sent VRRP advertisements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adverts: Vec<Adverts>,
}

/// One Director's time with a VIP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The VIP.
    pub vip: IpAddr,
    /// Who had it.
    pub director: NodeName,
    /// Since when.
    pub from_ms: f64,
    /// Until another had it; nothing where it was the last.
    pub until_ms: Option<f64>,
    /// Gratuitous announcements meanwhile.
    pub announced: u64,
    /// Packets for the VIP that it handed on meanwhile.
    pub handed_on: u64,
}

/// A VIP's move to another Director.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// The VIP.
    pub vip: IpAddr,
    /// Who had it before.
    pub from: NodeName,
    /// Who had it then.
    pub to: NodeName,
    /// When the new one first announced it or handed on a packet.
    pub at_ms: f64,
    /// The frame that shows it.
    pub shown: FrameRef,
    /// Whether it was announced.
    pub announced: bool,
    /// Between the last packet that the old one handed on and the first that the new one did.
    pub silence_ms: Option<f64>,
    /// What clients met.
    pub clients: Option<ClientsGap>,
    /// What became of connections that were opened by way of the old one and went on by way of the new one.
    pub connections: Carried,
    /// Who still sent to the old one after the new one had announced itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<Late>,
}

/// A takeover as clients met it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientsGap {
    /// Between the last right answer before and the first one after.
    pub gap_ms: f64,
    /// Requests that failed meanwhile.
    pub failed: u64,
}

/// Connections that were open when a VIP moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Those that went on.
    pub kept: u64,
    /// Those that were reset.
    pub reset: u64,
    /// Those that got no answer any more.
    pub unanswered: u64,
}

/// Packets for a VIP that went to a Director after another had announced it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Late {
    /// Who sent them.
    pub sender: NodeName,
    /// How many.
    pub packets: u64,
    /// For how long after the announcement.
    pub for_ms: f64,
}

/// A Director's VRRP advertisements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Adverts {
    /// Who sent them.
    pub director: NodeName,
    /// How many.
    pub count: u64,
    /// The first.
    pub first_ms: f64,
    /// The last.
    pub last_ms: f64,
}

/// Reads takeovers; nothing where there is one Director, or where the VIP stayed and nobody advertised.
pub fn failover(input: &Input<'_>) -> Option<Failover> {
    if input.case.elsewhere.is_some() || input.case.with_role(Role::Director).count() < 2 {
        return None;
    }
    let traffic = Traffic::new(input);
    let clock = Clock { begin_ns: input.trace.frames.first()?.at_ns };
    let mut told = Failover { adverts: adverts(input, clock), ..Failover::default() };
    for &vip in &input.case.vips {
        of_vip(&traffic, clock, vip, &mut told);
    }
    (!told.moves.is_empty() || !told.adverts.is_empty()).then_some(told)
}

/// Times from the capture's first frame.
#[derive(Debug, Clone, Copy)]
struct Clock {
    begin_ns: u64,
}

impl Clock {
    fn ms(self, at_ns: u64) -> f64 {
        between_ms(self.begin_ns, at_ns)
    }
}

fn between_ms(from_ns: u64, to_ns: u64) -> f64 {
    // Whole microseconds fit a double's 53 bits for centuries.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a run are few")]
    let us = (to_ns.saturating_sub(from_ns) / 1000) as f64;
    us / 1e3
}

/// Who sent VRRP advertisements, and when.
pub(super) fn advertised(input: &Input<'_>) -> Vec<Adverts> {
    let begin_ns = input.trace.frames.first().map_or(0, |frame| frame.at_ns);
    adverts(input, Clock { begin_ns })
}

fn adverts(input: &Input<'_>, clock: Clock) -> Vec<Adverts> {
    let mut all: BTreeMap<&NodeName, Adverts> = BTreeMap::new();
    for frame in input.trace.frames.iter().filter(|f| f.direction == Direction::Out) {
        let advert = frame.ip().is_some_and(|ip| matches!(ip.transport, Transport::Other(VRRP)));
        let Some(vantage) = input.trace.vantages.get(frame.vantage).filter(|_| advert) else { continue };
        let at_ms = clock.ms(frame.at_ns);
        let entry = all.entry(&vantage.node).or_insert_with(|| Adverts {
            director: vantage.node.clone(),
            count: 0,
            first_ms: at_ms,
            last_ms: at_ms,
        });
        entry.count += 1;
        entry.last_ms = at_ms;
    }
    all.into_values().collect()
}

/// Something that shows who has a VIP.
#[derive(Debug, Clone, Copy)]
struct Sign<'a> {
    director: &'a Station,
    announced: bool,
    frame: &'a Frame,
}

fn of_vip(traffic: &Traffic<'_>, clock: Clock, vip: IpAddr, told: &mut Failover) {
    let signs = signs(traffic, vip);
    let mut superseded: BTreeSet<&NodeName> = BTreeSet::new();
    let mut turns: Vec<(Sign<'_>, Held)> = Vec::new();
    for sign in &signs {
        let at_ms = clock.ms(sign.frame.at_ns);
        let node = &sign.director.node;
        if let Some((first, held)) = turns.last_mut() {
            if first.director.node == *node {
                held.announced += u64::from(sign.announced);
                held.handed_on += u64::from(!sign.announced);
                continue;
            }
            if !sign.announced && superseded.contains(node) {
                continue;
            }
            held.until_ms = Some(at_ms);
            superseded.remove(node);
            if sign.announced {
                superseded.insert(&first.director.node);
            }
        }
        let (announced, handed_on) = (u64::from(sign.announced), u64::from(!sign.announced));
        let held = Held { vip, director: node.clone(), from_ms: at_ms, until_ms: None, announced, handed_on };
        turns.push((*sign, held));
    }
    for (at, pair) in turns.windows(2).enumerate() {
        let [(from, _), (to, _)] = pair else { continue };
        let until_ns = turns.get(at + 2).map_or(u64::MAX, |(next, _)| next.frame.at_ns);
        told.moves.push(moved(traffic, clock, vip, (from, to), until_ns));
    }
    told.held.extend(turns.into_iter().map(|(_, held)| held));
}

/// Announcements of Directors and packets that they handed on, in the order of time.
fn signs<'a>(traffic: &'a Traffic<'a>, vip: IpAddr) -> Vec<Sign<'a>> {
    let announced = words(traffic.input).into_iter().filter(|word| word.said == Said::Announced && word.vip == vip);
    let announced = announced.filter_map(|word| {
        let director = word.speaker.filter(|station| traffic.is_director(station))?;
        Some(Sign { director, announced: true, frame: word.frame })
    });
    let handed = to_vip(traffic, vip).filter_map(|packet| {
        let (director, frame) = handed_on(traffic, packet)?;
        Some(Sign { director, announced: false, frame })
    });
    let mut signs: Vec<Sign<'_>> = announced.chain(handed).collect();
    signs.sort_by_key(|sign| (sign.frame.at_ns, sign.frame.number));
    signs
}

/// What clients sent to a VIP.
fn to_vip<'t, 'a>(traffic: &'t Traffic<'a>, vip: IpAddr) -> impl Iterator<Item = &'t Packet<'a>> {
    traffic.requests().map(|(packet, _)| packet).filter(move |packet| packet.destination.ip() == vip)
}

/// The Director that took a packet in and sent it on, with the frame that it sent.
fn handed_on<'a>(traffic: &Traffic<'a>, packet: &Packet<'a>) -> Option<(&'a Station, &'a Frame)> {
    let entered = packet.entry(|station| traffic.is_director(station))?;
    let left = packet.exit(|station| station.node == entered.station.node)?;
    Some((entered.station, left.frame))
}

/// A move from one Director's turn to another's, which ends at `until_ns`.
fn moved(
    traffic: &Traffic<'_>,
    clock: Clock,
    vip: IpAddr,
    (before, sign): (&Sign<'_>, &Sign<'_>),
    until_ns: u64,
) -> Moved {
    let input = traffic.input;
    let (from, to) = (before.director, sign.director);
    let at_ns = sign.frame.at_ns;
    let handed = |by: &Station| {
        let node = by.node.clone();
        to_vip(traffic, vip)
            .filter_map(|packet| handed_on(traffic, packet))
            .filter(move |(director, _)| director.node == node)
            .map(|(_, frame)| frame.at_ns)
    };
    let first = handed(to).filter(|at| (at_ns..until_ns).contains(at)).min();
    let last = handed(from).filter(|at| (before.frame.at_ns..first.unwrap_or(until_ns)).contains(at)).max();
    Moved {
        vip,
        from: from.node.clone(),
        to: to.node.clone(),
        at_ms: clock.ms(at_ns),
        shown: FrameRef {
            vantage: input.trace.vantages.get(sign.frame.vantage).map(ToString::to_string).unwrap_or_default(),
            frame: sign.frame.number,
        },
        announced: sign.announced,
        silence_ms: last.zip(first).map(|(last, first)| between_ms(last, first)),
        clients: clients(input, vip, first.unwrap_or(at_ns)),
        connections: carried(traffic, vip, (from, to), at_ns),
        late: if sign.announced { late(traffic, vip, from, (at_ns, until_ns)) } else { Vec::new() },
    }
}

/// The answers around the moment at which the new Director began.
fn clients(input: &Input<'_>, vip: IpAddr, began_ns: u64) -> Option<ClientsGap> {
    let all = || input.ran.loads.iter().flat_map(|load| &load.requests).filter(|one| one.target.ip() == vip);
    let end = |one: &crate::facts::run::RequestResult| one.start_ns + one.latency_us * 1000;
    let right = || all().filter(|one| matches!(one.outcome, Outcome::Answered { whole: true, .. })).map(end);
    let before = right().filter(|at| *at <= began_ns).max()?;
    let after = right().filter(|at| *at > began_ns).min()?;
    let failed = all().filter(|one| matches!(one.outcome, Outcome::Failed { .. }));
    let meanwhile = failed.filter(|one| end(one) > before && one.start_ns < after);
    Some(ClientsGap { gap_ms: between_ms(before, after), failed: meanwhile.count() as u64 })
}

/// What became of connections that sent data by way of both.
fn carried(traffic: &Traffic<'_>, vip: IpAddr, (from, to): (&Station, &Station), at_ns: u64) -> Carried {
    let mut old: BTreeSet<(SocketAddr, SocketAddr)> = BTreeSet::new();
    let mut crossed: BTreeMap<(SocketAddr, SocketAddr), u64> = BTreeMap::new();
    for packet in to_vip(traffic, vip).filter(|packet| packet.protocol == Protocol::Tcp) {
        let (Some(tcp), Some(entered)) = (packet.ip.tcp(), packet.entry(|station| traffic.is_director(station))) else {
            continue;
        };
        let flow = (packet.source, packet.destination);
        let then = entered.frame.at_ns;
        if entered.station.node == from.node && then < at_ns {
            old.insert(flow);
        } else if entered.station.node == to.node && then >= at_ns {
            if tcp.opens() {
                old.remove(&flow);
            } else if tcp.payload > 0 && old.contains(&flow) {
                crossed.entry(flow).or_insert(then);
            }
        }
    }
    let mut carried = Carried::default();
    for ((client, service), then) in crossed {
        let mut answers = traffic.replies().map(|(packet, _)| packet).filter(|packet| {
            packet.source == service
                && packet.destination == client
                && packet.hops.first().is_some_and(|hop| hop.frame.at_ns > then)
        });
        let first = answers.find_map(|packet| packet.ip.tcp());
        match first {
            None => carried.unanswered += 1,
            Some(tcp) if tcp.flags & Tcp::RST != 0 => carried.reset += 1,
            Some(_) => carried.kept += 1,
        }
    }
    carried
}

fn late(traffic: &Traffic<'_>, vip: IpAddr, from: &Station, (at_ns, until_ns): (u64, u64)) -> Vec<Late> {
    let mut all: BTreeMap<NodeName, Late> = BTreeMap::new();
    for packet in to_vip(traffic, vip) {
        let Some(entered) = packet.entry(|station| station.node == from.node) else { continue };
        if entered.frame.at_ns <= at_ns || entered.frame.at_ns >= until_ns {
            continue;
        }
        let owner = traffic.input.case.owner_of(entered.frame.decoded.source);
        let Some((sender, _)) = owner else { continue };
        let entry = all.entry(sender.node.clone()).or_insert_with(|| Late {
            sender: sender.node.clone(),
            packets: 0,
            for_ms: 0.0,
        });
        entry.packets += 1;
        entry.for_ms = between_ms(at_ns, entered.frame.at_ns);
    }
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::{Failover, failover};
    use crate::base::Mac;
    use crate::judge::testlab::{Exchange, Lab, VIP, arp, name};
    use crate::trace::Vantage;

    const OTHER: Mac = Mac([2, 0xd1, 0, 0, 0, 9]);

    /// A run of two requests with a second Director that has done nothing yet.
    fn two() -> Lab {
        let mut lab = Lab::textbook();
        let mut station = lab.case.station(&name("director")).unwrap().clone();
        station.node = name("lb2");
        station.ports[0].mac = OTHER;
        station.ports[0].addresses = vec!["172.16.251.74/16".parse().unwrap()];
        lab.vantages.push(Vantage { node: name("lb2"), interface: "eth0".parse().unwrap() });
        lab.case.stations.push(station);
        for server in ["rs1", "rs2"] {
            lab.exchange(&Exchange::with(server));
        }
        lab
    }

    fn announce(lab: &mut Lab, node: &str) {
        let mac = lab.port(node, "lan").mac;
        lab.broadcast(node, "lan", arp(1, mac, VIP.into(), Mac([0; 6]), VIP.into()));
    }

    fn told(lab: &Lab) -> Option<Failover> {
        lab.judged(failover)
    }

    #[test]
    fn one_director_has_nobody_to_take_over() {
        assert_eq!(told(&Lab::ran(2)), None);
    }

    #[test]
    fn a_vip_that_stays_is_no_takeover() {
        assert_eq!(told(&two()), None);
        let mut lab = two();
        announce(&mut lab, "director");
        assert_eq!(told(&lab), None);
    }

    #[test]
    fn an_announcement_moves_the_vip_and_what_comes_to_the_old_one_after_it_is_late() {
        let mut lab = two();
        lab.wait_ms(500);
        announce(&mut lab, "lb2");
        lab.exchange(&Exchange::with("rs1"));
        let told = told(&lab).unwrap();
        let holders: Vec<_> = told.held.iter().map(|held| held.director.as_str()).collect();
        assert_eq!(holders, ["director", "lb2"]);
        assert_eq!(told.held[0].until_ms, Some(told.held[1].from_ms));
        let [moved] = told.moves.as_slice() else { panic!("{told:#?}") };
        assert!(moved.announced && moved.at_ms > 500.0, "{moved:#?}");
        assert_eq!(moved.silence_ms, None);
        assert_eq!((moved.late[0].sender.as_str(), moved.late[0].packets), ("router", 4));
        assert_eq!(moved.connections.kept + moved.connections.reset, 0);
    }

    #[test]
    fn who_announces_again_has_it_again() {
        let mut lab = two();
        announce(&mut lab, "lb2");
        announce(&mut lab, "director");
        lab.exchange(&Exchange::with("rs1"));
        let told = told(&lab).unwrap();
        assert_eq!(told.moves.len(), 2);
        assert!(told.moves[1].late.is_empty(), "{told:#?}");
        assert_eq!(told.held.last().unwrap().director, "director");
    }
}
