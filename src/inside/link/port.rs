//! What a bridge's port does beyond switching: isolation, a VLAN, a lock on MACs, filters by address; and reading it back.
//!
//! Owns: port attributes of the bridge driver, static forwarding entries, and filters by `cls_u32` on the port's `clsact`
//! (no tool is needed for them). Refuses: which port is to do what. A filter that has another shape than those made here
//! is not read.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use futures_util::{StreamExt, TryStreamExt};
use rtnetlink::packet_core::{DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::link::{
    AfSpecBridge, BridgeVlanInfoFlags, InfoBridge, InfoBridgePort, InfoData, InfoPortData, InfoPortKind, LinkAttribute,
    LinkExtentMask, LinkInfo, LinkMessage,
};
use rtnetlink::packet_route::neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState};
use rtnetlink::packet_route::tc::{
    TcAction, TcActionAttribute, TcActionOption, TcAttribute, TcFilterU32Option, TcHandle, TcMessage, TcOption,
    TcU32Key, TcU32Selector, TcU32SelectorFlags,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{Error, Handle, LinkBridgeVlan, LinkMessageBuilder, LinkUnspec};

use crate::base::Mac;
use crate::facts::{LooksAt, PortFilter};
use crate::inside::rtnl::{Attempt, Refused, RtnlError};
use crate::plan::Port;

/// `TC_H_CLSACT`.
const CLSACT: u32 = 0xffff_fff1;
/// `TC_ACT_OK` and `TC_ACT_SHOT`.
const PASS: i32 = 0;
const DROP: i32 = 2;
/// `TCA_GACT_PARMS`, and the bytes of `struct tc_gact`: index, capabilities, action, two reference counts.
const GACT_PARAMETERS: u16 = 2;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;

/// Sets a port of a bridge up as planned.
///
/// # Errors
/// The kernel's refusal.
pub async fn set(handle: &Handle, index: u32, port: &Port) -> Result<(), RtnlError> {
    let name = &port.name;
    let mut parts = Vec::new();
    parts.extend(port.isolated.then_some(InfoBridgePort::Isolated(true)));
    parts.extend(port.locked.as_ref().map(|_| InfoBridgePort::Locked(true)));
    for mac in port.locked.iter().flatten() {
        let entry = handle.neighbours().add_bridge(index, &mac.0).state(NeighbourState::Noarp);
        let entry = entry.flags(NeighbourFlags::Controller);
        entry.execute().await.attempt(|| format!("pin {mac} to the port {name}"))?;
    }
    if !parts.is_empty() {
        let change = LinkMessageBuilder::<LinkUnspec>::new()
            .index(index)
            .set_port_kind(InfoPortKind::Bridge)
            .set_port_data(InfoPortData::BridgePort(parts));
        handle.link().change(change.build()).execute().await.attempt(|| format!("isolate or lock the port {name}"))?;
    }
    if let Some(vlan) = port.vlan {
        let flags = BridgeVlanInfoFlags::Pvid | BridgeVlanInfoFlags::Untagged;
        let message = LinkBridgeVlan::new(index).vlan(vlan, flags).build();
        handle.link().set(message).execute().await.attempt(|| format!("put the port {name} into VLAN {vlan}"))?;
    }
    if !port.filters.is_empty() {
        clsact(handle, index).await.attempt(|| format!("prepare filters of the port {name}"))?;
    }
    for filter in &port.filters {
        let rules = filter.passes.iter().map(|passes| (Some(*passes), PASS)).chain([(None, DROP)]);
        for (address, verdict) in rules {
            let what = || format!("make the filter {} of the port {name}", filter.looks_at.name());
            add_rule(handle, index, filter.looks_at, address, verdict).await.attempt(what)?;
        }
    }
    Ok(())
}

/// The queueing discipline that filters hang on.
async fn clsact(handle: &Handle, index: u32) -> Result<(), Error> {
    let mut message = TcMessage::default();
    message.header.index = index.cast_signed();
    message.header.handle = TcHandle::from(0xffff_0000);
    message.header.parent = TcHandle::from(CLSACT);
    message.attributes.push(TcAttribute::Kind("clsact".to_owned()));
    add_discipline(handle, message).await
}

/// Makes a queueing discipline and waits for the kernel's word.
pub(super) async fn add_discipline(handle: &Handle, message: TcMessage) -> Result<(), Error> {
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewQueueDiscipline(message));
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
    let mut answers = handle.clone().request(request)?;
    while let Some(answer) = answers.next().await {
        if let NetlinkPayload::Error(error) = answer.payload {
            return if error.code.is_none() { Ok(()) } else { Err(Error::NetlinkError(error)) };
        }
    }
    Ok(())
}

async fn add_rule(
    handle: &Handle,
    index: u32,
    looks_at: LooksAt,
    address: Option<Ipv4Addr>,
    verdict: i32,
) -> Result<(), Error> {
    let (ether_type, offset) = place(looks_at);
    let mut key = TcU32Key::default();
    key.off = offset;
    if let Some(address) = address {
        key.mask = u32::MAX;
        key.val = address.to_bits();
    }
    let mut selector = TcU32Selector::default();
    selector.flags = TcU32SelectorFlags::Terminal;
    selector.nkeys = 1;
    selector.keys = vec![key];
    let mut parameters = vec![0; 20];
    parameters[8..12].copy_from_slice(&verdict.to_ne_bytes());
    let mut action = TcAction::default();
    action.tab = 1;
    action.attributes = vec![
        TcActionAttribute::Kind("gact".to_owned()),
        TcActionAttribute::Options(vec![TcActionOption::Other(DefaultNla::new(GACT_PARAMETERS, parameters))]),
    ];
    let mut filters = handle.traffic_filter(index.cast_signed());
    let request = if looks_at == LooksAt::DestinationIp { filters.add().egress() } else { filters.add().ingress() };
    let options = [TcFilterU32Option::Selector(selector), TcFilterU32Option::Action(vec![action])];
    request.priority(looks_at.preference()).protocol(ether_type.to_be()).u32(&options)?.execute().await
}

/// The protocol of what a filter looks at, and where the address is behind the Ethernet header.
fn place(looks_at: LooksAt) -> (u16, i32) {
    match looks_at {
        LooksAt::SourceIp => (ETHERTYPE_IPV4, 12),
        LooksAt::DestinationIp => (ETHERTYPE_IPV4, 16),
        LooksAt::ArpSender => (ETHERTYPE_ARP, 14),
    }
}

/// All that the bridge driver says of a port.
pub fn parts(link: &LinkMessage) -> impl Iterator<Item = &InfoBridgePort> {
    let infos = link.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    let parts = infos.flatten().filter_map(|info| match info {
        LinkInfo::PortData(InfoPortData::BridgePort(parts)) => Some(parts),
        _ => None,
    });
    parts.flatten()
}

/// What the bridge driver says of a port: isolated, locked.
pub fn attributes(link: &LinkMessage) -> (bool, bool) {
    let has = |wanted: InfoBridgePort| parts(link).any(|part| *part == wanted);
    (has(InfoBridgePort::Isolated(true)), has(InfoBridgePort::Locked(true)))
}

/// Whether a bridge heeds VLANs.
pub fn heeds_vlans(link: &LinkMessage) -> bool {
    let infos = link.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    let parts = infos.flatten().filter_map(|info| match info {
        LinkInfo::Data(InfoData::Bridge(parts)) => Some(parts),
        _ => None,
    });
    parts.flatten().any(|part| *part == InfoBridge::VlanFiltering(true))
}

/// The VLAN of untagged frames for each port of bridges that heed VLANs.
///
/// # Errors
/// The kernel's refusal.
pub async fn vlans(handle: &Handle) -> Result<BTreeMap<u32, u16>, RtnlError> {
    let mut request = handle.link().get().set_filter_mask(AddressFamily::Bridge, vec![LinkExtentMask::Brvlan]);
    request.message_mut().header.interface_family = AddressFamily::Bridge;
    let found: Vec<LinkMessage> = request.execute().try_collect().await.attempt(|| "list VLANs".to_owned())?;
    let vlan = |link: &LinkMessage| {
        let specs = link.attributes.iter().filter_map(|attribute| match attribute {
            LinkAttribute::AfSpecBridge(specs) => Some(specs),
            _ => None,
        });
        specs.flatten().find_map(|spec| match spec {
            AfSpecBridge::VlanInfo(info) if info.flags.contains(BridgeVlanInfoFlags::Pvid) => Some(info.vid),
            _ => None,
        })
    };
    Ok(found.iter().filter_map(|link| Some((link.header.index, vlan(link)?))).collect())
}

/// The MACs that are pinned to ports, by port.
///
/// # Errors
/// The kernel's refusal.
pub async fn pinned(handle: &Handle) -> Result<BTreeMap<u32, Vec<Mac>>, RtnlError> {
    let request = handle.neighbours().get().set_address_family(AddressFamily::Bridge);
    let found: Vec<NeighbourMessage> =
        request.execute().try_collect().await.attempt(|| "list forwarding entries".to_owned())?;
    let mut pinned: BTreeMap<u32, Vec<Mac>> = BTreeMap::new();
    for entry in found.iter().filter(|entry| entry.header.state == NeighbourState::Noarp) {
        let mac = entry.attributes.iter().find_map(|attribute| match attribute {
            NeighbourAttribute::LinkLayerAddress(bytes) => <[u8; 6]>::try_from(bytes.as_slice()).ok().map(Mac),
            _ => None,
        });
        let macs = pinned.entry(entry.header.ifindex).or_default();
        macs.extend(mac.filter(|mac| !macs.contains(mac)));
    }
    Ok(pinned)
}

/// The filters of a port.
///
/// # Errors
/// The kernel's refusal.
pub async fn filters(handle: &Handle, index: u32) -> Result<Vec<PortFilter>, RtnlError> {
    let mut read: BTreeMap<LooksAt, (Vec<Ipv4Addr>, bool)> = BTreeMap::new();
    for egress in [false, true] {
        let mut filters = handle.traffic_filter(index.cast_signed());
        let request = if egress { filters.get().egress() } else { filters.get().ingress() };
        let what = || "list a port's filters".to_owned();
        let found: Vec<TcMessage> = match request.execute().try_collect::<Vec<_>>().await.map_err(Refused::from) {
            // There is nothing for them to hang on.
            Err(refused) if refused.errno() == Some(nix::errno::Errno::EINVAL) => Vec::new(),
            other => other.attempt(what)?,
        };
        for message in &found {
            let Some((looks_at, address, verdict)) = rule(message, egress) else { continue };
            let (passes, drops) = read.entry(looks_at).or_default();
            match (address, verdict) {
                (Some(address), PASS) => passes.push(address),
                (None, DROP) => *drops = true,
                _ => {}
            }
        }
    }
    let whole = read.into_iter().filter(|(_, (_, drops))| *drops);
    Ok(whole.map(|(looks_at, (passes, _))| PortFilter { looks_at, passes }).collect())
}

/// One rule as it was made: what it looks at, for which address (all where none), and what becomes of the frame.
fn rule(message: &TcMessage, egress: bool) -> Option<(LooksAt, Option<Ipv4Addr>, i32)> {
    let options = || {
        message.attributes.iter().flat_map(|attribute| match attribute {
            TcAttribute::Options(options) => options.as_slice(),
            _ => &[],
        })
    };
    let key = options().find_map(|option| match option {
        TcOption::U32(TcFilterU32Option::Selector(selector)) => selector.keys.first(),
        _ => None,
    })?;
    let actions = options().find_map(|option| match option {
        TcOption::U32(TcFilterU32Option::Action(actions)) => Some(actions),
        _ => None,
    })?;
    let attributes = actions.iter().flat_map(|action| &action.attributes);
    let parameters = attributes.filter_map(|attribute| match attribute {
        TcActionAttribute::Options(options) => Some(options),
        _ => None,
    });
    let verdict = parameters.flatten().find_map(verdict)?;
    let ether_type = u16::from_be((message.header.info & 0xffff) as u16);
    let all = [LooksAt::SourceIp, LooksAt::DestinationIp, LooksAt::ArpSender];
    let looks_at = all.into_iter().find(|one| {
        let this_way = egress == (*one == LooksAt::DestinationIp);
        this_way && (key.mask == 0 || place(*one).1 == key.off) && place(*one).0 == ether_type
    })?;
    Some((looks_at, (key.mask == u32::MAX).then(|| Ipv4Addr::from_bits(key.val)), verdict))
}

fn verdict(option: &TcActionOption) -> Option<i32> {
    use rtnetlink::packet_core::Nla;
    let TcActionOption::Other(parameters) = option else { return None };
    if parameters.kind() != GACT_PARAMETERS || parameters.value_len() < 12 {
        return None;
    }
    let mut bytes = vec![0; parameters.value_len()];
    parameters.emit_value(&mut bytes);
    Some(i32::from_ne_bytes(bytes.get(8..12)?.try_into().ok()?))
}
