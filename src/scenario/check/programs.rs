//! Files that are placed in nodes, and daemons: paths that can be, names that are files' names, ends to every wait.

use super::Context;
use super::load::LONGEST_MS;
use crate::base::NodeName;
use crate::scenario::problem::Complaint;
use crate::scenario::source::Path;
use crate::scenario::spec::{Daemon, FileSource, Ready, Run, Script};
use crate::scenario::suggest;

/// The folders that a node has for itself.
const OWN_FOLDERS: [&str; 9] = ["/etc", "/var", "/run", "/tmp", "/root", "/home", "/opt", "/srv", "/usr/local"];

/// What drlab itself writes to of a node.
const TAKEN: &str = "/run/drlab";

/// Names of a node's other logs, and what each is of.
const LOGS: [(&str, &str); 2] = [("syslog", "is sent to `/dev/log`"), ("commands", "commands write")];

pub(super) fn check(cx: &mut Context<'_>) {
    let scenario = cx.scenario;
    for (name, node) in &scenario.nodes {
        let path = Path::of(&["nodes", name.as_str()]);
        for (target, source) in &node.files {
            file(cx, &path.at("files").at(target.as_str()), target, source);
        }
        for (at, said) in node.run.iter().enumerate() {
            let here = path.at("run").at(at);
            match said {
                Run::Command(text) if text.trim().is_empty() => {
                    cx.add(Complaint::value(&here, "the command is empty"));
                }
                Run::Command(_) => {}
                Run::Said(said) => command(cx, &here, &said.command, said.deadline_ms),
            }
        }
        if let Some(Script::Said(said)) = &node.script {
            let here = path.at("script");
            source(cx, &here, said.text.is_some(), said.file.is_some());
            cx.bound(&here.at("deadline_ms"), said.deadline_ms, 1, LONGEST_MS, "a script ends: ten minutes at most");
        }
        for (at, daemon) in node.daemons.iter().enumerate() {
            let path = path.at("daemons").at(at);
            one(cx, &path, daemon);
            if node.daemons[..at].iter().any(|other| other.name == daemon.name) {
                let message = format!("node `{name}` has two daemons named `{}`", daemon.name);
                cx.add(Complaint::value(&path.at("name"), message));
            }
        }
    }
}

fn file(cx: &mut Context<'_>, path: &Path, target: &str, given: &FileSource) {
    let odd = |part: &str| part.is_empty() || part == "." || part == "..";
    let absolute = target.strip_prefix('/').is_some_and(|rest| !rest.split('/').any(odd));
    let below = |folder: &str| target.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    if !absolute || target.contains('\0') {
        let message = format!("`{target}` is no path that a file can be placed at");
        cx.add(Complaint::key(path, message).help("write it whole, as `/etc/keepalived/keepalived.conf`"));
    } else if !OWN_FOLDERS.iter().any(|folder| below(folder)) || below(TAKEN) || target == TAKEN {
        let message = format!("`{target}` is in no folder that a node has for itself");
        let help = format!("files are placed below {}", OWN_FOLDERS.join(", "));
        cx.add(Complaint::key(path, message).help(help));
    }
    if let FileSource::Said(said) = given {
        source(cx, path, said.text.is_some(), said.file.is_some());
    }
}

/// A text or a file, not both.
fn source(cx: &mut Context<'_>, path: &Path, text: bool, file: bool) {
    if text == file {
        let message = if text { "it has a text and a file" } else { "it has neither a text nor a file" };
        cx.add(Complaint::value(path, message).help("write `{ text = \"…\" }`, or the path of a file"));
    }
}

/// A command in the table at the end of the path.
pub(super) fn command(cx: &mut Context<'_>, path: &Path, text: &str, deadline_ms: Option<u64>) {
    if text.trim().is_empty() {
        cx.add(Complaint::value(&path.at("command"), "the command is empty"));
    }
    cx.bound(&path.at("deadline_ms"), deadline_ms, 1, LONGEST_MS, "a command ends: ten minutes at most");
}

fn one(cx: &mut Context<'_>, path: &Path, daemon: &Daemon) {
    let name = &daemon.name;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.chars().all(plain) {
        let complaint = Complaint::value(&path.at("name"), format!("`{name}` is no name for a daemon"));
        cx.add(complaint.help("its log is named for it: letters, digits, `.`, `_` and `-`"));
    } else if let Some((_, what)) = LOGS.iter().find(|(log, _)| name == log) {
        let message = format!("`{name}` is the name of the log of what {what}");
        cx.add(Complaint::value(&path.at("name"), message));
    }
    if daemon.command.trim().is_empty() {
        cx.add(Complaint::value(&path.at("command"), "the command is empty"));
    }
    let ready = path.at("ready");
    match &daemon.ready {
        Some(Ready::Port(0)) => cx.add(Complaint::value(&ready.at("port"), "nothing listens on port 0")),
        Some(Ready::Log(text)) if text.trim().is_empty() => {
            cx.add(Complaint::value(&ready.at("log"), "every line holds an empty text"));
        }
        Some(Ready::File(file)) if !file.starts_with('/') => {
            let message = format!("`{file}` is no whole path");
            cx.add(Complaint::value(&ready.at("file"), message).help("write it from `/` on"));
        }
        _ => {}
    }
    cx.bound(&path.at("deadline_ms"), daemon.deadline_ms, 1, LONGEST_MS, "a wait ends: ten minutes at most");
    for key in daemon.environment.keys() {
        if key.is_empty() || key.contains(['=', '\0']) {
            let message = format!("`{key}` is no name of a variable");
            cx.add(Complaint::key(&path.at("environment").at(key.as_str()), message));
        }
    }
}

/// A daemon that the timeline names.
pub(super) fn named(cx: &mut Context<'_>, path: &Path, name: &NodeName, daemon: Option<&str>) {
    let Some(node) = cx.node(&path.at("node"), name.as_str()) else { return };
    let list = Path::of(&["nodes", name.as_str(), "daemons"]);
    let names = || node.daemons.iter().map(|daemon| daemon.name.as_str());
    match (daemon, node.daemons.len()) {
        (_, 0) => {
            let complaint = Complaint::value(&path.at("node"), format!("node `{name}` has no daemons"));
            cx.add(complaint.help("list it in the node's `daemons`").relies_on(&list));
        }
        (None, count) if count > 1 => {
            let complaint = Complaint::value(path, format!("node `{name}` has {count} daemons"));
            cx.add(complaint.help("say which one: `daemon = \"…\"`").relies_on(&path.at("daemon")).relies_on(&list));
        }
        (Some(daemon), _) if !names().any(|name| name == daemon) => {
            let complaint = Complaint::value(&path.at("daemon"), format!("node `{name}` has no daemon `{daemon}`"));
            cx.add(complaint.maybe_help(suggest::or_list(daemon, names())).relies_on(&list));
        }
        _ => {}
    }
}
