//! The file with the command's pid.
//!
//! It is written beside its place and moved there, never through a link. Whoever has it open and locked is the parent of
//! a living command; where no parent stays, the process is known by its pid together with its start time, which an
//! extended attribute of the file holds. A file that another program has written has none: its process counts as alive
//! if it is older than the file. So neither a file that was left over nor a pid that means another process by now stands
//! in the way, and of two that start at once one is refused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use rustix::fs::{FlockOperation, XattrFlags, fgetxattr, flock, fsetxattr};

use super::super::report::{Report, StepName};
use super::super::sys::processes;
use super::kin::is_zombie;
use crate::app::Shown;
use crate::observe::processes::{boot_id, start_time};

/// The attribute with boot id and start time.
const NOTE: &str = "user.daemonrun";

/// How much later than the file a process may seem to have started, for clocks that are not the same.
const TOLERANCE: Duration = Duration::from_secs(2);

/// How often a place that somebody else changes meanwhile is looked at again.
const TRIES: u32 = 10;

/// A pid file that is ours. It is locked until this is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    path: PathBuf,
    file: File,
}

impl Claim {
    /// Writes the pid of a process that exists, unless the process of an earlier file is alive.
    pub(super) fn of(path: &Path, pid: i32) -> Result<Self, Report> {
        let what = || format!("write the pid file {}", path.shown());
        let failed = |error: io::Error| Report::new(StepName::Pidfile, what(), error);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(failed)?;
        }
        for _ in 0..TRIES {
            let earlier = match open(path).map_err(failed)? {
                Some(earlier) => match Earlier::look(path, earlier).map_err(failed)? {
                    Earlier::Alive(who) => {
                        let hint = "stop that one first, or name another file";
                        return Err(Report::new(StepName::Pidfile, what(), who).with_hint(hint));
                    }
                    Earlier::Foreign => {
                        let why = "there is a file that does not hold a pid";
                        return Err(
                            Report::new(StepName::Pidfile, what(), why).with_hint("move it away, or name another")
                        );
                    }
                    Earlier::Stale(lock) => Some(lock),
                    Earlier::Gone => continue,
                },
                None => None,
            };
            if let Some(file) = place(path, pid, earlier.is_some()).map_err(failed)? {
                return Ok(Self { path: path.to_owned(), file });
            }
        }
        Err(Report::new(StepName::Pidfile, what(), "another process keeps changing it"))
    }

    /// Removes the file, if it still is this one.
    pub(super) fn remove(self) {
        if is_at(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What an existing file means.
enum Earlier {
    /// Its process is alive: in words.
    Alive(String),
    /// It never was a pid file.
    Foreign,
    /// Nobody needs it. Locked, so that only one replaces it.
    Stale(File),
    /// It has been moved or replaced meanwhile.
    Gone,
}

impl Earlier {
    fn look(path: &Path, mut file: File) -> io::Result<Self> {
        let mut text = String::new();
        // A pid is short; what is long, or no text, is something else.
        let readable = (&mut file).take(64).read_to_string(&mut text).is_ok();
        let pid = text.trim().parse::<i32>().ok().filter(|pid| *pid > 0);
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let who = pid.map_or("another process".to_owned(), |pid| format!("process {pid}"));
                return Ok(Self::Alive(format!("{who} is running")));
            }
            locked => locked?,
        }
        if !is_at(&file, path) {
            return Ok(Self::Gone);
        }
        Ok(match pid {
            Some(pid) if is_alive(pid, &file)? => Self::Alive(format!("process {pid} is running")),
            None if !readable || !text.trim().is_empty() => Self::Foreign,
            _ => Self::Stale(file),
        })
    }
}

/// Opens what is there. A link is never followed, and nothing is waited for.
fn open(path: &Path) -> io::Result<Option<File>> {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    match opened {
        Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
        Ok(_) => Err(io::Error::other("what is there is no regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => Err(io::Error::other("it is a symlink")),
        Err(error) => Err(error),
    }
}

/// Puts a new file, complete and locked, in its place. Nothing if another was quicker.
fn place(path: &Path, pid: i32, replace: bool) -> io::Result<Option<File>> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{pid}.new"));
    let new = path.with_file_name(name);
    let placed = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&new)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        writeln!(file, "{pid}")?;
        if let (Ok(boot), Some(started)) = (boot_id(), start_time(pid)) {
            // Where the file system has no attributes, the age of the file has to do.
            let _ = fsetxattr(&file, NOTE, format!("{boot} {started}").as_bytes(), XattrFlags::empty());
        }
        match replace {
            true => fs::rename(&new, path).map(|()| Some(file)),
            false => match fs::hard_link(&new, path) {
                Ok(()) => Ok(Some(file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
                Err(error) => Err(error),
            },
        }
    })();
    if !replace || placed.is_err() {
        let _ = fs::remove_file(&new);
    }
    placed
}

/// Whether the process that a file names is the one that it was written for.
fn is_alive(pid: i32, file: &File) -> io::Result<bool> {
    let Some(started) = start_time(pid) else {
        // It may be hidden from us (hidepid in proc(5)), and alive.
        return Ok(matches!(processes::kill(pid, 0), Ok(()) | Err(Errno::EPERM)));
    };
    if is_zombie(pid) {
        return Ok(false);
    }
    let mut note = [0; 128];
    if let Ok(length) = fgetxattr(file, NOTE, &mut note[..]) {
        return Ok(note[..length] == *format!("{} {started}", boot_id()?).as_bytes());
    }
    let uptime: f64 =
        fs::read_to_string("/proc/uptime")?.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    let age = uptime - started as f64 / procfs::ticks_per_second() as f64;
    let begun = SystemTime::now() - Duration::from_secs_f64(age.max(0.0));
    Ok(begun <= file.metadata()?.modified()? + TOLERANCE)
}

/// Whether the file is the one at this path.
fn is_at(file: &File, path: &Path) -> bool {
    let same = |one: &fs::Metadata, other: &fs::Metadata| one.dev() == other.dev() && one.ino() == other.ino();
    matches!((file.metadata(), path.symlink_metadata()), (Ok(one), Ok(other)) if same(&one, &other))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::{Child, Command};

    use super::*;

    struct Sleeper(Child);

    impl Sleeper {
        fn new() -> Self {
            Self(Command::new("sleep").arg("1000").spawn().unwrap())
        }

        fn pid(&self) -> i32 {
            self.0.id() as i32
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// A child that another test starts meanwhile holds the lock that it inherits, until its exec.
    fn granted(path: &Path, pid: i32) -> Claim {
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        loop {
            match Claim::of(path, pid) {
                Ok(claim) => break claim,
                Err(error) if std::time::Instant::now() > deadline => panic!("{error}"),
                Err(_) => std::thread::yield_now(),
            }
        }
    }

    fn refusal(path: &Path, pid: i32) -> String {
        Claim::of(path, pid).unwrap_err().message()
    }

    #[test]
    fn a_living_process_keeps_its_file_and_a_dead_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/web.pid");
        let (first, second) = (Sleeper::new(), Sleeper::new());
        let claim = Claim::of(&path, first.pid()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", first.pid()));
        let running = format!("process {} is running", first.pid());
        assert!(refusal(&path, second.pid()).ends_with(&running), "locked");
        drop(claim);
        assert!(refusal(&path, second.pid()).ends_with(&running), "known by its start time");
        drop(first);
        let claim = granted(&path, second.pid());
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", second.pid()));
        claim.remove();
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0, "nothing is left beside it");
    }

    #[test]
    fn a_pid_that_means_another_process_does_not_block() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.pid");
        let (other, new) = (Sleeper::new(), Sleeper::new());
        // As a pid file of ours: the same pid, an earlier start.
        fs::write(&path, format!("{}\n", other.pid())).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let note = format!("{} 1", boot_id().unwrap());
        let has_attributes = fsetxattr(&file, NOTE, note.as_bytes(), XattrFlags::empty()).is_ok();
        if has_attributes {
            granted(&path, new.pid()).remove();
        }
        // As another program's: written long before the process started.
        fs::write(&path, format!("{}\n", other.pid())).unwrap();
        assert!(refusal(&path, new.pid()).contains("is running"), "it is older than the file");
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
        granted(&path, new.pid()).remove();
    }

    #[test]
    fn what_is_no_pid_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (target, path) = (dir.path().join("target"), dir.path().join("web.pid"));
        let own = std::process::id() as i32;
        symlink(&target, &path).unwrap();
        assert!(refusal(&path, own).contains("it is a symlink"));
        assert!(!target.exists());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "something else\n").unwrap();
        assert!(refusal(&path, own).contains("does not hold a pid"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "something else\n");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(refusal(&path, own).contains("no regular file"));
    }

    #[test]
    fn of_many_that_start_at_once_one_wins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.pid");
        fs::write(&path, "999999999\n").unwrap();
        let sleepers: Vec<Sleeper> = (0..8).map(|_| Sleeper::new()).collect();
        let pids: Vec<i32> = sleepers.iter().map(Sleeper::pid).collect();
        let claims: Vec<_> = std::thread::scope(|scope| {
            let begun: Vec<_> = pids.iter().map(|pid| scope.spawn(|| Claim::of(&path, *pid).ok())).collect();
            begun.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(claims.len(), 1);
    }
}
