//! `rs-ignore-8`: `arp_ignore=8` answers nothing at all.

use super::diagnosis::Diagnosis;
use super::{Affliction, Rule};
use crate::judge::model::answer::Silence;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-ignore-8",
    title: "arp_ignore=8 keeps a host from answering at all",
    teaches: "arp_ignore=8 is to answer no question for any local address: not for the VIP, and not for the RIP \
              either. The Director can't resolve the real server, nor can anybody else on the segment. 1 is what \
              direct routing needs.",
    causes: "who-has for the RIP stays without answer: `No route to host` after three questions",
    source: "net/ipv4/arp.c: arp_process, arp_ignore; Documentation/networking/ip-sysctl.rst: arp_ignore",
    outranks: &[],
    what: |nodes| format!("no ARP question at all is answered by {nodes}: arp_ignore is 8"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Silent { asked, asker, why: Silence::Ignored(level), .. } = &deviation.kind else { return None };
    if *level < 8 {
        return None;
    }
    let mut evidence = diagnosis.conf_shown(deviation, "arp_ignore");
    evidence.push(Evidence::told(format!("{asker} asks who has {asked}")));
    let mend = diagnosis.arp_cure(deviation, *asked).into_iter().filter(|m| m.dialect != Dialect::Arptables).collect();
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
