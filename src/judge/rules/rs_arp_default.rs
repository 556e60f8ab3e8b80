//! `rs-arp-default`: a real server answers ARP for the VIP, as the kernel does unless told otherwise.

use super::diagnosis::Diagnosis;
use super::{Affliction, Rule};
use crate::judge::Evidence;
use crate::judge::model::answer::Because;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-arp-default",
    title: "a real server answers ARP for the VIP",
    teaches: "A Linux host answers ARP for any of its addresses on any interface, so a VIP on lo is answered for \
              on eth0. Whoever answers first gets the clients' packets, past the Director. arp_ignore=1 makes a \
              host answer only for addresses of the interface that hears the question, arp_announce=2 keeps it \
              from asking in the VIP's name. The larger of conf/all and conf/INTERFACE counts; arp_ignore alone is \
              not enough, and an entry that is already wrong stays until it expires or is flushed.",
    causes: "the real server competes with the Director for the VIP; who wins gets all connections of that router \
              or client",
    source: "net/ipv4/arp.c: arp_process, arp_ignore; Documentation/networking/ip-sysctl.rst: arp_ignore",
    outranks: &["rs-announce-0"],
    what: |nodes| {
        format!("who-has for the VIP is answered by {nodes}: arp_ignore, where it counts, does not forbid it")
    },
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Answers { asked, because: Because::Own(own) } = &deviation.kind else { return None };
    if !diagnosis.world.case.is_vip(*asked) {
        return None;
    }
    let mut evidence = diagnosis.conf_shown(deviation, "arp_ignore");
    evidence.push(Evidence::fact(format!("{} takes {asked} for its own", deviation.node), own.line()));
    Some(Diagnosis::afflict(deviation, evidence, diagnosis.arp_cure(deviation, *asked)))
}
