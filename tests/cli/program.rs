//! Running the real program in a place of its own: no home, cache or setting of whoever runs the tests is seen by it.

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{SigHandler, Signal, signal};

/// A folder that is empty at first; its cache folder is not made.
pub(crate) struct Place(PathBuf);

/// What a program said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    code: Option<i32>,
}

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        Self::at(Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(name))
    }

    pub(crate) fn at(path: PathBuf) -> Self {
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{}: {error}", path.display()),
            _ => {}
        }
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.0.join("cache")
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub(crate) fn file(&self, name: &str, text: &[u8]) -> String {
        fs::write(self.0.join(name), text).unwrap();
        self.path(name)
    }

    /// A program in the folder `bin`.
    pub(crate) fn script(&self, name: &str, script: &str) {
        fs::create_dir_all(self.0.join("bin")).unwrap();
        let path = self.0.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn drlab(&self, arguments: &[&str]) -> Said {
        Said::of(self.program(arguments).output().unwrap())
    }

    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Said {
        Said::of(self.with(program, arguments).output().unwrap())
    }

    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        self.with(env!("CARGO_BIN_EXE_drlab"), arguments)
    }

    pub(crate) fn with(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.0)
            .env("DRLAB_CACHE", self.cache())
            .stdin(Stdio::null());
        command
    }
}

impl Said {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            out: String::from_utf8(output.stdout).expect("stdout is text"),
            err: String::from_utf8(output.stderr).expect("stderr is text"),
            code: output.status.code(),
        }
    }

    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        self
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("stdout is no JSON ({error}):\n{}", self.out))
    }
}

/// A shell may have had us ignore signals, and what we start would ignore them, too.
pub(crate) fn take_signals_as_usual() {
    for number in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        #[expect(unsafe_code, reason = "setting what a signal does is unsafe for the handlers that it could set")]
        // SAFETY: the default is no handler of ours.
        unsafe { signal(number, SigHandler::SigDfl) }.unwrap();
    }
}

/// All that a command writes to a terminal.
pub(crate) fn in_terminal(command: &mut Command) -> String {
    let pty = nix::pty::openpty(None, None).unwrap();
    let end = || Stdio::from(pty.slave.try_clone().unwrap());
    let mut child = command.env("TERM", "xterm").stdout(end()).stderr(end()).spawn().unwrap();
    command.stdout(Stdio::null()).stderr(Stdio::null());
    drop(pty.slave);
    let mut seen = Vec::new();
    // Once nobody holds the other end, reading fails rather than ends.
    drop(File::from(pty.master).read_to_end(&mut seen));
    child.wait().unwrap();
    String::from_utf8(seen).unwrap()
}
