//! What is told of an app: the plain data behind `status` and `list`, and their stable JSON form.

use daemonctl_actors::value::{AppName, ExitStatus};
use serde::{Deserialize, Serialize};

use crate::app::Fingerprint;

/// States of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not running, and not meant to.
    Stopped,
    /// On its way to be exec'ed.
    Starting,
    /// Its main process runs.
    Running,
    /// Asked to end, or ended and being cleaned up after.
    Stopping,
    /// Ended, and waiting to be started again.
    Backoff,
    /// Ended by itself, not to be restarted.
    Exited,
    /// Could not start, or was given up.
    Failed,
}

impl State {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Backoff => "backoff",
            Self::Exited => "exited",
            Self::Failed => "failed",
        }
    }
}

/// Health of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It is not monitored.
    Disabled,
    /// Not healthy yet.
    Starting,
    /// Its checks succeed.
    Healthy,
    /// Its checks fail.
    Unhealthy,
}

impl Health {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What is known of one app. Times are seconds since the epoch, durations seconds, both with fractions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppStatus {
    /// Its name.
    pub name: AppName,
    /// What it is, for people: `daemon.description`.
    #[serde(default)]
    pub description: Option<String>,
    /// Its directory, absolute.
    pub path: String,
    /// Its state.
    pub state: State,
    /// Since when.
    #[serde(default)]
    pub state_since: Option<f64>,
    /// Its health.
    pub health: Health,
    /// Whether it is ready.
    pub ready: bool,
    /// Pid of the main process, while there is one.
    pub pid: Option<i32>,
    /// When the main process was exec'ed.
    pub started_at: Option<f64>,
    /// How long ago that was, while it runs.
    pub uptime: Option<f64>,
    /// Restarts by the supervisor since the app was last started by command.
    pub restarts: u32,
    /// Restarts in a row that count against `process.restart_max_attempts`.
    pub attempts: u32,
    /// `process.restart_max_attempts`; nothing where there may be any number.
    #[serde(default)]
    pub attempts_max: Option<u32>,
    /// Whether it was given up because its attempts were used up.
    #[serde(default)]
    pub gave_up: bool,
    /// Time until the next start, in `backoff`.
    pub retry_in: Option<f64>,
    /// Time until what is left of it is sent SIGKILL, in `stopping`.
    #[serde(default)]
    pub kill_in: Option<f64>,
    /// How the last main process ended.
    pub last_exit: Option<LastExit>,
    /// What can only be said by those who look after it: why it could not be started, that its output is being dropped.
    /// A report says more in its place: why it is as it is, and what comes next.
    pub note: Option<String>,
    /// First line of `.version` at its start.
    pub version: Option<String>,
    /// What it was started from: the directory with its run script, links resolved.
    pub run_dir: Option<String>,
    /// File with its standard output.
    pub stdout: Option<String>,
    /// File with its standard error.
    pub stderr: Option<String>,
    /// File with its events.
    pub events: Option<String>,
    /// Pid of the supervisor that looks after it.
    pub supervisor: Option<i32>,
    /// `background` or `run`, the supervisor's kind.
    pub mode: Option<String>,
    /// Its limits of memory, processor time and processes, and what holds them.
    #[serde(default)]
    pub limits: Vec<LimitStatus>,
    /// Its health check, if it has one.
    #[serde(default)]
    pub check: Option<CheckStatus>,
    /// What it was asked to be confined by at its last start; nothing where it was not.
    #[serde(default)]
    pub sandbox: Option<SandboxStatus>,
    /// What it was configured from at its last start, for whoever asks whether that has changed. Not part of a report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configured_from: Vec<Fingerprint>,
    /// The files among them that have changed since, for an app that is not at rest. Found by whoever asks.
    #[serde(default)]
    pub changed: Vec<String>,
    /// Where the `run` link leads now, if not to where the app was started from. Found by whoever asks.
    #[serde(default)]
    pub run_moved_to: Option<String>,
    /// What keeps it from being started as its configuration is now. Found by whoever asks, for an app at rest, and for one
    /// whose configuration has changed since its start.
    #[serde(default)]
    pub mistakes: Vec<String>,
}

/// The health check of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// `monitoring.enabled`: whether it runs all the time, and failures have consequences.
    pub monitored: bool,
    /// Seconds from one check to the next.
    pub interval: f64,
    /// Failures in a row.
    pub failures: u32,
    /// How many of them make it unhealthy.
    pub failure_threshold: u32,
    /// Successes in a row.
    pub successes: u32,
    /// How many of them make it healthy.
    pub success_threshold: u32,
    /// What the last check said.
    pub last: Option<LastCheck>,
    /// Time until the next one; 0 while one runs.
    pub next_in: Option<f64>,
}

impl CheckStatus {
    /// What the last check said, if it failed.
    pub fn failure(&self) -> Option<&LastCheck> {
        self.last.as_ref().filter(|last| !last.success)
    }
}

/// What a health check said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastCheck {
    /// Whether it succeeded.
    pub success: bool,
    /// The end of its output; after a failure, how it ended.
    pub output: String,
    /// How long it took.
    pub took: f64,
    /// When it ended.
    pub at: Option<f64>,
}

/// What an app was asked to be confined by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SandboxStatus {
    /// `none`, `unshare` or `firejail`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Walls and powers, in words: `no network`, `user www-data`.
    pub asked: Vec<String>,
    /// What it runs without, or with less than was asked for, in the words of the warning at its start.
    pub without: Vec<String>,
}

/// A limit of an app, and what holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitStatus {
    /// `memory`, `cpu` or `processes`.
    pub limit: String,
    /// Its value, as people write it.
    pub asked: String,
    /// `cgroup v1`, `cgroup v2`, `rlimit (stand-in)` or `not enforced (--force)`.
    pub held_by: String,
    /// The directory of the control group that holds it.
    pub group: Option<String>,
}

impl AppStatus {
    /// An app of which nothing is known but its name and place: it was never started.
    pub fn unknown(name: AppName, path: String) -> Self {
        Self {
            name,
            description: None,
            path,
            state: State::Stopped,
            state_since: None,
            health: Health::Disabled,
            ready: false,
            pid: None,
            started_at: None,
            uptime: None,
            restarts: 0,
            attempts: 0,
            attempts_max: None,
            gave_up: false,
            retry_in: None,
            kill_in: None,
            last_exit: None,
            note: None,
            version: None,
            run_dir: None,
            stdout: None,
            stderr: None,
            events: None,
            supervisor: None,
            mode: None,
            limits: Vec::new(),
            check: None,
            sandbox: None,
            configured_from: Vec::new(),
            changed: Vec::new(),
            run_moved_to: None,
            mistakes: Vec::new(),
        }
    }

    /// Whether it is in a supervisor's care, not at rest.
    pub fn is_active(&self) -> bool {
        match self.state {
            State::Starting | State::Running | State::Stopping | State::Backoff => true,
            State::Stopped | State::Exited | State::Failed => false,
        }
    }
}

/// How a main process ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastExit {
    /// Exit code, if it exited.
    pub code: Option<u8>,
    /// Signal, if one ended it: `SIGKILL`.
    pub signal: Option<String>,
    /// Whether the kernel wrote a core dump.
    pub core: bool,
    /// Why it ended: stopped, exited, oom-killed, unhealthy, timeout or failed.
    pub reason: String,
    /// When.
    pub at: f64,
    /// How long it had run.
    pub after: f64,
}

impl LastExit {
    /// The wait status, in words.
    pub fn how(&self) -> String {
        match (self.code, &self.signal) {
            (Some(code), _) => format!("exit {code}"),
            (None, Some(signal)) if self.core => format!("{signal}, core dumped"),
            (None, Some(signal)) => signal.clone(),
            (None, None) if self.reason == "failed" => "not started".to_owned(),
            (None, None) => "exit status unknown".to_owned(),
        }
    }

    /// Puts a wait status and its circumstances into this form.
    pub fn new(status: Option<ExitStatus>, reason: &str, at: f64, after: f64) -> Self {
        Self {
            code: status.and_then(ExitStatus::code),
            signal: status.and_then(ExitStatus::signal).map(|signal| signal.to_string()),
            core: matches!(status, Some(ExitStatus::Signal { core: true, .. })),
            reason: reason.to_owned(),
            at,
            after,
        }
    }
}
