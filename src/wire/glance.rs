//! A quick look at the frames that captures are full of: a whole, unfragmented TCP or UDP packet over Ethernet.
//!
//! Owns: saying the same as `decode` of such frames, a dozen times as fast, as nothing is put together. Refuses
//! whatever is out of the ordinary (options of IPv4, extension headers, fragments, IP in IP, a wrong header checksum, a length
//! that contradicts another): of that it says nothing, and the frame is to be decoded. Errs towards nothing.

use super::frame::{Tcp, Udp};
use crate::base::{Mac, Protocol};

/// One end of a conversation. IPv4 addresses fill the low 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The address as a number.
    pub address: u128,
    /// Whether it is IPv6.
    pub v6: bool,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

/// TCP or UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment {
    /// TCP.
    Tcp(Tcp),
    /// UDP.
    Udp(Udp),
}

/// What a quick look tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance<'a> {
    /// Ethernet destination.
    pub destination: Mac,
    /// Ethernet source.
    pub source: Mac,
    /// Offset of the IP header in the frame; what stands between it and the addresses are VLAN tags and the `EtherType`.
    pub offset: usize,
    /// The sender.
    pub from: End,
    /// The receiver.
    pub to: End,
    /// TTL, or hop limit.
    pub ttl: u8,
    /// Identification, 0 with IPv6.
    pub id: u16,
    /// Total length of the packet in bytes, as its header states it.
    pub length: u32,
    /// The transport's header.
    pub segment: Segment,
    /// The IP packet, as much as was captured of it.
    pub packet: &'a [u8],
}

/// Looks at a frame; nothing where it is out of the ordinary.
pub fn glance(data: &[u8]) -> Option<Glance<'_>> {
    let (ethernet, rest) = data.split_first_chunk::<14>()?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, kind @ ..] = *ethernet;
    let (mut kind, mut packet) = (u16::from_be_bytes(kind), rest);
    let mut tags = 0;
    while matches!(kind, 0x8100 | 0x88a8 | 0x9100) {
        let (tag, after) = packet.split_first_chunk::<4>()?;
        (kind, packet) = (u16::from_be_bytes([tag[2], tag[3]]), after);
        tags += 1;
        if tags == 3 {
            return None;
        }
    }
    let offset = data.len() - packet.len();
    let header = match kind {
        0x0800 => v4(packet)?,
        0x86dd => v6(packet)?,
        _ => return None,
    };
    let packet = packet.get(..header.length).unwrap_or(packet);
    let (segment, from, to) = segment(packet, &header)?;
    let end = |address, port| End { address, v6: header.v6, protocol: header.protocol, port };
    Some(Glance {
        destination: Mac([d0, d1, d2, d3, d4, d5]),
        source: Mac([s0, s1, s2, s3, s4, s5]),
        offset,
        from: end(header.source, from),
        to: end(header.destination, to),
        ttl: header.ttl,
        id: header.id,
        length: u32::try_from(header.length).ok()?,
        segment,
        packet,
    })
}

struct Header {
    v6: bool,
    source: u128,
    destination: u128,
    ttl: u8,
    id: u16,
    length: usize,
    bytes: usize,
    protocol: Protocol,
}

fn v4(packet: &[u8]) -> Option<Header> {
    let fixed = packet.first_chunk::<20>()?;
    let [0x45, _, l0, l1, i0, i1, f0, f1, ttl, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *fixed else {
        return None;
    };
    // RFC 1071: the ones' complement sum over the header, its checksum included; four bytes at a time come to the same.
    let sum: u64 = fixed.as_chunks::<4>().0.iter().map(|word| u64::from(u32::from_be_bytes(*word))).sum();
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let whole = u16::from_be_bytes([f0, f1]).trailing_zeros() >= 14 && (sum & 0xffff) + (sum >> 16) == 0xffff;
    Some(Header {
        v6: false,
        source: u128::from(u32::from_be_bytes([s0, s1, s2, s3])),
        destination: u128::from(u32::from_be_bytes([d0, d1, d2, d3])),
        ttl,
        id: u16::from_be_bytes([i0, i1]),
        length: usize::from(u16::from_be_bytes([l0, l1])),
        bytes: 20,
        protocol: carried(protocol)?,
    })
    .filter(|_| whole)
}

fn v6(packet: &[u8]) -> Option<Header> {
    let (fixed, _) = packet.split_first_chunk::<40>()?;
    let [first, _, _, _, l0, l1, next, hops, addresses @ ..] = *fixed;
    let (source, destination) = (addresses.first_chunk::<16>()?, addresses.last_chunk::<16>()?);
    let length = u16::from_be_bytes([l0, l1]);
    Some(Header {
        v6: true,
        source: u128::from_be_bytes(*source),
        destination: u128::from_be_bytes(*destination),
        ttl: hops,
        id: 0,
        length: 40 + usize::from(length),
        bytes: 40,
        protocol: carried(next)?,
    })
    .filter(|_| first >> 4 == 6 && length > 0)
}

fn carried(number: u8) -> Option<Protocol> {
    match number {
        6 => Some(Protocol::Tcp),
        17 => Some(Protocol::Udp),
        _ => None,
    }
}

fn segment(packet: &[u8], header: &Header) -> Option<(Segment, u16, u16)> {
    let data = packet.get(header.bytes..)?;
    let stated = u32::try_from(header.length.checked_sub(header.bytes)?).ok()?;
    if header.protocol == Protocol::Udp {
        let [s0, s1, d0, d1, l0, l1, c0, c1] = *data.first_chunk::<8>()?;
        let length = u32::from(u16::from_be_bytes([l0, l1]));
        let udp = Udp {
            source: u16::from_be_bytes([s0, s1]),
            destination: u16::from_be_bytes([d0, d1]),
            payload: stated.checked_sub(8)?,
            checksum: u16::from_be_bytes([c0, c1]),
        };
        return (length == stated).then_some((Segment::Udp(udp), udp.source, udp.destination));
    }
    let [s0, s1, d0, d1, n0, n1, n2, n3, a0, a1, a2, a3, size, flags, _, _, c0, c1, _, _] =
        *data.first_chunk::<20>()?;
    let bytes = u32::from(size >> 4) * 4;
    let tcp = Tcp {
        source: u16::from_be_bytes([s0, s1]),
        destination: u16::from_be_bytes([d0, d1]),
        sequence: u32::from_be_bytes([n0, n1, n2, n3]),
        acknowledgement: u32::from_be_bytes([a0, a1, a2, a3]),
        flags,
        payload: stated.checked_sub(bytes)?,
        checksum: u16::from_be_bytes([c0, c1]),
    };
    (bytes >= 20).then_some((Segment::Tcp(tcp), tcp.source, tcp.destination))
}

impl Segment {
    /// The TCP header, where it is TCP.
    pub fn tcp(&self) -> Option<&Tcp> {
        match self {
            Self::Tcp(tcp) => Some(tcp),
            Self::Udp(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
