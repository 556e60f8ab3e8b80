//! The second pass: the lab stays up, what was found is mended in it, and the same load is driven and judged once more.
//!
//! Owns: running each finding's commands where they belong, and what is expected of a mended lab: every check holds and
//! nothing is found. Refuses: repairing by itself, as resetting tables or caches; what the commands leave as it is stays.
//! The timeline's other acts are not done again, or they would break anew what they broke. What the first pass's
//! connections still send is not judged. Errs towards not mended.

use std::path::PathBuf;
use std::time::Instant;

use super::once::{self, CaptureError, Observed, Settings};
use super::{Lab, LabError, Watcher, assemble};
use crate::base::error_chain;
use crate::channel::Executed;
use crate::judge::mend::{Step, steps};
use crate::judge::{Dialect, Finding};
use crate::plan::{self, Plan};
use crate::report::{LoadSummary, Mended, MendedCommand, RunVerdict};
use crate::trace::Trace;

/// How findings are mended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mending {
    /// The dialect that is taken where a mend has it; else a mend's first.
    pub preferred: Option<Dialect>,
}

/// Checks that are not made again, each with the reason.
const LEFT_OUT: [(&str, &str); 1] = [("read-back", "the lab is no longer what the plan says, on purpose")];

/// Bytes of a command's output that are kept.
const OUTPUT_BYTES: usize = 2000;

/// Why there was no second pass, or none that could be judged.
#[derive(Debug, thiserror::Error)]
enum MendError {
    /// The lab.
    #[error("could not drive the mended lab")]
    Lab(#[from] LabError),
    /// Its capture.
    #[error("could not judge the mended lab")]
    Capture(#[from] CaptureError),
}

/// Mends what the first pass found and drives the load again; `None` where nothing was found. `first` are its findings
/// and its frames.
pub(super) fn mend(
    plan: &Plan,
    settings: &Settings,
    mending: Mending,
    lab: &mut Lab,
    (findings, frames): (&[Finding], &Trace),
    watcher: &mut dyn Watcher,
) -> Option<Mended> {
    if findings.is_empty() {
        return None;
    }
    let began = Instant::now();
    let mut mended = Mended {
        commands: Vec::new(),
        verdict: RunVerdict::NotRun,
        failure: Vec::new(),
        load: LoadSummary::default(),
        checks: Vec::new(),
        left_out: LEFT_OUT.iter().map(|(id, why)| format!("{id}: {why}")).collect(),
        findings: Vec::new(),
        ms: 0.0,
    };
    let again = apply(settings, &steps(findings, mending.preferred), lab, &mut mended, watcher)
        .map_err(MendError::from)
        .and_then(|applied| if applied { drive(plan, settings, lab, frames, &mut mended, watcher) } else { Ok(()) });
    if let Err(error) = again {
        mended.failure = match &error {
            MendError::Lab(cause) => std::iter::once(error.to_string()).chain(cause.chain()).collect(),
            MendError::Capture(_) => error_chain(&error),
        };
    }
    mended.ms = once::ms(began);
    Some(mended)
}

/// Runs the commands; whether there was any.
fn apply(
    settings: &Settings,
    steps: &[Step],
    lab: &mut Lab,
    mended: &mut Mended,
    watcher: &mut dyn Watcher,
) -> Result<bool, LabError> {
    let mut applied = false;
    for step in steps {
        let mut command = MendedCommand {
            finding: step.finding.clone(),
            node: step.mend.node.clone(),
            dialect: step.mend.dialect,
            command: step.mend.command.clone(),
            status: None,
            output: String::new(),
        };
        if !step.by_hand() {
            watcher.progress(&format!("mending {}", step.finding));
            let executed = lab.shell(&command.node, &command.command, &settings.start.output)?;
            command.status = Some(executed.status);
            command.output = output(&executed);
            applied = true;
        }
        mended.commands.push(command);
    }
    Ok(applied)
}

/// What a command wrote, errors last.
fn output(executed: &Executed) -> String {
    let mut text = format!("{}{}", executed.stdout, executed.stderr);
    if text.len() > OUTPUT_BYTES {
        let end = (0..=OUTPUT_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push_str(" …");
    }
    text.trim_end().to_owned()
}

/// Drives the load again, captures and judges it.
fn drive(
    plan: &Plan,
    settings: &Settings,
    lab: &mut Lab,
    earlier: &Trace,
    mended: &mut Mended,
    watcher: &mut dyn Watcher,
) -> Result<(), MendError> {
    watcher.progress("driving the mended lab");
    // Whoever types the commands is slower than the three seconds in which a kernel gives a question up.
    lab.rest(watcher)?;
    let raw: PathBuf = settings.start.output.join("mended.raw.pcapng");
    lab.start_capture(&raw)?;
    let before = lab.facts(watcher)?;
    let ran = lab.run_loads(watcher)?;
    let after = lab.facts(watcher)?;
    let capture = lab.stop_capture(watcher)?;
    let observed = Observed { before, after, ran, capture };
    watcher.progress("judging the mended lab");
    let recorded = once::read(&raw)?;
    let trace = recorded.trace.without_rest_of(earlier);
    let case = plan::case::case(plan).as_read(&observed.before);
    let input = observed.input(&case, &trace);
    (mended.checks, mended.findings) = once::judged(plan, &input, &LEFT_OUT.map(|(id, _)| id));
    mended.verdict = RunVerdict::of(&mended.checks);
    mended.load = assemble::load(plan, &observed.ran);
    if let Some(path) = &settings.keep_capture {
        let comments = once::comments(&mended.checks, &mended.findings);
        once::write_capture(&path.with_file_name(CAPTURE), &trace, &recorded.dropped, &comments)?;
    }
    Ok(())
}

/// The second pass's capture, where the first one's is kept.
pub const CAPTURE: &str = "mended.pcapng";
