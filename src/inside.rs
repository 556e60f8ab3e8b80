//! All that happens under the lab's kernel: namespaces, links, addresses, tables, and reading them back.
//!
//! Owns: every call that changes or asks a kernel on a lab's behalf. Refuses: judging what comes of it.

pub mod addr;
pub mod arpfilter;
pub mod build;
pub mod ipvs;
pub mod link;
pub mod modules;
pub mod neigh;
pub mod ns;
pub mod read;
pub mod route;
pub mod rtnl;
pub mod sysctl;
