//! What one app does next.
//!
//! Two things are kept apart: what is wanted ([`Want`]) and what is the case ([`Phase`]). A command changes what is
//! wanted, at any time, and the last one wins; facts change what is the case. [`Lifecycle::step`] is the whole machine:
//! every pair of phase and event is written out, so that a new state stops the build until each decision is made.
//!
//! ```text
//!            Start            Executed            Exited            Swept           verdict
//!   Down ───────────► Launching ─────► Up ───────────────► Sweeping ──────► Judging ────────► Down
//!    ▲                    │             │ Stop, Unhealthy,    ▲                │
//!    │                    │ Stop        ▼ timeout             │ Exited         ▼
//!    │                    └────────► Stopping ────────────────┘             Backoff ──► Launching
//!    └─────────────────────────────────────────────────────────────────────────┘ Stop
//! ```
//!
//! A child is alive only in `Launching`, `Up` and `Stopping`, and `Launch` is an effect only of phases without one:
//! two children of one app are impossible by construction, and a property test tries to find them anyway.

mod event;
mod phase;

use std::time::Duration;

pub use event::{Effect, Event, Exit};
pub use phase::{Cause, Ending, Phase, Rest, Want};
use serde::{Deserialize, Serialize};

use crate::restarts::Verdict;
use crate::value::{Moment, Signal};

/// The times a lifecycle goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// The longest a launch may take.
    pub start_timeout: Duration,
    /// Time between the stop signal and SIGKILL when the supervisor itself decides to end the app.
    pub stop_grace: Duration,
    /// The longest the program may run.
    pub run_timeout: Option<Duration>,
    /// Whether the app is ready only once a health check has succeeded.
    pub ready_when_healthy: bool,
}

/// How long after a SIGKILL that did not help the next one is sent.
const KILL_AGAIN: Duration = Duration::from_secs(5);

/// The state of one app's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifecycle {
    /// What is the case.
    pub phase: Phase,
    /// What is wanted.
    pub want: Want,
    /// When the program of the current or last launch was exec'ed.
    pub executed: Option<Moment>,
    /// When it became ready.
    pub ready: Option<Moment>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { phase: Phase::Down(Rest::Stopped), want: Want::Down, executed: None, ready: None }
    }
}

impl Lifecycle {
    /// The moment at which [`Event::Deadline`] has a meaning, if there is one.
    pub fn deadline(&self, timing: &Timing) -> Option<Moment> {
        match self.phase {
            Phase::Down(_) | Phase::Sweeping { .. } | Phase::Judging(_) => None,
            Phase::Launching { since } => Some(since + timing.start_timeout),
            Phase::Up => timing.run_timeout.zip(self.executed).map(|(limit, executed)| executed + limit),
            Phase::Stopping { kill_at, .. } => Some(kill_at),
            Phase::Backoff { until } => Some(until),
        }
    }

    /// Whether a process of the app exists, or is about to.
    pub fn has_child(&self) -> bool {
        match self.phase {
            Phase::Launching { .. } | Phase::Up | Phase::Stopping { .. } => true,
            Phase::Down(_) | Phase::Sweeping { .. } | Phase::Judging(_) | Phase::Backoff { .. } => false,
        }
    }

    /// Whether it is ready.
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Up && self.ready.is_some()
    }

    /// Takes in one event at the moment `now`, and returns what is to be done, in order.
    pub fn step(&mut self, now: Moment, event: Event, timing: &Timing) -> Vec<Effect> {
        use Effect::{Judge, Kill, Observe, Ready, Terminate, Unobserve};
        if event == Event::Deadline && self.deadline(timing).is_none_or(|due| now < due) {
            return Vec::new(); // A timer of the past.
        }
        match event {
            Event::Start => self.want = self.wanted_by_start(),
            Event::Stop { .. } => self.want = Want::Down,
            Event::Restart { delay, .. } => self.want = Want::Again { delay },
            _ => {}
        }
        match (self.phase, event) {
            // Nothing runs: a start starts. What ended by itself is called stopped after a stop.
            (Phase::Down(_), Event::Start | Event::Restart { .. }) => self.launch(now),
            (Phase::Down(_), Event::Stop { .. }) => self.rest(Rest::Stopped),
            // Facts about a launch that is over.
            (Phase::Down(_), Event::Executed | Event::LaunchFailed | Event::Exited(_) | Event::Swept) => Vec::new(),
            (Phase::Down(_), Event::Judged(_) | Event::Healthy | Event::Unhealthy | Event::Deadline) => Vec::new(),

            (Phase::Launching { .. }, Event::Start) => Vec::new(),
            (Phase::Launching { .. }, Event::Executed) => {
                self.phase = Phase::Up;
                self.executed = Some(now);
                match timing.ready_when_healthy {
                    true => vec![Observe],
                    false => {
                        self.ready = Some(now);
                        vec![Observe, Ready]
                    }
                }
            }
            (Phase::Launching { .. }, Event::LaunchFailed) => self.ended(now, None, None, now),
            // The launcher obeys signals too; an exec in between only means that the program gets it.
            (Phase::Launching { .. }, Event::Stop { grace, signal }) => self.stop(now, Cause::Asked, grace, signal),
            (Phase::Launching { .. }, Event::Restart { grace, .. }) => self.stop(now, Cause::Asked, grace, None),
            (Phase::Launching { .. }, Event::Deadline) => self.stop(now, Cause::Timeout, Duration::ZERO, None),
            // No program yet that could exit or be checked.
            (Phase::Launching { .. }, Event::Exited(_) | Event::Swept | Event::Judged(_)) => Vec::new(),
            (Phase::Launching { .. }, Event::Healthy | Event::Unhealthy) => Vec::new(),

            (Phase::Up, Event::Start) => Vec::new(),
            (Phase::Up, Event::Stop { grace, signal }) => {
                [vec![Unobserve], self.stop(now, Cause::Asked, grace, signal)].concat()
            }
            (Phase::Up, Event::Restart { grace, .. }) => {
                [vec![Unobserve], self.stop(now, Cause::Asked, grace, None)].concat()
            }
            (Phase::Up, Event::Exited(exit)) => [vec![Unobserve], self.ended(now, Some(exit), None, now)].concat(),
            (Phase::Up, Event::Healthy) => match self.ready {
                Some(_) => Vec::new(),
                None => {
                    self.ready = Some(now);
                    vec![Ready]
                }
            },
            (Phase::Up, Event::Unhealthy) => {
                [vec![Unobserve], self.stop(now, Cause::Unhealthy, timing.stop_grace, None)].concat()
            }
            (Phase::Up, Event::Deadline) => {
                [vec![Unobserve], self.stop(now, Cause::Timeout, timing.stop_grace, None)].concat()
            }
            // Said twice, or of an earlier launch.
            (Phase::Up, Event::Executed | Event::LaunchFailed | Event::Swept | Event::Judged(_)) => Vec::new(),

            // Run again once it has ended: a stop is not taken back half-way.
            (Phase::Stopping { .. }, Event::Start) => Vec::new(),
            (Phase::Stopping { kill_at, killed, cause }, Event::Stop { grace, signal }) => {
                // Asked again: sooner, if that is what the second command says, never later.
                let kill_at = kill_at.min(now + grace);
                self.phase = Phase::Stopping { cause, kill_at, killed };
                match (killed, grace.is_zero()) {
                    (true, _) => vec![Kill],
                    (false, true) => self.kill(now, cause),
                    (false, false) => vec![Terminate(signal)],
                }
            }
            (Phase::Stopping { kill_at, killed, cause }, Event::Restart { grace, .. }) => {
                self.phase = Phase::Stopping { cause, kill_at: kill_at.min(now + grace), killed };
                match !killed && grace.is_zero() {
                    true => self.kill(now, cause),
                    false => Vec::new(),
                }
            }
            (Phase::Stopping { .. }, Event::Executed) => {
                // The exec won the race with the stop signal: the program has it, or gets it now.
                self.executed = Some(now);
                vec![Terminate(None)]
            }
            (Phase::Stopping { cause, .. }, Event::LaunchFailed) => self.ended(now, None, Some(cause), now),
            (Phase::Stopping { cause, kill_at, killed: false }, Event::Exited(exit)) => {
                // The rest of its group may take the grace that is left.
                self.ended(now, Some(exit), Some(cause), kill_at)
            }
            (Phase::Stopping { cause, killed: true, .. }, Event::Exited(exit)) => {
                // The SIGKILL was ours, whatever it looks like.
                self.ended(now, Some(exit.status.into()), Some(cause), now)
            }
            (Phase::Stopping { cause, .. }, Event::Deadline) => self.kill(now, cause),
            (Phase::Stopping { .. }, Event::Swept | Event::Judged(_)) => Vec::new(),
            (Phase::Stopping { .. }, Event::Healthy | Event::Unhealthy) => Vec::new(),

            // A command now only says what follows; `want` remembers it. More haste is possible.
            (Phase::Sweeping { ending, until }, Event::Stop { grace, .. } | Event::Restart { grace, .. }) => {
                let sooner = until.min(now + grace);
                self.phase = Phase::Sweeping { ending, until: sooner };
                match sooner < until && grace.is_zero() {
                    true => vec![Kill],
                    false => Vec::new(),
                }
            }
            (Phase::Sweeping { ending, .. }, Event::Swept) => {
                self.phase = Phase::Judging(ending);
                vec![Judge(ending)]
            }
            (Phase::Sweeping { .. }, Event::Start | Event::Executed | Event::LaunchFailed) => Vec::new(),
            (Phase::Sweeping { .. }, Event::Exited(_) | Event::Judged(_) | Event::Deadline) => Vec::new(),
            (Phase::Sweeping { .. }, Event::Healthy | Event::Unhealthy) => Vec::new(),

            (Phase::Judging(_), Event::Judged(verdict)) => match (self.want, verdict) {
                (Want::Down, _) => self.rest(Rest::Stopped),
                (Want::Again { delay }, _) if !delay.is_zero() => self.back_off(now + delay),
                (Want::Again { .. }, _) => self.launch(now),
                (Want::Up, Verdict::Again { after }) if after.is_zero() => self.launch(now),
                (Want::Up, Verdict::Again { after }) => self.back_off(now + after),
                (Want::Up, Verdict::Leave(rest)) => self.rest(rest),
            },
            (Phase::Judging(_), Event::Start | Event::Stop { .. } | Event::Restart { .. }) => Vec::new(),
            (Phase::Judging(_), Event::Executed | Event::LaunchFailed | Event::Exited(_) | Event::Swept) => Vec::new(),
            (Phase::Judging(_), Event::Healthy | Event::Unhealthy | Event::Deadline) => Vec::new(),

            // An impatient start does not wait for the rest of the pause.
            (Phase::Backoff { .. }, Event::Start | Event::Restart { .. } | Event::Deadline) => self.launch(now),
            (Phase::Backoff { .. }, Event::Stop { .. }) => self.rest(Rest::Stopped),
            (Phase::Backoff { .. }, Event::Executed | Event::LaunchFailed | Event::Exited(_)) => Vec::new(),
            (Phase::Backoff { .. }, Event::Swept | Event::Judged(_)) => Vec::new(),
            (Phase::Backoff { .. }, Event::Healthy | Event::Unhealthy) => Vec::new(),
        }
    }

    /// What a new actor does first around a cell it did not begin: the effects whose execution was lost with the old
    /// one. Watching a living child goes without saying.
    pub fn resume(&self) -> Vec<Effect> {
        match self.phase {
            Phase::Down(_) | Phase::Backoff { .. } => Vec::new(),
            Phase::Launching { .. } => Vec::new(), // The child, if there is one, tells whether it was exec'ed.
            Phase::Up => vec![Effect::Observe],
            Phase::Stopping { killed: true, .. } => vec![Effect::Kill],
            Phase::Stopping { killed: false, .. } => vec![Effect::Terminate(None)],
            Phase::Sweeping { until, .. } => vec![Effect::Sweep { until }],
            Phase::Judging(ending) => vec![Effect::Judge(ending)],
        }
    }

    /// What a start command wants: where the app is on its way down, that it comes up again, whatever its policy says
    /// about endings.
    fn wanted_by_start(&self) -> Want {
        match (self.phase, self.want) {
            (_, again @ Want::Again { .. }) => again,
            (Phase::Stopping { .. } | Phase::Sweeping { .. } | Phase::Judging(_), _) => {
                Want::Again { delay: Duration::ZERO }
            }
            (Phase::Down(_) | Phase::Launching { .. } | Phase::Up | Phase::Backoff { .. }, _) => Want::Up,
        }
    }

    fn launch(&mut self, now: Moment) -> Vec<Effect> {
        self.phase = Phase::Launching { since: now };
        self.want = Want::Up;
        self.executed = None;
        self.ready = None;
        vec![Effect::Launch]
    }

    fn stop(&mut self, now: Moment, cause: Cause, grace: Duration, signal: Option<Signal>) -> Vec<Effect> {
        if grace.is_zero() {
            return self.kill(now, cause);
        }
        self.phase = Phase::Stopping { cause, kill_at: now + grace, killed: false };
        vec![Effect::Terminate(signal)]
    }

    fn kill(&mut self, now: Moment, cause: Cause) -> Vec<Effect> {
        self.phase = Phase::Stopping { cause, kill_at: now + KILL_AGAIN, killed: true };
        vec![Effect::Kill]
    }

    fn ended(&mut self, now: Moment, exit: Option<Exit>, cause: Option<Cause>, until: Moment) -> Vec<Effect> {
        let since = |moment: Option<Moment>| moment.map_or(Duration::ZERO, |at| now.saturating_sub(at));
        let ending = Ending {
            status: exit.map(|exit| exit.status),
            cause,
            ran: since(self.executed),
            stable: since(self.ready),
            out_of_memory: exit.is_some_and(|exit| exit.out_of_memory),
        };
        self.phase = Phase::Sweeping { ending, until };
        vec![Effect::Sweep { until }]
    }

    fn back_off(&mut self, until: Moment) -> Vec<Effect> {
        self.want = Want::Up;
        self.phase = Phase::Backoff { until };
        Vec::new()
    }

    fn rest(&mut self, rest: Rest) -> Vec<Effect> {
        self.want = Want::Down;
        self.phase = Phase::Down(rest);
        Vec::new()
    }
}

#[cfg(test)]
mod tests;
