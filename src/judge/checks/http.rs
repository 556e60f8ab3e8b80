//! `http`: every request was answered rightly and wholly, by the server that says so.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::Check;
use crate::base::{NodeName, Protocol};
use crate::facts::run::{Outcome, RequestResult};
use crate::judge::tally::{Tally, count};
use crate::judge::traffic::Traffic;
use crate::judge::{CheckResult, Evidence, Input};
use crate::trace::Frame;

/// The check.
pub(super) const CHECK: Check = Check {
    id: "http",
    title: "every response is right, whole and from the server that it names",
    proves: "Every request of every load was answered with status 200 and the whole body that the server serves, and the \
             real server that the body names is the one that the reply's frames came from.",
    fooled_by: "A status alone: a proxy or the Director's own web server answers 200 as well. The body names its server, \
                and that name is compared with the node whose frames carried the answer.",
    usual_cause: "A real server without the VIP or without a way back (timeouts of a fixed share), nothing listening \
                  (refused), the ARP problem. The failed request's frames say where it ended.",
    source: "RFC 9110 section 15.3.1; RFC 9112 section 6",
    run,
};

/// A clock's leap that is allowed between a request's times and the frames' own, in nanoseconds.
const SLACK_NS: u64 = 5_000_000;

/// By transport and client's end: when which node sent an answer there.
type Answers<'a> = BTreeMap<(Protocol, SocketAddr), Vec<(u64, &'a NodeName, &'a Frame)>>;

fn run(input: &Input<'_>) -> CheckResult {
    let traffic = Traffic::new(input);
    let mut tally = Tally::default();
    let answers = answers(&traffic);
    let mut examined = 0;
    for (load, request) in input.ran.loads.iter().flat_map(|l| l.requests.iter().map(move |r| (&l.name, r))) {
        examined += 1;
        let label = format!("request {load}/{} of {}", request.number, request.client);
        match &request.outcome {
            Outcome::Failed { kind, detail } => {
                tally
                    .broken(format!("requests failed: {kind}"), asked(&traffic, request, format!("{label}: {detail}")));
            }
            Outcome::Answered { status, .. } if *status != 200 => {
                tally.broken(format!("requests were answered with status {status}"), asked(&traffic, request, label));
            }
            Outcome::Answered { server, .. } if request.lacks.is_some() => {
                let (server, text) = (server.as_deref().unwrap_or("a server"), request.lacks.as_deref().unwrap_or(""));
                let what = format!("{label}: {server} answers without `{text}`");
                tally.broken("answers lack what they have to hold", asked(&traffic, request, what));
            }
            Outcome::Answered { whole: false, bytes, .. } => {
                let what = format!("{label}: {bytes} bytes are not what the server serves");
                tally.broken("answers are not whole", asked(&traffic, request, what));
            }
            Outcome::Answered { server: None, .. } => {
                tally.broken("answers do not say who gave them", asked(&traffic, request, label));
            }
            Outcome::Answered { server: Some(server), .. } => {
                came_from(&traffic, &answers, request, server, &label, &mut tally);
            }
        }
    }
    let held =
        format!("{}, each whole and from the server that it names", count(examined, "right answer", "right answers"));
    tally.result(CHECK.id, examined, "requests", "no request was made", held)
}

/// All packets that a station of a service sent to a client's end.
fn answers<'a>(traffic: &Traffic<'a>) -> Answers<'a> {
    let clients = traffic.clients();
    let mut answers: Answers<'a> = BTreeMap::new();
    for packet in &traffic.packets {
        let key = (packet.protocol, packet.destination);
        if !clients.contains_key(&key) {
            continue;
        }
        let first = packet.exit(|s| traffic.is_real_server(s)).or_else(|| packet.exit(|s| traffic.is_director(s)));
        if let Some(hop) = first {
            answers.entry(key).or_default().push((hop.frame.at_ns, &hop.station.node, hop.frame));
        }
    }
    answers
}

/// Compares the server that an answer names with the one that sent it.
fn came_from(
    traffic: &Traffic<'_>,
    answers: &Answers<'_>,
    request: &RequestResult,
    server: &str,
    label: &str,
    tally: &mut Tally,
) {
    let input = traffic.input;
    let Some(local) = request.local else {
        tally.doubt(format!("{label} has no local address on record"));
        return;
    };
    let all = answers.get(&(request.protocol, local)).map_or(&[][..], Vec::as_slice);
    let end = request.start_ns + request.latency_us * 1000 + SLACK_NS;
    let within: Vec<_> =
        all.iter().filter(|(at, ..)| (request.start_ns.saturating_sub(SLACK_NS)..=end).contains(at)).collect();
    let sent = if within.is_empty() { all.iter().collect() } else { within };
    let stations = &input.case.stations;
    let Some((_, node, frame)) = sent.last() else {
        match stations.iter().find(|s| input.lost(&s.node) > 0) {
            Some(station) => tally.lost_at(input, &station.node),
            None => tally.broken("answers have no frames", asked(traffic, request, label.to_owned())),
        }
        return;
    };
    if !sent.iter().any(|(_, node, _)| node.as_str() == server) {
        let what = format!("{label} names {server}, its frames came from {node}");
        tally.broken(
            "answers name another server than the one they came from",
            Evidence::frame(input.trace, frame, what),
        );
    } else if tally.shows_nothing() {
        tally.shows(Evidence::frame(input.trace, frame, format!("{label} names {server}, and so do its frames")));
    }
}

/// The request's first frame as evidence, where it is found.
fn asked(traffic: &Traffic<'_>, request: &RequestResult, what: String) -> Evidence {
    let ours = |p: &&crate::judge::traffic::Packet<'_>| {
        p.protocol == request.protocol && Some(p.source) == request.local && p.destination == request.target
    };
    match traffic.packets.iter().find(ours).and_then(|p| p.hops.first()) {
        Some(hop) => Evidence::frame(traffic.input.trace, hop.frame, what),
        None => Evidence::told(what),
    }
}

#[cfg(test)]
mod tests {
    use crate::base::Verdict::{Broken, Held, Undecided};
    use crate::facts::run::Outcome;
    use crate::judge::testlab::{Back, Exchange, Lab, There};

    #[test]
    fn holds_when_every_answer_is_right() {
        assert_eq!(Lab::ran(3).expect("http", Held).examined, 3);
    }

    #[test]
    fn holds_under_nat_where_replies_start_at_the_rip() {
        let mut lab = Lab::textbook();
        lab.exchange(&Exchange::with("rs1").there(There::Nat).back(Back::ThroughDirector));
        lab.expect("http", Held);
    }

    #[test]
    fn a_failed_request_breaks_it_and_its_first_frame_shows_it() {
        let mut lab = Lab::ran(1);
        lab.exchange(&Exchange::with("rs1").back(Back::Never));
        let result = lab.expect("http", Broken);
        assert!(result.summary.starts_with("requests failed: timeout"), "{}", result.summary);
        assert_eq!(result.evidence[0].frame.as_ref().unwrap().vantage, "client:eth0");
    }

    #[test]
    fn a_cut_body_or_another_status_breaks_it() {
        for (status, whole) in [(200, false), (404, true), (302, true)] {
            let mut lab = Lab::ran(1);
            lab.ran.loads[0].requests[0].outcome =
                Outcome::Answered { status, server: Some("rs2".into()), bytes: 1, whole };
            lab.expect("http", Broken);
        }
    }

    #[test]
    fn an_answer_without_the_text_that_it_has_to_hold_breaks_it() {
        let mut lab = Lab::ran(1);
        let request = &mut lab.ran.loads[0].requests[0];
        request.lacks = Some("a post".into());
        request.outcome = Outcome::Answered { status: 200, server: Some("rs2".into()), bytes: 9, whole: false };
        let result = lab.expect("http", Broken);
        assert!(result.summary.contains("lack what they have to hold"), "{}", result.summary);
        assert!(result.evidence[0].what.ends_with("rs2 answers without `a post`"), "{:?}", result.evidence[0].what);
    }

    #[test]
    fn a_right_answer_in_anothers_name_breaks_it() {
        let mut lab = Lab::ran(1);
        lab.ran.loads[0].requests[0].outcome =
            Outcome::Answered { status: 200, server: Some("rs1".into()), bytes: 1, whole: true };
        assert!(lab.expect("http", Broken).summary.contains("another server"));
    }

    #[test]
    fn an_answer_whose_frames_were_lost_is_undecided() {
        let mut lab = Lab::ran(1);
        lab.ran.loads[0].requests[0].local = Some("203.0.113.2:9".parse().unwrap());
        lab.expect("http", Broken);
        lab.lose("rs2").expect("http", Undecided);
    }
}
