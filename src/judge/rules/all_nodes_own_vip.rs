//! `all-nodes-own-vip`: every node, the Director too, has the VIP on a device beside the segment.

use super::diagnosis::Diagnosis;
use super::{Affliction, Rule};
use crate::judge::Evidence;
use crate::judge::model::answer::Because;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "all-nodes-own-vip",
    title: "every node has the VIP beside the segment and answers for it",
    teaches: "kube-proxy in IPVS mode puts each service's address on a dummy (kube-ipvs0) of every node. Without \
              strict ARP (arp_ignore=1, arp_announce=2) each of them answers who-has for it, the Director by the \
              same weakness as all others. The nodes that serve have to be silent; the one that is the Director \
              has the VIP on the interface where it is asked for.",
    causes: "the real server competes with the Director for the VIP; who wins gets all connections of that router \
              or client",
    source: "net/ipv4/arp.c: arp_process, arp_ignore; Documentation/networking/ip-sysctl.rst: arp_ignore",
    outranks: &["rs-announce-0"],
    what: |nodes| format!("the VIP is on a device without ARP on all nodes and answered for by {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Answers { asked, because: Because::Own(own) } = &deviation.kind else { return None };
    let beside = |node: &crate::base::NodeName| {
        let links = diagnosis.facts(node).map_or(&[][..], |f| &f.links);
        let carried = diagnosis.facts(node).into_iter().flat_map(|f| &f.addresses).find(|a| a.address.addr() == *asked);
        carried.is_some_and(|a| a.interface != "lo" && links.iter().any(|l| l.name == a.interface && l.noarp))
    };
    if !beside(deviation.node) || !diagnosis.traffic.directors().any(|d| beside(&d.node)) {
        return None;
    }
    let mut evidence = diagnosis.conf_shown(deviation, "arp_ignore");
    evidence.push(Evidence::fact(format!("{} takes {asked} for its own", deviation.node), own.line()));
    Some(Diagnosis::afflict(deviation, evidence, diagnosis.arp_cure(deviation, *asked)))
}
