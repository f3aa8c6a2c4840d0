//! What a supervisor holds for its apps: locks, processes, gates, pipes, and the link to its keeper.
//!
//! The actor tree reaches it through its ports: [`super::spawner`], [`super::checker`] and [`super::sink`].

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

use daemonctl_actors::cell::{CheckReport, Child, StartFailure};
use daemonctl_actors::log_collector::Stream;
use daemonctl_actors::ports::{Clock, Ports};
use daemonctl_actors::value::{AppName, ExitStatus, Moment};
use tokio::sync::watch;

use super::external::Writer;
use super::family::{self, Search};
use super::instance::{Asked, Instance, Setting};
use super::link::{self, Message};
use super::lock;
use super::nofile::Nofile;
use super::output::Output;
use super::pidfd::PidFd;
use super::record::Supervisor;
use super::runtime::RootDir;
use crate::app::Root;
use crate::launch::Gate;
use crate::logs::happening::Happening;
use crate::logs::syslog::Speaker;
use crate::logs::tap::relay::Ear;
use crate::logs::terminal::Terminal;

/// Everything a supervisor holds.
pub struct Host {
    /// The apps root.
    pub root: Root,
    /// Its part of the runtime directory.
    pub runtime: RootDir,
    /// The present boot.
    pub boot_id: String,
    /// This supervisor.
    pub identity: Supervisor,
    /// The terminal that `run` shows output on.
    pub terminal: Option<Terminal>,
    /// The apps that have come to rest.
    pub at_rest: watch::Sender<Rested>,
    /// The limit of open files that apps inherit; the supervisor has raised its own.
    pub nofile: Nofile,
    /// Checks and hooks that run, by pid.
    pub small: RefCell<HashSet<i32>>,
    link: RefCell<Option<OwnedFd>>,
    /// The collector of output, and what it tells.
    pub output: Output,
    apps: RefCell<BTreeMap<AppName, Held>>,
    /// Counted up whenever the keeper tells of an exit.
    told: watch::Sender<u64>,
    launches: Cell<u64>,
}

/// The news of apps coming to rest.
#[derive(Clone, Debug, Default)]
pub struct Rested {
    /// Whether all are at rest.
    pub all: bool,
    /// Those that came to rest, in order, with the exit code that stands for how each ended.
    pub ended: Vec<(AppName, u8)>,
}

/// What is held for one app.
#[derive(Default)]
pub struct Held {
    /// What its start was asked with.
    pub asked: Asked,
    /// Who asked for the launch that is about to be made.
    pub request: Option<Happening>,
    /// Held by whoever runs its health check by command: there are never two of these at a time.
    pub checking: Rc<tokio::sync::Mutex<Option<(Moment, CheckReport)>>>,
    /// Its current or last run.
    pub instance: Option<Instance>,
    /// The lock on its directory.
    pub lock: Option<OwnedFd>,
    /// Its main process.
    pub process: Option<Process>,
    /// The gate its launcher waits at.
    pub gate: Option<Gate>,
    /// The read ends of its output pipes.
    pub pipes: Option<(OwnedFd, OwnedFd)>,
    /// Its name in syslog, where that is told of it.
    pub speaker: Option<Speaker>,
    /// The process that writes its logs, if that is another's.
    pub writer: Option<Writer>,
    /// What that says on standard output and standard error.
    pub ears: [Ear; 2],
    /// What is wrong with its logs, the worst first.
    pub troubles: BTreeMap<LogTrouble, String>,
    /// When its program was let go, in seconds since the epoch, until that is told.
    pub begun: Option<f64>,
}

/// Something that is wrong with a log until it is told otherwise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogTrouble {
    /// Output of this stream is dropped.
    Dropping(Stream),
    /// The log of this path cannot be rotated.
    Growing(PathBuf),
    /// Archives that are to go stay beside the log of this path.
    Hoarding(PathBuf),
}

/// A main process.
pub struct Process {
    /// Its identity.
    pub child: Child,
    /// Its descriptor; nothing if it was gone before one could be had.
    pub pidfd: Option<PidFd>,
    /// Whether it is a child of this process.
    pub ours: bool,
    /// How it ended, where the keeper told.
    pub status: Option<ExitStatus>,
    /// Whether it was sent SIGKILL from here.
    pub killed: bool,
    /// Whether it was found to have been killed for want of memory.
    pub out_of_memory: bool,
}

impl Process {
    /// A process of which nothing more is known.
    pub fn new(child: Child, pidfd: Option<PidFd>) -> Self {
        Self { child, pidfd, ours: false, status: None, killed: false, out_of_memory: false }
    }
}

/// A handle to the host that implements the tree's ports.
#[derive(Clone)]
pub struct Hands(pub Rc<Host>);

impl Host {
    /// A host without apps.
    pub fn new(
        root: Root,
        runtime: RootDir,
        boot_id: String,
        identity: Supervisor,
        link: OwnedFd,
        terminal: Option<Terminal>,
    ) -> Rc<Self> {
        Rc::new(Self {
            root,
            runtime,
            boot_id,
            identity,
            terminal,
            at_rest: watch::Sender::new(Rested::default()),
            nofile: Nofile::inherited(),
            small: RefCell::new(HashSet::new()),
            link: RefCell::new(Some(link)),
            output: Output::default(),
            apps: RefCell::new(BTreeMap::new()),
            told: watch::Sender::new(0),
            launches: Cell::new(0),
        })
    }

    /// The ports of the tree into this host.
    pub fn ports(self: &Rc<Self>) -> Ports {
        let hands = Rc::new(Hands(self.clone()));
        Ports { spawner: hands.clone(), checker: hands.clone(), clock: Rc::new(SystemClock), sink: hands }
    }

    /// Says something about the supervision itself: where `run` was typed, or in the supervisor's log.
    pub fn say(&self, text: &str) {
        match &self.terminal {
            Some(terminal) => terminal.say(text),
            None => tracing::warn!("{text}"),
        }
    }

    /// The apps that run confined, with their main processes.
    pub fn confined(&self) -> Vec<(AppName, i32)> {
        let apps = self.apps.borrow();
        let confined = apps.iter().filter_map(|(app, held)| {
            let process = held.process.as_ref()?;
            held.instance.as_ref()?.confined.then(|| (app.clone(), process.child.pid))
        });
        confined.collect()
    }

    /// Works on what is held for an app.
    pub fn with<T>(&self, app: &AppName, work: impl FnOnce(&mut Held) -> T) -> T {
        work(self.apps.borrow_mut().entry(app.clone()).or_default())
    }

    /// The apps something is held for.
    pub fn names(&self) -> Vec<AppName> {
        self.apps.borrow().keys().cloned().collect()
    }

    /// A marker for the processes of one run, unique on this machine.
    pub fn launch_id(&self) -> String {
        let count = self.launches.get() + 1;
        self.launches.set(count);
        let Child { pid, start_time } = self.identity.process;
        format!("{pid}.{start_time:x}.{count}")
    }

    /// Whether the app could be configured as its files are now, and as it is asked for.
    pub fn try_configuration(&self, app: &AppName, asked: &Asked, awaited: bool) -> Result<(), StartFailure> {
        let at = Setting { root: &self.root, runtime: &self.runtime, asked, awaited, launch_id: "", salt: "" };
        Instance::configure(app, at).map(|_| ())
    }

    /// Takes the app's lock, if it is not held already; `false` if another supervisor has it.
    pub fn lock(&self, app: &AppName) -> io::Result<bool> {
        if self.with(app, |held| held.lock.is_some()) {
            return Ok(true);
        }
        let Some(lock) = lock::app(&self.root.path().join(app.as_str()))? else { return Ok(false) };
        self.keep(&format!("lock:{app}"), &lock);
        self.with(app, |held| held.lock = Some(lock));
        Ok(true)
    }

    /// Gives up what is held for an app that is at rest, except for the memory of how it was run.
    pub fn release(&self, app: &AppName) {
        self.drop_pipes(app);
        self.drop_kept(&format!("lock:{app}"));
        self.with(app, |held| {
            held.process = None;
            held.gate = None;
            if let Some(lock) = held.lock.take() {
                lock::unlock(&lock);
            }
        });
    }

    /// Lets go of an app's pipes, whose content has been collected.
    pub fn drop_pipes(&self, app: &AppName) {
        if self.with(app, |held| held.pipes.take()).is_some() {
            self.drop_kept(&format!("out:{app}"));
            self.drop_kept(&format!("err:{app}"));
        }
    }

    /// Has the keeper keep a descriptor for the next supervisor.
    pub fn keep(&self, key: &str, fd: &OwnedFd) {
        if let Some(link) = self.link.borrow().as_ref() {
            // A keeper that has died is noticed by whoever reads its link.
            let _ = link::put(link.as_fd(), key, fd.as_fd());
        }
    }

    /// Has the keeper drop what it keeps under this key.
    pub fn drop_kept(&self, key: &str) {
        if let Some(link) = self.link.borrow().as_ref() {
            let _ = link::tell(link.as_fd(), &Message::Drop(key.to_owned()));
        }
    }

    /// Tells the keeper that this supervisor is done, and with which exit code.
    pub fn finish(&self, code: u8) {
        if let Some(link) = self.link.borrow().as_ref() {
            let _ = link::tell(link.as_fd(), &Message::Finish(code));
        }
    }

    /// The keeper is gone: orphans come to this process from now on.
    pub fn lose_keeper(&self) {
        self.link.borrow_mut().take();
        if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
            tracing::error!(%error, "cannot take over the keeper's orphans");
        }
        for held in self.apps.borrow_mut().values_mut() {
            held.instance.iter_mut().for_each(|instance| instance.outlived_keeper = true);
        }
    }

    /// Reaps what apps leave behind, where the keeper is gone and orphans come to this process. Its own children are
    /// left to whoever waits for them.
    pub fn reap_orphans(&self) {
        if self.link.borrow().is_some() {
            return;
        }
        let apps = self.apps.borrow();
        let small = self.small.borrow();
        let own = |pid: &i32| {
            let main = |held: &Held| {
                held.process.as_ref().is_some_and(|process| process.child.pid == *pid)
                    || held.writer.as_ref().is_some_and(|writer| writer.child.pid == *pid)
            };
            small.contains(pid) || apps.values().any(main)
        };
        for orphan in family::children(self.identity.process.pid).into_iter().filter(|pid| !own(pid)) {
            if let Ok(pidfd) = PidFd::open(orphan) {
                pidfd.reap();
            }
        }
    }

    /// The keeper has reaped a process. If it is an app's, this is how the app ended.
    pub fn exit_told(&self, pid: i32, status: ExitStatus) {
        for held in self.apps.borrow_mut().values_mut() {
            if let Some(process) = held.process.as_mut().filter(|process| process.child.pid == pid && !process.ours) {
                process.status = Some(status);
            }
        }
        self.told.send_modify(|count| *count += 1);
    }

    /// Waits for the keeper to tell of an exit.
    pub fn exits(&self) -> watch::Receiver<u64> {
        self.told.subscribe()
    }

    /// How everything of an app's run is found.
    pub fn search<T>(&self, app: &AppName, main: Option<Child>, find: impl FnOnce(&Search<'_>) -> T) -> T {
        let apps = self.apps.borrow();
        let held = apps.get(app);
        let others: HashSet<i32> = apps
            .iter()
            .filter(|(name, _)| *name != app)
            .filter_map(|(_, held)| Some(held.process.as_ref()?.child.pid))
            .collect();
        let own = self.identity.process.pid;
        let keeper = self.identity.keeper.pid;
        let reapers = if self.link.borrow().is_some() { vec![keeper] } else { vec![own] };
        let launch_id = held.and_then(|held| held.instance.as_ref()).map_or("", |instance| &instance.launch_id);
        let everywhere = held.and_then(|held| held.instance.as_ref()).is_some_and(|instance| instance.outlived_keeper);
        find(&Search { main, launch_id, reapers: &reapers, others: &others, everywhere })
    }
}

/// The system's clocks, and chance from the low digits of one.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        monotonic()
    }

    fn wall(&self) -> f64 {
        wall()
    }

    fn chance(&self) -> f64 {
        // Spreading restarts asks for no more than digits that nobody sets.
        f64::from(monotonic().subsec_nanos() % 100_000) / 100_000.0
    }
}

/// The reading of `CLOCK_MONOTONIC`.
pub fn monotonic() -> Moment {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Moment::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Seconds since the epoch.
pub fn wall() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0.0, |since| since.as_secs_f64())
}
