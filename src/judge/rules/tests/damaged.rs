//! Captures that are not what passed: frames lost, cut, written twice or in another order, and nodes that were not read.
//! None of it makes a wrong finding, nor a check that held a broken one; at most Undecided.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;

use super::quartets::{fours, without};
use crate::base::{NodeName, Verdict};
use crate::judge::rules::{findings, is_unexplained};
use crate::judge::testlab::Lab;
use crate::judge::{CheckResult, checks};
use crate::trace::Direction;

/// One thing that happens to a capture.
#[derive(Debug, Clone)]
enum Damage {
    /// The kernel had no room for the frame, and counted it.
    Lost(Index),
    /// Only so many bytes of it were kept.
    Cut(Index, usize),
    /// It is there twice.
    Twice(Index),
    /// It stands elsewhere in the file, with its own time.
    Moved(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<Index>().prop_map(Damage::Lost),
        (any::<Index>(), 0usize..60).prop_map(|(at, kept)| Damage::Cut(at, kept)),
        any::<Index>().prop_map(Damage::Twice),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Moved(from, to)),
    ]
}

impl Damage {
    fn does(&self, lab: &mut Lab) {
        let count = lab.frames.len();
        if count == 0 {
            return;
        }
        match self {
            Self::Lost(at) => {
                let frame = lab.frames.remove(at.index(count));
                let node = lab.vantage(frame.vantage).node.clone();
                *lab.capture.dropped.entry(node).or_default() += 1;
            }
            Self::Cut(at, kept) => lab.frames[at.index(count)].data.truncate(*kept),
            Self::Twice(at) => {
                let frame = lab.frames[at.index(count)].clone();
                lab.frames.insert(at.index(count), frame);
            }
            Self::Moved(from, to) => {
                let frame = lab.frames.remove(from.index(count));
                lab.frames.insert(to.index(count), frame);
            }
        }
    }
}

/// All checks' verdicts by id.
fn verdicts(lab: &Lab) -> Vec<(&'static str, CheckResult)> {
    lab.judged(|input| checks::ALL.iter().map(|c| (c.id, (c.run)(input))).collect())
}

/// What the rules say if they are asked whatever checks came to.
fn asked(lab: &Lab) -> Vec<(String, NodeName)> {
    let found = lab.judged(|input| {
        let doubt = |c: &checks::Check| CheckResult { verdict: Verdict::Broken, ..(c.run)(input) };
        findings(input, &checks::ALL.iter().map(doubt).collect::<Vec<_>>())
    });
    found.into_iter().map(|f| (f.id, f.node)).collect()
}

/// The same ones in every run.
fn cases() -> ProptestConfig {
    ProptestConfig { cases: 128, failure_persistence: None, rng_seed: RngSeed::Fixed(66), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_damaged_capture_breaks_no_check_and_names_no_cause(all in vec(damage(), 1..6)) {
        let mut lab = Lab::ran(4);
        for one in &all {
            one.does(&mut lab);
        }
        for (id, result) in verdicts(&lab) {
            prop_assert_ne!(result.verdict, Verdict::Broken, "{}: {:#?}", id, result);
        }
        prop_assert_eq!(asked(&lab), []);
    }

    #[test]
    fn a_damaged_capture_of_a_mistake_names_that_mistake_or_nothing(
        which in any::<Index>(), all in vec(damage(), 1..6),
    ) {
        let fours = fours();
        let four = which.get(&fours);
        let mut lab = (four.run)();
        (four.broken)(&mut lab);
        for one in &all {
            one.does(&mut lab);
        }
        for finding in lab.findings() {
            let known = finding.id == four.rule || less(LESS_BY_FRAMES, four.rule).contains(&finding.id.as_str());
            prop_assert!(known, "{} instead of {}", finding.id, four.rule);
            for at in finding.evidence.iter().filter_map(|e| e.frame.as_ref()) {
                prop_assert!(at.frame as usize <= lab.frames.len());
            }
        }
    }

    #[test]
    fn the_order_in_the_file_says_nothing(which in any::<Index>(), moves in vec((any::<Index>(), any::<Index>()), 1..40)) {
        let fours = fours();
        let four = which.get(&fours);
        let mut lab = (four.run)();
        (four.broken)(&mut lab);
        let (before, named) = (verdicts(&lab), lab.findings());
        for (from, to) in moves {
            Damage::Moved(from, to).does(&mut lab);
        }
        prop_assert_eq!(verdicts(&lab), before);
        prop_assert_eq!(lab.findings(), named);
    }
}

/// Rules that tell less of the same mistake, where what tells the whole of it was not read.
const LESS: &[(&str, &[&str])] = &[
    ("rs-vip-prefix-on-lo-arp", &["rs-vip-prefix-on-lo", "rs-arp-default"]),
    ("rs-vip-prefix-on-lo-rpf", &["rs-vip-prefix-on-lo"]),
    ("rs-remote-subnet", &["no-route"]),
    ("host-sysctl-not-in-container", &["rs-arp-default"]),
    ("rs-arp-notify", &["rs-garp-on-boot"]),
];

/// The same where frames were not captured.
const LESS_BY_FRAMES: &[(&str, &[&str])] = &[
    ("dir-dad-conflict", &["rs-arp-default", "dir-vip-missing"]),
    // Without the check's frames the VIP is missing all the same.
    ("ha-check-on-rip", &["rs-vip-missing"]),
];

fn less(list: &'static [(&str, &[&str])], rule: &str) -> &'static [&'static str] {
    list.iter().find(|(of, _)| *of == rule).map_or(&[], |(_, less)| less)
}

#[test]
fn a_node_that_was_not_read_leads_to_no_other_cause() {
    let mut others = Vec::new();
    for four in fours() {
        let less = less(LESS, four.rule);
        for node in ["client", "router", "director", "rs1", "rs2"] {
            let mut lab = (four.run)();
            (four.broken)(&mut lab);
            without(&mut lab, node);
            let found = lab.findings().into_iter().filter(|f| !is_unexplained(f) && f.id != four.rule);
            others.extend(found.filter(|f| !less.contains(&f.id.as_str())).map(|f| (four.rule, node, f.id)));
        }
    }
    assert_eq!(others, []);
}

#[test]
fn a_node_that_was_not_captured_leads_to_no_other_cause() {
    for four in fours() {
        for node in ["client", "router", "director", "rs1", "rs2"] {
            let mut lab = (four.run)();
            (four.broken)(&mut lab);
            lab.uncaptured(node);
            let less = less(LESS_BY_FRAMES, four.rule);
            let other = lab
                .findings()
                .into_iter()
                .find(|f| f.id != four.rule && !is_unexplained(f) && !less.contains(&f.id.as_str()));
            assert!(other.is_none(), "{} without frames of {node}: {other:#?}", four.rule);
        }
    }
}

#[test]
fn replies_that_the_capture_lost_at_the_server_are_no_drop() {
    let mut lab = Lab::ran(2);
    let before = lab.frames.len();
    lab.remove_frames("rs1", Direction::Out);
    *lab.capture.dropped.entry("rs1".parse().unwrap()).or_default() += (before - lab.frames.len()) as u64;
    assert_eq!(asked(&lab), []);
}
