//! What a run is held against.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::{NodeName, Verdict};

/// What is expected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Checks that don't hold, and what they come to: `arp-census = "broken"`. All others that apply hold.
    #[serde(default)]
    pub checks: BTreeMap<String, Verdict>,
    /// Checks that are not made.
    #[serde(default)]
    pub skip: Vec<String>,
    /// Ids of the root findings that are named.
    #[serde(default)]
    pub findings: Vec<String>,
    /// Answers per real server: a number, or smallest and largest. Where `distribution` is expected to be broken, they
    /// are what is wanted.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "type": "string", "format": "node-name" }))]
    pub share: BTreeMap<NodeName, Share>,
}

/// How many answers a real server gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Share {
    /// Exactly so many.
    Exactly(u64),
    /// From the first to the second.
    Between(u64, u64),
}
