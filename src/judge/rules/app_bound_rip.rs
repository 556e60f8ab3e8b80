//! `app-bound-rip`: the server listens at the RIP only.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule, ways};
use crate::judge::Dialect;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "app-bound-rip",
    title: "the server is bound to the RIP",
    teaches: "Direct routing leaves the VIP as the packet's destination, so the server has to listen at the VIP or \
              at every address. One that is bound to the RIP or to 127.0.0.1 answers tests of the RIP and refuses \
              everything that comes through the Director, by a RST with the VIP as source and the real server's \
              MAC.",
    causes: "connections that are sent there are refused; a health check of the RIP stays green",
    source: "net/ipv4/inet_hashtables.c: __inet_lookup_listener; LVS-HOWTO: the most common mistake",
    outranks: &[],
    what: |nodes| format!("the server is bound to another address than the VIP on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Deaf { protocol, at, listening, .. } = &deviation.kind else { return None };
    if !listening.iter().any(|s| s.at.port() == at.port()) {
        return None;
    }
    let evidence = super::app_not_listening::deaf(diagnosis, deviation)?;
    let mut mend = Vec::new();
    if let Some(socket) = ways::stand_in(diagnosis, deviation.node, (*protocol, *at), None) {
        mend.push(mended(deviation.node, Dialect::Iptables, ways::turn(*protocol, *at, socket)));
    }
    let better = format!("better, let the server listen at {at} or at every address");
    mend.push(mended(deviation.node, Dialect::ByHand, better));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
