//! What only a run shows: a real server that announces a VIP, or answers from its RIP what the VIP was asked; what IPVS
//! remembers and forgets of connections; shares that are not as they were to be; sites that a server does not have. No
//! fact says what a program sends.

mod memory;
pub(super) mod shares;
mod sites;

use crate::base::Protocol;
use crate::facts::SocketFact;
use crate::judge::Input;
use crate::judge::census::{Said, words};
use crate::judge::model::deviation::{Kind, Predicted};
use crate::judge::traffic::Traffic;

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
    memory::add(&traffic, predicted);
    shares::add(&traffic, predicted);
    sites::add(&traffic, predicted);
    super::moved::add(input, &traffic, predicted);
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
