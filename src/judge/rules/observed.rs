//! What only a run shows: a real server that announces a VIP, or answers from its RIP what the VIP was asked; what IPVS
//! remembers and forgets of connections; shares that are not as they were to be; sites that a server does not have; what
//! one real server has and another lacks; checksums that nobody computed. No fact says what a program sends.

mod checksums;
mod content;
mod memory;
pub(super) mod shares;
mod sites;

use std::net::IpAddr;

use crate::base::Protocol;
use crate::facts::SocketFact;
use crate::judge::Input;
use crate::judge::case::Station;
use crate::judge::census::{Said, words};
use crate::judge::host::Host;
use crate::judge::model::deviation::{Kind, Predicted};
use crate::judge::traffic::Traffic;
use crate::trace::{Direction, Frame};
use crate::wire::frame::{Arp, Body};

/// Adds to what the model predicts.
pub(super) fn add<'a>(input: &'a Input<'a>, predicted: &mut Predicted<'a>) {
    let traffic = Traffic::new(input);
    for word in words(input).iter().filter(|w| w.said == Said::Announced) {
        let Some(speaker) = word.speaker.filter(|s| traffic.is_real_server(s)) else { continue };
        let known = predicted
            .deviations
            .iter()
            .any(|d| d.node == &speaker.node && matches!(d.kind, Kind::Announces { vip, .. } if vip == word.vip));
        if !known {
            let port = speaker.ports.iter().find(|p| p.segment == *word.segment);
            let kind = Kind::Announces { vip: word.vip, frame: word.frame.number };
            predicted.note(&speaker.node, port.map(|p| &p.interface), kind);
        }
    }
    checksums::add(&traffic, predicted);
    memory::add(&traffic, predicted);
    shares::add(&traffic, predicted);
    content::add(&traffic, predicted);
    sites::add(&traffic, predicted);
    super::moved::add(input, &traffic, predicted);
    warned(input, &traffic, predicted);
    for packet in traffic.packets.iter().filter(|p| p.protocol == Protocol::Udp) {
        let Some(hop) = packet.exit(|s| traffic.is_real_server(s)) else { continue };
        let asked = input.ran.loads.iter().flat_map(|l| &l.requests).find(|r| {
            r.protocol == Protocol::Udp
                && r.local == Some(packet.destination)
                && r.target.port() == packet.source.port()
        });
        let Some(asked) = asked.filter(|r| r.target != packet.source) else { continue };
        let sockets = input.facts(&hop.station.node).and_then(|f| f.sockets.as_deref()).unwrap_or_default();
        let everywhere = |s: &&SocketFact| {
            s.protocol == Protocol::Udp && s.at.port() == packet.source.port() && s.at.ip().is_unspecified()
        };
        if let Some(socket) = sockets.iter().find(everywhere) {
            predicted.note(&hop.station.node, None, Kind::AnswersFromRip { socket, vip: asked.target.ip() });
        }
    }
}

/// A real server that answers a Director's question whether the VIP is free (RFC 5227), which has no sender's address;
/// where the Director has not got the VIP in the end.
fn warned<'a>(input: &'a Input<'a>, traffic: &Traffic<'a>, predicted: &mut Predicted<'a>) {
    let trace = input.trace;
    let of = |frame: &Frame| trace.vantages.get(frame.vantage).and_then(|v| input.case.station(&v.node));
    for frame in trace.frames.iter().filter(|f| f.direction == Direction::Out) {
        let Body::Arp(arp) = &frame.decoded.body else { continue };
        let (vip, asker) = (IpAddr::V4(arp.sender_ip), frame.decoded.destination);
        let answers = arp.operation == Arp::REPLY && arp.target_ip.is_unspecified() && input.case.is_vip(vip);
        let Some(speaker) = of(frame).filter(|s| answers && traffic.is_real_server(s)) else { continue };
        let director = input.case.owners(asker).into_iter().map(|(s, _)| s).find(|s| traffic.is_director(s));
        let without = |s: &&Station| input.facts_after(&s.node).is_some_and(|f| Host(f).carries(vip).next().is_none());
        let Some(director) = director.filter(without) else { continue };
        let port = speaker.ports.iter().find(|p| p.mac == frame.decoded.source).or(speaker.ports.first());
        let kind = Kind::Warns { vip, director: &director.node, frame: frame.number };
        predicted.note(&speaker.node, port.map(|p| &p.interface), kind);
    }
}
