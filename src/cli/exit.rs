//! The exit codes: one list, and which one wins where several scenarios ran.

use crate::base::Verdict;
use crate::report::{Mended, Report, RunVerdict};

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything as expected.
    AsExpected,
    /// A check broke, or one that must break did not.
    Broken,
    /// Bad usage, a scenario with mistakes, or an output folder that can't be written.
    Usage,
    /// A check is undecided.
    Undecided,
    /// This machine lacks something; nothing was shown.
    Lacking,
    /// The lab could not be built or run, or a result could not be written.
    Lab,
    /// Something of the lab is left.
    Teardown,
    /// A mend that was to be applied is left to a hand.
    ByHand,
    /// The user stopped it.
    Interrupted,
}

/// The table of exit codes, as `--help` shows it.
pub const HELP: &str = "\
Exit codes:
    0  all as expected
    1  a check broke (or one that must break did not)
    2  bad usage, a scenario with mistakes, a file that is no capture, or an output folder that can't be written
    3  a check is undecided
    4  this machine lacks something; see `drlab doctor`
    5  the lab could not be built or run, or a result could not be written
    6  the lab could not be taken down completely
    7  a mend that --apply-mend was to apply is left to a hand
  130  interrupted";

impl Exit {
    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::AsExpected => 0,
            Self::Broken => 1,
            Self::Usage => 2,
            Self::Undecided => 3,
            Self::Lacking => 4,
            Self::Lab => 5,
            Self::Teardown => 6,
            Self::ByHand => 7,
            Self::Interrupted => 130,
        }
    }

    /// What a finished run's report comes to.
    pub fn of(report: &Report) -> Self {
        if report.is_right() {
            return Self::AsExpected;
        }
        if let Some(mended) = &report.mended
            && (report.expected.met || !report.expected.broken)
        {
            return Self::of_mended(mended);
        }
        match report.verdict {
            RunVerdict::NotRun => Self::Lab,
            RunVerdict::Undecided if report.checks.iter().all(|c| c.verdict != Verdict::Broken) => Self::Undecided,
            _ => Self::Broken,
        }
    }

    /// What a lab that was mended and is not green comes to.
    fn of_mended(mended: &Mended) -> Self {
        if !mended.failure.is_empty() {
            return Self::Lab;
        }
        if mended.by_hand().next().is_some() {
            return Self::ByHand;
        }
        let broken = mended.checks.iter().any(|c| c.verdict == Verdict::Broken);
        if broken || mended.failed().next().is_some() { Self::Broken } else { Self::Undecided }
    }

    /// The one that tells more about what went wrong.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        if self.rank() >= other.rank() { self } else { other }
    }

    const fn rank(self) -> u8 {
        match self {
            Self::AsExpected => 0,
            Self::Undecided => 1,
            Self::Lacking => 2,
            Self::ByHand => 3,
            Self::Broken => 4,
            Self::Usage => 5,
            Self::Lab => 6,
            Self::Teardown => 7,
            Self::Interrupted => 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Exit, HELP};
    use crate::report::sample;

    const ALL: [Exit; 9] = [
        Exit::AsExpected,
        Exit::Broken,
        Exit::Usage,
        Exit::Undecided,
        Exit::Lacking,
        Exit::Lab,
        Exit::Teardown,
        Exit::ByHand,
        Exit::Interrupted,
    ];

    #[test]
    fn every_code_is_in_the_help() {
        for exit in ALL {
            assert!(HELP.lines().any(|l| l.trim().starts_with(&format!("{}  ", exit.code()))), "{exit:?}");
        }
    }

    #[test]
    fn what_is_left_to_a_hand_counts_only_where_it_leaves_the_lab_broken() {
        let mut report = sample::not_mended();
        assert_eq!(Exit::of(&report), Exit::ByHand);
        report.mended.as_mut().unwrap().commands.pop();
        assert_eq!(Exit::of(&report), Exit::Broken);
        let mut report = sample::mended();
        report.mended.as_mut().unwrap().commands[2].status = None;
        assert_eq!(Exit::of(&report), Exit::AsExpected);
    }

    #[test]
    fn a_lab_that_breaks_otherwise_than_it_must_is_no_success_however_well_it_is_mended() {
        let mut report = sample::mended();
        report.expected.met = false;
        assert_eq!(Exit::of(&report), Exit::Broken);
    }

    #[test]
    fn a_broken_check_outranks_an_undecided_one_and_a_lack() {
        assert_eq!(Exit::Undecided.worse(Exit::Broken), Exit::Broken);
        assert_eq!(Exit::Broken.worse(Exit::Lacking), Exit::Broken);
        assert_eq!(Exit::AsExpected.worse(Exit::Lacking), Exit::Lacking);
    }
}
