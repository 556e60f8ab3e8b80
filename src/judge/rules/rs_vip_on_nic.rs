//! `rs-vip-on-nic`: the VIP is on the interface that hears the questions.

use super::diagnosis::Diagnosis;
use super::{Affliction, Rule, ways};
use crate::judge::Evidence;
use crate::judge::model::answer::Because;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-vip-on-nic",
    title: "the VIP is on the real server's network interface",
    teaches: "arp_ignore=1 lets a host answer for addresses of the interface that hears the question. A VIP on \
              eth0 or eth0:0 (a label, not an interface) is such an address, so every sysctl may be right and the \
              real server answers all the same. The VIP belongs on lo or on a dummy; or an ARP filter hides it.",
    causes: "the real server competes with the Director for the VIP; who wins gets all connections of that router \
              or client",
    source: "net/ipv4/arp.c: arp_process, arp_ignore; Documentation/networking/ip-sysctl.rst: arp_ignore",
    outranks: &["rs-announce-0"],
    what: |nodes| format!("the VIP is on the interface that hears who-has for it, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Answers { asked, because: Because::Own(own) } = &deviation.kind else { return None };
    let here = diagnosis.misplaced(deviation, *asked)?;
    if asked.is_ipv6() {
        return None;
    }
    let mut evidence = diagnosis.conf_shown(deviation, "arp_ignore");
    evidence.push(Evidence::fact(format!("{} takes {asked} for its own", deviation.node), own.line()));
    let mut mend = ways::to_lo(deviation.node, here);
    mend.extend(ways::forget(diagnosis, *asked));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
