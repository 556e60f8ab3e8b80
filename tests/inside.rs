//! Labs built for real: on this machine where it is root, and in User-Mode Linux where `DRLAB_TEST_UML` names a kernel.
//! arptables and iptables are the machine's, or below the folders that `DRLAB_TEST_TOOLS` names.
//!
//! A node begins as a copy of a process with one thread, so that each case runs in a process of its own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "all of this is test code, which the lints recognise only in functions marked as tests"
)]

#[path = "inside/cases.rs"]
mod cases;
#[path = "inside/guest.rs"]
mod guest;
#[path = "inside/labs.rs"]
mod labs;
#[path = "inside/programs.rs"]
mod programs;
#[path = "inside/table.rs"]
mod table;

use std::path::Path;
use std::process::{Command, ExitCode};

use cases::CASES;
use libtest_mimic::{Arguments, Failed, Trial};
use nix::unistd::{AccessFlags, access};

fn main() -> ExitCode {
    if std::process::id() == 1 {
        guest::run();
    }
    if let Ok(case) = std::env::var("DRLAB_TEST_CASE") {
        cases::run(&case);
        return ExitCode::SUCCESS;
    }
    let root = nix::unistd::geteuid().is_root();
    let kernel = std::env::var("DRLAB_TEST_UML").ok();
    let mut trials = Vec::new();
    let groups = can_bound_processes();
    for (case, _, needs_modules) in CASES {
        // A container may have no control groups, and programs in nodes are bounded by them.
        let lacks = if !root {
            Some("lacks root")
        } else if *needs_modules {
            Some("lacks modules")
        } else if !groups && programs::CASES.contains(case) {
            Some("lacks control groups")
        } else {
            None
        };
        let trial = Trial::test(format!("host::{case}"), || alone(case)).with_ignored_flag(lacks.is_some());
        trials.push(lacks.into_iter().fold(trial, Trial::with_kind));
        let uml = kernel.clone();
        let trial = Trial::test(format!("uml::{case}"), move || guest::boot(&uml.unwrap_or_default(), case));
        let trial = trial.with_ignored_flag(kernel.is_none());
        trials.push(if kernel.is_some() { trial } else { trial.with_kind("lacks DRLAB_TEST_UML") });
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Whether this machine has the controller `pids`, in a tree of its own or handed out by the one tree, and lets us write there.
fn can_bound_processes() -> bool {
    let all = Path::new("/sys/fs/cgroup");
    let hands_out = std::fs::read_to_string(all.join("cgroup.controllers"))
        .is_ok_and(|names| names.split_whitespace().any(|name| name == "pids"));
    let tree = if hands_out { all.to_owned() } else { all.join("pids") };
    access(&tree.join("cgroup.procs"), AccessFlags::W_OK).is_ok()
}

fn alone(case: &str) -> Result<(), Failed> {
    let output = Command::new(std::env::current_exe()?).env("DRLAB_TEST_CASE", case).output()?;
    told(output.status.success(), &output.stdout, &output.stderr)
}

fn told(held: bool, stdout: &[u8], stderr: &[u8]) -> Result<(), Failed> {
    let text = format!("{}{}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr));
    if std::env::var_os("DRLAB_TEST_SHOW").is_some() {
        println!("{text}");
    }
    if held { Ok(()) } else { Err(text.into()) }
}
