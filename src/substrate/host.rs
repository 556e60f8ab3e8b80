//! Starting `drlab inside` under this machine's own kernel, in namespaces that nothing else is in.
//!
//! Owns: that process's start. Refuses: what it builds. Its own network, mount, UTS and IPC namespace keep a mistake in
//! there from touching the machine's interfaces and mounts.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use nix::unistd::geteuid;

use super::bound::{CAP_SYS_ADMIN, Confinement, bind, capable, root_is_mounted};
use super::guest::Guest;
use super::{StartError, StartOptions};

/// Starts it, and does not wait for its hello.
pub(super) fn spawn(options: &StartOptions) -> Result<Guest, StartError> {
    let doing = |what: &'static str| move |source: io::Error| StartError::Io { what, source };
    if !geteuid().is_root() {
        return Err(StartError::NotRoot);
    }
    if !capable(CAP_SYS_ADMIN) {
        return Err(StartError::NoNamespaces);
    }
    if !root_is_mounted() {
        return Err(StartError::BareChroot);
    }
    let program = match &options.program {
        Some(program) => program.clone(),
        None => std::env::current_exe().map_err(doing("find out where this program is"))?,
    };
    let (ours, theirs) = UnixStream::pair().map_err(doing("make a socket pair"))?;
    let (console, console_end) = io::pipe().map_err(doing("make a pipe"))?;
    let fd = theirs.as_raw_fd();
    let mut command = Command::new(&program);
    command
        .args(["inside", "--boot", "host", "--channel"])
        .arg(fd.to_string())
        .stdin(Stdio::null())
        .stdout(console_end.try_clone().map_err(doing("copy a pipe's end"))?)
        .stderr(console_end);
    let confinement = Confinement { own_namespaces: true, ..Confinement::default() };
    let life = bind(&mut command, &[fd], &confinement).map_err(doing("make ready to start the inside"))?;
    let child = command.spawn().map_err(|source| StartError::Spawn { program, source })?;
    drop((command, theirs));
    Ok(Guest::watch(child, ours, console, options.on_console.clone(), life, None))
}
