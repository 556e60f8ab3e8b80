//! What a scheduler of IPVS must give, told from who came when.
//!
//! Owns: the kernel's own order of turns (`ip_vs_rr.c`, `ip_vs_wrr.c`), its hash tables, and for schedulers that look
//! at connection counts the bounds that follow from them. Refuses: reading traces or facts. Errs towards saying less:
//! where what the capture shows can't fix the choice, only what every choice has in common is asked for.

mod bounds;
mod hashing;
mod turns;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// A real server in the Director's table, in the order in which the kernel walks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// Its node's name, or its RIP.
    pub(super) name: String,
    /// RIP and port.
    pub(super) at: SocketAddr,
    pub(super) weight: u32,
    /// Whether it has a threshold, above which it is passed over.
    pub(super) limited: bool,
}

/// A connection that had to be scheduled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) client: SocketAddr,
    pub(super) target: SocketAddr,
    pub(super) at_ns: u64,
    /// When the client began to close it, as the Director saw.
    pub(super) closed_ns: Option<u64>,
    /// Index of the server that got it; nothing where it never left the Director.
    pub(super) to: Option<usize>,
}

/// How a service shares out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy<'a> {
    pub(super) scheduler: &'a str,
    pub(super) flags: &'a [String],
    pub(super) persistent: bool,
    /// Whether a connection has an end that the Director sees (TCP) or is kept for minutes (UDP).
    pub(super) closes: bool,
}

impl Policy<'_> {
    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|f| f == flag)
    }
}

/// What was due and what was not so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Ruling {
    /// The rule that was applied, in words.
    pub(super) due: String,
    /// Each thing that is not as due, with the arrival that shows it.
    pub(super) faults: Vec<(String, Option<usize>)>,
}

impl Ruling {
    fn due(due: impl Into<String>) -> Self {
        Self { due: due.into(), faults: Vec::new() }
    }

    fn fault(&mut self, what: impl Into<String>, arrival: Option<usize>) {
        self.faults.push((what.into(), arrival));
    }
}

/// Judges arrivals in the order in which the Director met them.
pub(super) fn rule(policy: Policy<'_>, servers: &[Server], arrivals: &[Arrival]) -> Ruling {
    let mut ruling = match policy.scheduler {
        _ if policy.persistent => persistent(servers, arrivals),
        _ if servers.iter().any(|s| s.limited) => {
            Ruling::due("thresholds pass over full servers, so only weights of 0 are judged")
        }
        "rr" => turns::rule("rr", &turns::round_robin(servers), servers, arrivals),
        "wrr" => turns::rule("wrr", &turns::weighted_round_robin(servers), servers, arrivals),
        "sh" | "dh" | "mh" => hashing::rule(policy, servers, arrivals),
        _ => bounds::rule(policy, servers, arrivals),
    };
    for (at, arrival) in arrivals.iter().enumerate() {
        if let Some(server) = arrival.to.and_then(|to| servers.get(to)).filter(|s| s.weight == 0) {
            ruling.fault(format!("{} has weight 0 and yet got a connection", server.name), Some(at));
        }
    }
    ruling
}

/// With persistence (`ip_vs_sched_persist`), all connections of a client go where its first one went.
fn persistent(servers: &[Server], arrivals: &[Arrival]) -> Ruling {
    let mut ruling = Ruling::due("persistent: each client stays with one real server");
    one_server_each(&mut ruling, servers, arrivals, |a| (a.client.ip(), 0));
    ruling
}

/// All arrivals with the same key must have gone to the same server.
fn one_server_each(
    ruling: &mut Ruling,
    servers: &[Server],
    arrivals: &[Arrival],
    key: impl Fn(&Arrival) -> (IpAddr, u16),
) {
    let mut first: BTreeMap<(IpAddr, u16), usize> = BTreeMap::new();
    for (at, arrival) in arrivals.iter().enumerate() {
        let Some(to) = arrival.to else { continue };
        let before = *first.entry(key(arrival)).or_insert(to);
        if before != to {
            let what =
                format!("{} went to {} and to {}", arrival.client.ip(), name(servers, before), name(servers, to));
            ruling.fault(what, Some(at));
        }
    }
}

fn name(servers: &[Server], at: usize) -> &str {
    servers.get(at).map_or("an unknown server", |s| &s.name)
}

/// Connections per server.
fn counts(servers: &[Server], arrivals: &[Arrival]) -> Vec<u64> {
    let mut counts = vec![0; servers.len()];
    for to in arrivals.iter().filter_map(|a| a.to) {
        if let Some(count) = counts.get_mut(to) {
            *count += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests;
