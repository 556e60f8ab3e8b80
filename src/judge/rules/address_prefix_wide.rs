//! `address-prefix-wide`: an address has a shorter prefix than its segment's subnet, and takes in who is elsewhere.

use ipnet::IpNet;

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::host::{address_line, route_line};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "address-prefix-wide",
    title: "an address has the mask of a larger subnet than its segment",
    teaches: "The prefix length of an address says which neighbours are on the link. One that is too short takes in \
              hosts behind the router: the kernel asks for them on the segment, where nobody answers, and does not \
              use the gateway.",
    causes: "who is behind the router is asked for on the segment: `No route to host` after three questions",
    source: "net/ipv4/fib_frontend.c: fib_add_ifaddr",
    outranks: &[],
    what: |nodes| format!("an address has a prefix that takes in hosts of other segments, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Astray { to, route } = deviation.kind else { return None };
    let (interface, node) = (deviation.interface?, deviation.node);
    let place = diagnosis.place(deviation)?;
    let own = place.facts.addresses.iter().filter(|a| a.interface == *interface && a.address.contains(&to));
    let fact = own.max_by_key(|a| a.address.prefix_len()).filter(|a| a.address.trunc() == route.destination)?;
    let segment = &place.port(interface.as_str())?.segment;
    let elsewhere = diagnosis.world.case.stations.iter().find(|s| s.has(to) && !s.is_on(segment))?;
    if route.gateway.is_some() || diagnosis.world.place(&elsewhere.node).is_none() {
        return None;
    }
    let evidence = vec![
        Evidence::fact(
            format!("{node} takes {} ({to}) for a neighbour on {interface}", elsewhere.node),
            route_line(route),
        ),
        Evidence::fact("by its own address", address_line(fact)),
    ];
    let ip = fact.address.addr();
    let beside = diagnosis.world.on(segment).filter(|(p, _)| p.node() != node).flat_map(|(p, _)| &p.facts.addresses);
    let fitting = beside.map(|a| a.address).filter(|net| net.contains(&ip) && !net.contains(&to));
    let right = fitting.min_by_key(IpNet::prefix_len).and_then(|net| IpNet::new(ip, net.prefix_len()).ok());
    if let Some(right) = right {
        let command =
            format!("ip address add {right} dev {interface} && ip address del {} dev {interface}", fact.address);
        return Some(Diagnosis::afflict(deviation, evidence, vec![mended(node, Dialect::Ip, command)]));
    }
    let words = format!("give {ip} on {interface} the prefix length of the segment's subnet");
    Some(Diagnosis::afflict(deviation, evidence, vec![mended(node, Dialect::ByHand, words)]))
}
