//! Showing log files: the lines of several streams, marked where there is more than one, and more as they come.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use daemonctl_actors::value::{AppName, ExitStatus, Signal};

use super::error::CliError;
use super::grid::paint;
use super::session::Session;
use crate::app::App;
use crate::control::status::{AppStatus, State};
use crate::logs::Files;
use crate::logs::follow::{Tail, Watch, Woken};
use crate::logs::read::escape;

/// A line longer than this is shown in pieces rather than held in memory.
const LONGEST_LINE: usize = 1 << 20;

/// How often an attached command looks whether its app still runs.
const LOOK: Duration = Duration::from_millis(200);

/// Where a stream is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Out,
    Err,
}

/// One file that is shown.
#[derive(Debug)]
pub(super) struct Stream {
    tail: Tail,
    mark: String,
    to: To,
    /// What came after the last newline.
    line: Vec<u8>,
}

impl Stream {
    /// A stream whose lines begin with `mark`.
    pub(super) fn new(tail: Tail, mark: String, to: To) -> Self {
        Self { tail, mark, to, line: Vec::new() }
    }
}

/// What can break between a file and a screen.
enum Broken {
    Read(io::Error),
    Write(io::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// Shows streams.
#[derive(Debug)]
pub(super) struct Viewer {
    streams: Vec<Stream>,
    /// Whether what is shown could play with a terminal.
    escape: bool,
}

impl Viewer {
    pub(super) fn new(streams: Vec<Stream>, escape: bool) -> Self {
        Self { streams, escape }
    }

    /// Shows all that has not been shown, one stream after the other. `end` is whether nothing more will come, so that
    /// a last line without its newline is shown as well.
    pub(super) fn show(&mut self, end: bool) -> Result<(), CliError> {
        for stream in &mut self.streams {
            let mut out: Box<dyn Write> = match stream.to {
                To::Out => Box::new(io::stdout().lock()),
                To::Err => Box::new(io::stderr().lock()),
            };
            show(stream, self.escape, end, &mut out).map_err(|broken| match broken {
                Broken::Write(error) => CliError::Output(error),
                Broken::Read(source) => {
                    CliError::Io { doing: format!("read {}", stream.tail.path().display()), source }
                }
            })?;
        }
        Ok(())
    }

    /// Shows what comes, until Ctrl-C or until `ended` says that nothing more will; it is asked after each wake-up,
    /// and every so `often`.
    pub(super) fn follow(
        &mut self,
        often: Option<Duration>,
        ended: &mut dyn FnMut() -> Result<bool, CliError>,
    ) -> Result<Woken, CliError> {
        let failed = |source| CliError::Io { doing: "wait for more output".into(), source };
        let watch = Watch::new().map_err(failed)?;
        loop {
            for stream in &self.streams {
                watch.add(stream.tail.path()).map_err(failed)?;
            }
            let last = ended()?;
            self.show(last)?;
            if last {
                return Ok(Woken::Idle);
            }
            if watch.wait(often).map_err(failed)? == Woken::Interrupted {
                self.show(true)?;
                return Ok(Woken::Interrupted);
            }
        }
    }
}

fn show(stream: &mut Stream, escaped: bool, end: bool, out: &mut dyn Write) -> Result<(), Broken> {
    let Stream { tail, mark, line, .. } = stream;
    let raw = mark.is_empty() && !escaped;
    tail.read(&mut |piece: &[u8]| {
        if raw {
            return out.write_all(piece).map_err(Broken::Write);
        }
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if part.ends_with(b"\n") || line.len() > LONGEST_LINE {
                write_line(line, mark, escaped, out)?;
            }
        }
        Ok(())
    })?;
    if end && !line.is_empty() {
        write_line(line, mark, escaped, out)?;
    }
    out.flush().map_err(Broken::Write)
}

fn write_line(line: &mut Vec<u8>, mark: &str, escaped: bool, out: &mut dyn Write) -> Result<(), Broken> {
    if line.last() != Some(&b'\n') {
        line.push(b'\n');
    }
    let shown = if escaped { escape(line).into_bytes() } else { std::mem::take(line) };
    line.clear();
    out.write_all(mark.as_bytes()).and_then(|()| out.write_all(&shown)).map_err(Broken::Write)
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

/// Opens a log at its last lines.
pub(super) fn open(path: &Path, lines: usize) -> Result<Tail, CliError> {
    Tail::open(path, lines).map_err(|source| CliError::Io { doing: format!("read {}", path.display()), source })
}

/// A terminal that stays with apps after their start. Their logs are opened before it, so that the first line is seen.
#[derive(Debug)]
pub(super) struct Attached {
    apps: Vec<AppName>,
    tails: Vec<Tail>,
}

impl Attached {
    /// Remembers where the logs of these apps end now.
    pub(super) fn before_start(session: &mut Session, apps: &[App]) -> Result<Self, CliError> {
        let names: Vec<AppName> = apps.iter().map(|app| app.name().clone()).collect();
        let known = session.status(&names)?;
        let mut tails = Vec::new();
        for app in apps {
            let files = files(app.dir(), app.name(), known.iter().find(|status| status.name == *app.name()));
            for path in [files.stdout, files.stderr] {
                tails.push(open(&path, 0)?);
            }
        }
        Ok(Self { apps: names, tails })
    }

    /// Shows what the apps write, each stream on its own output, until Ctrl-C, which leaves them running, or until all
    /// have ended; then the exit code is that of the first.
    pub(super) fn follow(mut self, session: &mut Session, so_far: ExitCode) -> Result<ExitCode, CliError> {
        let started = session.status(&self.apps)?;
        let width = self.apps.iter().map(|app| app.as_str().len()).max().unwrap_or(0);
        let color = session.screen.color;
        let mut streams = Vec::new();
        for app in started.iter().filter(|app| is_alive(app) || app.last_exit.is_some()) {
            let mark = mark((self.apps.len() > 1).then_some((&app.name, width)), None, color);
            for (path, to) in [(&app.stdout, To::Out), (&app.stderr, To::Err)] {
                let Some(path) = path else { continue };
                let noted = self.tails.iter().position(|tail| tail.path() == Path::new(path));
                let tail = match noted {
                    Some(at) => self.tails.swap_remove(at),
                    None => open(Path::new(path), 0)?,
                };
                streams.push(Stream::new(tail, mark.clone(), to));
            }
        }
        let mut last = started;
        let woken = Viewer::new(streams, session.screen.terminal).follow(Some(LOOK), &mut || {
            last = session.status(&self.apps)?;
            Ok(!last.iter().any(is_alive))
        })?;
        if woken == Woken::Interrupted {
            return Ok(so_far);
        }
        for (app, exit) in last.iter().filter_map(|app| Some((app, app.last_exit.as_ref()?))) {
            session.screen.note(&format!("{} has ended: {}", app.name, exit.how()));
        }
        match last.iter().map(code).find(|code| *code != 0) {
            Some(code) if so_far == ExitCode::SUCCESS => Ok(ExitCode::from(code)),
            _ => Ok(so_far),
        }
    }
}

/// Whether there is more to come from an app.
fn is_alive(app: &AppStatus) -> bool {
    match app.state {
        State::Starting | State::Running | State::Stopping | State::Backoff => true,
        State::Stopped | State::Exited | State::Failed => false,
    }
}

/// The exit code that a shell would show for an app that has ended.
fn code(app: &AppStatus) -> u8 {
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

    fn shown(text: &[u8], mark: &str, escaped: bool) -> String {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("web.log");
        std::fs::write(&path, text).unwrap();
        let mut stream = Stream::new(Tail::open(&path, 50).unwrap(), mark.into(), To::Out);
        let mut out = Vec::new();
        assert!(show(&mut stream, escaped, true, &mut out).is_ok());
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn lines_are_marked_whole_and_raw_bytes_stay_raw() {
        assert_eq!(shown(b"a\x1b[m\nb", "", false), "a\x1b[m\nb");
        assert_eq!(shown(b"a\x1b[m\nb", "", true), "a\\x1b[m\nb\n");
        assert_eq!(shown(b"a\nb", "out | ", false), "out | a\nout | b\n");
    }

    #[test]
    fn marks_name_what_there_are_several_of() {
        let web = "web".parse().unwrap();
        assert_eq!(mark(None, None, true), "");
        assert_eq!(mark(None, Some("err"), false), "err | ");
        assert_eq!(mark(Some((&web, 5)), None, false), "web   | ");
        assert_eq!(mark(Some((&web, 3)), Some("out"), false), "web out | ");
    }
}
