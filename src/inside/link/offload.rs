//! Offloads off, so that what is captured is what a wire would carry: checksums filled in, no packet over the MTU. Those
//! of transmit checksums may be left on, and are read.
//!
//! Owns: the ethtool calls for one interface of the calling thread's namespace. Refuses: partial success; a feature that
//! the kernel will not turn off is an error. One that the device does not have is off already.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::base::IfName;

/// An offload that stayed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not turn {feature} of {interface} off")]
pub struct OffloadError {
    /// The interface.
    pub interface: String,
    /// Which offload.
    pub feature: &'static str,
    /// The errno.
    pub source: Errno,
}

/// `ETHTOOL_S*` of `uapi/linux/ethtool.h`, in the order in which they depend on each other.
const FEATURES: [(u32, &str); 5] = [
    (0x1f, "TCP segmentation"),
    (0x24, "generic segmentation"),
    (0x2c, "generic receive offload"),
    (SET_TX_CHECKSUM, "transmit checksumming"),
    (0x19, "scatter-gather"),
];

/// `ETHTOOL_GTXCSUM` and `ETHTOOL_STXCSUM`.
const GET_TX_CHECKSUM: u32 = 0x16;
const SET_TX_CHECKSUM: u32 = 0x17;

const SIOCETHTOOL: libc::Ioctl = 0x8946;

/// `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// A socket that ethtool calls go through, in the namespace that it was opened in.
#[derive(Debug)]
pub struct Ethtool(OwnedFd);

impl Ethtool {
    /// Opens one in the calling thread's network namespace.
    ///
    /// # Errors
    /// The socket's errno.
    pub fn open() -> Result<Self, Errno> {
        socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).map(Self)
    }

    /// Turns transmit checksumming (where it is not to be left on), scatter-gather, TSO, GSO and GRO off.
    ///
    /// # Errors
    /// The first that stayed on.
    pub fn offloads_off(&self, interface: &IfName, tx_checksum: bool) -> Result<(), OffloadError> {
        let left_on = |command: u32| tx_checksum && command == SET_TX_CHECKSUM;
        for (command, feature) in FEATURES.into_iter().filter(|(command, _)| !left_on(*command)) {
            match self.call(interface, command, 0).map(drop) {
                Ok(()) | Err(Errno::EOPNOTSUPP) => {}
                Err(source) => return Err(OffloadError { interface: interface.to_string(), feature, source }),
            }
        }
        Ok(())
    }

    /// Whether transmit checksumming is on; nothing where the device knows none.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn tx_checksum(&self, interface: &IfName) -> Result<Option<bool>, Errno> {
        match self.call(interface, GET_TX_CHECKSUM, 0) {
            Ok(value) => Ok(Some(value != 0)),
            Err(Errno::EOPNOTSUPP) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Makes a call that takes a number and may give one back.
    #[expect(unsafe_code, reason = "ethtool's ioctl has no safe wrapper")]
    fn call(&self, interface: &IfName, command: u32, data: u32) -> Result<u32, Errno> {
        let mut value = EthtoolValue { command, data };
        let mut name = [0; libc::IFNAMSIZ];
        for (to, from) in name.iter_mut().zip(interface.as_str().bytes()) {
            *to = from.cast_signed();
        }
        let mut request = libc::ifreq {
            ifr_name: name,
            ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: std::ptr::from_mut(&mut value).cast() },
        };
        // SAFETY: `request` is a whole ifreq with a name that ends in a zero byte (an IfName has at most 15), and its
        // pointer leads to an `ethtool_value` that outlives the call.
        Errno::result(unsafe { libc::ioctl(self.0.as_raw_fd(), SIOCETHTOOL, &raw mut request) })?;
        Ok(value.data)
    }
}
