//! The exit codes: one list, and which one wins where several scenarios ran.

use crate::base::Verdict;
use crate::report::{Report, RunVerdict};

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
            Self::Interrupted => 130,
        }
    }

    /// What a finished run's report comes to.
    pub fn of(report: &Report) -> Self {
        if report.expected.met {
            return Self::AsExpected;
        }
        match report.verdict {
            RunVerdict::NotRun => Self::Lab,
            RunVerdict::Undecided if report.checks.iter().all(|c| c.verdict != Verdict::Broken) => Self::Undecided,
            _ => Self::Broken,
        }
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
            Self::Broken => 3,
            Self::Usage => 4,
            Self::Lab => 5,
            Self::Teardown => 6,
            Self::Interrupted => 7,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Exit, HELP};

    const ALL: [Exit; 8] = [
        Exit::AsExpected,
        Exit::Broken,
        Exit::Usage,
        Exit::Undecided,
        Exit::Lacking,
        Exit::Lab,
        Exit::Teardown,
        Exit::Interrupted,
    ];

    #[test]
    fn every_code_is_in_the_help() {
        for exit in ALL {
            assert!(HELP.lines().any(|l| l.trim().starts_with(&format!("{}  ", exit.code()))), "{exit:?}");
        }
    }

    #[test]
    fn a_broken_check_outranks_an_undecided_one_and_a_lack() {
        assert_eq!(Exit::Undecided.worse(Exit::Broken), Exit::Broken);
        assert_eq!(Exit::Broken.worse(Exit::Lacking), Exit::Broken);
        assert_eq!(Exit::AsExpected.worse(Exit::Lacking), Exit::Lacking);
    }
}
