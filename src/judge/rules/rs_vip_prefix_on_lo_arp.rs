//! `rs-vip-prefix-on-lo-arp`: the VIP on lo has the mask of a subnet, and the host answers ARP for all of it.

use super::diagnosis::Diagnosis;
use super::mask::Effect;
use super::{Affliction, Rule};
use crate::judge::model::Deviation;

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-vip-prefix-on-lo-arp",
    title: "a real server answers ARP for a whole subnet",
    teaches: "An address on lo makes its whole prefix local. With arp_ignore=0 the real server then answers who-has for every address of the subnet, the router's and its neighbours' among them, and takes their \
              traffic. The VIP on lo is a single address, /32, and the ARP sysctls belong to it.",
    causes: "hosts that have nothing to do with the VIP lose their traffic to the real server",
    source: "net/ipv4/fib_frontend.c: fib_add_ifaddr; net/ipv4/arp.c: arp_process",
    outranks: &[
        "rs-arp-default",
        "rs-sysctl-lo-only",
        "rs-sysctl-default-only",
        "rs-announce-0",
        "rs-vip-prefix-on-lo",
        "rs-vip-prefix-on-lo-rpf",
    ],
    what: |nodes| format!("the VIP is on lo with the mask of a whole subnet, all of which is answered for, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let (effect, fact) = super::mask::effect(diagnosis, deviation)?;
    (effect == Effect::Answers).then(|| super::mask::affliction(diagnosis, deviation, fact, false))
}
