//! A step that failed: which one, what could not be done and why, in words a person reads after
//! `daemonctl: cannot start web: `.
//!
//! Each step has an exit code of its own for `daemonrun` used alone; under a supervisor the report travels through the
//! gate, and the exit code ([`REPORTED`], [`NOT_STARTED`]) only says that it did.

use std::fmt;
use std::io;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

/// Exit code of a launcher whose supervisor went away before it said go: nothing was begun.
pub const NOT_STARTED: u8 = 119;
/// Exit code of a launcher that has written a report to its gate.
pub const REPORTED: u8 = 120;

/// The steps of a launch, as they are called in messages, in `--explain` and in a [`Report`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepName {
    /// The command line.
    Options,
    /// The app's variables.
    Environment,
    /// Looking up user and group.
    Accounts,
    /// Reading environment files.
    EnvFiles,
    /// Session or process group.
    Session,
    /// Resource limits.
    Limits,
    /// Scheduling priority.
    Nice,
    /// Readiness to be killed when memory runs out.
    OomScore,
    /// Control groups.
    Cgroup,
    /// Namespaces and what is mounted in them.
    Sandbox,
    /// Capability sets.
    Capabilities,
    /// The promise that no exec gains privileges.
    NoNewPrivs,
    /// Landlock domain.
    Landlock,
    /// System call filter.
    Seccomp,
    /// Standard input, output and error.
    Streams,
    /// File mode mask.
    Umask,
    /// Groups, gid and uid.
    Identity,
    /// Working directory.
    Directory,
    /// Environment script.
    EnvScript,
    /// Descriptors beyond the standard ones.
    Descriptors,
    /// Signal dispositions and mask.
    Signals,
    /// The file with the command's pid.
    Pidfile,
    /// The parent of a command that is started alone.
    Parent,
    /// execve(2).
    Exec,
}

impl StepName {
    /// Every step.
    pub const ALL: [Self; 24] = [
        Self::Options,
        Self::Environment,
        Self::Accounts,
        Self::EnvFiles,
        Self::Session,
        Self::Cgroup,
        Self::Limits,
        Self::Nice,
        Self::OomScore,
        Self::Streams,
        Self::Sandbox,
        Self::Umask,
        Self::Identity,
        Self::Directory,
        Self::Capabilities,
        Self::NoNewPrivs,
        Self::Landlock,
        Self::EnvScript,
        Self::Descriptors,
        Self::Signals,
        Self::Seccomp,
        Self::Pidfile,
        Self::Parent,
        Self::Exec,
    ];

    /// The word for it, and the exit code of `daemonrun` when it fails.
    const fn entry(self) -> (&'static str, u8) {
        match self {
            Self::Options => ("options", 100),
            Self::Environment => ("environment", 114),
            Self::Accounts => ("accounts", 101),
            Self::EnvFiles => ("env-files", 102),
            Self::Session => ("session", 103),
            Self::Limits => ("limits", 104),
            Self::Nice => ("nice", 105),
            Self::OomScore => ("oom-score", 106),
            Self::Streams => ("streams", 107),
            Self::Umask => ("umask", 108),
            Self::Identity => ("identity", 109),
            Self::Directory => ("directory", 110),
            Self::EnvScript => ("env-script", 111),
            Self::Descriptors => ("descriptors", 112),
            Self::Signals => ("signals", 113),
            Self::Cgroup => ("cgroup", 115),
            Self::Sandbox => ("sandbox", 116),
            Self::Capabilities => ("capabilities", 117),
            Self::NoNewPrivs => ("no-new-privs", 118),
            Self::Landlock => ("landlock", 121),
            Self::Seccomp => ("seccomp", 122),
            Self::Pidfile => ("pidfile", 123),
            Self::Parent => ("parent", 125),
            Self::Exec => ("exec", 126),
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        self.entry().0
    }

    /// The exit code of `daemonrun`, used alone, when this step fails; see [`Report::exit_code`] for the exception.
    pub const fn exit_code(self) -> u8 {
        self.entry().1
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A step that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    step: StepName,
    what: String,
    why: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    errno: Option<i32>,
}

impl Report {
    /// `what` could not be done (`enter /data`), because of `why`.
    pub fn new(step: StepName, what: impl Into<String>, why: impl Into<Why>) -> Self {
        let Why { words, errno } = why.into();
        Self { step, what: what.into(), why: words, hint: None, errno: errno.map(|errno| errno as i32) }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Adds what to do about it, where nothing better is known.
    #[must_use]
    pub fn with_hint_if_none(self, hint: &str) -> Self {
        if self.hint.is_some() { self } else { self.with_hint(hint) }
    }

    /// Keeps the system's error beside an explanation that replaced its words.
    #[must_use]
    pub fn with_errno(self, errno: Errno) -> Self {
        Self { errno: Some(errno as i32), ..self }
    }

    /// The step that failed.
    pub fn step(&self) -> StepName {
        self.step
    }

    /// The whole sentence: `cannot enter /data: permission denied`.
    pub fn message(&self) -> String {
        format!("cannot {}: {}", self.what, self.why)
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        self.hint.clone()
    }

    /// Whether the same launch may succeed a little later: the cause is a shortage or a file in use, not a mistake.
    pub fn retry(&self) -> bool {
        const PASSING: [Errno; 6] =
            [Errno::ETXTBSY, Errno::EAGAIN, Errno::ENOMEM, Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS];
        self.errno.is_some_and(|errno| PASSING.contains(&Errno::from_raw(errno)))
    }

    /// The exit code of `daemonrun` used alone: the step's, or 127 when the program is not there, as shells have it.
    pub fn exit_code(&self) -> u8 {
        match (self.step, self.errno.map(Errno::from_raw)) {
            (StepName::Exec, Some(Errno::ENOENT | Errno::ENOTDIR)) => 127,
            (step, _) => step.exit_code(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for Report {}

/// What a launcher says through its gate, one line of JSON each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// Something is not as asked for, and the launch goes on.
    Warning(String),
    /// A step failed, and nothing was exec'ed. The last word.
    Failure(Report),
}

impl Word {
    /// The bytes that cross the gate.
    pub fn encode(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// Reads everything that crossed the gate: the warnings, and the failure if there was one.
    pub fn decode(bytes: &[u8]) -> io::Result<(Vec<String>, Option<Report>)> {
        let (mut warnings, mut failure) = (Vec::new(), None);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match serde_json::from_slice(line)? {
                Self::Warning(warning) => warnings.push(warning),
                Self::Failure(report) => failure = Some(report),
            }
        }
        Ok((warnings, failure))
    }
}

/// The reason of a failure: words, and the system's error where they came from one.
#[derive(Clone, Debug)]
pub struct Why {
    words: String,
    errno: Option<Errno>,
}

impl From<&str> for Why {
    fn from(words: &str) -> Self {
        words.to_owned().into()
    }
}

impl From<String> for Why {
    fn from(words: String) -> Self {
        Self { words, errno: None }
    }
}

impl From<Errno> for Why {
    fn from(errno: Errno) -> Self {
        Self { words: words(errno), errno: Some(errno) }
    }
}

impl From<io::Error> for Why {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(raw) => Errno::from_raw(raw).into(),
            None => error.to_string().into(),
        }
    }
}

/// A system error as it reads in the middle of a sentence.
pub fn words(errno: Errno) -> String {
    let text = errno.desc();
    let mut letters = text.chars();
    match letters.next() {
        // An abbreviation such as "I/O error" keeps its capitals.
        Some(first) if letters.as_str().starts_with(|second: char| second.is_ascii_lowercase()) => {
            first.to_ascii_lowercase().to_string() + letters.as_str()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_as_a_sentence_and_survives_the_gate() {
        let report = Report::new(StepName::Directory, "enter /data", Errno::EACCES).with_hint("let the user in");
        assert_eq!(report.message(), "cannot enter /data: permission denied");
        let said = [Word::Warning("no luck".to_owned()).encode(), Word::Failure(report.clone()).encode()].concat();
        assert_eq!(Word::decode(&said).unwrap(), (vec!["no luck".to_owned()], Some(report.clone())));
        assert!(Word::decode(&said[1..]).is_err());
        assert!(Word::decode(&said[..said.len() - 9]).is_err());
        assert_eq!(Word::decode(b"").unwrap(), (vec![], None));
        assert!(!report.retry());
        assert!(Report::new(StepName::Exec, "run x", Errno::ETXTBSY).retry());
    }

    #[test]
    fn every_step_has_a_code_and_a_word_of_its_own() {
        for (index, step) in StepName::ALL.into_iter().enumerate() {
            let others = &StepName::ALL[index + 1..];
            assert!(others.iter().all(|other| other.exit_code() != step.exit_code()), "{step}");
            assert!(others.iter().all(|other| other.as_str() != step.as_str()), "{step}");
            assert!(![NOT_STARTED, REPORTED, 124, 127].contains(&step.exit_code()), "{step}");
            assert_eq!(serde_json::to_string(&step).unwrap(), format!("{:?}", step.as_str()));
        }
    }
}
