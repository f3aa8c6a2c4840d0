//! The wire form of the control socket: one JSON object a line, each request with the version of the protocol.
//!
//! A client sends one [`Request`] and reads [`Reply`] lines until one that ends the exchange: every
//! one but [`Reply::App`].
//! Unknown fields are ignored, unknown commands refused, so that an old client can talk to a new supervisor.

use std::collections::BTreeMap;
use std::time::Duration;

use daemonctl_actors::value::{AppName, Signal};
use serde::{Deserialize, Serialize};

use super::status::AppStatus;
use crate::config::Ask;

/// The version of this protocol.
pub const VERSION: u32 = 1;

/// The longest line that either side accepts, in bytes. An environment of the size the kernel allows for one exec
/// fits several times.
pub const MAX_LINE: usize = 4 << 20;

/// One line from a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`] of the client.
    pub v: u32,
    /// What is wanted.
    #[serde(flatten)]
    pub command: Command,
    /// For whom root asks, as the variables of sudo say. A claim, which is told as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo_user: Option<String>,
}

/// What can be asked of a supervisor. The whole list: nothing is looked up by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "kebab-case")]
pub enum Command {
    /// Start apps. Replies: [`Reply::App`] for each, then [`Reply::Done`].
    Start(Start),
    /// Stop apps. Replies as for start.
    Stop(Stop),
    /// Stop and start again. Replies as for start.
    Restart(Restart),
    /// Send a signal. Replies as for start.
    Signal(SendSignal),
    /// What is known of some apps, or of all. Reply: [`Reply::Status`].
    Status {
        /// Which; all this supervisor knows if empty.
        #[serde(default)]
        apps: Vec<AppName>,
    },
    /// Whether an app is healthy: its state if it is monitored, else its health check is run once. Reply:
    /// [`Reply::Health`].
    Check {
        /// Which.
        app: AppName,
    },
    /// Take over apps that nobody looks after. Reply: [`Reply::Done`].
    Adopt,
    /// Who is there. Reply: [`Reply::Supervisor`].
    Hello,
}

/// Apps to be started, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Which.
    pub apps: Vec<AppName>,
    /// What the command line asked for; kept for restarts.
    pub ask: Ask,
    /// The environment of the command that asked, kept for restarts.
    pub environment: BTreeMap<String, String>,
    /// Reply only when the app is ready, not as soon as it has been exec'ed.
    pub wait: bool,
    /// The longest wait for the reply; `process.start_timeout` of each app if not set.
    #[serde(default, with = "humantime_serde")]
    pub timeout: Option<Duration>,
    /// Start one after the other, waiting for each.
    #[serde(default)]
    pub sequential: bool,
}

/// Apps to be stopped, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// Which.
    pub apps: Vec<AppName>,
    /// Time between stop signal and SIGKILL; the app's own if not set.
    #[serde(default, with = "humantime_serde")]
    pub timeout: Option<Duration>,
    /// SIGKILL at once, or after `timeout` where one is given.
    #[serde(default)]
    pub force: bool,
    /// Signal to send in place of the app's stop signal.
    #[serde(default)]
    pub signal: Option<Signal>,
    /// Reply when the app has stopped, not at once.
    pub wait: bool,
}

/// Apps to be stopped and started again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Restart {
    /// How they are started.
    pub start: Start,
    /// Time between stop signal and SIGKILL; the app's own if not set.
    #[serde(default, with = "humantime_serde")]
    pub stop_timeout: Option<Duration>,
    /// SIGKILL at once.
    #[serde(default)]
    pub force: bool,
    /// Pause between stop and start.
    #[serde(default, with = "humantime_serde")]
    pub delay: Option<Duration>,
}

/// A signal for some apps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SendSignal {
    /// Which.
    pub apps: Vec<AppName>,
    /// What; the app's own `signals.reload_signal` if not set.
    pub signal: Option<Signal>,
    /// To the whole process group, not only the main process.
    #[serde(default)]
    pub group: bool,
    /// Reply when the main process has ended.
    #[serde(default)]
    pub wait: bool,
    /// The longest wait for that.
    #[serde(default, with = "humantime_serde")]
    pub timeout: Option<Duration>,
}

/// One line from a supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// What became of one app; more may follow.
    App(AppReply),
    /// The end of a command's replies.
    Done,
    /// The answer to [`Command::Status`].
    Status {
        /// One for each app, sorted by name.
        apps: Vec<AppStatus>,
    },
    /// The answer to [`Command::Check`].
    Health(Checked),
    /// The answer to [`Command::Hello`].
    Supervisor {
        /// Pid of the supervisor.
        pid: i32,
        /// `background`, or `run` for a foreground one.
        mode: String,
        /// Version of the program.
        version: String,
    },
    /// The request was refused.
    Error {
        /// Why, for a person.
        message: String,
    },
}

impl Reply {
    /// Reads a line. The answer to a status request is by far the longest, and is read in one pass: to find the tag of
    /// an enum, which may stand anywhere in an object, serde would copy all of it first.
    pub fn read(line: &[u8]) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Told {
            apps: Vec<AppStatus>,
        }
        match line.starts_with(br#"{"reply":"status","#) {
            true => serde_json::from_slice(line).map(|Told { apps }| Self::Status { apps }),
            false => serde_json::from_slice(line),
        }
    }
}

/// Whether an app is healthy, and how that is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// Whether it is.
    pub healthy: bool,
    /// How that is known.
    pub basis: Basis,
    /// What there is to say, for a person: one line.
    pub state: String,
    /// What the health check printed.
    pub output: Option<String>,
}

/// How the health of an app is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// It is monitored: the verdict of its checks so far.
    Monitored,
    /// It is not, and its check was run for this answer.
    Checked,
    /// It has no check: what runs counts as healthy.
    Running,
}

/// What became of a command for one app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppReply {
    /// The app.
    pub app: AppName,
    /// What happened.
    pub outcome: Outcome,
}

/// What a command did to one app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It was started, or restarted: exec'ed, and ready if that was waited for.
    Started {
        /// Pid of the main process.
        pid: i32,
        /// Whether it is ready (it may not be yet).
        ready: bool,
        /// Time from the command to this reply.
        #[serde(with = "humantime_serde")]
        took: Duration,
        /// Things the person should know, such as a variable that names no option.
        #[serde(default)]
        warnings: Vec<String>,
    },
    /// It was running already.
    Running {
        /// Pid of the main process.
        pid: i32,
    },
    /// It was started and has ended by itself within the wait.
    Ended {
        /// Pid it had.
        pid: i32,
        /// How, in words: `exited 1 after 3ms`.
        how: String,
    },
    /// It has stopped.
    Stopped {
        /// How, in words: `exited 0 after 40ms`, `killed by SIGKILL after 30s`, `it was waiting to be started again`.
        how: String,
    },
    /// A stop was begun and not waited for.
    Stopping,
    /// It was not running.
    NotRunning,
    /// The signal was sent; with `wait`, the process has ended.
    Signalled {
        /// The signal.
        signal: Signal,
        /// Pid of the main process.
        pid: i32,
    },
    /// The wait ended first.
    TimedOut {
        /// What was waited for, and what is the case: `not ready after 60s: check failed: …`.
        state: String,
    },
    /// It failed.
    Failed(Failure),
}

/// A failure to be shown to a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Of what kind, which decides the exit code.
    pub kind: FailureKind,
    /// What could not be done and why, without the name of the program; may have several lines.
    pub message: String,
    /// What to do about it.
    #[serde(default)]
    pub hint: Option<String>,
}

/// Kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The operation failed: exit code 1.
    Operation,
    /// Another supervisor runs the app.
    Taken,
    /// The configuration is wrong: exit code 2.
    Configuration,
    /// There is no such app: exit code 4.
    NoSuchApp,
    /// Not permitted: exit code 5.
    Permission,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::app::Fingerprint;

    #[test]
    fn a_status_is_read_in_one_pass_as_it_is_read_in_two() {
        let app = AppStatus {
            configured_from: vec![Fingerprint::take(Path::new("/")), Fingerprint::take(Path::new("/no/such/file"))],
            ..AppStatus::unknown("web".parse().unwrap(), "/srv/apps/web".into())
        };
        let reply = Reply::Status { apps: vec![app] };
        let line = serde_json::to_vec(&reply).unwrap();
        assert!(line.starts_with(br#"{"reply":"status","#), "the short way is taken");
        assert_eq!(Reply::read(&line).unwrap(), reply);
        assert_eq!(serde_json::from_slice::<Reply>(&line).unwrap(), reply, "by whoever does not know it");
        assert_eq!(Reply::read(br#"{"reply":"done"}"#).unwrap(), Reply::Done);
        assert!(Reply::read(br#"{"reply":"status","new":true}"#).is_err());
    }
}
