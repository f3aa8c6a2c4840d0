//! `daemonctl stop-all`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use daemonctl_actors::value::AppName;

use super::error::CliError;
use super::outcome::Act;
use super::session::{Absent, HOOKS, Order, Say, Session};
use super::stop::{longest, would};
use super::tally::Tally;
use super::{Verb, text};
use crate::control::protocol::{self, Command};
use crate::control::status::State;

#[derive(Args, Debug)]
pub(super) struct StopAll {
    /// Leave this app out; may be given several times
    #[arg(short = 'x', long, value_name = "APP")]
    exclude: Vec<String>,
    /// Time between the stop signal and SIGKILL [default: each app's process.stop_timeout]
    #[arg(short, long, value_name = "SEC", value_parser = text::duration)]
    timeout: Option<Duration>,
    /// SIGKILL at once, or after --timeout where that is given
    #[arg(short, long)]
    force: bool,
    /// Stop all at the same time, not one after the other
    #[arg(short, long)]
    parallel: bool,
    /// A line for each app, not only for those that fail
    #[arg(short = 'V', long)]
    verbose: bool,
}

impl Verb for StopAll {
    const NAME: &'static str = "stop-all";
    const ABOUT: &'static str = "Stop every app below the root";
    const MORE: &'static str = "\
The supervisor leaves when its last app has been stopped.

Examples:
  daemonctl stop-all
  daemonctl stop-all -x db            all but one";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let mut tally = Tally::default();
        let excluded = session.running_apps(&self.exclude)?;
        let apps = running(session, &mut tally)?;
        let (left_out, apps): (Vec<_>, Vec<_>) = apps.into_iter().partition(|app| excluded.contains(app));
        tally.skipped += left_out.len();
        if session.globals.dry_run {
            session.screen.result(&would("stop", &apps))?;
            return Ok(ExitCode::SUCCESS);
        }
        session.progress.borrow_mut().of_all(Self::NAME, apps.len());
        let turns: Vec<&[AppName]> = if self.parallel { vec![&apps] } else { apps.chunks(1).collect() };
        for apps in turns.into_iter().filter(|apps| !apps.is_empty()) {
            self.stop(session, apps, &mut tally)?;
        }
        session.screen.done(&tally.summary("stopped", "not running"))?;
        Ok(tally.exit_of_all())
    }
}

impl StopAll {
    fn stop(&self, session: &mut Session, apps: &[AppName], tally: &mut Tally) -> Result<(), CliError> {
        let force = self.force || session.globals.force;
        let deadline = longest(self.timeout, force).map(|longest| longest + HOOKS + session.globals.op_timeout());
        let request =
            |apps| Command::Stop(protocol::Stop { apps, timeout: self.timeout, force, signal: None, wait: true });
        let order = Order { act: Act::Stop, apps, absent: Absent::NotRunning, deadline, request: &request };
        let each = self.verbose || session.globals.verbose;
        session.order(&order, if each { Say::Each } else { Say::Failures }, tally)
    }
}

/// The apps that have something to stop; the others are counted.
fn running(session: &mut Session, tally: &mut Tally) -> Result<Vec<AppName>, CliError> {
    let known = session.status(&[])?;
    let idle = |state| matches!(state, State::Stopped | State::Exited | State::Failed);
    let running: Vec<_> = known.into_iter().filter(|app| !idle(app.state)).map(|app| app.name).collect();
    tally.unchanged = session.all_apps()?.iter().filter(|app| !running.contains(app.name())).count();
    Ok(running)
}
