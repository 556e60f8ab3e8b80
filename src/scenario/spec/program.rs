//! What runs in a node beside what drlab builds there: files that are placed, and daemons.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::ReadFile;

/// A file that is placed in a node: a path, or more about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FileSource {
    /// A file's path, from the folder that the scenario is in.
    Path(String),
    /// More about it.
    Said(SaidFile),
}

impl FileSource {
    /// The path of the file that it is a copy of, where it is one.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Path(path) => Some(path),
            Self::Said(said) => said.file.as_deref(),
        }
    }
}

/// A file that is placed in a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaidFile {
    /// Its text.
    #[serde(default)]
    pub text: Option<String>,
    /// In place of a text: a file's path, from the folder that the scenario is in.
    #[serde(default)]
    pub file: Option<String>,
    /// Whether it may be executed; where not said, as the file that it is a copy of, and one that begins with `#!`.
    #[serde(default)]
    pub executable: Option<bool>,
    /// What was read of `file`.
    #[serde(skip)]
    pub read: Option<ReadFile>,
}

/// A shell command, or more about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Run {
    /// The command. One that fails is an error.
    Command(String),
    /// More about it.
    Said(SaidRun),
}

/// A shell command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaidRun {
    /// The command.
    pub command: String,
    /// Whether it may fail.
    #[serde(default)]
    pub may_fail: bool,
    /// How long it may take, in milliseconds; 30000 where not said.
    #[serde(default)]
    pub deadline_ms: Option<u64>,
}

/// A script: a path, or more about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Script {
    /// A file's path, from the folder that the scenario is in.
    Path(String),
    /// More about it.
    Said(SaidScript),
}

impl Script {
    /// The path of its file, where it has one.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Path(path) => Some(path),
            Self::Said(said) => said.file.as_deref(),
        }
    }
}

/// A script.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaidScript {
    /// A file's path, from the folder that the scenario is in.
    #[serde(default)]
    pub file: Option<String>,
    /// In place of a file: its text.
    #[serde(default)]
    pub text: Option<String>,
    /// Its arguments: `start`.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Whether it may fail.
    #[serde(default)]
    pub may_fail: bool,
    /// How long it may take, in milliseconds; 30000 where not said.
    #[serde(default)]
    pub deadline_ms: Option<u64>,
    /// What was read of `file`.
    #[serde(skip)]
    pub read: Option<ReadFile>,
}

/// A program that runs in a node for as long as the lab stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Daemon {
    /// Its name in the timeline and of its log, `nodes/NODE/NAME.log` in the output folder.
    pub name: String,
    /// The command, as a shell takes it. It has to stay in the foreground: `keepalived --dont-fork --log-console`.
    pub command: String,
    /// When it is ready, for which the lab waits; where not said, once it has run for a quarter of a second.
    #[serde(default)]
    pub ready: Option<Ready>,
    /// How long that may take, in milliseconds; 10000 where not said.
    #[serde(default)]
    pub deadline_ms: Option<u64>,
    /// Variables of its environment, besides `PATH`, `HOME` and `LC_ALL`.
    #[serde(default)]
    pub environment: IndexMap<String, String>,
    /// `false`: it is not started with the lab, but by the timeline.
    #[serde(default)]
    pub start: Option<bool>,
}

/// When a daemon is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ready {
    /// A TCP socket of the node listens on this port.
    Port(u16),
    /// A line that it wrote, or that it sent to the node's `/dev/log`, holds this text.
    Log(String),
    /// There is a file of this path in the node.
    File(String),
}
