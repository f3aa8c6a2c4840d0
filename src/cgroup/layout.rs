//! Where the caller's own control groups are: from text to paths.

use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What a limit is held by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Controller {
    /// Memory.
    Memory,
    /// Processor time.
    Cpu,
    /// The number of processes and threads.
    Pids,
}

impl Controller {
    /// Its name in the kernel.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }
}

/// The two kinds of control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Version {
    /// A hierarchy for each controller, or a few of them.
    V1,
    /// One hierarchy for all.
    V2,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "cgroup v1",
            Self::V2 => "cgroup v2",
        })
    }
}

/// A hierarchy that is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Which kind it is.
    pub version: Version,
    /// Its options, among which are the controllers of version 1.
    pub options: Vec<String>,
    /// The group that is mounted: in a container this may be one below the root.
    pub root: PathBuf,
    /// Where.
    pub point: PathBuf,
    /// Whether nothing can be changed through it.
    pub read_only: bool,
}

/// The hierarchies in a text of /proc/self/mountinfo (proc_pid_mountinfo(5)).
pub fn mounts(mountinfo: &str) -> Vec<Mount> {
    mountinfo.lines().filter_map(mount).collect()
}

fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    let version = match after.next()? {
        "cgroup" => Version::V1,
        "cgroup2" => Version::V2,
        _ => return None,
    };
    let superblock = after.nth(1).unwrap_or_default();
    let fields: Vec<&str> = before.split(' ').collect();
    let flag = |options: &str| options.split(',').any(|option| option == "ro");
    Some(Mount {
        version,
        options: superblock.split(',').map(str::to_owned).collect(),
        root: unescaped(fields.get(3)?),
        point: unescaped(fields.get(4)?),
        read_only: flag(fields.get(5)?) || flag(superblock),
    })
}

/// A path without the escapes for space, tab, line end and backslash: `\040`.
fn unescaped(text: &str) -> PathBuf {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let code = bytes.get(at + 1..at + 4).filter(|_| *byte == b'\\');
        let octal = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 8).ok());
        out.push(octal.unwrap_or(*byte));
        at += if octal.is_some() { 4 } else { 1 };
    }
    std::ffi::OsString::from_vec(out).into()
}

/// The path of the caller's group in the hierarchy of a controller, or in that of version 2, by a text of
/// /proc/self/cgroup (cgroups(7)).
pub fn own_path(cgroup: &str, controller: Option<Controller>) -> Option<PathBuf> {
    cgroup.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is = match controller {
            Some(controller) => controllers.split(',').any(|name| name == controller.as_str()),
            None => id == "0" && controllers.is_empty(),
        };
        is.then(|| PathBuf::from(path))
    })
}

/// The directory of a group with this path, if it lies in what is mounted.
pub fn directory(mount: &Mount, path: &Path) -> Option<PathBuf> {
    let below = path.strip_prefix(&mount.root).ok()?;
    // A group outside of the caller's cgroup namespace is shown as `/../other`.
    let plain = below.components().all(|component| matches!(component, Component::Normal(_)));
    plain.then(|| if below.as_os_str().is_empty() { mount.point.clone() } else { mount.point.join(below) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:4 master:1 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory ro,relatime - cgroup cgroup rw,memory
41 31 0:38 /docker/a\\040b /sys/fs/cgroup/uni\\134fied rw,relatime - cgroup2 cgroup2 rw,nsdelegate
nonsense
42 31 0:39 / /proc rw - proc proc rw
";

    #[test]
    fn hierarchies_are_found_among_mounts() {
        let found = mounts(HYBRID);
        assert_eq!(found.len(), 3);
        assert!(found[0].options.iter().any(|option| option == "cpuacct") && !found[0].read_only);
        assert!(found[1].read_only);
        assert_eq!(found[2].version, Version::V2);
        assert_eq!(
            (found[2].root.to_str(), found[2].point.to_str()),
            (Some("/docker/a b"), Some("/sys/fs/cgroup/uni\\fied"))
        );
    }

    #[test]
    fn the_own_group_is_named_for_each_hierarchy() {
        let text = "9:name=systemd:/\n4:memory:/a:b\n1:cpu,cpuacct:/\n0::/user.slice\n";
        let path = |controller| own_path(text, controller);
        assert_eq!(path(Some(Controller::Memory)), Some("/a:b".into()));
        assert_eq!(path(Some(Controller::Cpu)), Some("/".into()));
        assert_eq!(path(Some(Controller::Pids)), None);
        assert_eq!(path(None), Some("/user.slice".into()));
    }

    #[test]
    fn a_group_outside_of_what_is_mounted_has_no_directory() {
        let mount = &mounts(HYBRID)[2];
        let of = |path: &str| directory(mount, Path::new(path));
        assert_eq!(of("/docker/a b"), Some("/sys/fs/cgroup/uni\\fied".into()));
        assert_eq!(of("/docker/a b/c"), Some("/sys/fs/cgroup/uni\\fied/c".into()));
        assert_eq!(of("/"), None);
        assert_eq!(of("/docker/other"), None);
        assert_eq!(of("/docker/a b/../x"), None);
    }
}
