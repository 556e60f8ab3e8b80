//! What a lab costs at least: the messages that the kernel has to be told it by, sent one after the other by one thread, with
//! nothing around them. One network namespace for each node, as with the other peers.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

use crate::error::BenchError;

const REQUEST_ACK: u16 = 1 | 4;
const CREATE: u16 = 0x600;
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const UP: u32 = 1;
const LO: u32 = 1;
/// Above the numbers of devices that a kernel puts into each namespace by itself.
const ETH0: u32 = 100;
const ETH1: u32 = 101;

/// A message in the making.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | REQUEST_ACK).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(body);
        Self(bytes)
    }

    /// `struct ifinfomsg`.
    fn link(flags: u16, index: u32, up: bool) -> Self {
        Self::new(NEW_LINK, flags, &Self::link_body(index, up))
    }

    fn link_body(index: u32, up: bool) -> [u8; 16] {
        let mut body = [0; 16];
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        if up {
            body[8..12].copy_from_slice(&UP.to_ne_bytes());
            body[12..16].copy_from_slice(&UP.to_ne_bytes());
        }
        body
    }

    fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend(attribute(kind, value));
        self
    }

    fn send(mut self, to: &OwnedFd) -> Result<(), BenchError> {
        let length = u32::try_from(self.0.len()).unwrap_or(0);
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        send(to.as_raw_fd(), &self.0, MsgFlags::empty()).map_err(BenchError::errno("send a netlink message"))?;
        let mut answer = [0; 4096];
        let got = recv(to.as_raw_fd(), &mut answer, MsgFlags::empty());
        let got = got.map_err(BenchError::errno("read a netlink answer"))?;
        let errno =
            answer.get(16..20).filter(|_| got >= 20).map_or(0, |b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
        if errno == 0 {
            Ok(())
        } else {
            Err(BenchError::errno("build a bare lab")(nix::errno::Errno::from_raw(-errno)))
        }
    }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(value.len() + 4).unwrap_or(0).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn name(text: &str) -> Vec<u8> {
    attribute(3, &[text.as_bytes(), &[0]].concat())
}

/// A namespace: its netlink socket, which holds it, and a handle on it.
struct Space {
    netlink: OwnedFd,
    handle: File,
}

impl Space {
    fn new() -> Result<Self, BenchError> {
        unshare(CloneFlags::CLONE_NEWNET).map_err(BenchError::errno("make a network namespace"))?;
        let path = "/proc/thread-self/ns/net";
        let handle = File::open(path).map_err(BenchError::io(format!("open {path}")))?;
        let (family, kind) = (AddressFamily::Netlink, SockType::Raw);
        let netlink = socket(family, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute);
        Ok(Self { netlink: netlink.map_err(BenchError::errno("open a netlink socket"))?, handle })
    }

    fn bridge(&self, called: &str, index: u32) -> Result<(), BenchError> {
        let kind = attribute(1, b"bridge");
        let mut message = Message::link(CREATE, index, true).with(18, &kind);
        message.0.extend(name(called));
        message.send(&self.netlink)
    }

    /// A link from here to a port of the bridge of that index.
    fn link(&self, (own, index): (&str, u32), switch: &Self, port: &str, bridge: u32) -> Result<(), BenchError> {
        let fd = switch.handle.as_raw_fd().to_ne_bytes();
        let peer = [Message::link_body(0, false).to_vec(), name(port), attribute(28, &fd)].concat();
        let data = attribute(2, &attribute(1, &peer));
        let mut message = Message::link(CREATE, index, false).with(18, &[attribute(1, b"veth"), data].concat());
        message.0.extend(name(own));
        message.send(&self.netlink)?;
        let mut message = Message::link(0, 0, true).with(10, &bridge.to_ne_bytes());
        message.0.extend(name(port));
        message.send(&switch.netlink)
    }

    fn up(&self, index: u32) -> Result<(), BenchError> {
        Message::link(0, index, true).send(&self.netlink)
    }

    fn address(&self, index: u32, address: [u8; 4], prefix: u8) -> Result<(), BenchError> {
        let [a, b, c, d] = index.to_ne_bytes();
        let message = Message::new(NEW_ADDRESS, CREATE, &[2, prefix, 0, 0, a, b, c, d]);
        message.with(2, &address).with(1, &address).send(&self.netlink)
    }

    fn gateway(&self, address: [u8; 4]) -> Result<(), BenchError> {
        // Main table, set at boot, everywhere, unicast.
        let message = Message::new(NEW_ROUTE, CREATE, &[2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0]);
        message.with(5, &address).send(&self.netlink)
    }
}

/// Builds a lab with so many real servers and takes it down; both times in ms.
pub(crate) fn build(count: usize) -> Result<(f64, f64), BenchError> {
    let begun = Instant::now();
    let switch = Space::new()?;
    let (outside, lan) = (ETH0, ETH1);
    switch.bridge("outside", outside)?;
    switch.bridge("lan", lan)?;
    let mut nodes = Vec::with_capacity(count + 3);
    let node = |at: usize, bridge, address, prefix, gateway: Option<[u8; 4]>| {
        let node = Space::new()?;
        node.link(("eth0", ETH0), &switch, &format!("p{at}"), bridge)?;
        node.up(LO)?;
        node.up(ETH0)?;
        node.address(ETH0, address, prefix)?;
        gateway.map_or(Ok(()), |gateway| node.gateway(gateway))?;
        Ok::<_, BenchError>(node)
    };
    let (front, back) = ([203, 0, 113, 1], [172, 16, 0, 1]);
    nodes.push(node(0, outside, [203, 0, 113, 2], 24, Some(front))?);
    nodes.push(node(1, lan, [172, 16, 0, 2], 16, Some(back))?);
    let router = node(2, outside, front, 24, None)?;
    router.link(("eth1", ETH1), &switch, "router", lan)?;
    router.up(ETH1)?;
    router.address(ETH1, back, 16)?;
    nodes.push(router);
    for n in 0..count {
        let byte = |n: usize| u8::try_from(n).unwrap_or(0);
        nodes.push(node(3 + n, lan, [172, 16, byte(1 + n / 250), byte(1 + n % 250)], 16, Some(back))?);
    }
    let built = Instant::now();
    drop(nodes);
    drop(switch);
    let ms = |from: Instant, to: Instant| to.duration_since(from).as_secs_f64() * 1e3;
    Ok((ms(begun, built), ms(built, Instant::now())))
}
