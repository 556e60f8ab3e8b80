//! `proxy-arp`: a host answers ARP for the VIP as a proxy.

use super::diagnosis::Diagnosis;
use super::diagnosis::sysctls;
use super::{Affliction, Rule, ways};
use crate::base::IfName;
use crate::judge::Evidence;
use crate::judge::host::route_line;
use crate::judge::model::answer::Because;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "proxy-arp",
    title: "a host answers ARP for the VIP by proxy",
    teaches: "proxy_arp makes a host that forwards answer who-has for every address that it would reach by another \
              interface. If its way to the VIP leads elsewhere, it claims the VIP on the segment.",
    causes: "the real server competes with the Director for the VIP; who wins gets all connections of that router \
              or client",
    source: "net/ipv4/arp.c: arp_process, arp_fwd_proxy; Documentation/networking/ip-sysctl.rst: proxy_arp",
    outranks: &[],
    what: |nodes| format!("proxy_arp answers who-has for the VIP, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Answers { because: Because::Proxy(route), asked } = &deviation.kind else { return None };
    let mut evidence = diagnosis.conf_shown(deviation, "proxy_arp");
    evidence.push(Evidence::fact(format!("{} would reach {asked} by", deviation.node), route_line(route)));
    let devices = ["all"].into_iter().chain(deviation.interface.map(IfName::as_str));
    let values: Vec<_> = devices.map(|device| (ways::conf(device, "proxy_arp"), 0)).collect();
    let mut mend = sysctls(deviation.node, &values, "90-lvs-dr-proxy");
    mend.extend(ways::forget(diagnosis, *asked));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
