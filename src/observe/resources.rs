//! What an app uses: all its processes together, as /proc shows them at one moment, and what its control groups have
//! counted.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use procfs::process::{LimitValue, Process};
use procfs::{Current, Uptime};
use serde::Serialize;

use super::processes::Tree;
use crate::cgroup::{Group, Version};
use crate::control::status::LimitStatus;

/// What the processes of an app use together. What may not be seen is nothing: some of it is for the owner only.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Resources {
    /// How many processes there are.
    pub processes: u64,
    /// Resident memory; what processes share counts for each.
    pub memory_bytes: u64,
    /// Resident memory; what processes share is divided among them (PSS).
    pub memory_proportional_bytes: Option<u64>,
    /// Address space.
    pub memory_virtual_bytes: u64,
    /// Processor time over the life of each process, in percent of one CPU.
    pub cpu_percent: f64,
    /// Processor time.
    pub cpu_seconds: f64,
    /// Threads.
    pub threads: u64,
    /// Open files.
    pub open_files: Option<u64>,
    /// Open files of the process that has most of them.
    pub open_files_most: Option<u64>,
    /// Open files that this process may have; nothing where it may have any number.
    pub open_files_limit: Option<u64>,
    /// Bytes read from storage.
    pub read_bytes: Option<u64>,
    /// Bytes written to storage.
    pub written_bytes: Option<u64>,
    /// What is used of each limit.
    pub limits: Vec<Usage>,
}

/// What is used of a limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Usage {
    /// The limit.
    #[serde(flatten)]
    pub limit: LimitStatus,
    /// Bytes, percent of one CPU, or processes and threads.
    pub used: Option<f64>,
    /// For how long processes had to wait because the limit of processor time was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled_seconds: Option<f64>,
}

impl Resources {
    /// Looks at the processes of a tree, and at those that are in the control groups of the app.
    pub fn of(tree: &Tree, limits: &[LimitStatus]) -> Self {
        let mut pids = BTreeSet::new();
        collect(tree, &mut pids);
        let groups: Vec<Option<Group>> = limits.iter().map(group).collect();
        pids.extend(groups.iter().flatten().flat_map(Group::members));
        let uptime = Uptime::current().map_or(0.0, |uptime| uptime.uptime);
        let mut all = Self {
            memory_proportional_bytes: Some(0),
            open_files: Some(0),
            read_bytes: Some(0),
            written_bytes: Some(0),
            ..Self::default()
        };
        let mut largest = 0;
        for process in pids.into_iter().filter_map(|pid| Process::new(pid).ok()) {
            largest = largest.max(all.add(&process, uptime).unwrap_or(0));
        }
        all.limits = limits.iter().zip(groups).map(|(limit, group)| all.usage(limit, group, largest)).collect();
        all
    }

    /// Adds one process. Returns its address space.
    fn add(&mut self, process: &Process, uptime: f64) -> Option<u64> {
        let stat = process.stat().ok().filter(|stat| stat.state != 'Z')?;
        let ticks = procfs::ticks_per_second() as f64;
        let (used, age) = ((stat.utime + stat.stime) as f64 / ticks, uptime - stat.starttime as f64 / ticks);
        self.processes += 1;
        let (resident, proportional) = memory(process).unzip();
        // The figure in stat may be some pages behind.
        self.memory_bytes += resident.unwrap_or(stat.rss * procfs::page_size());
        self.memory_virtual_bytes += stat.vsize;
        self.cpu_seconds += used;
        self.cpu_percent += 100.0 * used / age.max(1.0 / ticks);
        self.threads += stat.num_threads.max(0) as u64;
        add(&mut self.memory_proportional_bytes, proportional);
        let io = process.io().ok();
        add(&mut self.read_bytes, io.as_ref().map(|io| io.read_bytes));
        add(&mut self.written_bytes, io.as_ref().map(|io| io.write_bytes));
        let files = process.fd_count().ok().map(|count| count as u64);
        add(&mut self.open_files, files);
        if files > self.open_files_most {
            self.open_files_most = files;
            self.open_files_limit = match process.limits().ok().map(|limits| limits.max_open_files.soft_limit) {
                Some(LimitValue::Value(limit)) => Some(limit),
                Some(LimitValue::Unlimited) | None => None,
            };
        }
        Some(stat.vsize)
    }

    fn usage(&self, limit: &LimitStatus, group: Option<Group>, largest: u64) -> Usage {
        let used = match (limit.limit.as_str(), &group) {
            ("memory", Some(group)) => group.memory().map(|bytes| bytes as f64),
            // The stand-in binds each process by itself.
            ("memory", None) => Some(largest as f64),
            ("processes", Some(group)) => group.tasks().map(|tasks| tasks as f64),
            ("processes", None) => Some(self.threads as f64),
            _ => Some(self.cpu_percent),
        };
        let throttled = group.filter(|_| limit.limit == "cpu").and_then(|group| group.throttled());
        Usage { limit: limit.clone(), used, throttled_seconds: throttled.as_ref().map(Duration::as_secs_f64) }
    }
}

fn add(sum: &mut Option<u64>, one: Option<u64>) {
    *sum = sum.zip(one).map(|(sum, one)| sum + one);
}

/// Resident memory, as it is and with what is shared divided by the number of those that share it.
fn memory(process: &Process) -> Option<(u64, u64)> {
    let rollup = process.smaps_rollup().ok()?;
    let maps = || rollup.memory_map_rollup.iter().map(|map| &map.extension.map);
    let sum = |key| maps().filter_map(|values| values.get(key)).sum();
    Some((sum("Rss"), sum("Pss")))
}

fn collect(tree: &Tree, pids: &mut BTreeSet<i32>) {
    pids.insert(tree.process.pid);
    tree.children.iter().for_each(|child| collect(child, pids));
}

/// The control group that holds a limit.
fn group(limit: &LimitStatus) -> Option<Group> {
    let dir = PathBuf::from(limit.group.as_ref()?);
    let version = if limit.held_by == Version::V2.to_string() { Version::V2 } else { Version::V1 };
    Some(Group { version, base: dir.clone(), dir, evacuate: None, limits: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::super::processes::Snapshot;
    use super::*;

    #[test]
    fn this_process_and_its_child_are_counted_together() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let tree = Snapshot::take().unwrap().tree(std::process::id() as i32).unwrap();
        let limit = LimitStatus {
            limit: "memory".into(),
            asked: "1G".into(),
            held_by: "rlimit (stand-in)".into(),
            group: None,
        };
        let used = Resources::of(&tree, &[limit]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(used.processes >= 2 && used.threads >= used.processes, "{used:?}");
        // Other tests allocate between the two looks.
        let most = used.memory_bytes + (64 << 20);
        assert!(used.memory_proportional_bytes.is_some_and(|bytes| bytes > 0 && bytes <= most), "{used:?}");
        assert!(used.memory_virtual_bytes > used.memory_bytes && used.open_files_most > Some(3), "{used:?}");
        assert!(used.limits[0].used.is_some_and(|bytes| bytes > 1e6), "{used:?}");
    }
}
