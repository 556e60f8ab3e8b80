//! drlab builds LVS Direct Routing labs out of real Linux kernels' network namespaces and proves them frame by frame.
//!
//! The map is in `ARCHITECTURE.md`.

pub mod base;
pub mod calls;
pub mod channel;
pub mod cli;
pub mod facts;
pub mod import;
pub mod inside;
pub mod judge;
pub mod lab;
pub mod mutate;
pub mod plan;
pub mod report;
pub mod scenario;
pub mod substrate;
pub mod trace;
pub mod wire;
