//! Everything that can go wrong in a command, in the words a person reads, with the exit code a script reads.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use daemonctl_actors::value::AppName;

use super::outcome::Act;
use super::text;
use crate::app::{AppError, RootError, Shown, reason};
use crate::config::Problems;
use crate::control::client::ClientError;
use crate::control::protocol::{Failure, FailureKind};
use crate::supervise::FleetError;
use crate::supervise::holder::Holder;
use crate::supervise::runtime::RuntimeError;

/// The operation failed.
pub(super) const FAILED: u8 = 1;
/// Wrong usage or configuration.
pub(super) const USAGE: u8 = 2;
/// `status APP`: it is not running.
pub(super) const NOT_RUNNING: u8 = 3;
/// There is no such app.
pub(super) const NO_SUCH_APP: u8 = 4;
/// Not permitted.
pub(super) const PERMISSION: u8 = 5;
/// Timed out waiting.
pub(super) const TIMED_OUT: u8 = 124;
/// Ended by Ctrl-C: what a shell makes of SIGINT.
pub(super) const INTERRUPTED: u8 = 130;

/// Why a command could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The command line makes no sense.
    #[error("{message}")]
    Usage { message: String, hint: Option<String> },
    /// The command line makes sense, but not to this version.
    #[error("{0} is not supported yet")]
    NotYet(String),
    #[error(transparent)]
    Root(#[from] RootError),
    #[error(transparent)]
    App(#[from] AppError),
    #[error(transparent)]
    Configuration(#[from] Problems),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Fleet(#[from] FleetError),
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A supervisor, or the launcher, could not do it for one app.
    #[error("cannot {verb} {app}: {failure}")]
    Failed { verb: &'static str, app: AppName, failure: Failure },
    /// The wait for one app ended before what was waited for.
    #[error("timed out {doing} {app}: {state}")]
    TimedOut { doing: &'static str, app: AppName, state: String },
    /// The command did not reach those who would carry it out.
    #[error("cannot {verb} {apps}")]
    Undelivered { verb: &'static str, apps: String, source: Box<CliError> },
    /// The user did not want to wait any longer.
    #[error("interrupted: {goes_on}")]
    Interrupted { goes_on: String },
    /// A file or directory cannot be used.
    #[error("cannot {doing}")]
    Io { doing: String, source: io::Error },
    /// An app runs under a supervisor that cannot be asked.
    #[error(
        "it is running{}, but its supervisor cannot be asked{}",
        .pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
        .holder.as_ref().map(|holder| format!(": it runs {}", holder.words())).unwrap_or_default()
    )]
    OutOfReach { app: AppName, pid: Option<i32>, holder: Option<Holder>, runtime: PathBuf },
    /// Nobody reads what this command prints.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

impl CliError {
    /// An error of this module's own making, for one app.
    pub(super) fn failed(verb: &'static str, app: &AppName, message: impl Into<String>, hint: Option<String>) -> Self {
        let failure = Failure { kind: FailureKind::Operation, message: message.into(), hint };
        Self::Failed { verb, app: app.clone(), failure }
    }

    /// The same, said of the apps that it kept from being started or stopped.
    pub(super) fn of(self, act: Act, apps: &[AppName]) -> Self {
        let names: Vec<_> = apps.iter().map(AppName::as_str).collect();
        let apps = match names.len() {
            _ if matches!(self, Self::Interrupted { .. }) => return self,
            0 => return self,
            1..=3 => names.join(", "),
            many => text::count(many, "app"),
        };
        Self::Undelivered { verb: act.verb(), apps, source: Box::new(self) }
    }

    /// The exit code that stands for it.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Usage { .. } | Self::Configuration(_) => USAGE,
            Self::App(AppError::Name(_) | AppError::Missing { .. } | AppError::Empty(_)) => NO_SUCH_APP,
            Self::TimedOut { .. } => TIMED_OUT,
            Self::Interrupted { .. } => INTERRUPTED,
            Self::Undelivered { source, .. } => source.code(),
            Self::OutOfReach { holder: Some(holder), .. } if holder.is_of_another() => PERMISSION,
            Self::Failed { failure, .. } => match failure.kind {
                FailureKind::Operation | FailureKind::Taken => FAILED,
                FailureKind::Configuration => USAGE,
                FailureKind::NoSuchApp => NO_SUCH_APP,
                FailureKind::Permission => PERMISSION,
            },
            Self::Root(_) if self.code_of_cause() != PERMISSION => USAGE,
            Self::NotYet(_)
            | Self::OutOfReach { .. }
            | Self::Root(_)
            | Self::App(_)
            | Self::Runtime(_)
            | Self::Fleet(_)
            | Self::Client(_)
            | Self::Io { .. }
            | Self::Output(_) => self.code_of_cause(),
        }
    }

    /// A refusal by the kernel, or a supervisor that does not answer, has its own code wherever it stands in the chain.
    fn code_of_cause(&self) -> u8 {
        let denied = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        match self {
            Self::Client(ClientError::TimedOut) | Self::Fleet(FleetError::Client(ClientError::TimedOut)) => {
                return TIMED_OUT;
            }
            Self::Runtime(RuntimeError::Foreign { .. })
            | Self::Fleet(FleetError::Runtime(RuntimeError::Foreign { .. })) => {
                return PERMISSION;
            }
            _ => {}
        }
        while let Some(error) = cause {
            if error.downcast_ref::<io::Error>().is_some_and(denied) {
                return PERMISSION;
            }
            if let Some(ClientError::TimedOut) = error.downcast_ref() {
                return TIMED_OUT;
            }
            cause = error.source();
        }
        FAILED
    }

    /// What to do about it.
    fn hint(&self) -> Option<String> {
        match self {
            Self::Usage { hint, .. } => hint.clone(),
            Self::Failed { failure, .. } => failure.hint.clone(),
            Self::Configuration(problems) => problems.hint(),
            Self::Undelivered { source, .. } => source.hint(),
            Self::TimedOut { app, .. } => Some(format!("daemonctl status {app} shows how it goes on")),
            Self::Client(ClientError::Version) => Some("restart the supervisor: stop its apps, and start them".into()),
            Self::Root(_) => Some("give the apps root with -p DIR, or in DAEMONCTL_PATH".into()),
            Self::App(AppError::Missing { root, .. }) => {
                Some(format!("daemonctl -p {} list shows all apps", root.shown()))
            }
            Self::OutOfReach { holder, runtime, .. } => Some(holder.as_ref().map_or_else(
                || "it is another user's, has another DAEMONCTL_RUNTIME_DIR, or has lost its socket".into(),
                |holder| holder.hint(Some(runtime)),
            )),
            Self::NotYet(_)
            | Self::Interrupted { .. }
            | Self::App(_)
            | Self::Runtime(_)
            | Self::Fleet(_)
            | Self::Client(_)
            | Self::Io { .. }
            | Self::Output(_) => None,
        }
    }

    /// The whole of it: what could not be done, the chain of reasons, and what to do next.
    pub(super) fn text(&self) -> String {
        let mut reasons = vec![reason(&self)];
        let mut cause = self.source();
        while let Some(error) = cause {
            reasons.push(reason(&error));
            cause = error.source();
        }
        let mut text = String::from("daemonctl: ");
        text.push_str(&reasons.join(": ").replace('\n', "\n  "));
        if let Some(hint) = self.hint() {
            text.push_str("\n  hint: ");
            text.push_str(&hint.replace('\n', "\n        "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_tells_its_reasons_and_the_next_step() {
        let denied = || io::Error::from_raw_os_error(13);
        let app: AppName = "web".parse().unwrap();
        let errors = [
            CliError::failed(
                "start",
                &app,
                "cannot set user www-data: no such user",
                Some("security.user is set in /srv/apps/web/run/conf.toml:7:8".into()),
            ),
            CliError::TimedOut { doing: "starting", app, state: "not ready after 60s: check failed: exit 1".into() },
            CliError::App(AppError::Missing {
                name: "wbe".into(),
                root: "/srv/apps".into(),
                nearest: Some("web".into()),
            }),
            CliError::Root(RootError::Open { path: "/nowhere".into(), source: io::Error::from_raw_os_error(2) }),
            CliError::Root(RootError::Open { path: "/root".into(), source: denied() }),
            CliError::Client(ClientError::Connect(denied())),
            CliError::Client(ClientError::TimedOut).of(Act::Stop, &["web".parse().unwrap(), "db".parse().unwrap()]),
            CliError::Client(ClientError::Version),
            CliError::NotYet("logs --grep".into()),
        ];
        let told: Vec<_> =
            errors.iter().map(|error| format!("{}\n  (exit code {})", error.text(), error.code())).collect();
        insta::assert_snapshot!(told.join("\n"));
    }
}
