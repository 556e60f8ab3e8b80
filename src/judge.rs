//! Verdicts and findings, out of what is known about a lab, its facts and its trace.
//!
//! Owns: the checks (each a file under `checks/`), the rules (each a file under `rules/`). Refuses: files, plans,
//! clocks. Errs towards Undecided: what was not seen is not Held.

pub mod case;
pub mod checks;
pub mod rules;

use serde::{Deserialize, Serialize};

use crate::base::{IfName, NodeName, Verdict};
use crate::facts::NodeFacts;
use crate::facts::run::{CaptureStats, Ran};
use crate::trace::Trace;
pub use case::Case;

/// Everything that a check or a rule may look at.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What the lab is.
    pub case: &'a Case,
    /// The frames.
    pub trace: &'a Trace,
    /// Facts before the timeline.
    pub before: &'a [NodeFacts],
    /// Facts after it.
    pub after: &'a [NodeFacts],
    /// Loads, access logs, probes.
    pub ran: &'a Ran,
    /// Frames dropped and vantages covered.
    pub capture: &'a CaptureStats,
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The check's id, as `mac-rewrite`.
    pub id: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// One sentence with the numbers.
    pub summary: String,
    /// How many things were examined.
    pub examined: u64,
    /// What shows it; for Held one example, for Broken the first few of each kind.
    pub evidence: Vec<Evidence>,
}

/// One thing that shows something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What it shows, in words.
    pub what: String,
    /// The frame, where it is one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub frame: Option<FrameRef>,
    /// The fact, where it is one, as a line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fact: Option<String>,
}

/// A frame in the capture file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameRef {
    /// `node:interface`.
    pub vantage: String,
    /// Its number in `capture.pcapng`, from 1, as Wireshark shows it.
    pub frame: u32,
}

/// A root cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's id, as `rs-arp-default`.
    pub id: String,
    /// Where it is.
    pub node: NodeName,
    /// On which interface, where it concerns one.
    pub interface: Option<IfName>,
    /// What is wrong.
    pub what: String,
    /// What it causes.
    pub causes: String,
    /// What shows it.
    pub evidence: Vec<Evidence>,
    /// Commands that mend it, each for the node named.
    pub mend: Vec<String>,
    /// The kernel document, source or RFC that says so.
    pub source: String,
}
