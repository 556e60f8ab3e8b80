//! How far the clocks of capture points are apart, told by packets that several of them saw.
//!
//! A packet can't come in before it left: where its TTL is lower, it was seen later. Each pair of sightings bounds the
//! difference of two clocks from one side; packets in both directions bound it from both. Refuses: drift. Errs towards no
//! difference: clocks that may agree are taken to agree.

use std::collections::HashMap;

/// One sighting of a packet.
#[derive(Debug, Clone, Copy)]
pub struct Sighting {
    /// Which packet: equal for equal packets.
    pub packet: u64,
    /// Where.
    pub point: usize,
    /// When, by that point's clock, in nanoseconds.
    pub at_ns: u64,
    /// TTL or hop limit.
    pub ttl: u8,
}

/// A point's clock against the first one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    /// What has to be taken from the point's times, in nanoseconds.
    pub ns: i64,
    /// How many packets tell.
    pub packets: u64,
}

/// Within this, sightings of one link say nothing: the time that a packet takes, and the noise of time stamps.
const NOISE_NS: i64 = 1_000_000;

/// Longer than this no packet is on its way between two hops.
const ON_THE_WAY_NS: i64 = 1_000_000_000;

/// Bounds for one clock against another's.
#[derive(Debug, Clone, Copy, Default)]
struct Bounds {
    least: Option<i64>,
    most: Option<i64>,
    /// Of equal TTL: the sum and the number.
    level: (i128, u64),
    packets: u64,
}

impl Bounds {
    fn settle(&self) -> i64 {
        let level = match self.level {
            (_, 0) => None,
            (sum, n) => i64::try_from(sum / i128::from(n)).ok().filter(|mean| mean.abs() > NOISE_NS),
        };
        let (least, most) = (self.least, self.most);
        if least.is_none_or(|l| (-ON_THE_WAY_NS..=0).contains(&l))
            && most.is_none_or(|m| (0..=ON_THE_WAY_NS).contains(&m))
        {
            return level.filter(|l| least.is_none_or(|b| *l >= b) && most.is_none_or(|b| *l <= b)).unwrap_or(0);
        }
        match (least, most) {
            (Some(least), Some(most)) => least / 2 + most / 2,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => 0,
        }
    }
}

/// For each of so many points the difference of its clock; nothing where no packet ties it to the others.
///
/// The first point is the reference, and after it whatever it is tied to. A packet that one point saw more than once
/// at one TTL counts by its first sighting.
pub fn offsets(points: usize, sightings: &[Sighting]) -> Vec<Option<Offset>> {
    let mut pairs: HashMap<(usize, usize), Bounds> = HashMap::new();
    let mut of_packet: HashMap<u64, Vec<Sighting>> = HashMap::new();
    for sighting in sightings {
        let seen = of_packet.entry(sighting.packet).or_default();
        let again = seen.iter().any(|s| s.point == sighting.point && s.ttl == sighting.ttl);
        if seen.len() < 8 && !again {
            seen.push(*sighting);
        }
    }
    for seen in of_packet.values() {
        for (at, a) in seen.iter().enumerate() {
            for b in seen.iter().skip(at + 1).filter(|b| b.point != a.point) {
                let (a, b) = if a.point < b.point { (a, b) } else { (b, a) };
                note(pairs.entry((a.point, b.point)).or_default(), a, b);
            }
        }
    }
    let mut found: Vec<Option<Offset>> = vec![None; points];
    // Each round ties the point with the most packets to those already tied.
    for root in 0..points {
        if found[root].is_some() {
            continue;
        }
        found[root] = (root == 0 || pairs.keys().any(|(a, _)| *a == root)).then_some(Offset { ns: 0, packets: 0 });
        loop {
            let tie = pairs
                .iter()
                .filter(|((a, b), _)| found[*a].is_some() != found[*b].is_some())
                .max_by_key(|((a, b), bounds)| (bounds.packets, std::cmp::Reverse((*a, *b))));
            let Some((&(a, b), bounds)) = tie else { break };
            let ns = bounds.settle();
            let (known, new, ns) = if found[a].is_some() { (a, b, ns) } else { (b, a, -ns) };
            let base = found[known].map_or(0, |o| o.ns);
            found[new] = Some(Offset { ns: base.saturating_add(ns), packets: bounds.packets });
        }
    }
    found
}

/// Bounds `b`'s clock less `a`'s by one packet.
fn note(bounds: &mut Bounds, a: &Sighting, b: &Sighting) {
    let apart = i128::from(b.at_ns) - i128::from(a.at_ns);
    let Ok(apart) = i64::try_from(apart) else { return };
    bounds.packets += 1;
    match b.ttl.cmp(&a.ttl) {
        // Seen later at b: what is apart is the difference and the time on the way.
        std::cmp::Ordering::Less => bounds.most = Some(bounds.most.map_or(apart, |m| m.min(apart))),
        std::cmp::Ordering::Greater => bounds.least = Some(bounds.least.map_or(apart, |l| l.max(apart))),
        std::cmp::Ordering::Equal => {
            bounds.level.0 += i128::from(apart);
            bounds.level.1 += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Offset, Sighting, offsets};

    const S: u64 = 1_000_000_000;

    fn seen(packet: u64, point: usize, at_ns: u64, ttl: u8) -> Sighting {
        Sighting { packet, point, at_ns, ttl }
    }

    #[test]
    fn packets_both_ways_tell_how_far_apart_clocks_are() {
        let late = 5 * S;
        let mut all = Vec::new();
        for n in 0..10 {
            let at = 100 * S + n * 1_000_000;
            all.extend([seen(n, 0, at, 63), seen(n, 1, at + 200_000 + late, 62)]);
            all.extend([seen(100 + n, 1, at + 400_000 + late, 64), seen(100 + n, 0, at + 600_000, 63)]);
        }
        let found = offsets(2, &all);
        assert_eq!(found[0], Some(Offset { ns: 0, packets: 0 }));
        let Offset { ns, packets } = found[1].unwrap();
        assert!(ns.abs_diff(i64::try_from(late).unwrap()) <= 200_000, "{ns}");
        assert_eq!(packets, 20);
    }

    #[test]
    fn clocks_that_may_agree_are_left_alone() {
        let all = [seen(1, 0, S, 63), seen(1, 1, S + 70_000, 62), seen(2, 0, S, 64), seen(2, 1, S + 9_000, 64)];
        assert_eq!(offsets(2, &all)[1].unwrap().ns, 0);
    }

    #[test]
    fn a_point_that_shares_no_packet_is_not_tied() {
        assert_eq!(offsets(2, &[seen(1, 0, S, 63), seen(2, 1, S, 63)])[1], None);
    }

    #[test]
    fn a_point_is_tied_through_a_third() {
        let all = [
            seen(1, 0, 10 * S, 64),
            seen(1, 1, 20 * S, 63),
            seen(2, 1, 20 * S, 64),
            seen(2, 2, 50 * S, 63),
            seen(3, 1, 20 * S, 63),
            seen(3, 0, 10 * S + 1000, 62),
        ];
        let found = offsets(3, &all);
        assert!(found[2].unwrap().ns.abs_diff(40 * 1_000_000_000) < 1_000_000, "{found:?}");
    }
}
