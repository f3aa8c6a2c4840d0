//! `daemonctl reload`.

use std::process::ExitCode;

use clap::Args;

use super::Verb;
use super::error::CliError;
use super::outcome::Act;
use super::session::{Absent, Order, Say, Session};
use super::stop::would;
use super::tally::Tally;
use crate::control::protocol::{Command, SendSignal};

#[derive(Args, Debug)]
pub(super) struct Reload {
    /// Apps to reload
    #[arg(value_name = "APP", required = true)]
    apps: Vec<String>,
}

impl Verb for Reload {
    const NAME: &'static str = "reload";
    const ABOUT: &'static str = "Ask apps to read their configuration again";
    const MORE: &'static str = "\
Sends signals.reload_signal, SIGHUP if nothing else is set, to the main process of each app.

Example:
  daemonctl reload web db";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let apps = session.running_apps(&self.apps)?;
        if session.globals.dry_run {
            session.screen.result(&would("reload", &apps))?;
            return Ok(ExitCode::SUCCESS);
        }
        let deadline = Some(session.globals.op_timeout());
        let request =
            |apps| Command::Signal(SendSignal { apps, signal: None, group: false, wait: false, timeout: None });
        let order = Order { act: Act::Reload, apps: &apps, absent: Absent::NotRunning, deadline, request: &request };
        let mut tally = Tally::default();
        session.order(&order, Say::Each, &mut tally)?;
        Ok(tally.exit())
    }
}
