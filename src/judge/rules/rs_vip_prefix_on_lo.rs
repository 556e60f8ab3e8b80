//! `rs-vip-prefix-on-lo`: the VIP stands on a real server's lo with the subnet's mask.

use super::diagnosis::Diagnosis;
use super::{Affliction, Rule};
use crate::judge::model::Deviation;

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-vip-prefix-on-lo",
    title: "the VIP on lo has the mask of a subnet",
    teaches: "An address on lo makes its whole prefix local: with VIP/16 the real server takes every neighbour's \
              address, the router's and the Director's among them, for its own. It can't reach anybody on the \
              segment, and with rp_filter it does not even answer their ARP. The VIP on lo is a single address: \
              /32, /128.",
    causes: "clients and checks on the segment get no answer, remote ones only as long as a neighbour entry lasts",
    source: "net/ipv4/fib_frontend.c: fib_add_ifaddr, fib_validate_source; LVS-HOWTO: the VIP on the realserver, \
              netmask 255.255.255.255",
    outranks: &[],
    what: |nodes| format!("the VIP is on lo with the mask of a whole subnet, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let (_, fact) = super::mask::effect(diagnosis, deviation)?;
    Some(super::mask::affliction(diagnosis, deviation, fact, true))
}
