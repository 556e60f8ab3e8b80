//! What is known not to be the cause, where a check is broken and no rule names one: what the model looked at and found
//! as it must be, and what it could not look at.

use crate::base::Verdict;
use crate::facts::NodeFacts;
use crate::judge::case::Station;
use crate::judge::host::Host;
use crate::judge::traffic::Traffic;
use crate::judge::{CheckResult, Finding, Input};

/// Something that may be the cause, whom it concerns, and whether the facts of one suffice to tell.
struct Suspect {
    what: &'static str,
    concerns: fn(&Traffic<'_>, &Station) -> bool,
    known: fn(&NodeFacts) -> bool,
}

const SUSPECTS: &[Suspect] = &[
    Suspect {
        what: "another than the Director answering for the VIP or asking in its name; a neighbour that does not answer",
        concerns: |_, _| true,
        known: |f| conf(f, "arp_ignore") && conf(f, "arp_announce"),
    },
    Suspect {
        what: "a permanent neighbour entry with a wrong MAC; one MAC on two nodes",
        concerns: |_, _| true,
        known: |f| !f.links.is_empty() && !unread(f, "neighbours"),
    },
    Suspect {
        what: "the VIP missing, unusable or with a subnet's mask on lo",
        concerns: |t, s| t.is_director(s) || t.is_real_server(s),
        known: |f| !f.addresses.is_empty(),
    },
    Suspect {
        what: "a route that is missing, leads to nobody or back through the Director",
        concerns: |_, _| true,
        known: |f| !unread(f, "routes") && !f.links.is_empty(),
    },
    Suspect {
        what: "a source check (rp_filter, accept_local) that drops packets on the way",
        concerns: |_, _| true,
        known: |f| conf(f, "rp_filter"),
    },
    Suspect {
        what: "a service that is missing, without real servers or with a method that does not fit",
        concerns: |t, s| t.is_director(s),
        known: |f| f.ipvs.is_some(),
    },
    Suspect {
        what: "a rule of the packet filter that drops by address, protocol, port or state",
        concerns: |t, s| t.is_director(s) || t.is_real_server(s),
        known: |f| f.iptables.is_some(),
    },
    Suspect {
        what: "a link or route that takes smaller packets than the ends send",
        concerns: |_, _| true,
        known: |f| !unread(f, "routes") && !f.links.is_empty(),
    },
    Suspect {
        what: "a server that is not there or bound to another address",
        concerns: |t, s| t.is_real_server(s),
        known: |f| f.sockets.is_some(),
    },
];

/// What is ruled out, a line each, and what could not be. Nothing where no check is broken or a cause is named; the place
/// where packets end is none.
pub fn ruled_out(input: &Input<'_>, checks: &[CheckResult], findings: &[Finding]) -> Vec<String> {
    if !findings.iter().all(super::is_unexplained) || !checks.iter().any(|c| c.verdict == Verdict::Broken) {
        return Vec::new();
    }
    let traffic = Traffic::new(input);
    let line = |suspect: &Suspect| {
        let concerned = || input.case.stations.iter().filter(|s| (suspect.concerns)(&traffic, s));
        let open = concerned().filter(|s| !input.facts(&s.node).is_some_and(suspect.known));
        let open: Vec<&str> = open.map(|s| s.node.as_str()).collect();
        concerned().next()?;
        Some(match super::listed(&open) {
            none if none.is_empty() => format!("ruled out: {}", suspect.what),
            nodes => format!("not ruled out, for it was not read on {nodes}: {}", suspect.what),
        })
    };
    SUSPECTS.iter().filter_map(line).collect()
}

/// Whether a sysctl was read for all interfaces together.
fn conf(facts: &NodeFacts, key: &str) -> bool {
    Host(facts).conf("all", key).is_some()
}

fn unread(facts: &NodeFacts, what: &str) -> bool {
    facts.unread.iter().any(|u| u.what.contains(what))
}

#[cfg(test)]
mod tests {
    use super::ruled_out;
    use crate::judge::testlab::{Back, Exchange, Lab};
    use crate::judge::{checks, rules};

    fn lines(lab: &Lab) -> Vec<String> {
        lab.judged(|input| {
            let results: Vec<_> = checks::ALL.iter().map(|c| (c.run)(input)).collect();
            ruled_out(input, &results, &rules::findings(input, &results))
        })
    }

    fn failed() -> Lab {
        let mut lab = Lab::ran(1);
        lab.exchange(&Exchange::with("rs1").back(Back::Never));
        lab
    }

    #[test]
    fn a_broken_check_without_a_cause_tells_what_is_ruled_out() {
        let lines = lines(&failed());
        assert_eq!(lines.len(), super::SUSPECTS.len());
        assert!(lines.iter().all(|l| l.starts_with("ruled out: ")), "{lines:?}");
    }

    #[test]
    fn what_was_not_read_is_not_ruled_out() {
        let mut lab = failed();
        lab.edit_facts("rs2", |f| f.sockets = None);
        let open: Vec<String> = lines(&lab).into_iter().filter(|l| l.starts_with("not ruled out")).collect();
        assert_eq!(open.len(), 1);
        assert!(open[0].contains("not read on rs2"), "{open:?}");
    }

    #[test]
    fn nothing_is_told_where_all_holds_or_a_cause_is_named() {
        assert!(lines(&Lab::ran(2)).is_empty());
        let mut lab = failed();
        lab.edit_facts("rs1", |f| f.addresses.retain(|a| a.interface != "lo"));
        assert!(lines(&lab).is_empty());
    }
}
