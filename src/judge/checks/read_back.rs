//! `read-back`: the kernel says what the plan said.

use std::collections::BTreeMap;

use super::Check;
use crate::facts::statements;
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
        for line in read.iter().filter(|line| !statements::is_left_open(line, wanted)) {
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

#[cfg(test)]
mod tests {
    use crate::base::Verdict::{Broken, Held, Undecided};
    use crate::facts::Unread;
    use crate::judge::testlab::{Lab, name};

    #[test]
    fn holds_when_the_kernel_says_what_was_planned() {
        assert!(Lab::textbook().expect("read-back", Held).examined > 20);
    }

    #[test]
    fn a_value_that_the_kernel_changed_is_both_missing_and_unplanned() {
        let mut lab = Lab::textbook();
        lab.sysctl("rs1", "net.ipv4.conf.all.arp_ignore", "0");
        let result = lab.expect("read-back", Broken);
        assert!(result.summary.contains("rs1 lacks") && result.summary.contains("rs1 has what was not"), "{result:?}");
        assert_eq!(result.evidence.len(), 2);
    }

    #[test]
    fn what_changes_after_the_timeline_does_not_matter() {
        let mut lab = Lab::textbook();
        lab.after[3].addresses.clear();
        lab.expect("read-back", Held);
    }

    #[test]
    fn what_could_not_be_read_leaves_it_undecided() {
        let mut lab = Lab::textbook();
        lab.before[3].unread.push(Unread { what: "ARP rules".into(), why: "EPERM".into() });
        lab.expect("read-back", Undecided);
        let mut lab = Lab::textbook();
        lab.before.retain(|f| f.node != name("rs2"));
        lab.expect("read-back", Undecided);
        let mut lab = Lab::textbook();
        lab.case.wanted.clear();
        lab.expect("read-back", Undecided);
    }
}
