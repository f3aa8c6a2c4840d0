//! `start --attach`: a terminal that stays with apps after their start.
//!
//! It looks like `run`'s, as both write on the same [`Board`], but it reads the log files: at its own pace, so that it
//! skips nothing and slows nobody. Beside output it shows the events of the apps, which say what became of them.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use daemonctl_actors::log_collector::Stream;
use daemonctl_actors::value::{AppName, ExitStatus, Signal};

use super::error::CliError;
use super::grid::paint;
use super::live::{Broken, unread};
use super::options;
use super::run::labels;
use super::session::Session;
use crate::app::{App, Shown};
use crate::config::Ask;
use crate::config::values::Level;
use crate::control::status::{AppStatus, State};
use crate::logs::follow::{Tail, Watch, Woken};
use crate::logs::happening::Happening;
use crate::logs::terminal::{Board, source};
use crate::logs::{Files, events, real};

/// How often it is looked whether an app still runs.
const LOOK: Duration = Duration::from_millis(200);

/// The most that is read of a log before it is the next one's turn, in bytes.
const TURN: u64 = 1 << 20;

/// Output of several logs that is held to be put in order, in bytes.
const HELD: usize = 8 << 20;

/// What is read of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Output(Stream),
    Events,
}

/// A log of one of the apps that are shown.
#[derive(Debug)]
struct Log {
    app: usize,
    kind: Kind,
    tail: Tail,
    /// When what was read last came, in microseconds since the epoch.
    time: u64,
}

/// Something that came, and when.
struct Held {
    time: u64,
    app: usize,
    kind: Kind,
    bytes: Vec<u8>,
}

/// A terminal that is attached to apps. Their logs are opened before they are started, so that the first line is seen.
pub(super) struct Attached {
    apps: Vec<AppName>,
    labels: Vec<String>,
    logs: Vec<Log>,
    board: Board,
    quiet: bool,
    /// What each log of events has told of a line whose end has not come yet.
    events: Vec<Vec<u8>>,
    /// Which apps' beginning has been told: the first is told by the start itself.
    begun: Vec<bool>,
    /// Whether an event has told how the last run ended.
    ended: Vec<bool>,
}

impl Attached {
    /// Remembers where the logs of these apps end now.
    pub(super) fn before_start(session: &mut Session, apps: &[App], ask: &Ask) -> Result<Self, CliError> {
        let names: Vec<AppName> = apps.iter().map(|app| app.name().clone()).collect();
        let known = session.status(&names)?;
        let (mut logs, mut begun) = (Vec::new(), Vec::new());
        for (at, app) in apps.iter().enumerate() {
            let status = known.iter().find(|status| status.name == *app.name());
            let active = status.filter(|status| status.is_active());
            begun.push(active.is_some());
            let files = match active {
                Some(status) => files(app.dir(), app.name(), Some(status)),
                None => files_to_be(session, app, ask)?,
            };
            for (kind, path) in of_each_kind(files) {
                logs.push(Log { app: at, kind, tail: open(&path)?, time: 0 });
            }
        }
        let labels = labels(session, apps, ask)?;
        let board = Board::standard(&labels, session.screen.paint, &Arc::default())
            .map_err(|source| CliError::Io { doing: "use the standard outputs".into(), source })?;
        let (quiet, events, ended) = (session.globals.quiet, vec![Vec::new(); apps.len()], vec![false; apps.len()]);
        Ok(Self { apps: names, labels, logs, board, quiet, events, begun, ended })
    }

    /// Shows what the apps write until Ctrl-C, which leaves them running, or until all have ended for good; then the
    /// exit code is that of the first, as they were named, that did not end with 0.
    pub(super) fn follow(mut self, session: &mut Session, so_far: ExitCode) -> Result<ExitCode, CliError> {
        let mut last = session.status(&self.apps)?;
        self.agree(&last)?;
        let failed = |source| CliError::Io { doing: "wait for more output".into(), source };
        let watch = Watch::new().map_err(failed)?;
        let mut looked = Instant::now();
        loop {
            for log in &self.logs {
                watch.add(log.tail.path()).map_err(failed)?;
            }
            if looked.elapsed() >= LOOK {
                last = session.status(&self.apps)?;
                looked = Instant::now();
                self.agree(&last)?;
            }
            // Asked before it is read: all that an app which has ended has written is there.
            let ended = !last.iter().any(is_alive);
            let more = self.show()?;
            self.board.tick(Instant::now()).map_err(CliError::Output)?;
            if ended && !more {
                self.board.finish().map_err(CliError::Output)?;
                return self.end(&last, so_far).map_err(CliError::Output);
            }
            let due = self.board.due().map_or(LOOK, |due| due.saturating_duration_since(Instant::now()));
            let longest = if more { Duration::ZERO } else { due.min(LOOK) };
            match watch.wait(Some(longest)).map_err(failed)? {
                Woken::Changed | Woken::Idle => {}
                Woken::Unread => return Err(unread()),
                Woken::Interrupted => {
                    if !more {
                        self.show()?;
                    }
                    self.board.finish().map_err(CliError::Output)?;
                    let last = session.status(&self.apps)?;
                    return self.leave(&last).map(|()| so_far).map_err(CliError::Output);
                }
            }
        }
    }

    /// Reads what the apps really write to, should that be something else than was expected.
    fn agree(&mut self, started: &[AppStatus]) -> Result<(), CliError> {
        for status in started {
            let Some(app) = self.apps.iter().position(|name| *name == status.name) else { continue };
            let real = files(Path::new(&status.path), &status.name, Some(status));
            for (kind, path) in of_each_kind(real) {
                let log = self.logs.iter_mut().find(|log| log.app == app && log.kind == kind);
                if let Some(log) = log.filter(|log| log.tail.path() != path) {
                    log.tail = open(&path)?;
                }
            }
        }
        Ok(())
    }

    /// Shows what there is, in the order in which it came; all, or as much as is one log's turn. Returns whether there
    /// is more.
    fn show(&mut self) -> Result<bool, CliError> {
        let mut logs = std::mem::take(&mut self.logs);
        let (mut held, mut size, mut more) = (Vec::new(), 0, false);
        for log in &mut logs {
            let Log { app, kind, tail, time } = log;
            let (app, kind) = (*app, *kind);
            let read = tail.read_some::<Broken>(TURN, &mut |piece, known| {
                size += piece.len();
                if kind == Kind::Events {
                    for line in piece.split_inclusive(|byte| *byte == b'\n') {
                        *time = time_of(line).unwrap_or(*time).max(*time);
                        held.push(Held { time: *time, app, kind, bytes: line.to_vec() });
                    }
                } else {
                    // What is not known to have come later, came with what was before it: a log keeps its order.
                    *time = known.unwrap_or(*time).max(*time);
                    held.push(Held { time: *time, app, kind, bytes: piece.to_vec() });
                }
                if size > HELD {
                    size = 0;
                    return self.put(&mut held).map_err(Broken::Write);
                }
                Ok(())
            });
            more |= read.map_err(|broken| broken.at(tail.path()))?;
        }
        self.logs = logs;
        self.put(&mut held).map_err(CliError::Output)?;
        for unread in self.logs.iter_mut().flat_map(|log| log.tail.unread.drain(..)).filter(|_| !self.quiet) {
            self.board.say(&unread, Instant::now()).map_err(CliError::Output)?;
        }
        Ok(more)
    }

    fn put(&mut self, held: &mut Vec<Held>) -> io::Result<()> {
        held.sort_by_key(|piece| piece.time);
        for Held { app, kind, bytes, .. } in held.drain(..) {
            match kind {
                Kind::Output(stream) => self.board.take(source(app, stream), &bytes, Instant::now())?,
                Kind::Events => self.events_of(app, &bytes)?,
            }
        }
        Ok(())
    }

    /// Tells the events of an app, as `run` does.
    fn events_of(&mut self, app: usize, bytes: &[u8]) -> io::Result<()> {
        self.events[app].extend_from_slice(bytes);
        let lines = std::mem::take(&mut self.events[app]);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            if !line.ends_with(b"\n") {
                self.events[app] = line.to_vec();
                break;
            }
            let line = String::from_utf8_lossy(line);
            let event = events::parse(&line);
            let happening = event.as_ref().filter(|event| !event.more).map(|event| Happening::parse(event.text));
            if matches!(happening, Some(Happening::Started { .. } | Happening::NotStarted(_))) {
                self.ended[app] = false;
                if !std::mem::replace(&mut self.begun[app], true) {
                    continue; // The start itself has told it.
                }
            }
            if event.as_ref().is_none_or(|event| event.level >= Level::Info) && !self.quiet {
                self.ended[app] |= matches!(happening, Some(Happening::Ended(_)));
                let text = event.map_or(line.trim_end(), |event| event.text);
                self.board.say(&format!("{}: {text}", self.labels[app]), Instant::now())?;
            }
        }
        Ok(())
    }

    /// Says what becomes of the apps now.
    fn leave(&mut self, last: &[AppStatus]) -> io::Result<()> {
        for (app, label) in self.apps.iter().zip(&self.labels) {
            let Some(status) = last.iter().find(|status| status.name == *app && is_alive(status)) else { continue };
            let how = match (status.state, status.pid) {
                (State::Backoff, _) => "goes on, and will be started again".to_owned(),
                (_, Some(pid)) => format!("goes on running, pid {pid}"),
                (state, None) => format!("goes on, it is {}", state.as_str()),
            };
            if !self.quiet {
                self.board.say(&format!("{label} {how}; daemonctl logs -f {app}"), Instant::now())?;
            }
        }
        Ok(())
    }

    /// All have ended: says of each how, unless an event has, and chooses the exit code.
    fn end(&mut self, last: &[AppStatus], so_far: ExitCode) -> io::Result<ExitCode> {
        let mut code = so_far;
        for (at, app) in self.apps.iter().enumerate() {
            let Some(status) = last.iter().find(|status| status.name == *app) else { continue };
            if let Some(exit) = status.last_exit.as_ref().filter(|_| !self.ended[at] && !self.quiet) {
                self.board.say(&format!("{} has ended: {}", self.labels[at], exit.how()), Instant::now())?;
            }
            let own = shell_code(status);
            if code == ExitCode::SUCCESS && own != 0 {
                code = ExitCode::from(own);
            }
        }
        Ok(code)
    }
}

/// When an event was, in microseconds since the epoch.
fn time_of(event: &[u8]) -> Option<u64> {
    events::parse(std::str::from_utf8(event).ok()?).map(|event| event.at)
}

/// The logs of an app, and what they hold. Where both outputs go to one file, it is shown once.
fn of_each_kind(files: Files) -> Vec<(Kind, PathBuf)> {
    let mut logs = vec![(Kind::Output(Stream::Out), files.stdout), (Kind::Output(Stream::Err), files.stderr)];
    logs.dedup_by_key(|(_, path)| real(path));
    logs.push((Kind::Events, files.events));
    logs
}

/// The log files that an app will have when it is started.
fn files_to_be(session: &mut Session, app: &App, ask: &Ask) -> Result<Files, CliError> {
    let mut files = Files::standard(app.dir(), app.name());
    if let Some(options) = options::resolved(session.root()?, app, ask) {
        let logging = options.logging;
        for (file, set) in [
            (&mut files.stdout, logging.stdout_file),
            (&mut files.stderr, logging.stderr_file),
            (&mut files.events, logging.file),
        ] {
            if let Some(path) = set {
                *file = app.run_dir().join(path);
            }
        }
    }
    Ok(files)
}

/// What a line begins with: the name of its app and of its stream, where there are several of either.
pub(super) fn mark(app: Option<(&AppName, usize)>, stream: Option<&str>, color: bool) -> String {
    let style = if stream == Some("err") { AnsiColor::Red.on_default() } else { Style::new().dimmed() };
    let mut words: Vec<String> = Vec::new();
    words.extend(app.map(|(name, width)| format!("{name:<width$}")));
    words.extend(stream.map(str::to_owned));
    if words.is_empty() {
        String::new()
    } else {
        format!("{} ", paint(&format!("{} |", words.join(" ")), style, color))
    }
}

/// The log files of an app: those that its status names, else those it would have by default.
pub(super) fn files(dir: &Path, name: &AppName, status: Option<&AppStatus>) -> Files {
    let standard = Files::standard(dir, name);
    let known = |path: Option<&String>, other: PathBuf| path.map_or(other, PathBuf::from);
    Files {
        stdout: known(status.and_then(|status| status.stdout.as_ref()), standard.stdout),
        stderr: known(status.and_then(|status| status.stderr.as_ref()), standard.stderr),
        events: known(status.and_then(|status| status.events.as_ref()), standard.events),
    }
}

/// Opens a log at its end.
fn open(path: &Path) -> Result<Tail, CliError> {
    Tail::open(path, 0).map_err(|source| CliError::Io { doing: format!("read {}", path.shown()), source })
}

/// Whether there is more to come from an app.
fn is_alive(app: &AppStatus) -> bool {
    match app.state {
        State::Starting | State::Running | State::Stopping | State::Backoff => true,
        State::Stopped | State::Exited | State::Failed => false,
    }
}

/// The exit code that a shell would show for an app that has ended.
fn shell_code(app: &AppStatus) -> u8 {
    let Some(exit) = &app.last_exit else { return super::error::FAILED };
    let signal = exit.signal.as_ref().and_then(|name| name.parse::<Signal>().ok());
    match (exit.code, signal) {
        (Some(code), _) => ExitStatus::Code(code).shell_code(),
        (None, Some(signal)) => ExitStatus::Signal { signal, core: exit.core }.shell_code(),
        (None, None) => ExitStatus::Unknown.shell_code(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_name_what_there_are_several_of() {
        let web = "web".parse().unwrap();
        assert_eq!(mark(None, None, true), "");
        assert_eq!(mark(None, Some("err"), false), "err | ");
        assert_eq!(mark(Some((&web, 5)), None, false), "web   | ");
        assert_eq!(mark(Some((&web, 3)), Some("out"), false), "web out | ");
    }
}
