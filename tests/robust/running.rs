//! A run of drlab that can be watched, sent signals and looked through while it goes on.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::machine::{self, Machine, Process, SOON, until};
use crate::program::Place;

/// How long a lab may take to come to some stage, or to end.
const AT_LENGTH: Duration = Duration::from_mins(1);

/// The kernel that all trials use, as the program itself finds it.
static KERNEL: LazyLock<PathBuf> = LazyLock::new(|| {
    let found = Command::new(env!("CARGO_BIN_EXE_drlab")).args(["kernel", "path"]).output().unwrap();
    assert!(found.status.success(), "no kernel to test with: `drlab kernel fetch` fetches one");
    PathBuf::from(String::from_utf8(found.stdout).unwrap().trim())
});

/// A place for a trial's runs, with a short name: paths of sockets are limited.
pub(crate) fn place(name: &str) -> Place {
    Place::at(Path::new(env!("CARGO_TARGET_TMPDIR")).join("r").join(name))
}

/// A place whose owner is an ordinary user, with a program and kernel that this user can read. `None` where we are an
/// ordinary user ourselves.
pub(crate) struct Ordinary {
    pub(crate) place: Place,
    root: PathBuf,
}

const NOBODY: u32 = 65534;

impl Ordinary {
    pub(crate) fn place(name: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            return None;
        }
        let root = std::env::temp_dir().join(format!("drlab-robust-{}-{name}", std::process::id()));
        let place = Place::at(root.clone());
        fs::create_dir_all(root.join("usr/lib")).unwrap();
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::copy(&*KERNEL, root.join("usr/bin/linux.uml")).unwrap();
        // A kernel of drlab's own has everything built in.
        let modules = KERNEL.parent().unwrap().parent().unwrap().join("lib/uml");
        if modules.is_dir() {
            let copied = Command::new("cp").arg("-a").args([modules, root.join("usr/lib/uml")]).status().unwrap();
            assert!(copied.success());
        }
        fs::copy(env!("CARGO_BIN_EXE_drlab"), root.join("drlab")).unwrap();
        let owned = Command::new("chown").args(["-R", &format!("{NOBODY}:{NOBODY}")]).arg(&root).status().unwrap();
        assert!(owned.success());
        Some(Self { place, root })
    }

    pub(crate) fn drlab(&self, arguments: &[&str]) -> Command {
        let user = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".to_owned()];
        let program = self.root.join("drlab").display().to_string();
        let mut words: Vec<&str> = user.iter().map(String::as_str).collect();
        words.push(&program);
        words.extend(arguments);
        let mut command = self.place.with("setpriv", &words);
        command.env("DRLAB_KERNEL", self.root.join("usr/bin/linux.uml"));
        command
    }
}

impl Drop for Ordinary {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.root).unwrap();
    }
}

/// drlab with the trials' kernel.
pub(crate) fn drlab(place: &Place, arguments: &[&str]) -> Command {
    let mut command = place.program(arguments);
    command.env("DRLAB_KERNEL", &*KERNEL);
    command
}

/// A run that goes on; what it writes to its terminal is read as it comes.
pub(crate) struct Running {
    child: Child,
    reader: Option<JoinHandle<()>>,
    results: Option<JoinHandle<String>>,
    told: Arc<Mutex<String>>,
    machine: Machine,
}

/// How a run ended and what it said.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) told: String,
}

impl Running {
    /// Starts it with a terminal for its messages and progress.
    pub(crate) fn start(mut command: Command) -> Self {
        let machine = Machine::look();
        let pty = nix::pty::openpty(None, None).unwrap();
        let mut child = command.env("TERM", "xterm").stdout(Stdio::piped()).stderr(pty.slave).spawn().unwrap();
        // The command holds the terminal's end that must close with the child.
        drop(command);
        let told = Arc::new(Mutex::new(String::new()));
        let reader = std::thread::spawn({
            let told = Arc::clone(&told);
            move || read_terminal(pty.master, &told)
        });
        let mut out = child.stdout.take().unwrap();
        let results = std::thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            text
        });
        Self { child, reader: Some(reader), results: Some(results), told, machine }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn told(&self) -> String {
        self.told.lock().unwrap().clone()
    }

    /// Waits until it says that it is doing something.
    pub(crate) fn comes_to(&self, stage: &str) {
        until(AT_LENGTH, stage, || {
            let told = self.told();
            if told.contains(stage) { Ok(()) } else { Err(told) }
        });
    }

    /// The first process of its guest.
    pub(crate) fn guest(&self) -> Process {
        let parent = self.pid().cast_signed();
        until(AT_LENGTH, "a guest", || {
            let children: Vec<Process> = machine::living().into_iter().filter(|one| one.parent == parent).collect();
            // A kernel's program that is only asked for its version leads a session, too.
            children.iter().find(|one| one.leads() && one.was_given_memory()).cloned().ok_or(format!("{children:?}"))
        })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().cast_signed()), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn ends_within(mut self, within: Duration) -> Ended {
        let status = until(within, "the end of the run", || match self.child.try_wait().unwrap() {
            Some(status) => Ok(status),
            None => Err(self.told()),
        });
        // A guest that outlived it would hold the terminal and the pipe open.
        let (reader, results) = (self.reader.take().unwrap(), self.results.take().unwrap());
        until(SOON, "the end of what it wrote", || {
            if reader.is_finished() && results.is_finished() { Ok(()) } else { Err("still open".to_owned()) }
        });
        let strays = machine::strays(self.child.id());
        assert!(strays.is_empty(), "left behind: {strays:?}");
        until(SOON, "the machine as it was", || self.machine.is_unchanged());
        reader.join().unwrap();
        Ended { status, out: results.join().unwrap(), told: self.told() }
    }
}

impl Drop for Running {
    /// A trial that failed in the middle leaves nothing either.
    fn drop(&mut self) {
        if self.results.is_some() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

impl Ended {
    pub(crate) fn with(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "stdout:\n{}\nterminal:\n{}", self.out, self.told);
        assert!(!self.told.contains("panicked"), "{}", self.told);
        self
    }
}

fn read_terminal(master: OwnedFd, told: &Mutex<String>) {
    let mut terminal = File::from(master);
    let mut buffer = [0; 4096];
    // Once nobody holds the other end, reading fails rather than ends.
    while let Ok(count @ 1..) = terminal.read(&mut buffer) {
        told.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
}

/// No process of the guest lives any more.
pub(crate) fn is_gone(guest: &Process) {
    until(SOON, "the end of all processes of the guest", || {
        let left = machine::of_session(guest.pid);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

/// The folders of runs that are in a place's cache.
pub(crate) fn run_folders(place: &Place) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.cache().join("runs")).unwrap().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}
