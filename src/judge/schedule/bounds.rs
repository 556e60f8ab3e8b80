//! Schedulers that look at how many connections each server has. Their choice depends on when the kernel counts a
//! connection as closed, so what is asked for are bounds that hold whatever the timing was, tighter ones where the
//! connections came one after the other.

use super::{Arrival, Policy, Ruling, Server, counts};

/// Judges by bounds.
pub(super) fn rule(policy: Policy<'_>, servers: &[Server], arrivals: &[Arrival]) -> Ruling {
    let one_by_one = policy.closes
        && arrivals.windows(2).all(|w| w[0].closed_ns.is_some_and(|closed| closed < w[1].at_ns))
        && arrivals.iter().all(|a| a.to.is_some());
    let kept = !policy.has("ops");
    let by_weight = heaviest(servers);
    match policy.scheduler {
        "lc" if kept && (one_by_one || !policy.closes) => even(
            servers,
            arrivals,
            |_| 1,
            "lc: each to the server with fewest connections, so no two differ by more than one",
        ),
        "wlc" if kept && (one_by_one || !policy.closes) => even(
            servers,
            arrivals,
            |s| s.weight.into(),
            "wlc: each to the server with fewest connections for its weight, so shares follow the weights to within one connection",
        ),
        "lc" | "wlc" if kept => none_left_out(policy.scheduler, servers, arrivals),
        "fo" => all_to(by_weight, servers, arrivals, "fo: all to the server with the highest weight"),
        "ovf" if most_at_once(arrivals, policy.closes) <= by_weight.map_or(0, |s| servers[s].weight.into()) => all_to(
            by_weight,
            servers,
            arrivals,
            "ovf: all to the server with the highest weight, since never more than its weight were open at once",
        ),
        "sed" if one_by_one => all_to(
            by_weight,
            servers,
            arrivals,
            "sed: none waits when connections come one by one, so all to the server with the highest weight",
        ),
        "nq" if one_by_one => all_to(
            (0..servers.len()).find(|&i| servers[i].weight > 0),
            servers,
            arrivals,
            "nq: the first idle server of the list, and all are idle when connections come one by one",
        ),
        "lblc" | "lblcr" if one_by_one => {
            let first = arrivals.first().and_then(|a| a.to);
            all_to(
                first,
                servers,
                arrivals,
                "lblc and lblcr: a VIP stays with one server as long as that is not overloaded",
            )
        }
        "twos" => Ruling::due("twos: the less busy of two drawn at random, so any share is possible"),
        other => Ruling::due(format!("{other}: connections overlapped, so only weights of 0 are judged")),
    }
}

/// The first of the servers with the largest weight.
fn heaviest(servers: &[Server]) -> Option<usize> {
    let candidates = (0..servers.len()).filter(|&i| servers[i].weight > 0);
    candidates.min_by_key(|&i| std::cmp::Reverse(servers[i].weight))
}

fn all_to(wanted: Option<usize>, servers: &[Server], arrivals: &[Arrival], due: &str) -> Ruling {
    let mut ruling = Ruling::due(due);
    for (at, arrival) in arrivals.iter().enumerate() {
        if let (Some(to), Some(wanted)) = (arrival.to, wanted)
            && to != wanted
        {
            let (to, wanted) = (super::name(servers, to), super::name(servers, wanted));
            ruling.fault(format!("a connection went to {to}, though {wanted} was due"), Some(at));
        }
    }
    ruling
}

/// A server is chosen only when no other has fewer connections for its weight; so its count without the last one,
/// over its weight, never exceeds another's count over that one's weight.
fn even(servers: &[Server], arrivals: &[Arrival], weight: impl Fn(&Server) -> u64, due: &str) -> Ruling {
    let mut ruling = Ruling::due(due);
    let counts = counts(servers, arrivals);
    for (i, more) in servers.iter().enumerate().filter(|(i, s)| s.weight > 0 && counts[*i] > 0) {
        for (j, less) in servers.iter().enumerate().filter(|(_, s)| s.weight > 0) {
            if (counts[i] - 1) * weight(less) > counts[j] * weight(more) {
                let what = format!("{} got {} connections and {} only {}", more.name, counts[i], less.name, counts[j]);
                ruling.fault(what, None);
            }
        }
    }
    ruling
}

/// An entry counts even when the connection is closed, so a server that had none is chosen before any that had one.
fn none_left_out(scheduler: &str, servers: &[Server], arrivals: &[Arrival]) -> Ruling {
    let mut ruling =
        Ruling::due(format!("{scheduler}: connections overlapped, so all that is sure is that no server is left out"));
    let counts = counts(servers, arrivals);
    let usable = servers.iter().filter(|s| s.weight > 0).count();
    let left: usize = arrivals.iter().filter(|a| a.to.is_some()).count();
    if left >= usable && left == arrivals.len() {
        for (server, _) in servers.iter().zip(&counts).filter(|(s, c)| s.weight > 0 && **c == 0) {
            ruling.fault(format!("{} got no connection", server.name), None);
        }
    }
    ruling
}

/// The largest number of connections that were open at the same time.
fn most_at_once(arrivals: &[Arrival], closes: bool) -> u64 {
    let open_at = |now: u64| {
        let open = |a: &&Arrival| a.at_ns <= now && (!closes || a.closed_ns.is_none_or(|closed| closed >= now));
        arrivals.iter().filter(open).count() as u64
    };
    arrivals.iter().map(|a| open_at(a.at_ns)).max().unwrap_or(0)
}
