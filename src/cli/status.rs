//! `daemonctl status`.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use daemonctl_actors::value::AppName;

use super::Verb;
use super::error::{self, CliError};
use super::report::{self, Seen};
use super::session::{Session, never_started};
use crate::control::status::{AppStatus, State};
use crate::observe::processes::{Snapshot, Tree};

#[derive(Args, Debug)]
pub(super) struct Status {
    /// Apps to tell of [default: all that have been started]
    #[arg(value_name = "APP")]
    apps: Vec<String>,
    /// A block of facts for each app
    #[arg(short, long)]
    long: bool,
    /// Every app below the root, also those that were never started
    #[arg(short, long, conflicts_with = "apps")]
    all: bool,
    /// The processes of each app
    #[arg(short, long)]
    processes: bool,
    /// What each app uses: memory, processor time, files, and how much of its limits
    #[arg(short, long)]
    resources: bool,
    /// The same as JSON
    #[arg(long)]
    json: bool,
    #[arg(short, long, hide = true)]
    watch: bool,
    #[arg(long, hide = true, value_name = "SEC")]
    refresh: Option<String>,
    #[arg(long, hide = true)]
    health: bool,
}

impl Verb for Status {
    const NAME: &'static str = "status";
    const ABOUT: &'static str = "Tell how apps are";
    const MORE: &'static str = "\
The exit code is 3 when an app that was named is not running.

Examples:
  daemonctl status web
  daemonctl status -l -p web
  daemonctl status --resources
  daemonctl status --json | jq '.apps[].state'";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let later = [(self.watch, "--watch"), (self.refresh.is_some(), "--refresh"), (self.health, "--health")];
        session.refuse("status", &later)?;
        let apps = self.find(session)?;
        if apps.is_empty() && !self.json {
            session.screen.note("no app has been started; daemonctl list shows those there are");
        }
        let looks = self.processes || self.resources;
        let snapshot = if looks { snapshot()? } else { Snapshot::default() };
        let mut seen: Vec<Seen> = apps.into_iter().map(|app| Seen::new(app, &snapshot)).collect();
        if self.resources {
            seen.iter_mut().for_each(Seen::measure);
        }
        match self.processes {
            true => seen.iter_mut().filter_map(|app| app.processes.as_mut()).for_each(Tree::read_commands),
            false => seen.iter_mut().for_each(|app| app.processes = None),
        }
        session.screen.result(&self.render(&seen, session.screen.color))?;
        let good = self.apps.is_empty() || seen.iter().all(|app| app.status.state == State::Running);
        Ok(ExitCode::from(if good { 0 } else { error::NOT_RUNNING }))
    }
}

impl Status {
    /// What is known of the apps in question, in the order they were named.
    fn find(&self, session: &mut Session) -> Result<Vec<AppStatus>, CliError> {
        if self.apps.is_empty() {
            let mut known = if self.all { every_app(session)? } else { session.status(&[])? };
            known.sort_by(|a, b| a.name.cmp(&b.name));
            return Ok(known);
        }
        let names = session.running_apps(&self.apps)?;
        let mut known = session.status(&names)?;
        let mut found = Vec::new();
        for name in names {
            found.push(match known.iter().position(|status| status.name == name) {
                Some(at) => known.swap_remove(at),
                None => never_started(session.apps(&[name.to_string()])?.first().ok_or_else(|| gone(&name))?),
            });
        }
        Ok(found)
    }

    fn render(&self, apps: &[Seen], color: bool) -> String {
        if self.json {
            return report::status_json(apps);
        }
        if !self.long && !self.processes && !self.resources {
            let apps: Vec<_> = apps.iter().map(|app| app.status.clone()).collect();
            return report::lines(&apps, now(), color);
        }
        let mut told = Vec::new();
        for Seen { status, processes, resources } in apps {
            let mut text = match self.long {
                true => report::block(status, now(), color),
                false => report::lines(std::slice::from_ref(status), now(), color),
            };
            text.push_str(&resources.as_ref().map(report::resources).unwrap_or_default());
            text.push_str(&processes.as_ref().map(|tree| report::processes(tree, color)).unwrap_or_default());
            told.push(text);
        }
        told.join("\n")
    }
}

fn gone(app: &AppName) -> CliError {
    CliError::failed("find", app, "it has gone", None)
}

/// Every app below the root, and those that run although their directory has gone, by name.
pub(super) fn every_app(session: &mut Session) -> Result<Vec<AppStatus>, CliError> {
    let mut all = session.status(&[])?;
    for app in session.all_apps()? {
        if !all.iter().any(|status| status.name == *app.name()) {
            all.push(never_started(&app));
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// All processes there are.
pub(super) fn snapshot() -> Result<Snapshot, CliError> {
    Snapshot::take().map_err(|error| CliError::Io { doing: "read /proc".into(), source: std::io::Error::other(error) })
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
