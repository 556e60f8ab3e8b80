//! Echo requests (RFC 792, RFC 4443), one after the other, each with its own time to be answered.
//!
//! Owns: counting the answers. Refuses: an opinion; no answer at all is a result like any other, and so is an error
//! of the network's. It errs towards "not answered": an answer that comes too late does not count.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recv, sendto, socket,
};
use pnet_packet::icmp::{IcmpPacket, IcmpTypes, checksum};
use pnet_packet::icmpv6::Icmpv6Types;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};

use super::ring::socket::watch;
use crate::base::NodeName;

const MESSAGE_BYTES: usize = 8 + PAYLOAD.len();
const PAYLOAD: &[u8; 24] = b"drlab asks for an echo..";
/// Tells the echoes of one call from those of another in the same namespace.
static IDENTIFIER: AtomicU16 = AtomicU16::new(0x6472);

/// Nothing could be asked.
#[derive(Debug, thiserror::Error)]
#[error("could not {attempt} to ping {target} from {node}")]
pub struct PingError {
    attempt: &'static str,
    node: NodeName,
    target: IpAddr,
    source: io::Error,
}

/// What came of a series of echo requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinged {
    /// How many were to be sent.
    pub sent: u16,
    /// How many were answered in time.
    pub answered: u16,
    /// What the kernel said to the last one that it did not take.
    pub refused: Option<String>,
}

impl fmt::Display for Pinged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} answered", self.answered, self.sent)?;
        match &self.refused {
            Some(why) => write!(f, " ({why})"),
            None => Ok(()),
        }
    }
}

/// Sends `count` echo requests from the calling thread's namespace, the next one once the last is answered or has
/// taken `timeout`.
///
/// # Errors
/// Where there is no raw socket to be had. What the network does is a result.
pub async fn ping(node: &NodeName, target: IpAddr, count: u16, timeout: Duration) -> Result<Pinged, PingError> {
    let failed = |attempt| move |source| PingError { attempt, node: node.clone(), target, source };
    let (family, protocol) = match target {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    let fd = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, protocol)
        .map_err(|e| failed("open a raw socket")(e.into()))?;
    let socket = watch(fd).map_err(failed("watch a raw socket"))?;
    let identifier = IDENTIFIER.fetch_add(1, Ordering::Relaxed);
    let mut pinged = Pinged { sent: count, answered: 0, refused: None };
    for sequence in 1..=count {
        let deadline = Instant::now() + timeout;
        match timeout_at(deadline, echo(&socket, target, identifier, sequence)).await {
            Ok(Ok(())) => pinged.answered += 1,
            Ok(Err(error)) => pinged.refused = Some(error.to_string()),
            Err(_) => {}
        }
    }
    Ok(pinged)
}

async fn echo(socket: &AsyncFd<OwnedFd>, target: IpAddr, identifier: u16, sequence: u16) -> io::Result<()> {
    let message = request(target, identifier, sequence);
    let to = SockaddrStorage::from(SocketAddr::new(target, 0));
    let sent = socket.async_io(Interest::WRITABLE, |fd| {
        sendto(fd.as_raw_fd(), &message, &to, MsgFlags::empty()).map_err(io::Error::from)
    });
    sent.await?;
    let mut buffer = [0; 256];
    loop {
        let received = socket.async_io(Interest::READABLE, |fd| {
            recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty()).map_err(io::Error::from)
        });
        let length = received.await?;
        if answers(&buffer[..length], target, identifier, sequence) {
            return Ok(());
        }
    }
}

fn request(target: IpAddr, identifier: u16, sequence: u16) -> [u8; MESSAGE_BYTES] {
    let mut message = [0; MESSAGE_BYTES];
    message[4..6].copy_from_slice(&identifier.to_be_bytes());
    message[6..8].copy_from_slice(&sequence.to_be_bytes());
    message[8..].copy_from_slice(PAYLOAD);
    if target.is_ipv4() {
        message[0] = IcmpTypes::EchoRequest.0;
        let sum = IcmpPacket::new(&message).map_or(0, |packet| checksum(&packet));
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    } else {
        // The kernel fills in an ICMPv6 checksum itself (RFC 3542, section 3.1).
        message[0] = Icmpv6Types::EchoRequest.0;
    }
    message
}

/// Whether it is the echo to that request; a raw socket sees every ICMP message, IPv4's with its IP header.
fn answers(received: &[u8], target: IpAddr, identifier: u16, sequence: u16) -> bool {
    let (header, reply) = match target {
        IpAddr::V4(_) => (received.first().map_or(0, |byte| usize::from(byte & 0xf) * 4), IcmpTypes::EchoReply.0),
        IpAddr::V6(_) => (0, Icmpv6Types::EchoReply.0),
    };
    let Some(message) = received.get(header..).filter(|message| message.len() >= 8) else { return false };
    message[0] == reply && message[4..6] == identifier.to_be_bytes() && message[6..8] == sequence.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::{Pinged, answers, request};

    #[test]
    fn only_the_echo_to_this_very_request_is_an_answer() {
        let target = "fd00::1".parse().unwrap();
        let mut echo = request(target, 7, 1);
        assert!(!answers(&echo, target, 7, 1), "a request is no answer");
        echo[0] = 129;
        assert!(answers(&echo, target, 7, 1));
        assert!(!answers(&echo, target, 7, 2));
        assert!(!answers(&echo, target, 8, 1));
        assert!(!answers(&echo[..7], target, 7, 1));
    }

    #[test]
    fn an_ipv4_answer_stands_behind_its_header() {
        let target = "10.0.0.1".parse().unwrap();
        let mut message = request(target, 7, 1);
        assert_eq!(message[..4], [8, 0, 0xdd, 0xc1]);
        message[0] = 0;
        let packet = [&[0x46; 1][..], &[0; 23], &message].concat();
        assert!(answers(&packet, target, 7, 1));
        assert!(!answers(&[], target, 7, 1));
    }

    #[test]
    fn the_outcome_is_told_in_a_few_words() {
        let mut pinged = Pinged { sent: 2, answered: 2, refused: None };
        assert_eq!(pinged.to_string(), "2 of 2 answered");
        pinged = Pinged { sent: 2, answered: 0, refused: Some("Network is unreachable".to_owned()) };
        assert_eq!(pinged.to_string(), "0 of 2 answered (Network is unreachable)");
    }
}
