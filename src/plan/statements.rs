//! A plan's node as statements, in the words of [`crate::facts::statements`].
//!
//! Owns: which of a plan's wishes can be read back. Refuses: `iptables` rules and what is served, which facts do not show.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Interface, LinkKind, Node, Plan, Route};
use crate::base::IfName;
use crate::facts::statements as say;

/// What a node is to be, as sorted lines.
pub fn planned(node: &Node) -> Vec<String> {
    let mut lines = Vec::new();
    for interface in &node.interfaces {
        lines.extend(link(interface));
        let addresses = interface.addresses.iter();
        let added = addresses.filter(|one| {
            let own = interface.kind == LinkKind::Loopback && say::is_loopback_default(&one.address);
            !own && !say::is_link_local_v6(&one.address)
        });
        lines.extend(added.map(|one| {
            say::address(&interface.name, &one.address, one.broadcast.map(IpAddr::V4), one.label.as_deref())
        }));
    }
    lines.extend(
        node.routes.iter().map(|route| {
            say::route(&route.destination, route.gateway, leaves_by(node, route), route.source, route.mtu)
        }),
    );
    lines.extend(node.neighbours.iter().map(|one| say::neighbour(one.address, one.mac, &one.interface)));
    // The last value that is written stays.
    let sysctls: BTreeMap<&str, &str> = node.sysctls.iter().map(|one| (one.key.as_str(), one.value.as_str())).collect();
    lines.extend(sysctls.into_iter().map(|(key, value)| say::sysctl(key, value)));
    lines.extend(node.arptables.iter().filter_map(|list| rule(list)));
    if let Some(ipvs) = &node.ipvs {
        lines.extend(stated_timeouts(node).map(|(tcp, fin, udp)| say::timeouts(tcp, fin, udp)));
        for service in &ipvs.services {
            let flags = service.flags.iter().map(String::as_str);
            lines.push(say::ipvs_service(service.id, &service.scheduler, service.persistence_s, flags));
            lines.extend(
                service
                    .destinations
                    .iter()
                    .map(|to| say::destination(service.id, to.at, to.forwarding, to.weight, (to.upper, to.lower))),
            );
        }
    }
    lines.sort();
    lines
}

/// What the switch is to do beyond switching, as sorted lines; none where it only switches.
pub fn switch(plan: &Plan) -> Vec<String> {
    let ports = plan.segments.iter().flat_map(|segment| &segment.ports);
    let mut lines: Vec<String> = ports.filter_map(super::Port::fact).flat_map(|port| port.lines()).collect();
    lines.sort();
    lines
}

fn link(interface: &Interface) -> Option<String> {
    let made = match &interface.kind {
        LinkKind::Segment(_) => Some((interface.mtu, interface.mac)),
        LinkKind::Upper(upper) => Some((interface.mtu, interface.mac.filter(|_| upper.macvlan))),
        LinkKind::Dummy => Some((interface.mtu, None)),
        LinkKind::Loopback => None,
        // A tunnel device that is down is there in every namespace.
        LinkKind::Ipip if interface.up => None,
        LinkKind::Ipip => return None,
    };
    let mut line = say::link(&interface.name, interface.up, made);
    if !interface.arp {
        line.push_str(say::NOARP);
    }
    if interface.tx_checksum {
        line.push_str(say::TX_CHECKSUM);
    }
    Some(line)
}

/// The interface that a route leaves by: the one that it names, or the one whose subnet holds its next hop.
pub(super) fn leaves_by<'a>(node: &'a Node, route: &'a Route) -> Option<&'a IfName> {
    if route.interface.is_some() {
        return route.interface.as_ref();
    }
    let gateway = route.gateway?;
    let reaches = |interface: &&Interface| {
        interface.kind != LinkKind::Loopback && interface.addresses.iter().any(|one| one.address.contains(&gateway))
    };
    node.interfaces.iter().find(reaches).map(|interface| &interface.name)
}

/// The timeouts, where the plan states all three; 0 leaves one as it is.
fn stated_timeouts(node: &Node) -> Option<(u32, u32, u32)> {
    let stated = node.ipvs.as_ref()?.timeouts_s?;
    (stated.0 != 0 && stated.1 != 0 && stated.2 != 0).then_some(stated)
}

/// A rule that shows in a listing; other orders (`-F`, a policy of `ACCEPT`) leave nothing to be seen.
fn rule(list: &[String]) -> Option<String> {
    let list = list.strip_prefix(&["arptables".to_owned()]).unwrap_or(list);
    let adds = list.iter().any(|word| matches!(word.as_str(), "-A" | "-I" | "--append" | "--insert"));
    let refuses =
        matches!(list, [order, _, policy] if matches!(order.as_str(), "-P" | "--policy") && policy != "ACCEPT");
    (adds || refuses).then(|| say::arptables(&list.join(" ")))
}
