//! What is wanted of an app, and what is the case.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::value::{ExitStatus, Moment};

/// What the last command wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// It shall run.
    Up,
    /// It shall not run.
    Down,
    /// It shall stop and then run anew, after a pause.
    Again {
        /// The pause.
        delay: Duration,
    },
}

/// How an app that has no process is to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rest {
    /// Stopped by command, or never started.
    Stopped,
    /// Ended by itself, not to be restarted.
    Exited,
    /// Could not start, or was given up.
    Failed,
}

/// Why the supervisor ends a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A command asked for it.
    Asked,
    /// Its health checks fail.
    Unhealthy,
    /// It has run, or tried to start, longer than it may.
    Timeout,
}

/// How a launch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// How the main process ended; nothing when the program was never exec'ed.
    pub status: Option<ExitStatus>,
    /// Why the supervisor ended it, if it did.
    pub cause: Option<Cause>,
    /// How long the program ran.
    pub ran: Duration,
    /// How long it had been ready.
    pub stable: Duration,
    /// Whether the kernel ended it because its memory limit was reached.
    #[serde(default)]
    pub out_of_memory: bool,
}

/// What is the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No process, and none to come.
    Down(Rest),
    /// The launcher exists, or is about to; the program has not been exec'ed.
    Launching {
        /// When that began.
        since: Moment,
    },
    /// The program runs.
    Up,
    /// The program has been asked to end.
    Stopping {
        /// Why.
        cause: Cause,
        /// When it is killed, or killed again.
        kill_at: Moment,
        /// Whether it has been killed once.
        killed: bool,
    },
    /// The main process has ended; what it left is being removed, and on-stop runs.
    Sweeping {
        /// How it ended.
        ending: Ending,
        /// Until when leftovers may end by themselves.
        until: Moment,
    },
    /// All is clean; the root decides what follows.
    Judging(Ending),
    /// Waiting to be started again.
    Backoff {
        /// Until when.
        until: Moment,
    },
}

impl Phase {
    /// Whether people call both by the same name: all that is done from the signal to the verdict is `stopping`.
    pub fn is_called_like(self, other: Self) -> bool {
        let name = |phase| match phase {
            Self::Down(Rest::Stopped) => 0,
            Self::Down(Rest::Exited) => 1,
            Self::Down(Rest::Failed) => 2,
            Self::Launching { .. } => 3,
            Self::Up => 4,
            Self::Stopping { .. } | Self::Sweeping { .. } | Self::Judging(_) => 5,
            Self::Backoff { .. } => 6,
        };
        name(self) == name(other)
    }
}
