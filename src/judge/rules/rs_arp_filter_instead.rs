//! `rs-arp-filter-instead`: `arp_filter` was set in place of `arp_ignore`.

use super::diagnosis::Diagnosis;
use super::{Affliction, Rule};
use crate::judge::Evidence;
use crate::judge::model::answer::Because;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-arp-filter-instead",
    title: "arp_filter is set instead of arp_ignore",
    teaches: "arp_filter makes a host answer only where its way back to the asker leaves by the interface that \
              heard the question. With one interface that is always so, and the VIP is answered for. It is for \
              hosts with several interfaces in one subnet; direct routing needs arp_ignore=1.",
    causes: "the real server competes with the Director for the VIP; who wins gets all connections of that router \
              or client",
    source: "net/ipv4/arp.c: arp_process, arp_ignore; Documentation/networking/ip-sysctl.rst: arp_ignore",
    outranks: &["rs-announce-0"],
    what: |nodes| format!("arp_filter is set, which forbids nothing here, and arp_ignore is not, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Answers { asked, because: Because::Own(own) } = &deviation.kind else { return None };
    if diagnosis.level(deviation, "arp_filter") == 0 {
        return None;
    }
    let mut evidence = diagnosis.conf_shown(deviation, "arp_ignore");
    evidence.push(Evidence::fact(format!("{} takes {asked} for its own", deviation.node), own.line()));
    Some(Diagnosis::afflict(deviation, evidence, diagnosis.arp_cure(deviation, *asked)))
}
