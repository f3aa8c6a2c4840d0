//! How an app is told: from a cell to the plain data of `status`.

use std::path::Path;
use std::time::Duration;

use daemonctl_actors::cell::Cell;
use daemonctl_actors::health::{self, HealthPolicy};
use daemonctl_actors::lifecycle::{Cause, Phase, Rest};
use daemonctl_actors::ports::Told;
use daemonctl_actors::value::{AppName, ExitStatus, Moment};

use super::checker::reason;
use super::holder::Holder;
use super::instance::Instance;
use super::record::{Record, Supervisor};
use crate::config::values::{SandboxType, Size};
use crate::control::status::{AppStatus, CheckStatus, Health, LastCheck, LastExit, LimitStatus, SandboxStatus, State};
use crate::launch::limits::{Held, words};

/// The moment at which an app is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// On the monotonic clock.
    pub moment: Moment,
    /// In seconds since the epoch.
    pub wall: f64,
}

/// What is told of an app. `supervisor` is the one that looks after it, if one does.
pub fn app_status(
    cell: &Cell,
    instance: Option<&Instance>,
    supervisor: Option<&Supervisor>,
    root: &Path,
    now: Now,
) -> AppStatus {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let state = state(cell);
    let alive = cell.life.has_child() && state != State::Starting;
    let running = !matches!(cell.life.phase, Phase::Down(_));
    let left = |until: Moment| until.saturating_sub(now.moment).as_secs_f64();
    let started_at = cell.started_at.filter(|_| cell.life.executed.is_some());
    AppStatus {
        name: cell.name.clone(),
        description: instance.and_then(|instance| instance.description.clone()),
        path: text(&root.join(cell.name.as_str())),
        state,
        state_since: cell.since,
        health: health(cell),
        ready: cell.life.is_ready(),
        pid: cell.child.filter(|_| cell.life.has_child()).map(|child| child.pid),
        started_at,
        uptime: cell.life.executed.filter(|_| alive).map(|at| now.moment.saturating_sub(at).as_secs_f64()),
        restarts: cell.history.restarts,
        attempts: cell.history.attempts,
        attempts_max: Some(cell.policy.restart.max_attempts).filter(|max| *max > 0),
        gave_up: cell.history.gave_up && cell.life.phase == Phase::Down(Rest::Failed),
        retry_in: match cell.life.phase {
            Phase::Backoff { until } => Some(left(until)),
            _ => None,
        },
        kill_in: match cell.life.phase {
            Phase::Stopping { kill_at, killed: false, .. } => Some(left(kill_at)),
            Phase::Sweeping { until, .. } => Some(left(until)),
            _ => None,
        },
        last_exit: last_exit(cell),
        note: note(cell),
        version: instance.and_then(|instance| instance.app.version().map(str::to_owned)),
        run_dir: instance.map(|instance| text(instance.app.run_dir())),
        stdout: instance.map(|instance| text(&instance.stdout)),
        stderr: instance.map(|instance| text(&instance.stderr)),
        events: instance.map(|instance| text(&instance.events)),
        supervisor: supervisor.map(|supervisor| supervisor.process.pid),
        mode: supervisor.map(|supervisor| if supervisor.background { "background" } else { "run" }.to_owned()),
        limits: instance.map(limits).unwrap_or_default(),
        check: instance.and_then(|instance| instance.checked).map(|policy| check(cell, &policy, now)),
        sandbox: instance.map(|instance| instance.sandbox.clone()).filter(|sandbox| *sandbox != unconfined()),
        configured_from: instance
            .filter(|_| running)
            .map(|instance| instance.configured_from.clone())
            .unwrap_or_default(),
        changed: Vec::new(),
        run_moved_to: None,
        mistakes: Vec::new(),
    }
}

/// What a sandbox is that was not asked for.
fn unconfined() -> SandboxStatus {
    SandboxStatus { kind: SandboxType::None.to_string(), ..SandboxStatus::default() }
}

/// The health check, and what it has said.
fn check(cell: &Cell, policy: &HealthPolicy, now: Now) -> CheckStatus {
    let last = cell.check.as_ref().map(|check| LastCheck {
        success: check.success,
        output: check.output.clone(),
        took: check.took.as_secs_f64(),
        at: check.at,
    });
    let next_in = cell.next_check.map(|due| due.saturating_sub(now.moment).as_secs_f64());
    let (failures, successes) = cell.vitals.map_or((0, 0), |vitals| (vitals.failures, vitals.successes));
    CheckStatus {
        monitored: policy.monitored,
        interval: policy.interval.as_secs_f64(),
        failures,
        failure_threshold: policy.failure_threshold,
        successes,
        success_threshold: policy.success_threshold,
        last,
        next_in,
    }
}

/// What is asked of limits, and what holds them.
fn limits(instance: &Instance) -> Vec<LimitStatus> {
    let groups = instance.launch.join.iter().flat_map(|join| &join.groups);
    let group = |held: &Held| {
        let mut groups = groups.clone().filter(|_| held.by.starts_with("cgroup"));
        groups.find(|group| group.limits.iter().any(|limit| words(*limit).0 == held.limit))
    };
    let status = |held: &Held| LimitStatus {
        limit: held.limit.clone(),
        asked: held.asked.clone(),
        held_by: held.by.clone(),
        group: group(held).map(|group| group.dir.to_string_lossy().into_owned()),
    };
    instance.limits.iter().map(status).collect()
}

/// What a record tells of an app at rest. After a reboot nothing of it runs, whatever the record says.
pub fn recorded_status(record: &Record, boot_id: &str, root: &Path, now: Now) -> AppStatus {
    let mut cell = record.cell.clone();
    let resting = matches!(cell.life.phase, Phase::Down(_));
    let rebooted = record.boot_id != boot_id;
    if rebooted && !resting {
        cell.life.phase = Phase::Down(Rest::Stopped);
        cell.child = None;
    }
    let mut status = app_status(&cell, record.instance.as_ref(), None, root, now);
    if rebooted && !resting {
        status.note = Some("it was running when the machine went down".to_owned());
    }
    status
}

/// What can be told of an app that a supervisor out of our reach runs.
pub fn foreign_status(name: &AppName, root: &Path, holder: Option<&Holder>) -> AppStatus {
    let path = root.join(name.as_str()).to_string_lossy().into_owned();
    let unknown = || "under the supervisor of another user or runtime directory".to_owned();
    let note = Some(holder.map_or_else(unknown, Holder::words));
    AppStatus { state: State::Running, note, ..AppStatus::unknown(name.clone(), path) }
}

/// The state of an app, in the word that people know it by.
pub fn state(cell: &Cell) -> State {
    match cell.life.phase {
        Phase::Down(Rest::Stopped) => State::Stopped,
        Phase::Down(Rest::Exited) => State::Exited,
        Phase::Down(Rest::Failed) => State::Failed,
        Phase::Launching { .. } => State::Starting,
        Phase::Up => State::Running,
        Phase::Stopping { .. } | Phase::Sweeping { .. } | Phase::Judging(_) => State::Stopping,
        Phase::Backoff { .. } => State::Backoff,
    }
}

fn health(cell: &Cell) -> Health {
    let monitored = cell.policy.health.is_some_and(|policy| policy.monitored);
    match cell.vitals.map(|vitals| vitals.health) {
        _ if !monitored || !cell.life.has_child() => Health::Disabled,
        Some(health::Health::Healthy) => Health::Healthy,
        Some(health::Health::Unhealthy) => Health::Unhealthy,
        Some(health::Health::Starting) | None => Health::Starting,
    }
}

fn last_exit(cell: &Cell) -> Option<LastExit> {
    let last = cell.last.as_ref()?;
    let told = Told { ending: last.ending, want: cell.life.want };
    Some(LastExit::new(last.ending.status, reason(&told), last.at, last.ending.ran.as_secs_f64()))
}

/// How the last run ended, and after what time.
pub fn how_it_ended(cell: &Cell) -> String {
    let Some(last) = &cell.last else { return "ended".to_owned() };
    match last.ending.status {
        Some(status) => {
            let why = if last.ending.out_of_memory { ": out of memory" } else { "" };
            format!("{status} after {}{why}", seconds(last.ending.ran.as_secs_f64()))
        }
        None => "ended before it was started".to_owned(),
    }
}

/// How an app ended that was to be started: what it did, and whether it is tried again.
pub fn how_it_failed(cell: &Cell) -> String {
    let ending = cell.last.as_ref().map(|last| last.ending);
    let ended = how_it_ended(cell);
    let did = match ending.map(|ending| (ending.cause, ending.status)) {
        Some((Some(Cause::Unhealthy), _)) => {
            let said = cell.check.as_ref().filter(|check| !check.success).and_then(|check| check.output.lines().next());
            format!("became unhealthy{}", said.map(|said| format!(": {said}")).unwrap_or_default())
        }
        Some((Some(Cause::Timeout), _)) => format!("reached its time limit, and was {ended}"),
        Some((_, Some(ExitStatus::Signal { .. }))) => format!("was {ended}"),
        _ => ended,
    };
    let is_retried = matches!(cell.life.phase, Phase::Backoff { .. });
    if is_retried { format!("{did}; it is started again") } else { did }
}

/// What a stop has ended: the last run, unless the app was between two of them `before` and no other has begun.
pub fn how_it_stopped(before: Option<&Cell>, after: &Cell) -> String {
    let waited = |cell: &&Cell| matches!(cell.life.phase, Phase::Backoff { .. }) && cell.launches == after.launches;
    match before.filter(waited) {
        Some(_) => "it was waiting to be started again".to_owned(),
        None => how_it_ended(after),
    }
}

/// What is said of an app whose main process the kernel has killed because its limit of memory was reached.
pub(super) fn out_of_memory(limit: Option<Size>) -> String {
    let limit = limit.map(|limit| format!(" (limit {limit})")).unwrap_or_default();
    format!("out of memory{limit}")
}

/// What nothing else in a status says.
fn note(cell: &Cell) -> Option<String> {
    let failure = || cell.failure.as_ref().map(|failure| failure.message.clone());
    match cell.life.phase {
        Phase::Down(Rest::Failed) | Phase::Backoff { .. } => failure(),
        Phase::Stopping { killed: true, .. } => Some("killed, and still there".to_owned()),
        Phase::Down(Rest::Stopped | Rest::Exited) | Phase::Launching { .. } | Phase::Up => None,
        Phase::Stopping { .. } | Phase::Sweeping { .. } | Phase::Judging(_) => None,
    }
}

/// A duration for people: `40ms`, `3.2s`, `3m10s`, `2h05m`, `5d3h`.
pub fn seconds(seconds: f64) -> String {
    let whole = Duration::from_secs_f64(seconds.max(0.0)).as_secs();
    match whole {
        0 if seconds < 0.9995 => format!("{:.0}ms", seconds.max(0.0) * 1000.0),
        0..60 if seconds < 59.95 => {
            let text = format!("{seconds:.1}");
            format!("{}s", text.strip_suffix(".0").unwrap_or(&text))
        }
        0..3600 => format!("{}m{:02}s", whole.max(60) / 60, whole.max(60) % 60),
        3600..86400 => format!("{}h{:02}m", whole / 3600, whole / 60 % 60),
        _ => format!("{}d{}h", whole / 86400, whole / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (value, text) in [
            (0.0, "0ms"),
            (0.0404, "40ms"),
            (0.9996, "1s"),
            (3.0, "3s"),
            (3.24, "3.2s"),
            (59.96, "1m00s"),
            (190.0, "3m10s"),
            (7500.0, "2h05m"),
            (442_800.0, "5d3h"),
        ] {
            assert_eq!(seconds(value), text);
        }
    }
}
