//! Sysctls: drlab's pinned baseline, then what roles and the ARP cure imply, then the node's own.
//!
//! A new namespace copies `conf/all` and `conf/default` from the machine's first one, so nothing is left to chance: the
//! baseline is written in every node although most of it is what a pristine kernel has. In `conf/all`, `conf/default`
//! and each interface but `lo`: all of [`IPV4_BASELINE`]; in `conf/lo` only what decides ARP. Besides `ip_forward` (1
//! on routers), `icmp_ratelimit` 0 (the decisive ICMP error must not be missing), and IPv6 off, or, where the scenario
//! speaks it, on without duplicate address detection and router advertisements (addresses usable at once, quiet
//! captures).

use super::draft::Draft;
use super::loads::Wave;
use super::{LinkKind, Node, Sysctl, arp};
use crate::base::{Forwarding, Role};
use crate::scenario::spec::SysctlValue;

/// Per interface, with what a pristine kernel has.
pub const IPV4_BASELINE: &[(&str, &str)] = &[
    ("arp_ignore", "0"),
    ("arp_announce", "0"),
    ("arp_filter", "0"),
    ("arp_notify", "0"),
    ("arp_accept", "0"),
    ("proxy_arp", "0"),
    ("rp_filter", "0"),
    ("accept_local", "0"),
    ("send_redirects", "1"),
];

/// What of it is written on `lo`.
const ON_LOOPBACK: &[&str] = &["arp_ignore", "arp_announce"];

/// Ports of one source address before the range is widened; the kernel's own range has 28 232.
const PORTS_ENOUGH: u32 = 20_000;

/// Fills in each node's sysctls.
pub(super) fn add(draft: &mut Draft<'_>, loads: &[Wave]) {
    let v6 = draft.speaks_v6();
    let baseline = if v6 { "IPv6 on, without duplicate address detection" } else { "IPv6 off" };
    draft.imply(
        "lab",
        format!(
            "the sysctl baseline in every node: ARP and rp_filter at 0, send_redirects 1, icmp_ratelimit 0, {baseline}"
        ),
        "a new namespace copies what the machine has, and the lab must not depend on it",
    );
    for index in 0..draft.nodes.len() {
        let mut list = baseline_of(&draft.nodes[index], v6);
        let mut said = by_role(draft, index, &mut list);
        if let Some(ports) = ports(draft, index, loads) {
            set(&mut list, "net.ipv4.ip_local_port_range", ports, false);
            said.push((
                format!("ip_local_port_range {ports}"),
                "the load needs more ports than the kernel's range has",
            ));
        }
        for (key, value) in arp::sysctls(draft, index) {
            set(&mut list, key, value, false);
        }
        let name = draft.nodes[index].name.clone();
        for (key, value) in draft.said(&name).into_iter().flat_map(|n| &n.sysctls) {
            set(&mut list, key, &text(value), false);
        }
        draft.nodes[index].sysctls = list;
        for (what, why) in said {
            draft.imply(&name, what, why);
        }
    }
}

/// A value as it is written.
pub(super) fn text(value: &SysctlValue) -> String {
    match value {
        SysctlValue::Number(number) => number.to_string(),
        SysctlValue::Text(text) => text.clone(),
    }
}

/// Sets a key. An earlier value goes, so that each key is written once, where it was said last.
fn set(list: &mut Vec<Sysctl>, key: &str, value: &str, baseline: bool) {
    list.retain(|s| s.key != key);
    list.push(Sysctl { key: key.to_owned(), value: value.to_owned(), baseline });
}

fn baseline_of(node: &Node, v6: bool) -> Vec<Sysctl> {
    let mut list = Vec::new();
    let mut put = |key: String, value: &str| list.push(Sysctl { key, value: value.to_owned(), baseline: true });
    // Changing `ip_forward` resets other keys of all interfaces, so it comes first.
    put("net.ipv4.ip_forward".to_owned(), "0");
    put("net.ipv4.icmp_ratelimit".to_owned(), "0");
    let devices: Vec<String> = node
        .interfaces
        .iter()
        .filter(|i| i.kind != LinkKind::Loopback)
        .map(|i| i.name.as_str().replace('.', "/"))
        .collect();
    if v6 {
        put("net.ipv6.conf.all.disable_ipv6".to_owned(), "0");
        for device in ["all", "default"].into_iter().chain(devices.iter().map(String::as_str)) {
            put(format!("net.ipv6.conf.{device}.accept_dad"), "0");
            put(format!("net.ipv6.conf.{device}.accept_ra"), "0");
        }
    } else {
        // `all` writes through to `default` and every interface (`addrconf_disable_ipv6`).
        put("net.ipv6.conf.all.disable_ipv6".to_owned(), "1");
    }
    for device in ["default", "all", "lo"].into_iter().chain(devices.iter().map(String::as_str)) {
        for (key, value) in IPV4_BASELINE {
            if device != "lo" || ON_LOOPBACK.contains(key) {
                put(format!("net.ipv4.conf.{device}.{key}"), value);
            }
        }
    }
    list
}

/// Changes a key of the baseline in its place, which matters for the order; adds it where it is not there.
fn change(list: &mut Vec<Sysctl>, key: &str, value: &str) {
    let new = Sysctl { key: key.to_owned(), value: value.to_owned(), baseline: false };
    match list.iter_mut().find(|s| s.key == key) {
        Some(sysctl) => *sysctl = new,
        None => list.push(new),
    }
}

fn by_role(draft: &Draft<'_>, index: usize, list: &mut Vec<Sysctl>) -> Vec<(String, &'static str)> {
    let node = &draft.nodes[index];
    let mut said = Vec::new();
    let masquerades = masqueraded(draft, node).next().is_some();
    if node.role == Role::Router || masquerades {
        let why = if masquerades { "a NAT Director forwards the replies" } else { "a router forwards" };
        change(list, "net.ipv4.ip_forward", "1");
        said.push(("ip_forward 1".to_owned(), why));
        if draft.speaks_v6() {
            change(list, "net.ipv6.conf.all.forwarding", "1");
            said.push(("net.ipv6.conf.all.forwarding 1".to_owned(), why));
        }
    }
    if one_armed(draft, node) {
        for sysctl in list.iter_mut().filter(|s| s.key.ends_with(".send_redirects")) {
            "0".clone_into(&mut sysctl.value);
            sysctl.baseline = false;
        }
        said.push((
            "send_redirects 0".to_owned(),
            "with clients and real servers on one side, a redirect would lead replies past the NAT",
        ));
    }
    said
}

/// Where a NAT Director's real servers are.
fn masqueraded<'d>(draft: &'d Draft<'_>, node: &'d Node) -> impl Iterator<Item = &'d super::Destination> {
    let held = draft.services.iter().filter(|w| w.directors.contains(&node.name));
    held.flat_map(|w| &w.service.destinations).filter(|d| d.forwarding == Forwarding::Nat)
}

/// Whether a NAT Director has real servers on the segment where clients' packets come in.
fn one_armed(draft: &Draft<'_>, node: &Node) -> bool {
    let front = draft.vips.first().and_then(|vip| draft.front(node, *vip)).and_then(|i| i.segment());
    let servers = masqueraded(draft, node).filter_map(|d| d.node.as_ref());
    let mut beside = servers.filter_map(|n| draft.nodes.iter().find(|other| other.name == *n));
    front.is_some_and(|segment| beside.any(|n| n.port_on(segment).is_some()))
}

fn ports(draft: &Draft<'_>, index: usize, loads: &[Wave]) -> Option<&'static str> {
    let name = &draft.nodes[index].name;
    let many = |wave: &Wave| {
        let sources = u32::try_from(wave.clients.len()).unwrap_or(u32::MAX).max(1).saturating_mul(wave.addresses);
        wave.clients.contains(name) && wave.requests / sources.max(1) > PORTS_ENOUGH
    };
    loads.iter().any(many).then_some("1024 65535")
}
