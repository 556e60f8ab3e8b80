//! One whole pass: start, build, read, run, read again, stop, take down, judge. Where it is asked for, what is found is
//! mended before the lab is taken down (see [`mend`]).
//!
//! Errs towards a report: whatever goes wrong after the plan stands becomes a report that says so.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::mend::{self, Mending};
use super::{Lab, LabError, Watcher, assemble};
use crate::base::error_chain;
use crate::channel::{self, BuildOptions};
use crate::facts::NodeFacts;
use crate::facts::run::{Acted, CaptureStats, CommandResult, Ran};
use crate::judge::{self, Case, CheckResult, Finding, Input};
use crate::plan::{self, Plan};
use crate::report::{self, CaptureSummary, Expected, Facts, LoadSummary, Report, RunVerdict, TimingMs};
use crate::substrate::packages::trees::Tree;
use crate::substrate::{StartOptions, Substrate};
use crate::trace::{Recorded, Trace, TraceError};

/// How a pass is made.
pub struct Settings {
    /// Which substrate; already chosen.
    pub kind: Substrate,
    /// How its kernel is started. Its output folder is where the raw capture goes.
    pub start: StartOptions,
    /// Where missing tools were unpacked.
    pub tool_roots: Vec<PathBuf>,
    /// Where packages that nodes have and the machine lacks were unpacked.
    pub trees: Vec<Tree>,
    /// Where `capture.pcapng` goes, where it is kept.
    pub keep_capture: Option<PathBuf>,
    /// By up to how much frames and work are held back, in microseconds; see [`BuildOptions::jitter_us`].
    pub jitter_us: u32,
    /// Whether and how what is found is mended before the lab is taken down.
    pub mend: Option<Mending>,
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
pub(super) struct Observed {
    pub(super) before: Vec<NodeFacts>,
    pub(super) after: Vec<NodeFacts>,
    pub(super) ran: Ran,
    pub(super) capture: CaptureStats,
}

/// Makes one pass over a plan; where that is asked for, mends what it finds and makes another one. Never fails: the
/// report says what happened.
pub fn run(plan: &Plan, settings: &Settings, watcher: &mut dyn Watcher) -> (Report, Ended) {
    let began = Instant::now();
    let mut report = blank(plan, settings.kind);
    let mut recorder = Recorder { watcher, acted: Vec::new(), commands: Vec::new(), last: String::new() };
    let observed = observe(plan, settings, &mut recorder, &mut report);
    let last = recorder.last;
    (report.timeline, report.commands) = (recorder.acted, recorder.commands);
    let ended = match observed {
        Err(error) => {
            report.logs = logs(&settings.start.output);
            let kept = settings.keep_capture.as_ref().map(|path| keep_logs(&settings.start.output, path));
            let stands_still = settings.start.seed.is_some() && error.is_silence();
            let ended = failed(&mut report, error);
            if stands_still {
                report.failure.extend(standing_still(&last));
            }
            if let Some(Err(error)) = kept {
                report.failure.extend(error_chain(&error));
            }
            ended
        }
        Ok((lab, observed)) => conclude(plan, settings, lab, observed, watcher, &mut report),
    };
    report.timing_ms.total = ms(began);
    if settings.start.seed.is_some() {
        report.timing_ms = virtual_times(&report);
    }
    report.seed = settings.start.seed;
    report.jitter_us = settings.jitter_us;
    (report, ended)
}

/// What of the times is the lab's own: the others are the machine's, and differ from run to run.
fn virtual_times(report: &Report) -> TimingMs {
    let build = report.timing_ms.build;
    let ms = |ns: u64| Duration::from_nanos(ns).as_secs_f64() * 1e3;
    let first = report.timeline.iter().map(|acted| acted.at_ns).min().unwrap_or_default();
    let ends = report.timeline.iter().map(|acted| ms(acted.at_ns.saturating_sub(first)) + acted.ms);
    let load = ends.fold(0.0, f64::max);
    TimingMs { build, load, total: build + load, ..TimingMs::default() }
}

/// What a silence means where time is virtual.
fn standing_still(last: &str) -> [String; 2] {
    [
        format!("the last thing that was heard: {last}"),
        "by a seed time passes only while all programs wait; one of those that never waits, but looks at the clock or for \
         another thread time and again, can't be run so: leave --seed away for this scenario"
            .to_owned(),
    ]
}

fn failed(report: &mut Report, error: LabError) -> Ended {
    report.failure = error.chain();
    Ended::Failed(error)
}

/// Judges, mends and takes down; a lab that is not mended is gone before it is judged.
fn conclude(
    plan: &Plan,
    settings: &Settings,
    mut lab: Lab,
    observed: Observed,
    watcher: &mut dyn Watcher,
    report: &mut Report,
) -> Ended {
    let mut judged = None;
    if let Some(mending) = settings.mend {
        let first = judge_first(plan, settings, &observed, watcher, report);
        if let Ok(trace) = &first {
            report.mended = mend::mend(plan, settings, mending, &mut lab, (&report.findings, trace), watcher);
        }
        judged = Some(first.map(drop));
    }
    watcher.progress("taking the lab down");
    let since = Instant::now();
    let left = match lab.tear_down(watcher) {
        Ok(left) => left,
        Err(error) => return failed(report, error),
    };
    report.timing_ms.teardown = ms(since);
    if let Some(path) = &settings.keep_capture
        && let Err(error) = keep_logs(&settings.start.output, path)
    {
        return Ended::Unkept(error);
    }
    let judged = judged.unwrap_or_else(|| judge_first(plan, settings, &observed, watcher, report).map(drop));
    report.facts = Facts { before: observed.before, after: observed.after };
    match judged {
        // All is judged by then.
        Err(error @ CaptureError::Write { .. }) => Ended::Unkept(error),
        Err(error) => {
            report.verdict = RunVerdict::NotRun;
            report.failure = error_chain(&error);
            Ended::Capture(error)
        }
        Ok(()) if left.is_empty() => Ended::Whole,
        Ok(()) => Ended::Remains(left),
    }
}

fn observe(
    plan: &Plan,
    settings: &Settings,
    recorder: &mut Recorder<'_>,
    report: &mut Report,
) -> Result<(Lab, Observed), LabError> {
    let timing = &mut report.timing_ms;
    recorder.progress("starting a kernel");
    let since = Instant::now();
    let options = BuildOptions {
        output: settings.start.output.display().to_string(),
        tool_roots: settings.tool_roots.iter().map(|r| r.display().to_string()).collect(),
        trees: of_plan(plan, &settings.trees),
        skip_ipvs: false,
        capture: true,
        jitter_us: settings.jitter_us,
        memory_mib: settings.start.memory_mib,
    };
    let seeded = settings.start.seed.is_some();
    let mut lab = if seeded {
        Lab::start_told(settings.kind, &settings.start, plan, &options)?
    } else {
        Lab::start(settings.kind, &settings.start)?
    };
    timing.boot = ms(since);
    lab.guest().kernel().clone_into(&mut report.kernel);

    recorder.progress("building the lab");
    let since = Instant::now();
    let built = lab.build(plan, options, recorder)?;
    timing.build = if seeded { built.ms } else { ms(since) };
    let before = lab.facts(recorder)?;

    let since = Instant::now();
    let ran = lab.run(recorder)?;
    timing.load = ms(since);
    recorder.progress("reading the lab back");
    let after = lab.facts(recorder)?;
    let capture = lab.stop_capture(recorder)?;
    Ok((lab, Observed { before, after, ran, capture }))
}

/// The trees that this plan's nodes have; a command has room for few.
fn of_plan(plan: &Plan, trees: &[Tree]) -> Vec<channel::Tree> {
    let had = trees.iter().filter(|tree| plan.nodes.iter().any(|node| node.packages == tree.packages));
    had.map(|tree| channel::Tree { packages: tree.packages.clone(), folder: tree.folder.display().to_string() })
        .collect()
}

/// Judges the pass; gives its frames.
fn judge_first(
    plan: &Plan,
    settings: &Settings,
    observed: &Observed,
    watcher: &mut dyn Watcher,
    report: &mut Report,
) -> Result<Trace, CaptureError> {
    watcher.progress("judging");
    let since = Instant::now();
    let recorded = read(&settings.start.output.join("capture.raw.pcapng"))?;
    let case = plan::case::case(plan).as_read_on(&observed.before, &plan.with_programs());
    let input = observed.input(&case, &recorded.trace);
    (report.checks, report.findings) = judged(plan, &input, &[]);
    report.ruled_out = judge::rules::ruled_out(&input, &report.checks, &report.findings);
    report.verdict = RunVerdict::of(&report.checks);
    report.stopped = observed.ran.stopped.as_deref().cloned();
    if report.stopped.is_some() {
        report.verdict = RunVerdict::Broken;
    }
    report.journey = judge::ladder::ladder(&input);
    report.census = judge::census::census(&input);
    report.topology = assemble::topology_as_read(plan, &case, &observed.before);
    report.by_programs = assemble::by_programs(plan, &observed.before);
    report.failover = judge::failover(&input);
    report.drains = judge::drains(&input, &report.timeline);
    report.load = assemble::load(plan, &observed.ran);
    report.capture = assemble::capture(&observed.capture);
    report.expected = assemble::expected(&plan.expect, &report.checks, &report.findings, &report.load);
    assemble::stopped(&mut report.expected, report.stopped.as_ref());
    assemble::ended(&mut report.expected, &observed.ran.ended);
    report.timing_ms.judge = ms(since);
    if let Some(path) = &settings.keep_capture {
        write_capture(path, &recorded.trace, &recorded.dropped, &comments(&report.checks, &report.findings))?;
    }
    Ok(recorded.trace)
}

/// The folder of what nodes' programs logged, below a run's folder and below the one in which results are kept.
pub const LOGS: &str = "nodes";

/// What nodes' programs logged in a run's folder: each file, and where it goes below the folder of results. A log in which
/// nothing is tells nothing.
fn logged(output: &Path) -> Vec<(PathBuf, PathBuf)> {
    let mut all = Vec::new();
    for node in fs::read_dir(output.join(LOGS)).into_iter().flatten().flatten() {
        for log in fs::read_dir(node.path()).into_iter().flatten().flatten() {
            if log.metadata().is_ok_and(|found| found.len() > 0) {
                all.push((log.path(), Path::new(LOGS).join(node.file_name()).join(log.file_name())));
            }
        }
    }
    all.sort();
    all
}

fn logs(output: &Path) -> Vec<String> {
    logged(output).into_iter().map(|(_, place)| place.display().to_string()).collect()
}

/// Puts what nodes' programs logged beside the capture that is kept.
fn keep_logs(output: &Path, capture: &Path) -> Result<(), CaptureError> {
    let results = capture.parent().unwrap_or(Path::new(""));
    for (log, place) in logged(output) {
        let path = results.join(place);
        let folder = path.parent().unwrap_or(results);
        let kept = fs::create_dir_all(folder).and_then(|()| fs::copy(&log, &path));
        kept.map_err(|source| CaptureError::Write { path: path.clone(), source })?;
    }
    Ok(())
}

impl Observed {
    /// The same as the judge has it.
    pub(super) fn input<'a>(&'a self, case: &'a Case, trace: &'a Trace) -> Input<'a> {
        let Self { before, after, ran, capture } = self;
        Input { case, trace, before, after, ran, capture }
    }
}

/// The plan's checks but for some, and the root causes of what does not hold.
pub(super) fn judged(plan: &Plan, input: &Input<'_>, but: &[&str]) -> (Vec<CheckResult>, Vec<Finding>) {
    let applies = |id: &str| plan.expect.checks.contains_key(id) && !but.contains(&id);
    let made = judge::checks::ALL.iter().filter(|check| applies(check.id));
    let checks: Vec<CheckResult> = made.map(|check| (check.run)(input)).collect();
    let findings = judge::rules::findings(input, &checks);
    (checks, findings)
}

/// Reads a capture that a pass has left.
///
/// # Errors
/// [`CaptureError::Open`] and [`CaptureError::Read`].
pub fn read(path: &Path) -> Result<Recorded, CaptureError> {
    let file = File::open(path).map_err(|source| CaptureError::Open { path: path.to_owned(), source })?;
    Ok(Trace::read(BufReader::new(file))?)
}

pub(super) fn write_capture(
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
pub(super) fn comments(checks: &[CheckResult], findings: &[Finding]) -> BTreeMap<u32, Vec<String>> {
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
        logs: Vec::new(),
        substrate: kind.to_string(),
        kernel: String::new(),
        seed: None,
        same_twice: false,
        jitter_us: 0,
        timing_ms: TimingMs::default(),
        load: LoadSummary::default(),
        read: None,
        capture: CaptureSummary::default(),
        topology: assemble::topology(plan),
        timeline: Vec::new(),
        commands: Vec::new(),
        by_programs: Vec::new(),
        stopped: None,
        journey: Vec::new(),
        census: Vec::new(),
        failover: None,
        drains: Vec::new(),
        checks: Vec::new(),
        findings: Vec::new(),
        ruled_out: Vec::new(),
        mended: None,
        facts: Facts::default(),
    }
}

pub(super) fn ms(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

/// Passes everything on and keeps what the report needs.
struct Recorder<'a> {
    watcher: &'a mut dyn Watcher,
    acted: Vec<Acted>,
    commands: Vec<CommandResult>,
    /// What began last.
    last: String,
}

impl Watcher for Recorder<'_> {
    fn progress(&mut self, what: &str) {
        what.clone_into(&mut self.last);
        self.watcher.progress(what);
    }

    fn acted(&mut self, acted: &Acted) {
        self.watcher.acted(acted);
        self.acted.push(acted.clone());
    }

    fn commanded(&mut self, result: &CommandResult) {
        self.watcher.commanded(result);
        self.commands.push(result.clone());
    }
}

/// The report of a run that never began.
pub fn not_run(plan: &Plan, kind: Substrate, error: &dyn std::error::Error) -> Report {
    let mut report = blank(plan, kind);
    report.failure = error_chain(error);
    report
}
