//! One Ethernet frame, taken apart.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::base::Mac;

/// Which way a frame went at its vantage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Into the node.
    In,
    /// Out of the node.
    Out,
    /// The capture does not tell.
    Unknown,
}

/// A frame's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Ethernet source.
    pub source: Mac,
    /// Ethernet destination.
    pub destination: Mac,
    /// VLAN ids, outermost first.
    pub vlans: Vec<u16>,
    /// What the frame carries.
    pub body: Body,
}

/// What a frame carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// ARP for IPv4 over Ethernet (RFC 826).
    Arp(Arp),
    /// IPv4 or IPv6.
    Ip(Ip),
    /// Another `EtherType`.
    Other(u16),
    /// Cut short or nonsense.
    Malformed(String),
}

/// An ARP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arp {
    /// 1 request, 2 reply.
    pub operation: u16,
    /// Sender hardware address.
    pub sender_mac: Mac,
    /// Sender protocol address.
    pub sender_ip: Ipv4Addr,
    /// Target hardware address.
    pub target_mac: Mac,
    /// Target protocol address.
    pub target_ip: Ipv4Addr,
}

impl Arp {
    /// `who-has`.
    pub const REQUEST: u16 = 1;
    /// `is-at`.
    pub const REPLY: u16 = 2;

    /// Sender and target are the same address.
    pub fn is_gratuitous(&self) -> bool {
        self.sender_ip == self.target_ip
    }
}

/// An IP packet's header and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ip {
    /// Source.
    pub source: IpAddr,
    /// Destination.
    pub destination: IpAddr,
    /// TTL, or hop limit.
    pub ttl: u8,
    /// Identification, IPv4 only.
    pub id: Option<u16>,
    /// The header checksum as it stands, IPv4 only.
    pub header_checksum: Option<u16>,
    /// Whether the header checksum is right, IPv4 only.
    pub header_checksum_ok: Option<bool>,
    /// Total length in bytes, header included.
    pub length: u32,
    /// Whether it is a fragment.
    pub fragment: bool,
    /// Offset of the IP header in the frame, in bytes.
    pub offset: usize,
    /// The transport.
    pub transport: Transport,
}

/// What an IP packet carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// TCP (RFC 9293).
    Tcp(Tcp),
    /// UDP.
    Udp(Udp),
    /// ICMP of either version that is not neighbour discovery.
    Icmp {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
        /// The packet it quotes, for errors: source, destination, protocol, source port, destination port.
        quotes: Option<Quoted>,
    },
    /// Neighbour solicitation (RFC 4861).
    NeighbourSolicitation {
        /// Who is sought.
        target: Ipv6Addr,
        /// Source link-layer address option.
        source_mac: Option<Mac>,
    },
    /// Neighbour advertisement (RFC 4861).
    NeighbourAdvertisement {
        /// Who speaks of itself.
        target: Ipv6Addr,
        /// Target link-layer address option.
        target_mac: Option<Mac>,
        /// Sent in answer to a solicitation.
        solicited: bool,
        /// Overrides what is known.
        overrides: bool,
    },
    /// IP in IP.
    Encapsulated(Box<Ip>),
    /// Another protocol number, or the later part of a fragmented packet.
    Other(u8),
    /// Cut short or nonsense.
    Malformed(String),
}

/// A TCP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledgement: u32,
    /// Flags, as in the header's fourteenth byte: FIN 1, SYN 2, RST 4, PSH 8, ACK 16.
    pub flags: u8,
    /// Bytes of payload.
    pub payload: u32,
    /// Checksum as it stands.
    pub checksum: u16,
}

impl Tcp {
    /// FIN.
    pub const FIN: u8 = 1;
    /// SYN.
    pub const SYN: u8 = 2;
    /// RST.
    pub const RST: u8 = 4;
    /// ACK.
    pub const ACK: u8 = 16;

    /// SYN without ACK: the first packet of a connection.
    pub fn opens(&self) -> bool {
        self.flags & (Self::SYN | Self::ACK) == Self::SYN
    }
}

/// A UDP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Udp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Bytes of payload.
    pub payload: u32,
    /// Checksum as it stands.
    pub checksum: u16,
}

/// The packet that an ICMP error quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted {
    /// Its source.
    pub source: IpAddr,
    /// Its destination.
    pub destination: IpAddr,
    /// Its protocol number.
    pub protocol: u8,
    /// Source and destination port, where the quotation reaches that far.
    pub ports: Option<(u16, u16)>,
}

impl Decoded {
    /// The IP packet, where the frame carries one.
    pub fn ip(&self) -> Option<&Ip> {
        match &self.body {
            Body::Ip(ip) => Some(ip),
            _ => None,
        }
    }

    /// The ARP packet, where the frame carries one.
    pub fn arp(&self) -> Option<&Arp> {
        match &self.body {
            Body::Arp(arp) => Some(arp),
            _ => None,
        }
    }
}

/// Whether hosts begin with this TTL; a packet with another one came through a router.
pub fn is_initial(ttl: u8) -> bool {
    matches!(ttl, 32 | 64 | 128 | 255)
}

impl Ip {
    /// The packet that is not a wrapping of another: itself, unless it carries IP in IP.
    pub fn innermost(&self) -> &Self {
        let mut ip = self;
        while let Transport::Encapsulated(inner) = &ip.transport {
            ip = inner;
        }
        ip
    }

    /// The TCP header, where there is one.
    pub fn tcp(&self) -> Option<&Tcp> {
        match &self.transport {
            Transport::Tcp(tcp) => Some(tcp),
            _ => None,
        }
    }

    /// Source and destination port, where the transport has ports.
    pub fn ports(&self) -> Option<(u16, u16)> {
        match &self.transport {
            Transport::Tcp(t) => Some((t.source, t.destination)),
            Transport::Udp(u) => Some((u.source, u.destination)),
            _ => None,
        }
    }
}
