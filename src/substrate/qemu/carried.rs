//! What a virtual machine carries of this machine in its initramfs, for it sees nothing else: drlab, programs, modules.
//!
//! Owns: finding programs and the libraries that they load. Refuses: running them. A program that is not there is left out;
//! whoever calls it says so.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::initramfs::{Archive, loaded_part};
use crate::substrate::packages::tools;

/// Where drlab is in there.
pub(super) const INIT: &str = "/init";

/// What is asked for by name, and only read.
const SETTINGS: [&str; 9] = [
    "/etc/ethertypes",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/protocols",
    "/etc/services",
];

/// What shell commands call besides the tools that they are about.
const OF_SHELLS: [&str; 12] = ["sh", "cat", "cp", "env", "grep", "ls", "mkdir", "rm", "sed", "sleep", "tee", "uname"];

/// The programs of a package that may be called.
fn programs(package: &str) -> &[&str] {
    match package {
        "arptables" => &["arptables-legacy", "arptables"],
        "iptables" => &["iptables-legacy", "ip6tables-legacy", "iptables", "ip6tables"],
        "iproute2" => &["ip"],
        "procps" => &["sysctl"],
        "net-tools" => &["ifconfig", "route", "arp"],
        _ => &[],
    }
}

/// Puts drlab, the packages' programs (a path, or a name that is no package's, is a program itself), the folders of
/// unpacked tools and the modules into an archive.
pub(super) fn pack<W: Write>(
    archive: &mut Archive<W>,
    drlab: &Path,
    wanted: &[String],
    tool_roots: &[PathBuf],
    modules: Option<&Path>,
) -> io::Result<()> {
    for name in ["/bin", "/sbin", "/lib", "/lib64"].map(Path::new) {
        if let Ok(goal) = fs::read_link(name) {
            archive.link(name, &goal)?;
        }
    }
    for folder in ["/etc", "/var", "/tmp", "/run", "/proc", "/sys", "/root", "/usr/bin"].map(Path::new) {
        archive.folder(folder)?;
    }
    for path in SETTINGS.map(Path::new) {
        if let Ok(content) = fs::read(path) {
            archive.file(path, 0o644, &content)?;
        }
    }
    archive.file(Path::new(INIT), 0o755, loaded_part(&fs::read(drlab)?))?;
    let mut due = BTreeSet::from([drlab.to_owned()]);
    let names = wanted.iter().flat_map(|one| match programs(one) {
        [] => vec![one.as_str()],
        several => several.to_vec(),
    });
    let of_shells = OF_SHELLS.into_iter().filter(|_| !wanted.is_empty());
    for program in names.chain(of_shells).filter_map(tools::on_path) {
        // A copy of drlab itself would only take memory.
        if fs::canonicalize(&program).is_ok_and(|goal| goal == drlab) {
            archive.link(&program, Path::new(INIT))?;
            continue;
        }
        add(archive, &program)?;
        due.insert(program);
    }
    for root in tool_roots {
        for file in files_below(root)? {
            add(archive, &file)?;
            due.insert(file);
        }
    }
    for library in libraries(&due) {
        add(archive, &library)?;
        // What `iptables` loads by itself lies beside the libraries that it is linked to.
        if library.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libxtables.so"))
            && let Some(plugins) = real(&library).parent().map(|folder| folder.join("xtables"))
            && plugins.is_dir()
        {
            for plugin in files_below(&plugins)? {
                add(archive, &plugin)?;
            }
        }
    }
    if let Some(folder) = modules {
        for file in files_below(folder)? {
            archive.file(&file, 0o644, &fs::read(&file)?)?;
        }
    }
    Ok(())
}

/// Adds a file under its name, in the folder where that really is.
fn add<W: Write>(archive: &mut Archive<W>, path: &Path) -> io::Result<()> {
    let place = path.parent().zip(path.file_name()).map_or(path.to_owned(), |(folder, name)| real(folder).join(name));
    if archive.has(&place) {
        return Ok(());
    }
    // What can't be read or leads nowhere is not there for whoever needs it.
    let Ok(content) = fs::read(path) else { return Ok(()) };
    let permissions = fs::metadata(path)?.permissions().mode();
    archive.file(&place, permissions, loaded_part(&content))
}

fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // Links count as what they lead to; a folder that is one is looked into where it is.
        if path.is_dir() && !path.is_symlink() {
            files.extend(files_below(&path)?);
        } else if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The libraries that programs load, the dynamic loader among them.
fn libraries(programs: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let asked = Command::new("ldd")
        .args(programs)
        .env("LC_ALL", "C")
        .env_remove("LD_LIBRARY_PATH")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let said = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    said.lines().filter_map(library).collect()
}

/// `libc.so.6 => /lib/libc.so.6 (0x…)`, or `/lib64/ld-linux-x86-64.so.2 (0x…)`.
fn library(line: &str) -> Option<PathBuf> {
    let line = line.trim();
    let found = line.split_once("=> ").map_or(line, |(_, found)| found);
    let path = found.split_once(" (0x")?.0;
    path.starts_with('/').then(|| path.into())
}

#[cfg(test)]
mod tests {
    use super::library;

    #[test]
    fn a_library_is_where_the_loader_finds_it() {
        assert_eq!(library("\tlibc.so.6 => /lib/x/libc.so.6 (0x00007f)"), Some("/lib/x/libc.so.6".into()));
        assert_eq!(library("\t/lib64/ld-linux-x86-64.so.2 (0x00007f)"), Some("/lib64/ld-linux-x86-64.so.2".into()));
        assert_eq!(library("\tlinux-vdso.so.1 (0x00007f)"), None);
        assert_eq!(library("\tlibxtables.so.12 => not found"), None);
        assert_eq!(library("/usr/sbin/ip:"), None);
        assert_eq!(library("\tstatically linked"), None);
    }
}
