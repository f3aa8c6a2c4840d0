//! `daemonctl start`: a background supervisor starts the apps.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use daemonctl_actors::value::AppName;

use super::error::CliError;
use super::options::{AppOptions, environment};
use super::outcome::Act;
use super::session::{Absent, HOOKS, Order, Say, Session};
use super::tally::Tally;
use super::viewer::Attached;
use super::{Verb, run, text};
use crate::app::App;
use crate::config::Ask;
use crate::control::protocol::{self, Command};
use crate::supervise::{self, ExitOn};

#[derive(Args, Debug)]
pub(super) struct Start {
    /// Apps to start
    #[arg(value_name = "APP", required = true)]
    apps: Vec<String>,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    options: AppOptions,
}

/// How apps are started.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct How {
    /// Wait until each app is ready, not only until it has been exec'ed
    #[arg(short, long)]
    wait: bool,
    /// The longest wait for that [default: the app's process.start_timeout]
    #[arg(long, value_name = "SEC", value_parser = text::duration)]
    start_timeout: Option<Duration>,
    /// Follow the output until Ctrl-C, which leaves the app running
    #[arg(short, long)]
    attach: bool,
}

impl Verb for Start {
    const NAME: &'static str = "start";
    const ABOUT: &'static str = "Start apps in the background";
    const MORE: &'static str = "\
Starting an app that runs is a success.

Examples:
  daemonctl start web
  daemonctl start --wait --start-timeout 20s web db
  daemonctl start web --memory-limit 512M --env MODE=test --attach
  daemonctl --dry-run start web   print the daemonrun command line";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let apps = session.apps(&self.apps)?;
        match self.options.foreground() {
            true => foreground(session, &apps, self.options),
            false => background(session, &apps, self.options, self.how),
        }
    }
}

/// `start -F`.
fn foreground(session: &mut Session, apps: &[App], options: AppOptions) -> Result<ExitCode, CliError> {
    let ask = options.ask(&session.globals)?;
    if session.globals.dry_run {
        return dry_run(session, apps, &ask);
    }
    run::foreground(session, apps, ask, ExitOn::All)
}

/// What `start` and `run -d` do.
pub(super) fn background(
    session: &mut Session,
    apps: &[App],
    options: AppOptions,
    how: How,
) -> Result<ExitCode, CliError> {
    let ask = options.ask(&session.globals)?;
    if session.globals.dry_run {
        return dry_run(session, apps, &ask);
    }
    let attached = if how.attach { Some(Attached::before_start(session, apps, &ask)?) } else { None };
    let start = protocol::Start {
        apps: Vec::new(),
        ask,
        environment: environment(),
        wait: how.wait,
        timeout: how.start_timeout,
        sequential: false,
    };
    let deadline = how.start_timeout.map(|longest| longest + HOOKS + session.globals.op_timeout());
    let act = Act::Start { wait: how.wait };
    let request = |apps| Command::Start(protocol::Start { apps, ..start.clone() });
    let order = Order { act, apps: &names(apps), absent: Absent::ToBackground, deadline, request: &request };
    let mut tally = Tally::default();
    session.order(&order, Say::Each, &mut tally)?;
    if tally.unchanged > 0 && !start.ask.settings.is_empty() {
        session.screen.note("what runs already goes on with the options of its own start; restart takes new ones");
    }
    match attached {
        Some(attached) => attached.follow(session, tally.exit()),
        None => Ok(tally.exit()),
    }
}

/// Prints what would be executed: the launcher's own plan.
pub(super) fn dry_run(session: &mut Session, apps: &[App], ask: &Ask) -> Result<ExitCode, CliError> {
    let root = session.root()?.clone();
    let mut tally = Tally::default();
    for app in apps {
        match supervise::dry_run(&root, app, ask, &environment()) {
            Ok(line) => session.screen.result(&line)?,
            Err(failure) => {
                let error = CliError::Failed { verb: "start", app: app.name().clone(), failure };
                session.screen.error(&error);
                tally.fail(app.name(), error.code());
            }
        }
    }
    Ok(tally.exit())
}

/// The names of apps.
pub(super) fn names(apps: &[App]) -> Vec<AppName> {
    apps.iter().map(|app| app.name().clone()).collect()
}
