//! Why a figure could not be had.

use std::io;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// Words that mean nothing.
    #[error("{0}; --help tells what can be said")]
    Usage(String),
    /// Ratios that have become worse.
    #[error("worse by over a quarter than ci/budget.txt allows:\n{0}")]
    Budget(String),
    /// Parts that could not be measured.
    #[error("not measured: {0}; the page tells why")]
    Failed(String),
    /// A file, pipe or process.
    #[error("could not {what}")]
    Io {
        /// What was attempted, on what.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// A sample that gave no figures.
    #[error("{what} failed with {status}:\n{said}")]
    Sample {
        /// Which.
        what: String,
        /// How it ended.
        status: String,
        /// What it said.
        said: String,
    },
    /// An answer that can't be understood.
    #[error("could not read what {what} answered")]
    Answer {
        /// Whose answer.
        what: String,
        /// Why not.
        source: serde_json::Error,
    },
    /// A lab that could not be built or taken down.
    #[error("could not {what}: {why}")]
    Lab {
        /// What was attempted.
        what: &'static str,
        /// Its chain of causes.
        why: String,
    },
}

impl BenchError {
    /// Adds to an I/O error what was attempted.
    pub(crate) fn io(what: String) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { what, source }
    }

    /// The same for an errno.
    pub(crate) fn errno(what: &str) -> impl FnOnce(nix::errno::Errno) -> Self {
        let what = what.to_owned();
        |errno| Self::Io { what, source: errno.into() }
    }

    /// A failure inside drlab, with all its causes.
    pub(crate) fn lab(what: &'static str, error: &dyn std::error::Error) -> Self {
        Self::Lab { what, why: drlab::base::error_chain(error).join(": ") }
    }
}
