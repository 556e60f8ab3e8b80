//! `rs-sysctl-default-only`: `arp_ignore` is set in conf/default only.

use super::diagnosis::Diagnosis;
use super::{Affliction, Rule};
use crate::judge::Evidence;
use crate::judge::model::answer::Because;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-sysctl-default-only",
    title: "the ARP sysctls are set in conf/default only",
    teaches: "conf/default is a template that the kernel copies when an interface is made. Written after eth0 \
              exists it changes nothing until the interface is made anew, so the fault comes and goes with boots \
              and hot plugs. conf/all counts at once.",
    causes: "the real server competes with the Director for the VIP; who wins gets all connections of that router \
              or client",
    source: "net/ipv4/devinet.c: inetdev_init, devinet_sysctl_forward",
    outranks: &["rs-announce-0", "rs-arp-default"],
    what: |nodes| format!("arp_ignore is set in conf/default only, which interfaces that exist don't read, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Answers { asked, because: Because::Own(own) } = &deviation.kind else { return None };
    if diagnosis.conf(deviation, "default", "arp_ignore") == 0 {
        return None;
    }
    let mut evidence = diagnosis.conf_shown(deviation, "arp_ignore");
    evidence.push(Evidence::fact(format!("{} takes {asked} for its own", deviation.node), own.line()));
    Some(Diagnosis::afflict(deviation, evidence, diagnosis.arp_cure(deviation, *asked)))
}
