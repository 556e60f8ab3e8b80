//! `drlab matrix`, and `drlab run` with several kernels: each scenario under each kernel, in one table.
//!
//! A kernel that is not there makes runs that did not happen, never ones that are left out.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::progress::Progress;
use super::run::{self, Done, Ground, Line, lock};
use super::{Exit, MatrixArguments, ReportFormat, RunArguments, complain, complain_of, interrupt, print, show};
use crate::base::error_chain;
use crate::facts::survey::Survey;
use crate::lab::once;
use crate::lab::{Lab, LabError, Silent};
use crate::plan::Plan;
use crate::report::matrix::{self, Cell, Column, Matrix, Row};
use crate::report::{self, Report};
use crate::substrate::cache::RunFolder;
use crate::substrate::{Abilities, Cache, CacheError, Kernel, KernelError, StartOptions, Substrate, kernels};

/// Which scenarios run where none is named: one that holds and one that must not.
const SCENARIOS: [&str; 2] = ["basic/lvs-dr", "broken/arp/rs-arp-default"];

/// The name that means this machine's own kernel.
const HOST: &str = "host";

/// Why a kernel could not be looked at.
#[derive(Debug, thiserror::Error)]
enum SurveyError {
    #[error("could not make a folder for the guest")]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Lab(#[from] LabError),
}

/// A kernel that was asked for, and what runs under it stand on, or why there are none.
struct Asked {
    column: Column,
    ground: Result<Ground, Box<dyn std::error::Error + Send + Sync>>,
}

/// Runs what the arguments say.
pub fn matrix(arguments: &MatrixArguments) -> Exit {
    let scenarios =
        if arguments.scenarios.is_empty() { SCENARIOS.map(str::to_owned).into() } else { arguments.scenarios.clone() };
    let settings = RunArguments {
        scenarios,
        kernel: arguments.kernels.clone(),
        out: arguments.out.clone(),
        format: arguments.format,
        ..RunArguments::silent(super::SubstrateChoice::Auto, arguments.lab)
    };
    let plans = match run::plans(&settings.scenarios) {
        Ok(plans) => plans,
        Err(exit) => return exit,
    };
    let names = if arguments.kernels.is_empty() { all_names() } else { Ok(arguments.kernels.clone()) };
    match names {
        Ok(names) => under(&settings, &names, &plans),
        Err(error) => {
            complain_of(&error);
            Exit::Lacking
        }
    }
}

/// Every kernel that is there.
fn all_names() -> Result<Vec<String>, KernelError> {
    let cache = Cache::locate()?;
    let mut names: Vec<String> = Vec::new();
    if Abilities::look().host() {
        names.push(HOST.to_owned());
    }
    for kernel in kernels::list(&cache)? {
        if !names.contains(&kernel.name) {
            names.push(kernel.name);
        }
    }
    if names.is_empty() { Err(KernelError::None) } else { Ok(names) }
}

/// Runs each plan under each kernel and prints the table.
pub(super) fn under(arguments: &RunArguments, names: &[String], plans: &[Plan]) -> Exit {
    interrupt::watch();
    let progress = Mutex::new(Progress::new(arguments.lab.quiet));
    interrupt::labs_begin();
    let mut asked: Vec<Asked> = names.iter().map(|name| ask(arguments, name, plans, &progress)).collect();
    let done = run_all(arguments, &asked, plans, &progress);
    for one in asked.iter_mut().filter(|_| !interrupt::interrupted()) {
        if let Ok(ground) = &one.ground {
            lock(&progress).step(&format!("looking at {}", one.column.name));
            match survey(ground, arguments.lab.memory) {
                Ok(survey) => one.column.survey = Some(survey),
                Err(error) => lock(&progress).note(&error_chain(&error).join(": ")),
            }
        }
    }
    lock(&progress).clear();
    finish(arguments, asked.into_iter().map(|one| one.column).collect(), plans, &done)
}

fn ask(arguments: &RunArguments, name: &str, plans: &[Plan], progress: &Mutex<Progress>) -> Asked {
    let found = found(name);
    let column = Column {
        name: found.as_ref().ok().and_then(Option::as_ref).map_or(name, |kernel| &kernel.name).to_owned(),
        release: found.as_ref().ok().map_or(String::new(), |kernel| {
            kernel.as_ref().map_or_else(|| Abilities::look().kernel, |kernel| kernel.version.clone())
        }),
        substrate: found.as_ref().map_or(String::new(), |kernel| substrate(kernel.as_ref()).to_string()),
        failure: Vec::new(),
        survey: None,
    };
    let ground = found.map_err(Into::into).and_then(|kernel| {
        run::prepare_under(substrate(kernel.as_ref()), kernel, plans, arguments.apply_mend, progress)
    });
    let failure = ground.as_ref().err().map_or(Vec::new(), |error| error_chain(&**error));
    Asked { column: Column { failure, ..column }, ground }
}

/// The kernel that a name means; `None` for this machine's own.
pub(super) fn found(name: &str) -> Result<Option<Kernel>, KernelError> {
    if name == HOST { Ok(None) } else { kernels::called(&Cache::locate()?, name).map(Some) }
}

pub(super) fn substrate(kernel: Option<&Kernel>) -> Substrate {
    kernel.map_or(Substrate::Host, Kernel::substrate)
}

fn survey(ground: &Ground, memory_mib: u32) -> Result<Survey, SurveyError> {
    let folder = RunFolder::make(ground.cache())?;
    let on_spawn: fn(&_) = interrupt::started;
    let options = StartOptions {
        memory_mib,
        kernel: ground.kernel().cloned(),
        on_spawn: Some(on_spawn),
        ..StartOptions::new(folder.path())
    };
    let mut lab = Lab::start(ground.kind(), &options)?;
    let survey = lab.survey()?;
    lab.tear_down(&mut Silent)?;
    Ok(survey)
}

/// The results, kernel by kernel, and under each in the plans' order.
fn run_all(arguments: &RunArguments, asked: &[Asked], plans: &[Plan], progress: &Mutex<Progress>) -> Vec<Vec<Done>> {
    let all: Vec<(usize, &Plan)> = (0..asked.len()).flat_map(|at| plans.iter().map(move |plan| (at, plan))).collect();
    let grounds = asked.iter().filter_map(|one| one.ground.as_ref().ok());
    let jobs = grounds.map(|ground| run::at_once(arguments, ground)).min().unwrap_or(1);
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Done)>> = Mutex::new(Vec::new());
    let work = || {
        while let Some((at, (kernel, plan))) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, *all.get(at)?)))
        {
            let one = &asked[kernel];
            let result = match &one.ground {
                Ok(ground) if !interrupt::interrupted() => {
                    let prefix = format!("[{}/{}] {} under {}: ", at + 1, all.len(), plan.scenario, one.column.name);
                    let mut watcher = Line::new(progress, prefix);
                    let settings = settings(arguments, &one.column.name);
                    run::run_one(&settings, plan, &plan.scenario, ground, &mut watcher)
                }
                Ok(ground) => (once::not_run(plan, ground.kind(), &Interrupted), Exit::Interrupted),
                Err(error) => {
                    let mut report = once::not_run(plan, Substrate::Uml, &**error);
                    report.substrate.clear();
                    (report, Exit::Lacking)
                }
            };
            lock(&done).push((at, result));
        }
    };
    if jobs <= 1 {
        // A guest ends with the thread that started it, and the main thread is the one that lives longest.
        work();
    } else {
        thread::scope(|scope| {
            for _ in 0..jobs.min(all.len()) {
                scope.spawn(work);
            }
        });
    }
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    let mut done = done.into_iter().map(|(_, result)| result);
    asked.iter().map(|_| done.by_ref().take(plans.len()).collect()).collect()
}

#[derive(Debug, thiserror::Error)]
#[error("interrupted before it ran")]
struct Interrupted;

/// How a single lab is run: what is kept of it goes to a folder of its kernel's.
fn settings(arguments: &RunArguments, kernel: &str) -> RunArguments {
    RunArguments {
        scenarios: Vec::new(),
        kernel: Vec::new(),
        out: arguments.out.as_ref().map(|out| out.join(kernel)),
        format: ReportFormat::Json,
        ..*arguments
    }
}

fn finish(arguments: &RunArguments, kernels: Vec<Column>, plans: &[Plan], done: &[Vec<Done>]) -> Exit {
    let rows = plans.iter().enumerate().map(|(at, plan)| Row {
        scenario: plan.scenario.clone(),
        cells: done.iter().filter_map(|kernel| kernel.get(at)).map(|(report, _)| Cell::of(report)).collect(),
    });
    let reports: Vec<Report> = kernels
        .iter()
        .zip(done)
        .flat_map(|(kernel, done)| done.iter().map(move |(report, _)| named(report, &kernel.name)))
        .collect();
    let matrix = Matrix::new(kernels, rows.collect());
    match arguments.format {
        ReportFormat::Text => print(&matrix::render(&matrix, &show::style())),
        ReportFormat::Json => run::rendered(matrix.json()),
        ReportFormat::Junit => run::rendered(report::junit::render(&reports)),
    }
    let mut exit = done.iter().flatten().fold(Exit::AsExpected, |worst, (_, exit)| worst.worse(*exit));
    if let Some(path) = arguments.out.as_ref().map(|out| out.join("matrix.json"))
        && let Err(error) = keep(&path, &matrix)
    {
        complain(&format!("drlab: could not write {}\n  caused by: {error}", path.display()));
        exit = exit.worse(Exit::Lab);
    }
    if interrupt::interrupted() {
        complain("drlab: interrupted; the labs were taken down");
        return Exit::Interrupted;
    }
    exit
}

/// The report under a name that no other run of the scenario has.
fn named(report: &Report, kernel: &str) -> Report {
    Report { scenario: format!("{} [{kernel}]", report.scenario), ..report.clone() }
}

fn keep(path: &PathBuf, matrix: &Matrix) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, matrix.json()?)
}
