//! Active questions on the wire: who has the VIP? And unasked answers: gratuitous ARP.
//!
//! Owns: sending one question and hearing every answer to it, by a packet socket, past the kernel's own tables.
//! Refuses: opinions on the answers. It errs towards hearing more: it listens on until the wire has been quiet.

mod frames;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{MsgFlags, recv, send};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};

use super::ring::socket;
use super::timeline::nodes::{NodeGone, Nodes, start_on};
use crate::base::{IfName, Mac, NodeName};
use crate::facts::run::ProbeResult;
use crate::plan::Probe;

/// Who has something to say says it within a tick or two; this is how long nobody may have spoken.
const QUIET: Duration = Duration::from_millis(60);
/// How long is listened at most, and where nobody answers.
const LONGEST: Duration = Duration::from_millis(250);
const FRAME_BYTES: usize = 2048;

/// Why nothing could be asked or said.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The interface is not there, or has no MAC.
    #[error("could not find {interface} on {node} as an interface with a MAC")]
    NoInterface {
        /// The node.
        node: NodeName,
        /// The interface.
        interface: IfName,
    },
    /// A system call failed.
    #[error("could not {attempt} on {node}:{interface} about {address}")]
    Call {
        /// What was attempted.
        attempt: &'static str,
        /// The node.
        node: NodeName,
        /// The interface.
        interface: IfName,
        /// The address that it is about.
        address: IpAddr,
        /// The kernel's answer.
        source: io::Error,
    },
    /// One is IPv4, the other IPv6.
    #[error("could not ask for {target} as {sender} on {node}: they are of different IP versions")]
    MixedVersions {
        /// The node.
        node: NodeName,
        /// The asker's address.
        sender: IpAddr,
        /// The address asked for.
        target: IpAddr,
    },
    /// The node takes no work.
    #[error("could not ask who has {target}")]
    Node {
        /// The address asked for.
        target: IpAddr,
        /// Why.
        source: NodeGone,
    },
}

/// Asks all questions at once, each on its own node, and gives the answers in the order of the questions. A question by
/// an interface that is down by now is not asked.
///
/// # Errors
/// The first question that could not be asked.
pub async fn ask_all(probes: &[Probe], nodes: &impl Nodes) -> Result<Vec<ProbeResult>, ProbeError> {
    let gone = |target| move |source| ProbeError::Node { target, source };
    let mut awaited = Vec::with_capacity(probes.len());
    for probe in probes {
        let own = probe.clone();
        let answers = start_on(nodes, &probe.node, move || async move { ask(&own).await });
        awaited.push((probe.target, answers.map_err(gone(probe.target))?));
    }
    let mut results = Vec::with_capacity(awaited.len());
    for (target, answers) in awaited {
        match answers.result().await.map_err(gone(target))? {
            Err(ProbeError::Call { source, .. }) if source.kind() == io::ErrorKind::NetworkDown => {}
            answered => results.push(answered?),
        }
    }
    Ok(results)
}

/// Asks in the calling thread's namespace, and listens until nobody has answered for 60 ms, or for 250 ms at most.
///
/// # Errors
/// Where the question can't be sent. That nobody answers is a result.
pub async fn ask(probe: &Probe) -> Result<ProbeResult, ProbeError> {
    let wire = Wire::open(&probe.node, &probe.interface, probe.target)?;
    let question = frames::question(wire.mac, probe.sender, probe.target).map_err(|frames::MixedVersions| {
        ProbeError::MixedVersions { node: probe.node.clone(), sender: probe.sender, target: probe.target }
    })?;
    wire.send(&question).await?;
    let last = Instant::now() + LONGEST;
    let mut until = last;
    let mut answers = Vec::new();
    while let Ok(received) = timeout_at(until, wire.receive()).await {
        if let Some(mac) = frames::answer(&received?, probe.target) {
            until = last.min(Instant::now() + QUIET);
            if !answers.contains(&mac) {
                answers.push(mac);
            }
        }
    }
    Ok(ProbeResult { node: probe.node.clone(), target: probe.target, answers })
}

/// Sends a gratuitous ARP request, or for IPv6 an unsolicited neighbour advertisement with the Override flag, out of an
/// interface of the calling thread's namespace; returns the MAC that it claims, the interface's own where `mac` is none.
///
/// # Errors
/// Where it can't be sent.
pub async fn announce(
    node: &NodeName,
    interface: &IfName,
    address: IpAddr,
    mac: Option<Mac>,
) -> Result<Mac, ProbeError> {
    let wire = Wire::open(node, interface, address)?;
    let claimed = mac.unwrap_or(wire.mac);
    wire.send(&frames::announcement(wire.mac, claimed, address)).await?;
    Ok(claimed)
}

/// A packet socket on one interface.
struct Wire<'a> {
    socket: AsyncFd<OwnedFd>,
    mac: Mac,
    node: &'a NodeName,
    interface: &'a IfName,
    address: IpAddr,
}

impl<'a> Wire<'a> {
    fn open(node: &'a NodeName, interface: &'a IfName, address: IpAddr) -> Result<Self, ProbeError> {
        let failed = |attempt| {
            move |source| {
                let (node, interface) = (node.clone(), interface.clone());
                ProbeError::Call { attempt, node, interface, address, source }
            }
        };
        let links = getifaddrs().map_err(|e| failed("list interfaces")(e.into()))?;
        let link = links.filter(|link| link.interface_name == interface.as_str());
        let link = link
            .filter_map(|link| link.address?.as_link_addr().copied())
            .find_map(|link| Some((u32::try_from(link.ifindex()).ok()?, Mac(link.addr()?))));
        let (index, mac) =
            link.ok_or_else(|| ProbeError::NoInterface { node: node.clone(), interface: interface.clone() })?;
        let fd = socket::open().map_err(failed("open a packet socket"))?;
        socket::bind(&fd, index, frames::ether_type(address)).map_err(failed("bind a packet socket"))?;
        let socket = socket::watch(fd).map_err(failed("watch a packet socket"))?;
        Ok(Self { socket, mac, node, interface, address })
    }

    async fn send(&self, frame: &[u8]) -> Result<(), ProbeError> {
        let sent = self
            .socket
            .async_io(Interest::WRITABLE, |fd| send(fd.as_raw_fd(), frame, MsgFlags::empty()).map_err(io::Error::from));
        sent.await.map(drop).map_err(|source| self.failed("send a frame", source))
    }

    async fn receive(&self) -> Result<Vec<u8>, ProbeError> {
        let received = self.socket.async_io(Interest::READABLE, |fd| {
            let mut frame = vec![0; FRAME_BYTES];
            let length = recv(fd.as_raw_fd(), &mut frame, MsgFlags::empty())?;
            frame.truncate(length);
            Ok(frame)
        });
        received.await.map_err(|source| self.failed("receive a frame", source))
    }

    fn failed(&self, attempt: &'static str, source: io::Error) -> ProbeError {
        let (node, interface) = (self.node.clone(), self.interface.clone());
        ProbeError::Call { attempt, node, interface, address: self.address, source }
    }
}
