//! Packing an archive: it becomes a file of gzip beside it.
//!
//! At any moment one of the two is whole. What is packed has no name until it is complete and on the disk
//! (open(2), O_TMPFILE; linkat(2)), and the archive goes last. Whoever is killed in between leaves both, which readers
//! take for one; the next to pack compares them before the archive goes.
//!
//! The directory may belong to an app that has fewer rights than its supervisor. So every name is looked up in the
//! directory that was opened first, no link is followed, and a file with another name elsewhere is left alone.

use std::fs::{File, FileTimes, Metadata, Permissions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use flate2::{Compression, Crc, GzBuilder};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat, statat, unlinkat};
use rustix::io::Errno;

use super::body;

/// How much is read at once.
const BLOCK: usize = 128 << 10;

/// What has become of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed {
    /// It is packed.
    Done,
    /// It is not there any more, or not a file that nobody else has a name for: there is nothing to do.
    NotOurs,
}

/// Packs an archive, with its owner, mode and time. The error says why it was left as it is.
pub fn pack(archive: &Path) -> io::Result<Packed> {
    let (Some(dir), Some(name)) = (archive.parent(), archive.file_name()) else { return Ok(Packed::NotOurs) };
    let dir = openat(CWD, dir, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let plain = match openat(&dir, name, flags, Mode::empty()) {
        Ok(plain) => File::from(plain),
        Err(Errno::NOENT | Errno::LOOP) => return Ok(Packed::NotOurs),
        Err(error) => return Err(error.into()),
    };
    let meta = plain.metadata()?;
    if !is_ours(&meta) {
        return Ok(Packed::NotOurs);
    }
    let packed = compressed(&plain, &meta, || {
        let unnamed = openat(&dir, ".", OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR);
        unnamed.map(File::from).map_err(|error| match error {
            Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL => {
                io::Error::other("its file system cannot make files without a name")
            }
            error => error.into(),
        })
    })?;
    let now = plain.metadata()?;
    if !is_ours(&now) {
        return Ok(Packed::NotOurs); // It was removed, as too old for instance, and must not come back.
    }
    if (now.len(), now.mtime(), now.mtime_nsec()) != (meta.len(), meta.mtime(), meta.mtime_nsec()) {
        return Err(io::Error::other("it is still written to"));
    }
    let mut packed_name = name.to_owned();
    packed_name.push(".gz");
    let by_number = format!("/proc/self/fd/{}", packed.as_raw_fd());
    match linkat(CWD, by_number, &dir, &packed_name, AtFlags::SYMLINK_FOLLOW) {
        Ok(()) => {}
        Err(Errno::EXIST) => {
            let there = openat(&dir, &packed_name, flags, Mode::empty()).map(File::from)?;
            if !is_same(&plain, &there)? {
                return Err(io::Error::other(format!("there is another {}", packed_name.display())));
            }
        }
        Err(error) => return Err(error.into()),
    }
    // Only what was packed goes, not what somebody has put in its place meanwhile.
    let named = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if (named.st_dev, named.st_ino) == (meta.dev(), meta.ino()) {
        unlinkat(&dir, name, AtFlags::empty())?;
    }
    Ok(Packed::Done)
}

/// Whether a packed file is this one, which has so many bytes. gzip ends with checksum and length, modulo 2^32, of what it
/// holds (RFC 1952, 2.3.1).
pub fn holds(packed: &Path, plain: &File, length: u64) -> io::Result<bool> {
    let (packed, mut told) = (body::open(packed)?, [0; 8]);
    packed.read_exact_at(&mut told, packed.metadata()?.len().saturating_sub(8))?;
    let (checksum, size) = told.split_at(4);
    if size != (length as u32).to_le_bytes() {
        return Ok(false);
    }
    let (mut crc, mut block, mut at) = (Crc::new(), vec![0; BLOCK], 0);
    while at < length {
        let count = plain.read_at(&mut block, at)?;
        if count == 0 {
            return Ok(false);
        }
        crc.update(&block[..count]);
        at += count as u64;
    }
    Ok(checksum == crc.sum().to_le_bytes())
}

/// A file, and one that has no other name.
fn is_ours(meta: &Metadata) -> bool {
    meta.is_file() && meta.nlink() == 1
}

/// The packed file, on the disk, which is like the plain one in all but its content.
fn compressed(plain: &File, meta: &Metadata, make: impl FnOnce() -> io::Result<File>) -> io::Result<File> {
    let seconds = u32::try_from(meta.mtime()).unwrap_or(0); // 0 is none, says RFC 1952.
    let packed = BufWriter::with_capacity(BLOCK, make()?);
    let mut gzip = GzBuilder::new().mtime(seconds).write(packed, Compression::default());
    io::copy(&mut BufReader::with_capacity(BLOCK, plain), &mut gzip)?;
    let mut rest = gzip.finish()?;
    rest.flush()?;
    let packed = rest.into_inner().map_err(io::IntoInnerError::into_error)?;
    let own = packed.metadata()?;
    if (own.uid(), own.gid()) != (meta.uid(), meta.gid()) {
        fchown(&packed, Some(meta.uid()), Some(meta.gid()))?;
    }
    packed.set_permissions(Permissions::from_mode(meta.mode() & 0o7777))?;
    packed.set_times(FileTimes::new().set_accessed(meta.accessed()?).set_modified(meta.modified()?))?;
    // Or a machine that loses its power could find the archive gone and this one empty.
    packed.sync_all()?;
    Ok(packed)
}

/// Whether a packed file holds what a plain one does.
fn is_same(plain: &File, packed: &File) -> io::Result<bool> {
    let mut unpacked = MultiGzDecoder::new(BufReader::with_capacity(BLOCK, packed));
    let (mut one, mut other, mut at) = (vec![0; BLOCK], vec![0; BLOCK], 0);
    loop {
        let count = match unpacked.read(&mut one) {
            Ok(count) => count,
            Err(_) => return Ok(false), // It is not complete, or no gzip.
        };
        if count == 0 {
            return Ok(at == plain.metadata()?.len());
        }
        match plain.read_exact_at(&mut other[..count], at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        if one[..count] != other[..count] {
            return Ok(false);
        }
        at += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime};

    use super::*;

    const NAME: &str = "web.log.2026-01-31-120005";

    fn archive() -> (tempfile::TempDir, PathBuf, PathBuf, String) {
        let home = tempfile::tempdir().unwrap();
        let (plain, packed) = (home.path().join(NAME), home.path().join(format!("{NAME}.gz")));
        let text: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
        fs::write(&plain, &text).unwrap();
        (home, plain, packed, text)
    }

    fn unpacked(path: &Path) -> String {
        let mut text = String::new();
        MultiGzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        text
    }

    fn names(home: &tempfile::TempDir) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(home.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_packed_archive_has_content_mode_and_time_of_the_plain_one() {
        let (home, plain, packed, text) = archive();
        let written = SystemTime::now() - Duration::from_secs(86_400);
        File::options().write(true).open(&plain).unwrap().set_modified(written).unwrap();
        fs::set_permissions(&plain, Permissions::from_mode(0o604)).unwrap();
        assert_eq!(pack(&plain).unwrap(), Packed::Done);
        assert_eq!(names(&home), [format!("{NAME}.gz")]);
        assert_eq!(unpacked(&packed), text);
        let meta = packed.metadata().unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.modified().unwrap()), (0o604, written));
        assert!(meta.len() < text.len() as u64 / 3, "{} bytes", meta.len());
        assert_eq!(pack(&plain).unwrap(), Packed::NotOurs, "it is gone");
        // Whoever still has the plain one open knows it again.
        let held = tempfile::tempfile().unwrap();
        let length = text.len() as u64;
        held.write_all_at(text.as_bytes(), 0).unwrap();
        assert!(holds(&packed, &held, length).unwrap());
        assert!(!holds(&packed, &held, length - 1).unwrap());
        held.write_all_at(b"L", 0).unwrap();
        assert!(!holds(&packed, &held, length).unwrap());
    }

    #[test]
    fn of_two_the_plain_one_goes_if_the_other_is_whole() {
        let (home, plain, packed, text) = archive();
        let kept = home.path().join("kept");
        fs::copy(&plain, &kept).unwrap();
        pack(&plain).unwrap();
        let whole = fs::read(&packed).unwrap();
        // Killed before it went.
        fs::rename(&kept, &plain).unwrap();
        assert_eq!(pack(&plain).unwrap(), Packed::Done);
        assert_eq!(names(&home), [format!("{NAME}.gz")]);

        // Somebody else packs it just now, or has packed something else.
        let mut longer = text.clone();
        longer.push('x');
        let cases = [(&text, &whole[..whole.len() / 2]), (&text, b"".as_slice()), (&longer, &whole[..])];
        for (text, there) in cases {
            fs::write(&plain, text).unwrap();
            fs::write(&packed, there).unwrap();
            assert!(pack(&plain).unwrap_err().to_string().contains("there is another"));
            assert_eq!((fs::read_to_string(&plain).unwrap(), fs::read(&packed).unwrap()), (text.clone(), there.into()));
        }
    }

    #[test]
    fn what_has_another_name_elsewhere_is_left_alone() {
        let (home, plain, _, text) = archive();
        let other = home.path().join("other");
        fs::hard_link(&plain, &other).unwrap();
        assert_eq!(pack(&plain).unwrap(), Packed::NotOurs);
        fs::remove_file(&plain).unwrap();
        symlink(&other, &plain).unwrap();
        assert_eq!(pack(&plain).unwrap(), Packed::NotOurs);
        fs::remove_file(&plain).unwrap();
        fs::create_dir(&plain).unwrap();
        assert_eq!(pack(&plain).unwrap(), Packed::NotOurs);
        assert_eq!(names(&home), ["other", NAME]);
        assert_eq!(fs::read_to_string(&other).unwrap(), text);
    }
}
