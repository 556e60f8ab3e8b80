//! `v6-vip-on-nic-dad`: duplicate address detection took the VIP from a real server.

use super::diagnosis::Diagnosis;
use super::{Affliction, Rule, ways};
use crate::judge::Evidence;
use crate::judge::host::address_line;
use crate::judge::model::local::usable;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "v6-vip-on-nic-dad",
    title: "duplicate address detection took the IPv6 VIP away",
    teaches: "Before an IPv6 address on a network interface is used the kernel asks whether somebody has it. The \
              Director has the VIP and says so; the address is marked dadfailed and is not used, without anything \
              else going wrong. On lo there is no such detection, and nodad is not needed.",
    causes: "the real server drops what the Director sends it: connections time out",
    source: "net/ipv6/addrconf.c: addrconf_dad_failure; RFC 4862 section 5.4",
    outranks: &[],
    what: |nodes| format!("the IPv6 VIP is there but failed duplicate address detection, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::NotOwn { address, forwards } = deviation.kind else { return None };
    let failed =
        diagnosis.facts(deviation.node)?.addresses.iter().find(|a| a.address.addr() == address && !usable(a))?;
    if forwards && address.is_ipv4() {
        return None;
    }
    let node = deviation.node;
    let mut evidence = super::rs_vip_missing::not_own(diagnosis, node)?;
    evidence.push(Evidence::fact(
        format!("{node} may not use it"),
        format!("{} {}", address_line(failed), failed.flags.join(" ")),
    ));
    let mend = ways::to_lo(node, failed);
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
