//! The rules: root causes out of facts, one file each.
//!
//! Owns: naming each mistake once. A rule says which nodes have it; nodes with the same mistake share one finding, and
//! a rule that outranks another takes its nodes away. Refuses: guessing from frames alone.

mod answering;
mod ipvs_method_masq;
mod ipvs_port_mapping;
mod rs_arp_default;
mod rs_gw_director;
mod rs_remote_subnet;
mod rs_sysctl_lo_only;
mod rs_vip_missing;
mod rs_vip_prefix_on_lo;

use super::traffic::Traffic;
use super::{CheckResult, Evidence, Finding, Input};
use crate::base::{IfName, NodeName, Verdict};

/// A rule: its id, what `drlab explain` says of it, and the function that applies it.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// In kebab-case; the id of its findings.
    pub id: &'static str,
    /// One line for lists.
    pub title: &'static str,
    /// What happens in the kernel, the cure, the trap in the cure.
    pub teaches: &'static str,
    /// What it causes, in a finding's words.
    pub causes: &'static str,
    /// Kernel file, document or RFC section.
    pub source: &'static str,
    /// Rules that this one explains away on the same node.
    pub outranks: &'static [&'static str],
    /// What is wrong, said of the nodes that are named.
    what: fn(&str) -> String,
    /// The nodes that have it.
    afflicted: fn(&Traffic<'_>) -> Vec<Affliction>,
}

/// A node that has what a rule is about.
#[derive(Debug, Clone)]
struct Affliction {
    node: NodeName,
    interface: Option<IfName>,
    evidence: Vec<Evidence>,
    /// Commands, each beginning with `on NODE:`.
    mend: Vec<String>,
}

/// Every rule.
pub const ALL: &[Rule] = &[
    rs_sysctl_lo_only::RULE,
    rs_arp_default::RULE,
    rs_vip_missing::RULE,
    rs_vip_prefix_on_lo::RULE,
    rs_gw_director::RULE,
    rs_remote_subnet::RULE,
    ipvs_port_mapping::RULE,
    ipvs_method_masq::RULE,
];

/// The rule of that id.
pub fn find(id: &str) -> Option<&'static Rule> {
    ALL.iter().find(|r| r.id == id)
}

/// All root findings, where at least one check did not hold; a setup whose checks all hold has none.
///
/// Facts from before the timeline count, and where the timeline changes what was configured, those from after it too.
pub fn findings(input: &Input<'_>, checks: &[CheckResult]) -> Vec<Finding> {
    if checks.iter().all(|c| c.verdict == Verdict::Held) {
        return Vec::new();
    }
    let mut found = afflicted(input);
    if input.case.changes {
        let later = Input { before: input.after, ..*input };
        for (now, then) in found.iter_mut().zip(afflicted(&later)) {
            let new = then.1.into_iter().filter(|a| !now.1.iter().any(|b| b.node == a.node));
            let new: Vec<Affliction> = new.collect();
            now.1.extend(new);
        }
    }
    let explained = |rule: &Rule, node: &NodeName| {
        found.iter().any(|(other, whom)| other.outranks.contains(&rule.id) && whom.iter().any(|a| a.node == *node))
    };
    found
        .iter()
        .filter_map(|(rule, whom)| {
            let rest: Vec<&Affliction> = whom.iter().filter(|a| !explained(rule, &a.node)).collect();
            rule.finding(&rest)
        })
        .collect()
}

fn afflicted(input: &Input<'_>) -> Vec<(&'static Rule, Vec<Affliction>)> {
    let traffic = Traffic::new(input);
    ALL.iter().map(|rule| (rule, (rule.afflicted)(&traffic))).collect()
}

impl Rule {
    fn finding(&self, whom: &[&Affliction]) -> Option<Finding> {
        let first = whom.first()?;
        let mut nodes: Vec<&str> = Vec::new();
        for affliction in whom {
            if !nodes.contains(&affliction.node.as_str()) {
                nodes.push(affliction.node.as_str());
            }
        }
        let mut mend: Vec<String> = Vec::new();
        for command in whom.iter().flat_map(|a| &a.mend) {
            if !mend.contains(command) {
                mend.push(command.clone());
            }
        }
        Some(Finding {
            id: self.id.to_owned(),
            node: first.node.clone(),
            interface: first.interface.clone(),
            what: (self.what)(&listed(&nodes)),
            causes: self.causes.to_owned(),
            evidence: whom.iter().flat_map(|a| a.evidence.iter().cloned()).collect(),
            mend,
            source: self.source.to_owned(),
        })
    }
}

/// `rs1`, `rs1 and rs2`, `rs1, rs2 and rs3`.
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests;
