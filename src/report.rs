//! One run's report: a single value from which text, JSON and JUnit are rendered.
//!
//! Owns: the report's content and its renderers. Refuses: computing anything in a renderer; whoever makes a [`Report`]
//! puts into it all that is shown. Every text in it may come from a lab or a capture, so renderers write control
//! characters out.
//!
//! The renderers: [`text`] for one run at a terminal and in `report.txt`, [`summary`] for several, [`json`] for programs,
//! [`junit`] for CI. A new one is a file beside them with a `render` function over `&Report` or `&[Report]`.

pub mod audit;
mod drain;
mod failover;
pub mod forecast;
pub mod json;
pub mod junit;
mod ladder;
pub mod matrix;
mod mended;
pub(crate) mod page;
mod picture;
mod programs;
mod proof;
mod read;
#[cfg(test)]
pub(crate) mod sample;
pub mod style;
pub mod summary;
pub(crate) mod table;
pub mod text;
mod traffic;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{DirectorKind, Mac, NodeName, Role, Verdict};
use crate::facts::NodeFacts;
use crate::facts::run::{Acted, CommandResult, Stopped};
pub use crate::judge::infer::Part;
use crate::judge::rules::Clue;
pub use crate::judge::{CensusEntry, Drain, Failover, LadderRung};
use crate::judge::{CheckResult, Dialect, Finding};
pub(crate) use page::wrap;
pub use style::Style;

/// The version of `report.json`.
pub const SCHEMA: &str = "drlab-report/1";

/// All that a run came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// The scenario's name, as `basic/lvs-dr`.
    pub scenario: String,
    /// Its title.
    pub title: String,
    /// What the checks came to together.
    pub verdict: RunVerdict,
    /// Whether that is what the scenario expects.
    pub expected: Expected,
    /// Why it was not run, or why the lab failed: a chain, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub failure: Vec<String>,
    /// Where the lab failed: what its programs and commands had written, by the files' places in the output folder.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub logs: Vec<String>,
    /// `host`, `uml` or `qemu`.
    pub substrate: String,
    /// The kernel that held the lab, as `uname -r` gives it.
    pub kernel: String,
    /// What all that is random was drawn from, where the run was a seeded one: then it is the same each time, and so are its
    /// times, which are the lab's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seed: Option<u64>,
    /// A second run by the same seed was made, and had the same frames, times and report. Not in the JSON, which is the same
    /// by a seed however often it is run.
    #[serde(skip)]
    pub same_twice: bool,
    /// By up to how much frames were held back at the switch, in microseconds.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub jitter_us: u32,
    /// How long each part took, in milliseconds.
    pub timing_ms: TimingMs,
    /// All loads together.
    pub load: LoadSummary,
    /// What was read, where captures from elsewhere were judged; then there is no load, no topology, no kernel.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub read: Option<Read>,
    /// The capture.
    pub capture: CaptureSummary,
    /// The topology, for pictures.
    pub topology: Topology,
    /// What the timeline did.
    pub timeline: Vec<Acted>,
    /// The commands and scripts of the scenario that were run in nodes once they were built.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub commands: Vec<CommandResult>,
    /// What commands, scripts and daemons had set by the first facts, node by node.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub by_programs: Vec<ByPrograms>,
    /// The wait at which it ended, where one was in vain.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stopped: Option<Stopped>,
    /// One request, hop by hop, and its answer.
    pub journey: Vec<LadderRung>,
    /// Who answered for each VIP.
    pub census: Vec<CensusEntry>,
    /// Who had the VIP when, and what its moves cost, where several Directors can have it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failover: Option<Failover>,
    /// What became of connections that were open to a real server when it was taken out of service.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub drains: Vec<Drain>,
    /// The checks.
    pub checks: Vec<CheckResult>,
    /// The root causes.
    pub findings: Vec<Finding>,
    /// Where a check is broken and no root cause is named: what is known not to be the cause, and what is open.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ruled_out: Vec<String>,
    /// What the findings' mends came to, where they were applied.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mended: Option<Mended>,
    /// What the kernel said of each node.
    pub facts: Facts,
}

/// What programs of the scenario's choice changed of a node's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByPrograms {
    /// The node.
    pub node: NodeName,
    /// Statements that the plan does not have and the kernel does.
    pub added: Vec<String>,
    /// Statements that the plan has and the kernel does not.
    pub gone: Vec<String>,
}

/// What became of a lab whose findings were mended: the commands, and the same load driven and judged once more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mended {
    /// The commands in the order in which they were run, and what is left to a hand.
    pub commands: Vec<MendedCommand>,
    /// What the checks came to afterwards; not run where there was no command to run.
    pub verdict: RunVerdict,
    /// Why the load could not be driven again: a chain, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub failure: Vec<String>,
    /// The load afterwards.
    pub load: LoadSummary,
    /// The checks afterwards.
    pub checks: Vec<CheckResult>,
    /// Checks that were not made again, each with the reason.
    pub left_out: Vec<String>,
    /// The root causes that are left.
    pub findings: Vec<Finding>,
    /// How long it took, in milliseconds.
    pub ms: f64,
}

/// A command of a mend, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MendedCommand {
    /// The finding that it mends.
    pub finding: String,
    /// Where it was run.
    pub node: NodeName,
    /// In which words it is said.
    pub dialect: Dialect,
    /// The command.
    pub command: String,
    /// Its exit status; none where it was not run, as only a hand can do it.
    pub status: Option<i32>,
    /// What it wrote, errors last; cut where it is long.
    pub output: String,
}

impl Mended {
    /// Whether every command did its work, every check holds now and nothing is found.
    pub fn is_green(&self) -> bool {
        self.verdict == RunVerdict::Held && self.findings.is_empty() && self.failed().next().is_none()
    }

    /// The commands that failed.
    pub fn failed(&self) -> impl Iterator<Item = &MendedCommand> {
        self.commands.iter().filter(|c| c.status.is_some_and(|status| status != 0))
    }

    /// What is left to a hand.
    pub fn by_hand(&self) -> impl Iterator<Item = &MendedCommand> {
        self.commands.iter().filter(|c| c.status.is_none())
    }
}

impl Report {
    /// Whether all is as it should be: as the scenario expects, and where it was mended, right afterwards. What a
    /// scenario does not say must break may break, where it is mended.
    pub fn is_right(&self) -> bool {
        match &self.mended {
            None => self.expected.met,
            Some(mended) => mended.is_green() && (self.expected.met || !self.expected.broken),
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunVerdict {
    /// Every check held.
    Held,
    /// At least one broke, or the timeline waited in vain.
    Broken,
    /// None broke, at least one is undecided.
    Undecided,
    /// The machine lacks something, or the lab could not be built.
    NotRun,
}

/// Whether a run is as its scenario expects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Whether it is.
    pub met: bool,
    /// Whether the scenario is one that must break.
    pub broken: bool,
    /// Each difference, in words.
    pub differences: Vec<String>,
}

/// How long each part of a run took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct TimingMs {
    /// From the start of the kernel to inside's first word.
    pub boot: f64,
    /// Building the lab.
    pub build: f64,
    /// The timeline, loads and probes.
    pub load: f64,
    /// Reading the capture, checks, rules.
    pub judge: f64,
    /// Taking the lab down.
    pub teardown: f64,
    /// All of it, as the user waits.
    pub total: f64,
}

/// All loads together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadSummary {
    /// Requests made.
    pub requests: u64,
    /// Answered with the whole right body.
    pub ok: u64,
    /// All others.
    pub failed: u64,
    /// Answers by the server that gave them.
    pub per_server: BTreeMap<String, u64>,
    /// Failures by kind.
    pub errors: BTreeMap<String, u64>,
    /// Latencies of the answered ones.
    pub latency: Latency,
}

/// Latency percentiles, in microseconds; zero where nothing was answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Smallest.
    pub min_us: u64,
    /// Median.
    pub p50_us: u64,
    /// 90th percentile.
    pub p90_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// Largest.
    pub max_us: u64,
}

/// What the capture came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureSummary {
    /// Frames captured.
    pub frames: u64,
    /// Frames that the kernel had to drop.
    pub dropped: u64,
    /// `node:interface` of each vantage.
    pub vantages: Vec<String>,
}

/// Captures from elsewhere: what was read and what was made of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// The VIPs, as they were given.
    pub vips: Vec<String>,
    /// The files.
    pub files: Vec<ReadFile>,
    /// The points where they were captured.
    pub points: Vec<ReadPoint>,
    /// Who plays which part, and why that is thought.
    pub parts: Vec<Part>,
    /// New connections that the Director was seen to hand on, by real server.
    pub handed_on: BTreeMap<String, u64>,
    /// What is not known, and what would tell it.
    pub open: Vec<String>,
    /// What frames hint at without telling one cause from another.
    pub clues: Vec<Clue>,
    /// How many frames are of conversations that went just like one that was judged, and are counted with its frames.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub alike: u64,
}

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadFile {
    /// As it was given.
    pub path: String,
    /// `pcapng`, `pcap (µs)` or `pcap (ns)`.
    pub format: String,
    /// The link types in it.
    pub links: Vec<String>,
    /// Packets in it.
    pub packets: u64,
    /// Those that have to do with a VIP.
    pub kept: u64,
    /// Where reading ended before the file did, and why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<String>,
}

/// A point where frames were captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadPoint {
    /// `name:interface`, as evidence has it.
    pub vantage: String,
    /// The file, as it was given.
    pub file: String,
    /// Frames that have to do with a VIP.
    pub frames: u64,
    /// The stations whose own frames it shows.
    pub shows: Vec<NodeName>,
    /// What its clock was ahead of the first point's, in microseconds; nothing where no packet tells.
    pub clock_us: Option<i64>,
}

/// The lab's shape.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// The VIPs.
    pub vips: Vec<String>,
    /// The segments with their subnets and who is on them.
    pub segments: Vec<TopologySegment>,
    /// The services, as `TCP 172.16.0.66:80 rr`.
    pub services: Vec<String>,
}

/// A segment in the picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopologySegment {
    /// Its name.
    pub name: String,
    /// Its subnets.
    pub subnets: Vec<String>,
    /// Who is on it.
    pub members: Vec<TopologyMember>,
}

/// A node's interface on a segment, in the picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopologyMember {
    /// The node.
    pub node: NodeName,
    /// Its part.
    pub role: Role,
    /// What makes a Director of it, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<DirectorKind>,
    /// The interface.
    pub interface: String,
    /// Its MAC.
    pub mac: Mac,
    /// Its addresses there, the VIP left out.
    pub addresses: Vec<String>,
    /// Where the node has the VIP, as `lo:0` or `eth0`.
    pub vip_on: Vec<String>,
}

/// Facts before and after.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Before the timeline.
    pub before: Vec<NodeFacts>,
    /// After it.
    pub after: Vec<NodeFacts>,
}

impl RunVerdict {
    /// What the checks came to together.
    pub fn of(checks: &[CheckResult]) -> Self {
        if checks.iter().any(|c| c.verdict == Verdict::Broken) {
            Self::Broken
        } else if checks.is_empty() || checks.iter().any(|c| c.verdict == Verdict::Undecided) {
            Self::Undecided
        } else {
            Self::Held
        }
    }
}
