//! Messages that wait for the daemon, and the thread that sends them.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Bytes of messages that may wait.
const ROOM: usize = 1 << 20;

/// The pause before the daemon is looked for again: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// How long the end of a supervisor waits for messages to be sent.
const PATIENCE: Duration = Duration::from_secs(2);

/// How the daemon is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It cannot be reached; messages wait.
    Waiting {
        /// Why.
        why: String,
    },
    /// Too many wait: those that come are dropped.
    Dropping,
    /// Messages are sent again.
    Reached {
        /// How many were dropped since they last were.
        dropped: u64,
    },
}

/// The queue; its thread begins with the first message.
pub(super) struct Queue {
    socket: PathBuf,
    tell: Box<dyn Fn(News) + Send + Sync>,
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
    dropped: u64,
    has_thread: bool,
}

impl Queue {
    pub(super) fn new(socket: PathBuf, tell: Box<dyn Fn(News) + Send + Sync>) -> Self {
        Self { socket, tell, waiting: Mutex::default(), more: Condvar::new() }
    }

    /// Puts a message at the end, if there is room for it.
    pub(super) fn put(self: &Arc<Self>, message: Vec<u8>) {
        let mut waiting = self.lock();
        if waiting.bytes + message.len() > ROOM {
            waiting.dropped += 1;
            let first = waiting.dropped == 1;
            drop(waiting);
            if first {
                (self.tell)(News::Dropping);
            }
            return;
        }
        waiting.bytes += message.len();
        waiting.messages.push_back(message);
        if !waiting.has_thread {
            let queue = self.clone();
            let begun = std::thread::Builder::new().name("syslog".into()).spawn(move || queue.work());
            waiting.has_thread = begun.is_ok();
        }
        drop(waiting);
        self.more.notify_one();
    }

    /// Waits until all have been sent, for two seconds at most. Returns how many were not, or were dropped before.
    pub(super) async fn finish(&self) -> u64 {
        let give_up = tokio::time::Instant::now() + PATIENCE;
        while !self.lock().messages.is_empty() && tokio::time::Instant::now() < give_up {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let waiting = self.lock();
        waiting.messages.len() as u64 + waiting.dropped
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what there is, for ever. A message leaves the queue when it has been sent.
    fn work(&self) {
        let mut daemon: Option<Daemon> = None;
        let mut pause = PAUSES.0;
        let mut told = false;
        loop {
            let message = {
                let mut waiting = self.lock();
                while waiting.messages.is_empty() {
                    waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                }
                waiting.messages.front().cloned().unwrap_or_default()
            };
            let sent = match &daemon {
                Some(daemon) => daemon.send(&message),
                None => Daemon::at(&self.socket).and_then(|found| {
                    let sent = found.send(&message);
                    daemon = Some(found);
                    sent
                }),
            };
            match sent {
                Ok(()) => {
                    pause = PAUSES.0;
                    let dropped = self.sent();
                    if std::mem::take(&mut told) || dropped > 0 {
                        (self.tell)(News::Reached { dropped });
                    }
                }
                // No daemon takes it, and the next one may be shorter.
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => drop(self.sent()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    daemon.iter().for_each(|daemon| daemon.wait(PAUSES.1));
                }
                Err(error) => {
                    daemon = None;
                    // A daemon that is restarted is away for a moment; that is no news.
                    if pause >= PAUSES.1 && !std::mem::replace(&mut told, true) {
                        (self.tell)(News::Waiting { why: error.to_string() });
                    }
                    rest(pause);
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    /// Takes the first message out. Returns how many were dropped, once there is room enough again.
    fn sent(&self) -> u64 {
        let mut waiting = self.lock();
        let message = waiting.messages.pop_front().unwrap_or_default();
        waiting.bytes -= message.len();
        if waiting.messages.is_empty() {
            waiting.messages.shrink_to_fit();
        }
        match waiting.bytes < ROOM / 2 {
            true => std::mem::take(&mut waiting.dropped),
            false => 0,
        }
    }
}

/// A connection to the daemon.
enum Daemon {
    Datagrams(UnixDatagram),
    /// Some listen for streams; a message ends with NUL there, as the C library has it.
    Stream(UnixStream),
}

impl Daemon {
    fn at(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        match socket.connect(path) {
            Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => {
                let stream = UnixStream::connect(path)?;
                stream.set_write_timeout(Some(PAUSES.1))?;
                Ok(Self::Stream(stream))
            }
            connected => connected.map(|()| Self::Datagrams(socket)),
        }
    }

    fn send(&self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Datagrams(socket) => socket.send(message).map(drop),
            Self::Stream(stream) => {
                let whole = [message, b"\0"].concat();
                // Half a message is worse than a new connection.
                let broken = |error: io::Error| match error.kind() {
                    io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
                    _ => error,
                };
                (&*stream).write_all(&whole).map_err(broken)
            }
        }
    }

    /// Waits until it takes more, or so long.
    fn wait(&self, most: Duration) {
        let socket: io::Result<OwnedFd> = match self {
            Self::Datagrams(socket) => socket.as_fd().try_clone_to_owned(),
            Self::Stream(stream) => stream.as_fd().try_clone_to_owned(),
        };
        match socket {
            Ok(socket) => drop(poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&timespec(most)))),
            Err(_) => rest(most),
        }
    }
}

fn rest(pause: Duration) {
    let _ = poll(&mut [], Some(&timespec(pause)));
}

fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() }
}
