//! `daemonctl start-all`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use daemonctl_actors::value::AppName;

use super::error::CliError;
use super::known::no_app_at_all;
use super::options::environment;
use super::outcome::Act;
use super::session::{Absent, HOOKS, Order, Say, Session};
use super::start::names;
use super::stop::would;
use super::tally::Tally;
use super::{Verb, options, text};
use crate::app::{App, Shown};
use crate::config::Ask;
use crate::control::protocol::{self, Command};

#[derive(Args, Debug)]
pub(super) struct StartAll {
    /// Only apps that have a .version file
    #[arg(short = 'a', long)]
    only_active: bool,
    /// Leave this app out; may be given several times
    #[arg(short = 'x', long, value_name = "APP")]
    exclude: Vec<String>,
    /// The longest wait for each app
    #[arg(short, long, value_name = "SEC", default_value = "60", value_parser = text::duration)]
    timeout: Duration,
    /// Start all at the same time, not one after the other
    #[arg(short, long)]
    parallel: bool,
    /// Wait until each app is ready, not only until it has been exec'ed
    #[arg(short, long)]
    wait: bool,
    /// A line for each app, not only for those that fail
    #[arg(short = 'V', long)]
    verbose: bool,
}

impl Verb for StartAll {
    const NAME: &'static str = "start-all";
    const ABOUT: &'static str = "Start every app below the root";
    const MORE: &'static str = "\
Apps that run, and those with daemon.enabled = false, are left as they are.

Examples:
  daemonctl start-all --parallel --wait
  daemonctl start-all -x batch -x cron
  daemonctl -n start-all              say which would be started";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let ask = options::plain(&session.globals)?;
        let mut tally = Tally::default();
        let apps = self.choose(session, &ask, &mut tally)?;
        if apps.is_empty() {
            no_app_at_all(session)?.iter().for_each(|told| session.screen.note(told));
        }
        if session.globals.dry_run {
            session.screen.result(&would("start", &apps))?;
            return Ok(ExitCode::SUCCESS);
        }
        session.progress.borrow_mut().of_all(Self::NAME, apps.len());
        let turns = if self.parallel { 1 } else { apps.len() as u32 };
        let deadline = Some((self.timeout + HOOKS) * turns + session.globals.op_timeout());
        let start = protocol::Start {
            apps: Vec::new(),
            ask,
            environment: environment(),
            wait: self.wait,
            timeout: Some(self.timeout),
            sequential: !self.parallel,
        };
        let request = |apps| Command::Start(protocol::Start { apps, ..start.clone() });
        let act = Act::Start { wait: self.wait };
        let order = Order { act, apps: &apps, absent: Absent::ToBackground, deadline, request: &request };
        session.order(&order, self.say(session), &mut tally)?;
        session.screen.done(&tally.summary("started", "already running"))?;
        Ok(tally.exit_of_all())
    }
}

impl StartAll {
    fn say(&self, session: &Session) -> Say {
        if self.verbose || session.globals.verbose { Say::Each } else { Say::Failures }
    }

    /// The apps that are to be started; the others are counted as skipped.
    fn choose(&self, session: &mut Session, ask: &Ask, tally: &mut Tally) -> Result<Vec<AppName>, CliError> {
        let excluded = names(&session.apps(&self.exclude)?);
        let mut chosen = Vec::new();
        for app in session.all_apps()? {
            match self.objection(session, &app, &excluded, ask)? {
                None => chosen.push(app.name().clone()),
                Some(why) => {
                    tally.skipped += 1;
                    if self.say(session) == Say::Each {
                        session.screen.done(&format!("skipped {} ({why})", app.name()))?;
                    }
                }
            }
        }
        // What was meant to be an app is not passed over in silence: its start says what keeps it from being one.
        if !self.only_active {
            let root = session.root()?;
            let doing = format!("read {}", root.path().shown());
            chosen.extend(root.broken().map_err(|source| CliError::Io { doing, source })?);
            chosen.retain(|name| !excluded.contains(name));
        }
        Ok(chosen)
    }

    /// Why an app is left out.
    fn objection(
        &self,
        session: &mut Session,
        app: &App,
        excluded: &[AppName],
        ask: &Ask,
    ) -> Result<Option<&'static str>, CliError> {
        if excluded.contains(app.name()) {
            return Ok(Some("excluded"));
        }
        if self.only_active && app.version().is_none() {
            return Ok(Some("it has no .version"));
        }
        // A configuration with mistakes is no reason to skip an app: its start will tell them.
        let enabled = options::resolved(session.root()?, app, ask).is_none_or(|options| options.daemon.enabled);
        Ok((!enabled).then_some("daemon.enabled is false"))
    }
}
