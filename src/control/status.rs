//! What is told of an app: the plain data behind `status` and `list`, and their stable JSON form.

use daemonctl_actors::value::{AppName, ExitStatus};
use serde::{Deserialize, Serialize};

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
    /// Time until the next start, in `backoff`.
    pub retry_in: Option<f64>,
    /// How the last main process ended.
    pub last_exit: Option<LastExit>,
    /// Why it is as it is, in words, where that is not plain from the state.
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
            health: Health::Disabled,
            ready: false,
            pid: None,
            started_at: None,
            uptime: None,
            restarts: 0,
            attempts: 0,
            retry_in: None,
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
