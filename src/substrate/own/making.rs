//! From the source's archive to the kernel's program: unpack, patch, configure, compile.
//!
//! Errs towards stopping: a patch that fits only roughly and an option that the source turns off again end the build.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::means::Means;
use super::{OwnError, io_on};
use crate::substrate::bound::{Confinement, bind};

/// What of the source no User-Mode Linux is compiled from: half of its size. Their `Kconfig` and makefiles are kept, as
/// the configuration reads all of them.
const LEFT_OUT: [&str; 14] = [
    "Documentation/*.rst",
    "arch/*/boot/dts",
    "drivers/gpu/*.[ch]",
    "drivers/infiniband/*.[ch]",
    "drivers/iio/*.[ch]",
    "drivers/media/*.[ch]",
    "drivers/net/ethernet/*.[ch]",
    "drivers/net/wireless/*.[ch]",
    "drivers/scsi/*.[ch]",
    "drivers/staging/*.[ch]",
    "fs/xfs/*.[ch]",
    "sound/*.[ch]",
    "tools/perf",
    "tools/testing",
];

/// What goes into the kernel's name of itself; the same inputs then give the same program.
const STAMP: [(&str, &str); 4] = [
    ("KBUILD_BUILD_TIMESTAMP", "1970-01-01"),
    ("KBUILD_BUILD_USER", "drlab"),
    ("KBUILD_BUILD_HOST", "drlab"),
    ("KBUILD_BUILD_VERSION", "1"),
];

/// How often it is told how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// How many lines of a step that failed are shown.
const SAID_LINES: usize = 12;

/// A build under way.
pub(super) struct Making<'a> {
    /// What it is built with.
    pub(super) means: &'a Means,
    /// An empty folder for it.
    pub(super) folder: &'a Path,
    /// Where all that the programs say is kept.
    pub(super) log: PathBuf,
}

impl Making<'_> {
    /// Makes the program and gives its path; `name` is the folder that the archive holds.
    pub(super) fn image(
        &self,
        archive: &Path,
        name: &str,
        configuration: &str,
        patches: &[(String, &[u8])],
        progress: &mut dyn FnMut(&str),
    ) -> Result<PathBuf, OwnError> {
        File::create(&self.log).map_err(io_on("make", &self.log))?;
        progress("unpacking the source");
        let mut tar = self.means.command("tar");
        tar.arg("-xJf").arg(archive).arg("-C").arg(self.folder);
        tar.args(LEFT_OUT.map(|part| format!("--exclude={name}/{part}")));
        self.step("unpack the source", tar, progress)?;
        let source = self.folder.join(name);
        for (patch, text) in patches {
            progress(&format!("applying {patch}"));
            let file = self.folder.join("patch");
            fs::write(&file, text).map_err(io_on("write", &file))?;
            let mut command = self.means.command("patch");
            command.args(["--strip=1", "--forward", "--fuzz=0", "--input"]).arg(&file).arg("-d").arg(&source);
            self.step("apply a patch", command, progress)?;
        }
        progress("configuring");
        let wanted = self.folder.join("config");
        fs::write(&wanted, configuration).map_err(io_on("write", &wanted))?;
        let mut configure = self.make(&source);
        configure.env("KCONFIG_ALLCONFIG", &wanted).arg("allnoconfig");
        self.step("configure the kernel", configure, progress)?;
        let options = lost(configuration, &read(&source.join(".config"))?);
        if !options.is_empty() {
            return Err(OwnError::Options { options });
        }
        let jobs = thread::available_parallelism().map_or(1, usize::from);
        progress(&format!("compiling, {jobs} at a time; this takes some minutes"));
        let mut compile = self.make(&source);
        compile.arg(format!("-j{jobs}")).arg("linux");
        self.step("compile the kernel", compile, progress)?;
        Ok(source.join("linux"))
    }

    fn make(&self, source: &Path) -> Command {
        let mut command = self.means.command("make");
        command.arg("-C").arg(source).arg("ARCH=um").envs(STAMP);
        command
    }

    /// Runs a program that ends with us; tells from time to time how many files it has compiled.
    fn step(&self, step: &'static str, mut command: Command, progress: &mut dyn FnMut(&str)) -> Result<(), OwnError> {
        let failed = |said: String| OwnError::Step { step, said, log: self.log.clone() };
        let no_start = |error: io::Error| failed(error.to_string());
        let mut log = File::options().append(true).open(&self.log).map_err(io_on("open", &self.log))?;
        let (reading, writing) = io::pipe().map_err(no_start)?;
        command.stdout(writing.try_clone().map_err(no_start)?).stderr(writing);
        let life = bind(&mut command, &[], &Confinement::default()).map_err(no_start)?;
        let mut child = command.spawn().map_err(no_start)?;
        drop(command);
        let mut last = VecDeque::with_capacity(SAID_LINES);
        let (mut compiled, mut told) = (0_u32, Instant::now());
        for line in BufReader::new(reading).lines().map_while(Result::ok) {
            writeln!(log, "{line}").map_err(io_on("write to", &self.log))?;
            if let Some(file) = line.trim_start().strip_prefix("CC ") {
                compiled += 1;
                if told.elapsed() > TELL_EVERY {
                    told = Instant::now();
                    progress(&format!("{compiled} files are compiled, up to {}", file.trim()));
                }
            }
            if last.len() == SAID_LINES {
                last.pop_front();
            }
            last.push_back(line);
        }
        let status = child.wait().map_err(no_start)?;
        drop(life);
        if status.success() { Ok(()) } else { Err(failed(said(last.make_contiguous()))) }
    }
}

/// The line that names the error, else the last one.
fn said(lines: &[String]) -> String {
    let error = lines.iter().find(|line| line.contains("error:") || line.contains("rror: ") || line.contains("FAILED"));
    error.or(lines.last()).cloned().unwrap_or_default()
}

fn read(path: &Path) -> Result<String, OwnError> {
    fs::read_to_string(path).map_err(io_on("read", path))
}

/// The wanted options that a configuration does not have.
fn lost(wanted: &str, got: &str) -> Vec<String> {
    let has = |line: &str| got.lines().any(|other| other == line);
    wanted.lines().filter(|line| line.starts_with("CONFIG_") && !has(line)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::{lost, said};

    #[test]
    fn an_option_that_the_source_turns_off_is_seen() {
        let got = "CONFIG_NET=y\n# CONFIG_TIME_NS is not set\n";
        assert_eq!(lost("# why\nCONFIG_NET=y\nCONFIG_TIME_NS=y\n", got), ["CONFIG_TIME_NS=y"]);
        assert!(lost("CONFIG_NET=y\n", got).is_empty());
    }

    #[test]
    fn of_what_a_compiler_says_its_error_is_quoted() {
        let lines = ["  CC      a.o", "a.c:1: error: no", "make: *** [Makefile:1: a.o] Error 1"].map(str::to_owned);
        assert_eq!(said(&lines), "a.c:1: error: no");
    }
}
