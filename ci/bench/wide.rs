//! Labs of many real servers from the scenario to the verdict: built, asked, captured and judged under drlab's own kernel.

use std::fmt::Write as _;
use std::fs;

use crate::error::BenchError;
use crate::figure::{Figure, Goal, Part, Samples, shown};
use crate::guest::scratch;
use crate::kernels::Kernels;
use crate::namespaces::sample::wide;
use crate::program::{DRLAB, Report, call};

/// Real servers, and the guest's memory in MiB.
const SIZES: [(usize, &str); 4] = [(5, "256"), (100, "512"), (500, "1024"), (1000, "2048")];
/// Each real server that is asked is looked for by the Director and looks for the router: questions that every port hears.
const MOST_REQUESTS: usize = 200;
const HELD: &str = "held";
const PHASES: [&str; 5] = ["boot", "build", "load", "judge", "teardown"];

/// Runs one of each size.
pub(crate) fn all(kernels: &Kernels, hint: &mut dyn FnMut(&str) -> Result<(), BenchError>) -> Result<Part, BenchError> {
    let folder = scratch("wide")?;
    let mut most = 0;
    let mut text = format!(
        "## Many real servers, judged\n\n\
         One lab each under {}, two requests for each real server and {MOST_REQUESTS} at most, all captured and judged; one sample, in s.\n\n\
         | real servers | verdict | frames | dropped | boot | build | load | judge | take down | wall | MB |\n\
         |--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        kernels.quickest().map_or("no kernel", |kernel| kernel.name.as_str()),
    );
    for (count, memory) in SIZES {
        let Some(kernel) = kernels.quickest() else { break };
        hint(&format!("{count} real servers, judged"))?;
        let path = folder.join(format!("wide-{count}.toml"));
        let scenario = format!("{}\n[load]\nrequests = {}\n", wide(count), (2 * count).min(MOST_REQUESTS));
        fs::write(&path, scenario).map_err(BenchError::io(format!("write {}", path.display())))?;
        let path = path.display().to_string();
        let words = ["run", &path, "--kernel", &kernel.name, "--memory", memory, "--quiet", "--format", "json"];
        let run = call(DRLAB, &words)?;
        let report: Report = serde_json::from_str(&run.stdout).map_err(|source| BenchError::Answer {
            what: format!("drlab run {path}, that said {}", run.stderr),
            source,
        })?;
        if report.verdict == HELD && report.expected.met {
            most = count;
        }
        let s = |phase: &str| shown(report.timing_ms.get(phase).copied().unwrap_or(f64::NAN) / 1e3);
        let phases = PHASES.map(s).join(" | ");
        let (frames, dropped) = (report.capture.frames, report.capture.dropped);
        let (wall, mb) = (shown(run.wall_ms / 1e3), shown(run.peak_mb()));
        // Writing to a String can't fail.
        writeln!(text, "| {count} | {} | {frames} | {dropped} | {phases} | {wall} | {mb} |", report.verdict)
            .unwrap_or_default();
    }
    let figures = vec![Figure {
        what: "real servers in the largest lab that was built, asked and judged, and held".to_owned(),
        unit: "",
        goal: Goal::AtLeast(1000.0),
        samples: Samples::new(if kernels.quickest().is_some() { vec![most as f64] } else { Vec::new() }),
    }];
    Ok(Part { figures, details: text, ..Part::default() })
}
