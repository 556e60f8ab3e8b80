//! `drlab import` and `drlab verify`: configuration that people run, as a scenario.

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use super::exit::Exit;
use super::{
    ImportArguments, ImportOptions, KeepalivedChoice, ReportFormat, VerifyArguments, complain, complain_of, print, run,
    show,
};
use crate::base::NodeName;
use crate::import::{self, ImportError, Imported, Keepalived, LARGEST, Library, Request, Text};

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    /// The system refuses.
    #[error("could not read {name}")]
    File {
        /// Its name.
        name: String,
        /// The system's answer.
        source: io::Error,
    },
    /// It is larger than any configuration.
    #[error("{name} is larger than {LARGEST} bytes, and no configuration")]
    Large {
        /// Its name.
        name: String,
    },
    /// It holds bytes that are no text.
    #[error("{name} is no text: line {line} has a byte that is not UTF-8 after its first {byte} bytes")]
    NotText {
        /// Its name.
        name: String,
        /// The line, from 1.
        line: usize,
        /// How many bytes of it are well.
        byte: usize,
    },
}

/// What standard input is called.
const STDIN: &str = "<stdin>";

/// Writes the scenario that the files come to.
pub fn import(arguments: &ImportArguments) -> Exit {
    let keepalived = arguments.how.keepalived.into();
    let imported = match made(&arguments.files, &arguments.how, keepalived, &folder_of(arguments.out.as_deref())) {
        Ok(imported) => imported,
        Err(exit) => return exit,
    };
    match &arguments.out {
        None => print(&imported.scenario),
        Some(path) => {
            if let Err(exit) = written(path, &imported) {
                return exit;
            }
            print(&format!("{}\nrun it: drlab run {}\n", notes(&imported, Length::Short), typed(path)));
        }
    }
    let wondered = imported.not_understood.len() + imported.left_to_daemon.len();
    if arguments.out.is_none() && wondered > 0 {
        complain(&format!("drlab: {} (listed at the top)", not_understood(wondered)));
    }
    Exit::AsExpected
}

/// Imports, runs and reports in one go.
pub fn verify(arguments: &VerifyArguments) -> Exit {
    let (how, folder) = (&arguments.how, folder_of(arguments.scenario.as_deref()));
    let in_machine = how.keepalived == KeepalivedChoice::Auto && run::in_machine(&arguments.run);
    let keepalived = if in_machine { Keepalived::Retold } else { how.keepalived.into() };
    let imported = match made(&arguments.run.scenarios, how, keepalived, &folder) {
        Ok(imported) => imported,
        Err(exit) => return exit,
    };
    let path = arguments.scenario.clone().unwrap_or_else(|| PathBuf::from("imported.toml"));
    if arguments.scenario.is_some()
        && let Err(exit) = written(&path, &imported)
    {
        return exit;
    }
    let told = notes(&imported, Length::Whole);
    if arguments.run.format == ReportFormat::Text {
        print(&format!("{told}\n"));
    } else {
        complain(&told);
    }
    let name = path.file_stem().map_or_else(|| "imported".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let exit = run::run_text(&arguments.run, &name, &path.display().to_string(), &imported.scenario, folder);
    if arguments.scenario.is_none() && arguments.run.format == ReportFormat::Text {
        print("             # imported.toml is written where the same command has `-o imported.toml`\n");
    }
    exit
}

fn typed(path: &Path) -> String {
    let text = path.display().to_string();
    let toml = path.extension().is_some_and(|e| e == "toml") || text.starts_with(['.', '/']);
    if toml { text } else { format!("./{text}") }
}

fn written(path: &Path, imported: &Imported) -> Result<(), Exit> {
    fs::write(path, &imported.scenario).map_err(|error| {
        complain(&format!("drlab: could not write {}\n  caused by: {error}", path.display()));
        Exit::Usage
    })
}

/// The imported files, or how the process ends.
fn made(files: &[String], how: &ImportOptions, keepalived: Keepalived, folder: &Path) -> Result<Imported, Exit> {
    let (id, variables) = (how.id.clone(), how.set.clone());
    let mut request = Request { texts: Vec::new(), id, variables, router: how.router, keepalived };
    let mut refused = false;
    for argument in files {
        let (node, path) = whose(argument);
        match read(path) {
            Ok(text) => {
                let name = if path == "-" { STDIN.to_owned() } else { plain(Path::new(path)).display().to_string() };
                request.texts.push(Text { name, text, node, format: how.read_as.map(Into::into) });
            }
            Err(error) => {
                complain_of(&error);
                refused = true;
            }
        }
    }
    if refused {
        return Err(Exit::Usage);
    }
    let base = request.texts.first().map(|text| text.name.clone()).unwrap_or_default();
    let root = PathBuf::from(base).parent().map(Path::to_path_buf).unwrap_or_default();
    let mut disk = Disk { root, folder: folder.to_owned() };
    import::import(&request, &mut disk).map_err(|error| {
        match &error {
            ImportError::Wrong(texts) => {
                let color = show::colored(io::stderr().is_terminal());
                complain(texts.iter().map(|p| p.render(color)).collect::<Vec<_>>().join("\n").trim_end());
            }
            other => complain_of(other),
        }
        Exit::Usage
    })
}

/// `NODE=FILE`, unless there is a file of that whole name.
fn whose(argument: &str) -> (Option<String>, &str) {
    match argument.split_once('=') {
        Some((node, path)) if !Path::new(argument).exists() => {
            let known = node.parse::<NodeName>().is_ok() || node.parse::<IpAddr>().is_ok();
            if known && !path.is_empty() { (Some(node.to_owned()), path) } else { (None, argument) }
        }
        _ => (None, argument),
    }
}

fn read(path: &str) -> Result<String, ReadError> {
    let name = || path.to_owned();
    let failed = |source| ReadError::File { name: name(), source };
    let mut bytes = Vec::new();
    let most = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1);
    if path == "-" {
        io::stdin().lock().take(most).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        fs::File::open(path).map_err(failed)?.take(most).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() > LARGEST {
        return Err(ReadError::Large { name: name() });
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.split(|byte| *byte == b'\n').skip(1).count();
        let byte = before.iter().rev().take_while(|byte| **byte != b'\n').count();
        ReadError::NotText { name: name(), line, byte }
    })
}

/// The path without `.` and, where a name stands before it, without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if out.file_name().is_some() => drop(out.pop()),
            other => out.push(other),
        }
    }
    out
}

/// Included files, beside the one that includes them, or where its path says.
struct Disk {
    /// The folder of the first file, which stands for keepalived's own.
    root: PathBuf,
    /// The folder that the scenario is in.
    folder: PathBuf,
}

impl Library for Disk {
    fn included(&mut self, by: &str, pattern: &str) -> Result<Vec<(String, String)>, String> {
        let folder = Path::new(by).parent().map(Path::to_path_buf).unwrap_or_default();
        // A configuration that was copied from its machine names its parts by their places there.
        let copied = pattern.strip_prefix("/etc/keepalived/").map(|rest| self.root.join(rest));
        let mut paths = Vec::new();
        for place in copied.into_iter().chain([folder.join(pattern)]) {
            let found = glob::glob(&plain(&place).to_string_lossy()).map_err(|error| format!("{error}"))?;
            paths.extend(found.filter_map(Result::ok).filter(|path| path.is_file()));
            if !paths.is_empty() {
                break;
            }
        }
        if paths.is_empty() {
            return Err("no such file".to_owned());
        }
        let one = |path: PathBuf| {
            let name = plain(&path).display().to_string();
            let text = read(&name).map_err(|error| crate::base::error_chain(&error).join(": "))?;
            Ok((name, text))
        };
        paths.into_iter().map(one).collect()
    }

    fn path(&self, name: &str) -> Option<String> {
        if name == STDIN {
            return None;
        }
        let whole = |path: &Path| std::path::absolute(path).map(|path| plain(&path)).ok();
        // An empty path is not made absolute.
        let folder = whole(&self.folder.join("."))?;
        Some(from(&folder, &whole(Path::new(name))?).display().to_string())
    }
}

/// The folder of a file that is written or, without one, that this program runs in.
fn folder_of(file: Option<&Path>) -> PathBuf {
    file.and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default()
}

/// A file's path as seen from a folder.
fn from(folder: &Path, file: &Path) -> PathBuf {
    let common = folder.components().zip(file.components()).take_while(|(one, other)| one == other).count();
    let up = folder.components().skip(common).map(|_| Component::ParentDir);
    up.chain(file.components().skip(common)).collect()
}

/// How much is told of an import.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    Short,
    Whole,
}

fn statements(count: usize) -> String {
    if count == 1 { "1 statement".to_owned() } else { format!("{count} statements") }
}

fn not_understood(count: usize) -> String {
    format!("{} {} not understood", statements(count), if count == 1 { "is" } else { "are" })
}

/// What is to be told of an import before its result.
fn notes(imported: &Imported, length: Length) -> String {
    let mut out = String::new();
    let list = |title: String, items: Vec<String>| {
        let lines: Vec<String> = items.into_iter().map(|item| wrapped(&item)).collect();
        format!("{title}\n{}", lines.concat())
    };
    if length == Length::Whole && !imported.assumed.is_empty() {
        out += &list("assumed, as no file says it".to_owned(), imported.assumed.clone());
    }
    if !imported.not_understood.is_empty() {
        let items = imported.not_understood.iter().map(|told| format!("{}: {}", told.at, told.what)).collect();
        out += &list(format!("{}, and not in the lab", not_understood(imported.not_understood.len())), items);
    }
    if !imported.left_to_daemon.is_empty() {
        let items = imported.left_to_daemon.iter().map(|told| format!("{}: {}", told.at, told.what)).collect();
        let count = not_understood(imported.left_to_daemon.len());
        out += &list(format!("{count} here, and left to keepalived itself"), items);
    }
    if length == Length::Short {
        let (assumed, left_out) = (imported.assumed.len(), imported.left_out.len());
        let line = format!("{assumed} assumptions, {} left out; the file lists them\n", statements(left_out));
        out += &line;
    } else if !imported.left_out.is_empty() {
        let left_out = imported.left_out.len();
        let line =
            format!("{} left out, for a lab has no use for them (`drlab import` lists them)\n", statements(left_out));
        out += &line;
    }
    out
}

/// An item of a list, wrapped to the terminal's width.
fn wrapped(item: &str) -> String {
    let width = show::style().width.clamp(40, 110);
    let mut out = String::new();
    let mut line = String::from("  -");
    for word in item.split(|c: char| c.is_whitespace() || c.is_control()) {
        if line.chars().count() + 1 + word.chars().count() > width && line.trim().len() > 1 {
            out += &line;
            out.push('\n');
            line = String::from("   ");
        }
        line.push(' ');
        line += word;
    }
    out + &line + "\n"
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{from, plain, whose};

    #[test]
    fn a_node_stands_before_its_file() {
        assert_eq!(whose("rs1=setup.sh"), (Some("rs1".to_owned()), "setup.sh"));
        assert_eq!(whose("172.16.252.137=setup.sh"), (Some("172.16.252.137".to_owned()), "setup.sh"));
        assert_eq!(whose("setup.sh"), (None, "setup.sh"));
        assert_eq!(whose("./a=b.sh"), (None, "./a=b.sh"));
    }

    #[test]
    fn one_file_has_one_name() {
        assert_eq!(plain(Path::new("./a/../b/./c.conf")), Path::new("b/c.conf"));
        assert_eq!(plain(Path::new("../c.conf")), Path::new("../c.conf"));
    }

    #[test]
    fn a_scenario_names_a_file_from_where_it_is_itself() {
        assert_eq!(from(Path::new("/lab"), Path::new("/lab/conf/a.conf")), Path::new("conf/a.conf"));
        assert_eq!(from(Path::new("/lab/out/x"), Path::new("/lab/a.conf")), Path::new("../../a.conf"));
        assert_eq!(from(Path::new("/"), Path::new("/etc/a.conf")), Path::new("etc/a.conf"));
    }
}
