//! A long capture out of a short one: the same connections again and again, each time from other ports, at other sequence
//! numbers and later. What resolves neighbours comes once in a while only, as from kernels that remember.
//!
//! Owns: the bytes. Knows little-endian pcapng with Ethernet, as drlab writes it, and nothing else.

use std::io::{self, Write};

/// After so much of the capture's time neighbours are resolved anew.
const NEIGHBOURS_NS: u64 = 30_000_000_000;
/// Ports that clients use, one after the other.
const PORTS: std::ops::Range<u32> = 1024..65024;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;

/// What was written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Written {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

struct Frame<'a> {
    interface: u32,
    at_ns: u64,
    flags: u32,
    data: &'a [u8],
    /// The offset of its TCP header, and whether the client sent it, with the client's port counted from 0.
    tcp: Option<(usize, bool, u32)>,
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]))
}

/// Repeats the connections to `port` of a capture until so many bytes are written.
pub(crate) fn repeat(source: &[u8], port: u16, bytes: u64, out: &mut impl Write) -> io::Result<Written> {
    let (head, mut frames) = taken_apart(source, port);
    let mut clients: Vec<u32> = frames.iter().filter_map(|f| f.tcp.map(|(_, _, port)| port)).collect();
    clients.sort_unstable();
    clients.dedup();
    for frame in &mut frames {
        if let Some((_, _, client)) = &mut frame.tcp {
            *client = u32::try_from(clients.iter().position(|c| c == client).unwrap_or(0)).unwrap_or(0);
        }
    }
    let [Some(first), Some(last)] = [frames.first(), frames.last()].map(|f| f.map(|f| f.at_ns)) else {
        return Err(io::Error::other("the capture to repeat has no frames"));
    };
    let mut written = Written { frames: 0, bytes: head.len() as u64 };
    out.write_all(head)?;
    let pass_ns = last - first + 1_000_000;
    let mut resolved_ns = None;
    let mut block = Vec::new();
    let mut round: u64 = 0;
    while written.bytes < bytes {
        let later = round * pass_ns;
        let resolves = resolved_ns.is_none_or(|at: u64| later - at >= NEIGHBOURS_NS);
        if resolves {
            resolved_ns = Some(later);
        }
        let ports = PORTS.end - PORTS.start;
        let step = u32::try_from(round * clients.len() as u64 % u64::from(ports)).unwrap_or(0);
        let numbers = u32::try_from(round.wrapping_mul(0x9e37_79b9) & 0xffff_ffff).unwrap_or(0);
        for frame in frames.iter().filter(|f| resolves || f.tcp.is_some()) {
            packet(&mut block, frame, frame.at_ns + later);
            if let Some((at, forth, client)) = frame.tcp {
                let port = u16::try_from(PORTS.start + (step + client) % ports).unwrap_or(1024);
                moved(&mut block[28 + at..28 + frame.data.len()], forth, port, numbers);
            }
            out.write_all(&block)?;
            written.frames += 1;
            written.bytes += block.len() as u64;
        }
        round += 1;
    }
    out.flush()?;
    Ok(written)
}

fn taken_apart(source: &[u8], port: u16) -> (&[u8], Vec<Frame<'_>>) {
    let (mut head, mut at) = (0, 0);
    let mut frames = Vec::new();
    while let Some(block) = source.get(at..).filter(|rest| rest.len() >= 12) {
        let length = (le32(block, 4) as usize).clamp(12, block.len());
        match le32(block, 0) {
            SECTION | INTERFACE if frames.is_empty() => head = at + length,
            PACKET => frames.push(frame(&block[..length], port)),
            _ => {}
        }
        at += length;
    }
    (&source[..head], frames)
}

fn frame(block: &[u8], port: u16) -> Frame<'_> {
    let kept = le32(block, 20) as usize;
    let data = block.get(28..28 + kept).unwrap_or_default();
    let mut flags = 0;
    let mut at = 28 + kept.div_ceil(4) * 4;
    while at + 4 <= block.len() - 4 {
        let (code, length) = (le32(block, at) & 0xffff, (le32(block, at) >> 16) as usize);
        if code == 2 {
            flags = le32(block, at + 4);
        }
        at += 4 + length.div_ceil(4) * 4;
    }
    let is_tcp = be16(data, 12) == 0x0800 && data.get(23) == Some(&6);
    let header = 14 + usize::from(data.get(14).copied().unwrap_or(0) & 15) * 4;
    let (from, to) = (be16(data, header), be16(data, header + 2));
    let tcp = match is_tcp {
        true if to == port => Some((header, true, u32::from(from))),
        true if from == port => Some((header, false, u32::from(to))),
        _ => None,
    };
    let at_ns = u64::from(le32(block, 12)) << 32 | u64::from(le32(block, 16));
    Frame { interface: le32(block, 8), at_ns, flags, data, tcp }
}

fn packet(block: &mut Vec<u8>, frame: &Frame<'_>, at_ns: u64) {
    let padded = frame.data.len().div_ceil(4) * 4;
    let (total, kept) = (32 + padded + 12, frame.data.len());
    let words = [
        PACKET,
        u32::try_from(total).unwrap_or(0),
        frame.interface,
        u32::try_from(at_ns >> 32).unwrap_or(0),
        u32::try_from(at_ns & 0xffff_ffff).unwrap_or(0),
        u32::try_from(kept).unwrap_or(0),
        u32::try_from(kept).unwrap_or(0),
    ];
    block.clear();
    block.extend(words.iter().flat_map(|w| w.to_le_bytes()));
    block.extend_from_slice(frame.data);
    block.resize(28 + padded, 0);
    block.extend([2 | 4 << 16, frame.flags, 0].iter().flat_map(|w| w.to_le_bytes()));
    block.extend(words[1].to_le_bytes());
}

/// Gives a segment another client's port and other numbers, and its checksum what that makes of it (RFC 1624).
fn moved(segment: &mut [u8], forth: bool, port: u16, numbers: u32) {
    let mut sum = u32::from(!be16(segment, 16));
    let acknowledges = segment.get(13).is_some_and(|flags| flags & 16 != 0);
    let number = |at: usize| {
        let old = u32::from(be16(segment, at)) << 16 | u32::from(be16(segment, at + 2));
        let [a, b, c, d] = old.wrapping_add(numbers).to_be_bytes();
        [(at, [a, b]), (at + 2, [c, d])]
    };
    let port = [(if forth { 0 } else { 2 }, port.to_be_bytes())];
    let further = if acknowledges { number(8).to_vec() } else { Vec::new() };
    let words: Vec<(usize, [u8; 2])> = port.into_iter().chain(number(4)).chain(further).collect();
    for (at, value) in words {
        sum += u32::from(!be16(segment, at)) + u32::from(u16::from_be_bytes(value));
        if let Some(place) = segment.get_mut(at..at + 2) {
            place.copy_from_slice(&value);
        }
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    if let (Some(place), Ok(sum)) = (segment.get_mut(16..18), u16::try_from(sum)) {
        place.copy_from_slice(&(!sum).to_be_bytes());
    }
}
