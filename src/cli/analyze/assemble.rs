//! A report out of captures from elsewhere. Computes everything that renderers show.

use std::collections::BTreeMap;

use crate::base::{NodeName, Verdict};
use crate::facts::run::{CaptureStats, Ran};
use crate::judge::infer::{Inferred, Known, Naming, infer};
use crate::judge::{self, CheckResult, Input};
use crate::report::{
    self, CaptureSummary, Expected, Facts, LoadSummary, Read, ReadFile, ReadPoint, Report, RunVerdict, TimingMs,
    Topology,
};
use crate::trace::Frame;
use crate::trace::gather::Gathered;

/// The checks that frames alone can decide.
const CHECKS: [&str; 5] = ["mac-rewrite", "direct-return", "via-director", "arp-census", "port-kept"];

/// What was read.
pub(super) struct Gathering {
    pub(super) gathered: Gathered,
    pub(super) files: Vec<ReadFile>,
    /// For each vantage its file, and what its name is worth.
    pub(super) points: Vec<(String, Naming)>,
    /// Whether there were more frames than could be held.
    pub(super) full: bool,
    /// How many frames were counted instead of held.
    pub(super) counted: u64,
}

/// Judges it.
pub(super) fn report(gathering: Gathering, known: &Known) -> Report {
    let Gathering { gathered: Gathered { trace, clocks }, files, points, full, counted } = gathering;
    let named: Vec<Naming> = points.iter().map(|(_, naming)| *naming).collect();
    let Inferred { case, parts, mut open } = infer(&trace, known, &named);
    let vantages: Vec<String> = trace.vantages.iter().map(ToString::to_string).collect();
    let frames = trace.frames.iter().map(Frame::times).sum();
    let capture = CaptureStats { frames, dropped: BTreeMap::new(), vantages: vantages.clone() };
    let ran =
        Ran { loads: Vec::new(), access_logs: BTreeMap::new(), probes: Vec::new(), stopped: None, ended: Vec::new() };
    let input = Input { case: &case, trace: &trace, before: &[], after: &[], ran: &ran, capture: &capture };
    let about: u64 = trace.journeys.iter().map(|j| j.hops.len() as u64).sum();
    if about == 0 {
        let vips: Vec<String> = known.vips.iter().map(vip).collect();
        open =
            vec![format!("no packet to or from {} is in what was read; is it the right address?", vips.join(" or "))];
    }
    let made = judge::checks::ALL.iter().filter(|check| CHECKS.contains(&check.id));
    let mut checks: Vec<CheckResult> = made.map(|check| (check.run)(&input)).collect();
    if full {
        checks.iter_mut().for_each(in_part);
    }
    let verdict = RunVerdict::of(&checks);
    let shows =
        |v: usize| -> Vec<NodeName> { case.elsewhere.iter().filter_map(|e| e.own.get(v)).flatten().cloned().collect() };
    let mut counts = vec![0_u64; vantages.len()];
    for frame in &trace.frames {
        if let Some(count) = counts.get_mut(frame.vantage) {
            *count += frame.times();
        }
    }
    let points = vantages.iter().enumerate().map(|(v, vantage)| ReadPoint {
        vantage: vantage.clone(),
        file: points.get(v).map(|(file, _)| file.clone()).unwrap_or_default(),
        frames: counts.get(v).copied().unwrap_or(0),
        shows: shows(v),
        clock_us: clocks.get(v).copied().flatten().map(|o| o.ns / 1000),
    });
    let read = Read {
        vips: known.vips.iter().map(vip).collect(),
        points: points.collect(),
        parts,
        handed_on: judge::handed_on(&input),
        open,
        clues: judge::rules::clues(&input, &checks),
        files,
        alike: counted,
    };
    let findings = judge::rules::findings(&input, &checks);
    Report {
        schema: report::SCHEMA.to_owned(),
        scenario: name(&read.files),
        title: format!("captures from elsewhere, VIP {}", read.vips.join(", ")),
        verdict,
        expected: Expected { met: verdict == RunVerdict::Held, broken: false, differences: Vec::new() },
        failure: Vec::new(),
        logs: Vec::new(),
        substrate: "capture".to_owned(),
        kernel: "-".to_owned(),
        seed: None,
        same_twice: false,
        jitter_us: 0,
        timing_ms: TimingMs::default(),
        load: LoadSummary::default(),
        capture: CaptureSummary { frames, dropped: 0, vantages },
        topology: Topology::default(),
        timeline: Vec::new(),
        commands: Vec::new(),
        by_programs: Vec::new(),
        stopped: None,
        journey: judge::ladder::ladder(&input),
        census: judge::census::census(&input),
        failover: None,
        drains: Vec::new(),
        ruled_out: Vec::new(),
        findings,
        checks,
        mended: None,
        read: Some(read),
        facts: Facts::default(),
    }
}

fn vip((address, port): &(std::net::IpAddr, Option<u16>)) -> String {
    port.map_or_else(|| address.to_string(), |port| std::net::SocketAddr::new(*address, port).to_string())
}

fn name(files: &[ReadFile]) -> String {
    match files {
        [one] => one.path.clone(),
        several => format!("{} captures", several.len()),
    }
}

/// What held on the frames that were held may break on the others.
fn in_part(check: &mut CheckResult) {
    if check.verdict == Verdict::Held {
        check.verdict = Verdict::Undecided;
        check.summary = format!("{}, in the part that was read; --frames N reads more", check.summary);
    }
}
