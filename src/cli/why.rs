//! `daemonctl why`.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use clap::Args;
use daemonctl_actors::value::AppName;
use jiff::Zoned;

use super::Verb;
use super::account::{Changes, Facts, Said, account};
use super::error::CliError;
use super::known::own_ask;
use super::runs::{self, Run};
use super::session::{Session, never_started};
use super::text;
use super::viewer::files;
use crate::app::{Shown, reason};
use crate::control::status::{AppStatus, State};
use crate::logs::filter::Filter;
use crate::logs::moment::{micros, universal};
use crate::logs::scan::{self, Scan, Wants};
use crate::logs::stamps::Stamps;
use crate::logs::whole::Log;
use crate::logs::{Files, real};
use crate::supervise::record::Record;
use crate::supervise::snapshot::{self, Snapshot};

/// How many lines of events are looked at.
const EVENTS: usize = 500;

/// How many of the last lines of a run are shown.
const LINES: usize = 10;

/// How many of them are from standard error at least, if there are any.
const ERRORS: usize = 3;

/// A line that is longer is cut.
const WIDEST: usize = 500;

#[derive(Args, Debug)]
pub(super) struct Why {
    /// App to explain
    #[arg(value_name = "APP")]
    app: String,
    /// The same as JSON
    #[arg(long)]
    json: bool,
}

impl Verb for Why {
    const NAME: &'static str = "why";
    const ABOUT: &'static str = "Tell in plain words why an app is as it is";
    const MORE: &'static str = "\
How its last runs ended, what it wrote last, what has changed in its configuration since it last ran
well, who asked for what, and what happens next. Nothing needs to run for this.

Examples:
  daemonctl why web
  daemonctl why --json web | jq '.hints[]'";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let name = session.running_apps(std::slice::from_ref(&self.app))?.remove(0);
        let known = session.status(std::slice::from_ref(&name))?.pop();
        let record = session.fleet()?.record(&name);
        let was_known = known.is_some();
        let status = match known {
            Some(status) => status,
            None => match session.apps(std::slice::from_ref(&self.app))?.first() {
                Some(app) => never_started(app),
                None => return Err(CliError::failed("find", &name, "it has gone", None)),
            },
        };
        let dir = session.root()?.path().join(name.as_str());
        let files = files(&dir, &name, Some(&status).filter(|_| was_known));
        // What cannot be read is said, and no reason to be silent about the rest.
        let screen = session.screen;
        let unread = |what: &str, source: &io::Error| {
            screen.note(&format!("warning: cannot read {what} of {name}: {}", reason(source)));
        };
        let events = last_lines(&files.events, EVENTS).unwrap_or_else(|error| {
            unread(&format!("the events ({})", files.events.shown()), &error);
            Vec::new()
        });
        let events = runs::events(&events);
        let runs = runs::runs(&events);
        // A launch that failed has written nothing.
        let lines = match runs.last().filter(|run| run.failed() && run.end.is_ok()) {
            Some(run) => said(&files, run).unwrap_or_else(|error| {
                unread("the output", &error);
                Vec::new()
            }),
            None => Vec::new(),
        };
        let changes = changes(session, &name, &status, record.as_ref(), &files)?;
        let restart = record.as_ref().map(|record| record.cell.policy.restart.clone());
        let failure = record.and_then(|record| record.cell.failure);
        let facts = Facts { status: &status, events: &events, lines, changes, restart, failure, known: was_known };
        let account = account(facts);
        let text = match self.json {
            true => text::json(&account),
            false => account.words(&runs),
        };
        session.screen.result(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The last lines of a log.
fn last_lines(path: &Path, number: usize) -> io::Result<Vec<String>> {
    let mut log = Log::open(path, Stamps::at(Zoned::now()))?;
    let (start, end) = (log.start(), log.end());
    let (from, _) = log.last(start, end, number)?;
    let mut scan = Scan::new(&mut log, from, end, Filter::default(), Wants::default())?;
    let mut lines = Vec::new();
    while scan.advance(&mut log)? {
        if scan.begins() {
            lines.push(String::from_utf8_lossy(scan.line()).into_owned());
        }
    }
    Ok(lines)
}

/// The last lines that a run wrote, on both streams, in the order of time.
fn said(files: &Files, run: &Run) -> io::Result<Vec<Said>> {
    let mut all: Vec<(Option<u64>, Said)> = Vec::new();
    let mut streams = vec![("out", &files.stdout)];
    if real(&files.stdout) != real(&files.stderr) {
        streams.push(("err", &files.stderr));
    }
    for (stream, path) in streams {
        let mut log = Log::open(path, Stamps::at(Zoned::now()))?;
        if !log.is_timed()? {
            continue;
        }
        let (start, end) = (log.start(), log.end());
        let from = run.output.0.map(|time| log.since(time)).transpose()?.unwrap_or(start).min(end);
        let to = run.output.1.map(|time| log.since(time)).transpose()?.unwrap_or(end).min(end);
        let (from, _) = scan::last(&mut log, from, to, LINES, &Filter::default())?;
        let wants = Wants { time: true, level: false };
        let mut scan = Scan::new(&mut log, from, to, Filter::default(), wants)?;
        while scan.advance(&mut log)? {
            let text: String = String::from_utf8_lossy(scan.line()).trim_end().chars().take(WIDEST).collect();
            all.push((scan.time(), Said { stream, time: scan.time().map(universal), text }));
        }
    }
    all.sort_by_key(|(time, _)| *time);
    Ok(chosen(all.into_iter().map(|(_, line)| line).collect()))
}

/// The last of these lines. Those of standard error are most likely to say what was wrong, and times are those of the
/// collector's looks: if none of them is among the last, the last of them take the places of the first.
fn chosen(all: Vec<Said>) -> Vec<Said> {
    let is_error = |line: &Said| line.stream == "err";
    let first = all.len().saturating_sub(LINES);
    let (before, last) = all.split_at(first);
    let missing = if last.iter().any(is_error) { 0 } else { before.iter().filter(|line| is_error(line)).count() };
    let errors = missing.min(ERRORS);
    let skipped = before.iter().filter(|line| is_error(line)).skip(missing.saturating_sub(errors));
    skipped.filter(|_| errors > 0).chain(&last[errors.min(last.len())..]).cloned().collect()
}

/// What has changed: since the app was started, if it runs; else since it last ran well.
fn changes(
    session: &mut Session,
    name: &AppName,
    status: &AppStatus,
    record: Option<&Record>,
    files: &Files,
) -> Result<Option<Changes>, CliError> {
    let last = record.and_then(|record| Some(record.instance.as_ref()?.snapshot.clone()));
    let asked = record.map_or_else(|| own_ask(session), |record| Ok(record.asked.clone()))?;
    let good = Snapshot::read(&snapshot::path(&files.events, name));
    let (since, reference) = match (status.state, good) {
        (State::Running | State::Starting, _) => ("present", last),
        (_, Some(good)) => ("good", Some(good)),
        (_, None) if last.is_some() => ("last", last),
        (_, None) => ("never", None),
    };
    let salt = reference.as_ref().map(Snapshot::salt).unwrap_or_default();
    let (items, refused) = match session.fleet()?.configuration(name, &asked, salt) {
        Ok(now) => (reference.as_ref().map(|before| before.changes(&now)).unwrap_or_default(), None),
        Err(failure) => (Vec::new(), Some(failure.message)),
    };
    if (since != "good" || record.is_none()) && items.is_empty() && refused.is_none() {
        return Ok(None);
    }
    let time = |at: f64| (at > 0.0).then(|| universal((at * 1e6) as u64));
    let begun = reference.as_ref().map_or(0.0, |before| before.from);
    let (from, to) = (time(begun), reference.and_then(|before| before.to).and_then(time));
    let written = match items.is_empty() && refused.is_none() {
        true => Vec::new(),
        false => written(session, name, begun)?,
    };
    Ok(Some(Changes { since, from, to, items, written, refused }))
}

/// The files of an app's configuration that were written after this time.
fn written(session: &mut Session, name: &AppName, after: f64) -> Result<Vec<(String, String)>, CliError> {
    let root = session.root()?;
    let Ok(app) = root.app(name.as_str()) else { return Ok(Vec::new()) };
    let global = root.path().join("conf.toml");
    let script = app.run_script().map(|script| script.path.clone());
    let candidates = [
        ("the global conf.toml", Some(global)),
        ("conf.toml", app.config().map(Path::to_owned)),
        ("run script", script),
    ];
    let written = candidates.into_iter().filter_map(|(what, path)| {
        let at = path?.metadata().ok()?.modified().ok()?;
        let since = at.duration_since(UNIX_EPOCH).ok()?;
        (since.as_secs_f64() > after).then_some((what.to_owned(), universal(micros(at.try_into().ok()?))))
    });
    Ok(written.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_to_standard_error_is_among_the_last_lines() {
        let lines = |streams: &str| -> Vec<Said> {
            let stream = |c| if c == 'e' { "err" } else { "out" };
            let said = streams.chars().enumerate();
            said.map(|(at, c)| Said { stream: stream(c), time: None, text: at.to_string() }).collect()
        };
        let told =
            |streams: &str| chosen(lines(streams)).iter().map(|line| line.text.clone()).collect::<Vec<_>>().join(" ");
        assert_eq!(told("ooe"), "0 1 2");
        assert_eq!(told("eoooooooooooo"), "0 4 5 6 7 8 9 10 11 12");
        assert_eq!(told("eeeeoooooooooo"), "1 2 3 7 8 9 10 11 12 13");
        assert_eq!(told("eooooooooooooe"), "4 5 6 7 8 9 10 11 12 13");
        assert_eq!(told("oooooooooooo"), "2 3 4 5 6 7 8 9 10 11");
        assert_eq!(told(""), "");
    }
}
