//! A client's packets at a node's packet filter: what opens a connection, on every node; what follows, on a Director, which
//! sees the client's half alone; what a Director hands on.

use super::conntrack::{Halves, Stage, State, kept, state};
use super::director::{Decision, decide};
use super::filter::{Fate, Shown, chain, redirected};
use super::local::local;
use super::walk::{Leg, Packet};
use super::{Kind, Place, Predicted};
use crate::base::{Forwarding, Protocol};
use crate::facts::DestinationFact;
use crate::judge::case::StationPort;

/// What a packet filter is shown of a client's packet.
fn shown<'p>(into: Option<&'p StationPort>, packet: Packet, word: &'p str) -> Shown<'p> {
    Shown {
        source: Some(packet.source),
        destination: Some(packet.target.ip()),
        into: into.map(|p| p.interface.as_str()),
        protocol: Some(word),
        port: Some(packet.target.port()),
        ..Shown::default()
    }
}

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

/// Notes a rule of the packet filter that drops what opens a connection.
pub(super) fn filtered<'a>(
    place: &Place<'a>,
    into: Option<&'a StationPort>,
    packet: Packet,
    name: &str,
    predicted: &mut Predicted<'a>,
) -> bool {
    let shown = Shown { flags: flags(packet, Stage::Opens), ..shown(into, packet, word(packet.protocol)) };
    let state = state(place.facts, shown, (packet.protocol, Stage::Opens, Halves::Both));
    dropped(place, name, Shown { state: Some(state), ..shown }, packet, predicted)
}

/// Notes a rule that drops what the Director hands on: that passes OUTPUT, and never FORWARD.
pub(super) fn leaves<'a>(director: &Place<'a>, leg: Option<&Leg<'a>>, packet: Packet, predicted: &mut Predicted<'a>) {
    let state = if kept(director.facts) { State::New } else { State::Untracked };
    let shown = Shown {
        out_of: leg.map(|l| l.out.interface.as_str()),
        flags: flags(packet, Stage::Opens),
        state: Some(state),
        ..shown(None, packet, word(packet.protocol))
    };
    dropped(director, "OUTPUT", shown, packet, predicted);
}

fn dropped<'a>(place: &Place<'a>, name: &str, shown: Shown<'_>, packet: Packet, predicted: &mut Predicted<'a>) -> bool {
    let Fate::Dropped(rule) = chain(place.facts.iptables.as_deref().unwrap_or_default(), "filter", name, shown) else {
        return false;
    };
    let kind = Kind::Filtered { rule, destination: packet.target.ip(), source: packet.source };
    predicted.note(place.node(), None, kind);
    true
}

fn flags(packet: Packet, stage: Stage) -> Option<u8> {
    (packet.protocol == Protocol::Tcp).then(|| stage.flags())
}

/// Notes a rule of the Director that lets a connection begin and drops what follows, for want of the other half.
pub(super) fn half_seen<'a>(
    director: &Place<'a>,
    into: Option<&'a StationPort>,
    packet: Packet,
    predicted: &mut Predicted<'a>,
) {
    let Decision::Balanced(service) = decide(director, packet.protocol, packet.target) else { return };
    let away = |d: &DestinationFact| {
        local(director.facts, d.at.ip()).is_none() && (d.forwarding != Forwarding::Nat || !kept(director.facts))
    };
    if !service.destinations.iter().any(away) {
        return;
    }
    let rules = director.facts.iptables.as_deref().unwrap_or_default();
    for stage in Stage::all(packet.protocol).iter().skip(1) {
        let shown = Shown { flags: flags(packet, *stage), ..shown(into, packet, word(packet.protocol)) };
        let state = state(director.facts, shown, (packet.protocol, *stage, Halves::First));
        let fate = chain(rules, "filter", "INPUT", Shown { state: Some(state), ..shown });
        if let Fate::Dropped(rule) = fate {
            let kind = Kind::HalfSeen { rule, state, stage: *stage, protocol: packet.protocol, at: packet.target };
            return predicted.note(director.node(), None, kind);
        }
    }
}

/// Notes where what one Director hands to another is balanced once more, to others than that one itself.
pub(super) fn again<'a>(from: &Place<'a>, server: &Place<'a>, packet: Packet, predicted: &mut Predicted<'a>) {
    let Decision::Balanced(service) = decide(server, packet.protocol, packet.target) else { return };
    if service.destinations.iter().any(|d| d.weight > 0 && local(server.facts, d.at.ip()).is_none()) {
        predicted.note(server.node(), None, Kind::BalancesAgain { service, from: from.node() });
    }
}

/// Whether a rule of the node takes the packet for the node itself (REDIRECT), as real servers without the VIP do it.
pub(super) fn takes_by_rule(place: &Place<'_>, into: Option<&StationPort>, packet: Packet) -> bool {
    let shown = shown(into, packet, word(packet.protocol));
    let rule = redirected(place.facts.iptables.as_deref().unwrap_or_default(), shown);
    rule.is_some_and(|rule| rule.split_whitespace().any(|word| word == "REDIRECT"))
}

/// Notes a rule that takes the packet away before it is routed.
pub(super) fn away<'a>(
    place: &Place<'a>,
    into: Option<&'a StationPort>,
    packet: Packet,
    predicted: &mut Predicted<'a>,
) {
    let shown = shown(into, packet, word(packet.protocol));
    if let Some(rule) = redirected(place.facts.iptables.as_deref().unwrap_or_default(), shown) {
        predicted.note(place.node(), None, Kind::Redirected { rule, at: packet.target });
    }
}
