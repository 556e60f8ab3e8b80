//! `ipvs-no-dest`: no real server of a service takes new connections.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule, ways};
use crate::base::Forwarding;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ipvs-no-dest",
    title: "no real server takes new connections",
    teaches: "A weight of 0 takes no new connections; it is for draining. If all real servers have it, or all were \
              removed by their checks, IPVS answers with ICMP port unreachable from the VIP, for TCP too, which \
              tells it from a RST.",
    causes: "connections are refused by ICMP port unreachable",
    source: "net/netfilter/ipvs/ip_vs_core.c: ip_vs_leave; ipvsadm(8): --weight",
    outranks: &[],
    what: |nodes| format!("every real server has weight 0 or is gone, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::NoDestination { service } = deviation.kind else { return None };
    let node = deviation.node;
    let all: Vec<String> = service.destinations.iter().map(|d| format!("{} weight {}", d.at, d.weight)).collect();
    let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    let evidence = vec![Evidence::fact(format!("real servers of {} on {node}", service.service), all)];
    let id = ways::service(service.service);
    let services = diagnosis.world.case.services.iter().filter(|s| s.director == *node && s.id == service.service);
    let planned: Vec<_> = services.flat_map(|s| &s.destinations).collect();
    let weight = |at| planned.iter().find(|d| d.at == at).map_or(1, |d| d.weight.max(1));
    let commands: Vec<String> = if service.destinations.is_empty() {
        let missing = planned.iter();
        missing.map(|d| format!("-a {id} -r {} {} -w {}", d.at, method_flag(d.forwarding), d.weight.max(1))).collect()
    } else {
        let idle = service.destinations.iter();
        idle.map(|d| format!("-e {id} -r {} {} -w {}", d.at, method_flag(d.forwarding), weight(d.at))).collect()
    };
    let mut mend: Vec<_> = commands.iter().map(|c| mended(node, Dialect::Ipvsadm, format!("ipvsadm {c}"))).collect();
    if mend.is_empty() {
        mend.push(mended(node, Dialect::ByHand, format!("add real servers: ipvsadm -a {id} -r RIP:PORT -g -w 1")));
    }
    mend.push(mended(
        node,
        Dialect::Keepalived,
        "weight 1 in each real_server; sorry_server for the time when all are down",
    ));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}

/// How ipvsadm writes the forwarding method.
pub(super) fn method_flag(method: Forwarding) -> &'static str {
    match method {
        Forwarding::DirectRouting | Forwarding::LocalNode => "-g",
        Forwarding::Nat => "-m",
        Forwarding::Tun => "-i",
    }
}
