//! `drlab kernel`.

use std::path::Path;

use super::Exit;

/// stub
pub fn list() -> Exit {
    Exit::AsExpected
}
/// stub
pub fn fetch() -> Exit {
    Exit::AsExpected
}
/// stub
pub fn path() -> Exit {
    Exit::AsExpected
}
/// stub
pub fn run(_: Option<&Path>, _: u32, _: Vec<String>) -> Exit {
    Exit::AsExpected
}
