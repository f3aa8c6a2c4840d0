//! `daemonctl list`.

use std::process::ExitCode;

use clap::Args;

use super::Verb;
use super::error::CliError;
use super::known::{every_app, no_app_at_all};
use super::report::{self, Seen};
use super::session::Session;
use super::status::{snapshot, view};
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
began, in percent of one CPU. On a terminal, paths are shortened from the left, and columns that do
not fit are left out and named; in a pipe everything is shown.

Examples:
  daemonctl list
  daemonctl list | awk '$2 == \"failed\" { print $1 }'
  daemonctl list --json | jq -r '.apps[] | select(.state == \"running\") | .name'";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let apps = every_app(session)?;
        let snapshot = if apps.iter().any(|app| app.pid.is_some()) { snapshot()? } else { Snapshot::default() };
        let seen: Vec<Seen> = apps.into_iter().map(|app| Seen::new(app, &snapshot)).collect();
        let view = view(session.screen);
        if self.json {
            session.screen.result(&report::list_json(&seen, view.now))?;
            return Ok(ExitCode::SUCCESS);
        }
        let list = report::list(&seen, self.long, &view);
        session.screen.result(&list.text)?;
        if seen.is_empty() {
            no_app_at_all(session)?.iter().for_each(|told| session.screen.note(told));
            return Ok(ExitCode::SUCCESS);
        }
        report::left_out(&list, view.width).iter().for_each(|hint| session.screen.note(hint));
        // What is wrong has no column of its own.
        for app in seen.iter().filter(|app| !app.status.mistakes.is_empty()) {
            let note = report::note(&app.status, view.now).unwrap_or_default();
            session.screen.note(&format!("{}: {note}", app.status.name));
        }
        Ok(ExitCode::SUCCESS)
    }
}
