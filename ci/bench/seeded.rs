//! Runs by a seed: how many of a hundred leave the same bytes, two at a time, so that each has a loaded machine.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::error::BenchError;
use crate::figure::{Figure, Goal, Part, Samples, shown};
use crate::guest::scratch;
use crate::kernels::Kernels;
use crate::program::sample::Shown;
use crate::program::{DRLAB, TEXTBOOK, call};

const RUNS: u32 = 100;
const AT_ONCE: usize = 2;
const SEED: &str = "7";
const LEFT: [&str; 2] = ["capture.pcapng", "report.json"];

/// What a run left, and what it came to.
type Ran = (Vec<Vec<u8>>, Shown);

fn one(kernel: &str, nth: u32) -> Result<Ran, BenchError> {
    let out = scratch(&format!("seeded-{nth}"))?;
    let text = out.display().to_string();
    let run = call(DRLAB, &["run", TEXTBOOK, "--kernel", kernel, "--seed", SEED, "--quiet", "--out", &text])?;
    let what = format!("drlab run {TEXTBOOK} --seed {SEED}");
    if run.code != Some(0) {
        let said = format!("{}{}", run.stdout, run.stderr);
        return Err(BenchError::Sample { what, status: format!("exit code {:?}", run.code), said });
    }
    let read = |file: &&str| {
        let path: PathBuf = out.join(TEXTBOOK).join(file);
        fs::read(&path).map_err(BenchError::io(format!("read {}", path.display())))
    };
    let left = LEFT.iter().map(read).collect::<Result<_, _>>()?;
    fs::remove_dir_all(&out).map_err(BenchError::io(format!("remove {text}")))?;
    Ok((left, run))
}

/// Runs them all and compares.
pub(crate) fn all(kernels: &Kernels, hint: &mut dyn FnMut(&str) -> Result<(), BenchError>) -> Result<Part, BenchError> {
    let figure = |samples: Vec<f64>| Figure {
        what: format!("of {RUNS} runs of lvs-dr by one seed, those with the same capture and report, byte for byte"),
        unit: "",
        goal: Goal::AtLeast(f64::from(RUNS)),
        samples: Samples::new(samples),
    };
    let Some(own) = &kernels.own else {
        return Ok(Part { figures: vec![figure(Vec::new())], ..Part::default() });
    };
    hint(&format!("{RUNS} runs by one seed"))?;
    let (first, _) = one(&own.name, 0)?;
    let next = AtomicU32::new(0);
    let work = || -> Result<Vec<(bool, f64)>, BenchError> {
        let mut seen = Vec::new();
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= RUNS {
                return Ok(seen);
            }
            let (left, run) = one(&own.name, nth + 1)?;
            seen.push((left == first, run.wall_ms));
        }
    };
    let all: Result<Vec<_>, BenchError> = thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Ok(Vec::new()))).collect()
    });
    let all: Vec<(bool, f64)> = all?.into_iter().flatten().collect();
    let same = all.iter().filter(|(same, _)| *same).count();
    let wall = Samples::new(all.iter().map(|(_, ms)| *ms).collect());
    let details = format!(
        "## The same each time\n\n\
         `drlab run {TEXTBOOK} --seed {SEED}` {} times, {AT_ONCE} at once on two processors: {same} left the same {} and {} as \
         the first. One took {} to {} ms, median {}.\n",
        all.len(),
        LEFT[0],
        LEFT[1],
        shown(wall.min()),
        shown(wall.max()),
        shown(wall.median()),
    );
    Ok(Part { figures: vec![figure(vec![same as f64])], details, ..Part::default() })
}
