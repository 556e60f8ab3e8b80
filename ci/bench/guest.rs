//! What a guest costs before it does anything, and what a lab's time is made of: starting programs, the kernel's own
//! work, and drlab's.

pub(crate) mod sample;

use std::fmt::Write as _;
use std::path::Path;

use drlab::substrate::Kernel;
use serde::de::DeserializeOwned;

use crate::error::BenchError;
use crate::figure::{Figure, Goal, Part, Samples, shown};
use crate::kernels::Kernels;
use crate::program::sample::Shown;
use crate::program::{DRLAB, TEXTBOOK, call};
use sample::Booted;

/// The real servers of the textbook lab, for the bare messages that build the like.
const REAL_SERVERS: &str = "2";
/// How many programs are started for one figure.
const STARTED: &str = "50";
/// Memory of a guest in which drlab itself runs, in MiB.
const ROOMY_MIB: &str = "768";

/// One sample in a process of its own.
fn alone<T: DeserializeOwned>(arguments: &[&str]) -> Result<T, BenchError> {
    let this = this()?;
    let run = call(&this, arguments)?;
    answer(&arguments.join(" "), &run)
}

fn this() -> Result<String, BenchError> {
    let this = std::env::current_exe().map_err(BenchError::io("find this program".to_owned()))?;
    Ok(this.display().to_string())
}

fn answer<T: DeserializeOwned>(what: &str, run: &Shown) -> Result<T, BenchError> {
    if run.code != Some(0) {
        let status = run.code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
        let said = format!("{}{}", run.stdout, run.stderr);
        return Err(BenchError::Sample { what: what.to_owned(), status, said });
    }
    serde_json::from_str(&run.stdout).map_err(|source| BenchError::Answer { what: what.to_owned(), source })
}

/// What this program says in a guest of that kernel, where it is root.
pub(crate) fn inside<T: DeserializeOwned>(kernel: &Kernel, arguments: &[&str]) -> Result<T, BenchError> {
    let this = this()?;
    // What is on the machine belongs to an ordinary user, who is not the guest's root.
    let mut words =
        vec!["kernel", "run", "--kernel", &kernel.name, "--memory", ROOMY_MIB, "--", "env", "DRLAB_CACHE=/tmp/cache"];
    words.push(&this);
    words.extend(arguments);
    let run = call(DRLAB, &words)?;
    answer(&format!("{} in a guest", arguments.join(" ")), &run)
}

/// Measures boot, the empty plan, the host substrate inside a guest, and what a lab is made of.
pub(crate) fn all(
    kernels: &Kernels,
    samples: usize,
    hint: &mut dyn FnMut(&str) -> Result<(), BenchError>,
) -> Result<Part, BenchError> {
    let mut part = Part::default();
    let Some(own) = &kernels.own else {
        part.figures = figures(&[], &[]);
        "## What the limit is made of\n\nNot measured: drlab's own kernel is not here.\n".clone_into(&mut part.details);
        return Ok(part);
    };
    hint("an empty plan")?;
    let image = own.image.display().to_string();
    let booted = |_| alone_timed(&["one-boot", &own.name, DRLAB]);
    let empty: Vec<(Shown, Booted)> = (0..=samples).map(booted).skip(1).collect::<Result<_, _>>()?;
    hint("the host substrate in a guest")?;
    let mut hosted = Vec::new();
    for _ in 0..samples.min(5) {
        let run: Shown = inside(own, &["one-run", DRLAB, "run", TEXTBOOK, "--substrate", "host"])?;
        if run.code != Some(0) {
            let what = "drlab run --substrate host in a guest".to_owned();
            let said = format!("{}{}", run.stdout, run.stderr);
            return Err(BenchError::Sample { what, status: format!("exit code {:?}", run.code), said });
        }
        hosted.push(run);
    }
    hint("what a lab is made of")?;
    let median = |values: Vec<f64>| Samples::new(values).median();
    let exec: f64 = alone(&["one-exec", STARTED])?;
    let exec_inside: f64 = inside(own, &["one-exec", STARTED])?;
    let version = median((0..5).map(|_| call(DRLAB, &["--version"]).map(|run| run.wall_ms)).collect::<Result<_, _>>()?);
    let asked = median((0..5).map(|_| call(&image, &["--version"]).map(|run| run.wall_ms)).collect::<Result<_, _>>()?);
    let (mut bare_here, mut bare_inside) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        bare_here.push(alone::<[f64; 2]>(&["one-bare", REAL_SERVERS])?);
        bare_inside.push(inside::<[f64; 2]>(own, &["one-bare", REAL_SERVERS])?);
    }
    let both = |times: &[[f64; 2]], at: usize| Samples::new(times.iter().map(|time| time[at]).collect()).median();
    let hello = median(empty.iter().map(|(_, booted)| booted.hello_ms).collect());
    let whole = median(empty.iter().map(|(run, _)| run.wall_ms).collect());
    part.figures = figures(&empty, &hosted);
    let rows = [
        ("start a program on this machine: fork, exec and end of `true`", exec),
        ("`drlab --version`: exec, load and end of drlab", version),
        ("User-Mode Linux's own program before it boots, as `linux --version`", asked),
        ("from there to `inside`'s hello: the kernel's boot, exec of drlab as init, mounts", hello - asked),
        ("from hello to the end of an empty plan: orders, power-off, end of the process", whole - hello - version),
        ("start a program in that guest", exec_inside),
        ("the same lab's bare netlink messages on this machine, sent by one thread", both(&bare_here, 0)),
        ("the same in that guest: the kernel's own work of building", both(&bare_inside, 0)),
        ("taking the same apart in that guest", both(&bare_inside, 1)),
    ];
    let mut text = "\
## What the limit is made of\n\n\
Medians in ms, drlab's own kernel. `drlab run lvs-dr` starts two programs: User-Mode Linux, and in it drlab as the first process; each \
of the five nodes is a fork of that one. What the table above has beyond these rows is drlab's: reading and \
compiling, workers, sysctls and IPVS, waiting until ports forward, the servers, the load with its answers, reading back \
all that was set, and judging. The host substrate is measured in that guest where a machine has no ip_vs: there each system call is \
two switches of processes (`ptrace`), and starting a program takes what this table says.\n\n| what | ms |\n|---|--:|\n"
        .to_owned();
    for (what, ms) in rows {
        // Writing to a String can't fail.
        writeln!(text, "| {what} | {} |", shown(ms)).unwrap_or_default();
    }
    part.details = text;
    Ok(part)
}

/// A sample's own words, and what its process came to.
fn alone_timed<T: DeserializeOwned>(arguments: &[&str]) -> Result<(Shown, T), BenchError> {
    let run = call(&this()?, arguments)?;
    let told = answer(&arguments.join(" "), &run)?;
    Ok((run, told))
}

fn figures(empty: &[(Shown, Booted)], hosted: &[Shown]) -> Vec<Figure> {
    let figure = |what: &str, goal, values: Vec<f64>| Figure {
        what: what.to_owned(),
        unit: "ms",
        goal: Goal::Under(goal),
        samples: Samples::new(values),
    };
    let ratio = |what: &str, value: f64| Figure::once(what.to_owned(), "×", Goal::Less, value);
    let median = |values: Vec<f64>| Samples::new(values).median();
    let whole = median(empty.iter().map(|(run, _)| run.wall_ms).collect());
    let hello = median(empty.iter().map(|(_, booted)| booted.hello_ms).collect());
    vec![
        figure(
            "boot to `inside`'s hello, drlab's own kernel",
            250.0,
            empty.iter().map(|(_, booted)| booted.hello_ms).collect(),
        ),
        figure(
            "the whole process with an empty plan, drlab's own kernel",
            350.0,
            empty.iter().map(|(run, _)| run.wall_ms).collect(),
        ),
        figure(
            "`drlab run lvs-dr` on a host that has ip_vs: as root in a guest of drlab's own kernel, one processor",
            300.0,
            hosted.iter().map(|run| run.wall_ms).collect(),
        ),
        ratio("the whole process with an empty plan over boot to hello", whole / hello),
    ]
}

/// Where scenarios and results of samples go.
pub(crate) fn scratch(name: &str) -> Result<std::path::PathBuf, BenchError> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench").join(name);
    std::fs::create_dir_all(&folder).map_err(BenchError::io(format!("make {}", folder.display())))?;
    Ok(folder)
}
