//! One whole pass: start, build, read, run, read again, stop, take down, judge.
//!
//! Errs towards a report: whatever goes wrong after the plan stands becomes a report that says so.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{Lab, LabError, Watcher, assemble};
use crate::base::error_chain;
use crate::channel::BuildOptions;
use crate::facts::NodeFacts;
use crate::facts::run::{Acted, CaptureStats, Ran};
use crate::judge::{self, CheckResult, Finding, Input};
use crate::plan::{self, Plan};
use crate::report::{self, CaptureSummary, Expected, Facts, LoadSummary, Report, RunVerdict, TimingMs};
use crate::substrate::{StartOptions, Substrate};
use crate::trace::{Trace, TraceError};

/// How a pass is made.
pub struct Settings {
    /// Which substrate; already chosen.
    pub kind: Substrate,
    /// How its kernel is started. Its output folder is where the raw capture goes.
    pub start: StartOptions,
    /// Where missing tools were unpacked.
    pub tool_roots: Vec<PathBuf>,
    /// Where `capture.pcapng` goes, where it is kept.
    pub keep_capture: Option<PathBuf>,
}

/// How a pass ended, beside its report.
#[derive(Debug)]
pub enum Ended {
    /// The lab ran and was taken down.
    Whole,
    /// It ran, and something of it is left.
    Remains(Vec<String>),
    /// It could not be built or run.
    Failed(LabError),
    /// The capture could not be read, so nothing was judged.
    Capture(CaptureError),
    /// It was judged, and the capture could not be kept.
    Unkept(CaptureError),
}

/// Why a capture could not be judged or kept.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The raw capture can't be opened.
    #[error("could not open {}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The raw capture can't be read.
    #[error("could not read the capture")]
    Read(#[from] TraceError),
    /// The capture with comments can't be written.
    #[error("could not write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What a lab gave before it was judged.
struct Observed {
    before: Vec<NodeFacts>,
    after: Vec<NodeFacts>,
    ran: Ran,
    capture: CaptureStats,
    left: Vec<String>,
}

/// Makes one pass over a plan. Never fails: the report says what happened.
pub fn run(plan: &Plan, settings: &Settings, watcher: &mut dyn Watcher) -> (Report, Ended) {
    let began = Instant::now();
    let mut report = blank(plan, settings.kind);
    let mut recorder = Recorder { watcher, acted: Vec::new() };
    let observed = observe(plan, settings, &mut recorder, &mut report);
    report.timeline = recorder.acted;
    let ended = match observed {
        Err(error) => {
            report.failure = error.chain();
            Ended::Failed(error)
        }
        Ok(observed) => {
            watcher.progress("judging");
            let judging = Instant::now();
            let judged = judge_run(plan, settings, &observed, &mut report);
            report.timing_ms.judge = ms(judging);
            report.facts = Facts { before: observed.before, after: observed.after };
            match judged {
                // All is judged by then.
                Err(error @ CaptureError::Write { .. }) => Ended::Unkept(error),
                Err(error) => {
                    report.verdict = RunVerdict::NotRun;
                    report.failure = error_chain(&error);
                    Ended::Capture(error)
                }
                Ok(()) if observed.left.is_empty() => Ended::Whole,
                Ok(()) => Ended::Remains(observed.left),
            }
        }
    };
    report.timing_ms.total = ms(began);
    (report, ended)
}

fn observe(
    plan: &Plan,
    settings: &Settings,
    recorder: &mut Recorder<'_>,
    report: &mut Report,
) -> Result<Observed, LabError> {
    let timing = &mut report.timing_ms;
    recorder.progress("starting a kernel");
    let since = Instant::now();
    let mut lab = Lab::start(settings.kind, &settings.start)?;
    timing.boot = ms(since);
    lab.guest().kernel().clone_into(&mut report.kernel);

    recorder.progress("building the lab");
    let since = Instant::now();
    let options = BuildOptions {
        output: settings.start.output.display().to_string(),
        tool_roots: settings.tool_roots.iter().map(|r| r.display().to_string()).collect(),
        skip_ipvs: false,
        capture: true,
    };
    lab.build(plan, options, recorder)?;
    timing.build = ms(since);
    let before = lab.facts(recorder)?;

    let since = Instant::now();
    let ran = lab.run(recorder)?;
    timing.load = ms(since);
    recorder.progress("reading the lab back");
    let after = lab.facts(recorder)?;
    let capture = lab.stop_capture(recorder)?;

    recorder.progress("taking the lab down");
    let since = Instant::now();
    let left = lab.tear_down(recorder)?;
    timing.teardown = ms(since);
    Ok(Observed { before, after, ran, capture, left })
}

fn judge_run(plan: &Plan, settings: &Settings, observed: &Observed, report: &mut Report) -> Result<(), CaptureError> {
    let raw = settings.start.output.join("capture.raw.pcapng");
    let file = File::open(&raw).map_err(|source| CaptureError::Open { path: raw.clone(), source })?;
    let recorded = Trace::read(BufReader::new(file))?;
    let trace = recorded.trace;
    let case = plan::case::case(plan);
    let input = Input {
        case: &case,
        trace: &trace,
        before: &observed.before,
        after: &observed.after,
        ran: &observed.ran,
        capture: &observed.capture,
    };
    let made = judge::checks::ALL.iter().filter(|check| plan.expect.checks.contains_key(check.id));
    report.checks = made.map(|check| (check.run)(&input)).collect();
    report.findings = judge::rules::findings(&input, &report.checks);
    report.ruled_out = judge::rules::ruled_out(&input, &report.checks, &report.findings);
    report.verdict = RunVerdict::of(&report.checks);
    report.stopped = observed.ran.stopped.as_deref().cloned();
    if report.stopped.is_some() {
        report.verdict = RunVerdict::Broken;
    }
    report.journey = judge::ladder::ladder(&input);
    report.census = judge::census::census(&input);
    report.load = assemble::load(plan, &observed.ran);
    report.capture = assemble::capture(&observed.capture);
    report.expected = assemble::expected(&plan.expect, &report.checks, &report.findings, &report.load);
    assemble::stopped(&mut report.expected, report.stopped.as_ref());
    if let Some(path) = &settings.keep_capture {
        write_capture(path, &trace, &recorded.dropped, &comments(&report.checks, &report.findings))?;
    }
    Ok(())
}

fn write_capture(
    path: &Path,
    trace: &Trace,
    dropped: &[Option<u64>],
    comments: &BTreeMap<u32, Vec<String>>,
) -> Result<(), CaptureError> {
    let failed = |source| CaptureError::Write { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let file = BufWriter::new(File::create(path).map_err(failed)?);
    trace.write(file, comments, dropped).map_err(failed)
}

/// What each frame is evidence for, by its number.
fn comments(checks: &[CheckResult], findings: &[Finding]) -> BTreeMap<u32, Vec<String>> {
    let of_checks = checks.iter().flat_map(|c| {
        c.evidence.iter().map(move |e| (format!("{} {}: {}", c.id, c.verdict, e.what), e.frame.as_ref()))
    });
    let of_findings = findings
        .iter()
        .flat_map(|f| f.evidence.iter().map(move |e| (format!("{}: {}", f.id, e.what), e.frame.as_ref())));
    let mut comments: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (text, frame) in of_checks.chain(of_findings) {
        if let Some(frame) = frame {
            comments.entry(frame.frame).or_default().push(text);
        }
    }
    comments
}

fn blank(plan: &Plan, kind: Substrate) -> Report {
    Report {
        schema: report::SCHEMA.to_owned(),
        scenario: plan.scenario.clone(),
        title: plan.title.clone(),
        verdict: RunVerdict::NotRun,
        expected: Expected { met: false, broken: false, differences: vec!["the lab did not run".to_owned()] },
        failure: Vec::new(),
        substrate: kind.to_string(),
        kernel: String::new(),
        timing_ms: TimingMs::default(),
        load: LoadSummary::default(),
        capture: CaptureSummary::default(),
        topology: assemble::topology(plan),
        timeline: Vec::new(),
        stopped: None,
        journey: Vec::new(),
        census: Vec::new(),
        checks: Vec::new(),
        findings: Vec::new(),
        ruled_out: Vec::new(),
        facts: Facts::default(),
    }
}

fn ms(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

/// Passes everything on and keeps what the report needs.
struct Recorder<'a> {
    watcher: &'a mut dyn Watcher,
    acted: Vec<Acted>,
}

impl Watcher for Recorder<'_> {
    fn progress(&mut self, what: &str) {
        self.watcher.progress(what);
    }

    fn acted(&mut self, acted: &Acted) {
        self.watcher.acted(acted);
        self.acted.push(acted.clone());
    }
}

/// The report of a run that never began.
pub fn not_run(plan: &Plan, kind: Substrate, error: &dyn std::error::Error) -> Report {
    let mut report = blank(plan, kind);
    report.failure = error_chain(error);
    report
}
