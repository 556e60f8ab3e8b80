//! The VIP on `lo` with the mask of a subnet: which address it is, and the command that puts it right.

use super::diagnosis::Diagnosis;
use super::{Affliction, ways};
use crate::facts::AddressFact;
use crate::judge::Evidence;
use crate::judge::host::address_line;
use crate::judge::model::Deviation;
use crate::judge::model::answer::{Because, Silence};
use crate::judge::model::deviation::Kind;
use crate::judge::model::local::Local;
use crate::judge::model::source::Refusal;

/// What a mask that is too wide leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It is there.
    Stands,
    /// The node drops what its neighbours send, or does not answer them.
    Refuses,
    /// It answers for its neighbours.
    Answers,
}

/// What the deviation shows of such a mask, and the address that has it.
pub(super) fn effect<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<(Effect, &'a AddressFact)> {
    let effect = match &deviation.kind {
        Kind::WholePrefix { .. } | Kind::Keeps { own: Local::Prefix(_), .. } => Effect::Stands,
        Kind::Silent { why: Silence::Refused(Refusal::Own(Local::Prefix(_))), .. }
        | Kind::Refuses { why: Refusal::Own(Local::Prefix(_)), .. } => Effect::Refuses,
        Kind::Answers { because: Because::Own(Local::Prefix(_)), .. } => Effect::Answers,
        _ => return None,
    };
    let own = diagnosis.facts(deviation.node)?.addresses.iter().filter(|a| a.interface == "lo");
    let mut wide = own.filter(|a| a.address.prefix_len() < a.address.max_prefix_len());
    let fact = wide.find(|a| diagnosis.world.case.is_vip(a.address.addr()))?;
    Some((effect, fact))
}

/// The finding's part; where the sysctls of the ARP cure are missing too, what was learned by it is forgotten.
pub(super) fn affliction(
    diagnosis: &Diagnosis<'_>,
    deviation: &Deviation<'_>,
    fact: &AddressFact,
    cured: bool,
) -> Affliction {
    let (net, vip, node) = (fact.address, fact.address.addr(), deviation.node);
    let mut mend = ways::to_lo(node, fact);
    let mut evidence =
        vec![Evidence::fact(format!("{node} takes all of {} for its own", net.trunc()), address_line(fact))];
    if !cured {
        mend.extend(ways::forget(diagnosis, vip));
        evidence.extend(diagnosis.conf_shown(deviation, "arp_ignore"));
    }
    Affliction { node: node.clone(), interface: Some(fact.interface.clone()), evidence, mend }
}
