//! What the capture shows of a VIP that went from one Director to another: that nobody was told, that somebody did not take
//! it, or that the new one does not know the connections.

use std::net::IpAddr;

use crate::judge::Input;
use crate::judge::case::Station;
use crate::judge::census::{Said, words};
use crate::judge::host::Host;
use crate::judge::model::deviation::{Kind, Predicted};
use crate::judge::traffic::{Hop, Traffic, Way};
use crate::trace::{Direction, Frame};
use crate::wire::frame::{Body, Tcp};

/// Adds to what the model predicts. Where facts are from one end of the timeline only, nothing has moved.
pub(super) fn add<'a>(input: &'a Input<'a>, traffic: &Traffic<'a>, predicted: &mut Predicted<'a>) {
    for &vip in &input.case.vips {
        let Some((gave, took)) = moved(input, traffic, vip) else { continue };
        let port = took.ports.iter().find(|p| gave.is_on(&p.segment)).map(|p| &p.interface);
        let told = words(input)
            .iter()
            .any(|w| w.said == Said::Announced && w.vip == vip && w.speaker.is_some_and(|s| s.node == took.node));
        // A lost frame may be the one that told, or the one that left.
        let whole = [gave, took].iter().all(|s| input.lost(&s.node) == 0);
        if let Some((asker, frame)) = left_behind(traffic, vip, gave).filter(|_| whole && !told) {
            let kind = Kind::Unannounced { vip, from: &gave.node, asker: asker.map(|s| &s.node), frame };
            predicted.note(&took.node, port, kind);
        }
        if told {
            unheeded(traffic, vip, (gave, took), predicted);
        }
        if let Some(frame) = reset(traffic, vip, gave, took) {
            predicted.note(&took.node, port, Kind::Unsynced { vip, from: &gave.node, frame });
        }
    }
}

/// Who had the VIP before the timeline and who has it after it, where they are not the same.
fn moved<'a>(input: &'a Input<'a>, traffic: &Traffic<'a>, vip: IpAddr) -> Option<(&'a Station, &'a Station)> {
    let has = |facts: &[crate::facts::NodeFacts], s: &Station| {
        let facts = facts.iter().find(|f| f.node == s.node)?;
        Some(Host(facts).carries(vip).next().is_some())
    };
    let directors = || input.case.stations.iter().filter(|s| traffic.is_director(s));
    let changes =
        |from, to| directors().find(|s| has(input.before, s) == Some(from) && has(input.after, s) == Some(to));
    Some((changes(true, false)?, changes(false, true)?))
}

/// The last request that was sent to the one who had the VIP and did not come out there again, and who sent it. One whose
/// link is down gets none of them: then the frame is the sender's.
fn left_behind<'a>(traffic: &Traffic<'a>, vip: IpAddr, gave: &Station) -> Option<(Option<&'a Station>, u32)> {
    let requests = traffic.requests().filter(|(p, _)| p.destination.ip() == vip);
    let lost = requests.filter_map(|(packet, _)| {
        let to_gave = |hop: &&Hop<'_>| gave.ports.iter().any(|p| p.mac == hop.frame.decoded.destination);
        let entry = packet.entry(|s| s.node == gave.node);
        let out = packet.exit(|s| s.node == gave.node);
        let sent = packet.hops.iter().rfind(|h| h.way == Way::Leaves);
        let shown = entry.or_else(|| sent.filter(to_gave).copied())?;
        out.is_none().then_some((sent.map(|h| h.station), shown.frame.number))
    });
    lost.last()
}

/// Adds those who heard the new one announce the VIP and sent requests to the old one after that, which did not hand them on.
fn unheeded<'a>(
    traffic: &Traffic<'a>,
    vip: IpAddr,
    (gave, took): (&'a Station, &'a Station),
    predicted: &mut Predicted<'a>,
) {
    let trace = traffic.input.trace;
    for (packet, _) in traffic.requests().filter(|(p, _)| p.destination.ip() == vip) {
        let to_gave = |hop: &&Hop<'a>| {
            hop.way == Way::Leaves && gave.ports.iter().any(|p| p.mac == hop.frame.decoded.destination)
        };
        let Some(sent) = packet.hops.iter().rfind(to_gave) else { continue };
        if packet.exit(|s| s.node == gave.node).is_some() {
            continue;
        }
        let announces = |frame: &&Frame| {
            let Body::Arp(arp) = &frame.decoded.body else { return false };
            let own = took.ports.iter().any(|p| p.mac == arp.sender_mac);
            own && IpAddr::V4(arp.sender_ip) == vip && arp.sender_ip == arp.target_ip
        };
        let at_sender = |frame: &&Frame| frame.vantage == sent.frame.vantage && frame.direction == Direction::In;
        let mut heard = trace.frames.iter().take_while(|f| f.at_ns < sent.frame.at_ns).filter(at_sender);
        let Some(heard) = heard.find(announces) else { continue };
        let kind =
            Kind::Unheeded { vip, from: &gave.node, to: &took.node, heard: heard.number, frame: sent.frame.number };
        predicted.note(&sent.station.node, Some(&sent.port.interface), kind);
    }
}

/// A reset by the one who has the VIP now, of a connection that was opened by the one who had it.
fn reset(traffic: &Traffic<'_>, vip: IpAddr, gave: &Station, took: &Station) -> Option<u32> {
    let opened = |client| {
        traffic.requests().any(|(p, _)| {
            let first = p.ip.tcp().is_some_and(|t| t.flags & Tcp::SYN != 0);
            first && p.source == client && p.entry(|s| s.node == gave.node).is_some()
        })
    };
    traffic.replies().find_map(|(packet, _)| {
        let refused = packet.source.ip() == vip && packet.ip.tcp().is_some_and(|t| t.flags & Tcp::RST != 0);
        let out = packet.exit(|s| s.node == took.node).filter(|_| refused)?;
        opened(packet.destination).then_some(out.frame.number)
    })
}
