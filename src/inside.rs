//! All that happens under the lab's kernel: namespaces, links, addresses, tables, and reading them back.
//!
//! Owns: every call that changes or asks a kernel on a lab's behalf. Refuses: judging what comes of it.

pub mod addr;
pub mod arpfilter;
pub mod boot;
pub mod bounds;
pub mod build;
pub mod capture;
pub mod files;
pub mod ipvs;
pub mod link;
pub mod load;
pub mod modules;
pub mod neigh;
pub mod ns;
pub mod orders;
pub mod ping;
pub mod probe;
pub mod programs;
pub mod read;
pub mod record;
pub mod ring;
pub mod route;
pub mod rtnl;
pub mod serve;
pub mod session;
pub mod shell;
mod sole;
pub mod stage;
pub mod survey;
pub mod sysctl;
pub mod timeline;
mod weblogs;
