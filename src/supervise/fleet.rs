//! Every supervisor of one apps root, as the command line sees them, and the apps that none looks after.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use daemonctl_actors::cell::{Child, StartFailure};
use daemonctl_actors::value::AppName;
use rustix::fs::{MemfdFlags, memfd_create};

use super::foreground::RunRequest;
use super::holder::Holder;
use super::host::{monotonic, wall};
use super::instance::{Asked, Instance, Setting};
use super::record::{Record, Standing, Supervisor};
use super::runtime::{RootDir, RuntimeDir, RuntimeError, VARIABLE};
use super::snapshot::Snapshot;
use super::supervisor::Task;
use super::view::{self, Now};
use super::{keeper, lock, pidfd};
use crate::app::{App, Root, Shown};
use crate::config::Ask;
use crate::control::client::{Client, ClientError};
use crate::control::protocol::{Command as Request, Failure, FailureKind, Reply};
use crate::control::status::AppStatus;
use crate::launch::Rehearsal;

/// All supervisors of one root.
pub struct Fleet {
    root: Root,
    dir: RootDir,
    runtime: PathBuf,
    patience: Duration,
    notices: Vec<String>,
    /// The connection last asked for.
    client: Option<Client>,
}

/// Why the supervisors of a root cannot be dealt with.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The runtime directory is no good.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// There is no background supervisor, and none could be started.
    #[error("cannot start a background supervisor: {0}")]
    Begin(String),
    /// A file of the runtime directory cannot be used.
    #[error("cannot use {path}", path = .path.shown())]
    Access {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A supervisor is there, and talking to it failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// This process cannot become a supervisor.
    #[error("cannot become a supervisor")]
    Become(#[source] io::Error),
}

impl Fleet {
    /// Finds the supervisors of `root`. Apps that run without one are taken over by a new one; `notices` tells.
    pub fn open(root: &Root, runtime: RuntimeDir, patience: Duration) -> Result<Self, FleetError> {
        let dir = runtime.of(root)?;
        let runtime = runtime.path().to_owned();
        let mut fleet = Self { root: root.clone(), dir, runtime, patience, notices: Vec::new(), client: None };
        let dead = |keeper: &Child| !is_alive(*keeper);
        let dead_keepers: Vec<Child> = fleet.dir.marked_keepers().into_iter().filter(dead).collect();
        if !dead_keepers.is_empty() {
            fleet.inherit(&dead_keepers)?;
        }
        Ok(fleet)
    }

    /// What a person should know about the supervisors.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// What is known of these apps, or of all that were ever started: told by supervisors, or by records.
    pub fn status(&mut self, apps: &[AppName]) -> Result<Vec<AppStatus>, FleetError> {
        let (mut known, foreign) = self.look(apps)?;
        if foreign {
            // Or it came while we looked, after its socket was looked for and before its lock was. It is there now.
            known = self.look(apps)?.0;
        }
        Ok(known.into_values().collect())
    }

    /// What is written of an app, by this boot's supervisors or an earlier one's.
    pub fn record(&self, app: &AppName) -> Option<Record> {
        Record::read(&self.dir.record(app))
    }

    /// How an app would be configured if it were started now as it was the last time; or why it could not be. `salt`
    /// is that of the configuration it is to be compared with.
    pub fn configuration(&self, app: &AppName, asked: &Asked, salt: &str) -> Result<Snapshot, StartFailure> {
        let at = Setting { root: &self.root, runtime: &self.dir, asked, awaited: false, launch_id: "", salt };
        Instance::configure(app, at).map(|(instance, ..)| instance.snapshot)
    }

    /// Looks once. Returns, too, whether there is an app that nobody within reach runs.
    fn look(&mut self, apps: &[AppName]) -> Result<(BTreeMap<AppName, AppStatus>, bool), FleetError> {
        let mut known: BTreeMap<AppName, AppStatus> = BTreeMap::new();
        for path in self.dir.sockets() {
            let Some(mut client) = self.connect(&path)? else { continue };
            let request = Request::Status { apps: apps.to_vec() };
            let told = match client.exchange(request, Some(self.patience), &mut |_| {}) {
                Ok(Reply::Status { apps }) => apps,
                Ok(_) => continue,
                Err(error) if is_gone(&error) => continue, // It left between the two.
                Err(error) => return Err(error.into()),
            };
            for status in told {
                // An app at rest may be remembered by a supervisor while another runs it.
                let better = known.get(&status.name).is_none_or(|other| !other.is_active());
                if better {
                    known.insert(status.name.clone(), status);
                }
            }
        }
        let boot_id = pidfd::boot_id().unwrap_or_default();
        let now = Now { moment: monotonic(), wall: wall() };
        let recorded = if apps.is_empty() { self.dir.recorded() } else { apps.to_vec() };
        // An app whose directory has been removed is of interest only while it runs, or by name.
        let exists = |name: &AppName| !apps.is_empty() || self.root.path().join(name.as_str()).is_dir();
        for name in recorded {
            if known.contains_key(&name) || !exists(&name) {
                continue;
            }
            if let Some(record) = Record::read(&self.dir.record(&name)) {
                known.insert(name, view::recorded_status(&record, &boot_id, self.root.path(), now));
            }
        }
        let foreign = self.find_foreign(apps, &mut known);
        Ok((known, foreign))
    }

    /// Apps that no supervisor within reach runs, but whose lock is held: by another user's, or one with another runtime
    /// directory. Returns whether there are any.
    fn find_foreign(&self, apps: &[AppName], known: &mut BTreeMap<AppName, AppStatus>) -> bool {
        let locked = lock::held();
        let mut found = false;
        if locked.is_empty() {
            return found;
        }
        let names = if apps.is_empty() { self.root.names().unwrap_or_default() } else { apps.to_vec() };
        for name in names {
            let told = known.get(&name).is_some_and(|status| status.supervisor.is_some() || status.is_active());
            let dir = self.root.path().join(name.as_str());
            if let Some(pid) = lock::holder(&dir, &locked).filter(|_| !told) {
                let holder = Holder::of(pid, &dir);
                known.insert(name.clone(), view::foreign_status(&name, self.root.path(), holder.as_ref()));
                found = true;
            }
        }
        found
    }

    /// Who holds the lock of an app, if anybody does that can be seen.
    pub fn holder(&self, app: &AppName) -> Option<Holder> {
        let dir = self.root.path().join(app.as_str());
        Holder::of(lock::holder(&dir, &lock::held())?, &dir)
    }

    /// The runtime directory that supervisors are looked for in.
    pub fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// A fresh connection to the live supervisor that has an app in its care: one in which it is not at rest.
    pub fn supervisor_of(&mut self, app: &AppName) -> Option<&mut Client> {
        for path in self.dir.sockets() {
            let Ok(Some(mut client)) = self.connect(&path) else { continue };
            let request = Request::Status { apps: vec![app.clone()] };
            match client.exchange(request, Some(self.patience), &mut |_| {}) {
                Ok(Reply::Status { apps }) if apps.iter().any(AppStatus::is_active) => {
                    self.client = self.connect(&path).ok().flatten();
                    return self.client.as_mut();
                }
                // One that does not answer is told of by whoever asks it something.
                Ok(_) | Err(_) => {}
            }
        }
        None
    }

    /// A fresh connection to the background supervisor, which is started if there is none.
    ///
    /// A supervisor may leave just then: an exchange that ends with [`ClientError::Closed`] has not begun, and may be
    /// tried again on another connection.
    pub fn background(&mut self) -> Result<&mut Client, FleetError> {
        let client = self.connect_background()?;
        Ok(self.client.insert(client))
    }

    fn connect_background(&self) -> Result<Client, FleetError> {
        let socket = self.dir.background_socket();
        let give_up = Instant::now() + self.patience;
        loop {
            if let Some(client) = self.connect(&socket)? {
                return Ok(client);
            }
            let path = self.dir.spawn_lock();
            let starting = lock::wait_for_file(&path).map_err(|source| FleetError::Access { path, source })?;
            // Somebody else may have started one while we waited for our turn.
            if let Some(client) = self.connect(&socket)? {
                return Ok(client);
            }
            self.begin_background()?;
            drop(starting);
            // Another command's app may have started in it and ended: then it has left, and it is our turn again.
            if Instant::now() > give_up {
                let log = self.dir.supervisor_log();
                return Err(FleetError::Begin(format!("it ended at once; {} tells more", log.shown())));
            }
        }
    }

    /// Starts a background supervisor and waits until it can be talked to.
    fn begin_background(&self) -> Result<(), FleetError> {
        let failed = |error: io::Error| FleetError::Begin(error.to_string());
        let task = Task { root: self.root.path().to_owned(), runtime: self.runtime.clone(), run: None };
        let log_path = self.dir.supervisor_log();
        let mut options = OpenOptions::new();
        let log = options.create(true).append(true).mode(0o600).open(&log_path).map_err(failed)?;
        let mut command = keeper_command(&task, "background").map_err(failed)?;
        let mut keeper = command.current_dir("/").stdout(Stdio::piped()).stderr(log).spawn().map_err(failed)?;
        let mut line = String::new();
        if let Some(stdout) = keeper.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(failed)?;
        }
        match line.trim_end() {
            "ready" => Ok(()),
            "" => Err(FleetError::Begin(format!("it ended at once; {} tells more", log_path.shown()))),
            error => Err(FleetError::Begin(error.strip_prefix("error: ").unwrap_or(error).to_owned())),
        }
    }

    fn connect(&self, path: &Path) -> Result<Option<Client>, FleetError> {
        match Client::connect(path) {
            Ok(client) => Ok(Some(client)),
            // Refused: the name of a supervisor that died without a successor.
            Err(ClientError::Connect(error))
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Looks after the apps of keepers that have died.
    ///
    /// A mark is what later commands go by, so it goes only when nobody needs it: neither a supervisor that lived when
    /// this began, and may have died since, nor an app that has not been taken over.
    fn inherit(&mut self, dead: &[Child]) -> Result<(), FleetError> {
        let survivors = self.keepers(|record| is_alive(record.supervisor.process));
        let orphans = self.orphans();
        if !orphans.is_empty() {
            self.take_over(&orphans)?;
        }
        let boot_id = pidfd::boot_id().unwrap_or_default();
        let missed = self.keepers(|record| record.is_active(&boot_id));
        for keeper in dead.iter().filter(|keeper| !survivors.contains(keeper) && !missed.contains(keeper)) {
            let _ = std::fs::remove_file(self.dir.keeper_mark(*keeper));
        }
        Ok(())
    }

    /// The keepers of such records.
    fn keepers(&self, such: impl Fn(&Record) -> bool) -> Vec<Child> {
        let records = self.dir.recorded().into_iter().filter_map(|name| Record::read(&self.dir.record(&name)));
        records.filter(such).map(|record| record.supervisor.keeper).collect()
    }

    /// The apps that run, or are meant to, and that no supervisor looks after.
    fn orphans(&self) -> Vec<AppName> {
        let boot_id = pidfd::boot_id().unwrap_or_default();
        let is_orphan = |name: &AppName| {
            let Some(record) = Record::read(&self.dir.record(name)) else { return false };
            let Supervisor { keeper, process, .. } = record.supervisor;
            record.is_active(&boot_id) && !is_alive(keeper) && !is_alive(process)
        };
        self.dir.recorded().into_iter().filter(is_orphan).collect()
    }

    /// Has a background supervisor take over what has none, as far as it can.
    fn take_over(&mut self, orphans: &[AppName]) -> Result<(), FleetError> {
        let boot_id = pidfd::boot_id().unwrap_or_default();
        let alive = |name: &&AppName| {
            let record = Record::read(&self.dir.record(name));
            record.is_some_and(
                |record| matches!(record.standing(&boot_id), Standing::Alive(process) if !process.has_ended()),
            )
        };
        let running: Vec<AppName> = orphans.iter().filter(alive).cloned().collect();
        let patience = Some(self.patience);
        match self.background()?.exchange(Request::Adopt, patience, &mut |_| {}) {
            // It had already taken them over when it began, and left with the last of them.
            Err(error) if is_gone(&error) => {}
            adopted => drop(adopted?),
        }
        let left = self.orphans();
        let taken = |names: &[AppName]| names.iter().filter(|name| !left.contains(name)).count();
        let (running, all) = (taken(&running), taken(orphans));
        let apps = if all == 1 { "app" } else { "apps" };
        let ended = match all - running {
            0 => String::new(),
            ended => format!(", {ended} of which had ended meanwhile"),
        };
        if all > 0 {
            self.notices.push(format!("a supervisor had died; another one has taken over {all} {apps}{ended}"));
        }
        Ok(())
    }
}

fn is_alive(process: Child) -> bool {
    pidfd::PidFd::of(process).is_some_and(|process| !process.has_ended())
}

fn is_gone(error: &ClientError) -> bool {
    matches!(error, ClientError::Closed)
}

/// The runtime directory as this process's environment names it.
fn own_runtime() -> Result<RuntimeDir, RuntimeError> {
    RuntimeDir::open(&|name| std::env::var(name).ok())
}

/// A command that becomes a keeper with this task. Its environment holds nothing of the caller's but what a supervisor
/// needs: an app's environment travels with the request to start it.
fn keeper_command(task: &Task, mode: &str) -> io::Result<Command> {
    let mut file = File::from(memfd_create("daemonctl-task", MemfdFlags::CLOEXEC)?);
    file.write_all(&serde_json::to_vec(task)?)?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0(keeper::NAME).arg(mode).arg(&task.root).stdin(file).env_clear().env(VARIABLE, &task.runtime);
    for name in ["PATH", "HOME", "DAEMONCTL_LOG_LEVEL"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    Ok(command)
}

/// Turns this process into the keeper of a foreground supervisor. It does not return unless that fails.
pub fn foreground(run: RunRequest) -> Result<ExitCode, FleetError> {
    let runtime = own_runtime()?;
    let task = Task { root: run.root.clone(), runtime: runtime.path().to_owned(), run: Some(run) };
    let mut command = keeper_command(&task, "run").map_err(FleetError::Become)?;
    Err(FleetError::Become(command.exec()))
}

/// The command line that a start would run, ready to be pasted into a shell.
pub fn dry_run(root: &Root, app: &App, ask: &Ask, environment: &BTreeMap<String, String>) -> Result<String, Failure> {
    configured(root, app, ask, environment).map(|instance| instance.shell_line())
}

/// What a start would come to on this host, without one.
pub fn rehearse(
    root: &Root,
    app: &App,
    ask: &Ask,
    environment: &BTreeMap<String, String>,
) -> Result<Rehearsal, Failure> {
    let wrong = |message: String| Failure { kind: FailureKind::Configuration, message, hint: None };
    configured(root, app, ask, environment)?.launch.rehearse().map_err(|error| wrong(error.to_string()))
}

/// An app as a start would find it.
fn configured(root: &Root, app: &App, ask: &Ask, environment: &BTreeMap<String, String>) -> Result<Instance, Failure> {
    let operation = |message: String| Failure { kind: FailureKind::Operation, message, hint: None };
    let dir = own_runtime().and_then(|runtime| runtime.of(root)).map_err(|error| operation(error.to_string()))?;
    let asked = Asked { ask: ask.clone(), environment: environment.clone() };
    let at = Setting { root, runtime: &dir, asked: &asked, awaited: false, launch_id: "", salt: "" };
    match Instance::configure(app.name(), at) {
        Ok((instance, ..)) => Ok(instance),
        Err(failure) => Err(Failure { kind: FailureKind::Configuration, message: failure.message, hint: failure.hint }),
    }
}
