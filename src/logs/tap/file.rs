//! A log that grows: the file that has its name, whatever happens to that, with its index and its archives.

use std::fmt::{self, Display, Formatter};
use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use daemonctl_actors::rotation::Limit;
use nix::unistd::{AccessFlags, access};

use super::packer::PACKER;
use super::upkeep::Upkeep;
use super::{News, is_full};
use crate::app::{Shown, reason};
use crate::logs::body::identity;
use crate::logs::rotate::{self, Rules};
use crate::logs::{open_through_own_links, place, times};

/// How long a rotation that failed is not tried again.
const SULK: Duration = Duration::from_secs(1);

/// The most that a FIFO holds, unless root has given it more (pipe(7), pipe-max-size).
const FIFO_MOST: u64 = 1 << 20;

/// How often is told, at most, that archives were removed to make room. There may be one a second.
const TELL: Duration = Duration::from_secs(60);

/// Archives of a log that were removed to make room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// How many.
    pub archives: u64,
    /// What they held, as it was stored.
    pub bytes: u64,
}

impl Display for Removed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.archives {
            1 => write!(f, "the oldest archive ({} bytes)", self.bytes),
            archives => write!(f, "the {archives} oldest archives ({} bytes)", self.bytes),
        }
    }
}

/// Makes sure that a log file can be written. A FIFO is not opened for that: whoever waits at it would take it for the end
/// when it is closed again.
pub fn prepare(path: &Path) -> io::Result<()> {
    make_dir(path, None, None)?;
    let place = place(path);
    match place.symlink_metadata() {
        Ok(meta) if meta.file_type().is_fifo() => Ok(access(&place, AccessFlags::R_OK | AccessFlags::W_OK)?),
        _ => open(path, None, false).map(|_| ()),
    }
}

/// Whom a file belongs to, and who may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl Owner {
    fn of(meta: &Metadata) -> Self {
        // Of a directory, setgid and sticky are about what comes into it; on a log they have no place.
        let bits = if meta.is_dir() { 0o7777 } else { 0o777 };
        Self { uid: meta.uid(), gid: meta.gid(), mode: meta.mode() & bits }
    }

    /// Makes an open file or directory that is new and ours like the one that was there before it. Not by its name, which
    /// may mean another by now. That this may fail is no reason to lose output.
    fn restore(self, file: &File) {
        let restored = file.metadata().map(|meta| Self::of(&meta)).and_then(|now| {
            // The mode last: a change of owner may take bits away.
            if (now.uid, now.gid) != (self.uid, self.gid) {
                std::os::unix::fs::fchown(file, Some(self.uid), Some(self.gid))?;
            }
            if now.mode != self.mode {
                file.set_permissions(Permissions::from_mode(self.mode))?;
            }
            Ok(())
        });
        if let Err(error) = restored {
            tracing::warn!(?file, %error, "cannot give it the owner and mode that it had");
        }
    }
}

/// The owners of a log and of its directory.
#[derive(Clone, Copy, Debug)]
struct Owners {
    dir: Owner,
    file: Owner,
}

impl Owners {
    fn of(path: &Path, file: &Metadata) -> io::Result<Self> {
        let dir = Owner::of(&path.parent().unwrap_or(Path::new("/")).metadata()?);
        Ok(Self { dir, file: Owner::of(file) })
    }
}

/// Makes the directory of a log where it is missing, like the one that was there before. But where the app's own is
/// gone, somebody has removed the app or moved it away, and would not know what has come in its place.
fn make_dir(path: &Path, home: Option<&Path>, before: Option<Owners>) -> io::Result<()> {
    let Some(dir) = path.parent().filter(|dir| !dir.is_dir()) else { return Ok(()) };
    if home.is_some_and(|home| dir.starts_with(home) && !home.is_dir()) {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the app's directory is gone"));
    }
    std::fs::create_dir_all(dir)?;
    if let Some(before) = before {
        let mut options = OpenOptions::new();
        let made = options.read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW).open(dir)?;
        before.dir.restore(&made);
    }
    Ok(())
}

/// Opens a log file, and makes it where it is missing, like the one that was there before. With O_APPEND, which splice(2)
/// refuses, only where that is asked for.
fn open(path: &Path, before: Option<Owners>, appends: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // Non-blocking, or a FIFO in the file's place would hold the log thread for ever.
    options.read(true).write(true).append(appends).create(true).truncate(false).mode(0o640);
    let Some(before) = before else { return open_through_own_links(&mut options, libc::O_NONBLOCK, path) };
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            before.file.restore(&file);
            Ok(file)
        }
        Err(_) => open_through_own_links(&mut options, libc::O_NONBLOCK, path),
    }
}

/// The file that is open.
#[derive(Debug)]
struct Opened {
    file: File,
    id: (u64, u64),
    /// Its name without links.
    real: PathBuf,
    /// Not a device, for instance.
    regular: bool,
    owners: Option<Owners>,
}

impl Opened {
    fn new(path: &Path, file: File) -> io::Result<Self> {
        let meta = file.metadata()?;
        // A file that comes in the place of a device is not like that.
        let owners = Owners::of(path, &meta).ok().filter(|_| meta.is_file());
        let (id, place) = ((meta.dev(), meta.ino()), place(path));
        // What is done to the name is done to this file, or not at all. It is looked at again where somebody has been faster.
        if identity(&place).is_some_and(|there| there != id) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(Self { id, real: place, regular: meta.is_file(), owners, file })
    }

    /// What waits in a FIFO for a reader that has not come: it is gone with the last who has it open. No more than a FIFO
    /// holds: others may write to it for as long as it is read.
    fn left(&self) -> Vec<u8> {
        let mut left = Vec::new();
        if self.file.metadata().is_ok_and(|meta| meta.file_type().is_fifo()) {
            // It ends with the error of what would have to be waited for.
            let _ = (&self.file).take(FIFO_MOST).read_to_end(&mut left);
        }
        left
    }
}

/// The index of the file that is open.
#[derive(Debug)]
enum Times {
    /// Not begun.
    Closed,
    Open(times::Writer),
    /// It could not be written, and that has been told.
    Broken,
}

/// A log.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    /// The directory of the app whose log it is.
    home: Option<PathBuf>,
    rules: Rules,
    /// Whether the kernel finds the end for each write (O_APPEND).
    appends: bool,
    opened: Option<Opened>,
    size: u64,
    times: Times,
    upkeep: Upkeep,
    /// Until when a rotation is not tried again.
    sulks: Option<Instant>,
    /// Why it cannot be rotated, as it has been told.
    complained: Option<String>,
    /// What has not been told, and when it was the last time.
    removed: Removed,
    told: Option<Instant>,
}

impl LogFile {
    /// The log at this path. It is opened when there is something to write, or some of its archives may have to go.
    pub(super) fn new(path: &Path, home: &Path, rules: Rules) -> Self {
        Self::begin(path, Some(home.to_owned()), rules, false)
    }

    /// The same for whoever shares the log with other processes, which write to its end as well. It is not spliced to.
    pub(crate) fn shared(path: &Path, rules: Rules) -> Self {
        Self::begin(path, None, rules, true)
    }

    fn begin(path: &Path, home: Option<PathBuf>, rules: Rules, appends: bool) -> Self {
        let mut log = Self {
            path: path.to_owned(),
            home,
            rules,
            appends,
            opened: None,
            size: 0,
            times: Times::Closed,
            upkeep: Upkeep::default(),
            sulks: None,
            complained: None,
            removed: Removed::default(),
            told: None,
        };
        log.prune();
        log
    }

    /// Other rules from now on.
    pub(super) fn set_rules(&mut self, rules: Rules) {
        if rules != self.rules {
            self.rules = rules;
            self.prune();
        }
    }

    /// Opens the file anew if its name has come to mean another file, or none; finds out how long it is.
    pub(crate) fn follow_its_name(&mut self) -> io::Result<()> {
        let named = std::fs::metadata(&self.path).ok();
        if let (Some(meta), Some(opened)) = (&named, &mut self.opened)
            && (meta.dev(), meta.ino()) == opened.id
        {
            opened.owners.iter_mut().for_each(|owners| owners.file = Owner::of(meta));
            if meta.len() < self.size {
                self.times = Times::Closed; // Cut from outside: what it knows of the rest is not true any more.
            }
            self.size = meta.len();
            return Ok(());
        }
        let before = self.opened.as_ref().and_then(|opened| opened.owners);
        let made = make_dir(&self.path, self.home.as_deref(), before);
        let opened = made.and_then(|()| open(&self.path, before, self.appends));
        match opened.and_then(|file| Opened::new(&self.path, file)) {
            Ok(opened) => {
                let left = self.opened.as_ref().map(Opened::left).unwrap_or_default();
                self.use_file(opened);
                if self.is_regular() && !left.is_empty() {
                    self.will_grow();
                    self.file()?.write_all_at(&left, self.size)?;
                    self.grown(left.len());
                }
            }
            // Rather a file that has got another name than none; but what is written to one that has been removed is lost,
            // and that must be told.
            Err(error) => match self.opened.as_ref().map(|opened| opened.file.metadata()).transpose()? {
                Some(meta) if meta.nlink() > 0 || !meta.is_file() => self.size = meta.len(),
                Some(_) | None => return Err(error),
            },
        }
        Ok(())
    }

    fn use_file(&mut self, opened: Opened) {
        self.size = opened.file.metadata().map_or(0, |meta| meta.len());
        self.times = Times::Closed;
        self.opened = Some(opened);
    }

    fn opened(&self) -> io::Result<&Opened> {
        self.opened.as_ref().ok_or_else(|| io::Error::other("it is not open"))
    }

    /// The open file.
    pub(super) fn file(&self) -> io::Result<&File> {
        Ok(&self.opened()?.file)
    }

    /// Whether it is a file in the narrow sense.
    pub(crate) fn is_regular(&self) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.regular)
    }

    /// How long it is.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether it ends with a line, or is empty.
    pub(crate) fn is_whole(&self) -> bool {
        let mut last = [0];
        let Some(at) = self.size.checked_sub(1) else { return true };
        self.file().and_then(|file| file.read_exact_at(&mut last, at)).is_ok() && last == *b"\n"
    }

    /// The limit of its size, where it has one that can be kept now.
    pub(crate) fn limit(&self) -> Option<Limit> {
        let sulks = self.sulks.is_some_and(|until| Instant::now() < until);
        self.rules.limit().filter(|_| self.is_regular() && !sulks)
    }

    /// Notes when the bytes come that will be at its end. If they do not come, the next that do have another time.
    pub(crate) fn will_grow(&mut self) {
        match self.note_time() {
            Ok(()) => {}
            // There may be room again later. What is written until then, if anything can be, goes without a time of its own.
            Err(error) if is_full(&error) => {}
            Err(error) => {
                tracing::warn!(path = %self.path.shown(), %error, "cannot write the times of a log");
                self.times = Times::Broken;
            }
        }
    }

    /// Takes note that so many bytes have come to its end.
    pub(crate) fn grown(&mut self, bytes: usize) {
        if self.is_regular() {
            self.size += bytes as u64;
        }
    }

    fn note_time(&mut self) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        if let Times::Closed = self.times {
            let opened = self.opened()?;
            rotate::reunite(&opened.real, opened.id.1)?;
            self.times = Times::Open(times::Writer::open(&opened.real, opened.id.1, self.size)?);
        }
        match &mut self.times {
            Times::Open(times) => match times.note(self.size, now) {
                // The index has been removed: it begins anew here.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.times = Times::Closed;
                    self.note_time()
                }
                noted => noted,
            },
            Times::Closed | Times::Broken => Ok(()),
        }
    }

    /// Nothing comes for now.
    pub(super) fn rest(&mut self) {
        if let Times::Open(times) = &mut self.times {
            times.rest();
        }
    }

    /// Writes a part of these bytes to its end, and returns how many: for a file that cannot be spliced to.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let opened = self.opened()?;
        match opened.regular {
            true => opened.file.write_at(bytes, self.size),
            false => (&opened.file).write(bytes),
        }
    }

    /// Reads from it.
    pub(super) fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.file()?.read_exact_at(buffer, at)
    }

    /// Makes an archive of it and begins the next file.
    pub(crate) fn rotate(&mut self) -> io::Result<()> {
        let opened = self.opened()?;
        let (real, owners) = (opened.real.clone(), opened.owners);
        if let Err(error) = rotate::rotate(&real) {
            self.sulks = Some(Instant::now() + SULK);
            return Err(error);
        }
        self.sulks = None;
        let next = open(&real, owners, self.appends).and_then(|file| Opened::new(&self.path, file))?;
        self.use_file(next);
        self.prune();
        Ok(())
    }

    /// Whether a rotation that failed is the first that did.
    pub(crate) fn complains(&mut self, why: &io::Error) -> bool {
        self.complained.replace(reason(why)).is_none()
    }

    /// Whether this is the first rotation since one failed.
    pub(crate) fn recovers(&mut self) -> bool {
        self.complained.take().is_some()
    }

    /// What has been told to have begun, and not to have ended.
    pub(super) fn troubles(&self) -> impl Iterator<Item = News> {
        let grows = self.complained.clone().map(|why| News::NotRotated { why });
        grows.into_iter().chain(self.upkeep.trouble().map(|why| News::NotPruned { why }))
    }

    /// What is to be told of archives that were removed to make room: of the first at once, of others in sums, and
    /// `finally` of the rest.
    pub(crate) fn removed(&mut self, finally: bool) -> Option<Removed> {
        let recently = || self.told.is_some_and(|at| at.elapsed() < TELL);
        if self.removed.archives == 0 || (!finally && recently()) {
            return None;
        }
        self.told = Some(Instant::now());
        Some(std::mem::take(&mut self.removed))
    }

    /// Gives up what is half packed, or else removes the oldest archive of a log that is rotated, or whose archives go
    /// anyway. Whether there was one.
    pub(crate) fn makes_room(&mut self) -> bool {
        if self.opened.as_ref().is_some_and(|opened| PACKER.makes_room(opened.id.0)) {
            return true;
        }
        let rotates = self.rules.prunes() || self.rules.max_size.is_some();
        let removed = self.opened().and_then(|opened| match rotates {
            true => rotate::sacrifice(&opened.real),
            false => Ok(None),
        });
        let Some(bytes) = removed.ok().flatten() else { return false };
        (self.removed.archives, self.removed.bytes) = (self.removed.archives + 1, self.removed.bytes + bytes);
        true
    }

    /// Whether its archives have begun not to be removable, and why, or have ceased to be so, since this was asked last.
    pub(crate) fn pruning(&mut self) -> Option<Result<(), String>> {
        self.upkeep.news()
    }

    /// After how long there may be something to do for its archives.
    pub(crate) fn chore(&self) -> Option<Duration> {
        self.upkeep.chore()
    }

    /// Does it.
    pub(crate) fn tidy(&mut self) {
        if self.chore().is_some_and(|after| after.is_zero()) {
            self.prune();
        }
    }

    /// Waits until the archives that have to go are gone: for a process that is about to end, and would take the
    /// thread that removes them with it.
    pub(crate) fn finish(&mut self) {
        self.upkeep.wait();
        self.prune();
        self.upkeep.wait();
    }

    fn prune(&mut self) {
        let (real, id) = match &self.opened {
            Some(opened) => (opened.real.clone(), Some(opened.id)),
            None => (place(&self.path), None),
        };
        self.upkeep.look(&real, &self.rules, id);
    }
}
