//! `v6-takeover-dad`: duplicate address detection took the VIP from the Director that takes over.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::host::{Host, address_line};
use crate::judge::model::answer::Silence;
use crate::judge::model::local::usable;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "v6-takeover-dad",
    title: "duplicate address detection refuses the IPv6 VIP on takeover",
    teaches: "A Director that takes over adds the IPv6 VIP while the other one still has it, or has it back for a \
              moment. Duplicate address detection asks, the other one answers, and the kernel marks the address \
              dadfailed: it is shown by `ip address`, and not used. It stays so for good, also when the other one is \
              gone. Add it with nodad (keepalived does), or take it off and add it again. Trap: an optimistic address \
              (use_optimistic) is not one without detection.",
    causes: "the VIP is dead after the takeover, although it is there",
    source: "net/ipv6/addrconf.c: addrconf_dad_failure; RFC 4862 section 5.4",
    outranks: &["dir-vip-missing", "ha-no-garp"],
    what: |nodes| format!("the IPv6 VIP was refused by duplicate address detection on takeover, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let asked = match deviation.kind {
        Kind::NotOwn { address, .. } => address,
        Kind::Silent { asked, why: Silence::NotOwn, .. } => asked,
        _ => return None,
    };
    let node = deviation.node;
    let failed = Host(diagnosis.facts(node)?).carries(asked).find(|a| !usable(a))?;
    if !diagnosis.is_director(node) {
        return None;
    }
    let what = format!("{node} has {asked} and may not use it");
    let evidence = vec![Evidence::fact(what, format!("{} {}", address_line(failed), failed.flags.join(" ")))];
    let (address, interface) = (failed.address, &failed.interface);
    let again = format!("ip address del {address} dev {interface} && ip address add {address} dev {interface}");
    // The larger of the two counts, and an address that was refused stays so until it is added again.
    let device = interface.as_str().replace('.', "/");
    let off = format!("sysctl -w net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.{device}.accept_dad=0");
    let mend = vec![
        mended(node, Dialect::Ip, format!("{again} nodad")),
        mended(node, Dialect::Sysctl, format!("{off} && {again}")),
        mended(node, Dialect::Keepalived, "virtual_ipaddress: keepalived adds the address with nodad by itself"),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
