//! Waiting for the outcome of a command: the reply says that it was done.

use std::time::Duration;

use super::{StartApp, Started};
use crate::cell::{Cell, SharedCell, StartFailure, Trouble};
use crate::lifecycle::Phase;

/// How long an app that nothing checks must have lived before whoever waits for it is told that it is ready.
const SETTLED: Duration = Duration::from_millis(100);

/// The state of an app's counters when a start was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    /// The launch that the start is about.
    pub(super) launch: u64,
    /// Stop commands before it.
    pub(super) stops: u64,
}

/// Waits until a start has an outcome.
pub(super) async fn await_start(cell: SharedCell, begun: Begun, start: StartApp) -> Started {
    let asked_at = tokio::time::Instant::now();
    let mut changes = cell.watch();
    loop {
        // The app's own time-out is known once this launch has read the configuration.
        let limit = start.timeout.unwrap_or(cell.get().policy.timing.start_timeout);
        let outcome = |cell: &Cell| start_outcome(cell, begun, start.wait);
        let moved = |cell: &Cell| start.timeout.is_none() && cell.policy.timing.start_timeout != limit;
        let decided = changes.wait_for(|cell| outcome(cell).is_some() || moved(cell));
        match tokio::time::timeout_at(asked_at + limit, decided).await {
            Ok(Ok(cell)) => match outcome(&cell) {
                Some(Started::Started { .. }) if start.wait && cell.policy.health.is_none() => break,
                Some(started) => return started,
                None => continue,
            },
            Ok(Err(_)) | Err(_) => return Started::TimedOut(Box::new(cell.get().clone())),
        }
    }
    // Nothing tells readiness but the exec. At least it should not be dead when it is called ready.
    let ended = changes.wait_for(|cell| matches!(cell.life.phase, Phase::Down(_) | Phase::Backoff { .. }));
    match tokio::time::timeout(SETTLED, ended).await {
        Ok(Ok(cell)) => Started::Ended(Box::new(cell.clone())),
        Ok(Err(_)) | Err(_) => match start_outcome(&cell.get(), begun, false) {
            Some(started) => started,
            None => Started::TimedOut(Box::new(cell.get().clone())),
        },
    }
}

/// The outcome of a start, if there is one yet.
fn start_outcome(cell: &Cell, Begun { launch, stops }: Begun, wait: bool) -> Option<Started> {
    if cell.launches < launch {
        let stopped_first = cell.stops > stops && matches!(cell.life.phase, Phase::Down(_));
        return stopped_first.then(|| Started::Ended(Box::new(cell.clone())));
    }
    match (&cell.failure, cell.life.phase) {
        // Told once it is known what follows, so that a question about the state right after is answered with that.
        (Some(failure), Phase::Down(_) | Phase::Backoff { .. }) if cell.executed_launch < launch => {
            return Some(Started::Failed(failure.clone()));
        }
        (None, Phase::Down(_) | Phase::Backoff { .. }) if cell.executed_launch < launch => {
            return Some(Started::Ended(Box::new(cell.clone())));
        }
        _ if cell.executed_launch < launch => return None,
        _ => {}
    }
    if !wait && !matches!(cell.life.phase, Phase::Up) {
        // It was exec'ed, which is all that was wanted; that it has ended since is another story.
        let pid = cell.child.map(|child| child.pid).or(cell.last.as_ref().and_then(|last| last.pid));
        return Some(Started::Started { pid: pid.unwrap_or_default(), ready: false, warnings: cell.warnings.clone() });
    }
    match cell.life.phase {
        Phase::Up if !wait || cell.life.ready.is_some() => Some(Started::Started {
            pid: cell.child.map_or(0, |child| child.pid),
            ready: cell.life.ready.is_some(),
            warnings: cell.warnings.clone(),
        }),
        // Not ready yet.
        Phase::Up | Phase::Launching { .. } => None,
        Phase::Stopping { .. } if wait => None,
        Phase::Down(_) | Phase::Backoff { .. } => Some(Started::Ended(Box::new(cell.clone()))),
        // It was exec'ed; that it has ended since is told as soon as it is known what follows.
        Phase::Stopping { .. } | Phase::Sweeping { .. } | Phase::Judging(_) => None,
    }
}

/// The answer to a start while everything is being stopped.
pub(super) fn closing() -> Started {
    let message = "its supervisor is stopping all apps".to_owned();
    Started::Failed(StartFailure { trouble: Trouble::Passing, message, hint: Some("try again in a moment".to_owned()) })
}

/// Waits until an app is at rest, or has been: a start that came after the stop may have launched it again.
pub(super) async fn await_rest(cell: SharedCell, stops: u64) -> Cell {
    let mut changes = cell.watch();
    let rested = |cell: &Cell| {
        let again = cell.stops > stops && cell.launches > cell.stopped_launch;
        matches!(cell.life.phase, Phase::Down(_)) || again
    };
    let rest = changes.wait_for(rested).await.map(|cell| cell.clone());
    rest.unwrap_or_else(|_| cell.get().clone())
}
