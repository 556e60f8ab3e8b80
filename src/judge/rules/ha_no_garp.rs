//! `ha-no-garp`: the VIP moved to another Director, and nobody was told.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ha-no-garp",
    title: "the VIP moved and no gratuitous ARP said so",
    teaches: "The kernel sends no ARP when an address is added: `ip address add` on the new Director changes nothing \
              in anybody's neighbour table. Routers and clients go on sending to the MAC of the old one until their \
              entry expires: half a minute to a minute on Linux, hours on other gear, and traffic that seems to work \
              keeps it alive. Whoever moves the VIP has to announce it: keepalived does (garp_master_delay, \
              garp_master_repeat), a script has to call arping. Trap: one frame may be lost while a switch port comes \
              up; send several.",
    causes: "all who know the old MAC keep sending to it: their connections time out",
    source: "net/ipv4/devinet.c: inetdev_event (arp_notify acts on link events only); RFC 5944 section 4.6",
    outranks: &["rs-arp-cache-survives-fix", "dir-vip-missing"],
    what: |nodes| format!("the VIP has moved without a word, to {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Unannounced { vip, from, asker, frame } = deviation.kind else { return None };
    let node = deviation.node;
    let input = diagnosis.traffic.input;
    let carried = input.facts_after(node).into_iter().flat_map(|f| crate::judge::host::Host(f).carries(vip));
    let mut evidence: Vec<Evidence> = carried
        .map(|a| Evidence::fact(format!("{node} has {vip} now, {from} had it"), crate::judge::host::address_line(a)))
        .collect();
    let what = format!("still sent to {from}, which does not hand it on");
    evidence.extend(input.trace.frame(frame).map(|f| Evidence::frame(input.trace, f, what)));
    evidence.push(Evidence::told(format!("no gratuitous ARP of {node} for {vip} is in the capture")));
    let interface = deviation.interface.map_or("eth0", |i| i.as_str());
    let mut mend = Vec::new();
    mend.extend(asker.map(|asker| mended(asker, Dialect::Ip, format!("ip neighbour flush to {vip}"))));
    mend.extend(asker.map(|asker| mended(asker, Dialect::NetTools, format!("arp -d {vip}"))));
    mend.push(mended(
        node,
        Dialect::ByHand,
        format!("arping -U -c 3 -I {interface} {vip}, each time the VIP comes up"),
    ));
    let words = "in vrrp_instance: garp_master_delay 1, garp_master_repeat 5, garp_master_refresh 10";
    mend.push(mended(node, Dialect::Keepalived, words));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
