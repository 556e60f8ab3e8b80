//! `read-back`: the kernel says what the plan said.

use std::collections::BTreeMap;

use super::Check;
use crate::judge::tally::{Tally, count};
use crate::judge::{CheckResult, Evidence, Input};

/// The check.
pub(super) const CHECK: Check = Check {
    id: "read-back",
    title: "what was configured is what the kernel reads back",
    proves: "Every address, route, neighbour, sysctl, ARP rule and IPVS entry that the plan wants is there before the \
             load, and nothing is there that the plan does not want.",
    fooled_by: "A command that succeeds and does nothing (a sysctl that the kernel clamps, a port that IPVS replaces): \
                not the success of setting counts but what is read afterwards.",
    usual_cause: "The kernel replaced or refused a value, or the order of steps matters. The lines say which.",
    source: "Documentation/networking/ip-sysctl.rst; rtnetlink(7); include/uapi/linux/ip_vs.h",
    run,
};

fn run(input: &Input<'_>) -> CheckResult {
    let mut tally = Tally::default();
    let mut examined = 0;
    for (node, wanted) in &input.case.wanted {
        let Some(facts) = input.before.iter().find(|f| f.node == *node) else {
            tally.doubt(format!("nothing was read back from {node}"));
            continue;
        };
        for unread in &facts.unread {
            tally.doubt(format!("{} of {node} could not be read: {}", unread.what, unread.why));
        }
        examined += wanted.len() as u64;
        let mut lines: BTreeMap<&str, i64> = BTreeMap::new();
        for line in wanted {
            *lines.entry(line).or_default() += 1;
        }
        let read = facts.statements();
        for line in &read {
            *lines.entry(line).or_default() -= 1;
        }
        for (line, surplus) in lines {
            if surplus > 0 {
                tally.broken(format!("{node} lacks what was planned"), Evidence::fact(format!("not on {node}"), line));
            } else if surplus < 0 {
                tally.broken(
                    format!("{node} has what was not planned"),
                    Evidence::fact(format!("only on {node}"), line),
                );
            }
        }
    }
    let held = format!(
        "{} on {} read back as planned",
        count(examined, "setting", "settings"),
        count(input.case.wanted.len() as u64, "node", "nodes")
    );
    tally.result(CHECK.id, examined, "settings", "there is no plan to compare with", held)
}
