//! `app-wrong-host`: a real server has no site of the name that clients ask by.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "app-wrong-host",
    title: "a server has no site of the name that is asked for",
    teaches: "A server with several sites chooses by the Host header. A test or health check that asks the VIP by its \
              number asks for a site that nobody has, and gets 404, 421 or a redirect to somewhere else, however well LVS \
              works: the answer came from a real server, straight. Ask with the right name, or give the server a site for \
              that one. The trap is the other way round: a check of the RIP that is answered by the default site stays \
              green when the right site is gone.",
    causes: "requests reach a real server and are answered, with something else than the site",
    source: "RFC 9110 sections 7.2 and 15.5.20; curl(1): --resolve",
    outranks: &[],
    what: |nodes| format!("no site of the name that is asked for, or no such page on it, is found on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::NoSite { status, host, at, frame } = &deviation.kind else { return None };
    let (node, trace) = (deviation.node, diagnosis.traffic.input.trace);
    let text = format!("a request with `Host: {host}`, which {node} answers with {status}");
    let mut evidence: Vec<Evidence> =
        trace.frame(*frame).map(|f| Evidence::frame(trace, f, text)).into_iter().collect();
    evidence.extend(diagnosis.address_shown(node, at.ip()));
    let (vip, port) = (at.ip(), at.port());
    let mend = vec![
        mended(node, Dialect::ByHand, format!("give the server a site for {host} (nginx: server_name {host})")),
        mended(
            node,
            Dialect::ByHand,
            format!("or ask for a site that it has: curl --resolve NAME:{port}:{vip} http://NAME:{port}/"),
        ),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
