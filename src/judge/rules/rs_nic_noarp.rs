//! `rs-nic-noarp`: the real server's interface does no ARP.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule};
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

fn claims<'a>(_: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Silent { asked, asker, why: Silence::NoArp, .. } = &deviation.kind else { return None };
    let interface = deviation.interface?;
    let evidence = vec![Evidence::fact(format!("{asker} asks who has {asked}"), format!("{interface}: NOARP"))];
    let mend = vec![
        mended(deviation.node, Dialect::Ip, format!("ip link set {interface} arp on")),
        mended(deviation.node, Dialect::NetTools, format!("ifconfig {interface} arp")),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
