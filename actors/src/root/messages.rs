//! What the root is told and asked, and what it answers.

use std::time::Duration;

use actix::Message;

use crate::cell::{Cell, StartFailure};
use crate::lifecycle::Ending;
use crate::ports::Scope;
use crate::value::{AppName, Signal};

/// From the control server: start an app. The reply comes when it has been exec'ed, or, with `wait`, when it is ready.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Started")]
pub struct StartApp {
    /// Which.
    pub name: AppName,
    /// Reply when it is ready.
    pub wait: bool,
    /// The longest wait; the app's start time-out if not given.
    pub timeout: Option<Duration>,
}

/// What became of a start.
#[derive(Clone, Debug, PartialEq)]
pub enum Started {
    /// It runs.
    Started {
        /// Pid of its main process.
        pid: i32,
        /// Whether it is ready.
        ready: bool,
        /// What the person should know.
        warnings: Vec<String>,
    },
    /// It ran already.
    Running {
        /// Pid of its main process.
        pid: i32,
    },
    /// It was exec'ed and has ended.
    Ended(Box<Cell>),
    /// It was not exec'ed.
    Failed(StartFailure),
    /// Neither within the time.
    TimedOut(Box<Cell>),
}

/// From the control server: stop an app. The reply comes when nothing of it is left, or at once without `wait`.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Stopped")]
pub struct StopApp {
    /// Which.
    pub name: AppName,
    /// Time between signal and SIGKILL; the app's own if not given.
    pub grace: Option<Duration>,
    /// The signal; the app's own if not given.
    pub signal: Option<Signal>,
    /// Reply when it is done.
    pub wait: bool,
}

/// What became of a stop.
#[derive(Clone, Debug, PartialEq)]
pub enum Stopped {
    /// It has stopped; the cell tells how.
    Stopped(Box<Cell>),
    /// It is being stopped.
    Stopping,
    /// It was not running.
    NotRunning,
}

/// From the control server: stop an app and start it again. The reply comes as for a start.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Started")]
pub struct RestartApp {
    /// How it is started.
    pub start: StartApp,
    /// Time between stop signal and SIGKILL; the app's own if not given.
    pub grace: Option<Duration>,
    /// Pause between the two.
    pub delay: Duration,
}

/// From the control server: send a signal to an app.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(Signal, i32), SignalFailure>")]
pub struct SignalApp {
    /// Which.
    pub name: AppName,
    /// What; its reload signal if not given.
    pub signal: Option<Signal>,
    /// Whom it is for.
    pub scope: Scope,
    /// Reply when the main process has ended, after this time at the most.
    pub wait: Option<Duration>,
}

/// Why a signal had no effect.
#[derive(Debug)]
pub enum SignalFailure {
    /// The app is not running.
    NotRunning,
    /// The system refused.
    Refused(std::io::Error),
    /// The process did not end within the time.
    TimedOut,
}

/// A question: the cells of all apps.
#[derive(Message)]
#[rtype(result = "Vec<Cell>")]
pub struct Cells;

/// From the supervisor's start: an app that lived, or rested, under a predecessor.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Adopt(pub Cell);

/// From the signal handler: stop all apps; the reply comes when all are at rest. With `kill`, do not wait for them.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopAll {
    /// SIGKILL at once.
    pub kill: bool,
}

/// From an app: its process has ended and nothing of it is left. Its effect is a verdict.
#[derive(Message)]
#[rtype(result = "()")]
pub struct AppEnded {
    /// Which.
    pub name: AppName,
    /// How.
    pub ending: Ending,
}

/// From an app: it is at rest.
#[derive(Message)]
#[rtype(result = "()")]
pub struct AppRested {
    /// Which.
    pub name: AppName,
}

/// From an app's guard: its actor was lost to a panic. Its effect is a new one around the same cell.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ActorLost {
    /// Which.
    pub name: AppName,
}
