//! `mac-rewrite`: the Director hands each request on once and changes nothing but what direct routing changes.

use super::Check;
use crate::judge::case::{Station, WantedService};
use crate::judge::tally::{Tally, count};
use crate::judge::traffic::{Hop, Packet, Traffic, Translated, Way};
use crate::judge::{CheckResult, Evidence, Input};
use crate::wire::compare::{Rewrite, difference};

/// The check.
pub(super) const CHECK: Check = Check {
    id: "mac-rewrite",
    title: "the Director changes MACs, TTL and header checksum of a request, and nothing else",
    proves: "Every frame from a client to a virtual service that enters the Director leaves it exactly once; it is the \
             same packet byte for byte but for the two MACs, the TTL (hop limit) less one and the IPv4 header checksum, \
             which is right; it comes from the Director's own MAC and goes to the MAC of a real server of the service.",
    fooled_by: "Comparing header fields only (a changed option or payload would pass), comparing the first packet only, \
                or an empty capture. All bytes of all request frames are compared, and none at all is Undecided. A \
                kernel before 4.10 leaves the TTL alone: that passes, and the summary says so.",
    usual_cause: "The forwarding method is NAT or TUN, IPVS has no service for that port, or an input filter of the \
                  Director drops the packet. On the Director: `ipvsadm -Ln`, `iptables -vnL INPUT`.",
    source: "net/netfilter/ipvs/ip_vs_xmit.c: ip_vs_dr_xmit, decrement_ttl (Linux 4.10, commit 8d8e20e2d7bb)",
    run,
};

/// What was seen so far of requests that went through a Director.
#[derive(Default)]
struct Seen {
    examined: u64,
    lowered: u64,
    kept: u64,
    local: u64,
}

fn run(input: &Input<'_>) -> CheckResult {
    let traffic = Traffic::new(input);
    let mut tally = Tally::default();
    for director in traffic.directors() {
        tally.captured(input, &director.node);
    }
    let translated = traffic.translated();
    let local = traffic.served_by_director();
    let mut seen = Seen::default();
    for (packet, service) in traffic.requests() {
        for director in traffic.directors() {
            let of = |way: Way| packet.hops.iter().filter(move |h| h.way == way && h.station.node == director.node);
            let mut outs = of(Way::Leaves);
            for into in of(Way::Enters) {
                seen.examined += 1;
                match outs.next() {
                    Some(out) => handed_on(&traffic, service, into, out, &mut seen, &mut tally),
                    None if local.contains(&(packet.protocol, packet.source)) => seen.local += 1,
                    None => stayed(input, &translated, packet, (director, into), &mut tally),
                }
            }
            if let Some(extra) = outs.next().filter(|_| of(Way::Enters).next().is_some()) {
                let what = format!("left {} once more than it had entered it", director.node);
                tally.broken(
                    "a request left the Director more than once",
                    Evidence::frame(input.trace, extra.frame, what),
                );
            }
        }
    }
    if traffic.fragments > 0 {
        tally.doubt(format!("{} to a VIP were not followed", count(traffic.fragments, "fragment", "fragments")));
    }
    if seen.lowered > 0 && seen.kept > 0 {
        let what = format!("TTL less one in {} frames, unchanged in {}", seen.lowered, seen.kept);
        tally.broken("the Director treats the TTL now so, now otherwise", Evidence::told(what));
    }
    let held = held(&seen);
    tally.result(
        CHECK.id,
        seen.examined,
        "request frames",
        "no request entered the Director: an empty trace proves nothing",
        held,
    )
}

fn held(seen: &Seen) -> String {
    let ttl = match (seen.lowered, seen.kept) {
        (0, 0) => "served by the Director itself",
        (0, _) => "changed in its MACs only; the TTL stands, as with kernels before 4.10",
        _ => "changed in its MACs, TTL less one and the header checksum, in no other byte",
    };
    let local = if seen.local > 0 && seen.local < seen.examined {
        format!("; {} of them served by the Director itself (LocalNode)", seen.local)
    } else {
        String::new()
    };
    format!(
        "{} through the Director, each once, each {ttl}{local}",
        count(seen.examined, "request frame", "request frames")
    )
}

/// Judges a frame against the one that came of it.
fn handed_on(
    traffic: &Traffic<'_>,
    service: &WantedService,
    into: &Hop<'_>,
    out: &Hop<'_>,
    seen: &mut Seen,
    tally: &mut Tally,
) {
    let input = traffic.input;
    let case = input.case;
    if let Some(to) = out.tunnelled_to() {
        let what = format!("wrapped in a packet to {to}: that is tunnelling (ipvsadm -i), not direct routing");
        tally.broken("the Director wrapped requests in IP in IP", Evidence::frame(input.trace, out.frame, what));
        return;
    }
    if into.frame.is_cut() || out.frame.is_cut() {
        tally.doubt("frames were not captured whole");
    }
    let changes = difference(&into.frame.data, &out.frame.data);
    let shown = |what: String| Evidence::frame(input.trace, out.frame, what);
    match changes.rewrite() {
        Rewrite::MacsAndTtl => seen.lowered += 1,
        Rewrite::MacsOnly => seen.kept += 1,
        Rewrite::Nothing => {
            tally.broken("a request left the Director with the MACs it came with", shown("no byte differs".into()));
        }
        Rewrite::Beyond(fields) | Rewrite::Length(fields) => {
            let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
            let what = if fields.is_empty() { "the length".to_owned() } else { fields.join(", ") };
            tally.broken(format!("the Director changed {what}"), shown(changes.to_string()));
        }
    }
    if out.frame.decoded.ip().is_some_and(|ip| ip.header_checksum_ok == Some(false)) {
        tally.broken("a request left the Director with a wrong header checksum", shown(changes.to_string()));
    }
    let (source, to) = (out.frame.decoded.source, out.frame.decoded.destination);
    if source != out.port.mac {
        let what = format!("from {}, though it left by {}", case.name_of(source), out.port.mac);
        tally.broken("a request left the Director with a source MAC that is not its own", shown(what));
    }
    let members = traffic.members(service);
    if !case.owners(to).iter().any(|(s, _)| members.iter().any(|m| m.node == s.node)) {
        let what = format!("sent to {}, no real server of {}", case.name_of(to), service.id);
        tally.broken("a request was sent to a MAC that is no real server's", shown(what));
    }
    if tally.shows_nothing() {
        tally.shows(Evidence::frame(input.trace, into.frame, "a request enters the Director"));
        tally.shows(shown(format!("the same request leaves it for {}: {changes}", case.name_of(to))));
    }
}

/// A request that entered the Director and did not leave it as itself.
fn stayed(
    input: &Input<'_>,
    translated: &Translated<'_, '_>,
    packet: &Packet<'_>,
    (director, into): (&Station, &Hop<'_>),
    tally: &mut Tally,
) {
    if let Some((other, out)) = translated
        .get(&(packet.protocol, packet.source, packet.sequence()))
        .and_then(|p| Some((p, p.exit(|s| s.node == director.node)?)))
    {
        let what = format!(
            "to {} instead of {}: that is NAT (ipvsadm -m), not direct routing",
            other.destination, packet.destination
        );
        tally.broken("the Director changed the destination address", Evidence::frame(input.trace, out.frame, what));
        return;
    }
    let what = format!("{} to {} entered {} and did not leave it", packet.source, packet.destination, director.node);
    let shown = Evidence::frame(input.trace, into.frame, what);
    tally.missing(input, &director.node, "a request entered the Director and never left it", shown);
}
