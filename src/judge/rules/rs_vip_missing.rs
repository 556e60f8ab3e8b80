//! `rs-vip-missing`: a real server does not have the VIP, so it drops what the Director sends it.

use std::net::IpAddr;

use super::diagnosis::Diagnosis;
use super::diagnosis::{mended, single};
use super::{Affliction, Rule, ways};
use crate::base::NodeName;
use crate::judge::host::address_line;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence, Mend};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-vip-missing",
    title: "a real server does not have the VIP",
    teaches: "Direct routing leaves the VIP in the packet as its destination. A host that does not own the address \
              drops it (IpInAddrErrors grows) or, when it forwards, sends it on in a loop. The VIP belongs on lo \
              as a single address, after the ARP sysctls. A health check of the RIP stays green all the while.",
    causes: "every connection that is sent there times out, which is a fixed share of all",
    source: "net/ipv4/route.c: ip_route_input_slow; net/ipv6/ip6_input.c",
    outranks: &["app-not-listening"],
    what: |nodes| format!("the VIP is missing on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::NotOwn { address, .. } = deviation.kind else { return None };
    if !diagnosis.is_server(deviation.node) {
        return None;
    }
    let node = deviation.node;
    let evidence = not_own(diagnosis, node)?;
    let mend = mend(node, address);
    Some(Diagnosis::afflict(deviation, evidence, mend))
}

/// The addresses that the node has, and how many packets it took for not its own.
pub(super) fn not_own(diagnosis: &Diagnosis<'_>, node: &NodeName) -> Option<Vec<Evidence>> {
    let facts = diagnosis.facts(node)?;
    let all: Vec<String> = facts.addresses.iter().map(address_line).collect();
    let mut evidence = vec![Evidence::fact(format!("all addresses of {node}"), all.join(", "))];
    if let Some(errors) = facts.counters.get("IpInAddrErrors") {
        let what = format!("packets that {node} took for not its own");
        evidence.push(Evidence::fact(what, format!("IpInAddrErrors {errors}")));
    }
    Some(evidence)
}

/// The VIP on lo, after the sysctls that keep it silent.
pub(super) fn mend(node: &NodeName, vip: IpAddr) -> Vec<Mend> {
    if vip.is_ipv6() {
        return vec![mended(node, Dialect::Ip, format!("ip address replace {} dev lo", single(vip)))];
    }
    let sysctls = ways::SILENT;
    vec![
        mended(node, Dialect::Ip, format!("{sysctls} && ip address replace {vip}/32 dev lo label lo:0")),
        mended(
            node,
            Dialect::NetTools,
            format!("{sysctls} && ifconfig lo:0 {vip} netmask 255.255.255.255 broadcast {vip} up"),
        ),
    ]
}
