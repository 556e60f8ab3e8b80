//! The capture's clock: the machine's real time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the epoch, by the clock that the kernel stamps frames with; 0 before 1970.
pub fn epoch_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
