//! The figures that drlab is held to, measured on this machine.
//!
//! `ci/bench.sh` measures all and writes `BENCHMARKS.md`; `cargo bench --bench figures` measures and prints. Each sample is
//! a process of its own: a lab's nodes begin as copies of a process with one thread, and nothing of one sample is warm
//! for the next but the machine. Errs towards the slower figure: the first pass of each kind is not counted, and nothing
//! else is left out.

#![expect(clippy::cast_precision_loss, reason = "counts and sizes far below 2^53, shown with three digits")]

mod budget;
mod capture;
mod error;
mod figure;
mod guest;
mod kernels;
mod machine;
mod machines;
mod namespaces;
mod page;
mod peers;
mod pinned;
mod program;
mod seeded;
mod suite;
mod traffic;
mod wide;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use error::BenchError;

/// What can be measured, in the order of the page.
const PARTS: [&str; 10] =
    ["run", "guest", "seeded", "namespaces", "peers", "wide", "traffic", "capture", "machines", "scenarios"];

const HELP: &str = "\
Measures drlab on two processors of this machine and prints a page of figures.

Usage: cargo bench --bench figures -- [--write FILE] [--samples N] [--only PART]...

  --write FILE   write the page to FILE as well
  --budget       write the ratios to ci/budget.txt instead of comparing them with it
  --samples N    how many samples each median is of [default: 10]
  --only PART    run, guest, seeded, namespaces, peers, wide, traffic, capture, machines or scenarios; all where not said
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["one-lab", spec] => namespaces::sample::run(spec),
        ["one-load", way, at_once, requests] => traffic::sample::ask(way, at_once, requests),
        ["one-flood", seconds] => traffic::sample::flood(seconds),
        ["one-bare", size] => peers::bare(size),
        ["one-boot", kernel, program] => guest::sample::boot(kernel, program),
        ["one-pass", kernel, program, count, memory] => guest::sample::acts(kernel, program, count, memory),
        ["one-capture", bytes] => capture::leave(bytes),
        ["one-exec", times] => guest::sample::exec(times),
        ["one-run", program, scenarios @ ..] => program::sample::run(program, scenarios),
        _ => measure(&words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = drlab::base::error_chain(&error).join("\n  caused by: ");
            // There is no other place to say it.
            drop(writeln!(io::stderr(), "error: {text}"));
            ExitCode::FAILURE
        }
    }
}

struct Wanted {
    samples: usize,
    write: Option<PathBuf>,
    budget: bool,
    parts: Vec<String>,
}

impl Wanted {
    fn part(&self, name: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|part| part == name)
    }
}

fn measure(words: &[String]) -> Result<(), BenchError> {
    // `cargo test --benches` starts this as well; only `cargo bench` adds the word.
    if !words.iter().any(|word| word == "--bench") || words.iter().any(|word| word == "--help") {
        return say(HELP);
    }
    let wanted = read(words)?;
    let machine = machine::describe(pinned::to_two()?)?;
    let mut page = page::Page::new(machine, wanted.samples);
    program::fetch_kernel()?;
    let kernels = kernels::look()?;
    let mut failed = Vec::new();
    for part in PARTS.into_iter().filter(|part| wanted.part(part)) {
        let begun = std::time::Instant::now();
        hint(part)?;
        match one_part(part, &kernels, wanted.samples) {
            Ok(measured) => page.add(measured),
            // The others are worth having all the same.
            Err(error) => {
                let why = drlab::base::error_chain(&error).join("\n  caused by: ");
                hint(&format!("{part}: {why}"))?;
                page.add(figure::Part {
                    details: format!("## Not measured: {part}\n\n```text\n{why}\n```\n"),
                    ..Default::default()
                });
                failed.push(part);
            }
        }
        hint(&format!("{part}: took {:.0} s", begun.elapsed().as_secs_f64()))?;
    }
    let text = page.render();
    say(&text)?;
    if let Some(path) = wanted.write {
        std::fs::write(&path, &text).map_err(BenchError::io(format!("write {}", path.display())))?;
    }
    keep_budget(wanted.budget, &page.figures())?;
    if failed.is_empty() { Ok(()) } else { Err(BenchError::Failed(failed.join(", "))) }
}

fn one_part(part: &str, kernels: &kernels::Kernels, samples: usize) -> Result<figure::Part, BenchError> {
    let hint = &mut |what: &str| hint(what);
    match part {
        "run" => program::textbook(kernels, samples),
        "guest" => guest::all(kernels, samples, hint),
        "seeded" => seeded::all(kernels, hint),
        "namespaces" => namespaces::all(samples, hint),
        "peers" => peers::all(hint),
        "wide" => wide::all(kernels, hint),
        "traffic" => traffic::all(hint),
        "capture" => capture::all(hint),
        "machines" => machines::all(kernels, hint),
        _ => suite::all(kernels, hint),
    }
}

/// Compares the ratios with what they may be, or writes them down.
fn keep_budget(renew: bool, figures: &[&figure::Figure]) -> Result<(), BenchError> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/ci/budget.txt");
    let budget = std::fs::read_to_string(path).map_err(BenchError::io(format!("read {path}")))?;
    if renew {
        let text = budget::renewed(&budget, figures);
        return std::fs::write(path, text).map_err(BenchError::io(format!("write {path}")));
    }
    match budget::complaints(&budget, figures).as_slice() {
        [] => Ok(()),
        worse => Err(BenchError::Budget(worse.join("\n"))),
    }
}

fn read(words: &[String]) -> Result<Wanted, BenchError> {
    let mut wanted = Wanted { samples: 10, write: None, budget: false, parts: Vec::new() };
    let mut rest = words.iter().filter(|word| *word != "--bench");
    let refused = |what: &str| BenchError::Usage(what.to_owned());
    while let Some(word) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| refused(&format!("{word} needs a value")));
        match word.as_str() {
            "--budget" => wanted.budget = true,
            "--write" => wanted.write = Some(value()?.into()),
            "--samples" => {
                let count = value()?.parse().ok().filter(|count| *count > 0);
                wanted.samples = count.ok_or_else(|| refused("--samples takes a number from 1"))?;
            }
            "--only" => match value()?.as_str() {
                part if PARTS.contains(&part) => wanted.parts.push(part.to_owned()),
                other => return Err(refused(&format!("there is no part {other}"))),
            },
            other => return Err(refused(&format!("{other} means nothing here"))),
        }
    }
    Ok(wanted)
}

/// Puts the result on stdout.
fn say(text: &str) -> Result<(), BenchError> {
    io::stdout().write_all(text.as_bytes()).map_err(BenchError::io("write to stdout".to_owned()))
}

/// Says on stderr what is being measured.
fn hint(what: &str) -> Result<(), BenchError> {
    writeln!(io::stderr(), "measuring {what}").map_err(BenchError::io("write to stderr".to_owned()))
}
