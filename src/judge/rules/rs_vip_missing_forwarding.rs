//! `rs-vip-missing-forwarding`: a real server without the VIP sends packets for it on.

use super::diagnosis::Diagnosis;
use super::{Affliction, Rule};
use crate::judge::Evidence;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-vip-missing-forwarding",
    title: "a real server without the VIP forwards",
    teaches: "A real server that lacks the VIP and forwards (ip_forward=1, as Docker and Kubernetes set it) does \
              not drop the packet but sends it to whoever has the VIP: the Director, which sends it back. The \
              packet goes round until its TTL is used up, some 60 frames for each SYN, and the client is told that \
              its time was exceeded.",
    causes: "connections there fail at once with `No route to host`, after a burst of looping frames",
    source: "net/ipv4/ip_forward.c: ip_forward; net/netfilter/ipvs/ip_vs_xmit.c: decrement_ttl",
    outranks: &[],
    what: |nodes| format!("the VIP is missing, and packets for it are sent on in a loop, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::NotOwn { address, forwards } = deviation.kind else { return None };
    if !forwards || !diagnosis.is_server(deviation.node) {
        return None;
    }
    let node = deviation.node;
    let mut evidence = super::rs_vip_missing::not_own(diagnosis, node)?;
    evidence.push(Evidence::fact(format!("{node} forwards"), "net.ipv4.ip_forward = 1"));
    let mend = super::rs_vip_missing::mend(node, address);
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
