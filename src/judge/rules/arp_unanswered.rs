//! `arp-unanswered`: a neighbour does not answer who-has for its own address.

use super::diagnosis::Diagnosis;
use super::diagnosis::{mended, single, sysctls};
use super::{Affliction, Rule, ways};
use crate::judge::host::route_line;
use crate::judge::model::answer::Silence;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "arp-unanswered",
    title: "a question for a neighbour is not answered",
    teaches: "A host answers who-has only if the interface is up and does ARP, it believes the asker's address, \
              the address is its own, and neither arp_ignore nor arp_filter nor an ARP filter forbids it. The \
              evidence says which of these it was.",
    causes: "the one who asks has no MAC to send to: `No route to host` after three questions",
    source: "net/ipv4/arp.c: arp_process",
    outranks: &[],
    what: |nodes| format!("a question that should be answered is not, by {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Silent { asked, asker, sender, why } = &deviation.kind else { return None };
    let node = deviation.node;
    let mut evidence = vec![Evidence::told(format!("{asker} asks who has {asked}, as {sender}"))];
    let interface = deviation.interface?;
    let mut mend = Vec::new();
    match why {
        Silence::Down => {
            evidence.push(Evidence::fact("the interface is down", format!("link {interface} down")));
            mend.push(mended(node, Dialect::Ip, format!("ip link set {interface} up")));
        }
        Silence::NoArp => mend.push(mended(node, Dialect::Ip, format!("ip link set {interface} arp on"))),
        Silence::NotOwn => {
            let command = format!("ip address replace {} dev {interface}", single(*asked));
            mend.push(mended(node, Dialect::Ip, command));
        }
        Silence::Filtered(rule) => {
            evidence.push(Evidence::fact("this drops the question or the answer", format!("arptables {rule}")));
            mend.push(mended(node, Dialect::Arptables, ways::lift("arptables", rule, None, *asked)));
        }
        Silence::Refused(why) => {
            let (shown, values) = super::source_refused::told(interface.as_str(), why);
            evidence.extend(shown);
            mend.extend(sysctls(node, &values, &format!("90-source-check-{interface}")));
        }
        Silence::Ignored(_) => {
            evidence.extend(diagnosis.conf_shown(deviation, "arp_ignore"));
            // Where the address is on the interface itself, the VIP on another one may stay unanswered for.
            let carried = diagnosis.facts(node)?.addresses.iter();
            let here = carried.into_iter().any(|a| a.interface == *interface && a.address.addr() == *asked);
            let values = ["all", interface.as_str()].map(|d| (ways::conf(d, "arp_ignore"), u32::from(here)));
            mend.extend(sysctls(node, &values, &format!("90-lvs-dr-answer-{interface}")));
        }
        Silence::ArpFilter(route) => {
            evidence.push(Evidence::fact(format!("{node} reaches {sender} by"), route_line(route)));
            let values = ["all", interface.as_str()].map(|d| (ways::conf(d, "arp_filter"), 0));
            mend.extend(sysctls(node, &values, &format!("90-lvs-dr-filter-{interface}")));
        }
    }
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
