//! Segments: subnets that are subnets, one per family, apart from each other; MTUs; who joins in which order.

use ipnet::IpNet;

use super::Context;
use super::lab::{interfaces, subnets};
use crate::base::NodeName;
use crate::scenario::problem::Complaint;
use crate::scenario::source::Path;
use crate::scenario::spec::Guard;
use crate::scenario::suggest;

/// The smallest MTU of a link that carries IPv4 (RFC 791).
pub(super) const LEAST_MTU: u32 = 68;
/// The smallest MTU of a link that carries IPv6 (RFC 8200, section 5).
pub(super) const LEAST_MTU_V6: u32 = 1280;
/// The largest MTU of a veth.
pub(super) const LARGEST_MTU: u32 = 65_535;

pub(super) fn check(cx: &mut Context<'_>) {
    if cx.scenario.segments.is_empty() {
        let help = "add `[segments.lan]` with `subnet = \"172.16.0.0/16\"`";
        let path = Path::of(&["segments"]);
        cx.add(Complaint::key(&path, "the lab has no segment").help(help).relies_on_names(&path));
    }
    for name in cx.scenario.segments.keys() {
        let nets = subnets(cx.scenario, name);
        for (path, net) in &nets {
            subnet(cx, path, *net);
        }
        if nets.is_empty() {
            let path = Path::of(&["segments", name.as_str(), "subnet"]);
            cx.add(
                Complaint::value(&path, format!("segment `{name}` has no subnet"))
                    .help("write one, as `\"172.16.0.0/16\"`"),
            );
        }
        for v4 in [true, false] {
            let mut same = nets.iter().filter(|(_, net)| net.addr().is_ipv4() == v4);
            if let (Some((first, _)), Some((second, net))) = (same.next(), same.next()) {
                let family = if v4 { "IPv4" } else { "IPv6" };
                let complaint =
                    Complaint::value(second, format!("segment `{name}` has a second {family} subnet, {net}"))
                        .also(first, "the first")
                        .help("a segment has one of each family; make a segment of its own for the other");
                cx.add(complaint);
            }
        }
        mtu(cx, &Path::of(&["segments", name.as_str(), "mtu"]), cx.scenario.segments[name].mtu, &nets);
        join_order(cx, name.as_str());
        ports(cx, name);
    }
    overlaps(cx);
    switch(cx);
}

/// Complains about an MTU that no link with these subnets can have.
pub(super) fn mtu(cx: &mut Context<'_>, path: &Path, mtu: Option<u32>, nets: &[(Path, IpNet)]) {
    let v6 = nets.iter().find(|(_, net)| net.addr().is_ipv6());
    match (mtu, v6) {
        (Some(value), Some((net, _))) if (LEAST_MTU..LEAST_MTU_V6).contains(&value) => {
            let complaint = Complaint::value(path, format!("an MTU of {value} is too small for IPv6"))
                .label(format!("expected {LEAST_MTU_V6} or more"))
                .also(net, "IPv6 here")
                .help("the kernel takes IPv6 off a link with less than 1280 (RFC 8200, section 5)");
            cx.add(complaint);
        }
        _ => cx.bound(path, mtu, LEAST_MTU, LARGEST_MTU, "the kernel takes no other MTU"),
    }
}

fn subnet(cx: &mut Context<'_>, path: &Path, net: IpNet) {
    let longest = if net.addr().is_ipv4() { 30 } else { 126 };
    if net != net.trunc() {
        let complaint = Complaint::value(path, format!("`{net}` is an address in a subnet, not the subnet"))
            .label("bits are set behind the prefix")
            .help(format!("write `\"{}\"`", net.trunc()));
        cx.add(complaint);
    } else if net.prefix_len() == 0 || net.prefix_len() > longest {
        let message = format!("a subnet of prefix length {} can't hold a lab", net.prefix_len());
        cx.add(Complaint::value(path, message).label(format!("expected 1 to {longest}")));
    } else if net.addr().is_loopback() || net.addr().is_multicast() {
        let help = "write a private or a documentation subnet, as 172.16.0.0/16 or 203.0.113.0/24";
        cx.add(Complaint::value(path, format!("`{net}` is for loopback or multicast")).help(help));
    }
}

fn overlaps(cx: &mut Context<'_>) {
    let all: Vec<_> = cx
        .scenario
        .segments
        .keys()
        .flat_map(|name| subnets(cx.scenario, name).into_iter().map(move |(path, net)| (name, path, net)))
        .collect();
    let mut found = Vec::new();
    for (at, (segment, path, net)) in all.iter().enumerate() {
        for (other, other_path, other_net) in &all[..at] {
            if other != segment && (net.contains(other_net) || other_net.contains(net)) {
                let complaint = Complaint::value(
                    path,
                    format!("subnet {net} of `{segment}` overlaps {} of `{other}`", other_net.trunc()),
                )
                .also(other_path, format!("`{other}`"))
                .help("no router could tell the two apart; give each segment a subnet of its own");
                found.push(complaint);
            }
        }
    }
    cx.complaints.extend(found);
}

/// Ports are of nodes on the segment, and VLANs have numbers that the standard leaves.
fn ports(cx: &mut Context<'_>, segment: &NodeName) {
    let said: Vec<_> = cx.scenario.segments[segment].ports.iter().collect();
    for (name, port) in said {
        let path = Path::of(&["segments", segment.as_str(), "ports", name.as_str()]);
        let there = cx.lab.ports.iter().any(|p| p.node == name && p.segment == Some(segment));
        if cx.node(&path, name.as_str()).is_some() && !there {
            let message = format!("`{name}` has no interface on segment `{segment}`");
            let on = cx.lab.ports.iter().filter(|p| p.segment == Some(segment)).map(|p| p.node.as_str());
            let help = suggest::or_list(name.as_str(), on.collect::<Vec<_>>());
            let complaint = Complaint::key(&path, message)
                .maybe_help(help)
                .relies_on_names(&interfaces(name.as_str()))
                .relies_on_all(cx.lab.places(name.as_str()));
            cx.add(complaint);
        }
        cx.bound(&path.at("vlan"), port.vlan, 1, 4094, "0 and 4095 are reserved (IEEE 802.1Q, table 9-2)");
        let addresses = port.guards.iter().any(|guard| *guard != Guard::SourceMac);
        if !port.allowed.is_empty() && !addresses {
            let help = "name what is guarded: `guards = [\"source-ip\"]`";
            let complaint = Complaint::value(&path.at("allowed"), "nothing keeps other addresses out").help(help);
            cx.add(complaint.relies_on(&path.at("guards")));
        }
        if !port.allowed_macs.is_empty() && !port.guards.contains(&Guard::SourceMac) {
            let help = "name what is guarded: `guards = [\"source-mac\"]`";
            let complaint = Complaint::value(&path.at("allowed_macs"), "nothing keeps other MACs out").help(help);
            cx.add(complaint.relies_on(&path.at("guards")));
        }
    }
}

/// The lab's switch is in a report where a segment has ports.
fn switch(cx: &mut Context<'_>) {
    let name = NodeName::switch();
    if cx.scenario.nodes.contains_key(name.as_str()) && cx.scenario.segments.values().any(|s| !s.ports.is_empty()) {
        let path = Path::of(&["nodes", name.as_str()]);
        let complaint = Complaint::key(&path, "a node can't be called `switch` where a segment has `ports`");
        cx.add(complaint.help("reports speak of the lab's switch by that name; give the node another"));
    }
}

fn join_order(cx: &mut Context<'_>, segment: &str) {
    let path = Path::of(&["segments", segment, "join_order"]);
    let order = cx.scenario.segments.get(segment).map(|s| s.join_order.as_slice()).unwrap_or_default();
    for (at, name) in order.iter().enumerate() {
        let here = path.at(at);
        if cx.node(&here, name.as_str()).is_none() {
            continue;
        }
        if order[..at].contains(name) {
            cx.add(Complaint::value(&here, format!("`{name}` joins `{segment}` twice")));
        } else if !cx.lab.of_node(name.as_str()).any(|p| p.segment.is_some_and(|s| *s == *segment)) {
            let here_are: Vec<&str> = cx
                .lab
                .ports
                .iter()
                .filter(|p| p.segment.is_some_and(|s| *s == *segment))
                .map(|p| p.node.as_str())
                .collect();
            let complaint = Complaint::value(&here, format!("`{name}` is not on segment `{segment}`"))
                .maybe_help((!here_are.is_empty()).then(|| format!("on it is {}", suggest::listed(&here_are))))
                .relies_on_names(&interfaces(name.as_str()))
                .relies_on_all(cx.lab.places(name.as_str()));
            cx.add(complaint);
        }
    }
}
