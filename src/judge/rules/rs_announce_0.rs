//! `rs-announce-0`: a real server asks for its next hop in the VIP's name.

use std::net::IpAddr;

use super::diagnosis::Diagnosis;
use super::diagnosis::{mended, sysctl};
use super::{Affliction, Rule, ways};
use crate::judge::model::survey::own_address;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-announce-0",
    title: "a real server asks ARP questions in the VIP's name",
    teaches: "To send its reply the real server asks who has the router, and with arp_announce=0 the question's \
              sender is the reply's source: the VIP. Whoever hears that question and has an entry for the VIP \
              writes the real server's MAC into it at once. arp_ignore does not prevent it; arp_announce=2 does.",
    causes: "the first reply of that real server turns the router's or client's entry for the VIP to it, and all \
              further connections pass the Director by",
    source: "net/ipv4/arp.c: arp_solicit; net/core/neighbour.c: neigh_event_ns; Documentation/networking/ip-sysctl.rst: arp_announce",
    outranks: &["rs-arp-cache-survives-fix"],
    what: |nodes| format!("questions for the next hop are asked in the VIP's name by {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::AsksAs { vip, next_hop, .. } = deviation.kind else { return None };
    if vip.is_ipv6() {
        return None;
    }
    Some(asked(diagnosis, deviation, vip, next_hop))
}

/// What shows the question in the VIP's name, and its mend, whatever the level.
pub(super) fn asked(diagnosis: &Diagnosis<'_>, deviation: &Deviation<'_>, vip: IpAddr, next_hop: IpAddr) -> Affliction {
    let mut evidence = diagnosis.conf_shown(deviation, "arp_announce");
    let asks = format!("{} asks who has {next_hop} with {vip} as sender", deviation.node);
    evidence
        .extend(diagnosis.address_shown(deviation.node, vip).into_iter().map(|e| Evidence { what: asks.clone(), ..e }));
    let mut mend = sysctl(deviation.node, "net.ipv4.conf.all.arp_announce", 2, "90-lvs-dr-announce");
    let rip = diagnosis.place(deviation).zip(deviation.interface);
    if let Some(rip) = rip.and_then(|(p, i)| own_address(&diagnosis.world, &p, i.as_str(), vip)) {
        let command = format!("arptables -A OUTPUT -s {vip} -j mangle --mangle-ip-s {rip}");
        mend.push(mended(deviation.node, Dialect::Arptables, command));
    }
    mend.extend(ways::forget(diagnosis, vip));
    Diagnosis::afflict(deviation, evidence, mend)
}
