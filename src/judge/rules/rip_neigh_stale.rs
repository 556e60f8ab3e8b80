//! `rip-neigh-stale`: a permanent entry for a neighbour has a MAC that is not its own.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rip-neigh-stale",
    title: "a neighbour is bound to a wrong MAC for good",
    teaches: "A permanent entry (`ip neighbour … nud permanent`, `arp -f /etc/ethers`) outlives the network card \
              whose MAC it holds. The Director's frames for that real server then go to a MAC that nobody has; the \
              bridge floods them, and no one takes them.",
    causes: "everything for that neighbour is lost, which is a fixed share of all connections where it is a real \
              server",
    source: "ip-neighbour(8); net/core/neighbour.c: neigh_update (NUD_PERMANENT is not overwritten)",
    outranks: &[],
    what: |nodes| format!("a permanent neighbour entry has a wrong MAC, on {nodes}"),
    claims: bound,
};

/// What shows a permanent entry with a wrong MAC, and its mend, whoever's address it is.
pub(super) fn bound<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Bound { entry, meant, right } = deviation.kind else { return None };
    let (address, interface) = (entry.address, &entry.interface);
    let has = entry.mac.map_or_else(String::new, |mac| diagnosis.world.case.name_of(mac));
    let evidence = vec![Evidence::fact(
        format!("{} sends to {has}; {meant} is {right}", deviation.node),
        format!("{address} dev {interface} lladdr {} PERMANENT", entry.mac.map_or_else(String::new, |m| m.to_string())),
    )];
    let mend = vec![
        mended(deviation.node, Dialect::Ip, format!("ip neighbour del {address} dev {interface}")),
        mended(deviation.node, Dialect::NetTools, format!("arp -d {address}")),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
