//! Labs built and taken down in namespaces of this machine's own kernel.

pub(crate) mod sample;

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::error::BenchError;
use crate::figure::{Figure, Goal, Part, Samples, shown};
use sample::{Lab, Shown, Spec};

/// How many real servers the labs have whose growth is looked at.
const SIZES: [usize; 5] = [5, 25, 50, 100, 200];
/// The size that has a goal of its own.
const LARGE: usize = 100;
/// Between these sizes the time may grow by no more than this, where 1 is as the number of nodes does: twice the nodes at
/// four times the cost would give 3.8, and `n log n` 1.34.
const GROWTH: (usize, usize) = (50, 200);
const LINEAR: f64 = 1.3;

/// Measures the textbook lab and labs of growing size, with and without capture.
pub(crate) fn all(samples: usize, hint: &mut dyn FnMut(&str) -> Result<(), BenchError>) -> Result<Part, BenchError> {
    if let Err(error) = one(Spec { lab: Lab::Textbook, capture: false }) {
        return Ok(not_measured(&error));
    }
    let mut part = Part::default();
    let mut rows = Vec::new();
    for lab in [Lab::Textbook].into_iter().chain(SIZES.map(Lab::Wide)) {
        for capture in [false, true] {
            hint(&format!("{lab}{}", with(capture)))?;
            rows.push(row(Spec { lab, capture }, samples)?);
        }
    }
    let goals = [(Lab::Textbook, 60.0), (Lab::Wide(LARGE), 1000.0)];
    for (lab, limit) in goals {
        for row in rows.iter().filter(|row| row.spec.lab == lab) {
            part.figures.push(Figure {
                what: format!("{lab} built and taken down in namespaces{}", with(row.spec.capture)),
                unit: "ms",
                goal: Goal::Under(limit),
                samples: row.total.clone(),
            });
        }
    }
    for capture in [false, true] {
        part.figures.push(Figure {
            what: format!("growth from {} to {} real servers{}, of time over nodes", GROWTH.0, GROWTH.1, with(capture)),
            unit: "×",
            goal: Goal::AtMost(LINEAR),
            samples: growth(&rows, capture),
        });
    }
    part.details = details(&rows);
    Ok(part)
}

fn not_measured(error: &BenchError) -> Part {
    let lacking = |what: &str, unit, goal| Figure { what: what.to_owned(), unit, goal, samples: Samples::new(vec![]) };
    Part {
        figures: vec![
            lacking("the textbook lab built and taken down in namespaces", "ms", Goal::Under(60.0)),
            lacking("100 real servers built and taken down in namespaces", "ms", Goal::Under(1000.0)),
        ],
        details: format!("## Labs in namespaces\n\nNot measured on this machine:\n\n```\n{error}\n```\n"),
        ..Part::default()
    }
}

fn with(capture: bool) -> &'static str {
    if capture { ", captured" } else { "" }
}

/// What the samples of one kind of lab came to, in ms.
struct Row {
    spec: Spec,
    first: Shown,
    create: f64,
    configure: f64,
    down: f64,
    cpu: f64,
    total: Samples,
}

fn row(spec: Spec, samples: usize) -> Result<Row, BenchError> {
    let first = one(spec)?;
    let mut taken = Vec::with_capacity(samples);
    for _ in 0..samples {
        taken.push(one(spec)?);
    }
    let median = |of: fn(&Shown) -> f64| Samples::new(taken.iter().map(of).collect()).median();
    Ok(Row {
        spec,
        create: median(|shown| shown.create_ms),
        configure: median(|shown| shown.configure_ms),
        down: median(|shown| shown.down_ms),
        cpu: median(|shown| shown.cpu_ms),
        total: Samples::new(taken.iter().map(Shown::total_ms).collect()),
        first,
    })
}

/// One sample, after what the kernel has put off of the last one is done.
pub(crate) fn one(spec: Spec) -> Result<Shown, BenchError> {
    let this = std::env::current_exe().map_err(BenchError::io("find this program".to_owned()))?;
    let what = format!("a sample of {}{}", spec.lab, with(spec.capture));
    let answer = Command::new(this)
        .arg("one-lab")
        .arg(spec.to_string())
        .output()
        .map_err(BenchError::io(format!("start {what}")))?;
    if !answer.status.success() {
        return Err(BenchError::Sample {
            what,
            status: answer.status.to_string(),
            said: String::from_utf8_lossy(&answer.stderr).trim().to_owned(),
        });
    }
    let shown: Shown = serde_json::from_slice(&answer.stdout).map_err(|source| BenchError::Answer { what, source })?;
    settled();
    Ok(shown)
}

/// Waits until the kernel has taken apart the namespaces of the last sample, which it does after the last holder is gone
/// and in a thread of its own, whose name says what it is at.
pub(crate) fn settled() {
    let deadline = Instant::now() + PATIENCE;
    let mut quiet = 0;
    while quiet < 3 && Instant::now() < deadline {
        std::thread::sleep(LOOK_AGAIN);
        quiet = if taking_apart() { 0 } else { quiet + 1 };
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

fn taking_apart() -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let named = processes.filter_map(|process| fs::read_to_string(process.path().join("comm")).ok());
    named.filter(|name| name.starts_with("kworker/")).any(|name| name.trim_end().ends_with("+netns"))
}

/// How the time grows over how the nodes do, of the fastest samples: what disturbs a sample only adds to it, and to the
/// long ones more than to the short ones.
fn growth(rows: &[Row], capture: bool) -> Samples {
    let of = |size| {
        let row = rows.iter().find(|row| row.spec == Spec { lab: Lab::Wide(size), capture })?;
        Some(row.total.min() / row.first.nodes as f64)
    };
    Samples::new(of(GROWTH.1).zip(of(GROWTH.0)).map(|(large, small)| large / small).into_iter().collect())
}

impl Row {
    fn per_node(&self) -> f64 {
        self.total.median() / self.first.nodes as f64
    }
}

fn details(rows: &[Row]) -> String {
    let first = rows.first().map(|row| &row.first);
    let ipvs = if first.is_some_and(|shown| shown.ipvs) { "with" } else { "without" };
    let user = first.map_or("nobody", |shown| shown.user.as_str());
    let mut text = format!(
        "## Labs in namespaces\n\n\
         This machine's own kernel, as {user}, {ipvs} the IPVS table. Each sample is a process of its own that builds the lab \
         (`create`: namespaces, file systems, interfaces, and where captured one ring per node; `configure`: sysctls, \
         addresses, routes, and waiting until every port forwards) and takes it down again, the capture's end included. \
         Times in ms, medians but for min and max; \
         `processor` is the time that the lab's processes kept a processor busy.\n\n\
         | lab | nodes | captured | create | configure | take down | min | median | max | per node | processor, per node |\n\
         |---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|\n"
    );
    for row in rows {
        let cells = [row.create, row.configure, row.down, row.total.min(), row.total.median(), row.total.max()];
        // Writing to a String can't fail.
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            row.spec.lab,
            row.first.nodes,
            if row.spec.capture { "yes" } else { "no" },
            cells.map(shown).join(" | "),
            shown(row.per_node()),
            shown(row.cpu / row.first.nodes as f64),
        )
        .unwrap_or_default();
    }
    text
}
