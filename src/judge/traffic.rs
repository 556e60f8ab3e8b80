//! The trace in the words of a virtual service: requests, replies, connections, and who handed what to whom.
//!
//! Owns: which frame is a hop (a frame that a flooding bridge shows to a bystander is none), which packet belongs to
//! which service, which connection went to which real server. Refuses: verdicts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::Input;
use super::case::{Station, StationPort, WantedService};
use super::host::Host;
use crate::base::{Forwarding, NodeName, Protocol, Role, ServiceId};
use crate::trace::{Direction, Frame, Journey};
use crate::wire::frame::{Ip, Tcp, Transport};
use crate::wire::link::UNKNOWN;

/// Which way a frame passed a station's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Addressed to the interface (or to a group) and taken in.
    Enters,
    /// Sent.
    Leaves,
}

/// One frame of a packet at a station that had to do with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hop<'a> {
    pub(super) frame: &'a Frame,
    pub(super) station: &'a Station,
    pub(super) port: &'a StationPort,
    pub(super) way: Way,
}

impl Hop<'_> {
    /// Where a packet wrapped in another one is sent to.
    pub(super) fn tunnelled_to(&self) -> Option<IpAddr> {
        let outer = self.frame.decoded.ip()?;
        matches!(outer.transport, Transport::Encapsulated(_)).then_some(outer.destination)
    }
}

/// A TCP or UDP packet and its way through the lab.
#[derive(Debug, Clone)]
pub(super) struct Packet<'a> {
    /// The header that holds the ports; the inner one of an encapsulated packet.
    pub(super) ip: &'a Ip,
    /// How many packets it stands for: itself and those that went just like it.
    pub(super) times: u64,
    pub(super) protocol: Protocol,
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    pub(super) hops: Vec<Hop<'a>>,
}

impl<'a> Packet<'a> {
    /// TCP's sequence number, nothing for UDP.
    pub(super) fn sequence(&self) -> Option<u32> {
        self.ip.tcp().map(|t| t.sequence)
    }

    /// The first frame that entered one of those stations.
    pub(super) fn entry(&self, mut whom: impl FnMut(&Station) -> bool) -> Option<Hop<'a>> {
        self.hops.iter().find(|h| h.way == Way::Enters && whom(h.station)).copied()
    }

    /// The first frame that left one of those stations.
    pub(super) fn exit(&self, mut whom: impl FnMut(&Station) -> bool) -> Option<Hop<'a>> {
        self.hops.iter().find(|h| h.way == Way::Leaves && whom(h.station)).copied()
    }
}

/// One new connection as the Director met it.
#[derive(Debug, Clone)]
pub(super) struct Connection<'a> {
    pub(super) service: &'a WantedService,
    pub(super) client: SocketAddr,
    pub(super) target: SocketAddr,
    /// When its first packet entered the Director.
    pub(super) at_ns: u64,
    /// When its first FIN or RST did.
    pub(super) closed_ns: Option<u64>,
    /// Its first packet entering the Director.
    pub(super) entered: Hop<'a>,
    /// The real server that it was sent to; the Director itself where it serves. Nothing where the packet stayed in the
    /// Director or went to one who is no real server of the service.
    pub(super) to: Option<&'a Station>,
}

/// All connections, and those that only used a port again.
#[derive(Debug, Clone, Default)]
pub(super) struct Connections<'a> {
    /// In the order in which their first packets entered the Director.
    pub(super) new: Vec<Connection<'a>>,
    /// Openings that came from a client's port again and went where the port's earlier connection had gone: IPVS
    /// takes them for the old connection (`conn_reuse_mode`, `ip_vs_in_hook`) and schedules none.
    pub(super) reused: u64,
}

/// Packets that a Director made of others, by transport, client's end and sequence number.
pub(super) type Translated<'t, 'a> = BTreeMap<(Protocol, SocketAddr, Option<u32>), &'t Packet<'a>>;

/// Clients' ends of connections, with the service's address that each asked.
pub(super) type Clients<'a> = BTreeMap<(Protocol, SocketAddr), (SocketAddr, &'a WantedService)>;

/// The trace, asked in the words of virtual services.
#[derive(Debug)]
pub(super) struct Traffic<'a> {
    pub(super) input: &'a Input<'a>,
    pub(super) packets: Vec<Packet<'a>>,
    /// Later fragments of packets to a VIP; they have no ports, so they are not followed. First ones are.
    pub(super) fragments: u64,
    directors: BTreeSet<&'a NodeName>,
    servers: BTreeSet<&'a NodeName>,
    /// For each of the case's services, the stations that it may send to.
    members: Vec<Vec<&'a Station>>,
}

impl<'a> Traffic<'a> {
    /// Sorts the trace.
    pub(super) fn new(input: &'a Input<'a>) -> Self {
        let case = input.case;
        let members: Vec<Vec<&Station>> = case.services.iter().map(|s| members(input, s)).collect();
        let directors: BTreeSet<&NodeName> =
            case.with_role(Role::Director).map(|s| &s.node).chain(case.services.iter().map(|s| &s.director)).collect();
        let mut servers: BTreeSet<&NodeName> =
            case.with_role(Role::RealServer).chain(members.iter().flatten().copied()).map(|s| &s.node).collect();
        servers.retain(|node| !directors.contains(node));
        let mut traffic = Self { input, packets: Vec::new(), fragments: 0, directors, servers, members };
        for journey in &input.trace.journeys {
            traffic.take(journey);
        }
        traffic
    }

    fn take(&mut self, journey: &'a Journey) {
        let trace = self.input.trace;
        let frames: Vec<&'a Frame> = journey.hops.iter().filter_map(|&i| trace.frames.get(i)).collect();
        let Some(first) = frames.first() else { return };
        let Some(outer) = first.decoded.ip() else { return };
        if outer.fragment && outer.ports().is_none() && self.input.case.is_vip(outer.destination) {
            self.fragments += 1;
            return;
        }
        let ip = outer.innermost();
        let protocol = match ip.transport {
            Transport::Tcp(_) => Protocol::Tcp,
            Transport::Udp(_) => Protocol::Udp,
            _ => return,
        };
        let Some((from, to)) = ip.ports() else { return };
        self.packets.push(Packet {
            ip,
            times: first.times(),
            protocol,
            source: SocketAddr::new(ip.source, from),
            destination: SocketAddr::new(ip.destination, to),
            hops: match self.input.case.elsewhere {
                None => frames.into_iter().filter_map(|f| self.hop(f)).collect(),
                Some(_) => self.witnessed(&frames),
            },
        });
    }

    /// The frame as a hop, where the station at its vantage took it or sent it.
    pub(super) fn hop(&self, frame: &'a Frame) -> Option<Hop<'a>> {
        let vantage = self.input.trace.vantages.get(frame.vantage)?;
        let station = self.input.case.station(&vantage.node)?;
        let port = station.ports.iter().find(|p| p.interface == vantage.interface)?;
        let to = frame.decoded.destination;
        let way = match frame.direction {
            Direction::Out => Way::Leaves,
            Direction::In if to == port.mac || to.is_group() => Way::Enters,
            Direction::Unknown if to == port.mac => Way::Enters,
            Direction::Unknown if frame.decoded.source == port.mac => Way::Leaves,
            Direction::In | Direction::Unknown => return None,
        };
        Some(Hop { frame, station, port, way })
    }

    /// The hops that frames of one packet tell of wherever they were captured: its sender's and its receiver's. Each
    /// hop counts once, by the frame that tells most of it.
    fn witnessed(&self, frames: &[&'a Frame]) -> Vec<Hop<'a>> {
        let case = self.input.case;
        let mut hops: Vec<Hop<'a>> = Vec::new();
        for &frame in frames {
            let (source, to) = (frame.decoded.source, frame.decoded.destination);
            let mut note = |(station, port): (&'a Station, &'a StationPort), way: Way| {
                let ttl = |f: &Frame| f.decoded.ip().map(|ip| ip.ttl);
                let same = |h: &&mut Hop<'a>| {
                    h.way == way
                        && h.port.mac == port.mac
                        && h.station.node == station.node
                        && ttl(h.frame) == ttl(frame)
                };
                match hops.iter_mut().find(same) {
                    None => hops.push(Hop { frame, station, port, way }),
                    Some(known) if self.tells(frame, station) > self.tells(known.frame, station) => known.frame = frame,
                    Some(_) => {}
                }
            };
            if source != UNKNOWN {
                case.owners(source).into_iter().for_each(|owner| note(owner, Way::Leaves));
            }
            if to != UNKNOWN {
                case.owners(to).into_iter().for_each(|owner| note(owner, Way::Enters));
            } else if frame.direction == Direction::In
                && let Some(elsewhere) = &case.elsewhere
            {
                let own = case.stations.iter().filter(|s| elsewhere.is_own(frame.vantage, &s.node));
                own.filter_map(|s| Some((s, s.ports.first()?))).for_each(|owner| note(owner, Way::Enters));
            }
        }
        hops
    }

    /// How much a frame tells of a station's hop: both addresses, all bytes, captured at the station itself.
    fn tells(&self, frame: &Frame, station: &Station) -> (bool, bool, bool) {
        let own = self.input.case.elsewhere.as_ref().is_some_and(|e| e.is_own(frame.vantage, &station.node));
        (frame.decoded.destination != UNKNOWN, !frame.is_cut(), own)
    }

    /// Whether the hop was captured at its station; in a lab all are.
    pub(super) fn is_own(&self, hop: &Hop<'_>) -> bool {
        let elsewhere = self.input.case.elsewhere.as_ref();
        elsewhere.is_none_or(|e| e.is_own(hop.frame.vantage, &hop.station.node))
    }

    /// The service that balances packets to there.
    pub(super) fn service_at(&self, protocol: Protocol, at: SocketAddr) -> Option<&'a WantedService> {
        let services = &self.input.case.services;
        let by = |wanted: SocketAddr| services.iter().find(|s| s.id == ServiceId::Address { protocol, at: wanted });
        by(at).or_else(|| by(SocketAddr::new(at.ip(), 0))).or_else(|| {
            let loads = &self.input.ran.loads;
            let asked = || loads.iter().flat_map(|l| &l.requests).any(|r| r.protocol == protocol && r.target == at);
            services
                .iter()
                .find(|s| matches!(s.id, ServiceId::Fwmark { v6, .. } if v6 == at.is_ipv6()))
                .filter(|_| self.input.case.is_vip(at.ip()) && asked())
        })
    }

    /// Packets from clients to a service, as they were sent.
    pub(super) fn requests(&self) -> impl Iterator<Item = (&Packet<'a>, &'a WantedService)> {
        let from_client = |p: &&Packet<'a>| !self.input.case.is_vip(p.source.ip());
        self.packets.iter().filter(from_client).filter_map(|p| Some((p, self.service_at(p.protocol, p.destination)?)))
    }

    /// Packets with a service's address as their source.
    pub(super) fn replies(&self) -> impl Iterator<Item = (&Packet<'a>, &'a WantedService)> {
        let to_client = |p: &&Packet<'a>| !self.input.case.is_vip(p.destination.ip());
        self.packets.iter().filter(to_client).filter_map(|p| Some((p, self.service_at(p.protocol, p.source)?)))
    }

    /// The clients' ends of all connections to services, with the services' addresses.
    pub(super) fn clients(&self) -> Clients<'a> {
        self.requests().map(|(p, s)| ((p.protocol, p.source), (p.destination, s))).collect()
    }

    /// For each client's end how many it stands for: itself and those whose packets all went just like its own.
    pub(super) fn times(&self) -> BTreeMap<(Protocol, SocketAddr), u64> {
        self.requests().map(|(p, _)| ((p.protocol, p.source), p.times)).collect()
    }

    /// Whether the station is a Director, by its part or because a service is its.
    pub(super) fn is_director(&self, station: &Station) -> bool {
        self.directors.contains(&station.node)
    }

    /// Whether the station is a real server, by its part or because a service names it, and no Director.
    pub(super) fn is_real_server(&self, station: &Station) -> bool {
        self.servers.contains(&station.node)
    }

    /// The Directors' stations.
    pub(super) fn directors(&self) -> impl Iterator<Item = &'a Station> {
        self.input.case.stations.iter().filter(|s| self.directors.contains(&s.node))
    }

    /// The real servers' stations.
    pub(super) fn real_servers(&self) -> impl Iterator<Item = &'a Station> {
        self.input.case.stations.iter().filter(|s| self.servers.contains(&s.node))
    }

    /// Whether a Director has that address, as planned or as read.
    pub(super) fn is_directors_address(&self, address: IpAddr) -> bool {
        self.directors().any(|director| {
            let read = self.input.facts(&director.node);
            director.has(address) || read.is_some_and(|f| Host(f).carries(address).next().is_some())
        })
    }

    /// The service's VIP; for a firewall mark all VIPs of its family.
    pub(super) fn vips_of(&self, service: &WantedService) -> Vec<IpAddr> {
        match service.id {
            ServiceId::Address { at, .. } => vec![at.ip()],
            ServiceId::Fwmark { v6, .. } => {
                self.input.case.vips.iter().copied().filter(|v| v.is_ipv6() == v6).collect()
            }
        }
    }

    /// Every address that clients have or have used, of the families of the VIPs.
    pub(super) fn client_addresses(&self) -> BTreeSet<IpAddr> {
        let case = self.input.case;
        let planned = case.with_role(Role::Client).flat_map(|s| &s.ports).flat_map(|p| &p.addresses);
        let used = self.input.ran.loads.iter().flat_map(|l| &l.requests).filter_map(|r| r.local);
        let all = planned.map(IpNet::addr).chain(used.map(|l| l.ip()));
        all.filter(|a| !case.is_vip(*a) && case.vips.iter().any(|v| v.is_ipv4() == a.is_ipv4())).collect()
    }

    /// The stations that a service may send to: as wanted, and as the Director's table had it before and after; what
    /// the timeline adds is wanted, too.
    pub(super) fn members(&self, service: &WantedService) -> &[&'a Station] {
        let at = self.input.case.services.iter().position(|s| s.id == service.id);
        at.and_then(|at| self.members.get(at)).map_or(&[], Vec::as_slice)
    }

    /// The real servers that the service sends to after the timeline, by direct routing or tunnel.
    pub(super) fn still_used(&self, service: &WantedService) -> Vec<&'a Station> {
        let ipvs = self.input.facts_after(&service.director).and_then(|f| f.ipvs.as_ref());
        let read = ipvs.into_iter().flat_map(|i| &i.services).filter(|s| s.service == service.id);
        let used = read.flat_map(|s| &s.destinations).filter(|d| d.weight > 0 && d.forwarding != Forwarding::Nat);
        used.filter_map(|d| self.real_servers().find(|s| s.has(d.at.ip()))).collect()
    }

    /// What a Director sent without having got it as it is: in place of a request, the same flow with another
    /// destination (NAT) or other bytes. By transport, client's end and sequence number.
    pub(super) fn translated(&self) -> Translated<'_, 'a> {
        self.packets
            .iter()
            .filter(|p| p.exit(|s| self.is_director(s)).is_some() && p.entry(|s| self.is_director(s)).is_none())
            .map(|p| ((p.protocol, p.source, p.sequence()), p))
            .collect()
    }

    /// Every connection that entered a Director.
    pub(super) fn connections(&self) -> Connections<'a> {
        let translated = self.translated();
        let mut entries: Vec<(Hop<'a>, &Packet<'a>, &'a WantedService)> =
            self.requests().filter_map(|(p, s)| Some((p.entry(|at| self.is_director(at))?, p, s))).collect();
        entries.sort_by_key(|(hop, ..)| (hop.frame.at_ns, hop.frame.number));
        let local = self.served_by_director();
        let mut all = Connections::default();
        let mut latest: BTreeMap<(Protocol, SocketAddr, SocketAddr), (usize, Option<u32>)> = BTreeMap::new();
        for (entered, packet, service) in entries {
            let key = (packet.protocol, packet.source, packet.destination);
            let known = latest.get(&key).copied();
            let ends = packet.ip.tcp().is_some_and(|t| t.flags & (Tcp::FIN | Tcp::RST) != 0);
            if let Some(connection) = known.filter(|_| ends).and_then(|(at, _)| all.new.get_mut(at)) {
                connection.closed_ns.get_or_insert(entered.frame.at_ns);
            }
            let each_packet = packet.protocol == Protocol::Udp && service.flags.iter().any(|f| f == "ops");
            let to = self
                .receiver(packet, service, &translated)
                .or_else(|| local.contains(&(packet.protocol, packet.source)).then_some(entered.station));
            // A datagram that goes elsewhere than the one before it met no entry and was scheduled.
            let went = known.and_then(|(at, _)| all.new.get(at)?.to).map(|s| &s.node);
            let elsewhere = to.is_some() && went.is_some() && went != to.map(|s| &s.node);
            let opens =
                packet.ip.tcp().map_or(known.is_none() || each_packet || elsewhere, crate::wire::frame::Tcp::opens);
            if !opens {
                continue;
            }
            if let (Some((at, sequence)), false) = (known, each_packet) {
                let before = &mut all.new[at];
                if sequence == packet.sequence() && !(packet.protocol == Protocol::Udp && elsewhere) {
                    if before.to.is_none() && to.is_some() && before.entered.station.node != entered.station.node {
                        // A repetition that another Director met: it is the one that scheduled it.
                        (before.entered, before.at_ns) = (entered, entered.frame.at_ns);
                    }
                    before.to = before.to.or(to);
                    continue;
                }
                if to.is_some() && before.to.map(|s| &s.node) == to.map(|s| &s.node) {
                    all.reused += 1;
                    continue;
                }
            }
            latest.insert(key, (all.new.len(), packet.sequence()));
            let (client, target) = (packet.source, packet.destination);
            let at_ns = entered.frame.at_ns;
            all.new.push(Connection { service, client, target, at_ns, closed_ns: None, entered, to });
        }
        all.new.sort_by_key(|connection| connection.at_ns);
        all
    }

    /// Clients' ends that a Director answered itself: replies leave it that had not come in.
    pub(super) fn served_by_director(&self) -> BTreeSet<(Protocol, SocketAddr)> {
        self.replies()
            .filter(|(p, _)| {
                p.exit(|s| self.is_director(s)).is_some_and(|out| out.frame.number == p.hops[0].frame.number)
                    && p.ip.tcp().is_none_or(|t| t.flags & Tcp::RST == 0)
            })
            .filter(|(_, s)| self.members(s).iter().any(|m| self.is_director(m)))
            .map(|(p, _)| (p.protocol, p.destination))
            .collect()
    }

    fn receiver(
        &self,
        packet: &Packet<'a>,
        service: &WantedService,
        translated: &Translated<'_, 'a>,
    ) -> Option<&'a Station> {
        let with = |address: IpAddr| self.input.case.stations.iter().find(|s| s.has(address));
        let of_director = |p: &Packet<'a>| p.exit(|s| self.is_director(s));
        let out = if let Some(out) = of_director(packet) {
            out
        } else {
            let other = translated.get(&(packet.protocol, packet.source, packet.sequence()))?;
            if other.destination != packet.destination {
                return with(other.destination.ip());
            }
            of_director(other)?
        };
        if let Some(rip) = out.tunnelled_to() {
            return with(rip);
        }
        let owners = self.input.case.owners(out.frame.decoded.destination);
        let members = self.members(service);
        owners.iter().map(|o| o.0).find(|s| members.iter().any(|m| m.node == s.node))
    }
}

fn members<'a>(input: &Input<'a>, service: &WantedService) -> Vec<&'a Station> {
    let case = input.case;
    let mut addresses: BTreeSet<IpAddr> = BTreeSet::new();
    let mut nodes: BTreeSet<&NodeName> = BTreeSet::new();
    for wanted in case.services.iter().filter(|s| s.id == service.id) {
        addresses.extend(wanted.destinations.iter().map(|d| d.at.ip()));
        nodes.extend(wanted.destinations.iter().filter_map(|d| d.node.as_ref()));
    }
    for facts in input.before.iter().chain(input.after) {
        let services = facts.ipvs.iter().flat_map(|i| &i.services).filter(|s| s.service == service.id);
        addresses.extend(services.flat_map(|s| &s.destinations).map(|d| d.at.ip()));
    }
    let may = |s: &&Station| nodes.contains(&s.node) || addresses.iter().any(|&a| s.has(a));
    case.stations.iter().filter(may).collect()
}
