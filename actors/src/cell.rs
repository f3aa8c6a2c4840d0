//! Everything that is known of one app while a supervisor looks after it.
//!
//! A cell lives with the root; the app's actor works on it through a shared handle. It is plain data, so that it can be
//! written to a record: what a successor needs to go on is here and nowhere else.

use std::cell::{Ref, RefCell, RefMut};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::health::{HealthPolicy, Vitals};
use crate::lifecycle::{Ending, Event, Lifecycle, Timing};
use crate::restarts::{History, LaunchFault, RestartPolicy, When};
use crate::value::{AppName, Moment, Signal};

/// How an app is to be treated: taken from its configuration at each launch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// The times of its lifecycle.
    pub timing: Timing,
    /// When it is started again.
    pub restart: RestartPolicy,
    /// How it is checked, if it is.
    pub health: Option<HealthPolicy>,
    /// What asks it to end.
    pub stop_signal: Signal,
    /// What asks it to read its configuration again.
    pub reload_signal: Signal,
}

impl Default for Policy {
    /// What goes for an app whose configuration has not been read yet.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            timing: Timing {
                start_timeout: seconds(60),
                stop_grace: seconds(30),
                run_timeout: None,
                ready_when_healthy: false,
            },
            restart: RestartPolicy {
                when: When::No,
                delay: seconds(5),
                delay_max: seconds(300),
                max_attempts: 3,
                reset_after: seconds(60),
                success: vec![0],
            },
            health: None,
            stop_signal: Signal::TERM,
            reload_signal: Signal::HUP,
        }
    }
}

/// A process, named so that it cannot be mistaken for another that gets the same pid later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Child {
    /// Its pid, which is also its process group.
    pub pid: i32,
    /// Its start time, in clock ticks since boot (field 22 of /proc/PID/stat, proc(5)).
    pub start_time: u64,
}

/// Why a program was not exec'ed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFailure {
    /// What kind of trouble it is.
    pub trouble: Trouble,
    /// In words, for a person.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Kinds of trouble with a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The configuration is wrong.
    Configuration,
    /// There is no such app any more.
    Missing,
    /// It runs under another supervisor.
    Taken,
    /// Something that may pass.
    Passing,
    /// Something that lasts.
    Lasting,
    /// The supervisor died between fork and exec.
    Interrupted,
}

impl StartFailure {
    /// What the failure means for a restart.
    pub fn fault(&self) -> LaunchFault {
        match self.trouble {
            Trouble::Interrupted => LaunchFault::Interrupted,
            Trouble::Passing => LaunchFault::Passing,
            Trouble::Configuration | Trouble::Missing | Trouble::Taken | Trouble::Lasting => LaunchFault::Lasting,
        }
    }
}

/// How the last launch ended, and when.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Last {
    /// How.
    pub ending: Ending,
    /// Seconds since the epoch.
    pub at: f64,
    /// Pid of the main process, if the program was exec'ed.
    pub pid: Option<i32>,
}

/// What a health check said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Whether it succeeded.
    pub success: bool,
    /// The end of its output, and how it ended where that is not plain.
    pub output: String,
    /// How long it took.
    pub took: Duration,
    /// When it ended, in seconds since the epoch.
    #[serde(default)]
    pub at: Option<f64>,
}

/// The whole state of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Its name.
    pub name: AppName,
    /// Its machine.
    pub life: Lifecycle,
    /// Its restarts.
    pub history: History,
    /// How it is treated.
    pub policy: Policy,
    /// Its process, while the machine says that there is one.
    pub child: Option<Child>,
    /// When the program was exec'ed, in seconds since the epoch.
    pub started_at: Option<f64>,
    /// Since when its state is what it is, in seconds since the epoch.
    #[serde(default)]
    pub since: Option<f64>,
    /// Launches so far.
    pub launches: u64,
    /// Stop commands so far.
    pub stops: u64,
    /// The launch that the last of them was about.
    pub stopped_launch: u64,
    /// The launch that last reached its exec.
    pub executed_launch: u64,
    /// Why the last launch did not reach its exec.
    pub failure: Option<StartFailure>,
    /// What the person who started it should know.
    pub warnings: Vec<String>,
    /// Its health, while it is checked.
    pub vitals: Option<Vitals>,
    /// What the last health check said.
    pub check: Option<CheckReport>,
    /// When the next one is due.
    #[serde(default)]
    pub next_check: Option<Moment>,
    /// How the last launch ended.
    pub last: Option<Last>,
    /// Whether whoever asked for the start waits for readiness: then a check tells it even if the app is not
    /// monitored.
    pub awaited: bool,
}

impl Cell {
    /// An app that has never been started.
    pub fn new(name: AppName) -> Self {
        Self {
            name,
            life: Lifecycle::default(),
            history: History::default(),
            policy: Policy::default(),
            child: None,
            started_at: None,
            since: None,
            launches: 0,
            stops: 0,
            stopped_launch: 0,
            executed_launch: 0,
            failure: None,
            warnings: Vec::new(),
            vitals: None,
            check: None,
            next_check: None,
            last: None,
            awaited: false,
        }
    }

    /// The moment at which the machine wants to be woken.
    pub fn deadline(&self) -> Option<Moment> {
        self.life.deadline(&self.policy.timing)
    }
}

/// A shared handle to a cell, and to those who wait for it to change.
#[derive(Clone)]
pub struct SharedCell {
    cell: Rc<RefCell<Cell>>,
    changed: Rc<watch::Sender<Cell>>,
    /// Commands that the app's actor has not taken in yet. They outlive the actor.
    inbox: Rc<RefCell<VecDeque<Event>>>,
}

impl SharedCell {
    /// Shares a cell.
    pub fn new(cell: Cell) -> Self {
        let changed = Rc::new(watch::Sender::new(cell.clone()));
        Self { cell: Rc::new(RefCell::new(cell)), changed, inbox: Rc::default() }
    }

    /// Leaves a command for the app's actor.
    pub fn command(&self, command: Event) {
        self.inbox.borrow_mut().push_back(command);
    }

    /// The next command for the app's actor.
    pub fn next_command(&self) -> Option<Event> {
        self.inbox.borrow_mut().pop_front()
    }

    /// Reads it.
    pub fn get(&self) -> Ref<'_, Cell> {
        self.cell.borrow()
    }

    /// Changes it; [`SharedCell::publish`] tells those who wait.
    pub fn get_mut(&self) -> RefMut<'_, Cell> {
        self.cell.borrow_mut()
    }

    /// Shows the present state to those who wait.
    pub fn publish(&self) {
        self.changed.send_replace(self.get().clone());
    }

    /// A way to wait for changes.
    pub fn watch(&self) -> watch::Receiver<Cell> {
        self.changed.subscribe()
    }
}
