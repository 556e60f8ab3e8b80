//! The frames of a probe: ARP (RFC 826) and neighbour discovery (RFC 4861), put together by pnet and taken apart.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pnet_packet::Packet;
use pnet_packet::arp::{Arp, ArpHardwareTypes, ArpOperation, ArpOperations, ArpPacket, MutableArpPacket};
use pnet_packet::ethernet::{EtherType, EtherTypes, Ethernet, MutableEthernetPacket};
use pnet_packet::icmpv6::{Icmpv6Packet, Icmpv6Type, Icmpv6Types, checksum};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv6::{Ipv6, MutableIpv6Packet};

use crate::base::Mac;

const ETHERNET_BYTES: usize = 14;
const IPV6_BYTES: usize = 40;
/// Header of `ICMPv6`, flags, target, and one link-layer address option.
const NEIGHBOUR_BYTES: usize = 32;
const SOLICITATION_TARGET: std::ops::Range<usize> = 8..24;
/// RFC 4861, section 4.4: the Override bit.
const OVERRIDE: u8 = 0x20;
const SOURCE_OPTION: u8 = 1;
const TARGET_OPTION: u8 = 2;

/// Asker and target are of different IP versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MixedVersions;

/// The `EtherType` in which `address` is asked for.
pub(super) const fn ether_type(address: IpAddr) -> u16 {
    match address {
        IpAddr::V4(_) => EtherTypes::Arp.0,
        IpAddr::V6(_) => EtherTypes::Ipv6.0,
    }
}

/// Who has `target`? Asked by `sender` at `mac`.
pub(super) fn question(mac: Mac, sender: IpAddr, target: IpAddr) -> Result<Vec<u8>, MixedVersions> {
    match (sender, target) {
        (IpAddr::V4(sender), IpAddr::V4(target)) => {
            let arp = arp(ArpOperations::Request, (mac, sender), (Mac([0; 6]), target));
            Ok(ethernet(mac, Mac::BROADCAST, EtherTypes::Arp, &arp))
        }
        (IpAddr::V6(sender), IpAddr::V6(target)) => {
            let [.., a, b, c] = target.octets();
            let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]);
            Ok(neighbour(mac, (sender, group), Icmpv6Types::NeighborSolicit, 0, target, (SOURCE_OPTION, mac)))
        }
        _ => Err(MixedVersions),
    }
}

/// `address` is at `claimed`; said to all, unasked, out of the interface that has `mac`.
///
/// The frame's own source stays `mac` whatever is claimed, so that a switch learns nothing false from it.
pub(super) fn announcement(mac: Mac, claimed: Mac, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => {
            let arp = arp(ArpOperations::Request, (claimed, address), (Mac([0; 6]), address));
            ethernet(mac, Mac::BROADCAST, EtherTypes::Arp, &arp)
        }
        IpAddr::V6(address) => {
            let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
            let option = (TARGET_OPTION, claimed);
            neighbour(mac, (address, all), Icmpv6Types::NeighborAdvert, OVERRIDE, address, option)
        }
    }
}

/// The MAC that a frame gives for `target`, where it is an answer about it.
pub(super) fn answer(frame: &[u8], target: IpAddr) -> Option<Mac> {
    let kind = u16::from_be_bytes(frame.get(12..14)?.try_into().ok()?);
    let payload = frame.get(ETHERNET_BYTES..)?;
    match target {
        IpAddr::V4(target) => {
            let arp = ArpPacket::new(payload).filter(|_| kind == EtherTypes::Arp.0)?;
            let speaks = arp.get_operation() == ArpOperations::Reply && arp.get_sender_proto_addr() == target;
            speaks.then(|| Mac(arp.get_sender_hw_addr().octets()))
        }
        IpAddr::V6(target) => {
            let next = *payload.get(6).filter(|_| kind == EtherTypes::Ipv6.0)?;
            let message = payload.get(IPV6_BYTES..).filter(|_| next == IpNextHeaderProtocols::Icmpv6.0)?;
            let speaks = message.first() == Some(&Icmpv6Types::NeighborAdvert.0)
                && message.get(SOLICITATION_TARGET)? == target.octets().as_slice();
            let named = target_option(message.get(SOLICITATION_TARGET.end..)?);
            // Without the option the sender speaks for the address that its frame came from.
            speaks.then(|| named.or_else(|| frame.get(6..12)?.try_into().ok().map(Mac)))?
        }
    }
}

fn target_option(mut options: &[u8]) -> Option<Mac> {
    loop {
        let length = usize::from(*options.get(1)?) * 8;
        let option = options.get(..length).filter(|option| !option.is_empty())?;
        if option[0] == TARGET_OPTION {
            return option.get(2..8)?.try_into().ok().map(Mac);
        }
        options = &options[length..];
    }
}

fn arp(operation: ArpOperation, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
    let mut bytes = vec![0; MutableArpPacket::minimum_packet_size()];
    if let Some(mut packet) = MutableArpPacket::new(&mut bytes) {
        packet.populate(&Arp {
            hardware_type: ArpHardwareTypes::Ethernet,
            protocol_type: EtherTypes::Ipv4,
            hw_addr_len: 6,
            proto_addr_len: 4,
            operation,
            sender_hw_addr: sender.0.0.into(),
            sender_proto_addr: sender.1,
            target_hw_addr: target.0.0.into(),
            target_proto_addr: target.1,
            payload: Vec::new(),
        });
    }
    bytes
}

fn neighbour(
    mac: Mac,
    (source, destination): (Ipv6Addr, Ipv6Addr),
    kind: Icmpv6Type,
    flags: u8,
    target: Ipv6Addr,
    (option, named): (u8, Mac),
) -> Vec<u8> {
    let mut message = vec![0; NEIGHBOUR_BYTES];
    message[0] = kind.0;
    message[4] = flags;
    message[SOLICITATION_TARGET].copy_from_slice(&target.octets());
    message[24..26].copy_from_slice(&[option, 1]);
    message[26..].copy_from_slice(&named.0);
    let sum = Icmpv6Packet::new(&message).map_or(0, |packet| checksum(&packet, &source, &destination));
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut packet = vec![0; IPV6_BYTES + NEIGHBOUR_BYTES];
    if let Some(mut ip) = MutableIpv6Packet::new(&mut packet) {
        ip.populate(&Ipv6 {
            version: 6,
            traffic_class: 0,
            flow_label: 0,
            payload_length: 32,
            next_header: IpNextHeaderProtocols::Icmpv6,
            // RFC 4861, section 7.1: anything less was routed and is thrown away.
            hop_limit: 255,
            source,
            destination,
            payload: message,
        });
    }
    let [.., a, b, c, d] = destination.octets();
    ethernet(mac, Mac([0x33, 0x33, a, b, c, d]), EtherTypes::Ipv6, &packet)
}

fn ethernet(source: Mac, destination: Mac, ethertype: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; ETHERNET_BYTES + payload.len()];
    if let Some(mut frame) = MutableEthernetPacket::new(&mut bytes) {
        frame.populate(&Ethernet {
            destination: destination.0.into(),
            source: source.0.into(),
            ethertype,
            payload: payload.to_vec(),
        });
        debug_assert_eq!(frame.payload(), payload);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Mac, MixedVersions, announcement, answer, question};

    const ME: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 2]);

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }

    #[test]
    fn an_arp_question_is_broadcast_and_leaves_the_answer_open() {
        let frame = question(ME, "172.16.0.1".parse().unwrap(), "172.16.0.66".parse().unwrap()).unwrap();
        assert_eq!(
            hex(&frame),
            "ffffffffffff0200000000010806\
             00010800060400010200000000 01ac100001000000000000ac100042"
                .replace(' ', "")
        );
    }

    #[test]
    fn a_solicitation_goes_to_the_targets_own_group() {
        let frame = question(ME, "fd00::1".parse().unwrap(), "fd00::a1b2:c3d4".parse().unwrap()).unwrap();
        assert_eq!(
            hex(&frame),
            "3333ffb2c3d402000000000186dd6000000000203aff\
             fd000000000000000000000000000001ff0200000000000000000001ffb2c3d4\
             8700538d00000000fd0000000000000000000000a1b2c3d40101020000000001"
        );
    }

    #[test]
    fn a_reply_about_the_target_is_an_answer_and_no_other() {
        let target = "172.16.0.66".parse().unwrap();
        // An announcement made a reply: the operation's low byte.
        let mut reply = announcement(OTHER, OTHER, target);
        assert_eq!(answer(&reply, target), None, "a request says nothing in answer");
        reply[21] = 2;
        assert_eq!(answer(&reply, target), Some(OTHER));
        assert_eq!(answer(&reply, "172.16.0.67".parse().unwrap()), None);
        for cut in 0..reply.len() {
            assert_eq!(answer(&reply[..cut], target), None, "cut at {cut}");
        }
    }

    #[test]
    fn an_advertisement_names_the_mac_of_its_option_not_that_of_its_frame() {
        let target = "fd00::66".parse().unwrap();
        let frame = announcement(ME, OTHER, target);
        assert_eq!(answer(&frame, target), Some(OTHER));
        assert_eq!(answer(&frame[..78], target), Some(ME), "without an option it is the sender's");
        assert_eq!(answer(&frame, "fd00::67".parse().unwrap()), None);
        for cut in 0..78 {
            assert_eq!(answer(&frame[..cut], target), None, "cut at {cut}");
        }
    }

    #[test]
    fn a_v4_address_cannot_ask_for_a_v6_one() {
        assert_eq!(question(ME, "10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()), Err(MixedVersions));
    }
}
