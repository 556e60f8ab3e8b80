//! `rs-ignore-3-global-scope`: `arp_ignore=3` with a VIP of global scope.

use super::diagnosis::Diagnosis;
use super::{Affliction, Rule};
use crate::judge::Evidence;
use crate::judge::model::answer::Because;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-ignore-3-global-scope",
    title: "arp_ignore=3 and a VIP of global scope",
    teaches: "arp_ignore=3 hides only addresses of scope host. `ip address add VIP/32 dev lo` gives the scope \
              global, so the VIP is answered for. Say `scope host` with it, or use arp_ignore=1.",
    causes: "the real server competes with the Director for the VIP; who wins gets all connections of that router \
              or client",
    source: "net/ipv4/arp.c: arp_process, arp_ignore; Documentation/networking/ip-sysctl.rst: arp_ignore",
    outranks: &["rs-announce-0"],
    what: |nodes| format!("arp_ignore is 3 and the VIP has the scope global, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Answers { asked, because: Because::Own(own) } = &deviation.kind else { return None };
    if diagnosis.level(deviation, "arp_ignore") != 3 {
        return None;
    }
    let mut evidence = diagnosis.conf_shown(deviation, "arp_ignore");
    evidence.push(Evidence::fact(format!("{} takes {asked} for its own", deviation.node), own.line()));
    Some(Diagnosis::afflict(deviation, evidence, diagnosis.arp_cure(deviation, *asked)))
}
