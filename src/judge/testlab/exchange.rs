//! One connection with one HTTP request, by whatever way a test wants it to go.

use std::net::{IpAddr, SocketAddr};

use super::packets::{forwarded, tcp, udp, wrapped};
use super::{CLIENT, Lab, SERVICE, name};
use crate::base::Protocol;
use crate::facts::ConnectionFact;
use crate::facts::run::{AccessLogEntry, Outcome, RequestResult};

/// How requests get to the real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::judge) enum There {
    /// As they must.
    Direct,
    /// From the router to the real server.
    PastDirector,
    /// With the RIP written in.
    Nat,
    /// In another packet to the RIP.
    Tunnel,
    /// Into the Director and no further.
    Swallowed,
    /// Into the Director, which serves it itself; the server is then the Director.
    Local,
}

/// How replies get back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::judge) enum Back {
    /// As they must.
    Straight,
    /// To the Director, which sends them on.
    ThroughDirector,
    /// Straight, with the RIP as source.
    FromRip,
    /// Not at all.
    Never,
}

/// A connection to be made.
#[derive(Debug, Clone)]
pub(in crate::judge) struct Exchange {
    pub(in crate::judge) server: &'static str,
    pub(in crate::judge) there: There,
    pub(in crate::judge) back: Back,
    /// The client's end; by default one with a new port.
    pub(in crate::judge) client: Option<SocketAddr>,
    pub(in crate::judge) protocol: Protocol,
    /// Whether the client closes it.
    pub(in crate::judge) closes: bool,
}

impl Exchange {
    /// A good one, with that real server.
    pub(in crate::judge) fn with(server: &'static str) -> Self {
        Self { server, there: There::Direct, back: Back::Straight, client: None, protocol: Protocol::Tcp, closes: true }
    }

    pub(in crate::judge) fn there(self, there: There) -> Self {
        Self { there, ..self }
    }

    pub(in crate::judge) fn back(self, back: Back) -> Self {
        Self { back, ..self }
    }

    pub(in crate::judge) fn from(self, client: SocketAddr) -> Self {
        Self { client: Some(client), ..self }
    }

    pub(in crate::judge) fn by(self, protocol: Protocol) -> Self {
        Self { protocol, ..self }
    }

    pub(in crate::judge) fn left_open(self) -> Self {
        Self { closes: false, ..self }
    }
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const PSH: u8 = 8;
const ACK: u8 = 16;

impl Lab {
    /// Makes a connection: its frames, the request's result, the log entry, the kernel's entry.
    pub(in crate::judge) fn exchange(&mut self, exchange: &Exchange) {
        let local = exchange.client.unwrap_or_else(|| {
            self.next_port += 1;
            SocketAddr::new(IpAddr::V4(CLIENT), self.next_port)
        });
        let start_ns = self.now_ns;
        let start = u32::from(self.next_id) * 1000;
        let answered = exchange.back != Back::Never && exchange.there != There::Swallowed;
        if exchange.protocol == Protocol::Udp {
            self.there(exchange, |id| udp(local, SERVICE, id, b"hello"));
            if answered {
                self.back(exchange, local, |from, to, id| udp(from, to, id, b"rs hello"));
            }
        } else {
            let request = |sequence: u32, flags: u8, payload: &'static [u8]| {
                move |id: u16| tcp(local, SERVICE, id, start + sequence, flags, payload)
            };
            self.there(exchange, request(0, SYN, b""));
            if answered {
                self.back(exchange, local, move |from, to, id| tcp(from, to, id, 7, SYN | ACK, b""));
                self.there(exchange, request(1, ACK, b""));
                self.there(exchange, request(1, ACK | PSH, b"GET / HTTP/1.1\r\n\r\n"));
                self.back(exchange, local, move |from, to, id| {
                    tcp(from, to, id, 8, ACK | PSH, b"HTTP/1.1 200 OK\r\n\r\n")
                });
                if exchange.closes {
                    self.there(exchange, request(19, FIN | ACK, b""));
                    self.back(exchange, local, move |from, to, id| tcp(from, to, id, 27, FIN | ACK, b""));
                }
            }
        }
        self.note(exchange, local, start_ns, answered);
        self.wait_ms(1);
    }

    /// One packet from the client.
    fn there(&mut self, exchange: &Exchange, packet: impl FnOnce(u16) -> Vec<u8>) {
        self.next_id += 1;
        let data = packet(self.next_id);
        self.unicast("client", "router", "front", data.clone());
        let data = forwarded(data);
        if exchange.there == There::PastDirector {
            self.unicast("router", exchange.server, "lan", data);
            return;
        }
        self.unicast("router", "director", "lan", data.clone());
        let rip = self.address(exchange.server, "lan");
        let out = match exchange.there {
            There::Direct | There::PastDirector => forwarded(data),
            There::Tunnel => wrapped(&data, self.address("director", "lan"), rip),
            There::Nat => readdressed(data, None, Some(rip)),
            There::Swallowed | There::Local => return,
        };
        self.unicast("director", exchange.server, "lan", out);
    }

    /// One packet to the client.
    fn back(
        &mut self,
        exchange: &Exchange,
        local: SocketAddr,
        packet: impl FnOnce(SocketAddr, SocketAddr, u16) -> Vec<u8>,
    ) {
        self.next_id += 1;
        let rip = self.address(exchange.server, "lan");
        let through_nat = exchange.there == There::Nat && exchange.back == Back::ThroughDirector;
        let source = if through_nat || exchange.back == Back::FromRip { rip } else { SERVICE.ip() };
        let mut data = packet(SocketAddr::new(source, SERVICE.port()), local, self.next_id);
        if exchange.back == Back::ThroughDirector {
            self.unicast(exchange.server, "director", "lan", data.clone());
            data = forwarded(data);
            if through_nat {
                data = readdressed(data, Some(SERVICE.ip()), None);
            }
            self.unicast("director", "router", "lan", data.clone());
        } else {
            self.unicast(exchange.server, "router", "lan", data.clone());
        }
        self.unicast("router", "client", "front", forwarded(data));
    }

    /// What the client, the server and the kernel know of it.
    fn note(&mut self, exchange: &Exchange, local: SocketAddr, start_ns: u64, answered: bool) {
        let requests = &mut self.ran.loads[0].requests;
        requests.push(RequestResult {
            number: requests.len().try_into().unwrap(),
            client: name("client"),
            local: Some(local),
            target: SERVICE,
            protocol: exchange.protocol,
            path: "/".into(),
            start_ns,
            latency_us: (self.now_ns - start_ns) / 1000,
            outcome: if answered {
                Outcome::Answered { status: 200, server: Some(exchange.server.into()), bytes: 4, whole: true }
            } else {
                Outcome::Failed { kind: "timeout".into(), detail: "nothing came back".into() }
            },
            lacks: None,
        });
        if answered && exchange.protocol == Protocol::Tcp {
            self.ran.access_logs.entry(name(exchange.server)).or_default().push(AccessLogEntry {
                at_ns: self.now_ns,
                client: local,
                local: SERVICE,
                request: None,
                path: "/".into(),
                status: 200,
                bytes: 4,
            });
        }
        if exchange.there != There::PastDirector {
            let destination = SocketAddr::new(self.address(exchange.server, "lan"), SERVICE.port());
            for facts in self.after.iter_mut().filter(|f| f.node == "director") {
                let ipvs = facts.ipvs.as_mut().unwrap();
                ipvs.total_connections += 1;
                ipvs.connections.push(ConnectionFact {
                    protocol: exchange.protocol,
                    client: local,
                    service: SERVICE,
                    destination,
                    state: "FIN_WAIT".into(),
                    expires_s: 100,
                });
            }
        }
    }
}

/// The packet with another source or destination address.
fn readdressed(mut data: Vec<u8>, source: Option<IpAddr>, destination: Option<IpAddr>) -> Vec<u8> {
    for (at, address) in [(26, source), (30, destination)] {
        if let Some(IpAddr::V4(v4)) = address {
            data[at..at + 4].copy_from_slice(&v4.octets());
        }
    }
    super::packets::checksum(&mut data);
    data
}
