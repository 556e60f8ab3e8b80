//! What a real server says on the wire about the VIP, by its sysctls, its ARP filter and where the VIP is; and what
//! that does on this topology.
//!
//! The kernel's words: `arp_ignore`, `arp_announce` (`Documentation/networking/ip-sysctl.rst`), `net/ipv4/arp.c`.

use std::net::IpAddr;

use super::ground::{Ground, Hop, Part, bound, conf, has, level, where_has};
use super::{Cause, Expected};
use crate::base::Role;
use crate::plan::{Interface, LinkKind, Node};

/// What comes of the node's ARP, as the plan has it.
pub(super) fn speech(ground: &Ground<'_>, node: &Node) -> Expected {
    let mut causes = Vec::new();
    let ports = || node.interfaces.iter().filter(|i| matches!(i.kind, LinkKind::Segment(_)));
    if ports().any(|i| level(node, i.name.as_str(), "arp_ignore") >= 8) && ground.is_asked(&node.name) {
        causes.push(Cause::at("rs-ignore-8", &node.name));
        if node.ipvs.is_some() {
            causes.push(Cause::at("dir-arp-suppressed", &node.name));
        }
        return Expected::Killed(causes);
    }
    if ports().any(|i| level(node, i.name.as_str(), "arp_ignore") >= 8) {
        return Expected::without(format!("nobody asks for {} who does not know it by then", node.name));
    }
    if node.ipvs.is_some() {
        let hidden = |vip: &IpAddr| {
            let mut ears = ground.asking(*vip).filter(|h| h.to.name == node.name && bound(h.from, *vip).is_none());
            ears.any(|h| {
                level(node, h.into.name.as_str(), "arp_ignore") > 0
                    && where_has(node, *vip).is_some_and(|i| i.name != h.into.name)
            })
        };
        return if ground.vip_on(node).filter(IpAddr::is_ipv4).any(|vip| hidden(&vip)) {
            Expected::one("dir-arp-suppressed", &node.name)
        } else {
            Expected::without(format!("{} has to speak for the VIP, and does", node.name))
        };
    }
    let vips: Vec<IpAddr> = ground.vip_on(node).filter(IpAddr::is_ipv4).collect();
    if vips.is_empty() {
        let why =
            if node.role == Role::RealServer { "has no IPv4 VIP to speak for" } else { "has no VIP to speak for" };
        return Expected::without(format!("{} {why}", node.name));
    }
    let mut reasons = Vec::new();
    for vip in vips {
        match answer(ground, node, vip) {
            Ok(id) => causes.push(Cause::at(id, &node.name)),
            Err(silent) => {
                reasons.push(silent);
                match question(ground, node, vip) {
                    Ok(id) => causes.push(Cause::at(id, &node.name)),
                    Err(silent) => reasons.push(silent),
                }
            }
        }
    }
    if causes.is_empty() { Expected::without(reasons.join("; ")) } else { Expected::Killed(causes) }
}

/// Those who ask for the VIP on a segment of the node and can be told a wrong MAC.
fn listeners<'g>(ground: &'g Ground<'g>, node: &'g Node, vip: IpAddr) -> Result<Vec<&'g Hop<'g>>, String> {
    let beside = |h: &&Hop<'_>| node.interfaces.iter().any(|i| i.kind == h.out.kind);
    let asking: Vec<&Hop<'_>> = ground.asking(vip).filter(beside).collect();
    let open: Vec<&Hop<'_>> = asking.iter().copied().filter(|h| bound(h.from, vip).is_none()).collect();
    match (asking.first(), open.is_empty()) {
        (None, _) => Err(format!("nobody on a segment of {} asks who has {vip}", node.name)),
        (Some(hop), true) => Err(format!("{} has {vip} bound for good, whatever others say", hop.from.name)),
        _ => Ok(open),
    }
}

/// The cause that makes the node answer for the VIP, or why it does not.
fn answer(ground: &Ground<'_>, node: &Node, vip: IpAddr) -> Result<&'static str, String> {
    let listening = listeners(ground, node, vip)?;
    let dropped = |chain: &str, flag: &str| {
        node.arptables.iter().any(|r| {
            r.windows(2).any(|w| w[0] == "-A" && w[1] == chain)
                && r.windows(2).any(|w| w[0] == flag && w[1] == vip.to_string())
        })
    };
    if dropped("INPUT", "-d") {
        return Err(format!("the ARP filter drops every question for {vip}"));
    }
    if dropped("OUTPUT", "-s") {
        return Err(format!("the ARP filter lets no answer for {vip} out"));
    }
    let Some(on) = where_has(node, vip) else { return Err(format!("{} has no {vip}", node.name)) };
    let hears = |i: &&Interface| i.up && listening.iter().any(|h| h.out.kind == i.kind);
    if !node.interfaces.iter().any(|i| hears(&i)) {
        return Err(format!("{} hears no question", node.name));
    }
    let mut silent = format!("arp_ignore on {} forbids an answer for {vip}", node.name);
    for ear in node.interfaces.iter().filter(hears) {
        let device = ear.name.as_str();
        let ignore = level(node, device, "arp_ignore");
        let here = on.name == ear.name;
        let wide = |a: &crate::plan::Address| a.address.prefix_len() < a.address.max_prefix_len();
        let mask = on.kind == LinkKind::Loopback && on.addresses.iter().any(|a| a.address.addr() == vip && wide(a));
        match ignore {
            1 | 2 if !here => {}
            1 | 2 => return Ok("rs-vip-on-nic"),
            3 => return Ok("rs-ignore-3-global-scope"),
            4..=7 => return Ok("rs-ignore-reserved"),
            0 if mask => return Ok("rs-vip-prefix-on-lo-arp"),
            0 if here => return Ok("rs-vip-on-nic"),
            0 if conf(node, "lo", "arp_ignore") > 0 => return Ok("rs-sysctl-lo-only"),
            0 if conf(node, "default", "arp_ignore") > 0 => return Ok("rs-sysctl-default-only"),
            0 if level(node, device, "arp_filter") > 0 => return Ok("rs-arp-filter-instead"),
            0 => return Ok("rs-arp-default"),
            _ => silent = format!("arp_ignore={ignore} forbids every answer"),
        }
    }
    Err(silent)
}

/// The cause that makes the node ask in the VIP's name, or deaf to the answer, or why it does not.
fn question(ground: &Ground<'_>, node: &Node, vip: IpAddr) -> Result<&'static str, String> {
    let replies = ground.legs.iter().filter(|l| l.part == Part::Reply && l.start.name == node.name && l.source == vip);
    let Some(hop) = replies.filter_map(|l| l.hops.first()).find(|h| bound(node, h.neighbour).is_none()) else {
        return Err(format!("{} asks nobody in order to reply", node.name));
    };
    let announce = level(node, hop.out.name.as_str(), "arp_announce");
    let inside = hop.out.addresses.iter().any(|a| a.address.contains(&vip) && a.address.contains(&hop.neighbour));
    if announce >= 2 || (announce == 1 && !inside) {
        return Err(format!("arp_announce={announce} keeps the VIP out of its questions"));
    }
    let rule = |chain: &str, flag: &str| {
        node.arptables.iter().find(|r| {
            r.windows(2).any(|w| w[0] == "-A" && w[1] == chain)
                && r.windows(2).any(|w| w[0] == flag && w[1] == vip.to_string())
        })
    };
    match (rule("OUTPUT", "-s"), rule("INPUT", "-d")) {
        (Some(out), _) if out.iter().any(|w| w == "mangle") => {
            return Err("the ARP filter puts the RIP into its questions".to_owned());
        }
        (Some(_), _) => return Ok("rs-arptables-out-drop"),
        (None, Some(_)) => return Ok("rs-arptables-in-only"),
        (None, None) => {}
    }
    listeners(ground, node, vip)?;
    if !ground.asking(vip).any(|h| h.out.kind == hop.out.kind) {
        return Err(format!("nobody who asks for {vip} hears its questions"));
    }
    debug_assert!(has(node, vip));
    Ok(if announce == 1 { "rs-announce-1-same-subnet" } else { "rs-announce-0" })
}
