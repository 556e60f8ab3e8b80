//! Packet sockets: opened deaf, then bound, so that nothing is taken in before its owner is ready.
#![expect(unsafe_code, reason = "nix makes no link-layer address with a protocol, tokio watches descriptors on trust")]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use tokio::io::unix::AsyncFd;

/// Opens a raw packet socket that takes in nothing yet, in the calling thread's network namespace.
///
/// # Errors
/// Without `CAP_NET_RAW` in the namespace.
pub(in crate::inside) fn open() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(AddressFamily::Packet, SockType::Raw, flags, None)?)
}

/// Binds it to an interface (0 for all) and an `EtherType` (`ETH_P_ALL` for all, then also what goes out).
///
/// # Errors
/// Where there is no such interface, or it is down.
pub(in crate::inside) fn bind(socket: &OwnedFd, interface: u32, ether_type: u16) -> io::Result<()> {
    #[expect(clippy::cast_possible_truncation, reason = "an address family and a size of 20 bytes")]
    let (family, length) = (libc::AF_PACKET as u16, size_of::<libc::sockaddr_ll>() as libc::socklen_t);
    let address = libc::sockaddr_ll {
        sll_family: family,
        sll_protocol: ether_type.to_be(),
        sll_ifindex: interface.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: `address` lives through the call and the length is its own.
    let done = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast::<libc::sockaddr>(), length) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The name of an interface of the socket's network namespace, whichever the calling thread is in (`SIOCGIFNAME`).
///
/// # Errors
/// Where there is none of that number any more.
pub(in crate::inside) fn name_of(socket: &impl AsRawFd, interface: u32) -> io::Result<String> {
    // SAFETY: `ifreq` is made of integers and an unused pointer, for all of which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_ifru.ifru_ifindex = interface.cast_signed();
    // SAFETY: `request` lives through the call, which writes a name of `IFNAMSIZ` bytes at most into it.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFNAME, &raw mut request) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    let name = request.ifr_name.iter().map(|byte| u8::from_ne_bytes(byte.to_ne_bytes())).take_while(|byte| *byte != 0);
    Ok(String::from_utf8_lossy(&name.collect::<Vec<u8>>()).into_owned())
}

/// Lets the calling thread's runtime watch a socket.
///
/// # Errors
/// Where the runtime's selector takes no more.
pub(in crate::inside) fn watch(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, stays the same and is closed by its own end alone, which is that of the `AsyncFd`.
    Ok(unsafe { AsyncFd::register(socket) }?)
}
