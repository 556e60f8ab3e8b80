//! Programs that nodes call: found on the machine, or fetched into the cache as kernels are.
//!
//! Owns: which packages a program comes from. Refuses: running it.

use std::path::PathBuf;

use super::cache::Cache;
use super::packages::{self, PackageError};

/// A program, where it is looked for, and the packages that have it with the libraries that it loads.
struct Tool {
    name: &'static str,
    program: &'static str,
    packages: &'static [&'static str],
}

const TOOLS: &[Tool] = &[
    Tool { name: "arptables", program: "arptables-legacy", packages: &["arptables"] },
    Tool {
        name: "iptables",
        program: "iptables-legacy",
        packages: &["iptables", "libxtables12", "libip4tc2", "libip6tc2"],
    },
];

/// Where the machine has a program; ordinary users' `PATH` often lacks the folders for the administrator's.
pub fn on_machine(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// The folders below which wanted tools that the machine lacks are, `usr/sbin/…` in each; fetched where they are not
/// in the cache yet.
///
/// # Errors
/// [`PackageError`].
pub fn roots(cache: &Cache, wanted: &[&str], progress: &mut dyn FnMut(&str)) -> Result<Vec<PathBuf>, PackageError> {
    let missing = TOOLS.iter().filter(|tool| wanted.contains(&tool.name) && on_machine(tool.program).is_none());
    let mut roots = Vec::new();
    for package in missing.flat_map(|tool| tool.packages) {
        let root = match packages::cached(cache, package).pop() {
            Some(root) => root,
            None => {
                progress(&format!("fetching {package} into the cache, without root"));
                packages::fetch(cache, package, progress)?
            }
        };
        roots.push(root);
    }
    Ok(roots)
}
