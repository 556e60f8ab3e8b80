//! Guests that die or hang, guests side by side, and what a guest can reach of the machine.

use std::fs;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::machine;
use crate::program::Said;
use crate::running::{Ordinary, Running, drlab, is_gone, place, run_folders};
use crate::trial;

const LONG: &str = "fixtures/cli/long.toml";

/// How long it may take until a dead guest is told of.
const DEAD_WITHIN: Duration = Duration::from_secs(10);

/// How long it may take until a hung guest is: ten seconds of silence, and what a busy machine adds.
const HUNG_WITHIN: Duration = Duration::from_secs(20);

/// The same for one that never says hello: twenty seconds are allowed for that.
const BOOTED_WITHIN: Duration = Duration::from_secs(35);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_guest_that_dies_is_told_of_within_seconds", dies),
        trial("a_guest_that_hangs_in_its_timeline_is_told_of_within_seconds", || hangs("running the timeline")),
        trial("a_guest_that_hangs_while_it_builds_is_told_of_within_seconds", || hangs("making nodes and links")),
        trial("a_kernel_that_never_comes_up_is_told_with_its_consoles_last_lines", never_up),
        trial("a_panic_is_told_with_the_consoles_last_lines", panics),
        trial("a_command_that_would_not_get_through_is_refused", refuses_what_would_not_get_through),
        trial("a_guest_cannot_write_to_the_machine", writes),
        trial("an_ordinary_users_guest_cannot_write_to_the_machine", writes_as_ordinary_user),
        trial("two_runs_at_once_both_hold", two_at_once),
    ]
}

fn dies() {
    let place = place("dies");
    let run = Running::start(drlab(&place, &["run", LONG, "--substrate", "uml"]));
    let guest = run.guest();
    run.comes_to("running the timeline");
    if let Err(errno) = kill(Pid::from_raw(guest.pid), Signal::SIGKILL) {
        let ended = run.ends_within(DEAD_WITHIN);
        panic!("{guest:?} was gone already ({errno}): {}\n{}\n{}", ended.status, ended.out, ended.told);
    }
    let ended = run.ends_within(DEAD_WITHIN).with(5);
    let told = squeezed(&ended.out);
    assert!(told.contains("the lab was lost while the timeline ran"), "{}", ended.out);
    assert!(told.contains("ended on its own (signal: 9 (SIGKILL))"), "{}", ended.out);
    is_gone(&guest);
    assert!(run_folders(&place).is_empty());
}

fn hangs(stage: &'static str) {
    let place = place(&format!("hangs{}", stage.len()));
    let run = Running::start(drlab(&place, &["run", LONG, "--substrate", "uml"]));
    let guest = run.guest();
    run.comes_to(stage);
    let stopped = Instant::now();
    for process in machine::of_session(guest.pid) {
        kill(Pid::from_raw(process.pid), Signal::SIGSTOP).unwrap_or_default();
    }
    let ended = run.ends_within(HUNG_WITHIN).with(5);
    assert!(stopped.elapsed() < HUNG_WITHIN);
    assert!(
        squeezed(&ended.out).contains("nothing was heard from the lab's kernel or process for 10 s"),
        "{}",
        ended.out
    );
    is_gone(&guest);
    assert!(run_folders(&place).is_empty());
}

fn never_up() {
    let place = place("never");
    let script = "[ \"$1\" = --version ] && echo 6.1.0 && exit; echo 'planted: waiting for a disk'; sleep 1000; true";
    place.script("linux.uml", script);
    let mut command = drlab(&place, &["run", "lvs-dr", "--substrate", "uml"]);
    command.env("DRLAB_KERNEL", place.path("bin/linux.uml"));
    let run = Running::start(command);
    let guest = run.guest();
    let ended = run.ends_within(BOOTED_WITHIN).with(5);
    assert!(
        squeezed(&ended.out).contains("nothing was heard from the lab's kernel or process for 20 s"),
        "{}",
        ended.out
    );
    assert!(ended.out.contains("planted: waiting for a disk"), "{}", ended.out);
    is_gone(&guest);
    assert!(run_folders(&place).is_empty());
}

fn panics() {
    let place = place("panics");
    let script = "echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger";
    let said = Said::of(drlab(&place, &["kernel", "run", "--", "sh", "-c", script]).output().unwrap()).ends_with(5);
    assert!(said.err.contains("the last lines of its console:"), "{}", said.err);
    assert!(said.err.contains("Kernel panic - not syncing: sysrq triggered crash"), "{}", said.err);
    assert!(run_folders(&place).is_empty());
}

fn refuses_what_would_not_get_through() {
    let place = place("long-command");
    let echo = |length: usize| drlab(&place, &["kernel", "run", "--", "echo", &"a".repeat(length)]).output().unwrap();
    assert_eq!(Said::of(echo(3000)).ends_with(0).out.len(), 3001);
    let said = Said::of(echo(5000)).ends_with(2);
    assert!(said.err.contains("could not hand over a command of 50"), "{}", said.err);
    assert!(run_folders(&place).is_empty());
}

/// What a guest tries on a file of the user's.
fn attempts(file: &str) -> String {
    format!("mount -o remount,rw / ; echo broken > {file} ; chmod 777 {file} ; rm -f {file} ; echo tried")
}

fn writes() {
    let place = place("writes");
    let file = place.file("mine", b"whole");
    let said = drlab(&place, &["kernel", "run", "--", "sh", "-c", &attempts(&file)]).output().unwrap();
    let said = Said::of(said).ends_with(0);
    assert!(said.out.contains("tried"), "{}\n{}", said.out, said.err);
    assert_eq!(fs::read_to_string(&file).unwrap(), "whole");
}

fn writes_as_ordinary_user() {
    // An ordinary user's other trial is this one.
    let Some(ordinary) = Ordinary::place("writes") else { return };
    let file = ordinary.place.file("mine", b"whole");
    std::os::unix::fs::chown(&file, Some(65534), Some(65534)).unwrap();
    let said = ordinary.drlab(&["kernel", "run", "--", "sh", "-c", &attempts(&file)]).output().unwrap();
    let said = Said::of(said).ends_with(0);
    assert!(said.out.contains("tried"), "{}\n{}", said.out, said.err);
    assert_eq!(fs::read_to_string(&file).unwrap(), "whole");
}

fn two_at_once() {
    let place = place("two");
    let runs = [(); 2].map(|()| Running::start(drlab(&place, &["run", "lvs-dr", "--substrate", "uml"])));
    for run in runs {
        let ended = run.ends_within(Duration::from_mins(1)).with(0);
        assert!(ended.out.contains("HELD: all 11 checks held."), "{}", ended.out);
    }
    assert!(run_folders(&place).is_empty());
}

/// A text as its words, whatever the page's width made of it.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
