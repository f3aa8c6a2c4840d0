//! Control groups as they can be seen from outside.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

/// The groups below those of this process that have one of these names, with all below them, parents first.
pub(crate) fn called(names: &[String]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (_, own) in own() {
        walk(&own, &mut |dir| {
            let is_named = |last: &OsStr| names.iter().any(|name| last == name.as_str());
            let is = dir.ancestors().any(|above| above.file_name().is_some_and(is_named));
            if is {
                found.push(dir.to_owned());
            }
        });
    }
    found
}

/// The groups of this process: the controllers of a hierarchy of version 1, or nothing, and the directory.
pub(crate) fn own() -> Vec<(String, PathBuf)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (mounts, paths) = (read("/proc/self/mountinfo"), read("/proc/self/cgroup"));
    let own = paths.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let mount = mounts.lines().find(|line| match controllers {
            "" => line.contains(" - cgroup2 "),
            controllers => line.contains(" - cgroup ") && line.ends_with(&format!(",{controllers}")),
        })?;
        let point = mount.split(' ').nth(4)?;
        Some((controllers.to_owned(), Path::new(point).join(path.trim_start_matches('/'))))
    });
    own.collect()
}

/// The hierarchy of version 1 with this controller, if this host has it.
pub(crate) fn version_1(controller: &str) -> Option<PathBuf> {
    own().into_iter().find(|(controllers, _)| controllers.split(',').any(|name| name == controller)).map(|(_, dir)| dir)
}

/// Removes groups that were made for a story, and kills what the story has left in them.
pub(crate) fn remove(groups: &[PathBuf]) {
    for group in groups.iter().rev() {
        let _ = super::wait::poll(Duration::from_secs(5), || match fs::remove_dir(group) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
                members.lines().filter_map(|pid| pid.parse().ok()).for_each(|pid| super::kill(pid, Signal::SIGKILL));
                Err(error.to_string())
            }
            _ => Ok(()),
        });
    }
}

fn walk(dir: &Path, visit: &mut dyn FnMut(&Path)) {
    visit(dir);
    for entry in fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok) {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit);
        }
    }
}
