//! The tree's port to processes: launching, watching, signalling and clearing up after them.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use daemonctl_actors::cell::{Child, StartFailure, Trouble};
use daemonctl_actors::log_collector::Detach;
use daemonctl_actors::ports::{Launched, LocalFuture, NOT_EXECUTED, Scope, Spawner};
use daemonctl_actors::value::{AppName, ExitStatus, Moment, Signal};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::AsyncReadExt;

use super::endings::{end_of, told_status};
use super::external::{self, Trial};
use super::holder::Holder;
use super::host::{Hands, Host, Process, monotonic, wall};
use super::instance::{Instance, Setting};
use super::pidfd::{PidFd, start_time};
use super::pipes::inode;
use super::record::{Record, Standing, Supervisor};
use super::{groups, lock, pidfile};
use crate::config::values::Level;
use crate::launch::report::Word;
use crate::launch::{self, NotSpawned, Report};

impl Spawner for Hands {
    fn launch(&self, app: &AppName, awaited: bool) -> LocalFuture<Result<Launched, StartFailure>> {
        let (host, app) = (self.0.clone(), app.clone());
        Box::pin(async move {
            let launched = launch_app(&host, &app, awaited).await;
            match &launched {
                // The events of an app that another supervisor runs are not this one's to write.
                Err(failure) if failure.trouble == Trouble::Taken => {
                    drop(host.with(&app, |held| held.request.take()));
                }
                _ => host.tell_request(&app),
            }
            let launched = launched?;
            match groups::begin_fresh(&host, &app).await {
                Ok(()) => Ok(launched),
                Err(error) => {
                    drop(host.with(&app, |held| held.gate.take()));
                    end_of(&host, &app).await;
                    Err(passing("remove the control groups of its last run", &error))
                }
            }
        })
    }

    fn release(&self, app: &AppName, child: Child) -> LocalFuture<Result<Vec<String>, StartFailure>> {
        let (hands, app) = (self.clone(), app.clone());
        Box::pin(async move {
            let gate = hands.0.with(&app, |held| {
                held.begun = Some(wall());
                held.gate.take()
            });
            let report = match gate {
                Some(gate) => {
                    read_report(gate).await.map_err(|error| lasting(format!("cannot talk to its launcher: {error}")))
                }
                None => Err(lasting("its launcher is gone".to_owned())),
            };
            match report {
                Ok((mut warnings, None)) => {
                    if !warnings.is_empty() {
                        hands.0.with(&app, |held| {
                            let instance = held.instance.iter_mut();
                            instance.for_each(|instance| instance.sandbox.without.extend(warnings.iter().cloned()));
                        });
                        groups::see_what_holds(&hands.0, &app, child);
                    }
                    warnings.extend(pidfile::write(&hands.0, &app, child));
                    warnings.iter().for_each(|warning| hands.0.note_event(&app, Level::Warn, warning));
                    Ok(warnings)
                }
                Ok((_, Some(report))) => {
                    end_of(&hands.0, &app).await;
                    Err(not_launched(&report))
                }
                Err(failure) => {
                    hands.kill(&app, child);
                    end_of(&hands.0, &app).await;
                    Err(failure)
                }
            }
        })
    }

    fn recover(&self, app: &AppName, child: Child) -> LocalFuture<Result<Vec<String>, StartFailure>> {
        let (host, app) = (self.0.clone(), app.clone());
        let hands = self.clone();
        Box::pin(async move {
            // A gate that is still ours was never opened: whoever waits at it leaves.
            drop(host.with(&app, |held| held.gate.take()));
            loop {
                let ended = host.with(&app, |held| {
                    held.process.as_ref().is_none_or(|process| process.pidfd.as_ref().is_none_or(PidFd::has_ended))
                });
                if ended {
                    let status = hands.watch(&app, child).await;
                    if !NOT_EXECUTED.contains(&status) {
                        return Ok(Vec::new()); // It was exec'ed, and has ended since: whoever watches it is told how.
                    }
                    hands.reap(&app, child);
                    let message = "the supervisor died while it was being started".to_owned();
                    return Err(StartFailure { trouble: Trouble::Interrupted, message, hint: None });
                }
                if is_launcher(child.pid) == Some(false) {
                    return Ok(pidfile::write(&host, &app, child).into_iter().collect());
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    }

    fn abandon(&self, app: &AppName, _: Child) -> LocalFuture<()> {
        let (host, app) = (self.0.clone(), app.clone());
        Box::pin(async move {
            drop(host.with(&app, |held| held.gate.take()));
            end_of(&host, &app).await;
        })
    }

    fn watch(&self, app: &AppName, _: Child) -> LocalFuture<ExitStatus> {
        let (host, app) = (self.0.clone(), app.clone());
        Box::pin(async move {
            // That a process cannot be watched just now does not mean that it has ended.
            let (pidfd, ours) = loop {
                let handle = host.with(&app, |held| {
                    let process = held.process.as_ref()?;
                    Some((process.pidfd.as_ref().map(PidFd::try_clone), process.ours))
                });
                let error = match handle {
                    None => return ExitStatus::Unknown,
                    Some((None, ours)) => break (None, ours),
                    Some((Some(Err(error)), _)) => error,
                    Some((Some(Ok(pidfd)), ours)) => match pidfd.ended().await {
                        Ok(()) => break (Some(pidfd), ours),
                        Err(error) => error,
                    },
                };
                tracing::error!(%app, %error, "cannot watch the process, trying again");
                tokio::time::sleep(Duration::from_millis(200)).await;
            };
            if let Some(status) = pidfd.as_ref().filter(|_| ours).and_then(PidFd::status) {
                return status;
            }
            told_status(&host, &app, pidfd.as_ref()).await
        })
    }

    fn ran_out_of_memory(&self, app: &AppName, status: ExitStatus) -> bool {
        self.0.ran_out_of_memory(app, status)
    }

    fn clear(&self, app: &AppName) -> LocalFuture<()> {
        let (host, app) = (self.0.clone(), app.clone());
        Box::pin(async move { groups::remove(&host, &app).await })
    }

    fn reap(&self, app: &AppName, _: Child) {
        self.0.with(app, |held| {
            if let Some(pidfd) = held.process.as_ref().and_then(|process| process.pidfd.as_ref()) {
                pidfd.reap();
            }
        });
    }

    fn signal(&self, app: &AppName, child: Child, signal: Signal, scope: Scope) -> io::Result<()> {
        self.0.with(app, |held| {
            let pidfd = held
                .process
                .as_ref()
                .filter(|process| process.child == child)
                .and_then(|process| process.pidfd.as_ref());
            let pidfd = pidfd.filter(|pidfd| !pidfd.has_ended()).ok_or(io::ErrorKind::NotFound)?;
            let sent = match scope {
                Scope::Main => pidfd.send(signal.number()),
                // The leader is there, so the group is its own.
                Scope::Group => match send_to_group(child.pid, signal) {
                    // The launcher has not made its group yet.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => pidfd.send(signal.number()),
                    sent => sent,
                },
            };
            if signal == Signal::KILL {
                held.process.iter_mut().for_each(|process| process.killed = true);
            }
            sent
        })
    }

    fn kill(&self, app: &AppName, child: Child) {
        // An end within the last moments needs no signal, and everything else is found below.
        let _ = self.signal(app, child, Signal::KILL, Scope::Group);
        kill_members(&self.0, app, Some(child));
    }

    fn sweep(&self, app: &AppName, child: Option<Child>, until: Moment) -> LocalFuture<()> {
        let (host, app) = (self.0.clone(), app.clone());
        Box::pin(async move {
            let mut pause = Duration::from_millis(1);
            let mut asked = HashSet::new();
            let mut killed = 0;
            loop {
                let left = host.members(&app, child);
                if left.is_empty() {
                    break;
                }
                if monotonic() >= until {
                    killed = killed.max(left.len());
                    kill_members(&host, &app, child);
                } else {
                    // What is not in the main process's group has not been asked to end yet. Who has is not asked twice:
                    // to some programs that means to drop everything.
                    let left_group = |member: &Child| group(member.pid) != child.map(|main| main.pid);
                    let new = left.into_iter().filter(left_group).filter(|member| asked.insert(*member));
                    new.filter_map(PidFd::of).for_each(|pidfd| drop(pidfd.send(Signal::TERM.number())));
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            if killed > 0 {
                let are = if killed == 1 {
                    "process that it had left behind was"
                } else {
                    "processes that it had left behind were"
                };
                host.note_event(&app, Level::Warn, &format!("{killed} {are} killed"));
            }
            external::drain(&host, &app).await;
            if let Some(collector) = host.collector() {
                let _ = collector.send(Detach { app: app.clone() }).await;
                host.hear_the_rest();
            }
            host.drop_pipes(&app);
            pidfile::remove(&host, &app, child);
            host.note_oom_kills(&app);
            host.with(&app, |held| held.process = None);
        })
    }
}

/// Configures and starts a launcher, which then waits at its gate.
async fn launch_app(host: &Rc<Host>, app: &AppName, awaited: bool) -> Result<Launched, StartFailure> {
    if host.with(app, |held| held.process.is_some()) {
        return Err(taken(host, app)); // Taken over a moment ago.
    }
    let fresh = host.with(app, |held| held.lock.is_none());
    let free = host.lock(app).map_err(|error| lasting(format!("cannot lock its directory: {error}")))?;
    if !free {
        return Err(taken(host, app));
    }
    // A lock that is free does not mean that nothing runs: keeper and supervisor may have been killed.
    let record = Record::read(&host.runtime.record(app)).filter(|record| fresh && record.cell.life.has_child());
    if record.is_some_and(
        |record| matches!(record.standing(&host.boot_id), Standing::Alive(process) if !process.has_ended()),
    ) {
        host.release(app);
        return Err(taken(host, app));
    }
    let asked = host.with(app, |held| held.asked.clone());
    let launch_id = host.launch_id();
    // Marks are compared with those of earlier runs of this supervisor and with what was kept of others.
    let salt = format!("{:x}-{app}", host.identity.process.start_time);
    let salt = &salt;
    let (root, runtime) = (&host.root, &host.runtime);
    let at = Setting { root, runtime, asked: &asked, awaited, launch_id: &launch_id, salt };
    let (mut instance, policy, mut warnings) = Instance::configure(app, at)?;
    instance.launch.flags.push(format!("--restore-nofile={}", host.nofile));

    let (out, out_writer) = pipe().map_err(|error| passing("make a pipe for its output", &error))?;
    let (err, err_writer) = pipe().map_err(|error| passing("make a pipe for its output", &error))?;
    instance.pipes = (inode(&out), inode(&err));
    // The keeper has the pipes before anything can be written to them.
    host.keep(&format!("out:{app}"), &out);
    host.keep(&format!("err:{app}"), &err);
    let (spec, teelog) = (instance.launch.clone(), instance.teelog.clone());
    let reconfigured = host.with(app, |held| {
        let reconfigured = held.instance.as_ref().is_some_and(|last| !last.is_launched_like(&instance));
        held.pipes = Some((out, err));
        held.instance = Some(instance);
        held.ears = Default::default();
        reconfigured
    });
    warnings.extend(host.attach(app));

    let gate = match &teelog {
        None => launch::spawn(&spec, out_writer, err_writer).map_err(not_spawned)?,
        Some(teelog) => {
            let begun = external::begin(host, app, teelog, &spec, (out_writer, err_writer)).await;
            begun.map_err(|trial| match trial {
                Trial::NotSpawned(refusal) => not_spawned(refusal),
                Trial::Writer(failure) => failure,
            })?
        }
    };
    warnings.extend(gate.warnings.iter().cloned());
    let pid = gate.pid();
    let child = Child { pid, start_time: start_time(pid).unwrap_or_default() };
    let pidfd = PidFd::open(pid).map_err(|error| passing("watch its launcher", &error))?;
    host.with(app, |held| {
        if let Some(instance) = held.instance.as_mut() {
            // Hooks and checks are launched alike, into the same groups; and whoever clears up knows them from here.
            instance.launch.join.clone_from(&gate.join);
            instance.limits.clone_from(&gate.held);
            instance.sandbox.without.clone_from(&gate.warnings);
        }
        held.process = Some(Process { ours: teelog.is_none(), ..Process::new(child, Some(pidfd)) });
        held.speaker.iter().for_each(|speaker| speaker.set_pid(pid));
        held.gate = Some(gate);
    });
    external::watch(host, app);
    Ok(Launched { child, policy, warnings, reconfigured })
}

fn not_spawned(refusal: NotSpawned) -> StartFailure {
    match refusal {
        NotSpawned::Refused(report) => not_launched(&report),
        // What it refuses by itself it says in a whole sentence, and will refuse again.
        NotSpawned::Io(error)
            if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::ArgumentListTooLong) =>
        {
            lasting(error.to_string())
        }
        NotSpawned::Io(error) => passing("start its launcher", &error),
    }
}

/// Another supervisor has the app's lock. Its record may tell which, unless that is another user's.
fn taken(host: &Host, app: &AppName) -> StartFailure {
    let record = Record::read(&host.runtime.record(app)).filter(|record| record.boot_id == host.boot_id);
    let (message, hint) = match record.and_then(|record| Some((record.cell.child?, record.supervisor))) {
        Some((child, Supervisor { process, background, .. })) => {
            let kind = if background { "background" } else { "foreground" };
            let (app, supervisor) = (child.pid, process.pid);
            (format!("it is already running (pid {app}), under the {kind} supervisor with pid {supervisor}"), None)
        }
        None => {
            let dir = host.root.path().join(app.as_str());
            let holder = lock::holder(&dir, &lock::held()).and_then(|pid| Holder::of(pid, &dir));
            out_of_reach(holder.as_ref(), host.runtime.path().parent())
        }
    };
    StartFailure { trouble: Trouble::Taken, message, hint }
}

/// That somebody out of reach has an app, and what to do about it, for a supervisor with this runtime directory.
fn out_of_reach(holder: Option<&Holder>, runtime: Option<&Path>) -> (String, Option<String>) {
    match holder {
        Some(holder) => (format!("it is already running, {}", holder.words()), Some(holder.hint(runtime))),
        None => ("it is already running under the supervisor of another user or runtime directory".to_owned(), None),
    }
}

fn passing(what: &str, error: &io::Error) -> StartFailure {
    StartFailure { trouble: Trouble::Passing, message: format!("cannot {what}: {error}"), hint: None }
}

fn lasting(message: String) -> StartFailure {
    StartFailure { trouble: Trouble::Lasting, message, hint: None }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::CLOEXEC)?)
}

/// A step of the launch that failed, or that this host cannot do.
fn not_launched(report: &Report) -> StartFailure {
    let trouble = if report.retry() { Trouble::Passing } else { Trouble::Lasting };
    StartFailure { trouble, message: report.message(), hint: report.hint() }
}

/// Opens the gate and waits for the launcher's words; no failure among them means that it has exec'ed.
async fn read_report(gate: launch::Gate) -> io::Result<(Vec<String>, Option<Report>)> {
    let mut stream = tokio::net::UnixStream::from_std(gate.open()?)?;
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes).await {
        // Killed with the go byte unread: its end tells the rest.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok((Vec::new(), None)),
        read => read?,
    };
    Word::decode(&bytes).map_err(|_| io::Error::other("its report cannot be understood"))
}

/// The process group of a process.
fn group(pid: i32) -> Option<i32> {
    nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(pid))).ok().map(nix::unistd::Pid::as_raw)
}

/// Whether the process is still the launcher, not yet the app. Nothing while that cannot be told: in the moment of its
/// exec, or of its end.
fn is_launcher(pid: i32) -> Option<bool> {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|command| !command.is_empty())?;
    let name = command.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(name == b"daemonrun" || name.ends_with(b"/daemonrun"))
}

fn send_to_group(leader: i32, signal: Signal) -> io::Result<()> {
    let group = rustix::process::Pid::from_raw(leader).ok_or(io::ErrorKind::InvalidInput)?;
    super::pidfd::kill_group(group, signal.number())
}

/// SIGKILLs everything of a run but its main process, each through a descriptor that cannot mean another one.
fn kill_members(host: &Host, app: &AppName, main: Option<Child>) {
    for member in host.members(app, main) {
        if let Some(pidfd) = PidFd::of(member) {
            let _ = pidfd.kill();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::holder::Kind;
    use super::*;

    #[test]
    fn a_start_that_another_supervisor_is_in_the_way_of_says_how_that_is_reached() {
        let uid = nix::unistd::geteuid().as_raw();
        let holder = Holder { pid: 812, uid, kind: Kind::Supervisor { runtime: Some("/run/other".into()) } };
        let (message, hint) = out_of_reach(Some(&holder), Some(Path::new("/run/own")));
        let who = "under the supervisor with pid 812, whose runtime directory is /run/other";
        assert_eq!(message, format!("it is already running, {who}"));
        assert_eq!(hint.as_deref(), Some("DAEMONCTL_RUNTIME_DIR=/run/other before the command reaches it"));
    }
}
