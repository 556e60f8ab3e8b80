//! Where the VIP is: on one Director towards the segment, on every real server that is reached by direct routing or by
//! tunnel, without telling anyone.

use std::net::IpAddr;

use super::draft::{Draft, Family};
use super::interfaces::{by_name, device};
use super::{Address, CompileError, LinkKind};
use crate::base::{DirectorKind, Forwarding, IfName, NodeName, Role};
use crate::scenario::spec::{NodeVip, VipPlacement};

/// A place for a VIP: device, label, prefix length, broadcast.
struct Place {
    device: IfName,
    label: Option<String>,
    prefix: Option<u8>,
    broadcast: Option<IpAddr>,
    /// Whether duplicate address detection is made.
    dad: bool,
    /// Whether the label is this VIP's alone, and gets no number.
    as_it_stands: bool,
    /// Why there, where the scenario does not say it of this node.
    why: Option<&'static str>,
}

/// Adds the VIPs, after all other addresses, so that on the Director the DIP is primary: a Director whose primary
/// address is the VIP gets no answer from any host that owns the VIP too.
pub(super) fn place(draft: &mut Draft<'_>) -> Result<(), CompileError> {
    for at in 0..draft.vips.len() {
        let vip = draft.vips[at];
        let mut placed_on_director = false;
        for index in 0..draft.nodes.len() {
            let Some(place) = place_on(draft, index, vip, placed_on_director)? else { continue };
            placed_on_director |= draft.nodes[index].role == Role::Director;
            put(draft, index, vip, at, &place)?;
        }
    }
    open_tunnels(draft)
}

/// Gives each real server that is reached by tunnel the device that takes the outer header off.
fn open_tunnels(draft: &mut Draft<'_>) -> Result<(), CompileError> {
    for index in 0..draft.nodes.len() {
        let node = &draft.nodes[index];
        let has = node.interfaces.iter().any(|i| i.kind == LinkKind::Ipip);
        let mut destinations = draft.services.iter().flat_map(|w| &w.service.destinations);
        let tunnelled = destinations.any(|d| d.node.as_ref() == Some(&node.name) && d.forwarding == Forwarding::Tun);
        let remote = node.role != Role::Director;
        if let Some(tunl0) = by_name(&device(&node.name, "tunl0")?).filter(|_| tunnelled && remote && !has) {
            let whom = node.name.clone();
            draft.nodes[index].interfaces.push(tunl0);
            draft.imply(whom, "the device tunl0", "the Director sends to it by IPIP");
        }
    }
    Ok(())
}

fn place_on(draft: &Draft<'_>, index: usize, vip: IpAddr, taken: bool) -> Result<Option<Place>, CompileError> {
    let node = &draft.nodes[index];
    let name = &node.name;
    let said = draft.said(name).and_then(|n| n.vip.as_ref());
    Ok(match said {
        Some(NodeVip::Own(false)) => None,
        Some(NodeVip::On(on)) => Some(parsed(name, on)?),
        Some(NodeVip::Placed(p)) => {
            Some(Place { prefix: p.prefix, broadcast: p.broadcast, dad: p.dad, ..parsed(name, &p.on)? })
        }
        Some(NodeVip::Each(each)) => match each.iter().find(|p| p.address.is_none_or(|address| address == vip)) {
            // A label that the scenario gives to one VIP is kept as it stands.
            Some(p) => Some(Place {
                prefix: p.prefix,
                broadcast: p.broadcast,
                dad: p.dad,
                as_it_stands: p.address.is_some(),
                ..parsed(name, &p.on)?
            }),
            None => None,
        },
        Some(NodeVip::Own(true)) => Some(usual(draft, index, vip)?),
        None => match node.role {
            Role::Director if node.kind != DirectorKind::Ipvs => None,
            Role::Director if !taken && may_hold(draft, name, vip) => Some(usual(draft, index, vip)?),
            Role::RealServer => match reached_by(draft, name, vip) {
                Some(Forwarding::Tun) if placed_as_usual(draft) => Some(Place {
                    why: Some("packets for the VIP come out of the IPIP tunnel there"),
                    ..parsed(name, "tunl0")?
                }),
                Some(Forwarding::DirectRouting | Forwarding::LocalNode | Forwarding::Tun) => {
                    Some(usual(draft, index, vip)?)
                }
                Some(Forwarding::Nat) | None => None,
            },
            Role::Director | Role::Router | Role::Client => None,
        },
    })
}

/// Whether the Director holds a service of the VIP, or none does.
fn may_hold(draft: &Draft<'_>, director: &NodeName, vip: IpAddr) -> bool {
    let mut holders = draft.services.iter().filter(|w| w.vip == vip).flat_map(|w| &w.directors).peekable();
    holders.peek().is_none() || holders.any(|holder| holder == director)
}

/// Whether the scenario leaves it open where real servers have the VIP.
fn placed_as_usual(draft: &Draft<'_>) -> bool {
    draft.scenario.vip_placement.real_server == VipPlacement::default().real_server
}

/// How packets for the VIP reach a real server. One that no service names is taken for one of the VIP's.
fn reached_by(draft: &Draft<'_>, node: &NodeName, vip: IpAddr) -> Option<Forwarding> {
    let all = || draft.services.iter().flat_map(|w| w.service.destinations.iter().map(move |d| (w.vip, d)));
    let mine = || all().filter(|(_, d)| d.node.as_ref() == Some(node));
    let by = |wanted| mine().any(|(v, d)| v == vip && d.forwarding == wanted);
    if mine().next().is_none() || by(Forwarding::DirectRouting) {
        Some(Forwarding::DirectRouting)
    } else if by(Forwarding::Tun) {
        Some(Forwarding::Tun)
    } else if by(Forwarding::Nat) {
        Some(Forwarding::Nat)
    } else {
        None
    }
}

/// As the scenario places the VIP on nodes of that role.
fn usual(draft: &Draft<'_>, index: usize, vip: IpAddr) -> Result<Place, CompileError> {
    let node = &draft.nodes[index];
    let (default, placement) = (VipPlacement::default(), &draft.scenario.vip_placement);
    let on_lo = node.role == Role::RealServer;
    let text = if on_lo { &placement.real_server } else { &placement.director };
    let mut place = parsed(&node.name, text)?;
    let front = draft.front(node, vip).filter(|_| !on_lo && *text == default.director);
    if let Some(front) = front {
        place.label = Some(format!("{}:0", front.name));
        place.device = front.name.clone();
    }
    place.prefix = placement.prefix;
    place.why = Some(match node.role {
        Role::RealServer => "a real server takes packets for the VIP without telling the segment",
        Role::Director | Role::Router | Role::Client => "the Director owns the VIP towards the segment",
    });
    Ok(place)
}

fn parsed(node: &NodeName, text: &str) -> Result<Place, CompileError> {
    let (name, label) = match text.split_once(':') {
        Some((name, _)) => (name, Some(text.to_owned())),
        None => (text, None),
    };
    if text.len() > 15 {
        return Err(CompileError::LongLabel { node: node.clone(), label: text.to_owned() });
    }
    let device = device(node, name)?;
    Ok(Place { device, label, prefix: None, broadcast: None, dad: false, as_it_stands: false, why: None })
}

fn put(draft: &mut Draft<'_>, index: usize, vip: IpAddr, nth: usize, place: &Place) -> Result<(), CompileError> {
    let name = draft.nodes[index].name.clone();
    let address = vip_address(&name, vip, nth, place, draft.nodes[index].role)?;
    if !draft.nodes[index].interfaces.iter().any(|i| i.name == place.device) {
        let unknown = || CompileError::UnknownInterface {
            node: name.clone(),
            interface: place.device.to_string(),
            what: format!("the VIP {vip}"),
        };
        let interface = by_name(&place.device).ok_or_else(unknown)?;
        draft.nodes[index].interfaces.push(interface);
        draft.imply(&name, format!("the device {}", place.device), "the VIP is placed on it");
    }
    if let Some(why) = place.why {
        let on = address.label.clone().unwrap_or_else(|| place.device.to_string());
        let broadcast = address.broadcast.map(|b| format!(" broadcast {b}")).unwrap_or_default();
        draft.imply(&name, format!("VIP {}{broadcast} on {on}", address.address), why);
    }
    let mut interfaces = draft.nodes[index].interfaces.iter_mut();
    if let Some(interface) = interfaces.find(|i| i.name == place.device && !i.carries(vip)) {
        interface.addresses.push(address);
    }
    Ok(())
}

fn vip_address(node: &NodeName, vip: IpAddr, nth: usize, place: &Place, role: Role) -> Result<Address, CompileError> {
    let prefix = place.prefix.unwrap_or(Family::of(vip).bits());
    let bad = |_| CompileError::BadPrefix { node: node.clone(), vip, prefix };
    let address = ipnet::IpNet::new(vip, prefix).map_err(bad)?;
    let IpAddr::V4(v4) = vip else {
        let nodad = !place.dad && (role == Role::Director || place.device != *"lo");
        return Ok(Address { address, broadcast: None, label: None, nodad });
    };
    let broadcast = match place.broadcast {
        Some(IpAddr::V4(given)) => Some(given),
        Some(IpAddr::V6(_)) | None => (prefix == 32).then_some(v4),
    };
    let nth = if place.as_it_stands { 0 } else { nth };
    Ok(Address { address, broadcast, label: place.label.as_ref().map(|l| numbered(l, nth)), nodad: false })
}

/// The label for the VIP of that number: `lo:0`, `lo:1`, …
fn numbered(label: &str, nth: usize) -> String {
    match label.rsplit_once(':') {
        Some((device, number)) => match number.parse::<usize>() {
            Ok(number) => format!("{device}:{}", number.saturating_add(nth)),
            Err(_) => label.to_owned(),
        },
        None => label.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn each_vip_has_a_label_of_its_own() {
        assert_eq!(numbered("lo:0", 2), "lo:2");
        assert_eq!(numbered("lo:vip", 2), "lo:vip");
    }
}
