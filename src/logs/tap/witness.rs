//! When the bytes of a log came that another program writes: the index of such a log.
//!
//! What that program passes on tells that something has come, and its log has grown by then, or will have in a moment.
//! Each look notes from where to where. A program that keeps an index itself is left alone with it: a fresh file has one
//! before it has a line then, and one that was there before gets a record within [`DOUBT`].

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::is_full;
use crate::app::Shown;
use crate::logs::place;
use crate::logs::rotate::{self, Rules};
use crate::logs::times::{Index, Record, Writer};

/// How long it takes to see whether the other program keeps an index of a file that had one before, in microseconds.
const DOUBT: u64 = 50_000;

/// When the log is looked at once more: the program may pass on what it has not written yet.
const AGAIN: Duration = Duration::from_millis(100);

/// A log as it was at a look.
#[derive(Debug)]
pub struct Seen {
    path: PathBuf,
    /// The inode of the file; nothing where there was none.
    inode: Option<u64>,
    /// How long it was.
    size: u64,
}

impl Seen {
    /// The log at this path as it is now.
    pub fn now(path: &Path) -> Self {
        let (inode, size) = path.metadata().map_or((None, 0), |meta| (Some(meta.ino()), meta.len()));
        Self { path: path.to_owned(), inode, size }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Who looks at a log that another program writes.
#[derive(Debug)]
pub(super) struct Witness {
    /// The last look.
    seen: Seen,
    index: Keeper,
    /// Whether it is to be looked at once more.
    again: bool,
}

/// Who keeps the index.
#[derive(Debug)]
enum Keeper {
    /// That is not known yet; what is to be noted if nobody else does.
    Unknown(Vec<Record>),
    /// This supervisor; nothing while there is no file.
    This(Option<Writer>),
    /// The other program, or nobody, as it cannot be written.
    Another,
}

impl Witness {
    /// What was in the log then came before.
    pub(super) fn new(seen: Seen) -> Self {
        Self { seen, index: Keeper::Unknown(Vec::new()), again: false }
    }

    /// Something has come.
    pub(super) fn hear(&mut self) {
        self.look(now());
        self.again = true;
    }

    /// When it wants to look again.
    pub(super) fn chore(&self) -> Option<Duration> {
        self.again.then_some(AGAIN)
    }

    /// Looks again, and closes the index until something comes.
    pub(super) fn tidy(&mut self) {
        self.again = false;
        self.look(now());
        if let Keeper::This(Some(writer)) = &mut self.index {
            writer.rest();
        }
    }

    fn look(&mut self, now: u64) {
        match self.note(now) {
            Err(error) if !is_full(&error) && error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.seen.path.shown(), %error, "cannot write the times of a log");
                self.index = Keeper::Another;
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Notes that what the log has grown by since the last look came now.
    fn note(&mut self, now: u64) -> io::Result<()> {
        if let Keeper::Another = self.index {
            return Ok(());
        }
        let meta = self.seen.path.metadata()?;
        let (inode, length) = (meta.ino(), meta.len());
        if self.seen.inode != Some(inode) {
            self.seen.inode = Some(inode);
            self.begin_anew(0);
        } else if length < self.seen.size {
            self.begin_anew(length);
        }
        let from = std::mem::replace(&mut self.seen.size, length);
        if length <= from {
            return Ok(());
        }
        let log = place(&self.seen.path);
        let new = Record { offset: from, time: now };
        let records = match &mut self.index {
            Keeper::Another => return Ok(()),
            Keeper::This(kept) => {
                match kept.as_mut().map(|writer| writer.note(new.offset, new.time)) {
                    // It has been removed while it was closed, and begins anew here.
                    Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
                    Some(noted) => return noted,
                    None => {}
                }
                // The file before this one has become an archive: its index goes with it, and those of removed ones go.
                rotate::reunite(&log, inode)?;
                rotate::remove(&rotate::excess(&log, &Rules::default())?.files)?;
                return kept.insert(Writer::open(&log, inode, from)?).note(new.offset, new.time);
            }
            Keeper::Unknown(records) => records,
        };
        records.push(new);
        let first = records[0];
        match Index::open(&log, inode, length)? {
            None => {}
            Some(index) if !index.is_empty() && index.at(length - 1)?.from >= first.offset => {
                self.index = Keeper::Another;
                return Ok(());
            }
            Some(_) if first.offset > 0 && now.saturating_sub(first.time) < DOUBT => return Ok(()),
            Some(_) => {}
        }
        let records = std::mem::take(records);
        rotate::reunite(&log, inode)?;
        let mut writer = Writer::open(&log, inode, first.offset)?;
        records.iter().try_for_each(|record| writer.note(record.offset, record.time))?;
        self.index = Keeper::This(Some(writer));
        Ok(())
    }

    /// What was known of the file is not true of the one that is there now.
    fn begin_anew(&mut self, size: u64) {
        self.seen.size = size;
        match &mut self.index {
            Keeper::Unknown(records) => records.clear(),
            Keeper::This(writer) => *writer = None,
            Keeper::Another => {}
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.look(now());
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    u64::try_from(since).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;

    use super::*;
    use crate::logs::times;

    /// A log that another program writes, and who looks at it.
    struct Story {
        _home: tempfile::TempDir,
        log: PathBuf,
        witness: Witness,
    }

    impl Story {
        fn new(before: &str) -> Self {
            let home = tempfile::tempdir().unwrap();
            let log = home.path().join("web.log");
            if !before.is_empty() {
                fs::write(&log, before).unwrap();
            }
            let witness = Witness::new(Seen::now(&log));
            Self { _home: home, log, witness }
        }

        fn write(&self, text: &str) {
            File::options().append(true).create(true).open(&self.log).unwrap().write_all(text.as_bytes()).unwrap();
        }

        /// Where each time begins in a log, as its index tells.
        fn times(&self, log: &Path) -> Vec<(u64, u64)> {
            let meta = log.metadata().unwrap();
            let Some(index) = Index::open(log, meta.ino(), meta.len()).unwrap() else { return Vec::new() };
            let (mut at, mut found) = (0, Vec::new());
            while at < meta.len() {
                let stretch = index.at(at).unwrap();
                found.extend(stretch.time.map(|time| (stretch.from, time)));
                at = stretch.to;
            }
            found
        }
    }

    #[test]
    fn what_another_writes_has_its_times_through_a_rotation() {
        let mut story = Story::new("");
        story.witness.look(500_000);
        story.write("one\n");
        story.witness.look(1_000_000);
        story.witness.look(1_500_000);
        story.write("two\n");
        story.witness.look(2_000_000);
        let archive = story.log.with_file_name("web.log.2026-01-31-120000");
        fs::rename(&story.log, &archive).unwrap();
        story.write("three\n");
        story.witness.look(3_000_000);
        assert_eq!(story.times(&archive), [(0, 1_000_000), (4, 2_000_000)]);
        assert_eq!(story.times(&story.log), [(0, 3_000_000)]);
        // The index of an archive that the other program removes goes with the next rotation.
        fs::remove_file(&archive).unwrap();
        fs::rename(&story.log, archive.with_file_name("web.log.2026-01-31-120001")).unwrap();
        story.write("four\n");
        story.witness.look(4_000_000);
        assert!(!times::beside(&archive).exists());
    }

    #[test]
    fn a_log_that_has_an_index_already_is_gone_on_with_unless_another_goes_on_with_it() {
        for other in [false, true] {
            let mut story = Story::new("before\n");
            let inode = story.log.metadata().unwrap().ino();
            let mut writer = Writer::open(&story.log, inode, 0).unwrap();
            writer.note(0, 1).unwrap();
            for (at, time) in [(7, 1_000_000), (11, 1_020_000), (15, 1_100_000)] {
                if other && at > 7 {
                    writer.note(at, time - 100).unwrap();
                }
                story.write("more");
                story.witness.look(time);
            }
            let (ours, theirs) =
                ([(7, 1_000_000), (11, 1_020_000), (15, 1_100_000)], [(11, 1_019_900), (15, 1_099_900)]);
            let expected: &[(u64, u64)] = if other { &theirs } else { &ours };
            assert_eq!(story.times(&story.log), [&[(0, 1)], expected].concat(), "{other}");
        }
    }

    #[test]
    fn the_index_of_a_quiet_log_is_closed_and_may_be_removed() {
        let mut story = Story::new("");
        story.write("one\n");
        story.witness.hear();
        let index = times::beside(&story.log).canonicalize().unwrap();
        let is_open = || {
            let open = fs::read_dir("/proc/self/fd").unwrap();
            open.flatten().any(|fd| fd.path().read_link().is_ok_and(|target| target == index))
        };
        assert!(is_open());
        story.witness.tidy();
        assert!(!is_open());
        fs::remove_file(&index).unwrap();
        story.write("two\n");
        story.witness.look(2_000_000);
        assert_eq!(story.times(&story.log), [(4, 2_000_000)]);
    }

    #[test]
    fn a_fresh_log_with_an_index_is_anothers() {
        let mut story = Story::new("");
        story.write("one\n");
        let inode = story.log.metadata().unwrap().ino();
        Writer::open(&story.log, inode, 0).unwrap().note(0, 900_000).unwrap();
        story.witness.look(1_000_000);
        story.write("two\n");
        story.witness.look(2_000_000);
        assert_eq!(story.times(&story.log), [(0, 900_000)], "it is not ours to go on with");
    }
}
