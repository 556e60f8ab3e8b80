//! `cloud-l3-only`: the network has no common segment, it only looks like one.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::model::answer::{Answer, Because, answer};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "cloud-l3-only",
    title: "the network between Director and real server is routed, although it looks like one segment",
    teaches: "In a cloud's virtual network (and in Calico, or with a /32 on each host) every host has a link of its \
              own to the fabric, which answers ARP for all the others with its own MAC or is the gateway of a /32. \
              The RIP then looks near and is not. Direct routing hands the real server a packet for the VIP by its \
              MAC; here that MAC is the fabric's, which looks at the destination, the VIP, and routes it back to the \
              Director or drops it. There is no cure on this layer: tunnel to the real server (-i), NAT, or the \
              provider's own load balancer. Trap: ping and health checks to the RIP work, as they are addressed to \
              the RIP.",
    causes: "connections to that real server go back to the Director in a loop, or are dropped by the fabric",
    source: "net/netfilter/ipvs/ip_vs_xmit.c: ip_vs_dr_xmit (only the MAC is changed); RFC 1027 (proxy ARP)",
    outranks: &["rs-gw-director", "rs-vip-missing", "rs-remote-subnet", "proxy-arp"],
    what: |nodes| format!("behind a routed network, which direct routing cannot cross, though it looks near: {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Remote { rip, from, route, .. } = deviation.kind else { return None };
    let director = diagnosis.world.place(from)?;
    let mut evidence = Vec::new();
    if let Some(route) = route.filter(|r| r.gateway.is_none()) {
        let out = director.port(route.interface.as_ref()?.as_str())?;
        let own = out.addresses.iter().map(ipnet::IpNet::addr).find(|a| !diagnosis.world.case.is_vip(*a))?;
        let (fabric, port) =
            diagnosis.world.on(&out.segment).filter(|(p, _)| p.node() != from).find(|(p, port)| {
                matches!(answer(p, port.interface.as_str(), rip, own), Answer::Yes(Because::Proxy(_)))
            })?;
        let line = format!("net.ipv4.conf.{}.proxy_arp = 1", port.interface);
        evidence.push(Evidence::fact(format!("{} answers {from} for {rip}, which it routes to", fabric.node()), line));
    } else {
        let sole = director.facts.addresses.iter().find(|a| {
            Some(&a.interface) == route.and_then(|r| r.interface.as_ref())
                && a.address.prefix_len() == a.address.max_prefix_len()
                && !diagnosis.world.case.is_vip(a.address.addr())
        })?;
        let numbered = director
            .facts
            .addresses
            .iter()
            .any(|a| a.interface == sole.interface && a.address.prefix_len() < a.address.max_prefix_len());
        if numbered {
            return None;
        }
        let line = crate::judge::host::address_line(sole);
        evidence.push(Evidence::fact(format!("{from} has no segment at all but a link to its gateway"), line));
    }
    let general = super::rs_remote_subnet::RULE;
    let known = (general.claims)(diagnosis, deviation)?;
    evidence.extend(known.evidence);
    let mut mend = known.mend;
    mend.push(mended(
        from,
        Dialect::ByHand,
        "or leave it to the provider's load balancer: no setting of a host mends it",
    ));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
