//! Scenario files: what they may say, how they are read, and what is wrong with them, all at once.
//!
//! Owns: the format, its schema and reference, diagnostics with line and caret. Refuses: files (text comes in), and
//! deciding what roles imply (that is the plan's).

pub mod spec;

pub use spec::Scenario;
