//! What became of connections that were open to a real server when it was taken out of service: those that ended by
//! themselves, and after how long; those that were cut.
//!
//! Owns: reading that out of frames, from the moment that the timeline tells. Refuses: verdicts, and withdrawals that no act of
//! the timeline made or waited for. A connection is cut where it is reset, or where a client's data has no answer any more;
//! one that is idle and then closed by its client has lost nothing. Errs towards still open: what the capture does not show
//! to have ended has not.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::Input;
use super::case::Station;
use super::traffic::{Packet, Traffic};
use crate::base::{NodeName, Protocol, ServiceId};
use crate::facts::run::{Acted, Listing, TableChange};
use crate::wire::frame::Tcp;

/// A real server that was taken out of service, and the connections that were open to it then. Times are milliseconds from
/// that moment where nothing else is said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drain {
    /// The real server.
    pub real_server: NodeName,
    /// The Director whose table it was.
    pub director: NodeName,
    /// `draining` with weight 0, or `gone` from the table.
    pub how: Listing,
    /// When it was seen, in milliseconds from the capture's first frame.
    pub at_ms: f64,
    /// After how long it was in service again, where the timeline tells.
    pub back_ms: Option<f64>,
    /// Connections that were open to it.
    pub open: u64,
    /// Those that came to their end, by a FIN of either side.
    pub ended: u64,
    /// Those that were reset.
    pub reset: u64,
    /// Those whose client sent data that had no answer any more.
    pub unanswered: u64,
    /// Those that had not ended by the capture's end.
    pub still_open: u64,
    /// How long half of those that ended lasted at most.
    pub half_ms: Option<f64>,
    /// How long the longest of those that ended lasted.
    pub longest_ms: Option<f64>,
    /// Connections that came to it nevertheless while it was out of service.
    pub new: u64,
}

impl Drain {
    /// Those that were cut.
    pub fn cut(&self) -> u64 {
        self.reset + self.unanswered
    }
}

/// Reads what each withdrawal of the timeline came to; `acts` as they were done.
pub fn drains(input: &Input<'_>, acts: &[Acted]) -> Vec<Drain> {
    let changes = acts.iter().filter_map(|act| Some((end_ns(act), act.table.as_deref()?)));
    let mut changes: Vec<(u64, &TableChange)> = changes.collect();
    changes.sort_by_key(|(at, _)| *at);
    let Some(begin_ns) = input.trace.frames.first().map(|f| f.at_ns).filter(|_| !changes.is_empty()) else {
        return Vec::new();
    };
    let traffic = Traffic::new(input);
    let flows = flows(&traffic);
    let mut told: Vec<Drain> = Vec::new();
    for (at, &(at_ns, change)) in changes.iter().enumerate() {
        let of_same = |other: &TableChange| concerns_same(change, other);
        let before = changes.iter().take(at).rfind(|(_, c)| of_same(c)).map_or(Listing::Taking, |(_, c)| c.now);
        let Some(server) = input.case.stations.iter().find(|s| change.addresses.iter().any(|a| s.has(*a))) else {
            continue;
        };
        // One that was waited for after it was made is one withdrawal.
        if change.now == Listing::Taking || before == change.now {
            continue;
        }
        let back_ns = changes.iter().skip(at + 1).find(|(_, c)| of_same(c) && c.now != change.now).map(|(at, _)| *at);
        let when = (at_ns, back_ns.unwrap_or(u64::MAX));
        let mut drain = Drain {
            real_server: server.node.clone(),
            director: change.director.clone(),
            how: change.now,
            at_ms: ms(begin_ns, at_ns),
            back_ms: back_ns.map(|back| ms(at_ns, back)),
            open: 0,
            ended: 0,
            reset: 0,
            unanswered: 0,
            still_open: 0,
            half_ms: None,
            longest_ms: None,
            new: 0,
        };
        let of_service = |flow: &&Flow<'_>| change.service.is_none_or(|service| flow.service == service);
        fill(&mut drain, flows.values().filter(|flow| flow.to.node == server.node).filter(of_service), when);
        told.push(drain);
    }
    told
}

fn concerns_same(one: &TableChange, other: &TableChange) -> bool {
    let services = one.service.zip(other.service).is_none_or(|(one, other)| one == other);
    one.director == other.director && services && one.addresses.iter().any(|a| other.addresses.contains(a))
}

/// Counts what became of a real server's connections.
fn fill<'t, 'a: 't>(drain: &mut Drain, flows: impl Iterator<Item = &'t Flow<'a>>, (at_ns, back_ns): (u64, u64)) {
    let mut lasted: Vec<f64> = Vec::new();
    for flow in flows {
        if flow.opened_ns > at_ns {
            drain.new += u64::from(flow.opened_ns < back_ns);
            continue;
        }
        let over = [flow.closed_ns, flow.reset_ns].into_iter().flatten().any(|end| end <= at_ns);
        if over {
            continue;
        }
        drain.open += 1;
        match flow.fate() {
            Fate::Ended(end) => {
                drain.ended += 1;
                lasted.push(ms(at_ns, end));
            }
            Fate::Reset => drain.reset += 1,
            Fate::Unanswered => drain.unanswered += 1,
            Fate::Open => drain.still_open += 1,
        }
    }
    lasted.sort_by(f64::total_cmp);
    drain.half_ms = lasted.get(lasted.len().saturating_sub(1) / 2).copied();
    drain.longest_ms = lasted.last().copied();
}

/// A TCP connection to a service as the capture has it.
#[derive(Debug)]
struct Flow<'a> {
    to: &'a Station,
    service: ServiceId,
    opened_ns: u64,
    /// The first FIN of either side.
    closed_ns: Option<u64>,
    reset_ns: Option<u64>,
    /// The client's last segment with data, as it was first sent.
    asked_ns: Option<u64>,
    /// The real server's last segment.
    answered_ns: Option<u64>,
}

enum Fate {
    Ended(u64),
    Reset,
    Unanswered,
    Open,
}

impl Flow<'_> {
    fn fate(&self) -> Fate {
        let unanswered = self.asked_ns.is_some_and(|asked| self.answered_ns.is_none_or(|answered| answered < asked));
        match (self.reset_ns, self.closed_ns) {
            (Some(reset), closed) if closed.is_none_or(|closed| reset < closed) => Fate::Reset,
            _ if unanswered => Fate::Unanswered,
            (_, Some(closed)) => Fate::Ended(closed),
            _ => Fate::Open,
        }
    }
}

type Ends = (SocketAddr, SocketAddr);

/// Every TCP connection that a Director gave to a real server, by its ends; of a port that came again the last one.
fn flows<'a>(traffic: &Traffic<'a>) -> BTreeMap<Ends, Flow<'a>> {
    let mut flows: BTreeMap<Ends, Flow<'a>> = BTreeMap::new();
    for connection in traffic.connections().new {
        if let Some(to) = connection.to {
            let flow = Flow {
                to,
                service: connection.service.id,
                opened_ns: connection.at_ns,
                closed_ns: None,
                reset_ns: None,
                asked_ns: None,
                answered_ns: None,
            };
            flows.insert((connection.client, connection.target), flow);
        }
    }
    for (packet, _) in traffic.requests() {
        note(&mut flows, (packet.source, packet.destination), packet, true);
    }
    for (packet, _) in traffic.replies() {
        note(&mut flows, (packet.destination, packet.source), packet, false);
    }
    flows
}

fn note(flows: &mut BTreeMap<Ends, Flow<'_>>, ends: Ends, packet: &Packet<'_>, asks: bool) {
    let (Some(flow), Some(tcp)) = (flows.get_mut(&ends), packet.ip.tcp()) else { return };
    let Some(at_ns) = packet.hops.iter().map(|hop| hop.frame.at_ns).min() else { return };
    // What came before the SYN is of the port's connection before.
    if packet.protocol != Protocol::Tcp || (asks && at_ns > flow.opened_ns && tcp.opens()) {
        return;
    }
    let earliest = |known: Option<u64>| Some(known.map_or(at_ns, |known| known.min(at_ns)));
    let latest = |known: Option<u64>| Some(known.map_or(at_ns, |known| known.max(at_ns)));
    if tcp.flags & Tcp::RST != 0 {
        flow.reset_ns = earliest(flow.reset_ns);
    } else if tcp.flags & Tcp::FIN != 0 {
        flow.closed_ns = earliest(flow.closed_ns);
    }
    match asks {
        true if tcp.payload > 0 => flow.asked_ns = latest(flow.asked_ns),
        true => {}
        false => flow.answered_ns = latest(flow.answered_ns),
    }
}

/// When an act was done.
fn end_ns(act: &Acted) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an act takes minutes at most")]
    let took_ns = (act.ms.max(0.0) * 1e6) as u64;
    act.at_ns + took_ns
}

fn ms(from_ns: u64, to_ns: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a run are few")]
    let us = (to_ns.saturating_sub(from_ns) / 1000) as f64;
    us / 1e3
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use super::{Drain, drains};
    use crate::facts::run::{Acted, Listing, TableChange};
    use crate::judge::testlab::{CLIENT, Exchange, Lab, SERVICE, name, tcp};

    const RST: u8 = 4;
    const FIN: u8 = 17;
    const PSH: u8 = 24;

    fn act(at_ns: u64, now: Listing) -> Acted {
        let addresses = vec!["172.16.252.137".parse().unwrap()];
        let table = Some(Box::new(TableChange { director: name("director"), service: None, addresses, now }));
        Acted { label: "weight of rs1".into(), at_ns, ms: 1.0, outcome: String::new(), table }
    }

    fn end(port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(CLIENT), port)
    }

    /// Two connections to rs1 that stay open and one that has ended, one to rs2; then rs1 is taken out.
    fn withdrawn() -> (Lab, u64) {
        let mut lab = Lab::textbook();
        lab.exchange(&Exchange::with("rs1").from(end(50_001)).left_open());
        lab.exchange(&Exchange::with("rs1").from(end(50_002)).left_open());
        lab.exchange(&Exchange::with("rs1").from(end(50_003)));
        lab.exchange(&Exchange::with("rs2").from(end(50_004)).left_open());
        lab.wait_ms(100);
        let at_ns = lab.frames.last().unwrap().at_ns + 50_000_000;
        (lab, at_ns)
    }

    /// A segment of the client's, as far as rs1.
    fn sends(lab: &mut Lab, port: u16, flags: u8, payload: &'static [u8]) {
        let data = tcp(end(port), SERVICE, 700 + port % 100, 19, flags, payload);
        lab.unicast("client", "router", "front", data.clone());
        lab.unicast("router", "director", "lan", data.clone());
        lab.unicast("director", "rs1", "lan", data);
    }

    fn answers(lab: &mut Lab, port: u16, flags: u8) {
        let data = tcp(SERVICE, end(port), 800 + port % 100, 27, flags, b"");
        lab.unicast("rs1", "router", "lan", data);
    }

    fn one(lab: &Lab, acts: &[Acted]) -> Drain {
        let told = lab.judged(|input| drains(input, acts));
        assert_eq!(told.len(), 1, "{told:#?}");
        told.into_iter().next().unwrap()
    }

    #[test]
    fn open_connections_are_counted_and_those_that_end_are_timed() {
        let (mut lab, at_ns) = withdrawn();
        sends(&mut lab, 50_001, FIN, b"");
        answers(&mut lab, 50_001, FIN);
        let drain = one(&lab, &[act(at_ns, Listing::Draining)]);
        assert_eq!((drain.open, drain.ended, drain.cut(), drain.still_open), (2, 1, 0, 1), "{drain:#?}");
        assert_eq!((drain.real_server.as_str(), drain.how), ("rs1", Listing::Draining));
        let longest = drain.longest_ms.unwrap();
        assert!((40.0..80.0).contains(&longest) && drain.half_ms == drain.longest_ms, "{drain:#?}");
    }

    #[test]
    fn a_reset_and_data_without_an_answer_are_cuts_and_a_fin_while_idle_is_none() {
        let (mut lab, at_ns) = withdrawn();
        answers(&mut lab, 50_001, RST);
        sends(&mut lab, 50_002, PSH, b"GET / HTTP/1.1\r\n\r\n");
        let drain = one(&lab, &[act(at_ns, Listing::Gone)]);
        assert_eq!((drain.open, drain.reset, drain.unanswered, drain.ended), (2, 1, 1, 0), "{drain:#?}");
        let (mut lab, at_ns) = withdrawn();
        sends(&mut lab, 50_001, FIN, b"");
        let drain = one(&lab, &[act(at_ns, Listing::Gone)]);
        assert_eq!((drain.ended, drain.cut()), (1, 0), "{drain:#?}");
    }

    #[test]
    fn what_came_before_it_or_to_another_is_no_part_of_it_and_what_comes_after_it_is_new() {
        let (mut lab, at_ns) = withdrawn();
        lab.exchange(&Exchange::with("rs1").from(end(50_005)).left_open());
        let drain = one(&lab, &[act(at_ns, Listing::Draining)]);
        assert_eq!((drain.open, drain.still_open, drain.new), (2, 2, 1), "{drain:#?}");
        let back = [act(at_ns, Listing::Draining), act(at_ns + 1_000_000, Listing::Taking)];
        assert_eq!(one(&lab, &back).new, 0);
    }

    #[test]
    fn a_withdrawal_that_is_waited_for_after_it_was_made_counts_once_and_no_withdrawal_not_at_all() {
        let (lab, at_ns) = withdrawn();
        one(&lab, &[act(at_ns, Listing::Draining), act(at_ns + 9_000_000, Listing::Draining)]);
        assert_eq!(lab.judged(|input| drains(input, &[act(at_ns, Listing::Taking)])), []);
        assert_eq!(lab.judged(|input| drains(input, &[])), []);
    }
}
