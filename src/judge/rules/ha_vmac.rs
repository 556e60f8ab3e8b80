//! `ha-vmac`: settings on all reach the interface with the virtual MAC.

use super::diagnosis::{Diagnosis, sysctls};
use super::{Affliction, Rule};
use crate::judge::Evidence;
use crate::judge::host::route_line;
use crate::judge::model::answer::Silence;
use crate::judge::model::source::Refusal;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ha-vmac",
    title: "sysctls on all override what keepalived sets on its virtual MAC interface",
    teaches: "With use_vmac keepalived puts the VIP on a macvlan with VRRP's MAC and sets what that needs on it: \
              rp_filter=0 there, arp_ignore=1 on the interface below. The way back to clients leaves by the interface \
              below, so a strict source check on the macvlan drops every question and every packet that comes in by \
              it. For rp_filter and arp_ignore the larger value of conf/all and of the interface counts: what a \
              hardening guide writes to `all` undoes keepalived's 0. Leave `all` neutral and set the other interfaces \
              one by one. Trap: net.ipv4.conf.default is copied when the macvlan is made, and comes back with it.",
    causes: "the VIP is dead, or answered with the physical MAC",
    source: "Documentation/networking/ip-sysctl.rst: rp_filter; keepalived: doc/NOTE_vrrp_vmac.txt",
    outranks: &["source-refused", "arp-unanswered", "dir-rpfilter-two-arm"],
    what: |nodes| format!("the virtual MAC interface is under settings of conf/all, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let (Kind::Silent { why: Silence::Refused(Refusal::Elsewhere { route, .. }), .. }
    | Kind::Refuses { why: Refusal::Elsewhere { route, .. }, .. }) = &deviation.kind
    else {
        return None;
    };
    let (place, interface) = (diagnosis.place(deviation)?, deviation.interface?);
    let upper = place.link(interface.as_str()).is_some_and(|l| l.kind.as_deref() == Some("macvlan"));
    if !upper || !diagnosis.is_director(deviation.node) {
        return None;
    }
    let mut evidence = diagnosis.conf_shown(deviation, "rp_filter");
    let mac = place.link(interface.as_str())?.mac?;
    evidence.push(Evidence::fact(
        format!("{interface} is a macvlan, the way back does not leave by it"),
        route_line(route),
    ));
    evidence.push(Evidence::fact(format!("the MAC of {interface}"), format!("link {interface} mac {mac}")));
    let mut values = vec![("net.ipv4.conf.all.rp_filter".to_owned(), 0)];
    values.push((format!("net.ipv4.conf.{interface}.rp_filter"), 0));
    Some(Diagnosis::afflict(deviation, evidence, sysctls(deviation.node, &values, "90-vrrp-vmac")))
}
