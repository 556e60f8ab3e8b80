//! Interfaces: what each is, its MTU and MAC; devices and labels as the kernel takes them.

use std::collections::BTreeMap;

use super::Context;
use super::lab::{Port, comes_by_name, interfaces, subnets};
use super::segments::mtu;
use crate::base::{IfName, Mac};
use crate::scenario::problem::Complaint;
use crate::scenario::source::Path;
use crate::scenario::spec::InterfaceKind;
use crate::scenario::suggest;

pub(super) fn check(cx: &mut Context<'_>) {
    let mut found = Vec::new();
    for port in &cx.lab.ports {
        let (name, path) = (port.interface, &port.path);
        match (port.segment, port.kind) {
            (Some(_), Some(_)) => {
                let complaint = Complaint::key(
                    &path.at("kind"),
                    format!("`{name}` of `{}` is on a segment and of a kind", port.node),
                )
                .also(&path.at("segment"), "its segment")
                .help("keep one of the two");
                found.push(complaint);
            }
            (Some(_), None) if name == "lo" || comes_by_name(name) => {
                let message = format!("`{name}` can't be on a segment");
                found.push(Complaint::value(&path.at("segment"), message).help("call the interface `eth0`, `eth1`, …"));
            }
            (None, None) if name != "lo" && !comes_by_name(name) => {
                let segment = cx.scenario.segments.keys().next().map_or("lan", |s| s.as_str());
                let help = format!("write `segment = \"{segment}\"`, or `kind = \"dummy\"` for one without a cable");
                found.push(
                    Complaint::key(path, format!("`{name}` of `{}` is on no segment and of no kind", port.node))
                        .help(help)
                        .relies_on_all(["segment", "kind", "parent"].map(|key| path.at(key))),
                );
            }
            (None, Some(InterfaceKind::Ipip)) if name != "tunl0" => {
                let help = "the kernel's own IPIP device is `tunl0`; write `interfaces.tunl0`";
                let complaint = Complaint::key(path, format!("`{name}` can't be the IPIP device"));
                found.push(complaint.help(help).relies_on(&path.at("segment")));
            }
            _ => {}
        }
    }
    cx.complaints.extend(found);
    mtus(cx);
    macs(cx);
    uppers(cx);
    clones(cx);
    hosts(cx);
}

/// What is on top of another interface says on which, and that one is on a segment.
fn uppers(cx: &mut Context<'_>) {
    let mut found = Vec::new();
    for port in &cx.lab.ports {
        let said = cx.scenario.nodes.get(port.node).and_then(|n| n.interfaces.get(port.interface));
        let parent = said.and_then(|i| i.parent.as_deref());
        let (name, path) = (port.interface, &port.path);
        let on_top = matches!(port.kind, Some(InterfaceKind::Macvlan | InterfaceKind::Ipvlan));
        match parent {
            None if on_top => {
                let help = "write `parent = \"eth0\"`, or `\"host:eth0\"` for another node's";
                found.push(
                    Complaint::key(&path.at("kind"), format!("`{name}` does not say on top of what it is"))
                        .help(help)
                        .relies_on(&path.at("parent")),
                );
            }
            Some(_) if !on_top => {
                let message = format!("`{name}` has a parent and is not on top of one");
                let help = "write `kind = \"macvlan\"` or `\"ipvlan\"`";
                let complaint = Complaint::key(&path.at("parent"), message).help(help);
                found.push(complaint.relies_on(&path.at("kind")).spoils());
            }
            Some(text) => {
                let (node, lower) = text.split_once(':').unwrap_or((port.node.as_str(), text));
                let below = cx.lab.of_node(node).find(|p| p.interface == lower);
                if below.is_none_or(|p| p.segment.is_none()) {
                    let names = cx.lab.ports.iter().filter(|p| p.segment.is_some());
                    let names: Vec<String> = names.map(|p| format!("{}:{}", p.node, p.interface)).collect();
                    let help = suggest::or_list(text, names.iter().map(String::as_str));
                    let message = format!("`{text}` is no interface on a segment");
                    found.push(
                        Complaint::value(&path.at("parent"), message)
                            .maybe_help(help)
                            .relies_on_name(&interfaces(node), lower)
                            .relies_on_all(cx.lab.places(node)),
                    );
                }
            }
            None => {}
        }
        if said.is_some_and(|i| i.arp == Some(false)) && port.segment.is_none() {
            let message = format!("`{name}` is on no segment, where ARP could be switched off");
            found.push(Complaint::value(&path.at("arp"), message).relies_on(&path.at("segment")));
        }
    }
    cx.complaints.extend(found);
}

/// A clone is of another node on the same segment.
fn clones(cx: &mut Context<'_>) {
    let all: Vec<_> = cx.lab.ports.iter().map(|p| (p.node, p.interface, p.segment, p.path.clone())).collect();
    for (node, name, segment, port) in all {
        let path = port.at("mac_of");
        let said = cx.scenario.nodes.get(node).and_then(|n| n.interfaces.get(name));
        let Some(of) = said.and_then(|i| i.mac_of.as_ref()) else { continue };
        let there = cx.lab.ports.iter().any(|p| p.node == of && p.segment == segment && segment.is_some());
        if cx.node(&path, of.as_str()).is_some() && (!there || of == node) {
            let message = format!("`{of}` is not another node on the segment of `{name}`");
            let complaint = Complaint::value(&path, message).help("MACs only clash on one segment");
            let complaint = complaint.relies_on(&port.at("segment")).relies_on_names(&interfaces(of.as_str()));
            cx.add(complaint.relies_on_all(cx.lab.places(of.as_str())));
        }
    }
}

/// The node that a container is on is another one.
fn hosts(cx: &mut Context<'_>) {
    let all: Vec<_> =
        cx.scenario.nodes.iter().filter_map(|(name, node)| Some((name, node.runs_on.as_ref()?))).collect();
    for (name, host) in all {
        let path = Path::of(&["nodes", name.as_str(), "runs_on"]);
        if cx.node(&path, host.as_str()).is_some() && name == host {
            cx.add(Complaint::value(&path, format!("`{name}` can't run on itself")));
        }
    }
}

fn mtus(cx: &mut Context<'_>) {
    let said: Vec<_> = cx
        .lab
        .ports
        .iter()
        .filter(|port| port.mtu.is_some())
        .map(|port| {
            let nets = port.segment.map(|s| subnets(cx.scenario, s)).unwrap_or_default();
            (port.path.at("mtu"), port.mtu, nets)
        })
        .collect();
    for (path, value, nets) in said {
        mtu(cx, &path, value, &nets);
    }
}

fn macs(cx: &mut Context<'_>) {
    let mut first: BTreeMap<Mac, &Port<'_>> = BTreeMap::new();
    let mut found = Vec::new();
    for port in &cx.lab.ports {
        let Some(mac) = port.mac else { continue };
        let path = port.path.at("mac");
        if mac.is_group() || mac == Mac([0; 6]) {
            let what = if mac.is_group() { "a group's address" } else { "no address" };
            let help = "the lowest bit of the first byte is 0 in a station's MAC, as in 02:d1:00:00:01:00";
            found.push(Complaint::value(&path, format!("`{mac}` is {what}, no interface can have it")).help(help));
        } else if mac.is_vrrp() {
            // It goes with the address from one node to another, so several have it.
        } else if let Some(other) = first.get(&mac) {
            let complaint = Complaint::value(&path, format!("two interfaces have the MAC {mac}"))
                .label("the second")
                .also(&other.path.at("mac"), "the first")
                .help(own_mac(port, other));
            found.push(complaint);
        } else {
            first.insert(mac, port);
        }
    }
    cx.complaints.extend(found);
}

/// What to write where two interfaces have one MAC: a clone is of another node's on the same segment.
fn own_mac(port: &Port<'_>, other: &Port<'_>) -> String {
    let usual = "leave it out, and every interface gets its own";
    match port.segment.filter(|segment| other.segment == Some(*segment) && other.node != port.node) {
        Some(segment) => {
            let clone = format!("{{ segment = \"{segment}\", mac_of = \"{}\" }}", other.node);
            format!("{usual}; for a clone write `interfaces.{} = {clone}`", port.interface)
        }
        None => usual.to_owned(),
    }
}

/// Complains about a place of an address, as `lo:0` or `eth0`, that the kernel or the node doesn't have.
///
/// `nodes` are those that must have the device.
pub(super) fn place(cx: &mut Context<'_>, path: &Path, text: &str, nodes: &[&str]) {
    let (device, label) = text.split_once(':').map_or((text, None), |(device, label)| (device, Some(label)));
    if device.is_empty() {
        let help = format!("write `\"lo{text}\"`");
        cx.add(Complaint::value(path, format!("label `{text}` does not begin with its device's name")).help(help));
    } else if text.len() > 15 {
        let kind = if label.is_some() { "label" } else { "device" };
        let complaint = Complaint::value(path, format!("the {kind} `{text}` has {} characters", text.len()))
            .label("at most 15 fit (IFNAMSIZ less one)")
            .maybe_help(label.filter(|_| device.len() < 14).map(|_| format!("write `\"{device}:0\"`")));
        cx.add(complaint);
    } else if let Err(bad) = device.parse::<IfName>() {
        cx.add(Complaint::value(path, bad.to_string()).label("no device can be called that"));
    } else if label.is_some_and(|l| l.is_empty() || !l.chars().all(|c| c.is_ascii_graphic() && c != ':')) {
        let help = format!("write `\"{device}:0\"`");
        cx.add(
            Complaint::value(path, format!("`{text}` is no label: after `{device}:` comes a number or a word"))
                .help(help),
        );
    } else if !comes_by_name(device) {
        for node in nodes {
            interface(cx, path, node, device);
        }
    }
}

/// Complains where a node has no such interface.
pub(super) fn interface(cx: &mut Context<'_>, path: &Path, node: &str, name: &str) {
    let devices = cx.lab.devices(node);
    if devices.contains(&name) || comes_by_name(name) || !cx.scenario.nodes.contains_key(node) {
        return;
    }
    let complaint = Complaint::value(path, format!("node `{node}` has no interface `{name}`"))
        .label("no such interface")
        .maybe_help(suggest::or_list(name, devices.iter().copied()))
        .relies_on_name(&interfaces(node), name)
        .relies_on(&Path::of(&["nodes", node, "segment"]));
    cx.add(complaint);
}
