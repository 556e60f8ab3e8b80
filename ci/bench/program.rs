//! `drlab run` as a user calls it: a process from start to end, with its kernel, its lab and its report.

pub(crate) mod sample;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Command, Stdio};

use drlab::substrate::Kernel;
use serde::Deserialize;

use crate::error::BenchError;
use crate::figure::{Figure, Goal, Part, Samples, shown};
use crate::kernels::Kernels;
use sample::Shown;

pub(crate) const DRLAB: &str = env!("CARGO_BIN_EXE_drlab");
pub(crate) const TEXTBOOK: &str = "basic/lvs-dr";
const OWN_MS: f64 = 800.0;
const PACKAGED_MS: f64 = 1200.0;
pub(crate) const MEMORY_MB: f64 = 100.0;

/// What is read of a report.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) scenario: String,
    pub(crate) kernel: String,
    pub(crate) verdict: String,
    pub(crate) expected: Expected,
    pub(crate) timing_ms: BTreeMap<String, f64>,
    pub(crate) capture: Capture,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Expected {
    pub(crate) met: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Capture {
    pub(crate) frames: u64,
    pub(crate) dropped: u64,
}

/// Gets the kernel where there is none, so that no sample has to.
pub(crate) fn fetch_kernel() -> Result<(), BenchError> {
    let status = Command::new(DRLAB).args(["kernel", "fetch"]).stdout(Stdio::null()).status();
    let status = status.map_err(BenchError::io("start drlab kernel fetch".to_owned()))?;
    if status.success() {
        return Ok(());
    }
    let what = "drlab kernel fetch".to_owned();
    Err(BenchError::Sample { what, status: status.to_string(), said: "what it says is above".to_owned() })
}

/// What the textbook lab came to under one kernel.
struct Row {
    runs: Vec<Shown>,
    reports: Vec<Report>,
}

fn row(kernel: &Kernel, samples: usize) -> Result<Row, BenchError> {
    let words = ["run", TEXTBOOK, "--kernel", &kernel.name];
    one(&words)?;
    let mut row = Row { runs: Vec::with_capacity(samples), reports: Vec::with_capacity(samples) };
    for _ in 0..samples {
        row.runs.push(succeeded(one(&words)?)?);
        let told = one(&["run", TEXTBOOK, "--kernel", &kernel.name, "--format", "json"])?;
        row.reports.push(report(TEXTBOOK, &told)?);
    }
    Ok(row)
}

impl Row {
    fn walls(&self) -> Samples {
        Samples::new(self.runs.iter().map(|run| run.wall_ms).collect())
    }
}

/// Runs the textbook lab so many times under each kernel, and as many times again for the report's own times.
pub(crate) fn textbook(kernels: &Kernels, samples: usize) -> Result<Part, BenchError> {
    let rows =
        [&kernels.own, &kernels.packaged].map(|kernel| kernel.as_ref().map(|kernel| row(kernel, samples)).transpose());
    let [own, packaged] = rows;
    let (own, packaged) = (own?, packaged?);
    let walls = |row: &Option<Row>| row.as_ref().map_or_else(|| Samples::new(Vec::new()), Row::walls);
    let wall = |whose: &str, goal, row: &Option<Row>| Figure {
        what: format!("`drlab run lvs-dr`, 20 requests, all captured, judged and reported, {whose} kernel"),
        unit: "ms",
        goal: Goal::Under(goal),
        samples: walls(row),
    };
    let first = own.as_ref().or(packaged.as_ref());
    let peaks = first.map(|row| row.runs.iter().map(Shown::peak_mb).collect()).unwrap_or_default();
    let figures = vec![
        wall("drlab's own", OWN_MS, &own),
        wall("Debian's", PACKAGED_MS, &packaged),
        Figure::once(
            "the first of these two over the second".to_owned(),
            "×",
            Goal::Less,
            walls(&own).median() / walls(&packaged).median(),
        ),
        Figure {
            what: "memory of the first: its largest process, kernel included".to_owned(),
            unit: "MB",
            goal: Goal::Under(MEMORY_MB),
            samples: Samples::new(peaks),
        },
    ];
    let releases: Vec<String> =
        [&own, &packaged].iter().filter_map(|row| Some(row.as_ref()?.reports.first()?.kernel.clone())).collect();
    let guest_kernel = Some(releases.join(", ")).filter(|text| !text.is_empty());
    Ok(Part { figures, details: phases(&[("drlab's own", &own), ("Debian's", &packaged)]), guest_kernel })
}

fn phases(rows: &[(&str, &Option<Row>)]) -> String {
    let mut text = "\
## Where the time of `drlab run lvs-dr` goes\n\n\
As its report says, in ms. Reading facts and ending the capture are in the total only.\n\n\
| phase | kernel | min | median | max |\n|---|---|--:|--:|--:|\n"
        .to_owned();
    for phase in ["boot", "build", "load", "judge", "teardown", "total"] {
        for (whose, row) in rows {
            let reports = row.iter().flat_map(|row| &row.reports);
            let times = Samples::new(reports.filter_map(|report| report.timing_ms.get(phase).copied()).collect());
            if times.count() > 0 {
                let cells = [times.min(), times.median(), times.max()].map(shown).join(" | ");
                // Writing to a String can't fail.
                writeln!(text, "| {phase} | {whose} | {cells} |").unwrap_or_default();
            }
        }
    }
    text
}

fn one(arguments: &[&str]) -> Result<Shown, BenchError> {
    call(DRLAB, arguments)
}

/// Calls a program once.
pub(crate) fn call(program: &str, arguments: &[&str]) -> Result<Shown, BenchError> {
    let this = std::env::current_exe().map_err(BenchError::io("find this program".to_owned()))?;
    let what = format!("{program} {}", arguments.join(" "));
    let answer = Command::new(this)
        .args(["one-run", program])
        .args(arguments)
        .output()
        .map_err(BenchError::io(format!("start {what}")))?;
    if !answer.status.success() {
        return Err(BenchError::Sample {
            what,
            status: answer.status.to_string(),
            said: String::from_utf8_lossy(&answer.stderr).trim().to_owned(),
        });
    }
    serde_json::from_slice(&answer.stdout).map_err(|source| BenchError::Answer { what, source })
}

fn succeeded(run: Shown) -> Result<Shown, BenchError> {
    match run.code {
        Some(0) => Ok(run),
        code => Err(BenchError::Sample {
            what: "drlab run".to_owned(),
            status: code.map_or("a signal".to_owned(), |code| format!("exit code {code}")),
            said: format!("{}{}", run.stdout, run.stderr),
        }),
    }
}

fn report(name: &str, run: &Shown) -> Result<Report, BenchError> {
    serde_json::from_str(&run.stdout)
        .map_err(|source| BenchError::Answer { what: format!("drlab run {name}, that said {}", run.stderr), source })
}
