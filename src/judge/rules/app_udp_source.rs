//! `app-udp-source`: a datagram server on every address answers from the RIP.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule};
use crate::judge::model::survey::own_address;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "app-udp-source",
    title: "a UDP server answers from the RIP",
    teaches: "A UDP socket that is bound to every address has the kernel choose each answer's source by the route: \
              the RIP. The client asked the VIP and takes nothing from the RIP. TCP does not know this trouble, as \
              a connection keeps its address. Bind the VIP, or answer with IP_PKTINFO. The trap: SNAT to the VIP alone changes the port \
              too, for connection tracking takes the request for the owner of that port; the request must not be tracked.",
    causes: "the client gets no answer, or one from an address that it did not ask",
    source: "net/ipv4/udp.c: udp_sendmsg; ip(7): IP_PKTINFO",
    outranks: &[],
    what: |nodes| format!("the UDP server is bound to every address and answers from the RIP, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::AnswersFromRip { socket, vip } = deviation.kind else { return None };
    let port = socket.at.port();
    let evidence = vec![Evidence::fact(
        format!("{} is asked at {vip}", deviation.node),
        format!("{} {}", socket.protocol, socket.at),
    )];
    let rip = diagnosis
        .place(deviation)
        .and_then(|p| own_address(&diagnosis.world, &p, p.station.ports.first()?.interface.as_str(), vip));
    let mut mend = vec![mended(deviation.node, Dialect::ByHand, format!("bind the server to {vip}:{port}"))];
    if let Some(rip) = rip {
        // Tracked, the request holds the VIP's port, and SNAT gives the answer another one.
        let command = format!(
            "iptables -t raw -A PREROUTING -d {vip} -p udp --dport {port} -j CT --notrack && \
             iptables -t nat -A POSTROUTING -s {rip} -p udp --sport {port} -j SNAT --to-source {vip}"
        );
        mend.push(mended(deviation.node, Dialect::Iptables, command));
    }
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
