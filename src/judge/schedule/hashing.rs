//! The hashing schedulers: `sh` and `mh` by the client's address, `dh` by the VIP, each through a table that is
//! filled from the list of real servers. The tables are built here as the kernel builds them.

use std::net::IpAddr;

use super::{Arrival, Policy, Ruling, Server, name, one_server_each};

/// Buckets of `sh` and `dh` (`CONFIG_IP_VS_SH_TAB_BITS`, `CONFIG_IP_VS_DH_TAB_BITS`: 8 unless built otherwise).
const BITS: u32 = 8;

/// Size of the table of `mh` (`primes[CONFIG_IP_VS_MH_TAB_INDEX - 8]`, index 12 unless built otherwise).
const MAGLEV: u32 = 4093;

/// Half the table's index: the number of bits that a weight may have in `mh` (`IP_VS_MH_TAB_BITS`).
const MAGLEV_WEIGHT_BITS: u32 = 6;

/// A hash of an address (as one number) and a port into a table.
type Hash = fn(u32, u16, u32) -> u32;

/// Judges by the tables.
pub(super) fn rule(policy: Policy<'_>, servers: &[Server], arrivals: &[Arrival]) -> Ruling {
    let by_port = policy.scheduler != "dh" && policy.has("sched-2");
    let fallback = policy.scheduler != "dh" && policy.has("sched-1");
    let key = |a: &Arrival| match policy.scheduler {
        "dh" => (a.target.ip(), 0),
        _ => (a.client.ip(), if by_port { a.client.port() } else { 0 }),
    };
    let tables: Vec<(Vec<usize>, Hash)> = match policy.scheduler {
        "sh" => vec![(weighted_table(servers), multiplied), (weighted_table(servers), multiplied_before_4_18)],
        "dh" => vec![(plain_table(servers), multiplied), (plain_table(servers), multiplied_before_4_18)],
        _ => vec![(maglev_table(servers), maglev_key)],
    };
    let what = match (policy.scheduler, by_port) {
        ("dh", _) => "the VIP",
        (_, true) => "the client's address and port",
        _ => "the client's address",
    };
    let mut ruling =
        Ruling::due(format!("{}: the real server that the kernel's hash of {what} gives", policy.scheduler));
    one_server_each(&mut ruling, servers, arrivals, key);
    if !ruling.faults.is_empty() {
        return ruling;
    }
    let due = |table: &[usize], hash: Hash, a: &Arrival| {
        let (address, port) = key(a);
        look_up(table, servers, fallback, |offset| hash(fold(address), port, offset))
    };
    let wrong = |(table, hash): &(Vec<usize>, Hash)| {
        arrivals.iter().position(|a| a.to.is_some() && a.to != due(table, *hash, a))
    };
    if let (Some((table, hash)), Some(at)) = (tables.first(), tables.iter().map(wrong).min().flatten()) {
        let arrival = &arrivals[at];
        let got = arrival.to.map_or("nobody", |to| name(servers, to));
        let wanted = due(table, *hash, arrival).map_or("nobody", |to| name(servers, to));
        ruling.fault(format!("{} went to {got}, though the hash gives {wanted}", arrival.client), Some(at));
    }
    ruling
}

/// `ip_vs_sh_get_fallback`, `ip_vs_mh_get_fallback`, and their short forms without fallback.
fn look_up(table: &[usize], servers: &[Server], fallback: bool, hash: impl Fn(u32) -> u32) -> Option<usize> {
    let size = u32::try_from(table.len()).ok().filter(|&s| s > 0)?;
    let at = |offset: u32| table[(hash(offset) % size) as usize];
    let usable = |&server: &usize| servers.get(server).is_some_and(|s| s.weight > 0);
    let first = hash(0) % size;
    Some(at(0)).filter(usable).or_else(|| {
        let others = (0..size).filter(|_| fallback).map(|offset| at((offset + first) % size));
        others.into_iter().find(usable)
    })
}

/// `addr_fold` of the kernel: IPv6 is folded into 32 bits by exclusive or.
fn fold(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(v4) => v4.to_bits(),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            [96, 64, 32, 0].iter().fold(0, |folded, shift| folded ^ (bits >> shift) as u32)
        }
    }
}

/// `ip_vs_sh_hashkey` since 4.18: `hash_32`, the upper bits of a product with `GOLDEN_RATIO_32`.
fn multiplied(address: u32, port: u16, offset: u32) -> u32 {
    let key = address.wrapping_add(port.into());
    offset.wrapping_add(key.wrapping_mul(0x61C8_8647) >> (32 - BITS)) & ((1 << BITS) - 1)
}

/// Before 4.18: the lower bits of a product with Knuth's number.
fn multiplied_before_4_18(address: u32, port: u16, offset: u32) -> u32 {
    let key = address.wrapping_add(port.into());
    offset.wrapping_add(key.wrapping_mul(2_654_435_761)) & ((1 << BITS) - 1)
}

/// `ip_vs_sh_reassign`: the list again and again, each server as often as its weight says.
fn weighted_table(servers: &[Server]) -> Vec<usize> {
    let round = (0..servers.len()).flat_map(|i| std::iter::repeat_n(i, servers[i].weight.max(1) as usize));
    round.collect::<Vec<_>>().into_iter().cycle().take(1 << BITS).collect()
}

/// `ip_vs_dh_reassign`: the list again and again.
fn plain_table(servers: &[Server]) -> Vec<usize> {
    (0..servers.len()).cycle().take(1 << BITS).collect()
}

/// `ip_vs_mh_hashkey` with the first key.
fn maglev_key(address: u32, port: u16, offset: u32) -> u32 {
    hsiphash(offset.wrapping_add(address).wrapping_add(port.into()), 2_654_435_761)
}

/// `ip_vs_mh_permutate` and `ip_vs_mh_populate`: every server in turn takes the next free place of its own permutation.
fn maglev_table(servers: &[Server]) -> Vec<usize> {
    let divisor = servers.iter().map(|s| s.weight).fold(0, gcd);
    let Some(largest) = servers.iter().map(|s| s.weight).max().filter(|_| divisor > 0) else { return Vec::new() };
    let shift = (u32::BITS - (largest / divisor).leading_zeros()).saturating_sub(MAGLEV_WEIGHT_BITS);
    let mut places: Vec<(u32, u32, u32)> = servers
        .iter()
        .map(|s| {
            let key = fold(s.at.ip()).wrapping_add(s.at.port().into());
            let turns = ((s.weight / divisor) >> shift).max(u32::from(s.weight > 0));
            (hsiphash(key, 2_654_435_761) % MAGLEV, hsiphash(key, 2_654_446_892) % (MAGLEV - 1) + 1, turns)
        })
        .collect();
    let mut table: Vec<Option<usize>> = vec![None; MAGLEV as usize];
    let mut free = table.len();
    while free > 0 {
        for (server, (place, skip, turns)) in places.iter_mut().enumerate() {
            for _ in 0..(*turns as usize).min(free) {
                while table[*place as usize].is_some() {
                    *place = (*place + *skip) % MAGLEV;
                }
                table[*place as usize] = Some(server);
                free -= 1;
            }
        }
    }
    table.into_iter().flatten().collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// `hsiphash_1u32` of a 64-bit kernel: SipHash-1-3 of one word, both halves of the key alike, cut to 32 bits.
fn hsiphash(word: u32, key: u64) -> u32 {
    let mut v = [
        0x736f_6d65_7073_6575 ^ key,
        0x646f_7261_6e64_6f6d ^ key,
        0x6c79_6765_6e65_7261 ^ key,
        0x7465_6462_7974_6573 ^ key,
    ];
    let last = (4 << 56) | u64::from(word);
    v[3] ^= last;
    sip_round(&mut v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for _ in 0..3 {
        sip_round(&mut v);
    }
    #[expect(clippy::cast_possible_truncation, reason = "the kernel's function returns the lower half")]
    let hash = (v[0] ^ v[1] ^ v[2] ^ v[3]) as u32;
    hash
}

/// `SIPROUND` of `lib/siphash.c`.
fn sip_round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}
