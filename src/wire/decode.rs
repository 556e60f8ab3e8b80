//! Taking a frame apart.
//!
//! Owns: the way from bytes to [`Decoded`]. Refuses: frames without an Ethernet header; a capture gives devices that
//! have none a header of zeros. Errs towards saying less: what is cut off or contradicts itself is `Malformed` from
//! that layer on, and the layers before it stand.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    ArpPacketSlice, EtherType, Ethernet2Slice, IpNumber, Ipv6ExtensionSlice, LaxIpSlice, SingleVlanSlice, ether_type,
    ip_number,
};

use super::frame::{Arp, Body, Decoded, Ip, Quoted, Tcp, Transport, Udp};
use crate::base::Mac;

/// How many IP headers may stand in one another before the rest is called malformed.
const NESTING_LIMIT: u8 = 4;

/// How many VLAN tags may follow one another; the kernel's own limit is two, the rest is margin.
const TAG_LIMIT: usize = 8;

/// Takes a frame apart, whatever its bytes are.
///
/// The frame may be cut (`snaplen`): lengths are those that the headers state, not those of what was captured.
pub fn decode(data: &[u8]) -> Decoded {
    let Ok(ethernet) = Ethernet2Slice::from_slice_without_fcs(data) else {
        return Decoded {
            source: Mac([0; 6]),
            destination: Mac([0; 6]),
            vlans: Vec::new(),
            body: Body::Malformed(format!("{} bytes, an Ethernet header has 14", data.len())),
        };
    };
    let (vlans, body) = match after_tags(ethernet.ether_type(), ethernet.payload_slice()) {
        Ok((vlans, ether_type, payload)) => (vlans, body(ether_type, payload, data.len() - payload.len())),
        Err(why) => (Vec::new(), Body::Malformed(why)),
    };
    Decoded { source: Mac(ethernet.source()), destination: Mac(ethernet.destination()), vlans, body }
}

/// Goes past VLAN tags: their ids, the `EtherType` after them and what it announces.
pub(super) fn after_tags(
    mut ether_type: EtherType,
    mut payload: &[u8],
) -> Result<(Vec<u16>, EtherType, &[u8]), String> {
    let mut vlans = Vec::new();
    while matches!(
        ether_type,
        ether_type::VLAN_TAGGED_FRAME | ether_type::PROVIDER_BRIDGING | ether_type::VLAN_DOUBLE_TAGGED_FRAME
    ) {
        if vlans.len() == TAG_LIMIT {
            return Err(format!("more than {TAG_LIMIT} VLAN tags"));
        }
        let tag = SingleVlanSlice::from_slice(payload).map_err(|_| "cut inside a VLAN tag".to_owned())?;
        vlans.push(tag.vlan_identifier().value());
        ether_type = tag.ether_type();
        payload = payload.get(4..).unwrap_or_default();
    }
    Ok((vlans, ether_type, payload))
}

fn body(ether_type: EtherType, payload: &[u8], offset: usize) -> Body {
    match ether_type {
        ether_type::ARP => arp(payload),
        ether_type::IPV4 | ether_type::IPV6 => {
            let wanted = if ether_type == ether_type::IPV4 { 4 } else { 6 };
            match payload.first() {
                Some(first) if first >> 4 != wanted => {
                    Body::Malformed(format!("EtherType of IPv{wanted}, but IP version {}", first >> 4))
                }
                _ => ip(payload, offset, 0).map_or_else(Body::Malformed, Body::Ip),
            }
        }
        EtherType(other) => Body::Other(other),
    }
}

fn arp(payload: &[u8]) -> Body {
    let Ok(packet) = ArpPacketSlice::from_slice(payload) else {
        return Body::Malformed("cut inside ARP".to_owned());
    };
    let ethernet_ipv4 = packet.hw_addr_type().0 == 1 && packet.proto_addr_type() == ether_type::IPV4;
    if !ethernet_ipv4 {
        return Body::Other(ether_type::ARP.0);
    }
    let parts = (
        packet.sender_hw_addr().try_into().map(Mac),
        <[u8; 4]>::try_from(packet.sender_protocol_addr()),
        packet.target_hw_addr().try_into().map(Mac),
        <[u8; 4]>::try_from(packet.target_protocol_addr()),
    );
    let (Ok(sender_mac), Ok(sender_ip), Ok(target_mac), Ok(target_ip)) = parts else {
        return Body::Malformed("ARP with address lengths other than 6 and 4".to_owned());
    };
    Body::Arp(Arp {
        operation: packet.operation().0,
        sender_mac,
        sender_ip: Ipv4Addr::from(sender_ip),
        target_mac,
        target_ip: Ipv4Addr::from(target_ip),
    })
}

/// An IP packet whose first byte stands at `offset` in the frame.
fn ip(packet: &[u8], offset: usize, depth: u8) -> Result<Ip, String> {
    let (sliced, stopped) = LaxIpSlice::from_slice(packet).map_err(|e| format!("IP header: {e}"))?;
    let headers = headers_length(&sliced);
    let stated = stated_length(&sliced, packet.len());
    let payload = sliced.payload();
    let transport = match stopped {
        Some((e, layer)) => Transport::Malformed(format!("{layer}: {e}")),
        None if later_fragment(&sliced) => Transport::Other(payload.ip_number.0),
        None => transport(
            &Payload {
                number: payload.ip_number,
                data: payload.payload,
                stated: stated.saturating_sub(u32::try_from(headers).unwrap_or(u32::MAX)),
            },
            offset + headers,
            depth,
        ),
    };
    let v4 = match &sliced {
        LaxIpSlice::Ipv4(v4) => Some(v4.header()),
        LaxIpSlice::Ipv6(_) => None,
    };
    Ok(Ip {
        source: sliced.source_addr(),
        destination: sliced.destination_addr(),
        ttl: match &sliced {
            LaxIpSlice::Ipv4(v4) => v4.header().ttl(),
            LaxIpSlice::Ipv6(v6) => v6.header().hop_limit(),
        },
        id: v4.map(|h| h.identification()),
        header_checksum: v4.map(|h| h.header_checksum()),
        header_checksum_ok: v4.map(|h| checksum_holds(h.slice())),
        length: stated,
        fragment: sliced.is_fragmenting_payload(),
        offset,
        transport,
    })
}

/// Whether the ones' complement sum over a header, its checksum included, comes out right (RFC 1071).
pub(super) fn checksum_holds(header: &[u8]) -> bool {
    etherparse::checksum::Sum16BitWords::new().add_slice(header).ones_complement() == 0
}

/// Bytes of the IP header with its options or extension headers.
pub(super) fn headers_length(sliced: &LaxIpSlice<'_>) -> usize {
    match sliced {
        LaxIpSlice::Ipv4(v4) => v4.header().slice().len() + v4.extensions().auth.map_or(0, |a| a.slice().len()),
        LaxIpSlice::Ipv6(v6) => v6.header().slice().len() + v6.extensions().slice().len(),
    }
}

/// The packet's length as its header states it; where it states none (segmentation offload above 64 KiB), the bytes there are.
pub(super) fn stated_length(sliced: &LaxIpSlice<'_>, captured: usize) -> u32 {
    let stated = match sliced {
        LaxIpSlice::Ipv4(v4) => u32::from(v4.header().total_len()),
        LaxIpSlice::Ipv6(v6)
            if v6.header().payload_length() == 0 && v6.header().next_header() != ip_number::IPV6_NO_NEXT_HEADER =>
        {
            0
        }
        LaxIpSlice::Ipv6(v6) => 40 + u32::from(v6.header().payload_length()),
    };
    if stated == 0 { u32::try_from(captured).unwrap_or(u32::MAX) } else { stated }
}

fn later_fragment(sliced: &LaxIpSlice<'_>) -> bool {
    match sliced {
        LaxIpSlice::Ipv4(v4) => v4.header().fragments_offset().value() > 0,
        LaxIpSlice::Ipv6(v6) => v6.extensions().clone().into_iter().any(|extension| match extension {
            Ipv6ExtensionSlice::Fragment(f) => f.fragment_offset().value() > 0,
            _ => false,
        }),
    }
}

/// What follows the IP headers.
struct Payload<'a> {
    number: IpNumber,
    /// As captured.
    data: &'a [u8],
    /// How long it is by the IP header.
    stated: u32,
}

fn transport(payload: &Payload<'_>, offset: usize, depth: u8) -> Transport {
    let found = match payload.number {
        ip_number::TCP => tcp(payload),
        ip_number::UDP => udp(payload),
        ip_number::ICMP => icmp(payload.data, &[3, 4, 5, 11, 12]),
        ip_number::IPV6_ICMP => icmpv6(payload.data),
        ip_number::IPV4 | ip_number::IPV6 if depth == NESTING_LIMIT => {
            Some(Transport::Malformed(format!("more than {NESTING_LIMIT} IP headers in one another")))
        }
        ip_number::IPV4 | ip_number::IPV6 => Some(
            ip(payload.data, offset, depth + 1)
                .map_or_else(Transport::Malformed, |inner| Transport::Encapsulated(Box::new(inner))),
        ),
        IpNumber(other) => Some(Transport::Other(other)),
    };
    found.unwrap_or_else(|| {
        let name = payload.number.keyword_str().unwrap_or("transport");
        Transport::Malformed(format!("{name}: {} bytes hold no whole header", payload.data.len()))
    })
}

/// Reads the fixed part alone, so that a frame cut inside the options still has its ports and flags.
fn tcp(payload: &Payload<'_>) -> Option<Transport> {
    let fixed = payload.data.first_chunk::<20>()?;
    let header = u32::from(fixed[12] >> 4) * 4;
    if header < 20 || header > payload.stated {
        return Some(Transport::Malformed(format!(
            "TCP: header length {header} in a payload of {} bytes",
            payload.stated
        )));
    }
    Some(Transport::Tcp(Tcp {
        source: u16::from_be_bytes([fixed[0], fixed[1]]),
        destination: u16::from_be_bytes([fixed[2], fixed[3]]),
        sequence: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        acknowledgement: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        flags: fixed[13],
        payload: payload.stated - header,
        checksum: u16::from_be_bytes([fixed[16], fixed[17]]),
    }))
}

fn udp(payload: &Payload<'_>) -> Option<Transport> {
    let header = etherparse::UdpHeaderSlice::from_slice(payload.data).ok()?;
    Some(Transport::Udp(Udp {
        source: header.source_port(),
        destination: header.destination_port(),
        payload: match header.length() {
            0 => payload.stated.saturating_sub(8),
            length => u32::from(length).saturating_sub(8),
        },
        checksum: header.checksum(),
    }))
}

fn icmp(data: &[u8], errors: &[u8]) -> Option<Transport> {
    let fixed = data.first_chunk::<8>()?;
    let quotes = if errors.contains(&fixed[0]) { quoted(&data[8..]) } else { None };
    Some(Transport::Icmp { kind: fixed[0], code: fixed[1], quotes })
}

fn icmpv6(data: &[u8]) -> Option<Transport> {
    const NEIGHBOUR_SOLICITATION: u8 = 135;
    const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    const SOURCE_OPTION: u8 = 1;
    const TARGET_OPTION: u8 = 2;
    match data.first()? {
        &kind @ (NEIGHBOUR_SOLICITATION | NEIGHBOUR_ADVERTISEMENT) => {
            let fixed = data.first_chunk::<24>()?;
            let target = data[8..].first_chunk::<16>().map(|a| Ipv6Addr::from(*a))?;
            let options = &data[24..];
            Some(if kind == NEIGHBOUR_SOLICITATION {
                Transport::NeighbourSolicitation { target, source_mac: link_layer_option(options, SOURCE_OPTION) }
            } else {
                Transport::NeighbourAdvertisement {
                    target,
                    target_mac: link_layer_option(options, TARGET_OPTION),
                    solicited: fixed[4] & 0x40 != 0,
                    overrides: fixed[4] & 0x20 != 0,
                }
            })
        }
        _ => icmp(data, &[1, 2, 3, 4]),
    }
}

/// The Ethernet address in the first option of that kind (RFC 4861, section 4.6.1).
fn link_layer_option(mut options: &[u8], wanted: u8) -> Option<Mac> {
    while let [kind, units, rest @ ..] = options {
        let length = usize::from(*units) * 8;
        if length == 0 {
            return None;
        }
        if *kind == wanted {
            return rest.first_chunk::<6>().copied().map(Mac).filter(|_| length == 8);
        }
        options = options.get(length..)?;
    }
    None
}

fn quoted(data: &[u8]) -> Option<Quoted> {
    let (sliced, _) = LaxIpSlice::from_slice(data).ok()?;
    let payload = sliced.payload();
    let with_ports = [ip_number::TCP, ip_number::UDP, ip_number::SCTP, ip_number::DCCP, ip_number::UDP_LITE];
    let ports = with_ports
        .contains(&payload.ip_number)
        .then(|| payload.payload.first_chunk::<4>())
        .flatten()
        .filter(|_| !later_fragment(&sliced))
        .map(|p| (u16::from_be_bytes([p[0], p[1]]), u16::from_be_bytes([p[2], p[3]])));
    let source: IpAddr = sliced.source_addr();
    Some(Quoted { source, destination: sliced.destination_addr(), protocol: payload.ip_number.0, ports })
}

#[cfg(test)]
mod tests;
