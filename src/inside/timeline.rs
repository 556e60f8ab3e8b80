//! placeholder
pub mod clock;
pub mod nodes;
