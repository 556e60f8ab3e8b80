//! `rs-arp-cache-survives-fix`: an asker still has a real server's MAC for the VIP.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-arp-cache-survives-fix",
    title: "a neighbour entry for the VIP is still wrong",
    teaches: "Once the real servers are cured, what routers and clients learned before stays. Linux asks the MAC \
              that it has first and keeps the entry as long as traffic flows by it, other gear for up to four \
              hours. So the cure seems not to help. Flush the entry, or let the Director announce the VIP.",
    causes: "that router or client sends to the real server past the Director",
    source: "net/core/neighbour.c: neigh_timer_handler, neigh_update; RFC 1122 section 2.3.2.1",
    outranks: &[],
    what: |nodes| format!("the VIP is remembered with another's MAC on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Learned { entry, meant, right } = deviation.kind else { return None };
    let speaks = |kind: &Kind<'_>| {
        matches!(
            kind,
            Kind::Answers { .. }
                | Kind::AsksAs { .. }
                | Kind::Announces { .. }
                | Kind::SameMac { .. }
                | Kind::Rival { .. }
        )
    };
    let other = diagnosis.other.map(|(p, _)| p);
    if std::iter::once(diagnosis.predicted).chain(other).any(|p| p.deviations.iter().any(|d| speaks(&d.kind))) {
        return None;
    }
    let (vip, interface) = (entry.address, &entry.interface);
    let has = entry.mac.map_or_else(String::new, |mac| diagnosis.world.case.name_of(mac));
    let evidence = vec![Evidence::fact(
        format!("{} sends to {has}; {meant} is {right}", deviation.node),
        format!(
            "{vip} dev {interface} lladdr {} {}",
            entry.mac.map_or_else(String::new, |m| m.to_string()),
            entry.state
        ),
    )];
    let announced = format!("have {meant} announce it: arping -U -c 3 -I INTERFACE {vip}");
    let mend = vec![
        mended(deviation.node, Dialect::Ip, format!("ip neighbour flush to {vip} dev {interface}")),
        mended(deviation.node, Dialect::NetTools, format!("arp -d {vip}")),
        mended(deviation.node, Dialect::ByHand, announced),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
