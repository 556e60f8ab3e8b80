//! `dir-arp-suppressed`: the Director has the VIP where it does not answer for it.

use super::diagnosis::Diagnosis;
use super::diagnosis::{mended, single};
use super::{Affliction, Rule, ways};
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
        mend.push(mended(deviation.node, Dialect::Arptables, ways::lift("arptables", rule, None, *asked)));
    } else {
        evidence.extend(diagnosis.conf_shown(deviation, "arp_ignore"));
        let facts = diagnosis.facts(deviation.node)?;
        let elsewhere = facts.addresses.iter().filter(|a| a.address.addr() == *asked && a.interface != *interface);
        let mut commands = vec![format!("ip address replace {} dev {interface}", single(*asked))];
        commands.extend(elsewhere.map(|a| format!("ip address del {} dev {}", a.address, a.interface)));
        // From 2 on, the mask and scope of the address count as well.
        if asked.is_ipv4() && diagnosis.level(deviation, "arp_ignore") > 1 {
            let of = |device: &str| format!("{}=1", ways::conf(device, "arp_ignore"));
            commands.insert(0, format!("sysctl -w {} {}", of("all"), of(interface.as_str())));
        }
        mend.push(mended(deviation.node, Dialect::Ip, commands.join(" && ")));
    }
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
