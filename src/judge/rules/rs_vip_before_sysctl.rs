//! `rs-vip-before-sysctl`: the VIP was up before the ARP sysctls were set.

use std::net::IpAddr;

use super::diagnosis::Diagnosis;
use super::diagnosis::{Moment, sysctls};
use super::{Affliction, Rule, ways};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Evidence, Mend};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-vip-before-sysctl",
    title: "the VIP was there before the ARP sysctls",
    teaches: "A start script that adds the VIP first and sets arp_ignore and arp_announce afterwards opens a \
              window in which the real server answers ARP for the VIP. One answer in that window is enough: it \
              stays in the router's or client's neighbour table until it expires or is flushed, though by then \
              every sysctl looks right. Sysctls come first, best in /etc/sysctl.d, which is read before the \
              network comes up.",
    causes: "whoever asked in the window has the real server's MAC for the VIP, and keeps it",
    source: "net/ipv4/arp.c: arp_process; net/core/neighbour.c: neigh_update",
    outranks: &["rs-arp-cache-survives-fix", "rs-announce-0"],
    what: |nodes| format!("the ARP sysctls came after the VIP, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let (vip, evidence) = only_at_one_end(diagnosis, deviation, Moment::After)?;
    Some(Diagnosis::afflict(deviation, evidence, cure(diagnosis, deviation, vip)))
}

/// A real server's mistake about ARP that is not there at the other end of the timeline, which is `other`: the VIP, and the
/// sysctls as they are at this end.
pub(super) fn only_at_one_end(
    diagnosis: &Diagnosis<'_>,
    deviation: &Deviation<'_>,
    other: Moment,
) -> Option<(IpAddr, Vec<Evidence>)> {
    let about_arp = |kind: &Kind<'_>| matches!(kind, Kind::Answers { .. } | Kind::AsksAs { .. });
    let (there, when) = diagnosis.other.filter(|_| about_arp(&deviation.kind))?;
    let both = there.deviations.iter().any(|d| d.node == deviation.node && about_arp(&d.kind));
    if both || when != other || !diagnosis.is_server(deviation.node) {
        return None;
    }
    let vip = diagnosis.world.case.vips.iter().copied().find(IpAddr::is_ipv4)?;
    let mut evidence = diagnosis.conf_shown(deviation, "arp_ignore");
    evidence.extend(diagnosis.conf_shown(deviation, "arp_announce"));
    Some((vip, evidence))
}

/// Sysctls before addresses, and what was learned in the window forgotten.
fn cure(diagnosis: &Diagnosis<'_>, deviation: &Deviation<'_>, vip: IpAddr) -> Vec<Mend> {
    let values = ["arp_ignore", "arp_announce"].into_iter().zip([1, 2]);
    let values: Vec<_> = values.map(|(key, value)| (format!("net.ipv4.conf.all.{key}"), value)).collect();
    let mut mend = sysctls(deviation.node, &values, "90-lvs-dr-arp");
    mend.reverse();
    mend.extend(ways::forget(diagnosis, vip));
    mend
}
