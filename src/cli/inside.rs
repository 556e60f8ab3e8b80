//! `drlab inside`: the process that a substrate starts.

use std::path::PathBuf;

use nix::sys::utsname::uname;

use super::{Exit, complain, complain_of};
use crate::inside::boot::{self, Boot};
use crate::inside::orders;

/// Does the first steps and carries out commands until told to stop.
pub fn inside(how: &str, boot_file: Option<PathBuf>, channel: Option<i32>) -> Exit {
    let boot = match (how, boot_file, channel) {
        ("uml", Some(boot_file), _) => Boot::Uml { boot_file },
        ("qemu", Some(boot_file), _) => Boot::Qemu { boot_file },
        ("host", _, Some(channel)) => Boot::Host { channel },
        _ => {
            complain("drlab: `drlab inside` is started by drlab itself; see `drlab run --help`");
            return Exit::Usage;
        }
    };
    let exit = run(&boot);
    boot::leave(&boot);
    exit
}

fn run(boot: &Boot) -> Exit {
    let booted = match boot::boot(boot) {
        Ok(booted) => booted,
        Err(error) => {
            complain_of(&error);
            return Exit::Lab;
        }
    };
    let kernel = uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default();
    match orders::carry_out(booted, kernel) {
        Ok(()) => Exit::AsExpected,
        Err(error) => {
            complain_of(&error);
            Exit::Lab
        }
    }
}
