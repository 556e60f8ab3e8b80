//! The capture's thread goes before the others: a hundred busy nodes on one processor would keep it from its rings until they are
//! full.
#![expect(unsafe_code, reason = "nix has no setpriority")]

use nix::errno::Errno;

/// The largest claim to the processor that a thread of the ordinary kind has; it is still taken in turn.
const FIRST: libc::c_int = -20;

/// Gives the calling thread that claim.
///
/// # Errors
/// Without `CAP_SYS_NICE`; then it takes its turn as all do, and what is lost is counted.
pub(super) fn first() -> Result<(), Errno> {
    // SAFETY: it takes three numbers; 0 means the calling thread.
    let done = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, FIRST) };
    Errno::result(done).map(drop)
}
