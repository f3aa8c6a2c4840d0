//! The tree's port to health checks and hooks: small programs run like the app itself, in its environment, directory
//! and identity, with a time limit, and ended with everything they started.

use std::collections::HashSet;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use daemonctl_actors::cell::{CheckReport, Child};
use daemonctl_actors::lifecycle::{Cause, Want};
use daemonctl_actors::ports::{Checker, Hook, LocalFuture, Told};
use daemonctl_actors::value::{AppName, ExitStatus};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use super::family::{self, Search};
use super::host::{Hands, Held, Host, Process, monotonic, wall};
use super::instance::LAUNCH_ID;
use super::pidfd::{PidFd, start_time};
use crate::config::values::Level;
use crate::launch::report::Word;
use crate::launch::{self, LaunchSpec, NotSpawned};

/// The longest a hook may take.
const HOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of a program's output is kept: its end.
const OUTPUT: usize = 4096;

/// How a small program ended.
enum End {
    /// By itself.
    Exited(ExitStatus),
    /// It was killed at the end of its time.
    TimedOut,
    /// It was not exec'ed.
    NotStarted(String),
}

impl Checker for Hands {
    fn check(&self, app: &AppName) -> LocalFuture<CheckReport> {
        let (host, app) = (self.0.clone(), app.clone());
        Box::pin(async move {
            let begun = monotonic();
            let prepared = host.with(&app, |held| {
                let instance = held.instance.as_ref()?;
                let spec = instance.launch.with_command(instance.check.clone()?);
                Some((inside(spec, held), instance.check_timeout))
            });
            let report = |success, output| {
                let took = monotonic().saturating_sub(begun);
                CheckReport { success, output, took, at: Some(wall()) }
            };
            let Some((spec, timeout)) = prepared else { return report(false, "there is no health check".to_owned()) };
            let (end, output) = run(&host, spec, timeout).await;
            let said = |end: String| if output.is_empty() { end } else { format!("{end}: {output}") };
            match end {
                End::Exited(ExitStatus::Code(0)) => report(true, output),
                End::Exited(status @ ExitStatus::Signal { .. }) => {
                    report(false, said(format!("the check was {status}")))
                }
                End::Exited(status) => report(false, said(status.to_string())),
                End::TimedOut => {
                    report(false, said(format!("the check timed out after {}", humantime::format_duration(timeout))))
                }
                End::NotStarted(why) => report(false, why),
            }
        })
    }

    fn hook(&self, app: &AppName, hook: Hook, pid: Option<i32>, told: Option<Told>) -> LocalFuture<()> {
        let (host, app) = (self.0.clone(), app.clone());
        Box::pin(async move {
            let prepared = host.with(&app, |held| {
                let instance = held.instance.as_ref()?;
                let command = match hook {
                    Hook::Start => instance.on_start.clone()?,
                    Hook::Stop => instance.on_stop.clone()?,
                };
                let mut spec = instance.launch.with_command(command);
                // The walls of an app that has ended are gone with it: its on-stop hook gets new ones of the same kind.
                if hook == Hook::Start {
                    spec = inside(spec, held);
                }
                Some(spec)
            });
            let Some(mut spec) = prepared else { return };
            for (key, value) in hook_variables(hook, pid, told) {
                spec.flags.push(format!("--env={key}"));
                spec.environment.insert(key.to_owned(), value);
            }
            let name = match hook {
                Hook::Start => "on-start",
                Hook::Stop => "on-stop",
            };
            let (end, output) = run(&host, spec, HOOK_TIMEOUT).await;
            let write = |level: Level, text: String| host.record_event(&app, level, &text);
            for line in output.lines() {
                write(Level::Info, format!("{name}: {line}"));
            }
            match end {
                End::Exited(ExitStatus::Code(0)) => write(Level::Debug, format!("{name} succeeded")),
                End::Exited(status) => write(Level::Warn, format!("{name} failed: {status}")),
                End::TimedOut => write(Level::Warn, format!("{name} was killed: it took longer than 30 s")),
                End::NotStarted(why) => write(Level::Warn, format!("{name} failed: {why}")),
            }
        })
    }
}

/// A launch in the namespaces of the app, if it has its own, so that a check reaches what only the app can reach.
fn inside(mut spec: LaunchSpec, held: &Held) -> LaunchSpec {
    let walled = held.instance.as_ref().is_some_and(|instance| instance.walled);
    if let Some(Process { child, .. }) = held.process.as_ref().filter(|_| walled) {
        spec.flags.push(format!("--enter={}:{}", child.pid, child.start_time));
    }
    spec
}

/// What a hook is told in its environment.
fn hook_variables(hook: Hook, pid: Option<i32>, told: Option<Told>) -> Vec<(&'static str, String)> {
    let event = match hook {
        Hook::Start => "start",
        Hook::Stop => "stop",
    };
    let mut variables = vec![("DAEMONCTL_EVENT", event.to_owned())];
    if let Some(pid) = pid {
        variables.push(("DAEMONCTL_MAIN_PID", pid.to_string()));
    }
    if let Some(told) = told {
        let status = told.ending.status;
        let code = status.and_then(ExitStatus::code).map(|code| code.to_string());
        let signal = status.and_then(ExitStatus::signal).map(|signal| signal.to_string());
        variables.push(("DAEMONCTL_EXIT_CODE", code.unwrap_or_default()));
        variables.push(("DAEMONCTL_EXIT_SIGNAL", signal.unwrap_or_default()));
        variables.push(("DAEMONCTL_REASON", reason(&told).to_owned()));
    }
    variables
}

/// The reason for an app's end, in the word that hooks and status know it by.
pub fn reason(told: &Told) -> &'static str {
    match (told.ending.cause, told.ending.status, told.want) {
        (Some(Cause::Unhealthy), ..) => "unhealthy",
        (Some(Cause::Timeout), ..) => "timeout",
        (Some(Cause::Asked), ..) => "stopped",
        (None, None, _) => "failed",
        (None, Some(_), _) if told.ending.out_of_memory => "oom-killed",
        (None, Some(_), Want::Up | Want::Down | Want::Again { .. }) => "exited",
    }
}

/// A small program that runs; dropping it ends it with everything it started.
struct Small {
    host: Rc<Host>,
    child: Child,
    pidfd: PidFd,
    launch_id: String,
}

impl Drop for Small {
    fn drop(&mut self) {
        self.kill_all();
        let (host, pid) = (self.host.clone(), self.child.pid);
        let Ok(pidfd) = self.pidfd.try_clone() else { return };
        // What was killed is reaped; this may outlive whoever waited for the program.
        actix::spawn(async move {
            let _ = pidfd.ended().await;
            pidfd.reap();
            host.small.borrow_mut().remove(&pid);
        });
    }
}

impl Small {
    fn kill_all(&self) {
        let others: HashSet<i32> = HashSet::new();
        let (own, keeper) = (self.host.identity.process.pid, self.host.identity.keeper.pid);
        let reapers = [keeper, own];
        let search = Search {
            main: Some(self.child),
            launch_id: &self.launch_id,
            reapers: &reapers,
            others: &others,
            everywhere: false,
        };
        // Not reaped yet, so its pid and group are its own, even if it has ended.
        if let Some(leader) = rustix::process::Pid::from_raw(self.child.pid) {
            let _ = super::pidfd::kill_group(leader, libc::SIGKILL);
        }
        let _ = self.pidfd.kill();
        for member in family::members(&search) {
            if let Some(pidfd) = PidFd::of(member) {
                let _ = pidfd.kill();
            }
        }
    }
}

/// Runs a program to its end, or to the end of its time; returns the end of its output, too.
async fn run(host: &Rc<Host>, mut spec: LaunchSpec, timeout: Duration) -> (End, String) {
    // Marked as the app's, so that it is found with the app if this supervisor dies, and as itself.
    let run = spec.environment.get(LAUNCH_ID).cloned().unwrap_or_default();
    let launch_id = format!("{run}+{}", host.launch_id());
    spec.environment.insert(LAUNCH_ID.to_owned(), launch_id.clone());
    let started = start(host, &spec, launch_id);
    let (small, gate, output) = match started {
        Ok(started) => started,
        Err(NotSpawned::Refused(report)) => return (End::NotStarted(report.message()), String::new()),
        Err(error) => return (End::NotStarted(format!("cannot start its launcher: {error}")), String::new()),
    };
    let mut kept = Vec::new();
    let end = tokio::select! {
        end = finish(&small, gate) => end,
        () = keep_end(&output, &mut kept) => End::TimedOut, // Never: it only ends with an error of the pipe.
        () = tokio::time::sleep(timeout) => End::TimedOut,
    };
    // Its own end counts, not that of a child that holds the pipe; what it has written by then is there.
    drain(&output, &mut kept);
    drop(small);
    (end, String::from_utf8_lossy(&kept).trim().to_owned())
}

fn start(host: &Rc<Host>, spec: &LaunchSpec, launch_id: String) -> Result<(Small, launch::Gate, Receiver), NotSpawned> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from)?;
    let gate = launch::spawn(spec, writer.try_clone()?, writer)?;
    let pid = gate.pid();
    let pidfd = PidFd::open(pid)?;
    host.small.borrow_mut().insert(pid);
    let child = Child { pid, start_time: start_time(pid).unwrap_or_default() };
    Ok((Small { host: host.clone(), child, pidfd, launch_id }, gate, Receiver::from_owned_fd(reader)?))
}

/// Lets the program run and waits for its end.
async fn finish(small: &Small, gate: launch::Gate) -> End {
    let report = async {
        let mut bytes = Vec::new();
        tokio::net::UnixStream::from_std(gate.open()?)?.read_to_end(&mut bytes).await?;
        Ok::<_, io::Error>(bytes)
    };
    match report.await {
        Ok(bytes) => match Word::decode(&bytes) {
            // What it goes without, the app goes without, and has said so.
            Ok((_, None)) => {}
            Ok((_, Some(report))) => return End::NotStarted(report.message()),
            Err(_) => return End::NotStarted("its launcher failed".to_owned()),
        },
        Err(error) => return End::NotStarted(format!("cannot talk to its launcher: {error}")),
    }
    match small.pidfd.ended().await {
        Ok(()) => End::Exited(small.pidfd.status().unwrap_or(ExitStatus::Unknown)),
        Err(error) => End::NotStarted(format!("cannot watch it: {error}")),
    }
}

/// Reads output for as long as there is any, keeping the end of it.
async fn keep_end(output: &Receiver, kept: &mut Vec<u8>) {
    loop {
        if output.readable().await.is_err() || drain(output, kept) {
            return std::future::pending().await; // No more output; its end is still to come.
        }
    }
}

/// Reads what is there; returns whether the output has ended.
fn drain(output: &Receiver, kept: &mut Vec<u8>) -> bool {
    let mut buffer = [0; OUTPUT];
    // A program that floods its output is read, but not for ever in one go.
    for _ in 0..64 {
        match output.try_read(&mut buffer) {
            Ok(0) => return true,
            Ok(read) => {
                kept.extend_from_slice(&buffer[..read]);
                kept.drain(..kept.len().saturating_sub(OUTPUT));
            }
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
    false
}
