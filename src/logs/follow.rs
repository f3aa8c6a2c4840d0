//! More of a file, as it comes.
//!
//! A [`Tail`] is one log by its name: when another file takes the name (rotation), the old one is read to its end
//! first, and then whatever was rotated in between; when the file shrinks, reading begins again. The name may be a link:
//! archives lie where it leads, and where it comes to lead elsewhere, another log begins. A [`Watch`] sleeps until one of
//! several files may have changed: it watches directories, where both writes and changes of names show, so nothing is
//! polled.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::archives::{self, Archive, Stamp};
use super::body::{self, Body};
use super::read::tail_offset;
use super::real;
use super::whole::{Log, open_archive, unreadable};

/// One log that is read as it grows.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    /// Where the name leads, and the archives are.
    real: PathBuf,
    body: Option<Body>,
    offset: u64,
    /// The newest archive when the file was opened: whatever is newer was made of this file, or of one that came later.
    newest: Option<Stamp>,
    /// Archives that could not be shown, and why; to be told once.
    pub unread: Vec<String>,
}

impl Tail {
    /// Begins with the last `lines` lines of the file. A file that does not exist yet is read from its beginning.
    pub fn open(path: &Path, lines: usize) -> io::Result<Self> {
        let (path, real) = (path.to_owned(), real(path));
        let mut tail = Self { path, real, body: None, offset: 0, newest: None, unread: Vec::new() };
        // Before the archives are listed: what is rotated from now on is this file.
        if let Some(file) = open(&tail.path)? {
            let length = file.metadata()?.len();
            tail.offset = tail_offset(&file, length, lines)?;
            tail.body = Some(Body::new(&tail.real, file, None)?);
        }
        tail.newest = last_before(&tail.path, &archives::list(&tail.real)?.all, tail.body.as_ref());
        Ok(tail)
    }

    /// Goes on with a log that has been read up to `offset` of its current file.
    pub fn resume(path: &Path, log: Log, offset: u64) -> Self {
        let (newest, real) = (log.newest(), log.real().to_owned());
        let body = log.into_current();
        let offset = if body.is_some() { offset } else { 0 };
        Self { path: path.to_owned(), real, body, offset, newest, unread: Vec::new() }
    }

    /// The name of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is such a file.
    pub fn exists(&self) -> bool {
        self.body.is_some()
    }

    /// Hands over everything that has not been read, in pieces.
    pub fn read<E: From<io::Error>>(&mut self, sink: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.read_batches(&mut |piece, _| sink(piece))
    }

    /// The same, in pieces that came at one time each, with that time in microseconds since the epoch where it is known.
    pub fn read_batches<E: From<io::Error>>(&mut self, sink: Sink<'_, E>) -> Result<(), E> {
        self.read_some(u64::MAX, sink).map(|_| ())
    }

    /// The same, but no more than so many bytes, an archive or a batch beyond that: a log may grow, and be rotated, faster
    /// than it is read. Returns whether there may be more.
    pub fn read_some<E: From<io::Error>>(&mut self, most: u64, sink: Sink<'_, E>) -> Result<bool, E> {
        let handed = std::cell::Cell::new(0);
        let sink: Sink<'_, E> = &mut |piece, time| {
            handed.set(handed.get() + piece.len() as u64);
            sink(piece, time)
        };
        loop {
            if self.drain(most, sink)? {
                return Ok(true);
            }
            if !self.replaced()? {
                return Ok(false);
            }
            // What came after the end was reached and before the name was taken.
            if self.drain(most, sink)? {
                return Ok(true);
            }
            let Some(file) = open(&self.path)? else { return Ok(false) };
            let real = real(&self.path);
            let next = Body::new(&real, file, None)?;
            // At once: what is archived while others are shown is made of this file, or came after it.
            let all = archives::list(&real)?.all;
            let newest = last_before(&self.path, &all, Some(&next));
            // The archives of another log are no part of this one.
            let missed = if real == self.real { self.missed(all, newest) } else { Vec::new() };
            self.real = real;
            for archive in missed {
                self.newest = Some(archive.stamp);
                match open_archive(&archive, &mut || {}) {
                    Ok(Some((mut body, _))) => drain(&mut body, &archive.plain, &mut 0, u64::MAX, sink).map(|_| ())?,
                    Ok(None) => {} // It was too old.
                    Err(error) => self.unread.push(unreadable(&archive, &error)),
                }
            }
            (self.body, self.offset, self.newest) = (Some(next), 0, newest);
            if handed.get() > most {
                return Ok(true);
            }
        }
    }

    fn drain<E: From<io::Error>>(&mut self, most: u64, sink: Sink<'_, E>) -> Result<bool, E> {
        match &mut self.body {
            Some(body) => drain(body, &self.real, &mut self.offset, most, sink),
            None => Ok(false),
        }
    }

    /// The archives up to the newest, of files that came after ours.
    fn missed(&self, archives: Vec<Archive>, newest: Option<Stamp>) -> Vec<Archive> {
        let is_later = |archive: &Archive| Some(archive.stamp) > self.newest && Some(archive.stamp) <= newest;
        let mut later: Vec<Archive> = archives.into_iter().filter(is_later).collect();
        let Some(body) = &self.body else { return later };
        // Packed, it was the first of those that are like it. The first of all it was also where whoever has packed it has
        // not kept its time.
        let first = || later.first().filter(|first| body.is_packed_in(first)).map(|_| 0);
        let ours = body.plain_among(&later).or_else(|| body.packed_among(&later).next()).or_else(first);
        later.drain(..ours.map_or(0, |at| at + 1));
        later
    }

    /// Whether the name now belongs to another file than the open one. No file at all is not another one.
    fn replaced(&self) -> io::Result<bool> {
        let now = match self.path.metadata() {
            Ok(meta) => (meta.dev(), meta.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(self.body.as_ref().map(Body::identity).transpose()? != Some(now))
    }
}

/// The newest archive that is not this file itself, rotated meanwhile, or later.
fn last_before(log: &Path, archives: &[Archive], file: Option<&Body>) -> Option<Stamp> {
    let before = file.map_or(archives.len(), |file| file.archives_before(log, archives));
    archives[..before].last().map(|archive| archive.stamp)
}

/// What takes pieces, and when they came.
pub type Sink<'a, E> = &'a mut dyn FnMut(&[u8], Option<u64>) -> Result<(), E>;

/// Hands over what a file has from `offset` on, until it is more than `most`; returns whether there may be more. A file
/// that has shrunk begins anew.
fn drain<E: From<io::Error>>(
    body: &mut Body,
    path: &Path,
    offset: &mut u64,
    most: u64,
    sink: Sink<'_, E>,
) -> Result<bool, E> {
    let mut piece = Vec::new();
    let mut handed = 0;
    loop {
        body.refresh(path)?;
        if body.length() < *offset {
            *offset = 0;
        }
        if body.length() == *offset {
            return Ok(false);
        }
        while *offset < body.length() {
            let time = body.batch(*offset, &mut piece)?;
            if piece.is_empty() {
                break; // It shrinks just now.
            }
            sink(&piece, time)?;
            *offset += piece.len() as u64;
            handed += piece.len() as u64;
            if handed > most {
                return Ok(true);
            }
        }
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match body::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What ended a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// A file may have changed.
    Changed,
    /// The person pressed Ctrl-C.
    Interrupted,
    /// Nobody reads standard output any more.
    Unread,
    /// The time was up.
    Idle,
}

/// Sleeps until watched files may have changed, Ctrl-C, or the reader of standard output has left.
#[derive(Debug)]
pub struct Watch {
    inotify: Inotify,
    interrupt: UnixStream,
}

impl Watch {
    /// From here on, Ctrl-C no longer ends the process but shows as [`Woken::Interrupted`].
    pub fn new() -> io::Result<Self> {
        let (interrupt, rings) = UnixStream::pair()?;
        interrupt.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGINT, rings)?;
        Ok(Self { inotify: Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?, interrupt })
    }

    /// Watches for the file: in its directory, or, while that does not exist, in the nearest one above it; and where
    /// the name is a link, in the directory it leads to. To be called again after each wake-up, when that may differ:
    /// another directory in the place of the first wakes as well.
    pub fn add(&self, path: &Path) -> io::Result<()> {
        let events = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_ONLYDIR;
        // What else is told of it stays as it is: it may be the directory of another log.
        let comes = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ONLYDIR
            | AddWatchFlags::from_bits_retain(libc::IN_MASK_ADD);
        let nearest = |path: &Path| path.ancestors().skip(1).find(|dir| dir.is_dir()).map(Path::to_owned);
        let real = real(path);
        let leads = (real != path).then_some(real.as_path());
        for path in std::iter::once(path).chain(leads) {
            let mut dir = nearest(path);
            while let Some(found) = dir {
                // Where another would come in its place, if we may look there: that it goes itself is not told while we have
                // a file of it open.
                let _ = found.parent().map(|above| self.inotify.add_watch(above, comes));
                let added = self.inotify.add_watch(&found, events);
                // It may have gone, or another have come, before it was watched.
                dir = nearest(path).filter(|now| *now != found || added == Err(Errno::ENOENT));
                if let Err(error) = added
                    && error != Errno::ENOENT
                {
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Sleeps, at most this long.
    pub fn wait(&self, longest: Option<Duration>) -> io::Result<Woken> {
        let longest = longest.map_or(PollTimeout::NONE, |span| span.try_into().unwrap_or(PollTimeout::MAX));
        let stdout = io::stdout();
        let [changed, interrupt] = [self.inotify.as_fd(), self.interrupt.as_fd()];
        let [changed, interrupt] = [changed, interrupt].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        // That nobody reads it is told without being asked for.
        let mut ready = [changed, interrupt, PollFd::new(stdout.as_fd(), PollFlags::empty())];
        match poll(&mut ready, longest) {
            Ok(0) => return Ok(Woken::Idle),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        if (&self.interrupt).read(&mut [0; 16]).is_ok() {
            return Ok(Woken::Interrupted);
        }
        if ready[2].any().unwrap_or(false) {
            return Ok(Woken::Unread);
        }
        // Which file changed does not matter: every one is looked at.
        while self.inotify.read_events().is_ok() {}
        Ok(Woken::Changed)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;
    use crate::logs::pack::pack;

    fn read(tail: &mut Tail) -> String {
        let mut text = Vec::new();
        tail.read(&mut |piece| text.write_all(piece)).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn append(path: &Path, text: &str) {
        fs::OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_file_is_followed_through_growth_rotation_and_truncation() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("web.log");
        append(&path, "1\n2\n3\n");
        let mut tail = Tail::open(&path, 2).unwrap();
        assert_eq!(read(&mut tail), "2\n3\n");
        append(&path, "4\n");
        assert_eq!(read(&mut tail), "4\n");

        let rotated = home.path().join("web.log.1");
        fs::rename(&path, &rotated).unwrap();
        append(&rotated, "5\n");
        append(&path, "6\n");
        assert_eq!(read(&mut tail), "5\n6\n");

        fs::write(&path, "").unwrap();
        assert_eq!(read(&mut tail), "");
        append(&path, "7\n");
        assert_eq!(read(&mut tail), "7\n");
        fs::remove_file(&path).unwrap();
        assert_eq!(read(&mut tail), "");
        append(&path, "8\n");
        assert_eq!(read(&mut tail), "8\n");
    }

    #[test]
    fn nothing_is_missed_or_doubled_however_often_the_log_was_rotated() {
        for packed in [false, true] {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join("web.log");
            let archive = |second: u32| home.path().join(format!("web.log.2026-01-31-1200{second:02}"));
            append(&archive(1), "old\n");
            append(&path, "1\n");
            let mut tail = Tail::open(&path, 9).unwrap();
            assert_eq!(read(&mut tail), "1\n");
            append(&path, "2\n");
            fs::rename(&path, archive(2)).unwrap();
            if packed {
                // Ours, already packed and gone under its name, is still open.
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(b"1\n2\n").unwrap();
                fs::write(home.path().join("web.log.2026-01-31-120002.gz"), gzip.finish().unwrap()).unwrap();
                fs::remove_file(archive(2)).unwrap();
            }
            append(&path, "3\n");
            fs::rename(&path, archive(3)).unwrap();
            append(&path, "4\n");
            fs::rename(&path, archive(4)).unwrap();
            append(&path, "5\n");
            assert_eq!(read(&mut tail), "2\n3\n4\n5\n", "packed: {packed}");
            append(&path, "6\n");
            assert_eq!(read(&mut tail), "6\n");
            fs::rename(&path, archive(5)).unwrap();
            assert_eq!(read(&mut tail), "");
            append(&path, "7\n");
            assert_eq!(read(&mut tail), "7\n");
        }
    }

    #[test]
    fn archives_may_be_packed_and_made_while_others_are_shown() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("web.log");
        let archive = |second: u32| home.path().join(format!("web.log.2026-01-31-1200{second:02}"));
        let rotate = |second| fs::rename(&path, archive(second)).unwrap();
        append(&path, "1\n");
        let mut tail = Tail::open(&path, 9).unwrap();
        rotate(1);
        append(&path, "2\n");
        rotate(2);
        append(&path, "3\n");
        let mut text = Vec::new();
        let shown = tail.read::<io::Error>(&mut |piece| {
            text.extend_from_slice(piece);
            // While it is shown, two more rotations come, and all that is not open is packed.
            if piece == b"2\n" {
                rotate(3);
                append(&path, "4\n");
                rotate(4);
                append(&path, "5\n");
                for second in 1..4 {
                    // Of one, both names are there: the packer has been killed.
                    let kept = (second == 3).then(|| fs::read(archive(second)).unwrap());
                    pack(&archive(second), &|| false).unwrap();
                    kept.into_iter().for_each(|kept| fs::write(archive(second), kept).unwrap());
                }
                pack(&archive(4), &|| false).unwrap();
            }
            Ok(())
        });
        shown.unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "1\n2\n3\n4\n5\n");
        append(&path, "6\n");
        assert_eq!(read(&mut tail), "6\n");
        assert!(tail.unread.is_empty(), "{:?}", tail.unread);

        // What cannot be unpacked is named.
        rotate(5);
        append(&path, "7\n");
        rotate(6);
        fs::remove_file(archive(6)).unwrap();
        fs::write(home.path().join("web.log.2026-01-31-120006.gz"), "nonsense").unwrap();
        append(&path, "8\n");
        assert_eq!(read(&mut tail), "8\n");
        assert_eq!(tail.unread.len(), 1, "{:?}", tail.unread);
        assert!(tail.unread[0].contains("web.log.2026-01-31-120006.gz"), "{:?}", tail.unread);
    }

    #[test]
    fn an_archive_that_is_there_plain_and_packed_is_shown_once() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("web.log");
        let archive = |second: u32| home.path().join(format!("web.log.2026-01-31-1200{second:02}"));
        append(&path, "1\n");
        let mut tail = Tail::open(&path, 9).unwrap();
        for second in 1..4 {
            append(&path, &format!("{second}\n"));
            fs::rename(&path, archive(second)).unwrap();
            let text = fs::read(archive(second)).unwrap();
            pack(&archive(second), &|| false).unwrap();
            let packed = home.path().join(format!("web.log.2026-01-31-1200{second:02}.gz"));
            // The first is ours: it is held open, under the name that it had.
            if second > 1 {
                fs::write(archive(second), text).unwrap();
            }
            assert!(packed.exists());
        }
        append(&path, "4\n");
        assert_eq!(read(&mut tail), "1\n1\n2\n3\n4\n");
    }

    #[test]
    fn files_that_are_alike_are_told_apart() {
        let time = std::time::UNIX_EPOCH + Duration::from_secs(1_769_860_800);
        // Ours is the first; which of them are packed when they are looked at.
        for packed in [[true; 3], [false, true, true], [true, false, false]] {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join("web.log");
            let write = || {
                append(&path, "same\n");
                fs::OpenOptions::new().write(true).open(&path).unwrap().set_modified(time).unwrap();
            };
            write();
            let mut tail = Tail::open(&path, 9).unwrap();
            assert_eq!(read(&mut tail), "same\n");
            for (second, packed) in (1..).zip(packed) {
                let archive = home.path().join(format!("web.log.2026-01-31-12000{second}"));
                fs::rename(&path, &archive).unwrap();
                if packed {
                    pack(&archive, &|| false).unwrap();
                }
                write();
            }
            assert_eq!(read(&mut tail), "same\nsame\nsame\n", "{packed:?}");
            assert_eq!(read(&mut Tail::open(&path, 9).unwrap()), "same\n");
        }
    }

    #[test]
    fn a_log_is_read_in_turns_through_rotation_and_nothing_is_missed() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("web.log");
        let mut tail = Tail::open(&path, 0).unwrap();
        let lines = |from: usize| (from..from + 50_000).map(|line| format!("{line:08}\n")).collect::<String>();
        append(&home.path().join("web.log.2026-01-31-120001"), &lines(0));
        append(&path, &lines(50_000));
        let (mut text, mut turns) = (Vec::new(), 1);
        while tail.read_some(1000, &mut |piece, _| text.write_all(piece)).unwrap() {
            turns += 1;
            if turns == 3 {
                fs::rename(&path, home.path().join("web.log.2026-01-31-120002")).unwrap();
                append(&path, &lines(100_000));
            }
        }
        assert!(turns > 4, "{turns} turns");
        assert_eq!(String::from_utf8(text).unwrap(), lines(0) + &lines(50_000) + &lines(100_000));
    }

    #[test]
    fn a_log_that_did_not_exist_is_followed_from_its_first_archive() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("web.log");
        let mut tail = Tail::open(&path, 9).unwrap();
        append(&home.path().join("web.log.2026-01-31-120001"), "1\n");
        append(&path, "2\n");
        assert_eq!(read(&mut tail), "1\n2\n");
        fs::remove_file(&path).unwrap();
        append(&path, "3\n");
        assert_eq!(read(&mut tail), "3\n");
    }

    #[test]
    fn a_link_is_followed_to_its_archives_and_where_it_comes_to_lead() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        for dir in ["logs", "disk", "other"] {
            fs::create_dir(at(dir)).unwrap();
        }
        let (path, target) = (at("logs/web.log"), at("disk/out"));
        std::os::unix::fs::symlink(&target, &path).unwrap();
        append(&at("disk/out.2026-01-31-120001"), "old\n");
        append(&target, "1\n");
        let mut tail = Tail::open(&path, 9).unwrap();
        assert_eq!(read(&mut tail), "1\n");
        for second in 2..5 {
            append(&target, &format!("{second}\n"));
            fs::rename(&target, at(&format!("disk/out.2026-01-31-12000{second}"))).unwrap();
        }
        append(&target, "5\n");
        assert_eq!(read(&mut tail), "2\n3\n4\n5\n");

        append(&at("other/out.2026-01-31-120009"), "of another log\n");
        append(&at("other/out"), "6\n");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(at("other/out"), &path).unwrap();
        assert_eq!(read(&mut tail), "6\n");
    }

    #[test]
    fn a_file_that_does_not_exist_yet_wakes_its_reader() {
        // What is missing is waited for in the directory above it: not in that which all tests share.
        let home = tempfile::tempdir().unwrap();
        let home = home.path().join("root");
        fs::create_dir(&home).unwrap();
        let path = home.join("logs/web.log");
        let mut tail = Tail::open(&path, 10).unwrap();
        assert!(!tail.exists());
        let watch = Watch::new().unwrap();
        watch.add(tail.path()).unwrap();
        assert_eq!(watch.wait(Some(Duration::ZERO)).unwrap(), Woken::Idle);
        fs::create_dir(path.parent().unwrap()).unwrap();
        assert_eq!(watch.wait(Some(Duration::from_secs(5))).unwrap(), Woken::Changed);
        watch.add(tail.path()).unwrap();
        append(&path, "up\n");
        assert_eq!(watch.wait(Some(Duration::from_secs(5))).unwrap(), Woken::Changed);
        assert_eq!(read(&mut tail), "up\n");

        // The directory is replaced, and removed.
        for (text, gone) in [("moved\n", false), ("removed\n", true)] {
            let dir = path.parent().unwrap();
            match gone {
                true => fs::remove_dir_all(dir).unwrap(),
                false => fs::rename(dir, home.join("elsewhere")).unwrap(),
            }
            while watch.wait(Some(Duration::ZERO)).unwrap() == Woken::Changed {}
            fs::create_dir(dir).unwrap();
            assert_eq!(watch.wait(Some(Duration::from_secs(5))).unwrap(), Woken::Changed);
            watch.add(tail.path()).unwrap();
            append(&path, text);
            assert_eq!(watch.wait(Some(Duration::from_secs(5))).unwrap(), Woken::Changed);
            assert_eq!(read(&mut tail), text);
        }
    }
}
