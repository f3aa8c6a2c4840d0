//! The archives of a log: what they are called, in which order they were made, and which of them have to go.
//!
//! The archive of `FILE` is `FILE.YYYY-MM-DD-HHMMSS`, the moment of its rotation in UTC, so that the end of summer time
//! makes no two of them; `.1`, `.2` … follow for more within one second. `.gz` or `.zst` at the end says that somebody
//! has compressed it, and `.times` that it is the index of one. Whatever is called otherwise belongs to somebody else:
//! it is not read, not counted and never removed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::times;

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
    /// Nothing where no name is left that would follow.
    pub fn next(now: u64, last: Option<Self>) -> Option<Self> {
        match last {
            Some(last) if last.seconds >= now => last.following(),
            _ => Some(Self { seconds: now, number: 0 }),
        }
    }

    /// The next one within the same second; nothing behind the last, which somebody else has made.
    pub fn following(self) -> Option<Self> {
        Some(Self { number: self.number.checked_add(1)?, ..self })
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

impl Form {
    /// What ends the name of an archive that is stored so.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// The same, with what is before it in the name.
    fn split(name: &str) -> (&str, Self) {
        let packed = [Self::Gzip, Self::Zstd].into_iter();
        packed.filter_map(|form| Some((name.strip_suffix(form.suffix())?, form))).next().unwrap_or((name, Self::Plain))
    }
}

/// One archive of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// When it was made.
    pub stamp: Stamp,
    /// How it is stored.
    pub form: Form,
    /// What it is called, or was before it was packed. Its index is still called so.
    pub plain: PathBuf,
    /// How it is stored as well: somebody is packing it, or was, and was killed.
    pub others: Vec<Form>,
}

impl Archive {
    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.path_in(self.form)
    }

    /// Where it is packed, or would be.
    pub fn packed(&self) -> PathBuf {
        self.path_in(if self.form == Form::Plain { Form::Gzip } else { self.form })
    }

    /// All that it is stored in.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        std::iter::once(self.form).chain(self.others.iter().copied()).map(|form| self.path_in(form))
    }

    /// Where it is when it is stored in this form.
    pub fn path_in(&self, form: Form) -> PathBuf {
        let mut name = self.plain.as_os_str().to_owned();
        name.push(form.suffix());
        name.into()
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
    /// What archives were called that are not there any more, though their indices are.
    pub orphans: Vec<Stamp>,
}

/// Finds the archives of a log. A directory that does not exist holds none.
pub fn list(log: &Path) -> io::Result<Archives> {
    let dir = log.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Archives::default()),
        Err(error) => return Err(error),
    };
    let mut names: Vec<OsString> = Vec::new();
    for entry in entries {
        let entry = entry?;
        // No log ever became a directory.
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            names.push(entry.file_name());
        }
    }
    let mut found = among(log, names.iter().filter_map(|name| name.to_str()));
    // A directory that is read while an archive is packed may show neither of its names, one being too new and the other
    // gone. Its index was there all the time.
    let hidden: Vec<Archive> = found.orphans.iter().filter_map(|stamp| look_up(log, *stamp)).collect();
    if !hidden.is_empty() {
        found.orphans.retain(|stamp| hidden.iter().all(|archive| archive.stamp != *stamp));
        found.all.extend(hidden);
        found.all.sort_by_key(|archive| archive.stamp);
    }
    Ok(found)
}

/// Looks for an archive by its names, in the order in which they come and go.
fn look_up(log: &Path, stamp: Stamp) -> Option<Archive> {
    let archive = |form| Archive { stamp, form, plain: path(log, stamp), others: Vec::new() };
    let forms = [Form::Plain, Form::Gzip, Form::Zstd].into_iter();
    forms.map(archive).find(|archive| archive.path().symlink_metadata().is_ok())
}

/// The archives of a log among these names in its directory.
pub fn among<'a>(log: &Path, names: impl Iterator<Item = &'a str>) -> Archives {
    let Some(log_name) = log.file_name().and_then(|name| name.to_str()) else { return Archives::default() };
    let (mut forms, mut indices) = (BTreeMap::<Stamp, BTreeSet<Form>>::new(), Vec::new());
    for suffix in names.filter_map(|name| name.strip_prefix(log_name)?.strip_prefix('.')) {
        if let Some(stamp) = suffix.strip_suffix(times::SUFFIX) {
            indices.extend(Stamp::parse(stamp));
            continue;
        }
        let (stamp, form) = Form::split(suffix);
        if let Some(stamp) = Stamp::parse(stamp) {
            forms.entry(stamp).or_default().insert(form);
        }
    }
    indices.retain(|stamp| !forms.contains_key(stamp));
    indices.sort();
    let archive = |(stamp, mut forms): (Stamp, BTreeSet<Form>)| {
        let form = forms.pop_first()?; // The plain one, if it is there, is whole.
        Some(Archive { stamp, form, plain: path(log, stamp), others: forms.into_iter().collect() })
    };
    Archives { all: forms.into_iter().filter_map(archive).collect(), orphans: indices }
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
        let too_many = archives.len().saturating_sub(count);
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

    fn names(found: &[Archive]) -> Vec<String> {
        found.iter().map(|archive| archive.path().file_name().unwrap().to_str().unwrap().to_owned()).collect()
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
            "web.log.2026-01-31-120005.10.gz",
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
        let twice: Vec<_> = found.all.iter().flat_map(Archive::paths).collect();
        assert_eq!(twice.len(), order.len() + 1, "one is just being packed, and still one archive");
        assert_eq!(twice[5], Path::new("logs/web.log.2026-01-31-120005.10.gz"));
        assert_eq!(found.orphans.iter().map(|stamp| stamp.suffix()).collect::<Vec<_>>(), ["2025-12-30-235959"]);
    }

    #[test]
    fn what_a_directory_does_not_show_while_it_changes_is_looked_up_where_an_index_tells_of_it() {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("web.log");
        let at = |second: u64| stamp(1_769_860_800 + second, 0);
        for (second, form) in [(1, Form::Plain), (2, Form::Gzip), (3, Form::Zstd)] {
            let found = look_up(&log, at(second));
            assert_eq!(found, None);
            let archive = Archive { stamp: at(second), form, plain: path(&log, at(second)), others: Vec::new() };
            std::fs::write(archive.path(), "").unwrap();
            assert_eq!(look_up(&log, at(second)), Some(archive));
        }
    }

    #[test]
    fn a_stamp_is_later_than_the_last_one_whatever_the_clock_says() {
        assert_eq!(Stamp::next(100, None), Some(stamp(100, 0)));
        assert_eq!(Stamp::next(100, Some(stamp(99, 7))), Some(stamp(100, 0)));
        assert_eq!(Stamp::next(100, Some(stamp(100, 0))), Some(stamp(100, 1)));
        assert_eq!(Stamp::next(100, Some(stamp(100, 9))), Some(stamp(100, 10)));
        assert_eq!(Stamp::next(100, Some(stamp(200, 3))), Some(stamp(200, 4)), "the clock was set back");
        assert_eq!(Stamp::next(100, Some(stamp(200, u32::MAX))), None);
    }

    #[test]
    fn the_oldest_go_by_count_and_by_age() {
        let archive = |at| Archive {
            stamp: stamp(at, 0),
            form: Form::Plain,
            plain: format!("a.{at}").into(),
            others: Vec::new(),
        };
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
    }
}
