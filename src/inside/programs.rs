//! What runs in nodes of the scenario's own choice: files that are placed there, daemons, and what they log.
//!
//! Owns: a lab's daemons from start to end, their readiness, their logs in the output folder. Refuses: understanding them.
//! A daemon that ends before it is ready, or is not ready in time, is an error that quotes its last lines; one that ends
//! later by itself is told at the timeline's end.

mod command;
pub mod files;
pub mod launch;
pub mod log;
mod process;
pub mod syslog;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future;
use tokio::time::{Instant, sleep};

pub use self::command::CommandError;
use self::launch::Launcher;
use self::log::{LastLines, Log};
use self::process::{Process, in_words};
use super::bounds::Overrun;
use super::read;
use super::shell::in_its_place;
use super::timeline::nodes::{NodeGone, Nodes, on_node};
use crate::base::{NodeName, Protocol};
use crate::facts::run::{CommandResult, DaemonEnded};
use crate::plan::{Command, Daemon, Node, Ready};

/// Why a daemon does not run, or does not end.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The plan has no such daemon.
    #[error("could not find the daemon {daemon} on {node}")]
    Unknown {
        /// Its name.
        daemon: String,
        /// The node.
        node: NodeName,
    },
    /// Something that it takes could not be had.
    #[error("could not {attempt} {daemon} on {node}")]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// Its name.
        daemon: String,
        /// The node.
        node: NodeName,
        /// Why not.
        source: io::Error,
    },
    /// It ended.
    #[error("could not start the daemon {daemon} on {node}: it ended ({how}) before it was ready; {last}")]
    Ended {
        /// Its name.
        daemon: String,
        /// The node.
        node: NodeName,
        /// Its exit status in words.
        how: String,
        /// Its last lines.
        last: LastLines,
    },
    /// The node's programs asked for more than they may have.
    #[error("the programs of {node} {what} and were all killed")]
    Overrun {
        /// The node.
        node: NodeName,
        /// What they asked for.
        what: Overrun,
    },
    /// It took too long.
    #[error(
        "could not start the daemon {daemon} on {node}: it was not ready within {deadline_ms} ms, for {seen}; {last}"
    )]
    NotReady {
        /// Its name.
        daemon: String,
        /// The node.
        node: NodeName,
        /// How long it was waited, in milliseconds.
        deadline_ms: u64,
        /// What was wanted and seen last.
        seen: String,
        /// Its last lines.
        last: LastLines,
    },
    /// The node takes no work.
    #[error("could not watch the daemon {daemon}")]
    Node {
        /// Its name.
        daemon: String,
        /// Why.
        source: NodeGone,
    },
}

/// How long a daemon without a condition has to run to be ready.
const STANDS_AFTER: Duration = Duration::from_millis(250);

/// The name of the log of what commands wrote.
pub const COMMANDS: &str = "commands";

/// How long until the second look; each pause after it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

/// The daemons of a node.
#[derive(Debug)]
struct OfNode {
    launcher: Launcher,
    syslog: Log,
    /// What commands came to, one after the other.
    commands: Log,
    daemons: BTreeMap<String, State>,
}

#[derive(Debug)]
struct State {
    daemon: Daemon,
    log: Log,
    running: Option<Process>,
}

/// All daemons of a lab.
#[derive(Debug, Default)]
pub struct Daemons {
    nodes: BTreeMap<NodeName, tokio::sync::Mutex<OfNode>>,
}

/// The folder of a node's logs below the output folder.
pub fn logs_of(output: &Path, node: &NodeName) -> PathBuf {
    output.join("nodes").join(node.as_str())
}

impl Daemons {
    /// None of them runs yet. `syslogs` are the logs of what is sent to each node's `/dev/log`.
    ///
    /// # Errors
    /// A log that can't be made.
    pub fn new<'a>(
        nodes: impl IntoIterator<Item = (&'a Node, Launcher, Log)>,
        output: &Path,
    ) -> Result<Self, DaemonError> {
        let mut all = BTreeMap::new();
        for (node, launcher, syslog) in nodes {
            let log_of = |name: &str| {
                Log::new(&logs_of(output, &node.name).join(format!("{name}.log"))).map_err(|source| DaemonError::Io {
                    attempt: "make the log of",
                    daemon: name.to_owned(),
                    node: node.name.clone(),
                    source,
                })
            };
            let mut daemons = BTreeMap::new();
            for daemon in &node.daemons {
                let log = log_of(&daemon.name)?;
                daemons.insert(daemon.name.clone(), State { daemon: daemon.clone(), log, running: None });
            }
            let has_commands = !node.commands.is_empty() || node.commands_later;
            let commands = if has_commands { log_of(COMMANDS)? } else { Log::in_memory(0, None) };
            all.insert(node.name.clone(), tokio::sync::Mutex::new(OfNode { launcher, syslog, commands, daemons }));
        }
        Ok(Self { nodes: all })
    }

    /// Starts those that are to run from the start: each node's in its order, all nodes side by side. `waiting` is told
    /// which are not yet ready, each time that one is.
    ///
    /// # Errors
    /// The first node's, in the plan's order, that has one which does not start.
    pub async fn start_all(
        &self,
        plan: &[Node],
        nodes: &impl Nodes,
        waiting: impl Fn(String),
    ) -> Result<(), DaemonError> {
        let at_start = |node: &Node| node.daemons.clone().into_iter().filter(|daemon| daemon.at_start);
        let all = plan.iter().flat_map(|node| at_start(node).map(|daemon| format!("{} on {}", daemon.name, node.name)));
        let left = RefCell::new(all.collect::<Vec<_>>());
        let tell = || match left.borrow().join(", ") {
            none if none.is_empty() => {}
            some => waiting(format!("starting {some}")),
        };
        tell();
        let each = plan.iter().map(|node| {
            let (left, tell) = (&left, &tell);
            async move {
                for daemon in at_start(node) {
                    self.start(nodes, &node.name, &daemon.name).await?;
                    let ready = format!("{} on {}", daemon.name, node.name);
                    left.borrow_mut().retain(|one| *one != ready);
                    tell();
                }
                Ok(())
            }
        });
        future::join_all(each).await.into_iter().collect()
    }

    /// Starts one and waits until it is ready; one that runs is left alone.
    ///
    /// # Errors
    /// [`DaemonError`]; it does not run then.
    pub async fn start(&self, nodes: &impl Nodes, node: &NodeName, name: &str) -> Result<(), DaemonError> {
        let mut here = self.of(node, name)?.lock().await;
        let OfNode { launcher, syslog, daemons, .. } = &mut *here;
        let state = daemons.get_mut(name).ok_or_else(|| unknown(node, name))?;
        let failed =
            |attempt| move |source| DaemonError::Io { attempt, daemon: name.to_owned(), node: node.clone(), source };
        if let Some(running) = &mut state.running
            && running.ended().map_err(failed("ask after"))?.is_none()
        {
            return Ok(());
        }
        let text = match &state.daemon.ready {
            Some(Ready::Log(text)) => Some(text.as_str()),
            _ => None,
        };
        state.log.look_for(text);
        syslog.look_for(text);
        let file = match &state.daemon.ready {
            Some(Ready::File(path)) => stamp(nodes, node, path).await,
            _ => Ok(None),
        };
        let file = file.map_err(|source| DaemonError::Node { daemon: name.to_owned(), source })?;
        let text = in_its_place(&state.daemon.command);
        let started = launcher.start(&text, &state.daemon.environment, &state.log);
        let mut process = started.map_err(failed("start"))?;
        let began = Beginning { at: Instant::now(), file };
        let logs = [&state.log, syslog];
        let outcome = ready(nodes, node, &state.daemon, (&mut process, began), logs).await;
        if let (Err(_), Some(what)) = (&outcome, launcher.bound.overrun_by_now()) {
            return Err(DaemonError::Overrun { node: node.clone(), what });
        }
        outcome?;
        state.running = Some(process);
        Ok(())
    }

    /// Tells one to end and waits for it; one that does not run is left alone.
    ///
    /// # Errors
    /// Where there is none of that name.
    pub async fn stop(&self, node: &NodeName, name: &str) -> Result<(), DaemonError> {
        self.end(node, name, Ending::Told).await
    }

    /// Kills one with all that it started; one that does not run is left alone.
    ///
    /// # Errors
    /// Where there is none of that name.
    pub async fn kill(&self, node: &NodeName, name: &str) -> Result<(), DaemonError> {
        self.end(node, name, Ending::Killed).await
    }

    async fn end(&self, node: &NodeName, name: &str, ending: Ending) -> Result<(), DaemonError> {
        let mut here = self.of(node, name)?.lock().await;
        let state = here.daemons.get_mut(name).ok_or_else(|| unknown(node, name))?;
        let Some(process) = state.running.take() else { return Ok(()) };
        let ended = match ending {
            Ending::Told => process.stop().await,
            Ending::Killed => process.kill().await,
        };
        ended.map_err(|source| DaemonError::Io { attempt: "end", daemon: name.to_owned(), node: node.clone(), source })
    }

    /// Ends all of them, the last of each node first.
    pub async fn stop_all(&self) {
        let each = self.nodes.values().map(|node| async {
            let mut node = node.lock().await;
            for state in node.daemons.values_mut() {
                if let Some(process) = state.running.take() {
                    // Whatever got away ends with the node.
                    process.stop().await.unwrap_or_default();
                }
            }
        });
        future::join_all(each).await;
    }

    /// Runs a command in a node. What came of it is given where there was anything; the error says why it is one.
    ///
    /// # Errors
    /// [`CommandError`], where it is not allowed to fail or did not end.
    pub async fn command(
        &self,
        node: &NodeName,
        command: &Command,
    ) -> (Option<CommandResult>, Result<(), CommandError>) {
        let Some(here) = self.nodes.get(node) else {
            let unready = CommandError::Unready { command: command.shown.clone(), node: node.clone() };
            return (None, Err(unready));
        };
        // Not held while it runs: a daemon may be ended meanwhile.
        let (launcher, record) = {
            let here = here.lock().await;
            (here.launcher.clone(), here.commands.clone())
        };
        command::run(&launcher, node, command, record).await
    }

    /// Whether the programs of all nodes have kept to the processes and the memory that they may have.
    ///
    /// # Errors
    /// [`DaemonError::Overrun`] for the first node where they have not; none of its programs runs any more.
    pub async fn within_bounds(&self) -> Result<(), DaemonError> {
        for (name, node) in &self.nodes {
            if let Some(what) = node.lock().await.launcher.bound.overrun_by_now() {
                return Err(DaemonError::Overrun { node: name.clone(), what });
            }
        }
        Ok(())
    }

    /// Those that have ended and were not told to.
    pub async fn ended(&self) -> Vec<DaemonEnded> {
        let mut ended = Vec::new();
        for (name, node) in &self.nodes {
            for state in node.lock().await.daemons.values_mut() {
                let Some(process) = &mut state.running else { continue };
                let Ok(Some(status)) = process.ended() else { continue };
                process.hear_out();
                state.running = None;
                ended.push(DaemonEnded {
                    node: name.clone(),
                    daemon: state.daemon.name.clone(),
                    how: in_words(status),
                    last_lines: state.log.last().0,
                });
            }
        }
        ended
    }

    fn of(&self, node: &NodeName, name: &str) -> Result<&tokio::sync::Mutex<OfNode>, DaemonError> {
        self.nodes.get(node).ok_or_else(|| unknown(node, name))
    }
}

/// How a daemon is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Told,
    Killed,
}

fn unknown(node: &NodeName, daemon: &str) -> DaemonError {
    DaemonError::Unknown { daemon: daemon.to_owned(), node: node.clone() }
}

/// How it was when a daemon was started.
#[derive(Debug)]
struct Beginning {
    at: Instant,
    /// The file whose making tells that it is ready, where it was there before.
    file: Option<Stamp>,
}

/// What tells a file from one that was made anew: its number and the time of its last change, in seconds and nanoseconds.
type Stamp = (u64, i64, i64);

/// The stamp of a file in a node.
async fn stamp(nodes: &impl Nodes, node: &NodeName, path: &str) -> Result<Option<Stamp>, NodeGone> {
    let path = PathBuf::from(path);
    let look =
        move || async move { fs::metadata(path).ok().map(|found| (found.ino(), found.ctime(), found.ctime_nsec())) };
    on_node(nodes, node, look).await
}

/// Looks again and again until the daemon is ready.
async fn ready(
    nodes: &impl Nodes,
    node: &NodeName,
    daemon: &Daemon,
    (process, began): (&mut Process, Beginning),
    logs: [&Log; 2],
) -> Result<(), DaemonError> {
    let name = || daemon.name.clone();
    let deadline = began.at + Duration::from_millis(daemon.deadline_ms);
    let mut pause = FIRST_PAUSE;
    loop {
        let ended = process.ended().map_err(|source| DaemonError::Io {
            attempt: "ask after",
            daemon: name(),
            node: node.clone(),
            source,
        })?;
        if let Some(status) = ended {
            process.hear_out();
            let last = said(logs);
            return Err(DaemonError::Ended { daemon: name(), node: node.clone(), how: in_words(status), last });
        }
        let looked = look(nodes, node, daemon.ready.as_ref(), &began, logs).await;
        let Err(seen) = looked.map_err(|source| DaemonError::Node { daemon: name(), source })? else { return Ok(()) };
        if Instant::now() >= deadline {
            let (deadline_ms, last) = (daemon.deadline_ms, said(logs));
            return Err(DaemonError::NotReady { daemon: name(), node: node.clone(), deadline_ms, seen, last });
        }
        sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// What a daemon said last, be it to the system's log.
fn said([own, syslog]: [&Log; 2]) -> LastLines {
    let LastLines(mut lines) = syslog.last();
    lines.extend(own.last().0);
    LastLines(lines)
}

/// Looks once; what is missing is told in words.
async fn look(
    nodes: &impl Nodes,
    node: &NodeName,
    ready: Option<&Ready>,
    began: &Beginning,
    logs: [&Log; 2],
) -> Result<Result<(), String>, NodeGone> {
    Ok(match ready {
        None if began.at.elapsed() >= STANDS_AFTER => Ok(()),
        None => Err("it has just begun".to_owned()),
        Some(Ready::Log(_)) if logs.iter().any(|log| log.has_come()) => Ok(()),
        Some(Ready::Log(text)) => Err(format!("no line held `{text}`")),
        Some(Ready::Port(port)) => {
            let port = *port;
            let listens = on_node(nodes, node, move || async move { read::listens(Protocol::Tcp, port) }).await?;
            match listens {
                Ok(true) => Ok(()),
                Ok(false) => Err(format!("nothing listened on TCP port {port}")),
                Err(error) => Err(format!("it could not be read who listens on TCP port {port}: {error}")),
            }
        }
        Some(Ready::File(file)) => match stamp(nodes, node, file).await? {
            None => Err(format!("there was no {file}")),
            made if made == began.file => Err(format!("{file} was there before and was not made anew")),
            Some(_) => Ok(()),
        },
    })
}
