//! The access logs of nodes' own web servers, read as evidence beside those of drlab's.
//!
//! Owns: reading them in the node, and joining their lines with the loads' requests, whose clients' ports no such log has.
//! Refuses: lines that no load's request made. Where an answer did not say who gave it, the log that has it does.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use super::build::Lab;
use super::timeline::nodes::{NodeGone, on_node};
use crate::base::NodeName;
use crate::facts::run::{AccessLogEntry, LoadResult, Outcome};
use crate::facts::weblog;

/// Why a log was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum WeblogError {
    /// The file.
    #[error("could not read {path} on {node}")]
    Read {
        /// Its path in the node.
        path: String,
        /// The node.
        node: NodeName,
        /// Why not.
        source: io::Error,
    },
    /// The node takes no work.
    #[error("could not look into a log")]
    Node(#[from] NodeGone),
}

/// How long logs are, by node and path.
pub(super) type Lengths = BTreeMap<(NodeName, String), usize>;

/// How long the logs are before a pass, so that lines of an earlier one are none of its own; one that is not there yet has
/// nothing.
///
/// # Errors
/// [`WeblogError::Node`].
pub(super) async fn lengths(lab: &Lab) -> Result<Lengths, WeblogError> {
    let mut lengths = Lengths::new();
    for node in &lab.plan().nodes {
        for path in &node.access_logs {
            let file = path.clone();
            let found = on_node(lab, &node.name, move || async move { std::fs::metadata(file) }).await?;
            let bytes = found.map_or(0, |found| usize::try_from(found.len()).unwrap_or(usize::MAX));
            lengths.insert((node.name.clone(), path.clone()), bytes);
        }
    }
    Ok(lengths)
}

/// Reads what the logs of the plan's nodes have beyond those lengths and joins it with what the loads asked.
///
/// # Errors
/// [`WeblogError`]: a log that is not there is no evidence of silence.
pub(super) async fn take_in(
    lab: &Lab,
    loads: &mut [LoadResult],
    logs: &mut BTreeMap<NodeName, Vec<AccessLogEntry>>,
    earlier: &Lengths,
) -> Result<(), WeblogError> {
    let plan = lab.plan();
    for node in plan.nodes.iter().filter(|node| !node.access_logs.is_empty()) {
        let mut lines = BTreeMap::new();
        for path in &node.access_logs {
            let file = path.clone();
            let read = on_node(lab, &node.name, move || async move { std::fs::read(file) }).await?;
            let failed = |source| WeblogError::Read { path: path.clone(), node: node.name.clone(), source };
            let text = read.map_err(failed)?;
            // The same load made requests of the same names before a mend, perhaps of another real server.
            let begin = earlier.get(&(node.name.clone(), path.clone())).copied().unwrap_or(0);
            let own = text.get(begin..).unwrap_or_default();
            let of_loads = String::from_utf8_lossy(own).lines().filter_map(weblog::parse).collect::<Vec<_>>();
            lines.extend(of_loads.into_iter().filter_map(|line| Some((line.request.clone()?, line))));
        }
        logs.entry(node.name.clone()).or_default().extend(joined(&lines, &node.name, loads));
    }
    Ok(())
}

/// The lines of one node's log as entries; requests that it has get its name where they have none.
fn joined(lines: &BTreeMap<String, weblog::Line>, node: &NodeName, loads: &mut [LoadResult]) -> Vec<AccessLogEntry> {
    let mut entries = Vec::new();
    for load in loads {
        for request in &mut load.requests {
            let id = format!("{}/{}", load.name, request.number);
            let Some(line) = lines.get(&id) else { continue };
            if let Outcome::Answered { server: server @ None, .. } = &mut request.outcome {
                *server = Some(node.to_string());
            }
            entries.push(AccessLogEntry {
                // The log's own time has whole seconds.
                at_ns: request.start_ns + request.latency_us * 1000,
                client: SocketAddr::new(line.client, request.local.map_or(0, |local| local.port())),
                local: request.target,
                request: Some(id),
                path: line.path.clone(),
                status: line.status,
                bytes: line.bytes,
            });
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::joined;
    use crate::base::Protocol;
    use crate::facts::run::{LoadResult, Outcome, RequestResult};
    use crate::facts::weblog;

    #[test]
    fn a_logs_line_names_who_answered_and_gets_the_clients_port() {
        let request = RequestResult {
            number: 7,
            client: "client".parse().unwrap(),
            local: Some("203.0.113.101:40001".parse().unwrap()),
            target: "172.16.0.66:80".parse().unwrap(),
            protocol: Protocol::Tcp,
            path: "/".into(),
            start_ns: 1,
            latency_us: 1,
            outcome: Outcome::Answered { status: 200, server: None, bytes: 615, whole: true },
            lacks: None,
        };
        let mut loads = [LoadResult { name: "load".into(), ms: 1.0, requests: vec![request] }];
        let text = "203.0.113.101 - - [x] \"GET / HTTP/1.1\" 200 615 \"-\" \"drlab load/7\"";
        let lines = BTreeMap::from([("load/7".to_owned(), weblog::parse(text).unwrap())]);
        let entries = joined(&lines, &"rs1".parse().unwrap(), &mut loads);
        assert_eq!(entries[0].client, "203.0.113.101:40001".parse().unwrap());
        let Outcome::Answered { server, .. } = &loads[0].requests[0].outcome else { panic!("{loads:?}") };
        assert_eq!(server.as_deref(), Some("rs1"));
    }
}
