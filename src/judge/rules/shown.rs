//! The frames that show a deviation: what the model says of a node, looked for in the capture.
//!
//! Owns: which frames each kind of deviation makes. Refuses: inventing; where the capture shows nothing, or something
//! else, no frame is named, and the finding then rests on facts alone.

mod sight;

use std::net::IpAddr;

use crate::base::Role;
use crate::judge::Evidence;
use crate::judge::host::Host;
use crate::judge::model::answer::Because;
use crate::judge::model::local::Local;
use crate::judge::model::{Deviation, Kind};
use crate::judge::traffic::{Hop, Packet, Traffic};
pub(super) use sight::{Sent, Sight, wants_answer};

/// Bytes of an Ethernet header.
const ETHERNET: u32 = 14;

/// The frames that show the deviation, the most telling first.
#[expect(clippy::too_many_lines, reason = "one arm for each kind, and nothing else")]
pub(super) fn shown<'a>(traffic: &Traffic<'a>, deviation: &Deviation<'a>) -> Vec<Evidence> {
    let here = Sight { traffic, node: deviation.node };
    let input = traffic.input;
    let is_vip = |address: IpAddr| input.case.is_vip(address);
    let for_service = |p: &Packet<'a>| is_vip(p.destination.ip());
    let frames = match &deviation.kind {
        Kind::Answers { asked, because } => {
            let taken = || past_the_director(here, *asked).filter(|_| matches!(because, Because::Own(_)));
            // What makes it answer for one address of a prefix makes it answer for the others.
            let about = |a: IpAddr| match because {
                Because::Own(Local::Prefix(fact)) => fact.address.contains(&a) && (is_vip(a) || !carries(here, a)),
                Because::Own(_) | Because::Proxy(_) => a == *asked,
            };
            vec![here.answers(about), taken()]
        }
        Kind::Silent { asked, asker, .. } => {
            let asking = Sight { node: asker, ..here };
            let open = here.leaves_unanswered(|s| s.about == *asked);
            vec![open.clone(), asking.refuses(|_| true).filter(|_| open.is_some())]
        }
        Kind::AsksAs { vip, .. } => {
            vec![here.asks(|s| s.sender == *vip && s.about != *vip), past_the_director(here, *vip)]
        }
        Kind::AsksInVain { sender, next_hop, of } => {
            let asked = Sight { node: of, ..here };
            vec![asked.leaves_unanswered(|s| s.sender == *sender && s.about == *next_hop), here.refuses(|_| true)]
        }
        Kind::Deafened { next_hop, question: true, .. } => {
            let never_asks = here.captured() && here.asks(|s| s.about == *next_hop).is_none();
            vec![here.swallows(|_| true).filter(|_| never_asks), here.refuses(|_| true).filter(|_| never_asks)]
        }
        Kind::Deafened { next_hop, question: false, .. } => {
            let mut told = here.hears().filter(|s| !s.asks && s.about == *next_hop);
            let told = told.next().map(|s| here.evidence(s.frame, format!("{} is told of {next_hop}", here.node)));
            vec![told, here.swallows(|_| true)]
        }
        Kind::Bound { entry, .. } | Kind::Learned { entry, .. } => vec![entry.mac.and_then(|mac| here.sends_to(mac))],
        Kind::WholePrefix { fact } => {
            let around = |a: IpAddr| fact.address.contains(&a);
            let carries = |a: IpAddr| carries(here, a);
            vec![
                here.answers(|a| around(a) && (is_vip(a) || !carries(a))),
                here.leaves_unanswered(|s| around(s.sender) && carries(s.about) && !is_vip(s.about)),
                here.swallows(|p| around(p.source.ip())),
            ]
        }
        Kind::SameMac { other, .. } => {
            let by = |sight: Sight<'_, 'a>| {
                let said = sight.says().next().map(|s| s.frame);
                let what = |f: &crate::trace::Frame| format!("{} sends as {}", sight.node, f.decoded.source);
                said.map(|f| sight.evidence(f, what(f)))
            };
            vec![by(here), by(Sight { node: other, ..here })]
        }
        Kind::Astray { to, route } => {
            let next_hop = route.gateway.unwrap_or(*to);
            let asked = here.asks(|s| s.about == next_hop);
            vec![asked.or_else(|| here.sends(|p, _| p.destination.ip() == *to, "")), here.refuses(|_| true)]
        }
        Kind::ThroughDirector { to, .. } => through_director(here, *to),
        Kind::Remote { from, .. } => {
            let director = Sight { node: from, ..here };
            vec![director.sends(|p, _| for_service(p), ""), director.refuses(|_| true)]
        }
        Kind::NotOwn { address, .. } => {
            let to = |p: &Packet<'a>| p.destination.ip() == *address;
            let ends = || here.swallows(to).or_else(|| here.leaves_unanswered(|s| s.about == *address));
            let on = here.sends(|p, _| to(p), ": it is sent on");
            vec![on.or_else(ends), here.refuses(|a| a == *address)]
        }
        Kind::Refuses { source, .. } => {
            let swallowed = here.swallows(|p| p.source.ip() == *source);
            vec![swallowed.or_else(|| here.leaves_unanswered(|s| s.sender == *source))]
        }
        Kind::Unaddressed { wanted } => {
            let own = here.traffic.input.case.station(here.node);
            let missed = |ip: IpAddr| *wanted == Some(ip) || own.is_some_and(|s| s.has(ip));
            vec![
                here.leaves_unanswered(|s| missed(s.about)).or_else(|| here.swallows(|_| true)),
                here.refuses(|_| true),
            ]
        }
        Kind::Down => down(here),
        Kind::Filtered { destination, .. } => vec![here.swallows(|p| p.destination.ip() == *destination)],
        Kind::NoService { at, .. } | Kind::Unmarked { at, .. } => {
            let to = |p: &Packet<'a>| p.destination == *at;
            vec![here.refuses(|a| a == at.ip()).or_else(|| here.swallows(to))]
        }
        Kind::NoDestination { .. } => vec![here.refuses(is_vip).or_else(|| here.swallows(for_service))],
        Kind::Mapped { at, wanted, .. } => {
            let server = input.case.stations.iter().find(|s| s.has(at.ip())).map(|s| &s.node);
            let server = server.map(|node| Sight { node, ..here });
            let shows = format!(": its port is not {wanted}");
            let kept = |s: &Sight<'_, 'a>| s.gets(|p, _| for_service(p) && p.destination.port() != *wanted, &shows);
            vec![server.and_then(|s| kept(&s)), server.and_then(|s| s.refuses(is_vip))]
        }
        Kind::Bypassed { to, real_server, .. } => {
            let server = Sight { node: real_server, ..here };
            vec![server.sends(|p, _| p.source == *to, ", from the RIP")]
        }
        Kind::Unwrapped { to, .. } => {
            let wrapped = here.gets(|_, hop| hop.tunnelled_to() == Some(to.ip()), "");
            vec![wrapped, here.refuses(|_| true)]
        }
        Kind::Deaf { at, .. } => {
            let to = |p: &Packet<'a>| p.destination == *at;
            vec![here.refuses(|a| a == at.ip()).or_else(|| here.swallows(to))]
        }
        Kind::AnswersFromRip { vip, .. } => vec![here.sends(|p, _| p.source.ip() != *vip, ", from the RIP")],
        Kind::Redirected { at, .. } => vec![here.gets(|p, _| p.destination.ip() == at.ip(), "")],
        Kind::Unweighted { .. } => vec![here.sends(|p, _| for_service(p), "")],
        Kind::Tight { mtu, from, .. } => {
            let large = |hop: &Hop<'_>| hop.frame.length > *mtu + ETHERNET;
            vec![Sight { node: from, ..here }.sends(|_, hop| large(hop), ", larger than is taken there")]
        }
        // The rule shows its own.
        Kind::Announces { .. } | Kind::Lacks { .. } | Kind::Unheeded { .. } => Vec::new(),
        // What stops packets in the node: they come in, and at best an error comes out.
        _ => vec![here.swallows(|_| true), here.refuses(|_| true)],
    };
    frames.into_iter().flatten().collect()
}

fn carries(here: Sight<'_, '_>, address: IpAddr) -> bool {
    here.traffic.input.facts(here.node).is_some_and(|f| Host(f).carries(address).next().is_some())
}

/// The first packet for the VIP that the node gets from another than a Director.
fn past_the_director(here: Sight<'_, '_>, vip: IpAddr) -> Option<Evidence> {
    let case = here.traffic.input.case;
    let past = |hop: &Hop<'_>| {
        let from = case.owners(hop.frame.decoded.source);
        !from.is_empty() && !from.iter().any(|(s, _)| here.traffic.is_director(s))
    };
    let station = case.station(here.node).filter(|s| here.traffic.is_real_server(s));
    station.and_then(|_| here.gets(|p, h| p.destination.ip() == vip && past(h), ", not from the Director"))
}

/// The reply on its way to the Director, and its end there.
fn through_director(here: Sight<'_, '_>, client: IpAddr) -> Vec<Option<Evidence>> {
    let traffic = here.traffic;
    let case = traffic.input.case;
    let reply = |p: &Packet<'_>| case.is_vip(p.source.ip()) && p.destination.ip() == client;
    let to_director = |mac| case.owners(mac).iter().any(|(s, _)| traffic.is_director(s));
    let ends = traffic.directors().find_map(|d| Sight { node: &d.node, ..here }.swallows(reply));
    vec![here.sends(|p, h| reply(p) && to_director(h.frame.decoded.destination), ""), ends]
}

/// Questions for the addresses that nobody can answer for while the interface is down, and what comes of them.
fn down(here: Sight<'_, '_>) -> Vec<Option<Evidence>> {
    let case = here.traffic.input.case;
    let Some(station) = case.station(here.node) else { return Vec::new() };
    let open = here.leaves_unanswered(|s| station.has(s.about));
    let others = case.stations.iter().filter(|s| matches!(s.role, Role::Router | Role::Director));
    let refused = || others.into_iter().find_map(|s| Sight { node: &s.node, ..here }.refuses(|_| true));
    vec![open.clone(), open.and_then(|_| refused())]
}
