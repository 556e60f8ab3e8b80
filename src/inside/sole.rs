//! What is set in a kernel that runs for one lab alone: never in a machine's own.
//!
//! Owns: settings that all network namespaces share and that make a lab quick or possible. Refuses: whatever a node could be
//! told by; a plan's sysctls are its nodes'.

use std::io;

use super::modules;
use super::sysctl::{self, SysctlError};
use crate::plan::Plan;

/// Whether each new namespace gets the tunnel devices (`tunl0`, `gre0`, …) of the protocols that this kernel has: five
/// devices for each node that nobody asked for. A kernel of a distribution has none of them until a module is loaded.
const NO_TUNNELS: &str = "net.core.fb_tunnels_only_for_init_net";

/// How many neighbours all namespaces together may know. The kernel's own 1024 are one large lab's.
const NEIGHBOURS: [(&str, usize); 6] = [
    ("net.ipv4.neigh.default.gc_thresh1", 1),
    ("net.ipv4.neigh.default.gc_thresh2", 2),
    ("net.ipv4.neigh.default.gc_thresh3", 4),
    ("net.ipv6.neigh.default.gc_thresh1", 1),
    ("net.ipv6.neigh.default.gc_thresh2", 2),
    ("net.ipv6.neigh.default.gc_thresh3", 4),
];

/// From so many nodes on the number of neighbours matters; each may know all others' for a while, and few do.
const MANY_NODES: usize = 32;
const EACH_KNOWS: usize = 16;

/// Suits the kernel to a plan.
///
/// # Errors
/// Where a setting is there and can't be set.
pub(super) fn suit(plan: &Plan) -> Result<(), SysctlError> {
    let tunnels = modules::needed(plan).contains(&"ipip");
    set(NO_TUNNELS, if tunnels { "0" } else { "1" })?;
    if plan.nodes.len() > MANY_NODES {
        for (key, share) in NEIGHBOURS {
            set(key, &(plan.nodes.len() * EACH_KNOWS * share).to_string())?;
        }
    }
    Ok(())
}

/// A key that this kernel lacks stands for something that can't happen then.
fn set(key: &str, value: &str) -> Result<(), SysctlError> {
    match sysctl::set(key, value) {
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
