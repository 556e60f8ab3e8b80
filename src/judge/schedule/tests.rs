//! Schedulers, judged on arrivals written by hand.

use std::net::SocketAddr;

use super::{Arrival, Policy, Ruling, Server, rule};

fn servers(weights: &[u32]) -> Vec<Server> {
    (1..)
        .zip(weights)
        .map(|(n, &weight)| Server {
            name: format!("rs{n}"),
            at: SocketAddr::from(([172, 16, 252, n], 80)),
            weight,
            limited: false,
        })
        .collect()
}

/// Arrivals at those servers, one after the other, each from the client's address with a port of its own.
fn arrivals(to: &[usize]) -> Vec<Arrival> {
    (0..)
        .zip(to)
        .map(|(n, &to)| Arrival {
            client: SocketAddr::from(([203, 0, 113, 2], 40_000 + n)),
            target: SocketAddr::from(([172, 16, 0, 66], 80)),
            at_ns: u64::from(n) * 1_000_000,
            closed_ns: Some(u64::from(n) * 1_000_000 + 500_000),
            to: Some(to),
        })
        .collect()
}

fn judge(scheduler: &str, flags: &[&str], weights: &[u32], arrivals: &[Arrival]) -> Ruling {
    let flags: Vec<String> = flags.iter().map(|f| (*f).to_owned()).collect();
    rule(Policy { scheduler, flags: &flags, persistent: false, closes: true }, &servers(weights), arrivals)
}

#[track_caller]
fn holds(scheduler: &str, weights: &[u32], to: &[usize]) {
    let ruling = judge(scheduler, &[], weights, &arrivals(to));
    assert!(ruling.faults.is_empty(), "{ruling:?}");
}

#[track_caller]
fn breaks(scheduler: &str, weights: &[u32], to: &[usize]) {
    let ruling = judge(scheduler, &[], weights, &arrivals(to));
    assert!(!ruling.faults.is_empty(), "{ruling:?}");
}

#[test]
fn rr_takes_turns_from_any_start_and_passes_over_weight_0() {
    holds("rr", &[1, 5, 1], &[1, 2, 0, 1, 2]);
    holds("rr", &[1, 0, 1], &[2, 0, 2, 0]);
    breaks("rr", &[1, 1, 1], &[0, 2, 1]);
    breaks("rr", &[1, 0, 1], &[0, 1, 2]);
}

#[test]
fn rr_is_judged_by_numbers_where_connections_were_too_close_to_tell_their_order() {
    let mut close = arrivals(&[0, 0, 1, 1]);
    for arrival in &mut close {
        arrival.at_ns /= 1_000_000;
    }
    assert_eq!(judge("rr", &[], &[1, 1], &close).faults, []);
    close[3].to = Some(0);
    assert_ne!(judge("rr", &[], &[1, 1], &close).faults, []);
}

#[test]
fn wrr_goes_through_the_kernels_round() {
    // Weights 4, 3, 2 of the documentation's example: A A B A B C A B C.
    holds("wrr", &[4, 3, 2], &[0, 0, 1, 0, 1, 2, 0, 1, 2, 0, 0, 1]);
    // Weights with a common divisor: 4 and 2 are 2 and 1.
    holds("wrr", &[4, 2], &[0, 0, 1, 0, 0, 1]);
    holds("wrr", &[3, 1], &[0, 1, 0, 0, 0, 1]);
    breaks("wrr", &[3, 1], &[0, 1, 0, 1]);
    breaks("wrr", &[4, 3, 2], &[0, 1, 2, 0, 1, 2, 0, 1, 0]);
}

#[test]
fn a_server_of_weight_0_gets_nothing_whatever_the_scheduler() {
    for scheduler in crate::base::SCHEDULERS {
        let ruling = judge(scheduler, &[], &[0, 1], &arrivals(&[0]));
        assert!(ruling.faults.iter().any(|(what, _)| what.contains("weight 0")), "{scheduler}: {ruling:?}");
    }
}

#[test]
fn source_hashing_fills_its_table_by_weight_and_looks_it_up_by_hash_32() {
    // 203.0.113.2 is 0xcb007102; times 0x61c88647 modulo 2^32 is 0x93d6638e, whose upper byte is 147.
    assert_eq!(0xcb00_7102_u32.wrapping_mul(0x61c8_8647) >> 24, 147);
    // Bucket 147 of a table 0 0 0 1 0 0 0 1 … is the last of a round of four.
    holds("sh", &[3, 1], &[1, 1, 1]);
    breaks("sh", &[1, 3], &[0, 0, 0]);
    breaks("sh", &[3, 1], &[1, 1, 0]);
}

#[test]
fn hashing_with_the_port_spreads_one_client() {
    let client = arrivals(&[0; 64]);
    let by_port = |to: &dyn Fn(usize) -> usize| {
        let mut arrivals = client.clone();
        for (at, arrival) in arrivals.iter_mut().enumerate() {
            arrival.to = Some(to(at));
        }
        judge("sh", &["sched-2"], &[1, 1], &arrivals).faults
    };
    assert_ne!(by_port(&|_| 0), []);
    let hashed = |at: usize| {
        let key = 0xcb00_7102_u32.wrapping_add(40_000 + u32::try_from(at).unwrap());
        (key.wrapping_mul(0x61c8_8647) >> 24) as usize % 2
    };
    assert_eq!(by_port(&hashed), []);
}

#[test]
fn hashing_falls_back_only_where_it_is_told_to() {
    // Bucket 147 belongs to the second server, which is out of service.
    assert_ne!(judge("sh", &[], &[1, 0], &arrivals(&[0])).faults, []);
    assert_eq!(judge("sh", &["sched-1"], &[1, 0], &arrivals(&[0])).faults, []);
}

#[test]
fn destination_hashing_sends_a_vip_to_one_server() {
    let by_table = (0xac10_0042_u32.wrapping_mul(0x61c8_8647) >> 24) as usize % 3;
    holds("dh", &[1, 1, 1], &[by_table; 3]);
    breaks("dh", &[1, 1, 1], &[(by_table + 1) % 3; 3]);
    breaks("dh", &[1, 1, 1], &[0, 1]);
}

#[test]
fn maglev_keeps_a_client_with_one_server() {
    let kept = (0..3).filter(|&to| judge("mh", &[], &[1, 1, 1], &arrivals(&[to; 3])).faults.is_empty()).count();
    assert_eq!(kept, 1);
    breaks("mh", &[1, 1, 1], &[0, 1, 2]);
}

#[test]
fn least_connections_differ_by_one_at_most_when_they_come_one_by_one() {
    holds("lc", &[1, 9], &[0, 1, 0, 1, 0]);
    breaks("lc", &[1, 1], &[0, 0, 0]);
    holds("wlc", &[3, 1], &[0, 1, 0, 0, 0, 1, 0, 0]);
    breaks("wlc", &[3, 1], &[0, 1, 0, 1]);
}

#[test]
fn overlapping_connections_only_leave_no_server_out() {
    let mut overlapping = arrivals(&[0, 1, 0, 0, 0, 0]);
    for arrival in &mut overlapping {
        arrival.closed_ns = None;
    }
    assert_eq!(judge("lc", &[], &[1, 1], &overlapping).faults, []);
    overlapping[1].to = Some(0);
    assert_ne!(judge("lc", &[], &[1, 1], &overlapping).faults, []);
}

#[test]
fn failover_and_idle_servers_take_all_that_comes_one_by_one() {
    for scheduler in ["fo", "sed", "ovf"] {
        holds(scheduler, &[1, 3, 2], &[1, 1, 1]);
        breaks(scheduler, &[1, 3, 2], &[1, 0, 1]);
    }
    holds("nq", &[1, 3], &[0, 0, 0]);
    breaks("nq", &[1, 3], &[0, 1, 0]);
    holds("lblc", &[1, 1], &[1, 1]);
    breaks("lblcr", &[1, 1], &[1, 0]);
}

#[test]
fn overflow_lets_more_than_the_weight_pass_on() {
    let mut open = arrivals(&[1, 1, 1, 1, 0]);
    for arrival in &mut open {
        arrival.closed_ns = None;
    }
    assert_eq!(judge("ovf", &[], &[1, 3], &open).faults, []);
}

#[test]
fn a_persistent_client_stays_whatever_the_scheduler() {
    let servers = servers(&[1, 1]);
    let policy = Policy { scheduler: "rr", flags: &[], persistent: true, closes: true };
    assert_eq!(rule(policy, &servers, &arrivals(&[1, 1, 1])).faults, []);
    assert_ne!(rule(policy, &servers, &arrivals(&[1, 0])).faults, []);
}

#[test]
fn thresholds_leave_only_weights_to_judge() {
    let mut servers = servers(&[1, 1]);
    servers[0].limited = true;
    let policy = Policy { scheduler: "rr", flags: &[], persistent: false, closes: true };
    assert_eq!(rule(policy, &servers, &arrivals(&[1, 1, 1])).faults, []);
}
