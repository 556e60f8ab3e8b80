//! What runs in nodes beside what is built there: files that are placed, and daemons.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::CompileError;
use super::draft::Draft;
use crate::base::{Content, NodeName};
use crate::scenario::spec::{self, FileSource, SaidFile};

/// How long a daemon may take to be ready.
const READY_MS: u64 = 10_000;

/// A file that is placed in a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedFile {
    /// Its path in the node.
    pub path: String,
    /// What it holds; `None` where it was not read, and then no lab can be built.
    pub content: Option<Content>,
    /// The file that it is a copy of, as the scenario names it.
    pub copy_of: Option<String>,
    /// Whether it may be executed.
    pub executable: bool,
}

/// A program that runs in a node for as long as the lab stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    /// Its name, unique on the node.
    pub name: String,
    /// The command, as a shell takes it.
    pub command: String,
    /// When it is ready; `None` where it only has to go on running.
    pub ready: Option<Ready>,
    /// How long that may take, in milliseconds.
    pub deadline_ms: u64,
    /// Variables of its environment.
    pub environment: BTreeMap<String, String>,
    /// Whether it is started with the lab.
    pub at_start: bool,
}

/// When a daemon is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ready {
    /// A TCP socket listens on this port.
    Port(u16),
    /// A line that it wrote holds this text.
    Log(String),
    /// There is such a file.
    File(String),
}

/// Adds each node's files and daemons.
pub(super) fn add(draft: &mut Draft<'_>) {
    for index in 0..draft.nodes.len() {
        let name = draft.nodes[index].name.clone();
        let Some(said) = draft.said(&name) else { continue };
        let files = said.files.iter().map(|(path, source)| placed(path, source)).collect();
        let daemons = said.daemons.iter().map(daemon).collect();
        draft.nodes[index].files = files;
        draft.nodes[index].daemons = daemons;
    }
}

fn placed(path: &str, source: &FileSource) -> PlacedFile {
    let plain;
    let said = match source {
        FileSource::Said(said) => said,
        FileSource::Path(file) => {
            plain = SaidFile { file: Some(file.clone()), ..SaidFile::default() };
            &plain
        }
    };
    let read = said.read.as_ref();
    let content = said.text.clone().map(Content::Text).or_else(|| read.map(|file| file.content.clone()));
    let script = content.as_ref().is_some_and(|content| content.bytes().starts_with(b"#!"));
    let executable = said.executable.unwrap_or(script || read.is_some_and(|file| file.executable));
    PlacedFile { path: path.to_owned(), content, copy_of: said.file.clone(), executable }
}

fn daemon(said: &spec::Daemon) -> Daemon {
    Daemon {
        name: said.name.clone(),
        command: said.command.clone(),
        ready: said.ready.as_ref().map(|ready| match ready {
            spec::Ready::Port(port) => Ready::Port(*port),
            spec::Ready::Log(text) => Ready::Log(text.clone()),
            spec::Ready::File(path) => Ready::File(path.clone()),
        }),
        deadline_ms: said.deadline_ms.unwrap_or(READY_MS),
        environment: said.environment.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        at_start: said.start.unwrap_or(true),
    }
}

/// The daemon of a node that the timeline names, or its only one.
pub(super) fn named(draft: &Draft<'_>, node: &NodeName, daemon: Option<&String>) -> Result<String, CompileError> {
    let here = draft.node(node.as_str(), "the timeline")?;
    let found = match (daemon, here.daemons.as_slice()) {
        (None, [only]) => Some(only),
        (None, _) => None,
        (Some(name), all) => all.iter().find(|daemon| daemon.name == *name),
    };
    let unknown = || CompileError::UnknownDaemon {
        node: node.clone(),
        daemon: daemon.cloned(),
        has: here.daemons.iter().map(|daemon| daemon.name.clone()).collect(),
    };
    found.map(|daemon| daemon.name.clone()).ok_or_else(unknown)
}
