//! Directors: their addresses, and which of them has the VIP.

use std::net::IpAddr;

use super::super::heard::{HostAddress, Vrrp};
use super::super::parts::{Host, label_of};
use super::ground::Ground;
use super::{Daemon, Node, Placed, Scene, Stage, VipPlace, daemon, server};
use crate::base::{Forwarding, Role};

/// A Director.
///
/// `runs` says whether keepalived itself runs where there is a configuration of it.
pub(super) fn node(stage: &Stage<'_>, ground: &Ground, scene: &mut Scene, host: &Host, runs: bool) -> Node {
    let mut node = Node::new(&host.name, Role::Director);
    node.comment.push(format!("by {}", host.files.join(", ")));
    node.daemon = host.conf.as_ref().filter(|_| runs).map(|conf| daemon::of(stage, host, conf));
    let runs = node.daemon.is_some();
    let mut whole = host.clone();
    let (mut held, mut lost) = (Vec::new(), false);
    for vrrp in &host.vrrps {
        if is_master(stage, host, vrrp) {
            held.extend(vrrp.addresses.clone());
            whole.routes.extend(vrrp.routes.iter().filter(|_| !runs).cloned());
        } else {
            lost = true;
        }
    }
    if !host.vrrps.is_empty() {
        elected(stage, scene, host, lost, node.daemon.as_ref());
    }
    let own = own_addresses(stage, ground, scene, host, &held);
    // An instance's interface is where its segment is, so it is named first.
    let front =
        held.iter().chain(host.addresses.iter().filter(|a| stage.vips.contains(&a.net.addr()))).map(|a| &a.device);
    let mut devices: Vec<String> = front.filter(|d| host.wires().any(|w| w == *d)).cloned().collect();
    devices.extend(whole.devices.clone());
    devices.dedup();
    whole.devices = devices;
    server::interfaces(stage, ground, scene, &mut node, &whole, &own);
    if runs {
        // The daemon gives it these.
        held.clear();
    }
    let others: Vec<&HostAddress> = held.iter().filter(|a| !stage.vips.contains(&a.net.addr())).collect();
    for address in others {
        let there = ground.find(address.net.addr()).map(|s| s.name.clone());
        match node.interfaces.iter_mut().find(|i| i.segment.is_some() && i.segment == there) {
            Some(interface) => {
                let text = address.net.addr().to_string();
                if !interface.addresses.contains(&text) {
                    interface.addresses.push(text);
                }
            }
            None => scene.assume(format!("{}: {} has no part in the lab", host.name, address.net)),
        }
    }
    let by_daemon = runs && !host.vrrps.is_empty();
    node.vip = vip(stage, scene, host, &held, lost || by_daemon, &node);
    server::settings(stage, scene, &mut node, &whole);
    server::gateway(stage, ground, scene, &mut node, &whole);
    node
}

/// Whether no other Director's instance of the same virtual router has a higher priority.
pub(super) fn is_master(stage: &Stage<'_>, host: &Host, vrrp: &Vrrp) -> bool {
    let rank = |vrrp: &Vrrp| (vrrp.priority, vrrp.master);
    let same = |other: &&Vrrp| hear_each_other(vrrp, other);
    let here = stage.directors.iter().position(|d| d.name == host.name);
    stage.directors.iter().enumerate().all(|(at, other)| {
        other.name == host.name
            || other
                .vrrps
                .iter()
                .filter(same)
                .all(|theirs| rank(vrrp) > rank(theirs) || (rank(vrrp) == rank(theirs) && Some(at) > here))
    })
}

/// Whether they are instances of one virtual router, and take each other's advertisements.
pub(super) fn hear_each_other(one: &Vrrp, other: &Vrrp) -> bool {
    let same_router = other.router_id == one.router_id && (one.router_id.is_some() || other.name == one.name);
    same_router && one.third == other.third && (one.third || one.terms == other.terms)
}

fn elected(stage: &Stage<'_>, scene: &mut Scene, host: &Host, lost: bool, daemon: Option<&Daemon>) {
    if let Some(daemon) = daemon {
        if daemon.second {
            scene.assume(format!("{}: keepalived is started a second after that of the master", host.name));
        }
        return;
    }
    if stage.directors.iter().filter(|d| !d.vrrps.is_empty()).count() > 1 {
        let part = if lost { "is the backup and has no VIP" } else { "is the master: its priority is the highest" };
        scene.assume(format!("{}: {part}; keepalived itself does not run", host.name));
    } else {
        scene.assume(format!(
            "{}: it is the master, as no other Director is given; keepalived itself does not run",
            host.name
        ));
    }
}

/// The Director's own address on each segment that it is on.
fn own_addresses(
    stage: &Stage<'_>,
    ground: &Ground,
    scene: &mut Scene,
    host: &Host,
    held: &[HostAddress],
) -> Vec<IpAddr> {
    let servers = host.services.iter().flat_map(|s| &s.servers).filter(|s| s.forwarding != Forwarding::Tun);
    let places = stage.vips.iter().copied().chain(servers.map(|s| s.address)).chain(held.iter().map(|a| a.net.addr()));
    let mut segments: Vec<&str> = Vec::new();
    for segment in places.filter_map(|address| ground.find(address)) {
        if !segments.contains(&segment.name.as_str()) && !segment.name.starts_with("remote") {
            segments.push(&segment.name);
        }
    }
    let mut own = Vec::new();
    let mut given: Vec<IpAddr> = scene
        .nodes
        .iter()
        .flat_map(|n| &n.interfaces)
        .flat_map(|i| &i.addresses)
        .filter_map(|a| a.split('/').next()?.parse().ok())
        .collect();
    for segment in segments.iter().filter_map(|name| ground.named(name)) {
        let on_it = |ip: &IpAddr| segment.nets.iter().any(|net| net.contains(ip)) && !stage.vips.contains(ip);
        let wired = host.addresses.iter().filter(|a| host.wires().any(|w| *w == a.device)).map(|a| a.net.addr());
        let mut said: Vec<IpAddr> = wired.chain(host.vrrps.iter().filter_map(|v| v.source)).filter(on_it).collect();
        said.dedup();
        for net in &segment.nets {
            if said.iter().any(|ip| ip.is_ipv4() == net.addr().is_ipv4()) {
                continue;
            }
            let free = ground.free(segment, 10, &given).into_iter().find(|ip| net.contains(ip));
            if let Some(free) = free {
                scene.assume(format!("{}: its own address on {} is {free}", host.name, segment.name));
                said.push(free);
            }
        }
        given.extend(&said);
        own.extend(said);
    }
    own
}

/// Where it has the VIPs: by keepalived or a script, else where a Director has them.
fn vip(stage: &Stage<'_>, scene: &mut Scene, host: &Host, held: &[HostAddress], lost: bool, node: &Node) -> VipPlace {
    let mut all: Vec<Placed> = Vec::new();
    for address in held.iter().chain(&host.addresses) {
        let vip = address.net.addr();
        if stage.vips.contains(&vip) && !all.iter().any(|p| p.vip == vip) {
            let by_itself = address.device == "lo" || node.interfaces.iter().any(|i| i.name == address.device);
            let device = if by_itself {
                address.device.clone()
            } else {
                node.interfaces.first().map(|i| i.name.clone()).unwrap_or_default()
            };
            let on = if by_itself { label_of(address) } else { device };
            all.push(Placed { vip, on, prefix: address.net.prefix_len(), broadcast: address.broadcast });
        }
    }
    let says = host.says_addresses || !host.vrrps.is_empty();
    if !all.is_empty() {
        VipPlace::At(all)
    } else if says || lost {
        if !lost {
            scene.assume(format!("{}: the files say which addresses it has, and no VIP is among them", host.name));
        }
        VipPlace::Nowhere
    } else {
        scene.assume(format!("{}: no file says that it has the VIP; it has it", host.name));
        VipPlace::Usual
    }
}
