//! Everything that belongs to a run of an app, whatever it did with sessions, groups and double forks.
//!
//! A process whose parent ends becomes the child of the nearest subreaper above: the keeper, or the supervisor where
//! the keeper is gone. So what an app leaves behind is found among the children of those two, by its session, its
//! process group or the marker in its environment, and below them. That is a few small files to read, however many
//! processes the machine has. Only a run that outlived a keeper, whose orphans went to init, needs a look at all of
//! /proc.

use std::collections::{BTreeMap, HashSet};
use std::fs;

use daemonctl_actors::cell::Child;

use super::instance::LAUNCH_ID;
use super::pidfd::start_time;
pub(super) use crate::observe::processes::children;

/// What is looked for, and where.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    /// The main process, ended or not; it is not among what is found.
    pub main: Option<Child>,
    /// The marker of the run.
    pub launch_id: &'a str,
    /// The processes that orphans are given to.
    pub reapers: &'a [i32],
    /// Processes that are known to belong elsewhere: other apps' main processes.
    pub others: &'a HashSet<i32>,
    /// Whether orphans may have gone elsewhere: look at every process.
    pub everywhere: bool,
}

/// What /proc/PID/stat tells.
struct Stat {
    zombie: bool,
    parent: i32,
    group: i32,
    session: i32,
    start_time: u64,
}

/// The living processes of the run, except for its main process.
pub fn members(search: &Search<'_>) -> Vec<Child> {
    let mut found: BTreeMap<i32, u64> = BTreeMap::new();
    let mut ahead: Vec<i32> = search.main.filter(|main| is(*main)).map(|main| children(main.pid)).unwrap_or_default();
    let orphans = match search.everywhere {
        true => all(),
        false => search.reapers.iter().flat_map(|reaper| children(*reaper)).collect(),
    };
    let own = std::process::id() as i32;
    let spared = |pid: i32| pid == own || search.reapers.contains(&pid) || search.others.contains(&pid);
    ahead.extend(orphans.into_iter().filter(|pid| !spared(*pid) && belongs(*pid, search)));
    while let Some(pid) = ahead.pop() {
        if search.main.is_some_and(|main| main.pid == pid) || spared(pid) || found.contains_key(&pid) {
            continue;
        }
        let Some(stat) = stat(pid) else { continue };
        if !stat.zombie {
            found.insert(pid, stat.start_time);
        }
        ahead.extend(children(pid));
    }
    found.into_iter().map(|(pid, start_time)| Child { pid, start_time }).collect()
}

/// Whether an orphan is one of the run's.
fn belongs(pid: i32, search: &Search<'_>) -> bool {
    let Some(stat) = stat(pid) else { return false };
    // A pid is not given away while a group or session has its number; but once the last member is gone, it is.
    let main = search.main.filter(|main| start_time(main.pid).is_none_or(|started| started == main.start_time));
    let of_main = main.is_some_and(|main| stat.session == main.pid || stat.group == main.pid);
    of_main || is_marked(pid, search.launch_id)
}

/// Whether the pid still means this process.
fn is(child: Child) -> bool {
    start_time(child.pid) == Some(child.start_time)
}

/// Whether a process was started with the run's marker in its environment, or with that of one of its hooks or checks,
/// which is the run's with something more.
fn is_marked(pid: i32, launch_id: &str) -> bool {
    let marker = format!("{LAUNCH_ID}={launch_id}");
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let after =
        |entry: &[u8]| entry.strip_prefix(marker.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'+');
    environment.split(|byte| *byte == 0).any(after)
}

/// A process and those it descends from.
pub(super) fn ancestors(pid: i32) -> impl Iterator<Item = i32> {
    std::iter::successors(Some(pid), |pid| stat(*pid).map(|stat| stat.parent).filter(|parent| *parent > 0))
}

/// Whether a process has not ended.
pub(super) fn is_living(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| !stat.zombie)
}

fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<i32>().ok();
    Some(Stat {
        zombie: matches!(fields.first(), Some(&"Z" | &"X")),
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        start_time: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_child_and_its_child_are_found_and_strangers_are_not() {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", "sleep 100 & echo $!; wait"])
            .env(LAUNCH_ID, "family-test")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(shell.stdout.take().unwrap()), &mut line).unwrap();
        let sleep: i32 = line.trim().parse().unwrap();
        let mut stranger = Command::new("sleep").arg("100").spawn().unwrap();
        let others = HashSet::new();
        let pid = shell.id() as i32;
        let shell_child = Child { pid, start_time: start_time(pid).unwrap() };
        let search = Search { main: None, launch_id: "family-test", reapers: &[], others: &others, everywhere: true };
        let found: Vec<i32> = members(&search).iter().map(|child| child.pid).collect();
        let of_main = members(&Search { main: Some(shell_child), everywhere: false, ..search });
        for child in [&mut shell, &mut stranger] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(sleep), nix::sys::signal::SIGKILL).unwrap();
        assert!(found.contains(&(shell.id() as i32)) && found.contains(&sleep), "{found:?}");
        assert!(!found.contains(&(stranger.id() as i32)));
        assert_eq!(of_main.iter().map(|child| child.pid).collect::<Vec<_>>(), [sleep]);
    }
}
