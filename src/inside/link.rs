//! Interfaces: bridges, veths, dummies, IPIP, and their state.
//!
//! Owns: making and changing interfaces of the namespace that the handle was opened in. Refuses: addresses, and the
//! order in which a lab is built.

pub mod jitter;
pub mod offload;
pub mod port;

use std::os::fd::{AsRawFd, OwnedFd};

use futures_util::TryStreamExt;
use nix::errno::Errno;
use rtnetlink::packet_route::link::{
    InfoBridge, InfoData, InfoKind, InfoVeth, IpVlanMode, LinkAttribute, LinkInfo, LinkMessage, MacVlanMode, State,
};
use rtnetlink::{Handle, LinkBridge, LinkDummy, LinkIpVlan, LinkMacVlan, LinkMessageBuilder, LinkUnspec, LinkVeth};

use super::rtnl::{Attempt, Refused, RtnlError};
use crate::base::{IfName, Mac};

/// The loopback's number in every namespace.
pub const LOOPBACK: u32 = 1;

/// One end of a veth pair.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// Its name.
    pub name: &'a IfName,
    /// Its number in its namespace, chosen by us so that none has to be looked up.
    pub index: u32,
    /// Its Ethernet address; `None` lets the kernel draw one.
    pub mac: Option<Mac>,
}

/// Makes a bridge that is a plain switch: no spanning tree, no delay before forwarding, no multicast snooping; `vlans` makes it heed
/// VLANs. It is down.
///
/// # Errors
/// The kernel's refusal.
pub async fn add_bridge(handle: &Handle, name: &IfName, index: u32, mtu: u32, vlans: bool) -> Result<(), RtnlError> {
    let bridge = LinkBridge::new(name.as_str())
        .index(index)
        .mtu(mtu)
        .mcast_snooping(false)
        .stp_state(rtnetlink::packet_route::link::BridgeStpState::Disabled)
        .forward_delay(0)
        .down();
    // Ports are then in no VLAN but their own.
    let heeding = [InfoBridge::VlanDefaultPvid(0), InfoBridge::VlanFiltering(true)];
    let bridge = if vlans {
        heeding.into_iter().fold(bridge, LinkMessageBuilder::<LinkBridge>::append_info_data)
    } else {
        bridge
    };
    handle.link().add(bridge.build()).execute().await.attempt(|| format!("make the bridge {name}"))
}

/// Makes a veth pair: `port` here, in the bridge with number `bridge`, `far` in the namespace given. Both are down.
///
/// # Errors
/// The kernel's refusal.
pub async fn add_veth(
    handle: &Handle,
    port: End<'_>,
    bridge: u32,
    far: End<'_>,
    namespace: &OwnedFd,
    (port_mtu, mtu): (u32, u32),
) -> Result<(), RtnlError> {
    let mut peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name(far.name.as_str())
        .index(far.index)
        .mtu(mtu)
        .setns_by_fd(namespace.as_raw_fd());
    if let Some(mac) = far.mac {
        peer = peer.address(mac.0.to_vec());
    }
    // Linux 6.1 heeds the peer's number only where this end has one, too.
    let mut near = LinkVeth::new(port.name.as_str(), far.name.as_str())
        .index(port.index)
        .mtu(port_mtu)
        .controller(bridge)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())));
    if let Some(mac) = port.mac {
        near = near.address(mac.0.to_vec());
    }
    handle.link().add(near.build()).execute().await.attempt(|| format!("make the veth {} to {}", port.name, far.name))
}

/// Makes a macvlan (mode `bridge`) or an ipvlan (mode `l2`) in the namespace given, on top of the interface here with the
/// number `lower`. It is down.
///
/// # Errors
/// The kernel's refusal.
pub async fn add_upper(
    handle: &Handle,
    upper: End<'_>,
    macvlan: bool,
    lower: u32,
    namespace: &OwnedFd,
    mtu: u32,
) -> Result<(), RtnlError> {
    let name = upper.name.as_str();
    let message = if macvlan {
        let link = LinkMacVlan::new(name, lower, MacVlanMode::Bridge).index(upper.index).mtu(mtu);
        let link = link.setns_by_fd(namespace.as_raw_fd());
        match upper.mac {
            Some(mac) => link.address(mac.0.to_vec()),
            None => link,
        }
        .build()
    } else {
        let link = LinkIpVlan::new(name, lower, IpVlanMode::L2).index(upper.index).mtu(mtu);
        link.setns_by_fd(namespace.as_raw_fd()).build()
    };
    let kind = if macvlan { "macvlan" } else { "ipvlan" };
    handle.link().add(message).execute().await.attempt(|| format!("make the {kind} {name}"))
}

/// Has an interface do no ARP.
///
/// # Errors
/// The kernel's refusal.
pub async fn no_arp(handle: &Handle, index: u32, name: &IfName) -> Result<(), RtnlError> {
    let change = LinkMessageBuilder::<LinkUnspec>::new().index(index).arp(false);
    handle.link().change(change.build()).execute().await.attempt(|| format!("switch ARP off on {name}"))
}

/// Makes a dummy device; it is down.
///
/// # Errors
/// The kernel's refusal.
pub async fn add_dummy(handle: &Handle, end: End<'_>, mtu: u32) -> Result<(), RtnlError> {
    let mut dummy = LinkDummy::new(end.name.as_str()).index(end.index).mtu(mtu);
    if let Some(mac) = end.mac {
        dummy = dummy.address(mac.0.to_vec());
    }
    handle.link().add(dummy.build()).execute().await.attempt(|| format!("make the dummy device {}", end.name))
}

/// Sees to it that the namespace has its fallback IPIP device, `tunl0`, and says its number. It comes with the module;
/// where it is missing, asking for one makes the kernel load the module.
///
/// # Errors
/// The kernel's refusal.
pub async fn ensure_ipip(handle: &Handle, name: &IfName) -> Result<u32, RtnlError> {
    if let Some(found) = find(handle, name).await? {
        return Ok(found.header.index);
    }
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(name.as_str().to_owned()),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::IpIp)]),
    ];
    let made = handle.link().add(message).execute().await.map_err(Refused::from);
    match made {
        // The module has brought the device along.
        Err(refused) if refused.errno() == Some(Errno::EEXIST) => {}
        other => other.attempt(|| format!("make the IPIP device {name}"))?,
    }
    index(handle, name).await
}

/// Sets an interface up or down.
///
/// # Errors
/// The kernel's refusal.
pub async fn set_up(handle: &Handle, index: u32, name: &IfName, up: bool) -> Result<(), RtnlError> {
    let change = LinkMessageBuilder::<LinkUnspec>::new().index(index);
    let change = if up { change.up() } else { change.down() };
    let way = if up { "up" } else { "down" };
    handle.link().change(change.build()).execute().await.attempt(|| format!("set {name} {way}"))
}

/// The number of the interface with this name.
///
/// # Errors
/// [`Refused::Missing`] where there is none.
pub async fn index(handle: &Handle, name: &IfName) -> Result<u32, RtnlError> {
    match find(handle, name).await? {
        Some(found) => Ok(found.header.index),
        None => Err(Refused::Missing).attempt(|| format!("find the interface {name}")),
    }
}

/// All interfaces, by number.
pub(super) async fn all(handle: &Handle) -> Result<Vec<LinkMessage>, RtnlError> {
    let mut links: Vec<LinkMessage> =
        handle.link().get().execute().try_collect().await.attempt(|| "list interfaces".to_owned())?;
    links.sort_by_key(|link| link.header.index);
    Ok(links)
}

/// The interface with this number. Asking for one and not for all makes Linux from 6.8 on first do what it has put off
/// about the carrier.
pub(super) async fn one(handle: &Handle, index: u32, name: &IfName) -> Result<LinkMessage, RtnlError> {
    let what = || format!("look at {name}");
    let answers: Vec<LinkMessage> =
        handle.link().get().match_index(index).execute().try_collect().await.attempt(what)?;
    answers.into_iter().next().ok_or(Refused::Missing).attempt(what)
}

/// An interface's operational state (RFC 2863).
pub(super) fn operational(link: &LinkMessage) -> State {
    let state = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::OperState(state) => Some(*state),
        _ => None,
    });
    state.unwrap_or(State::Unknown)
}

/// An interface's name.
pub(super) fn name(link: &LinkMessage) -> Option<IfName> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => name.parse().ok(),
        _ => None,
    })
}

async fn find(handle: &Handle, wanted: &IfName) -> Result<Option<LinkMessage>, RtnlError> {
    Ok(all(handle).await?.into_iter().find(|link| name(link).as_ref() == Some(wanted)))
}
