//! A load, and what happens in the middle of one.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Action;
use crate::base::{LoadMode, NodeName, Protocol};

/// A load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Its name in reports.
    #[serde(default)]
    pub name: Option<String>,
    /// The clients; every node with that role where not said.
    #[serde(default)]
    pub clients: Vec<NodeName>,
    /// How many source addresses each client sends from; they are added to its interface. 1 where not said.
    #[serde(default)]
    pub addresses_per_client: Option<u32>,
    /// The VIP; the first service's where not said.
    #[serde(default)]
    pub vip: Option<IpAddr>,
    /// The port; the first service's where not said.
    #[serde(default)]
    pub port: Option<u16>,
    /// `tcp` for HTTP or `udp`; the first service's where not said.
    #[serde(default)]
    pub protocol: Option<Protocol>,
    /// How many requests in all; 20 where neither this nor a duration is given.
    #[serde(default)]
    pub requests: Option<u32>,
    /// How many at once; 4 where not said, 1 where a source port is.
    #[serde(default)]
    pub concurrency: Option<u32>,
    /// At most so many a second.
    #[serde(default)]
    pub rate_per_s: Option<f64>,
    /// At most so long, in milliseconds.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// `per-request` for a connection of its own each (so where not said), or `keep-alive`.
    #[serde(default)]
    pub connections: Option<LoadMode>,
    /// Paths, taken in turn; `/` where not said.
    #[serde(default)]
    pub paths: Vec<String>,
    /// The `Host` header; the VIP where not said.
    #[serde(default)]
    pub host: Option<String>,
    /// The port that each client sends from, one request at a time; a new one for each connection where not said.
    #[serde(default)]
    pub source_port: Option<u16>,
    /// Bytes that each request carries up to the server, as a POST does; none where not said.
    #[serde(default)]
    pub upload_bytes: Option<u32>,
    /// Text that every answer has to hold, as a page does that was written before; one without it is a wrong answer. HTTP
    /// only; nothing where not said.
    #[serde(default)]
    pub contains: Option<String>,
    /// How long one request may take, in milliseconds; 3000 where not said.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// What else happens while it runs.
    #[serde(default)]
    pub during: Vec<DuringStep>,
}

/// Something in the middle of a load: `after_requests` or `at_ms`, and one action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DuringStep {
    /// Once so many requests have ended.
    #[serde(default)]
    pub after_requests: Option<u32>,
    /// So many milliseconds after the load began.
    #[serde(default)]
    pub at_ms: Option<u64>,
    /// What.
    #[serde(rename = "do")]
    pub action: Action,
}
