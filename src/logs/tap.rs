//! From an app's pipe to its log file.
//!
//! Output is moved by splice(2), inside the kernel: a supervisor killed at any moment has either moved a piece or not,
//! so that nothing is lost and nothing is written twice. (A read followed by a write has a moment in between in which
//! the piece is nowhere but in our memory.) Where a file cannot be spliced to, it is read and written.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;

use daemonctl_actors::ports::{Pumped, Tap};
use rustix::pipe::{SpliceFlags, splice};
use tokio::net::unix::pipe::Receiver;

use super::open_through_own_links;
use super::terminal::Mirror;

/// The most that is moved at once: what a pipe holds.
const PIECE: usize = 64 << 10;

struct PipeTap {
    pipe: Receiver,
    path: PathBuf,
    file: Option<File>,
    mirror: Option<Mirror>,
    /// Bytes that could not be written anywhere, since the last time that one could.
    dropped: u64,
}

/// Opens a tap from the read end of `pipe` to the file at `path`. Call it on the thread that will drive the tap.
pub fn open(pipe: OwnedFd, path: PathBuf, mirror: Option<Mirror>) -> io::Result<Box<dyn Tap>> {
    let pipe = Receiver::from_owned_fd(pipe)?;
    let file = open_file(&path).ok();
    Ok(Box::new(PipeTap { pipe, path, file, mirror, dropped: 0 }))
}

/// Makes sure that a log file can be written.
pub fn prepare(path: &Path) -> io::Result<()> {
    open_file(path).map(|_| ())
}

/// Opens a log file at its end, and makes it and its directories where they are missing. Not with O_APPEND, which
/// splice(2) refuses: the end is sought before each write.
fn open_file(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    // Non-blocking, or a FIFO in the file's place would hold the log thread for ever.
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o640).custom_flags(libc::O_NONBLOCK);
    open_through_own_links(&mut options, libc::O_NONBLOCK, path)
}

impl Tap for PipeTap {
    fn ready(&mut self) -> Pin<Box<dyn Future<Output = io::Result<()>> + '_>> {
        Box::pin(self.pipe.readable())
    }

    fn pump(&mut self) -> io::Result<Pumped> {
        self.follow_the_name();
        let moved = match &mut self.file {
            Some(file) => self.pipe.try_io(|| splice_to_end(&self.pipe, file)),
            None => return self.discard(),
        };
        match moved {
            Ok((0, _)) => Ok(Pumped::End),
            Ok((bytes, at)) => {
                self.recovered();
                if let (Some(mirror), Some(file)) = (&mut self.mirror, &self.file) {
                    show_again(mirror, file, at, bytes);
                }
                Ok(if bytes < PIECE / 2 { Pumped::Some } else { Pumped::Full })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Pumped::Empty),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.copy(),
            Err(error) => {
                // Told once, and once more when it is over: there may be no room for more anywhere.
                if self.dropped == 0 {
                    tracing::warn!(path = %self.path.display(), %error, "cannot write a log, output is dropped");
                }
                self.discard()
            }
        }
    }
}

impl PipeTap {
    /// Opens the file anew if it could not be opened, or if its name has come to mean another file, or none.
    fn follow_the_name(&mut self) {
        let named = std::fs::metadata(&self.path).map(|meta| (meta.dev(), meta.ino())).ok();
        let opened = self.file.as_ref().and_then(|file| file.metadata().ok()).map(|meta| (meta.dev(), meta.ino()));
        if named.is_none() || named != opened {
            match open_file(&self.path) {
                Ok(file) => self.file = Some(file),
                // Rather the file that has lost its name than none.
                Err(error) => tracing::debug!(path = %self.path.display(), %error, "cannot open a log"),
            }
        }
    }

    /// For files that cannot be spliced to: reads and writes.
    fn copy(&mut self) -> io::Result<Pumped> {
        let mut buffer = vec![0; PIECE];
        let Some(bytes) = self.read(&mut buffer)? else { return Ok(Pumped::Empty) };
        if let Some(file) = &mut self.file {
            let written = file.seek(SeekFrom::End(0)).or(Ok(0)).and_then(|_| file.write_all(&buffer[..bytes]));
            if written.is_err() {
                self.dropped += bytes as u64;
            }
        }
        self.shown(&buffer, bytes)
    }

    /// Where nothing can be written, the app must not be stopped by a full pipe: its output is dropped, and counted.
    fn discard(&mut self) -> io::Result<Pumped> {
        let mut buffer = vec![0; PIECE];
        let Some(bytes) = self.read(&mut buffer)? else { return Ok(Pumped::Empty) };
        self.dropped += bytes as u64;
        self.shown(&buffer, bytes)
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.pipe.try_read(buffer) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn shown(&mut self, buffer: &[u8], bytes: usize) -> io::Result<Pumped> {
        if let Some(mirror) = self.mirror.as_mut().filter(|_| bytes > 0) {
            mirror.show(&buffer[..bytes]);
        }
        Ok(match bytes {
            0 => Pumped::End,
            _ if bytes < PIECE / 2 => Pumped::Some,
            _ => Pumped::Full,
        })
    }
}

impl PipeTap {
    /// Tells what has been lost, once there is an end to it.
    fn recovered(&mut self) {
        let bytes = std::mem::take(&mut self.dropped);
        if bytes > 0 {
            tracing::warn!(path = %self.path.display(), bytes, "output was dropped");
        }
    }
}

impl Drop for PipeTap {
    fn drop(&mut self) {
        self.recovered();
    }
}

/// Moves what the pipe holds to the end of the file; returns how much, and where it begins.
fn splice_to_end(pipe: &Receiver, file: &mut File) -> io::Result<(usize, u64)> {
    let at = file.seek(SeekFrom::End(0))?;
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    loop {
        match splice(pipe, None, &*file, None, PIECE, flags) {
            Err(rustix::io::Errno::INTR) => {}
            moved => return Ok((moved?, at)),
        }
    }
}

/// Shows a terminal what has just been written to a log.
fn show_again(mirror: &mut Mirror, file: &File, at: u64, bytes: usize) {
    let mut piece = vec![0; bytes];
    match file.read_exact_at(&mut piece, at) {
        Ok(()) => mirror.show(&piece),
        Err(error) => tracing::warn!(%error, "cannot show output again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a body on a runtime like the log thread's.
    fn on_log_thread<T>(body: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(body)
    }

    #[test]
    fn output_is_appended_and_follows_the_name_of_the_file() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("logs/web.log");
        std::fs::create_dir(home.path().join("logs")).unwrap();
        std::fs::write(&path, "before\n").unwrap();
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let mut writer = File::from(writer);
        on_log_thread(async {
            let mut tap = open(reader, path.clone(), None).unwrap();
            writer.write_all(b"one\n").unwrap();
            tap.ready().await.unwrap();
            assert_eq!(tap.pump().unwrap(), Pumped::Some);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "before\none\n");

            std::fs::rename(&path, home.path().join("logs/moved")).unwrap();
            writer.write_all(b"two\n").unwrap();
            tap.ready().await.unwrap();
            assert_eq!(tap.pump().unwrap(), Pumped::Some);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
            assert_eq!(tap.pump().unwrap(), Pumped::Empty);

            std::fs::write(&path, "").unwrap();
            writer.write_all(b"three\n").unwrap();
            drop(writer);
            tap.ready().await.unwrap();
            assert_eq!(tap.pump().unwrap(), Pumped::Some);
            assert_eq!(tap.pump().unwrap(), Pumped::End);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
        });
    }

    #[test]
    fn a_device_takes_output_too_and_a_full_one_does_not_stop_the_app() {
        for (device, expected) in [("/dev/null", Pumped::Some), ("/dev/full", Pumped::Some)] {
            let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
            on_log_thread(async {
                let mut tap = open(reader, device.into(), None).unwrap();
                File::from(writer).write_all(b"one\n").unwrap();
                tap.ready().await.unwrap();
                assert_eq!(tap.pump().unwrap(), expected, "{device}");
                assert_eq!(tap.pump().unwrap(), Pumped::End, "{device}");
            });
        }
    }
}
