//! Scenario files: what they may say, how they are read, and what is wrong with them, all at once.
//!
//! Owns: the format, its schema and reference, diagnostics with line and caret. Refuses: files (text comes in), and
//! deciding what roles imply (that is the plan's). Errs towards refusing: what could not be built is never started.

mod check;
mod files;
mod format;
mod problem;
mod reference;
mod repair;
mod schema;
mod shape;
pub mod source;
pub mod spec;
mod suggest;

use serde::Deserialize;
use toml::de::DeTable;

use crate::base::ReadFile;
use check::Known;
pub(crate) use check::sysctls::known_sysctl;
pub use problem::{Problem, Problems};
pub use reference::reference;
use repair::Damage;
pub use schema::schema;
pub use source::{Path, Source};
pub use spec::Scenario;

/// A scenario whose shape is right, and where its text says what.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// What it says.
    pub scenario: Scenario,
    /// Where.
    pub source: Source,
}

/// Reads a scenario's text: syntax and shape, not yet what it means.
///
/// # Errors
/// Every error of syntax; or, where there is none, everything whose shape is wrong.
pub fn parse(name: &str, text: &str) -> Result<Parsed, Problems> {
    let read = read(name, text)?;
    if read.problems.is_empty() {
        Ok(Parsed { scenario: read.scenario, source: read.source })
    } else {
        Err(read.problems)
    }
}

/// Reads a scenario's text and checks what it means. `known_checks` and `known_findings` are the ids that an
/// expectation may name.
///
/// # Errors
/// Everything that is wrong, in the order of the lines; of a text with errors of syntax or of another format only
/// these.
pub fn load(name: &str, text: &str, known_checks: &[&str], known_findings: &[&str]) -> Result<Scenario, Problems> {
    load_with(name, text, known_checks, known_findings, &mut |_| Ok(None))
}

/// The same, with the files that the scenario names: each is asked for by the path that is written there. One that is not
/// given (`None`) is left for later; then no lab can be built.
///
/// # Errors
/// As [`load`], and whatever is wrong with a file.
pub fn load_with(
    name: &str,
    text: &str,
    known_checks: &[&str],
    known_findings: &[&str],
    beside: &mut Beside<'_>,
) -> Result<Scenario, Problems> {
    let mut read = read(name, text)?;
    let known = Known { checks: known_checks, findings: known_findings };
    let mut complaints = check::complaints(&read.scenario, known, &read.damage);
    complaints.extend(files::take_in(&mut read.scenario, beside));
    for complaint in read.damage.sift(complaints) {
        read.problems.file(&read.source, complaint);
    }
    if read.problems.is_empty() { Ok(read.scenario) } else { Err(read.problems) }
}

/// Gives the file of a path that a scenario names, or says in words why it can't.
pub type Beside<'a> = dyn FnMut(&str) -> Result<Option<ReadFile>, String> + 'a;

/// A scenario as far as it can be read.
struct Read {
    scenario: Scenario,
    source: Source,
    problems: Problems,
    /// What of it can't be concluded from, as its shape is wrong.
    damage: Damage,
}

fn read(name: &str, text: &str) -> Result<Read, Problems> {
    let mut problems = Problems::new(name, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().trim_end_matches(", expected nothing");
        problems.push(span.clone(), message.to_owned(), in_quotes(text, &span));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut source = Source::new(text, table.get_ref());
    if let Some(complaint) = other_format(&source) {
        problems.file(&source, complaint);
        return Err(problems);
    }
    let shape::Deviations { complaints, repairs, damage } = shape::deviations(schema::made(), source.root());
    let mut sound = table;
    repair::apply(&repairs, &mut source, sound.get_mut());
    for complaint in complaints {
        problems.file(&source, complaint);
    }
    match Scenario::deserialize(toml::de::Deserializer::from(sound)) {
        Ok(scenario) => Ok(Read { scenario, source, problems, damage }),
        Err(error) => {
            debug_assert!(problems.is_empty(), "repaired, and still: {error}");
            problems.push(error.span().unwrap_or(0..0), error.message().to_owned(), None);
            Err(problems)
        }
    }
}

/// An address or a name that stands bare is what most errors of syntax are.
fn in_quotes(text: &str, span: &source::Span) -> Option<String> {
    let before = text.get(..span.start)?;
    let line = text.get(before.rfind('\n').map_or(0, |at| at + 1)..)?.lines().next()?;
    let (_, value) = line.split_once('=')?;
    let value = value.split(" #").next()?.trim();
    let bare = |c: char| c.is_ascii_alphanumeric() || ".:/-_".contains(c);
    let wanted = !value.is_empty() && value.chars().all(bare) && !value.bytes().all(|b| b.is_ascii_digit());
    wanted.then(|| format!("write it in quotes: `\"{value}\"`"))
}

/// A text of another version of the format is not judged by the rules of this one.
fn other_format(source: &Source) -> Option<problem::Complaint> {
    let path = Path::of(&["format"]);
    let written = source.written(&path)?;
    let version: u64 = written.parse().ok().filter(|version| *version != 1)?;
    let complaint = problem::Complaint::value(&path, format!("format {version} is not known to this drlab"))
        .label("it reads format 1")
        .help("write `format = 1`, or take a drlab that knows the other");
    Some(complaint)
}
