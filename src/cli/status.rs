//! `daemonctl status`.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use jiff::tz::TimeZone;

use super::error::{self, CliError};
use super::known::{Which, no_app_at_all};
use super::report::{self, Seen, View};
use super::screen::Screen;
use super::session::Session;
use super::watch::{self, Part, Watch};
use super::{Verb, recent, text};
use crate::app::Shown;
use crate::control::status::State;
use crate::observe::confinement::Confinement;
use crate::observe::processes::{Snapshot, Tree};

/// How many of its last lines the block of an app ends with.
const LINES: usize = 5;

/// How often `--watch` looks.
const REFRESH: Duration = Duration::from_secs(2);

/// How often it may look at most: a look at many apps takes some milliseconds.
const FASTEST: Duration = Duration::from_millis(100);

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
    /// Show it again and again: on a terminal a screen with keys, elsewhere one report after another
    #[arg(short, long)]
    watch: bool,
    /// How often --watch looks [default: 2]
    #[arg(long, value_name = "SEC", value_parser = refresh)]
    refresh: Option<Duration>,
}

impl Verb for Status {
    const NAME: &'static str = "status";
    const ABOUT: &'static str = "Tell how apps are";
    const MORE: &'static str = "\
NOTE says why an app is as it is, and what comes next. One app that is named is told of at length on
a terminal, in a pipe with -l. The exit code is 3 when an app that was named is not running.
--watch tells its keys with ?; -l, --resources and --health choose what it shows of the selected app.

Examples:
  daemonctl status
  daemonctl status web
  daemonctl status -l web db | less
  daemonctl status --health
  daemonctl status -w
  daemonctl status --json | jq '.apps[].state'";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        if !self.watch && self.refresh.is_some() {
            let hint = Some("see daemonctl status --help".to_owned());
            return Err(CliError::Usage { message: "--refresh needs --watch".to_owned(), hint });
        }
        if !self.watch {
            return self.report(session);
        }
        let every = self.refresh.unwrap_or(REFRESH);
        if session.screen.canvas && !self.json && io::stdin().is_terminal() {
            let part = match (self.long, self.resources, self.health) {
                (true, ..) => Part::All,
                (false, true, _) => Part::Resources,
                (false, false, true) => Part::Health,
                (false, false, false) => Part::Processes,
            };
            return watch::watch(session, Watch { which: self.which(), part, every });
        }
        loop {
            if !self.json {
                session
                    .screen
                    .result(&format!("{}\n", report::moment(view(session.screen).now, &TimeZone::system())))?;
            }
            // Supervisors come and go.
            self.report(&mut Session::new(session.globals.clone(), session.screen))?;
            if !watch::pause(every) {
                return Ok(ExitCode::SUCCESS);
            }
            if !self.json {
                session.screen.result("\n")?;
            }
        }
    }
}

impl Status {
    fn which(&self) -> Which {
        Which { names: self.apps.clone(), all: self.all }
    }

    /// Tells how apps are at this moment.
    fn report(&self, session: &mut Session) -> Result<ExitCode, CliError> {
        let apps = self.which().find(session)?;
        if apps.is_empty() && !self.json {
            let told = match no_app_at_all(session)? {
                Some(told) => told,
                None => {
                    let root = session.root()?.path().shown();
                    format!("no app has been started below {root}; daemonctl list shows those there are")
                }
            };
            session.screen.note(&told);
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

    /// Looks at apps from outside, as far as that will be shown.
    fn look(&self, apps: &mut [Seen], form: Form) {
        for app in apps {
            let limited = form == Form::Blocks && !app.status.limits.is_empty();
            if self.resources || limited {
                app.measure();
            }
            if form == Form::Blocks {
                app.confinement = app.status.sandbox.as_ref().and(app.status.pid).and_then(Confinement::of);
                app.recent = recent::of(&app.status, LINES);
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
            Form::Json if self.watch => screen.result(&report::status_json_line(apps, view.now)),
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

/// Reads the time between two looks.
fn refresh(given: &str) -> Result<Duration, String> {
    match text::duration(given)? {
        time if time < FASTEST => Err(format!("{given} is too fast: {} is the least", text::span(FASTEST))),
        time => Ok(time),
    }
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
