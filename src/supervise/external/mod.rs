//! An external teelog that writes the logs of an app.
//!
//! It is a child of the supervisor, in a process group of its own, and starts the app's launcher as its child; pid,
//! signals, session, status and record are the app's all the same. What it passes on is shown and listened to. It belongs
//! to the run: it is given time to write what the app has left in its pipes, and does not outlive it. If it ends before
//! the app does, the built-in collector goes on in its place: the app holds its own pipes open, so nothing breaks.

mod choice;

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::PoisonError;
use std::time::Duration;

use daemonctl_actors::cell::{Child, StartFailure, Trouble};
use daemonctl_actors::log_collector::Detach;
use daemonctl_actors::value::{AppName, ExitStatus};

use super::host::{Host, monotonic};
use super::pidfd::{PidFd, register, start_time};
use super::pipes::{PipeId, pipe_of, reader};
use super::record::Record;
use crate::app::Shown;
use crate::config::values::Level;
use crate::launch::{Gate, LaunchSpec, NotSpawned, Through, spawn_through};
use crate::logs::tap::relay::Ear;

pub use choice::{Place, Teelog, choose, is_own};

/// How long it is given when nothing comes from it any more, once its app is gone.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many times as long it is given at the most, however much comes.
const MOST_PATIENT: u32 = 10;

/// How often it is looked whether something has come from it.
const LOOK: Duration = Duration::from_millis(100);

/// The process of an external teelog.
pub struct Writer {
    /// Its identity.
    pub child: Child,
    /// Its descriptor.
    pub pidfd: PidFd,
    /// What it says on standard output and standard error.
    pub ears: [Ear; 2],
}

impl Writer {
    /// One that runs already.
    pub fn of(child: Child, ears: [Ear; 2]) -> Option<Self> {
        Some(Self { child, pidfd: PidFd::of(child)?, ears })
    }

    /// How the app ended, by what its writer says.
    pub fn told(&self) -> Option<ExitStatus> {
        let heard = self.ears[0].lock().unwrap_or_else(PoisonError::into_inner).verdict;
        heard.map(ExitStatus::from_shell).or_else(|| self.pidfd.status())
    }
}

/// Starts a teelog and waits for the launcher that it starts.
pub async fn begin(
    host: &Rc<Host>,
    app: &AppName,
    teelog: &Teelog,
    spec: &LaunchSpec,
    pipes: (OwnedFd, OwnedFd),
) -> Result<Gate, Trial> {
    let launcher = launcher(host)?;
    let wrapper: Vec<String> = std::iter::once(teelog.program.to_string_lossy().into_owned())
        .chain(teelog.arguments.iter().cloned())
        .collect();
    let (out, err) = (kept_open(&pipes.0)?, kept_open(&pipes.1)?);
    drop(pipes);
    let through = spawn_through(&wrapper, &launcher.to_string_lossy(), spec, out, err)?;
    let child = Child { pid: through.pid, start_time: start_time(through.pid).unwrap_or_default() };
    let pidfd = PidFd::open(through.pid)?;
    host.with(app, |held| {
        let ears = held.ears.clone();
        held.writer = Some(Writer { child, pidfd, ears });
        held.instance.iter_mut().for_each(|instance| instance.writer = Some(child));
    });
    let gate = meet(host, app, through).await?;
    // Now it is the launcher, which waits: what the app makes of its descriptors later is its own business.
    let pipes = [1, 2].map(|fd| pipe_of(gate.pid(), fd));
    host.with(app, |held| held.instance.iter_mut().for_each(|instance| instance.own_pipes = pipes));
    Ok(gate)
}

/// Why there is no launcher.
pub enum Trial {
    /// The same as without a teelog.
    NotSpawned(NotSpawned),
    /// The teelog has failed.
    Writer(StartFailure),
}

impl From<NotSpawned> for Trial {
    fn from(error: NotSpawned) -> Self {
        Self::NotSpawned(error)
    }
}

impl From<io::Error> for Trial {
    fn from(error: io::Error) -> Self {
        Self::NotSpawned(error.into())
    }
}

async fn meet(host: &Rc<Host>, app: &AppName, mut through: Through) -> Result<Gate, Trial> {
    let pidfd = host.with(app, |held| held.writer.as_ref().map(|writer| writer.pidfd.try_clone()));
    let Some(Ok(pidfd)) = pidfd else { return Err(io::Error::other("its teelog cannot be watched").into()) };
    let socket = register(through.socket()?)?;
    let patience = host.with(app, |held| held.instance.as_ref().map(|instance| instance.start_timeout));
    let patience = tokio::time::sleep(patience.unwrap_or(PATIENCE));
    tokio::pin!(patience);
    loop {
        let trouble = tokio::select! {
            ready = socket.readable() => {
                drop(ready.map(|mut ready| ready.clear_ready()));
                match through.meet() {
                    Ok(gate) => return Ok(gate),
                    Err((waiting, error)) if error.kind() == io::ErrorKind::WouldBlock => {
                        through = waiting;
                        continue;
                    }
                    // It has closed its standard input without starting anything.
                    Err((waiting, error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        drop(waiting);
                        let _ = tokio::time::timeout(PATIENCE, gone(&pidfd)).await;
                        "has ended and not started it"
                    }
                    Err((_, error)) => {
                        end(host, app).await;
                        return Err(error.into());
                    }
                }
            }
            () = gone(&pidfd) => "has ended and not started it",
            () = &mut patience => "has not started it in time",
        };
        end(host, app).await;
        return Err(Trial::Writer(failed(host, app, trouble).await));
    }
}

/// The failure of a teelog that did not start the app, with its last words.
async fn failed(host: &Rc<Host>, app: &AppName, trouble: &str) -> StartFailure {
    // Its words come by the log thread.
    if let Some(collector) = host.collector() {
        let _ = collector.send(Detach { app: app.clone() }).await;
    }
    let last =
        |ear: &Ear| String::from_utf8_lossy(&ear.lock().unwrap_or_else(PoisonError::into_inner).last).into_owned();
    let said = host.with(app, |held| held.ears.each_ref().map(last).concat());
    let program = host.with(app, |held| Some(held.instance.as_ref()?.teelog.as_ref()?.program.shown().to_string()));
    let words = said.lines().map(str::trim).rfind(|line| !line.is_empty()).map(|line| format!(": {line}"));
    let message = format!("{} {trouble}{}", program.unwrap_or_default(), words.unwrap_or_default());
    let hint = Some("logging.collector = \"builtin\" does without it".to_owned());
    StartFailure { trouble: Trouble::Lasting, message, hint }
}

/// The launcher as a file that another program can execute: a link to this program, under the launcher's name, in a
/// directory that no other supervisor of the root uses.
fn launcher(host: &Host) -> io::Result<PathBuf> {
    let (dir, target) = (launcher_dir(host), PathBuf::from("/proc").join(std::process::id().to_string()).join("exe"));
    let link = dir.join("daemonrun");
    if std::fs::read_link(&link).ok() != Some(target.clone()) {
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir(&dir)?;
        std::os::unix::fs::symlink(&target, &link)?;
    }
    Ok(link)
}

fn launcher_dir(host: &Host) -> PathBuf {
    host.runtime.path().join(format!("{}.launcher", std::process::id()))
}

/// Removes what was made for launches through a teelog.
pub fn clear_up(host: &Host) {
    let _ = std::fs::remove_dir_all(launcher_dir(host));
}

/// The write end of a pipe, open for reading as well: no write into it ever meets a pipe that nobody reads.
fn kept_open(pipe: &OwnedFd) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    Ok(OpenOptions::new().read(true).write(true).open(path)?.into())
}

/// Whether a process belongs to the writer of an app, not to the app.
pub fn is_writers(writer: Option<Child>, pid: i32) -> bool {
    let group = nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(pid)));
    writer.is_some_and(|writer| pid == writer.pid || group.is_ok_and(|group| group.as_raw() == writer.pid))
}

/// Waits until the writer of an app that is gone has written what there is.
pub async fn drain(host: &Rc<Host>, app: &AppName) {
    let heard = || {
        host.with(app, |held| {
            held.ears.each_ref().map(|ear| ear.lock().unwrap_or_else(PoisonError::into_inner).bytes).iter().sum::<u64>()
        })
    };
    let pidfd = host.with(app, |held| held.writer.as_ref().map(|writer| writer.pidfd.try_clone()));
    let Some(Ok(pidfd)) = pidfd else { return end(host, app).await };
    // Somebody who has got away from the app may write to it for ever.
    let last = monotonic() + PATIENCE * MOST_PATIENT;
    let (mut bytes, mut until) = (heard(), monotonic() + PATIENCE);
    while tokio::time::timeout(LOOK, gone(&pidfd)).await.is_err() {
        if monotonic() > until.min(last) {
            let text = "teelog did not end with its app, killed";
            host.note_event(app, Level::Warn, text);
            break;
        }
        if heard() != bytes {
            (bytes, until) = (heard(), monotonic() + PATIENCE);
        }
    }
    end(host, app).await;
}

/// Ends the writer, with whatever it has started in its group.
async fn end(host: &Rc<Host>, app: &AppName) {
    let Some(writer) = host.with(app, |held| {
        held.instance.iter_mut().for_each(|instance| instance.writer = None);
        held.writer.take()
    }) else {
        return;
    };
    // Its group has its number for as long as it has not been reaped.
    if let Some(group) = rustix::process::Pid::from_raw(writer.child.pid).filter(|_| PidFd::of(writer.child).is_some())
    {
        let _ = super::pidfd::kill_group(group, libc::SIGKILL);
    }
    let _ = writer.pidfd.kill();
    let _ = tokio::time::timeout(PATIENCE, writer.pidfd.ended()).await;
    writer.pidfd.reap();
}

/// Watches the writer of an app that runs: if it ends first, the built-in collector goes on.
pub fn watch(host: &Rc<Host>, app: &AppName) {
    let (host, app) = (host.clone(), app.clone());
    let pidfd = host.with(&app, |held| held.writer.as_ref().map(|writer| (writer.child, writer.pidfd.try_clone())));
    let Some((writer, Ok(pidfd))) = pidfd else { return };
    let Some(main) = host.with(&app, |held| held.process.as_ref().map(|process| process.child)) else { return };
    actix::spawn(async move {
        gone(&pidfd).await;
        let is_its = host.with(&app, |held| {
            let runs =
                held.process.as_ref().and_then(|process| process.pidfd.as_ref()).is_some_and(|app| !app.has_ended());
            runs && held.writer.as_ref().is_some_and(|held| held.child == writer)
        });
        if is_its {
            let how = pidfd.status().map(|status| format!(" ({status})")).unwrap_or_default();
            end(&host, &app).await;
            go_on(&host, &app, main, &how).await;
        }
    });
}

/// Waits until a process is gone. That it cannot be watched, for want of descriptors, does not mean that it is.
async fn gone(pidfd: &PidFd) {
    while pidfd.ended().await.is_err() && !pidfd.has_ended() {
        tokio::time::sleep(LOOK).await;
    }
}

/// Collects the output of an app whose writer is gone; `main` is the run that is meant.
pub async fn go_on(host: &Rc<Host>, app: &AppName, main: Child, how: &str) {
    let is_it = || host.with(app, |held| held.process.as_ref().is_some_and(|process| process.child == main));
    if !is_it() {
        return;
    }
    if let Some(collector) = host.collector() {
        let _ = collector.send(Detach { app: app.clone() }).await;
    }
    if !is_it() {
        return; // Another run may have begun meanwhile.
    }
    host.drop_pipes(app);
    let members = host.members(app, Some(main)).into_iter().map(|member| member.pid);
    let writers: Vec<i32> = std::iter::once(main.pid).chain(members).collect();
    let known = host.with(app, |held| held.instance.as_ref().map(|instance| instance.own_pipes));
    let opened = |pipe: PipeId| writers.iter().find_map(|pid| reader(*pid, pipe));
    let (Some(out), Some(err)) = known.map_or((None, None), |[out, err]| (opened(out), opened(err))) else {
        let text = format!("teelog has ended{how}: output is not collected until the app is restarted");
        return host.note_event(app, Level::Error, &text);
    };
    host.keep(&format!("out:{app}"), &out);
    host.keep(&format!("err:{app}"), &err);
    host.with(app, |held| {
        held.instance.iter_mut().for_each(|instance| instance.take_over_pipes(&out, &err));
        held.pipes = Some((out, err));
    });
    // Whoever comes next must not relay what nobody writes to a file any more.
    let path = host.runtime.record(app);
    if let Some(mut record) = Record::read(&path) {
        record.instance = host.with(app, |held| held.instance.clone());
        if let Err(error) = record.write(&path) {
            tracing::error!(%app, %error, "cannot write the record");
        }
    }
    let warnings = host.attach(app);
    host.note_event(app, Level::Error, &format!("teelog has ended{how}: the built-in collector goes on with the logs"));
    warnings.iter().for_each(|warning| host.note_event(app, Level::Warn, warning));
}
