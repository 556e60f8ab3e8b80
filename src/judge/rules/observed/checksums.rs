//! Checksums that a sender left to others and that nobody computed. In the sender's own capture each such packet looks
//! wrong, whoever forwards it; so the real server's counter has to say that it got wrong ones.

use crate::base::Protocol;
use crate::judge::case::{Station, StationPort};
use crate::judge::model::deviation::{Kind, Predicted, Unfinished};
use crate::judge::traffic::{Hop, Packet, Traffic};
use crate::wire::checksum::transport_holds;

/// Adds the interfaces whose packets came to a real server unfinished.
pub(super) fn add<'a>(traffic: &Traffic<'a>, predicted: &mut Predicted<'a>) {
    for (packet, _) in traffic.requests() {
        if let Some((sender, port, seen)) = unfinished(traffic, packet) {
            predicted.note(&sender.node, Some(&port.interface), Kind::Unfinished { seen });
        }
    }
}

fn unfinished<'a>(
    traffic: &Traffic<'a>,
    packet: &Packet<'a>,
) -> Option<(&'a Station, &'a StationPort, Unfinished<'a>)> {
    let input = traffic.input;
    let entered = packet.entry(|s| traffic.is_director(s))?;
    let left = packet.exit(|s| s.node == entered.station.node)?;
    let arrived = packet.entry(|s| traffic.is_real_server(s))?;
    if ![&entered, &left, &arrived].into_iter().all(is_wrong) {
        return None;
    }
    let (sender, port) = input.case.owner_of(entered.frame.decoded.source)?;
    let link = input.facts(&sender.node)?.links.iter().find(|link| link.name == port.interface)?;
    let name = match packet.protocol {
        Protocol::Tcp => "TcpInCsumErrors",
        Protocol::Udp => "UdpInCsumErrors",
    };
    let server = &arrived.station.node;
    let before = input.before.iter().find(|facts| facts.node == *server)?.counters.get(name).copied().unwrap_or(0);
    let after = input.facts_after(server)?.counters.get(name).copied().unwrap_or(0);
    let seen = Unfinished {
        director: &entered.station.node,
        server,
        frames: [entered.frame.number, left.frame.number, arrived.frame.number],
        counter: (name, before, after),
    };
    (link.tx_checksum == Some(true) && after > before).then_some((sender, port, seen))
}

/// Whether the frame's checksum of TCP or UDP is wrong, as far as it can be told.
fn is_wrong(hop: &Hop<'_>) -> bool {
    let whole = hop.frame.beyond.bytes == 0 && !hop.frame.is_cut();
    hop.frame.ip().filter(|_| whole).and_then(|ip| transport_holds(&hop.frame.data, ip)) == Some(false)
}
