//! What texts say of hosts, statement by statement, whatever format they are in.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::source::Place;
use crate::base::{Forwarding, Mac, Protocol};

/// What one text says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    /// Statement by statement, in order.
    pub said: Vec<(Statement, Place)>,
    /// What is understood and has no place in a lab.
    pub left_out: Vec<(Place, String)>,
    /// What is not understood.
    pub not_understood: Vec<(Place, String)>,
    /// What was taken for granted in reading.
    pub assumed: Vec<String>,
    /// keepalived.conf: it and what it includes, by their numbers, each with the path that the daemon reads it at.
    pub files: Vec<(usize, String)>,
    /// keepalived.conf: what the daemon asks for and only the user's own machines have.
    pub beyond: Vec<(Place, String)>,
}

impl Heard {
    /// Notes a statement.
    pub(crate) fn say(&mut self, statement: Statement, place: &Place) {
        self.said.push((statement, place.clone()));
    }

    /// Notes what is left out, and why.
    pub(crate) fn leave_out(&mut self, place: &Place, what: impl Into<String>) {
        self.left_out.push((place.clone(), what.into()));
    }

    /// Notes what is not understood.
    pub(crate) fn wonder(&mut self, place: &Place, what: impl Into<String>) {
        self.not_understood.push((place.clone(), what.into()));
    }

    /// Notes what a daemon asks for in vain in a lab.
    pub(crate) fn miss(&mut self, place: &Place, what: impl Into<String>) {
        self.beyond.push((place.clone(), what.into()));
    }

    /// Notes what is taken for granted, once.
    pub(crate) fn assume(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.assumed.contains(&what) {
            self.assumed.push(what);
        }
    }
}

/// One thing that is said of a host.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Statement {
    /// An address is there.
    Address(HostAddress),
    /// An address is not there any more; every one of the device or label where none is given.
    NoAddress { device: String, address: Option<IpAddr> },
    /// A device is up or down.
    Up { device: String, up: bool },
    /// A device does ARP or not.
    Arp { device: String, arp: bool },
    /// A device's MTU.
    Mtu { device: String, mtu: u32 },
    /// A device's MAC.
    Hardware { device: String, mac: Mac },
    /// A dummy device is made.
    Dummy { device: String },
    /// A route; no destination for the default one.
    Route(HostRoute),
    /// A route is taken away.
    NoRoute { to: Option<IpNet> },
    /// A permanent neighbour entry.
    Neighbour { address: IpAddr, mac: Mac, device: Option<String> },
    /// A sysctl, `*` standing for every device.
    Sysctl { key: String, value: String },
    /// What sysctl.d leaves alone of a pattern.
    NoSysctl { key: String },
    /// A rule for `arptables`.
    Arptables(String),
    /// All rules of `arptables` are gone.
    NoArptables,
    /// A rule for `iptables`.
    Iptables(String),
    /// All rules of that table of `iptables` are gone.
    NoIptables(String),
    /// A virtual service, with what real servers it has already.
    Service(VirtualService),
    /// A service is gone.
    NoService(Key),
    /// A real server of a service.
    Server { of: Key, server: Server },
    /// A real server is gone.
    NoServer { of: Key, at: IpAddr },
    /// The table is empty.
    NoServices,
    /// IPVS timeouts in seconds; 0 leaves one as it is.
    Timeouts { tcp: u32, fin: u32, udp: u32 },
    /// A VRRP instance.
    Vrrp(Vrrp),
}

/// An address of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostAddress {
    /// The device.
    pub device: String,
    /// The label, as `lo:0`.
    pub label: Option<String>,
    /// With prefix length.
    pub net: IpNet,
    /// Broadcast address, where one is given.
    pub broadcast: Option<Ipv4Addr>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostRoute {
    /// Where to; the default where nothing.
    pub to: Option<IpNet>,
    /// The next hop.
    pub via: Option<IpAddr>,
    /// The device.
    pub device: Option<String>,
    /// The preferred source.
    pub source: Option<IpAddr>,
}

/// What tells one service from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// By address.
    Address(Protocol, IpAddr, u16),
    /// By firewall mark.
    Mark(u32),
}

/// A virtual service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VirtualService {
    /// Which.
    pub key: Key,
    /// Where it is said.
    pub place: Place,
    /// The scheduler.
    pub scheduler: String,
    /// `sh-port` and the like, `ops`.
    pub flags: Vec<String>,
    /// Persistence in seconds.
    pub persistence_s: Option<u32>,
    /// By which prefix of the client's address.
    pub persistence_prefix: Option<u8>,
    /// Its real servers.
    pub servers: Vec<Server>,
    /// Whether its protocol is one that nobody asked for: then clients come by TCP all the same.
    pub protocol_forgotten: bool,
}

/// A real server of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// Its address.
    pub address: IpAddr,
    /// The port, where one is given.
    pub port: Option<u16>,
    /// The weight.
    pub weight: u32,
    /// How packets get there.
    pub forwarding: Forwarding,
    /// Upper threshold of connections.
    pub upper: u32,
    /// Lower threshold of connections.
    pub lower: u32,
    /// Where it is said.
    pub place: Place,
}

/// A VRRP instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vrrp {
    /// Its name.
    pub name: String,
    /// Whether it begins as master.
    pub master: bool,
    /// The virtual router's number.
    pub router_id: Option<u32>,
    /// Its priority.
    pub priority: u32,
    /// The interface.
    pub interface: Option<String>,
    /// Its own address where VRRP is spoken.
    pub source: Option<IpAddr>,
    /// The other speakers.
    pub peers: Vec<IpAddr>,
    /// What its advertisements of VRRP version 2 are refused for where the other's differ: password, interval.
    pub terms: Vec<String>,
    /// Whether it speaks version 3.
    pub third: bool,
    /// Whether a master of lower priority stays one.
    pub yields: bool,
    /// What the master has.
    pub addresses: Vec<HostAddress>,
    /// Routes that the master has.
    pub routes: Vec<HostRoute>,
}
