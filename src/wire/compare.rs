//! What differs between two frames, byte by byte, in the words of their headers.
//!
//! Owns: the difference, and which differences forwarding by direct routing may make. Refuses: which frames to compare.
//! Errs towards reporting: a frame that is longer than the other differs, whatever the bytes past its end are.

use std::fmt;
use std::net::Ipv6Addr;
use std::ops::Range;

use super::decode::checksum_holds;
pub use super::fields::Field;
use super::fields::layout;
use crate::base::Mac;

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
        (Field::DestinationMac | Field::SourceMac, _) => {
            <[u8; 6]>::try_from(bytes).map_or_else(|_| hex(bytes), |mac| Mac(mac).to_string())
        }
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
