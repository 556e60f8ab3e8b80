//! The VIP: an address that packets can reach, that no node has as its own, placed where a device is.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::addresses::{edge_of, free_host, no_host};
use super::devices::place;
use super::lab::{role, subnets};
use super::{Context, each};
use crate::base::Role;
use crate::scenario::problem::Complaint;
use crate::scenario::source::Path;
use crate::scenario::spec::{Node, NodeVip, PlacedVip, VipPlacement};

pub(super) fn check(cx: &mut Context<'_>) {
    let path = Path::of(&["vip"]);
    let scenario = cx.scenario;
    let vips = each(&path, &scenario.vip);
    if vips.is_empty() {
        cx.add(Complaint::value(&path, "the list of VIPs is empty").help("write one, as `vip = \"172.16.0.66\"`"));
    }
    for (at, (path, vip)) in vips.iter().enumerate() {
        if let Some((first, _)) = vips[..at].iter().find(|(_, other)| other == vip) {
            cx.add(Complaint::value(path, format!("VIP {vip} is given twice")).also(first, "the first"));
        }
        one(cx, path, **vip);
    }
    let vips: Vec<IpAddr> = vips.iter().map(|(_, vip)| **vip).collect();
    placements(cx, &vips);
}

fn one(cx: &mut Context<'_>, path: &Path, vip: IpAddr) {
    if let Some(kind) = no_host(vip) {
        cx.add(Complaint::value(path, format!("{vip} is {kind}, no VIP")));
        return;
    }
    let holder = cx.scenario.segments.keys().find_map(|name| {
        subnets(cx.scenario, name).into_iter().find(|(_, net)| net.contains(&vip)).map(|(_, net)| (name, net))
    });
    match holder {
        Some((segment, net)) => {
            if let Some(edge) = edge_of(net, vip) {
                let complaint = Complaint::value(path, format!("VIP {vip} is the {edge} of {net} (`{segment}`)"));
                let help = free_host(cx, net, vip).map(|ip| format!("write `\"{ip}\"` instead"));
                cx.add(complaint.maybe_help(help).relies_on(&Path::of(&["segments", segment.as_str(), "subnet"])));
            }
        }
        None if !routed(cx, vip) => cx.add(unreachable(cx, path, vip)),
        None => {}
    }
    let owners: Vec<Complaint> = cx
        .lab
        .given()
        .filter(|(_, given)| given.ip == vip)
        .map(|(port, given)| {
            let known = cx.damage.knows(&role(port.node.as_str()));
            let what = match port.role {
                _ if !known => "the node's own address",
                Role::Director => "the Director's own address (DIP)",
                Role::RealServer => "the real server's own address (RIP)",
                Role::Router | Role::Client => "the node's own address",
            };
            Complaint::value(&given.path, format!("{vip} is the VIP, and can't be {what} of `{}`", port.node))
                .also(path, "the VIP")
                .help("give the node another address; the VIP is placed on it as well, by `vip = …` where not by its role")
        })
        .collect();
    cx.complaints.extend(owners);
}

/// Whether some node's route leads to the VIP.
fn routed(cx: &Context<'_>, vip: IpAddr) -> bool {
    let dips: Vec<IpAddr> = cx.lab.given().filter(|(p, _)| p.role == Role::Director).map(|(_, g)| g.ip).collect();
    let director = |hop: &str| {
        hop.parse().is_ok_and(|ip| dips.contains(&ip))
            || cx.scenario.nodes.get(hop).is_some_and(|n| n.role == Role::Director)
    };
    cx.scenario.nodes.values().any(|node| {
        let by_route = node.routes.iter().any(|route| match route.to.parse::<IpNet>() {
            Ok(net) if net.prefix_len() > 0 => net.contains(&vip),
            _ => route.via.is_some_and(|via| dips.contains(&via)),
        });
        let gateways = node.gateway.iter().flat_map(|g| each(&Path::default(), g));
        by_route || gateways.into_iter().any(|(_, gateway)| director(gateway))
    })
}

/// Where the scenario says what may lead to a VIP outside all subnets.
fn ways(cx: &Context<'_>) -> Vec<Path> {
    let nodes = || cx.scenario.nodes.iter();
    let hops: BTreeSet<String> = nodes()
        .flat_map(|(_, node)| {
            let gateways = node.gateway.iter().flat_map(|g| each(&Path::default(), g)).map(|(_, hop)| hop.clone());
            gateways.chain(node.routes.iter().filter_map(|route| Some(route.via?.to_string())))
        })
        .collect();
    let is_hop = |node: &str| {
        let addresses = ["address", "interfaces"].map(|key| Path::of(&["nodes", node, key]));
        let unread = !addresses.iter().all(|path| cx.damage.knows(path));
        unread
            || hops.contains(node)
            || cx.lab.of_node(node).flat_map(|p| &p.addresses).any(|g| hops.contains(&g.ip.to_string()))
    };
    let subnets = cx.scenario.segments.keys().map(|name| Path::of(&["segments", name.as_str(), "subnet"]));
    let routes =
        nodes().flat_map(|(name, _)| ["gateway", "routes"].map(|key| Path::of(&["nodes", name.as_str(), key])));
    let addresses = nodes()
        .filter(|(_, node)| node.role == Role::Director)
        .flat_map(|(name, _)| ["address", "segment", "interfaces"].map(|key| Path::of(&["nodes", name.as_str(), key])));
    let roles = cx.node_names().filter(|name| is_hop(name)).map(role);
    subnets.chain(routes).chain(addresses).chain(roles).collect()
}

fn unreachable(cx: &Context<'_>, path: &Path, vip: IpAddr) -> Complaint {
    let ports = || cx.lab.ports.iter();
    let front = ports().find(|p| p.role == Role::Director).and_then(|p| p.segment);
    let all: Vec<IpNet> =
        cx.scenario.segments.keys().flat_map(|s| subnets(cx.scenario, s)).map(|(_, net)| net).collect();
    let nets: Vec<String> = all.iter().map(ToString::to_string).collect();
    let near = front
        .into_iter()
        .flat_map(|s| subnets(cx.scenario, s))
        .find(|(_, net)| net.addr().is_ipv4() == vip.is_ipv4())
        .and_then(|(_, net)| free_host(cx, net, vip));
    let router = ports().find(|p| p.role == Role::Router && p.segment == front).map(|p| p.node);
    let dip =
        cx.lab.given().find(|(p, g)| p.role == Role::Director && g.ip.is_ipv4() == vip.is_ipv4()).map(|(_, g)| g.ip);
    let route = router.zip(dip).map(|(router, dip)| {
        format!("lead a route there: `routes = [{{ to = \"{}\", via = \"{dip}\" }}]` on `{router}`", IpNet::from(vip))
    });
    let help = match (
        near.map(|ip| format!("write `\"{ip}\"`, which `{}` can reach", front.map_or("", |s| s.as_str()))),
        route,
    ) {
        (Some(near), Some(route)) => Some(format!("{near}, or {route}")),
        (near, route) => near.or(route),
    };
    Complaint::value(path, format!("no packet can reach the VIP {vip}"))
        .label(format!(
            "not in {}, and no route leads there",
            if nets.is_empty() { "any subnet".into() } else { nets.join(", ") }
        ))
        .maybe_help(help)
        .relies_on_names(&Path::of(&["segments"]))
        .relies_on_names(&Path::of(&["nodes"]))
        .relies_on_all(ways(cx))
}

fn placements(cx: &mut Context<'_>, vips: &[IpAddr]) {
    let scenario = cx.scenario;
    let usual = &scenario.vip_placement;
    let (default, path) = (VipPlacement::default(), Path::of(&["vip_placement"]));
    let unsaid = |node: &Node| matches!(node.vip, None | Some(NodeVip::Own(true)));
    let known = |node: &str| ["role", "vip"].iter().all(|key| cx.damage.knows(&Path::of(&["nodes", node, key])));
    let with = |role: Role| -> Vec<&str> {
        let nodes = scenario.nodes.iter().filter(|(_, node)| node.role == role && unsaid(node));
        nodes.map(|(name, _)| name.as_str()).filter(|name| known(name)).collect()
    };
    let (servers, directors) = (with(Role::RealServer), with(Role::Director));
    place(cx, &path.at("real_server"), &usual.real_server, &servers);
    if usual.director != default.director {
        place(cx, &path.at("director"), &usual.director, &directors);
    }
    prefix(cx, &path.at("prefix"), usual.prefix, vips);
    for (name, node) in &scenario.nodes {
        let path = Path::of(&["nodes", name.as_str(), "vip"]);
        match &node.vip {
            Some(NodeVip::On(on)) => place(cx, &path, on, &[name.as_str()]),
            Some(NodeVip::Placed(placed)) => {
                one_place(cx, &path, name.as_str(), placed, vips);
            }
            Some(NodeVip::Each(each)) => {
                for (at, placed) in each.iter().enumerate() {
                    one_place(cx, &path.at(at), name.as_str(), placed, vips);
                    let same = |other: &&PlacedVip| other.address == placed.address;
                    if each[..at].iter().any(|other| same(&other)) {
                        let help = "a node has each VIP in one place; give each its `address`";
                        cx.add(Complaint::value(&path.at(at), "the node has the VIP in two places").help(help));
                    }
                }
            }
            Some(NodeVip::Own(_)) | None => {}
        }
    }
}

/// A place of one VIP of a node.
fn one_place(cx: &mut Context<'_>, path: &Path, node: &str, placed: &PlacedVip, vips: &[IpAddr]) {
    place(cx, &path.at("on"), &placed.on, &[node]);
    let mine: Vec<IpAddr> = placed.address.map_or_else(|| vips.to_vec(), |address| vec![address]);
    prefix(cx, &path.at("prefix"), placed.prefix, &mine);
    super::service::known_vip(cx, &path.at("address"), placed.address);
    if placed.broadcast.is_some_and(|b| b.is_ipv6()) {
        cx.add(Complaint::value(&path.at("broadcast"), "IPv6 has no broadcast").help("leave it out"));
    }
}

fn prefix(cx: &mut Context<'_>, path: &Path, prefix: Option<u8>, vips: &[IpAddr]) {
    let v4 = vips.iter().any(IpAddr::is_ipv4) && cx.damage.knows(&Path::of(&["vip"]));
    let (longest, why) = if v4 {
        (32, "an IPv4 address has 32 bits; 32 is the VIP alone, as Direct Routing wants it on real servers")
    } else {
        (128, "an IPv6 address has 128 bits; 128 is the VIP alone, as Direct Routing wants it on real servers")
    };
    cx.bound(path, prefix, 1, longest, why);
}
