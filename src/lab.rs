//! Outside's hand on a lab: a kernel that was started, and what can be asked of `drlab inside` in it.
//!
//! Owns: the order of questions and answers, and what a silence means. Building, running, reading and taking down are
//! acts of their own, so that a lab can stay up between them; [`once`] is the pass that does them all and judges.

pub mod assemble;
pub mod mend;
pub mod once;

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::{NodeName, error_chain};
use crate::channel::{BuildOptions, COMMAND_LIMIT_BYTES, Command, Event, Executed, Failure, FailureKind, Timing};
use crate::facts::NodeFacts;
use crate::facts::run::{Acted, CaptureStats, CommandResult, Ran};
use crate::facts::survey::Survey;
use crate::plan::Plan;
use crate::substrate::{self, Guest, GuestError, StartError, StartOptions, Substrate};

/// Why a lab could not be had, or was lost.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// No kernel for it.
    #[error("could not start a kernel for the lab")]
    Start(#[from] StartError),
    /// The plan can't be handed over.
    #[error("could not write {}", .path.display())]
    Plan {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Commands for a node can't be handed over.
    #[error("could not write {}", .path.display())]
    Script {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A command is larger than what gets through.
    #[error("could not hand over a command of {bytes} bytes; at most {COMMAND_LIMIT_BYTES} get through")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Inside says that a command failed.
    #[error("{}", .0.chain.join("\n  caused by: "))]
    Failed(Failure),
    /// The guest went away or fell silent in the middle.
    #[error("the lab was lost while {doing}")]
    Lost {
        /// What was asked of it.
        doing: &'static str,
        /// What became of it, with its last console lines.
        source: GuestError,
    },
    /// Inside answered something else than what was asked.
    #[error("`drlab inside` answered out of turn while {doing}: {got}")]
    OutOfTurn {
        /// What was asked of it.
        doing: &'static str,
        /// What came.
        got: String,
    },
}

impl LabError {
    /// What went wrong, a line each, outermost first; a console's lines stand on their own.
    pub fn chain(&self) -> Vec<String> {
        let chain = match self {
            Self::Failed(failure) => failure.chain.clone(),
            other => error_chain(other),
        };
        chain.iter().flat_map(|message| message.lines().map(str::to_owned)).collect()
    }

    /// Whether nothing was heard for too long.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Lost { source: GuestError::Silent { .. }, .. })
    }

    /// Whether the machine lacks something, rather than the lab being at fault.
    pub fn is_lack(&self) -> bool {
        match self {
            Self::Start(error) => !matches!(error, StartError::NoHello { .. }),
            Self::Failed(failure) => failure.kind == FailureKind::Lacking,
            Self::Plan { .. }
            | Self::Script { .. }
            | Self::TooLong { .. }
            | Self::Lost { .. }
            | Self::OutOfTurn { .. } => false,
        }
    }
}

/// How long inside may be silent; it gives a sign of life every two seconds.
const SILENCE: Duration = Duration::from_secs(10);

/// The same where time inside is virtual: its two seconds may take any time outside.
const SILENCE_TOLD: Duration = Duration::from_mins(2);

/// How long a kernel may take to stop.
const HALT: Duration = Duration::from_secs(5);

/// What is told while something is under way.
pub trait Watcher {
    /// Something began.
    fn progress(&mut self, what: &str);
    /// An act of the timeline is done.
    fn acted(&mut self, _acted: &Acted) {}
    /// A command of the scenario's has ended.
    fn commanded(&mut self, _result: &CommandResult) {}
}

/// A kernel with `drlab inside` in it.
#[derive(Debug)]
pub struct Lab {
    guest: Guest,
    /// Whether it was told all beforehand, so that nothing is asked of it any more.
    told: bool,
}

impl Lab {
    /// Starts a kernel, or namespaces on this one, and waits for inside's first word.
    ///
    /// # Errors
    /// [`LabError::Start`].
    pub fn start(kind: Substrate, options: &StartOptions) -> Result<Self, LabError> {
        Ok(Self { guest: substrate::start(kind, options)?, told: false })
    }

    /// The same, with all of a pass told beforehand: [`Lab::build`], [`Lab::facts`], [`Lab::run`], [`Lab::facts`],
    /// [`Lab::stop_capture`] and [`Lab::tear_down`], to be called in this order, then only take the answers. Virtual time
    /// does not wait for questions from outside.
    ///
    /// # Errors
    /// [`LabError::Start`] and [`LabError::Plan`].
    pub fn start_told(
        kind: Substrate,
        options: &StartOptions,
        plan: &Plan,
        build: &BuildOptions,
    ) -> Result<Self, LabError> {
        let plan = hand_over(plan, build)?;
        let orders = vec![
            Command::Build { plan, options: build.clone() },
            Command::ReadFacts,
            Command::Run,
            Command::ReadFacts,
            Command::StopCapture,
            Command::TearDown,
        ];
        let options = StartOptions { orders, ..options.clone() };
        Ok(Self { guest: substrate::start(kind, &options)?, told: true })
    }

    /// The guest itself.
    pub fn guest(&self) -> &Guest {
        &self.guest
    }

    /// Builds what the plan says and begins to capture.
    ///
    /// # Errors
    /// [`LabError`].
    pub fn build(&mut self, plan: &Plan, options: BuildOptions, watcher: &mut dyn Watcher) -> Result<Timing, LabError> {
        if !self.told {
            let plan = hand_over(plan, &options)?;
            self.ask("the lab was built", &Command::Build { plan, options })?;
        }
        self.await_event("the lab was built", watcher, |event| match event {
            Event::Built(timing) => Ok(timing),
            other => Err(other),
        })
    }

    /// Reads the facts of every node, in the plan's order.
    ///
    /// # Errors
    /// [`LabError`].
    pub fn facts(&mut self, watcher: &mut dyn Watcher) -> Result<Vec<NodeFacts>, LabError> {
        self.ask("facts were read", &Command::ReadFacts)?;
        self.await_event("facts were read", watcher, |event| match event {
            Event::Facts(facts) => Ok(facts),
            other => Err(other),
        })
    }

    /// Runs the plan's timeline and probes; each act that is done is told to the watcher.
    ///
    /// # Errors
    /// [`LabError`].
    pub fn run(&mut self, watcher: &mut dyn Watcher) -> Result<Ran, LabError> {
        self.ask("the timeline ran", &Command::Run)?;
        self.await_event("the timeline ran", watcher, |event| match event {
            Event::Ran(ran) => Ok(ran),
            other => Err(other),
        })
    }

    /// Waits until no node waits for a neighbour's answer any more: what was asked in vain before something was put right
    /// is then given up, or answered, and what waited for it is gone.
    ///
    /// # Errors
    /// [`LabError`].
    pub fn rest(&mut self, watcher: &mut dyn Watcher) -> Result<(), LabError> {
        self.ask("the lab came to rest", &Command::Rest)?;
        self.await_event("the lab came to rest", watcher, |event| match event {
            Event::Rested => Ok(()),
            other => Err(other),
        })
    }

    /// Runs the plan's loads once more, without any other act, and its probes.
    ///
    /// # Errors
    /// [`LabError`].
    pub fn run_loads(&mut self, watcher: &mut dyn Watcher) -> Result<Ran, LabError> {
        self.ask("the load ran again", &Command::RunLoads)?;
        self.await_event("the load ran again", watcher, |event| match event {
            Event::Ran(ran) => Ok(ran),
            other => Err(other),
        })
    }

    /// Begins to capture anew, into a file.
    ///
    /// # Errors
    /// [`LabError`].
    pub fn start_capture(&mut self, file: &Path) -> Result<(), LabError> {
        self.ask("a capture was begun", &Command::StartCapture { file: file.display().to_string() })?;
        self.await_event("a capture was begun", &mut Silent, |event| match event {
            Event::Capturing => Ok(()),
            other => Err(other),
        })
    }

    /// Runs a text of shell commands in a node, with that machine's tools; its exit status and output. The text goes by a
    /// file in `folder`, which both sides see.
    ///
    /// # Errors
    /// [`LabError`]; a command that fails is none.
    pub fn shell(&mut self, node: &NodeName, text: &str, folder: &Path) -> Result<Executed, LabError> {
        let path = folder.join("commands.sh");
        fs::write(&path, text).map_err(|source| LabError::Script { path: path.clone(), source })?;
        let script = path.display().to_string();
        self.ask("commands ran in a node", &Command::Shell { node: node.clone(), script })?;
        self.await_event("commands ran in a node", &mut Silent, |event| match event {
            Event::Executed(executed) => Ok(executed),
            other => Err(other),
        })
    }

    /// Stops capturing; afterwards the raw capture is whole.
    ///
    /// # Errors
    /// [`LabError`].
    pub fn stop_capture(&mut self, watcher: &mut dyn Watcher) -> Result<CaptureStats, LabError> {
        self.ask("the capture was stopped", &Command::StopCapture)?;
        self.await_event("the capture was stopped", watcher, |event| match event {
            Event::Captured(stats) => Ok(stats),
            other => Err(other),
        })
    }

    /// Takes the lab down and ends its kernel; what remained of it, a line each.
    ///
    /// # Errors
    /// [`LabError`].
    pub fn tear_down(mut self, watcher: &mut dyn Watcher) -> Result<Vec<String>, LabError> {
        self.ask("the lab was taken down", &Command::TearDown)?;
        let left = self.await_event("the lab was taken down", watcher, |event| match event {
            Event::TornDown { left, .. } => Ok(left),
            other => Err(other),
        })?;
        let halt = HALT * self.guest.slowness();
        self.guest.halt(halt).map_err(|source| LabError::Lost { doing: "the lab's kernel was stopped", source })?;
        Ok(left)
    }

    /// What the kernel is like before anything is set in it.
    ///
    /// # Errors
    /// [`LabError`].
    pub fn survey(&mut self) -> Result<Survey, LabError> {
        self.ask("the kernel was looked at", &Command::Survey)?;
        self.await_event("the kernel was looked at", &mut Silent, |event| match event {
            Event::Surveyed(survey) => Ok(survey),
            other => Err(other),
        })
    }

    /// Runs a program in the guest, outside of any node; its exit status and output.
    ///
    /// # Errors
    /// [`LabError`].
    pub fn execute(&mut self, argv: Vec<String>) -> Result<Executed, LabError> {
        self.ask("a program ran", &Command::Execute { argv })?;
        self.await_event("a program ran", &mut Silent, |event| match event {
            Event::Executed(executed) => Ok(executed),
            other => Err(other),
        })
    }

    fn ask(&mut self, doing: &'static str, command: &Command) -> Result<(), LabError> {
        if self.told {
            return Ok(());
        }
        // One that can't be written as JSON is refused by whoever sends it.
        let bytes = serde_json::to_vec(command).map_or(0, |text| text.len());
        if bytes > COMMAND_LIMIT_BYTES {
            return Err(LabError::TooLong { bytes });
        }
        self.guest.send(command).map_err(|source| LabError::Lost { doing, source })
    }

    fn await_event<T>(
        &mut self,
        doing: &'static str,
        watcher: &mut dyn Watcher,
        wanted: impl Fn(Event) -> Result<T, Event>,
    ) -> Result<T, LabError> {
        loop {
            match self
                .guest
                .receive(if self.told { SILENCE_TOLD } else { SILENCE * self.guest.slowness() })
                .map_err(|source| LabError::Lost { doing, source })?
            {
                Event::Alive => {}
                Event::Progress(what) => watcher.progress(&what),
                Event::Acted(acted) => watcher.acted(&acted),
                Event::Commanded(result) => watcher.commanded(&result),
                Event::Failed(failure) => return Err(LabError::Failed(failure)),
                other => match wanted(other) {
                    Ok(value) => return Ok(value),
                    Err(other) => {
                        let got = format!("{other:?}").chars().take(80).collect();
                        return Err(LabError::OutOfTurn { doing, got });
                    }
                },
            }
        }
    }
}

/// Writes the plan where inside finds it; gives the file.
fn hand_over(plan: &Plan, options: &BuildOptions) -> Result<String, LabError> {
    let path = Path::new(&options.output).join("plan.json");
    let failed = |source| LabError::Plan { path: path.clone(), source };
    let file = File::create(&path).map_err(failed)?;
    serde_json::to_writer(BufWriter::new(file), plan).map_err(|error| failed(error.into()))?;
    Ok(path.display().to_string())
}

/// A watcher that tells nobody.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Watcher for Silent {
    fn progress(&mut self, _: &str) {}
}
