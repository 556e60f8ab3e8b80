//! The rules: root causes out of facts and frames, one file each.

use super::{CheckResult, Finding, Input};

/// A rule: its id, what `drlab explain` says of it, and the function that applies it.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// In kebab-case; the id of its findings.
    pub id: &'static str,
    /// One line for lists.
    pub title: &'static str,
    /// What happens in the kernel, the cure, the trap in the cure.
    pub teaches: &'static str,
    /// Kernel file, document or RFC section.
    pub source: &'static str,
    /// Applies it.
    pub run: fn(&Input<'_>) -> Vec<Finding>,
}

/// Every rule.
pub const ALL: &[Rule] = &[];

/// The rule of that id.
pub fn find(id: &str) -> Option<&'static Rule> {
    ALL.iter().find(|r| r.id == id)
}

/// All root findings, where at least one check did not hold; a setup whose checks all hold has none.
pub fn findings(input: &Input<'_>, checks: &[CheckResult]) -> Vec<Finding> {
    if checks.iter().all(|c| c.verdict == crate::base::Verdict::Held) {
        return Vec::new();
    }
    ALL.iter().flat_map(|rule| (rule.run)(input)).collect()
}
