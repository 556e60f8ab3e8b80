//! The cure of the ARP problem: only the Director may answer who-has for the VIP, and no real server may ask in its
//! name.
//!
//! - `sysctl`: `arp_ignore=1` and `arp_announce=2` in `conf/all` of each real server.
//! - `arptables` on each real server: requests for the VIP are dropped, and the VIP as sender becomes the RIP (Red
//!   Hat's documentation of LVS).
//! - `static-binding`: the VIP with the Director's MAC as permanent entry on each router and client of the VIP's
//!   segment. Real servers keep the kernel's defaults and go on speaking for the VIP; a permanent entry is not
//!   overwritten by what they say (`neigh_update`).
//!
//! IPv6 needs none: a neighbour solicitation is answered only for addresses of the interface that it came in by.

use std::net::IpAddr;

use super::draft::Draft;
use super::{CompileError, Neighbour};
use crate::base::{Forwarding, NodeName, Role};
use crate::scenario::spec::ArpCure;

/// The sysctls of the cure on this node.
pub(super) fn sysctls(draft: &Draft<'_>, index: usize) -> Vec<(&'static str, &'static str)> {
    if needs_cure(draft, index) && cure_of(draft, &draft.nodes[index].name) == ArpCure::Sysctl {
        vec![("net.ipv4.conf.all.arp_ignore", "1"), ("net.ipv4.conf.all.arp_announce", "2")]
    } else {
        Vec::new()
    }
}

/// Adds the permanent entries of static binding, and says which cure each real server got by sysctl.
pub(super) fn cure(draft: &mut Draft<'_>) {
    for index in 0..draft.nodes.len() {
        let node = &draft.nodes[index];
        let binds = cure_of(draft, &node.name) == ArpCure::StaticBinding;
        if binds && matches!(node.role, Role::Router | Role::Client) {
            bind(draft, index);
        }
        let sysctls = sysctls(draft, index);
        if !sysctls.is_empty() {
            let what: Vec<String> = sysctls.iter().map(|(key, value)| format!("{key} {value}")).collect();
            let whom = draft.nodes[index].name.clone();
            draft.imply(
                whom,
                what.join(", "),
                "the ARP cure: no answer for an address of another interface, no question in the VIP's name",
            );
        }
    }
}

fn cure_of(draft: &Draft<'_>, node: &NodeName) -> ArpCure {
    draft.said(node).and_then(|n| n.arp_cure).or(draft.scenario.arp_cure).unwrap_or(ArpCure::Sysctl)
}

/// Whether the node is a real server that an IPv4 VIP is meant for; under NAT it never has one.
fn needs_cure(draft: &Draft<'_>, index: usize) -> bool {
    let node = &draft.nodes[index];
    let destinations = || draft.services.iter().flat_map(|w| &w.service.destinations);
    let mut mine = destinations().filter(|d| d.node.as_ref() == Some(&node.name)).peekable();
    let only_nat = mine.peek().is_some() && mine.all(|d| d.forwarding == Forwarding::Nat);
    node.role == Role::RealServer && draft.vips.iter().any(IpAddr::is_ipv4) && !only_nat
}

/// The rules for `arptables` of the cure on this node.
pub(super) fn rules(draft: &Draft<'_>, index: usize) -> Result<Vec<Vec<String>>, CompileError> {
    let node = &draft.nodes[index];
    let mut rules = Vec::new();
    if !needs_cure(draft, index) || cure_of(draft, &node.name) != ArpCure::Arptables {
        return Ok(rules);
    }
    for vip in draft.vips.iter().filter(|v| v.is_ipv4()) {
        let home = draft.vip_home(*vip).map(|(director, _)| director);
        let family = super::draft::Family::V4;
        let missing = || CompileError::NoAddress {
            node: node.name.clone(),
            family: family.name(),
            what: "arptables to put in the VIP's place".to_owned(),
        };
        let rip = draft.own_address(node, home, family).ok_or_else(missing)?.to_string();
        let vip = vip.to_string();
        for rule in [
            vec!["-A", "INPUT", "-d", &vip, "-j", "DROP"],
            vec!["-A", "OUTPUT", "-s", &vip, "-j", "mangle", "--mangle-ip-s", &rip],
        ] {
            rules.push(rule.into_iter().map(ToOwned::to_owned).collect());
        }
    }
    Ok(rules)
}

fn bind(draft: &mut Draft<'_>, index: usize) {
    for vip in draft.vips.clone().into_iter().filter(IpAddr::is_ipv4) {
        let Some((director, home)) = draft.vip_home(vip) else { continue };
        let (Some(segment), Some(mac)) = (home.segment(), home.mac) else { continue };
        let node = &draft.nodes[index];
        let Some(port) = node.port_on(segment) else { continue };
        if node.neighbours.iter().any(|n| n.address == vip) {
            continue;
        }
        let what = format!("neighbour {vip} lladdr {mac} dev {} permanent", port.name);
        let why = format!("the ARP cure: {} is bound to the VIP, whatever real servers say", director.name);
        let whom = node.name.clone();
        let entry = Neighbour { interface: port.name.clone(), address: vip, mac };
        draft.nodes[index].neighbours.push(entry);
        draft.imply(whom, what, why);
    }
}
