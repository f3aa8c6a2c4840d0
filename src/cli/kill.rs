//! `daemonctl kill`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use daemonctl_actors::value::Signal;

use super::error::CliError;
use super::outcome::Act;
use super::session::{Absent, HOOKS, Order, Say, Session};
use super::tally::Tally;
use super::{Verb, text};
use crate::control::protocol::{Command, SendSignal};

#[derive(Args, Debug)]
pub(super) struct Kill {
    /// App that gets the signal
    #[arg(value_name = "APP")]
    app: String,
    /// The signal: a name, with or without SIG, or a number
    #[arg(value_name = "SIGNAL", default_value = "TERM")]
    signal: Signal,
    /// Only to the main process (the default)
    #[arg(short, long, conflicts_with = "all_processes")]
    pid_only: bool,
    /// To the whole process group
    #[arg(short, long)]
    all_processes: bool,
    /// Wait until the main process has ended
    #[arg(short, long)]
    wait: bool,
    /// The longest wait for that
    #[arg(long, value_name = "SEC", default_value = "30", value_parser = text::duration)]
    timeout: Duration,
}

impl Verb for Kill {
    const NAME: &'static str = "kill";
    const ABOUT: &'static str = "Send a signal to an app";
    const MORE: &'static str = "\
An app that ends by this has crashed, and is restarted as configured; `stop` is the way to stop it.

Examples:
  daemonctl kill web USR1
  daemonctl kill --wait web KILL";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let apps = session.running_apps(std::slice::from_ref(&self.app))?;
        if session.globals.dry_run {
            session.screen.result(&format!("Would send {} to {}", self.signal, self.app))?;
            return Ok(ExitCode::SUCCESS);
        }
        let waiting = if self.wait { self.timeout + HOOKS } else { Duration::ZERO };
        let deadline = Some(waiting + session.globals.op_timeout());
        let request = |apps| {
            let (signal, group, wait) = (Some(self.signal), self.all_processes, self.wait);
            Command::Signal(SendSignal { apps, signal, group, wait, timeout: Some(self.timeout) })
        };
        let act = Act::Kill { wait: self.wait };
        let order = Order { act, apps: &apps, absent: Absent::NotRunning, deadline, request: &request };
        let mut tally = Tally::default();
        session.order(&order, Say::Each, &mut tally)?;
        Ok(tally.exit())
    }
}
