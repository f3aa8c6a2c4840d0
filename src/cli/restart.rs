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
use crate::app::Shown;
use crate::config::{self, Ask, Origin, Sources, layers};
use crate::control::protocol::{self, Command};

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
            unheeded(session, app, &environment)?.iter().for_each(|warning| session.screen.note(warning));
            outdone(session, app, &ask)?.iter().for_each(|warning| session.screen.note(warning));
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

/// A warning for each variable of this shell that sets an option of an app and that its restart does not heed: an app that
/// a supervisor has keeps the environment of its start.
fn unheeded(
    session: &mut Session,
    app: &AppName,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<String>, CliError> {
    let mine = layers::variables_of(app, environment, session.root()?.path());
    if mine.is_empty() || session.status(std::slice::from_ref(app))?.iter().all(|app| app.supervisor.is_none()) {
        return Ok(Vec::new());
    }
    let Some(record) = session.fleet()?.record(app) else { return Ok(Vec::new()) };
    let kept = |variable: &str, text: &str| record.asked.environment.get(variable).is_some_and(|kept| kept == text);
    let unheeded = mine.into_iter().filter(|(variable, text)| !kept(variable, text));
    let warning = |(variable, _)| {
        format!("warning: {app}: {variable} of this shell is not heeded: a restart keeps the variables of the start")
    };
    Ok(unheeded.map(warning).collect())
}

/// A warning for each option that the files set and that a restart takes from a flag of the start instead.
fn outdone(session: &mut Session, app: &AppName, ask: &Ask) -> Result<Vec<String>, CliError> {
    if session.status(std::slice::from_ref(app))?.iter().all(|app| app.supervisor.is_none()) {
        return Ok(Vec::new());
    }
    let Some(record) = session.fleet()?.record(app) else { return Ok(Vec::new()) };
    let kept: Vec<_> =
        record.asked.ask.settings.iter().filter(|kept| ask.settings.iter().all(|new| new.key != kept.key)).collect();
    let root = session.root()?;
    let Ok(found) = root.app(app.as_str()) else { return Ok(Vec::new()) };
    let values = |ask: &Ask| {
        let environment = &record.asked.environment;
        let sources = Sources { root: root.path(), app, app_config: found.config(), ask, environment };
        config::resolve(&sources).ok().map(|resolved| (resolved.options.values(), resolved.origins))
    };
    let Some((with, _)) = values(&record.asked.ask.followed_by(ask)).filter(|_| !kept.is_empty()) else {
        return Ok(Vec::new());
    };
    let Some((without, origins)) = values(ask) else { return Ok(Vec::new()) };
    let outdone = kept.into_iter().filter_map(|setting| {
        let key = setting.key.as_str();
        let (Origin::App { file, line } | Origin::Global { file, line }) = origins.get(key)? else { return None };
        (with.get(key) != without.get(key)).then(|| {
            format!(
                "warning: {app}: {key} of {}:{line} does not count: a restart keeps the {} of the start; stop and start {app}",
                file.shown(),
                setting.origin
            )
        })
    });
    Ok(outdone.collect())
}
