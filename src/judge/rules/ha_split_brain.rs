//! `ha-split-brain`: two Directors have the VIP at once.

use std::net::IpAddr;

use super::diagnosis::Diagnosis;
use super::diagnosis::{mended, single};
use super::{Affliction, Rule};
use crate::base::{IfName, NodeName};
use crate::judge::census::{Said, words};
use crate::judge::failover::{Adverts, advertised};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence, Mend};

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
    let mut mend = match by_vrrp(diagnosis, of, node) {
        Vrrp::Left(stale) => {
            let on = if stale == node { Some(interface.clone()) } else { carrier(diagnosis, of, vip) };
            let on = on.map_or_else(|| "DEVICE".to_owned(), |name| name.to_string());
            vec![
                mended(stale, Dialect::Ip, format!("ip address del {} dev {on}", single(vip))),
                mended(stale, Dialect::Keepalived, "start it again: it takes the VIP away before it stands by"),
            ]
        }
        // The one of lower priority stands back with the next advertisement; what is forgotten before is learned anew.
        Vrrp::Dropped(rules, wait_s) => rules
            .into_iter()
            .map(|(node, rule)| (node, rule.replacen("-A ", "-D ", 1)))
            .map(|(node, rule)| mended(node, Dialect::Iptables, format!("iptables {rule} && sleep {wait_s}")))
            .collect(),
        Vrrp::Silent => off(node, interface, vip),
    };
    mend.extend(super::ways::forget(diagnosis, vip));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}

/// What VRRP tells of two Directors that both have the VIP.
enum Vrrp<'a> {
    /// This one has stopped advertising, and kept the address: its daemon is gone.
    Left(&'a NodeName),
    /// Both advertise, and these rules keep it from them; and after how many seconds they have heard each other.
    Dropped(Vec<(&'a NodeName, String)>, u64),
    /// Nothing that would say which of the two is wrong, and why.
    Silent,
}

fn by_vrrp<'a>(diagnosis: &Diagnosis<'a>, one: &'a NodeName, other: &'a NodeName) -> Vrrp<'a> {
    let input = diagnosis.traffic.input;
    let adverts = advertised(input);
    let of = |node: &NodeName| adverts.iter().find(|adverts| adverts.director == *node);
    let (Some(first), Some(second)) = (of(one), of(other)) else { return Vrrp::Silent };
    if stopped_before(first, second) {
        return Vrrp::Left(one);
    }
    if stopped_before(second, first) {
        return Vrrp::Left(other);
    }
    // The one of lower priority steps back as soon as it hears the other: it has to hear first.
    let dropped = [other, one].into_iter().flat_map(|node| {
        let rules = diagnosis.facts(node).and_then(|facts| facts.iptables.clone()).unwrap_or_default();
        let drops = |rule: &String| {
            rule.starts_with("-A INPUT ")
                && (rule.contains("-p vrrp ") || rule.contains("-p 112 "))
                && (rule.ends_with("-j DROP") || rule.contains("-j REJECT"))
        };
        rules.into_iter().filter(drops).map(move |rule| (node, rule)).collect::<Vec<_>>()
    });
    let dropped: Vec<_> = dropped.collect();
    if dropped.is_empty() { Vrrp::Silent } else { Vrrp::Dropped(dropped, heard_after_s([first, second])) }
}

/// Whether one had left out an advertisement when the other sent its first; one that is due has not yet been left out.
fn stopped_before(one: &Adverts, other: &Adverts) -> bool {
    one.last_ms + 2.0 * interval_ms([one, other]) < other.first_ms
}

/// Whole seconds in which three advertisements are sent, 120 at most.
fn heard_after_s(adverts: [&Adverts; 2]) -> u64 {
    let interval_ms = interval_ms(adverts);
    (1_u32..=120).find(|s| f64::from(*s) * 1000.0 >= interval_ms * 3.0).map_or(120, u64::from)
}

/// Milliseconds from one advertisement to the next, as far as the capture tells how often there is one: 1 s where nobody says
/// otherwise (RFC 5798 section 5.2.7).
fn interval_ms(adverts: [&Adverts; 2]) -> f64 {
    let longest_ms = adverts
        .into_iter()
        .filter(|one| one.count > 1)
        .map(|one| (one.last_ms - one.first_ms) / f64::from(u32::try_from(one.count - 1).unwrap_or(u32::MAX)))
        .fold(0.0, f64::max);
    if longest_ms > 0.0 { longest_ms } else { 1000.0 }
}

/// Where a node has an address.
fn carrier(diagnosis: &Diagnosis<'_>, node: &NodeName, vip: IpAddr) -> Option<IfName> {
    let input = diagnosis.traffic.input;
    let all = [input.facts_after(node), diagnosis.facts(node)];
    let mut addresses = all.into_iter().flatten().flat_map(|facts| &facts.addresses);
    addresses.find(|one| one.address.addr() == vip).map(|one| one.interface.clone())
}

/// The VIP off one of the two, and what keeps it so.
fn off(node: &NodeName, interface: &IfName, vip: IpAddr) -> Vec<Mend> {
    let peer = "unicast_peer with the other's address, and the same virtual_router_id and authentication on both";
    vec![
        mended(node, Dialect::Ip, format!("ip address del {} dev {interface}", single(vip))),
        mended(node, Dialect::Keepalived, format!("in vrrp_instance: {peer}")),
        mended(node, Dialect::ByHand, "where a filter drops VRRP: iptables -I INPUT -p vrrp -j ACCEPT"),
    ]
}

#[cfg(test)]
mod tests {
    use super::{heard_after_s, stopped_before};
    use crate::judge::failover::Adverts;

    fn adverts(director: &str, count: u64, first_ms: f64, last_ms: f64) -> Adverts {
        Adverts { director: director.parse().unwrap(), count, first_ms, last_ms }
    }

    #[test]
    fn a_master_has_stopped_once_an_advertisement_of_its_is_missing() {
        let master = adverts("lb1", 5, 1680.0, 3690.0);
        assert!(!stopped_before(&master, &adverts("lb2", 1, 3760.0, 3760.0)));
        assert!(!stopped_before(&master, &adverts("lb2", 3, 1700.0, 3700.0)));
        assert!(stopped_before(&master, &adverts("lb2", 1, 5200.0, 5200.0)));
        let of_the_other_nothing = adverts("lb1", 1, 1000.0, 1000.0);
        assert!(!stopped_before(&of_the_other_nothing, &adverts("lb2", 1, 2900.0, 2900.0)));
        assert!(stopped_before(&of_the_other_nothing, &adverts("lb2", 1, 4600.0, 4600.0)));
    }

    #[test]
    fn three_advertisements_are_waited_for() {
        let once = adverts("lb2", 1, 0.0, 0.0);
        assert_eq!(heard_after_s([&once, &adverts("lb1", 5, 1680.0, 3690.0)]), 2);
        assert_eq!(heard_after_s([&once, &once]), 3);
        assert_eq!(heard_after_s([&once, &adverts("lb1", 2, 0.0, 60_000.0)]), 120);
    }
}
