//! A supervised process of a node: started, watched, told to end, or killed with all that it started.
//!
//! Owns: which processes belong to it. Refuses: waiting for its readiness. Errs towards killing: what is left of a process
//! that was told to end is killed, however it got away.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use super::log::Log;

/// How long a process that was told to end may take.
const END_WITHIN: Duration = Duration::from_secs(5);

/// How long a killed process may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// How long its last words may take to arrive.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(300);

/// How often it is looked whether a process has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A process that was started.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pid: Pid,
    silent: mpsc::Receiver<()>,
}

impl Process {
    /// Watches a program that was started; what comes from it goes to the log.
    pub(super) fn of(child: Child, from: io::PipeReader, log: &Log) -> io::Result<Self> {
        let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
        let (over, silent) = mpsc::channel::<()>();
        let process = Self { child, pid, silent };
        let log = log.clone();
        let listening = thread::Builder::new().name("listen to a program".to_owned()).spawn(move || {
            log.take_all(from);
            drop(over);
        });
        listening.map(|_| process)
    }

    /// Its number in our own PID namespace.
    pub(super) fn number(&self) -> Pid {
        self.pid
    }

    /// How it ended, where it has.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for what it wrote last; what it started may go on writing.
    pub(super) fn hear_out(&self) {
        // The sender never sends: it goes when all writers have.
        self.silent.recv_timeout(LAST_WORDS_WITHIN).unwrap_or_default();
    }

    /// Tells it to end, and kills what is left of it.
    pub(super) async fn stop(mut self) -> io::Result<()> {
        let mut family = family(self.pid);
        kill(self.pid, Signal::SIGTERM).ok();
        self.wait(END_WITHIN).await?;
        slay_all(&family);
        family.extend(self.slay());
        self.over(&family).await
    }

    /// Kills it and all that it started.
    pub(super) async fn kill(mut self) -> io::Result<()> {
        let family = self.slay();
        self.over(&family).await
    }

    /// Waits until all of them are gone and what they wrote has arrived.
    async fn over(&mut self, family: &BTreeSet<Pid>) -> io::Result<()> {
        self.wait(GONE_WITHIN).await?;
        let deadline = Instant::now() + GONE_WITHIN;
        let lives = || killpg(self.pid, None).is_ok() || family.iter().any(|pid| kill(*pid, None).is_ok());
        while lives() && Instant::now() < deadline {
            sleep(LOOK_EVERY).await;
        }
        self.hear_out();
        Ok(())
    }

    async fn wait(&mut self, within: Duration) -> io::Result<()> {
        let deadline = Instant::now() + within;
        while self.child.try_wait()?.is_none() && Instant::now() < deadline {
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Kills it and all that it started; says which these were.
    fn slay(&self) -> BTreeSet<Pid> {
        let mut all = BTreeSet::new();
        // What it starts meanwhile is found by the next look.
        for _ in 0..4 {
            let family = family(self.pid);
            slay_all(&family);
            // What lost its parent is still in the group.
            killpg(self.pid, Signal::SIGKILL).ok();
            let known = all.len();
            all.extend(family);
            if all.len() == known {
                break;
            }
        }
        all
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.slay();
        }
    }
}

/// All are stopped first, and children killed before their parents: one that is told of another's end by a signal would
/// else clean up before its turn comes.
fn slay_all(family: &BTreeSet<Pid>) {
    // One that has just ended is what was wanted.
    for pid in family {
        kill(*pid, Signal::SIGSTOP).unwrap_or_default();
    }
    family.iter().rev().for_each(|pid| kill(*pid, Signal::SIGKILL).unwrap_or_default());
}

/// The process and all that descend from it, by our `/proc`.
fn family(of: Pid) -> BTreeSet<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parents: Vec<(i32, i32)> = pids.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut family = BTreeSet::from([of.as_raw()]);
    loop {
        let before = family.len();
        let children: Vec<i32> =
            parents.iter().filter(|(_, parent)| family.contains(parent)).map(|(pid, _)| *pid).collect();
        family.extend(children);
        if family.len() == before {
            return family.into_iter().map(Pid::from_raw).collect();
        }
    }
}

/// The parent's number: the second word behind the name, which stands in brackets and may hold any.
fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}

/// Its exit status; 128 and the signal's number where one ended it.
pub(super) fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// How a process ended, in words.
pub(super) fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal().map(Signal::try_from)) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(Ok(signal))) => format!("killed by {signal}"),
        _ => status.to_string(),
    }
}
