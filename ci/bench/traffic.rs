//! The load beside wrk through the same lab, and a capture at the highest load that one sender gives.

pub(crate) mod sample;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use serde::de::DeserializeOwned;

use crate::error::BenchError;
use crate::figure::{Figure, Goal, Part, Samples, shown};
use sample::{Asked, Flooded};

const AT_ONCE: [u32; 2] = [1, 16];
const SAMPLES: usize = 9;
const REQUESTS: u32 = 6000;
const FLOOD_S: &str = "10";

/// What the load is made of, and what it would take to come nearer to those that look at nothing.
const LIMIT: &str = "
By `perf`, with 16 at once: nine tenths of the client's time are the kernel's, which carries frames through veth pairs and bridges and \
does the same for all three. A tenth is drlab's own (hyper, tokio, comparing each body, keeping each result), of wrk's time 2 %. That \
difference is what the ratio is short of 1; HTTP written by hand in place of a well-kept library would take some of it away.
";

fn one<T: DeserializeOwned>(arguments: &[&str]) -> Result<T, BenchError> {
    let this = std::env::current_exe().map_err(BenchError::io("find this program".to_owned()))?;
    let what = arguments.join(" ");
    let mut command = Command::new(this);
    if let Some(root) = root() {
        command.env("LD_LIBRARY_PATH", root.join("usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH)));
    }
    let answer = command.args(arguments).output().map_err(BenchError::io(format!("start {what}")))?;
    if !answer.status.success() {
        let said = String::from_utf8_lossy(&answer.stderr).trim().to_owned();
        return Err(BenchError::Sample { what, status: answer.status.to_string(), said });
    }
    serde_json::from_slice(&answer.stdout).map_err(|source| BenchError::Answer { what, source })
}

/// Where `ci/bench.sh` unpacks what the others need.
fn root() -> Option<PathBuf> {
    std::env::var_os("DRLAB_BENCH_PEERS").map(|folder| PathBuf::from(folder).join("root"))
}

/// The others that are there: wrk, and oha where `ci/bench.sh` could build it.
fn others() -> [(&'static str, Option<String>); 2] {
    let found = |path: Option<PathBuf>| path.filter(|path| path.exists()).map(|path| path.display().to_string());
    let peers = std::env::var_os("DRLAB_BENCH_PEERS").map(PathBuf::from);
    [
        ("wrk", found(root().map(|root| root.join("usr/bin/wrk")))),
        ("oha", found(peers.map(|peers| peers.join("bin/oha")))),
    ]
}

/// What one number of connections came to: drlab's samples, and those of each of the others.
struct Row {
    at_once: u32,
    own: Vec<Asked>,
    others: [Vec<Asked>; 2],
}

/// Measures both.
pub(crate) fn all(hint: &mut dyn FnMut(&str) -> Result<(), BenchError>) -> Result<Part, BenchError> {
    let others = others();
    let mut rows = Vec::new();
    for at_once in AT_ONCE {
        let mut row = Row { at_once, own: Vec::new(), others: [Vec::new(), Vec::new()] };
        for nth in 0..SAMPLES {
            hint(&format!("requests, {at_once} at once, {} of {SAMPLES}", nth + 1))?;
            let (at_once, requests) = (at_once.to_string(), REQUESTS.to_string());
            row.own.push(one::<Asked>(&["one-load", "drlab", &at_once, &requests])?);
            for ((_, program), asked) in others.iter().zip(&mut row.others) {
                if let Some(program) = program {
                    asked.push(one::<Asked>(&["one-load", program, &at_once, &requests])?);
                }
            }
        }
        rows.push(row);
    }
    hint("a flood, captured")?;
    let flooded: Flooded = one(&["one-flood", FLOOD_S])?;
    let mut figures = Vec::new();
    for Row { at_once, own, others } in &rows {
        let best = others.iter().map(|asked| rate(asked)).filter(|rate| rate.is_finite()).fold(f64::NAN, f64::max);
        figures.push(Figure::once(
            format!("drlab's requests per second over those of the better of wrk and oha, a connection each, {at_once} at once"),
            "×",
            Goal::AtLeast(0.9),
            rate(own) / best,
        ));
    }
    figures.push(Figure {
        what: format!("frames dropped by the capture of a flood of {FLOOD_S} s"),
        unit: "",
        goal: Goal::AtMost(0.0),
        samples: Samples::new(vec![flooded.dropped as f64]),
    });
    Ok(Part { figures, details: details(&rows, &flooded), ..Part::default() })
}

fn rate(samples: &[Asked]) -> f64 {
    Samples::new(samples.iter().map(|asked| asked.per_s).collect()).median()
}

fn details(rows: &[Row], flooded: &Flooded) -> String {
    let mut text = format!(
        "## Requests and a flood\n\n\
         In the textbook lab in namespaces of this machine, from the client by way of the router to drlab's own server on rs1, a \
         connection for each request, medians of {SAMPLES}. drlab checks every body; the others count bytes. Each asks with one \
         thread, and one answers.\n\n\
         | at once | drlab, requests/s | not answered whole | wrk, requests/s | oha, requests/s |\n|--:|--:|--:|--:|--:|\n"
    );
    for Row { at_once, own, others } in rows {
        let failed: u64 = own.iter().map(|asked| asked.failed).sum();
        let others = others.each_ref().map(|asked| match rate(asked) {
            rate if rate.is_finite() => shown(rate),
            _ => "not there".to_owned(),
        });
        // Writing to a String can't fail, here and below.
        writeln!(text, "| {at_once} | {} | {failed} | {} |", shown(rate(own)), others.join(" | ")).unwrap_or_default();
    }
    text.push_str(LIMIT);
    let Flooded { sent, seconds, frames, dropped, capture_share, file_mb, ring_mb, rings } = flooded;
    writeln!(
        text,
        "\nOne thread of the client sends datagrams of 22 bytes to the router for {seconds:.1} s: {sent} datagrams, {:.0} a second. \
         Captured at client and router: {frames} frames, {:.0} a second, {file_mb:.0} MB written as they came, {dropped} dropped. The \
         capture's one thread took {:.0} % of one processor. Its memory is {rings} rings of {ring_mb:.1} MB, whatever the length.",
        *sent as f64 / seconds,
        *frames as f64 / seconds,
        capture_share * 100.0,
    )
    .unwrap_or_default();
    text
}
