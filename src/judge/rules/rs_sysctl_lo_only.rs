//! `rs-sysctl-lo-only`: `arp_ignore` is set on lo, where no ARP ever comes in.

use super::diagnosis::Diagnosis;
use super::{Affliction, Rule};
use crate::judge::Evidence;
use crate::judge::model::answer::Because;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-sysctl-lo-only",
    title: "the ARP sysctls are set on lo only",
    teaches: "arp_ignore is read for the interface that a request comes in by, and arp_announce for the one that a \
              question leaves by. Neither is ever lo, though the VIP lives there and many tutorials say so. Only \
              conf/all and conf/INTERFACE count, the larger of the two.",
    causes: "the real server competes with the Director for the VIP; who wins gets all connections of that router \
              or client",
    source: "include/linux/inetdevice.h: IN_DEV_ARP_IGNORE (IN_DEV_MAXCONF); net/ipv4/arp.c: arp_process",
    outranks: &["rs-announce-0", "rs-arp-default"],
    what: |nodes| format!("arp_ignore is set on lo only, where it does nothing, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Answers { asked, because: Because::Own(own) } = &deviation.kind else { return None };
    if diagnosis.conf(deviation, "lo", "arp_ignore") == 0 {
        return None;
    }
    let mut evidence = diagnosis.conf_shown(deviation, "arp_ignore");
    evidence.push(Evidence::fact(format!("{} takes {asked} for its own", deviation.node), own.line()));
    Some(Diagnosis::afflict(deviation, evidence, diagnosis.arp_cure(deviation, *asked)))
}
