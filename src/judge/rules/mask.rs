//! The VIP on `lo` with the mask of a subnet: which address it is, and the command that puts it right.

use super::Affliction;
use super::diagnosis::{Diagnosis, mended, single, sysctls};
use crate::facts::AddressFact;
use crate::judge::host::address_line;
use crate::judge::model::Deviation;
use crate::judge::model::answer::{Because, Silence};
use crate::judge::model::deviation::Kind;
use crate::judge::model::local::Local;
use crate::judge::model::source::Refusal;
use crate::judge::{Dialect, Evidence};

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

/// The finding's part, with the sysctls of the ARP cure where they are missing too.
pub(super) fn affliction(
    diagnosis: &Diagnosis<'_>,
    deviation: &Deviation<'_>,
    fact: &AddressFact,
    cured: bool,
) -> Affliction {
    let (net, vip, node) = (fact.address, fact.address.addr(), deviation.node);
    let label = fact.label.as_deref().map_or_else(String::new, |l| format!(" label {l}"));
    let to = single(vip);
    let mut mend =
        vec![mended(node, Dialect::Ip, format!("ip address del {net} dev lo && ip address add {to} dev lo{label}"))];
    if vip.is_ipv4() {
        let name = fact.label.as_deref().unwrap_or("lo:0");
        let command = format!("ifconfig {name} {vip} netmask 255.255.255.255 broadcast {vip} up");
        mend.push(mended(node, Dialect::NetTools, command));
    }
    let mut evidence =
        vec![Evidence::fact(format!("{node} takes all of {} for its own", net.trunc()), address_line(fact))];
    if !cured {
        let values = [("net.ipv4.conf.all.arp_ignore".to_owned(), 1), ("net.ipv4.conf.all.arp_announce".to_owned(), 2)];
        mend.extend(sysctls(node, &values, "90-lvs-dr"));
        evidence.extend(diagnosis.conf_shown(deviation, "arp_ignore"));
    }
    Affliction { node: node.clone(), interface: Some(fact.interface.clone()), evidence, mend }
}
