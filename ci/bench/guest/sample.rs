//! A guest that is started, told an empty plan and ended, and programs that are started and do nothing.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use drlab::channel::BuildOptions;
use drlab::lab::{Lab, Silent};
use drlab::plan::Plan;
use drlab::substrate::{Cache, StartOptions, Substrate, cache::RunFolder, kernels};
use serde::{Deserialize, Serialize};

use crate::error::BenchError;
use crate::namespaces::sample::{Lab as Which, plan};

/// What came of an empty plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Booted {
    pub(crate) hello_ms: f64,
}

/// Starts a kernel with `drlab` in it, builds nothing, reads nothing, and ends it.
pub(crate) fn boot(kernel: &str, drlab: &str) -> Result<(), BenchError> {
    let failed = |what: &'static str| move |error: &dyn std::error::Error| BenchError::lab(what, error);
    let (no_kernel, no_lab) = (failed("find a kernel"), failed("run an empty plan"));
    let cache = Cache::locate().map_err(|error| no_kernel(&error))?;
    let kernel = kernels::called(&cache, kernel).map_err(|error| no_kernel(&error))?;
    let folder = RunFolder::make(&cache).map_err(|error| no_lab(&error))?;
    let plan = empty(plan(Which::Textbook)?);
    let options =
        StartOptions { kernel: Some(kernel), program: Some(PathBuf::from(drlab)), ..StartOptions::new(folder.path()) };
    let build = BuildOptions {
        output: folder.path().display().to_string(),
        tool_roots: Vec::new(),
        trees: Vec::new(),
        skip_ipvs: true,
        capture: false,
        jitter_us: 0,
        memory_mib: 0,
    };
    let begun = Instant::now();
    let mut lab = Lab::start(Substrate::Uml, &options).map_err(|error| no_lab(&error))?;
    let hello_ms = begun.elapsed().as_secs_f64() * 1e3;
    lab.build(&plan, build, &mut Silent).map_err(|error| no_lab(&error))?;
    lab.tear_down(&mut Silent).map_err(|error| no_lab(&error))?;
    say(&Booted { hello_ms })
}

/// What each act of a pass takes, in ms, in their order.
pub(crate) type Acts = Vec<(String, f64)>;

/// Makes a whole pass over a lab by hand and times each act; `count` real servers, or the textbook's where 0.
pub(crate) fn acts(kernel: &str, drlab: &str, count: &str, memory_mib: &str) -> Result<(), BenchError> {
    let number = |text: &str| text.parse::<usize>().map_err(|_| BenchError::Usage(format!("{text} is no number")));
    let which = match number(count)? {
        0 => Which::Textbook,
        count => Which::Wide(count),
    };
    let plan = plan(which)?;
    let failed = |error: &dyn std::error::Error| BenchError::lab("make a pass by hand", error);
    let cache = Cache::locate().map_err(|error| failed(&error))?;
    let kernel = kernels::called(&cache, kernel).map_err(|error| failed(&error))?;
    let folder = RunFolder::make(&cache).map_err(|error| failed(&error))?;
    let options = StartOptions {
        kernel: Some(kernel),
        program: Some(PathBuf::from(drlab)),
        memory_mib: u32::try_from(number(memory_mib)?).unwrap_or(u32::MAX),
        ..StartOptions::new(folder.path())
    };
    let build = BuildOptions {
        output: folder.path().display().to_string(),
        tool_roots: Vec::new(),
        trees: Vec::new(),
        skip_ipvs: false,
        capture: true,
        jitter_us: 0,
        memory_mib: 0,
    };
    let mut acts: Acts = Vec::new();
    let mut last = Instant::now();
    let mut done = |what: &str| {
        acts.push((what.to_owned(), last.elapsed().as_secs_f64() * 1e3));
        last = Instant::now();
    };
    let mut lab = Lab::start(Substrate::Uml, &options).map_err(|error| failed(&error))?;
    done("boot to hello");
    lab.build(&plan, build, &mut Silent).map_err(|error| failed(&error))?;
    done("build");
    lab.facts(&mut Silent).map_err(|error| failed(&error))?;
    done("read all back");
    lab.run(&mut Silent).map_err(|error| failed(&error))?;
    done("servers, load and probes");
    lab.facts(&mut Silent).map_err(|error| failed(&error))?;
    done("read all back again");
    lab.stop_capture(&mut Silent).map_err(|error| failed(&error))?;
    done("end the capture");
    lab.tear_down(&mut Silent).map_err(|error| failed(&error))?;
    done("take down and power off");
    say(&acts)
}

fn empty(plan: Plan) -> Plan {
    Plan { segments: Vec::new(), nodes: Vec::new(), timeline: Vec::new(), probes: Vec::new(), ..plan }
}

/// Starts a program that does nothing so many times, one after the other; the time of one.
pub(crate) fn exec(times: &str) -> Result<(), BenchError> {
    let times: u32 = times.parse().map_err(|_| BenchError::Usage(format!("{times} is no number")))?;
    let start = || {
        let ended = Command::new("/bin/true").stdin(Stdio::null()).status();
        ended.map(drop).map_err(BenchError::io("start /bin/true".to_owned()))
    };
    start()?;
    let begun = Instant::now();
    for _ in 0..times {
        start()?;
    }
    say(&(begun.elapsed().as_secs_f64() * 1e3 / f64::from(times)))
}

fn say(shown: &impl Serialize) -> Result<(), BenchError> {
    let text = serde_json::to_string(shown)
        .map_err(|source| BenchError::Answer { what: "the sample itself".to_owned(), source })?;
    crate::say(&text)
}
