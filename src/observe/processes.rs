//! The processes of an app, as /proc shows them at one moment.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use procfs::process::{Process as Entry, all_processes};
use procfs::{Current, ProcResult, Uptime};

/// One process.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// Its state, in the letter of proc_pid_stat(5): R, S, D, Z, T …
    pub state: char,
    /// Resident memory, in bytes.
    pub memory: u64,
    /// Processor time over its life, in percent of one CPU.
    pub cpu: f64,
    /// Processor time it has used, in seconds.
    pub used: f64,
    /// Its threads.
    pub threads: u64,
    /// Its command line, or its name in brackets where it has none.
    pub command: String,
}

/// A process and those below it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The process.
    pub process: Process,
    /// Its children, by pid.
    pub children: Vec<Tree>,
}

/// Every process that could be seen.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    processes: BTreeMap<i32, Process>,
}

impl Snapshot {
    /// Looks at /proc once. A process that ends meanwhile is left out.
    pub fn take() -> ProcResult<Self> {
        let uptime = Uptime::current()?.uptime;
        let stats = all_processes()?.filter_map(|entry| entry.ok()?.stat().ok());
        let processes = stats.map(|stat| {
            let ticks = procfs::ticks_per_second() as f64;
            let age = (uptime - stat.starttime as f64 / ticks).max(1.0 / ticks);
            let used = (stat.utime + stat.stime) as f64 / ticks;
            Process {
                pid: stat.pid,
                parent: stat.ppid,
                state: stat.state,
                memory: stat.rss * procfs::page_size(),
                cpu: 100.0 * used / age,
                used,
                threads: stat.num_threads.max(0) as u64,
                command: format!("[{}]", stat.comm),
            }
        });
        Ok(processes.collect())
    }

    /// The process with this pid and everything below it.
    pub fn tree(&self, pid: i32) -> Option<Tree> {
        let process = self.processes.get(&pid)?.clone();
        let below = self.processes.values().filter(|process| process.parent == pid && process.pid != pid);
        Some(Tree { process, children: below.filter_map(|child| self.tree(child.pid)).collect() })
    }
}

impl FromIterator<Process> for Snapshot {
    fn from_iter<T: IntoIterator<Item = Process>>(processes: T) -> Self {
        Self { processes: processes.into_iter().map(|process| (process.pid, process)).collect() }
    }
}

impl Tree {
    /// Memory of all its processes; what they share counts for each.
    pub fn memory(&self) -> u64 {
        self.process.memory + self.children.iter().map(Tree::memory).sum::<u64>()
    }

    /// Processor time of all its processes, in percent of one CPU.
    pub fn cpu(&self) -> f64 {
        self.process.cpu + self.children.iter().map(Tree::cpu).sum::<f64>()
    }

    /// The process and all below it, parents before their children.
    pub fn flat(&self) -> Vec<&Process> {
        let below = self.children.iter().flat_map(Tree::flat);
        std::iter::once(&self.process).chain(below).collect()
    }

    /// Reads the command lines, which a snapshot leaves out because few of them are ever shown.
    pub fn read_commands(&mut self) {
        let arguments = Entry::new(self.process.pid).and_then(|entry| entry.cmdline()).unwrap_or_default();
        if !arguments.is_empty() {
            self.process.command = arguments.join(" ");
        }
        self.children.iter_mut().for_each(Tree::read_commands);
    }
}

/// The children of all threads of a process (proc_tid_children(5)).
pub fn children(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().filter_map(Result::ok);
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>())
        .collect()
}

/// The start time of a process, in clock ticks since boot (proc_pid_stat(5), field 22).
pub fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name may hold anything, parentheses among it: fields are counted from the last one.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The id of the present boot.
pub fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_below_this_process() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        // It is there before it has its name.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let (tree, found) = loop {
            let mut tree = Snapshot::take().unwrap().tree(std::process::id() as i32).unwrap();
            tree.read_commands();
            let found = tree.children.iter().find(|below| below.process.pid == child.id() as i32).unwrap().clone();
            if found.process.command.ends_with("sleep 60") || std::time::Instant::now() > deadline {
                break (tree, found);
            }
        };
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(tree.process.memory > 0);
        assert!(found.process.command.ends_with("sleep 60"), "{found:?}");
        assert!(tree.memory() >= tree.process.memory + found.memory());
    }
}
