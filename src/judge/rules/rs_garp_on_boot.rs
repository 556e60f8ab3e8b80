//! `rs-garp-on-boot`: a real server announces the VIP.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-garp-on-boot",
    title: "a real server announces the VIP by gratuitous ARP",
    teaches: "ifup scripts, `arping -U`, NetworkManager and cloud-init announce each address that they bring up. \
              Neither arp_ignore nor arp_announce has a say in what a program sends. One such frame rewrites every \
              router's and client's entry for the VIP. Bring the VIP up without it (ARPUPDATE=no), or drop it by \
              arptables OUTPUT.",
    causes: "every router and client on the segment sends to that real server until it learns otherwise",
    source: "net/ipv4/arp.c: arp_process (gratuitous ARP updates an entry); initscripts: ifup-aliases, ARPUPDATE",
    outranks: &["rs-arp-cache-survives-fix"],
    what: |nodes| format!("the VIP is announced by {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Announces { vip, frame } = deviation.kind else { return None };
    let trace = diagnosis.traffic.input.trace;
    let what = format!("{} says unasked that it has {vip}", deviation.node);
    let mut evidence = diagnosis.address_shown(deviation.node, vip);
    evidence.extend(trace.frame(frame).map(|f| Evidence::frame(trace, f, what)));
    let command = format!("arptables -A OUTPUT -s {vip} -d {vip} -j DROP");
    let mend = vec![
        mended(deviation.node, Dialect::Arptables, command),
        mended(deviation.node, Dialect::ByHand, "bring the VIP up without arping: ARPUPDATE=no in its ifcfg file"),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
