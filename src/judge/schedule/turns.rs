//! Round robin, plain and weighted: the turns that the kernel goes through again and again.
//!
//! Where the first connection falls in the round depends on what the service was before (each change of the table
//! sets the place anew), so any start is right; from there on every turn is fixed.

use super::{Arrival, Ruling, Server, counts, name};

/// Connections closer together than this may have been scheduled in another order than they were captured in, where
/// several processors receive.
const SURELY_IN_ORDER_NS: u64 = 200_000;

/// One round of `ip_vs_rr_schedule`: every server that has a weight, once.
pub(super) fn round_robin(servers: &[Server]) -> Vec<usize> {
    (0..servers.len()).filter(|&i| servers[i].weight > 0).collect()
}

/// One round of `ip_vs_wrr_schedule`: the wanted weight sinks from the largest in steps of the greatest common
/// divisor, and in each pass every server with at least that weight has a turn.
pub(super) fn weighted_round_robin(servers: &[Server]) -> Vec<usize> {
    let step = servers.iter().map(|s| s.weight).filter(|&w| w > 0).fold(0, gcd).max(1);
    let largest = servers.iter().map(|s| s.weight).max().unwrap_or(0);
    let passes = (0..largest / step).map(|pass| largest - (step - 1) - pass * step);
    passes.flat_map(|wanted| (0..servers.len()).filter(move |&i| servers[i].weight >= wanted)).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Judges by a round.
pub(super) fn rule(scheduler: &str, round: &[usize], servers: &[Server], arrivals: &[Arrival]) -> Ruling {
    if round.is_empty() {
        return Ruling::due(format!("{scheduler}: no server has a weight"));
    }
    let in_order = arrivals.windows(2).all(|w| w[1].at_ns.saturating_sub(w[0].at_ns) >= SURELY_IN_ORDER_NS);
    let kept = |start: usize| {
        let due = |(i, a): &(usize, &Arrival)| a.to.is_none_or(|to| to == round[(start + i) % round.len()]);
        arrivals.iter().enumerate().take_while(due).count()
    };
    let (start, kept) = (0..round.len())
        .map(|start| (start, kept(start)))
        .max_by_key(|&(start, kept)| (kept, std::cmp::Reverse(start)))
        .unwrap_or_default();
    if kept == arrivals.len() {
        return Ruling::due(format!("{scheduler}: in strict turn"));
    }
    let all_left = arrivals.iter().all(|a| a.to.is_some());
    let seen = counts(servers, arrivals);
    if !in_order && (!all_left || (0..round.len()).any(|start| shares(round, start, arrivals.len(), servers) == seen)) {
        return Ruling::due(format!(
            "{scheduler}: as many as turns give, for connections too close to tell their order"
        ));
    }
    let mut ruling = Ruling::due(format!("{scheduler}: strictly in turn"));
    let got = arrivals[kept].to.map_or("nobody", |to| name(servers, to));
    let turn = name(servers, round[(start + kept) % round.len()]);
    ruling.fault(format!("connection {} went to {got}, though it was the turn of {turn}", kept + 1), Some(kept));
    ruling
}

/// How many turns each server has in so many from that start.
fn shares(round: &[usize], start: usize, turns: usize, servers: &[Server]) -> Vec<u64> {
    let mut shares = vec![0; servers.len()];
    for turn in 0..turns {
        shares[round[(start + turn) % round.len()]] += 1;
    }
    shares
}
