//! What `drlab explain` teaches of a rule beyond what happens in the kernel: the picture, the cure, the trap in the cure;
//! and by what a rule's finding can be seen.

mod texts;

use super::Rule;

/// What can show a rule's finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Configuration alone, as a kernel or a plan states it.
    Configuration,
    /// Frames alone; with why no configuration tells.
    Frames(&'static str),
    /// Frames and configuration together; with why neither does alone.
    Both(&'static str),
}

/// What is taught of a rule.
#[derive(Debug, Clone, Copy)]
pub struct Lesson {
    /// The rule's id.
    pub rule: &'static str,
    /// A picture in text; empty where words do.
    pub picture: &'static str,
    /// What to do.
    pub cure: &'static str,
    /// How the cure goes wrong.
    pub trap: &'static str,
}

/// Rules that configuration alone does not show.
const SEEN: &[(&str, Seen)] = &[
    ("rs-garp-on-boot", Seen::Frames("no configuration says what a program sends")),
    ("rs-arp-notify", Seen::Both("no configuration says that a link will come up again")),
    ("ha-failover-no-sync", Seen::Both("no configuration says which connections are open")),
    ("ha-no-garp", Seen::Both("that nobody announced the VIP, only the frames show")),
    ("ha-garp-ignored", Seen::Both("that a VIP will move, no configuration says")),
    ("ha-check-on-rip", Seen::Both("which address a health check asks, and that it is answered, only frames show")),
    ("app-content-differs", Seen::Both("no configuration that is read says what a server's pages hold")),
    ("app-wrong-host", Seen::Both("no configuration that is read says which sites a server has")),
    ("ipvs-conn-reuse-1s", Seen::Both("no configuration says how soon a client uses a port again")),
    ("ipvs-idle-timeout", Seen::Both("no configuration says how long connections are idle")),
    ("ipvs-nodest-drop", Seen::Both("no configuration says which connections are open when a real server goes")),
    ("ipvs-persistence-pins", Seen::Both("no configuration says from how many addresses clients come")),
    ("ipvs-persistence-quiesced", Seen::Both("no configuration says which clients are remembered")),
    ("ipvs-udp-sticky", Seen::Both("no configuration says from which ports datagrams come")),
    ("ipvs-weights-ignored", Seen::Both("that the shares are not as wanted, only counting shows")),
    ("dir-dad-conflict", Seen::Both("who answers a probe for the VIP, only frames show")),
    ("unexplained-drop", Seen::Both("it is what no configuration explains")),
    ("unexplained-refusal", Seen::Both("it is what no configuration explains")),
    ("virt-tx-csum", Seen::Both("no configuration says that a program forwards frames by itself")),
    ("app-udp-source", Seen::Both("no configuration says from which address a program answers")),
];

impl Seen {
    /// In a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Frames(_) => "frames",
            Self::Both(_) => "both",
        }
    }

    /// Why configuration alone does not show it; nothing where it does.
    pub const fn why(self) -> Option<&'static str> {
        match self {
            Self::Configuration => None,
            Self::Frames(why) | Self::Both(why) => Some(why),
        }
    }
}

/// Whether a finding is a consequence of a root cause among those wanted that configuration alone does not show.
pub fn is_explained_by(finding: &str, wanted: &[String]) -> bool {
    let hidden = wanted.iter().filter_map(|id| super::find(id)).filter(|rule| rule.seen().why().is_some());
    hidden.into_iter().any(|rule| rule.outranks.contains(&finding))
}

impl Rule {
    /// By what its finding can be seen.
    pub fn seen(&self) -> Seen {
        SEEN.iter().find(|(id, _)| *id == self.id).map_or(Seen::Configuration, |(_, seen)| *seen)
    }

    /// What it teaches of the kernel, and, where there is no lesson, the trap that its own text ends with.
    pub fn taught(&self) -> (&'static str, Option<&'static str>) {
        let parted = self.teaches.split_once("The trap: ").or_else(|| self.teaches.split_once("Trap: "));
        match (self.lesson(), parted) {
            (None, Some((kernel, trap))) => (kernel.trim_end(), Some(trap)),
            (lesson, _) => (self.teaches, lesson.map(|l| l.trap)),
        }
    }

    /// What is taught of it.
    pub fn lesson(&self) -> Option<&'static Lesson> {
        texts::ALL.iter().find(|lesson| lesson.rule == self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::texts;
    use crate::judge::rules;

    #[test]
    fn every_cause_tells_the_trap_in_its_cure_and_every_lesson_has_a_rule() {
        let rules: Vec<&str> = rules::ALL.iter().map(|rule| rule.id).collect();
        let causes = rules::ALL.iter().filter(|rule| !rule.id.starts_with("unexplained-"));
        let missing: Vec<_> = causes.filter(|rule| rule.taught().1.is_none()).map(|rule| rule.id).collect();
        assert!(missing.is_empty(), "lessons/texts.rs lacks the cure and the trap of {missing:?}");
        let strange: Vec<_> = texts::ALL.iter().map(|l| l.rule).filter(|id| !rules.contains(id)).collect();
        assert!(strange.is_empty(), "lessons/texts.rs has {strange:?}, which are no rules");
    }

    #[test]
    fn a_picture_fits_beside_its_indent() {
        for lesson in texts::ALL {
            assert!(lesson.picture.lines().all(|line| line.chars().count() <= 84), "{}", lesson.rule);
            assert!(!lesson.cure.is_empty() && !lesson.trap.is_empty(), "{}", lesson.rule);
        }
    }
}
