//! `drlab run`: scenarios in, reports out.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::exit::Exit;
use super::matrix;
use super::needs;
use super::progress::Progress;
use super::select::{self, Beside, Selected};
use super::twice;
use super::{MendChoice, ReportFormat, RunArguments, SubstrateChoice, complain, complain_of, interrupt, keep, print};
use crate::judge::{checks, rules};
use crate::lab::Watcher;
use crate::lab::once::{self, Ended, Settings};
use crate::plan::{self, Plan};
use crate::report::{self, Report, RunVerdict};
use crate::scenario;
use crate::substrate::cache::RunFolder;
use crate::substrate::packages::tools;
use crate::substrate::packages::trees::{self, Tree};
use crate::substrate::qemu::Qemu;
use crate::substrate::{Abilities, Cache, Kernel, StartOptions, Substrate, kernels};

/// Runs what the arguments say.
pub fn run(arguments: &RunArguments) -> Exit {
    match typed_plans(&arguments.scenarios) {
        Ok(plans) => run_plans(arguments, plans),
        Err(exit) => exit,
    }
}

/// Runs a scenario that is no file of the user's; what it names is looked for from that folder.
pub(super) fn run_text(arguments: &RunArguments, name: &str, typed: &str, text: &str, folder: PathBuf) -> Exit {
    let selected = Selected {
        name: name.to_owned(),
        origin: typed.to_owned(),
        typed: typed.to_owned(),
        text: text.to_owned(),
        beside: Beside::Disk(folder),
    };
    match compile(&selected) {
        Ok(plan) => run_plans(arguments, vec![(plan, typed.to_owned())]),
        Err(text) => {
            complain(&text);
            Exit::Usage
        }
    }
}

/// Runs plans, each with how a user types its scenario.
fn run_plans(arguments: &RunArguments, plans: Vec<(Plan, String)>) -> Exit {
    let (plans, typed): (Vec<Plan>, Vec<String>) = plans.into_iter().unzip();
    if let Some(out) = &arguments.out
        && let Err(error) = keep::check(out, &plans)
    {
        complain_of(&error);
        return Exit::Usage;
    }
    if arguments.kernel.len() > 1 {
        if arguments.seed.is_some() {
            complain("drlab: a seed goes with one kernel, drlab's own");
            return Exit::Usage;
        }
        return matrix::under(arguments, &arguments.kernel, &plans);
    }
    let kernel = match arguments.kernel.first().map(|name| matrix::found(name)).transpose() {
        Ok(kernel) => kernel,
        Err(error) => {
            complain_of(&error);
            return Exit::Lacking;
        }
    };
    let kind = kernel.as_ref().map_or_else(|| kind(arguments), |kernel| matrix::substrate(kernel.as_ref()));
    if arguments.seed.is_some() && kind != Substrate::Uml {
        complain("drlab: a seed can be given to drlab's own kernel only; there is `--substrate uml`");
        return Exit::Usage;
    }
    interrupt::watch();
    let progress = Mutex::new(Progress::new(arguments.lab.quiet));
    let results = match prepare_under(kind, kernel.flatten(), &plans, arguments.apply_mend, &progress)
        .and_then(|ground| ground.seeded(arguments.seed))
    {
        Ok(ground) => run_all(arguments, &plans, &typed, &ground, &progress),
        Err(error) => {
            lock(&progress).clear();
            complain_of(&*error);
            complain("`drlab doctor` tells what this machine can do and what would change it.");
            if arguments.format == ReportFormat::Text && arguments.out.is_none() {
                return Exit::Lacking;
            }
            let not_run = |plan| (once::not_run(plan, kind, &*error), Exit::Lacking);
            plans.iter().zip(&typed).map(|(plan, typed)| kept(arguments, typed, not_run(plan))).collect()
        }
    };
    lock(&progress).clear();
    finish(arguments, &results)
}

/// Whether some of the labs are to be held by virtual machines, which run no programs of a scenario's own.
pub(super) fn in_machine(arguments: &RunArguments) -> bool {
    let named =
        |name: &String| matrix::found(name).is_ok_and(|kernel| matrix::substrate(kernel.as_ref()) == Substrate::Qemu);
    if arguments.kernel.is_empty() { kind(arguments) == Substrate::Qemu } else { arguments.kernel.iter().any(named) }
}

/// What holds the labs.
pub(super) fn kind(arguments: &RunArguments) -> Substrate {
    match arguments.substrate {
        // A seed is for drlab's own kernel.
        SubstrateChoice::Auto if arguments.seed.is_some() => Substrate::Uml,
        SubstrateChoice::Auto => Abilities::look().choice(),
        SubstrateChoice::Host => Substrate::Host,
        SubstrateChoice::Uml => Substrate::Uml,
        SubstrateChoice::Qemu => Substrate::Qemu,
    }
}

/// Reads and compiles every scenario; all mistakes of all of them are told before anything is touched.
pub(super) fn plans(wanted: &[String]) -> Result<Vec<Plan>, Exit> {
    Ok(typed_plans(wanted)?.into_iter().map(|(plan, _)| plan).collect())
}

/// The same, each with how a user types its scenario.
pub(super) fn typed_plans(wanted: &[String]) -> Result<Vec<(Plan, String)>, Exit> {
    let (selected, errors) = select::select(wanted);
    let mut refused = !errors.is_empty();
    for error in errors {
        complain_of(&error);
    }
    let mut plans = Vec::new();
    for one in &selected {
        match compile(one) {
            Ok(plan) => plans.push((plan, one.typed.clone())),
            Err(text) => {
                complain(&text);
                refused = true;
            }
        }
    }
    if refused { Err(Exit::Usage) } else { Ok(plans) }
}

/// Reads and compiles a scenario.
pub(super) fn compile(selected: &Selected) -> Result<Plan, String> {
    let known_checks: Vec<&str> = checks::ALL.iter().map(|c| c.id).collect();
    let known_findings: Vec<&str> = rules::ALL.iter().map(|r| r.id).collect();
    let mut beside = |path: &str| selected.beside.read(path).map(Some);
    let scenario = scenario::load_with(&selected.origin, &selected.text, &known_checks, &known_findings, &mut beside)
        .map_err(|problems| problems.render(super::show::colored(io::stderr().is_terminal())))?;
    plan::compile(&selected.name, &scenario)
        .map_err(|error| format!("{}: {}", selected.origin, crate::base::error_chain(&error).join("\n  caused by: ")))
}

/// What all runs stand on.
pub(super) struct Ground {
    pub(super) kind: Substrate,
    pub(super) cache: Cache,
    kernel: Option<Kernel>,
    tool_roots: Vec<PathBuf>,
    trees: Vec<Tree>,
    /// The packages of which programs are called in the labs.
    programs: Vec<String>,
}

/// A run by a seed is wanted, and no kernel is there that can be given one.
#[derive(Debug, thiserror::Error)]
#[error(
    "found no kernel that takes a seed: it takes drlab's own, which `drlab kernel build` builds without root in some minutes"
)]
struct NoSeed;

/// Nodes want what a virtual machine does not have.
#[derive(Debug, thiserror::Error)]
#[error(
    "the scenario's own programs in {nodes} can't run in a virtual machine, which sees no files of this one; there is \
     `--substrate uml`"
)]
struct NoPrograms {
    nodes: String,
}

/// Of a plan for a virtual machine, what that has no means for.
fn beyond(kind: Substrate, plan: &Plan) -> Option<NoPrograms> {
    let wants = |node: &&plan::Node| node.has_programs() || !node.packages.is_empty();
    let nodes: Vec<&str> = plan.nodes.iter().filter(wants).map(|node| node.name.as_str()).collect();
    (kind == Substrate::Qemu && !nodes.is_empty()).then(|| NoPrograms { nodes: nodes.join(", ") })
}

impl Ground {
    pub(super) fn kind(&self) -> Substrate {
        self.kind
    }

    pub(super) fn cache(&self) -> &Cache {
        &self.cache
    }

    pub(super) fn kernel(&self) -> Option<&Kernel> {
        self.kernel.as_ref()
    }

    /// A folder for a run's files, or how the run ends without one.
    pub(super) fn folder(&self, plan: &Plan) -> Result<RunFolder, Box<Done>> {
        RunFolder::make(&self.cache).map_err(|error| {
            complain_of(&error);
            Box::new((once::not_run(plan, self.kind, &error), Exit::Lacking))
        })
    }

    /// The same with a kernel that takes a seed, where one is given.
    pub(super) fn seeded(mut self, seed: Option<u64>) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        if seed.is_some() && !self.kernel.as_ref().is_some_and(Kernel::is_own) {
            let own = kernels::list(&self.cache)?.into_iter().find(Kernel::is_own);
            self.kernel = Some(own.ok_or(NoSeed)?);
        }
        Ok(self)
    }
}

pub(super) fn prepare(
    kind: Substrate,
    plans: &[Plan],
    mends: Option<MendChoice>,
    progress: &Mutex<Progress>,
) -> Result<Ground, Box<dyn std::error::Error + Send + Sync>> {
    prepare_under(kind, None, plans, mends, progress)
}

/// The same under a certain kernel, where one is given.
pub(super) fn prepare_under(
    kind: Substrate,
    kernel: Option<Kernel>,
    plans: &[Plan],
    mends: Option<MendChoice>,
    progress: &Mutex<Progress>,
) -> Result<Ground, Box<dyn std::error::Error + Send + Sync>> {
    let mut tell = |text: &str| lock(progress).note(text);
    let cache = Cache::locate()?;
    if kind == Substrate::Qemu {
        Qemu::find_or_fetch(&cache, &mut tell)?;
    }
    let kernel = match kind {
        Substrate::Host => None,
        _ if kernel.is_some() => kernel,
        Substrate::Uml => Some(kernels::chosen_or_fetched(&cache, &mut tell)?),
        Substrate::Qemu => Some(kernels::chosen_or_fetched_for_qemu(&cache, &mut tell)?),
    };
    let mut needed = needs::needed(plans)?;
    if let Some(choice) = mends {
        needed.extend(tools::OF_MENDS);
        needed.extend((choice == MendChoice::NetTools).then_some(tools::NET_TOOLS));
        let mut interfaces = plans.iter().flat_map(|plan| &plan.nodes).flat_map(|node| &node.interfaces);
        needed.extend(interfaces.any(|interface| interface.tx_checksum).then_some(tools::ETHTOOL));
        needed.sort_unstable();
        needed.dedup();
    }
    let tool_roots = tools::roots(&cache, &needed, &mut tell)?;
    let sets: BTreeSet<&Vec<String>> =
        plans.iter().flat_map(|plan| &plan.nodes).map(|node| &node.packages).filter(|set| !set.is_empty()).collect();
    // A virtual machine does not run what would call them.
    let sets = sets.into_iter().filter(|_| kind != Substrate::Qemu);
    let trees = sets.map(|set| trees::tree(&cache, set, &mut tell)).collect::<Result<_, _>>()?;
    let programs = needed.into_iter().map(str::to_owned).collect();
    Ok(Ground { kind, cache, kernel, tool_roots, trees, programs })
}

/// A report and how its run ended.
pub(super) type Done = (Report, Exit);

fn run_all(
    arguments: &RunArguments,
    plans: &[Plan],
    typed: &[String],
    ground: &Ground,
    progress: &Mutex<Progress>,
) -> Vec<Done> {
    interrupt::labs_begin();
    let jobs = at_once(arguments, ground).min(plans.len());
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Done)>> = Mutex::new(Vec::new());
    let work = || {
        while let Some((at, plan, typed)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, plans.get(at)?, typed.get(at)?)))
        {
            if interrupt::interrupted() {
                break;
            }
            let label = if plans.len() > 1 { format!("[{}/{}] ", at + 1, plans.len()) } else { String::new() };
            let mut watcher = Line { progress, prefix: format!("{label}{}: ", plan.scenario) };
            let result = run_one(arguments, plan, typed, ground, &mut watcher);
            lock(progress).clear();
            show(arguments, plans.len(), typed, &result);
            lock(&done).push((at, result));
        }
    };
    if jobs <= 1 {
        // A guest ends with the thread that started it, and the main thread is the one that lives longest.
        work();
    } else {
        thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(work);
            }
        });
    }
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// How many labs run at once.
pub(super) fn at_once(arguments: &RunArguments, ground: &Ground) -> usize {
    let busy = arguments.seed.is_some() || ground.kind == Substrate::Qemu;
    if busy { arguments.lab.jobs() } else { arguments.lab.jobs_in_real_time() }
}

/// One pass over a plan; `typed` is how a user types its scenario.
pub(super) fn run_one(
    arguments: &RunArguments,
    plan: &Plan,
    typed: &str,
    ground: &Ground,
    watcher: &mut dyn Watcher,
) -> Done {
    if let Some(error) = beyond(ground.kind, plan) {
        return kept(arguments, typed, (once::not_run(plan, ground.kind, &error), Exit::Lacking));
    }
    let capture = arguments.out.as_ref().map(|out| keep::folder(out, plan).join(keep::CAPTURE));
    let done = if arguments.twice {
        twice::run(plan, ground, capture, &mut |capture| pass(arguments, plan, ground, watcher, capture))
    } else {
        pass(arguments, plan, ground, watcher, capture)
    };
    kept(arguments, typed, done)
}

/// What a guest needs for each node of a large lab, its packet ring included; a small one has more than that anyhow.
const MIB_PER_NODE: u32 = 2;

/// One pass, of which nothing is kept but the capture.
fn pass(
    arguments: &RunArguments,
    plan: &Plan,
    ground: &Ground,
    watcher: &mut dyn Watcher,
    keep_capture: Option<PathBuf>,
) -> Done {
    let folder = match ground.folder(plan) {
        Ok(folder) => folder,
        Err(done) => return *done,
    };
    let nodes = u32::try_from(plan.nodes.len()).unwrap_or(u32::MAX);
    let settings = Settings {
        kind: ground.kind,
        start: StartOptions {
            on_spawn: Some(interrupt::started),
            kernel: ground.kernel.clone(),
            seed: arguments.seed,
            memory_mib: arguments.lab.memory.max(plan.memory_mib).max(nodes.saturating_mul(MIB_PER_NODE)),
            visible: ground.tool_roots.iter().chain(ground.trees.iter().map(|tree| &tree.folder)).cloned().collect(),
            programs: ground.programs.clone(),
            ..StartOptions::new(folder.path())
        },
        tool_roots: ground.tool_roots.clone(),
        trees: ground.trees.clone(),
        jitter_us: arguments.jitter.unwrap_or(0),
        mend: arguments.apply_mend.map(MendChoice::mending),
        keep_capture,
    };
    let (mut report, ended) = once::run(plan, &settings, watcher);
    if interrupt::interrupted() && report.verdict == RunVerdict::NotRun {
        report.failure = vec!["interrupted; the lab was taken down".to_owned()];
    }
    let exit = exit(&report, &ended);
    (report, exit)
}

/// The same, after its files are written where that is asked for.
fn kept(arguments: &RunArguments, typed: &str, (report, exit): Done) -> Done {
    match arguments.out.as_ref().map(|out| keep::write(out, &report, typed)) {
        Some(Err(error)) => {
            complain_of(&error);
            (report, exit.worse(Exit::Lab))
        }
        Some(Ok(())) | None => (report, exit),
    }
}

fn exit(report: &Report, ended: &Ended) -> Exit {
    match ended {
        _ if interrupt::interrupted() => Exit::Interrupted,
        Ended::Whole => Exit::of(report),
        Ended::Remains(left) => {
            complain(&format!("drlab: this is left of the lab:\n  {}", left.join("\n  ")));
            Exit::Teardown
        }
        Ended::Failed(error) if error.is_lack() => Exit::Lacking,
        Ended::Failed(_) | Ended::Capture(_) => Exit::Lab,
        Ended::Unkept(error) => {
            complain_of(error);
            Exit::of(report).worse(Exit::Lab)
        }
    }
}

/// Prints a run's text report as soon as it is there: whole for a single scenario, else only where it is not as expected.
fn show(arguments: &RunArguments, count: usize, typed: &str, (report, _): &Done) {
    let nothing_to_tell = interrupt::interrupted() && report.verdict == RunVerdict::NotRun;
    if arguments.format != ReportFormat::Text || nothing_to_tell {
        return;
    }
    if count == 1 || arguments.full || !report.is_right() {
        let out = arguments.out.as_ref().map(|out| keep::folder_of(out, report).display().to_string());
        print(&report::text::render(
            report,
            &report::Style { out, scenario: Some(typed.to_owned()), ..super::show::style() },
        ));
    }
}

fn finish(arguments: &RunArguments, results: &[Done]) -> Exit {
    let reports: Vec<Report> = results.iter().map(|(report, _)| report.clone()).collect();
    match arguments.format {
        ReportFormat::Text if reports.len() > 1 => print(&report::summary::render(&reports, &super::show::style())),
        ReportFormat::Text => {}
        ReportFormat::Json => rendered(match reports.as_slice() {
            [one] => report::json::render(one),
            several => report::json::render_all(several),
        }),
        ReportFormat::Junit => rendered(report::junit::render(&reports)),
    }
    let exit = results.iter().fold(Exit::AsExpected, |worst, (_, exit)| worst.worse(*exit));
    if interrupt::interrupted() {
        complain("drlab: interrupted; the lab was taken down");
        return Exit::Interrupted;
    }
    exit
}

/// Prints what could be rendered.
pub(super) fn rendered<E: std::error::Error>(text: Result<String, E>) {
    match text {
        Ok(text) => print(&text),
        Err(error) => complain_of(&error),
    }
}

/// Shows a run's progress on the one line that all runs share.
pub(super) struct Line<'a> {
    progress: &'a Mutex<Progress>,
    prefix: String,
}

impl<'a> Line<'a> {
    pub(super) fn new(progress: &'a Mutex<Progress>, prefix: String) -> Self {
        Self { progress, prefix }
    }
}

impl Watcher for Line<'_> {
    fn progress(&mut self, what: &str) {
        lock(self.progress).step(&format!("{}{what}", self.prefix));
    }
}

/// A poisoned lock means that a thread panicked; what it guarded here is only text.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
