//! Which of the findings' commands are to be run, and in which order.
//!
//! Owns: the choice of one dialect for each node of a finding. Refuses: running anything. Errs towards a hand: what is no
//! command for a shell is listed as such and never tried.

use super::{Dialect, Finding, Mend};

/// One command that mends a finding, or advice that a person has to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The rule's id.
    pub finding: String,
    /// What is to be done.
    pub mend: Mend,
}

impl Step {
    /// Whether no command does it.
    pub fn by_hand(&self) -> bool {
        matches!(self.mend.dialect, Dialect::ByHand | Dialect::Keepalived)
    }
}

/// What mends all findings: for each node of a finding all that it has in one dialect, which is the preferred one where
/// it is there and else the first. The same command for several findings is run once; what was learned is forgotten
/// last, when nobody says it any more.
pub fn steps(findings: &[Finding], preferred: Option<Dialect>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for finding in findings {
        for mend in &finding.mend {
            let own = || finding.mend.iter().filter(|m| m.node == mend.node);
            let dialect = own().map(|m| m.dialect).find(|d| Some(*d) == preferred);
            let chosen = dialect.or_else(|| own().map(|m| m.dialect).next());
            let step = Step { finding: finding.id.clone(), mend: mend.clone() };
            if chosen == Some(mend.dialect) && !steps.iter().any(|s| s.mend == *mend) {
                steps.push(step);
            }
        }
    }
    steps.sort_by_key(|step| rank(&step.mend));
    steps
}

/// Its place among a finding's mends: what was learned is forgotten after all else, and advice never comes before a
/// command, which it would else keep from being a node's first dialect.
pub(super) fn rank(mend: &Mend) -> u8 {
    let forgets = ["ip neighbour flush ", "arp -d "].iter().any(|start| mend.command.starts_with(start));
    if mend.dialect == Dialect::ByHand { 2 } else { u8::from(forgets) }
}

#[cfg(test)]
mod tests {
    use super::{Dialect, Finding, Mend, steps};
    use crate::judge::Confidence;

    fn mend(node: &str, dialect: Dialect, command: &str) -> Mend {
        Mend { node: node.parse().unwrap(), dialect, command: command.to_owned() }
    }

    fn finding(id: &str, mend: Vec<Mend>) -> Finding {
        Finding {
            id: id.to_owned(),
            node: "rs1".parse().unwrap(),
            interface: None,
            what: String::new(),
            causes: String::new(),
            also: Vec::new(),
            effects: Vec::new(),
            evidence: Vec::new(),
            mend,
            source: String::new(),
            links: Vec::new(),
            confidence: Confidence::default(),
        }
    }

    fn commands(findings: &[Finding], preferred: Option<Dialect>) -> Vec<String> {
        steps(findings, preferred).into_iter().map(|s| s.mend.command).collect()
    }

    #[test]
    fn each_node_is_mended_in_its_own_first_dialect_and_forgets_last() {
        let first = finding(
            "a",
            vec![
                mend("router", Dialect::Ip, "ip neighbour flush to 192.0.2.1"),
                mend("rs1", Dialect::Sysctl, "sysctl -w a=1"),
                mend("rs1", Dialect::SysctlD, "printf a"),
                mend("rs1", Dialect::Arptables, "arptables a"),
            ],
        );
        let second = finding(
            "b",
            vec![
                mend("rs2", Dialect::Arptables, "arptables b"),
                mend("rs2", Dialect::Arptables, "arptables c"),
                mend("rs2", Dialect::Sysctl, "sysctl -w b=1"),
                mend("rs1", Dialect::Sysctl, "sysctl -w a=1"),
            ],
        );
        let both = [first, second];
        let flush = "ip neighbour flush to 192.0.2.1";
        assert_eq!(commands(&both, None), ["sysctl -w a=1", "arptables b", "arptables c", flush]);
        let preferred = commands(&both, Some(Dialect::Arptables));
        assert_eq!(preferred, ["arptables a", "arptables b", "arptables c", "sysctl -w a=1", flush]);
    }

    #[test]
    fn what_a_hand_has_to_do_is_no_command() {
        let found = steps(&[finding("a", vec![mend("rs1", Dialect::ByHand, "move it")])], None);
        assert!(found[0].by_hand());
    }
}
