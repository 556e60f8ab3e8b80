//! Real servers, and what every host has.

use std::net::IpAddr;

use super::super::parts::{Host, label_of};
use super::ground::Ground;
use super::{Interface, Node, Placed, Scene, Stage, VipPlace};
use crate::base::{Forwarding, Role};
use crate::scenario::known_sysctl;

/// A real server.
pub(super) fn node(stage: &Stage<'_>, ground: &Ground, scene: &mut Scene, rip: IpAddr, host: &Host) -> Node {
    let mut node = Node::new(&host.name, Role::RealServer);
    let ways = stage.ways(rip);
    let only_nat = ways == [Forwarding::Nat];
    let own = own_addresses(stage, ground, scene, rip, host);
    interfaces(stage, ground, scene, &mut node, host, &own);
    if host.files.is_empty() {
        node.comment.push("no file is about it".to_owned());
        let what = if only_nat {
            format!("{}: no file is about it; its gateway is the Director, as NAT wants it", host.name)
        } else if ways == [Forwarding::Tun] {
            format!("{}: no file is about it; it has the VIP on tunl0 and is right otherwise", host.name)
        } else if rip.is_ipv4() {
            format!("{}: no file is about it; it has the VIP on lo:0, arp_ignore 1, arp_announce 2", host.name)
        } else {
            format!("{}: no file is about it; it has the VIP on lo", host.name)
        };
        scene.assume(what);
    } else {
        node.comment.push(format!("by {}", host.files.join(", ")));
    }
    node.uncured = host.says_arp && rip.is_ipv4();
    if host.says_arp || only_nat {
        // What is said of ARP is all that there is.
    } else if !host.files.is_empty() && rip.is_ipv4() {
        scene.assume(format!("{}: no file says how it treats ARP; it has arp_ignore 1, arp_announce 2", host.name));
    }
    node.vip = if redirects(stage, host) && !host.says_addresses {
        scene.assume(format!("{}: a rule takes what is for the VIP, so it does not have the VIP", host.name));
        VipPlace::Nowhere
    } else if host.says_addresses {
        placed(stage, scene, host, only_nat)
    } else {
        if !host.files.is_empty() && !only_nat {
            scene.assume(format!("{}: no file says which addresses it has; it has the VIP on lo:0", host.name));
        }
        VipPlace::Usual
    };
    settings(stage, scene, &mut node, host);
    gateway(stage, ground, scene, &mut node, host);
    if only_nat && node.gateway.is_none() && matches!(node.vip, VipPlace::At(_)) {
        node.gateway = Some("router".to_owned());
        scene.assume(format!("{}: it is set up to answer clients itself, so its gateway is the router", host.name));
    }
    node
}

/// Whether a rule of the host takes what is for a VIP.
pub(super) fn redirects(stage: &Stage<'_>, host: &Host) -> bool {
    let takes = |rule: &String| {
        let mut words = rule.split_whitespace();
        let target = words.clone().any(|word| word == "REDIRECT");
        target
            && words.any(|word| stage.vips.iter().any(|vip| word.split('/').next() == Some(vip.to_string().as_str())))
    };
    host.iptables.iter().any(takes)
}

/// The real server's address: the one in the table, unless its own texts say that it has another.
fn own_addresses(stage: &Stage<'_>, ground: &Ground, scene: &mut Scene, rip: IpAddr, host: &Host) -> Vec<IpAddr> {
    let home = ground.find(rip);
    let on_home = |ip: &IpAddr| home.is_some_and(|s| s.nets.iter().any(|net| net.contains(ip)));
    let wired = host.addresses.iter().filter(|a| host.wires().any(|w| *w == a.device)).map(|a| a.net.addr());
    let mut said: Vec<IpAddr> = wired.filter(|ip| on_home(ip) && !stage.vips.contains(ip)).collect();
    if said.is_empty() {
        return vec![rip];
    }
    if !said.contains(&rip) {
        let has = said.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        scene.assume(format!("{}: the table has {rip}, but by its own files it has {has}", host.name));
    }
    said.sort_by_key(|ip| *ip != rip);
    said
}

/// Where the host has VIPs by what is said of its addresses.
fn placed(stage: &Stage<'_>, scene: &mut Scene, host: &Host, only_nat: bool) -> VipPlace {
    let mut all: Vec<Placed> = Vec::new();
    for address in &host.addresses {
        let vip = address.net.addr();
        if !stage.vips.contains(&vip) {
            continue;
        }
        if all.iter().any(|p| p.vip == vip) {
            scene.assume(format!(
                "{}: {vip} is on {} as well, and built only on the first device",
                host.name, address.device
            ));
            continue;
        }
        let on = label_of(address);
        all.push(Placed { vip, on, prefix: address.net.prefix_len(), broadcast: address.broadcast });
    }
    match (all.is_empty(), only_nat) {
        (true, true) => VipPlace::Usual,
        (true, false) => VipPlace::Nowhere,
        (false, _) => VipPlace::At(all),
    }
}

/// The host's interfaces: one on the segment of each address that it must have, and its dummies.
pub(super) fn interfaces(
    stage: &Stage<'_>,
    ground: &Ground,
    scene: &mut Scene,
    node: &mut Node,
    host: &Host,
    own: &[IpAddr],
) {
    for address in own {
        let Some(segment) = ground.find(*address) else { continue };
        let said = host.wire_of(*address);
        if let Some(known) = node.interfaces.iter_mut().find(|i| i.segment.as_deref() == Some(&segment.name)) {
            known.addresses.push(address.to_string());
            continue;
        }
        let free = |name: &str| !node.interfaces.iter().any(|i| i.name == name);
        let on_net = || {
            let there =
                |a: &&super::super::heard::HostAddress| segment.nets.iter().any(|net| net.contains(&a.net.addr()));
            let wired = host.addresses.iter().filter(|a| host.wires().any(|w| *w == a.device));
            wired.filter(there).map(|a| a.device.clone()).next()
        };
        let numbered = || {
            (0..=host.devices.len() + 64)
                .map(|n| format!("eth{n}"))
                .find(|name| free(name) && !host.devices.contains(name))
        };
        let name = said.map(|a| a.device.clone()).or_else(on_net).filter(|name| free(name));
        let name = name
            .or_else(|| host.wires().find(|w| free(w)).cloned())
            .or_else(numbered)
            .unwrap_or_else(|| "eth0".to_owned());
        // A mask that is not the segment's is kept: it may be the mistake.
        let text = match said {
            Some(a)
                if !segment.nets.iter().any(|net| net.prefix_len() == a.net.prefix_len())
                    && a.net.prefix_len() != a.net.max_prefix_len() =>
            {
                a.net.to_string()
            }
            _ => address.to_string(),
        };
        node.interfaces.push(Interface {
            name,
            segment: Some(segment.name.clone()),
            addresses: vec![text],
            ..Interface::default()
        });
    }
    for (device, said) in &host.links {
        if said.dummy || device.starts_with("dummy") {
            node.interfaces.push(Interface { name: device.clone(), dummy: true, ..Interface::default() });
        }
    }
    // Devices on which texts put VIPs, and that nothing else tells of.
    for address in host.addresses.iter().filter(|a| stage.vips.contains(&a.net.addr())) {
        let device = &address.device;
        let by_itself = device == "lo" || device == "tunl0" || node.interfaces.iter().any(|i| i.name == *device);
        if !by_itself {
            scene.assume(format!("{}: {device} is on no segment of the lab and is built as a dummy", host.name));
            node.interfaces.push(Interface { name: device.clone(), dummy: true, ..Interface::default() });
        }
    }
    more_addresses(stage, scene, node, host);
    for interface in &mut node.interfaces {
        if let Some(said) = host.links.get(&interface.name) {
            interface.mtu = said.mtu;
            interface.mac = said.mac.filter(|mac| !mac.is_group()).map(|mac| mac.to_string());
            interface.up = said.up.filter(|up| !*up);
            interface.arp = said.arp.filter(|arp| !*arp && !interface.dummy);
        }
    }
}

/// Further addresses of the host, where its interface is in the lab and the subnet fits.
fn more_addresses(stage: &Stage<'_>, scene: &mut Scene, node: &mut Node, host: &Host) {
    for address in &host.addresses {
        let ip = address.net.addr();
        let has = |i: &Interface| i.addresses.iter().any(|a| a == &ip.to_string() || a.starts_with(&format!("{ip}/")));
        if stage.vips.contains(&ip) || node.interfaces.iter().any(has) || ip.is_loopback() {
            continue;
        }
        let named = node.interfaces.iter_mut().find(|i| i.name == address.device);
        match named.filter(|i| i.dummy) {
            Some(interface) => interface.addresses.push(address.net.to_string()),
            None => {
                scene.assume(format!("{}: {} on {} has no part in the lab", host.name, address.net, address.device));
            }
        }
    }
}

/// Sysctls, rules, neighbours and routes of a host.
pub(super) fn settings(stage: &Stage<'_>, scene: &mut Scene, node: &mut Node, host: &Host) {
    node.arptables.clone_from(&host.arptables);
    node.iptables.clone_from(&host.iptables);
    let devices: Vec<String> = node.interfaces.iter().map(|i| i.name.clone()).collect();
    let knows = |device: &str| ["all", "default", "lo"].contains(&device) || devices.iter().any(|d| d == device);
    for (key, (value, place)) in &host.sysctls {
        let mut keys = vec![key.clone()];
        if key.contains('*') {
            let everywhere = ["all", "default", "lo"].into_iter().map(str::to_owned).chain(devices.iter().cloned());
            keys = everywhere.map(|device| key.replacen('*', &device.replace('.', "/"), 1)).collect();
            keys.retain(|key| !host.spared.contains(key) && !host.sysctls.contains_key(key) && !key.contains('*'));
        }
        for key in keys {
            let device = match key.split('.').collect::<Vec<_>>().as_slice() {
                ["net", "ipv4" | "ipv6", "conf", device, _] => Some(device.replace('/', ".")),
                _ => None,
            };
            let told = |why: String| stage.sources.told(place, format!("sysctl `{key}` on {}: {why}", node.name));
            let Some(range) = known_sysctl(&key).filter(|_| matters(&key)) else {
                scene.left_out.push(told("nothing of the lab turns on it".to_owned()));
                continue;
            };
            if let Some(device) = device.filter(|device| !knows(device)) {
                scene.left_out.push(told(format!("it has no interface {device} in the lab")));
                continue;
            }
            let fits = range.is_none_or(|(low, high)| value.parse::<i64>().is_ok_and(|n| (low..=high).contains(&n)));
            if fits {
                node.sysctls.retain(|(known, _)| *known != key);
                node.sysctls.push((key, value.clone()));
            } else {
                scene.not_understood.push(told(format!("the value `{value}`")));
            }
        }
    }
    for (address, mac, device) in &host.neighbours {
        let device = device.clone().filter(|device| knows(device));
        node.neighbours.push((*address, mac.to_string(), device));
    }
}

/// Whether a lab shows what the sysctl does, and every kernel has it in each namespace.
fn matters(key: &str) -> bool {
    let parts: Vec<&str> = key.split('.').collect();
    match parts.as_slice() {
        ["net", "ipv4", "conf", _, name] => !["tag", "medium_id", "mc_forwarding", "bootp_relay"].contains(name),
        ["net", "ipv6", "conf", _, name] => {
            ["disable_ipv6", "accept_dad", "accept_ra", "forwarding", "autoconf"].contains(name)
        }
        ["net", "ipv4", "vs", name] => !["est_cpulist", "est_nice", "run_estimation", "debug_level"].contains(name),
        ["net", "ipv4", name] => [
            "ip_forward",
            "ip_nonlocal_bind",
            "ip_no_pmtu_disc",
            "ip_default_ttl",
            "icmp_echo_ignore_all",
            "tcp_mtu_probing",
            "tcp_timestamps",
            "tcp_tw_reuse",
            "tcp_syncookies",
            "ip_local_port_range",
            "tcp_l3mdev_accept",
        ]
        .contains(name),
        _ => false,
    }
}

/// The host's default gateway and further routes.
pub(super) fn gateway(stage: &Stage<'_>, ground: &Ground, scene: &mut Scene, node: &mut Node, host: &Host) {
    let on_link = |via: IpAddr| {
        let segments = node.interfaces.iter().filter_map(|i| ground.named(i.segment.as_deref()?));
        segments.flat_map(|s| &s.nets).any(|net| net.contains(&via))
    };
    let gateways: Vec<IpAddr> = host.gateways().collect();
    if let Some(via) = gateways.first() {
        if on_link(*via) {
            node.gateway = Some(via.to_string());
        } else {
            node.gateway = Some("none".to_owned());
            scene.assume(format!(
                "{}: its gateway {via} is in none of its subnets, so that the kernel refuses the route",
                node.name
            ));
        }
    }
    let devices: Vec<&str> = node.interfaces.iter().map(|i| i.name.as_str()).chain(["lo"]).collect();
    let mut routes = Vec::new();
    for route in host.routes.iter().filter(|r| r.to.is_some()) {
        let to = route.to.map(|net| net.to_string()).unwrap_or_default();
        let device = route.device.clone().filter(|d| devices.contains(&d.as_str()));
        let reached = route.via.is_some_and(on_link) || (route.via.is_none() && device.is_some());
        let source = route
            .source
            .filter(|s| stage.vips.contains(s) || node.interfaces.iter().any(|i| i.addresses.contains(&s.to_string())));
        // The kernel has the route to a segment's own subnet already.
        let own = route.via.is_none() && ground.find_net(&to);
        if reached && !own {
            routes.push((to, route.via, device, source));
        } else if !own {
            scene.assume(format!("{}: the route to {to} leads to no segment of the lab and is left out", node.name));
        }
    }
    node.routes.extend(routes);
}
