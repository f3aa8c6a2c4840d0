//! `status --json` as a stranger would read it: written from the documentation, not from the product's types, so that
//! a field that changes its name or meaning is noticed here.

use serde::Deserialize;

/// The whole report.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) schema_version: u32,
    pub(crate) apps: Vec<Status>,
}

/// One app.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Status {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) state: String,
    pub(crate) health: String,
    pub(crate) ready: bool,
    pub(crate) pid: Option<i32>,
    pub(crate) started_at: Option<f64>,
    pub(crate) uptime: Option<f64>,
    pub(crate) restarts: u32,
    pub(crate) attempts: u32,
    pub(crate) retry_in: Option<f64>,
    pub(crate) last_exit: Option<LastExit>,
    pub(crate) note: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) run_dir: Option<String>,
    pub(crate) stdout: Option<String>,
    pub(crate) stderr: Option<String>,
    pub(crate) events: Option<String>,
    pub(crate) supervisor: Option<i32>,
    pub(crate) mode: Option<String>,
}

/// How its last process ended.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct LastExit {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<String>,
    pub(crate) reason: String,
    pub(crate) after: f64,
}

impl Status {
    /// The pid of an app that runs.
    #[track_caller]
    pub(crate) fn main_pid(&self) -> i32 {
        self.pid.unwrap_or_else(|| panic!("{} has no main process: {self:#?}", self.name))
    }
}
