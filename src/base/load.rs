//! How a load uses connections.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How connections are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoadMode {
    /// Every request has a connection of its own, so that each one is scheduled.
    PerRequest,
    /// A client keeps its connection, cookies and redirects, as a browser does.
    KeepAlive,
}
