//! `rs-sysctl-reverted`: the ARP sysctls were right and then overwritten.

use super::diagnosis::Diagnosis;
use super::diagnosis::Moment;
use super::{Affliction, Rule};
use crate::judge::model::Deviation;

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-sysctl-reverted",
    title: "the ARP sysctls were set back",
    teaches: "arp_ignore and arp_announce were right and were then written again: `sysctl -p` after a script's \
              echoes with other values in /etc/sysctl.conf, a hardening role, a `stop` script that resets conf/all \
              for every other service too. Put the values into one file that comes last in /etc/sysctl.d, and look \
              at what the kernel has after everything has run.",
    causes: "from then on the real server answers ARP for the VIP or asks in its name",
    source: "Documentation/networking/ip-sysctl.rst: arp_ignore, arp_announce; sysctl.d(5)",
    outranks: &["rs-announce-0", "rs-arp-cache-survives-fix"],
    what: |nodes| format!("the ARP sysctls were set back on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let (vip, evidence) = super::rs_vip_before_sysctl::only_at_one_end(diagnosis, deviation, Moment::Before)?;
    Some(Diagnosis::afflict(deviation, evidence, diagnosis.arp_cure(deviation, vip)))
}
