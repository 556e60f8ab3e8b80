//! MACs: those given, else `02:<role>:00:<number>:<interface>`, so that a reader of a dump knows the node.
//!
//! The role's byte is `c1` for a client, `e0` for a router, `d1` for a Director, `5e` for a real server. Number and
//! interface are the digits at the end of their names, as they are written (`rs12` is `00:12`); without digits it is
//! the ordinal among the nodes of that role. The third byte only counts up where a MAC is already taken.

use std::collections::BTreeSet;

use super::draft::Draft;
use super::{Interface, LinkKind, Node};
use crate::base::{Mac, Role};

/// Gives each interface that has a MAC one of its own; then those the same that are to have another's.
pub(super) fn fix(draft: &mut Draft<'_>) {
    let mut taken: BTreeSet<Mac> = draft.nodes.iter().flat_map(|n| &n.interfaces).filter_map(|i| i.mac).collect();
    for index in 0..draft.nodes.len() {
        let number = node_number(&draft.nodes, index);
        for at in 0..draft.nodes[index].interfaces.len() {
            let node = &draft.nodes[index];
            let interface = &node.interfaces[at];
            let has_mac = match &interface.kind {
                LinkKind::Segment(_) | LinkKind::Dummy => true,
                LinkKind::Upper(upper) => upper.macvlan,
                LinkKind::Loopback | LinkKind::Ipip => false,
            };
            if !has_mac || interface.mac.is_some() {
                continue;
            }
            let mac = free(node.role, number, interface_number(interface, at), &mut taken);
            let (whom, what) = (node.name.clone(), format!("MAC {mac} on {}", interface.name));
            draft.nodes[index].interfaces[at].mac = Some(mac);
            draft.imply(whom, what, "it tells role, node and interface: 02:<role>:00:<node>:<interface>");
        }
    }
}

/// Gives clones the MAC of the node that they are clones of, and an ipvlan that of the interface below.
pub(super) fn share(draft: &mut Draft<'_>) {
    let of = |draft: &Draft<'_>, index: usize, at: usize| {
        let node = &draft.nodes[index];
        let interface = &node.interfaces[at];
        let node_of = |name: &str| draft.nodes.iter().find(|n| n.name == *name);
        if let LinkKind::Upper(upper) = &interface.kind {
            let below = || node_of(upper.node.as_str())?.interface(upper.lower.as_str());
            return if upper.macvlan { None } else { below()?.mac };
        }
        let said = draft.said(&node.name)?.interfaces.get(&interface.name)?;
        node_of(said.mac_of.as_ref()?.as_str())?.port_on(interface.segment()?)?.mac
    };
    for index in 0..draft.nodes.len() {
        for at in 0..draft.nodes[index].interfaces.len() {
            if let Some(mac) = of(draft, index, at) {
                draft.nodes[index].interfaces[at].mac = Some(mac);
            }
        }
    }
}

fn free(role: Role, number: u16, interface: u8, taken: &mut BTreeSet<Mac>) -> Mac {
    let [high, low] = number.to_be_bytes();
    let mut mac = Mac([0x02, role_byte(role), 0, high, low, interface]);
    while !taken.insert(mac) {
        let [.., third, high, low, interface] = mac.0;
        let [high, low] = u16::from_be_bytes([high, low]).wrapping_add(u16::from(third == u8::MAX)).to_be_bytes();
        mac = Mac([0x02, role_byte(role), third.wrapping_add(1), high, low, interface]);
    }
    mac
}

fn role_byte(role: Role) -> u8 {
    match role {
        Role::Client => 0xc1,
        Role::Router => 0xe0,
        Role::Director => 0xd1,
        Role::RealServer => 0x5e,
    }
}

fn node_number(nodes: &[Node], index: usize) -> u16 {
    let ordinal = nodes[..=index].iter().filter(|n| n.role == nodes[index].role).count();
    digits_at_end(nodes[index].name.as_str())
        .or_else(|| u16::from_str_radix(&ordinal.to_string(), 16).ok())
        .unwrap_or(u16::MAX)
}

fn interface_number(interface: &Interface, at: usize) -> u8 {
    // Dummies are numbered apart from Ethernet: `dummy0` and `eth0` of one node would else collide.
    let base = if interface.kind == LinkKind::Dummy { 0x90 } else { 0 };
    let number = digits_at_end(interface.name.as_str()).and_then(|n| u8::try_from(n).ok());
    number.or_else(|| u8::try_from(at).ok()).unwrap_or(u8::MAX) | base
}

/// The decimal digits at the end of a name, read as hexadecimal so that they look the same in a MAC.
fn digits_at_end(name: &str) -> Option<u16> {
    let start = name.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    u16::from_str_radix(name.get(start..)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{digits_at_end, free};
    use crate::base::Role;

    #[test]
    fn a_mac_shows_the_digits_of_the_name() {
        let number = digits_at_end("rs12").unwrap();
        assert_eq!(free(Role::RealServer, number, 0, &mut BTreeSet::new()).to_string(), "02:5e:00:00:12:00");
    }

    #[test]
    fn a_name_without_digits_has_no_number() {
        assert_eq!(digits_at_end("director"), None);
    }

    #[test]
    fn a_thousand_nodes_of_one_number_get_a_thousand_macs() {
        let mut taken = BTreeSet::new();
        for _ in 0..1000 {
            free(Role::Client, 1, 0, &mut taken);
        }
        assert_eq!(taken.len(), 1000);
    }
}
