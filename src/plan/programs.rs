//! What runs in nodes beside what is built there: files that are placed, and daemons.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::CompileError;
use super::draft::Draft;
use super::ipvs;
use crate::base::{Content, NodeName};
use crate::scenario::spec::{self, FileSource, SaidFile};

/// How long a command or a script may take.
const COMMAND_MS: u64 = 30_000;

/// Where a node's script is.
const SCRIPT: &str = "/run/drlab/script";

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

/// A text of shell commands that is run in a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// As it is shown.
    pub shown: String,
    /// As a shell gets it.
    pub text: String,
    /// Whether it is allowed to fail.
    pub may_fail: bool,
    /// How long it may take, in milliseconds.
    pub deadline_ms: u64,
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
        let mut files: Vec<PlacedFile> = said.files.iter().map(|(path, source)| placed(path, source)).collect();
        let mut commands: Vec<Command> = said.run.iter().map(command).collect();
        if let Some(said) = &said.script {
            let (file, command) = script(said);
            files.push(file);
            commands.push(command);
        }
        let daemons = said.daemons.iter().map(daemon).collect();
        let on_the_way = |action: &&spec::Action| matches!(action, spec::Action::Run { node, .. } if *node == name);
        let later = ipvs::actions(draft.scenario).iter().any(on_the_way);
        let node = &mut draft.nodes[index];
        (node.files, node.daemons, node.commands, node.commands_later) = (files, daemons, commands, later);
    }
}

/// A command of a scenario.
pub(super) fn command(said: &spec::Run) -> Command {
    let (text, may_fail, deadline_ms) = match said {
        spec::Run::Command(text) => (text, false, None),
        spec::Run::Said(said) => (&said.command, said.may_fail, said.deadline_ms),
    };
    let deadline_ms = deadline_ms.unwrap_or(COMMAND_MS);
    Command { shown: text.trim().to_owned(), text: text.clone(), may_fail, deadline_ms }
}

fn script(said: &spec::Script) -> (PlacedFile, Command) {
    let plain;
    let said = match said {
        spec::Script::Said(said) => said,
        spec::Script::Path(file) => {
            plain = spec::SaidScript { file: Some(file.clone()), ..spec::SaidScript::default() };
            &plain
        }
    };
    let content = said.text.clone().map(Content::Text).or_else(|| said.read.as_ref().map(|read| read.content.clone()));
    let names_its_shell = content.as_ref().is_some_and(|content| content.bytes().starts_with(b"#!"));
    let words: Vec<_> = said.arguments.iter().map(|word| shell_words::quote(word)).collect();
    let arguments = if words.is_empty() { String::new() } else { format!(" {}", words.join(" ")) };
    let shell = if names_its_shell { "" } else { "/bin/sh " };
    let name = said.file.as_deref().map_or_else(|| "the script".to_owned(), |file| format!("script {file}"));
    let file = PlacedFile { path: SCRIPT.to_owned(), content, copy_of: said.file.clone(), executable: true };
    let command = Command {
        shown: format!("{name}{arguments}"),
        text: format!("exec {shell}{SCRIPT}{arguments}"),
        may_fail: said.may_fail,
        deadline_ms: said.deadline_ms.unwrap_or(COMMAND_MS),
    };
    (file, command)
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
