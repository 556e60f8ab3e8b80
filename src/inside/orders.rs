//! Carrying out what outside asks for, one command after the other.
//!
//! Owns: the loop from `Hello` to `Halt`, and what state a lab is in. It runs on the process's first thread, which is the
//! only one until the lab is created and which outlives it. Errs towards answering: every command gets its event.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::boot::Booted;
use super::build::{BuildError, Lab};
use super::capture::{Capture, CaptureError, Closing};
use super::files::{Files, FilesError};
use super::modules::{self, ModulesError};
use super::probe::{self, ProbeError};
use super::programs::{CommandError, DaemonError, Daemons};
use super::record::{self, RecordError};
use super::serve::{ServeError, Servers};
use super::shell::ShellError;
use super::sole;
use super::survey;
use super::sysctl::SysctlError;
use super::timeline::{self, Stage, TimelineError};
use super::weblogs::{self, WeblogError};
use crate::base::{NodeName, error_chain};
use crate::channel::{self, BuildOptions, Command, Event, Executed, Failure, FailureKind, Timing};
use crate::facts::run::{CaptureStats, Ran};
use crate::plan::{Act, Load, Plan, TimedAct};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum OrderError {
    #[error("could not build the lab")]
    Build(#[from] Box<BuildError>),
    #[error("could not read the plan in {path}")]
    Plan { path: String, source: io::Error },
    #[error("could not load kernel modules")]
    Modules(#[from] ModulesError),
    #[error("could not suit the kernel to the lab")]
    Sole(#[from] SysctlError),
    #[error("could not capture")]
    Record(#[from] RecordError),
    #[error("could not end the capture")]
    Capture(#[from] CaptureError),
    #[error("could not start the servers")]
    Serve(#[from] ServeError),
    #[error("could not run the commands")]
    Commands(#[from] Box<CommandError>),
    #[error("could not start the daemons")]
    Daemons(#[from] Box<DaemonError>),
    #[error("could not read an access log")]
    Weblog(#[from] Box<WeblogError>),
    #[error("could not run the timeline")]
    Timeline(#[from] Box<TimelineError>),
    #[error("could not ask who has the VIP")]
    Probe(#[from] ProbeError),
    #[error("could not start a runtime")]
    Runtime(#[source] io::Error),
    #[error("could not run {program}")]
    Execute { program: String, source: io::Error },
    #[error("could not read the commands in {path}")]
    Script { path: String, source: io::Error },
    #[error("could not hand files over")]
    Files(#[from] FilesError),
    #[error("could not run commands in a node")]
    Shell(#[from] ShellError),
    #[error("{0}")]
    Order(&'static str),
}

impl OrderError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Build(error) => error.kind(),
            Self::Modules(_) => FailureKind::Lacking,
            _ => FailureKind::Lab,
        }
    }
}

/// A lab and all that runs in it.
struct Standing {
    // Fields are dropped in this order: what runs in the lab ends before the lab does.
    capture: Option<Capture>,
    closing: Option<Closing>,
    daemons: Daemons,
    servers: Servers,
    runtime: Runtime,
    lab: Lab,
    /// The shell commands that were run in each node.
    shell: BTreeMap<NodeName, String>,
    /// Dropped last: signs of life are given for as long as the lab stands.
    _alive: Option<mpsc::Sender<()>>,
}

/// How often a sign of life is given while a command takes its time.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// Says hello and carries out commands until `Halt` or the channel's end; where there are orders from the start, these and
/// no others, up to the first that fails.
///
/// # Errors
/// Those of the channel.
pub fn carry_out(booted: Booted, kernel: String) -> io::Result<()> {
    let Booted { channel, modules, orders: told, files, sole } = booted;
    let mut reader = BufReader::new(channel.try_clone()?);
    let mut orders = Orders { voice: Voice(Arc::new(Mutex::new(channel))), modules, files, sole, standing: None };
    orders.voice.tell(&Event::Hello { version: channel::VERSION, kernel })?;
    if !told.is_empty() {
        for command in told {
            let answer = orders.answer(command);
            orders.voice.tell(&answer)?;
            if matches!(answer, Event::Failed(_)) {
                break;
            }
        }
        return Ok(());
    }
    while let Some(command) = channel::receive::<Command>(&mut reader)? {
        if matches!(command, Command::Halt) {
            break;
        }
        let answer = orders.answer(command);
        orders.voice.tell(&answer)?;
    }
    Ok(())
}

/// The channel's outgoing half; one message at a time.
#[derive(Clone)]
struct Voice(Arc<Mutex<File>>);

impl Voice {
    fn tell(&self, event: &Event) -> io::Result<()> {
        channel::send(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), event)
    }

    /// Tells something that nobody waits for; a channel that is gone shows at the next answer.
    fn mention(&self, event: &Event) {
        drop(self.tell(event));
    }

    /// Gives signs of life until the sender that is returned is dropped, so that a command which takes its time is told
    /// from a lab that hangs.
    fn beat(&self) -> Option<mpsc::Sender<()>> {
        let (alive, ended) = mpsc::channel();
        let voice = self.clone();
        let beating = thread::Builder::new().name("heartbeat".to_owned()).spawn(move || {
            while ended.recv_timeout(HEARTBEAT) == Err(mpsc::RecvTimeoutError::Timeout) {
                voice.mention(&Event::Alive);
            }
        });
        beating.is_ok().then_some(alive)
    }
}

struct Orders {
    voice: Voice,
    modules: Option<PathBuf>,
    files: Option<Files>,
    /// Whether the kernel is the lab's alone.
    sole: bool,
    standing: Option<Standing>,
}

impl Orders {
    fn answer(&mut self, command: Command) -> Event {
        self.carry_out(command)
            .unwrap_or_else(|error| Event::Failed(Failure { kind: error.kind(), chain: error_chain(&error) }))
    }

    fn carry_out(&mut self, command: Command) -> Result<Event, OrderError> {
        match command {
            Command::Build { plan, options } => {
                if self.standing.is_some() {
                    return Err(OrderError::Order("could not build a lab: one stands already"));
                }
                let since = Instant::now();
                self.bring(&plan)?;
                self.standing = Some(self.build(&read_plan(&plan)?, &options)?);
                Ok(Event::Built(timing(since)))
            }
            Command::ReadFacts => {
                let standing = self.standing()?;
                Ok(Event::Facts(standing.lab.facts_after(&standing.shell)))
            }
            Command::Run => self.run(false).map(Event::Ran),
            Command::Rest => {
                self.standing()?.lab.rest().map_err(Box::new)?;
                Ok(Event::Rested)
            }
            Command::RunLoads => self.run(true).map(Event::Ran),
            Command::StopCapture => {
                let stats = self.stop_capture()?;
                self.deliver()?;
                Ok(Event::Captured(stats))
            }
            Command::StartCapture { file } => {
                let standing = self.standing()?;
                if standing.capture.is_some() {
                    return Err(OrderError::Order("could not begin a capture: one runs already"));
                }
                drop(standing.closing.take());
                standing.capture = Some(record::start(&standing.lab, Path::new(&file))?);
                Ok(Event::Capturing)
            }
            Command::Shell { node, script } => self.shell(node, script).map(Event::Executed),
            Command::Survey => {
                if let Some(folder) = &self.modules {
                    modules::load(folder, &modules::all())?;
                }
                Ok(Event::Surveyed(survey::look()))
            }
            Command::TearDown => {
                let since = Instant::now();
                let left = self.standing.take().map(Standing::tear_down).unwrap_or_default();
                Ok(Event::TornDown { left, timing: timing(since) })
            }
            Command::Execute { argv } => {
                let _alive = self.voice.beat();
                if let Some(folder) = &self.modules {
                    modules::load(folder, &modules::all())?;
                }
                let executed = execute(&argv)?;
                self.deliver()?;
                Ok(Event::Executed(executed))
            }
            Command::Halt => Err(OrderError::Order("could not answer a halt")),
        }
    }

    /// Has a file here that outside has written, where it is not seen here by itself.
    fn bring(&mut self, path: &str) -> Result<(), OrderError> {
        Ok(self.files.as_mut().map_or(Ok(()), |files| files.bring(Path::new(path)))?)
    }

    /// Has outside what was written here.
    fn deliver(&mut self) -> Result<(), OrderError> {
        Ok(self.files.as_mut().map_or(Ok(()), Files::deliver)?)
    }

    fn standing(&mut self) -> Result<&mut Standing, OrderError> {
        self.standing.as_mut().ok_or(OrderError::Order("could not do that: no lab is built"))
    }

    fn build(&self, plan: &Plan, options: &BuildOptions) -> Result<Standing, OrderError> {
        if let Some(folder) = &self.modules {
            self.voice.mention(&Event::Progress("loading kernel modules".to_owned()));
            // A module that is missing shows where it is needed, with the step that fails for it.
            modules::load(folder, &modules::needed(plan))?;
        }
        if self.sole {
            sole::suit(plan)?;
        }
        self.voice.mention(&Event::Progress("making nodes and links".to_owned()));
        let search = std::env::var("PATH").unwrap_or_default();
        let mut alive = None;
        let mut told = Instant::now();
        // While nodes are made there can be no thread to give signs of life.
        let lab = Lab::create(plan, options, &search, &mut |ready| {
            if ready == plan.nodes.len() {
                alive = self.voice.beat();
            } else if told.elapsed() > HEARTBEAT {
                told = Instant::now();
                self.voice.mention(&Event::Alive);
            }
        });
        let lab = lab.map_err(Box::new)?;
        let capture = if options.capture {
            Some(record::start(&lab, &PathBuf::from(&options.output).join("capture.raw.pcapng"))?)
        } else {
            None
        };
        let daemons = lab.furnish(Path::new(&options.output)).map_err(Box::new)?;
        self.voice.mention(&Event::Progress("configuring nodes".to_owned()));
        lab.configure().map_err(Box::new)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(OrderError::Runtime)?;
        self.command(plan, &daemons, &runtime)?;
        let servers = runtime.block_on(Servers::start_all(&plan.nodes, &lab))?;
        if plan.nodes.iter().any(|node| !node.daemons.is_empty()) {
            let told = |what| self.voice.mention(&Event::Progress(what));
            runtime.block_on(daemons.start_all(&plan.nodes, &lab, told)).map_err(Box::new)?;
        }
        runtime.block_on(daemons.within_bounds()).map_err(Box::new)?;
        let texts = |node| plan.texts_of(node).collect::<Vec<_>>().join("\n");
        let shell = plan.nodes.iter().filter(|node| node.has_programs()).map(|node| (node.name.clone(), texts(node)));
        Ok(Standing { capture, closing: None, daemons, servers, runtime, lab, shell: shell.collect(), _alive: alive })
    }

    /// Runs the commands of all nodes, one after the other, and tells of each.
    fn command(&self, plan: &Plan, daemons: &Daemons, runtime: &Runtime) -> Result<(), OrderError> {
        for node in plan.nodes.iter().filter(|node| !node.commands.is_empty()) {
            self.voice.mention(&Event::Progress(format!("running commands on {}", node.name)));
            for command in &node.commands {
                let (result, outcome) = runtime.block_on(daemons.command(&node.name, command));
                if let Some(result) = result {
                    self.voice.mention(&Event::Commanded(result));
                }
                outcome.map_err(Box::new)?;
            }
        }
        Ok(())
    }

    fn shell(&mut self, node: NodeName, script: String) -> Result<Executed, OrderError> {
        self.bring(&script)?;
        let text = std::fs::read_to_string(&script).map_err(|source| OrderError::Script { path: script, source })?;
        if let Some(folder) = &self.modules {
            modules::load(folder, &modules::of_tools(&text))?;
        }
        let standing = self.standing()?;
        let executed = standing.lab.shell(&node, &text)?;
        let all = standing.shell.entry(node).or_default();
        all.push('\n');
        all.push_str(&text);
        all.push('\n');
        Ok(executed)
    }

    fn run(&mut self, loads_only: bool) -> Result<Ran, OrderError> {
        self.voice.mention(&Event::Progress("running the timeline".to_owned()));
        let Some(Standing { daemons, servers, runtime, lab, .. }) = &self.standing else {
            return Err(OrderError::Order("could not run a timeline: no lab is built"));
        };
        let plan = lab.plan();
        let stage = Stage { nodes: lab, servers, daemons, kernel: lab };
        let earlier: BTreeMap<NodeName, usize> =
            servers.access_logs().into_iter().map(|(node, log)| (node, log.len())).collect();
        let logged = runtime.block_on(weblogs::lengths(lab)).map_err(Box::new)?;
        let acts = if loads_only { loads(&plan.timeline) } else { plan.timeline.clone() };
        let played = runtime
            .block_on(timeline::run(&acts, &stage, |acted| self.voice.mention(&Event::Acted(acted))))
            .map_err(Box::new)?;
        self.voice.mention(&Event::Progress("asking who has the VIP".to_owned()));
        let probes = runtime.block_on(probe::ask_all(&plan.probes, lab))?;
        let timeline::Played { mut loads, stopped } = played;
        let mut access_logs = servers.access_logs();
        for (node, log) in &mut access_logs {
            log.drain(..earlier.get(node).copied().unwrap_or(0).min(log.len()));
        }
        runtime.block_on(daemons.within_bounds()).map_err(Box::new)?;
        runtime.block_on(weblogs::take_in(lab, &mut loads, &mut access_logs, &logged)).map_err(Box::new)?;
        let ended = runtime.block_on(daemons.ended());
        Ok(Ran { stopped: stopped.map(Box::new), loads, access_logs, probes, ended })
    }

    fn stop_capture(&mut self) -> Result<CaptureStats, OrderError> {
        let standing = self.standing()?;
        let capture = standing.capture.take().ok_or(OrderError::Order("could not end a capture: none runs"))?;
        let (stats, closing) = capture.stop()?;
        standing.closing = Some(closing);
        Ok(stats)
    }
}

impl Standing {
    fn tear_down(self) -> Vec<String> {
        let Self { capture, closing, daemons, servers, runtime, lab, shell: _, _alive } = self;
        drop(capture);
        runtime.block_on(daemons.stop_all());
        drop(daemons);
        runtime.block_on(servers.stop_all());
        drop(runtime);
        let left = lab.tear_down();
        // Rings take their time to close, and may do so while the lab is taken down.
        drop(closing);
        left
    }
}

/// The loads of a timeline, without what is done in their middle.
fn loads(timeline: &[TimedAct]) -> Vec<TimedAct> {
    let alone = |timed: &TimedAct| match &timed.act {
        Act::Load(load) => {
            let act = Act::Load(Load { during: Vec::new(), ..load.clone() });
            Some(TimedAct { label: timed.label.clone(), act })
        }
        _ => None,
    };
    timeline.iter().filter_map(alone).collect()
}

fn read_plan(path: &str) -> Result<Plan, OrderError> {
    let failed = |source| OrderError::Plan { path: path.to_owned(), source };
    let text = std::fs::read(path).map_err(failed)?;
    serde_json::from_slice(&text).map_err(|error| failed(error.into()))
}

fn execute(argv: &[String]) -> Result<Executed, OrderError> {
    use std::os::unix::process::ExitStatusExt;

    let [program, arguments @ ..] = argv else {
        return Err(OrderError::Order("could not run a program: none is named"));
    };
    let mut asked = Program::new(program);
    // A guest's kernel gives its first process none.
    if std::env::var_os("PATH").is_none() {
        asked.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    }
    let output =
        asked.args(arguments).output().map_err(|source| OrderError::Execute { program: program.clone(), source })?;
    Ok(Executed {
        status: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn timing(since: Instant) -> Timing {
    Timing { ms: since.elapsed().as_secs_f64() * 1e3 }
}
