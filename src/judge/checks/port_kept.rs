//! `port-kept`: direct routing keeps the destination port, and nobody planned otherwise.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::Check;
use crate::base::{Forwarding, Protocol, ServiceId};
use crate::judge::tally::{Tally, count};
use crate::judge::traffic::{Clients, Traffic, Way};
use crate::judge::{CheckResult, Evidence, Input};
use crate::wire::frame::Tcp;

/// The check.
pub(super) const CHECK: Check = Check {
    id: "port-kept",
    title: "requests reach the real server at the service's own port",
    proves: "Every request has at the real server the destination port that the client wrote, and every real server of \
             the plan has the service's port.",
    fooled_by: "ipvsadm itself: it takes `-r RIP:8080 -g` for a service on port 80 without a word and the kernel replaces \
                8080 by 80, so what is read back looks right. The plan's own port is compared, too.",
    usual_cause: "A port mapping, which only NAT can do. Let the server listen on the service's port, redirect the port on \
                  the real server, or use NAT (`-m`).",
    source: "net/netfilter/ipvs/ip_vs_xmit.c: ip_vs_dr_xmit touches no port; ipvsadm(8): --gatewaying",
    run,
};

fn run(input: &Input<'_>) -> CheckResult {
    let traffic = Traffic::new(input);
    let mut tally = Tally::default();
    if input.case.elsewhere.is_some() && traffic.directors().next().is_none() {
        tally.doubt("it is not known who the Director is");
    }
    if input.case.elsewhere.is_none() {
        for station in traffic.real_servers() {
            tally.captured(input, &station.node);
        }
    } else if traffic.directors().next().is_some()
        && !traffic.requests().any(|(p, _)| p.entry(|s| traffic.is_director(s)).is_some())
    {
        tally.doubt("what clients asked was not seen: neither the Director nor the router before it was captured");
    }
    for service in &input.case.services {
        let ServiceId::Address { at, .. } = service.id else { continue };
        for wanted in service.destinations.iter().filter(|d| d.forwarding != Forwarding::Nat) {
            if at.port() != 0 && wanted.at.port() != 0 && wanted.at.port() != at.port() {
                let what = format!("{} is wanted as {} behind {}", service.id, wanted.at, wanted.forwarding);
                let fact = format!("-a {at} -r {} {}", wanted.at, wanted.forwarding);
                tally.broken("the plan maps a port, which direct routing can't", Evidence::fact(what, fact));
            }
        }
    }
    let clients = traffic.clients();
    if input.case.elsewhere.is_some() {
        unanswered(&traffic, &clients, &mut tally);
    }
    let mut examined = 0;
    for packet in &traffic.packets {
        let Some((vip, _)) = clients.get(&(packet.protocol, packet.source)) else { continue };
        // A client may ask two services from one port; what the Director was sent is what was asked.
        let asked = if packet.entry(|s| traffic.is_director(s)).is_some() { packet.destination } else { *vip };
        for hop in packet.hops.iter().filter(|h| h.way == Way::Enters && traffic.is_real_server(h.station)) {
            examined += packet.times;
            let (node, port) = (&hop.station.node, packet.destination.port());
            if port != asked.port() {
                let what = format!("{} asked {asked} and enters {node} as {}", packet.source, packet.destination);
                tally.broken(
                    "requests reach a real server at another port",
                    Evidence::frame(input.trace, hop.frame, what),
                );
            } else if tally.shows_nothing() {
                let what = format!("{} enters {node} at port {port}", packet.source);
                tally.shows(Evidence::frame(input.trace, hop.frame, what));
            }
        }
    }
    let held = format!(
        "{} at real servers, all at the port that the client asked",
        count(examined, "request frame", "request frames")
    );
    tally.result(
        CHECK.id,
        examined,
        "request frames",
        "no request reached a real server: an empty trace proves nothing",
        held,
    )
}

/// In captures from elsewhere no plan tells at which port servers listen; only an answer does.
fn unanswered(traffic: &Traffic<'_>, clients: &Clients<'_>, tally: &mut Tally) {
    let mut answered: BTreeSet<(Protocol, SocketAddr)> = BTreeSet::new();
    for (packet, _) in traffic.replies() {
        if packet.ip.tcp().is_none_or(|t| t.flags & Tcp::RST == 0) {
            answered.insert((packet.protocol, packet.destination));
        }
    }
    for (packet, _) in traffic.requests() {
        // Who acknowledges has got something.
        if packet.ip.tcp().is_some_and(|t| t.flags & (Tcp::RST | Tcp::ACK) == Tcp::ACK) {
            answered.insert((packet.protocol, packet.source));
        }
    }
    let times = traffic.times();
    let open = clients.keys().filter(|client| !answered.contains(client));
    let open: u64 = open.map(|client| times.get(client).copied().unwrap_or(1)).sum();
    if open > 0 {
        let connections = count(open, "connection was", "connections were");
        tally.doubt(format!("{connections} not seen to be answered: it is not known at which port servers listen"));
    }
}

#[cfg(test)]
mod tests {
    use crate::base::Verdict::{Broken, Held, Undecided};
    use crate::judge::testlab::{Back, Exchange, Lab, There};

    #[test]
    fn holds_when_requests_keep_their_port() {
        assert_eq!(Lab::ran(2).expect("port-kept", Held).examined, 8);
    }

    #[test]
    fn a_mapping_in_the_plan_breaks_it_although_the_kernel_replaced_it() {
        let mut lab = Lab::ran(2);
        lab.service().destinations[0].at.set_port(8080);
        assert!(lab.expect("port-kept", Broken).summary.contains("the plan maps a port"));
    }

    #[test]
    fn a_port_that_nat_changed_breaks_it() {
        let mut lab = Lab::textbook();
        lab.exchange(&Exchange::with("rs1").there(There::Nat).back(Back::ThroughDirector));
        lab.expect("port-kept", Held);
        for frame in lab.frames.iter_mut().filter(|f| f.data[12..14] == [8, 0] && f.data[30..34] == [172, 16, 252, 137])
        {
            frame.data[36..38].copy_from_slice(&8080_u16.to_be_bytes());
        }
        assert!(lab.expect("port-kept", Broken).summary.contains("at another port"));
    }

    #[test]
    fn lost_frames_leave_it_undecided() {
        Lab::ran(1).lose("rs1").expect("port-kept", Undecided);
    }
}
