//! A lab on paper: the textbook topology with facts, frames and results, to be broken in tests as they please.
//!
//! `Lab::ran(20)` is a run in which everything holds; `expect` makes one check of it. What a test breaks it says with
//! [`Exchange`]'s words (one connection that goes another way), with `edit_facts`, or with `edit_frames`.
//!
//! ```text
//!   client ──front── router ──lan─┬─ director   VIP 172.16.0.66 on eth0
//!   203.0.113.2                   ├─ rs1        VIP on lo
//!                                 └─ rs2        VIP on lo
//! ```

mod exchange;
mod facts;
mod packets;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::case::{Station, StationPort, WantedDestination, WantedService};
use super::{Case, CheckResult, Finding, Input, checks, rules};
use crate::base::{Forwarding, Mac, NodeName, Protocol, Role, ServiceId, Verdict};
use crate::facts::NodeFacts;
use crate::facts::run::{CaptureStats, LoadResult, ProbeResult, Ran};
use crate::trace::{Direction, RawFrame, Trace, Vantage};
pub(super) use exchange::{Back, Exchange, There};
pub(super) use facts::{carried, route};
pub(super) use packets::{arp, checksum, neighbour_advertisement, neighbour_solicitation, tcp};

/// The VIP.
pub(super) const VIP: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 66);
/// The VIP and the service's port.
pub(super) const SERVICE: SocketAddr = SocketAddr::new(IpAddr::V4(VIP), 80);
/// The client's address.
pub(super) const CLIENT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

/// Everything that the judge gets, to be changed at will.
#[derive(Debug, Clone)]
pub(super) struct Lab {
    pub(super) case: Case,
    pub(super) before: Vec<NodeFacts>,
    pub(super) after: Vec<NodeFacts>,
    pub(super) ran: Ran,
    pub(super) capture: CaptureStats,
    pub(super) frames: Vec<RawFrame>,
    pub(super) vantages: Vec<Vantage>,
    now_ns: u64,
    next_port: u16,
    next_id: u16,
}

impl Lab {
    /// The topology with its facts, before anything happened.
    pub(super) fn textbook() -> Self {
        let stations = vec![
            station("client", Role::Client, &[("eth0", "front", "203.0.113.2/24", 1)], false),
            station(
                "router",
                Role::Router,
                &[("eth0", "lan", "172.16.255.254/16", 2), ("eth1", "front", "203.0.113.1/24", 3)],
                false,
            ),
            station("director", Role::Director, &[("eth0", "lan", "172.16.251.73/16", 4)], true),
            station("rs1", Role::RealServer, &[("eth0", "lan", "172.16.252.137/16", 5)], false),
            station("rs2", Role::RealServer, &[("eth0", "lan", "172.16.253.202/16", 6)], false),
        ];
        let service = WantedService {
            director: name("director"),
            id: ServiceId::Address { protocol: Protocol::Tcp, at: SERVICE },
            scheduler: "rr".into(),
            flags: Vec::new(),
            persistence_s: None,
            destinations: ["rs1", "rs2"].into_iter().zip(&stations[3..]).map(|(n, s)| destination(n, s)).collect(),
        };
        let mut case = Case { vips: vec![IpAddr::V4(VIP)], stations, services: vec![service], ..Case::default() };
        let vantages: Vec<Vantage> = case
            .stations
            .iter()
            .flat_map(|s| s.ports.iter().map(|p| Vantage { node: s.node.clone(), interface: p.interface.clone() }))
            .collect();
        let before = facts::of(&case);
        case.wanted = before.iter().map(|f| (f.node.clone(), f.statements())).collect();
        Self {
            capture: CaptureStats { frames: 0, dropped: BTreeMap::new(), vantages: Vec::new() },
            ran: Ran {
                stopped: None,
                ended: Vec::new(),
                loads: vec![LoadResult { name: "load".into(), ms: 1.0, requests: Vec::new() }],
                access_logs: BTreeMap::new(),
                probes: Vec::new(),
            },
            after: before.clone(),
            before,
            case,
            frames: Vec::new(),
            vantages,
            now_ns: 1_700_000_000_000_000_000,
            next_port: 40_000,
            next_id: 1,
        }
    }

    /// The topology after a run of so many requests in which everything holds: the router asked, the requests went to
    /// rs2 and rs1 in turn (the kernel's list begins with the last one added), a probe was answered.
    pub(super) fn ran(requests: usize) -> Self {
        let mut lab = Self::textbook();
        lab.ask_and_answer("router", "director");
        for server in ["rs2", "rs1"].into_iter().cycle().take(requests) {
            lab.exchange(&Exchange::with(server));
        }
        lab.probe("router", &["director"]);
        lab
    }

    /// The router (or another) asks who has the VIP, and those answer.
    pub(super) fn ask(&mut self, who: &str, answering: &[&str]) {
        let asker = self.port(who, "lan");
        let address = asker.addresses[0].addr();
        self.broadcast(who, "lan", arp(1, asker.mac, address, Mac([0; 6]), IpAddr::V4(VIP)));
        for node in answering {
            let mac = self.port(node, "lan").mac;
            self.unicast(node, who, "lan", arp(2, mac, IpAddr::V4(VIP), asker.mac, address));
        }
    }

    /// As [`Lab::ask`] with one answer.
    pub(super) fn ask_and_answer(&mut self, who: &str, answering: &str) {
        self.ask(who, &[answering]);
    }

    /// The probe after the load, on the wire and as a result.
    pub(super) fn probe(&mut self, who: &str, answering: &[&str]) {
        self.ask(who, answering);
        let answers = answering.iter().map(|n| self.port(n, "lan").mac).collect();
        self.ran.probes.push(ProbeResult { node: name(who), target: IpAddr::V4(VIP), answers });
    }

    /// Sends a frame's bytes from one node to all others on the segment.
    pub(super) fn broadcast(&mut self, from: &str, segment: &str, mut data: Vec<u8>) {
        data[0..6].copy_from_slice(&[0xff; 6]);
        data[6..12].copy_from_slice(&self.port(from, segment).mac.0);
        self.record(from, segment, Direction::Out, &data);
        let others: Vec<NodeName> = self
            .case
            .stations
            .iter()
            .filter(|s| s.node != from && s.is_on(&name(segment)))
            .map(|s| s.node.clone())
            .collect();
        for node in others {
            self.record(node.as_str(), segment, Direction::In, &data);
        }
    }

    /// Sends a frame's bytes (from the `EtherType` on they are taken as they are) from one node to another.
    pub(super) fn unicast(&mut self, from: &str, to: &str, segment: &str, mut data: Vec<u8>) {
        data[0..6].copy_from_slice(&self.port(to, segment).mac.0);
        data[6..12].copy_from_slice(&self.port(from, segment).mac.0);
        self.record(from, segment, Direction::Out, &data);
        self.record(to, segment, Direction::In, &data);
    }

    /// A frame at a vantage, 10 µs after the one before it.
    pub(super) fn record(&mut self, node: &str, segment: &str, direction: Direction, data: &[u8]) {
        let port = self.port(node, segment);
        let vantage = self.vantages.iter().position(|v| v.node == node && v.interface == port.interface).unwrap();
        self.now_ns += 10_000;
        self.frames.push(RawFrame {
            vantage,
            direction,
            at_ns: self.now_ns,
            length: data.len().try_into().unwrap(),
            data: data.to_vec(),
        });
    }

    /// Lets time pass, in milliseconds.
    pub(super) fn wait_ms(&mut self, ms: u64) {
        self.now_ns += ms * 1_000_000;
    }

    /// A node's interface on a segment.
    pub(super) fn port(&self, node: &str, segment: &str) -> StationPort {
        let station = self.case.station(&name(node)).unwrap();
        station.ports.iter().find(|p| p.segment == segment).unwrap().clone()
    }

    /// Its first address there.
    pub(super) fn address(&self, node: &str, segment: &str) -> IpAddr {
        self.port(node, segment).addresses[0].addr()
    }

    /// Changes a node's facts, before and after.
    pub(super) fn edit_facts(&mut self, node: &str, edit: impl Fn(&mut NodeFacts)) -> &mut Self {
        for facts in self.before.iter_mut().chain(&mut self.after).filter(|f| f.node == node) {
            edit(facts);
        }
        self
    }

    /// Sets a sysctl in a node's facts.
    pub(super) fn sysctl(&mut self, node: &str, key: &str, value: &str) -> &mut Self {
        self.edit_facts(node, |f| {
            f.sysctls.insert(key.into(), value.into());
        })
    }

    /// Changes the bytes of the frames that went that way at a node.
    pub(super) fn edit_frames(&mut self, node: &str, direction: Direction, edit: impl Fn(&mut Vec<u8>)) -> &mut Self {
        let at: Vec<usize> = (0..self.vantages.len()).filter(|&v| self.vantages[v].node == node).collect();
        for frame in self.frames.iter_mut().filter(|f| f.direction == direction && at.contains(&f.vantage)) {
            edit(&mut frame.data);
            frame.length = frame.data.len().try_into().unwrap();
        }
        self
    }

    /// Removes the frames of a node that went that way and carry IP.
    pub(super) fn remove_frames(&mut self, node: &str, direction: Direction) -> &mut Self {
        let vantages = self.vantages.clone();
        let is_ip = |f: &RawFrame| f.data[12..14] == [8, 0];
        self.frames.retain(|f| !(vantages[f.vantage].node == node && f.direction == direction && is_ip(f)));
        self
    }

    /// Where a frame was captured.
    pub(super) fn vantage(&self, at: usize) -> &Vantage {
        &self.vantages[at]
    }

    /// As if the node's interfaces had not been captured.
    pub(super) fn uncaptured(&mut self, node: &str) -> &mut Self {
        let kept: Vec<usize> = (0..self.vantages.len()).filter(|&v| self.vantages[v].node != node).collect();
        self.frames.retain(|f| kept.contains(&f.vantage));
        for frame in &mut self.frames {
            frame.vantage = kept.iter().position(|&v| v == frame.vantage).unwrap();
        }
        self.vantages.retain(|v| v.node != node);
        self
    }

    /// Says that the capture lost frames of a node.
    pub(super) fn lose(&mut self, node: &str) -> &mut Self {
        self.capture.dropped.insert(name(node), 3);
        self
    }

    /// Makes the Director one of its own real servers, added last.
    pub(super) fn serve_on_director(&mut self) {
        let station = self.case.station(&name("director")).unwrap().clone();
        let added = destination("director", &station);
        self.edit_facts("director", |f| {
            let service = &mut f.ipvs.as_mut().unwrap().services[0];
            let mut first = service.destinations[0].clone();
            first.at = added.at;
            first.forwarding = Forwarding::LocalNode;
            service.destinations.insert(0, first);
        });
        self.service().destinations.push(added);
    }

    /// Makes the Director one that balances by other means: its kernel has no table, and what is wanted stays.
    pub(super) fn without_ipvs(&mut self) {
        let mut services = Vec::new();
        for facts in self.before.iter_mut().chain(&mut self.after).filter(|f| f.node == "director") {
            services = facts.ipvs.take().map(|ipvs| ipvs.services).unwrap_or_default();
        }
        self.case.without_ipvs.insert(name("director"), services);
    }

    /// The service that everything is about.
    pub(super) fn service(&mut self) -> &mut WantedService {
        &mut self.case.services[0]
    }

    /// Gives the judge's input to a function.
    pub(super) fn judged<T>(&self, judge: impl FnOnce(&Input<'_>) -> T) -> T {
        let trace = Trace::build(self.vantages.clone(), self.frames.clone());
        judge(&Input {
            case: &self.case,
            trace: &trace,
            before: &self.before,
            after: &self.after,
            ran: &self.ran,
            capture: &self.capture,
        })
    }

    /// Makes one check and insists on its verdict.
    #[track_caller]
    pub(super) fn expect(&self, id: &str, verdict: Verdict) -> CheckResult {
        let result = self.judged(checks::find(id).unwrap().run);
        assert_eq!(result.verdict, verdict, "{result:#?}");
        result
    }

    /// The frames as captures of others have them, point by point, without directions.
    pub(super) fn captures(&self) -> Vec<(Vantage, Vec<RawFrame>)> {
        let of = |at: usize| self.frames.iter().filter(move |f| f.vantage == at).cloned();
        let plain = |frame: RawFrame| RawFrame { direction: Direction::Unknown, ..frame };
        self.vantages.iter().cloned().enumerate().map(|(at, v)| (v, of(at).map(plain).collect())).collect()
    }

    /// Makes all checks and then applies all rules.
    pub(super) fn findings(&self) -> Vec<Finding> {
        self.judged(|input| {
            let results: Vec<CheckResult> = checks::ALL.iter().map(|c| (c.run)(input)).collect();
            rules::findings(input, &results)
        })
    }
}

/// A node's or segment's name.
pub(super) fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn station(node: &str, role: Role, ports: &[(&str, &str, &str, u8)], vip: bool) -> Station {
    let ports = ports.iter().map(|(interface, segment, address, number)| {
        let mut addresses = vec![address.parse().unwrap()];
        if vip {
            addresses.push(format!("{VIP}/32").parse().unwrap());
        }
        StationPort {
            interface: interface.parse().unwrap(),
            segment: name(segment),
            mac: Mac([2, 0xd1, 0, 0, 0, *number]),
            addresses,
        }
    });
    Station { node: name(node), role, runs_on: None, ports: ports.collect() }
}

fn destination(node: &str, station: &Station) -> WantedDestination {
    WantedDestination {
        node: Some(name(node)),
        at: SocketAddr::new(station.ports[0].addresses[0].addr(), 80),
        forwarding: Forwarding::DirectRouting,
        weight: 1,
    }
}
