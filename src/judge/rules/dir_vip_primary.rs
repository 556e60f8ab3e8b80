//! `dir-vip-primary`: the Director asks for its real servers in the VIP's name.

use std::net::IpAddr;

use super::diagnosis::Diagnosis;
use super::diagnosis::{mended, single};
use super::{Affliction, Rule};
use crate::facts::AddressFact;
use crate::judge::host::address_line;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence, Mend};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "dir-vip-primary",
    title: "the VIP is the Director's primary address",
    teaches: "The sender of an ARP question is the first address of the interface whose prefix holds the target. \
              Where the VIP with the subnet's mask was added before the DIP, or there is no DIP, the Director asks \
              in the VIP's name, and a real server, which has the VIP itself, ignores a question from its own \
              address without a word. Add the DIP first, and the VIP as /32. arp_announce=2 does not help: the VIP \
              is the primary address.",
    causes: "no real server answers the Director's questions; every connection fails, health checks too",
    source: "net/ipv4/devinet.c: inet_select_addr; net/ipv4/arp.c: arp_process (ip_route_input refuses its own \
              address)",
    outranks: &[],
    what: |nodes| format!("real servers are asked for in the VIP's name by {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::AsksInVain { sender, next_hop, of } = deviation.kind else { return None };
    let interface = deviation.interface?;
    let facts = diagnosis.facts(deviation.node)?;
    let vip = facts.addresses.iter().find(|a| a.address.addr() == sender && a.interface == *interface)?;
    let asks = format!("{} asks who has {next_hop} with {sender} as sender, which {of} has too", deviation.node);
    let mut evidence = vec![Evidence::fact(asks, address_line(vip))];
    evidence.extend(diagnosis.address_shown(of, sender));
    let own = facts.addresses.iter().filter(|a| a.interface == *interface && a.address.addr() != sender);
    let own: Vec<&AddressFact> =
        own.filter(|a| a.address.addr().is_ipv4() && !diagnosis.world.case.is_vip(a.address.addr())).collect();
    let mend = if own.is_empty() { known_by_heart(diagnosis, deviation) } else { reordered(deviation, vip, &own) };
    Some(Diagnosis::afflict(deviation, evidence, mend))
}

/// The VIP after the interface's own addresses, which come to be the first by it. They go with a primary one that has
/// their subnet, so they are set again.
fn reordered(deviation: &Deviation<'_>, vip: &AddressFact, own: &[&AddressFact]) -> Vec<Mend> {
    let interface = &vip.interface;
    let again: Vec<String> =
        own.iter().map(|a| format!(" && ip address replace {} dev {interface}", a.address)).collect();
    let command = format!(
        "ip address del {} dev {interface}{} && ip address replace {} dev {interface}",
        vip.address,
        again.concat(),
        single(vip.address.addr())
    );
    vec![mended(deviation.node, Dialect::Ip, command)]
}

/// Without an address of its own the Director can't ask; it may be told who has which.
fn known_by_heart(diagnosis: &Diagnosis<'_>, deviation: &Deviation<'_>) -> Vec<Mend> {
    let (case, node) = (diagnosis.world.case, deviation.node);
    let Some(port) =
        case.station(node).and_then(|s| s.ports.iter().find(|p| Some(&p.interface) == deviation.interface))
    else {
        return Vec::new();
    };
    let services = case.services.iter().filter(|s| s.director == *node);
    let mut rips: Vec<IpAddr> = services.flat_map(|s| &s.destinations).map(|d| d.at.ip()).collect();
    rips.sort_unstable();
    rips.dedup();
    let mut mend = Vec::new();
    for rip in rips.into_iter().filter(IpAddr::is_ipv4) {
        let mut ports = case.stations.iter().flat_map(|s| &s.ports).filter(|p| p.segment == port.segment);
        let Some(to) = ports.find(|p| p.has(rip)) else { continue };
        let command = format!("ip neighbour replace {rip} lladdr {} dev {} nud permanent", to.mac, port.interface);
        mend.push(mended(node, Dialect::Ip, command));
    }
    let better = format!("better, give {} an address of its own before the VIP", port.interface);
    mend.push(mended(node, Dialect::ByHand, better));
    mend
}
