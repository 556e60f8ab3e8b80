//! Runs that are stopped by a signal, at whatever they are doing.

use std::path::Path;
use std::time::Duration;

use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use crate::program::Said;
use crate::running::{Ordinary, Running, drlab, is_gone, place, run_folders};
use crate::trial;

/// How long leaving may take once it is asked for; it takes some 50 ms on an idle machine.
const LEAVING: Duration = Duration::from_secs(10);

/// A scenario that would run for minutes.
const LONG: &str = "fixtures/cli/long.toml";

/// What a run says that it is doing, in order.
const STAGES: [&str; 4] = ["starting a kernel", "making nodes and links", "configuring nodes", "running the timeline"];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (nth, stage) in STAGES.into_iter().enumerate() {
        trials.push(trial(format!("ctrl_c_while_{}", word(stage)), move || interrupted(nth, stage, Signal::SIGINT)));
        trials.push(trial(format!("kill_9_while_{}", word(stage)), move || killed(nth, stage)));
    }
    for (nth, signal) in [Signal::SIGTERM, Signal::SIGHUP].into_iter().enumerate() {
        let name = format!("{}_is_as_ctrl_c", signal.as_str().to_lowercase());
        trials.push(trial(name, move || interrupted(10 + nth, STAGES[3], signal)));
    }
    trials.push(trial("ctrl_c_near_the_end_leaves_nothing", near_the_end));
    trials.push(trial("a_second_signal_leaves_at_once", twice));
    trials.push(trial("ctrl_c_ends_every_one_of_several_labs", several));
    trials.push(trial("kill_9_of_an_ordinary_users_run", killed_as_ordinary_user));
    trials.push(trial("ctrl_c_ends_a_command_in_a_guest", command_interrupted));
    trials
}

fn word(stage: &str) -> String {
    stage.replace(' ', "_")
}

fn interrupted(nth: usize, stage: &str, signal: Signal) {
    let place = place(&format!("int{nth}"));
    let run = Running::start(drlab(&place, &["run", LONG, "--substrate", "uml"]));
    let guest = run.guest();
    run.comes_to(stage);
    run.signal(signal);
    let ended = run.ends_within(LEAVING).with(130);
    assert!(ended.told.contains("drlab: interrupted; the lab was taken down"), "{}", ended.told);
    assert_eq!(ended.out, "", "there is nothing to report");
    is_gone(&guest);
    assert!(run_folders(&place).is_empty(), "{:?}", run_folders(&place));
}

fn killed(nth: usize, stage: &str) {
    let place = place(&format!("kill{nth}"));
    let run = Running::start(drlab(&place, &["run", LONG, "--substrate", "uml"]));
    let guest = run.guest();
    run.comes_to(stage);
    run.signal(Signal::SIGKILL);
    run.ends_within(LEAVING);
    is_gone(&guest);
    swept(&place, drlab(&place, &["run", "lvs-dr", "--substrate", "uml"]));
}

/// The next run works and removes what the dead one left in the cache.
fn swept(place: &crate::program::Place, mut next: std::process::Command) {
    assert!(!run_folders(place).is_empty(), "the dead run had a folder");
    Said::of(next.output().unwrap()).ends_with(0);
    assert!(run_folders(place).is_empty(), "{:?}", run_folders(place));
}

fn near_the_end() {
    let place = place("end");
    let out = place.path("out");
    let run = Running::start(drlab(&place, &["run", "lvs-dr", "--substrate", "uml", "--out", &out]));
    let guest = run.guest();
    run.comes_to("taking the lab down");
    run.signal(Signal::SIGINT);
    let ended = run.ends_within(LEAVING);
    // It may have been as good as done when the signal came.
    assert!(matches!(ended.status.code(), Some(0 | 130)), "{}\n{}", ended.status, ended.told);
    is_gone(&guest);
    assert!(run_folders(&place).is_empty());
    let report = Path::new(&out).join("basic/lvs-dr/report.json");
    serde_json::from_slice::<serde_json::Value>(&std::fs::read(report).unwrap()).expect("the report is whole");
}

fn twice() {
    let place = place("twice");
    let run = Running::start(drlab(&place, &["run", LONG, "--substrate", "uml"]));
    let guest = run.guest();
    run.comes_to(STAGES[3]);
    run.signal(Signal::SIGINT);
    run.signal(Signal::SIGTERM);
    let ended = run.ends_within(LEAVING).with(130);
    // The first signal's teardown may have been done by then.
    if ended.told.contains("left at once; this remains") {
        for folder in run_folders(&place) {
            let listed = ended.told.lines().any(|line| line.trim().ends_with(&*folder.to_string_lossy()));
            assert!(listed, "{} is not listed in {}", folder.display(), ended.told);
        }
    }
    is_gone(&guest);
    Said::of(drlab(&place, &["run", "lvs-dr", "--substrate", "uml"]).output().unwrap()).ends_with(0);
    assert!(run_folders(&place).is_empty(), "{:?}", run_folders(&place));
}

fn several() {
    let place = place("several");
    let text = std::fs::read(LONG).unwrap();
    let files = ["a.toml", "b.toml", "c.toml"].map(|name| place.file(name, &text));
    let run = Running::start(drlab(
        &place,
        &["run", &files[0], &files[1], &files[2], "--jobs", "2", "--substrate", "uml", "--format", "json"],
    ));
    let guest = run.guest();
    for name in ["[1/3] a: running the timeline", "[2/3] b: running the timeline"] {
        run.comes_to(name);
    }
    run.signal(Signal::SIGINT);
    let ended = run.ends_within(LEAVING).with(130);
    is_gone(&guest);
    let reports: serde_json::Value = serde_json::from_str(&ended.out).expect("the result is JSON");
    // The third was never begun.
    assert_eq!(reports.as_array().unwrap().len(), 2, "{reports}");
    assert!(reports.as_array().unwrap().iter().all(|report| report["verdict"] == "not-run"));
    assert!(run_folders(&place).is_empty(), "{:?}", run_folders(&place));
}

fn killed_as_ordinary_user() {
    // An ordinary user's other trials are of this kind already.
    let Some(ordinary) = Ordinary::place("kill") else { return };
    let run = Running::start(ordinary.drlab(&["run", "lvs-dr", "--substrate", "uml"]));
    let guest = run.guest();
    run.comes_to(STAGES[1]);
    run.signal(Signal::SIGKILL);
    run.ends_within(LEAVING);
    is_gone(&guest);
    swept(&ordinary.place, ordinary.drlab(&["run", "lvs-dr", "--substrate", "uml"]));
}

fn command_interrupted() {
    let place = place("command");
    let run = Running::start(drlab(&place, &["kernel", "run", "--", "sleep", "1000"]));
    let guest = run.guest();
    run.signal(Signal::SIGINT);
    run.ends_within(LEAVING).with(130);
    is_gone(&guest);
    assert!(run_folders(&place).is_empty(), "{:?}", run_folders(&place));
}
