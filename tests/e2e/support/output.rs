//! What a command said and how it ended, with assertions that show all of it when they fail.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// A command that has ended.
pub(crate) struct Output {
    pub(crate) line: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Output {
    /// The exit code as a shell shows it.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or_default())
    }

    /// It ended with 0.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.exits(0)
    }

    /// It ended with this code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert!(self.code() == code, "expected exit code {code}:\n{self}");
        self
    }

    /// One of the two streams contains this text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text) || self.stderr.contains(text), "expected {text:?}:\n{self}");
        self
    }

    /// One of the two streams contains one of these texts, in any case.
    #[track_caller]
    pub(crate) fn says_one_of(self, texts: &[&str]) -> Self {
        let all = format!("{}{}", self.stdout, self.stderr).to_lowercase();
        assert!(texts.iter().any(|text| all.contains(&text.to_lowercase())), "expected one of {texts:?}:\n{self}");
        self
    }

    /// stderr contains this text: something was said about the work.
    #[track_caller]
    pub(crate) fn explains(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "expected {text:?} on stderr:\n{self}");
        self
    }

    /// Neither stream contains this text.
    #[track_caller]
    pub(crate) fn never_says(self, text: &str) -> Self {
        assert!(!self.stdout.contains(text) && !self.stderr.contains(text), "did not expect {text:?}:\n{self}");
        self
    }

    /// The words of each line of stdout.
    pub(crate) fn grid(&self) -> Vec<Vec<&str>> {
        self.stdout.lines().map(|line| line.split_whitespace().collect()).collect()
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, stdout, stderr, took, .. } = self;
        writeln!(f, "$ {line}")?;
        for (mark, text) in [("out", stdout), ("err", stderr)] {
            for line in text.lines() {
                writeln!(f, "{mark}| {line}")?;
            }
        }
        write!(f, "exit code {} after {took:?}", self.code())
    }
}
