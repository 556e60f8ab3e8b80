//! The progress line: one line on a terminal's stderr that is rewritten; nothing where stderr is no terminal.

use std::io::{IsTerminal, Write};

/// Where progress goes.
#[derive(Debug)]
pub struct Progress {
    shown: bool,
    terminal: bool,
    quiet: bool,
}

impl Progress {
    /// On stderr; `quiet` leaves it out.
    pub fn new(quiet: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { shown: false, terminal: std::io::stderr().is_terminal() && !dumb, quiet }
    }

    /// Replaces the line. What matters beyond the moment (a download) is also printed where there is no terminal.
    pub fn step(&mut self, text: &str) {
        if self.terminal && !self.quiet {
            self.write(&format!("\r\x1b[2K{text}"));
            self.shown = true;
        }
    }

    /// Prints a line that stays, terminal or not.
    pub fn note(&mut self, text: &str) {
        self.clear();
        if !self.quiet {
            self.write(&format!("{text}\n"));
        }
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if self.shown {
            self.write("\r\x1b[2K");
            self.shown = false;
        }
    }

    fn write(&mut self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        // A terminal that went away takes the progress line with it, not the run.
        if stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()).is_err() {
            self.quiet = true;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
