//! A log as a whole: its archives, oldest first, and the file that is written now, read as one.
//!
//! Nothing is read that is not asked for: a place in the log is found by bisection, by the index of a part or by the
//! times that its lines say, and the last lines from the end backwards. Parts are opened when they are first needed. A
//! rotation while the log is read changes nothing: the file that was current when the log was opened stays its last part.
//!
//! An archive that was compressed is unpacked into a file without a name as soon as it is needed.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::archives::{self, Archive, Form, Stamp};
use super::body::{Body, LOOK_BACK, identity, open, unpacked};
use super::real;
use super::stamps::Stamps;

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
    path: PathBuf,
    form: Form,
    stamp: Option<Stamp>,
    body: Option<Body>,
}

/// A log.
#[derive(Debug)]
pub struct Log {
    /// Where it is, without links.
    real: PathBuf,
    parts: Vec<Part>,
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
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let real = real(path);
        let inode = current.as_ref().map(File::metadata).transpose()?.map(|meta| (meta.dev(), meta.ino()));
        let mut parts = Vec::new();
        for archive in archives::list(&real)?.all {
            if inode.is_some() && identity(&archive.path) == inode {
                break;
            }
            // The same archive twice: it is just being compressed, and the first is whole.
            if parts.last().is_none_or(|last: &Part| last.stamp != Some(archive.stamp)) {
                parts.push(Part { path: archive.path, form: archive.form, stamp: Some(archive.stamp), body: None });
            }
        }
        let exists = current.is_some() || !parts.is_empty();
        if let Some(file) = current {
            let body = Some(Body::new(&real, file, None)?);
            parts.push(Part { path: real.clone(), form: Form::Plain, stamp: None, body });
        }
        Ok(Self { real, parts, unread: Vec::new(), stamps, exists })
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
        self.parts.into_iter().next_back().filter(|part| part.stamp.is_none())?.body
    }

    /// Where the last line begins that has no end yet; the end, if it has.
    pub fn end_of_lines(&mut self) -> io::Result<Place> {
        let end = self.end();
        let Some(body) = self.body(end.part) else { return Ok(end) };
        Ok(Place { offset: body.end_of_lines()?, ..end })
    }

    /// The last archive there was.
    pub fn newest(&self) -> Option<Stamp> {
        self.parts.iter().rev().find_map(|part| part.stamp)
    }

    /// An open part; nothing for one that cannot be read, which is noted.
    pub fn body(&mut self, at: usize) -> Option<&mut Body> {
        let part = self.parts.get_mut(at)?;
        if part.body.is_none() {
            match part.open() {
                Ok(body) => part.body = body,
                Err(error) => self.unread.push(format!("cannot read {}: {error}", part.path.display())),
            }
            // Whatever it was, it is not tried again.
            if part.body.is_none() {
                part.form = Form::Plain;
                part.path = PathBuf::from("/dev/null");
                part.body = Body::new(&part.path, open(&part.path).ok()?, None).ok();
            }
        }
        part.body.as_mut()
    }

    /// Closes a part that has been read.
    pub fn close(&mut self, at: usize) {
        if let Some(part) = self.parts.get_mut(at)
            && part.stamp.is_some()
            && part.form == Form::Plain
        {
            part.body = None;
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
        let older = |part: &Part| part.stamp.is_some_and(|stamp| (stamp.seconds + 1).saturating_mul(1_000_000) <= time);
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

/// Opens an archive; nothing if it is gone.
pub fn open_archive(archive: Archive) -> io::Result<Option<Body>> {
    Part { path: archive.path, form: archive.form, stamp: Some(archive.stamp), body: None }.open()
}

impl Part {
    /// Opens it; nothing if it is gone: it was too old.
    fn open(&self) -> io::Result<Option<Body>> {
        let packed = || {
            let mut name = self.path.as_os_str().to_owned();
            name.push(".gz");
            PathBuf::from(name)
        };
        match (self.form, open(&self.path)) {
            (Form::Plain, Ok(file)) => Body::new(&self.path, file, None).map(Some),
            (Form::Gzip, Ok(file)) => unpacked(&self.path.with_extension(""), &file).map(Some),
            (Form::Zstd, Ok(_)) => Err(io::Error::other("it is packed with zstd; zstdcat shows it")),
            (_, Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            // It may just have been packed.
            (Form::Plain, Err(_)) => match open(&packed()) {
                Ok(file) => unpacked(&self.path, &file).map(Some),
                Err(_) => Ok(None),
            },
            (Form::Gzip | Form::Zstd, Err(_)) => Ok(None),
        }
    }
}
