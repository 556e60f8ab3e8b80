//! `drlab mutate`: a correct scenario, broken in one thing at a time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use glob::Pattern;

use super::exit::Exit;
use super::progress::Progress;
use super::run::{self, Ground, Line, lock};
use super::{MutateArguments, ReportFormat, RunArguments, complain, complain_of, interrupt, print, show};
use crate::mutate::{self, Mutation, Outcome, Score, Trial, report};
use crate::plan::Plan;
use crate::report::Style;

/// Why mutations can't be run or kept.
#[derive(Debug, thiserror::Error)]
enum MutateError {
    /// Not a pattern.
    #[error("could not read `{pattern}` as a pattern, as --only asks")]
    Pattern {
        /// The text.
        pattern: String,
        /// Why.
        source: glob::PatternError,
    },
    /// Nothing is left.
    #[error("no mutation of {scenario} fits `{pattern}`; `drlab mutate {scenario} --list` shows them all")]
    Nothing {
        /// The scenario.
        scenario: String,
        /// The pattern.
        pattern: String,
    },
    /// A file can't be written.
    #[error("could not write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Runs what the arguments say.
pub fn mutate(arguments: &MutateArguments) -> Exit {
    let plans = match run::plans(std::slice::from_ref(&arguments.scenario)) {
        Ok(plans) => plans,
        Err(exit) => return exit,
    };
    let [plan] = plans.as_slice() else {
        complain(&format!("drlab: `{}` is {} scenarios; mutate takes one", arguments.scenario, plans.len()));
        return Exit::Usage;
    };
    if let Err(error) = mutate::told_by(plan) {
        complain_of(&error);
        return Exit::Usage;
    }
    for what in mutate::left_out(plan) {
        complain(&format!("drlab: not broken here is {what}"));
    }
    let trials = match chosen(arguments, plan) {
        Ok((all, _)) if arguments.list && !arguments.pairs => return list(arguments, &all),
        Ok((_, trials)) => trials,
        Err(error) => {
            complain_of(&error);
            return Exit::Usage;
        }
    };
    if arguments.list {
        for trial in &trials {
            print(&format!("{}\n", trial.what));
        }
        return Exit::AsExpected;
    }
    if let Some(out) = &arguments.out
        && let Err(source) = fs::create_dir_all(out)
    {
        complain_of(&MutateError::Write { path: out.clone(), source });
        return Exit::Usage;
    }
    let settings = RunArguments::silent(arguments.substrate, arguments.lab);
    interrupt::watch();
    let progress = Mutex::new(Progress::new(arguments.lab.quiet));
    let runs: Vec<Plan> = trials.iter().filter_map(|trial| mutate::to_run(plan, trial)).collect();
    let ground = match run::prepare(run::kind(&settings), &runs, None, &progress) {
        Ok(ground) => ground,
        Err(error) => {
            lock(&progress).clear();
            complain_of(&*error);
            complain("`drlab doctor` tells what this machine can do and what would change it.");
            return Exit::Lacking;
        }
    };
    let done = run_all(&settings, &trials, &runs, &ground, &progress);
    lock(&progress).clear();
    finish(arguments, plan, &done)
}

/// What is to be run: all mutations that were asked for, and the trials of them.
fn chosen(arguments: &MutateArguments, plan: &Plan) -> Result<(Vec<Mutation>, Vec<Trial>), MutateError> {
    let all = mutate::derive(plan);
    let Some(text) = &arguments.only else {
        let trials = trials(arguments, plan, &all);
        return Ok((all, trials));
    };
    // A word stands for whatever has it in it.
    let wide = if text.contains(['*', '?', '[']) { text.clone() } else { format!("*{text}*") };
    let fitting = Pattern::new(&wide).map_err(|source| MutateError::Pattern { pattern: text.clone(), source })?;
    if arguments.pairs {
        let pairs = mutate::pairs(plan, &all, None);
        let mut pairs: Vec<Trial> = pairs.into_iter().filter(|t| fitting.matches(&t.what)).collect();
        pairs.truncate(arguments.sample.unwrap_or(usize::MAX));
        if pairs.is_empty() {
            return Err(MutateError::Nothing { scenario: plan.scenario.clone(), pattern: text.clone() });
        }
        return Ok((all, pairs));
    }
    let all: Vec<Mutation> = all.into_iter().filter(|m| fitting.matches(&m.what)).collect();
    if all.is_empty() {
        return Err(MutateError::Nothing { scenario: plan.scenario.clone(), pattern: text.clone() });
    }
    let trials = trials(arguments, plan, &all);
    Ok((all, trials))
}

fn trials(arguments: &MutateArguments, plan: &Plan, all: &[Mutation]) -> Vec<Trial> {
    if arguments.pairs {
        return mutate::pairs(plan, all, arguments.sample);
    }
    let mut trials = mutate::singles(all);
    trials.truncate(arguments.sample.map_or(usize::MAX, |n| n.saturating_add(1)));
    trials
}

fn list(arguments: &MutateArguments, all: &[Mutation]) -> Exit {
    match arguments.format {
        ReportFormat::Json => match report::list_json(all) {
            Ok(text) => print(&text),
            Err(error) => complain_of(&error),
        },
        ReportFormat::Text | ReportFormat::Junit => print(&report::list(all, &show::style())),
    }
    Exit::AsExpected
}

fn run_all(
    settings: &RunArguments,
    trials: &[Trial],
    plans: &[Plan],
    ground: &Ground,
    progress: &Mutex<Progress>,
) -> Vec<(Score, Exit)> {
    interrupt::labs_begin();
    let jobs = run::at_once(settings, ground);
    let count = plans.len();
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Score, Exit)>> = Mutex::new(Vec::new());
    let work = || {
        while let Some((at, plan, trial)) = Some(next.fetch_add(1, Ordering::Relaxed))
            .and_then(|at| Some((at, plans.get(at)?, trials.get(at)?.clone())))
        {
            if interrupt::interrupted() {
                break;
            }
            let mut watcher = Line::new(progress, format!("[{}/{count}] {}: ", at + 1, trial.what));
            let (report, exit) = run::run_one(settings, plan, &plan.scenario, ground, &mut watcher);
            lock(&done).push((at, Score::of(trial, &report), exit));
        }
    };
    if jobs <= 1 {
        // A guest ends with the thread that started it, and the main thread is the one that lives longest.
        work();
    } else {
        thread::scope(|scope| {
            for _ in 0..jobs.min(count) {
                scope.spawn(work);
            }
        });
    }
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(at, ..)| *at);
    done.into_iter().map(|(_, score, exit)| (score, exit)).collect()
}

fn finish(arguments: &MutateArguments, plan: &Plan, done: &[(Score, Exit)]) -> Exit {
    let scores: Vec<Score> = done.iter().map(|(score, _)| score.clone()).collect();
    let name = plan.scenario.as_str();
    match arguments.format {
        ReportFormat::Text => print(&report::text(name, &scores, &show::style())),
        ReportFormat::Json => run::rendered(report::json(name, &scores)),
        ReportFormat::Junit => run::rendered(report::junit(name, &scores)),
    }
    // What a lab's own report says of it is not asked here, but for labs that did not run or left something.
    let labs = done.iter().map(|(_, exit)| *exit).filter(|e| matches!(e, Exit::Lacking | Exit::Lab | Exit::Teardown));
    let right = scores.iter().all(|s| s.outcome.is_right());
    let control = scores.iter().find(|s| s.trial.parts.is_empty());
    if control.is_some_and(|s| s.outcome != Outcome::Without) {
        complain(&format!("drlab: {name} is not correct as it is; mutations of it say nothing"));
    }
    let mut exit = labs.fold(if right { Exit::AsExpected } else { Exit::Broken }, Exit::worse);
    if let Some(error) = arguments.out.as_ref().and_then(|out| keep(out, name, &scores).err()) {
        complain_of(&error);
        exit = exit.worse(Exit::Lab);
    }
    if interrupt::interrupted() {
        complain("drlab: interrupted; the labs were taken down");
        return Exit::Interrupted;
    }
    exit
}

fn keep(out: &Path, name: &str, scores: &[Score]) -> Result<(), MutateError> {
    let texts = [
        ("mutations.txt", Ok(report::text(name, scores, &Style::default()))),
        ("mutations.json", report::json(name, scores).map_err(io::Error::from)),
        ("mutations.xml", report::junit(name, scores).map_err(io::Error::other)),
    ];
    for (file, text) in texts {
        let path = out.join(file);
        text.and_then(|text| fs::write(&path, text)).map_err(|source| MutateError::Write { path, source })?;
    }
    Ok(())
}
