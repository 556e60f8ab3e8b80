//! One typical request, hop by hop, and its answer: what a reader looks at first.
//!
//! Owns: choosing the request and naming what changed from rung to rung. Refuses: verdicts.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::traffic::{Hop, Packet, Traffic, Way};
use super::{FrameRef, Input};
use crate::base::Protocol;
use crate::facts::run::Outcome;
use crate::wire::compare::{Field, difference};
use crate::wire::frame::{Ip, Tcp, Transport};

/// One hop of the ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LadderRung {
    /// The frame.
    #[serde(flatten)]
    pub frame: FrameRef,
    /// Microseconds since the ladder's first frame.
    pub at_us: u64,
    /// `out` or `in`.
    pub direction: String,
    /// Source and destination MAC with their owners, as `02:d1:… (director:eth0)`.
    pub macs: (String, String),
    /// The packet in a few words, as `SYN 203.0.113.2:40000 > 172.16.0.66:80`.
    pub packet: String,
    /// TTL or hop limit.
    pub ttl: u8,
    /// What differs from the rung before, as `source MAC`, `TTL 63→62`, with the byte offsets in the frame.
    pub changed: Vec<String>,
}

/// The first answered request's packet with a payload (else its first packet, else the first request of all), then
/// the first answer to it, at every station that sent or took it.
pub fn ladder(input: &Input<'_>) -> Vec<LadderRung> {
    let traffic = Traffic::new(input);
    let Some(request) = typical(&traffic) else { return Vec::new() };
    let answer = answer(&traffic, request);
    let mut rungs = Vec::new();
    let start = request.hops.first().map_or(0, |h| h.frame.at_ns);
    for packet in std::iter::once(request).chain(answer) {
        let mut before: Option<&Hop<'_>> = None;
        for hop in &packet.hops {
            rungs.push(rung(input, packet, hop, before, start));
            before = Some(hop);
        }
    }
    rungs
}

/// Bytes of payload.
fn payload(ip: &Ip) -> u32 {
    match &ip.transport {
        Transport::Tcp(tcp) => tcp.payload,
        Transport::Udp(udp) => udp.payload,
        _ => 0,
    }
}

fn typical<'t, 'a>(traffic: &'t Traffic<'a>) -> Option<&'t Packet<'a>> {
    let requests = || traffic.input.ran.loads.iter().flat_map(|l| &l.requests);
    let answered = requests().find(|r| r.local.is_some() && matches!(r.outcome, Outcome::Answered { .. }));
    let of = |protocol: Protocol, local: SocketAddr| {
        let own = move |p: &&Packet<'_>| p.protocol == protocol && p.source == local && !p.hops.is_empty();
        let packets = || traffic.requests().map(|(p, _)| p).filter(own);
        packets().find(|p| payload(p.ip) > 0).or_else(|| packets().next())
    };
    let known = answered.or_else(|| requests().find(|r| r.local.is_some()));
    let found = known.and_then(|r| of(r.protocol, r.local?));
    found.or_else(|| traffic.requests().map(|(p, _)| p).find(|p| !p.hops.is_empty()))
}

/// The first packet back that says something, after the request; from the service or, with NAT, from the RIP.
fn answer<'t, 'a>(traffic: &'t Traffic<'a>, request: &Packet<'a>) -> Option<&'t Packet<'a>> {
    let since = request.hops.first()?.frame.at_ns;
    let back = |p: &&Packet<'_>| {
        p.protocol == request.protocol
            && p.destination == request.source
            && p.hops.first().is_some_and(|h| h.frame.at_ns >= since)
    };
    let packets = || traffic.packets.iter().filter(back);
    let says = payload(request.ip) > 0;
    packets().find(|p| says && payload(p.ip) > 0).or_else(|| packets().next())
}

fn rung(input: &Input<'_>, packet: &Packet<'_>, hop: &Hop<'_>, before: Option<&Hop<'_>>, start: u64) -> LadderRung {
    let frame = hop.frame;
    let changed = before.map_or_else(Vec::new, |before| {
        difference(&before.frame.data, &frame.data)
            .changes
            .iter()
            .map(|change| {
                let bytes = match (change.range.start, change.range.end - 1) {
                    (first, last) if first == last => format!("byte {first}"),
                    (first, last) => format!("bytes {first}-{last}"),
                };
                match change.field {
                    Field::DestinationMac | Field::SourceMac => format!("{} ({bytes})", change.field),
                    _ => format!("{} {}→{} ({bytes})", change.field, change.old, change.new),
                }
            })
            .collect()
    });
    let name = |mac| input.case.name_of(mac);
    LadderRung {
        frame: FrameRef::to(input.trace, frame),
        at_us: frame.at_ns.saturating_sub(start) / 1000,
        direction: if hop.way == Way::Enters { "in" } else { "out" }.to_owned(),
        macs: (name(frame.decoded.source), name(frame.decoded.destination)),
        packet: words(packet, hop),
        ttl: frame.decoded.ip().map_or(0, |ip| ip.ttl),
        changed,
    }
}

/// The packet in a few words.
pub(super) fn words(packet: &Packet<'_>, hop: &Hop<'_>) -> String {
    let bytes = match payload(packet.ip) {
        0 => String::new(),
        n => format!(" {n} bytes"),
    };
    let kind = match packet.ip.tcp() {
        None => "UDP".to_owned(),
        Some(tcp) => flags(*tcp),
    };
    let wrapped = hop.tunnelled_to().map_or_else(String::new, |to| format!("IP in IP to {to}: "));
    format!("{wrapped}{kind}{bytes} {} > {}", packet.source, packet.destination)
}

fn flags(tcp: Tcp) -> String {
    let names = [(Tcp::SYN, "SYN"), (Tcp::FIN, "FIN"), (Tcp::RST, "RST"), (8, "PSH"), (Tcp::ACK, "ACK")];
    let set: Vec<&str> = names.iter().filter(|(bit, _)| tcp.flags & bit != 0).map(|(_, name)| *name).collect();
    set.join(" ")
}

#[cfg(test)]
mod tests {
    use super::{LadderRung, ladder};
    use crate::judge::testlab::{Exchange, Lab, There};

    fn told(rungs: &[LadderRung]) -> String {
        rungs.iter().fold(String::new(), |text, r| {
            let changed = if r.changed.is_empty() { String::new() } else { format!("\n    {}", r.changed.join(", ")) };
            text + &format!(
                "{} {} {} ttl {}\n    {} > {}{changed}\n",
                r.frame.vantage, r.direction, r.packet, r.ttl, r.macs.0, r.macs.1
            )
        })
    }

    #[test]
    fn the_ladder_shows_one_request_and_its_answer_with_all_that_changed() {
        insta::assert_snapshot!(told(&Lab::ran(2).judged(ladder)));
    }

    #[test]
    fn without_an_answered_request_the_first_one_is_shown() {
        let mut lab = Lab::textbook();
        lab.exchange(&Exchange::with("rs1").there(There::Swallowed));
        let rungs = lab.judged(ladder);
        assert_eq!(rungs.last().unwrap().frame.vantage, "director:eth0");
    }

    #[test]
    fn no_traffic_makes_no_ladder() {
        assert_eq!(Lab::textbook().judged(ladder), []);
    }
}
