//! `daemonctl status`.

use std::io;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use daemonctl_actors::value::AppName;
use jiff::Zoned;
use jiff::tz::TimeZone;

use super::Verb;
use super::drift;
use super::error::{self, CliError};
use super::options;
use super::recent::recent;
use super::report::{self, Seen, View};
use super::screen::Screen;
use super::session::{Session, never_started};
use crate::app::{App, AppError};
use crate::control::status::{AppStatus, State};
use crate::observe::confinement::Confinement;
use crate::observe::processes::{Snapshot, Tree};

/// How many of its last lines the block of an app ends with.
const LINES: usize = 5;

#[derive(Args, Debug)]
pub(super) struct Status {
    /// Apps to tell of [default: all that have been started]
    #[arg(value_name = "APP")]
    apps: Vec<String>,
    /// A block of facts for each app, as one app that is named has on a terminal
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
    /// What the health checks of each app say, and when the next one is
    #[arg(long)]
    health: bool,
    /// The same as JSON
    #[arg(long)]
    json: bool,
    #[arg(short, long, hide = true)]
    watch: bool,
    #[arg(long, hide = true, value_name = "SEC")]
    refresh: Option<String>,
}

impl Verb for Status {
    const NAME: &'static str = "status";
    const ABOUT: &'static str = "Tell how apps are";
    const MORE: &'static str = "\
NOTE says why an app is as it is, and what comes next. One app that is named is told of at length on
a terminal, in a pipe with -l. The exit code is 3 when an app that was named is not running.

Examples:
  daemonctl status
  daemonctl status web
  daemonctl status -l web db | less
  daemonctl status --health
  daemonctl status --json | jq '.apps[].state'";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        session.refuse("status", &[(self.watch, "--watch"), (self.refresh.is_some(), "--refresh")])?;
        let apps = self.find(session)?;
        if apps.is_empty() && !self.json {
            session.screen.note("no app has been started; daemonctl list shows those there are");
        }
        let form = self.form(session.screen);
        let looks = self.processes || self.resources || form == Form::Blocks;
        let runs = apps.iter().any(|app| app.pid.is_some());
        let snapshot = if looks && runs { snapshot()? } else { Snapshot::default() };
        let mut seen: Vec<Seen> = apps.into_iter().map(|app| Seen::new(app, &snapshot)).collect();
        self.look(&mut seen, form);
        self.show(session.screen, &seen, form)?;
        let good = self.apps.is_empty() || seen.iter().all(|app| app.status.state == State::Running);
        Ok(ExitCode::from(if good { 0 } else { error::NOT_RUNNING }))
    }
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    /// A line an app.
    Lines,
    /// A line an app, and what was asked for below it.
    Parts,
    /// All that is known of each app.
    Blocks,
}

impl Status {
    fn form(&self, screen: Screen) -> Form {
        let parts = self.processes || self.resources || self.health;
        match (self.json, self.long, parts) {
            (true, ..) => Form::Json,
            (false, true, _) => Form::Blocks,
            (false, false, true) => Form::Parts,
            (false, false, false) if screen.terminal && self.apps.len() == 1 => Form::Blocks,
            (false, false, false) => Form::Lines,
        }
    }

    /// What is known of the apps in question, in the order they were named.
    fn find(&self, session: &mut Session) -> Result<Vec<AppStatus>, CliError> {
        if self.all {
            return every_app(session);
        }
        if self.apps.is_empty() {
            let mut known = session.status(&[])?;
            known.sort_by(|a, b| a.name.cmp(&b.name));
            examine(session, &mut known)?;
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
        examine(session, &mut found)?;
        Ok(found)
    }

    /// Looks at apps from outside, as far as that will be shown.
    fn look(&self, apps: &mut [Seen], form: Form) {
        for app in apps {
            let limited = form == Form::Blocks && !app.status.limits.is_empty();
            if self.resources || limited {
                app.measure();
            }
            if form == Form::Blocks {
                app.confinement = app.status.sandbox.as_ref().and(app.status.pid).and_then(Confinement::of);
                app.recent = last_lines(&app.status);
            }
            match self.processes || form == Form::Blocks {
                true => app.processes.iter_mut().for_each(Tree::read_commands),
                false => app.processes = None,
            }
        }
    }

    fn show(&self, screen: Screen, apps: &[Seen], form: Form) -> Result<(), CliError> {
        let view = view(screen);
        match form {
            Form::Json => screen.result(&report::status_json(apps, view.now)),
            _ if apps.is_empty() => Ok(()),
            Form::Lines => {
                let lines = report::lines(&apps.iter().map(|app| &app.status).collect::<Vec<_>>(), &view);
                screen.result(&lines.text)?;
                report::left_out(&lines, view.width).iter().for_each(|hint| screen.note(hint));
                Ok(())
            }
            Form::Parts => screen.result(&apps.iter().map(|app| self.parts(app, &view)).collect::<Vec<_>>().join("\n")),
            Form::Blocks => {
                let view = View { zone: TimeZone::system(), ..view };
                screen.result(&apps.iter().map(|app| self.whole(app, &view)).collect::<Vec<_>>().join("\n"))
            }
        }
    }

    /// A line, and below it what was asked for.
    fn parts(&self, app: &Seen, view: &View) -> String {
        let mut text = report::line(&app.status, view);
        if self.health {
            text += &report::checks(&app.status, view);
        }
        text += &self.uses(app, view);
        text + &app.processes.as_ref().map(|tree| report::processes(tree, view)).unwrap_or_default()
    }

    /// A block, with what is in it only on request.
    fn whole(&self, app: &Seen, view: &View) -> String {
        let unchecked = self.health && app.status.check.is_none();
        let health = if unchecked { report::checks(&app.status, view) } else { String::new() };
        let more = health + &self.uses(app, view);
        report::block(app, view) + if more.is_empty() { "" } else { "\n" } + &more
    }

    fn uses(&self, app: &Seen, view: &View) -> String {
        let used = app.resources.as_ref().filter(|_| self.resources);
        used.map(|used| report::resources(used, view)).unwrap_or_default()
    }
}

fn gone(app: &AppName) -> CliError {
    CliError::failed("find", app, "it has gone", None)
}

/// The last lines of both outputs.
fn last_lines(app: &AppStatus) -> Vec<report::Recent> {
    let files = [("out", app.stdout.as_deref()), ("err", app.stderr.as_deref())];
    let files: Vec<_> = files.into_iter().filter_map(|(sign, path)| Some((sign, path?))).collect();
    if files.is_empty() { Vec::new() } else { recent(&files, LINES, Zoned::now()) }
}

/// Every app below the root, and those that run although their directory has gone, by name.
pub(super) fn every_app(session: &mut Session) -> Result<Vec<AppStatus>, CliError> {
    let mut all = session.status(&[])?;
    let root = session.root()?.clone();
    let failed = |source| CliError::Io { doing: format!("read {}", root.path().display()), source };
    for name in root.names().map_err(failed)? {
        if all.iter().any(|status| status.name == name) {
            continue;
        }
        match App::inspect(&root, &name) {
            Ok(app) => all.push(never_started(&app)),
            // What is no app at all is nobody's business; what was meant to be one is shown.
            Err(AppError::Empty(dir)) if drift::dangling(&dir).is_none() => {}
            Err(_) => {
                let path = root.path().join(name.as_str()).to_string_lossy().into_owned();
                all.push(AppStatus::unknown(name, path));
            }
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    examine(session, &mut all)?;
    for (path, why) in root.refused().map_err(failed)? {
        session.screen.note(&format!("{} is left out: {why}", path.display()));
    }
    Ok(all)
}

/// Looks at the files of apps: what has changed since their start, or what keeps them from being started.
fn examine(session: &mut Session, apps: &mut [AppStatus]) -> Result<(), CliError> {
    drift::since_start(apps);
    if apps.iter().all(AppStatus::is_active) {
        return Ok(());
    }
    let (ask, environment) = (options::plain(&session.globals)?, options::environment());
    let root = session.root()?;
    apps.iter_mut().for_each(|app| drift::at_rest(app, root, &ask, &environment));
    Ok(())
}

/// All processes there are.
pub(super) fn snapshot() -> Result<Snapshot, CliError> {
    Snapshot::take().map_err(|error| CliError::Io { doing: "read /proc".into(), source: io::Error::other(error) })
}

/// The moment and the screen. Times are universal unless the reader's zone is looked up, which takes longer than most
/// reports do.
pub(super) fn view(screen: Screen) -> View {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    View { now, zone: TimeZone::UTC, width: screen.width(), color: screen.color }
}
