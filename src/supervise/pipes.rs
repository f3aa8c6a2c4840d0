//! Pipes that other processes have open: which one it is, and opening it again through /proc.

use std::fs::{self, Metadata, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::pipe::{PipeFlags, pipe_with};

/// A pipe, by device and inode.
pub type PipeId = (u64, u64);

/// The inode of a pipe, by which its other ends are recognised.
pub(super) fn inode(fd: &OwnedFd) -> u64 {
    rustix::fs::fstat(fd).map_or(0, |stat| stat.st_ino)
}

/// The nameless pipe with this inode: all of them are on one device.
pub(super) fn nameless(inode: u64) -> io::Result<PipeId> {
    let (one, _) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok((rustix::fs::fstat(&one)?.st_dev, inode))
}

/// The pipe that is open as this descriptor of a process.
pub(super) fn pipe_of(pid: i32, fd: i32) -> PipeId {
    fs::metadata(format!("/proc/{pid}/fd/{fd}")).map_or((0, 0), |meta| id(&meta))
}

/// A read end of this nameless pipe, if the process has the pipe open. Of everything else it has open no more is asked than
/// its name: a file of a server that is gone would hold up whoever looks at it.
pub(super) fn reader(pid: i32, pipe: PipeId) -> Option<OwnedFd> {
    let name = format!("pipe:[{}]", pipe.1);
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.filter_map(Result::ok);
    let is_it = |path: &PathBuf| fs::read_link(path).is_ok_and(|link| link.as_os_str() == name.as_str());
    entries.map(|entry| entry.path()).filter(is_it).find_map(|path| opened(&path, pipe))
}

/// Opens the pipe for reading. What was opened is compared: by then, the process may have something else there.
fn opened(path: &Path, pipe: PipeId) -> Option<OwnedFd> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path).ok()?;
    file.metadata().is_ok_and(|meta| is(&meta, pipe)).then(|| file.into())
}

fn id(meta: &Metadata) -> PipeId {
    (meta.dev(), meta.ino())
}

fn is(meta: &Metadata, pipe: PipeId) -> bool {
    meta.file_type().is_fifo() && id(meta) == pipe
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_pipe_is_opened_again_and_nothing_in_its_place() {
        let own = std::process::id() as i32;
        let path = |fd: &OwnedFd| format!("/proc/{own}/fd/{}", fd.as_raw_fd());
        let [(out, mut writer), (other, _kept)] = [(); 2].map(|()| {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
            (reader, fs::File::from(writer))
        });
        let pipe = nameless(inode(&out)).unwrap();
        assert_eq!(pipe_of(own, out.as_raw_fd()), pipe);
        let mut again = fs::File::from(reader(own, pipe).unwrap());
        writer.write_all(b"line").unwrap();
        let mut read = [0; 4];
        again.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"line");
        assert!(opened(path(&out).as_ref(), pipe).is_some());
        assert!(opened(path(&other).as_ref(), pipe).is_none(), "another pipe has come in its place");
        assert!(opened(Path::new("/dev/null"), pipe).is_none());
        assert!(reader(own, (pipe.0 + 1, pipe.1)).is_none(), "a pipe with a name may have the same inode");
    }
}
