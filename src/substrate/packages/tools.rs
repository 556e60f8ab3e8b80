//! Programs that a lab calls and a machine may lack.
//!
//! Owns: whether the machine has them, and unpacking them with the libraries that they need. Refuses: calling them in a
//! lab. What is asked for is the variant with legacy tables, for which Debian's User-Mode Linux kernel has the modules.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::apt::Apt;
use super::{Complete, PackageError, apt, cached, fetch_with, of_this_machine, trees};
use crate::substrate::cache::Cache;

/// The folders for programs; a guest's `PATH` has these and no others, whatever the user's has.
const USUAL: [&str; 6] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"];

/// The packages with the tools that mends are said in.
pub const OF_MENDS: [&str; 5] = ["iproute2", "procps", "arptables", "iptables", "ipvsadm"];
/// The package with `ifconfig`, `route` and `arp`.
pub const NET_TOOLS: &str = "net-tools";
/// The package with `ethtool`.
pub const ETHTOOL: &str = "ethtool";

/// Programs that setups call, and the package that each is in, by Debian's and Ubuntu's names.
const PROGRAMS: [(&str, &str); 45] = [
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("bridge", "iproute2"),
    ("ss", "iproute2"),
    ("sysctl", "procps"),
    ("ps", "procps"),
    ("pgrep", "procps"),
    ("pkill", "procps"),
    ("ifconfig", "net-tools"),
    ("route", "net-tools"),
    ("arp", "net-tools"),
    ("netstat", "net-tools"),
    ("ipvsadm", "ipvsadm"),
    ("ipvsadm-save", "ipvsadm"),
    ("ipvsadm-restore", "ipvsadm"),
    ("arptables", "arptables"),
    ("arptables-save", "arptables"),
    ("arptables-restore", "arptables"),
    ("iptables", "iptables"),
    ("iptables-save", "iptables"),
    ("iptables-restore", "iptables"),
    ("ip6tables", "iptables"),
    ("ip6tables-save", "iptables"),
    ("ip6tables-restore", "iptables"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
    ("ethtool", "ethtool"),
    ("arping", "iputils-arping"),
    ("ping", "iputils-ping"),
    ("curl", "curl"),
    ("logger", "bsdutils"),
    ("keepalived", "keepalived"),
    ("ldirectord", "ldirectord"),
    ("haproxy", "haproxy"),
    ("nginx", "nginx"),
    ("apache2", "apache2"),
    ("apache2ctl", "apache2"),
    ("apachectl", "apache2"),
    ("lighttpd", "lighttpd"),
    ("php", "php-cli"),
    ("mariadbd", "mariadb-server"),
    ("mysqld", "mariadb-server"),
    ("python3", "python3"),
    ("perl", "perl-base"),
    ("tcpdump", "tcpdump"),
];

/// The packages that drlab fetches and unpacks by itself where a program is lacking: each is a program and its libraries,
/// and nothing that has to be set up.
const FETCHED: [&str; 11] = [
    "iproute2",
    "procps",
    "net-tools",
    "ipvsadm",
    "arptables",
    "iptables",
    "nftables",
    "conntrack",
    "ethtool",
    "iputils-arping",
    "curl",
];

/// Words that a shell takes by itself, and programs that are on every machine.
const EVERYWHERE: [&str; 40] = [
    ".", ":", "[", "alias", "break", "case", "cd", "continue", "done", "echo", "esac", "eval", "exit", "export",
    "false", "fi", "for", "function", "getopts", "hash", "kill", "let", "local", "printf", "pwd", "read", "readonly",
    "return", "select", "set", "shift", "source", "test", "trap", "true", "type", "ulimit", "umask", "unset", "wait",
];

/// How a machine stands to a program that a scenario calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is there, or every shell has it.
    There,
    /// It is not there, and the package that has it is fetched.
    Fetched(&'static str),
    /// It is not there; this package has it.
    In(&'static str),
    /// It is not there, and it is not known which package has it.
    Unknown,
}

/// How this machine stands to a program, named plainly or by a path.
pub fn standing(program: &str) -> Standing {
    let name = program.rsplit('/').next().unwrap_or(program);
    let by_path = program.starts_with('/');
    let is_there = if by_path { Path::new(program).exists() } else { usual(name).is_some() };
    if is_there || (!by_path && EVERYWHERE.contains(&name)) {
        return Standing::There;
    }
    match PROGRAMS.iter().find(|(known, _)| *known == name) {
        // What is unpacked is found by its name, not where a path says.
        Some((_, package)) if !by_path && FETCHED.contains(package) => Standing::Fetched(package),
        Some((_, package)) => Standing::In(package),
        None => Standing::Unknown,
    }
}

fn usual(name: &str) -> Option<PathBuf> {
    USUAL.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

/// The package that has a program with tables of old, which the kernels of labs have the modules for.
pub fn with_old_tables(program: &str) -> Option<&'static str> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let package = PROGRAMS.iter().find(|(known, _)| *known == name).map(|(_, package)| *package);
    package.filter(|package| matches!(*package, "arptables" | "iptables"))
}

/// The package of a program, where it is one that drlab fetches by itself.
pub fn package_fetched_for(program: &str) -> Option<&'static str> {
    let name = program.rsplit('/').next().unwrap_or(program);
    PROGRAMS.iter().find(|(known, package)| *known == name && FETCHED.contains(package)).map(|(_, package)| *package)
}

/// The program that is wanted of a package, where it is not named as the package is.
fn program(package: &str) -> &str {
    match package {
        "iproute2" => "ip",
        "procps" => "sysctl",
        "net-tools" => "ifconfig",
        "nftables" => "nft",
        "iputils-arping" => "arping",
        other => other,
    }
}

/// Where the machine has the program of a package (`arptables`, `iptables`), in a folder that a guest looks into as well.
pub fn on_machine(package: &str) -> Option<PathBuf> {
    let tool = program(package);
    let of_old = matches!(package, "arptables" | "iptables");
    usual(&format!("{tool}-legacy")).or_else(|| usual(tool).filter(|path| !of_old || !is_nft(path)))
}

/// Finds a program in `PATH` and in the usual folders; those for root's programs are not in a user's `PATH`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .chain(USUAL.map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Whether a program is a link to the variant with nftables.
fn is_nft(path: &Path) -> bool {
    fs::canonicalize(path).is_ok_and(|goal| goal.file_name().is_some_and(|name| name.to_string_lossy().contains("nft")))
}

/// The folder of a tool that was fetched earlier.
pub fn fetched(cache: &Cache, tool: &str) -> Option<PathBuf> {
    cached(cache, tool).into_iter().max()
}

/// The folders, with `usr/sbin/NAME` below them, of those tools that the machine lacks; fetched where they aren't yet.
///
/// # Errors
/// [`PackageError`] for the first that can't be had.
pub fn roots(
    cache: &Cache,
    tools: &[impl AsRef<str>],
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<PathBuf>, PackageError> {
    let lacking = tools.iter().map(AsRef::as_ref).filter(|tool| on_machine(tool).is_none());
    lacking.map(|tool| unpacked(cache, tool, progress)).collect()
}

/// A package's folder, with the libraries that its programs need and the machine lacks; fetched where it isn't there yet.
///
/// # Errors
/// [`PackageError`].
pub fn unpacked(cache: &Cache, package: &str, progress: &mut dyn FnMut(&str)) -> Result<PathBuf, PackageError> {
    if let Some(root) = fetched(cache, package) {
        return Ok(root);
    }
    progress(&format!("this machine has no {package}: fetching its package, without root"));
    let complete: Complete<'_> = &mut |apt, unpacked, room, progress| add_needs(package, apt, unpacked, room, progress);
    fetch_with(cache, package, &|| of_this_machine(cache), complete, progress)
}

/// Unpacks into a package's folder what its programs need and the machine lacks.
fn add_needs(
    package: &str,
    apt: &Apt,
    unpacked: &Path,
    room: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<(), PackageError> {
    let Some(library) = missing_libraries(unpacked).pop_first() else { return Ok(()) };
    progress(&format!("it needs {library}, which this machine lacks: fetching all that it needs"));
    let itself =
        |file: &Path| file.file_name().is_some_and(|name| name.to_string_lossy().split('_').next() == Some(package));
    let needed = trees::download(apt, &[package.to_owned()], room, progress)?;
    for file in needed.iter().filter(|file| !itself(file)) {
        apt::unpack(file, unpacked, progress)?;
    }
    Ok(())
}

/// What `ldd` says is not found, of all programs below a folder.
fn missing_libraries(unpacked: &Path) -> BTreeSet<String> {
    let programs: BTreeSet<PathBuf> = ["usr/sbin", "sbin", "usr/bin", "bin"]
        .into_iter()
        .filter_map(|folder| fs::read_dir(unpacked.join(folder)).ok())
        .flat_map(|entries| entries.flatten().filter_map(|entry| fs::canonicalize(entry.path()).ok()))
        .collect();
    let mut missing = BTreeSet::new();
    for program in programs {
        // Scripts and programs that it can't read have no libraries for it to miss. A guest has no library path of the
        // user's, so what is found by one only is missing.
        let asked = Command::new("ldd")
            .arg(&program)
            .env("LC_ALL", "C")
            .env_remove("LD_LIBRARY_PATH")
            .stdin(Stdio::null())
            .output();
        let said = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        missing.extend(not_found(&said).map(str::to_owned));
    }
    missing
}

fn not_found(said: &str) -> impl Iterator<Item = &str> {
    said.lines().filter_map(|line| line.trim().strip_suffix("=> not found").map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::{FETCHED, PROGRAMS, Standing, not_found, standing};

    #[test]
    fn a_program_that_a_shell_has_is_there_and_one_of_a_known_package_is_not_unknown() {
        assert_eq!(standing("echo"), Standing::There);
        assert_eq!(standing("no-such-program-anywhere"), Standing::Unknown);
        assert_eq!(standing("/no/such/folder/haproxy"), Standing::In("haproxy"));
        // By its path it would not be found where it is unpacked.
        assert_eq!(standing("/no/such/folder/ipvsadm"), Standing::In("ipvsadm"));
        assert!(FETCHED.iter().all(|package| PROGRAMS.iter().any(|(_, known)| known == package)));
    }

    #[test]
    fn only_what_is_not_found_is_missing() {
        let said =
            "\tlinux-vdso.so.1 (0x00007f)\n\tlibxtables.so.12 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x1)\n";
        assert_eq!(not_found(said).collect::<Vec<_>>(), ["libxtables.so.12"]);
    }
}
