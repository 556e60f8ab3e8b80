//! A lab as a scenario's text, with comments that say what is assumed and what is left out.

#![expect(clippy::format_push_string, reason = "a scenario is small, and lines read better as they are written")]

use std::net::IpAddr;

use super::assemble::{Daemon, Load, Node, Scene, Service, Source, VipPlace};
use super::source::Sources;
use super::{Imported, Request, Told};
use crate::base::{Forwarding, Protocol, Role};

/// How wide comments are.
const WIDTH: usize = 110;

/// How long an election may take: an instance that hears nobody waits for three advertisements and a bit.
const READY_MS: u32 = 60_000;

/// Writes a lab down.
pub(super) fn write(sources: &Sources, request: &Request, scene: &Scene) -> Imported {
    let mut out = String::new();
    let names: Vec<&str> = request.texts.iter().map(|text| text.name.as_str()).collect();
    comment(&mut out, &format!("Made by `drlab import` from {}.", names.join(", ")), "");
    if sources.count() > request.texts.len() {
        let more: Vec<&str> = (0..sources.count())
            .map(|file| sources.name(file))
            .filter(|n| !names.contains(n) && !n.contains(':'))
            .collect();
        if !more.is_empty() {
            comment(&mut out, &format!("They include {}.", more.join(", ")), "");
        }
    }
    list(&mut out, "Assumed, as no file says it:", scene.assumed.iter().map(|what| format!("- {what}")));
    list(&mut out, "Not understood, and not in the lab:", scene.not_understood.iter().map(line));
    list(
        &mut out,
        "Not understood here; keepalived itself reads it as it stands:",
        scene.left_to_daemon.iter().map(line),
    );
    list(&mut out, "Left out, as a lab has no use for it:", scene.left_out.iter().map(line));
    head(&mut out, scene, &names);
    for node in &scene.nodes {
        self::node(&mut out, node, scene.vips.len());
    }
    for service in &scene.services {
        self::service(&mut out, scene, service);
    }
    tail(&mut out, scene);
    Imported {
        scenario: out,
        assumed: scene.assumed.clone(),
        left_out: scene.left_out.clone(),
        not_understood: scene.not_understood.clone(),
        left_to_daemon: scene.left_to_daemon.clone(),
    }
}

fn line(told: &Told) -> String {
    format!("- {}: {}", told.at, told.what)
}

fn list(out: &mut String, title: &str, items: impl Iterator<Item = String>) {
    let mut begun = false;
    for item in items {
        if !begun {
            put(out, "#\n");
            comment(out, title, "");
            begun = true;
        }
        comment(out, &item, "  ");
    }
}

/// A comment, wrapped; what it says of others' texts can't end it.
fn comment(out: &mut String, text: &str, indent: &str) {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()) {
        if !line.is_empty() && indent.len() + line.chars().count() + 1 + word.chars().count() > WIDTH {
            put(out, &format!("# {indent}{line}\n"));
            line = if indent.is_empty() { String::new() } else { " ".to_owned() };
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    put(out, &format!("# {indent}{line}\n"));
}

fn put(out: &mut String, text: &str) {
    out.push_str(text);
}

/// A text as a TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn strings<T: ToString>(all: &[T]) -> String {
    match all {
        [one] => quoted(&one.to_string()),
        several => format!("[{}]", several.iter().map(|s| quoted(&s.to_string())).collect::<Vec<_>>().join(", ")),
    }
}

fn head(out: &mut String, scene: &Scene, names: &[&str]) {
    let names: Vec<&str> = names.iter().map(|name| name.rsplit('/').next().unwrap_or(name)).collect();
    let title = match names.as_slice() {
        [one] => format!("Imported from {one}"),
        [one, other] => format!("Imported from {one} and {other}"),
        [one, rest @ ..] => format!("Imported from {one} and {} more files", rest.len()),
        [] => "Imported".to_owned(),
    };
    let title: String = title.chars().filter(|c| !c.is_control()).collect();
    put(out, &format!("\nformat = 1\ntitle = {}\nvip = {}\n\n[segments]\n", quoted(&title), strings(&scene.vips)));
    for segment in &scene.segments {
        put(out, &format!("{} = {{ subnet = {} }}\n", segment.name, strings(&segment.nets)));
    }
}

fn node(out: &mut String, node: &Node, vips: usize) {
    put(out, "\n");
    for what in &node.comment {
        comment(out, what, "");
    }
    let mut text = format!("[nodes.{}]\nrole = \"{}\"\n", node.name, role(node.role));
    if node.daemon.is_some() {
        text += "kind = \"keepalived\"\n";
    }
    for interface in &node.interfaces {
        let mut keys = Vec::new();
        if let Some(segment) = &interface.segment {
            keys.push(format!("segment = \"{segment}\""));
        }
        if interface.dummy {
            keys.push("kind = \"dummy\"".to_owned());
        }
        if !interface.addresses.is_empty() {
            keys.push(format!("address = {}", strings(&interface.addresses)));
        }
        keys.extend(interface.mac.iter().map(|mac| format!("mac = \"{mac}\"")));
        keys.extend(interface.mtu.iter().map(|mtu| format!("mtu = {mtu}")));
        keys.extend(interface.up.iter().map(|up| format!("up = {up}")));
        keys.extend(interface.arp.iter().map(|arp| format!("arp = {arp}")));
        text += &format!("interfaces.{} = {{ {} }}\n", key(&interface.name), keys.join(", "));
    }
    text += &settings(node, vips);
    put(out, &text);
}

/// keepalived as it runs on the node; it tells what it thinks of its configuration before.
fn daemon(daemon: &Daemon) -> String {
    let id = daemon.id.as_ref().map(|id| format!(" --config-id={}", shell_words::quote(id))).unwrap_or_default();
    let start = if daemon.second { "sleep 1 && exec " } else { "" };
    let command = format!("{start}keepalived{id} --dont-fork --log-console --log-detail");
    let ready = daemon.ready.as_ref().map(|line| format!(", ready.log = {}", quoted(line))).unwrap_or_default();
    let mut text = format!(
        "packages = [\"keepalived\"]\n\
         run = [{{ command = {}, may_fail = true }}]\n\
         daemons = [{{ name = \"keepalived\", command = {}{ready}, deadline_ms = {READY_MS} }}]\n",
        quoted(&format!("keepalived{id} --config-test")),
        quoted(&command)
    );
    for (path, source) in &daemon.files {
        let source = match source {
            Source::Path(path) => quoted(path),
            Source::Text(whole) => format!("{{ text = {} }}", quoted(whole)),
        };
        text += &format!("files.{} = {source}\n", quoted(path));
    }
    text
}

fn settings(node: &Node, vips: usize) -> String {
    let mut text = String::new();
    if let Some(gateway) = &node.gateway {
        text += &format!("gateway = {}\n", quoted(gateway));
    }
    text += &vip(node, vips);
    text += &node.daemon.as_ref().map(daemon).unwrap_or_default();
    if node.uncured {
        text += "arp_cure = \"none\"\n";
    }
    for (name, rules) in [("arptables", &node.arptables), ("iptables", &node.iptables)] {
        if !rules.is_empty() {
            text += &format!("{name} = [\n");
            for rule in rules {
                text += &format!("  {},\n", quoted(rule));
            }
            text += "]\n";
        }
    }
    if !node.serve.is_empty() {
        let one = |(protocol, port): &(Protocol, u16)| match protocol {
            Protocol::Tcp => format!("{{ port = {port} }}"),
            Protocol::Udp => format!("{{ port = {port}, protocol = \"udp\" }}"),
        };
        text += &format!("serve = [{}]\n", node.serve.iter().map(one).collect::<Vec<_>>().join(", "));
    }
    if !node.sysctls.is_empty() {
        text += &format!("\n[nodes.{}.sysctls]\n", node.name);
        for (name, value) in &node.sysctls {
            let value =
                if value.parse::<i64>().is_ok_and(|n| n.to_string() == *value) { value.clone() } else { quoted(value) };
            text += &format!("{} = {value}\n", quoted(name));
        }
    }
    for (address, mac, device) in &node.neighbours {
        let device = device.as_ref().map(|d| format!("dev = {}\n", quoted(d))).unwrap_or_default();
        text += &format!("\n[[nodes.{}.neighbours]]\naddress = \"{address}\"\nmac = \"{mac}\"\n{device}", node.name);
    }
    for (to, via, device, source) in &node.routes {
        text += &format!("\n[[nodes.{}.routes]]\nto = \"{to}\"\n", node.name);
        text += &via.map(|via| format!("via = \"{via}\"\n")).unwrap_or_default();
        text += &device.as_ref().map(|d| format!("dev = {}\n", quoted(d))).unwrap_or_default();
        text += &source.map(|s| format!("src = \"{s}\"\n")).unwrap_or_default();
    }
    text
}

/// Where the node has VIPs, as short as it can be said.
fn vip(node: &Node, vips: usize) -> String {
    let all = match &node.vip {
        // What runs keepalived has a VIP only by its word.
        VipPlace::Usual if node.daemon.is_some() => return "vip = true\n".to_owned(),
        VipPlace::Usual => return String::new(),
        VipPlace::Nowhere if node.daemon.is_some() => return String::new(),
        VipPlace::Nowhere => return "vip = false\n".to_owned(),
        VipPlace::At(all) => all,
    };
    let one = |p: &super::assemble::Placed, named: bool| {
        let mut keys = Vec::new();
        if named {
            keys.push(format!("address = \"{}\"", p.vip));
        }
        keys.push(format!("on = {}", quoted(&p.on)));
        let whole = if p.vip.is_ipv4() { 32 } else { 128 };
        if p.prefix != whole {
            keys.push(format!("prefix = {}", p.prefix));
        }
        if let Some(broadcast) = p.broadcast.filter(|b| IpAddr::V4(*b) != p.vip || p.prefix != whole) {
            keys.push(format!("broadcast = \"{broadcast}\""));
        }
        format!("{{ {} }}", keys.join(", "))
    };
    match all.as_slice() {
        [only] if vips == 1 => {
            let whole = one(only, false);
            let device = format!("{{ on = {} }}", quoted(&only.on));
            format!("vip = {}\n", if whole == device { quoted(&only.on) } else { whole })
        }
        [only] => format!("vip = [{}]\n", one(only, true)),
        several => {
            let lines: Vec<String> = several.iter().map(|p| format!("  {},\n", one(p, true))).collect();
            format!("vip = [\n{}]\n", lines.concat())
        }
    }
}

fn service(out: &mut String, scene: &Scene, service: &Service) {
    let mut text = String::from("\n[[services]]\n");
    let of = &service.of;
    if let Some(director) = &service.director {
        text += &format!("director = \"{director}\"\n");
    }
    if scene.vips.len() > 1 {
        text += &format!("vip = \"{}\"\n", service.vip);
    }
    text += &format!("port = {}\n", service.port);
    if service.protocol == Protocol::Udp {
        text += "protocol = \"udp\"\n";
    }
    if let Some((mark, by_drlab)) = service.mark {
        text += &format!("fwmark = {mark}\n");
        if !by_drlab {
            text += "mark_packets = false\n";
        }
    }
    text += &format!("scheduler = \"{}\"\n", of.scheduler);
    if !of.flags.is_empty() {
        text += &format!("flags = [{}]\n", of.flags.iter().map(|f| quoted(f)).collect::<Vec<_>>().join(", "));
    }
    if let Some(seconds) = of.persistence_s {
        text += &format!("persistence_s = {seconds}\n");
    }
    if let Some(prefix) = of.persistence_prefix.filter(|_| of.persistence_s.is_some()) {
        text += &format!("persistence_prefix = {prefix}\n");
    }
    let usual = of.servers.iter().map(|s| s.forwarding).find(|f| *f != Forwarding::LocalNode).unwrap_or_default();
    if usual != Forwarding::DirectRouting {
        text += &format!("forwarding = \"{}\"\n", way(usual));
    }
    text += "real_servers = [\n";
    for (server, node) in of.servers.iter().zip(&service.servers) {
        let mut keys = Vec::new();
        if node.is_empty() {
            keys.push(format!("address = \"{}\"", server.address));
        } else {
            keys.push(format!("node = \"{node}\""));
            let local =
                service.director.as_ref().unwrap_or(&scene.director()).clone() == *node || server.address.is_loopback();
            if !local {
                keys.push(format!("address = \"{}\"", server.address));
            }
        }
        let asked = if service.mark.is_some() { 0 } else { service.port };
        if let Some(port) = server.port.filter(|port| *port != asked) {
            keys.push(format!("port = {port}"));
        }
        keys.push(format!("weight = {}", server.weight));
        if server.forwarding != usual && server.forwarding != Forwarding::LocalNode {
            keys.push(format!("forwarding = \"{}\"", way(server.forwarding)));
        }
        if server.upper > 0 {
            keys.push(format!("upper = {}", server.upper));
        }
        if server.lower > 0 && server.lower <= server.upper {
            keys.push(format!("lower = {}", server.lower));
        }
        text += &format!("  {{ {} }},\n", keys.join(", "));
    }
    text += "]\n";
    put(out, &text);
}

fn tail(out: &mut String, scene: &Scene) {
    let mut text = String::new();
    if let Some((tcp, fin, udp)) = scene.timeouts.filter(|t| *t != (0, 0, 0)) {
        text += "\n[timeouts]\n";
        for (key, value) in [("tcp_s", tcp), ("tcp_fin_s", fin), ("udp_s", udp)] {
            if value > 0 {
                text += &format!("{key} = {value}\n");
            }
        }
    }
    // Where a load does not say its protocol, it has that of the service.
    let as_served = |load: &Load| {
        let mut services = scene.services.iter().filter(|s| (s.vip, s.port) == (load.vip, load.port)).peekable();
        services.peek().is_none() || services.any(|service| service.protocol == load.protocol)
    };
    match scene.loads.as_slice() {
        [only] if as_served(only) => {
            if only.several_sources {
                text += "\n[load]\nrequests = 24\naddresses_per_client = 4\n";
            }
        }
        several => {
            for load in several {
                let udp = match load.protocol {
                    Protocol::Udp => ", protocol = \"udp\"",
                    Protocol::Tcp if !as_served(load) => ", protocol = \"tcp\"",
                    Protocol::Tcp => "",
                };
                let sources = if load.several_sources { ", addresses_per_client = 4" } else { "" };
                let name = format!("{} {}", load.protocol, std::net::SocketAddr::new(load.vip, load.port));
                text += &format!(
                    "\n[[timeline]]\ndo.load = {{ name = \"{name}\", vip = \"{}\", port = {}{udp}, requests = 12{sources} }}\n",
                    load.vip, load.port
                );
            }
        }
    }
    if let Some((checks, why)) = &scene.skip {
        text += "\n";
        let mut said = String::new();
        comment(&mut said, &format!("Not checked is what these files do not promise: {why}."), "");
        text += &said;
        text += &format!("[expect]\nskip = [{}]\n", checks.iter().map(|c| quoted(c)).collect::<Vec<_>>().join(", "));
    }
    put(out, &text);
}

impl Scene {
    /// The first Director's name.
    fn director(&self) -> String {
        self.nodes.iter().find(|n| n.role == Role::Director).map(|n| n.name.clone()).unwrap_or_default()
    }
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::Client => "client",
        Role::Router => "router",
        Role::Director => "director",
        Role::RealServer => "real-server",
    }
}

const fn way(forwarding: Forwarding) -> &'static str {
    match forwarding {
        Forwarding::DirectRouting => "direct-routing",
        Forwarding::Nat => "nat",
        Forwarding::Tun => "tun",
        Forwarding::LocalNode => "local-node",
    }
}

/// A name as a TOML key.
fn key(name: &str) -> String {
    let bare = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if bare { name.to_owned() } else { quoted(name) }
}
