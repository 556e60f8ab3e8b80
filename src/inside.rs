//! All that happens under the lab's kernel: namespaces, links, addresses, tables, and reading them back.
//!
//! Owns: every call that changes or asks a kernel on a lab's behalf. Refuses: judging what comes of it.

pub mod boot;
pub mod capture;
pub mod load;
pub mod ping;
pub mod probe;
pub mod ring;
pub mod serve;
pub mod session;
pub mod timeline;
