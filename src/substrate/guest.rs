//! A started `drlab inside`, whatever it was started under: its channel, its console, its end.
//!
//! Owns: talking with it, noticing that it died or hangs, and leaving nothing of it. Refuses: how it is started and what
//! it is told to do. A guest that is silent for longer than it may is taken for hung and killed.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead, BufReader, PipeReader};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::Pid;

use super::bound::LifeLine;
use super::cache::RunFolder;
use crate::channel::{self, Command, Event};

/// How many console lines are kept.
const TAIL_LINES: usize = 40;

/// How long the end of a killed process may take to show.
const REAP_WITHIN: Duration = Duration::from_secs(5);

/// How long reading an ended process's last lines may take.
const DRAIN_WITHIN: Duration = Duration::from_millis(500);

/// What went wrong with a running guest.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// It ended by itself.
    #[error("the lab's kernel or process ended on its own ({how}); {console}")]
    Died {
        /// Its exit status in words.
        how: String,
        /// Its last lines.
        console: ConsoleTail,
    },
    /// It said nothing for too long, and was killed.
    #[error("nothing was heard from the lab's kernel or process for {} s while something was due, so it was killed; {console}", .waited.as_secs())]
    Silent {
        /// How long it was waited for.
        waited: Duration,
        /// Its last lines.
        console: ConsoleTail,
    },
    /// The channel carried something that is no message.
    #[error("could not read from the lab's channel; {console}")]
    Garbled {
        /// What it was.
        source: io::Error,
        /// Its last lines.
        console: ConsoleTail,
    },
    /// A command could not be sent.
    #[error("could not send a command to the lab's kernel or process; {console}")]
    Unsent {
        /// What came instead.
        source: io::Error,
        /// Its last lines.
        console: ConsoleTail,
    },
}

/// The last lines of a console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleTail(pub Vec<String>);

impl fmt::Display for ConsoleTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("its console is empty");
        }
        f.write_str("the last lines of its console:")?;
        self.0.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

/// What is called with each console line as it comes.
pub type OnConsole = Arc<dyn Fn(&str) + Send + Sync>;

/// A running `drlab inside`; dropping it kills and reaps all its processes and removes its folder.
#[derive(Debug)]
pub struct Guest {
    stream: UnixStream,
    console: Arc<Console>,
    process: Arc<Process>,
    threads: Vec<JoinHandle<()>>,
    kernel: String,
    folder: Option<RunFolder>,
    slowness: u32,
    _life: LifeLine,
}

/// A console's last lines, and whether more can come.
#[derive(Debug, Default)]
struct Console {
    tail: Mutex<Tail>,
    change: Condvar,
}

#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
    closed: bool,
}

/// A process and what is known of its end.
#[derive(Debug)]
struct Process {
    group: Pid,
    ended: Mutex<Option<ExitStatus>>,
    change: Condvar,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    /// Kills the whole group, unless its leader has been reaped: then the number may be somebody else's.
    fn kill(&self) {
        let ended = locked(&self.ended);
        if ended.is_none() {
            // A group that is gone, or of which only zombies are left, needs no killing.
            killpg(self.group, Signal::SIGKILL).unwrap_or_default();
        }
    }

    fn wait(&self, within: Duration) -> Option<ExitStatus> {
        let ended = locked(&self.ended);
        let (ended, _) = self
            .change
            .wait_timeout_while(ended, within, |status| status.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        *ended
    }

    /// Waits for the leader's end, and ends the others of its group before it lets go of the leader's number.
    fn watch(&self, mut child: Child) {
        while waitid(Id::Pid(self.group), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
        self.kill();
        let mut ended = locked(&self.ended);
        *ended = Some(child.wait().unwrap_or_else(|_| ExitStatus::from_raw(0)));
        // What it left to us; in a container there may be no first process that reaps.
        while matches!(waitpid(Pid::from_raw(-self.group.as_raw()), None), Ok(_) | Err(Errno::EINTR)) {}
        self.change.notify_all();
    }
}

impl Guest {
    /// Takes charge of a process that leads its own group, has `stream`'s other end, and writes its console to a pipe.
    pub(super) fn watch(
        child: Child,
        stream: UnixStream,
        console: PipeReader,
        on_console: Option<OnConsole>,
        life: LifeLine,
        folder: Option<RunFolder>,
    ) -> Self {
        // What User-Mode Linux forks becomes ours when it ends, and can be reaped. Refused only by very old kernels.
        set_child_subreaper(true).unwrap_or_default();
        let group = Pid::from_raw(child.id().cast_signed());
        let process = Arc::new(Process { group, ended: Mutex::new(None), change: Condvar::new() });
        let lines = Arc::new(Console::default());
        let (watched, kept) = (Arc::clone(&process), Arc::clone(&lines));
        let threads = vec![
            std::thread::spawn(move || watched.watch(child)),
            std::thread::spawn(move || kept.keep(console, on_console.as_ref())),
        ];
        Self { stream, console: lines, process, threads, kernel: String::new(), folder, slowness: 1, _life: life }
    }

    /// Lets the guest take so many times as long as others for anything.
    pub(super) fn slow_down(&mut self, slowness: u32) {
        self.slowness = slowness;
    }

    /// How many times as long as others it may take for anything.
    pub fn slowness(&self) -> u32 {
        self.slowness
    }

    /// Waits for the hello that comes first.
    ///
    /// # Errors
    /// [`GuestError`]; the guest is then gone.
    pub(super) fn greet(&mut self, within: Duration) -> Result<(), GuestError> {
        match self.receive(within)? {
            Event::Hello { version: channel::VERSION, kernel } => {
                self.kernel = kernel;
                if let Some(folder) = &mut self.folder {
                    folder.leave_elsewhere();
                }
                Ok(())
            }
            other => {
                let said = format!("it should say hello (version {}) and said {other:?}", channel::VERSION);
                self.kill();
                Err(GuestError::Garbled {
                    source: io::Error::new(io::ErrorKind::InvalidData, said),
                    console: self.console_tail(),
                })
            }
        }
    }

    /// The release of the kernel that the lab is under, as `uname -r` has it.
    pub fn kernel(&self) -> &str {
        &self.kernel
    }

    /// Sends a command.
    ///
    /// # Errors
    /// [`GuestError::Died`] where it is dead, else [`GuestError::Unsent`].
    pub fn send(&self, command: &Command) -> Result<(), GuestError> {
        channel::send(&mut &self.stream, command).map_err(|source| match self.ended(Duration::from_secs(1)) {
            Some(died) => died,
            None => GuestError::Unsent { source, console: self.console_tail() },
        })
    }

    /// Waits for the next event, which must come within `silence`.
    ///
    /// # Errors
    /// [`GuestError`]; a guest that is silent, or says what is no event, is killed.
    pub fn receive(&self, silence: Duration) -> Result<Event, GuestError> {
        let received = self
            .stream
            .set_read_timeout(Some(silence.max(Duration::from_millis(1))))
            .and_then(|()| channel::receive::<Event>(&mut &self.stream));
        match received {
            Ok(Some(event)) => Ok(event),
            Ok(None) => {
                // The end of the channel comes a moment before the end of the process shows.
                Err(self.ended(Duration::from_secs(1)).unwrap_or_else(|| {
                    self.kill();
                    GuestError::Died { how: "it closed its channel".to_owned(), console: self.console_tail() }
                }))
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err(self.ended(Duration::ZERO).unwrap_or_else(|| {
                    self.kill();
                    GuestError::Silent { waited: silence, console: self.console_tail() }
                }))
            }
            Err(source) => Err(self.ended(Duration::from_millis(200)).unwrap_or_else(|| {
                self.kill();
                GuestError::Garbled { source, console: self.console_tail() }
            })),
        }
    }

    fn ended(&self, within: Duration) -> Option<GuestError> {
        let status = self.process.wait(within)?;
        self.console.wait_for_end();
        Some(GuestError::Died { how: status.to_string(), console: self.console_tail() })
    }

    /// The last lines of the console, oldest first.
    pub fn console_tail(&self) -> ConsoleTail {
        ConsoleTail(locked(&self.console.tail).lines.iter().cloned().collect())
    }

    /// Kills all its processes and waits for their end.
    pub fn kill(&self) {
        self.process.kill();
        if self.process.wait(REAP_WITHIN).is_some() {
            self.console.wait_for_end();
        }
    }

    /// Waits for its end; `None` where it has not ended by then.
    pub fn wait(&self, within: Duration) -> Option<ExitStatus> {
        self.process.wait(within)
    }

    /// A handle that kills the guest from elsewhere, as a signal handler's thread does.
    pub fn killer(&self) -> Killer {
        Killer(Arc::clone(&self.process))
    }

    /// Tells it to halt and waits for its end; one that doesn't end within `within` is killed.
    ///
    /// # Errors
    /// [`GuestError::Silent`] where it had to be killed.
    pub fn halt(self, within: Duration) -> Result<(), GuestError> {
        let told = self.send(&Command::Halt);
        if self.wait(within).is_some() {
            return Ok(());
        }
        self.kill();
        told.and(Err(GuestError::Silent { waited: within, console: self.console_tail() }))
    }
}

/// Kills a guest from another thread.
#[derive(Debug, Clone)]
pub struct Killer(Arc<Process>);

impl Killer {
    /// Kills all processes of the guest; whoever waits for an event gets [`GuestError::Died`].
    pub fn kill(&self) {
        self.0.kill();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.kill();
        for thread in self.threads.drain(..) {
            // A thread of ours that panicked has nothing that could still be lost.
            thread.join().unwrap_or_default();
        }
    }
}

impl Console {
    fn keep(&self, console: PipeReader, on_console: Option<&OnConsole>) {
        for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            // Of a kernel's stack trace what it marks as doubtful would only push out what was said before.
            if line.is_empty() || line.trim_start().starts_with("[<") && line.contains(">] ? ") {
                continue;
            }
            if let Some(on_console) = on_console {
                on_console(&line);
            }
            let lines = &mut locked(&self.tail).lines;
            if lines.len() == TAIL_LINES {
                lines.pop_front();
            }
            lines.push_back(line);
        }
        locked(&self.tail).closed = true;
        self.change.notify_all();
    }

    /// Waits, for a moment at most, until the last lines of a process that has ended are read.
    fn wait_for_end(&self) {
        let waited = self.change.wait_timeout_while(locked(&self.tail), DRAIN_WITHIN, |tail| !tail.closed);
        drop(waited);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::{ConsoleTail, Guest, GuestError};
    use crate::substrate::bound::{Confinement, bind};

    /// A guest that is a shell and never heard of the channel.
    fn shell(script: &str) -> Guest {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (console, end) = std::io::pipe().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs))).stdout(end);
        let life = bind(&mut command, &[], &Confinement::default()).unwrap();
        let child = command.spawn().unwrap();
        drop(command);
        Guest::watch(child, ours, console, None, life, None)
    }

    #[test]
    fn a_guest_that_dies_is_told_with_its_last_words_and_leaves_no_child() {
        let guest = shell("echo last words; sleep 1000 & exit 7");
        let died = guest.receive(Duration::from_secs(10)).unwrap_err();
        let GuestError::Died { how, console } = died else { panic!("{died}") };
        assert_eq!((how.as_str(), console.0.as_slice()), ("exit status: 7", ["last words".to_owned()].as_slice()));
        // The console ends with the last process that holds it, and dropping waits for that.
        drop(guest);
    }

    #[test]
    fn a_silent_guest_is_killed() {
        let guest = shell("echo awake; sleep 1000");
        let silent = guest.receive(Duration::from_millis(50)).unwrap_err();
        assert!(matches!(silent, GuestError::Silent { .. }), "{silent}");
        assert!(guest.wait(Duration::ZERO).is_some());
    }

    #[test]
    fn a_process_dies_with_its_life_line() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 1000 & sleep 1000"]);
        let life = bind(&mut command, &[], &Confinement::default()).unwrap();
        let mut child = command.spawn().unwrap();
        drop((command, life));
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }

    #[test]
    fn a_consoles_last_lines_stand_below_what_happened() {
        assert_eq!(ConsoleTail(vec![]).to_string(), "its console is empty");
        let tail = ConsoleTail(vec!["Kernel panic".into(), "Call Trace".into()]);
        assert_eq!(tail.to_string(), "the last lines of its console:\n    Kernel panic\n    Call Trace");
    }
}
