//! Starting a program in a node, under the bound of that node's programs.
//!
//! Owns: the gate: a program's shell waits until it is under the bound, so that nothing it starts can be outside.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::Arc;

use super::log::Log;
use super::process::Process;
use crate::inside::bounds::Bound;
use crate::inside::ns::Space;
use crate::inside::shell::Toolbox;

/// What a shell does first: it waits for a line, and gives up where that came from.
const GATE: &str = "read -r go && exec </dev/null || exit 125\n";

/// A way to start programs in one node.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// The node.
    pub space: Arc<Space>,
    /// Its tools.
    pub toolbox: Toolbox,
    /// The bound of its programs.
    pub bound: Arc<Bound>,
}

impl Launcher {
    /// Starts a text of shell commands; what is written goes to the log.
    pub(super) fn start(&self, text: &str, environment: &BTreeMap<String, String>, log: &Log) -> io::Result<Process> {
        let (reading, writing) = io::pipe()?;
        let limit = self.bound.each_mib().map(|mib| format!("ulimit -d {}\n", mib << 10)).unwrap_or_default();
        let mut command = self.toolbox.command(&format!("{GATE}{limit}{text}"), environment);
        command.stdin(Stdio::piped()).stdout(writing.try_clone()?).stderr(writing).process_group(0);
        let mut child = self.space.spawn(&mut command)?;
        // The command holds the pipe's writing ends, and its reader would wait for them.
        drop(command);
        let gate = child.stdin.take();
        let process = Process::of(child, reading, log)?;
        self.bound.take_in(process.number())?;
        gate.map_or(Ok(()), |mut gate| gate.write_all(b"\n"))?;
        Ok(process)
    }
}
