//! What the tree needs from the outside, as traits: processes, checks, a clock, a place for records and events.
//!
//! The supervisor implements them with real things, a test with scripted ones. Futures are local: the tree lives on
//! one thread. The exception is [`Tap`], which the log thread drives.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use crate::cell::{Cell, CheckReport, Child, Policy, StartFailure};
use crate::lifecycle::{Ending, Want};
use crate::value::{AppName, ExitStatus, Moment, Signal};

/// A future of the tree's own thread.
pub type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// A launcher that waits at its gate, and how the app it will turn into is to be treated.
#[derive(Clone, Debug)]
pub struct Launched {
    /// The launcher's process; the app's, once it has exec'ed.
    pub child: Child,
    /// How the app is to be treated from now on.
    pub policy: Policy,
    /// What the person who started it should know.
    pub warnings: Vec<String>,
    /// Whether it is launched otherwise than the last time: then its attempts count anew.
    pub reconfigured: bool,
}

/// How a launcher ends that has not exec'ed anything: its gate was closed, or it has reported a failure.
pub const NOT_EXECUTED: [ExitStatus; 2] = [ExitStatus::Code(119), ExitStatus::Code(120)];

/// Whom a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The main process.
    Main,
    /// Its process group.
    Group,
}

/// The processes of apps.
pub trait Spawner {
    /// Reads the app's configuration and starts its launcher, which waits at a gate. Dropping the future, or the
    /// supervisor's death, makes the launcher leave without exec.
    fn launch(&self, app: &AppName, awaited: bool) -> LocalFuture<Result<Launched, StartFailure>>;
    /// Opens the gate. The future ends when the program has been exec'ed, with what the person who started it should
    /// know, or with the launcher's reason after the launcher has gone.
    fn release(&self, app: &AppName, child: Child) -> LocalFuture<Result<Vec<String>, StartFailure>>;
    /// The same for a launcher whose gate a predecessor held: ends when it is plain whether it has exec'ed.
    fn recover(&self, app: &AppName, child: Child) -> LocalFuture<Result<Vec<String>, StartFailure>>;
    /// Lets a launcher go that is not wanted any more.
    fn abandon(&self, app: &AppName, child: Child) -> LocalFuture<()>;
    /// Waits for the end of the main process, without reaping it.
    fn watch(&self, app: &AppName, child: Child) -> LocalFuture<ExitStatus>;
    /// Whether an end like this is the kernel's answer to a memory limit that the app has reached.
    fn ran_out_of_memory(&self, app: &AppName, status: ExitStatus) -> bool;
    /// Reaps it. Called after its end has been recorded.
    fn reap(&self, app: &AppName, child: Child);
    /// Sends a signal.
    fn signal(&self, app: &AppName, child: Child, signal: Signal, scope: Scope) -> io::Result<()>;
    /// Sends SIGKILL to everything of the app that can be found.
    fn kill(&self, app: &AppName, child: Child);
    /// Waits until nothing of the app is left, using force after `until`, and until its output has been collected.
    fn sweep(&self, app: &AppName, child: Option<Child>, until: Moment) -> LocalFuture<()>;
    /// Removes what was kept of the run for its on-stop hook. The last thing that is done for it.
    fn clear(&self, app: &AppName) -> LocalFuture<()>;
}

/// A hook of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// The app is up.
    Start,
    /// The app has stopped.
    Stop,
}

/// Health checks and hooks: small programs run beside an app.
pub trait Checker {
    /// Runs the health check once, within its time limit.
    fn check(&self, app: &AppName) -> LocalFuture<CheckReport>;
    /// Runs a hook, within its time limit. `ending` is what on-stop is told.
    fn hook(&self, app: &AppName, hook: Hook, pid: Option<i32>, ending: Option<Told>) -> LocalFuture<()>;
}

/// What an on-stop hook is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// How the app ended.
    pub ending: Ending,
    /// What had been wanted: an end that was asked for is a stop, whatever the status.
    pub want: Want,
}

/// Time and chance.
pub trait Clock {
    /// The reading of `CLOCK_MONOTONIC`.
    fn now(&self) -> Moment;
    /// Seconds since the epoch, for people.
    fn wall(&self) -> f64;
    /// A number from 0 to 1.
    fn chance(&self) -> f64;
}

/// What is told about an app: one line of its event log.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// The program was exec'ed.
    Started {
        /// Its pid.
        pid: i32,
    },
    /// A launch failed.
    NotStarted(StartFailure),
    /// It is ready.
    Ready,
    /// It was asked to end.
    Stopping {
        /// By which signal.
        signal: Signal,
    },
    /// It did not heed the signal and was killed.
    Killed,
    /// The main process ended.
    Ended {
        /// Its pid.
        pid: Option<i32>,
        /// How.
        ending: Ending,
    },
    /// It will be started again.
    Restarting {
        /// After this many seconds.
        after: f64,
        /// Restarts in a row.
        attempt: u32,
        /// Of at most so many; 0 is unlimited.
        of: u32,
    },
    /// It was given up.
    GaveUp {
        /// After so many restarts.
        attempts: u32,
    },
    /// Its health changed.
    Health {
        /// Whether it is healthy now.
        healthy: bool,
        /// What the check said.
        output: String,
    },
    /// A health check failed and did not change the verdict.
    CheckFailed {
        /// What it said.
        output: String,
        /// Whether the app was still starting up, so that this was to be expected.
        starting: bool,
    },
    /// The actor that looked after it was lost to a panic and replaced.
    Rebuilt,
    /// A signal was sent by command.
    Signalled {
        /// Which.
        signal: Signal,
    },
}

/// Where records and events go.
pub trait Sink {
    /// Writes an app's record, so that a successor can take over from here. `false` if that failed.
    fn save(&self, cell: &Cell) -> bool;
    /// Tells something about an app.
    fn note(&self, app: &AppName, notice: Notice);
    /// An app has come to rest: nothing of it runs, nor will by itself. `all` if that goes for every app now.
    fn at_rest(&self, cell: &Cell, all: bool);
}

/// All of it, as an actor holds it.
#[derive(Clone)]
pub struct Ports {
    /// The processes.
    pub spawner: Rc<dyn Spawner>,
    /// Checks and hooks.
    pub checker: Rc<dyn Checker>,
    /// Time and chance.
    pub clock: Rc<dyn Clock>,
    /// Records and events.
    pub sink: Rc<dyn Sink>,
}

/// One stream of output on its way to a file, driven by the log thread.
pub trait Tap {
    /// Waits until there is something to move, or the stream has ended.
    fn ready(&mut self) -> Pin<Box<dyn Future<Output = io::Result<()>> + '_>>;
    /// Moves what is there, at most one piece. It may block on the disk.
    fn pump(&mut self) -> io::Result<Pumped>;
    /// Nobody waits for a slow reader any more: what cannot be moved from now on is dropped.
    fn hurry(&mut self);
    /// How many bytes are there to be moved.
    fn pending(&self) -> u64;
    /// How many bytes have been moved so far.
    fn moved(&self) -> u64;
    /// After how long there is something to be done although nothing comes; nothing most of the time.
    fn chore(&self) -> Option<Duration>;
    /// Does it.
    fn tidy(&mut self);
}

/// What a [`Tap::pump`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pumped {
    /// There was nothing to move.
    Empty,
    /// So little was moved that it was hardly worth a look.
    Little,
    /// A good part of what a pipe holds was moved.
    Some,
    /// As much was moved as there can be; there is probably more.
    Full,
    /// The stream has ended: no writer is left.
    End,
}
