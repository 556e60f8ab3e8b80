//! `rs-vip-noarp-dummy`: the VIP is on a dummy without ARP, and the host answers for it by another interface.

use super::diagnosis::Diagnosis;
use super::{Affliction, Rule};
use crate::judge::Evidence;
use crate::judge::model::answer::Because;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-vip-noarp-dummy",
    title: "a dummy without ARP does not keep the VIP silent",
    teaches: "NOARP on a dummy says that the dummy itself neither asks nor answers. A question that comes in by \
              eth0 is eth0's matter, and the kernel answers it for any address that the host has. Only arp_ignore \
              on the interface that hears the question, or on all, keeps it silent.",
    causes: "the real server competes with the Director for the VIP; who wins gets all connections of that router \
              or client",
    source: "net/ipv4/arp.c: arp_process, arp_ignore; Documentation/networking/ip-sysctl.rst: arp_ignore",
    outranks: &["rs-announce-0"],
    what: |nodes| format!("the VIP is on a device without ARP, and who-has for it is answered by {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Answers { asked, because: Because::Own(own) } = &deviation.kind else { return None };
    let facts = diagnosis.facts(deviation.node)?;
    let on = facts.addresses.iter().find(|a| a.address.addr() == *asked).map(|a| &a.interface)?;
    if *on == "lo" || !facts.links.iter().any(|l| l.name == *on && l.noarp) {
        return None;
    }
    let mut evidence = diagnosis.conf_shown(deviation, "arp_ignore");
    evidence.push(Evidence::fact(format!("{} takes {asked} for its own", deviation.node), own.line()));
    Some(Diagnosis::afflict(deviation, evidence, diagnosis.arp_cure(deviation, *asked)))
}
