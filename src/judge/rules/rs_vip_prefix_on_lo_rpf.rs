//! `rs-vip-prefix-on-lo-rpf`: the VIP on lo has the mask of a subnet, and the source check refuses the neighbours.

use super::diagnosis::Diagnosis;
use super::mask::Effect;
use super::{Affliction, Rule};
use crate::judge::model::Deviation;

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-vip-prefix-on-lo-rpf",
    title: "a mask on lo makes the source check refuse all neighbours",
    teaches: "An address on lo makes its whole prefix local, so a neighbour's address is one of the host's own. \
              With rp_filter the kernel looks the source of each packet up and drops what comes from its own \
              address: who-has requests as well, so nobody on the segment can even resolve the real server. The \
              VIP on lo is a single address: /32.",
    causes: "the Director gets no answer to who-has for the RIP, and nothing reaches that real server",
    source: "net/ipv4/fib_frontend.c: fib_add_ifaddr, fib_validate_source; LVS-HOWTO: the VIP on the realserver, \
              netmask 255.255.255.255",
    outranks: &[
        "rs-arp-default",
        "rs-sysctl-lo-only",
        "rs-sysctl-default-only",
        "rs-announce-0",
        "rs-vip-prefix-on-lo",
    ],
    what: |nodes| {
        format!("the VIP is on lo with the mask of a whole subnet, and rp_filter refuses all of it, on {nodes}")
    },
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let (effect, fact) = super::mask::effect(diagnosis, deviation)?;
    (effect == Effect::Refuses).then(|| super::mask::affliction(diagnosis, deviation, fact, true))
}
