//! Frames as bytes. MACs are filled in by whoever sends them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use etherparse::{Ipv4Header, PacketBuilder, TcpHeader};

use crate::base::Mac;

/// An Ethernet header without MACs.
fn ethernet(kind: u16) -> Vec<u8> {
    let mut data = vec![0; 12];
    data.extend(kind.to_be_bytes());
    data
}

/// An ARP packet: operation, sender's MAC and address, target's MAC and address.
pub(in crate::judge) fn arp(operation: u16, mac: Mac, sender: IpAddr, target_mac: Mac, target: IpAddr) -> Vec<u8> {
    let (IpAddr::V4(sender), IpAddr::V4(target)) = (sender, target) else { panic!("ARP is for IPv4") };
    let mut data = ethernet(0x0806);
    data.extend([0, 1, 8, 0, 6, 4]);
    data.extend(operation.to_be_bytes());
    data.extend(mac.0);
    data.extend(sender.octets());
    data.extend(target_mac.0);
    data.extend(target.octets());
    data
}

/// A TCP segment.
pub(in crate::judge) fn tcp(
    from: SocketAddr,
    to: SocketAddr,
    id: u16,
    sequence: u32,
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (from.ip(), to.ip()) else { panic!("IPv4 only") };
    let mut ip = Ipv4Header::new(
        (20 + payload.len()).try_into().unwrap(),
        64,
        etherparse::ip_number::TCP,
        source.octets(),
        destination.octets(),
    )
    .unwrap();
    ip.identification = id;
    let mut header = TcpHeader::new(from.port(), to.port(), sequence, 64_000);
    header.fin = flags & 1 != 0;
    header.syn = flags & 2 != 0;
    header.rst = flags & 4 != 0;
    header.psh = flags & 8 != 0;
    header.ack = flags & 16 != 0;
    header.checksum = header.calc_checksum_ipv4(&ip, payload).unwrap();
    ip.header_checksum = ip.calc_header_checksum();
    let mut data = ethernet(0x0800);
    ip.write(&mut data).unwrap();
    header.write(&mut data).unwrap();
    data.extend(payload);
    data
}

/// A datagram.
pub(super) fn udp(from: SocketAddr, to: SocketAddr, id: u16, payload: &[u8]) -> Vec<u8> {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (from.ip(), to.ip()) else { panic!("IPv4 only") };
    let builder = PacketBuilder::ethernet2([0; 6], [0; 6])
        .ipv4(source.octets(), destination.octets(), 64)
        .udp(from.port(), to.port());
    let mut data = Vec::new();
    builder.write(&mut data, payload).unwrap();
    data[18..20].copy_from_slice(&id.to_be_bytes());
    checksum(&mut data);
    data
}

/// The frame one hop further: TTL less one, and the header checksum with it.
pub(super) fn forwarded(mut data: Vec<u8>) -> Vec<u8> {
    data[22] -= 1;
    checksum(&mut data);
    data
}

/// Puts the IPv4 header checksum right.
pub(in crate::judge) fn checksum(data: &mut [u8]) {
    data[24..26].copy_from_slice(&[0, 0]);
    let sum: u32 = data[14..34].chunks(2).map(|c| u32::from(u16::from_be_bytes([c[0], c[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    data[24..26].copy_from_slice(&(!u16::try_from(folded).unwrap()).to_be_bytes());
}

/// The packet in another IPv4 packet.
pub(super) fn wrapped(data: &[u8], from: IpAddr, to: IpAddr) -> Vec<u8> {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (from, to) else { panic!("IPv4 only") };
    let inner = &data[14..];
    let mut ip = Ipv4Header::new(
        inner.len().try_into().unwrap(),
        64,
        etherparse::ip_number::IPV4,
        source.octets(),
        destination.octets(),
    )
    .unwrap();
    ip.header_checksum = ip.calc_header_checksum();
    let mut outer = ethernet(0x0800);
    ip.write(&mut outer).unwrap();
    outer.extend(inner);
    outer
}

/// Who has the target?
pub(in crate::judge) fn neighbour_solicitation(from: Ipv6Addr, target: Ipv6Addr, mac: Mac) -> Vec<u8> {
    neighbour(135, [0; 4], (from, "ff02::1:ff00:66".parse().unwrap()), target, (1, mac))
}

/// I have the target, in answer to a question.
pub(in crate::judge) fn neighbour_advertisement(to: Ipv6Addr, target: Ipv6Addr, mac: Mac) -> Vec<u8> {
    neighbour(136, [0x60, 0, 0, 0], (target, to), target, (2, mac))
}

fn neighbour(
    kind: u8,
    flags: [u8; 4],
    ends: (Ipv6Addr, Ipv6Addr),
    target: Ipv6Addr,
    (option, mac): (u8, Mac),
) -> Vec<u8> {
    let mut data = ethernet(0x86dd);
    data.extend([0x60, 0, 0, 0, 0, 32, 58, 255]);
    data.extend(ends.0.octets());
    data.extend(ends.1.octets());
    data.extend([kind, 0, 0, 0]);
    data.extend(flags);
    data.extend(target.octets());
    data.extend([option, 1]);
    data.extend(mac.0);
    data
}
