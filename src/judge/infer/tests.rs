use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::prelude::*;

use super::{Inferred, Known, Naming, Who, infer};
use crate::base::Verdict::{Broken, Held, Undecided};
use crate::base::{Mac, Role, Verdict};
use crate::facts::run::{CaptureStats, Ran};
use crate::judge::rules::{self, Clue};
use crate::judge::testlab::{Back, Exchange, Lab, There, VIP, arp};
use crate::judge::{CheckResult, Finding, Input, checks};
use crate::trace::{Gatherer, RawFrame, Vantage};
use crate::wire::decode;

pub(in crate::judge) type Points = Vec<(Vantage, Vec<RawFrame>)>;

fn known() -> Known {
    Known { vips: vec![(IpAddr::V4(VIP), None)], parts: Vec::new() }
}

/// Those points of a lab.
pub(in crate::judge) fn points(lab: &Lab, wanted: &[&str]) -> Points {
    lab.captures().into_iter().filter(|(v, _)| wanted.contains(&v.to_string().as_str())).collect()
}

struct Judged {
    inferred: Inferred,
    results: BTreeMap<String, CheckResult>,
    findings: Vec<Finding>,
    clues: Vec<Clue>,
}

/// What frames of those points find and hint at.
pub(in crate::judge) fn hinted(points: Points) -> (Vec<Finding>, Vec<Clue>) {
    let Judged { findings, clues, .. } = all_of(points, &known());
    (findings, clues)
}

fn judged(points: Points, known: &Known) -> (Inferred, BTreeMap<String, CheckResult>) {
    let Judged { inferred, results, .. } = all_of(points, known);
    (inferred, results)
}

fn all_of(points: Points, known: &Known) -> Judged {
    let mut gatherer = Gatherer::new(usize::MAX);
    for (vantage, frames) in points {
        let at = gatherer.vantage(vantage);
        for (frame, number) in frames.into_iter().zip(1..) {
            let decoded = decode(&frame.data);
            assert!(gatherer.take(RawFrame { vantage: at, ..frame }, decoded, number));
        }
    }
    let trace = gatherer.finish().trace;
    let named = vec![Naming::File; trace.vantages.len()];
    let inferred = infer(&trace, known, &named);
    let ran =
        Ran { loads: Vec::new(), access_logs: BTreeMap::new(), probes: Vec::new(), stopped: None, ended: Vec::new() };
    let capture = CaptureStats { frames: 0, dropped: BTreeMap::new(), vantages: Vec::new() };
    let input = Input { case: &inferred.case, trace: &trace, before: &[], after: &[], ran: &ran, capture: &capture };
    let of_frames = ["mac-rewrite", "direct-return", "via-director", "arp-census", "port-kept"];
    let results = checks::ALL.iter().filter(|c| of_frames.contains(&c.id)).map(|c| (c.id.to_owned(), (c.run)(&input)));
    let results: BTreeMap<String, CheckResult> = results.collect();
    let checks: Vec<CheckResult> = results.values().cloned().collect();
    let (findings, clues) = (rules::findings(&input, &checks), rules::clues(&input, &checks));
    Judged { inferred, results, findings, clues }
}

fn held(lab: &Lab, wanted: &[&str], known: &Known) -> Vec<String> {
    let (_, results) = judged(points(lab, wanted), known);
    results.into_values().filter(|r| r.verdict == Held).map(|r| r.id).collect()
}

fn verdicts(points: Points) -> BTreeMap<String, Verdict> {
    judged(points, &known()).1.into_iter().map(|(id, r)| (id, r.verdict)).collect()
}

fn role(inferred: &Inferred, mac: u8) -> Option<Role> {
    let mac = Mac([2, 0xd1, 0, 0, 0, mac]);
    inferred.parts.iter().find(|p| p.macs.contains(&mac)).map(|p| p.role)
}

pub(in crate::judge) const ALL: &[&str] =
    &["client:eth0", "router:eth0", "router:eth1", "director:eth0", "rs1:eth0", "rs2:eth0"];

#[test]
fn all_points_together_tell_every_part() {
    let (inferred, results) = judged(points(&Lab::ran(6), ALL), &known());
    let roles: Vec<_> = (1..=6).map(|mac| role(&inferred, mac)).collect();
    let rs = Some(Role::RealServer);
    let router = Some(Role::Router);
    assert_eq!(roles, [Some(Role::Client), router, router, Some(Role::Director), rs, rs], "{:?}", inferred.parts);
    assert!(results.values().all(|r| r.verdict == Held), "{results:?}");
}

#[test]
fn each_point_alone_decides_what_it_shows() {
    let mut lab = Lab::ran(6);
    for server in ["rs1", "rs2"] {
        let (mac, rip) = (lab.port(server, "lan").mac, lab.address(server, "lan"));
        let answer = arp(2, mac, rip, lab.port("director", "lan").mac, lab.address("director", "lan"));
        lab.unicast(server, "director", "lan", answer);
    }
    assert_eq!(held(&lab, &["director:eth0"], &known()), ["mac-rewrite", "port-kept"]);
    assert_eq!(held(&lab, &["router:eth0"], &known()), ["arp-census", "direct-return"]);
    assert_eq!(held(&lab, &["rs1:eth0"], &known()), [""; 0], "there may be other real servers");
    assert_eq!(held(&lab, &["client:eth0"], &known()), [""; 0]);
    let parts = [5, 6].map(|mac| (Role::RealServer, Who::Mac(Mac([2, 0xd1, 0, 0, 0, mac])))).to_vec();
    let servers = held(&lab, &["rs1:eth0", "rs2:eth0"], &Known { parts, ..known() });
    assert_eq!(servers, ["direct-return", "via-director"]);
}

#[test]
fn a_mac_of_whom_nothing_was_heard_is_not_taken_for_a_real_server() {
    let (inferred, results) = judged(points(&Lab::ran(6), &["director:eth0"]), &known());
    assert_eq!(role(&inferred, 5), None);
    assert!(inferred.open.iter().any(|o| o.contains("--rs 02:d1:00:00:00:05")), "{:?}", inferred.open);
    assert_eq!(results["mac-rewrite"].verdict, Undecided);
}

/// A real server that asks others in the VIP's name poisons only those who have no permanent entry.
#[test]
fn asking_in_the_vips_name_is_broken_only_where_somebody_had_to_ask_for_it() {
    let mut lab = Lab::textbook();
    for server in ["rs1", "rs2", "rs1"] {
        lab.exchange(&Exchange::with(server));
    }
    let rs1 = lab.port("rs1", "lan").mac;
    lab.broadcast("rs1", "lan", arp(1, rs1, IpAddr::V4(VIP), Mac([0; 6]), lab.address("router", "lan")));
    assert_eq!(verdicts(points(&lab, ALL))["arp-census"], Undecided);
    lab.ask_and_answer("router", "director");
    assert_eq!(verdicts(points(&lab, ALL))["arp-census"], Broken);
}

#[test]
fn a_router_and_the_real_servers_show_what_the_director_did() {
    let found = verdicts(points(&Lab::ran(6), &["router:eth0", "rs1:eth0", "rs2:eth0"]));
    assert!(found.values().all(|v| *v == Held), "{found:?}");
}

#[test]
fn replies_through_the_director_are_seen_at_the_director_alone() {
    let mut lab = Lab::ran(2);
    (0..4).for_each(|_| lab.exchange(&Exchange::with("rs1").back(Back::ThroughDirector)));
    assert_eq!(verdicts(points(&lab, &["director:eth0"]))["direct-return"], Broken);
}

#[test]
fn a_real_server_that_answers_arp_is_seen_at_the_router_alone() {
    let mut lab = Lab::ran(4);
    lab.ask("router", &["director", "rs1"]);
    assert_eq!(verdicts(points(&lab, &["router:eth0"]))["arp-census"], Broken);
    assert_eq!(verdicts(points(&lab, &["director:eth0"]))["arp-census"], Undecided);
}

#[test]
fn a_request_past_the_director_is_seen_at_the_real_server() {
    let mut lab = Lab::ran(4);
    lab.exchange(&Exchange::with("rs1").there(There::PastDirector));
    assert_eq!(verdicts(points(&lab, &["rs1:eth0"]))["via-director"], Broken);
}

#[test]
fn without_any_packet_of_the_vip_nothing_is_decided() {
    let (inferred, results) = judged(Vec::new(), &known());
    assert!(results.values().all(|r| r.verdict == Undecided && r.examined == 0));
    assert!(!inferred.open.is_empty());
}

#[test]
fn a_given_part_outranks_what_frames_tell_and_an_address_without_arp_is_told() {
    let parts = vec![
        (Role::Director, Who::Mac(Mac([2, 0xd1, 0, 0, 0, 4]))),
        (Role::RealServer, Who::Address("10.9.9.9".parse().unwrap())),
    ];
    let (inferred, _) = judged(points(&Lab::ran(2), &["director:eth0"]), &Known { parts, ..known() });
    assert!(inferred.parts.iter().any(|p| p.role == Role::Director && p.given));
    assert!(inferred.open.iter().any(|o| o.contains("10.9.9.9")), "{:?}", inferred.open);
}

/// What happens to captures.
#[derive(Debug, Clone)]
enum Mishap {
    Lost(prop::sample::Index),
    Twice(prop::sample::Index),
    Cut(prop::sample::Index, u8),
    Swapped(prop::sample::Index),
}

fn mishap() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        4 => any::<prop::sample::Index>().prop_map(Mishap::Lost),
        1 => any::<prop::sample::Index>().prop_map(Mishap::Twice),
        1 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(i, n)| Mishap::Cut(i, n)),
        1 => any::<prop::sample::Index>().prop_map(Mishap::Swapped),
    ]
}

fn suffer(points: &mut Points, at: usize, mishap: &Mishap) {
    let Some((_, frames)) = points.get_mut(at) else { return };
    if frames.len() < 2 {
        return;
    }
    match mishap {
        Mishap::Lost(i) => drop(frames.remove(i.index(frames.len()))),
        Mishap::Twice(i) => {
            let at = i.index(frames.len());
            frames.insert(at, frames[at].clone());
        }
        Mishap::Cut(i, n) => {
            let at = i.index(frames.len());
            frames[at].data.truncate(usize::from(*n));
        }
        Mishap::Swapped(i) => {
            let at = i.index(frames.len() - 1);
            frames.swap(at, at + 1);
            let (a, b) = (frames[at].at_ns, frames[at + 1].at_ns);
            (frames[at].at_ns, frames[at + 1].at_ns) = (b, a);
        }
    }
}

/// A lab in which every connection goes that way.
fn lab(there: There, back: Back) -> Lab {
    let mut lab = Lab::textbook();
    lab.ask_and_answer("router", "director");
    for server in ["rs2", "rs1", "rs2", "rs1"] {
        lab.exchange(&Exchange::with(server).there(there).back(back));
    }
    lab
}

fn suffered(lab: &Lab, mask: u8, mishaps: &[(u8, Mishap)]) -> Points {
    let mut points: Points =
        lab.captures().into_iter().enumerate().filter(|(at, _)| mask & (1 << at) != 0).map(|(_, p)| p).collect();
    let count = points.len().max(1);
    for (at, mishap) in mishaps {
        suffer(&mut points, usize::from(*at) % count, mishap);
    }
    points
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn mishaps_of_a_capture_never_break_what_is_right(
        mask in 0_u8..64,
        mishaps in prop::collection::vec((any::<u8>(), mishap()), 0..40),
    ) {
        let judged = all_of(suffered(&lab(There::Direct, Back::Straight), mask, &mishaps), &known());
        for (id, result) in judged.results {
            prop_assert!(result.verdict != Broken, "{id}: {}", result.summary);
        }
        prop_assert!(judged.findings.is_empty(), "{:?}", judged.findings);
    }

    #[test]
    fn mishaps_of_a_capture_never_heal_what_is_broken(
        mask in 0_u8..64,
        mishaps in prop::collection::vec((any::<u8>(), mishap()), 0..40),
        kind in 0_usize..4,
    ) {
        let (there, back, check) = [
            (There::Nat, Back::ThroughDirector, "mac-rewrite"),
            (There::Tunnel, Back::Straight, "mac-rewrite"),
            (There::Direct, Back::ThroughDirector, "direct-return"),
            (There::Nat, Back::FromRip, "direct-return"),
        ][kind];
        let found = verdicts(suffered(&lab(there, back), mask, &mishaps));
        prop_assert!(found[check] != Held);
    }
}
