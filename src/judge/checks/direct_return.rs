//! `direct-return`: replies go from the real server to the client's side without passing the Director.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::Check;
use crate::base::{Protocol, Role};
use crate::facts::run::Outcome;
use crate::judge::case::Station;
use crate::judge::streams::Streams;
use crate::judge::tally::{Tally, count};
use crate::judge::traffic::{Clients, Hop, Packet, Traffic, Way};
use crate::judge::{CheckResult, Evidence, Input};
use crate::wire::frame::{Tcp, is_initial};
use crate::wire::link::UNKNOWN;

/// The check.
pub(super) const CHECK: Check = Check {
    id: "direct-return",
    title: "replies leave the real server with the VIP as source and never touch the Director",
    proves: "Every reply leaves a real server with the VIP as its source and the MAC of a router or a client as its \
             destination, no reply enters or leaves any interface of a Director, and every answered request has its \
             reply on record.",
    fooled_by: "A bridge that floods a frame to all its ports shows replies at the Director's port, though they are not \
                for it: only frames addressed to the Director's MAC count as entering. Replies that were never captured \
                would hold trivially: each answered request must have one.",
    usual_cause: "The real server's default gateway is the Director (a habit from NAT), or the service forwards by NAT. \
                  On the real server: `ip route get CLIENT from VIP`; on the Director: `ipvsadm -Ln`.",
    source: "net/netfilter/ipvs/ip_vs_xmit.c: ip_vs_dr_xmit; the reply never meets ip_vs_out_hook",
    run,
};

fn run(input: &Input<'_>) -> CheckResult {
    let traffic = Traffic::new(input);
    let mut tally = Tally::default();
    if input.case.elsewhere.is_some() {
        if traffic.directors().next().is_none() {
            tally.doubt("it is not known who the Director is");
        }
    } else {
        for station in traffic.directors().chain(traffic.real_servers()) {
            tally.captured(input, &station.node);
        }
    }
    let local = traffic.served_by_director();
    let mut replied: BTreeSet<(Protocol, SocketAddr, SocketAddr)> = BTreeSet::new();
    let mut examined = 0;
    let clients = traffic.clients();
    let from_rip = from_rip(&traffic, &clients);
    let by_rip: BTreeSet<SocketAddr> = from_rip.iter().map(|(p, _)| p.destination).collect();
    for (packet, _) in traffic.replies() {
        if refused_by_director(&traffic, packet) && !by_rip.contains(&packet.destination) {
            continue;
        }
        if let Some(out) = packet.hops.first().filter(|h| h.way == Way::Leaves && is_stranger(&traffic, h.station)) {
            strange(input, packet, out, &mut tally);
        }
        let at_issue = |h: &Hop<'_>| traffic.is_real_server(h.station) || traffic.is_director(h.station);
        if input.case.elsewhere.is_some() && !packet.hops.iter().any(at_issue) {
            continue;
        }
        examined += packet.times;
        replied.insert((packet.protocol, packet.source, packet.destination));
        let own = local.contains(&(packet.protocol, packet.destination));
        at_directors(&traffic, packet, own, &mut tally);
        let sent = packet.exit(|s| traffic.is_real_server(s));
        if let Some(out) = sent {
            leaves(input, packet, &out, &mut tally);
        }
    }
    for (packet, out) in from_rip {
        examined += packet.times;
        let vip = clients.get(&(packet.protocol, packet.destination)).map(|(vip, _)| *vip);
        if let Some(vip) = vip {
            replied.insert((packet.protocol, vip, packet.destination));
        }
        let what = format!("{} answers {} from {}", out.station.node, packet.destination, packet.source);
        tally.broken(
            "replies have the real server's own address as source",
            Evidence::frame(input.trace, out.frame, what),
        );
    }
    unanswered(&traffic, &replied, &mut tally);
    if let Some(elsewhere) = &input.case.elsewhere {
        unrecorded(&traffic, &mut tally);
        let times = traffic.times();
        let silent = clients.iter().filter(|((p, client), (vip, _))| !replied.contains(&(*p, *vip, *client)));
        let silent: u64 = silent.map(|(client, _)| times.get(client).copied().unwrap_or(1)).sum();
        if silent > 0 {
            let connections = count(silent, "connection has", "connections have");
            tally.doubt(format!("{connections} no reply in what was captured"));
        }
        let view = elsewhere.servers_given
            || input.case.front_captured()
            || traffic.directors().any(|d| elsewhere.captured(&d.node));
        if !view && traffic.directors().next().is_some() {
            tally.doubt(
                "replies of real servers that are not known were not seen: a capture at the router or the Director would \
                 tell whom there is, or --rs for each",
            );
        }
    }
    let held = format!(
        "{} went from real servers straight to the router or client, from the VIP; none crossed the Director",
        count(examined, "reply packet", "reply packets")
    );
    tally.result(CHECK.id, examined, "reply packets", "no reply was seen: an empty trace proves nothing", held)
}

/// Whether the station has no business to answer for a VIP.
fn is_stranger(traffic: &Traffic<'_>, station: &Station) -> bool {
    !traffic.is_real_server(station) && !traffic.is_director(station)
}

/// A reply that begins its way at a stranger. Elsewhere it may have begun before that, where nobody captured it.
fn strange(input: &Input<'_>, packet: &Packet<'_>, out: &Hop<'_>, tally: &mut Tally) {
    let node = &out.station.node;
    if input.case.elsewhere.is_none() {
        let what = format!("{node} answers {} from {}", packet.destination, packet.source);
        let kind = format!("{node}, which is no real server, answers from the VIP");
        // What it only passes on came in there, too, unless that was lost.
        tally.missing(input, node, kind, Evidence::frame(input.trace, out.frame, what));
    } else if fresh(out) {
        tally.doubt(format!("{node}, which is not known for a real server, seems to answer from the VIP itself"));
    }
}

/// Whether its TTL says that no router has passed the packet on yet.
fn fresh(out: &Hop<'_>) -> bool {
    out.frame.decoded.ip().is_some_and(|ip| is_initial(ip.ttl))
}

/// Whether it is the Director's own refusal of a connection that it has no service or no real server for.
fn refused_by_director(traffic: &Traffic<'_>, packet: &Packet<'_>) -> bool {
    let reset = packet.ip.tcp().is_some_and(|t| t.flags & Tcp::RST != 0);
    reset && packet.hops.first().is_some_and(|h| h.way == Way::Leaves && traffic.is_director(h.station))
}

/// What a reply has no business to do.
fn at_directors(traffic: &Traffic<'_>, packet: &Packet<'_>, own: bool, tally: &mut Tally) {
    let trace = traffic.input.trace;
    for hop in packet.hops.iter().filter(|h| traffic.is_director(h.station)) {
        let node = &hop.station.node;
        match hop.way {
            Way::Enters if hop.frame.decoded.destination.is_group() => {}
            Way::Enters => {
                let what = format!("{} to {} enters {node}", packet.source, packet.destination);
                tally.broken("replies enter the Director", Evidence::frame(trace, hop.frame, what));
            }
            Way::Leaves if own => {}
            Way::Leaves if traffic.input.case.elsewhere.is_some() => {
                tally.doubt(format!("replies come out of {node} that were not seen to enter it; it may serve itself"));
            }
            Way::Leaves => {
                let what = format!("{} to {} comes out of {node}", packet.source, packet.destination);
                tally.broken("replies come out of the Director", Evidence::frame(trace, hop.frame, what));
            }
        }
    }
}

/// Judges the frame in which a reply leaves its real server.
fn leaves(input: &Input<'_>, packet: &Packet<'_>, out: &Hop<'_>, tally: &mut Tally) {
    let to = out.frame.decoded.destination;
    let fits = |(station, port): &(&crate::judge::case::Station, &crate::judge::case::StationPort)| {
        matches!(station.role, Role::Router | Role::Client) && port.segment == out.port.segment
    };
    let name = input.case.name_of(to);
    if to == UNKNOWN {
        tally.doubt(
            "a cooked or raw capture does not tell which MAC replies go to: capture at the interface, not at `any`",
        );
    } else if !input.case.owners(to).iter().any(fits) {
        let what = format!("{} sends {} to {} by {name}", out.station.node, packet.source, packet.destination);
        let shown = Evidence::frame(input.trace, out.frame, what);
        tally.broken("replies are handed to one that is neither router nor client", shown);
    } else if tally.shows_nothing() {
        let what = format!("{} answers {} from {}, to {name}", out.station.node, packet.destination, packet.source);
        tally.shows(Evidence::frame(input.trace, out.frame, what));
    }
}

/// In captures from elsewhere, replies that clients acknowledge or that were seen further on, without the frame in which
/// they left their real server.
fn unrecorded(traffic: &Traffic<'_>, tally: &mut Tally) {
    let streams = Streams::of_replies(traffic, |hop| hop.way == Way::Leaves && traffic.is_real_server(hop.station));
    let gaps = streams.gaps();
    if gaps == 0 {
        return;
    }
    let missing: Vec<&str> = traffic
        .real_servers()
        .filter(|s| traffic.input.case.elsewhere.as_ref().is_some_and(|e| !e.captured(&s.node)))
        .map(|s| s.node.as_str())
        .collect();
    let why = if missing.is_empty() && traffic.real_servers().next().is_some() {
        "the capture lost frames".to_owned()
    } else if missing.is_empty() {
        "no real server is known".to_owned()
    } else {
        format!("captures at {} or at the router's side of their segment would show them", missing.join(", "))
    };
    let connections = count(gaps, "connection", "connections");
    tally.doubt(format!("replies of {connections} were not seen to leave a real server: {why}"));
}

/// Packets from a real server's own address to a client's end of a connection to a VIP.
fn from_rip<'t, 'a>(traffic: &'t Traffic<'a>, clients: &Clients<'a>) -> Vec<(&'t Packet<'a>, Hop<'a>)> {
    let elsewhere = traffic.input.case.elsewhere.is_some();
    let direct = if elsewhere { asking_directly(traffic) } else { BTreeSet::new() };
    traffic
        .packets
        .iter()
        .filter(|p| !traffic.input.case.is_vip(p.source.ip()) && clients.contains_key(&(p.protocol, p.destination)))
        .filter_map(|p| Some((p, p.exit(|s| traffic.is_real_server(s) && s.has(p.source.ip()))?)))
        .filter(|(p, _)| !direct.contains(&(p.protocol, p.destination, p.source)))
        .collect()
}

/// Clients that speak with an address of their own choice besides, from the same port, and not through a Director. A
/// reset only refuses what came unasked.
fn asking_directly(traffic: &Traffic<'_>) -> BTreeSet<(Protocol, SocketAddr, SocketAddr)> {
    let past = |p: &&Packet<'_>| {
        p.ip.tcp().is_none_or(|t| t.flags & Tcp::RST == 0) && p.exit(|s| traffic.is_director(s)).is_none()
    };
    traffic.packets.iter().filter(past).map(|p| (p.protocol, p.source, p.destination)).collect()
}

/// Every request that was answered must have a reply on record.
fn unanswered(traffic: &Traffic<'_>, replied: &BTreeSet<(Protocol, SocketAddr, SocketAddr)>, tally: &mut Tally) {
    let input = traffic.input;
    for request in input.ran.loads.iter().flat_map(|l| &l.requests) {
        let Some(local) = request.local.filter(|_| matches!(request.outcome, Outcome::Answered { .. })) else {
            continue;
        };
        let served = traffic.service_at(request.protocol, request.target).is_some();
        if served && !replied.contains(&(request.protocol, request.target, local)) {
            let lossy = traffic.real_servers().find(|s| input.lost(&s.node) > 0);
            let what = format!("{} asked from {local} and was answered", request.client);
            match lossy {
                Some(station) => tally.lost_at(input, &station.node),
                None => tally.broken("an answered request has no reply on record", Evidence::told(what)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::base::Verdict::{Broken, Held, Undecided};
    use crate::judge::testlab::{Back, Exchange, Lab, SERVICE, There, tcp};
    use crate::trace::Direction::{In, Out};

    #[test]
    fn holds_for_a_textbook_run() {
        let result = Lab::ran(2).expect("direct-return", Held);
        assert_eq!(result.examined, 6);
        assert_eq!(result.evidence[0].frame.as_ref().unwrap().vantage, "rs2:eth0");
    }

    #[test]
    fn breaks_when_replies_go_through_the_director() {
        let mut lab = Lab::ran(2);
        lab.exchange(&Exchange::with("rs1").back(Back::ThroughDirector));
        let summary = lab.expect("direct-return", Broken).summary;
        assert!(summary.contains("enter the Director") && summary.contains("come out of"), "{summary}");
    }

    #[test]
    fn a_connection_that_the_director_refuses_is_no_reply_of_a_real_server() {
        let mut lab = Lab::ran(2);
        lab.exchange(&Exchange::with("rs1").there(There::Swallowed));
        let local = lab.ran.loads[0].requests[2].local.unwrap();
        lab.unicast("director", "router", "lan", tcp(SERVICE, local, 99, 0, 4 | 16, b""));
        assert_eq!(lab.expect("direct-return", Held).examined, 6);
    }

    #[test]
    fn breaks_when_one_that_is_no_real_server_answers_from_the_vip() {
        let mut lab = Lab::ran(2);
        lab.unicast(
            "router",
            "client",
            "front",
            tcp(SERVICE, "203.0.113.2:50000".parse().unwrap(), 99, 0, 4 | 16, b""),
        );
        let summary = lab.expect("direct-return", Broken).summary;
        assert!(summary.starts_with("router, which is no real server, answers"), "{summary}");
    }

    #[test]
    fn breaks_when_the_rip_answers() {
        let mut lab = Lab::textbook();
        lab.exchange(&Exchange::with("rs1").there(There::Nat).back(Back::FromRip));
        assert!(lab.expect("direct-return", Broken).summary.contains("own address"));
    }

    #[test]
    fn a_reply_flooded_to_the_directors_port_does_not_touch_it() {
        let mut lab = Lab::ran(2);
        let reply = lab.frames.iter().rfind(|f| f.direction == Out && f.data[11] == 5).unwrap().data.clone();
        lab.record("director", "lan", In, &reply);
        lab.expect("direct-return", Held);
    }

    #[test]
    fn an_answer_without_frames_breaks_it_but_not_where_frames_were_lost() {
        let mut lab = Lab::ran(2);
        let unseen = lab.ran.loads[0].requests[0].clone();
        lab.ran.loads[0]
            .requests
            .push(crate::facts::run::RequestResult { local: Some("203.0.113.2:9".parse().unwrap()), ..unseen });
        lab.expect("direct-return", Broken);
        lab.lose("rs1").expect("direct-return", Undecided);
    }
}
