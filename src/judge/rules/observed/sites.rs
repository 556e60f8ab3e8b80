//! Answers by which an HTTP server says that it has nothing for the name it was asked by (RFC 9110 sections 7.2, 15.4, 15.5).

use crate::base::Protocol;
use crate::facts::run::{Outcome, RequestResult};
use crate::judge::model::deviation::{Kind, Predicted};
use crate::judge::traffic::{Packet, Traffic};
use crate::trace::Frame;

/// What a server without a site of that name answers: a way to another name, or a refusal.
const ELSEWHERE: [u16; 8] = [301, 302, 307, 308, 400, 403, 404, 421];

/// Adds each real server that answers so.
pub(super) fn add<'a>(traffic: &Traffic<'a>, predicted: &mut Predicted<'a>) {
    for request in traffic.input.ran.loads.iter().flat_map(|l| &l.requests) {
        let Outcome::Answered { status, .. } = request.outcome else { continue };
        if request.protocol != Protocol::Tcp || !ELSEWHERE.contains(&status) {
            continue;
        }
        let asked =
            traffic.packets.iter().filter(|p| Some(p.source) == request.local && p.destination == request.target);
        let Some((host, frame)) = asked.filter_map(host).next_back() else { continue };
        let Some(station) = answering(traffic, request, status) else { continue };
        let kind = Kind::NoSite { status, host, at: request.target, frame: frame.number };
        predicted.note(&station.node, None, kind);
    }
}

/// The `Host` header of a request in one segment.
fn host<'a>(packet: &Packet<'a>) -> Option<(String, &'a Frame)> {
    let hop = packet.hops.first()?;
    let text = payload(packet, hop.frame)?;
    let line = text.lines().take_while(|l| !l.is_empty()).find(|l| l.to_ascii_lowercase().starts_with("host:"))?;
    Some((line.get(5..)?.trim().to_owned(), hop.frame))
}

/// The real server whose segment begins with that status.
fn answering<'a>(
    traffic: &Traffic<'a>,
    request: &RequestResult,
    status: u16,
) -> Option<&'a crate::judge::case::Station> {
    let back = traffic.packets.iter().filter(|p| Some(p.destination) == request.local && p.source == request.target);
    back.filter_map(|p| Some((p, p.exit(|s| traffic.is_real_server(s))?)))
        .find(|(p, hop)| payload(p, hop.frame).is_some_and(|t| t.starts_with(&format!("HTTP/1.1 {status}"))))
        .map(|(_, hop)| hop.station)
}

/// The text of a TCP segment, as far as it is text.
fn payload<'a>(packet: &Packet<'a>, frame: &'a Frame) -> Option<std::borrow::Cow<'a, str>> {
    let length = packet.ip.tcp()?.payload as usize;
    let end = packet.ip.offset + packet.ip.length as usize;
    let bytes = frame.data.get(end.checked_sub(length)?..end).filter(|b| !b.is_empty())?;
    Some(String::from_utf8_lossy(bytes))
}
