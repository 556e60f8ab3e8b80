//! `drlab run` as a user calls it: a process from start to end, with its kernel, its lab and its report.

pub(crate) mod sample;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::error::BenchError;
use crate::figure::{Figure, Goal, Part, Samples, shown};
use sample::Shown;

pub(crate) const DRLAB: &str = env!("CARGO_BIN_EXE_drlab");
const TEXTBOOK: &str = "basic/lvs-dr";
const MEMORY_MB: f64 = 100.0;
/// The exit code of a run for which this machine or its kernel lacks something.
const LACKING: i32 = 4;

/// What is read of a report.
#[derive(Debug, Deserialize)]
struct Report {
    kernel: String,
    verdict: String,
    expected: Expected,
    timing_ms: BTreeMap<String, f64>,
    capture: Capture,
}

#[derive(Debug, Deserialize)]
struct Expected {
    met: bool,
}

#[derive(Debug, Deserialize)]
struct Capture {
    frames: u64,
    dropped: u64,
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

/// Runs the textbook lab so many times, and as many times again for the report's own times.
pub(crate) fn textbook(samples: usize) -> Result<Part, BenchError> {
    one(&["run", TEXTBOOK])?;
    let mut runs = Vec::with_capacity(samples);
    let mut reports = Vec::with_capacity(samples);
    for _ in 0..samples {
        runs.push(succeeded(one(&["run", TEXTBOOK])?)?);
        reports.push(report(TEXTBOOK, &one(&["run", TEXTBOOK, "--format", "json"])?)?);
    }
    let wall = Samples::new(runs.iter().map(|run| run.wall_ms).collect());
    let peak = Samples::new(runs.iter().map(Shown::peak_mb).collect());
    let figures = vec![
        Figure {
            what: "`drlab run lvs-dr`, 20 requests, all captured and judged, User-Mode Linux".to_owned(),
            unit: "ms",
            goal: Goal::Under(2000.0),
            samples: wall,
        },
        Figure {
            what: "memory of the same: its largest process, kernel included".to_owned(),
            unit: "MB",
            goal: Goal::Under(MEMORY_MB),
            samples: peak,
        },
    ];
    let guest_kernel = reports.first().map(|report| report.kernel.clone());
    Ok(Part { figures, details: phases(&reports), guest_kernel })
}

fn phases(reports: &[Report]) -> String {
    let mut text = "\
## Where the time of `drlab run lvs-dr` goes\n\n\
As its report says, in ms. Reading facts and ending the capture are in the total only.\n\n\
| phase | min | median | max |\n|---|--:|--:|--:|\n"
        .to_owned();
    for phase in ["boot", "build", "load", "judge", "teardown", "total"] {
        let times = Samples::new(reports.iter().filter_map(|report| report.timing_ms.get(phase).copied()).collect());
        let cells = [times.min(), times.median(), times.max()].map(shown).join(" | ");
        // Writing to a String can't fail.
        writeln!(text, "| {phase} | {cells} |").unwrap_or_default();
    }
    text
}

/// Runs every shipped scenario once by itself, and all in one call.
pub(crate) fn every_scenario(hint: &mut dyn FnMut(&str) -> Result<(), BenchError>) -> Result<Part, BenchError> {
    let names: Vec<String> = drlab::cli::select::shipped().into_iter().map(|one| one.name).collect();
    let mut seen = Vec::with_capacity(names.len());
    for name in &names {
        hint(name)?;
        let run = one(&["run", name, "--format", "json"])?;
        let report = report(name, &run)?;
        seen.push((name, run, report));
    }
    hint("all in one call")?;
    let arguments = ["run", "--format", "json"].into_iter().chain(names.iter().map(String::as_str));
    let together = one(&arguments.collect::<Vec<_>>())?;

    let largest = seen.iter().max_by(|(_, a, _), (_, b, _)| a.peak_kib.cmp(&b.peak_kib));
    let largest_name = largest.map_or("none", |(name, _, _)| name.as_str());
    let largest_mb = largest.map_or(f64::NAN, |(_, run, _)| run.peak_mb());
    // What this kernel lacks a module for is told by its exit code; it has no frames that could be dropped.
    let lacking = seen.iter().filter(|(_, run, _)| run.code == Some(LACKING)).map(|(name, _, _)| name.as_str());
    let lacking: Vec<&str> = lacking.collect();
    let captured = seen.iter().filter(|(_, _, report)| report.capture.frames > 0).count();
    let without =
        if lacking.is_empty() { String::new() } else { format!(" (the kernel lacks {})", lacking.join(", ")) };
    let dropped: u64 = seen.iter().map(|(_, _, report)| report.capture.dropped).sum();
    let whole = captured + lacking.len() == names.len();
    let figures = vec![
        Figure {
            what: format!("frames dropped in {captured} of {} shipped scenarios{without}", names.len()),
            unit: "",
            goal: Goal::AtMost(0.0),
            samples: Samples::new(if whole { vec![dropped as f64] } else { Vec::new() }),
        },
        Figure {
            what: format!("memory, the shipped scenario that takes most ({largest_name})"),
            unit: "MB",
            goal: Goal::Under(MEMORY_MB),
            samples: Samples::new(vec![largest_mb]),
        },
        Figure {
            what: "memory, all shipped scenarios in one call".to_owned(),
            unit: "MB",
            goal: Goal::Under(MEMORY_MB),
            samples: Samples::new(vec![together.peak_mb()]),
        },
    ];
    let guest_kernel = seen.first().map(|(_, _, report)| report.kernel.clone());
    Ok(Part { figures, details: table(&seen, &together), guest_kernel })
}

fn table(seen: &[(&String, Shown, Report)], together: &Shown) -> String {
    let met = seen.iter().filter(|(_, _, report)| report.expected.met).count();
    let frames: u64 = seen.iter().map(|(_, _, report)| report.capture.frames).sum();
    let mut text = format!(
        "## Every shipped scenario\n\n\
         Each run once by itself; {met} of {} came out as expected; {frames} frames. All in one call: {} s.\n\n\
         | scenario | verdict | as expected | ms | frames | dropped | MB |\n|---|---|---|--:|--:|--:|--:|\n",
        seen.len(),
        shown(together.wall_ms / 1e3),
    );
    for (name, run, report) in seen {
        let Capture { frames, dropped } = report.capture;
        let (verdict, met) = (&report.verdict, if report.expected.met { "yes" } else { "no" });
        let (wall, peak) = (shown(run.wall_ms), shown(run.peak_mb()));
        // Writing to a String can't fail.
        writeln!(text, "| {name} | {verdict} | {met} | {wall} | {frames} | {dropped} | {peak} |").unwrap_or_default();
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
