//! From many observations to one check's result.
//!
//! Owns: the order of weight. Something seen to be wrong makes Broken, whatever was lost; something missing where
//! frames were lost is a doubt; a doubt makes Undecided; nothing examined makes Undecided; only then Held.

use super::{CheckResult, Evidence, Input};
use crate::base::{NodeName, Verdict};

/// Evidence kept per kind of break.
const KEPT: usize = 3;

/// What a check has seen so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    breaks: Vec<Break>,
    doubts: Vec<String>,
    shown: Vec<Evidence>,
}

/// One kind of thing that is wrong.
#[derive(Debug)]
struct Break {
    kind: String,
    count: u64,
    evidence: Vec<Evidence>,
}

impl Tally {
    /// Something is wrong. Breaks of one kind are counted together.
    pub(super) fn broken(&mut self, kind: impl Into<String>, evidence: Evidence) {
        let kind = kind.into();
        let at = self.breaks.iter().position(|b| b.kind == kind).unwrap_or_else(|| {
            self.breaks.push(Break { kind, count: 0, evidence: Vec::new() });
            self.breaks.len() - 1
        });
        let found = &mut self.breaks[at];
        found.count += 1 + evidence.alike;
        if found.evidence.len() < KEPT {
            found.evidence.push(evidence);
        }
    }

    /// Something is missing at a node: wrong, unless the capture lost frames there.
    pub(super) fn missing(&mut self, input: &Input<'_>, at: &NodeName, kind: impl Into<String>, evidence: Evidence) {
        match input.lost(at) {
            0 if input.case.elsewhere.is_some() => self.doubt(format!("{}, as far as was captured", kind.into())),
            0 => self.broken(kind, evidence),
            _ => self.lost_at(input, at),
        }
    }

    /// Frames that were lost at the node could change the verdict.
    pub(super) fn lost_at(&mut self, input: &Input<'_>, node: &NodeName) {
        let lost = input.lost(node);
        if lost > 0 {
            self.doubt(format!("the capture lost {lost} frames of {node}"));
        }
    }

    /// A station whose interfaces were not captured can't be judged by frames.
    pub(super) fn captured(&mut self, input: &Input<'_>, node: &NodeName) {
        if let Some(elsewhere) = &input.case.elsewhere {
            if !elsewhere.captured(node) {
                self.doubt(format!("{node} itself was not captured"));
            }
        } else if !input.trace.vantages.iter().any(|v| v.node == *node) {
            self.doubt(format!("{node} was not captured"));
        }
        self.lost_at(input, node);
    }

    /// The evidence does not suffice. The same reason is kept once.
    pub(super) fn doubt(&mut self, why: impl Into<String>) {
        let why = why.into();
        if !self.doubts.contains(&why) {
            self.doubts.push(why);
        }
    }

    /// An example of what holds.
    pub(super) fn shows(&mut self, evidence: Evidence) {
        if self.shown.len() < KEPT {
            self.shown.push(evidence);
        }
    }

    /// Whether nothing is shown yet.
    pub(super) fn shows_nothing(&self) -> bool {
        self.shown.is_empty()
    }

    /// Whether something is wrong so far.
    pub(super) fn is_broken(&self) -> bool {
        !self.breaks.is_empty()
    }

    /// The result. `unit` names what was examined, `nothing` says why nothing could be, `held` is the sentence for
    /// Held.
    pub(super) fn result(self, id: &str, examined: u64, unit: &str, nothing: &str, held: String) -> CheckResult {
        let (verdict, summary, evidence) = if !self.breaks.is_empty() {
            let kinds = self.breaks.iter().map(|b| match b.count {
                1 => b.kind.clone(),
                n => format!("{} ({n} times)", b.kind),
            });
            let kinds: Vec<String> = kinds.collect();
            let unit = if examined == 1 { unit.strip_suffix('s').unwrap_or(unit) } else { unit };
            let summary = format!("{} ({examined} {unit} examined)", kinds.join("; "));
            (Verdict::Broken, summary, self.breaks.into_iter().flat_map(|b| b.evidence).collect())
        } else if !self.doubts.is_empty() {
            (Verdict::Undecided, self.doubts.join("; "), self.shown)
        } else if examined == 0 {
            (Verdict::Undecided, nothing.to_owned(), self.shown)
        } else {
            (Verdict::Held, held, self.shown)
        };
        CheckResult { id: id.to_owned(), verdict, summary, examined, evidence }
    }
}

/// `1 frame`, `2 frames`: the number with its noun.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}
