//! The machine that the figures are of.

use std::fs;
use std::process::Command;

use crate::error::BenchError;
use crate::pinned::Processors;

/// What there is to say of it, a name and a value each.
pub(crate) type Description = Vec<(&'static str, String)>;

pub(crate) fn describe(processors: Processors) -> Result<Description, BenchError> {
    let Processors { had, used } = processors;
    let used = if had == used { String::new() } else { format!(", {used} of them used") };
    Ok(vec![
        ("processors", format!("{had} × {}{used}", model()?)),
        ("memory", memory()?),
        ("kernel", format!("{}, {}", read("/proc/sys/kernel/osrelease")?.trim(), distribution())),
        ("user", if nix::unistd::geteuid().is_root() { "root" } else { "an ordinary user" }.to_owned()),
        ("load average before", read("/proc/loadavg")?.split(' ').take(3).collect::<Vec<_>>().join(" ")),
        ("drlab", format!("{}{}", env!("CARGO_PKG_VERSION"), commit())),
    ])
}

fn read(path: &str) -> Result<String, BenchError> {
    fs::read_to_string(path).map_err(BenchError::io(format!("read {path}")))
}

fn model() -> Result<String, BenchError> {
    let text = read("/proc/cpuinfo")?;
    let line = text.lines().find(|line| line.starts_with("model name"));
    let model = line.and_then(|line| line.split_once(':')).map(|(_, model)| model.trim().to_owned());
    Ok(model.unwrap_or_else(|| std::env::consts::ARCH.to_owned()))
}

fn memory() -> Result<String, BenchError> {
    let text = read("/proc/meminfo")?;
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    Ok(kib.map_or_else(|| "unknown".to_owned(), |kib: u64| format!("{:.1} GiB", kib as f64 / f64::from(1 << 20))))
}

fn distribution() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "an unnamed distribution".to_owned(), |name| name.trim_matches('"').to_owned())
}

/// The commit, where this is a clone and git is there.
fn commit() -> String {
    let asked = Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]).output();
    let answer = asked.ok().filter(|answer| answer.status.success());
    answer.map_or_else(String::new, |answer| format!(", commit {}", String::from_utf8_lossy(&answer.stdout).trim()))
}
