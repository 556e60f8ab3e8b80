//! Shell commands in a node, as whoever looks after that machine would type them.
//!
//! Owns: which programs stand behind the names of tools, the commands' environment, and how long they may take.
//! Refuses: understanding them. What they write to `/etc` and `/var` stays in the node. A command that fails is an
//! answer; one that does not end is killed, with what it started.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::arpfilter::{self, Tool};
use super::ns::Space;
use super::programs::files;
use crate::base::NodeName;
use crate::channel::Executed;

/// Why commands could not be run.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The lab has no such node.
    #[error("could not find the node {node}")]
    NoNode {
        /// Its name.
        node: NodeName,
    },
    /// No shell, or no way into the node.
    #[error("could not run a shell in {node}")]
    Start {
        /// The node.
        node: String,
        /// Why not.
        source: io::Error,
    },
}

/// How long a text of commands may take. The slowest that a mend has are three announcements, one a second.
const DEADLINE: Duration = Duration::from_secs(30);

/// Where programs are looked for: where those of root are.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The tools by the names that commands call them by, and the programs that may stand behind each, the best first.
const TOOLS: [(&str, &[&str]); 13] = [
    ("arptables", &["arptables-legacy", "arptables"]),
    ("iptables", &["iptables-legacy", "iptables"]),
    ("ip6tables", &["ip6tables-legacy", "ip6tables"]),
    ("ip", &["ip"]),
    ("tc", &["tc"]),
    ("bridge", &["bridge"]),
    ("nft", &["nft"]),
    ("sysctl", &["sysctl"]),
    ("ipvsadm", &["ipvsadm"]),
    ("ifconfig", &["ifconfig"]),
    ("route", &["route"]),
    ("arp", &["arp"]),
    ("ethtool", &["ethtool"]),
];

/// Where a node has the tools under their plain names that are not found so.
const LAID_OUT: &str = "/run/drlab/bin";

/// Words that a shell takes itself, so that `exec` can't go before them.
const SHELL_WORDS: [&str; 16] = [
    ".", ":", "cd", "case", "eval", "exec", "export", "for", "if", "set", "trap", "ulimit", "umask", "until", "wait",
    "while",
];

/// The tools of all nodes, looked for once.
#[derive(Debug, Clone, Default)]
pub struct Toolbox {
    /// A shell function for each tool, so that its plain name calls the program that this kernel has the tables for.
    functions: String,
    /// Where the machine's tools are, and those that were unpacked.
    places: (String, Vec<PathBuf>),
    /// The programs that are not to be had under their plain names: the name, and what stands behind it.
    others: Vec<(String, Tool)>,
}

impl Toolbox {
    /// Looks for the tools in `path` (as in the environment's `PATH`) and in the folders of unpacked ones.
    pub fn find(path: &str, roots: &[PathBuf]) -> Self {
        let functions = functions(&|programs| arpfilter::found(programs, path, roots));
        let renamed = TOOLS.into_iter().filter_map(|(name, programs)| {
            let tool = arpfilter::found(programs, path, roots)?;
            (!tool.path.ends_with(name)).then(|| (name.to_owned(), tool))
        });
        let unpacked = arpfilter::unpacked(roots).into_iter().filter_map(|name| {
            let tool = arpfilter::found(&[name.as_str()], path, roots)?;
            (!tool.environment.is_empty()).then_some((name, tool))
        });
        let mut others: Vec<(String, Tool)> = renamed.collect();
        for (name, tool) in unpacked {
            if !others.iter().any(|(other, _)| *other == name) {
                others.push((name, tool));
            }
        }
        Self { functions, places: (path.to_owned(), roots.to_vec()), others }
    }

    /// The functions for the switch, which sees the machine's folders. Looked for as they are needed, which is seldom.
    fn functions_of_switch(&self) -> String {
        let (path, roots) = &self.places;
        functions(&|programs| arpfilter::found_outside(programs, path, roots))
    }

    /// Lays out, in the node whose worker this is called in, the tools that are not found under their plain names, so
    /// that every program of the node finds them.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn lay_out(&self) -> io::Result<()> {
        if self.others.is_empty() {
            return Ok(());
        }
        fs::create_dir_all(LAID_OUT)?;
        for (name, tool) in &self.others {
            let path = Path::new(LAID_OUT).join(name);
            if tool.environment.is_empty() {
                symlink(&tool.path, path)?;
                continue;
            }
            let environment = environment(tool);
            let text = format!("#!/bin/sh\n{environment}exec {} \"$@\"\n", quoted(&tool.path.to_string_lossy()));
            files::write(&path, text.as_bytes(), true)?;
        }
        Ok(())
    }

    /// A shell for a text of commands, in a node in which the tools were laid out.
    pub fn command(&self, text: &str, environment: &BTreeMap<String, String>) -> Command {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(text).env_clear();
        shell.envs([("PATH", self.path().as_str()), ("LC_ALL", "C"), ("HOME", "/root")]).envs(environment);
        shell.current_dir("/");
        shell
    }

    /// Where programs are looked for in a node in which the tools were laid out.
    fn path(&self) -> String {
        if self.others.is_empty() { PATH.to_owned() } else { format!("{LAID_OUT}:{PATH}") }
    }

    /// Runs a text of commands in a node and waits for its end.
    ///
    /// # Errors
    /// [`ShellError::Start`].
    pub fn run(&self, space: &Space, text: &str) -> Result<Executed, ShellError> {
        let failed = |source| ShellError::Start { node: space.name().to_owned(), source };
        let functions = match space.agent() {
            Some(_) => Cow::Borrowed(&self.functions),
            None => Cow::Owned(self.functions_of_switch()),
        };
        let mut shell = Command::new("/bin/sh");
        shell
            .arg("-c")
            .arg(format!("{functions}{text}"))
            .env_clear()
            .envs([("PATH", PATH), ("LC_ALL", "C"), ("HOME", "/root")])
            .current_dir("/");
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let child = space.spawn(&mut shell).map_err(failed)?;
        let group = Pid::from_raw(i32::try_from(child.id()).map_err(|error| failed(io::Error::other(error)))?);
        let (ended, waited) = mpsc::channel::<()>();
        let guard = thread::Builder::new().name("end commands".to_owned()).spawn(move || {
            if waited.recv_timeout(DEADLINE) == Err(mpsc::RecvTimeoutError::Timeout) {
                // A group that has just ended is what was wanted.
                killpg(group, Signal::SIGKILL).ok();
            }
        });
        let guard = guard.map_err(failed)?;
        let output = child.wait_with_output();
        drop(ended);
        drop(guard.join());
        let output = output.map_err(failed)?;
        Ok(Executed {
            status: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// A daemon's command as a shell is to have it: in its own place where it is a single one.
pub fn in_its_place(text: &str) -> String {
    let head = if is_simple(text) { "exec " } else { "" };
    format!("{head}{text}")
}

/// Whether a text is one command, whose place its shell can give up: then it is the daemon itself that is told to end.
fn is_simple(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or("");
    let control = |c: char| matches!(c, ';' | '&' | '|' | '(' | ')' | '{' | '}' | '\n');
    !text.trim_end().contains(control) && !first.contains('=') && !SHELL_WORDS.contains(&first)
}

/// A function for each tool that is found.
fn functions(find: &dyn Fn(&[&str]) -> Option<Tool>) -> String {
    let function = |(name, programs): (&str, &[&str])| {
        let tool = find(programs)?;
        Some(format!("{name}() {{ {}{} \"$@\"; }}\n", environment(&tool), quoted(&tool.path.to_string_lossy())))
    };
    TOOLS.into_iter().filter_map(function).collect()
}

/// What stands before a tool's name where it is called.
fn environment(tool: &Tool) -> String {
    let assigned = tool.environment.iter().map(|(key, value)| format!("{key}={} ", quoted(&value.to_string_lossy())));
    assigned.collect()
}

/// The word as a shell takes it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::{is_simple, quoted};

    #[test]
    fn what_was_unpacked_is_called_on_the_switch_where_it_is() {
        let root = std::env::temp_dir().join(format!("drlab-unpacked-{}", std::process::id()));
        std::fs::create_dir_all(root.join("usr/sbin")).unwrap();
        for name in super::TOOLS.iter().flat_map(|(_, programs)| *programs) {
            std::fs::write(root.join("usr/sbin").join(name), "").unwrap();
        }
        let tools = super::Toolbox::find("", std::slice::from_ref(&root));
        for (name, _) in super::TOOLS {
            assert!(tools.functions.contains(&format!("\n{name}() {{")) || tools.functions.starts_with(name), "{name}");
        }
        let of_switch = tools.functions_of_switch();
        assert!(!of_switch.contains("/run/drlab"), "{of_switch}");
        assert!(!tools.functions.contains(&*root.to_string_lossy()), "{}", tools.functions);
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_shell_gives_up_its_place_to_one_command_only() {
        assert!(is_simple("keepalived --dont-fork -f '/etc/keepalived/keepalived.conf' 2> /tmp/errors"));
        for text in ["cd /srv && nginx", "RATE=1 nginx", "exec nginx", "nginx; sleep 1", "ulimit -n 1024"] {
            assert!(!is_simple(text), "{text}");
        }
    }

    #[test]
    fn a_folder_with_a_quote_in_its_name_is_one_word() {
        assert_eq!(quoted("/it's here"), r"'/it'\''s here'");
    }
}
