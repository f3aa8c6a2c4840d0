//! What a lifecycle is told, and what it asks for.

use std::time::Duration;

use super::Ending;
use crate::restarts::Verdict;
use crate::value::{ExitStatus, Moment, Signal};

/// What happens to an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A command: run.
    Start,
    /// A command: end.
    Stop {
        /// Time between the signal and SIGKILL.
        grace: Duration,
        /// The signal, if not the app's own stop signal.
        signal: Option<Signal>,
    },
    /// A command: end, then run anew.
    Restart {
        /// Time between the stop signal and SIGKILL.
        grace: Duration,
        /// Pause between the two.
        delay: Duration,
    },
    /// The program was exec'ed.
    Executed,
    /// It was not, and the launcher is gone.
    LaunchFailed,
    /// The main process has ended.
    Exited(Exit),
    /// Nothing of the app is left, and on-stop has run.
    Swept,
    /// The root's decision about the last ending.
    Judged(Verdict),
    /// It is healthy for the first time.
    Healthy,
    /// It is unhealthy.
    Unhealthy,
    /// The deadline has been reached.
    Deadline,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start the launcher.
    Launch,
    /// Send the stop signal, or this one, to the process group.
    Terminate(Option<Signal>),
    /// SIGKILL everything of the app.
    Kill,
    /// Begin health checks.
    Observe,
    /// End health checks.
    Unobserve,
    /// It is ready: tell, and run on-start.
    Ready,
    /// Remove what is left of it, by force after the given moment, and run on-stop.
    Sweep {
        /// Until when leftovers may end by themselves.
        until: Moment,
    },
    /// Ask the root what follows.
    Judge(Ending),
}

/// What is seen of the end of a main process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// How it ended.
    pub status: ExitStatus,
    /// Whether that looks like the kernel's answer to a memory limit that was reached.
    pub out_of_memory: bool,
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        Self { status, out_of_memory: false }
    }
}
