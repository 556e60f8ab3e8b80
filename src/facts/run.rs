//! What a run showed besides frames: requests and their answers, access logs, probes, capture counts.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::base::{Mac, NodeName, Protocol, ServiceId};

/// What an act came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Acted {
    /// Its label.
    pub label: String,
    /// When it began, in nanoseconds since the epoch (the capture's clock).
    pub at_ns: u64,
    /// How long it took, in milliseconds.
    pub ms: f64,
    /// What came of it, in a few words (`2 of 2 answered`), where there is something to say.
    pub outcome: String,
    /// What it did, or saw done, to a real server's place in a Director's table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<Box<TableChange>>,
}

/// A real server's place in a Director's table, from some moment on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableChange {
    /// The Director.
    pub director: NodeName,
    /// The service; all of them where it is not said.
    pub service: Option<ServiceId>,
    /// The real server's addresses.
    pub addresses: Vec<IpAddr>,
    /// Its place.
    pub now: Listing,
}

/// Whether a real server gets connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listing {
    /// It gets new ones.
    Taking,
    /// It has weight 0: it keeps those that it has.
    Draining,
    /// The table does not have it.
    Gone,
}

/// What running a plan gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ran {
    /// The wait at which the timeline ended, where one was in vain.
    #[serde(default)]
    pub stopped: Option<Box<Stopped>>,
    /// Each load's requests.
    pub loads: Vec<LoadResult>,
    /// What each server logged: node, then requests in order.
    pub access_logs: BTreeMap<NodeName, Vec<AccessLogEntry>>,
    /// What each probe heard, in the plan's order.
    pub probes: Vec<ProbeResult>,
    /// The daemons that ended by themselves.
    #[serde(default)]
    pub ended: Vec<DaemonEnded>,
}

/// What a command of the scenario's came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandResult {
    /// Where it was run.
    pub node: NodeName,
    /// The command as it is shown.
    pub command: String,
    /// Its exit status, 128 and the signal's number where one ended it; none where it had to be killed.
    pub status: Option<i32>,
    /// Whether it is allowed to fail.
    pub may_fail: bool,
    /// What it wrote, errors included, in the order of writing; cut where it is long.
    pub output: String,
    /// How long it took, in milliseconds.
    pub ms: f64,
}

/// A daemon that ended and was not told to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonEnded {
    /// Its node.
    pub node: NodeName,
    /// Its name.
    pub daemon: String,
    /// Its exit status in words.
    pub how: String,
    /// What it wrote last.
    pub last_lines: Vec<String>,
}

/// A wait that was in vain: what comes after it was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// The step's label.
    pub label: String,
    /// For what was waited.
    pub condition: String,
    /// For how long, in milliseconds.
    pub deadline_ms: u64,
    /// What was seen the last time.
    pub seen: String,
    /// How many steps of the timeline were not done.
    pub left_out: usize,
}

/// One load's requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadResult {
    /// The load's name.
    pub name: String,
    /// How long it took, in milliseconds.
    pub ms: f64,
    /// Every request, in the order of starting.
    pub requests: Vec<RequestResult>,
}

/// One request and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestResult {
    /// Its number in the load, from 0; sent as `X-Drlab-Request: LOAD/NUMBER`.
    pub number: u32,
    /// The client node.
    pub client: NodeName,
    /// Its end of the connection, where one was made.
    pub local: Option<SocketAddr>,
    /// VIP and port.
    pub target: SocketAddr,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The path asked for.
    pub path: String,
    /// When it began, in nanoseconds since the epoch.
    pub start_ns: u64,
    /// How long until the whole answer was there (or the error), in microseconds.
    pub latency_us: u64,
    /// What came of it.
    pub outcome: Outcome,
    /// The text that the answer had to hold and did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacks: Option<String>,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A whole answer.
    Answered {
        /// HTTP status; 200 for a datagram.
        status: u16,
        /// Who the body says it came from; where it is a page that does not say it, in whose access log the request is.
        server: Option<String>,
        /// Bytes of the body.
        bytes: u64,
        /// Whether length and content were what that server serves.
        whole: bool,
    },
    /// None.
    Failed {
        /// `timeout`, `refused`, `reset`, `unreachable`, `closed`, `protocol`, `local`.
        kind: String,
        /// The error in words.
        detail: String,
    },
}

/// One line of a server's access log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessLogEntry {
    /// When, in nanoseconds since the epoch.
    pub at_ns: u64,
    /// The client's end.
    pub client: SocketAddr,
    /// The server's own end: the VIP under direct routing.
    pub local: SocketAddr,
    /// `LOAD/NUMBER` as sent by the client.
    pub request: Option<String>,
    /// The path asked for.
    pub path: String,
    /// The status given.
    pub status: u16,
    /// Bytes of the body.
    pub bytes: u64,
}

/// What a probe heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// Who asked.
    pub node: NodeName,
    /// The VIP asked for.
    pub target: IpAddr,
    /// The MACs that said they have it, in order of arrival, repeats left out.
    pub answers: Vec<Mac>,
}

/// What the capture came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureStats {
    /// Frames written.
    pub frames: u64,
    /// Frames that the kernel dropped because a ring was full, by node.
    pub dropped: BTreeMap<NodeName, u64>,
    /// The vantages in the order of the raw capture's interface blocks, `node:interface`.
    pub vantages: Vec<String>,
}
