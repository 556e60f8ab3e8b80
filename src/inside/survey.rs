//! What a kernel is like before anything is set in it.
//!
//! Owns: trying which schedulers it takes, and reading the sysctls that labs have to do with. Refuses: calling anything
//! missing without having asked for it. A service is made and deleted for each scheduler, in the namespace that drlab
//! itself is in, which is a guest's or its own.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use super::ipvs::{IpvsError, Session};
use crate::base::{Protocol, SCHEDULERS, ServiceId};
use crate::facts::survey::Survey;
use crate::plan::Service;

/// The folders whose files are read, with the names that they begin with.
const DEFAULTS: [(&str, &str); 4] = [
    ("/proc/sys/net/ipv4/conf/default", "net.ipv4.conf.default"),
    ("/proc/sys/net/ipv4/neigh/default", "net.ipv4.neigh.default"),
    ("/proc/sys/net/ipv4/vs", "net.ipv4.vs"),
    ("/proc/sys/net/ipv4", "net.ipv4"),
];

/// What a kernel computes from the machine's memory and processors, or draws, and so says nothing about the kernel.
const OF_THE_MACHINE: [&str; 16] = [
    "amemthresh",
    "fib_sync_mem",
    "inet_peer_threshold",
    "ipfrag_high_thresh",
    "ipfrag_low_thresh",
    "sync_qlen_max",
    "tcp_ehash_entries",
    "tcp_fastopen_key",
    "tcp_max_orphans",
    "tcp_max_syn_backlog",
    "tcp_max_tw_buckets",
    "tcp_mem",
    "tcp_rmem",
    "tcp_wmem",
    "udp_hash_entries",
    "udp_mem",
];

/// Looks at the kernel; modules have to be loaded by then.
pub fn look() -> Survey {
    let mut defaults = BTreeMap::new();
    for (folder, name) in DEFAULTS {
        read(Path::new(folder), name, &mut defaults);
    }
    // A kernel that lets nobody ask has not said that it lacks something.
    Survey { schedulers: schedulers().ok(), defaults }
}

fn schedulers() -> Result<Vec<String>, IpvsError> {
    let mut session = Session::open()?;
    let id = ServiceId::Address { protocol: Protocol::Tcp, at: (Ipv4Addr::new(192, 0, 2, 1), 80).into() };
    let mut known = Vec::new();
    for scheduler in SCHEDULERS {
        let service = Service {
            id,
            scheduler: (*scheduler).to_owned(),
            flags: Vec::new(),
            persistence_s: None,
            persistence_prefix: None,
            destinations: Vec::new(),
        };
        match session.add_service(&service) {
            Ok(()) => {
                session.delete_service(id)?;
                known.push((*scheduler).to_owned());
            }
            Err(error) if error.is_lacking() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(known)
}

fn read(folder: &Path, name: &str, into: &mut BTreeMap<String, String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| entry.path().is_file()) {
        let file = entry.file_name().to_string_lossy().into_owned();
        if OF_THE_MACHINE.contains(&file.as_str()) {
            continue;
        }
        // Some can only be written.
        if let Ok(value) = fs::read_to_string(entry.path()) {
            into.insert(format!("{name}.{file}"), value.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}
