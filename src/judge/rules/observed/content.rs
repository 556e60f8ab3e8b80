//! Answers to one question that hold what they have to from one real server and lack it from another: what was written
//! is on one of them only. And the write itself, where the capture has it.
//!
//! Owns: only loads that say what every answer has to hold; bodies that differ are as a rule meant to. Errs towards nothing:
//! a real server that answers now so, now so, one in trouble, and a text that nobody has, show no such mistake.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::base::NodeName;
use crate::facts::run::{Outcome, RequestResult};
use crate::judge::case::Station;
use crate::judge::model::deviation::{Kind, Predicted, Written};
use crate::judge::traffic::{Packet, Traffic};
use crate::trace::Frame;

/// What a server answers that has the site, and has nothing there or sends away from it; 200 besides.
const NOTHING_THERE: [u16; 7] = [301, 302, 303, 307, 308, 404, 410];

/// Methods that write (RFC 9110 section 9.2.1: those that are not safe; RFC 5789).
const WRITES: [&str; 4] = ["POST ", "PUT ", "PATCH ", "DELETE "];

/// Adds each real server that lacks what another one has.
pub(super) fn add<'a>(traffic: &Traffic<'a>, predicted: &mut Predicted<'a>) {
    for load in &traffic.input.ran.loads {
        let mut questions: BTreeMap<(SocketAddr, &str), Vec<&'a RequestResult>> = BTreeMap::new();
        for request in &load.requests {
            questions.entry((request.target, &request.path)).or_default().push(request);
        }
        for answers in questions.into_values() {
            of_question(traffic, &answers, predicted);
        }
    }
}

fn of_question<'a>(traffic: &Traffic<'a>, answers: &[&'a RequestResult], predicted: &mut Predicted<'a>) {
    let Some(text) = answers.iter().find_map(|request| request.lacks.as_deref()) else { return };
    let mut by: BTreeMap<&'a NodeName, Vec<&'a RequestResult>> = BTreeMap::new();
    for request in answers {
        let Outcome::Answered { server: Some(server), .. } = &request.outcome else { continue };
        let Some(station) = traffic.real_servers().find(|s| s.node == server.as_str()) else { continue };
        by.entry(&station.node).or_default().push(request);
    }
    let right = |r: &&RequestResult| matches!(r.outcome, Outcome::Answered { status: 200, whole: true, .. });
    let holding: Vec<&'a NodeName> = by.iter().filter(|(_, all)| all.iter().all(right)).map(|(n, _)| *n).collect();
    let Some(&holder) = holding.first() else { return };
    if by.values().any(|all| all.iter().any(right) && !all.iter().all(right)) {
        return;
    }
    let written = written(traffic, &holding, answers);
    for (node, all) in by.iter().filter(|(node, _)| !holding.contains(*node)) {
        let Some(first) = all.first().filter(|_| all.iter().all(|r| r.lacks.is_some())) else { continue };
        let Outcome::Answered { status, .. } = first.outcome else { continue };
        // Without a write on record a page that is missing is as well one that this server never had.
        if status != 200 && !(NOTHING_THERE.contains(&status) && written.is_some()) {
            continue;
        }
        let frame = |node: &NodeName, request: &RequestResult| answer(traffic, node, request).map(|f| f.number);
        let held = by.get(holder).and_then(|all| all.first()).and_then(|request| frame(holder, request));
        let kind = Kind::Lacks {
            text,
            path: &first.path,
            status,
            at: first.target,
            frame: frame(node, first),
            holder,
            held,
            written,
        };
        predicted.note(node, None, kind);
    }
}

/// The frame with which a node begins to answer a request.
fn answer<'a>(traffic: &Traffic<'a>, node: &NodeName, request: &RequestResult) -> Option<&'a Frame> {
    replies(traffic, node, request.local?, request.target)
        .find(|(packet, frame)| frame.at_ns >= request.start_ns && begins(packet, frame).starts_with("HTTP/1."))
        .map(|(_, frame)| frame)
}

/// What a node sends to a client's end, with the frame that leaves it.
fn replies<'t, 'a>(
    traffic: &'t Traffic<'a>,
    node: &'t NodeName,
    client: SocketAddr,
    service: SocketAddr,
) -> impl Iterator<Item = (&'t Packet<'a>, &'a Frame)> {
    let to = move |p: &&Packet<'a>| p.destination == client && p.source == service;
    traffic.packets.iter().filter(to).filter_map(|p| Some((p, p.exit(|s| s.node == *node)?.frame)))
}

/// The last write before the first answer that lacks something, which one of those who have it took in and found good.
fn written<'a>(traffic: &Traffic<'a>, holding: &[&NodeName], answers: &[&RequestResult]) -> Option<Written<'a>> {
    let lacking = answers.iter().filter(|r| r.lacks.is_some()).map(|r| r.start_ns).min()?;
    let service = answers.first()?.target;
    let writes = traffic.requests().map(|(packet, _)| packet).filter(|p| p.destination == service);
    let taken = writes.filter_map(|packet| {
        let into = packet.entry(|s: &Station| holding.contains(&&s.node))?;
        let text = begins(packet, into.frame);
        if into.frame.at_ns >= lacking || !WRITES.iter().any(|method| text.starts_with(method)) {
            return None;
        }
        let node = &into.station.node;
        let mut answers = replies(traffic, node, packet.source, service)
            .filter(|(p, f)| f.at_ns > into.frame.at_ns && begins(p, f).starts_with("HTTP/1."));
        let good = answers.next().is_some_and(|(p, f)| matches!(begins(p, f).get(9..10), Some("2" | "3")));
        good.then_some(Written { node, frame: into.frame.number })
    });
    taken.max_by_key(|written| written.frame)
}

/// How a TCP segment begins, as far as it was kept and is text.
fn begins<'a>(packet: &Packet<'a>, frame: &'a Frame) -> std::borrow::Cow<'a, str> {
    /// Enough for a method and a status.
    const ENOUGH: usize = 16;
    let length = packet.ip.tcp().map_or(0, |tcp| tcp.payload as usize);
    let end = packet.ip.offset + packet.ip.length as usize;
    let from = end.saturating_sub(length);
    let kept = frame.data.get(from..frame.data.len().min(from + length.min(ENOUGH))).unwrap_or_default();
    String::from_utf8_lossy(kept)
}
