//! (to come)

pub mod capture;
pub mod ring;
