//! What a kernel is like before anything is set in it: for telling kernels apart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a kernel has for labs, and what it takes where nothing is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// The schedulers that a service could be made with, in [`crate::base::SCHEDULERS`]' order; `None` where IPVS could not
    /// be asked.
    pub schedulers: Option<Vec<String>>,
    /// The sysctls of IPv4, ARP, neighbours and IPVS, as a network namespace has them that nobody touched.
    pub defaults: BTreeMap<String, String>,
}
