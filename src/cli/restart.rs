//! `daemonctl restart`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use daemonctl_actors::value::AppName;

use super::error::CliError;
use super::options::{AppOptions, environment};
use super::outcome::Act;
use super::session::{Absent, HOOKS, Order, Say, Session};
use super::start::names;
use super::stop::would;
use super::tally::Tally;
use super::{Verb, text};
use crate::app::{Root, Shown};
use crate::config::{self, Ask, Origin, Setting, Sources, layers};
use crate::control::protocol::{self, Command};
use crate::supervise::instance::Asked;
use crate::supervise::record::Record;

#[derive(Args, Debug)]
pub(super) struct Restart {
    /// Apps to restart
    #[arg(value_name = "APP", required = true)]
    apps: Vec<String>,
    /// SIGKILL the running app at once
    #[arg(short, long)]
    force: bool,
    /// Wait until each app is ready, not only until it has been exec'ed
    #[arg(short, long)]
    wait: bool,
    /// Time between the stop signal and SIGKILL [default: the app's process.stop_timeout]
    #[arg(long, value_name = "SEC", value_parser = text::duration)]
    stop_timeout: Option<Duration>,
    /// The longest wait for the start [default: the app's process.start_timeout]
    #[arg(long, value_name = "SEC", value_parser = text::duration)]
    start_timeout: Option<Duration>,
    /// Pause between stop and start
    #[arg(long, value_name = "SEC", value_parser = text::duration)]
    delay: Option<Duration>,
    #[command(flatten)]
    options: AppOptions,
}

impl Verb for Restart {
    const NAME: &'static str = "restart";
    const ABOUT: &'static str = "Stop apps and start them again, configured as they are now";
    const MORE: &'static str = "\
An app that does not run is started. One that runs keeps the flags of its start, which count for more
than files, and the variables of the shell that started it; stop and start leave both behind.

Examples:
  daemonctl restart web
  daemonctl restart --wait --stop-timeout 5s web";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let apps = names(&session.apps(&self.apps)?);
        if self.options.foreground() {
            let message = "restart does not take --foreground: an app stays with the supervisor it has";
            let hint = Some("stop the app, and run it".to_owned());
            return Err(CliError::Usage { message: message.to_owned(), hint });
        }
        let ask = self.options.ask(&session.globals)?;
        if session.globals.dry_run {
            session.screen.result(&would("restart", &apps))?;
            return Ok(ExitCode::SUCCESS);
        }
        let environment = environment();
        for app in &apps {
            let Some(record) = kept(session, app)? else { continue };
            let root = session.root()?;
            let warnings = unheeded(root, app, &environment, &record.asked);
            warnings.into_iter().chain(outdone(root, app, &ask, &record.asked)).for_each(|warning| {
                session.screen.note(&format!("warning: {app}: {warning}"));
            });
        }
        let start = protocol::Start {
            apps: Vec::new(),
            ask,
            environment,
            wait: self.wait,
            timeout: self.start_timeout,
            sequential: false,
        };
        let deadline = self.start_timeout.zip(self.stop_timeout).map(|(start, stop)| {
            start + stop + self.delay.unwrap_or_default() + 2 * HOOKS + session.globals.op_timeout()
        });
        let request = |apps| {
            let (stop_timeout, force, delay) = (self.stop_timeout, self.force, self.delay);
            let start = protocol::Start { apps, ..start.clone() };
            Command::Restart(protocol::Restart { start, stop_timeout, force, delay })
        };
        let act = Act::Restart { wait: self.wait };
        let order = Order { act, apps: &apps, absent: Absent::ToBackground, deadline, request: &request };
        let mut tally = Tally::default();
        session.order(&order, Say::Each, &mut tally)?;
        Ok(tally.exit())
    }
}

/// What is recorded of an app that a supervisor has: its restart keeps what its start was asked with.
fn kept(session: &mut Session, app: &AppName) -> Result<Option<Record>, CliError> {
    let is_kept = session.status(std::slice::from_ref(app))?.iter().any(|app| app.supervisor.is_some());
    if is_kept { Ok(session.fleet()?.record(app)) } else { Ok(None) }
}

/// A warning for each variable of this shell that sets an option of an app and that its restart does not heed.
fn unheeded(root: &Root, app: &AppName, environment: &BTreeMap<String, String>, start: &Asked) -> Vec<String> {
    let mine = layers::variables_of(app, environment, root.path());
    let is_kept = |variable: &str, text: &str| start.environment.get(variable).is_some_and(|kept| kept == text);
    let unheeded = mine.into_iter().filter(|(variable, text)| !is_kept(variable, text));
    let warning =
        |(variable, _)| format!("{variable} of this shell is not heeded: a restart keeps the variables of the start");
    unheeded.map(warning).collect()
}

/// A warning for each option that the files set and that a restart takes from a flag of the start instead.
fn outdone(root: &Root, app: &AppName, ask: &Ask, start: &Asked) -> Vec<String> {
    let is_new = |kept: &Setting| ask.settings.iter().all(|new| new.key != kept.key);
    let kept: Vec<&Setting> = start.ask.settings.iter().filter(|kept| is_new(kept)).collect();
    let Some(found) = root.app(app.as_str()).ok().filter(|_| !kept.is_empty()) else { return Vec::new() };
    let resolved = |ask: &Ask| {
        let environment = &start.environment;
        let sources = Sources { root: root.path(), app, app_config: found.config(), ask, environment };
        config::resolve(&sources).ok().map(|resolved| (resolved.options.values(), resolved.origins))
    };
    let all = resolved(&start.ask.followed_by(ask)).zip(resolved(ask));
    let Some(((with, _), (without, origins))) = all else { return Vec::new() };
    let outdone = kept.into_iter().filter_map(|Setting { key, origin, .. }| {
        let (Origin::App { file, line } | Origin::Global { file, line }) = origins.get(key.as_str())? else {
            return None;
        };
        let is_outdone = with.get(key.as_str()) != without.get(key.as_str());
        let why = format!("a restart keeps the {origin} of the start; stop and start {app}");
        is_outdone.then(|| format!("{key} of {}:{line} does not count: {why}", file.shown()))
    });
    outdone.collect()
}
