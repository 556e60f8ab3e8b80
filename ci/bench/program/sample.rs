//! One call of drlab, started and waited for by a process that does nothing else: the kernel tells the most memory that
//! any child took only for all children together, and counts what the parent had when it started them.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

use crate::error::BenchError;

/// What a call came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) wall_ms: f64,
    /// Resident memory of the largest process at its largest: of drlab and of the kernels that it waited for.
    pub(crate) peak_kib: i64,
    /// Processor time of what was called and of what it waited for.
    pub(crate) cpu_ms: f64,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Shown {
    /// In millions of bytes.
    pub(crate) fn peak_mb(&self) -> f64 {
        self.peak_kib as f64 * 1024.0 / 1e6
    }
}

/// Starts the program, waits for it, and says on stdout what that came to.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<(), BenchError> {
    let begun = Instant::now();
    let answer = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(BenchError::io(format!("start {program}")))?;
    let wall_ms = begun.elapsed().as_secs_f64() * 1e3;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(BenchError::errno("ask what the children used"))?;
    let shown = Shown {
        wall_ms,
        peak_kib: usage.max_rss(),
        cpu_ms: (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e3,
        code: answer.status.code(),
        stdout: String::from_utf8_lossy(&answer.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&answer.stderr).into_owned(),
    };
    let text = serde_json::to_vec(&shown)
        .map_err(|source| BenchError::Answer { what: "the sample itself".to_owned(), source })?;
    std::io::stdout().write_all(&text).map_err(BenchError::io("write to stdout".to_owned()))
}
