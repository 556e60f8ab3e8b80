//! `drlab analyze` on a long capture, beside tshark on the same file in the same run.

mod repeated;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use crate::error::BenchError;
use crate::figure::{Figure, Goal, Part, Samples, shown};
use crate::program::sample::Shown;
use crate::program::{DRLAB, call};
use repeated::Written;

const TEXTBOOK: &str = "basic/lvs-dr";
const VIP: &str = "172.16.0.66";
const PORT: u16 = 80;
const LONG_BYTES: u64 = 1_000_000_000;
/// A tenth of it, for how the cost grows.
const SHORT_BYTES: u64 = 100_000_000;
/// Processor time for each frame of the long one over that of the short one.
const LINEAR: f64 = 1.25;
const SAMPLES: usize = 5;

/// What `perf record` says of where the time goes, and what follows for the goal that is not reached.
const LIMIT: &str = "
Where drlab's time goes, by `perf`: a third is finding each frame's conversation and packet and comparing its bytes with those of the \
hop before, a quarter taking pcapng blocks apart and handing them on, 23 % comparing conversations that are over with those that are \
held, 5 % looking at headers, and under a tenth the kernel's copying of the file out of the page cache, as pieces are read that fit a \
processor's cache. Checks, rules and report see only what is held, and take milliseconds. All of it is one thread's. Where 50 times as \
fast as tshark is not reached, it would take a second thread that reads, takes blocks apart and looks at headers, and hands whole \
pieces over: that would hide about two fifths of the time behind the rest, and cost no less processor time.
";

/// A capture of the textbook lab, and a long one made of it.
fn captures(bytes: u64) -> Result<(PathBuf, Written), BenchError> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-capture");
    let text = folder.display().to_string();
    let run = call(DRLAB, &["run", TEXTBOOK, "--quiet", "--out", &text])?;
    if run.code != Some(0) {
        return Err(BenchError::Sample {
            what: format!("drlab run {TEXTBOOK}"),
            status: format!("exit code {:?}", run.code),
            said: run.stderr,
        });
    }
    let short = folder.join(TEXTBOOK).join("capture.pcapng");
    let source = fs::read(&short).map_err(BenchError::io(format!("read {}", short.display())))?;
    let long = folder.join(format!("of-{bytes}.pcapng"));
    let file = File::create(&long).map_err(BenchError::io(format!("write {}", long.display())))?;
    let written = repeated::repeat(&source, PORT, bytes, &mut BufWriter::with_capacity(1 << 20, file));
    Ok((long.clone(), written.map_err(BenchError::io(format!("write {}", long.display())))?))
}

/// Leaves such a capture where it is, to profile by.
pub(crate) fn leave(bytes: &str) -> Result<(), BenchError> {
    let bytes = bytes.parse().map_err(|_| BenchError::Usage(format!("{bytes} is no number")))?;
    crate::say(&format!("{}\n", captures(bytes)?.0.display()))
}

/// Measures both.
pub(crate) fn all(hint: &mut dyn FnMut(&str) -> Result<(), BenchError>) -> Result<Part, BenchError> {
    hint("a capture of 1 GB")?;
    let (long, written) = captures(LONG_BYTES)?;
    let path = long.display().to_string();
    let own = || call(DRLAB, &["analyze", &path, "--vip", VIP]);
    let first = own()?;
    let judged = first.code == Some(0);
    let mut runs = Vec::new();
    let mut others = Vec::new();
    for nth in 0..SAMPLES {
        hint(&format!("drlab and tshark on it, {} of {SAMPLES}", nth + 1))?;
        runs.push(own()?);
        // Both are slow on the same file; one in two of the slower one will do.
        if nth % 2 == 0 {
            others.extend(call("tshark", &["-n", "-q", "-z", "conv,tcp", "-r", &path]).ok());
        }
    }
    fs::remove_file(&long).map_err(BenchError::io(format!("remove {path}")))?;
    hint("a capture of 100 MB")?;
    let (short, few) = captures(SHORT_BYTES)?;
    let short_path = short.display().to_string();
    let shorts: Vec<Shown> =
        (0..SAMPLES).map(|_| call(DRLAB, &["analyze", &short_path, "--vip", VIP])).collect::<Result<_, _>>()?;
    fs::remove_file(&short).map_err(BenchError::io(format!("remove {short_path}")))?;
    let rate = |run: &Shown| written.frames as f64 / run.cpu_ms / 1e3;
    let cpu = |runs: &[Shown]| Samples::new(runs.iter().map(|run| run.cpu_ms).collect());
    let wall = |runs: &[Shown]| Samples::new(runs.iter().map(|run| run.wall_ms).collect());
    let growth = (cpu(&runs).median() / written.frames as f64) / (cpu(&shorts).median() / few.frames as f64);
    let figures = vec![
        Figure {
            what: "frames read, traced and judged by `drlab analyze`, of a capture of 1 GB, a second of processor time"
                .to_owned(),
            unit: "million",
            goal: Goal::AtLeast(1.0),
            samples: Samples::new(if judged { runs.iter().map(rate).collect() } else { Vec::new() }),
        },
        Figure::once(
            "`tshark -q -z conv,tcp` over the same, wall".to_owned(),
            "×",
            Goal::AtLeast(50.0),
            wall(&others).median() / wall(&runs).median(),
        ),
        Figure::once(
            "the same, processor time".to_owned(),
            "×",
            Goal::AtLeast(50.0),
            cpu(&others).median() / cpu(&runs).median(),
        ),
        Figure::once(
            "processor time for each frame of 1 GB over that of 100 MB".to_owned(),
            "×",
            Goal::AtMost(LINEAR),
            growth,
        ),
        Figure {
            what: "memory of the same".to_owned(),
            unit: "MB",
            goal: Goal::Under(100.0),
            samples: Samples::new(runs.iter().map(Shown::peak_mb).collect()),
        },
    ];
    Ok(Part { figures, details: details(&runs, &others, written), ..Part::default() })
}

fn details(runs: &[Shown], others: &[Shown], written: Written) -> String {
    let mut text = format!(
        "## A long capture\n\n\
         The capture of `{TEXTBOOK}` again and again, each time from other ports, at other sequence numbers and later: {} frames, \
         {} bytes, in the page cache. `drlab analyze` does all its checks; tshark lists the TCP conversations. Both use \
         one processor. Medians.\n\n\
         | program | processor time, s | wall, s | million frames/s | MB |\n|---|--:|--:|--:|--:|\n",
        written.frames, written.bytes,
    );
    for (name, runs) in [("drlab analyze", runs), ("tshark -n -q -z conv,tcp", others)] {
        let median = |of: fn(&Shown) -> f64| Samples::new(runs.iter().map(of).collect()).median();
        let (cpu, wall) = (median(|run| run.cpu_ms / 1e3), median(|run| run.wall_ms / 1e3));
        let cells = [cpu, wall, written.frames as f64 / cpu / 1e6, median(Shown::peak_mb)].map(shown);
        // Writing to a String can't fail.
        writeln!(text, "| `{name}` | {} |", cells.join(" | ")).unwrap_or_default();
    }
    text.push_str(LIMIT);
    text
}
