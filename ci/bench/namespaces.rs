//! Labs built and taken down in namespaces of this machine's own kernel.

pub(crate) mod sample;

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use crate::error::BenchError;
use crate::figure::{Figure, Goal, Part, Samples, shown};
use sample::{Lab, Shown, Spec};

/// How many real servers the labs have whose growth is looked at.
const SIZES: [usize; 5] = [5, 25, 50, 100, 200];
/// The size that has a goal of its own.
const LARGE: usize = 100;
/// What the dearest node may cost compared with the cheapest for the growth to count as linear.
const LINEAR: f64 = 1.5;

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
            what: format!("time per node{}: dearest over cheapest of {SIZES:?} real servers", with(capture)),
            unit: "×",
            goal: Goal::AtMost(LINEAR),
            samples: growth(rows.iter().filter(|row| row.spec.capture == capture)),
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
        total: Samples::new(taken.iter().map(Shown::total_ms).collect()),
        first,
    })
}

/// One sample, after what the kernel has put off of the last one is done.
fn one(spec: Spec) -> Result<Shown, BenchError> {
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
    std::thread::sleep(PAUSE + PAUSE_PER_NODE * u32::try_from(shown.nodes).unwrap_or(u32::MAX));
    Ok(shown)
}

/// The kernel takes namespaces apart after their last holder is gone. It says nowhere that it is done, so each sample is
/// given twice the time that was seen to do.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_PER_NODE: Duration = Duration::from_millis(2);

/// The dearest node over the cheapest, of the medians.
fn growth<'a>(rows: impl Iterator<Item = &'a Row>) -> Samples {
    let per_node = rows.filter(|row| row.spec.lab != Lab::Textbook).map(Row::per_node);
    let per_node = Samples::new(per_node.collect());
    Samples::new(vec![per_node.max() / per_node.min()])
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
         Times in ms, medians but for the last columns.\n\n\
         | lab | nodes | captured | create | configure | take down | min | median | max | per node |\n\
         |---|--:|---|--:|--:|--:|--:|--:|--:|--:|\n"
    );
    for row in rows {
        let cells = [row.create, row.configure, row.down, row.total.min(), row.total.median(), row.total.max()];
        // Writing to a String can't fail.
        writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            row.spec.lab,
            row.first.nodes,
            if row.spec.capture { "yes" } else { "no" },
            cells.map(shown).join(" | "),
            shown(row.per_node()),
        )
        .unwrap_or_default();
    }
    text
}
