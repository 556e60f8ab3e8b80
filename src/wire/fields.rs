//! Which bytes of a frame are what, in the words of their headers.
//!
//! Owns: naming of bytes. Refuses: their meaning. Errs towards payload: that is what bytes are that no header claims.

use std::fmt;
use std::ops::Range;

use etherparse::{Ethernet2Slice, LaxIpSlice, ether_type, ip_number};

use super::decode::{after_tags, headers_length, stated_length};

/// A part of a frame that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Ethernet destination.
    DestinationMac,
    /// Ethernet source.
    SourceMac,
    /// VLAN tags, the type before each included.
    VlanTag,
    /// `EtherType`.
    EtherType,
    /// The ARP packet.
    Arp,
    /// IP version and header length, for IPv6 with traffic class and flow label.
    IpVersion,
    /// The byte of DSCP and ECN, IPv4 only.
    Dscp,
    /// Total length, or payload length.
    IpLength,
    /// Identification, IPv4 only.
    IpId,
    /// Fragmentation flags and offset, IPv4 only.
    Fragmentation,
    /// TTL, IPv4 only.
    Ttl,
    /// Hop limit, IPv6 only.
    HopLimit,
    /// Protocol, or next header.
    IpProtocol,
    /// The IPv4 header's checksum.
    HeaderChecksum,
    /// IP source.
    SourceAddress,
    /// IP destination.
    DestinationAddress,
    /// IPv4 options, or IPv6 extension headers.
    IpOptions,
    /// TCP's or UDP's source port.
    SourcePort,
    /// TCP's or UDP's destination port.
    DestinationPort,
    /// TCP sequence number.
    Sequence,
    /// TCP acknowledgement number.
    Acknowledgement,
    /// TCP data offset and flags.
    TcpFlags,
    /// TCP window.
    Window,
    /// TCP checksum.
    TcpChecksum,
    /// TCP urgent pointer.
    UrgentPointer,
    /// TCP options.
    TcpOptions,
    /// UDP length.
    UdpLength,
    /// UDP checksum.
    UdpChecksum,
    /// ICMP type and code.
    IcmpType,
    /// ICMP checksum.
    IcmpChecksum,
    /// What no header before it claims.
    Payload,
    /// Bytes after the end of the IP packet.
    Trailer,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::DestinationMac => "destination MAC",
            Self::SourceMac => "source MAC",
            Self::VlanTag => "VLAN tag",
            Self::EtherType => "EtherType",
            Self::Arp => "ARP",
            Self::IpVersion => "IP version",
            Self::Dscp => "DSCP and ECN",
            Self::IpLength => "IP length",
            Self::IpId => "IP id",
            Self::Fragmentation => "fragmentation",
            Self::Ttl => "TTL",
            Self::HopLimit => "hop limit",
            Self::IpProtocol => "IP protocol",
            Self::HeaderChecksum => "header checksum",
            Self::SourceAddress => "source address",
            Self::DestinationAddress => "destination address",
            Self::IpOptions => "IP options",
            Self::SourcePort => "source port",
            Self::DestinationPort => "destination port",
            Self::Sequence => "sequence number",
            Self::Acknowledgement => "acknowledgement number",
            Self::TcpFlags => "TCP flags",
            Self::Window => "TCP window",
            Self::TcpChecksum => "TCP checksum",
            Self::UrgentPointer => "urgent pointer",
            Self::TcpOptions => "TCP options",
            Self::UdpLength => "UDP length",
            Self::UdpChecksum => "UDP checksum",
            Self::IcmpType => "ICMP type",
            Self::IcmpChecksum => "ICMP checksum",
            Self::Payload => "payload",
            Self::Trailer => "trailer",
        })
    }
}

/// The fields of a frame without gaps and overlaps, from its first byte to its last.
pub fn fields(data: &[u8]) -> Vec<(Field, Range<usize>)> {
    layout(data).fields
}

/// Which bytes of a frame are what.
pub(super) struct Layout {
    /// Without gaps and overlaps, from the first byte to the last.
    pub(super) fields: Vec<(Field, Range<usize>)>,
    /// Where TTL or hop limit stands.
    pub(super) ttl: Option<usize>,
    /// The IPv4 header.
    pub(super) header: Option<Range<usize>>,
    end: usize,
}

impl Layout {
    fn push(&mut self, field: Field, length: usize, limit: usize) {
        let start = self.fields.last().map_or(0, |(_, r)| r.end);
        let end = start.saturating_add(length).min(limit).min(self.end);
        if end > start {
            self.fields.push((field, start..end));
        }
    }
}

/// Names every byte of a frame.
pub(super) fn layout(data: &[u8]) -> Layout {
    let mut layout = Layout { fields: Vec::with_capacity(24), ttl: None, header: None, end: data.len() };
    let end = data.len();
    layout.push(Field::DestinationMac, 6, end);
    layout.push(Field::SourceMac, 6, end);
    if let Ok(ethernet) = Ethernet2Slice::from_slice_without_fcs(data)
        && let Ok((_, ether_type, payload)) = after_tags(ethernet.ether_type(), ethernet.payload_slice())
    {
        let offset = end - payload.len();
        layout.push(Field::VlanTag, offset - 14, end);
        layout.push(Field::EtherType, 2, end);
        match ether_type {
            ether_type::ARP => layout.push(Field::Arp, 28, end),
            ether_type::IPV4 | ether_type::IPV6 => ip(&mut layout, payload, offset),
            _ => {}
        }
    }
    layout.push(Field::Payload, usize::MAX, end);
    layout
}

fn ip(layout: &mut Layout, packet: &[u8], offset: usize) {
    let Ok((sliced, stopped)) = LaxIpSlice::from_slice(packet) else { return };
    let headers = headers_length(&sliced);
    let stated = usize::try_from(stated_length(&sliced, packet.len())).unwrap_or(usize::MAX);
    let end = offset.saturating_add(stated).min(layout.end);
    let plain: &[(Field, usize)] = match &sliced {
        LaxIpSlice::Ipv4(v4) => {
            layout.ttl = Some(offset + 8);
            layout.header = Some(offset..offset + v4.header().slice().len());
            &[
                (Field::IpVersion, 1),
                (Field::Dscp, 1),
                (Field::IpLength, 2),
                (Field::IpId, 2),
                (Field::Fragmentation, 2),
                (Field::Ttl, 1),
                (Field::IpProtocol, 1),
                (Field::HeaderChecksum, 2),
                (Field::SourceAddress, 4),
                (Field::DestinationAddress, 4),
            ]
        }
        LaxIpSlice::Ipv6(_) => {
            layout.ttl = Some(offset + 7);
            &[
                (Field::IpVersion, 4),
                (Field::IpLength, 2),
                (Field::IpProtocol, 1),
                (Field::HopLimit, 1),
                (Field::SourceAddress, 16),
                (Field::DestinationAddress, 16),
            ]
        }
    };
    for &(field, length) in plain {
        layout.push(field, length, layout.end);
    }
    let fixed: usize = plain.iter().map(|(_, length)| length).sum();
    layout.push(Field::IpOptions, headers - fixed, layout.end);
    let payload = sliced.payload();
    if stopped.is_none() && !payload.fragmented {
        let tcp_options = payload.payload.get(12).map_or(0, |b| (usize::from(b >> 4) * 4).saturating_sub(20));
        for &(field, length) in transport(payload.ip_number.0) {
            layout.push(field, if field == Field::TcpOptions { tcp_options } else { length }, end);
        }
    }
    layout.push(Field::Payload, usize::MAX, end);
    layout.push(Field::Trailer, usize::MAX, layout.end);
}

fn transport(number: u8) -> &'static [(Field, usize)] {
    match etherparse::IpNumber(number) {
        ip_number::TCP => &[
            (Field::SourcePort, 2),
            (Field::DestinationPort, 2),
            (Field::Sequence, 4),
            (Field::Acknowledgement, 4),
            (Field::TcpFlags, 2),
            (Field::Window, 2),
            (Field::TcpChecksum, 2),
            (Field::UrgentPointer, 2),
            (Field::TcpOptions, 0),
        ],
        ip_number::UDP => {
            &[(Field::SourcePort, 2), (Field::DestinationPort, 2), (Field::UdpLength, 2), (Field::UdpChecksum, 2)]
        }
        ip_number::ICMP | ip_number::IPV6_ICMP => &[(Field::IcmpType, 2), (Field::IcmpChecksum, 2)],
        _ => &[],
    }
}
