//! What a command did to an app, in the words a person reads: the same for every command.

use daemonctl_actors::value::{AppName, Signal};

use super::error::CliError;
use super::text;
use crate::control::protocol::{AppReply, Outcome};

/// What was to be done to an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Start it; with `wait`, until it is ready.
    Start { wait: bool },
    /// Stop it and start it again.
    Restart { wait: bool },
    /// Stop it.
    Stop,
    /// Tell it to read its configuration again.
    Reload,
    /// Send it a signal; with `wait`, until its main process has ended.
    Kill { wait: bool },
}

impl Act {
    /// What it is called in an error.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Restart { .. } => "restart",
            Self::Stop => "stop",
            Self::Reload => "reload",
            Self::Kill { .. } => "signal",
        }
    }

    fn doing(self) -> &'static str {
        match self {
            Self::Start { .. } => "starting",
            Self::Restart { .. } => "restarting",
            Self::Stop => "stopping",
            Self::Reload => "reloading",
            Self::Kill { .. } => "waiting for",
        }
    }

    /// Whether an app that does not run is as it should be.
    fn wants_it_stopped(self) -> bool {
        matches!(self, Self::Stop)
    }

    fn waits_until_ready(self) -> bool {
        matches!(self, Self::Start { wait: true } | Self::Restart { wait: true })
    }
}

/// A success, and what should be known about it.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) done: String,
    pub(super) warnings: Vec<String>,
}

/// Puts a reply into words.
pub(super) fn tell(act: Act, reply: &AppReply, verbose: bool) -> Result<Told, CliError> {
    let app = &reply.app;
    let cannot = |message: String, hint: String| Err(CliError::failed(act.verb(), app, message, Some(hint)));
    let done = match &reply.outcome {
        Outcome::Started { pid, ready, took, warnings } => {
            let done = if matches!(act, Act::Restart { .. }) { "restarted" } else { "started" };
            let after = match (act.waits_until_ready(), ready) {
                (true, true) => format!(", ready after {}", text::span(*took)),
                _ if verbose => format!(", after {}", text::span(*took)),
                _ => String::new(),
            };
            let warnings = warnings.iter().map(|warning| format!("warning: {app}: {warning}")).collect();
            return Ok(Told { done: format!("{done} {app} (pid {pid}){after}"), warnings });
        }
        Outcome::Running { pid } => format!("{app} is already running (pid {pid})"),
        Outcome::Ended { how, .. } => {
            return cannot(format!("it {how}"), format!("daemonctl why {app} tells more"));
        }
        Outcome::Stopped { how } => format!("stopped {app} ({how})"),
        Outcome::Stopping => format!("stopping {app}"),
        Outcome::NotRunning if act.wants_it_stopped() => format!("{app} is not running"),
        Outcome::NotRunning => return cannot("it is not running".into(), format!("daemonctl status {app} tells why")),
        Outcome::Signalled { signal, pid } => signalled(act, app, *signal, *pid),
        Outcome::TimedOut { state } => {
            return Err(CliError::TimedOut { doing: act.doing(), app: app.clone(), state: state.clone() });
        }
        Outcome::Failed(failure) => {
            let mut failure = failure.clone();
            // The name is said once, whoever has said it first.
            if let Some(reason) = failure.message.strip_prefix(&format!("cannot {} {app}: ", act.verb())) {
                failure.message = reason.to_owned();
            }
            return Err(CliError::Failed { verb: act.verb(), app: app.clone(), failure });
        }
    };
    Ok(Told { done, warnings: Vec::new() })
}

fn signalled(act: Act, app: &AppName, signal: Signal, pid: i32) -> String {
    match act {
        Act::Reload => format!("reloaded {app} ({signal} to pid {pid})"),
        Act::Kill { wait: true } => format!("sent {signal} to {app} (pid {pid}), which has ended"),
        Act::Start { .. } | Act::Restart { .. } | Act::Stop | Act::Kill { wait: false } => {
            format!("sent {signal} to {app} (pid {pid})")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::control::protocol::{Failure, FailureKind};

    #[test]
    fn every_outcome_of_every_act_has_its_words() {
        let took = Duration::from_millis(1_800);
        let outcomes = [
            Outcome::Started {
                pid: 123,
                ready: true,
                took,
                warnings: vec!["DAEMONCTL_WEB_USR names no option; did you mean DAEMONCTL_WEB_USER?".into()],
            },
            Outcome::Running { pid: 123 },
            Outcome::Ended { pid: 123, how: "exited 1 after 3ms".into() },
            Outcome::Stopped { how: "exited 0 after 40ms".into() },
            Outcome::Stopping,
            Outcome::NotRunning,
            Outcome::Signalled { signal: Signal::HUP, pid: 123 },
            Outcome::TimedOut { state: "not ready after 60s: check failed: exit 1".into() },
            Outcome::Failed(Failure {
                kind: FailureKind::Permission,
                message: "cannot set user www-data: not permitted".into(),
                hint: Some("only root can start apps as another user".into()),
            }),
        ];
        let acts = [
            Act::Start { wait: false },
            Act::Start { wait: true },
            Act::Restart { wait: false },
            Act::Stop,
            Act::Reload,
            Act::Kill { wait: true },
        ];
        let mut told = String::new();
        for act in acts {
            told.push_str(&format!("{act:?}\n"));
            for outcome in &outcomes {
                let reply = AppReply { app: "web".parse().unwrap(), outcome: outcome.clone() };
                let text = match tell(act, &reply, false) {
                    Ok(Told { done, warnings }) => {
                        format!("{}{done}", warnings.join("\n") + if warnings.is_empty() { "" } else { "\n" })
                    }
                    Err(error) => format!("{} [exit {}]", error.text(), error.code()),
                };
                told.push_str(&format!("  {}\n", text.replace('\n', "\n  ")));
            }
        }
        insta::assert_snapshot!(told);
    }
}
