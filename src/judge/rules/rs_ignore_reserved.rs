//! `rs-ignore-reserved`: `arp_ignore` is 4 to 7, or more than 8.

use super::diagnosis::Diagnosis;
use super::{Affliction, Rule};
use crate::judge::Evidence;
use crate::judge::model::answer::Because;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-ignore-reserved",
    title: "arp_ignore has a reserved value",
    teaches: "arp_ignore 4 to 7 are reserved, and what is above 8 is unknown: the kernel's function returns 0 for \
              them, which is to answer as if nothing had been set. More is not stricter; 1 is what direct routing \
              needs.",
    causes: "the real server competes with the Director for the VIP; who wins gets all connections of that router \
              or client",
    source: "net/ipv4/arp.c: arp_process, arp_ignore; Documentation/networking/ip-sysctl.rst: arp_ignore",
    outranks: &["rs-announce-0"],
    what: |nodes| format!("arp_ignore has a value that the kernel takes for 0, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Answers { asked, because: Because::Own(own) } = &deviation.kind else { return None };
    if !matches!(diagnosis.level(deviation, "arp_ignore"), 4..=7 | 9..) {
        return None;
    }
    let mut evidence = diagnosis.conf_shown(deviation, "arp_ignore");
    evidence.push(Evidence::fact(format!("{} takes {asked} for its own", deviation.node), own.line()));
    Some(Diagnosis::afflict(deviation, evidence, diagnosis.arp_cure(deviation, *asked)))
}
