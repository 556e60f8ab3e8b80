//! `rs-nic-noarp`: the real server's interface does no ARP.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule, ways};
use crate::judge::model::answer::Silence;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-nic-noarp",
    title: "a real server's interface is set not to do ARP",
    teaches: "`ip link set eth0 arp off` (`ifconfig eth0 -arp`) sets NOARP: the kernel drops every ARP packet that \
              comes in there. Nobody can resolve the RIP unless it is bound by hand, and the host itself asks \
              nobody. It was advice for other systems; on Linux the sysctls are the cure.",
    causes: "who-has for the RIP stays without answer",
    source: "net/ipv4/arp.c: arp_rcv",
    outranks: &[],
    what: |nodes| format!("the interface does no ARP at all on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Silent { asked, asker, why: Silence::NoArp, .. } = &deviation.kind else { return None };
    let interface = deviation.interface?;
    let evidence = vec![Evidence::fact(format!("{asker} asks who has {asked}"), format!("{interface}: NOARP"))];
    let node = deviation.node;
    // What NOARP kept from answering for the VIP must not begin to.
    let would_answer = diagnosis.is_server(node)
        && diagnosis.world.case.vips.iter().any(|vip| vip.is_ipv4() && ways::has(diagnosis, node, *vip))
        && diagnosis.level(deviation, "arp_ignore") == 0
        && diagnosis.facts(node).and_then(|f| f.arptables.as_ref()).is_none_or(Vec::is_empty);
    let first = if would_answer { format!("{} && ", ways::SILENT) } else { String::new() };
    let mend = vec![
        mended(node, Dialect::Ip, format!("{first}ip link set {interface} arp on")),
        mended(node, Dialect::NetTools, format!("{first}ifconfig {interface} arp")),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
