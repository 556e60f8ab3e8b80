//! Scenarios under several kernels: one table of verdicts, and what tells the kernels apart.
//!
//! Owns: which differences are worth a line. Refuses: calling anything a verdict that did not run: such a cell says so,
//! whatever the others say.

mod text;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Report, RunVerdict};
use crate::base::{Role, SCHEDULERS};
use crate::facts::survey::Survey;

pub use text::render;

/// A kernel under which scenarios were to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// How it was asked for, or as `drlab kernel list` has it.
    pub name: String,
    /// Its release, as `uname -r` has it; empty where there is none of that name.
    pub release: String,
    /// What started it.
    pub substrate: String,
    /// Why nothing ran under it: a chain, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub failure: Vec<String>,
    /// What it is like; `None` where it was not asked.
    pub survey: Option<Survey>,
}

/// A scenario under a kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// What came of it.
    pub verdict: RunVerdict,
    /// Whether that is what the scenario expects.
    pub as_expected: bool,
    /// What is not as expected, or why it did not run.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub why: Vec<String>,
    /// The checks that did not hold.
    pub broken: Vec<String>,
    /// The root causes that were named.
    pub causes: Vec<String>,
    /// Whether the Director lowered the TTL; `None` where no frame shows it.
    pub ttl_lowered: Option<bool>,
    /// How long it took, in milliseconds.
    pub ms: f64,
}

/// A scenario and what came of it under each kernel, in the order of the columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The scenario.
    pub scenario: String,
    /// Its cells.
    pub cells: Vec<Cell>,
}

/// Something in which kernels differ, in the order of the columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What it is about.
    pub what: String,
    /// Of which kind.
    pub kind: Kind,
    /// What each kernel has; `None` where it was not asked.
    pub values: Vec<Option<String>>,
}

/// What a difference is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Seen in frames.
    Frames,
    /// A scheduler of IPVS.
    Scheduler,
    /// A sysctl that all have, with different values.
    Default,
    /// A sysctl that some don't have.
    Present,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// `drlab.matrix/1`.
    pub schema: String,
    /// The kernels.
    pub kernels: Vec<Column>,
    /// The scenarios.
    pub rows: Vec<Row>,
    /// What tells the kernels apart; whether the TTL is lowered always, the rest where they differ.
    pub differences: Vec<Difference>,
}

/// The name and version of the format.
const SCHEMA: &str = "drlab.matrix/1";

/// What a kernel has that lacks a scheduler or a sysctl.
const ABSENT: &str = "absent";

impl Cell {
    /// What a report comes to.
    pub fn of(report: &Report) -> Self {
        let not_run = report.verdict == RunVerdict::NotRun;
        Self {
            verdict: report.verdict,
            as_expected: report.is_right() && !not_run,
            why: if not_run { report.failure.clone() } else { report.expected.differences.clone() },
            broken: report
                .checks
                .iter()
                .filter(|check| check.verdict == crate::base::Verdict::Broken)
                .map(|check| check.id.clone())
                .collect(),
            causes: report.findings.iter().map(|finding| finding.id.clone()).collect(),
            ttl_lowered: ttl_lowered(report),
            ms: report.timing_ms.total,
        }
    }

    /// A scenario that did not run.
    pub fn not_run(why: &[String]) -> Self {
        Self {
            verdict: RunVerdict::NotRun,
            as_expected: false,
            why: why.to_vec(),
            broken: Vec::new(),
            causes: Vec::new(),
            ttl_lowered: None,
            ms: 0.0,
        }
    }
}

/// What the shown request's way through a Director says: its frame there has a TTL less than the one before, or the same.
fn ttl_lowered(report: &Report) -> Option<bool> {
    let is_director = |vantage: &str| {
        let node = vantage.split(':').next().unwrap_or(vantage);
        let members = report.topology.segments.iter().flat_map(|segment| &segment.members);
        members.into_iter().any(|member| member.role == Role::Director && member.node.as_str() == node)
    };
    let hop = report.journey.windows(2).find(|pair| {
        let [before, after] = pair else { return false };
        is_director(&before.frame.vantage)
            && is_director(&after.frame.vantage)
            && before.direction == "in"
            && after.direction == "out"
    })?;
    Some(hop[1].ttl < hop[0].ttl)
}

impl Matrix {
    /// The whole, of kernels and rows.
    pub fn new(kernels: Vec<Column>, rows: Vec<Row>) -> Self {
        let differences = differences(&kernels, &rows);
        Self { schema: SCHEMA.to_owned(), kernels, rows, differences }
    }

    /// As indented JSON with a line break at its end.
    ///
    /// # Errors
    /// None that its types can have.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

fn differences(kernels: &[Column], rows: &[Row]) -> Vec<Difference> {
    let mut all = vec![Difference {
        what: "the Director lowers the TTL".to_owned(),
        kind: Kind::Frames,
        values: (0..kernels.len()).map(|at| lowered(rows, at)).collect(),
    }];
    let each = |of: &dyn Fn(&Survey) -> Option<String>| -> Vec<Option<String>> {
        kernels.iter().map(|kernel| kernel.survey.as_ref().and_then(of)).collect()
    };
    for scheduler in SCHEDULERS {
        let values = each(&|survey| {
            let has = survey.schedulers.as_ref()?.iter().any(|one| one == scheduler);
            Some(if has { "yes" } else { ABSENT }.to_owned())
        });
        let kind = Kind::Scheduler;
        all.extend(differ(&values).then(|| Difference { what: format!("scheduler {scheduler}"), kind, values }));
    }
    let keys: BTreeSet<&String> =
        kernels.iter().filter_map(|kernel| kernel.survey.as_ref()).flat_map(|survey| survey.defaults.keys()).collect();
    let mut sysctls: Vec<Difference> = Vec::new();
    for key in keys {
        let values = each(&|survey| Some(survey.defaults.get(key).cloned().unwrap_or_else(|| ABSENT.to_owned())));
        let lacking = values.iter().flatten().any(|value| value == ABSENT);
        let kind = if lacking { Kind::Present } else { Kind::Default };
        sysctls.extend(differ(&values).then(|| Difference { what: key.clone(), kind, values }));
    }
    sysctls.sort_by_key(|one| one.kind == Kind::Present);
    all.extend(sysctls);
    all
}

/// Whether those that were asked say different things.
fn differ(values: &[Option<String>]) -> bool {
    values.iter().flatten().collect::<BTreeSet<_>>().len() > 1
}

/// What all scenarios under a kernel say of the TTL.
fn lowered(rows: &[Row], kernel: usize) -> Option<String> {
    let seen: BTreeSet<bool> =
        rows.iter().filter_map(|row| row.cells.get(kernel)).filter_map(|cell| cell.ttl_lowered).collect();
    match (seen.contains(&true), seen.contains(&false)) {
        (true, true) => Some("now so, now otherwise".to_owned()),
        (true, false) => Some("yes".to_owned()),
        (false, true) => Some("no".to_owned()),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Cell, Column, Kind, Matrix, Row, render};
    use crate::facts::survey::Survey;
    use crate::report::{RunVerdict, Style, sample};

    fn kernel(name: &str, release: &str, substrate: &str, survey: Option<Survey>) -> Column {
        Column { name: name.into(), release: release.into(), substrate: substrate.into(), failure: vec![], survey }
    }

    fn survey(schedulers: &[&str], defaults: &[(&str, &str)]) -> Survey {
        let defaults: BTreeMap<String, String> =
            defaults.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Survey { schedulers: Some(schedulers.iter().map(|one| (*one).to_owned()).collect()), defaults }
    }

    fn three() -> Matrix {
        let lacking = vec!["no kernel here is called 4.9; `drlab kernel list` shows those that are".to_owned()];
        let kernels = vec![
            kernel("uml-6.1.176", "6.1.176", "uml", Some(survey(&["rr"], &[("net.ipv4.vs.a", "1"), ("same", "1")]))),
            kernel(
                "debian-6.12.117",
                "6.12.117+deb12-cloud-amd64",
                "qemu",
                Some(survey(&["rr", "twos"], &[("net.ipv4.vs.a", "2"), ("net.ipv4.vs.b", "0"), ("same", "1")])),
            ),
            Column { failure: lacking.clone(), ..kernel("4.9", "", "", None) },
        ];
        let rows = [sample::held(), sample::broken(), sample::broken_unexpectedly()].map(|report| Row {
            scenario: report.scenario.clone(),
            cells: vec![Cell::of(&report), Cell::of(&report), Cell::not_run(&lacking)],
        });
        Matrix::new(kernels, rows.into())
    }

    #[test]
    fn a_matrix_reads_well() {
        let text = render(&three(), &Style::default());
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_kernel_that_is_not_there_is_never_passed() {
        let matrix = three();
        for row in &matrix.rows {
            assert!(row.cells[2].verdict == RunVerdict::NotRun && !row.cells[2].as_expected);
        }
        assert!(!Cell::of(&sample::not_run()).as_expected);
    }

    #[test]
    fn only_what_differs_among_those_that_were_asked_is_told() {
        let matrix = three();
        let told: Vec<(&str, Kind)> = matrix.differences.iter().map(|one| (one.what.as_str(), one.kind)).collect();
        assert_eq!(
            told,
            [
                ("the Director lowers the TTL", Kind::Frames),
                ("scheduler twos", Kind::Scheduler),
                ("net.ipv4.vs.a", Kind::Default),
                ("net.ipv4.vs.b", Kind::Present),
            ]
        );
        assert!(matrix.differences.iter().all(|one| one.values.len() == 3 && one.values[2].is_none()));
    }

    #[test]
    fn a_matrix_reads_back_as_it_was_written() {
        let matrix = three();
        assert_eq!(serde_json::from_str::<Matrix>(&matrix.json().unwrap()).unwrap(), matrix);
    }
}
