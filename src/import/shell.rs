//! Shell scripts that configure a host: `ip`, `ifconfig`, `route`, `sysctl`, `echo … > /proc/sys/…`, `arptables`,
//! `iptables`, `ipvsadm`.
//!
//! Owns: reading a script as far as such scripts go (variables, `case`, `if`, `for`, functions, here-documents) without
//! running anything. Refuses: loops with a condition, and values that only a running machine has; what depends on them
//! is listed. Bounds: 64 levels, 20 000 commands.

mod commands;
mod iproute;
mod lexer;
mod net_tools;
mod run;
mod tree;

use super::heard::Heard;
use super::source::Sources;

/// Reads a script.
pub(super) fn read(sources: &mut Sources, file: usize, variables: &[(String, String)]) -> Heard {
    let mut heard = Heard::default();
    let text = sources.text(file).to_owned();
    let tokens = lexer::tokens(sources, file, &text);
    let body = tree::parse(sources, &mut heard, tokens);
    run::run(sources, &mut heard, file, &body, variables);
    heard
}
