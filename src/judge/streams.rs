//! Which bytes of each TCP connection are on record at a place, and which are known to have passed although they are not.
//!
//! Owns: counting by sequence numbers, however the bytes were cut into packets. Refuses: UDP, which numbers nothing; there
//! every packet must be on record itself. Errs towards gaps.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::traffic::{Hop, Packet, Traffic};
use crate::base::Protocol;
use crate::wire::frame::Tcp;

/// One direction of one connection.
#[derive(Debug, Default)]
struct Stream {
    /// The number that all others are counted from.
    base: Option<u32>,
    /// Ranges that are on record, from the base.
    /// How many connections it stands for.
    times: u64,
    recorded: Vec<(i64, i64)>,
    /// Ranges that passed: seen somewhere, or acknowledged.
    passed: Vec<(i64, i64)>,
}

/// Streams of all connections with services.
#[derive(Debug, Default)]
pub(super) struct Streams {
    tcp: BTreeMap<(SocketAddr, SocketAddr), Stream>,
    /// Connections without numbers of which a packet is not on record.
    unnumbered: BTreeMap<(SocketAddr, SocketAddr), u64>,
}

impl Stream {
    /// A sequence number counted from the base; numbers wrap, a connection in hand is far shorter than half of them.
    fn place(&mut self, number: u32) -> i64 {
        let base = *self.base.get_or_insert(number);
        i64::from(number.wrapping_sub(base).cast_signed())
    }

    fn is_whole(&self) -> bool {
        let mut recorded = self.recorded.clone();
        recorded.sort_unstable();
        let mut joined: Vec<(i64, i64)> = Vec::new();
        for (start, end) in recorded {
            match joined.last_mut().filter(|last| start <= last.1) {
                Some(last) => last.1 = last.1.max(end),
                None => joined.push((start, end)),
            }
        }
        self.passed.iter().all(|(start, end)| joined.iter().any(|(s, e)| s <= start && end <= e))
    }
}

/// How many numbers a packet takes: its payload, SYN and FIN.
fn taken(tcp: &Tcp) -> i64 {
    i64::from(tcp.payload) + i64::from(tcp.flags & Tcp::SYN != 0) + i64::from(tcp.flags & Tcp::FIN != 0)
}

impl Streams {
    /// What clients sent, on record by a hop of that kind.
    pub(super) fn of(traffic: &Traffic<'_>, recorded: impl Fn(&Hop<'_>) -> bool) -> Self {
        let mut all = Self::default();
        for (packet, _) in traffic.requests() {
            all.add((packet.source, packet.destination), packet, packet.hops.iter().any(&recorded));
        }
        // What is not on record at all has not gone missing in between.
        all.unnumbered.clear();
        all.tcp.retain(|_, stream| !stream.recorded.is_empty());
        for stream in all.tcp.values_mut() {
            // Between the first and the last byte on record nothing may be missing.
            let ends = (stream.recorded.iter().map(|r| r.0).min(), stream.recorded.iter().map(|r| r.1).max());
            if let (Some(start), Some(end)) = ends {
                stream.passed.push((start, end));
            }
        }
        all
    }

    /// What services sent, on record by a hop of that kind; what clients acknowledge has passed.
    pub(super) fn of_replies(traffic: &Traffic<'_>, recorded: impl Fn(&Hop<'_>) -> bool) -> Self {
        let mut all = Self::default();
        for (packet, _) in traffic.replies() {
            all.add((packet.destination, packet.source), packet, packet.hops.iter().any(&recorded));
        }
        let mut acknowledged: BTreeMap<(SocketAddr, SocketAddr), (i64, i64, bool)> = BTreeMap::new();
        for (packet, _) in traffic.requests() {
            let key = (packet.source, packet.destination);
            let Some(tcp) = packet.ip.tcp().filter(|t| t.flags & (Tcp::ACK | Tcp::RST) == Tcp::ACK) else { continue };
            let stream = all.tcp.entry(key).or_default();
            stream.times = stream.times.max(packet.times);
            let at = stream.place(tcp.acknowledgement);
            let range = acknowledged.entry(key).or_insert((at, at, false));
            *range = (range.0.min(at), range.1.max(at), range.2 || tcp.payload > 0);
        }
        for (key, (first, last, asked)) in acknowledged {
            let Some(stream) = all.tcp.get_mut(&key) else { continue };
            if first < last {
                stream.passed.push((first, last));
            } else if asked && stream.recorded.is_empty() {
                // Who sends a payload has got the other's first number, which is the one before.
                stream.passed.push((first - 1, first));
            }
        }
        all
    }

    fn add(&mut self, key: (SocketAddr, SocketAddr), packet: &Packet<'_>, recorded: bool) {
        match packet.ip.tcp().filter(|_| packet.protocol == Protocol::Tcp) {
            None => {
                if !recorded {
                    self.unnumbered.insert(key, packet.times);
                }
            }
            // A reset ends a connection from anywhere; its number need not be the next one.
            Some(tcp) if tcp.flags & Tcp::RST != 0 => {}
            Some(tcp) => {
                let taken = taken(tcp);
                if taken > 0 {
                    let stream = self.tcp.entry(key).or_default();
                    stream.times = stream.times.max(packet.times);
                    let start = stream.place(tcp.sequence);
                    let range = (start, start + taken);
                    if recorded {
                        stream.recorded.push(range);
                    } else {
                        stream.passed.push(range);
                    }
                }
            }
        }
    }

    /// How many connections have bytes that passed and are not on record.
    pub(super) fn gaps(&self) -> u64 {
        let open: u64 = self.tcp.values().filter(|s| !s.is_whole()).map(|s| s.times.max(1)).sum();
        open + self.unnumbered.values().sum::<u64>()
    }
}
