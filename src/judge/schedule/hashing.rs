//! The hashing schedulers: `sh` and `mh` by the client's address, `dh` by the VIP, each through a table that is
//! filled from the list of real servers. The tables are built here as kernels since 4.18 build them; older ones took
//! other bits of the product.

use std::net::IpAddr;

use super::{Arrival, Policy, Ruling, Server, name, one_server_each};

/// Buckets of `sh` and `dh` (`CONFIG_IP_VS_SH_TAB_BITS`, `CONFIG_IP_VS_DH_TAB_BITS`: 8 unless built otherwise).
const BITS: u32 = 8;

/// Size of the table of `mh` (`primes[CONFIG_IP_VS_MH_TAB_INDEX - 8]`, index 12 unless built otherwise).
const MAGLEV: u32 = 4093;

/// Half the table's index: the number of bits that a weight may have in `mh` (`IP_VS_MH_TAB_BITS`).
const MAGLEV_WEIGHT_BITS: u32 = 6;

/// The keys of `mh` (`generate_hash_secret`).
const FIRST_KEY: [u64; 2] = [2_654_435_761; 2];
const SECOND_KEY: [u64; 2] = [2_654_446_892; 2];

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
    let (table, hash): (Vec<usize>, Hash) = match policy.scheduler {
        "sh" => (weighted_table(servers), multiplied),
        "dh" => (plain_table(servers), multiplied),
        _ => (maglev_table(servers), maglev_key),
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
    let due = |arrival: &Arrival| {
        let (address, port) = key(arrival);
        look_up(&table, servers, fallback, |offset| hash(fold(address), port, offset))
    };
    if let Some(at) = arrivals.iter().position(|a| a.to.is_some() && a.to != due(a)) {
        let arrival = &arrivals[at];
        let got = arrival.to.map_or("nobody", |to| name(servers, to));
        let wanted = due(arrival).map_or("nobody", |to| name(servers, to));
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
            let words = v6.octets();
            words.chunks_exact(4).fold(0, |folded, w| folded ^ u32::from_be_bytes([w[0], w[1], w[2], w[3]]))
        }
    }
}

/// `ip_vs_sh_hashkey`: `hash_32`, the upper bits of a product with `GOLDEN_RATIO_32`.
fn multiplied(address: u32, port: u16, offset: u32) -> u32 {
    let key = address.wrapping_add(port.into());
    offset.wrapping_add(key.wrapping_mul(0x61C8_8647) >> (32 - BITS)) & ((1 << BITS) - 1)
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
    hsiphash(offset.wrapping_add(address).wrapping_add(port.into()), FIRST_KEY)
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
            (hsiphash(key, FIRST_KEY) % MAGLEV, hsiphash(key, SECOND_KEY) % (MAGLEV - 1) + 1, turns)
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

/// `hsiphash_1u32` of a 64-bit kernel: SipHash-1-3 of one word, cut to 32 bits.
fn hsiphash(word: u32, key: [u64; 2]) -> u32 {
    let mut v = [
        0x736f_6d65_7073_6575 ^ key[0],
        0x646f_7261_6e64_6f6d ^ key[1],
        0x6c79_6765_6e65_7261 ^ key[0],
        0x7465_6462_7974_6573 ^ key[1],
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

#[cfg(test)]
mod tests {
    use super::{fold, hsiphash};

    #[test]
    fn hsiphash_gives_what_the_kernels_own_test_wants() {
        // `test_vectors_hsiphash[4]` of lib/tests/siphash_kunit.c, for 64 bits.
        assert_eq!(hsiphash(0x0302_0100, [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908]), 0x88d3_8328);
    }

    #[test]
    fn ipv6_is_folded_by_exclusive_or() {
        assert_eq!(fold("2001:db8::66".parse().unwrap()), 0x2001_0db8 ^ 0x66);
    }
}
