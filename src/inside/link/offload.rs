//! Offloads off, so that what is captured is what a wire would carry: checksums filled in, no packet over the MTU.
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
    (0x17, "transmit checksumming"),
    (0x19, "scatter-gather"),
];

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

    /// Turns transmit checksumming, scatter-gather, TSO, GSO and GRO off.
    ///
    /// # Errors
    /// The first that stayed on.
    pub fn offloads_off(&self, interface: &IfName) -> Result<(), OffloadError> {
        for (command, feature) in FEATURES {
            match self.set(interface, command, 0) {
                Ok(()) | Err(Errno::EOPNOTSUPP) => {}
                Err(source) => return Err(OffloadError { interface: interface.to_string(), feature, source }),
            }
        }
        Ok(())
    }

    #[expect(unsafe_code, reason = "ethtool's ioctl has no safe wrapper")]
    fn set(&self, interface: &IfName, command: u32, data: u32) -> Result<(), Errno> {
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
        Errno::result(unsafe { libc::ioctl(self.0.as_raw_fd(), SIOCETHTOOL, &raw mut request) }).map(drop)
    }
}
