//! Addresses: those given, and for each family of the segment that has none given, the next free host by role.
//!
//! Derived hosts count from 1 for routers, 10 for Directors, 21 for real servers and 101 for clients; in an IPv6
//! subnet the same digits are written (`::21`). A subnet too small for that gives its first free host.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::draft::{Draft, Family, host, many};
use super::{Address, CompileError, Interface, LinkKind};
use crate::base::{NodeName, Role};
use crate::scenario::spec::OneOrMany;

/// Adds all addresses but VIPs and those that a load needs besides.
pub(super) fn add(draft: &mut Draft<'_>) -> Result<(), CompileError> {
    for index in 0..draft.nodes.len() {
        let given = given(draft, index)?;
        for (interface, addresses) in draft.nodes[index].interfaces.iter_mut().zip(given) {
            interface.addresses = addresses;
        }
    }
    for index in 0..draft.nodes.len() {
        for at in 0..draft.nodes[index].interfaces.len() {
            derive(draft, index, at)?;
        }
    }
    Ok(())
}

/// An address as it is added to an interface on a segment. Duplicate address detection is left out, so that it can be
/// used at once.
pub(super) fn on_segment(address: IpNet) -> Address {
    Address { address, broadcast: None, label: None, nodad: address.addr().is_ipv6() }
}

fn given(draft: &Draft<'_>, index: usize) -> Result<Vec<Vec<Address>>, CompileError> {
    let node = &draft.nodes[index];
    node.interfaces
        .iter()
        .map(|i| texts(draft, &node.name, i).iter().map(|t| one(draft, &node.name, i, t)).collect())
        .collect()
}

fn texts<'s>(draft: &Draft<'s>, node: &NodeName, interface: &Interface) -> &'s [String] {
    said(draft, node, interface).map_or(&[], many)
}

/// What the scenario says of the interface's addresses, in its own table or by the node's shorthand.
fn said<'s>(draft: &Draft<'s>, node: &NodeName, interface: &Interface) -> Option<&'s OneOrMany<String>> {
    let node = draft.scenario.nodes.get(node)?;
    match node.interfaces.get(interface.name.as_str()) {
        Some(own) => own.address.as_ref(),
        None if interface.segment().is_some() => node.address.as_ref(),
        None => None,
    }
}

fn one(draft: &Draft<'_>, node: &NodeName, interface: &Interface, text: &str) -> Result<Address, CompileError> {
    let bad = || CompileError::BadAddress { node: node.clone(), text: text.to_owned() };
    let with_length = || {
        let address: IpAddr = text.parse().ok()?;
        let segment = interface.segment().and_then(|s| draft.segment(s));
        let subnet = segment.and_then(|s| s.subnet(Family::of(address)));
        subnet.map_or(Some(host(address)), |net| IpNet::new(address, net.prefix_len()).ok())
    };
    let address = text.parse::<IpNet>().ok().or_else(with_length).ok_or_else(bad)?;
    let nodad = address.addr().is_ipv6() && interface.segment().is_some();
    Ok(Address { address, broadcast: None, label: None, nodad })
}

fn derive(draft: &mut Draft<'_>, index: usize, at: usize) -> Result<(), CompileError> {
    let node = &draft.nodes[index];
    let interface = &node.interfaces[at];
    let explicitly_none = said(draft, &node.name, interface).is_some_and(|s| many(s).is_empty());
    if !matches!(interface.kind, LinkKind::Segment(_)) || explicitly_none {
        return Ok(());
    }
    for family in Family::BOTH {
        if draft.nodes[index].interfaces[at].first(family).is_some() {
            continue;
        }
        let Some(address) = next(draft, index, at, family)? else { continue };
        let whom = draft.nodes[index].name.clone();
        let interface = &mut draft.nodes[index].interfaces[at];
        interface.addresses.push(on_segment(address));
        let what = format!("address {address} on {}", interface.name);
        draft.imply(whom, what, "the next free host of the segment, counted by role");
    }
    Ok(())
}

/// The next free address for an interface; `None` where its segment has no subnet of that family.
pub(super) fn next(draft: &Draft<'_>, index: usize, at: usize, family: Family) -> Result<Option<IpNet>, CompileError> {
    let node = &draft.nodes[index];
    let interface = &node.interfaces[at];
    let Some(segment) = interface.segment().and_then(|s| draft.segment(s)) else { return Ok(None) };
    let Some(subnet) = segment.subnet(family) else { return Ok(None) };
    let mut taken: BTreeSet<IpAddr> = draft.vips.iter().copied().collect();
    taken.extend(draft.nodes.iter().flat_map(|n| &n.interfaces).flat_map(|i| &i.addresses).map(|a| a.address.addr()));
    let first = first_host(node.role);
    let free = match subnet {
        IpNet::V4(net) => free_v4(net, first, &taken).map(IpAddr::V4),
        IpNet::V6(net) => free_v6(net, first, &taken).map(IpAddr::V6),
    };
    let full = || CompileError::NoFreeAddress {
        node: node.name.clone(),
        interface: interface.name.clone(),
        segment: segment.name.clone(),
        subnet,
    };
    free.and_then(|a| IpNet::new(a, subnet.prefix_len()).ok()).map(Some).ok_or_else(full)
}

fn first_host(role: Role) -> u32 {
    match role {
        Role::Router => 1,
        Role::Director => 10,
        Role::RealServer => 21,
        Role::Client => 101,
    }
}

fn free_v4(net: Ipv4Net, first: u32, taken: &BTreeSet<IpAddr>) -> Option<Ipv4Addr> {
    let network = u32::from(net.network());
    let last = u32::from(net.broadcast()).wrapping_sub(network);
    let usable = match net.prefix_len() {
        31 | 32 => 0..=last,
        _ => 1..=last.saturating_sub(1),
    };
    let from_first = first..=*usable.end();
    from_first
        .filter(|h| usable.contains(h))
        .chain(usable.clone())
        .map(|h| Ipv4Addr::from(network.wrapping_add(h)))
        .find(|a| !taken.contains(&IpAddr::V4(*a)))
}

fn free_v6(net: Ipv6Net, first: u32, taken: &BTreeSet<IpAddr>) -> Option<Ipv6Addr> {
    let network = u128::from(net.network());
    let written = |h: u32| u128::from_str_radix(&h.to_string(), 16).ok().map(|h| Ipv6Addr::from(network | h));
    let plain = |h: u32| Some(Ipv6Addr::from(network | u128::from(h)));
    let hosts = (first..10_000).chain(1..first).map(written).chain((1..0x1_0000).map(plain));
    hosts.flatten().find(|a| net.contains(a) && *a != net.network() && !taken.contains(&IpAddr::V6(*a)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::IpAddr;

    use super::{free_v4, free_v6};

    #[test]
    fn a_full_subnet_gives_no_host() {
        let net = "192.0.2.0/30".parse().unwrap();
        let taken: BTreeSet<IpAddr> = ["192.0.2.1", "192.0.2.2"].iter().map(|a| a.parse().unwrap()).collect();
        assert_eq!(free_v4(net, 101, &BTreeSet::new()).unwrap().to_string(), "192.0.2.1");
        assert_eq!(free_v4(net, 101, &taken), None);
    }

    #[test]
    fn an_ipv6_host_is_written_with_the_same_digits() {
        let net = "2001:db8:1::/64".parse().unwrap();
        let taken: BTreeSet<IpAddr> = ["2001:db8:1::29".parse().unwrap()].into();
        assert_eq!(free_v6(net, 29, &taken).unwrap().to_string(), "2001:db8:1::30");
    }

    #[test]
    fn a_derived_host_is_never_out_of_its_subnet() {
        assert_eq!(
            free_v6("2001:db8::/126".parse().unwrap(), 21, &BTreeSet::new()).unwrap().to_string(),
            "2001:db8::1"
        );
    }
}
