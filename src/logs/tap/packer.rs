//! The thread that packs archives: one for all logs of this process, which lives as long as there is something to pack.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::logs::pack::{Packed, pack};

/// How long room that is being given back is waited for: a disk may hang, and others write to other disks.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Packs for all logs of this process.
pub(super) static PACKER: Packer = Packer::new();

/// One archive, and the log that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Job {
    log: PathBuf,
    archive: PathBuf,
}

#[derive(Debug)]
pub(super) struct Packer {
    work: Mutex<Work>,
    /// Something has been packed, or given up.
    done: Condvar,
}

#[derive(Debug)]
struct Work {
    waiting: VecDeque<Job>,
    /// What is being packed, and what tells it to give up.
    current: Option<(Job, Arc<AtomicBool>)>,
    /// Whether there is a thread.
    running: bool,
    /// The logs of which it has been told that an archive cannot be packed.
    complained: Option<HashSet<PathBuf>>,
}

impl Packer {
    const fn new() -> Self {
        let work = Work { waiting: VecDeque::new(), current: None, running: false, complained: None };
        Self { work: Mutex::new(work), done: Condvar::new() }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has archives of a log packed, in this order, after those that wait already.
    pub(super) fn ask(&'static self, log: &Path, archives: Vec<PathBuf>) {
        let mut work = self.work();
        for archive in archives {
            let job = Job { log: log.to_owned(), archive };
            if !work.waiting.contains(&job) && work.current.as_ref().is_none_or(|(current, _)| *current != job) {
                work.waiting.push_back(job);
            }
        }
        if work.running || work.waiting.is_empty() {
            return;
        }
        match std::thread::Builder::new().name("packer".to_owned()).spawn(|| self.run()) {
            Ok(_) => work.running = true,
            // Tried again with the next rotation.
            Err(error) => tracing::warn!(path = %log.display(), %error, "cannot compress archives"),
        }
    }

    /// Gives back the room that an archive takes which is half packed. Whether there was one.
    pub(super) fn makes_room(&self) -> bool {
        let work = self.work();
        let Some((_, stop)) = &work.current else { return false };
        stop.store(true, Ordering::Relaxed);
        let stopped = Arc::clone(stop);
        let goes_on = |work: &mut Work| work.current.as_ref().is_some_and(|(_, stop)| Arc::ptr_eq(stop, &stopped));
        drop(self.done.wait_timeout_while(work, LONGEST_WAIT, goes_on));
        true
    }

    fn run(&self) {
        // Whatever else this machine has to do comes first. Linux keeps the nice value for each thread by itself.
        let _ = rustix::process::setpriority_process(None, 19);
        let mut work = self.work();
        while let Some(job) = work.waiting.pop_front() {
            let stop = Arc::new(AtomicBool::new(false));
            work.current = Some((job.clone(), Arc::clone(&stop)));
            drop(work);
            let packed = pack(&job.archive, &|| stop.load(Ordering::Relaxed));
            work = self.work();
            work.current = None;
            self.done.notify_all();
            work.tell(&job, packed);
        }
        work.running = false;
    }
}

impl Work {
    /// Tells what cannot be packed, once until something can.
    fn tell(&mut self, job: &Job, packed: io::Result<Packed>) {
        let complained = self.complained.get_or_insert_default();
        let archive = job.archive.display();
        match packed {
            Ok(Packed::Done) => _ = complained.remove(&job.log),
            Ok(Packed::NotOurs) => {}
            Err(error) if complained.insert(job.log.clone()) => {
                tracing::warn!(%archive, %error, "cannot compress an archive");
            }
            Err(error) => tracing::debug!(%archive, %error, "cannot compress an archive either"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
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
        let packer: &'static Packer = Box::leak(Box::new(Packer::new()));
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("web.log");
        let at = |second: u32| home.path().join(format!("web.log.2026-01-31-1200{second:02}"));
        let packed = |second: u32| home.path().join(format!("web.log.2026-01-31-1200{second:02}.gz"));
        assert!(!packer.makes_room(), "nothing is packed");
        // So much takes longer than to say that it shall be left.
        fs::File::create(at(1)).unwrap().set_len(4 << 30).unwrap();
        fs::write(at(2), "1\n").unwrap();
        packer.ask(&log, vec![at(1), at(2)]);
        packer.ask(&log, vec![at(2), at(1)]);
        let deadline = Instant::now() + Duration::from_secs(30);
        while packer.work().current.is_none() {
            assert!(Instant::now() < deadline, "{packer:?}");
            std::thread::yield_now();
        }
        assert_eq!(packer.work().waiting.len(), 1, "one is being packed, and one waits");
        assert!(packer.makes_room());
        wait(packer, |work| work.current.is_none() && work.waiting.is_empty());
        assert!(at(1).exists() && !packed(1).exists(), "it was given up");
        assert!(!at(2).exists() && packed(2).exists());
        fs::write(at(3), "2\n").unwrap();
        packer.ask(&log, vec![at(3)]);
        wait(packer, |work| work.current.is_none() && work.waiting.is_empty());
        assert!(packed(3).exists());
    }
}
