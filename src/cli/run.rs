//! `daemonctl run`: this process becomes the supervisor.

use std::process::ExitCode;

use clap::Args;
use daemonctl_actors::value::AppName;

use super::error::CliError;
use super::options::{self, AppOptions, environment};
use super::session::Session;
use super::{Verb, start};
use crate::app::{App, Shown};
use crate::config::Ask;
use crate::supervise::{self, ExitOn, RunRequest};

#[derive(Args, Debug)]
pub(super) struct Run {
    /// Apps to run
    #[arg(value_name = "APP", required_unless_present = "all")]
    apps: Vec<String>,
    /// Run every app below the root
    #[arg(long, conflicts_with = "apps")]
    all: bool,
    /// When to end: after all apps have ended, any of them, or this one; with its exit code
    #[arg(long, value_name = "any|all|APP", default_value = "all", conflicts_with = "daemon")]
    exit_on: String,
    #[command(flatten)]
    options: AppOptions,
}

impl Verb for Run {
    const NAME: &'static str = "run";
    const ABOUT: &'static str = "Supervise apps in the foreground";
    const MORE: &'static str = "\
Examples:
  daemonctl run web               show its output, restart it as configured, stop it on Ctrl-C
  daemonctl run --all             every app; each line of output with its app's name
  daemonctl run web db --exit-on web";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let apps = match self.all {
            true => session.all_apps()?,
            false => session.apps(&self.apps)?,
        };
        let names: Vec<AppName> = apps.iter().map(|app| app.name().clone()).collect();
        if names.is_empty() {
            let message = format!("there is no app under {}", session.root()?.path().shown());
            return Err(CliError::Usage {
                message,
                hint: Some("an app is a directory with an executable run file".into()),
            });
        }
        if self.options.background() {
            return start::background(session, &apps, self.options, start::How::default());
        }
        let exit_on = exit_on(&self.exit_on, &names)?;
        let ask = self.options.ask(&session.globals)?;
        if session.globals.dry_run {
            return start::dry_run(session, &apps, &ask);
        }
        foreground(session, &apps, ask, exit_on)
    }
}

/// Becomes the supervisor of these apps.
pub(super) fn foreground(session: &mut Session, apps: &[App], ask: Ask, exit_on: ExitOn) -> Result<ExitCode, CliError> {
    let labels = labels(session, apps, &ask)?;
    let root = session.root()?.path().to_owned();
    let (color, quiet) = (session.screen.paint, session.globals.quiet);
    let (apps, environment) = (start::names(apps), environment());
    Ok(supervise::foreground(RunRequest { root, apps, labels, ask, environment, exit_on, color, quiet })?)
}

/// What apps are called where the output of several is shown: `daemon.name`, or the name of the directory.
pub(super) fn labels(session: &mut Session, apps: &[App], ask: &Ask) -> Result<Vec<String>, CliError> {
    if let [app] = apps {
        return Ok(vec![app.name().to_string()]);
    }
    let root = session.root()?;
    let label = |app: &App| {
        // Where the configuration has mistakes, they are told by the start.
        let name = options::resolved(root, app, ask).and_then(|options| options.daemon.name);
        name.unwrap_or_else(|| app.name().to_string())
    };
    Ok(apps.iter().map(label).collect())
}

/// When to end, and with whose exit code.
fn exit_on(text: &str, apps: &[AppName]) -> Result<ExitOn, CliError> {
    match text {
        "all" => Ok(ExitOn::All),
        "any" => Ok(ExitOn::Any),
        name => match apps.iter().find(|app| app.as_str() == name) {
            Some(app) => Ok(ExitOn::App(app.clone())),
            None => Err(CliError::Usage {
                message: format!("--exit-on cannot be {name:?}: it is any, all, or an app that is run"),
                hint: Some("see daemonctl run --help".into()),
            }),
        },
    }
}
