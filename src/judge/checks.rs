//! The checks: what each proves, in one file each, and the list of them.

use super::{CheckResult, Input};

/// A check: its id, what `drlab explain` says of it, and the function that makes it.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// In kebab-case, as in scenarios and reports.
    pub id: &'static str,
    /// One line for lists and ladders.
    pub title: &'static str,
    /// What it proves.
    pub proves: &'static str,
    /// What would fool it, and what it does about that.
    pub fooled_by: &'static str,
    /// The usual cause when it breaks, and the next command to type.
    pub usual_cause: &'static str,
    /// Kernel file, document or RFC section.
    pub source: &'static str,
    /// Makes it.
    pub run: fn(&Input<'_>) -> CheckResult,
}

/// Every check, in the order of reports.
pub const ALL: &[Check] = &[];

/// The check of that id.
pub fn find(id: &str) -> Option<&'static Check> {
    ALL.iter().find(|c| c.id == id)
}
