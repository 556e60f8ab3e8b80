//! Values that everything else is written in: names, MACs, and the words of LVS.
//!
//! Owns: types whose values are legal once they exist. Refuses: input and output of any kind.

pub mod content;
pub mod error;
pub mod load;
pub mod lvs;
pub mod mac;
pub mod name;
pub mod verdict;

pub use content::{Content, ReadFile};
pub use error::error_chain;
pub use load::LoadMode;
pub use lvs::{DirectorKind, Forwarding, Protocol, Role, SCHEDULERS, ServiceId};
pub use mac::Mac;
pub use name::{IfName, NodeName, natural};
pub use verdict::Verdict;
