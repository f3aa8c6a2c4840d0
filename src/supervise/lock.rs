//! Locks by flock(2): they end with their last holder, however that one ends.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Takes the lock of an app: on the app's directory itself, so that it holds whatever the supervisor, the user, the
/// runtime directory or the spelling of the path. Nothing means that another supervisor has it.
pub fn app(dir: &Path) -> io::Result<Option<OwnedFd>> {
    try_lock(File::open(dir)?.into())
}

/// Takes the lock on a file of the runtime directory, if nobody has it.
pub fn file(path: &Path) -> io::Result<Option<OwnedFd>> {
    try_lock(open(path)?)
}

/// Takes the lock on a file of the runtime directory, waiting for whoever has it.
pub fn wait_for_file(path: &Path) -> io::Result<OwnedFd> {
    let fd = open(path)?;
    loop {
        match flock(&fd, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(fd),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Gives a lock up for every holder of this descriptor, the keeper among them: closing our copy alone would leave it
/// locked until the keeper has closed its own.
pub fn unlock(lock: &OwnedFd) {
    let _ = flock(lock, FlockOperation::Unlock);
}

/// The device and inode of every file that anybody has a lock on (proc_locks(5)). To look is not to touch: a lock that is
/// tried for a moment would be in somebody's way.
pub fn held() -> HashSet<(u32, u32, u64)> {
    let table = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let file = |line: &str| {
        let mut parts = line.split_ascii_whitespace().find(|word| word.matches(':').count() == 2)?.split(':');
        let major = u32::from_str_radix(parts.next()?, 16).ok()?;
        let minor = u32::from_str_radix(parts.next()?, 16).ok()?;
        Some((major, minor, parts.next()?.parse().ok()?))
    };
    table.lines().filter(|line| line.contains("FLOCK")).filter_map(file).collect()
}

/// Whether the app with this directory is among the locked.
pub fn is_held(dir: &Path, held: &HashSet<(u32, u32, u64)>) -> bool {
    let Ok(meta) = dir.metadata() else { return false };
    let device = meta.dev();
    held.contains(&(rustix::fs::major(device), rustix::fs::minor(device), meta.ino()))
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    Ok(OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?.into())
}

fn try_lock(fd: OwnedFd) -> io::Result<Option<OwnedFd>> {
    match flock(&fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(fd)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_locked_under_every_spelling_of_its_path() {
        let home = tempfile::tempdir().unwrap();
        let (dir, link) = (home.path().join("web"), home.path().join("link"));
        std::fs::create_dir(&dir).unwrap();
        std::os::unix::fs::symlink(&dir, &link).unwrap();
        let held = app(&dir).unwrap();
        assert!(held.is_some());
        assert!(app(&link).unwrap().is_none());
        assert!(is_held(&dir, &super::held()) && !is_held(home.path(), &super::held()));
        let copy = held.as_ref().unwrap().try_clone().unwrap();
        unlock(&copy);
        assert!(app(&link).unwrap().is_some());
    }
}
