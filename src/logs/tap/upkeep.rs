//! What becomes of a log's archives: they are removed when they are too old or too many, and packed where that is asked
//! for. Both happen on threads that live no longer than the work takes: nobody's output has to wait for it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::packer::PACKER;
use crate::app::Shown;
use crate::logs::archives::{Archive, Form};
use crate::logs::body::identity;
use crate::logs::rotate::{self, Rules};

/// How soon is looked again where something could not be done yet.
const SOON: Duration = Duration::from_secs(1);

/// How soon is looked again whether what was to be packed, or removed, is.
const LATER: Duration = Duration::from_secs(600);

/// The longest sleep until an archive is too old: the clock may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// How long ago, in seconds, an archive must have been made to be packed: whoever wrote to it, or was about to read it,
/// is done with it by then.
const SETTLED: i64 = 1;

/// The archives of one log.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// When is looked again.
    again: Option<Instant>,
    /// Removes.
    sweeper: Option<JoinHandle<io::Result<()>>>,
    /// Why something could not be removed the last time, and whether that has been told.
    failed: Option<String>,
    told: bool,
}

impl Upkeep {
    /// Looks what there is to do, and has it done; `log` is without links, `open` is the file that is written to, whatever
    /// its name.
    pub(super) fn look(&mut self, log: &Path, rules: &Rules, open: Option<(u64, u64)>) {
        self.again = None;
        if !is_busy(self.sweeper.as_ref()) {
            self.wait();
        }
        if !rules.compress {
            PACKER.ask(log, Vec::new()); // What still waits from before is left as it is.
        }
        if !rules.prunes() && !rules.compress {
            self.failed = None; // Nothing has to go any more.
            return;
        }
        // Whose index it is that a rotation has left behind, cannot be told of an archive that is packed.
        if rules.compress
            && let Err(error) = rotate::reunite(log, open.or_else(|| identity(log)).map_or(0, |(_, inode)| inode))
        {
            tracing::warn!(path = %log.shown(), %error, "cannot bring an index to its archive");
        }
        let excess = match rotate::excess(log, rules) {
            Ok(excess) => excess,
            Err(error) => return tracing::warn!(path = %log.shown(), %error, "cannot list archives"),
        };
        let mut next = excess.next;
        let mut within = |after: Duration| next = Some(next.map_or(after, |next| next.min(after)));
        if is_busy(self.sweeper.as_ref()) {
            within(SOON);
        } else if !excess.files.is_empty() {
            self.sweeper = spawn(log, move || rotate::remove(&excess.files));
            // What came of it is asked then; and what cannot be removed now may be later.
            within(if self.failed.is_some() { LATER } else { SOON });
        } else {
            self.failed = None; // Somebody else has removed it.
        }
        if rules.compress {
            let (ready, waits) = to_be_packed(&excess.kept, open, now());
            if waits {
                within(SOON);
            }
            if !ready.is_empty() {
                within(LATER); // For want of room, for instance, some may still be as they are.
            }
            PACKER.ask(log, ready);
        }
        let sleep = next.map(|after| after.clamp(Duration::from_millis(100), LONGEST_SLEEP));
        self.again = sleep.map(|after| Instant::now() + after);
    }

    /// In how long there may be something to do.
    pub(super) fn chore(&self) -> Option<Duration> {
        self.again.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Waits until what was to go is gone.
    pub(super) fn wait(&mut self) {
        if let Some(Ok(removed)) = self.sweeper.take().map(JoinHandle::join) {
            self.failed = removed.err().map(|error| error.to_string());
        }
    }

    /// Why archives cannot be removed, where that has been told.
    pub(super) fn trouble(&self) -> Option<String> {
        self.failed.clone().filter(|_| self.told)
    }

    /// Whether archives have begun not to be removable, and why, or have ceased to be so, since this was asked last.
    pub(super) fn news(&mut self) -> Option<Result<(), String>> {
        if self.failed.is_some() == self.told {
            return None;
        }
        self.told = self.failed.is_some();
        Some(self.failed.clone().map_or(Ok(()), Err))
    }
}

fn is_busy<T>(thread: Option<&JoinHandle<T>>) -> bool {
    thread.is_some_and(|thread| !thread.is_finished())
}

fn spawn<T: Send + 'static>(log: &Path, work: impl FnOnce() -> T + Send + 'static) -> Option<JoinHandle<T>> {
    let spawned = std::thread::Builder::new().name("archives".to_owned()).spawn(work);
    // Tried again with the next rotation.
    spawned.inspect_err(|error| tracing::warn!(path = %log.shown(), %error, "cannot care for archives")).ok()
}

/// Those that can be packed, the newest first, since they stay the longest; and whether others will be soon. `now` is in
/// seconds since the epoch.
fn to_be_packed(archives: &[Archive], open: Option<(u64, u64)>, now: i64) -> (Vec<PathBuf>, bool) {
    let plain = archives.iter().rev().filter(|archive| archive.form == Form::Plain).map(|archive| &archive.plain);
    let closed = plain.filter(|plain| open.is_none() || identity(plain) != open);
    let (ready, young): (Vec<_>, Vec<_>) = closed.partition(|plain| {
        // A rename counts as a change. One that is to come is of a clock that was set back.
        plain.symlink_metadata().is_ok_and(|meta| now.abs_diff(meta.ctime()) > SETTLED.unsigned_abs())
    });
    (ready.into_iter().cloned().collect(), !young.is_empty())
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{archives, times};

    #[test]
    fn what_is_open_or_has_just_been_made_is_not_packed() {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("web.log");
        let at = |second: u32| home.path().join(format!("web.log.2026-01-31-1200{second:02}"));
        for second in 1..4 {
            std::fs::write(at(second), "").unwrap();
        }
        std::fs::write(home.path().join("web.log.2026-01-31-120004.gz"), "").unwrap();
        let ready =
            |open: Option<&Path>, now| to_be_packed(&archives::list(&log).unwrap().all, open.and_then(identity), now);
        let (nothing, all) = (Vec::new(), [3, 2, 1].map(at).to_vec());
        let made = at(3).symlink_metadata().unwrap().ctime();
        assert_eq!(ready(None, made), (nothing.clone(), true), "they wait");
        assert_eq!(ready(None, made + 10), (all.clone(), false));
        assert_eq!(ready(None, made - 10), (all, false), "the clock was set back");
        assert_eq!(ready(Some(&at(2)), made + 10), ([3, 1].map(at).to_vec(), false));
        std::fs::remove_file(at(1)).unwrap();
        std::fs::remove_file(at(3)).unwrap();
        assert_eq!(ready(Some(&at(2)), made), (nothing, false), "nobody waits for what is open");
    }

    #[test]
    fn what_could_not_be_packed_is_tried_again_some_time() {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("web.log");
        let archive = home.path().join("web.log.2026-01-31-120000");
        std::fs::write(&archive, "one\n").unwrap();
        std::fs::hard_link(&archive, home.path().join("elsewhere")).unwrap();
        let rules = Rules { compress: true, ..Rules::default() };
        let mut upkeep = Upkeep::default();
        let deadline = Instant::now() + Duration::from_secs(30);
        let after = loop {
            upkeep.look(&log, &rules, None);
            match upkeep.chore().unwrap() {
                soon if soon <= SOON => assert!(Instant::now() < deadline, "it has not settled"),
                later => break later,
            }
        };
        assert!(after <= LATER, "{after:?}");
        std::fs::remove_file(&archive).unwrap();
        upkeep.look(&log, &rules, None);
        assert_eq!(upkeep.chore(), None, "there is nothing left to do");
    }

    #[test]
    fn what_somebody_else_has_removed_is_no_trouble_any_more() {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("web.log");
        let keeps = Rules { max_count: Some(1), ..Rules::default() };
        for rules in [keeps, Rules::default()] {
            let mut upkeep = Upkeep { failed: Some("it is immutable".to_owned()), ..Upkeep::default() };
            assert_eq!(upkeep.news(), Some(Err("it is immutable".to_owned())));
            upkeep.look(&log, &rules, None);
            assert_eq!(upkeep.news(), Some(Ok(())));
            assert_eq!(upkeep.news(), None, "it is told once");
        }
    }

    #[test]
    fn an_index_that_was_left_behind_is_brought_to_its_archive_before_that_is_packed() {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("web.log");
        let archive = home.path().join("web.log.2026-01-31-120000");
        std::fs::write(&log, "one\n").unwrap();
        let inode = log.metadata().unwrap().ino();
        times::Writer::open(&log, inode, 0).unwrap().note(0, 5).unwrap();
        std::fs::rename(&log, &archive).unwrap(); // Killed before the index followed.
        let rules = Rules { compress: true, ..Rules::default() };
        Upkeep::default().look(&log, &rules, None);
        assert!(!times::beside(&log).exists() && times::beside(&archive).exists());
    }
}
