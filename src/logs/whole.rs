//! A log as a whole: its archives, oldest first, and the file that is written now, read as one.
//!
//! Nothing is read that is not asked for: a place in the log is found by bisection, by the index of a part or by the
//! times that its lines say, and the last lines from the end backwards. Parts are opened when they are first needed. A
//! rotation while the log is read changes nothing: the file that was current when the log was opened stays its last part.
//!
//! An archive that was compressed is unpacked into a file without a name as soon as it is needed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::archives::{self, Archive, Form, Stamp};
use super::pack;
use super::read::tail_offset;
use super::real;
use super::stamps::Stamps;
use super::times::{self, Index, Stretch};

/// How much is read at once where a log is searched: more than a line, and less than a processor's cache.
pub const BLOCK: usize = 256 << 10;

/// A longer line is searched and shown in pieces of this size.
pub const LONGEST_LINE: usize = BLOCK;

/// How far a line without a time, or a level, may be from the line before it that has one.
const LOOK_BACK: u64 = 256 << 10;

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

/// An open file of a log.
#[derive(Debug)]
pub struct Body {
    file: File,
    /// How much of it belongs to what is read; it may grow meanwhile.
    length: u64,
    index: Option<Index>,
    stretch: Stretch,
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
            Some(part) => Place { part, offset: self.body(part).map_or(0, |body| body.length) },
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
        let mut last = [b'\n'];
        if end.offset > 0 {
            body.file.read_at(&mut last, end.offset - 1)?;
        }
        let offset = if last == *b"\n" { end.offset } else { tail_offset(&body.file, end.offset, 1)? };
        Ok(Place { offset, ..end })
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
                part.body = open(&part.path).ok().map(|file| Body {
                    file,
                    length: 0,
                    index: None,
                    stretch: Stretch { from: 0, to: 0, time: None },
                });
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
        self.body(at).map_or(0, |body| body.length)
    }

    /// Whether the times of its latest lines are known. Of nothing, everything is.
    pub fn is_timed(&mut self) -> io::Result<bool> {
        let stamps = self.stamps.clone();
        for part in (0..self.parts.len()).rev() {
            let Some(body) = self.body(part).filter(|body| body.length > 0) else { continue };
            if body.index.as_ref().is_some_and(|index| !index.is_empty()) {
                return Ok(true);
            }
            return Ok(body.said_before(body.length, &|line| stamps.of(line))?.is_some());
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
            if offset < body.length {
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
            let to = if part == end.part { end.offset } else { body.length };
            let offset = tail_offset(&body.file, to, left)?.max(floor);
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

/// Opens a file of a log for reading.
pub fn open(path: &Path) -> io::Result<File> {
    // Whoever can write to the directory may have put a FIFO there, which must not hold us.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    match file.metadata()?.is_dir() {
        true => Err(io::Error::other("it is a directory")),
        false => Ok(file),
    }
}

/// What makes a file the same under any name: nothing, if there is none of this name.
pub fn identity(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|meta| (meta.dev(), meta.ino()))
}

/// Unpacks an archive into a file that goes when it is closed. `plain` is what it was called before it was packed: its
/// index is still called so.
fn unpacked(plain: &Path, packed: &File) -> io::Result<Body> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE);
    let mut file = options.open(std::env::temp_dir())?;
    io::copy(&mut flate2::read::MultiGzDecoder::new(io::BufReader::new(packed)), &mut file)?;
    // Its inode was another; what the name says has to do.
    let index = File::open(times::beside(plain)).ok();
    let owner = index.as_ref().map(times::owner).transpose()?.flatten();
    Body::new(plain, file, owner)
}

impl Body {
    /// A file of a log that is called `path`, and its index; `owner` is the inode that the index should name, if that
    /// is not the file's.
    pub fn new(path: &Path, file: File, owner: Option<u64>) -> io::Result<Self> {
        let meta = file.metadata()?;
        // A device or FIFO has no past that could be read.
        let length = if meta.is_file() { meta.len() } else { 0 };
        // An index that cannot be read is none: the log can.
        let index = Index::open(path, owner.unwrap_or(meta.ino()), length).ok().flatten();
        Ok(Self { file, length, index, stretch: Stretch { from: 0, to: 0, time: None } })
    }

    /// Which file it is, whatever its name.
    pub fn identity(&self) -> io::Result<(u64, u64)> {
        self.file.metadata().map(|meta| (meta.dev(), meta.ino()))
    }

    /// Whether an archive is this file, packed. Of one that is not packed by gzip, nobody knows.
    pub fn is_packed_in(&self, archive: &Archive) -> bool {
        match archive.form {
            Form::Plain => false,
            Form::Gzip => pack::holds(&archive.path, &self.file, self.length).unwrap_or(false),
            Form::Zstd => true,
        }
    }

    /// How long it was when that was last looked at.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Looks how long it is now, and what its index tells; `path` is what the log is called.
    pub fn refresh(&mut self, path: &Path) -> io::Result<()> {
        let meta = self.file.metadata()?;
        self.length = if meta.is_file() { meta.len() } else { 0 };
        self.stretch = Stretch { from: 0, to: 0, time: None };
        match &mut self.index {
            Some(index) => index.grow(self.length),
            None => {
                self.index = Index::open(path, meta.ino(), self.length).ok().flatten();
                Ok(())
            }
        }
    }

    /// Reads the bytes at `offset` that came at one time, as many as there are or fit; and the time, if it is known.
    pub fn batch(&mut self, offset: u64, block: &mut Vec<u8>) -> io::Result<Option<u64>> {
        let time = self.indexed(offset)?;
        let to = if self.index.is_some() { self.stretch.to } else { self.length };
        block.resize(usize::try_from(to.saturating_sub(offset)).unwrap_or(usize::MAX).min(BLOCK), 0);
        let count = self.file.read_at(block, offset)?;
        block.truncate(count);
        Ok(time)
    }

    /// Reads up to a block of whole lines of the bytes from `from` to `to`. A line that is longer than a block comes in
    /// pieces.
    pub fn lines(&self, from: u64, to: u64, block: &mut Vec<u8>) -> io::Result<()> {
        self.few_lines(from, to, BLOCK, block)
    }

    /// The same with another size of the block.
    fn few_lines(&self, from: u64, to: u64, most: usize, block: &mut Vec<u8>) -> io::Result<()> {
        let wanted = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX).min(most);
        block.resize(wanted, 0);
        let mut read = 0;
        while read < wanted {
            match self.file.read_at(&mut block[read..], from + read as u64)? {
                0 => break, // It was truncated meanwhile.
                count => read += count,
            }
        }
        block.truncate(read);
        if from + (read as u64) < to
            && let Some(last) = memchr::memrchr(b'\n', block)
        {
            block.truncate(last + 1);
        }
        Ok(())
    }

    /// Where a block of whole lines begins that ends at `to`, not before `floor`.
    pub fn block_before(&self, floor: u64, to: u64) -> io::Result<u64> {
        let guess = to.saturating_sub(BLOCK as u64);
        if guess <= floor {
            return Ok(floor);
        }
        let next = self.line_at_or_after(guess, to)?;
        if next < to {
            return Ok(next);
        }
        // One line that is longer than a block.
        Ok(tail_offset(&self.file, to, 1)?.max(floor))
    }

    /// Where the first line begins at or after `offset`; `to`, if none does before it.
    fn line_at_or_after(&self, offset: u64, to: u64) -> io::Result<u64> {
        let Some(mut at) = offset.checked_sub(1) else { return Ok(0) };
        let mut piece = [0; 4096];
        while at < to {
            let count = self.file.read_at(&mut piece, at)?;
            if count == 0 {
                break;
            }
            if let Some(end) = memchr::memchr(b'\n', &piece[..count]) {
                return Ok((at + end as u64 + 1).min(to));
            }
            at += count as u64;
        }
        Ok(to)
    }

    fn count_lines(&self, from: u64, to: u64) -> io::Result<usize> {
        let (mut at, mut count, mut block) = (from, 0, Vec::new());
        while at < to {
            self.lines(at, to, &mut block)?;
            if block.is_empty() {
                break;
            }
            count += memchr::memchr_iter(b'\n', &block).count();
            at += block.len() as u64;
            count += usize::from(at >= to && block.last() != Some(&b'\n'));
        }
        Ok(count)
    }

    /// What the last line that says something says, of those that end at `offset`, and not too far before it.
    pub fn said_before<T>(&self, offset: u64, says: &dyn Fn(&[u8]) -> Option<T>) -> io::Result<Option<T>> {
        let mut to = offset;
        let mut block = Vec::new();
        // Near lines first: most have it.
        for size in [4 << 10, LOOK_BACK] {
            let from = self.line_at_or_after(offset.saturating_sub(size), to)?;
            self.lines(from, to, &mut block)?;
            if let Some(said) = block.split_inclusive(|byte| *byte == b'\n').rev().find_map(says) {
                return Ok(Some(said));
            }
            to = from;
            if to == 0 {
                break;
            }
        }
        Ok(None)
    }

    /// When the byte at `offset` came, as the index says.
    pub fn indexed(&mut self, offset: u64) -> io::Result<Option<u64>> {
        let Some(index) = &self.index else { return Ok(None) };
        if !(self.stretch.from..self.stretch.to).contains(&offset) {
            self.stretch = index.at(offset)?;
        }
        Ok(self.stretch.time)
    }

    /// Where the lines begin that came at `time` or later.
    fn since(&self, time: u64, stamps: &Stamps) -> io::Result<u64> {
        let Some(index) = self.index.as_ref().filter(|index| !index.is_empty()) else {
            return self.since_said(time, self.length, stamps);
        };
        let offset = index.since(time)?;
        // What came before the index was begun may know its own times.
        let unknown = index.at(0)?;
        if unknown.time.is_none() && offset <= unknown.to {
            let said = self.since_said(time, unknown.to, stamps)?;
            if said < unknown.to {
                return Ok(said);
            }
        }
        self.line_at_or_after(offset, self.length)
    }

    /// The same by what the lines before `end` say of themselves.
    fn since_said(&self, time: u64, end: u64, stamps: &Stamps) -> io::Result<u64> {
        let (mut low, mut high, mut found) = (0, end, end);
        // Times grow with the offset, as far as lines have any: search for the first that is late enough.
        while low < high {
            let near = high - low <= 4096;
            let middle = if near { low } else { self.line_at_or_after(low + (high - low) / 2, high)? };
            match self.first_said(middle, high, stamps)? {
                Some((_, next, said)) if said < time => low = next,
                Some((at, ..)) => (found, high) = (at, if near { low } else { middle }),
                None if near => break,
                None => high = middle.min(low + (high - low) / 2),
            }
        }
        Ok(found)
    }

    /// The first line from `from` on that says its time: where it begins, where it ends, and the time.
    fn first_said(&self, from: u64, to: u64, stamps: &Stamps) -> io::Result<Option<(u64, u64, u64)>> {
        let (mut at, mut block) = (from, Vec::new());
        // Most lines say it: a little is read first.
        let mut most = 4 << 10;
        while at < to {
            self.few_lines(at, to, most, &mut block)?;
            if block.is_empty() {
                break;
            }
            // The beginning of a long line is enough to tell the time, but not where it ends.
            for line in block.split_inclusive(|byte| *byte == b'\n') {
                let next = at + line.len() as u64;
                if let Some(time) = stamps.of(line) {
                    let next = if line.ends_with(b"\n") { next } else { self.line_at_or_after(next, to)? };
                    return Ok(Some((at, next, time)));
                }
                at = next;
            }
            most = BLOCK;
        }
        Ok(None)
    }
}
