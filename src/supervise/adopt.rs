//! Taking over apps that run, or are meant to, and that no supervisor looks after.
//!
//! A successor gets locks, pipes and exit statuses from the keeper. A supervisor that is new to an app, because keeper
//! and supervisor both died, finds the app by its record, takes its lock, verifies that the process is the one
//! recorded, and opens its output again through /proc.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use daemonctl_actors::cell::{Cell, Child};
use daemonctl_actors::ports::Sink;
use daemonctl_actors::value::{AppName, ExitStatus};

use super::external::{self, Writer};
use super::host::{Hands, Host, Process};
use super::lock;
use super::pipes::{inode, nameless, reader};
use super::record::{Record, Standing};
use crate::config::values::Level;

/// What a keeper hands over.
#[derive(Debug, Default)]
pub struct Handover {
    /// Descriptors by key.
    pub kept: HashMap<String, OwnedFd>,
    /// How processes ended that the keeper reaped, by pid.
    pub exits: HashMap<i32, ExitStatus>,
}

/// Takes over every app that can be, or of `only` those; returns their cells, ready for the tree.
pub fn restore(host: &Rc<Host>, handover: &mut Handover, only: Option<&[AppName]>) -> Vec<Cell> {
    let names = host.runtime.recorded().into_iter();
    let cells = names.filter_map(|name| take_over(host, handover, only, &name)).collect();
    // What is left belonged to apps that have come to rest, or never got as far as a record.
    for (key, fd) in handover.kept.drain() {
        lock::unlock(&fd);
        host.drop_kept(&key);
    }
    cells
}

fn take_over(host: &Rc<Host>, handover: &mut Handover, only: Option<&[AppName]>, name: &AppName) -> Option<Cell> {
    let is_active = |record: &Record| record.is_active(&host.boot_id);
    let record = Record::read(&host.runtime.record(name)).filter(is_active)?;
    let kept = handover.kept.remove(&format!("lock:{name}"));
    let ours = kept.is_some();
    if !ours && only.is_some_and(|only| !only.contains(name)) {
        return None;
    }
    if host.with(name, |held| held.lock.is_some()) {
        return None; // It is ours already.
    }
    match kept {
        Some(lock) => host.with(name, |held| held.lock = Some(lock)),
        None if !host.lock(name).is_ok_and(|free| free) => return None,
        None => {}
    }
    // Until we had the lock, another supervisor may have gone on with the app.
    let record = match ours {
        true => record,
        false => match Record::read(&host.runtime.record(name)).filter(is_active) {
            Some(record) => record,
            None => {
                host.release(name);
                return None;
            }
        },
    };
    let out = handover.kept.remove(&format!("out:{name}"));
    let err = handover.kept.remove(&format!("err:{name}"));
    let outlived_keeper = record.supervisor.keeper != host.identity.keeper;
    let process = match (record.standing(&host.boot_id), record.cell.child) {
        (Standing::Alive(pidfd), Some(child)) => {
            // Whatever had this pid before and was reaped, it was not this process.
            Some(Process::new(child, Some(pidfd)))
        }
        (Standing::Gone, Some(child)) => {
            let status = handover.exits.get(&child.pid).copied();
            Some(Process { status, ..Process::new(child, None) })
        }
        (_, None) | (Standing::Absent, _) => None,
    };
    host.with(name, |held| {
        held.asked = record.asked;
        held.instance = record.instance;
        held.instance.iter_mut().for_each(|instance| instance.outlived_keeper |= outlived_keeper);
        held.process = process;
        held.pipes = out.zip(err);
    });
    // Pipes that are not those of the record are the app's own: its teelog had ended, and the record was not written yet.
    host.with(name, |held| {
        let (Some(instance), Some((out, err))) = (&mut held.instance, &held.pipes) else { return };
        if instance.teelog.is_some() && (inode(out), inode(err)) != instance.pipes {
            instance.take_over_pipes(out, err);
        }
    });
    let writer = host.with(name, |held| held.instance.as_ref()?.writer);
    host.with(name, |held| held.writer = writer.and_then(|writer| Writer::of(writer, held.ears.clone())));
    if host.with(name, |held| held.pipes.is_none()) {
        reopen(host, name, &record.cell);
    }
    for warning in host.attach(name) {
        tracing::warn!(app = %name, "{warning}");
    }
    take_over_writer(host, name, writer);
    // It names who looks after the app, before anybody is told that this is done.
    Hands(host.clone()).save(&record.cell);
    tracing::info!(app = %name, phase = ?record.cell.life.phase, "taken over");
    let (before, now) = (record.supervisor.process.pid, host.identity.process.pid);
    host.record_event(name, Level::Warn, &format!("its supervisor, pid {before}, has died; pid {now} goes on with it"));
    Some(record.cell)
}

/// Watches the program that writes an app's logs, or goes on in its place.
fn take_over_writer(host: &Rc<Host>, name: &AppName, writer: Option<Child>) {
    let (held, main) = host.with(name, |held| {
        let process =
            held.process.as_ref().filter(|process| process.pidfd.as_ref().is_some_and(|app| !app.has_ended()));
        (held.writer.is_some(), process.map(|process| process.child))
    });
    match (writer, held, main) {
        (Some(_), true, _) => external::watch(host, name),
        (Some(_), false, Some(main)) => {
            let (host, name) = (host.clone(), name.clone());
            actix::spawn(async move { external::go_on(&host, &name, main, " with its supervisor").await });
        }
        (Some(_), false, None) | (None, ..) => {}
    }
}

/// Opens an app's output pipes again, through the processes that write to them.
fn reopen(host: &Rc<Host>, name: &AppName, cell: &Cell) {
    let Some((out, err)) = host.with(name, |held| held.instance.as_ref().map(|instance| instance.pipes)) else {
        return;
    };
    let verified =
        host.with(name, |held| held.process.as_ref().filter(|process| process.pidfd.is_some()).map(|p| p.child));
    let mut writers: Vec<i32> = verified.iter().map(|child| child.pid).collect();
    writers.extend(host.with(name, |held| held.writer.as_ref().map(|writer| writer.child.pid)));
    writers.extend(host.members(name, cell.child).iter().map(|member| member.pid));
    let find = |inode| {
        let pipe = nameless(inode).ok()?;
        writers.iter().find_map(|pid| reader(*pid, pipe))
    };
    if let (Some(out), Some(err)) = (find(out), find(err)) {
        host.keep(&format!("out:{name}"), &out);
        host.keep(&format!("err:{name}"), &err);
        host.with(name, |held| held.pipes = Some((out, err)));
    } else if verified.is_some() {
        tracing::warn!(app = %name, "cannot find its output pipes again: output is not collected until it restarts");
    }
}
