//! `drlab doctor`.

use super::Exit;

/// Prints what this machine can do.
pub fn doctor(_json: bool) -> Exit {
    Exit::AsExpected
}
