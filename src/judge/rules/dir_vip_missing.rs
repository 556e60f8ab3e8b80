//! `dir-vip-missing`: no Director has the VIP.

use super::diagnosis::Diagnosis;
use super::diagnosis::{mended, single};
use super::{Affliction, Rule};
use crate::judge::host::address_line;
use crate::judge::model::answer::Silence;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "dir-vip-missing",
    title: "the Director does not have the VIP",
    teaches: "Nobody answers who-has for the VIP if no Director has it: keepalived in BACKUP or FAULT everywhere, \
              a typing error, the wrong interface. Real servers are silent about it, as they must be.",
    causes: "who-has for the VIP stays without answer: `No route to host`",
    source: "net/ipv4/arp.c: arp_process; net/ipv6/ndisc.c: ndisc_recv_ns",
    outranks: &[],
    what: |nodes| format!("the VIP is missing on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let asked = match &deviation.kind {
        Kind::Silent { asked, why: Silence::NotOwn, .. } => *asked,
        Kind::NotOwn { address, .. } => *address,
        _ => return None,
    };
    if !diagnosis.is_director(deviation.node) || !diagnosis.world.case.is_vip(asked) {
        return None;
    }
    let facts = diagnosis.facts(deviation.node)?;
    let all: Vec<String> = facts.addresses.iter().map(address_line).collect();
    let evidence = vec![Evidence::fact(format!("all addresses of {}", deviation.node), all.join(", "))];
    let interface = deviation.interface.map_or("eth0", |i| i.as_str());
    let mend = vec![
        mended(deviation.node, Dialect::Ip, format!("ip address replace {} dev {interface}", single(asked))),
        mended(deviation.node, Dialect::Keepalived, format!("virtual_ipaddress {{ {asked} dev {interface} }}")),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
