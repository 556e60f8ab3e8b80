//! `dir-dad-conflict`: the Director was refused the VIP because a real server answered for it.

use super::diagnosis::{Diagnosis, mended, single};
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "dir-dad-conflict",
    title: "the Director does not take the VIP, since a real server says that it has it",
    teaches: "ifup, NetworkManager and cloud-init ask before they add an address (`arping -D`: who has it, with \
              sender 0.0.0.0), and do not add it where somebody answers. Real servers have the VIP by design, and one \
              without the ARP cure answers. The Director says `some other host already uses address` and stays \
              without it. The kernel of the real server answers such a question by arp_ignore alone. Cure the real \
              servers first, then bring the VIP up. Trap: it only happens when the Director boots while real servers \
              run, so it is found at the first reboot.",
    causes: "the VIP is on no Director: everything goes to real servers past it, or nowhere",
    source: "RFC 5227 section 2.1; net/ipv4/arp.c: arp_process (sip == 0); initscripts: ifup-eth (arping -D)",
    outranks: &[
        "rs-arp-default",
        "rs-sysctl-lo-only",
        "rs-sysctl-default-only",
        "rs-arp-filter-instead",
        "rs-vip-on-nic",
        "rs-ignore-reserved",
        "all-nodes-own-vip",
        "dir-vip-missing",
        "rs-arp-cache-survives-fix",
        "rs-announce-0",
    ],
    what: |nodes| format!("the Director's question whether the VIP is free is answered by {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Warns { vip, director, frame } = deviation.kind else { return None };
    let trace = diagnosis.traffic.input.trace;
    let what = format!("{} answers {director}, which asks whether {vip} is free", deviation.node);
    let mut evidence: Vec<Evidence> = trace.frame(frame).map(|f| Evidence::frame(trace, f, what)).into_iter().collect();
    evidence.extend(diagnosis.conf_shown(deviation, "arp_ignore"));
    evidence.push(Evidence::told(format!("{director} does not have {vip}")));
    let mut mend = diagnosis.arp_cure(deviation, vip);
    let port = diagnosis.world.case.station(director).and_then(|s| s.ports.first());
    let interface = port.map_or("eth0", |p| p.interface.as_str());
    mend.push(mended(director, Dialect::Ip, format!("ip address add {} dev {interface}", single(vip))));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
