//! The thread that packs archives: one for all logs of this process, which lives as long as there is something to pack.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::app::Shown;
use crate::logs::pack::{Packed, pack};

/// How long room that is being given back is waited for. All output of a supervisor waits, so it is not long: a disk may
/// hang in the middle of what is being packed. Nor is it short: where all processors are busy, it is the packer that waits.
const PATIENCE: Duration = Duration::from_millis(500);

/// Packs for all logs of this process.
pub(super) static PACKER: Packer = Packer::new(pack, PATIENCE);

/// Packs an archive, and gives up when it is told to stop.
type Pack = fn(&Path, &dyn Fn() -> bool) -> io::Result<Packed>;

/// One archive, and the log that it is of.
#[derive(Debug)]
struct Job {
    log: PathBuf,
    archive: PathBuf,
}

/// What is being packed.
#[derive(Debug)]
struct Current {
    /// The file system that it takes room of.
    device: Option<u64>,
    /// Tells it to give up.
    stop: Arc<AtomicBool>,
}

#[derive(Debug)]
pub(super) struct Packer {
    pack: Pack,
    patience: Duration,
    work: Mutex<Work>,
    /// Something has been packed or given up, or the thread has ended.
    done: Condvar,
}

#[derive(Debug)]
struct Work {
    waiting: VecDeque<Job>,
    /// The archives that wait, and the one that is being packed.
    asked: BTreeSet<PathBuf>,
    current: Option<Current>,
    /// Whether there is a thread.
    running: bool,
    /// The logs of which it has been told that an archive cannot be packed.
    complained: BTreeSet<PathBuf>,
}

impl Packer {
    const fn new(pack: Pack, patience: Duration) -> Self {
        let asked = BTreeSet::new();
        let complained = BTreeSet::new();
        let work = Work { waiting: VecDeque::new(), asked, current: None, running: false, complained };
        Self { pack, patience, work: Mutex::new(work), done: Condvar::new() }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has archives of a log packed, in this order, after those that wait already. Those of it that have waited, and are
    /// not among them, are left as they are.
    pub(super) fn ask(&'static self, log: &Path, archives: Vec<PathBuf>) {
        let mut work = self.work();
        let Work { waiting, asked, .. } = &mut *work;
        let wanted: BTreeSet<&PathBuf> = archives.iter().collect();
        waiting.retain(|job| {
            let stays = job.log != log || wanted.contains(&job.archive);
            if !stays {
                asked.remove(&job.archive);
            }
            stays
        });
        for archive in archives {
            if asked.insert(archive.clone()) {
                waiting.push_back(Job { log: log.to_owned(), archive });
            }
        }
        if work.running || work.waiting.is_empty() {
            return;
        }
        match std::thread::Builder::new().name("packer".to_owned()).spawn(|| self.run()) {
            Ok(_) => work.running = true,
            // Tried again with the next rotation.
            Err(error) => tracing::warn!(path = %log.shown(), %error, "cannot compress archives"),
        }
    }

    /// Gives back the room on a file system that an archive takes which is half packed. `false` if there is none, or not
    /// within a moment: what hangs is asked once.
    pub(super) fn makes_room(&self, device: u64) -> bool {
        let work = self.work();
        let Some(current) = work.current.as_ref().filter(|current| current.device == Some(device)) else {
            return false;
        };
        if current.stop.swap(true, Ordering::Relaxed) {
            return false;
        }
        let stop = Arc::clone(&current.stop);
        let goes_on = |work: &mut Work| work.current.as_ref().is_some_and(|current| Arc::ptr_eq(&current.stop, &stop));
        match self.done.wait_timeout_while(work, self.patience, goes_on) {
            Ok((_, late)) => !late.timed_out(),
            Err(_) => false,
        }
    }

    fn run(&self) {
        // Whatever else this machine has to do comes first. Linux keeps the nice value for each thread by itself.
        let _ = rustix::process::setpriority_process(None, 19);
        let mut work = self.work();
        while let Some(job) = work.waiting.pop_front() {
            // Nobody waits for what this thread does to a disk, which may hang.
            drop(work);
            let device = job.archive.symlink_metadata().ok().map(|meta| meta.dev());
            let stop = Arc::new(AtomicBool::new(false));
            self.work().current = Some(Current { device, stop: Arc::clone(&stop) });
            let packed = (self.pack)(&job.archive, &|| stop.load(Ordering::Relaxed));
            work = self.work();
            work.current = None;
            work.asked.remove(&job.archive);
            self.done.notify_all();
            let is_news = work.is_news(&job.log, &packed);
            drop(work);
            if let Err(error) = packed {
                let archive = job.archive.shown();
                match is_news {
                    true => tracing::warn!(%archive, %error, "cannot compress an archive"),
                    false => tracing::debug!(%archive, %error, "cannot compress an archive either"),
                }
            }
            work = self.work();
        }
        work.running = false;
        self.done.notify_all();
    }
}

impl Work {
    /// Whether it is to be told that an archive cannot be packed: once for a log, until one of it can.
    fn is_news(&mut self, log: &Path, packed: &io::Result<Packed>) -> bool {
        match packed {
            Ok(Packed::Done) => {
                self.complained.remove(log);
                false
            }
            Ok(Packed::NotOurs) => false,
            Err(_) => self.complained.insert(log.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Barrier;
    use std::time::Instant;

    use super::*;

    /// Waits until a packer has done so much, by what it has left.
    fn wait(packer: &Packer, until: impl Fn(&Work) -> bool) {
        let (work, late) =
            packer.done.wait_timeout_while(packer.work(), Duration::from_secs(30), |work| !until(work)).unwrap();
        assert!(!late.timed_out(), "{work:?}");
    }

    #[test]
    fn everything_that_is_asked_for_is_packed_once_and_room_is_given_back_at_once() {
        let packer: &'static Packer = Box::leak(Box::new(Packer::new(pack, Duration::from_secs(30))));
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("web.log");
        let at = |second: u32| home.path().join(format!("web.log.2026-01-31-1200{second:02}"));
        let packed = |second: u32| home.path().join(format!("web.log.2026-01-31-1200{second:02}.gz"));
        let device = home.path().metadata().unwrap().dev();
        assert!(!packer.makes_room(device), "nothing is packed");
        // So much takes longer than to say that it shall be left.
        fs::File::create(at(1)).unwrap().set_len(4 << 30).unwrap();
        fs::write(at(2), "1\n").unwrap();
        packer.ask(&log, vec![at(1), at(2)]);
        packer.ask(&log, vec![at(2), at(1)]);
        packer.ask(Path::new("db.log"), vec![]);
        let deadline = Instant::now() + Duration::from_secs(30);
        while packer.work().current.is_none() {
            assert!(Instant::now() < deadline, "{packer:?}");
            std::thread::yield_now();
        }
        assert_eq!(packer.work().waiting.len(), 1, "one is being packed, and one waits");
        assert!(!packer.makes_room(device + 1), "it takes no room there");
        assert!(packer.makes_room(device));
        wait(packer, |work| work.asked.is_empty());
        assert!(at(1).exists() && !packed(1).exists(), "it was given up");
        assert!(!at(2).exists() && packed(2).exists());
        fs::write(at(3), "2\n").unwrap();
        packer.ask(&log, vec![at(3)]);
        wait(packer, |work| work.asked.is_empty());
        assert!(packed(3).exists());
    }

    #[test]
    fn what_hangs_is_waited_for_once_and_not_for_long() {
        static GO: Barrier = Barrier::new(2);
        fn hangs(_: &Path, stops: &dyn Fn() -> bool) -> io::Result<Packed> {
            GO.wait();
            assert!(stops());
            Ok(Packed::NotOurs)
        }
        let packer: &'static Packer = Box::leak(Box::new(Packer::new(hangs, PATIENCE)));
        let home = tempfile::tempdir().unwrap();
        let device = home.path().metadata().unwrap().dev();
        let archives = ["a", "b"].map(|name| home.path().join(name));
        archives.iter().for_each(|archive| fs::write(archive, "").unwrap());
        packer.ask(Path::new("web.log"), archives.to_vec());
        let deadline = Instant::now() + Duration::from_secs(30);
        while packer.work().current.is_none() {
            assert!(Instant::now() < deadline, "{packer:?}");
            std::thread::yield_now();
        }
        let begun = Instant::now();
        for _ in 0..1000 {
            assert!(!packer.makes_room(device));
        }
        assert!(begun.elapsed() < PATIENCE * 10, "{:?}", begun.elapsed());
        // What waits is packed no more once that is not asked for.
        packer.ask(Path::new("web.log"), vec![]);
        assert!(packer.work().waiting.is_empty());
        GO.wait();
        wait(packer, |work| !work.running);
        packer.ask(Path::new("web.log"), archives.to_vec());
        assert_eq!(packer.work().asked.len(), 2, "they may be asked for again");
    }
}
