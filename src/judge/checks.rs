//! The checks: what each proves, in one file each, and the list of them.

mod arp_census;
mod direct_return;
mod distribution;
mod gateway_not_director;
mod http;
mod mac_rewrite;
mod port_kept;
mod read_back;
mod same_segment;
mod via_director;
mod vip_owned;

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
pub const ALL: &[Check] = &[
    mac_rewrite::CHECK,
    direct_return::CHECK,
    via_director::CHECK,
    arp_census::CHECK,
    distribution::CHECK,
    http::CHECK,
    port_kept::CHECK,
    same_segment::CHECK,
    gateway_not_director::CHECK,
    vip_owned::CHECK,
    read_back::CHECK,
];

/// The check of that id.
pub fn find(id: &str) -> Option<&'static Check> {
    ALL.iter().find(|c| c.id == id)
}

#[cfg(test)]
mod tests;
