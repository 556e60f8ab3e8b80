//! Frames that take a while: the kernel's `netem` on an interface, which holds each one back by a time of its own.
//!
//! Owns: the queueing discipline. Refuses: loss. Frames may overtake each other, as they may on a network with several
//! ways.

use rtnetlink::packet_core::DefaultNla;
use rtnetlink::packet_route::tc::{TcAttribute, TcHandle, TcMessage};
use rtnetlink::{Error, Handle};

use super::port::add_discipline;
use crate::base::IfName;
use crate::inside::rtnl::{Attempt, RtnlError};

/// `TCA_OPTIONS`, `TCA_NETEM_LATENCY64`, `TCA_NETEM_JITTER64`.
const OPTIONS: u16 = 2;
const LATENCY_NS: u16 = 10;
const JITTER_NS: u16 = 11;
/// How many frames are held at once.
const LIMIT: u32 = 10_000;

/// Holds each frame that leaves by an interface back by a drawn time below a limit.
///
/// # Errors
/// The kernel's refusal.
pub async fn set(handle: &Handle, index: u32, name: &IfName, limit_us: u32) -> Result<(), RtnlError> {
    add(handle, index, limit_us).await.attempt(|| format!("hold frames back at {name}"))
}

async fn add(handle: &Handle, index: u32, limit_us: u32) -> Result<(), Error> {
    let mut message = TcMessage::default();
    message.header.index = index.cast_signed();
    message.header.handle = TcHandle::from(0x0001_0000);
    message.header.parent = TcHandle::from(u32::MAX);
    message.attributes.push(TcAttribute::Kind("netem".to_owned()));
    message.attributes.push(TcAttribute::Other(DefaultNla::new(OPTIONS, options(limit_us))));
    add_discipline(handle, message).await
}

/// `struct tc_netem_qopt` (latency, limit, loss, gap, duplicate, jitter) and two attributes that take nanoseconds. The
/// kernel draws evenly between latency less jitter and latency plus jitter.
fn options(limit_us: u32) -> Vec<u8> {
    let half_ns = i64::from(limit_us) * 500;
    let fixed = [0, LIMIT, 0, 0, 0, 0];
    let mut bytes: Vec<u8> = fixed.into_iter().flat_map(u32::to_ne_bytes).collect();
    for kind in [LATENCY_NS, JITTER_NS] {
        bytes.extend(12_u16.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(half_ns.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::options;

    #[test]
    fn the_limit_is_split_into_a_middle_and_as_much_on_both_sides() {
        let bytes = options(2000);
        assert_eq!(bytes.len(), 24 + 2 * 12);
        let number = |at: usize| i64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!((number(28), number(40)), (1_000_000, 1_000_000));
    }
}
