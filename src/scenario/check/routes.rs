//! Gateways, routes and neighbours: next hops that can be reached, devices and nodes that are there.

use std::net::IpAddr;

use ipnet::IpNet;

use super::devices::interface;
use super::lab::{interfaces, subnets};
use super::segments::mtu;
use super::{Context, each};
use crate::base::{Mac, NodeName};
use crate::scenario::problem::Complaint;
use crate::scenario::source::Path;
use crate::scenario::spec::{Neighbour, Node, Route};
use crate::scenario::{format, suggest};

pub(super) fn check(cx: &mut Context<'_>) {
    let scenario = cx.scenario;
    for (name, node) in &scenario.nodes {
        let path = Path::of(&["nodes", name.as_str()]);
        let gateways = node.gateway.as_ref().map(|g| each(&path.at("gateway"), g)).unwrap_or_default();
        for (path, text) in &gateways {
            if *text != "none" {
                gateway(cx, path, name, node, text);
            } else if gateways.len() > 1 {
                cx.add(Complaint::value(path, "`none` stands beside another gateway").help("write one or the other"));
            }
        }
        for (at, said) in node.routes.iter().enumerate() {
            route(cx, &path.at("routes").at(at), name, said);
        }
        for (at, said) in node.neighbours.iter().enumerate() {
            neighbour(cx, &path.at("neighbours").at(at), name, said);
        }
    }
}

fn gateway(cx: &mut Context<'_>, path: &Path, name: &NodeName, node: &Node, text: &str) {
    let Ok(ip) = text.parse::<IpAddr>() else {
        if text.contains(['.', ':', '/']) {
            if let Err(wrong) = format::address(text) {
                let complaint = Complaint::value(path, wrong.message).label(wrong.label).maybe_help(wrong.help);
                cx.add(complaint.spoils());
            }
        } else if cx.node(path, text).is_some() && !meet(cx, name.as_str(), text) {
            let complaint =
                Complaint::value(path, format!("`{name}` and its gateway `{text}` have no segment in common"));
            cx.add(on_segments_of(cx, on_segments_of(cx, complaint, name.as_str()), text).spoils());
        }
        return;
    };
    if cx.lab.of_node(name.as_str()).flat_map(|p| &p.addresses).any(|g| g.ip == ip) {
        cx.add(Complaint::value(path, format!("{ip} is `{name}`'s own address, not its gateway")));
    } else if !on_link(cx, name.as_str(), node, ip) {
        let mut nets: Vec<String> = connected(cx, name.as_str()).iter().map(ToString::to_string).collect();
        nets.dedup();
        let routes = Path::of(&["nodes", name.as_str(), "routes"]);
        let complaint = Complaint::value(path, format!("`{name}` can't reach its gateway {ip}"))
            .label(if nets.is_empty() { "no subnet".to_owned() } else { format!("not in {}", nets.join(", ")) })
            .help("a gateway is a neighbour: write an address of the segment, or leave it out for the segment's router")
            .relies_on_names(&routes)
            .relies_on_all((0..node.routes.len()).filter(|at| node.routes[*at].via.is_none()).map(|at| routes.at(at)))
            .relies_on_names(&Path::of(&["segments"]))
            .spoils();
        let subnets: Vec<(Path, IpNet)> = cx.scenario.segments.keys().flat_map(|s| subnets(cx.scenario, s)).collect();
        // On the right segment it could be reached where one has it; an address of none is wrong on any.
        cx.add(if subnets.iter().any(|(_, net)| net.contains(&ip)) {
            on_segments_of(cx, complaint, name.as_str())
        } else {
            complaint.relies_on_all(subnets.into_iter().map(|(path, _)| path))
        });
    }
}

fn connected(cx: &Context<'_>, node: &str) -> Vec<IpNet> {
    let segments = cx.lab.of_node(node).filter_map(|p| p.segment);
    segments.flat_map(|s| subnets(cx.scenario, s)).map(|(_, net)| net).collect()
}

fn on_segments_of(cx: &Context<'_>, complaint: Complaint, node: &str) -> Complaint {
    complaint.relies_on_names(&interfaces(node)).relies_on_all(cx.lab.places(node))
}

fn on_link(cx: &Context<'_>, name: &str, node: &Node, ip: IpAddr) -> bool {
    let link_local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let by_route = node
        .routes
        .iter()
        .filter(|r| r.dev.is_some() && r.via.is_none())
        .any(|r| r.to.parse::<IpNet>().is_ok_and(|n| n.contains(&ip)));
    link_local || by_route || connected(cx, name).iter().any(|net| net.contains(&ip))
}

fn meet(cx: &Context<'_>, one: &str, other: &str) -> bool {
    cx.lab.of_node(one).any(|p| p.segment.is_some() && cx.lab.of_node(other).any(|q| q.segment == p.segment))
}

fn route(cx: &mut Context<'_>, path: &Path, node: &NodeName, said: &Route) {
    let to = match said.to.as_str() {
        "default" => None,
        text => match format::subnet(text) {
            Ok(net) => Some(net),
            Err(wrong) => {
                let complaint =
                    Complaint::value(&path.at("to"), wrong.message).label(wrong.label).maybe_help(wrong.help);
                cx.add(complaint.spoils());
                None
            }
        },
    };
    if let Some(net) = to.filter(|net| *net != net.trunc()) {
        let help = format!("write `\"{}\"`, or `\"{}\"` for this address alone", net.trunc(), IpNet::from(net.addr()));
        cx.add(Complaint::value(&path.at("to"), format!("`{net}` has bits set behind its prefix")).help(help));
    }
    if said.via.is_none() && said.dev.is_none() {
        let help = "write `via = \"172.16.0.1\"` or `dev = \"eth0\"`";
        cx.add(
            Complaint::key(path, format!("a route of `{node}` leads nowhere"))
                .label("neither `via` nor `dev`")
                .help(help)
                .relies_on(&path.at("via"))
                .relies_on(&path.at("dev")),
        );
    }
    for (key, hop) in [("via", said.via), ("src", said.src)] {
        if let (Some(hop), Some(net)) = (hop, to)
            && hop.is_ipv4() != net.addr().is_ipv4()
        {
            let complaint = Complaint::value(&path.at(key), format!("{hop} and {net} are of two families"));
            cx.add(complaint.also(&path.at("to"), "where to"));
        }
    }
    if let Some(dev) = &said.dev {
        interface(cx, &path.at("dev"), node.as_str(), dev.as_str());
    }
    mtu(cx, &path.at("mtu"), said.mtu, &[]);
}

fn neighbour(cx: &mut Context<'_>, path: &Path, node: &NodeName, said: &Neighbour) {
    mac(cx, &path.at("mac"), &said.mac);
    if let Some(dev) = &said.dev {
        interface(cx, &path.at("dev"), node.as_str(), dev.as_str());
    }
}

/// Complains about a text that is neither a MAC nor a node's name nor `node:interface`.
pub(super) fn mac(cx: &mut Context<'_>, path: &Path, text: &str) {
    let (node, port) = text.split_once(':').map_or((text, None), |(node, port)| (node, Some(port)));
    if text.parse::<Mac>().is_ok() {
    } else if cx.scenario.nodes.contains_key(node) {
        if let Some(port) = port {
            interface(cx, path, node, port);
        }
    } else {
        let near = suggest::nearest(node, cx.node_names());
        let complaint = Complaint::value(path, format!("`{text}` is neither a MAC nor a node's name"))
            .label("expected a MAC, `node` or `node:interface`")
            .maybe_help(near.map(|near| format!("did you mean `{near}`?")))
            .relies_on_name(&Path::of(&["nodes"]), node);
        cx.add(complaint);
    }
}
