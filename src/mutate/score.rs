//! What came of a trial: what broke, what was named, and whether that is what there is to say.
//!
//! Errs towards wrong: a finding that may not be named makes the whole trial wrong, the right one beside it or not.

use serde::Serialize;

use super::{Cause, Expected, Part, Trial};
use crate::base::{NodeName, Verdict};
use crate::report::{Report, RunVerdict};

/// What came of a trial.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// The trial.
    #[serde(flatten)]
    pub trial: Trial,
    /// Whether that is right, and what is not.
    pub outcome: Outcome,
    /// The checks that broke.
    pub broke: Vec<String>,
    /// The checks that are undecided.
    pub undecided: Vec<String>,
    /// The root causes that were named.
    pub named: Vec<Named>,
    /// Why it was not run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failure: Vec<String>,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
}

/// A root cause that was named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// The finding's id.
    pub id: String,
    /// Of which nodes it is told.
    pub nodes: Vec<NodeName>,
}

/// Whether what came of a trial is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A check broke, and what is broken was named, nothing else.
    Killed,
    /// Nothing broke, as nothing should.
    Without,
    /// Something else was named.
    Blamed,
    /// Only one of two was named, and the other is not hidden by it.
    Half,
    /// A check broke and nothing was named.
    Unnamed,
    /// Nothing broke, and something should have.
    Survived,
    /// Something broke, and nothing should have.
    Broke,
    /// The lab did not run.
    NotRun,
}

impl Outcome {
    /// Whether that is as it should be.
    pub const fn is_right(self) -> bool {
        matches!(self, Self::Killed | Self::Without)
    }

    /// As a word for tables; what is wrong is in capitals.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Without => "no effect",
            Self::Blamed => "BLAMED",
            Self::Half => "HALF",
            Self::Unnamed => "UNNAMED",
            Self::Survived => "SURVIVED",
            Self::Broke => "BROKE",
            Self::NotRun => "NOT RUN",
        }
    }
}

impl Named {
    /// Whether it is one of the causes, told of no node but theirs.
    fn is(&self, causes: &[Cause]) -> bool {
        let of: Vec<&NodeName> = causes.iter().filter(|c| c.id == self.id).flat_map(|c| &c.nodes).collect();
        !of.is_empty() && self.nodes.iter().all(|n| of.contains(&n))
    }

    /// Whether it tells of the cause.
    fn tells(&self, cause: &Cause) -> bool {
        self.id == cause.id && self.nodes.iter().any(|n| cause.nodes.contains(n))
    }
}

impl Score {
    /// What the report of a trial's run comes to.
    pub fn of(trial: Trial, report: &Report) -> Self {
        let with = |verdict| {
            let checks = report.checks.iter().filter(|c| c.verdict == verdict);
            checks.map(|c| c.id.clone()).collect::<Vec<_>>()
        };
        let named = report
            .findings
            .iter()
            .map(|f| Named { id: f.id.clone(), nodes: std::iter::once(&f.node).chain(&f.also).cloned().collect() });
        let (broke, undecided, named) = (with(Verdict::Broken), with(Verdict::Undecided), named.collect::<Vec<_>>());
        let outcome = if report.verdict == RunVerdict::NotRun {
            Outcome::NotRun
        } else {
            judged(&trial, !broke.is_empty(), !undecided.is_empty(), &named)
        };
        let (failure, took_ms) = (report.failure.clone(), report.timing_ms.total);
        Self { trial, outcome, broke, undecided, named, failure, took_ms }
    }
}

fn judged(trial: &Trial, broke: bool, undecided: bool, named: &[Named]) -> Outcome {
    let due: Vec<Vec<&Cause>> =
        trial.parts.iter().filter(|p| !p.expected.causes().is_empty()).map(Part::causes).collect();
    if named.iter().any(|n| !n.is(&trial.may)) {
        return Outcome::Blamed;
    }
    match (due.is_empty(), broke) {
        (true, true) if trial.parts.len() == 2 && !named.is_empty() => Outcome::Killed,
        (true, true) => Outcome::Broke,
        (true, false) if undecided => Outcome::Broke,
        (true, false) => Outcome::Without,
        (false, false) => Outcome::Survived,
        (false, true) if named.is_empty() => Outcome::Unnamed,
        (false, true) => {
            let told = |causes: &[&Cause]| causes.iter().any(|c| named.iter().any(|n| n.tells(c)));
            if due.iter().all(|causes| told(causes)) { Outcome::Killed } else { Outcome::Half }
        }
    }
}

/// How many came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// All.
    pub all: usize,
    /// Killed with the right cause.
    pub killed: usize,
    /// Without effect, as documented.
    pub without: usize,
    /// All others.
    pub wrong: usize,
}

impl Totals {
    /// Counts.
    pub fn of(scores: &[Score]) -> Self {
        let count = |outcome| scores.iter().filter(|s| s.outcome == outcome).count();
        let (killed, without) = (count(Outcome::Killed), count(Outcome::Without));
        Self { all: scores.len(), killed, without, wrong: scores.len() - killed - without }
    }

    /// The share of those that are right, in tenths of a per cent, rounded down.
    pub fn per_mille_right(&self) -> usize {
        (self.killed + self.without) * 1000 / self.all.max(1)
    }
}

/// The reasons why parts of a trial do nothing.
pub fn reasons(trial: &Trial) -> Vec<&str> {
    let parts = trial.parts.iter().filter_map(|p| match &p.expected {
        Expected::Without(why) => Some(why.as_str()),
        Expected::Killed(_) => None,
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::{Cause, Expected, Named, Outcome, Part, Trial, judged};

    fn killed(id: &'static str, nodes: &[&str]) -> Expected {
        let nodes = nodes.iter().map(|n| n.parse().unwrap()).collect();
        Expected::Killed(vec![Cause { id, nodes }])
    }

    fn trial(parts: &[Expected]) -> Trial {
        let parts: Vec<Part> =
            parts.iter().map(|e| Part { what: "it".to_owned(), expected: e.clone(), alone: e.clone() }).collect();
        let may = parts.iter().flat_map(|p| p.expected.causes()).cloned().collect();
        Trial { what: "it".to_owned(), may, parts, changes: Vec::new() }
    }

    fn named(id: &str, nodes: &[&str]) -> Named {
        Named { id: id.to_owned(), nodes: nodes.iter().map(|n| n.parse().unwrap()).collect() }
    }

    #[test]
    fn the_right_cause_on_the_right_node_kills() {
        let one = trial(&[killed("rs-fw", &["rs1"])]);
        assert_eq!(judged(&one, true, false, &[named("rs-fw", &["rs1"])]), Outcome::Killed);
        assert_eq!(judged(&one, true, false, &[named("rs-fw", &["rs2"])]), Outcome::Blamed);
        assert_eq!(judged(&one, true, false, &[named("rs-fw", &["rs1", "rs2"])]), Outcome::Blamed);
        assert_eq!(judged(&one, true, false, &[named("no-route", &["rs1"])]), Outcome::Blamed);
        let beside = [named("rs-fw", &["rs1"]), named("no-route", &["rs1"])];
        assert_eq!(judged(&one, true, false, &beside), Outcome::Blamed);
        assert_eq!(judged(&one, true, false, &[]), Outcome::Unnamed);
    }

    #[test]
    fn a_check_that_is_only_undecided_kills_nothing() {
        let one = trial(&[killed("rs-fw", &["rs1"])]);
        assert_eq!(judged(&one, false, true, &[named("rs-fw", &["rs1"])]), Outcome::Survived);
        assert_eq!(judged(&one, false, false, &[]), Outcome::Survived);
    }

    #[test]
    fn what_has_no_effect_must_have_none() {
        let none = trial(&[Expected::Without("it is not read".to_owned())]);
        assert_eq!(judged(&none, false, false, &[]), Outcome::Without);
        assert_eq!(judged(&none, true, false, &[]), Outcome::Broke);
        assert_eq!(judged(&none, false, true, &[]), Outcome::Broke);
        assert_eq!(judged(&none, true, false, &[named("rs-fw", &["rs1"])]), Outcome::Blamed);
    }

    #[test]
    fn of_two_causes_both_are_due_unless_one_hides_the_other() {
        let both = trial(&[killed("rs-fw", &["rs1"]), killed("no-route", &["client"])]);
        let found = [named("rs-fw", &["rs1"]), named("no-route", &["client"])];
        assert_eq!(judged(&both, true, false, &found), Outcome::Killed);
        assert_eq!(judged(&both, true, false, &found[..1]), Outcome::Half);
        let mut hidden = both;
        hidden.parts[0].expected = Expected::Without("nothing gets there".to_owned());
        assert_eq!(judged(&hidden, true, false, &found[1..]), Outcome::Killed);
        assert_eq!(judged(&hidden, true, false, &found[..1]), Outcome::Half);
        // What is hidden may be named all the same.
        assert_eq!(judged(&hidden, true, false, &found), Outcome::Killed);
    }
}
