//! The figures that drlab is held to, measured on this machine.
//!
//! `ci/bench.sh` measures all and writes `BENCHMARKS.md`; `cargo bench --bench figures` measures and prints. Each sample is
//! a process of its own: a lab's nodes begin as copies of a process with one thread, and nothing of one sample is warm
//! for the next but the machine. Errs towards the slower figure: the first pass of each kind is not counted, and nothing
//! else is left out.

#![expect(clippy::cast_precision_loss, reason = "counts and sizes far below 2^53, shown with three digits")]

mod error;
mod figure;
mod machine;
mod namespaces;
mod page;
mod pinned;
mod program;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use error::BenchError;

const HELP: &str = "\
Measures drlab on two processors of this machine and prints a page of figures.

Usage: cargo bench --bench figures -- [--write FILE] [--samples N] [--only PART]...

  --write FILE   write the page to FILE as well
  --samples N    how many samples each median is of [default: 10]
  --only PART    run, namespaces or scenarios; all of them where not said
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["one-lab", spec] => namespaces::sample::run(spec),
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
    if wanted.part("run") || wanted.part("scenarios") {
        program::fetch_kernel()?;
    }
    if wanted.part("run") {
        hint("drlab run lvs-dr")?;
        page.add(program::textbook(wanted.samples)?);
    }
    if wanted.part("namespaces") {
        hint("labs in namespaces")?;
        page.add(namespaces::all(wanted.samples, &mut |what| hint(what))?);
    }
    if wanted.part("scenarios") {
        hint("every shipped scenario")?;
        page.add(program::every_scenario(&mut |what| hint(what))?);
    }
    let text = page.render();
    say(&text)?;
    if let Some(path) = wanted.write {
        std::fs::write(&path, &text).map_err(BenchError::io(format!("write {}", path.display())))?;
    }
    Ok(())
}

fn read(words: &[String]) -> Result<Wanted, BenchError> {
    let mut wanted = Wanted { samples: 10, write: None, parts: Vec::new() };
    let mut rest = words.iter().filter(|word| *word != "--bench");
    let refused = |what: &str| BenchError::Usage(what.to_owned());
    while let Some(word) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| refused(&format!("{word} needs a value")));
        match word.as_str() {
            "--write" => wanted.write = Some(value()?.into()),
            "--samples" => {
                let count = value()?.parse().ok().filter(|count| *count > 0);
                wanted.samples = count.ok_or_else(|| refused("--samples takes a number from 1"))?;
            }
            "--only" => match value()?.as_str() {
                part @ ("run" | "namespaces" | "scenarios") => wanted.parts.push(part.to_owned()),
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
