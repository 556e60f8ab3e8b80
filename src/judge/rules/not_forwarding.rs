//! `not-forwarding`: a node that has to forward does not.

use super::diagnosis::Diagnosis;
use super::diagnosis::sysctl;
use super::{Affliction, Rule};
use crate::judge::Evidence;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "not-forwarding",
    title: "a router does not forward",
    teaches: "A host sends on what is not its own only with ip_forward=1 (IPv6: conf/all/forwarding). Without it \
              the packet is dropped where it came in. A Director needs no forwarding for direct routing, a router \
              does.",
    causes: "packets end at that node",
    source: "Documentation/networking/ip-sysctl.rst: ip_forward",
    outranks: &[],
    what: |nodes| format!("packets have to be sent on and are not by {nodes}"),
    claims,
};

fn claims<'a>(_: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Stays { to } = deviation.kind else { return None };
    let key = if to.is_ipv4() { "net.ipv4.ip_forward" } else { "net.ipv6.conf.all.forwarding" };
    let evidence =
        vec![Evidence::fact(format!("{} has to send packets for {to} on", deviation.node), format!("{key} = 0"))];
    Some(Diagnosis::afflict(deviation, evidence, sysctl(deviation.node, key, 1, "90-forwarding")))
}
