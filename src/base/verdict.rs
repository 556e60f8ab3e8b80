//! Held, Broken or Undecided.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a check came to. It is never better than its evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything examined was as it must be, and there was something to examine.
    Held,
    /// At least one thing was not.
    Broken,
    /// The evidence does not suffice: lost frames, no traffic, a fact that was not read.
    Undecided,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Held => "held",
            Self::Broken => "broken",
            Self::Undecided => "undecided",
        })
    }
}
