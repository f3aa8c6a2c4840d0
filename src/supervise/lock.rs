//! Locks by flock(2): they end with their last holder, however that one ends.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// How often the table of locks is read at most.
const READINGS: u32 = 40;

/// How often in a row a long table must bring nothing new. One reading in ten misses some lock where others come and go.
const SAME: u32 = 6;

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

/// A file, by the major and minor number of its device and its inode.
type FileId = (u32, u32, u64);

/// Every file that anybody has a lock on (proc_locks(5)), and the pid of who has taken it; 0 where that process is gone, and
/// others hold the lock that it has handed on. To look is not to touch: a lock that is tried for a moment would be in
/// somebody's way.
///
/// What a single read(2) gives is of one moment, a page at the most. Between two of them locks may go, so that those that
/// follow move up and one is passed over; so a long table is read until that brings no more.
pub fn held() -> HashMap<FileId, i32> {
    let mut held = HashMap::new();
    let mut same = 0;
    for _ in 0..READINGS {
        let (table, pieces) = table().unwrap_or_default();
        let before = held.len();
        held.extend(table.lines().filter_map(locked_file));
        same = if held.len() == before { same + 1 } else { 0 };
        if pieces < 2 || same == SAME {
            break;
        }
    }
    held
}

/// The table of locks, and in how many pieces it came.
fn table() -> io::Result<(String, usize)> {
    let mut file = File::open("/proc/locks")?;
    let (mut table, mut pieces) = (Vec::new(), 0);
    let mut piece = [0; 8 << 10];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok((String::from_utf8_lossy(&table).into_owned(), pieces)),
            Ok(length) => table.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        pieces += 1;
    }
}

/// The file that a line of the table is about, and the pid: `1: FLOCK  ADVISORY  WRITE 812 fe:00:1234 0 EOF`. Lines about
/// those that wait for a lock have an arrow in the second place.
fn locked_file(line: &str) -> Option<(FileId, i32)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    words.next().filter(|kind| *kind == "FLOCK")?;
    let (pid, file) = (words.nth(2)?.parse().ok()?, words.next()?);
    let mut parts = file.split(':');
    let major = u32::from_str_radix(parts.next()?, 16).ok()?;
    let minor = u32::from_str_radix(parts.next()?, 16).ok()?;
    Some(((major, minor, parts.next()?.parse().ok()?), pid))
}

/// Who has the lock of the app with this directory, if it is among the locked.
pub fn holder(dir: &Path, held: &HashMap<FileId, i32>) -> Option<i32> {
    held.get(&id(dir)?).copied()
}

/// Whether a process has the lock of the app with this directory, by what /proc tells of its descriptors
/// (proc_pid_fdinfo(5)); nothing where this user may not see them.
///
/// The table of locks tells who has taken a lock, and goes on with that pid when its holder has handed the lock on and
/// ended: by now, the pid may be that of an innocent.
pub fn has(pid: i32, dir: &Path) -> Option<bool> {
    let wanted = id(dir)?;
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).ok()? {
        match fs::read_to_string(entry.ok()?.path()) {
            Ok(text) => {
                let mut locks = text.lines().filter_map(|line| locked_file(line.strip_prefix("lock:")?));
                if locks.any(|(file, _)| file == wanted) {
                    return Some(true);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return None,
            Err(_) => {} // It has been closed meanwhile.
        }
    }
    Some(false)
}

fn id(dir: &Path) -> Option<FileId> {
    let meta = dir.metadata().ok()?;
    Some((rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()), meta.ino()))
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
        let holder = |dir| super::holder(dir, &super::held());
        assert_eq!((holder(&dir), holder(home.path())), (Some(std::process::id() as i32), None));
        let own = std::process::id() as i32;
        assert_eq!((has(own, &dir), has(own, home.path()), has(i32::MAX, &dir)), (Some(true), Some(false), None));
        let copy = held.as_ref().unwrap().try_clone().unwrap();
        unlock(&copy);
        assert_eq!(has(own, &dir), Some(false));
        assert!(app(&link).unwrap().is_some());
    }

    #[test]
    fn no_lock_is_overlooked_while_others_come_and_go() {
        let home = tempfile::tempdir().unwrap();
        let file = |name: String| file(&home.path().join(name)).unwrap().unwrap();
        // More than the kernel tells at once, and behind those that come and go.
        let fleeting: Vec<_> = (0..50).map(|number| file(format!("fleeting{number}"))).collect();
        let kept: Vec<_> = (0..200).map(|number| file(format!("kept{number}"))).collect();
        let inodes: Vec<u64> = kept.iter().map(|lock| rustix::fs::fstat(lock).unwrap().st_ino).collect();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    fleeting.iter().for_each(unlock);
                    fleeting.iter().for_each(|lock| flock(lock, FlockOperation::LockExclusive).unwrap());
                }
            });
            let overlooked = (0..200).filter(|_| {
                let seen: std::collections::HashSet<u64> = held().keys().map(|(_, _, inode)| *inode).collect();
                !inodes.iter().all(|inode| seen.contains(inode))
            });
            let overlooked = overlooked.count();
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(overlooked, 0);
        });
    }
}
