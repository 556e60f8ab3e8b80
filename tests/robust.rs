//! Labs that are stopped, killed, or go wrong: they leave nothing on the machine, and what happened is told.
//!
//! Each trial is the real program with a real kernel, in a folder of its own. Waiting is for a stated condition, with a
//! deadline; without a kernel that can hold a lab all of this fails, and never passes for want of one.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this is test code, which the lints recognise only in functions marked as tests"
)]

#[path = "robust/guests.rs"]
mod guests;
#[path = "robust/machine.rs"]
mod machine;
#[path = "cli/program.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod program;
#[path = "robust/programs.rs"]
mod programs;
#[path = "robust/running.rs"]
mod running;
#[path = "robust/stopping.rs"]
mod stopping;
#[path = "robust/verdicts.rs"]
mod verdicts;

use libtest_mimic::{Arguments, Trial};

fn main() {
    program::take_signals_as_usual();
    let mut arguments = Arguments::from_args();
    // Each lab is a kernel of its own; more at once than there are processors only makes them slow.
    arguments.test_threads = arguments.test_threads.or(Some(2));
    let trials = [stopping::trials(), guests::trials(), programs::trials(), verdicts::trials()];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit();
}

/// A trial that fails by a panic.
fn trial(name: impl Into<String>, run: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}
