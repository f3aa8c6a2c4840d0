//! `daemonctl list`.

use std::process::ExitCode;

use clap::Args;

use super::Verb;
use super::error::CliError;
use super::report::{self, Seen};
use super::session::Session;
use super::status::{every_app, snapshot};
use crate::observe::processes::Snapshot;

#[derive(Args, Debug)]
pub(super) struct List {
    /// Uptime, restarts, health and version as well
    #[arg(short, long)]
    long: bool,
    /// The same as JSON
    #[arg(long)]
    json: bool,
}

impl Verb for List {
    const NAME: &'static str = "list";
    const ABOUT: &'static str = "List every app below the root";
    const MORE: &'static str = "\
MEMORY and CPU are those of all processes of the app: resident memory, and processor time since they
began, in percent of one CPU.";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let apps = every_app(session)?;
        let snapshot = if apps.iter().any(|app| app.pid.is_some()) { snapshot()? } else { Snapshot::default() };
        let seen: Vec<Seen> = apps.into_iter().map(|app| Seen::new(app, &snapshot)).collect();
        session.screen.result(&match self.json {
            true => report::list_json(&seen),
            false => report::list(&seen, self.long, session.screen.color),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
