//! `rs-announce-1-same-subnet`: `arp_announce=1` with a VIP in the RIP's subnet.

use super::diagnosis::Diagnosis;
use super::rs_announce_0::asked;
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-announce-1-same-subnet",
    title: "arp_announce=1 does not help a VIP in the RIP's subnet",
    teaches: "arp_announce=1 keeps the packet's source as ARP sender where a prefix of the interface holds both it \
              and the target. With the VIP in the RIP's own subnet that is so, and the real server asks for the \
              router in the VIP's name as with 0. It is enough only for a VIP of a foreign subnet. Use 2.",
    causes: "the first reply of that real server turns the router's or client's entry for the VIP to it, and all \
              further connections pass the Director by",
    source: "net/ipv4/arp.c: arp_solicit; net/core/neighbour.c: neigh_event_ns; Documentation/networking/ip-sysctl.rst: arp_announce",
    outranks: &["rs-arp-cache-survives-fix"],
    what: |nodes| format!("arp_announce is 1, which keeps the VIP as sender in its own subnet, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::AsksAs { vip, next_hop, level } = deviation.kind else { return None };
    if level != 1 {
        return None;
    }
    Some(asked(diagnosis, deviation, vip, next_hop))
}
