//! Verdicts and findings, out of what is known about a lab, its facts and its trace.
//!
//! Owns: the checks (each a file under `checks/`), the rules (each a file under `rules/`) and the model of a kernel
//! that they go by (`model/`). Refuses: files, plans, clocks. Errs towards Undecided: what was not seen is not Held.

mod askers;
pub mod case;
pub mod census;
pub mod checks;
pub mod drain;
pub mod failover;
mod host;
pub mod infer;
pub mod ladder;
pub mod machines;
pub mod mend;
mod model;
pub mod rules;
mod schedule;
mod streams;
mod tally;
#[cfg(test)]
mod testlab;
mod traffic;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::{IfName, NodeName, Verdict};
use crate::facts::NodeFacts;
use crate::facts::run::{CaptureStats, Ran};
use crate::trace::{Frame, Trace};
pub use case::Case;
pub use census::{CensusEntry, census};
pub use drain::{Drain, drains};
pub use failover::{Failover, failover};
pub use ladder::{LadderRung, ladder};

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
    /// How many frames further are just like that one, and are not held.
    #[serde(skip)]
    pub alike: u64,
}

/// A frame in the capture file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameRef {
    /// `node:interface`.
    pub vantage: String,
    /// Its number in `capture.pcapng`, or in the file from elsewhere, from 1, as Wireshark shows it.
    pub frame: u32,
}

/// A root cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's id, as `rs-arp-default`.
    pub id: String,
    /// Where it is.
    pub node: NodeName,
    /// Further nodes that have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<NodeName>,
    /// On which interface, where it concerns one.
    pub interface: Option<IfName>,
    /// What is wrong.
    pub what: String,
    /// What it causes.
    pub causes: String,
    /// What else was seen and is explained by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<String>,
    /// What shows it.
    pub evidence: Vec<Evidence>,
    /// Commands that mend it: for each node those of its first dialect do, all of them; other dialects are other ways.
    pub mend: Vec<Mend>,
    /// The kernel document, source or RFC that says so.
    pub source: String,
    /// Where that can be read, as far as it has an address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// What it rests on.
    #[serde(default)]
    pub confidence: Confidence,
}

/// What a finding rests on.
///
/// A rule fires where facts say that a kernel will do something, or where a frame shows a thing that no fact tells. Whether
/// the other one says so too is what makes it certain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// On every node that is named, a fact says it and a frame shows it.
    Certain,
    /// On some node only facts say it (no packet met it, or the capture does not show it), or only frames do.
    #[default]
    Likely,
}

impl Confidence {
    /// In a few words.
    pub fn means(self) -> &'static str {
        match self {
            Self::Certain => "certain: facts and frames agree",
            Self::Likely => "likely: not each node named shows it by a fact and a frame",
        }
    }
}

/// How many new connections a Director was seen to hand on to each real server.
pub fn handed_on(input: &Input<'_>) -> BTreeMap<String, u64> {
    let mut shares = BTreeMap::new();
    for connection in &traffic::Traffic::new(input).connections().new {
        let Some(to) = connection.to else { continue };
        *shares.entry(to.node.to_string()).or_default() += connection.entered.frame.times();
    }
    shares
}

/// A command that mends something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mend {
    /// Where it is to be run.
    pub node: NodeName,
    /// In which words it is said.
    pub dialect: Dialect,
    /// The command, for a shell; advice in words where the dialect is [`Dialect::ByHand`].
    pub command: String,
}

/// The tool or file that a mend is said in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// `ip`.
    Ip,
    /// `sysctl -w`: until the next boot.
    Sysctl,
    /// A file below `/etc/sysctl.d`: for good.
    SysctlD,
    /// `arptables`.
    Arptables,
    /// `iptables`, `ip6tables`.
    Iptables,
    /// `nft`.
    Nft,
    /// `ipvsadm`.
    Ipvsadm,
    /// keepalived.conf.
    Keepalived,
    /// `ifconfig`, `route`.
    NetTools,
    /// `ethtool`.
    Ethtool,
    /// No command does it.
    ByHand,
}

impl Dialect {
    /// Every one.
    pub const ALL: [Self; 11] = [
        Self::Ip,
        Self::Sysctl,
        Self::SysctlD,
        Self::Arptables,
        Self::Iptables,
        Self::Nft,
        Self::Ipvsadm,
        Self::Keepalived,
        Self::NetTools,
        Self::Ethtool,
        Self::ByHand,
    ];
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip => "ip",
            Self::Sysctl => "sysctl",
            Self::SysctlD => "sysctl-d",
            Self::Arptables => "arptables",
            Self::Iptables => "iptables",
            Self::Nft => "nft",
            Self::Ipvsadm => "ipvsadm",
            Self::Keepalived => "keepalived",
            Self::NetTools => "net-tools",
            Self::Ethtool => "ethtool",
            Self::ByHand => "by-hand",
        })
    }
}

impl fmt::Display for Mend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on {}: {}", self.node, self.command)
    }
}

impl<'a> Input<'a> {
    /// What was known of the node before the timeline; what was known after it where that is all there is.
    pub fn facts(&self, node: &NodeName) -> Option<&'a NodeFacts> {
        let of = |all: &'a [NodeFacts]| all.iter().find(|f| f.node == *node);
        of(self.before).or_else(|| of(self.after))
    }

    /// What was known of the node after the timeline.
    pub fn facts_after(&self, node: &NodeName) -> Option<&'a NodeFacts> {
        self.after.iter().find(|f| f.node == *node)
    }

    /// How many of the node's frames the capture lost, or kept too little of.
    pub fn lost(&self, node: &NodeName) -> u64 {
        self.capture.dropped.get(node).copied().unwrap_or(0) + self.trace.spoilt(node)
    }
}

impl Evidence {
    /// A frame that shows something.
    pub fn frame(trace: &Trace, frame: &Frame, what: impl Into<String>) -> Self {
        Self { what: what.into(), frame: Some(FrameRef::to(trace, frame)), fact: None, alike: frame.alike }
    }

    /// A fact that shows something: which node it was read on and what it says.
    pub fn fact(what: impl Into<String>, fact: impl Into<String>) -> Self {
        Self { what: what.into(), frame: None, fact: Some(fact.into()), alike: 0 }
    }

    /// Something that a result other than a frame or a fact shows.
    pub fn told(what: impl Into<String>) -> Self {
        Self { what: what.into(), frame: None, fact: None, alike: 0 }
    }
}

impl FrameRef {
    /// Where the frame stands in the capture file.
    pub fn to(trace: &Trace, frame: &Frame) -> Self {
        let vantage = trace.vantages.get(frame.vantage).map(ToString::to_string).unwrap_or_default();
        Self { vantage, frame: frame.origin }
    }
}
