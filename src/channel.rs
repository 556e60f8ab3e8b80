//! What outside and inside tell each other: commands in, events out, each one a length and a JSON text.
//!
//! Owns: the messages and their framing over any byte stream. Refuses: how the stream comes to be (that is the
//! substrate's) and what the messages cause. Building, running, reading and tearing down are commands of their own,
//! so that a lab can stay up between them.
//!
//! A frame is four bytes, big-endian, the length of the JSON that follows; at most [`LIMIT_BYTES`].

pub mod boot;
pub mod files;

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::base::NodeName;
use crate::facts::NodeFacts;
use crate::facts::run::{Acted, CaptureStats, CommandResult, Ran};
use crate::facts::survey::Survey;

/// The version of these messages; both ends are one binary, so they differ only by mistake.
pub const VERSION: u32 = 1;

/// The largest command, in bytes. The serial line of User-Mode Linux (6.1) holds 4096 bytes that were not read yet; past
/// that it throttles its input (`line_throttle` in `arch/um/drivers/line.c`) and never hears of any again. So outside
/// sends one small command at a time, and what is large goes by a file.
pub const COMMAND_LIMIT_BYTES: usize = 3072;

/// The largest event, in bytes.
pub const LIMIT_BYTES: usize = 256 << 20;

/// What outside asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Build the lab and start capturing. Answered by [`Event::Built`] or [`Event::Failed`].
    Build {
        /// The file with the [`crate::plan::Plan`] as JSON, at a path that is the same outside and inside.
        plan: String,
        /// How.
        options: BuildOptions,
    },
    /// Read all facts. Answered by [`Event::Facts`].
    ReadFacts,
    /// Run the plan's timeline, then its probes. Answered by [`Event::Ran`] or [`Event::Failed`].
    Run,
    /// Wait until no node waits for a neighbour's answer any more. Answered by [`Event::Rested`] or [`Event::Failed`].
    Rest,
    /// Run the plan's loads once more, without any other act, then its probes. Answered by [`Event::Ran`] or
    /// [`Event::Failed`].
    RunLoads,
    /// Stop capturing. Answered by [`Event::Captured`].
    StopCapture,
    /// Begin to capture anew. Answered by [`Event::Capturing`].
    StartCapture {
        /// The file for the raw capture, at a path that is the same outside and inside.
        file: String,
    },
    /// Run a text of shell commands in a node, with that machine's tools. Answered by [`Event::Executed`].
    Shell {
        /// The node.
        node: NodeName,
        /// The file with the text, at a path that is the same outside and inside.
        script: String,
    },
    /// Say what this kernel is like, before a lab is built. Answered by [`Event::Surveyed`].
    Survey,
    /// Take the lab down. Answered by [`Event::TornDown`].
    TearDown,
    /// Run a program beside the lab, in the guest itself. Answered by [`Event::Executed`].
    Execute {
        /// The program and its arguments.
        argv: Vec<String>,
    },
    /// Leave. Not answered.
    Halt,
}

/// How a lab is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildOptions {
    /// A folder that exists, seen from inside, for the raw capture `capture.raw.pcapng`.
    pub output: String,
    /// Where tools that the machine lacks were unpacked (`usr/sbin/arptables` below it), in order of search.
    pub tool_roots: Vec<String>,
    /// Where packages that the machine lacks were unpacked, for each set of packages that a node has.
    #[serde(default)]
    pub trees: Vec<Tree>,
    /// Whether IPVS tables are left out; only for timing the build on a kernel without IPVS.
    pub skip_ipvs: bool,
    /// Whether frames are captured.
    pub capture: bool,
    /// By up to how much each frame is held back at the switch's port that it leaves by, and each piece of a node's work
    /// before it begins; how much each time is drawn. In microseconds, 0 for not at all.
    #[serde(default)]
    pub jitter_us: u32,
    /// How much memory the lab may take; what programs of a node may have together is a part of it. In MiB, 0 for all that
    /// the kernel has.
    #[serde(default)]
    pub memory_mib: u32,
}

/// Where a set of packages was unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// The packages, as a node of the plan names them.
    pub packages: Vec<String>,
    /// The folder, seen from inside.
    pub folder: String,
}

/// What inside answers and tells on its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The first message: inside runs.
    Hello {
        /// [`VERSION`].
        version: u32,
        /// `uname -r`.
        kernel: String,
    },
    /// A sign of life while a command takes its time.
    Alive,
    /// Something began; for the progress line.
    Progress(String),
    /// The lab stands.
    Built(Timing),
    /// The facts of all nodes, in the plan's order.
    Facts(Vec<NodeFacts>),
    /// An act of the timeline is done.
    Acted(Acted),
    /// A command of the scenario's has ended.
    Commanded(CommandResult),
    /// The timeline and the probes are done.
    Ran(Ran),
    /// The capture is written out.
    Captured(CaptureStats),
    /// A new capture runs.
    Capturing,
    /// What the kernel is like.
    Surveyed(Survey),
    /// No node waits for a neighbour's answer.
    Rested,
    /// The lab is gone; what could not be taken down.
    TornDown {
        /// One line for each thing that remains; empty when all is gone.
        left: Vec<String>,
        /// How long it took.
        timing: Timing,
    },
    /// A program has ended.
    Executed(Executed),
    /// A command failed.
    Failed(Failure),
}

/// What a program came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executed {
    /// Its exit status; 128 and the signal's number where one ended it.
    pub status: i32,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

/// A measured duration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// In milliseconds.
    pub ms: f64,
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whether this machine lacks something, or the lab is at fault.
    pub kind: FailureKind,
    /// The chain of errors, outermost first.
    pub chain: Vec<String>,
}

/// Whom a failure is to be laid to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The machine or its kernel lacks something: exit code 4.
    Lacking,
    /// The lab could not be built or run: exit code 5.
    Lab,
}

/// Writes one message.
///
/// # Errors
/// Those of the stream; `InvalidData` for a message over [`LIMIT_BYTES`].
pub fn send(stream: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len())
        .ok()
        .filter(|_| text.len() <= LIMIT_BYTES)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "message too large for the channel"))?;
    let mut framed = Vec::with_capacity(text.len() + 4);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(&text);
    stream.write_all(&framed)?;
    stream.flush()
}

/// Reads one message; `None` where the stream has ended.
///
/// # Errors
/// Those of the stream; `InvalidData` for a length over [`LIMIT_BYTES`] or a text that is no such message.
pub fn receive<M: DeserializeOwned>(stream: &mut impl Read) -> io::Result<Option<M>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > LIMIT_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {length} bytes is announced")));
    }
    let mut text = vec![0; length];
    stream.read_exact(&mut text)?;
    Ok(Some(serde_json::from_slice(&text)?))
}

#[cfg(test)]
mod tests {
    use super::{Command, receive, send};

    #[test]
    fn what_is_sent_is_received() {
        let mut bytes = Vec::new();
        send(&mut bytes, &Command::Run).unwrap();
        send(&mut bytes, &Command::Halt).unwrap();
        let mut stream = bytes.as_slice();
        assert!(matches!(receive(&mut stream).unwrap(), Some(Command::Run)));
        assert!(matches!(receive(&mut stream).unwrap(), Some(Command::Halt)));
        assert!(receive::<Command>(&mut stream).unwrap().is_none());
    }

    #[test]
    fn a_length_out_of_bounds_is_refused_before_memory_is_taken() {
        let bytes = [0xff; 8];
        assert!(receive::<Command>(&mut bytes.as_slice()).is_err());
    }
}
