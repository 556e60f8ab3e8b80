//! What the capture shows of a VIP that went from one Director to another: that nobody was told, or that the new one does
//! not know the connections.

use std::net::IpAddr;

use crate::judge::Input;
use crate::judge::case::Station;
use crate::judge::census::{Said, words};
use crate::judge::host::Host;
use crate::judge::model::deviation::{Kind, Predicted};
use crate::judge::traffic::{Traffic, Way};
use crate::wire::frame::Tcp;

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

/// The last request that went to the one who had the VIP and did not come out there again, and who sent it.
fn left_behind<'a>(traffic: &Traffic<'a>, vip: IpAddr, gave: &Station) -> Option<(Option<&'a Station>, u32)> {
    let requests = traffic.requests().filter(|(p, _)| p.destination.ip() == vip);
    let lost = requests.filter_map(|(packet, _)| {
        let entry = packet.entry(|s| s.node == gave.node)?;
        let out = packet.exit(|s| s.node == gave.node);
        let sent = packet.hops.iter().rfind(|h| h.way == Way::Leaves).map(|h| h.station);
        out.is_none().then_some((sent, entry.frame.number))
    });
    lost.last()
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
