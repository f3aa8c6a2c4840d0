//! One control group as it is written down: its limits, its members, its counters, its end.
//!
//! Everything here works on a directory that was made for one run of one app: nothing is ever written to, killed in or
//! removed from a group that others use.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::layout::{Controller, Version};

/// How long one round of processor time is: a process that has used its share waits for the next. In microseconds.
const PERIOD: u64 = 100_000;

/// What a group limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Bytes of memory, swap included.
    Memory(u64),
    /// Percent of one CPU.
    Cpu(u32),
    /// Processes and threads.
    Pids(u64),
}

/// What is written into one file of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The file's name.
    pub file: &'static str,
    /// What is written.
    pub text: String,
    /// Whether some kernels do not have it, and the limit holds all the same.
    pub optional: bool,
}

impl Limit {
    /// What it takes to hold it.
    pub fn controller(self) -> Controller {
        match self {
            Self::Memory(_) => Controller::Memory,
            Self::Cpu(_) => Controller::Cpu,
            Self::Pids(_) => Controller::Pids,
        }
    }

    /// What is written where. Memory is limited together with swap: a limit that only moves an app to the disk would be
    /// none.
    pub fn settings(self, version: Version) -> Vec<Setting> {
        let setting = |file, text: String| Setting { file, text, optional: false };
        let optional = |file, text: String| Setting { file, text, optional: true };
        match (self, version) {
            (Self::Memory(bytes), Version::V1) => vec![
                setting("memory.limit_in_bytes", bytes.to_string()),
                optional("memory.memsw.limit_in_bytes", bytes.to_string()),
            ],
            (Self::Memory(bytes), Version::V2) => vec![
                setting("memory.max", bytes.to_string()),
                optional("memory.swap.max", "0".to_owned()),
                optional("memory.oom.group", "1".to_owned()),
            ],
            (Self::Cpu(percent), Version::V1) => vec![
                setting("cpu.cfs_period_us", PERIOD.to_string()),
                setting("cpu.cfs_quota_us", quota(percent).to_string()),
            ],
            (Self::Cpu(percent), Version::V2) => vec![setting("cpu.max", format!("{} {PERIOD}", quota(percent)))],
            (Self::Pids(count), _) => vec![setting("pids.max", count.to_string())],
        }
    }
}

fn quota(percent: u32) -> u64 {
    u64::from(percent) * PERIOD / 100
}

/// A group of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its kind.
    pub version: Version,
    /// The directory it is made below.
    pub base: PathBuf,
    /// Its own directory.
    pub dir: PathBuf,
    /// Where the processes in `base` have to go first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evacuate: Option<PathBuf>,
    /// What it limits.
    pub limits: Vec<Limit>,
}

impl Group {
    /// The directories from just below `base` down to its own.
    pub fn path(&self) -> Vec<PathBuf> {
        let mut path: Vec<PathBuf> =
            self.dir.ancestors().take_while(|dir| **dir != *self.base).map(Path::to_owned).collect();
        path.reverse();
        path
    }

    /// Whether it is there.
    pub fn exists(&self) -> bool {
        self.dir.is_dir()
    }

    /// The processes in it and in groups that they made below it.
    pub fn members(&self) -> Vec<i32> {
        let mut pids: Vec<i32> = below(&self.dir).iter().flat_map(|dir| pids(dir)).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Kills everything in it at one stroke. `false` where the kernel offers no such thing.
    pub fn kill(&self) -> bool {
        self.version == Version::V2 && fs::write(self.dir.join("cgroup.kill"), "1").is_ok()
    }

    /// Removes it, with the empty groups below it, and the directory above it if that was the last one there. A process
    /// that has not quite gone makes this fail (EBUSY).
    pub fn remove(&self) -> io::Result<()> {
        for dir in below(&self.dir).iter().rev() {
            absent_is_fine(fs::remove_dir(dir))?;
        }
        for above in self.path().iter().rev().skip(1) {
            // Other apps' groups keep it.
            let _ = fs::remove_dir(above);
        }
        Ok(())
    }

    /// How many of its processes the kernel has killed because there was no more memory for them.
    pub fn oom_kills(&self) -> u64 {
        let file = match self.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        self.keyed(file, "oom_kill").unwrap_or(0)
    }

    /// The memory it may use, if it limits that.
    pub fn memory_limit(&self) -> Option<u64> {
        self.limits.iter().find_map(|limit| match limit {
            Limit::Memory(bytes) => Some(*bytes),
            Limit::Cpu(_) | Limit::Pids(_) => None,
        })
    }

    /// Memory in use, caches included, in bytes.
    pub fn memory(&self) -> Option<u64> {
        self.number(match self.version {
            Version::V1 => "memory.usage_in_bytes",
            Version::V2 => "memory.current",
        })
    }

    /// Processes and threads in it.
    pub fn tasks(&self) -> Option<u64> {
        self.number("pids.current")
    }

    /// For how long it had to wait for processor time because of its limit.
    pub fn throttled(&self) -> Option<Duration> {
        match self.version {
            Version::V1 => self.keyed("cpu.stat", "throttled_time").map(Duration::from_nanos),
            Version::V2 => self.keyed("cpu.stat", "throttled_usec").map(Duration::from_micros),
        }
    }

    fn number(&self, file: &str) -> Option<u64> {
        fs::read_to_string(self.dir.join(file)).ok()?.trim().parse().ok()
    }

    fn keyed(&self, file: &str, key: &str) -> Option<u64> {
        let text = fs::read_to_string(self.dir.join(file)).ok()?;
        let line = text.lines().filter_map(|line| line.split_once(' ')).find(|(name, _)| *name == key)?;
        line.1.trim().parse().ok()
    }
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn pids(dir: &Path) -> Vec<i32> {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect()
}

/// A group and all below it, parents first.
fn below(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    let mut at = 0;
    while let Some(dir) = found.get(at) {
        let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
        let dirs: Vec<PathBuf> = entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect();
        found.extend(dirs);
        at += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(home: &Path, version: Version) -> Group {
        let dir = home.join("daemonctl-1/app-web");
        fs::create_dir_all(&dir).unwrap();
        Group { version, base: home.to_owned(), dir, evacuate: None, limits: vec![Limit::Memory(64 << 20)] }
    }

    #[test]
    fn a_limit_is_written_as_each_version_wants_it() {
        let text = |limit: Limit, version| {
            let settings = limit.settings(version).into_iter();
            settings.map(|Setting { file, text, .. }| format!("{file}={text}")).collect::<Vec<_>>().join(" ")
        };
        for (limit, v1, v2) in [
            (
                Limit::Memory(4096),
                "memory.limit_in_bytes=4096 memory.memsw.limit_in_bytes=4096",
                "memory.max=4096 memory.swap.max=0 memory.oom.group=1",
            ),
            (Limit::Cpu(20), "cpu.cfs_period_us=100000 cpu.cfs_quota_us=20000", "cpu.max=20000 100000"),
            (Limit::Pids(5), "pids.max=5", "pids.max=5"),
        ] {
            assert_eq!((text(limit, Version::V1).as_str(), text(limit, Version::V2).as_str()), (v1, v2));
        }
    }

    #[test]
    fn counters_are_read_from_the_files_of_each_version() {
        let home = tempfile::tempdir().unwrap();
        let group = group(home.path(), Version::V1);
        let write = |name: &str, text: &str| fs::write(group.dir.join(name), text).unwrap();
        write("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
        write("memory.events", "low 0\noom 9\noom_kill 2\noom_group_kill 1\n");
        write("cpu.stat", "nr_throttled 5\nthrottled_time 2000\nthrottled_usec 7\n");
        write("memory.usage_in_bytes", "77\n");
        write("pids.current", "4\n");
        write("cgroup.procs", "12\n0\n7\n");
        let unified = Group { version: Version::V2, ..group.clone() };
        assert_eq!((group.oom_kills(), unified.oom_kills()), (3, 2));
        assert_eq!(group.throttled(), Some(Duration::from_micros(2)));
        assert_eq!(unified.throttled(), Some(Duration::from_micros(7)));
        assert_eq!((group.memory(), unified.memory()), (Some(77), None));
        assert_eq!((group.tasks(), group.memory_limit()), (Some(4), Some(64 << 20)));
        fs::create_dir(group.dir.join("own")).unwrap();
        fs::write(group.dir.join("own/cgroup.procs"), "30\n12\n").unwrap();
        assert_eq!(group.members(), [7, 12, 30]);
    }

    #[test]
    fn what_is_empty_goes_with_its_last_group() {
        let home = tempfile::tempdir().unwrap();
        let group = group(home.path(), Version::V2);
        let other = home.path().join("daemonctl-1/app-other");
        fs::create_dir_all(group.dir.join("own/deeper")).unwrap();
        fs::create_dir(&other).unwrap();
        assert_eq!(group.path().len(), 2);
        group.remove().unwrap();
        assert!(!group.exists() && other.is_dir());
        fs::remove_dir(&other).unwrap();
        group.remove().unwrap();
        assert!(!home.path().join("daemonctl-1").exists() && home.path().is_dir());
    }
}
