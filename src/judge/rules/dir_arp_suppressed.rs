//! `dir-arp-suppressed`: the Director has the VIP where it does not answer for it.

use super::diagnosis::Diagnosis;
use super::diagnosis::{mended, single};
use super::{Affliction, Rule};
use crate::judge::model::answer::Silence;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "dir-arp-suppressed",
    title: "the Director keeps silent about the VIP",
    teaches: "The real servers' script was run on the Director as well: the VIP is on lo (or on a dummy) and \
              arp_ignore forbids to answer for it on eth0. Then nobody answers who-has for the VIP. The Director \
              has the VIP on the interface where it is asked for; or the router gets a host route to the VIP by \
              the DIP, and then need not ask.",
    causes: "who-has for the VIP stays without answer: `No route to host` from the router or at the client",
    source: "net/ipv4/arp.c: arp_process, arp_ignore; Documentation/networking/ip-sysctl.rst: arp_ignore",
    outranks: &["dir-vip-missing"],
    what: |nodes| format!("who-has for the VIP is not answered by {nodes}: arp_ignore forbids it"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Silent { asked, asker, why, .. } = &deviation.kind else { return None };
    let vip = diagnosis.is_director(deviation.node) && diagnosis.world.case.is_vip(*asked);
    if !vip || !(matches!(why, Silence::Ignored(_) | Silence::Filtered(_)) || asked.is_ipv6()) {
        return None;
    }
    let carried = diagnosis.address_shown(deviation.node, *asked);
    if carried.is_empty() {
        return None;
    }
    let interface = deviation.interface?;
    let mut evidence = carried;
    evidence.push(Evidence::told(format!("{asker} asks who has {asked}")));
    let mut mend = Vec::new();
    if let Silence::Filtered(rule) = why {
        evidence.push(Evidence::fact("this drops the question or the answer", format!("arptables {rule}")));
        mend.push(mended(deviation.node, Dialect::Arptables, format!("arptables {}", rule.replacen("-A ", "-D ", 1))));
    } else {
        evidence.extend(diagnosis.conf_shown(deviation, "arp_ignore"));
        let facts = diagnosis.facts(deviation.node)?;
        for fact in facts.addresses.iter().filter(|a| a.address.addr() == *asked) {
            let command = format!("ip address del {} dev {}", fact.address, fact.interface);
            mend.push(mended(deviation.node, Dialect::Ip, command));
        }
        mend.push(mended(deviation.node, Dialect::Ip, format!("ip address add {} dev {interface}", single(*asked))));
    }
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
