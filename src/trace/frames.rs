//! Hand-built frames for tests of this layer.

use etherparse::PacketBuilder;

use super::{Direction, RawFrame, Trace, Vantage};

pub(super) const CLIENT: [u8; 6] = [2, 0xc1, 0, 0, 1, 0];
pub(super) const ROUTER_FRONT: [u8; 6] = [2, 0xf0, 0, 0, 1, 0];
pub(super) const ROUTER: [u8; 6] = [2, 0xf0, 0, 0, 1, 1];
pub(super) const DIRECTOR: [u8; 6] = [2, 0xd1, 0, 0, 1, 0];
pub(super) const RS1: [u8; 6] = [2, 0x51, 0, 0, 1, 0];
pub(super) const RS2: [u8; 6] = [2, 0x52, 0, 0, 1, 0];

/// Order of [`vantages`].
pub(super) const AT_CLIENT: usize = 0;
pub(super) const AT_ROUTER_FRONT: usize = 1;
pub(super) const AT_ROUTER: usize = 2;
pub(super) const AT_DIRECTOR: usize = 3;
pub(super) const AT_RS1: usize = 4;
pub(super) const AT_RS2: usize = 5;

pub(super) fn vantages() -> Vec<Vantage> {
    ["client:eth0", "router:eth0", "router:eth1", "director:eth0", "rs1:eth0", "rs2:eth0"]
        .iter()
        .map(|name| {
            let (node, interface) = name.split_once(':').unwrap();
            Vantage { node: node.parse().unwrap(), interface: interface.parse().unwrap() }
        })
        .collect()
}

/// A SYN of the client (192.0.2.10:40000) to the VIP (172.16.0.66:80), with that sequence number.
pub(super) fn syn(source: [u8; 6], destination: [u8; 6], ttl: u8, sequence: u32) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(source, destination)
        .ipv4([192, 0, 2, 10], [172, 16, 0, 66], ttl)
        .tcp(40000, 80, sequence, 64240)
        .syn();
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &[]).unwrap();
    bytes
}

/// The VIP's answer to it.
pub(super) fn syn_ack(source: [u8; 6], destination: [u8; 6], ttl: u8) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(source, destination)
        .ipv4([172, 16, 0, 66], [192, 0, 2, 10], ttl)
        .tcp(80, 40000, 7, 65160)
        .syn()
        .ack(2);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &[]).unwrap();
    bytes
}

/// A datagram of the client to port 53 of the VIP.
pub(super) fn datagram(source: [u8; 6], destination: [u8; 6], ttl: u8) -> Vec<u8> {
    let builder =
        PacketBuilder::ethernet2(source, destination).ipv4([192, 0, 2, 10], [172, 16, 0, 66], ttl).udp(40000, 53);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, b"question").unwrap();
    bytes
}

pub(super) fn went(vantage: usize, direction: Direction, at_us: u64, data: &[u8]) -> RawFrame {
    let length = u32::try_from(data.len()).unwrap();
    RawFrame { vantage, direction, at_ns: 1_700_000_000_000_000_000 + at_us * 1000, length, data: data.to_vec() }
}

/// Out at one vantage and in at the other 1 microsecond later.
pub(super) fn crossed(from: usize, to: usize, at_us: u64, data: &[u8]) -> [RawFrame; 2] {
    [went(from, Direction::Out, at_us, data), went(to, Direction::In, at_us + 1, data)]
}

pub(super) fn trace(frames: impl IntoIterator<Item = RawFrame>) -> Trace {
    Trace::build(vantages(), frames)
}

/// For each journey the numbers of its frames.
pub(super) fn numbers(trace: &Trace) -> Vec<Vec<u32>> {
    trace.journeys.iter().map(|j| j.frames(trace).map(|f| f.number).collect()).collect()
}

/// The router asks who has the VIP.
pub(super) fn arp_request() -> Vec<u8> {
    use pnet_packet::MutablePacket;
    use pnet_packet::arp::{ArpHardwareTypes, ArpOperations, MutableArpPacket};
    use pnet_packet::ethernet::{EtherTypes, MutableEthernetPacket};

    let mut bytes = vec![0; 42];
    let mut ethernet = MutableEthernetPacket::new(&mut bytes).unwrap();
    ethernet.set_destination([0xff; 6].into());
    ethernet.set_source(ROUTER.into());
    ethernet.set_ethertype(EtherTypes::Arp);
    let mut arp = MutableArpPacket::new(ethernet.payload_mut()).unwrap();
    arp.set_hardware_type(ArpHardwareTypes::Ethernet);
    arp.set_protocol_type(EtherTypes::Ipv4);
    arp.set_hw_addr_len(6);
    arp.set_proto_addr_len(4);
    arp.set_operation(ArpOperations::Request);
    arp.set_sender_hw_addr(ROUTER.into());
    arp.set_sender_proto_addr([172, 16, 0, 1].into());
    arp.set_target_proto_addr([172, 16, 0, 66].into());
    bytes
}
