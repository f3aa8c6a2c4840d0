//! Why an app is as it is, put together from what is recorded: pure, from events, status and configuration to an account,
//! and from an account to words.

use daemonctl_actors::value::{ExitStatus, Signal};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::report::moment;
use super::runs::{Event, Run, runs};
use super::text;
use crate::control::status::{AppStatus, State};
use crate::logs::happening::{Because, End, Happening};
use crate::logs::moment::universal;
use crate::logs::read::escape;
use crate::supervise::snapshot::Change;

/// How many runs are told.
const RUNS: usize = 5;

/// A line that the app wrote.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Said {
    pub(super) stream: &'static str,
    pub(super) time: Option<String>,
    pub(super) text: String,
}

/// What has changed in the configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Changes {
    /// What it is compared with: `good`, the last run that went well; `present`, the one that goes on; `last`;
    /// or `never`, if there was none.
    pub(super) since: &'static str,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) items: Vec<Change>,
    /// Files of the configuration that were written after that run began, with the time.
    pub(super) written: Vec<(String, String)>,
    /// Why the configuration as it is now would be refused.
    pub(super) refused: Option<String>,
}

/// What happens next.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Next {
    pub(super) text: String,
    /// In how many seconds, where that is known.
    pub(super) in_seconds: Option<f64>,
}

/// A run as `--json` tells it.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct RunObject {
    from: Option<String>,
    to: String,
    code: Option<u8>,
    signal: Option<String>,
    out_of_memory: bool,
    how: String,
    asked: Option<String>,
    check: Option<String>,
}

/// The account; serialized, it is the documented form of `why --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Account {
    pub(super) schema_version: u32,
    pub(super) app: String,
    pub(super) state: State,
    /// What is the case, in a sentence.
    pub(super) summary: String,
    runs: Vec<RunObject>,
    pub(super) lines: Vec<Said>,
    pub(super) changes: Option<Changes>,
    pub(super) requests: Vec<(String, String)>,
    pub(super) next: Next,
    pub(super) hints: Vec<String>,
}

impl RunObject {
    fn of(run: &Run) -> Self {
        let status = run.end.as_ref().ok().map(|end| end.status);
        Self {
            from: run.from.map(universal),
            to: universal(run.to),
            code: status.and_then(ExitStatus::code),
            signal: status.and_then(ExitStatus::signal).map(|signal| signal.to_string()),
            out_of_memory: run.end.as_ref().is_ok_and(|end| end.memory.is_some()),
            how: run.how(),
            asked: run.asked.clone(),
            check: run.check.clone(),
        }
    }
}

/// Everything an account is made of.
pub(super) struct Facts<'a> {
    pub(super) status: &'a AppStatus,
    pub(super) events: &'a [Event],
    pub(super) lines: Vec<Said>,
    pub(super) changes: Option<Changes>,
    /// At most so many restarts in a row; 0 is unlimited.
    pub(super) max_attempts: Option<u32>,
    /// Whether it was ever started, as far as is known.
    pub(super) known: bool,
}

/// Makes the account.
pub(super) fn account(facts: Facts<'_>) -> Account {
    let runs = runs(facts.events);
    let requests = facts.events.iter().filter_map(|event| match event.happening {
        Happening::Asked { .. } | Happening::AskedBySignal(_) => {
            Some((universal(event.at), event.happening.to_string()))
        }
        _ => None,
    });
    let mut requests: Vec<_> = requests.collect();
    requests.drain(..requests.len().saturating_sub(RUNS));
    let last_failed = runs.last().filter(|run| run.failed());
    Account {
        schema_version: 1,
        app: facts.status.name.to_string(),
        state: facts.status.state,
        summary: summary(&facts, runs.last()),
        hints: last_failed.map(|run| hints(run, &facts.lines)).unwrap_or_default(),
        next: next(&facts),
        runs: runs[runs.len().saturating_sub(20)..].iter().map(RunObject::of).collect(),
        lines: facts.lines,
        changes: facts.changes,
        requests,
    }
}

fn summary(facts: &Facts<'_>, last: Option<&Run>) -> String {
    let AppStatus { name, state, note, .. } = facts.status;
    if !facts.known && last.is_none() {
        return format!("{name} was never started");
    }
    let ended = last.map(Run::how);
    let asked = last.and_then(|run| run.asked.clone());
    let with = |text: String, more: Option<String>| more.map_or(text.clone(), |more| format!("{text}: {more}"));
    match state {
        State::Running => {
            let since =
                facts.status.started_at.map(|at| format!(" since {}", moment(at, &TimeZone::UTC))).unwrap_or_default();
            let ready = if facts.status.ready { "" } else { ", not ready" };
            with(format!("{name} is running{since}{ready}"), note.clone())
        }
        State::Starting | State::Stopping => with(format!("{name} is {}", state.as_str()), note.clone()),
        State::Backoff => with(format!("{name} has ended and waits to be started again"), note.clone().or(ended)),
        State::Stopped => {
            let since = last.map(|run| format!(" since {}", seconds(run.to))).unwrap_or_default();
            with(format!("{name} is stopped{since}"), note.clone().or(asked))
        }
        State::Exited => with(format!("{name} has ended by itself"), ended.or(note.clone())),
        State::Failed if facts.status.gave_up => {
            let given_up = Happening::GaveUp { attempts: facts.status.attempts };
            with(format!("{name} has failed: {given_up}"), ended.or(note.clone()))
        }
        State::Failed => with(format!("{name} has failed"), note.clone().or(ended)),
    }
}

fn next(facts: &Facts<'_>) -> Next {
    let AppStatus { name, state, attempts, retry_in, .. } = facts.status;
    let plain = |text: String| Next { text, in_seconds: None };
    match state {
        State::Backoff => {
            let of = facts.max_attempts.filter(|max| *max > 0).map(|max| format!(" of {max}")).unwrap_or_default();
            let time = retry_in.map(|time| format!(" in {}", text::seconds(time))).unwrap_or_default();
            Next { text: format!("it is started again{time} (restart {attempts}{of})"), in_seconds: *retry_in }
        }
        State::Running => plain("it goes on".to_owned()),
        State::Starting => plain("it is being started".to_owned()),
        State::Stopping => plain("it is being stopped".to_owned()),
        State::Stopped | State::Exited | State::Failed => {
            plain(format!("nothing by itself; daemonctl start {name} starts it"))
        }
    }
}

/// What to look at first, by how a run ended and what it said.
fn hints(run: &Run, lines: &[Said]) -> Vec<String> {
    let mut hints = Vec::new();
    if let Ok(end) = &run.end {
        hints.extend(hint_of_end(end, run.asked.is_some()).map(str::to_owned));
    }
    let said: Vec<String> = lines.iter().map(|line| line.text.to_lowercase()).collect();
    let known = [
        (&["address already in use", "eaddrinuse"][..], "another process has its port: ss -ltnp shows which"),
        (
            &["permission denied", "eacces"],
            "it may not use a file: daemonctl status -l shows the directory it was started from",
        ),
        (&["no space left on device", "enospc"], "a disk is full: df shows which"),
        (&["too many open files", "emfile"], "it has reached its limit of open files: limits.file_limit raises it"),
    ];
    for (words, hint) in known {
        if said.iter().any(|line| words.iter().any(|word| line.contains(word))) {
            hints.push(hint.to_owned());
        }
    }
    hints
}

fn hint_of_end(end: &End, asked: bool) -> Option<&'static str> {
    if end.memory.is_some() {
        return Some("it needs less memory, or a greater limits.memory_limit");
    }
    match end.because {
        Some(Because::Unhealthy) => {
            return Some("what its health check said is above");
        }
        Some(Because::Timeout) => return Some("limits.timeout is the longest that it may run"),
        Some(Because::Asked) | None => {}
    }
    match end.status {
        ExitStatus::Code(127) => {
            Some("a shell ends with 127 when a command is not found: see the run script, and PATH")
        }
        ExitStatus::Code(126) => Some("a shell ends with 126 when a command cannot be executed: see its mode"),
        ExitStatus::Signal { signal: Signal::KILL, .. } if !asked => {
            Some("SIGKILL came from outside of daemonctl: the kernel for want of memory (dmesg tells), or somebody")
        }
        ExitStatus::Signal { signal, .. } if matches!(signal.number(), 4 | 6 | 7 | 8 | 11) => {
            Some("it crashed: limits.core_limit = \"unlimited\" lets it leave a core dump")
        }
        ExitStatus::Signal { signal, .. } if signal.number() == 31 => Some("a system call filter refused what it did"),
        _ => None,
    }
}

/// A moment for people.
fn seconds(at: u64) -> String {
    moment(at as f64 / 1e6, &TimeZone::UTC)
}

impl Account {
    /// The account in words; `runs` are those it was made of.
    pub(super) fn words(&self, runs: &[Run]) -> String {
        let mut page = format!("{}\n", escape(self.summary.as_bytes()));
        self.add_runs(runs, &mut page);
        if !self.lines.is_empty() {
            page.push_str("\nThe last lines of its last run\n");
            for line in &self.lines {
                page.push_str(&format!("  {} | {}\n", line.stream, escape(line.text.as_bytes())));
            }
        }
        if let Some(changes) = &self.changes {
            page.push_str(&changes.words());
        }
        if !self.requests.is_empty() {
            page.push_str("\nWho asked for what\n");
            let line = |(at, text): &(String, String)| format!("  {}  {}\n", short(at), escape(text.as_bytes()));
            self.requests.iter().map(line).for_each(|line| page.push_str(&line));
        }
        page.push_str(&format!("\nWhat happens next\n  {}\n", self.next.text));
        self.hints.iter().for_each(|hint| page.push_str(&format!("  hint: {hint}\n")));
        page
    }

    /// The last runs; those that ended alike, one after the other, are told once.
    fn add_runs(&self, runs: &[Run], page: &mut String) {
        let alike: Vec<&[Run]> = runs.chunk_by(|a, b| a.kind() == b.kind()).collect();
        if runs.is_empty() {
            return;
        }
        page.push_str("\nHow its last runs ended\n");
        for group in &alike[alike.len().saturating_sub(RUNS)..] {
            let Some(last) = group.last() else { continue };
            let times = match group.len() {
                1 => String::new(),
                many => format!(" ({many} times in a row, first at {})", seconds(group[0].to)),
            };
            page.push_str(&format!(
                "  {}  {}{times}\n",
                seconds(last.to),
                escape(last.how().replace('\n', "\n    ").as_bytes())
            ));
            for more in last.check.iter().chain(&last.asked).filter(|_| last.failed()) {
                page.push_str(&format!("    {}\n", escape(more.replace('\n', "\n    ").as_bytes())));
            }
        }
    }
}

/// A moment as [`universal`] writes it, shorter.
fn short(at: &str) -> String {
    at.split('.').next().unwrap_or(at).replacen('T', " ", 1) + " UTC"
}

impl Changes {
    fn words(&self) -> String {
        let span = match (&self.from, &self.to) {
            (Some(from), Some(to)) => format!(" ({} to {})", short(from), short(to)),
            (Some(from), None) => format!(" ({})", short(from)),
            (None, _) => String::new(),
        };
        let since = match self.since {
            "good" => format!("Changed since it last ran well{span}"),
            "never" => "Its configuration as it is now".to_owned(),
            "present" => format!("Changed since it was started{span}; a restart makes it count"),
            _ => format!("Changed since its last run{span}; none is known to have gone well"),
        };
        let mut text = format!("\n{since}\n");
        if let Some(refused) = &self.refused {
            text.push_str(&format!(
                "  a start would be refused now: {}\n",
                escape(refused.replace('\n', "\n    ").as_bytes())
            ));
        } else if self.items.is_empty() {
            text.push_str("  nothing\n");
        }
        for Change { what, before, now } in &self.items {
            let change = match (before.as_deref(), now.as_deref()) {
                (Some("there"), Some(now)) => now.to_owned(),
                (None, Some("new")) => "new".to_owned(),
                (Some("there"), None) => "removed".to_owned(),
                (before, now) => format!("{} → {}", before.unwrap_or("(not set)"), now.unwrap_or("(not set)")),
            };
            text.push_str(&format!("  {}: {}\n", escape(what.as_bytes()), escape(change.as_bytes())));
        }
        self.written.iter().for_each(|(file, at)| text.push_str(&format!("  {file} was written {}\n", short(at))));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::runs::events;
    use super::*;

    fn told(state: State, note: Option<&str>, log: &str, lines: &[&str], changes: Option<Changes>) -> String {
        let log: Vec<String> = log.lines().map(str::to_owned).collect();
        let events = events(&log);
        let mut status = AppStatus::unknown("web".parse().unwrap(), "/apps/web".into());
        (status.state, status.note) = (state, note.map(str::to_owned));
        (status.attempts, status.retry_in) = (2, (state == State::Backoff).then_some(4.0));
        let lines = lines.iter().map(|text| Said { stream: "err", time: None, text: (*text).to_owned() }).collect();
        let facts =
            Facts { status: &status, events: &events, lines, changes, max_attempts: Some(3), known: !log.is_empty() };
        account(facts).words(&runs(&events))
    }

    #[test]
    fn an_account_reads_from_what_is_the_case_to_what_to_do() {
        let crashes = "\
2026-11-23T12:00:00.000Z info  start asked by alice (uid 1000, pid 7)
2026-11-23T12:00:00.000Z info  started, pid 8
2026-11-23T12:00:03.000Z warn  exited 1 after 3s
2026-11-23T12:00:03.000Z info  restart 1 of 3 in 5s
2026-11-23T12:00:08.000Z info  started, pid 9
2026-11-23T12:00:11.000Z warn  exited 1 after 3s
2026-11-23T12:00:11.000Z info  restart 2 of 3 in 9s";
        let change = Change { what: "limits.memory_limit".into(), before: Some("64M".into()), now: Some("16M".into()) };
        let changes = Changes {
            since: "good",
            from: Some("2026-11-23T11:20:00.000000Z".into()),
            to: Some("2026-11-23T11:58:00.000000Z".into()),
            items: vec![change],
            written: vec![("conf.toml".into(), "2026-11-23T12:01:00.000000Z".into())],
            refused: None,
        };
        let unhealthy = "\
2026-11-23T12:00:00.000Z info  started, pid 8
2026-11-23T12:00:02.000Z error unhealthy: exited 1: no database
2026-11-23T12:00:02.000Z error   at db:5432
2026-11-23T12:00:03.000Z warn  killed by SIGTERM after 3s, stopped because it was unhealthy";
        let stopped = "\
2026-11-23T12:00:00.000Z info  started, pid 8
2026-11-23T12:00:02.000Z info  stop asked by root (uid 0, pid 9), claimed by sudo to be for bob
2026-11-23T12:00:03.000Z info  killed by SIGTERM after 3s, as asked";
        let outside = "\
2026-11-23T12:00:00.000Z info  started, pid 8
2026-11-23T12:00:02.000Z info  kill asked by root (uid 0, pid 9)
2026-11-23T12:00:02.000Z info  SIGUSR1 sent by command
2026-11-23T12:00:03.000Z warn  killed by SIGKILL after 3s";
        let pages = [
            told(State::Backoff, Some("restart 2 of 3"), crashes, &["bind: Address already in use"], Some(changes)),
            told(State::Failed, Some("it was unhealthy"), unhealthy, &[], None),
            told(State::Stopped, None, stopped, &[], None),
            told(State::Exited, None, outside, &[], None),
            told(State::Stopped, None, "", &[], None),
        ];
        insta::assert_snapshot!(pages.join("\n----\n"));
    }
}
