//! One file of a log, open: its lines, and the times at which they came, by its index or by what they say.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flate2::Crc;
use flate2::read::MultiGzDecoder;

use super::archives::{Archive, Form};
use super::read::tail_offset;
use super::stamps::Stamps;
use super::times::{self, Index, Stretch};
use crate::app::Shown;
use crate::config::is_of_a_process;

/// How much is read at once where a log is searched: more than a line, and less than a processor's cache.
pub const BLOCK: usize = 256 << 10;

/// A longer line is searched and shown in pieces of this size.
pub const LONGEST_LINE: usize = BLOCK;

/// How far a line without a time, or a level, may be from the line before it that has one.
pub(super) const LOOK_BACK: u64 = 256 << 10;

/// An open file of a log.
#[derive(Debug)]
pub struct Body {
    file: File,
    /// How much of it belongs to what is read; it may grow meanwhile.
    length: u64,
    index: Option<Index>,
    stretch: Stretch,
}

/// Opens a file of a log for reading.
pub fn open(path: &Path) -> io::Result<File> {
    if is_of_a_process(path) {
        return Err(io::Error::new(io::ErrorKind::NotFound, "it is another file to every process"));
    }
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
pub(super) fn unpacked(plain: &Path, packed: &File) -> io::Result<Body> {
    let dir = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty()).map_or("/tmp".into(), PathBuf::from);
    let refused = |error: io::Error| io::Error::other(format!("cannot unpack it to {}: {error}", dir.shown()));
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE);
    let mut file = options.open(&dir).map_err(refused)?;
    let (mut unpacked, mut block) = (MultiGzDecoder::new(io::BufReader::new(packed)), vec![0; BLOCK]);
    loop {
        match unpacked.read(&mut block)? {
            0 => break,
            count => file.write_all(&block[..count]).map_err(refused)?,
        }
    }
    // Its inode was another; what the name says has to do.
    let index = open(&times::beside(plain)).ok();
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

    /// How many of a log's archives were made before this file, which was opened as the log before they were listed.
    pub fn archives_before(&self, log: &Path, archives: &[Archive]) -> usize {
        match self.identity() {
            // Looked at last: while the name is still this file's, it is none of them.
            Ok(own) if identity(log) == Some(own) => archives.len(),
            // Where several are like it, it was rotated last: there was hardly time for one more.
            _ => self.plain_among(archives).or_else(|| self.packed_among(archives).last()).unwrap_or(archives.len()),
        }
    }

    /// Which of these archives this file is, under another name.
    pub fn plain_among(&self, archives: &[Archive]) -> Option<usize> {
        let own = self.identity().ok()?;
        archives.iter().position(|archive| identity(&archive.plain) == Some(own))
    }

    /// Which of these archives this file may have become when it was packed: they are of the same time, and hold the
    /// same.
    pub fn packed_among(&self, archives: &[Archive]) -> impl Iterator<Item = usize> {
        let written = |meta: &Metadata| (meta.mtime(), meta.mtime_nsec());
        let own = self.file.metadata().ok().as_ref().map(written);
        let is_so = move |archive: &Archive| {
            let packed = archive.packed().metadata().ok().as_ref().map(written);
            own.is_some() && packed == own && self.is_packed_in(archive)
        };
        archives.iter().enumerate().filter(move |(_, archive)| is_so(archive)).map(|(at, _)| at)
    }

    /// Whether a packed archive holds what this file does. Of one that is not packed by gzip, nobody knows.
    pub fn is_packed_in(&self, archive: &Archive) -> bool {
        match archive.form {
            Form::Plain | Form::Gzip => self.is_told_by(&archive.packed()).unwrap_or(false),
            Form::Zstd => true,
        }
    }

    /// gzip ends with checksum and length, modulo 2^32, of what it holds (RFC 1952, 2.3.1).
    fn is_told_by(&self, packed: &Path) -> io::Result<bool> {
        let (packed, length, mut told) = (open(packed)?, self.file.metadata()?.len(), [0; 8]);
        packed.read_exact_at(&mut told, packed.metadata()?.len().saturating_sub(8))?;
        let (checksum, size) = told.split_at(4);
        if size != (length as u32).to_le_bytes() {
            return Ok(false);
        }
        let (mut crc, mut block, mut at) = (Crc::new(), vec![0; BLOCK], 0);
        while at < length {
            let count = self.file.read_at(&mut block, at)?;
            if count == 0 {
                return Ok(false);
            }
            crc.update(&block[..count]);
            at += count as u64;
        }
        Ok(checksum == crc.sum().to_le_bytes())
    }

    /// How long it was when that was last looked at.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where the last line begins that has no end yet; the end, if it has.
    pub(super) fn end_of_lines(&self) -> io::Result<u64> {
        let mut last = [b'\n'];
        if self.length > 0 {
            self.file.read_at(&mut last, self.length - 1)?;
        }
        if last == *b"\n" { Ok(self.length) } else { self.tail(self.length, 1) }
    }

    /// Where the last `lines` lines before `to` begin.
    pub(super) fn tail(&self, to: u64, lines: usize) -> io::Result<u64> {
        tail_offset(&self.file, to, lines)
    }

    /// Whether the times of its latest lines are known, by its index or by what they say.
    pub(super) fn is_timed(&self, stamps: &Stamps) -> io::Result<bool> {
        if self.index.as_ref().is_some_and(|index| !index.is_empty()) {
            return Ok(true);
        }
        Ok(self.said_before(self.length, &|line| stamps.of(line))?.is_some())
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

    pub(super) fn count_lines(&self, from: u64, to: u64) -> io::Result<usize> {
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
    pub(super) fn since(&self, time: u64, stamps: &Stamps) -> io::Result<u64> {
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
