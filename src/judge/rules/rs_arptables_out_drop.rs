//! `rs-arptables-out-drop`: the ARP filter drops the host's own questions.

use std::net::IpAddr;

use super::diagnosis::Diagnosis;
use super::diagnosis::{mended, sysctl};
use super::{Affliction, Rule, ways};
use crate::judge::model::survey::own_address;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-arptables-out-drop",
    title: "an ARP filter drops the real server's questions",
    teaches: "`arptables -A OUTPUT -s VIP -j DROP` keeps the host from speaking for the VIP by keeping it from \
              asking at all: it asks for its router with the reply's source, the VIP. As long as the router is in \
              its neighbour table by other traffic all is well; idle, it times out. Mangle the sender to the RIP \
              instead, or set arp_announce=2.",
    causes: "replies wait for a neighbour entry that only other traffic can make",
    source: "arptables(8); net/ipv4/arp.c: arp_solicit, arp_process",
    outranks: &["rs-announce-0"],
    what: |nodes| format!("the ARP filter drops the host's own questions, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Deafened { next_hop, rule, question: true } = deviation.kind else { return None };
    let vip = diagnosis.world.case.vips.iter().copied().find(IpAddr::is_ipv4)?;
    let place = diagnosis.place(deviation)?;
    let rip = own_address(&diagnosis.world, &place, deviation.interface?.as_str(), vip)?;
    let evidence = vec![Evidence::fact(
        format!("{} asks who has {next_hop}, and this drops the question", deviation.node),
        format!("arptables {rule}"),
    )];
    let chain = format!("arptables -A OUTPUT -s {vip} -j mangle --mangle-ip-s {rip}");
    let command = format!("{chain} && {}", ways::lift("arptables", rule, Some(rip), next_hop));
    let mut mend = vec![mended(deviation.node, Dialect::Arptables, command)];
    mend.extend(sysctl(deviation.node, "net.ipv4.conf.all.arp_announce", 2, "90-lvs-dr-announce"));
    mend.extend(ways::forget(diagnosis, vip));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
