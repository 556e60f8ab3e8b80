//! Who spoke with whom over TCP and UDP, and in which frames.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::Frame;
use crate::base::Protocol;
use crate::wire::frame::Transport;

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ends {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Who began: the sender of the first SYN, or of the first packet where no SYN was seen.
    pub client: SocketAddr,
    /// The other: the VIP and its port, for a client's connection to a virtual service.
    pub service: SocketAddr,
}

/// One connection and its frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its ends.
    pub ends: Ends,
    /// The sequence number of the SYN that opened it, where one was seen.
    pub opened: Option<u32>,
    /// Indices into [`super::Trace::frames`] of all frames of both directions at every vantage, in the order of time.
    pub frames: Vec<usize>,
}

/// All connections. The same ends with a SYN of another sequence number make another connection.
///
/// Frames of IP in IP count by the packet inside; later fragments, which have no ports, count nowhere.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    all: Vec<Connection>,
    /// Those with the same ends, in the order of time.
    by_ends: BTreeMap<Ends, Vec<usize>>,
}

impl Connections {
    pub(super) fn of(frames: &[Frame]) -> Self {
        let mut connections = Self::default();
        for (index, frame) in frames.iter().enumerate() {
            connections.add(index, frame);
        }
        connections
    }

    /// All, in the order of their first frame.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Connection> {
        self.all.iter()
    }

    /// Those between these ends, in the order of time; more than one where the client used its port again.
    pub fn between(&self, ends: &Ends) -> impl Iterator<Item = &Connection> {
        self.by_ends.get(ends).into_iter().flatten().filter_map(|&i| self.all.get(i))
    }

    /// Those to that service, in the order of their first frame.
    pub fn to(&self, protocol: Protocol, service: SocketAddr) -> impl Iterator<Item = &Connection> {
        self.all.iter().filter(move |c| c.ends.protocol == protocol && c.ends.service == service)
    }

    fn add(&mut self, index: usize, frame: &Frame) {
        let Some(ip) = frame.ip().map(crate::wire::frame::Ip::innermost) else { return };
        let (protocol, syn) = match &ip.transport {
            Transport::Tcp(tcp) => (Protocol::Tcp, tcp.opens().then_some(tcp.sequence)),
            Transport::Udp(_) => (Protocol::Udp, None),
            _ => return,
        };
        let Some((from, to)) = ip.ports() else { return };
        let (source, destination) = (SocketAddr::new(ip.source, from), SocketAddr::new(ip.destination, to));
        let forth = Ends { protocol, client: source, service: destination };
        let back = Ends { protocol, client: destination, service: source };
        let newest = |ends| self.by_ends.get(ends).and_then(|of: &Vec<usize>| of.last().copied());
        let found = match syn {
            Some(sequence) => {
                newest(&forth).filter(|&i| self.all.get(i).is_some_and(|c: &Connection| c.opened == Some(sequence)))
            }
            None => newest(&forth).max(newest(&back)),
        };
        let at = found.unwrap_or_else(|| {
            self.all.push(Connection { ends: forth, opened: syn, frames: Vec::new() });
            self.by_ends.entry(forth).or_default().push(self.all.len() - 1);
            self.all.len() - 1
        });
        if let Some(connection) = self.all.get_mut(at) {
            connection.frames.push(index);
        }
    }
}
