//! Addresses of interfaces: readable, inside their segment's subnet, a host's, and each on one node only.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::lab::{Given, Port, subnets};
use super::{Context, each};
use crate::scenario::problem::Complaint;
use crate::scenario::source::Path;

pub(super) fn check(cx: &mut Context<'_>) {
    let mut found = Vec::new();
    for port in &cx.lab.ports {
        for (path, wrong) in &port.unreadable {
            let complaint = Complaint::value(path, wrong.message.clone()).label(wrong.label.clone());
            found.push(complaint.maybe_help(wrong.help.clone()).spoils());
        }
        for given in &port.addresses {
            found.extend(unfit(cx, port, given));
        }
    }
    found.extend(twice(cx));
    cx.complaints.extend(found);
}

fn unfit(cx: &Context<'_>, port: &Port<'_>, given: &Given) -> Option<Complaint> {
    if let Some(kind) = no_host(given.ip) {
        return Some(Complaint::value(&given.path, format!("{} is {kind}, no node's address", given.ip)));
    }
    if given.prefix == Some(0) {
        return Some(Complaint::value(&given.path, format!("{}/0 would make every address a neighbour's", given.ip)));
    }
    let segment = port.segment?;
    let nets = subnets(cx.scenario, segment);
    let family: Vec<_> = nets.iter().filter(|(_, net)| net.addr().is_ipv4() == given.ip.is_ipv4()).collect();
    let Some((net_path, net)) = family.first() else {
        let (first, _) = nets.first()?;
        let version = if given.ip.is_ipv4() { "IPv4" } else { "IPv6" };
        let complaint =
            Complaint::value(&given.path, format!("segment `{segment}` has no {version} subnet for {}", given.ip))
                .also(first, format!("the subnet of `{segment}`"))
                .relies_on(&Path::of(&["segments", segment.as_str(), "subnet"]))
                .spoils()
                .help("give the segment one too: `subnet = [\"…\", \"…\"]`, or write an address of the other family");
        return Some(complaint);
    };
    let free = free_host(cx, *net, given.ip).map(|ip| write(given, ip));
    if !net.contains(&given.ip) {
        let complaint =
            Complaint::value(&given.path, format!("{} is outside {net}, the subnet of `{segment}`", given.ip))
                .label(format!("not in {net}"))
                .also(net_path, format!("the subnet of `{segment}`"))
                .relies_on(net_path)
                .spoils();
        return Some(complaint.maybe_help(free));
    }
    let edge = edge_of(*net, given.ip)?;
    let complaint = Complaint::value(&given.path, format!("{} is the {edge} of {net}, no host's", given.ip));
    Some(complaint.maybe_help(free).relies_on(net_path))
}

fn write(given: &Given, ip: IpAddr) -> String {
    let prefix = given.prefix.map(|p| format!("/{p}")).unwrap_or_default();
    format!("write `\"{ip}{prefix}\"` instead")
}

/// What an address is that no host can have.
pub(super) fn no_host(ip: IpAddr) -> Option<&'static str> {
    match ip {
        ip if ip.is_unspecified() => Some("the unspecified address"),
        ip if ip.is_loopback() => Some("a loopback address"),
        ip if ip.is_multicast() => Some("a multicast address"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("the broadcast address"),
        _ => None,
    }
}

/// Whether an address is its subnet's first or last.
pub(super) fn edge_of(net: IpNet, ip: IpAddr) -> Option<&'static str> {
    match net {
        IpNet::V4(v4) if v4.prefix_len() < 31 && ip == v4.network() => Some("network address"),
        IpNet::V4(v4) if v4.prefix_len() < 31 && ip == v4.broadcast() => Some("broadcast address"),
        IpNet::V6(v6) if v6.prefix_len() < 127 && ip == v6.network() => Some("routers' anycast address"),
        _ => None,
    }
}

/// A host of the subnet that nobody has yet, like the wish where possible.
pub(super) fn free_host(cx: &Context<'_>, net: IpNet, wish: IpAddr) -> Option<IpAddr> {
    let vips: Vec<IpAddr> = each(&Path::default(), &cx.scenario.vip).into_iter().map(|(_, vip)| *vip).collect();
    let free = |ip: &IpAddr| {
        net.contains(ip)
            && edge_of(net, *ip).is_none()
            && !vips.contains(ip)
            && !cx.lab.given().any(|(_, g)| g.ip == *ip)
    };
    let near = match (net, wish) {
        (IpNet::V4(net), IpAddr::V4(wish)) => {
            let hosts = u32::from(net.hostmask());
            let moved = u32::from(net.network()) | (u32::from(wish) & hosts);
            (0..4096_u32).map(|n| IpAddr::V4(moved.wrapping_add(n).into())).find(free)
        }
        (IpNet::V6(net), IpAddr::V6(wish)) => {
            let hosts = u128::from(net.hostmask());
            let moved = u128::from(net.network()) | (u128::from(wish) & hosts);
            (0..4096_u128).map(|n| IpAddr::V6(moved.wrapping_add(n).into())).find(free)
        }
        _ => None,
    };
    near.or_else(|| net.hosts().take(4096).find(free))
}

fn twice(cx: &Context<'_>) -> Vec<Complaint> {
    let mut first: BTreeMap<IpAddr, (&Port<'_>, &Path)> = BTreeMap::new();
    let mut found = Vec::new();
    for (port, given) in cx.lab.given() {
        let Some((other, path)) = first.get(&given.ip) else {
            first.insert(given.ip, (port, &given.path));
            continue;
        };
        let message = if other.node == port.node {
            format!("`{}` has the address {} twice", port.node, given.ip)
        } else {
            format!("`{}` and `{}` have one address, {}", other.node, port.node, given.ip)
        };
        let net =
            port.segment.into_iter().flat_map(|s| subnets(cx.scenario, s)).find(|(_, net)| net.contains(&given.ip));
        let complaint = Complaint::value(&given.path, message)
            .label("the second")
            .also(path, "the first")
            .maybe_help(net.and_then(|(_, net)| free_host(cx, net, given.ip)).map(|ip| write(given, ip)));
        found.push(complaint);
    }
    found
}
