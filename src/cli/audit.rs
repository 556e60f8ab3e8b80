//! `drlab audit`: the fact rules on this machine, read-only; and the files with facts that `drlab check` takes.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::sys::utsname::uname;

use super::exit::Exit;
use super::{AuditArguments, PlanFormat, complain, complain_of, print, show};
use crate::base::{NodeName, Protocol, Role, error_chain};
use crate::inside::read::here;
use crate::judge::machines::{self, Hints, ItemState, Machine, MachinesError, checklist};
use crate::report::Expected;
use crate::report::audit::{self, Audit};
use crate::report::forecast::{self, Forecast, ForecastVerdict};

/// Why facts can't be had or kept.
#[derive(Debug, thiserror::Error)]
enum FactsError {
    #[error("could not read this machine's facts")]
    Read(#[source] std::io::Error),
    #[error("could not write {}", .0.display())]
    Write(PathBuf, #[source] std::io::Error),
    #[error("could not read {}", .0.display())]
    Open(PathBuf, #[source] std::io::Error),
    #[error("{} holds no facts as `drlab audit --facts-out` writes them", .0.display())]
    Bad(PathBuf, #[source] serde_json::Error),
    #[error("{} has facts of another version: {version}, not {expected}", .path.display(), expected = machines::SCHEMA)]
    Version { path: PathBuf, version: String },
    #[error("could not write the facts as JSON")]
    Json(#[from] serde_json::Error),
    #[error("could not judge the facts")]
    Judge(#[from] MachinesError),
}

/// Audits this machine.
pub fn audit(arguments: &AuditArguments) -> Exit {
    match audited(arguments) {
        Ok(exit) => exit,
        Err(error) => {
            complain_of(&error);
            match error {
                FactsError::Judge(_) => Exit::Usage,
                FactsError::Read(_) => Exit::Lacking,
                _ => Exit::Lab,
            }
        }
    }
}

fn audited(arguments: &AuditArguments) -> Result<Exit, FactsError> {
    let names = uname().ok();
    let called = |name: &std::ffi::OsStr| named(&name.to_string_lossy());
    let node = arguments.name.clone().or_else(|| names.as_ref().and_then(|n| called(n.nodename())));
    let Some(node) = node else {
        complain("drlab: this machine has no name; give one by --name");
        return Ok(Exit::Usage);
    };
    let role = Role::from(arguments.role);
    let facts = here::facts(node.clone(), role == Role::Director).map_err(FactsError::Read)?;
    let hints = Hints {
        director: arguments.director,
        client: arguments.client,
        rip: arguments.rip,
        services: arguments.service.clone(),
    };
    let schema = machines::SCHEMA.to_owned();
    let machine = Machine { schema, role, vips: arguments.vip.clone(), hints, facts };
    if let Some(path) = &arguments.facts_out {
        let text = serde_json::to_string_pretty(&machine)? + "\n";
        fs::write(path, text).map_err(|source| FactsError::Write(path.clone(), source))?;
    }
    let judged = machines::judge(std::slice::from_ref(&machine))?;
    let audit = Audit {
        schema: audit::SCHEMA.to_owned(),
        node,
        role,
        vips: machine.vips.iter().map(ToString::to_string).collect(),
        kernel: names.map(|n| n.release().to_string_lossy().into_owned()).unwrap_or_default(),
        checklist: checklist(&machine, &judged.findings),
        findings: judged.findings,
        assumed: judged.assumed,
    };
    match arguments.format {
        PlanFormat::Text => print(&audit::render(&audit, &show::style())),
        PlanFormat::Json => print(&audit::json(&audit)?),
    }
    Ok(match (audit.findings.is_empty(), audit.count(ItemState::Unread)) {
        (false, _) => Exit::Broken,
        (true, 0) => Exit::AsExpected,
        (true, _) => Exit::Undecided,
    })
}

/// A host's name as a node's.
fn named(host: &str) -> Option<NodeName> {
    let short = host.split('.').next().unwrap_or(host).to_lowercase();
    let plain: String = short.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let plain = plain.trim_matches('-');
    let lettered =
        if plain.starts_with(|c: char| c.is_ascii_lowercase()) { plain.to_owned() } else { format!("host-{plain}") };
    lettered.chars().take(32).collect::<String>().trim_end_matches('-').parse().ok()
}

/// Judges the facts of several machines together.
pub(super) fn together(files: &[PathBuf]) -> Result<(Forecast, Exit), Exit> {
    let begun = Instant::now();
    let judged = read(files).and_then(|machines| Ok((machines::judge(&machines)?, machines)));
    let (judged, machines) = judged.map_err(|error| {
        complain_of(&error);
        Exit::Usage
    })?;
    let names: Vec<String> = machines.iter().map(|m| m.facts.node.to_string()).collect();
    let unread: Vec<String> = machines
        .iter()
        .flat_map(|m| m.facts.unread.iter().map(|u| format!("{}: {} ({})", m.facts.node, u.what, u.why)))
        .collect();
    let settings: usize = machines.iter().map(|m| m.facts.statements().len()).sum();
    let differences = judged.findings.iter().map(|f| format!("{} on {}", f.id, f.node)).collect();
    let met = judged.findings.is_empty();
    let exit = match (met, unread.is_empty()) {
        (false, _) => Exit::Broken,
        (true, true) => Exit::AsExpected,
        (true, false) => Exit::Undecided,
    };
    let forecast = Forecast {
        schema: forecast::SCHEMA.to_owned(),
        scenario: names.join(" "),
        title: format!("the facts of {} machines", machines.len()),
        verdict: if met { ForecastVerdict::Clean } else { ForecastVerdict::Found },
        expected: Expected { met, broken: false, differences },
        looked_at: format!("{settings} settings that their kernels told"),
        findings: judged.findings,
        only_in_a_lab: Vec::new(),
        assumed: judged.assumed,
        unread,
        took_ms: begun.elapsed().as_secs_f64() * 1e3,
    };
    Ok((forecast, exit))
}

fn read(files: &[PathBuf]) -> Result<Vec<Machine>, FactsError> {
    files.iter().map(|path| one(path)).collect()
}

fn one(path: &Path) -> Result<Machine, FactsError> {
    let text = fs::read(path).map_err(|source| FactsError::Open(path.to_owned(), source))?;
    let machine: Machine = serde_json::from_slice(&text).map_err(|source| FactsError::Bad(path.to_owned(), source))?;
    if machine.schema != machines::SCHEMA {
        return Err(FactsError::Version { path: path.to_owned(), version: machine.schema });
    }
    Ok(machine)
}

/// `tcp:80`, `udp:53`, `443`.
pub(super) fn parse_service(text: &str) -> Result<(Protocol, u16), String> {
    let (protocol, port) = text.split_once([':', '/']).unwrap_or(("tcp", text));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        other => return Err(format!("`{other}` is neither tcp nor udp")),
    };
    let port = port.parse().ok().filter(|p| *p != 0);
    port.map(|port| (protocol, port)).ok_or_else(|| "a port is wanted, as in tcp:80".to_owned())
}

/// An address, for several VIPs given at once.
pub(super) fn parse_ip(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|error: std::net::AddrParseError| error_chain(&error).join(": "))
}

#[cfg(test)]
mod tests {
    use super::{named, parse_service};
    use crate::base::Protocol;

    #[test]
    fn any_hosts_name_becomes_a_nodes() {
        assert_eq!(named("Web_01.example.org").unwrap().as_str(), "web-01");
        assert_eq!(named("10gw").unwrap().as_str(), "host-10gw");
        assert_eq!(named("").unwrap().as_str(), "host");
    }

    #[test]
    fn a_service_is_a_transport_and_a_port() {
        assert_eq!(parse_service("udp:53"), Ok((Protocol::Udp, 53)));
        assert_eq!(parse_service("443"), Ok((Protocol::Tcp, 443)));
        assert!(parse_service("sctp:1").is_err() && parse_service("tcp:0").is_err());
    }
}
