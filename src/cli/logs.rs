//! `daemonctl logs`.
//!
//! Which lines are shown is decided before the first one is: for each log where to begin and where to end, by time and
//! by number, without reading what lies between. Then the logs are read as one, and followed if that is asked for.

use std::io::{self, BufWriter};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use jiff::Zoned;

use super::Verb;
use super::chosen::{Chosen, Part, Past, reading, show};
use super::error::CliError;
use super::live::Follow;
use super::page::{Form, Origin, Page, Shown};
use super::session::Session;
use super::viewer::{files, mark};
use crate::config::values::Level;
use crate::logs::filter::{Filter, Pattern};
use crate::logs::stamps::Stamps;
use crate::logs::{Files, moment};

/// How many lines are shown where nothing else says what to show.
const LINES: usize = 50;

/// Which events are marks between lines of output: where a run of an app begins and ends, and where output is missing.
const MARKS: &str = r"^\S+ +\S+ +(started, pid \d|not started: |[^:]* after \d|\d+ bytes of output were dropped )";

// The parser would take APP for optional, as it may also follow --head and --tail.
#[derive(Args, Debug)]
#[command(override_usage = "daemonctl logs [OPTIONS] <APP>...")]
pub(super) struct Logs {
    /// Apps whose logs to show
    #[arg(value_name = "APP", required_unless_present_any = ["head", "tail"])]
    apps: Vec<String>,
    /// Show more as it comes, until Ctrl-C or --until
    #[arg(short, long, conflicts_with = "head")]
    follow: bool,
    /// How many lines to show, or all; 50 unless --since or --until is given
    #[arg(short = 'n', long, value_name = "N", value_parser = count)]
    lines: Option<usize>,
    /// The first lines: so many, or as many as -n says
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "", conflicts_with = "tail")]
    head: Option<String>,
    /// The last lines, as without it: so many, or as many as -n says
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "")]
    tail: Option<String>,
    /// Lines that came at this time or later: 2h, 12:00, yesterday, "2026-01-31 12:00", RFC 3339, @SECONDS
    #[arg(long, value_name = "TIME", value_parser = at)]
    since: Option<u64>,
    /// Lines that came before this time
    #[arg(long, value_name = "TIME", value_parser = at)]
    until: Option<u64>,
    /// Lines of this level and above, with what follows them and has none: debug, info, warn or error
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,
    /// Lines that match a regular expression
    #[arg(long, value_name = "PATTERN", value_parser = Pattern::parse)]
    grep: Option<Pattern>,
    /// Begin each line with the time at which it came
    #[arg(short, long)]
    timestamps: bool,
    /// Only standard output
    #[arg(long)]
    stdout: bool,
    /// Only standard error
    #[arg(long)]
    stderr: bool,
    /// Only events: starts, exits, health, hooks
    #[arg(long)]
    events: bool,
    /// Standard output, standard error and events
    #[arg(long)]
    all: bool,
    /// A JSON object for each line: app, stream, time, level, text; where runs begin and end, and what is missing, are
    /// events, which --all shows
    #[arg(long)]
    json: bool,
    /// Events are told as data: this is `daemonctl events`
    #[arg(skip)]
    as_events: bool,
}

/// What `daemonctl events` asks of the logs.
#[derive(Debug)]
pub(super) struct Events {
    pub(super) apps: Vec<String>,
    pub(super) follow: bool,
    pub(super) lines: Option<usize>,
    pub(super) since: Option<u64>,
    pub(super) until: Option<u64>,
    /// Which lines, by their level.
    pub(super) grep: Option<Pattern>,
    pub(super) json: bool,
}

impl Events {
    /// Shows them by way of [`Logs`].
    pub(super) fn show(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let Self { apps, follow, lines, since, until, grep, json } = self;
        let logs = Logs {
            apps,
            follow,
            lines,
            head: None,
            tail: None,
            since,
            until,
            level: None,
            grep,
            timestamps: false,
            stdout: false,
            stderr: false,
            events: true,
            all: false,
            json,
            as_events: true,
        };
        logs.run(session)
    }
}

impl Verb for Logs {
    const NAME: &'static str = "logs";
    const ABOUT: &'static str = "Show what apps have written";
    const MORE: &'static str = "\
Without an option, the last 50 lines of both outputs are shown in the order in which they came, each
marked with its stream, and between them when the app was started, how it ended, and where output
is missing because the disk was full; no more of these marks are shown than lines were asked for. One
stream of one app is shown as it was written. Times are local, and known whether or not the app prints
them; those of events shown without -t, and of JSON, are UTC.

Examples:
  daemonctl logs web
  daemonctl logs -f --stderr -n 0 web
  daemonctl logs --since 10m --level warn web db
  daemonctl logs --grep 'timeout|refused' -n all -t web
  daemonctl logs --since yesterday --until today --json web";

    fn run(mut self, session: &mut Session) -> Result<ExitCode, CliError> {
        let asked = self.count()?;
        // What is over cannot be followed.
        let now = Zoned::now().timestamp().as_microsecond();
        self.follow &= self.until.is_none_or(|until| i64::try_from(until).is_ok_and(|until| until > now));
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since >= until
        {
            let message = "--since is not before --until: no line can lie between them".to_owned();
            return Err(CliError::Usage { message, hint: Some("see daemonctl logs --help".into()) });
        }
        let stamps = Stamps::at(Zoned::now());
        let (mut chosen, readable) = self.chosen(session, &stamps)?;
        let written = chosen.iter().any(|one| one.counts && one.log.exists());
        if !written {
            let nothing = if self.as_events { "no recorded events" } else { "written nothing yet" };
            session.screen.note(&format!("{} has {nothing}", self.apps.join(", ")));
        }
        let raw = chosen.len() == 1 && !self.timestamps && !self.json && !session.screen.terminal;
        let raw_follow = raw && self.grep.is_none() && self.level.is_none();
        self.bound(session, &mut chosen, asked, self.follow && !raw_follow)?;
        let form = match (self.json, raw) {
            (true, _) if self.as_events => Form::Events,
            (true, _) => Form::Json,
            (false, true) => Form::Raw,
            (false, false) => Form::Text {
                times: self.timestamps.then(|| Zoned::now().time_zone().clone()),
                escape: session.screen.terminal,
            },
        };
        let origins = chosen.iter().map(|one| one.origin.clone()).collect();
        // Of a log whose times are not known, nobody can say that it has no line of that time.
        let sure = written && chosen.iter().all(|one| one.timed || !one.counts || !one.log.exists());
        let mut page = Page::new(form, origins, BufWriter::with_capacity(64 << 10, io::stdout().lock()));
        let logs = show(chosen, asked, self.head.is_some(), &mut page)?;
        if self.follow {
            tell_unread(session, &logs);
            let logs = logs.into_iter().map(Past::go_on).collect::<Result<_, _>>()?;
            let since = self.since.filter(|since| i64::try_from(*since).is_ok_and(|since| since > now));
            Follow { screen: &session.screen, logs, page, raw: raw_follow, since, until: self.until, stamps }.run()?;
            return Ok(ExitCode::SUCCESS);
        }
        page.finish().map_err(CliError::Output)?;
        if tell_unread(session, &logs) || !readable {
            return Ok(ExitCode::FAILURE);
        }
        if let Some(why) = self.why_nothing(asked).filter(|_| sure && page.is_blank()) {
            session.screen.note(&why);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Names the archives that could not be read. Whether there are any.
fn tell_unread(session: &Session, logs: &[Past]) -> bool {
    let unread = || logs.iter().flat_map(|past| &past.log.unread);
    unread().for_each(|unread| session.screen.note(unread));
    unread().next().is_some()
}

/// Reads a number of lines.
pub(super) fn count(text: &str) -> Result<usize, String> {
    if text == "all" {
        return Ok(usize::MAX);
    }
    text.parse().map_err(|_| format!("{text:?} is not a number of lines: use 0, 1, 2 and so on, or all"))
}

/// Reads a moment.
pub(super) fn at(text: &str) -> Result<u64, String> {
    moment::parse(text, &Zoned::now())
}

impl Logs {
    /// How many lines to show; nothing for all. What follows --head and --tail may also be an app.
    fn count(&mut self) -> Result<Option<usize>, CliError> {
        let mut number = self.lines;
        for value in [&self.head, &self.tail].into_iter().flatten().filter(|value| !value.is_empty()) {
            match (count(value), number) {
                (Ok(_), Some(_)) => {
                    let message = "--lines is given with a number after --head or --tail".to_owned();
                    return Err(CliError::Usage { message, hint: Some("say once how many lines to show".into()) });
                }
                (Ok(several), None) => number = Some(several),
                (Err(_), _) => self.apps.insert(0, value.clone()),
            }
        }
        if self.apps.is_empty() {
            let hint = Some("see daemonctl logs --help".to_owned());
            return Err(CliError::Usage { message: "logs needs APP...".into(), hint });
        }
        let of_a_time = self.since.is_some() || self.until.is_some();
        Ok(number.or((!of_a_time).then_some(LINES)).filter(|number| *number < usize::MAX))
    }

    /// The logs that were asked for, and whether all of them could be read.
    fn chosen(&self, session: &mut Session, stamps: &Stamps) -> Result<(Vec<Chosen>, bool), CliError> {
        let names = session.running_apps(&self.apps)?;
        let known = session.status(&names)?;
        let root = session.root()?.path().to_owned();
        let width = names.iter().map(|name| name.as_str().len()).max().unwrap_or(0);
        let filter = Filter { pattern: self.grep.clone(), level: self.level };
        let (mut all, mut unread) = (Vec::new(), Vec::new());
        for name in &names {
            let status = known.iter().find(|status| status.name == *name);
            let files = files(&root.join(name.as_str()), name, status);
            let streams = self.streams(&files);
            for (stream, sign, path) in &streams {
                let marks = *sign == MARK;
                let filter = match marks {
                    true => Filter { pattern: Pattern::parse(MARKS).ok(), level: None },
                    false => filter.clone(),
                };
                let sign = (streams.len() > 1).then_some(*sign);
                let mark = mark((names.len() > 1).then_some((name, width)), sign, session.screen.color);
                let shown = match (marks, self.timestamps && *stream == "events") {
                    (true, _) => Shown::Happening,
                    (false, true) => Shown::Untimed,
                    (false, false) => Shown::Whole,
                };
                let origin = Origin { app: name.to_string(), stream, mark, shown };
                let mut one = match Chosen::open(path, stamps.clone(), origin, filter) {
                    Ok(one) => one,
                    Err(error) => {
                        unread.push(error);
                        continue;
                    }
                };
                one.counts = !marks;
                one.wants.level = self.json;
                all.push(one);
            }
        }
        // One that cannot be read is no reason to withhold the others.
        if all.iter().any(|one| one.counts) {
            unread.iter().for_each(|error| session.screen.error(error));
            return Ok((all, unread.is_empty()));
        }
        unread.into_iter().next().map_or(Ok((all, true)), Err)
    }

    /// The streams that were asked for: what they are called, how they are marked, and where they are.
    fn streams<'a>(&self, files: &'a Files) -> Vec<(&'static str, &'static str, &'a Path)> {
        let unasked = !self.stdout && !self.stderr && !self.events && !self.all;
        let whole = unasked && self.grep.is_none() && self.level.is_none() && !self.json;
        let streams = [
            (self.stdout || unasked || self.all, "stdout", "out", &files.stdout),
            (self.stderr || unasked || self.all, "stderr", "err", &files.stderr),
            (self.events || self.all, "events", "evt", &files.events),
            (whole, "events", MARK, &files.events),
        ];
        // Where both go to one file, whose a line is cannot be told: it is shown once, as of standard output.
        let same = crate::logs::real(&files.stdout) == crate::logs::real(&files.stderr);
        let twice = |stream: &str| same && stream == "stderr" && streams[0].0;
        let chosen = streams.into_iter().filter(|(chosen, stream, ..)| *chosen && !twice(stream));
        chosen.map(|(_, stream, sign, path)| (stream, sign, path.as_path())).collect()
    }

    /// Finds where each log is to be read from, and how far.
    fn bound(
        &self,
        session: &Session,
        all: &mut [Chosen],
        asked: Option<usize>,
        whole_lines: bool,
    ) -> Result<(), CliError> {
        let of_a_time = self.since.is_some() || self.until.is_some();
        let merged = all.iter().filter(|one| one.log.exists() && one.counts).count() > 1;
        let timeless = self.find_times(all, merged, of_a_time)?;
        if !timeless.is_empty() {
            let names = timeless.join(", ");
            let consequence = match (of_a_time, merged) {
                (true, _) => "it is left out",
                (false, true) => "its lines come first",
                (false, false) => "they are shown as -",
            };
            session.screen.note(&format!("when the lines of {names} came is not known: {consequence}"));
        }
        let last = asked.filter(|_| self.head.is_none());
        let part = Part { since: self.since, until: self.until, last, whole_lines };
        all.iter_mut().try_for_each(|one| one.bound(&part))?;
        // Where marks belong cannot be told if it is not known when anything else was written.
        if !self.follow && !all.iter().any(|one| one.counts && one.timed && one.log.exists()) {
            for one in all.iter_mut().filter(|one| !one.counts) {
                one.leave_out();
            }
        }
        Ok(())
    }

    /// Why no line at all is shown of logs that have some, if that can be the doing of what was asked for.
    fn why_nothing(&self, asked: Option<usize>) -> Option<String> {
        let line = if self.as_events { "event" } else { "line" };
        let of_a_time = self.since.is_some() || self.until.is_some();
        let matching = self.grep.is_some() || self.level.is_some();
        match (of_a_time, matching) {
            _ if asked == Some(0) => None,
            (true, true) => Some(format!("no {line} of that time matches")),
            (true, false) => Some(format!("no {line} came in that time")),
            (false, true) => Some(format!("no {line} matches")),
            (false, false) => None,
        }
    }

    /// Finds out which logs know the times of their lines, if that matters; tells which do not.
    fn find_times(&self, all: &mut [Chosen], merged: bool, of_a_time: bool) -> Result<Vec<String>, CliError> {
        let mut timeless = Vec::new();
        let several = all.len() > 1;
        for one in all.iter_mut() {
            one.wants.time = several || self.timestamps || self.json;
            one.timed = one.log.is_timed().map_err(|source| reading(&one.path, source))?;
            if !one.timed && (merged || of_a_time || self.timestamps) {
                timeless.push(one.path.file_name().unwrap_or_default().to_string_lossy().into_owned());
            }
        }
        Ok(timeless)
    }
}

/// The sign of events that stand as marks between lines of output.
const MARK: &str = "---";
