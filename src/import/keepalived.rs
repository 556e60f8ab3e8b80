//! keepalived.conf: what it says of the Director that runs it.
//!
//! Owns: its syntax (below `keepalived/`), and which keywords have a place in a lab. Refuses: running it; who is the
//! master is decided by `assemble` from state and priority.

mod lexer;
mod servers;
mod tree;
mod vrrp;

use super::Library;
use super::heard::{Heard, Statement};
use super::source::{Place, Sources, Word};
use tree::Entry;

/// Reads a configuration, with what it includes.
pub(super) fn read(sources: &mut Sources, file: usize, id: Option<&str>, library: &mut dyn Library) -> Heard {
    let mut heard = Heard::default();
    let pieces = lexer::pieces(sources, &mut heard, file, id, library);
    let entries = tree::entries(sources, pieces);
    let mut groups = servers::Groups::default();
    for entry in entries.iter().filter(|entry| entry.key() == "virtual_server_group") {
        groups.add(sources, &mut heard, entry);
    }
    for entry in &entries {
        top(sources, &mut heard, &groups, entry);
    }
    let globals = entries.iter().filter(|entry| entry.key() == "global_defs").flat_map(Entry::inner);
    let third = |entry: &Entry| entry.key() == "vrrp_version" && entry.words.get(1).is_some_and(|w| w.text == "3");
    let third = globals.into_iter().any(third);
    for (statement, _) in &mut heard.said {
        if let Statement::Vrrp(vrrp) = statement {
            vrrp.third |= third;
        }
    }
    heard
}

fn top(sources: &mut Sources, heard: &mut Heard, groups: &servers::Groups, entry: &Entry) {
    match entry.key() {
        "virtual_server_group" => {}
        "virtual_server" => servers::virtual_server(sources, heard, groups, entry),
        "vrrp_instance" => vrrp::instance(sources, heard, entry),
        "static_ipaddress" => vrrp::static_addresses(sources, heard, entry),
        "static_routes" => vrrp::static_routes(sources, heard, entry),
        "global_defs" => globals(sources, heard, entry),
        "vrrp_sync_group" => {
            entry.inner().iter().for_each(|inner| vrrp::watched(heard, inner, "a vrrp_sync_group"));
            heard.leave_out(entry.place(), "vrrp_sync_group: instances of a group move together, and none moves here");
        }
        "vrrp_script"
        | "vrrp_track_process"
        | "track_file"
        | "vrrp_track_file"
        | "garp_group"
        | "bfd_instance"
        | "static_rules"
        | "track_group"
        | "interface_up_down_delays"
        | "linkbeat_interfaces" => {
            heard.leave_out(entry.place(), format!("{}: watches what does not change in the lab", entry.key()));
        }
        "net_namespace"
        | "net_namespace_ipvs"
        | "instance"
        | "use_pid_dir"
        | "linkbeat_use_polling"
        | "child_wait_time"
        | "checkers_log_all_failures"
        | "config_save_dir"
        | "reload_file" => {
            if entry.key().starts_with("net_namespace") {
                heard.miss(entry.place(), "it goes into a network namespace of its own");
            }
            heard.leave_out(entry.place(), format!("{}: how the daemon itself runs", entry.key()));
        }
        other => heard.wonder(entry.place(), format!("`{other}`")),
    }
}

/// Keywords of `global_defs` that say how the daemon itself runs or whom it tells, by their beginnings.
const GLOBALS: &[&str] = &[
    "notification_email",
    "smtp_",
    "router_id",
    "enable_script_security",
    "script_user",
    "vrrp_",
    "lvs_flush",
    "lvs_sync_daemon",
    "max_",
    "checker_",
    "bfd_",
    "process_",
    "dynamic_interfaces",
    "default_interface",
    "enable_",
    "dbus_",
    "log_",
    "reload_",
    "startup_",
    "shutdown_",
    "snmp",
    "use_symlink",
    "umask",
    "rs_init",
    "nftables",
    "json_version",
    "data_use",
    "config_",
    "iproute",
    "random_seed",
    "disable_local_igmp",
    "tmp_",
    "email_faults",
    "no_email_faults",
    "alert_",
    "data_",
    "if_",
    "linkbeat",
    "instance",
    "net_namespace",
    "use_pid_dir",
    "fifo_",
    "notify_",
    "state_dump_file",
    "stats_file",
    "keepalived_",
    "ignore_",
];

fn globals(sources: &mut Sources, heard: &mut Heard, entry: &Entry) {
    let mut names: Vec<&str> = Vec::new();
    for inner in entry.inner() {
        let key = inner.key();
        if key == "lvs_timeouts" {
            servers::timeouts(sources, heard, inner);
        } else if GLOBALS.iter().any(|known| key.starts_with(known)) {
            names.push(key);
        } else {
            heard.wonder(inner.place(), format!("`{key}` of global_defs"));
        }
    }
    if !names.is_empty() {
        names.dedup();
        heard.leave_out(entry.place(), format!("global_defs: {}", names.join(", ")));
    }
}

/// The value behind a keyword; a missing one is a mistake.
fn value<'e>(sources: &mut Sources, entry: &'e Entry, what: &str) -> Option<&'e Word> {
    let found = entry.words.get(1);
    if found.is_none() {
        let help = Some(format!("write {what} behind it"));
        sources.wrong_at(entry.place(), format!("`{}` has no value", entry.key()), help);
    }
    found
}

/// A value that is read by a function; a mistake is told at its place.
fn read_value<T>(
    sources: &mut Sources,
    entry: &Entry,
    what: &str,
    how: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let word = value(sources, entry, what)?;
    parsed(sources, word, how)
}

fn parsed<T>(sources: &mut Sources, word: &Word, how: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
    match how(&word.text) {
        Ok(value) => Some(value),
        Err(message) => {
            let undefined = word.text.starts_with('$');
            let help = undefined.then(|| format!("define it above: `{}=…`", word.text));
            sources.wrong_at(
                &word.place,
                if undefined { format!("`{}` is not defined", word.text) } else { message },
                help,
            );
            None
        }
    }
}

/// Complains where a block is wanted and there is none.
fn needs_block(sources: &mut Sources, entry: &Entry) -> bool {
    if entry.block.is_none() {
        let help = Some(format!("write `{} {{ … }}`", entry.key()));
        sources.wrong_at(entry.place(), format!("`{}` has no block", entry.key()), help);
    }
    entry.block.is_some()
}

/// From the first to the last word.
fn whole(words: &[Word]) -> Option<Place> {
    Some(words.first()?.place.to(&words.last()?.place))
}
