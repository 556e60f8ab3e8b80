//! Calling `apt-get` as any user, with lists and cache folders of its own.
//!
//! Owns: the call and the reading of its answer. Refuses: installing. It takes the machine's sources, keys and proxies,
//! and none of the commands that the machine's configuration hangs on an update, for those act on the machine.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::PackageError;
use crate::substrate::bound::{Confinement, bind};

/// Read in place of the machine's configuration; it includes that, and takes the commands out again. The machine's own
/// files would otherwise be read after this one.
const CONFIGURATION: &str = r#"
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
APT::Sandbox::User "";
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
Acquire::PDiffs "false";
Acquire::Retries "1";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
Acquire::IndexTargets::deb-src::Sources::DefaultEnabled "false";
"#;

/// Kinds of lists that an update may fetch and that say nothing about where a package is.
const NEEDLESS: [&str; 7] =
    ["CNF", "Contents-deb", "DEP-11", "DEP-11-icons-small", "DEP-11-icons", "DEP-11-icons-hidpi", "DEP-11-icons-large"];

/// How many lines of an answer are kept to find its error in.
const TAIL_LINES: usize = 100;

/// `apt-get` with folders of its own.
pub(super) struct Apt {
    folder: PathBuf,
    configuration: PathBuf,
}

impl Apt {
    /// Lays out the folders below `folder`.
    pub(super) fn at(folder: &Path) -> Result<Self, PackageError> {
        Self::laid_out(folder, "")
    }

    /// As [`Apt::at`], with one source, a line of `sources.list`, in place of the machine's.
    pub(super) fn with_source(folder: &Path, line: &str) -> Result<Self, PackageError> {
        let list = folder.join("sources.list");
        fs::write(&list, line).map_err(|source| PackageError::Io { what: "write", path: list.clone(), source })?;
        let instead = format!("Dir::Etc::sourcelist \"{}\";\nDir::Etc::sourceparts \"/dev/null\";\n", list.display());
        Self::laid_out(folder, &instead)
    }

    fn laid_out(folder: &Path, more: &str) -> Result<Self, PackageError> {
        let made = |path: PathBuf| {
            fs::create_dir_all(&path).map_err(|source| PackageError::Io { what: "make the folder", path, source })
        };
        made(folder.join("lists/partial"))?;
        made(folder.join("archives/partial"))?;
        let configuration = folder.join("apt.conf");
        let text = configuration_text(Path::new("/etc/apt")) + more;
        fs::write(&configuration, text).map_err(|source| PackageError::Io {
            what: "write",
            path: configuration.clone(),
            source,
        })?;
        Ok(Self { folder: folder.to_owned(), configuration })
    }

    /// Whether lists are there from an earlier update.
    pub(super) fn has_lists(&self) -> bool {
        fs::read_dir(self.folder.join("lists")).is_ok_and(|mut entries| {
            entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().contains("Packages")))
        })
    }

    /// Fetches the lists of packages. Fails also where only one of several sources did not answer, which `apt-get` itself
    /// takes for a success.
    pub(super) fn update(&self, progress: &mut dyn FnMut(&str)) -> Result<(), PackageError> {
        let lines = self.call(&["update"], &self.folder, progress)?;
        match classify("apt-get", &lines) {
            PackageError::Failed { .. } => Ok(()),
            lacking => Err(lacking),
        }
    }

    /// Fetches a package's file into a folder.
    pub(super) fn download(
        &self,
        package: &str,
        into: &Path,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(), PackageError> {
        let called = self.call(&["download", package], into, progress);
        called.map(drop).map_err(|error| match error {
            PackageError::Failed { said, .. } if means_unknown(&said) => {
                PackageError::NoSuchPackage { package: package.to_owned(), said }
            }
            other => other,
        })
    }

    /// Fetches into a folder the files of everything that would be installed for some packages on a machine of which
    /// `status` says what it has.
    pub(super) fn install(
        &self,
        packages: &[String],
        status: &Path,
        archives: &Path,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(), PackageError> {
        let status = format!("Dir::State::status={}", status.display());
        let into = format!("Dir::Cache::archives={}", archives.display());
        let mut arguments =
            vec!["-o", &status, "-o", &into, "--no-install-recommends", "--download-only", "-y", "install"];
        arguments.extend(packages.iter().map(String::as_str));
        let called = self.call(&arguments, &self.folder, progress);
        called.map(drop).map_err(|error| match error {
            PackageError::Failed { said, .. } if means_unknown(&said) => {
                // `apt-get` names the one that it can't find.
                let named = packages.iter().find(|package| said.split_whitespace().any(|word| word == *package));
                PackageError::NoSuchPackage { package: named.unwrap_or(&packages.join(", ")).clone(), said }
            }
            other => other,
        })
    }

    /// The names of all packages that the sources have, by the beginning of their names.
    pub(super) fn names(&self, prefix: &str) -> Result<Vec<String>, PackageError> {
        let mut command = self.command("apt-cache", &["pkgnames", prefix]);
        command.current_dir(&self.folder).stderr(Stdio::null());
        let output = command.output().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => PackageError::NoProgram { name: "apt-cache", source },
            _ => PackageError::NoStart { name: "apt-cache", source },
        })?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    fn call(
        &self,
        arguments: &[&str],
        from: &Path,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Vec<String>, PackageError> {
        let mut command = self.command("apt-get", arguments);
        command.current_dir(from);
        run(command, "apt-get", progress)
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let at = |key: &str, path: &Path| format!("{key}={}", path.display());
        let mut command = Command::new(program);
        command
            .arg("-q")
            .args(["-o", &at("Dir::State", &self.folder), "-o", &at("Dir::State::lists", &self.folder.join("lists"))])
            .args([
                "-o",
                &at("Dir::Cache", &self.folder),
                "-o",
                &at("Dir::Cache::archives", &self.folder.join("archives")),
            ])
            .args(["-o", "Dir::State::status=/dev/null"])
            .args(arguments)
            .env("APT_CONFIG", &self.configuration)
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }
}

/// Unpacks a package's file into a folder.
pub(super) fn unpack(file: &Path, into: &Path, progress: &mut dyn FnMut(&str)) -> Result<(), PackageError> {
    let mut command = Command::new("dpkg-deb");
    command.arg("-x").args([file, into]);
    run(command, "dpkg-deb", progress).map(drop)
}

/// Runs a program that ends with us, passes on what it fetches, and takes its last error from what it says; gives its
/// last lines.
pub(super) fn run(
    mut command: Command,
    name: &'static str,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<String>, PackageError> {
    let no_start = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => PackageError::NoProgram { name, source },
        _ => PackageError::NoStart { name, source },
    };
    let (reading, writing) = io::pipe().map_err(no_start)?;
    command.stdout(writing.try_clone().map_err(no_start)?).stderr(writing);
    let life = bind(&mut command, &[], &Confinement::default()).map_err(no_start)?;
    let mut child = command.spawn().map_err(no_start)?;
    drop(command);
    let mut tail = VecDeque::with_capacity(TAIL_LINES);
    for line in BufReader::new(reading).lines().map_while(Result::ok) {
        if let Some(fetched) = line.strip_prefix("Get:") {
            progress(&format!("{name}: {}", fetched.split_once(' ').map_or(fetched, |(_, what)| what)));
        }
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(line);
    }
    let status = child.wait().map_err(no_start)?;
    drop(life);
    let lines = Vec::from(tail);
    if status.success() { Ok(lines) } else { Err(classify(name, &lines)) }
}

fn configuration_text(etc: &Path) -> String {
    // A folder is included by the slash at its end. A caller's own `APT_CONFIG` is not: ours takes its place.
    let parts = etc.join("apt.conf.d").is_dir().then(|| format!("{}/apt.conf.d/", etc.display()));
    let main = etc.join("apt.conf").is_file().then(|| format!("{}/apt.conf", etc.display()));
    let includes = parts.into_iter().chain(main).map(|path| format!("#include \"{path}\";\n"));
    let needless =
        NEEDLESS.iter().map(|kind| format!("Acquire::IndexTargets::deb::{kind}::DefaultEnabled \"false\";\n"));
    includes.chain([CONFIGURATION.to_owned()]).chain(needless).collect()
}

/// The last error line, else the last warning, else the last line at all.
fn said(lines: &[String]) -> String {
    let last = |mark: &str| lines.iter().rev().find(|line| line.starts_with(mark));
    last("E: ")
        .or_else(|| last("W: "))
        .or_else(|| lines.iter().rev().find(|line| !line.is_empty()))
        .cloned()
        .unwrap_or_default()
}

fn means_unknown(said: &str) -> bool {
    ["Unable to locate package", "no installation candidate", "Can't find a source", "Can't select candidate"]
        .iter()
        .any(|sign| said.contains(sign))
}

fn classify(name: &'static str, lines: &[String]) -> PackageError {
    let having = |signs: &[&str]| {
        lines.iter().rev().find(|line| signs.iter().any(|sign| line.contains(sign))).map(|line| line.trim().to_owned())
    };
    if let Some(said) = having(&["No space left on device", "enough free space"]) {
        return PackageError::NoRoom { said };
    }
    let unreachable = [
        "Temporary failure resolving",
        "Could not resolve",
        "Could not connect",
        "Connection failed",
        "Unable to connect",
        "Cannot initiate the connection",
        "connection timed out",
        "Network is unreachable",
        "Connection refused",
    ];
    if let Some(said) = having(&unreachable) {
        return PackageError::NoNetwork { said };
    }
    PackageError::Failed { name, said: said(lines) }
}

#[cfg(test)]
mod tests {
    use super::{PackageError, classify};

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_name_that_does_not_resolve_is_a_lack_of_network() {
        let text = "Err:1 http://packages.example.org/debian bookworm InRelease\n  \
                    Temporary failure resolving 'packages.example.org'\nE: Some index files failed to download.";
        let error = classify("apt-get", &lines(text));
        assert!(matches!(&error, PackageError::NoNetwork { said } if said.starts_with("Temporary")), "{error}");
    }

    #[test]
    fn a_full_disk_is_told_from_a_missing_network() {
        let text = "E: Write error - write (28: No space left on device)\nE: Could not connect";
        assert!(matches!(classify("apt-get", &lines(text)), PackageError::NoRoom { .. }));
    }

    #[test]
    fn of_several_lines_the_last_error_is_quoted() {
        let text = "Reading package lists...\nE: first\nW: between\nE: last\n";
        assert!(matches!(classify("apt-get", &lines(text)), PackageError::Failed { said, .. } if said == "E: last"));
    }
}
