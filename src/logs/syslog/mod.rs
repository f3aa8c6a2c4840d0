//! Output and events on their way to the system log, beside the files.
//!
//! The log thread only puts messages into a queue (`queue`); a thread of its own takes them out and sends them to
//! /dev/log. A daemon that is missing, restarted, slow or stopped so holds up nobody: messages wait, and when the queue is
//! full those that come are dropped and counted. The files have everything.
//!
//! A message is what syslog(3) of the C library sends: `<PRI>Mmm dd hh:mm:ss TAG[PID]: TEXT`, in local time, without a
//! host name (`message`). The crates for syslog were looked at: `syslog` takes the time and the pid from the process
//! that sends, which is never the app here, blocks, and gives up when the daemon restarts.

mod lines;
mod message;
mod queue;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::SystemTime;

pub use lines::Lines;
pub use queue::News;

use message::Severity;
use queue::Queue;

use crate::config::values::Level;

/// Where daemons listen (syslog(3)).
pub const SOCKET: &str = "/dev/log";

/// The way to the system log. Nothing is opened, and no thread is there, before the first message.
#[derive(Clone)]
pub struct Syslog {
    queue: Arc<Queue>,
}

/// Who speaks: the tag of an app's messages.
#[derive(Clone, Debug)]
pub struct Speaker {
    tag: String,
    pid: Arc<AtomicI32>,
}

impl Speaker {
    /// An app with this label, that has no process yet.
    pub fn new(label: &str) -> Self {
        Self { tag: message::tag(label), pid: Arc::default() }
    }

    /// What the messages bear from now on: the pid of the app's main process.
    pub fn set_pid(&self, pid: i32) {
        self.pid.store(pid, Ordering::Relaxed);
    }

    fn pid(&self) -> Option<i32> {
        Some(self.pid.load(Ordering::Relaxed)).filter(|pid| *pid > 0)
    }
}

impl Syslog {
    /// The way to the daemon that listens at `socket`. `tell` hears when it cannot be reached, and when it can again.
    pub fn new(socket: PathBuf, tell: Box<dyn Fn(News) + Send + Sync>) -> Self {
        Self { queue: Arc::new(Queue::new(socket, tell)) }
    }

    /// Sends an event.
    pub fn event(&self, speaker: &Speaker, level: Level, text: &str) {
        let severity = match level {
            Level::Debug => Severity::DEBUG,
            Level::Info => Severity::INFO,
            Level::Warn => Severity::WARNING,
            Level::Error => Severity::ERROR,
        };
        for line in text.lines() {
            self.send(speaker, severity, line.as_bytes());
        }
    }

    /// Waits until everything has been sent, but not for ever: there may be no daemon. Returns how many messages have
    /// not been sent.
    pub async fn finish(&self) -> u64 {
        self.queue.finish().await
    }

    fn send(&self, speaker: &Speaker, severity: Severity, text: &[u8]) {
        for piece in message::pieces(text) {
            let now = jiff::Timestamp::try_from(SystemTime::now()).unwrap_or_default();
            let now = now.to_zoned(jiff::tz::TimeZone::system());
            self.queue.put(message::compose(severity, &now, &speaker.tag, speaker.pid(), &piece));
        }
    }
}
