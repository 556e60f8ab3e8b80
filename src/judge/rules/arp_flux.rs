//! `arp-flux`: one interface is cured, another one on the same segment answers.

use super::diagnosis::Diagnosis;
use super::{Affliction, Rule};
use crate::judge::Evidence;
use crate::judge::model::answer::{Answer, Silence, answer};
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "arp-flux",
    title: "a second interface on the segment answers for the VIP",
    teaches: "To Linux an address belongs to the host, not to an interface: with two interfaces on one segment both \
              hear a question, and each answers by its own settings. arp_ignore on eth0, or an arptables rule with \
              `-i eth0`, says nothing about eth1, which then answers for the VIP on lo. Set the sysctl on `all`, or \
              on each interface of the segment. Trap: the second interface may come later, with a bond that is taken \
              apart or a hot-plugged card, and brings the defaults with it.",
    causes: "routers and clients learn the second interface for the VIP and pass the Director by",
    source: "Documentation/networking/ip-sysctl.rst: arp_ignore, arp_filter; net/ipv4/arp.c: arp_process",
    outranks: &["rs-arp-cache-survives-fix", "rs-announce-0"],
    what: |nodes| {
        format!("the VIP is answered for by a second interface on the segment, which the cure leaves out, on {nodes}")
    },
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Answers { asked, .. } = deviation.kind else { return None };
    let (place, interface) = (diagnosis.place(deviation)?, deviation.interface?);
    let segment = &place.port(interface.as_str())?.segment;
    let asker = diagnosis.world.on(segment).find(|(p, port)| p.node() != place.node() && !port.addresses.is_empty())?;
    let sender = asker.1.addresses.first()?.addr();
    let cured =
        place.station.ports.iter().filter(|p| p.segment == *segment && p.interface != *interface).find(|p| {
            let silence = answer(&place, p.interface.as_str(), asked, sender);
            matches!(silence, Answer::No(Silence::Ignored(_) | Silence::Filtered(_)))
        })?;
    let mut evidence = vec![Evidence::told(format!(
        "{} has {} and {interface} on {segment}: {} stays silent about {asked}, {interface} answers",
        place.node(),
        cured.interface,
        cured.interface
    ))];
    evidence.extend(diagnosis.conf_shown(deviation, "arp_ignore"));
    Some(Diagnosis::afflict(deviation, evidence, diagnosis.arp_cure(deviation, asked)))
}
