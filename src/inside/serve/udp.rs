//! The UDP echo: the node's name, a space, and what came in, from the address that it came to.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, recvmsg,
    sendmsg, setsockopt, socket, sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;

use super::{AccessLog, Reach, canonical};
use crate::base::NodeName;
use crate::facts::run::AccessLogEntry;
use crate::inside::timeline::clock::epoch_ns;

const DATAGRAM_BYTES: usize = 65_536;

/// What gives an answer its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The address that was asked (`IP_PKTINFO`).
    AsAsked,
    /// The route, as with servers that leave it to the kernel.
    ByRoute,
}

/// Opens the socket.
pub(super) fn open(at: SocketAddr, reach: Reach) -> Result<UdpSocket, (&'static str, io::Error)> {
    let family = if at.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(family, SockType::Datagram, flags, None).map_err(|e| ("open a socket", e.into()))?;
    let told = if at.is_ipv4() {
        setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)
    } else {
        setsockopt(&fd, sockopt::Ipv6V6Only, &(reach == Reach::OwnFamily))
            .and_then(|()| setsockopt(&fd, sockopt::Ipv6RecvPacketInfo, &true))
    };
    told.map_err(|e| ("ask for each datagram's address", e.into()))?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(at)).map_err(|e| ("bind", e.into()))?;
    UdpSocket::from_std(fd.into()).map_err(|e| ("watch the socket", e))
}

/// Echoes until `stop` is dropped, then closes the socket and lets go of `done`.
pub(super) async fn serve(
    socket: UdpSocket,
    node: NodeName,
    source: Source,
    log: AccessLog,
    mut stop: oneshot::Receiver<()>,
    done: oneshot::Sender<()>,
) {
    let port = socket.local_addr().map_or(0, |at| at.port());
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        let received = tokio::select! {
            biased;
            _ = &mut stop => break,
            received = socket.async_io(Interest::READABLE, || receive(&socket, &mut buffer)) => received,
        };
        // An error is one that ICMP reported for an earlier answer, or a datagram without an address.
        let Ok(datagram) = received else { continue };
        let payload = &buffer[..datagram.bytes];
        let answer = [node.as_str().as_bytes(), b" ", payload].concat();
        log.add(entry(&datagram, canonical(SocketAddr::new(datagram.to, port)), payload, answer.len()));
        // A full queue loses the answer as a network would; the client's result and the capture show it.
        drop(send(&socket, &datagram, &answer, source));
    }
    drop(socket);
    drop(done);
}

struct Datagram {
    from: SocketAddr,
    /// What the client sent to: the VIP under direct routing.
    to: IpAddr,
    bytes: usize,
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Datagram> {
    let mut control = nix::cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
    let missing = || io::Error::new(io::ErrorKind::InvalidData, "the datagram came without its addresses");
    let from = message.address.as_ref().and_then(address).ok_or_else(missing)?;
    let to = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes())),
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
        _ => None,
    });
    Ok(Datagram { from, to: to.ok_or_else(missing)?, bytes: message.bytes })
}

fn send(socket: &UdpSocket, datagram: &Datagram, answer: &[u8], source: Source) -> io::Result<()> {
    let parts = [IoSlice::new(answer)];
    let to = SockaddrStorage::from(datagram.from);
    if source == Source::ByRoute {
        sendmsg(socket.as_raw_fd(), &parts, &[], MsgFlags::empty(), Some(&to))?;
        return Ok(());
    }
    let (v4, v6);
    let source = match datagram.to {
        IpAddr::V4(ip) => {
            let ip = libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
            v4 = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: ip, ipi_addr: libc::in_addr { s_addr: 0 } };
            ControlMessage::Ipv4PacketInfo(&v4)
        }
        IpAddr::V6(ip) => {
            v6 = libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: ip.octets() }, ipi6_ifindex: 0 };
            ControlMessage::Ipv6PacketInfo(&v6)
        }
    };
    sendmsg(socket.as_raw_fd(), &parts, &[source], MsgFlags::empty(), Some(&to))?;
    Ok(())
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|v4| SocketAddr::from(*v4));
    v4.or_else(|| storage.as_sockaddr_in6().map(|v6| SocketAddr::from(*v6)))
}

/// A load's datagram begins with `LOAD/NUMBER` and goes on with a path; another one is logged without.
fn entry(datagram: &Datagram, local: SocketAddr, payload: &[u8], bytes: usize) -> AccessLogEntry {
    let words = std::str::from_utf8(payload).ok().and_then(|text| text.split_once(' '));
    AccessLogEntry {
        at_ns: epoch_ns(),
        client: canonical(datagram.from),
        local,
        request: words.map(|(request, _)| request.to_owned()),
        path: words.map(|(_, path)| path.to_owned()).unwrap_or_default(),
        status: 200,
        bytes: bytes as u64,
    }
}
