//! When the bytes of a log were written: the index beside it, `FILE.times`.
//!
//! A log holds exactly what the app wrote, so the times are kept apart. The index begins with a magic word and the inode
//! of the log that it belongs to; then come records of an offset in the log and the microseconds since the epoch at
//! which the batch that begins there was taken from the pipe. All numbers are 64 bits, least byte first.
//!
//! The bytes from one record to the next have the time of the first of the two. Bytes before the first record have no
//! known time. Offsets strictly increase; times do as well, as long as nobody sets the clock back.
//!
//! An index is never trusted further than it goes: one with another inode belongs to another file, half a record at the
//! end is the work of a crash, and a record at or behind the end of the log tells of bytes that are not there.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What an index begins with.
const MAGIC: [u8; 8] = *b"dctlidx1";

/// The size of the header, and of a record.
const UNIT: u64 = 16;

/// A batch so soon after the last record shares its time.
const NEAR: u64 = 1000;

/// What ends the name of an index.
pub const SUFFIX: &str = ".times";

/// The name of the index of a log.
pub fn beside(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(SUFFIX);
    name.into()
}

/// Where a batch begins, and when it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The offset of its first byte in the log.
    pub offset: u64,
    /// Microseconds since the epoch.
    pub time: u64,
}

/// The inode of the log that an index says it belongs to; nothing if it is no index.
pub fn owner(index: &File) -> io::Result<Option<u64>> {
    let mut header = [0; UNIT as usize];
    match index.read_exact_at(&mut header, 0) {
        Ok(()) => Ok(header.starts_with(&MAGIC).then(|| number(&header[8..]))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// How many whole records an index has.
fn count(index: &File) -> io::Result<u64> {
    Ok((index.metadata()?.len() / UNIT).saturating_sub(1))
}

fn record(index: &File, at: u64) -> io::Result<Record> {
    let mut bytes = [0; UNIT as usize];
    index.read_exact_at(&mut bytes, (at + 1) * UNIT)?;
    Ok(Record { offset: number(&bytes[..8]), time: number(&bytes[8..]) })
}

/// The first record that `is` not true of, where it is true of all up to there and of none after.
fn partition(count: u64, mut is: impl FnMut(u64) -> io::Result<bool>) -> io::Result<u64> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        match is(middle)? {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    Ok(low)
}

fn unit(first: [u8; 8], second: u64) -> [u8; UNIT as usize] {
    let mut bytes = [0; UNIT as usize];
    bytes[..8].copy_from_slice(&first);
    bytes[8..].copy_from_slice(&second.to_le_bytes());
    bytes
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Writes the index of one log.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    /// Closed while the log is at rest, so that a thousand quiet apps do not hold two thousand indices open.
    file: Option<File>,
    inode: u64,
    /// Where the next record goes.
    end: u64,
    last: Option<Record>,
}

impl Writer {
    /// Goes on with the index of a log of this inode and length, or begins one. What tells of bytes behind the end of
    /// the log is forgotten. A file that is no index is somebody else's, and an error.
    pub fn open(log: &Path, inode: u64, length: u64) -> io::Result<Self> {
        let path = beside(log);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path)?;
        let mut writer = Self { path, file: None, inode, end: UNIT, last: None };
        match owner(&file)? {
            Some(known) if known == inode => {
                let valid = partition(count(&file)?, |at| Ok(record(&file, at)?.offset < length))?;
                writer.end = (valid + 1) * UNIT;
                writer.last = valid.checked_sub(1).map(|last| record(&file, last)).transpose()?;
                file.set_len(writer.end)?;
            }
            None if file.metadata()?.len() >= UNIT => return Err(io::Error::other("it is not an index of a log")),
            Some(_) | None => {
                file.set_len(0)?;
                file.write_all_at(&unit(MAGIC, inode), 0)?;
            }
        }
        writer.file = Some(file);
        Ok(writer)
    }

    /// Notes that the bytes from `offset` on come at `time`. A batch that begins where the last one did takes its place:
    /// that one has not come to anything.
    pub fn note(&mut self, offset: u64, time: u64) -> io::Result<()> {
        let mut at = self.end;
        match self.last {
            Some(last) if last.offset == offset => at -= UNIT,
            Some(last) if last.offset > offset => return Err(io::Error::other("the log has become shorter")),
            Some(last) if time.checked_sub(last.time).is_some_and(|since| since < NEAR) => return Ok(()),
            Some(_) | None => {}
        }
        let file = match &self.file {
            Some(file) => file,
            // It must still be there: an index whose head is missing would be none.
            None => self.file.insert(reopen(&self.path, self.inode)?),
        };
        file.write_all_at(&unit(offset.to_le_bytes(), time), at)?;
        self.end = at + UNIT;
        self.last = Some(Record { offset, time });
        Ok(())
    }

    /// Closes the file until there is more to note.
    pub fn rest(&mut self) {
        self.file = None;
    }
}

fn reopen(path: &Path, inode: u64) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    match owner(&file)? {
        Some(known) if known == inode => Ok(file),
        _ => Err(io::Error::other("it has become another file")),
    }
}

/// Reads the index of one log.
#[derive(Debug)]
pub struct Index {
    file: File,
    records: u64,
    length: u64,
}

/// A stretch of a log with one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The offset of its first byte.
    pub from: u64,
    /// The offset behind its last byte.
    pub to: u64,
    /// Microseconds since the epoch; nothing where that is not known.
    pub time: Option<u64>,
}

impl Index {
    /// The index of a log with this inode and length; nothing if it has none.
    pub fn open(log: &Path, inode: u64, length: u64) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        let file = match options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(beside(log)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if owner(&file)? != Some(inode) {
            return Ok(None);
        }
        let mut index = Self { file, records: 0, length };
        index.grow(length)?;
        Ok(Some(index))
    }

    /// Takes in what has been added since, where the log is this long now.
    pub fn grow(&mut self, length: u64) -> io::Result<()> {
        self.length = length;
        self.records = partition(count(&self.file)?, |at| Ok(record(&self.file, at)?.offset < length))?;
        Ok(())
    }

    /// Whether there is no record at all.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The stretch that the byte at `offset` is in.
    pub fn at(&self, offset: u64) -> io::Result<Stretch> {
        let next = partition(self.records, |at| Ok(record(&self.file, at)?.offset <= offset))?;
        let to = if next < self.records { record(&self.file, next)?.offset } else { self.length };
        Ok(match next.checked_sub(1).map(|this| record(&self.file, this)).transpose()? {
            Some(this) => Stretch { from: this.offset, to, time: Some(this.time) },
            None => Stretch { from: 0, to, time: None },
        })
    }

    /// Where the bytes begin that came at `time` or later: the end of the log, if there are none. Bytes without a known
    /// time lie before.
    pub fn since(&self, time: u64) -> io::Result<u64> {
        let first = partition(self.records, |at| Ok(record(&self.file, at)?.time < time))?;
        if first < self.records { Ok(record(&self.file, first)?.offset) } else { Ok(self.length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("web.log");
        (home, log)
    }

    #[test]
    fn what_is_noted_is_found_again_by_offset_and_by_time() {
        let (_home, log) = log();
        let mut writer = Writer::open(&log, 7, 100).unwrap();
        for (offset, time) in [(100, 5_000), (150, 5_999), (200, 6_000), (300, 9_000)] {
            writer.note(offset, time).unwrap();
            writer.rest();
        }
        let index = Index::open(&log, 7, 400).unwrap().unwrap();
        assert_eq!(index.at(99).unwrap(), Stretch { from: 0, to: 100, time: None });
        assert_eq!(index.at(100).unwrap(), Stretch { from: 100, to: 200, time: Some(5_000) });
        assert_eq!(index.at(199).unwrap().time, Some(5_000), "a batch within a millisecond has no record of its own");
        assert_eq!(index.at(399).unwrap(), Stretch { from: 300, to: 400, time: Some(9_000) });
        for (time, offset) in [(0, 100), (5_000, 100), (5_001, 200), (9_000, 300), (9_001, 400)] {
            assert_eq!(index.since(time).unwrap(), offset, "{time}");
        }
    }

    #[test]
    fn an_index_is_trusted_no_further_than_it_goes() {
        let (_home, log) = log();
        assert!(Index::open(&log, 7, 10).unwrap().is_none(), "there is none");
        let mut writer = Writer::open(&log, 7, 0).unwrap();
        writer.note(0, 1_000).unwrap();
        writer.note(50, 3_000).unwrap();
        assert!(Index::open(&log, 8, 100).unwrap().is_none(), "it belongs to another file");
        let index = Index::open(&log, 7, 50).unwrap().unwrap();
        assert_eq!(index.at(49).unwrap(), Stretch { from: 0, to: 50, time: Some(1_000) }, "the rest is not there");

        // Half a record, as a crash may leave it, and one that came to nothing.
        let file = OpenOptions::new().write(true).open(beside(&log)).unwrap();
        file.write_all_at(&[1; 7], 48).unwrap();
        let mut writer = Writer::open(&log, 7, 50).unwrap();
        writer.note(50, 4_000).unwrap();
        writer.note(50, 5_000).unwrap();
        let mut index = Index::open(&log, 7, 60).unwrap().unwrap();
        assert_eq!(index.at(55).unwrap(), Stretch { from: 50, to: 60, time: Some(5_000) });
        writer.note(60, 9_000).unwrap();
        index.grow(70).unwrap();
        assert_eq!(index.at(65).unwrap(), Stretch { from: 60, to: 70, time: Some(9_000) });

        // Another log took the name: its index begins anew.
        Writer::open(&log, 9, 0).unwrap();
        assert!(Index::open(&log, 9, 10).unwrap().unwrap().is_empty());
    }

    #[test]
    fn what_is_no_index_is_not_touched() {
        let (_home, log) = log();
        std::fs::write(beside(&log), "my notes about times").unwrap();
        Writer::open(&log, 7, 0).unwrap_err();
        assert!(Index::open(&log, 7, 10).unwrap().is_none());
        assert_eq!(std::fs::read_to_string(beside(&log)).unwrap(), "my notes about times");
        std::fs::remove_file(beside(&log)).unwrap();

        let mut writer = Writer::open(&log, 7, 0).unwrap();
        writer.rest();
        std::fs::remove_file(beside(&log)).unwrap();
        writer.note(0, 1_000).unwrap_err();
        assert!(!beside(&log).exists());
    }
}
