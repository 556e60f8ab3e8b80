//! Facts that come by routing netlink: links, addresses, routes, neighbours.
//!
//! Owns: turning the kernel's messages into facts. Refuses: leaving anything out but multicast routes and neighbour
//! entries of `NOARP` devices.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::packet_route::neighbour::{NeighbourAttribute, NeighbourMessage, NeighbourState};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::{Handle, RouteMessageBuilder};

use crate::base::{IfName, Mac};
use crate::facts::{AddressFact, LinkFact, NeighbourFact, RouteFact};
use crate::inside::rtnl::{Attempt, RtnlError};
use crate::inside::{link, neigh};

/// Names by number, to say who carries what.
pub(super) type Names = BTreeMap<u32, IfName>;

/// All interfaces, by number.
///
/// # Errors
/// The kernel's refusal.
pub async fn links(handle: &Handle) -> Result<Vec<LinkFact>, RtnlError> {
    Ok(link::all(handle).await?.iter().filter_map(link_fact).collect())
}

/// All addresses, in the kernel's order.
///
/// # Errors
/// The kernel's refusal.
pub async fn addresses(handle: &Handle, names: &Names) -> Result<Vec<AddressFact>, RtnlError> {
    let found: Vec<AddressMessage> =
        handle.address().get().execute().try_collect().await.attempt(|| "list addresses".to_owned())?;
    Ok(found.iter().filter_map(|message| address_fact(message, names)).collect())
}

/// The routes of all tables, without multicast ones.
///
/// # Errors
/// The kernel's refusal.
pub async fn routes(handle: &Handle, names: &Names) -> Result<Vec<RouteFact>, RtnlError> {
    let v4 = RouteMessageBuilder::<std::net::Ipv4Addr>::default().build();
    let v6 = RouteMessageBuilder::<std::net::Ipv6Addr>::default().build();
    let mut facts = Vec::new();
    for family in [v4, v6] {
        let found: Vec<RouteMessage> =
            handle.route().get(family).execute().try_collect().await.attempt(|| "list routes".to_owned())?;
        facts.extend(found.iter().filter_map(|message| route_fact(message, names)));
    }
    Ok(facts)
}

/// Neighbour entries, without those of devices that need none.
///
/// # Errors
/// The kernel's refusal.
pub async fn neighbours(handle: &Handle, names: &Names) -> Result<Vec<NeighbourFact>, RtnlError> {
    let found = neigh::all(handle).await?;
    Ok(found.iter().filter_map(|message| neighbour_fact(message, names)).collect())
}

fn link_fact(message: &LinkMessage) -> Option<LinkFact> {
    let flags = message.header.flags;
    let mut fact = LinkFact {
        name: link::name(message)?,
        index: message.header.index,
        kind: None,
        mac: None,
        mtu: 0,
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        noarp: flags.contains(LinkFlags::Noarp),
        tx_checksum: None,
        rx_packets: 0,
        tx_packets: 0,
        dropped: 0,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Mtu(mtu) => fact.mtu = *mtu,
            LinkAttribute::Address(bytes) => fact.mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(Mac),
            LinkAttribute::Stats64(stats) => {
                fact.rx_packets = stats.rx_packets;
                fact.tx_packets = stats.tx_packets;
                fact.dropped = stats.rx_dropped + stats.tx_dropped;
            }
            LinkAttribute::LinkInfo(infos) => {
                fact.kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind_name(kind)),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    Some(fact)
}

fn kind_name(kind: &InfoKind) -> String {
    kind.to_string()
}

fn address_fact(message: &AddressMessage, names: &Names) -> Option<AddressFact> {
    let interface = names.get(&message.header.index)?.clone();
    let (mut address, mut local, mut broadcast, mut label) = (None, None, None, None);
    let mut flags = AddressFlags::from_bits_retain(message.header.flags.bits().into());
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(ip) => address = Some(*ip),
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Broadcast(ip) => broadcast = Some(IpAddr::V4(*ip)),
            AddressAttribute::Label(text) => label = Some(text.clone()),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    let address = IpNet::new(local.or(address)?, message.header.prefix_len).ok()?;
    let words = [
        (AddressFlags::Secondary, "secondary"),
        (AddressFlags::Tentative, "tentative"),
        (AddressFlags::Dadfailed, "dadfailed"),
        (AddressFlags::Nodad, "nodad"),
        (AddressFlags::Permanent, "permanent"),
    ];
    Some(AddressFact {
        label: label.filter(|label| interface != label.as_str()),
        interface,
        address,
        broadcast,
        scope: match message.header.scope {
            AddressScope::Universe => "global".to_owned(),
            AddressScope::Link => "link".to_owned(),
            AddressScope::Host => "host".to_owned(),
            AddressScope::Site => "site".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        },
        flags: words.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| (*name).to_owned()).collect(),
    })
}

fn route_fact(message: &RouteMessage, names: &Names) -> Option<RouteFact> {
    let header = &message.header;
    let unspecified: IpAddr = match header.address_family {
        AddressFamily::Inet => std::net::Ipv4Addr::UNSPECIFIED.into(),
        AddressFamily::Inet6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let mut table = u32::from(header.table);
    let mut to = unspecified;
    let (mut gateway, mut interface, mut source, mut metric, mut mtu) = (None, None, None, 0, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Destination(address) => to = ip(address)?,
            RouteAttribute::Gateway(address) => gateway = ip(address),
            RouteAttribute::Oif(index) => interface = names.get(index).cloned(),
            RouteAttribute::PrefSource(address) => source = ip(address),
            RouteAttribute::Priority(number) => metric = *number,
            RouteAttribute::Metrics(metrics) => {
                mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) => Some(*mtu),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    let destination = IpNet::new(to, header.destination_prefix_length).ok()?;
    if header.kind == RouteType::Multicast || destination.network().is_multicast() {
        return None;
    }
    Some(RouteFact {
        table: match table {
            254 => "main".to_owned(),
            255 => "local".to_owned(),
            number => number.to_string(),
        },
        kind: format!("{:?}", header.kind).to_lowercase(),
        destination,
        gateway,
        interface,
        source,
        scope: match header.scope {
            RouteScope::Universe => "global".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        },
        metric,
        mtu,
        protocol: match header.protocol {
            RouteProtocol::IcmpRedirect => "redirect".to_owned(),
            RouteProtocol::Other(number) => number.to_string(),
            other => format!("{other:?}").to_lowercase(),
        },
    })
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}

fn neighbour_fact(message: &NeighbourMessage, names: &Names) -> Option<NeighbourFact> {
    let state = message.header.state;
    if state == NeighbourState::Noarp {
        return None;
    }
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => <[u8; 6]>::try_from(bytes.as_slice()).ok().map(Mac),
        _ => None,
    });
    Some(NeighbourFact {
        interface: names.get(&message.header.ifindex)?.clone(),
        address: neigh::destination(message)?,
        mac,
        state: format!("{state:?}").to_lowercase(),
    })
}
