//! Sysctls of the namespace that the calling thread is in.
//!
//! Owns: the way from a key with dots to its file, writing, reading. Refuses: which value is right.

use std::fs::{self, File};
use std::io::{self, Read};

use crate::plan::Sysctl;

/// A sysctl that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("could not set {key}={value}")]
pub struct SysctlError {
    /// With dots.
    pub key: String,
    /// As it was to be written.
    pub value: String,
    /// Why not; `NotFound` where this kernel has no such sysctl.
    #[source]
    pub source: io::Error,
}

/// The file of a key, with its `/` and `.` changed for each other, as sysctl(8) does it.
pub fn path(key: &str) -> String {
    let swapped = key.chars().map(|c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    });
    "/proc/sys/".chars().chain(swapped).collect()
}

/// Writes one.
///
/// # Errors
/// [`SysctlError`].
pub fn set(key: &str, value: &str) -> Result<(), SysctlError> {
    fs::write(path(key), value).map_err(|source| SysctlError { key: key.to_owned(), value: value.to_owned(), source })
}

/// Reads one, without the newline; runs of white space in between become one space.
///
/// # Errors
/// Those of the file.
pub fn get(key: &str) -> io::Result<String> {
    // One read gives all of it, and a node has hundreds: each call saved counts where calls are slow.
    let mut text = [0; 4096];
    let length = File::open(path(key))?.read(&mut text)?;
    Ok(String::from_utf8_lossy(&text[..length]).split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Writes a node's sysctls in order. Those of the baseline that this kernel does not have are left out and returned: the
/// baseline pins what a kernel may bring along, and an older kernel does not bring it.
///
/// # Errors
/// The first that could not be written.
pub fn set_all(sysctls: &[Sysctl]) -> Result<Vec<String>, SysctlError> {
    let mut absent = Vec::new();
    for Sysctl { key, value, baseline } in sysctls {
        match set(key, value) {
            Err(error) if *baseline && error.source.kind() == io::ErrorKind::NotFound => absent.push(key.clone()),
            other => other?,
        }
    }
    Ok(absent)
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn a_dot_in_an_interfaces_name_is_written_as_a_slash_in_the_key() {
        assert_eq!(path("net.ipv4.conf.eth0/5.arp_ignore"), "/proc/sys/net/ipv4/conf/eth0.5/arp_ignore");
    }
}
