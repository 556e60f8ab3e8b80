//! `rs-same-mac`: two nodes have one MAC.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule, ways};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-same-mac",
    title: "two nodes of a segment have the same MAC",
    teaches: "A cloned machine keeps its MAC. The switch learns the port of whoever spoke last, so frames for \
              either go to one of them; each takes what is addressed to its MAC, and with the VIP on both it is \
              served by the wrong one. IPVS counts look balanced all the while.",
    causes: "all that is meant for one of them may reach the other",
    source: "IEEE 802.1D section 7.8 (learning)",
    outranks: &[],
    what: |nodes| format!("the MAC of another node is also on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::SameMac { mac, other } = deviation.kind else { return None };
    let interface = deviation.interface?;
    let mut new = mac;
    new.0[5] ^= 0x80;
    let evidence = vec![Evidence::fact(
        format!("{other} has the same MAC as {}", deviation.node),
        format!("link {interface} mac {mac}"),
    )];
    let mut mend = vec![mended(deviation.node, Dialect::Ip, format!("ip link set {interface} address {new}"))];
    let own = diagnosis.facts(deviation.node).into_iter().flat_map(|f| &f.addresses);
    for address in own.filter(|a| a.interface == *interface).map(|a| a.address.addr()) {
        mend.extend(ways::forget(diagnosis, address));
    }
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
