//! `daemonctl stop`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use daemonctl_actors::value::{AppName, Signal};

use super::error::CliError;
use super::outcome::Act;
use super::session::{Absent, HOOKS, Order, Say, Session};
use super::tally::Tally;
use super::{Verb, options, text};
use crate::app::{Shown, small};
use crate::control::protocol::{self, Command};

#[derive(Args, Debug)]
pub(super) struct Stop {
    /// Apps to stop
    #[arg(value_name = "APP", required = true)]
    apps: Vec<String>,
    /// Time between the stop signal and SIGKILL [default: the app's process.stop_timeout]
    #[arg(short, long, value_name = "SEC", value_parser = text::duration)]
    timeout: Option<Duration>,
    /// SIGKILL at once, or after --timeout where that is given
    #[arg(short, long)]
    force: bool,
    /// Signal to send in place of the app's stop signal
    #[arg(short, long, value_name = "SIGNAL")]
    signal: Option<Signal>,
    /// Wait until the app has stopped (the default)
    #[arg(short, long, conflicts_with = "no_wait")]
    wait: bool,
    /// Return at once
    #[arg(long)]
    no_wait: bool,
    /// Remove the pid file as well, should it have been left behind
    #[arg(long)]
    remove_pidfile: bool,
}

impl Verb for Stop {
    const NAME: &'static str = "stop";
    const ABOUT: &'static str = "Stop apps, with everything they have started";
    const MORE: &'static str = "\
Stopping an app that does not run is a success.

Examples:
  daemonctl stop web db
  daemonctl stop -t 5 web         SIGKILL after 5 seconds
  daemonctl stop -s INT web";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let apps = session.running_apps(&self.apps)?;
        if session.globals.dry_run {
            session.screen.result(&would("stop", &apps))?;
            return Ok(ExitCode::SUCCESS);
        }
        let force = self.force || session.globals.force;
        let deadline = longest(self.timeout, force).map(|longest| longest + HOOKS + session.globals.op_timeout());
        let request = |apps| {
            let (timeout, signal, wait) = (self.timeout, self.signal, !self.no_wait);
            Command::Stop(protocol::Stop { apps, timeout, force, signal, wait })
        };
        let order = Order { act: Act::Stop, apps: &apps, absent: Absent::NotRunning, deadline, request: &request };
        let mut tally = Tally::default();
        session.order(&order, Say::Each, &mut tally)?;
        if self.remove_pidfile {
            apps.iter().try_for_each(|app| remove_pidfile(session, app))?;
        }
        Ok(tally.exit())
    }
}

/// Removes the pid file that an app's configuration names, if it was left behind; the one in the runtime directory
/// comes and goes with the app. A file that names a living process is somebody's, and stays.
fn remove_pidfile(session: &mut Session, app: &AppName) -> Result<(), CliError> {
    let ask = options::plain(&session.globals)?;
    let Ok(found) = session.root()?.app(app.as_str()) else { return Ok(()) };
    let options = options::resolved(session.root()?, &found, &ask);
    let Some(path) = options.and_then(|options| options.pidfile.path) else { return Ok(()) };
    let path = found.run_dir().join(path); // As the supervisor has it, wherever this command is typed.
    let Ok(text) = small::head(&path, 64) else { return Ok(()) };
    let left = match String::from_utf8_lossy(&text).trim().parse::<u32>() {
        Ok(pid) if Path::new("/proc").join(pid.to_string()).exists() => "names a process that runs",
        Ok(_) => return remove(&path),
        Err(_) => "is no pid file",
    };
    session.screen.note(&format!("{} {left}; it was left as it is", path.shown()));
    Ok(())
}

fn remove(path: &Path) -> Result<(), CliError> {
    std::fs::remove_file(path).map_err(|source| CliError::Io { doing: format!("remove {}", path.shown()), source })
}

/// The longest time between the stop signal and SIGKILL, as far as the command line tells.
pub(super) fn longest(timeout: Option<Duration>, force: bool) -> Option<Duration> {
    if force && timeout.is_none() { Some(Duration::ZERO) } else { timeout }
}

/// `Would stop 2 apps: app1, app2`.
pub(super) fn would(verb: &str, apps: &[AppName]) -> String {
    let names: Vec<_> = apps.iter().map(AppName::as_str).collect();
    match names.is_empty() {
        true => format!("Would {verb} no app"),
        false => format!("Would {verb} {}: {}", text::count(names.len(), "app"), names.join(", ")),
    }
}
