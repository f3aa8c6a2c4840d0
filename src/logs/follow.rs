//! More of a file, as it comes.
//!
//! A [`Tail`] is one file by its name: when another file takes the name (rotation), the old one is read to its end
//! first; when the file shrinks, reading begins again. A [`Watch`] sleeps until one of several files may have changed:
//! it watches directories, where both writes and changes of names show, so nothing is polled.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::read::tail_offset;

/// One file that is read as it grows.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    file: Option<File>,
    offset: u64,
}

impl Tail {
    /// Begins with the last `lines` lines of the file. A file that does not exist yet is read from its beginning.
    pub fn open(path: &Path, lines: usize) -> io::Result<Self> {
        let mut tail = Self { path: path.to_owned(), file: open(path)?, offset: 0 };
        if let Some(file) = &tail.file {
            tail.offset = tail_offset(file, file.metadata()?.len(), lines)?;
        }
        Ok(tail)
    }

    /// The name of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is such a file.
    pub fn exists(&self) -> bool {
        self.file.is_some()
    }

    /// Hands over everything that has not been read, in pieces.
    pub fn read<E: From<io::Error>>(&mut self, sink: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut piece = vec![0; 64 << 10];
        loop {
            if let Some(file) = &self.file {
                if file.metadata()?.len() < self.offset {
                    self.offset = 0;
                }
                loop {
                    let count = file.read_at(&mut piece, self.offset)?;
                    if count == 0 {
                        break;
                    }
                    sink(&piece[..count])?;
                    self.offset += count as u64;
                }
            }
            if !self.replaced()? {
                return Ok(());
            }
            (self.file, self.offset) = (open(&self.path)?, 0);
            if self.file.is_none() {
                return Ok(());
            }
        }
    }

    /// Whether the name now belongs to another file than the open one. No file at all is not another one.
    fn replaced(&self) -> io::Result<bool> {
        let now = match self.path.metadata() {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let Some(file) = &self.file else { return Ok(true) };
        let ours = file.metadata()?;
        Ok((ours.dev(), ours.ino()) != (now.dev(), now.ino()))
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
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
    /// The time was up.
    Idle,
}

/// Sleeps until watched files may have changed, or Ctrl-C.
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
    /// the name is a link, in the directory it leads to. To be called again after each wake-up, when that may differ.
    pub fn add(&self, path: &Path) -> io::Result<()> {
        let events = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_ONLYDIR;
        let target = path.canonicalize().ok();
        for path in [Some(path), target.as_deref()].into_iter().flatten() {
            if let Some(dir) = path.ancestors().skip(1).find(|dir| dir.is_dir()) {
                self.inotify.add_watch(dir, events)?;
            }
        }
        Ok(())
    }

    /// Sleeps, at most this long.
    pub fn wait(&self, longest: Option<Duration>) -> io::Result<Woken> {
        let longest = longest.map_or(PollTimeout::NONE, |span| span.try_into().unwrap_or(PollTimeout::MAX));
        let mut ready = [self.inotify.as_fd(), self.interrupt.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut ready, longest) {
            Ok(0) => return Ok(Woken::Idle),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        if (&self.interrupt).read(&mut [0; 16]).is_ok() {
            return Ok(Woken::Interrupted);
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
    fn a_file_that_does_not_exist_yet_wakes_its_reader() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("logs/web.log");
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
    }
}
