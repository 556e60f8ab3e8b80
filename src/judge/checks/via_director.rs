//! `via-director`: no client packet for the VIP reaches a real server but through a Director.

use super::Check;
use crate::judge::tally::{Tally, count};
use crate::judge::traffic::{Traffic, Way};
use crate::judge::{CheckResult, Evidence, Input};

/// The check.
pub(super) const CHECK: Check = Check {
    id: "via-director",
    title: "no request reaches a real server except through the Director",
    proves: "Every client packet for a VIP that a real server takes in came in a frame from a Director's MAC, and the \
             same packet left the Director before.",
    fooled_by: "A site that works: with the ARP problem all requests are answered, by one real server, past the \
                Director. Frames that a bridge floods to a real server's port without being addressed to it are not \
                taken in and don't count.",
    usual_cause: "A real server answers ARP for the VIP (the ARP problem), or the router holds an old neighbour entry. \
                  On the router: `ip neigh show VIP`; on the real server: `sysctl net.ipv4.conf.all.arp_ignore`.",
    source: "net/ipv4/arp.c: arp_process, arp_ignore; Documentation/networking/ip-sysctl.rst: arp_ignore, arp_announce",
    run,
};

fn run(input: &Input<'_>) -> CheckResult {
    let traffic = Traffic::new(input);
    let mut tally = Tally::default();
    if input.case.elsewhere.is_some() && traffic.directors().next().is_none() {
        tally.doubt("it is not known who the Director is");
    }
    // Where frames tell of both their ends, what real servers get suffices.
    let elsewhere = input.case.elsewhere.is_some();
    for station in traffic.directors().filter(|_| !elsewhere).chain(traffic.real_servers()) {
        tally.captured(input, &station.node);
    }
    if let Some(elsewhere) = &input.case.elsewhere
        && traffic.directors().next().is_some()
        && !elsewhere.servers_given
        && !input.case.front_captured()
    {
        tally.doubt(
            "real servers that are not known may get requests past the Director: a capture at the router would show it, \
             or --rs for each that there is",
        );
    }
    let mut examined = 0;
    let mut requests = 0;
    for (packet, service) in traffic.requests() {
        requests += 1;
        for (at, hop) in packet.hops.iter().enumerate() {
            if hop.way != Way::Enters || !traffic.is_real_server(hop.station) {
                continue;
            }
            if !traffic.is_own(hop)
                && input.case.owners(hop.frame.decoded.source).iter().any(|(s, _)| traffic.is_director(s))
            {
                // What the Director sends says nothing of what others send.
                continue;
            }
            examined += packet.times;
            let source = hop.frame.decoded.source;
            let (node, from) = (&hop.station.node, input.case.name_of(source));
            if input.case.elsewhere.is_some() && input.case.owner_of(source).is_none() {
                tally.doubt(format!("requests enter {node} from {from}, whose part is not known"));
            } else if !input.case.owners(source).iter().any(|(s, _)| traffic.is_director(s)) {
                let what = format!("{} to {} enters {node} from {from}", packet.source, service.id);
                let shown = Evidence::frame(input.trace, hop.frame, what);
                tally.broken("requests reach a real server past the Director", shown);
            } else if let Some(out) =
                packet.hops[..at].iter().rfind(|h| h.way == Way::Leaves && traffic.is_director(h.station))
            {
                if tally.shows_nothing() {
                    tally.shows(Evidence::frame(input.trace, out.frame, "a request leaves the Director"));
                    tally.shows(Evidence::frame(input.trace, hop.frame, format!("and enters {node} from {from}")));
                }
            } else {
                let what = format!("enters {node} from {from}, which was not seen to send it");
                let shown = Evidence::frame(input.trace, hop.frame, what);
                let kind = "requests reach a real server in the Director's name, but not from it";
                match traffic.directors().find(|d| input.lost(&d.node) > 0) {
                    None if input.case.elsewhere.is_some() => tally.doubt(kind),
                    Some(director) => tally.lost_at(input, &director.node),
                    None => tally.broken(kind, shown),
                }
            }
        }
    }
    let nothing = if requests == 0 {
        "no request was seen: an empty trace proves nothing"
    } else {
        "no request reached a real server under its VIP"
    };
    let held = format!(
        "{} at real servers, all of them from the Director",
        count(examined, "request frame", "request frames")
    );
    tally.result(CHECK.id, examined, "request frames at real servers", nothing, held)
}

#[cfg(test)]
mod tests {
    use crate::base::Verdict::{Broken, Held, Undecided};
    use crate::base::{Protocol, ServiceId};
    use crate::judge::testlab::{Exchange, Lab, SERVICE, There, VIP, checksum};
    use crate::trace::Direction::{In, Out};
    use crate::trace::RawFrame;

    #[test]
    fn holds_for_a_textbook_run() {
        assert_eq!(Lab::ran(2).expect("via-director", Held).examined, 8);
    }

    #[test]
    fn breaks_for_a_site_that_works_past_the_director() {
        let mut lab = Lab::ran(2);
        lab.exchange(&Exchange::with("rs2").there(There::PastDirector));
        let result = lab.expect("via-director", Broken);
        assert_eq!(result.evidence[0].frame.as_ref().unwrap().vantage, "rs2:eth0");
        lab.lose("director").expect("via-director", Broken);
    }

    #[test]
    fn a_request_flooded_to_a_real_servers_port_does_not_reach_it() {
        let mut lab = Lab::ran(2);
        let sent = lab.frames.iter().find(|f| f.direction == Out && f.data[12..14] == [8, 0] && f.data[5] == 4);
        let sent = sent.unwrap().data.clone();
        lab.record("rs1", "lan", In, &sent);
        lab.expect("via-director", Held);
    }

    #[test]
    fn lost_frames_leave_it_undecided() {
        let mut lab = Lab::ran(2);
        lab.lose("rs1").expect("via-director", Undecided);
    }

    #[test]
    fn first_fragments_are_followed_by_their_ports() {
        let mut lab = Lab::textbook();
        for server in ["rs2", "rs1"] {
            lab.exchange(&Exchange::with(server).by(Protocol::Udp));
        }
        let at = SERVICE;
        lab.service().id = ServiceId::Address { protocol: Protocol::Udp, at };
        let to_vip = |f: &&mut RawFrame| f.data[12..14] == [8, 0] && f.data[30..34] == VIP.octets();
        for frame in lab.frames.iter_mut().filter(to_vip) {
            frame.data[20] |= 0x20;
            checksum(&mut frame.data);
        }
        lab.expect("via-director", Held);
        lab.expect("mac-rewrite", Held);
        lab.expect("http", Held);
    }
}
