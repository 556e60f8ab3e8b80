//! A plan as text, for `drlab plan`: everything that is built and done, in reading order, and what roles implied.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::routes;
use super::{Act, Address, Interface, LinkKind, Node, Plan, Segment, Service, TimedAct, labels};
use crate::base::Verdict;

/// The plan in plain words. What the scenario did not say stands under `implied`, with the reason.
pub fn describe(plan: &Plan) -> String {
    let mut text = String::new();
    // Writing to a `String` does not fail, so what is there is all.
    write(&mut text, plan).map_or_else(|fmt::Error| String::new(), |()| text)
}

fn write(out: &mut String, plan: &Plan) -> fmt::Result {
    writeln!(out, "{}: {}", plan.scenario, plan.title)?;
    let vips: Vec<String> = plan.vips.iter().map(ToString::to_string).collect();
    writeln!(out, "VIP {}", vips.join(", "))?;
    for segment in &plan.segments {
        write_segment(out, plan, segment)?;
    }
    for node in &plan.nodes {
        write_node(out, plan, node)?;
    }
    writeln!(out, "\ntimeline")?;
    for (number, timed) in plan.timeline.iter().enumerate() {
        write_act(out, number + 1, timed)?;
    }
    writeln!(out, "  then, facts read, who has the VIP is asked by")?;
    for probe in &plan.probes {
        writeln!(out, "    {}:{} ({}) for {}", probe.node, probe.interface, probe.sender, probe.target)?;
    }
    if plan.probes.is_empty() {
        writeln!(out, "    nobody: no router or client on the VIP's segment would")?;
    }
    write_expected(out, plan)?;
    write_baseline(out, plan)?;
    write_implied(out, plan, "lab")
}

fn write_segment(out: &mut String, plan: &Plan, segment: &Segment) -> fmt::Result {
    let v4 = segment.v4.map(|n| n.to_string());
    let subnets: Vec<String> = v4.into_iter().chain(segment.v6.map(|n| n.to_string())).collect();
    writeln!(
        out,
        "\nsegment {}: {}, MTU {}, bridge {}",
        segment.name,
        subnets.join(" and "),
        segment.mtu,
        segment.bridge
    )?;
    let ports: Vec<&str> = segment.ports.iter().map(|p| p.name.as_str()).collect();
    writeln!(out, "  ports      {}", ports.join(", "))?;
    for line in segment.ports.iter().filter_map(super::Port::fact).flat_map(|port| port.lines()) {
        writeln!(out, "  {line}")?;
    }
    write_implied(out, plan, segment.name.as_str())
}

fn write_node(out: &mut String, plan: &Plan, node: &Node) -> fmt::Result {
    writeln!(out, "\n{}, {}", node.name, node.role)?;
    for interface in &node.interfaces {
        write_interface(out, interface)?;
    }
    for route in &node.routes {
        let text = routes::words(route);
        writeln!(out, "  {:<10} {}", "route", text.strip_prefix("route ").unwrap_or(&text))?;
    }
    for neighbour in &node.neighbours {
        writeln!(
            out,
            "  {:<10} {} is {} on {}, permanent",
            "neighbour", neighbour.address, neighbour.mac, neighbour.interface
        )?;
    }
    for sysctl in node.sysctls.iter().filter(|s| !s.baseline) {
        writeln!(out, "  {:<10} {} = {}", "sysctl", sysctl.key, sysctl.value)?;
    }
    for (program, rules) in [("arptables", &node.arptables), ("iptables", &node.iptables)] {
        for rule in rules {
            writeln!(out, "  {program:<10} {}", rule.join(" "))?;
        }
    }
    for service in node.ipvs.iter().flat_map(|i| &i.services) {
        write_service(out, service)?;
    }
    if let Some((tcp, fin, udp)) = node.ipvs.as_ref().and_then(|i| i.timeouts_s) {
        writeln!(out, "  {:<10} TCP {tcp} s, after FIN {fin} s, UDP {udp} s", "timeouts")?;
    }
    for server in &node.servers {
        let body = server.body_bytes;
        writeln!(
            out,
            "  {:<10} {} on {} {}, {body} bytes of body",
            "server", server.name, server.protocol, server.bind
        )?;
    }
    if !node.packages.is_empty() {
        writeln!(out, "  {:<10} {}", "packages", node.packages.join(", "))?;
    }
    write_programs(out, node)?;
    write_implied(out, plan, node.name.as_str())
}

/// What runs in a node of the scenario's own choice.
fn write_programs(out: &mut String, node: &Node) -> fmt::Result {
    for file in &node.files {
        let from = file.copy_of.as_ref().map_or_else(|| "a text".to_owned(), |from| format!("a copy of {from}"));
        writeln!(out, "  {:<10} {}, {from}", "file", file.path)?;
    }
    for command in &node.commands {
        let may_fail = if command.may_fail { " (may fail)" } else { "" };
        writeln!(out, "  {:<10} {}{may_fail}", "command", command.shown)?;
    }
    for daemon in &node.daemons {
        let later = if daemon.at_start { "" } else { ", started by the timeline" };
        writeln!(out, "  {:<10} {}: {}{later}", "daemon", daemon.name, daemon.command)?;
    }
    Ok(())
}

fn write_interface(out: &mut String, interface: &Interface) -> fmt::Result {
    let mut parts = match &interface.kind {
        LinkKind::Loopback if interface.addresses.is_empty() => return Ok(()),
        LinkKind::Loopback => Vec::new(),
        LinkKind::Segment(segment) => vec![format!("on {segment}")],
        LinkKind::Dummy => vec!["dummy".to_owned()],
        LinkKind::Ipip => vec!["IPIP".to_owned()],
        LinkKind::Upper(upper) => {
            let way = if upper.macvlan { "macvlan" } else { "ipvlan" };
            vec![format!("{way} on {} of {}, on {}", upper.lower, upper.node, upper.segment)]
        }
    };
    parts.extend(interface.mac.map(|mac| mac.to_string()));
    if !interface.up {
        parts.push("down".to_owned());
    }
    if !interface.arp {
        parts.push("no ARP".to_owned());
    }
    if interface.tx_checksum {
        parts.push("leaves checksums to others".to_owned());
    }
    parts.extend(interface.addresses.iter().map(words));
    writeln!(out, "  {:<10} {}", interface.name, parts.join(", "))
}

fn words(address: &Address) -> String {
    let broadcast = address.broadcast.map(|b| format!("broadcast {b}"));
    let label = address.label.as_ref().map(|l| format!("label {l}"));
    let parts = [Some(address.address.to_string()), broadcast, label];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn write_service(out: &mut String, service: &Service) -> fmt::Result {
    let mut line = vec![format!("{} scheduler {}", service.id, service.scheduler)];
    line.extend(service.flags.iter().cloned());
    line.extend(service.persistence_s.map(|seconds| format!("persistent {seconds} s")));
    line.extend(service.persistence_prefix.map(|prefix| format!("by /{prefix}")));
    writeln!(out, "  {:<10} {}", "service", line.join(" "))?;
    for destination in &service.destinations {
        let node = destination.node.as_ref().map(|n| format!("{n} ")).unwrap_or_default();
        let mut line =
            vec![format!("{node}{} {} weight {}", destination.at, destination.forwarding, destination.weight)];
        line.extend((destination.upper > 0).then(|| format!("at most {}", destination.upper)));
        line.extend((destination.lower > 0).then(|| format!("again below {}", destination.lower)));
        writeln!(out, "  {:<10}   -> {}", "", line.join(" "))?;
    }
    Ok(())
}

fn write_act(out: &mut String, number: usize, timed: &TimedAct) -> fmt::Result {
    let plain = labels::of(&timed.act);
    writeln!(out, "  {number}. {}", timed.label)?;
    if plain != timed.label {
        writeln!(out, "     ({plain})")?;
    }
    if let Act::Load(load) = &timed.act {
        for during in &load.during {
            let when = match during.when {
                super::Trigger::AfterRequests(n) => format!("after {n} requests"),
                super::Trigger::AtMs(ms) => format!("after {ms} ms"),
            };
            writeln!(out, "     {when}: {}", during.act.label)?;
        }
    }
    Ok(())
}

fn write_expected(out: &mut String, plan: &Plan) -> fmt::Result {
    writeln!(out, "\nexpected")?;
    for verdict in [Verdict::Held, Verdict::Broken, Verdict::Undecided] {
        let of = super::expect::CHECKS.iter().filter(|id| plan.expect.checks.get(**id) == Some(&verdict));
        let ids: Vec<&str> = of.copied().collect();
        if !ids.is_empty() {
            writeln!(out, "  {:<10} {}", verdict, ids.join(", "))?;
        }
    }
    let findings = if plan.expect.findings.is_empty() { "none".to_owned() } else { plan.expect.findings.join(", ") };
    writeln!(out, "  {:<10} {findings}", "findings")?;
    for (node, (least, most)) in &plan.expect.share {
        let number = if least == most { least.to_string() } else { format!("{least} to {most}") };
        writeln!(out, "  {:<10} {number} answers from {node}", "share")?;
    }
    Ok(())
}

/// The baseline of all nodes at once, devices of one key gathered.
fn write_baseline(out: &mut String, plan: &Plan) -> fmt::Result {
    let mut gathered: BTreeMap<(String, &str), Vec<&str>> = BTreeMap::new();
    for sysctl in plan.nodes.iter().flat_map(|n| &n.sysctls).filter(|s| s.baseline) {
        let (pattern, device) = split(&sysctl.key);
        let devices = gathered.entry((pattern, &sysctl.value)).or_default();
        if !devices.contains(&device) {
            devices.push(device);
        }
    }
    writeln!(out, "\nsysctl baseline, in every node that does not say otherwise")?;
    for ((pattern, value), devices) in gathered {
        let key = match devices.as_slice() {
            [device] => pattern.replace('*', device),
            several => pattern.replace('*', &format!("{{{}}}", several.join(","))),
        };
        writeln!(out, "  {key} = {value}")?;
    }
    Ok(())
}

/// A key with `*` in the device's place, and the device.
fn split(key: &str) -> (String, &str) {
    let parts: Vec<&str> = key.split('.').collect();
    match parts.as_slice() {
        [net, family, "conf", device, leaf] => (format!("{net}.{family}.conf.*.{leaf}"), device),
        _ => (key.to_owned(), ""),
    }
}

fn write_implied(out: &mut String, plan: &Plan, whom: &str) -> fmt::Result {
    let mut mine = plan.implied.iter().filter(|i| i.whom == whom).peekable();
    if mine.peek().is_none() {
        return Ok(());
    }
    let (head, indent) = if whom == "lab" { ("\nimplied of the lab", "  ") } else { ("  implied", "    ") };
    writeln!(out, "{head}")?;
    for implied in mine {
        writeln!(out, "{indent}* {}: {}", implied.what, implied.why)?;
    }
    Ok(())
}
