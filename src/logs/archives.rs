//! The archives of a log: what they are called, in which order they were made, and which of them have to go.
//!
//! The archive of `FILE` is `FILE.YYYY-MM-DD-HHMMSS`, the moment of its rotation in UTC, so that the end of summer time
//! makes no two of them; `.1`, `.2` … follow for more within one second. `.gz` or `.zst` at the end says that somebody
//! has compressed it, and `.times` that it is the index of one. Whatever is called otherwise belongs to somebody else:
//! it is not read, not counted and never removed.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// When an archive was made. The order is that of the rotations, and so that of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Seconds since the epoch.
    pub seconds: u64,
    /// The how-manyth of that second, from 0.
    pub number: u32,
}

impl Stamp {
    /// The stamp of a rotation now, after one that was made at `last`. Where the clock has been set back, the order is
    /// worth more than the time.
    pub fn next(now: u64, last: Option<Self>) -> Self {
        match last {
            Some(last) if last.seconds >= now => last.following(),
            _ => Self { seconds: now, number: 0 },
        }
    }

    /// The next one within the same second.
    pub fn following(self) -> Self {
        Self { number: self.number.saturating_add(1), ..self }
    }

    /// What follows the name of the log.
    fn suffix(self) -> String {
        let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(self.seconds)).to_string();
        // 2026-01-31T12:00:00Z
        let digits = |range| time.get(range).unwrap_or_default();
        let stamp = format!("{}-{}{}{}", digits(0..10), digits(11..13), digits(14..16), digits(17..19));
        match self.number {
            0 => stamp,
            number => format!("{stamp}.{number}"),
        }
    }

    /// Reads a suffix, which must be written exactly as [`Stamp::suffix`] writes it.
    fn parse(suffix: &str) -> Option<Self> {
        let (stamp, number) = match suffix.split_once('.') {
            Some((stamp, number)) => (stamp, number.parse().ok()?),
            None => (suffix, 0),
        };
        let part = |range| stamp.get(range);
        let (date, hour, minute, second) = (part(0..10)?, part(11..13)?, part(13..15)?, part(15..17)?);
        let time = humantime::parse_rfc3339(&format!("{date}T{hour}:{minute}:{second}Z")).ok()?;
        let read = Self { seconds: time.duration_since(UNIX_EPOCH).ok()?.as_secs(), number };
        (read.suffix() == suffix).then_some(read)
    }
}

/// How an archive is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// As it was written.
    Plain,
    /// By gzip.
    Gzip,
    /// By zstd.
    Zstd,
}

/// One archive of a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Archive {
    /// When it was made.
    pub stamp: Stamp,
    /// How it is stored.
    pub form: Form,
    /// Where it is.
    pub path: PathBuf,
}

impl Archive {
    /// What it is called, or was before it was packed. Its index is still called so.
    pub fn unpacked(&self) -> PathBuf {
        match self.form {
            Form::Plain => self.path.clone(),
            Form::Gzip | Form::Zstd => self.path.with_extension(""),
        }
    }
}

/// The archive of `log` with this stamp, as it is written.
pub fn path(log: &Path, stamp: Stamp) -> PathBuf {
    with_suffix(log, &stamp.suffix())
}

fn with_suffix(log: &Path, suffix: &str) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// What is in a log's directory of it, beside the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archives {
    /// The archives, oldest first.
    pub all: Vec<Archive>,
    /// Indices of archives that are not there any more.
    pub orphans: Vec<PathBuf>,
}

/// Finds the archives of a log. A directory that does not exist holds none.
pub fn list(log: &Path) -> io::Result<Archives> {
    let dir = log.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Archives::default()),
        Err(error) => return Err(error),
    };
    let names: Vec<OsString> = entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
    Ok(among(log, names.iter().filter_map(|name| name.to_str())))
}

/// The archives of a log among these names in its directory.
pub fn among<'a>(log: &Path, names: impl Iterator<Item = &'a str>) -> Archives {
    let Some(log_name) = log.file_name().and_then(|name| name.to_str()) else { return Archives::default() };
    let mut found = Archives::default();
    let mut indices = Vec::new();
    for suffix in names.filter_map(|name| name.strip_prefix(log_name)?.strip_prefix('.')) {
        let here = || with_suffix(log, suffix);
        let (stamp, form) = match suffix {
            _ if suffix.ends_with(".times") => {
                indices.extend(suffix.strip_suffix(".times").and_then(Stamp::parse).map(|stamp| (stamp, here())));
                continue;
            }
            _ if suffix.ends_with(".gz") => (suffix.strip_suffix(".gz"), Form::Gzip),
            _ if suffix.ends_with(".zst") => (suffix.strip_suffix(".zst"), Form::Zstd),
            _ => (Some(suffix), Form::Plain),
        };
        found.all.extend(stamp.and_then(Stamp::parse).map(|stamp| Archive { stamp, form, path: here() }));
    }
    found.all.sort();
    let stamps: HashSet<Stamp> = found.all.iter().map(|archive| archive.stamp).collect();
    found.orphans = indices.into_iter().filter(|(stamp, _)| !stamps.contains(stamp)).map(|(_, path)| path).collect();
    found.orphans.sort();
    found
}

impl Archives {
    /// The stamp of the last rotation.
    pub fn newest(&self) -> Option<Stamp> {
        self.all.last().map(|archive| archive.stamp)
    }
}

/// How long archives are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// At most so many.
    pub count: Option<u64>,
    /// None that is older.
    pub age: Option<Duration>,
}

impl Keep {
    /// Those that have to go, oldest first; `now` is in seconds since the epoch.
    pub fn excess(self, archives: &[Archive], now: u64) -> &[Archive] {
        let count = self.count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
        // The same archive twice, plain and packed, is one.
        let same = archives.chunk_by(|one, next| one.stamp == next.stamp).rev().take(count);
        let too_many = archives.len() - same.map(<[Archive]>::len).sum::<usize>();
        let too_old = archives.iter().take_while(|archive| self.expiry(archive).is_some_and(|at| at <= now)).count();
        &archives[..too_many.max(too_old)]
    }

    /// In how many seconds the oldest of these will be too old.
    pub fn next_expiry(self, archives: &[Archive], now: u64) -> Option<u64> {
        Some(self.expiry(archives.first()?)?.saturating_sub(now))
    }

    fn expiry(self, archive: &Archive) -> Option<u64> {
        Some(archive.stamp.seconds.saturating_add(self.age?.as_secs().max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(seconds: u64, number: u32) -> Stamp {
        Stamp { seconds, number }
    }

    fn names(found: &[Archive]) -> Vec<&str> {
        found.iter().map(|archive| archive.path.file_name().unwrap().to_str().unwrap()).collect()
    }

    #[test]
    fn a_name_says_when_in_utc() {
        let log = Path::new("logs/web.log");
        assert_eq!(path(log, stamp(1_769_860_805, 0)), Path::new("logs/web.log.2026-01-31-120005"));
        assert_eq!(path(log, stamp(1_769_860_805, 12)), Path::new("logs/web.log.2026-01-31-120005.12"));
        for seconds in [0, 951_782_399, 951_782_400, 1_769_860_805, 4_102_444_799] {
            for number in [0, 1, 2, 10, u32::MAX] {
                assert_eq!(Stamp::parse(&stamp(seconds, number).suffix()), Some(stamp(seconds, number)));
            }
        }
    }

    #[test]
    fn only_what_is_called_exactly_like_an_archive_is_one() {
        let theirs = [
            "web.log",
            "web.log.keep",
            "web.log.1",
            "web.log.2026-01-31",
            "web.log.2026-01-31-120005.0",
            "web.log.2026-01-31-120005.01",
            "web.log.2026-01-31-120005.+1",
            "web.log.2026-01-31-120005.1.2",
            "web.log.2026-01-31-120005.bak",
            "web.log.2026-01-31-120005.gz.bak",
            "web.log.2026-01-31-120005~",
            "web.log.2026-01-31-1200055",
            "web.log.2026-01-31 120005",
            "web.log.2026-02-30-120005",
            "web.log.2026-13-01-120005",
            "web.log.2026-01-31-250000",
            "web.log.2026-01-31-12000é",
            "web.logs.2026-01-31-120005",
            "web.log2026-01-31-120005",
            "xweb.log.2026-01-31-120005",
            "web.log.err.2026-01-31-120005",
            "web.log.times",
            "web.log.keep.times",
        ];
        let found = among(Path::new("logs/web.log"), theirs.into_iter());
        assert_eq!(found, Archives::default());
    }

    #[test]
    fn archives_are_in_the_order_of_their_rotations() {
        let there = [
            "web.log.2026-01-31-120005.10",
            "web.log.2026-01-31-120005.2",
            "web.log.2026-01-31-120006",
            "web.log.2026-01-31-120005.times",
            "web.log.2026-01-31-120005",
            "web.log.2026-01-31-120005.1.gz",
            "web.log.2025-12-31-235959.zst",
            "web.log.2025-12-31-235959.times",
            "web.log.2025-12-30-235959.times",
        ];
        let found = among(Path::new("logs/web.log"), there.into_iter());
        let order = [
            "web.log.2025-12-31-235959.zst",
            "web.log.2026-01-31-120005",
            "web.log.2026-01-31-120005.1.gz",
            "web.log.2026-01-31-120005.2",
            "web.log.2026-01-31-120005.10",
            "web.log.2026-01-31-120006",
        ];
        assert_eq!(names(&found.all), order);
        assert_eq!(found.all.iter().filter(|archive| archive.form == Form::Plain).count(), 4);
        assert_eq!(found.orphans, [Path::new("logs/web.log.2025-12-30-235959.times")]);
    }

    #[test]
    fn a_stamp_is_later_than_the_last_one_whatever_the_clock_says() {
        assert_eq!(Stamp::next(100, None), stamp(100, 0));
        assert_eq!(Stamp::next(100, Some(stamp(99, 7))), stamp(100, 0));
        assert_eq!(Stamp::next(100, Some(stamp(100, 0))), stamp(100, 1));
        assert_eq!(Stamp::next(100, Some(stamp(100, 9))), stamp(100, 10));
        assert_eq!(Stamp::next(100, Some(stamp(200, 3))), stamp(200, 4), "the clock was set back");
    }

    #[test]
    fn the_oldest_go_by_count_and_by_age() {
        let archive = |at| Archive { stamp: stamp(at, 0), form: Form::Plain, path: format!("a.{at}").into() };
        let archives: Vec<_> = [10, 20, 30, 40].map(archive).into();
        let keep = |count, age: Option<u64>| Keep { count, age: age.map(Duration::from_secs) };
        let gone = |keep: Keep, now| keep.excess(&archives, now).iter().map(|a| a.stamp.seconds).collect::<Vec<_>>();
        assert_eq!(gone(keep(None, None), 1000), [0; 0]);
        assert_eq!(gone(keep(Some(4), None), 1000), [0; 0]);
        assert_eq!(gone(keep(Some(3), None), 1000), [10]);
        assert_eq!(gone(keep(Some(0), None), 1000), [10, 20, 30, 40]);
        assert_eq!(gone(keep(None, Some(100)), 109), [0; 0]);
        assert_eq!(gone(keep(None, Some(100)), 110), [10]);
        assert_eq!(gone(keep(None, Some(100)), 130), [10, 20, 30]);
        assert_eq!(gone(keep(Some(3), Some(100)), 130), [10, 20, 30]);
        assert_eq!(gone(keep(Some(1), Some(100)), 110), [10, 20, 30]);
        assert_eq!(keep(None, Some(100)).next_expiry(&archives, 70), Some(40));
        assert_eq!(keep(None, Some(100)).next_expiry(&archives, 170), Some(0));
        assert_eq!(keep(Some(1), None).next_expiry(&archives, 70), None);
        assert_eq!(keep(None, Some(100)).next_expiry(&[], 70), None);
        // One is just being packed.
        let twice = Archive { form: Form::Gzip, path: "a.20.gz".into(), ..archives[1].clone() };
        let archives = [&archives[..2], &[twice], &archives[2..]].concat();
        let gone = |count| keep(Some(count), None).excess(&archives, 0).len();
        assert_eq!([gone(4), gone(3), gone(2)], [0, 1, 3]);
    }
}
