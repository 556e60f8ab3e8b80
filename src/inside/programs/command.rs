//! Commands of a scenario, run in a node one after the other.
//!
//! Owns: their end, in time or by force, and what they wrote. A command that leaves something running in the background
//! has ended all the same.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::launch::Launcher;
use super::log::{LastLines, Log};
use super::process::{code, in_words};
use crate::base::NodeName;
use crate::facts::run::CommandResult;
use crate::inside::bounds::Overrun;
use crate::plan::Command;

/// Why a command did not do what it was to.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// No shell, or no way to watch it.
    #[error("could not run `{command}` on {node}")]
    Start {
        /// The command.
        command: String,
        /// The node.
        node: NodeName,
        /// Why not.
        source: io::Error,
    },
    /// It failed.
    #[error("`{command}` failed on {node} ({how}); {last}")]
    Failed {
        /// The command.
        command: String,
        /// The node.
        node: NodeName,
        /// Its exit status in words.
        how: String,
        /// What it wrote last.
        last: LastLines,
    },
    /// It went on for too long.
    #[error(
        "`{command}` on {node} did not end within {deadline_ms} ms and was killed with what it had started; {last}"
    )]
    Endless {
        /// The command.
        command: String,
        /// The node.
        node: NodeName,
        /// How long it was waited.
        deadline_ms: u64,
        /// What it wrote last.
        last: LastLines,
    },
    /// It asked for more than it may have.
    #[error("`{command}` on {node}: the node's programs {what} and were all killed; {last}")]
    Overrun {
        /// The command.
        command: String,
        /// The node.
        node: NodeName,
        /// What they asked for.
        what: Overrun,
        /// What it wrote last.
        last: LastLines,
    },
    /// The lab has no such node, or no programs run in it.
    #[error("could not run `{command}` on {node}: the node was not made ready for it")]
    Unready {
        /// The command.
        command: String,
        /// The node.
        node: NodeName,
    },
}

/// How often it is looked whether a command has ended.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Bytes of a command's output that are kept.
const OUTPUT_BYTES: usize = 16 << 10;

/// Runs a command and waits for its end. What came of it is given in any case; the error says why it is one. `record` is
/// the log of all that the node's commands write.
pub(super) async fn run(
    launcher: &Launcher,
    node: &NodeName,
    command: &Command,
    record: Log,
) -> (Option<CommandResult>, Result<(), CommandError>) {
    let shown = || command.shown.clone();
    record.take(format!("$ {}\n", command.shown).as_bytes());
    let log = Log::in_memory(OUTPUT_BYTES, Some(record.clone()));
    let began = Instant::now();
    let failed = |source| CommandError::Start { command: shown(), node: node.clone(), source };
    let mut process = match launcher.start(&command.text, &BTreeMap::new(), &log) {
        Ok(process) => process,
        Err(error) => return (None, Err(failed(error))),
    };
    let deadline = began + Duration::from_millis(command.deadline_ms);
    let ended = loop {
        match process.ended() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() >= deadline || launcher.bound.overrun().is_some() => break None,
            Ok(None) => sleep(LOOK_EVERY).await,
            Err(error) => return (None, Err(failed(error))),
        }
    };
    let went_well = ended.is_some_and(|status| status.success());
    let overrun = if went_well { launcher.bound.overrun() } else { launcher.bound.overrun_by_now() };
    let outcome = match (overrun, ended) {
        (Some(what), _) => Err(CommandError::Overrun { command: shown(), node: node.clone(), what, last: log.last() }),
        (None, Some(status)) if status.success() || command.may_fail => {
            process.hear_out();
            Ok(())
        }
        (None, Some(status)) => {
            process.hear_out();
            Err(CommandError::Failed { command: shown(), node: node.clone(), how: in_words(status), last: log.last() })
        }
        (None, None) => {
            let killed = process.kill().await;
            let (deadline_ms, last) = (command.deadline_ms, log.last());
            killed.map_err(failed).and(Err(CommandError::Endless {
                command: shown(),
                node: node.clone(),
                deadline_ms,
                last,
            }))
        }
    };
    let how = ended.map_or_else(|| "killed".to_owned(), in_words);
    record.take(format!("({how})\n").as_bytes());
    let result = CommandResult {
        node: node.clone(),
        command: shown(),
        status: ended.map(code),
        may_fail: command.may_fail,
        output: log.text(),
        ms: began.elapsed().as_secs_f64() * 1e3,
    };
    (Some(result), outcome)
}
