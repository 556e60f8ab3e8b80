//! `virt-tx-csum`: packets with a checksum that was left to others are forwarded by a program, which leaves it too.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "virt-tx-csum",
    title: "a Director in user space forwards packets whose checksum nobody computed",
    teaches: "A kernel that sends by a virtual interface leaves the checksum of TCP and UDP to whoever takes the packet \
              in, as it would to a network card: the field holds the sum of the pseudo header only, and the packet is \
              marked (CHECKSUM_PARTIAL). Whatever forwards in the kernel, IPVS included, hands the mark on, or computes \
              the sum where a card needs it. A program that takes frames up by itself (AF_PACKET without \
              PACKET_VNET_HDR, AF_XDP) gets the bytes without the mark and sends them on as they are. Now the \
              checksum is wrong for good, and the real server drops the packet without a word but for a counter. Turn \
              the offload off where the packets come from, or leave forwarding to the kernel. Trap: what comes by a \
              real wire has its checksum and works, so that only clients, containers and routers on the Director's own \
              host fail; and a capture at a sender shows wrong checksums whether all is well or not. What counts is the \
              receiver's counter.",
    causes: "the real server drops what it is handed, and says nothing: connections from there time out",
    source: "include/linux/skbuff.h: CHECKSUM_PARTIAL; net/packet/af_packet.c: packet_rcv; net/ipv4/tcp_ipv4.c: tcp_v4_rcv",
    outranks: &[],
    what: |nodes| format!("checksums are left to whoever takes packets in, and nobody computes them, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let (Kind::Unfinished { seen }, Some(interface)) = (&deviation.kind, deviation.interface) else { return None };
    let (node, trace) = (deviation.node, diagnosis.traffic.input.trace);
    let (name, before, after) = seen.counter;
    let mut evidence = vec![
        Evidence::fact(
            format!("{node} leaves checksums to others on {interface}"),
            format!("link {interface} tx-checksum on"),
        ),
        Evidence::fact(
            format!("{} drops packets for their checksum", seen.server),
            format!("{name} {before} before, {after} after"),
        ),
    ];
    let told = [
        format!("enters {} with a checksum that is not computed", seen.director),
        format!("leaves {} with the same one", seen.director),
        format!("comes to {} with it", seen.server),
    ];
    let shown = seen.frames.iter().zip(told).filter_map(|(number, text)| Some((trace.frame(*number)?, text)));
    evidence.extend(shown.map(|(frame, text)| Evidence::frame(trace, frame, text)));
    let mend = vec![mended(node, Dialect::Ethtool, format!("ethtool -K {interface} tx off"))];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
