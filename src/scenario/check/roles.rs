//! Whether the lab has its parts: a Director, real servers, a client, each on a segment.

use super::Context;
use super::lab::{interfaces, role as role_of};
use crate::base::{DirectorKind, Role};
use crate::scenario::problem::Complaint;
use crate::scenario::source::Path;
use crate::scenario::spec::InterfaceKind;
use crate::scenario::suggest;

pub(super) fn check(cx: &mut Context<'_>) {
    if cx.scenario.title.trim().is_empty() {
        let help = "write in one line what the lab shows";
        cx.add(Complaint::value(&Path::of(&["title"]), "the title is empty").help(help));
    }
    parts(cx);
    kinds(cx);
    segments_are_there(cx);
}

fn parts(cx: &mut Context<'_>) {
    let path = Path::of(&["nodes"]);
    let lists = || (0..cx.scenario.services.len()).map(|at| Path::of(&["services"]).at(at).at("real_servers"));
    let roles: Vec<Path> = cx.node_names().map(role_of).collect();
    let servers: Vec<Path> = lists().collect();
    let lacks = |role: Role| !cx.scenario.nodes.values().any(|n| n.role == role);
    let elsewhere = cx.scenario.services.iter().any(|s| s.real_servers.as_ref().is_some_and(|r| !r.is_empty()));
    let mut missing = Vec::new();
    if lacks(Role::Director) {
        missing.push(("no Director", "director", "director"));
    }
    if lacks(Role::RealServer) && !elsewhere {
        missing.push(("no real server", "rs1", "real-server"));
    }
    if lacks(Role::Client) {
        missing.push(("no client", "client", "client"));
    }
    for (what, name, role) in missing {
        let segment = cx.scenario.segments.keys().next().map_or("lan", |s| s.as_str());
        let help = format!("add `[nodes.{name}]` with `role = \"{role}\"` and `segment = \"{segment}\"`");
        let mut complaint = Complaint::key(&path, format!("the lab has {what}"))
            .help(help)
            .relies_on_names(&path)
            .relies_on_all(roles.iter().cloned());
        if role == "real-server" {
            complaint = complaint.relies_on_names(&Path::of(&["services"])).relies_on_all(servers.iter().cloned());
        }
        cx.add(complaint);
    }
}

/// What makes a Director of a node that is none, and a Director that nothing makes one.
fn kinds(cx: &mut Context<'_>) {
    let scenario = cx.scenario;
    for (name, node) in &scenario.nodes {
        let Some(kind) = node.kind else { continue };
        let path = Path::of(&["nodes", name.as_str(), "kind"]);
        if node.role != Role::Director {
            let message = format!("`{name}` is no Director, so nothing makes it one");
            cx.add(
                Complaint::key(&path, message)
                    .help("take `kind` away, or write `role = \"director\"`")
                    .relies_on(&role_of(name.as_str())),
            );
        } else if kind == DirectorKind::Keepalived && node.daemons.is_empty() {
            let help =
                "add `daemons = [{ name = \"keepalived\", command = \"keepalived --dont-fork --log-console\" }]`";
            cx.add(Complaint::value(&path, format!("`{name}` runs no keepalived")).help(help));
        }
    }
}

fn segments_are_there(cx: &mut Context<'_>) {
    let known = cx.scenario.segments.keys().map(crate::base::NodeName::as_str);
    let mut found = Vec::new();
    for port in &cx.lab.ports {
        if let Some(segment) = port.segment
            && !cx.scenario.segments.contains_key(segment)
        {
            let complaint =
                Complaint::value(&port.path.at("segment"), format!("`{segment}` is no segment of this scenario"))
                    .label("no such segment")
                    .maybe_help(suggest::or_list(segment.as_str(), known.clone()))
                    .relies_on_name(&Path::of(&["segments"]), segment.as_str())
                    .spoils();
            found.push(complaint);
        }
    }
    for (name, node) in &cx.scenario.nodes {
        let path = Path::of(&["nodes", name.as_str()]);
        // An interface on top of another node's is on that one's segment.
        let on_top = |kind| matches!(kind, Some(InterfaceKind::Macvlan | InterfaceKind::Ipvlan));
        if cx.lab.of_node(name.as_str()).all(|port| port.segment.is_none() && !on_top(port.kind)) {
            let segment = known.clone().next().unwrap_or("lan");
            let help = format!("write `segment = \"{segment}\"`");
            let complaint = Complaint::key(&path, format!("node `{name}` is on no segment"))
                .help(help)
                .relies_on_names(&interfaces(name.as_str()))
                .relies_on_all(cx.lab.places(name.as_str()))
                .relies_on_all(
                    cx.lab.of_node(name.as_str()).flat_map(|p| ["kind", "parent"].map(|key| p.path.at(key))),
                );
            found.push(complaint);
        }
        let shorthand = [("address", node.address.is_some()), ("mac", node.mac.is_some())];
        for (key, _) in shorthand.iter().filter(|(_, said)| *said && node.segment.is_none()) {
            let help = "say it of an interface, as `interfaces.eth0 = { … }`, or write `segment` beside it";
            let message = format!("`{key}` of node `{name}` belongs to no interface");
            found.push(Complaint::key(&path.at(key), message).help(help).relies_on(&path.at("segment")));
        }
        if node.segment.is_some() && node.interfaces.contains_key("eth0") {
            let complaint = Complaint::key(
                &path.at("interfaces").at("eth0"),
                format!("`eth0` of node `{name}` is described twice"),
            )
            .also(&path.at("segment"), "this is short for `interfaces.eth0`")
            .help("keep one of the two");
            found.push(complaint);
        }
    }
    cx.complaints.extend(found);
}
