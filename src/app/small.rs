//! Files that an app is described by: small, regular, and read without waiting for anybody.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Reads a regular file of at most so many bytes, a power of two from a MiB up. A named pipe, a device or a directory in its
/// place is an error, and nothing that is waited for.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let bytes = head(path, most + 1)?;
    match bytes.len() as u64 > most {
        true => Err(io::Error::other(format!("it is larger than {} MiB", most >> 20))),
        false => Ok(bytes),
    }
}

/// Reads the first so many bytes of a regular file.
pub fn head(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path, 0)?.0.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a plain file for reading, with these flags beside.
pub fn open(path: &Path, flags: i32) -> io::Result<(File, Metadata)> {
    let file = OpenOptions::new().read(true).custom_flags(flags | libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let meta = file.metadata()?;
    match is_plain(&meta) {
        true => Ok((file, meta)),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

/// Whether this is a regular file, or /dev/null by its number (null(4)): that is an empty one.
pub fn is_plain(meta: &Metadata) -> bool {
    meta.is_file() || meta.file_type().is_char_device() && meta.rdev() == rustix::fs::makedev(1, 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_small_regular_file_is_read() {
        let home = tempfile::tempdir().unwrap();
        let (file, fifo) = (home.path().join("file"), home.path().join("fifo"));
        std::fs::write(&file, vec![b'x'; (1 << 20) + 1]).unwrap();
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(head(&file, 3).unwrap(), b"xxx");
        assert_eq!(read(&file, 1 << 20).unwrap_err().to_string(), "it is larger than 1 MiB");
        assert_eq!(read(&file, 2 << 20).unwrap().len(), (1 << 20) + 1);
        assert_eq!(read(Path::new("/dev/null"), 1 << 20).unwrap(), b"");
        for path in [&fifo, home.path(), Path::new("/dev/zero")] {
            assert_eq!(read(path, 1 << 20).unwrap_err().to_string(), "it is not a regular file", "{}", path.display());
        }
    }
}
