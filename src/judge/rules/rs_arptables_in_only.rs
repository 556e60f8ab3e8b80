//! `rs-arptables-in-only`: the ARP filter hides the VIP, and eats the answers to the host's own questions as well.

use std::net::IpAddr;

use super::diagnosis::Diagnosis;
use super::diagnosis::{mended, sysctl};
use super::{Affliction, Rule, ways};
use crate::judge::model::survey::own_address;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-arptables-in-only",
    title: "an ARP filter without the mangling rule",
    teaches: "`arptables -A INPUT -d VIP -j DROP` drops every ARP packet whose target is the VIP. The real server \
              asks for its router with the VIP as sender, so the answer's target is the VIP and is dropped too: \
              the router never gets resolved. The second rule, which puts the RIP in the VIP's place in what the \
              host asks, belongs to it; or arp_announce=2.",
    causes: "the real server never learns its next hop's MAC and sends no reply",
    source: "arptables(8); net/ipv4/arp.c: arp_solicit, arp_process",
    outranks: &["rs-announce-0"],
    what: |nodes| format!("the ARP filter drops the answers to the host's own questions, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Deafened { next_hop, rule, question: false } = deviation.kind else { return None };
    let vip = diagnosis.world.case.vips.iter().copied().find(IpAddr::is_ipv4)?;
    let place = diagnosis.place(deviation)?;
    let rip = own_address(&diagnosis.world, &place, deviation.interface?.as_str(), vip)?;
    let evidence = vec![Evidence::fact(
        format!("{} asks who has {next_hop}, and this drops the answer", deviation.node),
        format!("arptables {rule}"),
    )];
    let chain = format!("arptables -A OUTPUT -s {vip} -j mangle --mangle-ip-s {rip}");
    let command = chain;
    let mut mend = vec![mended(deviation.node, Dialect::Arptables, command)];
    mend.extend(sysctl(deviation.node, "net.ipv4.conf.all.arp_announce", 2, "90-lvs-dr-announce"));
    mend.extend(ways::forget(diagnosis, vip));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
