//! What is said of a wait: pure, from what is known and the time it has taken.

use std::time::Duration;

use daemonctl_actors::value::AppName;

use super::super::outcome::Act;
use super::super::text;
use crate::control::protocol::Command;
use crate::control::status::{AppStatus, CheckStatus, State};

/// So many apps are named; of more, the first two and a number.
const NAMED: usize = 3;

/// What is known of a request under way.
#[derive(Debug, Default)]
pub(crate) struct Wait {
    act: Option<Act>,
    left: Vec<AppName>,
    /// One after the other: only the first of those left is worked on.
    sequential: bool,
    /// The longest time for what is waited for.
    pub(super) limit: Option<Duration>,
    /// When, since the beginning of the wait, SIGKILL follows.
    pub(super) kill_after: Option<Duration>,
    /// How the apps were when they were last looked at.
    pub(super) status: Vec<AppStatus>,
}

/// What is known of the whole command.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    /// The command's name, if it is one for all apps.
    pub(super) command: Option<&'static str>,
    /// How many apps it is for.
    pub(super) apps: usize,
    /// How many it is done with.
    pub(super) done: usize,
    /// How many of them failed.
    pub(super) failed: usize,
}

impl Wait {
    /// The wait that a request begins.
    pub(super) fn of(act: Act, request: &Command) -> Self {
        let (apps, sequential, limit) = match request {
            Command::Start(start) => (&start.apps[..], start.sequential, start.timeout),
            Command::Restart(restart) => (&restart.start.apps[..], restart.start.sequential, None),
            Command::Stop(stop) => (&stop.apps[..], false, None),
            Command::Signal(signal) => (&signal.apps[..], false, signal.timeout),
            Command::Status { .. } | Command::Check { .. } | Command::Adopt | Command::Hello => (&[][..], false, None),
        };
        Self { act: Some(act), left: apps.to_vec(), sequential, limit, ..Self::default() }
    }

    pub(super) fn is_over(&self) -> bool {
        self.left.is_empty()
    }

    /// Takes an app off the list. Returns whether the wait for another one begins with it.
    pub(super) fn heard(&mut self, app: &AppName) -> bool {
        self.left.retain(|other| other != app);
        self.status.retain(|status| status.name != *app);
        self.sequential
    }

    /// Those that are worked on.
    pub(super) fn current(&self) -> &[AppName] {
        if self.sequential { &self.left[..self.left.len().min(1)] } else { &self.left }
    }
}

/// The line: `stopping web, db and 3 more: 12 s of 30 s, then SIGKILL`. It may hold anything that a check has said.
pub(super) fn text(wait: &Wait, whole: &Whole, waited: Duration) -> String {
    let names = names(wait.current());
    let (time, detail) = (time(wait, waited), detail(wait));
    match whole.command {
        Some(command) => {
            let done = if wait.act == Some(Act::Stop) { "stopped" } else { "started" };
            let failed = match whole.failed {
                0 => String::new(),
                failed => format!(", {failed} failed"),
            };
            let (done_with, apps) = (whole.done, whole.apps);
            format!("{command}: {done_with} of {apps} {done}{failed}, waiting for {names} ({time}{detail})")
        }
        None => format!("{}: {time}{detail}", doing(wait.act, &names)),
    }
}

/// What is told of a wait that Ctrl-C has ended. The supervisor goes on with all that it was asked for.
pub(super) fn goes_on(wait: &Wait, whole: &Whole) -> String {
    let one = wait.left.len() == 1;
    let verb = if one { "goes on" } else { "go on" };
    let doing = match wait.act {
        Some(Act::Stop) => format!("{verb} stopping"),
        Some(Act::Start { .. }) => format!("{verb} starting"),
        Some(Act::Restart { .. }) => format!("{verb} restarting"),
        Some(Act::Kill { .. } | Act::Reload) | None => {
            format!(
                "{} got the signal, and {} not ended yet",
                if one { "has" } else { "have" },
                if one { "has" } else { "have" }
            )
        }
    };
    let look = match &wait.left[..] {
        [app] => format!("daemonctl status {app} shows how far it is"),
        _ => "daemonctl list shows how far they are".to_owned(),
    };
    let untouched = whole.apps.saturating_sub(whole.done + whole.failed + wait.left.len());
    let untouched = match untouched {
        0 => String::new(),
        apps => format!(", {} not asked", text::count(apps, "other app") + if apps == 1 { " was" } else { " were" }),
    };
    format!("{} {doing}{untouched}; {look}", names(&wait.left))
}

fn doing(act: Option<Act>, names: &str) -> String {
    match act {
        Some(Act::Start { wait: true }) => format!("waiting for {names} to be ready"),
        Some(Act::Start { wait: false }) => format!("starting {names}"),
        Some(Act::Restart { .. }) => format!("restarting {names}"),
        Some(Act::Stop) => format!("stopping {names}"),
        Some(Act::Reload) => format!("reloading {names}"),
        Some(Act::Kill { .. }) => format!("waiting for {names} to end"),
        None => format!("waiting for {names}"),
    }
}

/// `12 s of 30 s`, or `12 s` where nobody knows an end.
fn time(wait: &Wait, waited: Duration) -> String {
    let limit = wait.kill_after.or(wait.limit);
    limit.map_or_else(|| seconds(waited), |limit| format!("{} of {}", seconds(waited), rounded(limit)))
}

/// What an operator would ask next: what comes when the time is up, or what is in the way.
fn detail(wait: &Wait) -> String {
    if wait.kill_after.is_some() {
        return ", then SIGKILL".to_owned();
    }
    let [status] = &wait.status[..] else { return String::new() };
    match (status.state, &status.note) {
        (State::Stopping, Some(note)) => format!(", {note}"),
        (State::Stopping, None) if status.pid.is_none() => ", it has ended, cleaning up after it".to_owned(),
        (State::Running, _) => {
            let last = status.check.as_ref().and_then(CheckStatus::failure);
            last.map_or_else(String::new, |last| format!(", last check: {}", last.output.trim().replace('\n', " ")))
        }
        (State::Backoff, Some(note)) => format!(", {note}"),
        _ => String::new(),
    }
}

fn names(apps: &[AppName]) -> String {
    let names: Vec<&str> = apps.iter().map(AppName::as_str).collect();
    match &names[..] {
        [] => "the supervisor".to_owned(),
        [one] => (*one).to_owned(),
        [first, second, .., _] if names.len() > NAMED => format!("{first}, {second} and {} more", names.len() - 2),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// Whole seconds, and minutes where they would be three digits.
fn seconds(time: Duration) -> String {
    let time = Duration::from_secs(time.as_secs());
    if time.as_secs() < 100 { format!("{} s", time.as_secs()) } else { text::span(time) }
}

/// A limit, which is the sum of two measured times, to the nearest second.
fn rounded(limit: Duration) -> String {
    seconds(limit + Duration::from_millis(500))
}

/// A text on one line of `columns` at most. What controls a terminal is taken out. What is not ASCII may be two columns
/// wide, and is counted so: a line that wraps could not be drawn over.
pub(crate) fn fitted(text: &str, columns: usize) -> String {
    let width = |sign: char| if sign.is_ascii() { 1 } else { 2 };
    let clean: String = text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect();
    if clean.chars().map(width).sum::<usize>() <= columns {
        return clean;
    }
    let mut room = columns.saturating_sub(2);
    let kept = clean.chars().take_while(|sign| {
        let fits = width(*sign) <= room;
        room = room.saturating_sub(width(*sign));
        fits
    });
    kept.chain(std::iter::once('…')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::Stop;
    use crate::control::status::LastCheck;

    fn apps(names: &str) -> Vec<AppName> {
        names.split(' ').map(|name| name.parse().unwrap()).collect()
    }

    fn wait(act: Act, names: &str) -> Wait {
        Wait { act: Some(act), left: apps(names), ..Wait::default() }
    }

    fn status(state: State, pid: Option<i32>, note: Option<&str>) -> Vec<AppStatus> {
        let note = note.map(str::to_owned);
        vec![AppStatus { state, pid, note, ..AppStatus::unknown("web".parse().unwrap(), "/srv/apps/web".into()) }]
    }

    #[test]
    fn each_wait_has_its_line() {
        let limit = Some(Duration::from_secs(60));
        let kill_after = Some(Duration::from_millis(29_980));
        let (start, restart) = (Act::Start { wait: true }, Act::Restart { wait: true });
        let mut refused = status(State::Running, Some(7), None);
        let output = "connection refused".to_owned();
        let last = Some(LastCheck { success: false, output, took: 0.1, at: None });
        refused[0].check = Some(CheckStatus {
            monitored: true,
            interval: 1.0,
            failures: 1,
            failure_threshold: 3,
            successes: 0,
            success_threshold: 1,
            last,
            next_in: None,
        });
        let waits = [
            Wait { kill_after, ..wait(Act::Stop, "web db a b c") },
            Wait { kill_after, ..wait(Act::Stop, "web db") },
            Wait { status: status(State::Stopping, None, None), ..wait(Act::Stop, "web") },
            Wait {
                status: status(State::Stopping, Some(7), Some("killed, and still there")),
                ..wait(Act::Stop, "web")
            },
            Wait { limit, status: refused.clone(), ..wait(start, "web") },
            Wait { limit, ..wait(start, "web db cache") },
            Wait { limit, ..wait(Act::Start { wait: false }, "web") },
            Wait { kill_after, ..wait(restart, "web") },
            Wait { status: refused.clone(), ..wait(restart, "web") },
            Wait { limit, ..wait(Act::Kill { wait: true }, "web") },
        ];
        let mut told: Vec<_> =
            waits.iter().map(|wait| text(wait, &Whole::default(), Duration::from_millis(12_900))).collect();
        let whole = Whole { command: Some("start-all"), apps: 30, done: 12, failed: 2 };
        let turn = Wait { sequential: true, limit, status: refused, ..wait(start, "web db cache") };
        told.push(text(&turn, &whole, Duration::from_secs(8)));
        let whole = Whole { command: Some("stop-all"), apps: 5, done: 1, failed: 0 };
        let stop = Wait { kill_after, ..wait(Act::Stop, "web") };
        told.push(text(&stop, &whole, Duration::from_secs(65)));
        told.push(goes_on(&stop, &whole));
        told.push(goes_on(&turn, &Whole::default()));
        told.push(goes_on(&wait(Act::Kill { wait: true }, "web"), &Whole::default()));
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn what_was_heard_is_waited_for_no_longer() {
        let stop = Stop { apps: apps("web db"), timeout: None, force: false, signal: None, wait: true };
        let mut wait = Wait::of(Act::Stop, &Command::Stop(stop));
        assert!(!wait.heard(&"web".parse().unwrap()));
        assert_eq!(wait.current(), apps("db"));
        wait.heard(&"db".parse().unwrap());
        assert!(wait.is_over());
    }

    #[test]
    fn a_line_fits_and_controls_nothing() {
        assert_eq!(fitted("short", 5), "short");
        assert_eq!(fitted("a\x1b[2J\rb\nc", 80), "a [2J b c");
        assert_eq!(fitted("stopping web", 10), "stopping…");
        assert_eq!(fitted("日本語", 5), "日…");
        for columns in 2..20 {
            let wide: usize =
                fitted("x日本語 a long line", columns).chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
            assert!(wide <= columns, "{wide} of {columns}");
        }
    }
}
