//! The control groups of a run: everything in them is the run's, whatever it did with sessions, groups and forks.
//!
//! A run begins with fresh groups, so that counters are its own and nothing of an earlier run is counted or killed with
//! it. They stay until on-stop has run, which is limited as the app is, and then go. Hooks and checks are in them too,
//! and are not leftovers for as long as they run.

use std::collections::HashSet;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use daemonctl_actors::cell::Child;
use daemonctl_actors::value::{AppName, ExitStatus, Signal};

use super::host::{Host, monotonic};
use super::pidfd::{PidFd, start_time};
use super::{external, family};
use crate::app::Shown;
use crate::cgroup::{Group, Version};
use crate::config::values::{Level, Size};
use crate::launch::limits::{NOT_ENFORCED, words};

/// How long the kernel is given to let go of a group whose processes have been killed.
const PATIENCE: Duration = Duration::from_secs(5);

impl Host {
    /// The control groups of the app's present or last run. None without its lock: another supervisor's run of the app
    /// would be in groups of the same name.
    pub fn groups(&self, app: &AppName) -> Vec<Group> {
        let join = self.with(app, |held| {
            held.lock.as_ref()?;
            held.instance.as_ref()?.launch.join.clone()
        });
        join.map(|join| join.groups).unwrap_or_default()
    }

    /// The living processes of a run but its main one, and but hooks and checks that run.
    pub fn members(&self, app: &AppName, main: Option<Child>) -> Vec<Child> {
        let mut found = self.search(app, main, family::members);
        let grouped: HashSet<i32> = self.groups(app).iter().flat_map(Group::members).collect();
        let small = self.small.borrow();
        let helps = |pid: i32| family::ancestors(pid).any(|ancestor| small.contains(&ancestor));
        let known: HashSet<i32> = found.iter().chain(&main).map(|child| child.pid).collect();
        let others = grouped.into_iter().filter(|pid| !known.contains(pid) && family::is_living(*pid) && !helps(*pid));
        found.extend(others.filter_map(|pid| Some(Child { pid, start_time: start_time(pid)? })));
        let writer = self.with(app, |held| held.instance.as_ref()?.writer);
        found.retain(|member| !external::is_writers(writer, member.pid));
        found
    }

    /// Whether the kernel has ended the main process because its limit of memory was reached. A shell whose child is
    /// killed exits with 137.
    pub fn ran_out_of_memory(&self, app: &AppName, status: ExitStatus) -> bool {
        let is_kill = match status {
            ExitStatus::Signal { signal, .. } => signal == Signal::KILL,
            ExitStatus::Code(code) => code == 137,
            ExitStatus::Unknown => true,
        };
        let by_us = self.with(app, |held| held.process.as_ref().is_some_and(|process| process.killed));
        let is = is_kill && !by_us && self.oom_kills(app) > 0;
        self.with(app, |held| held.process.iter_mut().for_each(|process| process.out_of_memory = is));
        is
    }

    /// How many processes of the run the kernel has killed because its limit of memory was reached.
    fn oom_kills(&self, app: &AppName) -> u64 {
        let groups = self.groups(app);
        groups.iter().filter(|group| group.memory_limit().is_some()).map(Group::oom_kills).sum()
    }

    /// Writes down what else was killed for want of memory, once a run is over. The main process is spoken of already.
    pub fn note_oom_kills(&self, app: &AppName) {
        let told = self.with(app, |held| held.process.as_ref().is_some_and(|process| process.out_of_memory));
        let groups = self.groups(app);
        let group = groups.iter().find(|group| group.memory_limit().is_some());
        let Some((group, limit)) = group.and_then(|group| Some((group, Size(group.memory_limit()?)))) else { return };
        if told && group.version == Version::V2 {
            return; // There the whole app is killed at once, and the one that was chosen is counted twice.
        }
        let text = match self.oom_kills(app).saturating_sub(u64::from(told)) {
            0 => return,
            1 => format!("1 process was killed: out of memory (limit {limit})"),
            more => format!("{more} processes were killed: out of memory (limit {limit})"),
        };
        self.note_event(app, Level::Warn, &text);
    }
}

/// Makes sure that a launcher that waits at its gate will find no group of an earlier run.
pub async fn begin_fresh(host: &Rc<Host>, app: &AppName) -> io::Result<()> {
    for group in host.groups(app).iter().filter(|group| group.exists()) {
        empty(group).await?;
    }
    Ok(())
}

/// Removes the groups of a run that is over, with whatever is left in them.
pub async fn remove(host: &Rc<Host>, app: &AppName) {
    for group in host.groups(app).iter().filter(|group| group.exists()) {
        if let Err(error) = empty(group).await {
            let text = format!("cannot remove the control group {}: {error}", group.dir.shown());
            host.note_event(app, Level::Warn, &text);
        }
    }
}

/// Kills what is in a group, and removes it.
async fn empty(group: &Group) -> io::Result<()> {
    let until = monotonic() + PATIENCE;
    let mut pause = Duration::from_millis(1);
    loop {
        match group.remove() {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && monotonic() < until => kill(group),
            done => return done,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn kill(group: &Group) {
    if !group.kill() {
        let opened = group.members().into_iter().filter_map(|pid| Some((pid, PidFd::open(pid).ok()?)));
        let opened: Vec<(i32, PidFd)> = opened.collect();
        // Still in the group, so that no descriptor is of a stranger who got the pid meanwhile.
        let still = group.members();
        opened.iter().filter(|(pid, _)| still.contains(pid)).for_each(|(_, pidfd)| drop(pidfd.kill()));
    }
}

/// What a launch that may go without has come to: groups that were not entered hold no limit.
pub fn see_what_holds(host: &Rc<Host>, app: &AppName, child: Child) {
    host.with(app, |held| {
        let Some(instance) = held.instance.as_mut() else { return };
        let Some(join) = &instance.launch.join else { return };
        let missed = join.groups.iter().filter(|group| !group.members().contains(&child.pid));
        let missed: Vec<&str> = missed.flat_map(|group| &group.limits).map(|limit| words(*limit).0).collect();
        for limit in instance.limits.iter_mut().filter(|limit| missed.contains(&limit.limit.as_str())) {
            limit.by = NOT_ENFORCED.to_owned();
        }
    });
}
