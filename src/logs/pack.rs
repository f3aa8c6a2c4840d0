//! Packing an archive: it becomes a file of gzip beside it.
//!
//! At any moment one of the two is whole. What is packed has no name until it is complete and on the disk
//! (open(2), O_TMPFILE; linkat(2)), and the archive goes last. Whoever is killed in between leaves both, which readers
//! take for one; the next to pack compares them before the archive goes.
//!
//! The directory may belong to an app that has fewer rights than its supervisor. So every name is looked up in the
//! directory that was opened first, no link is followed, and a file with another name elsewhere is left alone.

use std::ffi::OsStr;
use std::fs::{File, FileTimes, Metadata, Permissions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstatvfs, linkat, openat, statat, unlinkat};
use rustix::io::Errno;

use super::archives::Form;
use crate::app::Shown;

/// How much is read at once.
const BLOCK: usize = 128 << 10;

/// How much room on its file system is left to output, at least; of a small one, a sixteenth.
const ROOM: u64 = 16 << 20;

/// What has become of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed {
    /// It is packed.
    Done,
    /// It is not there any more, or not a file that nobody else has a name for: there is nothing to do.
    NotOurs,
}

/// Packs an archive, with its owner, mode and time; gives up when it is told to stop, or there is too little room. The
/// error says why it was left as it is.
pub fn pack(archive: &Path, stops: &dyn Fn() -> bool) -> io::Result<Packed> {
    let (Some(dir), Some(name)) = (archive.parent(), archive.file_name()) else { return Ok(Packed::NotOurs) };
    let dir = match openat(CWD, dir, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(Packed::NotOurs),
        dir => dir?,
    };
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
    let mut packed_name = name.to_owned();
    packed_name.push(Form::Gzip.suffix());
    let new = match openat(&dir, &packed_name, flags, Mode::empty()).map(File::from) {
        // Somebody was killed before the plain one went, or has packed something else.
        Ok(there) if is_same(&plain, &there, stops)? => false,
        Ok(_) | Err(Errno::LOOP) => return Err(another(&packed_name)),
        Err(Errno::NOENT) => {
            let packed = compressed(&plain, &meta, &dir, stops)?;
            let now = plain.metadata()?;
            if !is_ours(&now) {
                return Ok(Packed::NotOurs); // It was removed, as too old for instance, and must not come back.
            }
            if (now.len(), now.mtime(), now.mtime_nsec()) != (meta.len(), meta.mtime(), meta.mtime_nsec()) {
                return Err(io::Error::other("it is still written to"));
            }
            let by_number = format!("/proc/self/fd/{}", packed.as_raw_fd());
            match linkat(CWD, by_number, &dir, &packed_name, AtFlags::SYMLINK_FOLLOW) {
                Err(Errno::EXIST) => return Err(another(&packed_name)),
                linked => linked.map(|()| true)?,
            }
        }
        Err(error) => return Err(error.into()),
    };
    // Only what was packed goes, not what somebody has put in its place meanwhile.
    match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) if (named.st_dev, named.st_ino) == (meta.dev(), meta.ino()) => {
            unlinkat(&dir, name, AtFlags::empty())?;
        }
        // It was removed just now.
        Err(Errno::NOENT) if new => {
            unlinkat(&dir, &packed_name, AtFlags::empty())?;
            return Ok(Packed::NotOurs);
        }
        Ok(_) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Packed::Done)
}

fn another(packed_name: &OsStr) -> io::Error {
    io::Error::other(format!("there is another {}", packed_name.shown()))
}

/// A file, and one that has no other name.
fn is_ours(meta: &Metadata) -> bool {
    meta.is_file() && meta.nlink() == 1
}

/// The packed file, on the disk, without a name, which is like the plain one in all but its content.
fn compressed(plain: &File, meta: &Metadata, dir: &OwnedFd, stops: &dyn Fn() -> bool) -> io::Result<File> {
    let unnamed = openat(dir, ".", OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR);
    let unnamed = unnamed.map(File::from).map_err(|error| match error {
        Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL => {
            io::Error::other("its file system cannot make files without a name")
        }
        error => error.into(),
    })?;
    let seconds = u32::try_from(meta.mtime()).unwrap_or(0); // 0 is none, says RFC 1952.
    let packed = BufWriter::with_capacity(BLOCK, unnamed);
    let mut gzip = GzBuilder::new().mtime(seconds).write(packed, Compression::default());
    let (mut block, mut at) = (vec![0; BLOCK], 0);
    loop {
        leave_room(dir)?;
        goes_on(stops)?;
        let count = plain.read_at(&mut block, at)?;
        if count == 0 {
            break;
        }
        gzip.write_all(&block[..count])?;
        at += count as u64;
    }
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

/// An error where output may soon need what room there is.
fn leave_room(dir: &OwnedFd) -> io::Result<()> {
    let system = fstatvfs(dir)?;
    let [free, all] = [system.f_bavail, system.f_blocks].map(|blocks| blocks.saturating_mul(system.f_frsize));
    match free < (all / 16).min(ROOM) {
        true => Err(io::Error::other("there is too little room on its file system")),
        false => Ok(()),
    }
}

/// An error where the work is to be given up.
fn goes_on(stops: &dyn Fn() -> bool) -> io::Result<()> {
    match stops() {
        true => Err(io::Error::other("its file system is full")),
        false => Ok(()),
    }
}

/// Whether a packed file holds what a plain one does.
fn is_same(plain: &File, packed: &File, stops: &dyn Fn() -> bool) -> io::Result<bool> {
    let mut unpacked = MultiGzDecoder::new(BufReader::with_capacity(BLOCK, packed));
    let (mut one, mut other, mut at) = (vec![0; BLOCK], vec![0; BLOCK], 0);
    loop {
        goes_on(stops)?;
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
    use std::os::unix::fs::{chown, symlink};
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::logs::archives;
    use crate::logs::body::Body;

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
        // Root may keep logs for others.
        let owner = if nix::unistd::geteuid().is_root() { 65_534 } else { plain.metadata().unwrap().uid() };
        chown(&plain, Some(owner), None).unwrap();
        assert_eq!(pack(&plain, &|| false).unwrap(), Packed::Done);
        assert_eq!(names(&home), [format!("{NAME}.gz")]);
        assert_eq!(unpacked(&packed), text);
        let meta = packed.metadata().unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.modified().unwrap()), (0o604, owner, written));
        assert!(meta.len() < text.len() as u64 / 3, "{} bytes", meta.len());
        assert_eq!(pack(&plain, &|| false).unwrap(), Packed::NotOurs, "it is gone");
    }

    #[test]
    fn whoever_still_has_the_plain_one_open_knows_it_again() {
        let (home, plain, _, text) = archive();
        let body = |path: &Path| Body::new(path, File::open(path).unwrap(), None).unwrap();
        let (held, longer, other) = (body(&plain), home.path().join("longer"), home.path().join("other"));
        fs::write(&longer, format!("{text}x")).unwrap();
        fs::write(&other, text.replacen('l', "L", 1)).unwrap();
        let later = home.path().join("later");
        fs::copy(&plain, &later).unwrap();
        let listed = || archives::list(&home.path().join("web.log")).unwrap().all.remove(0);
        let before = listed();
        pack(&plain, &|| false).unwrap();
        for archive in [before, listed()] {
            let is_among = |body: &Body| body.packed_among(std::slice::from_ref(&archive)).next().is_some();
            assert!(is_among(&held) && held.is_packed_in(&archive));
            assert!(!body(&longer).is_packed_in(&archive) && !body(&other).is_packed_in(&archive));
            assert!(body(&later).is_packed_in(&archive) && !is_among(&body(&later)), "it is of another time");
        }
    }

    #[test]
    fn of_two_the_plain_one_goes_if_the_other_is_whole() {
        let (home, plain, packed, text) = archive();
        let kept = home.path().join("kept");
        fs::copy(&plain, &kept).unwrap();
        pack(&plain, &|| false).unwrap();
        let whole = fs::read(&packed).unwrap();
        // Killed before it went.
        fs::rename(&kept, &plain).unwrap();
        assert_eq!(pack(&plain, &|| false).unwrap(), Packed::Done);
        assert_eq!(names(&home), [format!("{NAME}.gz")]);

        // Somebody else packs it just now, or has packed something else.
        let mut longer = text.clone();
        longer.push('x');
        let cases = [(&text, &whole[..whole.len() / 2]), (&text, b"".as_slice()), (&longer, &whole[..])];
        for (text, there) in cases {
            fs::write(&plain, text).unwrap();
            fs::write(&packed, there).unwrap();
            assert!(pack(&plain, &|| false).unwrap_err().to_string().contains("there is another"));
            assert_eq!((fs::read_to_string(&plain).unwrap(), fs::read(&packed).unwrap()), (text.clone(), there.into()));
        }
    }

    #[test]
    fn what_has_another_name_elsewhere_is_left_alone() {
        let (home, plain, _, text) = archive();
        let other = home.path().join("other");
        fs::hard_link(&plain, &other).unwrap();
        assert_eq!(pack(&plain, &|| false).unwrap(), Packed::NotOurs);
        fs::remove_file(&plain).unwrap();
        symlink(&other, &plain).unwrap();
        assert_eq!(pack(&plain, &|| false).unwrap(), Packed::NotOurs);
        fs::remove_file(&plain).unwrap();
        fs::create_dir(&plain).unwrap();
        assert_eq!(pack(&plain, &|| false).unwrap(), Packed::NotOurs);
        assert_eq!(names(&home), ["other", NAME]);
        assert_eq!(fs::read_to_string(&other).unwrap(), text);
        assert_eq!(pack(&home.path().join("gone").join(NAME), &|| false).unwrap(), Packed::NotOurs);
    }
}
