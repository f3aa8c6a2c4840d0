//! Why an app is as it is, put together from what is recorded: pure, from events, status and configuration to an account,
//! and from an account to words.
//!
//! - [`advice`]: what to look at first, and what to do.
//! - [`words`]: the account for people; serialized, it is the one for programs.

mod advice;
mod words;

use daemonctl_actors::cell::StartFailure;
use daemonctl_actors::restarts::RestartPolicy;
use daemonctl_actors::value::ExitStatus;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::report::moment;
use super::runs::{Event, Run, runs};
use super::text;
use crate::control::status::{AppStatus, State};
use crate::logs::happening::{End, Happening};
use crate::logs::moment::universal;
use crate::supervise::snapshot::Change;
use advice::hints;

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
    /// When it is started again; nothing if it was never started.
    pub(super) restart: Option<RestartPolicy>,
    /// Why the last launch did not come to an exec, and what to do about it, if it did not.
    pub(super) failure: Option<StartFailure>,
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
    let hints = hints(&facts, runs.last());
    Account {
        schema_version: 1,
        app: facts.status.name.to_string(),
        state: facts.status.state,
        summary: summary(&facts, runs.last()),
        hints,
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
            // Only its supervisor knows that, and may be out of reach.
            let not_ready = !facts.status.ready && facts.status.supervisor.is_some();
            let ready = if not_ready { ", not ready" } else { "" };
            let failing = failing(facts.status).map(|(_, said)| format!("its health check fails: {said}"));
            let more = note.clone().into_iter().chain(failing).reduce(|note, more| format!("{note}; {more}"));
            with(format!("{name} is running{since}{ready}"), more)
        }
        State::Starting | State::Stopping => with(format!("{name} is {}", state.as_str()), note.clone()),
        State::Backoff => with(format!("{name} has ended and waits to be started again"), note.clone().or(ended)),
        State::Stopped => {
            let since = last.map(|run| format!(" since {}", words::seconds(run.to))).unwrap_or_default();
            with(format!("{name} is stopped{since}"), note.clone().or(asked))
        }
        State::Exited => match last.and_then(|run| run.end.as_ref().ok()) {
            Some(End { status: ExitStatus::Signal { .. }, .. }) => format!("{name} was {}", ended.unwrap_or_default()),
            Some(End { because: Some(_), .. }) => with(format!("{name} has ended"), ended),
            Some(_) | None => with(format!("{name} has ended by itself"), ended.or(note.clone())),
        },
        State::Failed if facts.status.gave_up => {
            let given_up = Happening::GaveUp { attempts: facts.status.attempts };
            with(format!("{name} has failed: {given_up}"), ended.or(note.clone()))
        }
        State::Failed => with(format!("{name} has failed"), note.clone().or(ended)),
    }
}

/// How many more failures of its health check make an app that runs unhealthy, and what the check said. Nothing where the
/// last one succeeded, or nothing comes of it.
fn failing(status: &AppStatus) -> Option<(u32, &str)> {
    let check = status.check.as_ref().filter(|check| check.monitored && status.state == State::Running)?;
    let last = check.failure()?;
    Some((check.failure_threshold.saturating_sub(check.failures), last.output.trim_end()))
}

fn next(facts: &Facts<'_>) -> Next {
    let AppStatus { name, state, attempts, retry_in, .. } = facts.status;
    let refused = facts.changes.as_ref().is_some_and(|changes| changes.refused.is_some());
    let refusal = if refused { ", which will be refused as things are now" } else { "" };
    let plain = |text: String| Next { text, in_seconds: None };
    match state {
        State::Backoff => {
            let max = facts.restart.as_ref().map(|policy| policy.max_attempts).filter(|max| *max > 0);
            let of = max.map(|max| format!(" of {max}")).unwrap_or_default();
            let time = retry_in.map(|time| format!(" in {}", text::seconds(time))).unwrap_or_default();
            Next { text: format!("it is started again{time} (restart {attempts}{of}){refusal}"), in_seconds: *retry_in }
        }
        State::Running => {
            let goes_on = failing(facts.status).map_or("it goes on".to_owned(), |(left, _)| {
                let failures = text::count(left.max(1) as usize, "more failure");
                let counted = facts.status.check.as_ref().is_some_and(|check| check.failures > 0);
                let from = if counted { "" } else { ", once its time for starting is over" };
                format!("it is restarted after {failures} of its health check{from}")
            });
            plain(if refused { format!("{goes_on}; a restart would be refused as things are now") } else { goes_on })
        }
        State::Starting => plain("it is being started".to_owned()),
        State::Stopping => plain("it is being stopped".to_owned()),
        State::Stopped | State::Exited | State::Failed if refused => {
            plain("nothing by itself; a start would be refused as things are now".to_owned())
        }
        State::Stopped | State::Exited | State::Failed => {
            plain(format!("nothing by itself; daemonctl start {name} starts it"))
        }
    }
}

#[cfg(test)]
mod tests {
    use daemonctl_actors::cell::{Policy, Trouble};

    use super::super::report::samples;
    use super::super::runs::events;
    use super::*;
    use crate::control::status::CheckStatus;

    fn told(state: State, note: Option<&str>, log: &str, lines: &[&str], changes: Option<Changes>) -> String {
        let log: Vec<String> = log.lines().map(str::to_owned).collect();
        let events = events(&log);
        let mut status = AppStatus::unknown("web".parse().unwrap(), "/apps/web".into());
        (status.state, status.note) = (state, note.map(str::to_owned));
        (status.attempts, status.retry_in) = (2, (state == State::Backoff).then_some(4.0));
        let lines = lines.iter().map(|text| Said { stream: "err", time: None, text: (*text).to_owned() }).collect();
        explained(&status, &events, lines, changes, None)
    }

    fn explained(
        status: &AppStatus,
        events: &[Event],
        lines: Vec<Said>,
        changes: Option<Changes>,
        failure: Option<StartFailure>,
    ) -> String {
        let restart = Some(Policy::default().restart);
        let facts = Facts { status, events, lines, changes, restart, failure, known: !events.is_empty() };
        account(facts).words(&runs(events))
    }

    fn recorded(log: &str) -> Vec<Event> {
        events(&log.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_check_that_fails_is_told_while_the_app_runs_with_what_comes_of_it() {
        let mut web = samples::blocks().remove(0).status;
        web.note = None;
        let check = web.check.clone().unwrap();
        let started = recorded("2026-01-31T12:00:00.000Z info  started, pid 8");
        let failing = explained(&web, &started, Vec::new(), None, None);
        web.ready = false;
        web.check = Some(CheckStatus { failures: 0, ..check.clone() });
        let starting = explained(&web, &started, Vec::new(), None, None);
        web.ready = true;
        web.check = Some(CheckStatus { last: None, failures: 0, ..check });
        let well = explained(&web, &started, Vec::new(), None, None);
        insta::assert_snapshot!([failing, starting, well].join("\n----\n"));
    }

    #[test]
    fn what_a_check_says_at_length_is_cut() {
        let lines: String = (1..=12).map(|at| format!("\n2026-11-23T12:00:02.000Z error   line {at}")).collect();
        let unhealthy = format!(
            "2026-11-23T12:00:00.000Z info  started, pid 8
2026-11-23T12:00:02.000Z error unhealthy: exited 1: no{lines}
2026-11-23T12:00:03.000Z warn  killed by SIGTERM after 3s, stopped because it was unhealthy"
        );
        let page = told(State::Failed, Some("it was unhealthy"), &unhealthy, &[], None);
        assert!(page.contains("line 9\n    … 3 more lines: daemonctl why --json web\n"), "{page}");
    }

    #[test]
    fn what_only_a_supervisor_out_of_reach_knows_is_not_told() {
        let log = "2026-11-23T12:00:00.000Z info  started, pid 8";
        let page = told(State::Running, Some("under the supervisor of user bob (uid 1000), pid 7"), log, &[], None);
        assert!(page.starts_with("web is running: under the supervisor of user bob (uid 1000), pid 7\n"), "{page}");
    }

    #[test]
    fn what_would_be_refused_is_not_promised() {
        let broken = || Changes {
            since: "last",
            from: None,
            to: None,
            items: Vec::new(),
            written: Vec::new(),
            refused: Some("/apps/web/conf.toml:1:1: unknown section [proces]; did you mean [process]?".into()),
        };
        let crash = "\
2026-11-23T12:00:00.000Z info  started, pid 8
2026-11-23T12:00:03.000Z warn  exited 1 after 3s";
        let pages = [State::Running, State::Backoff, State::Stopped].map(|state| {
            let page = told(state, None, crash, &[], Some(broken()));
            page[page.find("What happens next").unwrap()..].to_owned()
        });
        insta::assert_snapshot!(pages.join("----\n"));
    }

    #[test]
    fn a_stop_that_had_to_kill_is_not_hidden_and_a_launch_that_failed_keeps_its_hint() {
        let ignores = "\
2026-11-23T12:00:00.000Z info  started, pid 8
2026-11-23T12:00:02.000Z info  stop asked by root (uid 0, pid 9)
2026-11-23T12:00:02.000Z info  stopping with SIGTERM
2026-11-23T12:00:03.000Z warn  did not end in time, killed
2026-11-23T12:00:03.000Z info  killed by SIGKILL after 3s, as asked";
        let unstarted =
            "2026-11-23T12:00:00.000Z error not started: cannot run /apps/web/run: its interpreter is missing";
        let failure = StartFailure {
            trouble: Trouble::Lasting,
            message: "cannot run /apps/web/run: its interpreter is missing".into(),
            hint: Some("the first line is #!/usr/bin/nosuch".into()),
        };
        let failed = AppStatus {
            state: State::Failed,
            note: Some(failure.message.clone()),
            ..AppStatus::unknown("web".parse().unwrap(), "/apps/web".into())
        };
        let pages = [
            told(State::Stopped, None, ignores, &[], None),
            explained(&failed, &recorded(unstarted), Vec::new(), None, Some(failure)),
        ];
        insta::assert_snapshot!(pages.join("\n----\n"));
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

    #[test]
    fn an_account_as_json() {
        let log = recorded(
            "\
2026-11-23T12:00:00.000Z info  start asked by alice (uid 1000, pid 7)
2026-11-23T12:00:00.000Z info  started, pid 8
2026-11-23T12:00:02.000Z error unhealthy: exited 1: no database
2026-11-23T12:00:03.000Z warn  killed by SIGTERM after 3s, stopped because it was unhealthy
2026-11-23T12:00:03.000Z info  restart 1 of 3 in 5s
2026-11-23T12:00:08.000Z info  started, pid 9
2026-11-23T12:00:11.000Z warn  exited 1 after 3s
2026-11-23T12:00:11.000Z info  restart 2 of 3 in 9s",
        );
        let mut status = AppStatus::unknown("web".parse().unwrap(), "/apps/web".into());
        (status.state, status.note) = (State::Backoff, Some("exit 1".into()));
        (status.attempts, status.retry_in) = (2, Some(4.0));
        let time = || Some("2026-11-23T12:00:09.000000Z".into());
        let changes = Changes {
            since: "good",
            from: time(),
            to: time(),
            items: vec![Change { what: "limits.memory_limit".into(), before: None, now: Some("16M".into()) }],
            written: vec![("conf.toml".into(), "2026-11-23T12:01:00.000000Z".into())],
            refused: None,
        };
        let facts = Facts {
            status: &status,
            events: &log,
            lines: vec![Said { stream: "err", time: time(), text: "bind: Address already in use".into() }],
            changes: Some(changes),
            restart: Some(Policy::default().restart),
            failure: None,
            known: true,
        };
        insta::assert_snapshot!(text::json(&account(facts)));
    }
}
