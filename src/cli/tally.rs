//! What became of several apps: how many of each outcome, and the exit code for all of them.

use std::process::ExitCode;

use daemonctl_actors::value::AppName;

use super::error;
use crate::control::protocol::{AppReply, Outcome};

/// A count of outcomes.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Those that were started, or stopped.
    pub(super) changed: usize,
    /// Those that were running, or stopped, already.
    pub(super) unchanged: usize,
    /// Those that were left out.
    pub(super) skipped: usize,
    failed: Vec<AppName>,
    code: u8,
}

impl Tally {
    /// Counts a success.
    pub(super) fn add(&mut self, reply: &AppReply) {
        match reply.outcome {
            Outcome::Running { .. } | Outcome::NotRunning => self.unchanged += 1,
            _ => self.changed += 1,
        }
    }

    /// Counts a failure; the code of the first one stands for all.
    pub(super) fn fail(&mut self, app: &AppName, code: u8) {
        if self.failed.is_empty() {
            self.code = code;
        }
        self.failed.push(app.clone());
    }

    /// The exit code of a command for apps that were named.
    pub(super) fn exit(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    /// The exit code of a command for all apps, of which some failed or none did.
    pub(super) fn exit_of_all(&self) -> ExitCode {
        ExitCode::from(if self.failed.is_empty() { 0 } else { error::FAILED })
    }

    /// `started 5, already running 2, skipped 1, failed 1 (web)`; what is nobody's share is left out.
    pub(super) fn summary(&self, changed: &str, unchanged: &str) -> String {
        let mut parts = vec![format!("{changed} {}", self.changed)];
        let counts = [(self.unchanged, unchanged), (self.skipped, "skipped")];
        parts.extend(counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{what} {count}")));
        if !self.failed.is_empty() {
            let names: Vec<_> = self.failed.iter().map(AppName::as_str).collect();
            parts.push(format!("failed {} ({})", names.len(), names.join(", ")));
        }
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_leaves_out_what_did_not_happen() {
        let mut tally = Tally { changed: 5, unchanged: 2, skipped: 1, ..Tally::default() };
        tally.fail(&"web".parse().unwrap(), 5);
        tally.fail(&"db".parse().unwrap(), 2);
        let summary = tally.summary("started", "already running");
        assert_eq!(summary, "started 5, already running 2, skipped 1, failed 2 (web, db)");
        assert_eq!((tally.exit(), tally.exit_of_all()), (ExitCode::from(5), ExitCode::from(1)));

        let nothing = Tally { unchanged: 7, ..Tally::default() };
        assert_eq!(nothing.summary("stopped", "not running"), "stopped 0, not running 7");
        assert_eq!((nothing.exit(), nothing.exit_of_all()), (ExitCode::SUCCESS, ExitCode::SUCCESS));
    }
}
