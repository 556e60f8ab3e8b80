//! Where the model's prediction differs from what direct routing asks for.

use std::net::{IpAddr, SocketAddr};

use super::answer::{Because, Silence};
use super::conntrack::{Stage, State};
use super::local::Local;
use super::source::Refusal;
use super::switch::{Block, Sent};
use crate::base::{Forwarding, IfName, Mac, NodeName, Protocol, ServiceId};
use crate::facts::{AddressFact, ConnectionFact, NeighbourFact, PortFact, RouteFact, ServiceFact, SocketFact};

/// One thing that is not as direct routing needs it, at the node that would have to be changed.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::judge) struct Deviation<'a> {
    pub(in crate::judge) node: &'a NodeName,
    pub(in crate::judge) interface: Option<&'a IfName>,
    pub(in crate::judge) kind: Kind<'a>,
}

/// What deviates.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::judge) enum Kind<'a> {
    /// It answers for an address that another is to answer for.
    Answers { asked: IpAddr, because: Because<'a> },
    /// It is asked for its address and does not answer.
    Silent { asked: IpAddr, asker: &'a NodeName, sender: IpAddr, why: Silence<'a> },
    /// It asks for a next hop in the VIP's name, which tells everybody that the VIP is here; `level` is `arp_announce`.
    AsksAs { vip: IpAddr, next_hop: IpAddr, level: u32 },
    /// It asks for a next hop in the name of an address that the one who is asked has too, and so does not answer.
    AsksInVain { sender: IpAddr, next_hop: IpAddr, of: &'a NodeName },
    /// Its own ARP filter drops its question, or the answer to it.
    Deafened { next_hop: IpAddr, rule: &'a str, question: bool },
    /// It has a permanent entry with a MAC that is not the one's who is meant.
    Bound { entry: &'a NeighbourFact, meant: &'a NodeName, right: Mac },
    /// It has learned a MAC for the VIP that is not the Director's.
    Learned { entry: &'a NeighbourFact, meant: &'a NodeName, right: Mac },
    /// An address on `lo` has the mask of a subnet, all of which is local by it.
    WholePrefix { fact: &'a AddressFact },
    /// Two nodes of a segment have one MAC.
    SameMac { mac: Mac, other: &'a NodeName },
    /// It has no way to the address, or only one that refuses.
    NoWay { to: IpAddr, route: Option<&'a RouteFact> },
    /// An interface that has to be used has no address of its own; `wanted` is the one that others look for.
    Unaddressed { wanted: Option<IpAddr> },
    /// An address whose prefix leaves out a next hop that another's on the segment, `wide`, holds; `gateway` where the
    /// next hop is a router.
    NarrowPrefix { fact: &'a AddressFact, wide: &'a AddressFact, gateway: Option<IpAddr> },
    /// The Director's table names an address that nobody has; `server` is who is meant.
    RipNobody { at: SocketAddr, service: ServiceId, weight: u32, server: Option<&'a NodeName> },
    /// Its way leads to a next hop that nobody is, or to one who does not lead there.
    Astray { to: IpAddr, route: &'a RouteFact },
    /// Its way to the client leads through the Director.
    ThroughDirector { to: IpAddr, route: &'a RouteFact, gateway: IpAddr },
    /// It takes a packet for another for its own.
    Keeps { to: IpAddr, own: Local<'a> },
    /// The Director has a router, or no segment at all, between itself and this real server.
    Remote { rip: IpAddr, from: &'a NodeName, route: Option<&'a RouteFact>, service: ServiceId },
    /// A packet for the address comes in, and the address is none of its own.
    NotOwn { address: IpAddr, forwards: bool },
    /// A packet comes in whose source it does not believe.
    Refuses { source: IpAddr, why: Refusal<'a> },
    /// A packet filter drops it.
    Filtered { rule: &'a str, destination: IpAddr, source: IpAddr },
    /// Its packet filter goes by a connection's state, of which it sees one half: it drops what follows the first packet.
    HalfSeen { rule: &'a str, state: State, stage: Stage, protocol: Protocol, at: SocketAddr },
    /// Its way to the address takes less than what is sent that way, and it has to refuse it.
    Narrow { to: IpAddr, mtu: u32, size: u32, route: &'a RouteFact, server: &'a NodeName },
    /// It takes in less than its neighbour sends it in one packet.
    Tight { mtu: u32, size: u32, from: &'a NodeName },
    /// Its packet filter drops the word that packets are too large for another node.
    Muted { rule: &'a str, to: IpAddr, narrow: &'a NodeName, interface: &'a IfName, mtu: u32 },
    /// It asks for a VIP that is its own: a Director, which sends that on in the VIP's name, or another, which serves itself.
    OwnClient { at: SocketAddr, balanced: bool },
    /// The capture shows packets that end at the Director, whose entry leads to a real server that was removed.
    Orphaned { entry: &'a ConnectionFact, frame: u32 },
    /// The capture shows the Director refusing what belongs to a connection that was idle for longer than it remembers.
    Forgotten { client: SocketAddr, idle_ms: u64, timeout_s: u32, ended: bool, data: u32, refusal: u32 },
    /// The capture shows a SYN from a port used before that ends at the Director, and its repetition that does not.
    Reused { client: SocketAddr, frame: u32, again: u32, after_ms: u64 },
    /// A client is bound to a real server that takes no new connections.
    Pinned { entry: &'a ConnectionFact, service: &'a ServiceFact },
    /// The weights differ, and the scheduler does not look at them.
    Unweighted { service: &'a ServiceFact },
    /// One real server gets more than its share, for clients stay with it.
    Sticky { service: &'a ServiceFact, client: IpAddr },
    /// The server answers that it has nothing for that name.
    NoSite { status: u16, host: String, at: SocketAddr, frame: u32 },
    /// Its answers lack what those of another real server, `holder`, hold; and the write, where the capture has it.
    Lacks {
        text: &'a str,
        path: &'a str,
        status: u16,
        at: SocketAddr,
        frame: Option<u32>,
        holder: &'a NodeName,
        held: Option<u32>,
        written: Option<Written<'a>>,
    },
    /// It has to forward, and does not.
    Stays { to: IpAddr },
    /// The interface is down.
    Down,
    /// The Director has no service for what clients ask.
    NoService { protocol: Protocol, at: SocketAddr },
    /// The service by mark is there, and nothing marks the packets.
    Unmarked { mark: u32, at: SocketAddr, protocol: Protocol },
    /// Every real server of the service is gone or has weight 0.
    NoDestination { service: &'a ServiceFact },
    /// The service wants a port mapped by a method that leaves the packet as it is.
    Mapped { service: ServiceId, at: SocketAddr, wanted: u16 },
    /// By NAT, and the real server's replies take another way.
    Bypassed {
        service: ServiceId,
        to: SocketAddr,
        weight: u32,
        real_server: &'a NodeName,
        client: IpAddr,
        route: &'a RouteFact,
    },
    /// By tunnel, and the real server can't open it.
    Unwrapped { service: ServiceId, to: SocketAddr, weight: u32, vip: IpAddr, from: &'a NodeName },
    /// Nothing listens at the address that packets come in with.
    Deaf { protocol: Protocol, at: SocketAddr, listening: Vec<&'a SocketFact>, method: Forwarding },
    /// A datagram server on every address answers from the RIP.
    AnswersFromRip { socket: &'a SocketFact, vip: IpAddr },
    /// The capture shows it announcing a VIP that is another's to announce.
    Announces { vip: IpAddr, frame: u32 },
    /// The capture shows it answering a Director that asks whether the VIP is free, and that does not take it then.
    Warns { vip: IpAddr, director: &'a NodeName, frame: u32 },
    /// Packets for the VIP come to a MAC that several ipvlans share, and it is on none of them.
    Unheard { vip: IpAddr },
    /// The switch does not pass on at this port what a station sends to another.
    Blocked { port: &'a PortFact, why: Block<'a>, from: &'a NodeName, to: &'a NodeName, sent: Sent },
    /// It answers for the VIP as another Director does, too.
    Rival { vip: IpAddr, of: &'a NodeName, because: Because<'a> },
    /// What the Director hands it, it balances once more.
    BalancesAgain { service: &'a ServiceFact, from: &'a NodeName },
    /// A rule of the packet filter takes packets away before IPVS sees them.
    Redirected { rule: &'a str, at: SocketAddr },
    /// The VIP has come to it from another Director, and it has told nobody; in the frame somebody still sends to that one.
    Unannounced { vip: IpAddr, from: &'a NodeName, asker: Option<&'a NodeName>, frame: u32 },
    /// Its interface leaves checksums to others; the capture shows that a Director hands such packets on as they came, and
    /// a real server counts them as wrong.
    Unfinished { seen: Unfinished<'a> },
    /// It has heard in one frame that the VIP is at another Director now, and in the other still sends to the old one.
    Unheeded { vip: IpAddr, from: &'a NodeName, to: &'a NodeName, heard: u32, frame: u32 },
    /// The VIP has come to it from another Director, whose connections it does not know: it resets them.
    Unsynced { vip: IpAddr, from: &'a NodeName, frame: u32 },
}

/// A packet with a wrong checksum on its way, by the numbers of its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::judge) struct Unfinished<'a> {
    pub(in crate::judge) director: &'a NodeName,
    pub(in crate::judge) server: &'a NodeName,
    /// Entering the Director, leaving it, entering the real server.
    pub(in crate::judge) frames: [u32; 3],
    /// The real server's counter of wrong checksums, with its value before and after.
    pub(in crate::judge) counter: (&'static str, u64, u64),
}

/// A write that a real server took in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::judge) struct Written<'a> {
    /// Who took it.
    pub(in crate::judge) node: &'a NodeName,
    /// Where it begins.
    pub(in crate::judge) frame: u32,
}

/// Everything that the model predicts to go wrong, each once.
#[derive(Debug, Clone, Default)]
pub(in crate::judge) struct Predicted<'a> {
    pub(in crate::judge) deviations: Vec<Deviation<'a>>,
}

impl<'a> Predicted<'a> {
    /// Notes one; the same thing on the same node counts once.
    pub(in crate::judge) fn note(&mut self, node: &'a NodeName, interface: Option<&'a IfName>, kind: Kind<'a>) {
        let new = Deviation { node, interface, kind };
        if !self.deviations.iter().any(|known| known.repeats(&new)) {
            self.deviations.push(new);
        }
    }
}

impl Deviation<'_> {
    /// Whether it is the same mistake: met on another client's packet, by another asker.
    fn repeats(&self, other: &Self) -> bool {
        use Kind::{
            AsksAs, AsksInVain, Blocked, Deafened, Forgotten, HalfSeen, Lacks, Muted, Narrow, NarrowPrefix, NoSite,
            Orphaned, Pinned, Refuses, Reused, Rival, Silent, Stays, Sticky, ThroughDirector, Tight, Unaddressed,
            Unfinished, Unheeded,
        };
        if self.node != other.node || self.interface != other.interface {
            return false;
        }
        match (&self.kind, &other.kind) {
            (Silent { asked: a, .. }, Silent { asked: b, .. })
            | (AsksAs { vip: a, .. }, AsksAs { vip: b, .. })
            | (Rival { vip: a, .. }, Rival { vip: b, .. })
            | (Unheeded { vip: a, .. }, Unheeded { vip: b, .. })
            | (AsksInVain { sender: a, .. }, AsksInVain { sender: b, .. })
            | (Narrow { to: a, .. }, Narrow { to: b, .. }) => a == b,
            (Deafened { rule: a, .. }, Deafened { rule: b, .. }) => a == b,
            (Refuses { why: a, .. }, Refuses { why: b, .. }) => a == b,
            (ThroughDirector { route: a, .. }, ThroughDirector { route: b, .. }) => a == b,
            (HalfSeen { rule: a, .. }, HalfSeen { rule: b, .. }) | (Muted { rule: a, .. }, Muted { rule: b, .. }) => {
                a == b
            }
            (Orphaned { entry: a, .. }, Orphaned { entry: b, .. })
            | (Pinned { entry: a, .. }, Pinned { entry: b, .. }) => {
                (a.protocol, a.destination) == (b.protocol, b.destination)
            }
            (NoSite { status: a, .. }, NoSite { status: b, .. }) => a == b,
            (Sticky { service: a, .. }, Sticky { service: b, .. }) => a == b,
            (Stays { .. }, Stays { .. })
            | (Tight { .. }, Tight { .. })
            | (Lacks { .. }, Lacks { .. })
            | (Forgotten { .. }, Forgotten { .. })
            | (Unaddressed { .. }, Unaddressed { .. })
            | (Unfinished { .. }, Unfinished { .. })
            | (Reused { .. }, Reused { .. }) => true,
            (NarrowPrefix { fact: a, .. }, NarrowPrefix { fact: b, .. }) => a == b,
            // The first frame that a port stops is enough to tell why.
            (Blocked { why: a, .. }, Blocked { why: b, .. }) => a.is_like(b),
            (a, b) => a == b,
        }
    }
}
