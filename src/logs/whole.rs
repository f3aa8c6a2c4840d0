//! A log as a whole: its archives, oldest first, and the file that is written now, read as one.
//!
//! Nothing is read that is not asked for: a place in the log is found by bisection, by the index of a part or by the
//! times that its lines say, and the last lines from the end backwards. Parts are opened when they are first needed. A
//! rotation while the log is read changes nothing: the file that was current when the log was opened stays its last part.
//!
//! An archive that was compressed is unpacked into a file without a name as soon as it is needed, and again should it be
//! needed later: no more than two of them take room at a time.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::archives::{self, Archive, Form, Stamp};
use super::body::{Body, LOOK_BACK, open, unpacked};
use super::real;
use super::stamps::Stamps;
use crate::app::Shown;

/// How many archives are unpacked at the same time, if there is room: one that is read, and one before it, which may tell
/// the time and level of its first lines.
const UNPACKED: usize = 2;

/// Where a byte is: in which part, and how far into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The how-manyth part.
    pub part: usize,
    /// The offset in it.
    pub offset: u64,
}

/// One file of a log.
#[derive(Debug)]
struct Part {
    /// Nothing for the file that was current.
    archive: Option<Archive>,
    body: Option<Body>,
    /// Whether it could not be opened. It is not tried again.
    lost: bool,
}

/// A log.
#[derive(Debug)]
pub struct Log {
    /// Where it is, without links.
    real: PathBuf,
    parts: Vec<Part>,
    /// Which of them are unpacked, the latest last.
    unpacked: VecDeque<usize>,
    /// What could not be read, and why; to be told once.
    pub unread: Vec<String>,
    stamps: Stamps,
    exists: bool,
}

impl Log {
    /// Opens the log at `path`. A log that does not exist is empty.
    pub fn open(path: &Path, stamps: Stamps) -> io::Result<Self> {
        // The current file first: whatever is rotated from now on is still this file.
        let current = match open(path) {
            Ok(file) => Some(file),
            Err(error) if is_none(&error) => None,
            Err(error) => return Err(error),
        };
        let real = real(path);
        let current = current.map(|file| Body::new(&real, file, None)).transpose()?;
        let mut archives = archives::list(&real)?.all;
        archives.truncate(current.as_ref().map_or(usize::MAX, |body| body.archives_before(path, &archives)));
        let part = |archive| Part { archive: Some(archive), body: None, lost: false };
        let mut parts: Vec<Part> = archives.into_iter().map(part).collect();
        parts.extend(current.map(|body| Part { archive: None, body: Some(body), lost: false }));
        Ok(Self { real, exists: !parts.is_empty(), parts, unread: Vec::new(), unpacked: VecDeque::new(), stamps })
    }

    /// Where it is, without links.
    pub fn real(&self) -> &Path {
        &self.real
    }

    /// Whether there is such a log.
    pub fn exists(&self) -> bool {
        self.exists
    }

    /// What reads the times of its lines.
    pub fn stamps(&self) -> &Stamps {
        &self.stamps
    }

    /// Where it begins.
    pub fn start(&self) -> Place {
        Place { part: 0, offset: 0 }
    }

    /// Where it ended when it was opened.
    pub fn end(&mut self) -> Place {
        match self.parts.len().checked_sub(1) {
            Some(part) => Place { part, offset: self.body(part).map_or(0, |body| body.length()) },
            None => self.start(),
        }
    }

    /// How many parts it has.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// The file that was current, to go on with.
    pub fn into_current(self) -> Option<Body> {
        self.parts.into_iter().next_back().filter(|part| part.archive.is_none())?.body
    }

    /// Where the last line begins that has no end yet; the end, if it has.
    pub fn end_of_lines(&mut self) -> io::Result<Place> {
        let end = self.end();
        let Some(body) = self.body(end.part) else { return Ok(end) };
        Ok(Place { offset: body.end_of_lines()?, ..end })
    }

    /// The last archive there was.
    pub fn newest(&self) -> Option<Stamp> {
        self.parts.iter().rev().find_map(|part| part.archive.as_ref()).map(|archive| archive.stamp)
    }

    /// An open part; nothing for one that cannot be read, which is noted.
    pub fn body(&mut self, at: usize) -> Option<&mut Body> {
        if let Part { archive: Some(archive), body: None, lost: false } = self.parts.get(at)? {
            let archive = archive.clone();
            let mut opened = open_archive(&archive, &mut || self.pack_again(UNPACKED - 1));
            if opened.is_err() && !self.unpacked.is_empty() {
                // There may be room for one of them.
                opened = open_archive(&archive, &mut || self.pack_again(0));
            }
            let part = &mut self.parts[at];
            match opened {
                Ok(Some((body, form))) => {
                    part.body = Some(body);
                    self.unpacked.extend((form != Form::Plain).then_some(at));
                }
                Ok(None) => {}
                Err(error) => self.unread.push(unreadable(&archive, &error)),
            }
            part.lost = part.body.is_none();
        }
        self.parts[at].body.as_mut()
    }

    /// Gives back the room that all but the latest of what is unpacked takes.
    fn pack_again(&mut self, latest: usize) {
        while self.unpacked.len() > latest {
            self.unpacked.pop_front().into_iter().for_each(|first| self.parts[first].body = None);
        }
    }

    /// Closes a part that has been read.
    pub fn close(&mut self, at: usize) {
        if let Some(part) = self.parts.get_mut(at)
            && part.archive.is_some()
        {
            part.body = None;
            self.unpacked.retain(|unpacked| *unpacked != at);
        }
    }

    /// The length of a part.
    pub fn length(&mut self, at: usize) -> u64 {
        self.body(at).map_or(0, |body| body.length())
    }

    /// Whether the times of its latest lines are known. Of nothing, everything is.
    pub fn is_timed(&mut self) -> io::Result<bool> {
        let stamps = self.stamps.clone();
        for part in (0..self.parts.len()).rev() {
            let Some(body) = self.body(part).filter(|body| body.length() > 0) else { continue };
            return body.is_timed(&stamps);
        }
        Ok(true)
    }

    /// Where the lines begin that came at `time` or later. Those whose time nobody knows lie before.
    pub fn since(&mut self, time: u64) -> io::Result<Place> {
        let stamps = self.stamps.clone();
        // An archive has nothing that came after it was made; a second is for the clock's fraction.
        let late = |archive: &Archive| (archive.stamp.seconds + 1).saturating_mul(1_000_000) > time;
        let older = |part: &Part| part.archive.as_ref().is_some_and(|archive| !late(archive));
        let first = self.parts.iter().take_while(|part| older(part)).count();
        for part in first..self.parts.len() {
            let Some(body) = self.body(part) else { continue };
            let offset = body.since(time, &stamps)?;
            if offset < body.length() {
                return Ok(Place { part, offset });
            }
        }
        Ok(self.end())
    }

    /// What the last line before a place says that says something, unless that is too far before it.
    pub fn said_before<T>(&mut self, place: Place, says: &dyn Fn(&[u8]) -> Option<T>) -> io::Result<Option<T>> {
        let mut offset = place.offset;
        for part in (0..self.parts.len().min(place.part + 1)).rev() {
            if part < place.part {
                offset = self.length(part);
            }
            let said = self.body(part).map(|body| body.said_before(offset, says)).transpose()?.flatten();
            // It may be in the archive before, but no further back.
            if said.is_some() || offset > LOOK_BACK || part + 1 < place.part {
                return Ok(said);
            }
            if part < place.part {
                self.close(part); // What is read is at the place.
            }
        }
        Ok(None)
    }

    /// Where the last `lines` lines before `end` begin, not looking before `start`; and how many there are.
    pub fn last(&mut self, start: Place, end: Place, lines: usize) -> io::Result<(Place, usize)> {
        let mut left = lines;
        let mut from = end;
        for part in (start.part..self.parts.len().min(end.part + 1)).rev() {
            if left == 0 {
                break;
            }
            let floor = if part == start.part { start.offset } else { 0 };
            let Some(body) = self.body(part) else { continue };
            let to = if part == end.part { end.offset } else { body.length() };
            let offset = body.tail(to, left)?.max(floor);
            left = left.saturating_sub(body.count_lines(offset, to)?);
            from = Place { part, offset };
        }
        Ok((from, lines - left))
    }
}

/// Opens an archive, and tells in which form it was found; nothing if it is gone: it was too old. Before it is unpacked,
/// room is made for it.
pub fn open_archive(archive: &Archive, makes_room: &mut dyn FnMut()) -> io::Result<Option<(Body, Form)>> {
    let mut found = (archive.form, open(&archive.path()));
    if archive.form == Form::Plain && found.1.as_ref().is_err_and(is_none) {
        found = (Form::Gzip, open(&archive.packed())); // It may just have been packed.
    }
    let body = match found {
        (_, Err(error)) if is_none(&error) => return Ok(None),
        (Form::Plain, file) => Body::new(&archive.plain, file?, None)?,
        (Form::Gzip, file) => {
            makes_room();
            unpacked(&archive.plain, &file?)?
        }
        (Form::Zstd, _) => return Err(io::Error::other("it is packed with zstd; zstdcat shows it")),
    };
    Ok(Some((body, found.0)))
}

fn is_none(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// Says that an archive is left out, and why.
pub fn unreadable(archive: &Archive, why: &io::Error) -> String {
    format!("cannot read {}: {why}", archive.path().shown())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::Zoned;

    use super::*;
    use crate::logs::pack::pack;

    /// Writes a file, as of a time that many may be of.
    fn write(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_769_860_800);
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn what_is_like_the_current_file_is_not_taken_for_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("web.log");
        let at = |second: u32| home.path().join(format!("web.log.2026-01-31-12000{second}"));
        for second in 1..4 {
            write(&at(second), "line\n");
            pack(&at(second), &|| false).unwrap();
        }
        write(&home.path().join("web.log.2026-01-31-120000.zst"), "nobody compares this");
        write(&path, "line\n");
        let mut log = Log::open(&path, Stamps::at(Zoned::now())).unwrap();
        assert_eq!(log.parts(), 5, "the current file is none of the archives");
        assert_eq!((1..5).map(|part| log.length(part)).collect::<Vec<_>>(), [5; 4]);

        let current = log.into_current().unwrap();
        let before = || current.archives_before(&path, &archives::list(&path).unwrap().all);
        assert_eq!(before(), 4);
        fs::rename(&path, at(4)).unwrap();
        write(&at(5), "line\n");
        pack(&at(5), &|| false).unwrap();
        write(&path, "line\n");
        assert_eq!(before(), 4, "it is an archive now, whatever is like it");
        fs::remove_file(home.path().join("web.log.2026-01-31-120005.gz")).unwrap();
        pack(&at(4), &|| false).unwrap();
        assert_eq!(before(), 4, "that is packed");
        fs::remove_file(home.path().join("web.log.2026-01-31-120004.gz")).unwrap();
        write(&home.path().join("web.log.2026-01-31-120003.gz"), "another");
        write(&home.path().join("web.log.2026-01-31-120002.gz"), "another");
        write(&home.path().join("web.log.2026-01-31-120001.gz"), "another");
        fs::remove_file(home.path().join("web.log.2026-01-31-120000.zst")).unwrap();
        assert_eq!(before(), 3, "it has been removed");
    }

    #[test]
    fn of_all_that_is_packed_no_more_than_two_take_room_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("web.log");
        for second in 1..6 {
            let archive = home.path().join(format!("web.log.2026-01-31-12000{second}"));
            fs::write(&archive, "line\n".repeat(second)).unwrap();
            // One is packed after the log has been opened.
            if second != 3 {
                pack(&archive, &|| false).unwrap();
            }
        }
        fs::write(&path, "1\n").unwrap();
        let mut log = Log::open(&path, Stamps::at(Zoned::now())).unwrap();
        pack(&home.path().join("web.log.2026-01-31-120003"), &|| false).unwrap();
        for _ in 0..2 {
            for part in 0..5 {
                assert_eq!(log.length(part), 5 * (part as u64 + 1));
                let open = log.parts.iter().filter(|part| part.archive.is_some() && part.body.is_some()).count();
                assert!(open <= UNPACKED, "{open} are unpacked");
            }
        }
        let (start, end) = (log.start(), log.end());
        assert_eq!(log.last(start, end, 100).unwrap(), (start, 16));
        assert!(log.unread.is_empty(), "{:?}", log.unread);
    }
}
