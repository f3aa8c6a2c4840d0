//! Carrying out a rotation: the log becomes an archive, and archives that are not to be kept go.
//!
//! A rotation is one rename; the next file is made when there is something to write to it. Whoever is killed in between
//! has lost nothing: a log without a file is begun anew, and an index that has not followed its log is brought after it
//! ([`reunite`]). A rename never replaces anything, and what is not called like an archive is never touched.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use daemonctl_actors::rotation::Limit;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};

use super::archives::{self, Archive, Keep, Stamp};
use super::{body, times};
use crate::app::{Shown, reason};

/// When a log is rotated, and how long its archives are kept. Nothing set: never, and for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// The greatest size of a file.
    pub max_size: Option<u64>,
    /// The greatest age of an archive.
    pub max_age: Option<Duration>,
    /// The greatest number of archives.
    pub max_count: Option<u64>,
    /// Whether archives are packed; those of events never are.
    #[serde(default)]
    pub compress: bool,
}

impl Rules {
    /// The limit of a file.
    pub fn limit(&self) -> Option<Limit> {
        self.max_size.map(Limit::new)
    }

    fn keep(&self) -> Keep {
        Keep { count: self.max_count, age: self.max_age }
    }

    /// Whether archives are removed at all.
    pub fn prunes(&self) -> bool {
        self.max_age.is_some() || self.max_count.is_some()
    }
}

/// Makes an archive of a log. The name of the log is free afterwards.
pub fn rotate(log: &Path) -> io::Result<()> {
    let mut next = Stamp::next(now(), archives::list(log)?.newest());
    let archive = loop {
        let Some(stamp) = next else {
            return Err(io::Error::other("an archive has the last name that there is: remove it"));
        };
        let archive = archives::path(log, stamp);
        match rename(log, &archive) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => next = stamp.following(),
            done => break done.map(|()| archive)?,
        }
    };
    // The lines are safe. Their times are worth having, not worth stopping for.
    if let Err(error) = gone(std::fs::rename(times::beside(log), times::beside(&archive))) {
        tracing::warn!(log = %log.shown(), %error, "cannot rotate the index of a log");
    }
    Ok(())
}

/// Renames where nothing is, also on a file system that cannot promise it.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => match to.symlink_metadata() {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => std::fs::rename(from, to),
        },
        done => Ok(done?),
    }
}

/// Brings an index that a rotation has left behind to the archive that it belongs to.
pub fn reunite(log: &Path, inode: u64) -> io::Result<()> {
    let index = times::beside(log);
    let Some(owner) = body::open(&index).and_then(|file| times::owner(&file)).ok().flatten() else { return Ok(()) };
    if owner == inode {
        return Ok(());
    }
    let archived = archives::list(log)?.all.into_iter().rev();
    let is_owner = |archive: &Archive| archive.path().metadata().is_ok_and(|meta| meta.ino() == owner);
    match archived.take(3).find(is_owner) {
        Some(archive) => rename(&index, &times::beside(&archive.plain)),
        None => Ok(()),
    }
}

/// What is to be removed, and when there will be more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excess {
    /// The files, those together that go together, as [`remove`] takes them.
    pub files: Vec<Vec<PathBuf>>,
    /// The archives that stay, oldest first.
    pub kept: Vec<Archive>,
    /// After how long the next of them will have to go.
    pub next: Option<Duration>,
}

/// Finds the archives of a log that are not to be kept.
pub fn excess(log: &Path, rules: &Rules) -> io::Result<Excess> {
    let mut found = archives::list(log)?;
    let keep = rules.keep();
    let excess = keep.excess(&found.all, now()).len();
    let kept = found.all.split_off(excess);
    let orphans = found.orphans.iter().map(|stamp| vec![times::beside(&archives::path(log, *stamp))]);
    let files = found.all.iter().map(files_of).chain(orphans).collect();
    let next = keep.next_expiry(&kept, now()).map(Duration::from_secs);
    Ok(Excess { files, kept, next })
}

/// Removes files. It can take long: pages that are on their way to the disk are waited for. One that cannot be removed
/// (chattr(1) +i, for instance) keeps those behind it that it goes together with, and is no reason to leave the others; the
/// error is about the first of those.
pub fn remove(files: &[Vec<PathBuf>]) -> io::Result<()> {
    files.iter().map(|together| remove_together(together)).fold(Ok(()), io::Result::and)
}

/// Removes files in this order, up to the first that cannot be removed.
fn remove_together(files: &[PathBuf]) -> io::Result<()> {
    files.iter().try_for_each(|file| {
        let why = |error: &io::Error| format!("{}: {}", file.shown(), reason(error));
        gone(std::fs::remove_file(file)).map_err(|error| io::Error::new(error.kind(), why(&error)))
    })
}

/// Makes room on a full disk: removes the oldest archive of a log that can be removed. Returns its size in bytes, or
/// nothing if there is none.
pub fn sacrifice(log: &Path) -> io::Result<Option<u64>> {
    for oldest in archives::list(log)?.all {
        let size = oldest.path().symlink_metadata().map_or(0, |meta| meta.len());
        if remove_together(&files_of(&oldest)).is_ok() {
            return Ok(Some(size));
        }
    }
    Ok(None)
}

/// An archive with its index. That goes last: an archive that stays keeps its times, and an index that is left alone, by who
/// is killed in between, is found as an orphan.
fn files_of(archive: &Archive) -> Vec<PathBuf> {
    archive.paths().chain([times::beside(&archive.plain)]).collect()
}

/// What somebody else has removed is removed.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::times::{Index, Writer};

    fn log() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("web.log");
        (home, log)
    }

    fn inode(path: &Path) -> u64 {
        path.metadata().unwrap().ino()
    }

    #[test]
    fn rotations_within_a_second_keep_their_order_and_replace_nothing() {
        let (_home, log) = log();
        for number in 0..20 {
            std::fs::write(&log, number.to_string()).unwrap();
            rotate(&log).unwrap();
            assert!(!log.exists());
        }
        let archived = archives::list(&log).unwrap().all;
        let read: Vec<_> = archived.iter().map(|archive| std::fs::read_to_string(archive.path()).unwrap()).collect();
        assert_eq!(read, (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn an_index_follows_its_log_also_when_the_rotation_was_interrupted() {
        let (_home, log) = log();
        std::fs::write(&log, "one\n").unwrap();
        let one = inode(&log);
        Writer::open(&log, one, 0).unwrap().note(0, 5).unwrap();
        rotate(&log).unwrap();
        let archive = archives::list(&log).unwrap().all.remove(0).path();
        assert_eq!(Index::open(&archive, one, 4).unwrap().unwrap().at(0).unwrap().time, Some(5));

        // Killed between the two renames.
        std::fs::rename(times::beside(&archive), times::beside(&log)).unwrap();
        std::fs::write(&log, "two\n").unwrap();
        reunite(&log, inode(&log)).unwrap();
        assert!(!times::beside(&log).exists());
        assert_eq!(Index::open(&archive, one, 4).unwrap().unwrap().at(0).unwrap().time, Some(5));
        // An index that is where it should be stays there.
        Writer::open(&log, inode(&log), 0).unwrap();
        reunite(&log, inode(&log)).unwrap();
        assert!(times::beside(&log).exists());
    }

    #[test]
    fn pruning_spares_whatever_is_not_an_archive() {
        let (home, log) = log();
        let keep = ["web.log", "web.log.keep", "web.log.1", "web.log.2020-01-01", "web.err.2020-01-01-000000", "x"];
        let prune_away =
            ["web.log.2020-01-01-000000", "web.log.2020-01-01-000000.times", "web.log.2020-01-01-000000.1.gz"];
        for name in keep.iter().chain(&prune_away).chain(&["web.log.2019-01-01-000000.times"]) {
            std::fs::write(home.path().join(name), "").unwrap();
        }
        std::fs::create_dir(home.path().join("web.log.2021-01-01-000000")).unwrap();
        let rules = Rules { max_count: Some(0), ..Rules::default() };
        let found = excess(&log, &rules).unwrap();
        assert_eq!(found.next, None);
        remove(&found.files).unwrap();
        remove(&found.files).expect("what is gone is gone");
        for name in keep {
            assert!(home.path().join(name).exists(), "{name}");
        }
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), keep.len() + 1);
    }

    #[test]
    fn an_archive_with_the_last_name_ends_the_search_for_one() {
        let (home, log) = log();
        std::fs::write(&log, "").unwrap();
        std::fs::write(home.path().join("web.log.9999-12-31-235959.4294967295"), "").unwrap();
        assert!(rotate(&log).unwrap_err().to_string().contains("remove it"));
        assert!(log.exists());
    }

    #[test]
    fn what_cannot_be_removed_keeps_what_belongs_to_it_and_nothing_else() {
        let (home, log) = log();
        let (stays, index, goes) =
            (home.path().join("stays"), home.path().join("stays.times"), home.path().join("goes"));
        std::fs::create_dir(&stays).unwrap();
        std::fs::write(&index, "").unwrap();
        std::fs::write(&goes, "").unwrap();
        let told = remove(&[vec![stays.clone(), index.clone()], vec![goes.clone()]]).unwrap_err().to_string();
        assert!(told.starts_with(&format!("{}: ", stays.display())), "{told}");
        assert!(stays.exists() && index.exists() && !goes.exists());
        assert!(archives::list(&log).unwrap().all.is_empty());
    }

    #[test]
    fn an_archive_goes_before_its_index_and_an_index_without_one_goes_as_well() {
        let (_home, log) = log();
        let archive = archives::path(&log, Stamp { seconds: 5, number: 0 });
        let index = times::beside(&archive);
        std::fs::write(&archive, "").unwrap();
        std::fs::write(&index, "").unwrap();
        let rules = Rules { max_count: Some(0), ..Rules::default() };
        assert_eq!(excess(&log, &rules).unwrap().files, [vec![archive.clone(), index.clone()]]);
        std::fs::remove_file(&archive).unwrap(); // Killed in between.
        assert_eq!(excess(&log, &rules).unwrap().files, [vec![index]]);
    }

    #[test]
    fn it_is_known_when_the_next_archive_will_be_too_old() {
        let (_home, log) = log();
        std::fs::write(archives::path(&log, Stamp { seconds: now() - 10, number: 0 }), "").unwrap();
        std::fs::write(archives::path(&log, Stamp { seconds: now() - 100, number: 0 }), "").unwrap();
        let rules = Rules { max_age: Some(Duration::from_secs(60)), ..Rules::default() };
        let found = excess(&log, &rules).unwrap();
        remove(&found.files).unwrap();
        let next = found.next.unwrap().as_secs();
        assert!((45..=50).contains(&next), "{next}");
        assert_eq!(archives::list(&log).unwrap().all.len(), 1);
        std::fs::write(archives::list(&log).unwrap().all[0].path(), "line\n").unwrap();
        assert_eq!(sacrifice(&log).unwrap(), Some(5));
        assert_eq!(sacrifice(&log).unwrap(), None);
    }
}
