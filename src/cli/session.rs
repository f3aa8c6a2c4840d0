//! What a command works with: the apps root, the supervisors that look after its apps, and the screen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use daemonctl_actors::value::AppName;

use super::error::CliError;
use super::globals::Globals;
use super::options;
use super::outcome::{self, Act};
use super::progress::{Progress, Shared, StartLimit};
use super::screen::Screen;
use super::tally::Tally;
use crate::app::{App, Root, Shown};
use crate::control::client::ClientError;
use crate::control::protocol::{AppReply, Command, FailureKind, Outcome};
use crate::control::status::AppStatus;
use crate::supervise::runtime::RuntimeDir;
use crate::supervise::{Fleet, FleetError};

/// How often a supervisor may go away before it answers. It leaves when its last app has ended, which can be just
/// when a command finds it; the next one that is found, or started, will answer.
const MAX_RETRIES: usize = 10;

/// How long hooks may keep a supervisor from answering that an app has stopped, or is up.
pub(super) const HOOKS: Duration = Duration::from_secs(30);

/// One run of the program.
pub(super) struct Session {
    /// The options that every command has.
    pub(super) globals: Globals,
    /// Where to speak.
    pub(super) screen: Screen,
    /// What is shown of waiting.
    pub(super) progress: Shared,
    root: Option<Root>,
    fleet: Option<Fleet>,
}

/// A command for some apps.
#[derive(Clone, Copy)]
pub(super) struct Order<'a> {
    /// What it does to them.
    pub(super) act: Act,
    /// Which.
    pub(super) apps: &'a [AppName],
    /// What to do about those that no supervisor has.
    pub(super) absent: Absent,
    /// How long a supervisor may take for its share; as long as it likes, where only it knows how long apps take.
    pub(super) deadline: Option<Duration>,
    /// The request that each supervisor gets for its share.
    pub(super) request: &'a dyn Fn(Vec<AppName>) -> Command,
}

/// What to do about an app that no supervisor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// Send it to the background supervisor, starting one if there is none.
    ToBackground,
    /// Then there is nothing to be done.
    NotRunning,
}

/// What is said of each app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Say {
    /// What became of it.
    Each,
    /// Only why it failed.
    Failures,
}

impl Session {
    pub(super) fn new(globals: Globals, screen: Screen) -> Self {
        let progress = Shared::new(Progress::new(screen).into());
        Self { globals, screen, progress, root: None, fleet: None }
    }

    /// The apps root.
    pub(super) fn root(&mut self) -> Result<&Root, CliError> {
        match self.root.take() {
            Some(root) => Ok(self.root.insert(root)),
            None => Ok(self.root.insert(Root::open(self.globals.root())?)),
        }
    }

    /// Every app below the root.
    pub(super) fn all_apps(&mut self) -> Result<Vec<App>, CliError> {
        let root = self.root()?;
        let doing = format!("read {}", root.path().shown());
        root.apps().map_err(|source| CliError::Io { doing, source })
    }

    /// The apps that were named. A name that is not an app's stops the command before it has done anything.
    pub(super) fn apps(&mut self, names: &[String]) -> Result<Vec<App>, CliError> {
        let root = self.root()?;
        unique(names).into_iter().map(|name| root.app(name).map_err(CliError::from)).collect()
    }

    /// The same for commands that do something to what runs: an app whose directory is gone may still run, and must
    /// remain within reach.
    pub(super) fn running_apps(&mut self, names: &[String]) -> Result<Vec<AppName>, CliError> {
        let mut apps = Vec::new();
        for name in unique(names) {
            let missing = match self.root()?.app(name) {
                Ok(app) => {
                    apps.push(app.name().clone());
                    continue;
                }
                Err(error) => error,
            };
            let Ok(parsed) = name.parse::<AppName>() else { return Err(missing.into()) };
            if self.status(std::slice::from_ref(&parsed))?.is_empty() {
                return Err(missing.into());
            }
            apps.push(parsed);
        }
        Ok(apps)
    }

    /// Every supervisor of the root. What there is to know about them is said once.
    pub(super) fn fleet(&mut self) -> Result<&mut Fleet, CliError> {
        let fleet = match self.fleet.take() {
            Some(fleet) => fleet,
            None => {
                let runtime = RuntimeDir::open(&|name| std::env::var(name).ok())?;
                let patience = self.globals.op_timeout();
                let fleet = Fleet::open(self.root()?, runtime, patience)?;
                fleet.notices().iter().for_each(|notice| self.screen.note(notice));
                fleet
            }
        };
        Ok(self.fleet.insert(fleet))
    }

    /// What is known of these apps, or of all. Apps that were never started are not known.
    pub(super) fn status(&mut self, apps: &[AppName]) -> Result<Vec<AppStatus>, CliError> {
        Ok(self.fleet()?.status(apps)?)
    }

    /// Brings an order to the supervisors that have the apps, tells what became of each as it comes, and counts it.
    pub(super) fn order(&mut self, order: &Order<'_>, say: Say, tally: &mut Tally) -> Result<(), CliError> {
        let (screen, verbose) = (self.screen, self.globals.verbose);
        let mut printed = Ok(());
        let progress = Shared::clone(&self.progress);
        progress.borrow_mut().expect(order.apps.len());
        let mut lost = Vec::new();
        let delivered = self.deliver(order, &mut lost, &mut |reply| match outcome::tell(order.act, &reply, verbose) {
            Ok(told) => {
                progress.borrow_mut().told(&reply.app, true);
                tally.add(&reply);
                told.warnings.iter().for_each(|warning| screen.note(warning));
                // Whether anybody reads is no reason to leave apps half done.
                if say == Say::Each && printed.is_ok() {
                    printed = screen.done(&told.done);
                }
            }
            Err(error) => {
                progress.borrow_mut().told(&reply.app, false);
                tally.fail(&reply.app, error.code());
                screen.error(&error);
            }
        });
        if !self.progress.borrow().is_of_all() {
            screen.clear();
        }
        for (app, error) in lost {
            tally.fail(&app, error.code());
            screen.error(&error);
        }
        delivered?;
        printed
    }

    /// Brings an order to whoever has the apps. Those whose supervisor cannot be asked are put to the `lost`; the others
    /// are dealt with all the same.
    fn deliver(
        &mut self,
        order: &Order<'_>,
        lost: &mut Vec<(AppName, CliError)>,
        tell: &mut dyn FnMut(AppReply),
    ) -> Result<(), CliError> {
        let mut left = order.apps.to_vec();
        let mut result = Ok(());
        let mut refused = BTreeSet::new();
        let mut tries = MAX_RETRIES;
        while tries > 0 {
            tries -= 1;
            // Another supervisor may have started an app a moment before: then that one is asked. But only once: the
            // app may be in the hands of a supervisor out of our reach.
            let mut taken = Vec::new();
            result = self.deliver_once(order, &mut left, &mut |reply| match &reply.outcome {
                Outcome::Failed(failure) if failure.kind == FailureKind::Taken && refused.insert(reply.app.clone()) => {
                    taken.push(reply.app);
                }
                _ => tell(reply),
            });
            if !taken.is_empty() {
                self.fleet = None; // Look again who is there.
            }
            left.append(&mut taken);
            match &result {
                Ok(()) if !left.is_empty() => {}
                // It may have been started since its supervisor was looked for: look again in a moment.
                Err(CliError::OutOfReach { app, .. }) => {
                    self.fleet = None;
                    if tries > 0 && lost.is_empty() {
                        let _ = nix::poll::poll(&mut [], 10u16);
                    } else {
                        let app = app.clone();
                        left.retain(|other| *other != app);
                        tries = MAX_RETRIES;
                        let error = std::mem::replace(&mut result, Ok(()));
                        lost.extend(error.err().map(|error| (app.clone(), error.of(order.act, &[app]))));
                        if left.is_empty() {
                            break;
                        }
                    }
                }
                Err(
                    CliError::Client(ClientError::Closed) | CliError::Fleet(FleetError::Client(ClientError::Closed)),
                ) if !left.is_empty() => {
                    self.fleet = None;
                }
                _ => break,
            }
        }
        result.map_err(|error| error.of(order.act, &left))
    }

    fn deliver_once(
        &mut self,
        order: &Order<'_>,
        left: &mut Vec<AppName>,
        tell: &mut dyn FnMut(AppReply),
    ) -> Result<(), CliError> {
        let root = self.root()?.clone();
        let progress = Shared::clone(&self.progress);
        let fleet = self.fleet()?;
        for (supervised, apps) in by_supervisor(fleet, left)? {
            if !supervised && order.absent == Absent::NotRunning {
                left.retain(|app| !apps.contains(app));
                apps.into_iter().for_each(|app| tell(AppReply { app, outcome: Outcome::NotRunning }));
                continue;
            }
            let known = if supervised { fleet.supervisor_of(&apps[0]) } else { None };
            let client = match (known, order.absent) {
                (Some(client), _) => client,
                (None, Absent::ToBackground) => fleet.background()?,
                // It has ended since it was looked for: look again.
                (None, Absent::NotRunning) => return Err(ClientError::Closed.into()),
            };
            let request = (order.request)(apps.clone());
            let place = client.path().map(Path::to_owned);
            progress.borrow_mut().ask(order.act, &request, place, start_limit(&root, &request));
            let mut told_one = |reply: AppReply| {
                left.retain(|app| *app != reply.app);
                tell(reply);
            };
            let told =
                client.exchange_while(request, order.deadline, &mut told_one, &mut || progress.borrow_mut().idle());
            if let Err(ClientError::Interrupted) = told {
                return Err(CliError::Interrupted { goes_on: progress.borrow().goes_on() });
            }
            match told {
                // It told all there was to tell, and left with its last app.
                Err(ClientError::Broken) if !apps.iter().any(|app| left.contains(app)) => {}
                told => drop(told?),
            }
        }
        Ok(())
    }
}

/// How long apps may take to start where the command does not say it.
fn start_limit(root: &Root, request: &Command) -> Option<StartLimit> {
    let Command::Start(start) = request else { return None };
    let (root, ask) = (root.clone(), start.ask.clone());
    Some(Box::new(move |name| {
        let app = root.app(name.as_str()).ok()?;
        options::resolved(&root, &app, &ask).map(|options| options.process.start_timeout.0)
    }))
}

/// Names in the order given, each once.
fn unique(names: &[String]) -> Vec<&str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name.as_str()) {
            seen.push(name.as_str());
        }
    }
    seen
}

/// Splits apps by who has them: each supervisor's first, as those may be done already, and then those that nobody has.
fn by_supervisor(fleet: &mut Fleet, apps: &[AppName]) -> Result<Vec<(bool, Vec<AppName>)>, CliError> {
    let known = fleet.status(apps)?;
    // It runs, and nobody answers for it: to say that it does not run would be a lie.
    if let Some(lost) = known.iter().find(|status| status.is_active() && status.supervisor.is_none()) {
        return Err(out_of_reach(fleet, &lost.name, lost.pid));
    }
    let supervisor = |app: &AppName| known.iter().find(|status| status.name == *app && status.is_active())?.supervisor;
    let mut groups: BTreeMap<Option<i32>, Vec<AppName>> = BTreeMap::new();
    for app in apps {
        groups.entry(supervisor(app)).or_default().push(app.clone());
    }
    Ok(groups.into_iter().rev().map(|(supervisor, apps)| (supervisor.is_some(), apps)).collect())
}

/// That an app runs and cannot be reached, and why that is.
pub(super) fn out_of_reach(fleet: &Fleet, app: &AppName, pid: Option<i32>) -> CliError {
    CliError::OutOfReach { app: app.clone(), pid, holder: fleet.holder(app), runtime: fleet.runtime().to_owned() }
}

/// An app of which nothing is known: it was never started.
pub(super) fn never_started(app: &App) -> AppStatus {
    let version = app.version().map(str::to_owned);
    AppStatus { version, ..AppStatus::unknown(app.name().clone(), app.dir().to_string_lossy().into_owned()) }
}
