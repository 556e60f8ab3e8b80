//! `mac-rewrite`: the Director hands each request on once and changes nothing but what direct routing changes.

use super::Check;
use crate::judge::case::{Station, WantedService};
use crate::judge::streams::Streams;
use crate::judge::tally::{Tally, count};
use crate::judge::traffic::{Hop, Packet, Traffic, Translated, Way};
use crate::judge::{CheckResult, Evidence, Input};
use crate::trace::Frame;
use crate::wire::compare::{Difference, Rewrite, difference};
use crate::wire::link::UNKNOWN;

/// The check.
pub(super) const CHECK: Check = Check {
    id: "mac-rewrite",
    title: "the Director changes MACs, TTL and header checksum of a request, and nothing else",
    proves: "Every frame from a client to a virtual service that enters the Director leaves it exactly once; it is the \
             same packet byte for byte but for the two MACs, the TTL (hop limit) less one and the IPv4 header checksum, \
             which is right; it comes from the Director's own MAC and goes to the MAC of a real server of the service.",
    fooled_by: "Comparing header fields only (a changed option or payload would pass), comparing the first packet only, \
                or an empty capture. All bytes of all request frames are compared, and none at all is Undecided. A \
                kernel before 4.10 leaves the TTL alone, and a Director that is not IPVS may: that passes, and the \
                summary says so.",
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
    v4: bool,
}

/// Half of what should have been seen, in captures that were made elsewhere.
#[derive(Default)]
struct Unseen {
    /// Requests that entered the Director and were not seen to leave it.
    staying: u64,
    /// Requests that left it and were not seen to enter it.
    appearing: u64,
}

impl Unseen {
    fn doubt(&self, traffic: &Traffic<'_>, tally: &mut Tally) {
        let input = traffic.input;
        let directors: Vec<&Station> = traffic.directors().collect();
        let Some(director) = directors.first() else {
            tally.doubt("it is not known who the Director is");
            return;
        };
        let name = &director.node;
        if self.staying > 0 {
            let why = if directors.iter().any(|d| captured(input, d)) {
                "the Director kept them, or the capture lost them"
            } else {
                "a capture at the Director, or at every real server, would show it"
            };
            let frames = count(self.staying, "request frame that entered", "request frames that entered");
            tally.doubt(format!("{frames} {name} did not leave it in what was captured: {why}"));
        }
        if self.appearing > 0 {
            let frames = count(self.appearing, "request frame", "request frames");
            tally.doubt(format!(
                "{frames} left {name} and did not enter it in what was captured (a frame lost, captured twice, or merged by \
                 a network card; a capture at the router or the Director would show it)"
            ));
        }
        let gaps = Streams::of(traffic, |hop| hop.way == Way::Enters && traffic.is_director(hop.station)).gaps();
        if gaps > 0 {
            let connections = count(gaps, "connection has", "connections have");
            tally.doubt(format!("the requests of {connections} gaps: the capture lost frames"));
        }
    }
}

/// Whether a capture shows all of the station's own frames.
fn captured(input: &Input<'_>, station: &Station) -> bool {
    input.case.elsewhere.as_ref().is_none_or(|e| e.captured(&station.node))
}

fn run(input: &Input<'_>) -> CheckResult {
    let traffic = Traffic::new(input);
    let mut tally = Tally::default();
    if input.case.elsewhere.is_none() {
        for director in traffic.directors() {
            tally.captured(input, &director.node);
        }
    }
    let translated = traffic.translated();
    let local = traffic.served_by_director();
    let mut seen = Seen::default();
    let mut unseen = Unseen::default();
    for (packet, service) in traffic.requests() {
        for director in traffic.directors() {
            let of = |way: Way| packet.hops.iter().filter(move |h| h.way == way && h.station.node == director.node);
            let mut outs = of(Way::Leaves);
            // Where frames are missing, equal ports and numbers don't make it the same packet.
            let same = |other: &Packet<'_>| input.lost(&director.node) == 0 || other.destination != packet.destination;
            for into in of(Way::Enters) {
                seen.examined += packet.times;
                match outs.next() {
                    Some(out) => handed_on(&traffic, service, into, out, &mut seen, &mut tally),
                    None if local.contains(&(packet.protocol, packet.source)) => seen.local += packet.times,
                    None => match made_of(&translated, packet, director).filter(|(other, _)| same(other)) {
                        // Where frames may be missing, equal ports and numbers don't make it the same packet.
                        Some((other, _))
                            if input.case.elsewhere.is_some() && other.destination == packet.destination =>
                        {
                            unseen.staying += packet.times;
                        }
                        None if input.case.elsewhere.is_some() => unseen.staying += packet.times,
                        Some((other, out)) if other.destination == packet.destination => {
                            handed_on(&traffic, service, into, &out, &mut seen, &mut tally);
                        }
                        other => stayed(input, packet, into, other, &mut tally),
                    },
                }
            }
            if input.case.elsewhere.is_some() {
                let of_own = traffic.directors().all(|d| !captured(input, d));
                unseen.appearing += outs.filter(|h| traffic.is_own(h) || of_own).count() as u64 * packet.times;
            } else if let Some(extra) = outs.next().filter(|_| of(Way::Enters).next().is_some()) {
                let what = format!("left {} once more than it had entered it", director.node);
                tally.broken(
                    "a request left the Director more than once",
                    Evidence::frame(input.trace, extra.frame, what),
                );
            }
        }
    }
    if input.case.elsewhere.is_some() {
        unseen.doubt(&traffic, &mut tally);
    }
    if traffic.fragments > 0 {
        tally.doubt(format!(
            "{} to a VIP were not followed",
            count(traffic.fragments, "later fragment", "later fragments")
        ));
    }
    if seen.lowered > 0 && seen.kept > 0 {
        let what = format!("TTL less one in {} frames, unchanged in {}", seen.lowered, seen.kept);
        tally.broken("the Director treats the TTL now so, now otherwise", Evidence::told(what));
    }
    let held = held(&seen, traffic.directors().any(|d| input.case.without_ipvs.contains_key(&d.node)));
    let nothing = if traffic.requests().next().is_some() {
        "requests were sent, but none entered the Director"
    } else {
        "no request was seen: an empty trace proves nothing"
    };
    tally.result(CHECK.id, seen.examined, "request frames", nothing, held)
}

fn held(seen: &Seen, other: bool) -> String {
    let ttl = match (seen.lowered, seen.kept) {
        (0, 0) => "served by the Director itself",
        (0, _) if other => "changed in its MACs only; the TTL stands, as this Director is not IPVS",
        (0, _) => "changed in its MACs only; the TTL stands, as with kernels before 4.10",
        _ if !seen.v4 => "changed in its MACs and the hop limit less one, in no other byte",
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
        if into.frame.data.len() != out.frame.data.len() {
            return;
        }
    }
    seen.v4 |= into.frame.decoded.ip().is_some_and(|ip| ip.destination.is_ipv4());
    let changes =
        if case.elsewhere.is_some() { packets_differ(into.frame, out.frame) } else { frames_differ(into, out) };
    let shown = |what: String| Evidence::frame(input.trace, out.frame, what);
    match changes.rewrite() {
        Rewrite::MacsAndTtl => seen.lowered += into.frame.times(),
        Rewrite::MacsOnly => seen.kept += into.frame.times(),
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
    if into.frame.beyond.hash != out.frame.beyond.hash && !into.frame.is_cut() && !out.frame.is_cut() {
        let what = format!("the {} bytes after the first {} differ", into.frame.beyond.bytes, into.frame.data.len());
        tally.broken("the Director changed payload", shown(what));
    }
    let (source, to) = (out.frame.decoded.source, out.frame.decoded.destination);
    if to == UNKNOWN {
        tally.doubt(
            "a cooked or raw capture does not tell which MAC the Director sends to: capture at its interface, not at `any`",
        );
        return;
    }
    if source != out.port.mac {
        let what = format!("from {}, though it left by {}", case.name_of(source), out.port.mac);
        tally.broken("a request left the Director with a source MAC that is not its own", shown(what));
    }
    let members = traffic.members(service);
    if case.elsewhere.is_some() && case.owner_of(to).is_none() {
        tally.doubt(format!("requests were sent to {to}, whose part is not known; --rs says that it is a real server"));
    } else if !case.owners(to).iter().any(|(s, _)| members.iter().any(|m| m.node == s.node)) {
        let what = format!("sent to {}, no real server of {}", case.name_of(to), service.id);
        tally.broken("a request was sent to a MAC that is no real server's", shown(what));
    }
    if tally.shows_nothing() {
        tally.shows(Evidence::frame(input.trace, into.frame, "a request enters the Director"));
        tally.shows(shown(format!("the same request leaves it for {}: {changes}", case.name_of(to))));
    }
}

/// What differs between two frames of the lab.
fn frames_differ(into: &Hop<'_>, out: &Hop<'_>) -> Difference {
    difference(&into.frame.data, &out.frame.data)
}

/// What differs between two frames that were captured elsewhere, where VLAN tags, padding and a check sequence are the
/// link's own and each point may have kept another part.
fn packets_differ(into: &Frame, out: &Frame) -> Difference {
    let (mut a, mut b) = (plain(into), plain(out));
    if into.is_cut() || out.is_cut() {
        let shared = a.len().min(b.len());
        a.truncate(shared);
        b.truncate(shared);
    }
    difference(&a, &b)
}

/// The frame without VLAN tags and without what follows the IP packet.
fn plain(frame: &Frame) -> Vec<u8> {
    let Some(ip) = frame.decoded.ip() else { return frame.data.clone() };
    let end = ip.offset.saturating_add(usize::try_from(ip.length).unwrap_or(usize::MAX)).min(frame.data.len());
    let mut bytes = frame.data.get(..12).unwrap_or_default().to_vec();
    bytes.extend_from_slice(frame.data.get(ip.offset.saturating_sub(2)..end).unwrap_or_default());
    bytes
}

/// What the Director sent in place of a request that did not leave it as itself.
fn made_of<'t, 'a>(
    translated: &Translated<'t, 'a>,
    packet: &Packet<'a>,
    director: &Station,
) -> Option<(&'t Packet<'a>, Hop<'a>)> {
    let other = *translated.get(&(packet.protocol, packet.source, packet.sequence()))?;
    Some((other, other.exit(|s| s.node == director.node)?))
}

/// A request that entered the Director and did not leave it to the same address.
fn stayed(
    input: &Input<'_>,
    packet: &Packet<'_>,
    into: &Hop<'_>,
    other: Option<(&Packet<'_>, Hop<'_>)>,
    tally: &mut Tally,
) {
    if let Some((other, out)) = other {
        let what = format!(
            "to {} instead of {}: that is NAT (ipvsadm -m), not direct routing",
            other.destination, packet.destination
        );
        tally.broken("the Director changed the destination address", Evidence::frame(input.trace, out.frame, what));
        return;
    }
    let director = &into.station.node;
    if packet.ip.fragment {
        tally.doubt("a fragment that entered the Director left it cut otherwise, or not at all");
        return;
    }
    let what = format!("{} to {} entered {director} and did not leave it", packet.source, packet.destination);
    let shown = Evidence::frame(input.trace, into.frame, what);
    tally.missing(input, director, "a request entered the Director and never left it", shown);
}

#[cfg(test)]
mod tests {
    use crate::base::Verdict::{Broken, Held, Undecided};
    use crate::judge::testlab::{Back, Exchange, Lab, There, checksum};
    use crate::trace::Direction::{In, Out};

    #[test]
    fn holds_for_a_textbook_run_and_says_what_changed() {
        let result = Lab::ran(4).expect("mac-rewrite", Held);
        assert_eq!(result.examined, 16);
        assert!(result.summary.contains("TTL less one"), "{}", result.summary);
        assert!(result.evidence[1].what.contains("TTL 63 -> 62"), "{:?}", result.evidence);
        assert_eq!(result.evidence[1].frame.as_ref().unwrap().vantage, "director:eth0");
    }

    #[test]
    fn a_director_without_ipvs_may_leave_the_ttl_alone_or_not() {
        let mut lab = Lab::ran(2);
        lab.without_ipvs();
        assert!(lab.expect("mac-rewrite", Held).summary.contains("TTL less one"));
        for (node, way) in [("director", Out), ("rs1", In), ("rs2", In)] {
            lab.edit_frames(node, way, |data| {
                if data[12..14] == [8, 0] {
                    data[22] += 1;
                    checksum(data);
                }
            });
        }
        let summary = lab.expect("mac-rewrite", Held).summary;
        assert!(summary.contains("the TTL stands, as this Director is not IPVS"), "{summary}");
    }

    #[test]
    fn a_kernel_that_leaves_the_ttl_alone_holds_and_is_named() {
        let mut lab = Lab::ran(2);
        for (node, way) in [("director", Out), ("rs1", In), ("rs2", In)] {
            lab.edit_frames(node, way, |data| {
                if data[12..14] == [8, 0] {
                    data[22] += 1;
                    checksum(data);
                }
            });
        }
        assert!(lab.expect("mac-rewrite", Held).summary.contains("before 4.10"));
    }

    #[test]
    fn breaks_when_one_byte_of_a_payload_differs() {
        let mut lab = Lab::ran(2);
        lab.edit_frames("director", Out, |data| {
            if data.ends_with(b"\r\n\r\n") {
                let last = data.len() - 1;
                data[last] = b'!';
            }
        });
        let result = lab.expect("mac-rewrite", Broken);
        assert!(result.summary.starts_with("the Director changed payload"), "{}", result.summary);
    }

    #[test]
    fn breaks_when_the_checksum_does_not_follow() {
        let mut lab = Lab::ran(2);
        lab.edit_frames("director", Out, |data| {
            if data[12..14] == [8, 0] {
                data[24] ^= 1;
            }
        });
        assert!(lab.expect("mac-rewrite", Broken).summary.contains("header checksum"));
    }

    #[test]
    fn breaks_when_a_request_is_sent_back_to_the_router() {
        let mut lab = Lab::ran(2);
        let router = lab.port("router", "lan").mac;
        lab.edit_frames("director", Out, |data| {
            if data[12..14] == [8, 0] {
                data[0..6].copy_from_slice(&router.0);
            }
        });
        assert!(lab.expect("mac-rewrite", Broken).summary.contains("no real server's"));
    }

    #[test]
    fn nat_and_tunnelling_break_it_and_are_named() {
        let mut lab = Lab::textbook();
        lab.exchange(&Exchange::with("rs1").there(There::Nat).back(Back::ThroughDirector));
        assert!(lab.expect("mac-rewrite", Broken).evidence[0].what.contains("NAT"));
        let mut lab = Lab::textbook();
        lab.exchange(&Exchange::with("rs1").there(There::Tunnel));
        assert!(lab.expect("mac-rewrite", Broken).summary.contains("IP in IP"));
    }

    #[test]
    fn a_lost_frame_does_not_make_the_next_one_of_its_number_the_same() {
        let mut lab = Lab::textbook();
        lab.exchange(&Exchange::with("rs1"));
        let of = |direction| {
            let here = |at: &usize| {
                let frame = &lab.frames[*at];
                lab.vantage(frame.vantage).node == "director" && frame.direction == direction
            };
            (0..lab.frames.len()).filter(here).collect::<Vec<_>>()
        };
        // The ACK as it leaves, and the request itself, which has the ACK's number, as it enters.
        let (left, entered) = (of(Out)[1], of(In)[2]);
        lab.frames.remove(entered.max(left));
        lab.frames.remove(entered.min(left));
        lab.lose("director");
        lab.expect("mac-rewrite", Undecided);
    }

    #[test]
    fn a_swallowed_request_breaks_it_but_not_where_frames_were_lost() {
        let mut lab = Lab::ran(2);
        lab.exchange(&Exchange::with("rs1").there(There::Swallowed));
        lab.expect("mac-rewrite", Broken);
        lab.lose("director");
        lab.expect("mac-rewrite", Undecided);
    }

    #[test]
    fn what_is_seen_to_be_wrong_counts_although_frames_were_lost() {
        let mut lab = Lab::textbook();
        lab.exchange(&Exchange::with("rs1").there(There::Tunnel));
        lab.lose("director").expect("mac-rewrite", Broken);
    }

    #[test]
    fn requests_past_the_director_leave_nothing_to_judge() {
        let mut lab = Lab::textbook();
        lab.exchange(&Exchange::with("rs1").there(There::PastDirector));
        lab.expect("mac-rewrite", Undecided);
    }
}
