//! `router-static-arp`: the VIP is bound for good to a MAC that is not the Director's.

use super::diagnosis::Diagnosis;
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "router-static-arp",
    title: "the VIP is bound to a wrong MAC for good",
    teaches: "A permanent neighbour entry keeps real servers from taking the VIP, and keeps the next Director from \
              it as well: after a failover frames still go to the old MAC, gratuitous ARP or not. Cure the real \
              servers, and let the router learn.",
    causes: "all frames for the VIP go to somebody who is not the Director",
    source: "ip-neighbour(8); net/core/neighbour.c: neigh_update (NUD_PERMANENT is not overwritten)",
    outranks: &[],
    what: |nodes| format!("the VIP has a permanent neighbour entry with a wrong MAC, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Bound { entry, .. } = deviation.kind else { return None };
    if !diagnosis.world.case.is_vip(entry.address) {
        return None;
    }
    super::rip_neigh_stale::bound(diagnosis, deviation)
}
