//! Which scenarios an argument means: a shipped one by name, folder or pattern, or a file or folder on disk.
//!
//! Errs towards refusing: a word that fits nothing, or several shipped scenarios by its last part alone, is an error
//! with the names that come near.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use include_dir::{Dir, DirEntry, include_dir};

use crate::base::ReadFile;

static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scenarios");

/// A scenario's text and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Its name in reports and in the output folder, as `basic/lvs-dr`.
    pub name: String,
    /// Where it stands, for messages.
    pub origin: String,
    /// How a user types it to get it again.
    pub typed: String,
    /// The TOML text.
    pub text: String,
    /// The folder that it is in.
    pub beside: Beside,
}

/// The folder of a scenario, in which the files are that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beside {
    /// Below the shipped ones.
    Shipped(PathBuf),
    /// On this disk.
    Disk(PathBuf),
}

/// The largest file that a scenario may name, in bytes.
const FILE_LIMIT_BYTES: u64 = 4 << 20;

impl Beside {
    /// Reads a file by the path that a scenario names it with.
    ///
    /// # Errors
    /// Why it can't be had, in words.
    pub fn read(&self, path: &str) -> Result<ReadFile, String> {
        match self {
            Self::Shipped(folder) => {
                let whole = normal(&folder.join(path)).ok_or("it is not among the shipped files")?;
                let file = SHIPPED.get_file(whole).ok_or("it is not among the shipped files")?;
                Ok(ReadFile { content: file.contents().to_vec().into(), executable: false })
            }
            Self::Disk(folder) => on_this_disk(&folder.join(path)),
        }
    }
}

/// The path without `.` and `..`; `None` where it leads out.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut whole = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => whole.push(part),
            Component::CurDir => {}
            Component::ParentDir if whole.pop() => {}
            _ => return None,
        }
    }
    Some(whole)
}

fn on_this_disk(path: &Path) -> Result<ReadFile, String> {
    let told = |error: io::Error| error.to_string();
    // Not opened before it is known to be a file: a pipe or a terminal would keep us waiting.
    let known = fs::metadata(path).map_err(told)?;
    if known.is_dir() {
        return Err("it is a folder".to_owned());
    }
    if !known.is_file() {
        return Err("it is neither a file nor a folder".to_owned());
    }
    if known.len() > FILE_LIMIT_BYTES {
        return Err(format!("it has {} bytes; at most {FILE_LIMIT_BYTES} are taken", known.len()));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(told)?;
    file.take(FILE_LIMIT_BYTES).read_to_end(&mut bytes).map_err(told)?;
    Ok(ReadFile { content: bytes.into(), executable: known.permissions().mode() & 0o111 != 0 })
}

/// Why an argument selects nothing.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// Neither a file nor a shipped scenario.
    #[error("no scenario `{wanted}`: it is neither a file or folder here nor a shipped scenario{}", suggestion(.near))]
    Unknown {
        /// The argument.
        wanted: String,
        /// Shipped names that come near.
        near: Vec<String>,
    },
    /// Several shipped scenarios end in that word.
    #[error("`{wanted}` could be {}: write the whole name", .names.join(" or "))]
    Ambiguous {
        /// The argument.
        wanted: String,
        /// The names it could be.
        names: Vec<String>,
    },
    /// A file or folder that can't be read.
    #[error("could not read {}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder without any scenario.
    #[error("no scenario (*.toml) in {}", .0.display())]
    Empty(PathBuf),
    /// A file that is no text.
    #[error("{}:{line}: this line is not UTF-8 text; it is text up to byte {byte} of the line", .path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The first bad line, counted from 1.
        line: usize,
        /// How many bytes of it are text.
        byte: usize,
    },
    /// A file that is larger than any scenario.
    #[error("{} is larger than {FILE_LIMIT_BYTES} bytes, and no scenario", .0.display())]
    Large(PathBuf),
    /// A pattern that is none.
    #[error("`{wanted}` is no pattern")]
    Pattern {
        /// The argument.
        wanted: String,
        /// Why.
        source: glob::PatternError,
    },
}

fn suggestion(names: &[String]) -> String {
    if names.is_empty() {
        "; `drlab list` shows them".to_owned()
    } else {
        format!(". Did you mean {}?", names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(" or "))
    }
}

/// Every shipped scenario, by name.
pub fn shipped() -> Vec<Selected> {
    let mut all = Vec::new();
    collect(&SHIPPED, &mut all);
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn collect(folder: &Dir<'_>, all: &mut Vec<Selected>) {
    for entry in folder.entries() {
        match entry {
            DirEntry::Dir(inner) => collect(inner, all),
            DirEntry::File(file) => {
                let path = file.path();
                if let Some(text) = file.contents_utf8()
                    && is_toml(path)
                {
                    let name = path.with_extension("").to_string_lossy().into_owned();
                    all.push(Selected {
                        origin: format!("{name}.toml (shipped)"),
                        typed: name.clone(),
                        name,
                        text: text.to_owned(),
                        beside: Beside::Shipped(path.parent().unwrap_or(Path::new("")).to_owned()),
                    });
                }
            }
        }
    }
}

/// The scenarios that the arguments mean, in their order, each once; and what is wrong with each of the other arguments.
pub fn select(wanted: &[String]) -> (Vec<Selected>, Vec<SelectError>) {
    let mut all: Vec<Selected> = Vec::new();
    let mut errors = Vec::new();
    for argument in wanted {
        match select_one(argument) {
            Ok(found) => {
                for one in found {
                    if !all.iter().any(|s| s.origin == one.origin) {
                        all.push(one);
                    }
                }
            }
            Err(error) => errors.push(error),
        }
    }
    (all, errors)
}

fn select_one(wanted: &str) -> Result<Vec<Selected>, SelectError> {
    let path = Path::new(wanted);
    let folder = wanted.trim_end_matches('/');
    let on_this_disk = path.is_dir() && SHIPPED.get_dir(folder).is_none();
    if on_this_disk || wanted.starts_with(['.', '/']) || is_toml(path) {
        return on_disk(path, wanted);
    }
    let shipped = shipped();
    if wanted.contains(['*', '?', '[']) {
        let pattern =
            glob::Pattern::new(wanted).map_err(|source| SelectError::Pattern { wanted: wanted.to_owned(), source })?;
        let found: Vec<_> = shipped.iter().filter(|s| pattern.matches(&s.name)).cloned().collect();
        return if found.is_empty() { Err(unknown(wanted, &shipped)) } else { Ok(found) };
    }
    let prefix = format!("{folder}/");
    let in_folder: Vec<_> = shipped.iter().filter(|s| s.name.starts_with(&prefix)).cloned().collect();
    if !in_folder.is_empty() {
        return Ok(in_folder);
    }
    let suffix = format!("/{wanted}");
    let named: Vec<_> = shipped.iter().filter(|s| s.name == wanted || s.name.ends_with(&suffix)).cloned().collect();
    match named.len() {
        // A report names a file so, and what it says can be typed next.
        0 if Path::new(&format!("{wanted}.toml")).is_file() => {
            let path = format!("{wanted}.toml");
            on_disk(Path::new(&path), &path)
        }
        0 => Err(unknown(wanted, &shipped)),
        1 => Ok(named),
        _ => Err(SelectError::Ambiguous {
            wanted: wanted.to_owned(),
            names: named.into_iter().map(|s| s.name).collect(),
        }),
    }
}

fn unknown(wanted: &str, shipped: &[Selected]) -> SelectError {
    let mut near: Vec<(f64, String)> = shipped
        .iter()
        .map(|s| {
            let last = s.name.rsplit('/').next().unwrap_or(&s.name);
            (strsim::jaro_winkler(wanted, last).max(strsim::jaro_winkler(wanted, &s.name)), s.name.clone())
        })
        .filter(|(score, _)| *score > 0.84)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    SelectError::Unknown { wanted: wanted.to_owned(), near: near.into_iter().take(2).map(|(_, n)| n).collect() }
}

fn on_disk(path: &Path, wanted: &str) -> Result<Vec<Selected>, SelectError> {
    if path.is_dir() {
        let mut files = Vec::new();
        walk(path, &mut files)?;
        files.sort();
        if files.is_empty() {
            return Err(SelectError::Empty(path.to_owned()));
        }
        return files
            .iter()
            .map(|file| {
                let below = file.strip_prefix(path).unwrap_or(file);
                let whole = file.components().any(|part| part.as_os_str() == "scenarios");
                read(file, if whole { file } else { below })
            })
            .collect();
    }
    if !path.exists() && wanted.contains(['*', '?', '[']) {
        let paths = glob::glob(wanted).map_err(|source| SelectError::Pattern { wanted: wanted.to_owned(), source })?;
        let found: Vec<PathBuf> = paths.filter_map(Result::ok).collect();
        return if found.is_empty() {
            Err(unknown(wanted, &shipped()))
        } else {
            found.iter().map(|file| read(file, file)).collect()
        };
    }
    Ok(vec![read(path, path)?])
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), SelectError> {
    let failed = |source| SelectError::Read { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if is_toml(&path) {
            files.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path, named: &Path) -> Result<Selected, SelectError> {
    let failed = |source| SelectError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(FILE_LIMIT_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_LIMIT_BYTES) {
        return Err(SelectError::Large(path.to_owned()));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.split(|byte| *byte == b'\n').skip(1).count();
        let byte = before.iter().rev().take_while(|byte| **byte != b'\n').count();
        SelectError::NotText { path: path.to_owned(), line, byte }
    })?;
    let name = named.with_extension("");
    let name = name
        .components()
        .filter_map(|c| match c {
            Component::Normal(part) => part.to_str(),
            _ => None,
        })
        .collect::<Vec<_>>();
    let name = match name.iter().position(|part| *part == "scenarios") {
        Some(at) if at + 1 < name.len() => name[at + 1..].join("/"),
        _ if named.is_absolute() => name.last().map(|&n| n.to_owned()).unwrap_or_default(),
        _ => name.join("/"),
    };
    let origin = path.display().to_string();
    let is_a_path = is_toml(path) || origin.starts_with(['.', '/']);
    let typed = if is_a_path { origin.clone() } else { format!("./{origin}") };
    let beside = Beside::Disk(path.parent().unwrap_or(Path::new("")).to_owned());
    Ok(Selected { name, origin, typed, text, beside })
}

#[cfg(test)]
mod tests {
    use super::{SelectError, select, shipped};

    #[test]
    fn a_shipped_scenario_is_found_by_its_last_part() {
        let (found, _) = select(&["lvs-dr".to_owned()]);
        assert_eq!(found[0].name, "basic/lvs-dr");
    }

    #[test]
    fn a_folder_of_shipped_scenarios_is_all_of_them() {
        assert!(select(&["basic".to_owned()]).0.iter().all(|s| s.name.starts_with("basic/")));
    }

    #[test]
    fn a_misspelt_name_is_answered_with_the_near_one() {
        let (_, errors) = select(&["lvs-rd".to_owned()]);
        assert!(
            matches!(&errors[0], SelectError::Unknown { near, .. } if near.contains(&"basic/lvs-dr".to_owned())),
            "{errors:?}"
        );
    }

    #[test]
    fn every_shipped_name_is_there_once() {
        let names: Vec<_> = shipped().into_iter().map(|s| s.name).collect();
        let mut unique = names.clone();
        unique.dedup();
        assert_eq!(names, unique);
    }
}
