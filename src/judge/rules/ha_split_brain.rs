//! `ha-split-brain`: two Directors have the VIP at once.

use super::diagnosis::Diagnosis;
use super::diagnosis::{mended, single};
use super::{Affliction, Rule};
use crate::judge::census::{Said, words};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ha-split-brain",
    title: "several Directors have the VIP at once",
    teaches: "Each Director that hears no VRRP advertisement of a better one takes the VIP: a firewall drops protocol \
              112 or the group 224.0.0.18, virtual router ids or passwords differ, a segment is cut. Both then answer \
              who-has for the VIP and announce it, and whoever asks keeps the answer that came last. Connections that \
              were opened by one are unknown to the other and are reset when the entry flips. Take the VIP off one of \
              them now; then let the advertisements through, or name the peer (unicast_peer). Trap: with nopreempt or \
              equal priorities it comes back at the next hiccup.",
    causes: "routers and clients come to one or the other by chance; connections break when that changes",
    source: "RFC 5798 section 6.4 (states); net/ipv4/arp.c: arp_process",
    outranks: &["rs-arp-cache-survives-fix"],
    what: |nodes| format!("the VIP is on another Director too, at the same time: {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Rival { vip, of, .. } = deviation.kind else { return None };
    let (node, interface) = (deviation.node, deviation.interface?);
    let input = diagnosis.traffic.input;
    let mut evidence = diagnosis.address_shown(node, vip);
    evidence.extend(diagnosis.address_shown(of, vip));
    let words = words(input);
    for who in [of, node] {
        let said = words.iter().find(|w| {
            matches!(w.said, Said::Answered | Said::Announced)
                && w.vip == vip
                && w.speaker.is_some_and(|s| s.node == *who)
        });
        evidence.extend(said.map(|w| Evidence::frame(input.trace, w.frame, format!("{who} says that it has {vip}"))));
    }
    let peer = "unicast_peer with the other's address, and the same virtual_router_id and authentication on both";
    let mend = vec![
        mended(node, Dialect::Ip, format!("ip address del {} dev {interface}", single(vip))),
        mended(node, Dialect::Keepalived, format!("in vrrp_instance: {peer}")),
        mended(node, Dialect::Iptables, "iptables -I INPUT -p vrrp -j ACCEPT"),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
