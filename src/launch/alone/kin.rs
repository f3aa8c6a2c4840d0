//! The descendants of this process, found from the top: it is a subreaper, so all that the command has ever started and
//! that still runs is below it, whatever became of sessions, groups and parents.

use std::collections::HashSet;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::observe::processes::{children, start_time};

/// One process, beyond doubt: its pid, and its start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kinsman {
    pub(super) pid: i32,
    started: u64,
}

/// How descendants are told from children that were there before: whoever exec'ed `daemonrun` may have had some.
#[derive(Debug, Default)]
pub(super) struct Kin {
    strangers: HashSet<Kinsman>,
}

impl Kin {
    /// All that are children now are none of ours.
    pub(super) fn from_now_on() -> Self {
        Self { strangers: children(own()).into_iter().filter_map(kinsman).collect() }
    }

    /// Those that live: zombies only wait to be reaped.
    pub(super) fn living(&self) -> Vec<Kinsman> {
        let (mut found, mut ahead) = (Vec::new(), children(own()));
        let mut seen = HashSet::new();
        while let Some(pid) = ahead.pop() {
            let Some(one) = kinsman(pid).filter(|one| !self.strangers.contains(one) && seen.insert(*one)) else {
                continue;
            };
            ahead.extend(children(pid));
            if !is_zombie(pid) {
                found.push(one);
            }
        }
        found
    }
}

impl Kinsman {
    /// Sends a signal to this process, and to none that has its pid by now.
    pub(super) fn send(self, signal: Signal) {
        let pidfd = Pid::from_raw(self.pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        if let Some(pidfd) = pidfd.filter(|_| start_time(self.pid) == Some(self.started)) {
            let _ = pidfd_send_signal(pidfd, signal);
        }
    }
}

fn own() -> i32 {
    std::process::id() as i32
}

fn kinsman(pid: i32) -> Option<Kinsman> {
    start_time(pid).map(|started| Kinsman { pid, started })
}

/// Whether a process has ended, and only waits to be reaped.
pub(super) fn is_zombie(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_none_or(|(_, rest)| matches!(rest.trim_start().as_bytes().first(), None | Some(b'Z' | b'X')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn who_was_there_before_is_no_kin() {
        let mut before = Command::new("sleep").arg("1000").spawn().unwrap();
        let kin = Kin::from_now_on();
        let mut after = Command::new("sleep").arg("1000").spawn().unwrap();
        let pids: Vec<i32> = kin.living().iter().map(|one| one.pid).collect();
        let one = *kin.living().iter().find(|one| one.pid == after.id() as i32).unwrap();
        Kinsman { started: one.started + 1, ..one }.send(Signal::KILL);
        assert!(after.try_wait().unwrap().is_none(), "that was another process");
        one.send(Signal::KILL);
        after.wait().unwrap();
        before.kill().unwrap();
        before.wait().unwrap();
        assert!(pids.contains(&(after.id() as i32)) && !pids.contains(&(before.id() as i32)), "{pids:?}");
    }
}
