//! Which MACs share a segment, and whose own frames a vantage shows.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Mac, NodeName};
use crate::trace::{Direction, Trace};
use crate::wire::link::UNKNOWN;

/// Of a vantage's unicast frames so many in ten have to be a station's own for the vantage to be that station's.
const OWN_TENTHS: u64 = 9;

/// For each vantage the MACs whose own frames it shows: one for a station's interface, all that speak with several others for
/// a mirror port, none where frames don't tell.
pub(super) fn own_macs(trace: &Trace) -> Vec<BTreeSet<Mac>> {
    let mut sent: Vec<BTreeSet<Mac>> = vec![BTreeSet::new(); trace.vantages.len()];
    let mut told: Vec<bool> = vec![false; trace.vantages.len()];
    let mut taking_part: Vec<BTreeMap<Mac, u64>> = vec![BTreeMap::new(); trace.vantages.len()];
    let mut peers: Vec<BTreeMap<Mac, BTreeSet<Mac>>> = vec![BTreeMap::new(); trace.vantages.len()];
    let mut unicast: Vec<u64> = vec![0; trace.vantages.len()];
    for frame in &trace.frames {
        let (at, source, to) = (frame.vantage, frame.decoded.source, frame.decoded.destination);
        if at >= trace.vantages.len() {
            continue;
        }
        if frame.direction != Direction::Unknown {
            told[at] = true;
        }
        if frame.direction == Direction::Out && source != UNKNOWN {
            sent[at].insert(source);
        }
        if source != UNKNOWN && to != UNKNOWN && !to.is_group() {
            unicast[at] += frame.times();
            for (mac, other) in [(source, to), (to, source)] {
                *taking_part[at].entry(mac).or_default() += frame.times();
                peers[at].entry(mac).or_default().insert(other);
            }
        }
    }
    let by_share = |at: usize| -> BTreeSet<Mac> {
        let most = |(_, n): &(&Mac, &u64)| **n * 10 >= unicast[at] * OWN_TENTHS;
        let own: Vec<Mac> = taking_part[at].iter().filter(most).map(|(mac, _)| *mac).collect();
        match own.as_slice() {
            [one] => BTreeSet::from([*one]),
            // Who speaks with one other only may be that one's neighbour rather than seen as a whole.
            [] => peers[at].iter().filter(|(_, with)| with.len() > 1).map(|(mac, _)| *mac).collect(),
            _ => BTreeSet::new(),
        }
    };
    (0..trace.vantages.len()).map(|at| if told[at] { std::mem::take(&mut sent[at]) } else { by_share(at) }).collect()
}

/// Sets of MACs that speak with each other without a router.
#[derive(Debug)]
pub(super) struct Segments {
    of: BTreeMap<Mac, usize>,
    vantages: Vec<Option<usize>>,
    /// For each set its first MAC, by which it is ordered.
    all: Vec<usize>,
}

impl Segments {
    /// By who sends frames to whom, and who speaks at one vantage.
    pub(super) fn of(trace: &Trace) -> Self {
        let mut macs: BTreeMap<Mac, usize> = BTreeMap::new();
        let mut parents: Vec<usize> = Vec::new();
        let mut vantages: Vec<BTreeMap<Vec<u16>, usize>> = vec![BTreeMap::new(); trace.vantages.len()];
        for frame in &trace.frames {
            let ends = [frame.decoded.source, frame.decoded.destination];
            for mac in ends.into_iter().filter(|m| *m != UNKNOWN && !m.is_group()) {
                let node = *macs.entry(mac).or_insert_with(|| {
                    parents.push(parents.len());
                    parents.len() - 1
                });
                let Some(of_vantage) = vantages.get_mut(frame.vantage) else { continue };
                let first = *of_vantage.entry(frame.decoded.vlans.clone()).or_insert(node);
                let (a, b) = (root(&mut parents, first), root(&mut parents, node));
                parents[a.max(b)] = a.min(b);
            }
        }
        let of: BTreeMap<Mac, usize> = macs.iter().map(|(mac, node)| (*mac, root(&mut parents, *node))).collect();
        let vantages = vantages.iter().map(|v| v.values().next().map(|node| root(&mut parents, *node))).collect();
        let all: BTreeSet<usize> = of.values().copied().collect();
        Self { of, vantages, all: all.into_iter().collect() }
    }

    /// The set that the MAC is in.
    pub(super) fn of_mac(&self, mac: Mac) -> Option<usize> {
        self.of.get(&mac).copied()
    }

    /// The set that the vantage shows.
    pub(super) fn of_vantage(&self, vantage: usize) -> Option<usize> {
        self.vantages.get(vantage).copied().flatten()
    }

    /// Its name: `lan` for the one with that MAC, numbers for the others.
    pub(super) fn name(&self, segment: usize, lan: Option<Mac>) -> Option<NodeName> {
        if lan.and_then(|mac| self.of_mac(mac)) == Some(segment) || self.all.len() == 1 {
            return "lan".parse().ok();
        }
        let nth = self.all.iter().position(|s| *s == segment)? + 1;
        format!("segment{nth}").parse().ok()
    }
}

fn root(parents: &mut [usize], mut node: usize) -> usize {
    while parents[node] != node {
        parents[node] = parents[parents[node]];
        node = parents[node];
    }
    node
}
