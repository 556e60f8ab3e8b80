//! What differs between two frames, byte by byte, in the words of their headers.
//!
//! Owns: naming of bytes, and which differences forwarding by direct routing may make. Refuses: which frames to compare.
//! Errs towards reporting: bytes that no header claims are payload, and a frame that is longer than the other differs.

use std::fmt;
use std::net::Ipv6Addr;
use std::ops::Range;

use etherparse::{Ethernet2Slice, LaxIpSlice, ether_type, ip_number};

use super::decode::{after_tags, checksum_holds, headers_length, stated_length};
use crate::base::Mac;

/// A part of a frame that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Ethernet destination.
    DestinationMac,
    /// Ethernet source.
    SourceMac,
    /// VLAN tags, their EtherTypes included.
    VlanTag,
    /// EtherType.
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

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which one.
    pub field: Field,
    /// Where it stands in the frame.
    pub range: Range<usize>,
    /// The offsets in the frame of those of its bytes that differ.
    pub offsets: Vec<usize>,
    /// Its value before, as people write it; of long fields the differing part.
    pub old: String,
    /// Its value after.
    pub new: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {}", self.field, self.old, self.new)
    }
}

/// What differs between two frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The fields that differ, in the order of the frame.
    pub changes: Vec<Change>,
    /// The lengths in bytes, where they differ.
    pub lengths: Option<(usize, usize)>,
    /// Whether TTL or hop limit is lower by exactly one.
    lowered: bool,
    /// Whether the second frame's IPv4 header checksum is right; none for IPv6 and others.
    checksum_ok: Option<bool>,
}

/// What forwarding did to a frame, seen from what direct routing may do to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrite {
    /// Nothing at all, not even a MAC.
    Nothing,
    /// MACs alone; TTL or hop limit stands, as with kernels that don't lower it for direct routing.
    MacsOnly,
    /// Nothing but MACs, TTL or hop limit less one, and for IPv4 the header checksum that follows from it.
    MacsAndTtl,
    /// More than direct routing may change: the fields that it may not, or not so.
    Beyond(Vec<Field>),
    /// The lengths differ; besides, the fields that direct routing may not change.
    Length(Vec<Field>),
}

impl Rewrite {
    /// Whether direct routing does that to a frame, by any kernel.
    pub fn is_direct_routing(&self) -> bool {
        matches!(self, Self::MacsOnly | Self::MacsAndTtl)
    }
}

impl Difference {
    /// Whether no byte differs.
    pub fn is_none(&self) -> bool {
        self.changes.is_empty() && self.lengths.is_none()
    }

    /// How that field changed, where it did.
    pub fn of(&self, field: Field) -> Option<&Change> {
        self.changes.iter().find(|c| c.field == field)
    }

    /// Number of bytes that differ, those past the shorter frame's end not counted.
    pub fn bytes(&self) -> usize {
        self.changes.iter().map(|c| c.offsets.len()).sum()
    }

    /// What was done to the frame.
    pub fn rewrite(&self) -> Rewrite {
        let changed = |field| self.of(field).is_some();
        let ttl = changed(Field::Ttl) || changed(Field::HopLimit);
        let allowed = |field: &Field| match field {
            Field::DestinationMac | Field::SourceMac => true,
            Field::Ttl => self.lowered && changed(Field::HeaderChecksum) && self.checksum_ok == Some(true),
            Field::HopLimit => self.lowered,
            Field::HeaderChecksum => changed(Field::Ttl) && self.checksum_ok == Some(true),
            _ => false,
        };
        let beyond: Vec<Field> = self.changes.iter().map(|c| c.field).filter(|f| !allowed(f)).collect();
        if self.lengths.is_some() {
            Rewrite::Length(beyond)
        } else if !beyond.is_empty() {
            Rewrite::Beyond(beyond)
        } else if ttl {
            Rewrite::MacsAndTtl
        } else if self.changes.is_empty() {
            Rewrite::Nothing
        } else {
            Rewrite::MacsOnly
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("no byte differs");
        }
        for (index, change) in self.changes.iter().enumerate() {
            write!(f, "{}{change}", if index == 0 { "" } else { ", " })?;
        }
        match self.lengths {
            None => Ok(()),
            Some((old, new)) => {
                write!(f, "{}{old} -> {new} bytes", if self.changes.is_empty() { "" } else { ", " })
            }
        }
    }
}

/// Compares two frames; the names of bytes are those of the first.
pub fn difference(a: &[u8], b: &[u8]) -> Difference {
    let layout = layout(a);
    let mut changes = Vec::new();
    for (field, range) in &layout.fields {
        let (Some(old), Some(new)) = (a.get(range.clone()), b.get(range.start..range.end.min(b.len()))) else {
            continue;
        };
        let offsets: Vec<usize> =
            range.clone().zip(old.iter().zip(new)).filter(|(_, (x, y))| x != y).map(|(at, _)| at).collect();
        if !offsets.is_empty() {
            let (old, new) = values(*field, range, &offsets, old, new);
            changes.push(Change { field: *field, range: range.clone(), offsets, old, new });
        }
    }
    let lowered = layout.ttl.and_then(|at| Some((a.get(at)?, b.get(at)?))).is_some_and(|(&x, &y)| x > 0 && x - 1 == y);
    let checksum_ok = layout.header.and_then(|range| b.get(range)).map(checksum_holds);
    Difference { changes, lengths: (a.len() != b.len()).then_some((a.len(), b.len())), lowered, checksum_ok }
}

/// Which bytes of a frame are what.
struct Layout {
    /// Without gaps and overlaps, from the first byte to the last.
    fields: Vec<(Field, Range<usize>)>,
    /// Where TTL or hop limit stands.
    ttl: Option<usize>,
    /// The IPv4 header.
    header: Option<Range<usize>>,
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

fn layout(data: &[u8]) -> Layout {
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

/// How many bytes of a long field are shown.
const SHOWN: usize = 16;

fn values(field: Field, range: &Range<usize>, offsets: &[usize], old: &[u8], new: &[u8]) -> (String, String) {
    let first = offsets.first().map_or(0, |o| o - range.start);
    let last = offsets.last().map_or(0, |o| o - range.start);
    let part = |bytes: &[u8]| {
        if bytes.len() <= SHOWN { value(field, bytes) } else { hex(bytes.get(first..=last).unwrap_or(bytes)) }
    };
    (part(old), part(new))
}

fn value(field: Field, bytes: &[u8]) -> String {
    match (field, bytes) {
        (Field::DestinationMac | Field::SourceMac, &[a, b, c, d, e, f]) => Mac([a, b, c, d, e, f]).to_string(),
        (Field::SourceAddress | Field::DestinationAddress, &[a, b, c, d]) => format!("{a}.{b}.{c}.{d}"),
        (Field::SourceAddress | Field::DestinationAddress, _) => {
            <[u8; 16]>::try_from(bytes).map_or_else(|_| hex(bytes), |a| Ipv6Addr::from(a).to_string())
        }
        (Field::Ttl | Field::HopLimit | Field::IpProtocol, &[one]) => one.to_string(),
        (Field::IpLength | Field::SourcePort | Field::DestinationPort | Field::Window | Field::UdpLength, &[a, b]) => {
            u16::from_be_bytes([a, b]).to_string()
        }
        (Field::Sequence | Field::Acknowledgement, &[a, b, c, d]) => u32::from_be_bytes([a, b, c, d]).to_string(),
        (Field::Payload | Field::Arp | Field::TcpOptions | Field::IpOptions | Field::Trailer, _) => hex(bytes),
        _ => bytes.iter().fold("0x".to_owned(), |text, b| text + &format!("{b:02x}")),
    }
}

fn hex(bytes: &[u8]) -> String {
    let shown: Vec<String> = bytes.iter().take(SHOWN).map(|b| format!("{b:02x}")).collect();
    let more = if bytes.len() > SHOWN { " ..." } else { "" };
    format!("{}{more}", shown.join(" "))
}

#[cfg(test)]
mod tests;
