//! (to come)

pub mod capture;
pub mod load;
pub mod ping;
pub mod probe;
pub mod ring;
pub mod serve;
pub mod session;
pub mod timeline;
