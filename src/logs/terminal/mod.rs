//! Showing output where a command was typed.
//!
//! A terminal may be slow, or stopped with Ctrl-S, or a pipe that nobody reads. None of this may slow an app: `run` puts
//! what it shows into a queue of at most 4 MiB, and a thread of its own writes it. What does not
//! fit is skipped, in whole lines, and counted; the log files have everything. `start --attach` reads the log files
//! instead, at the pace of its terminal, and skips nothing.
//!
//! `queue` is what waits, `board` what both write on, `look` what stands around a line.

mod board;
mod look;
mod queue;

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use daemonctl_actors::log_collector::Stream;
use daemonctl_actors::value::AppName;
use tokio::sync::watch;

use self::queue::{Piece, Place, Queue};

pub use self::board::{Board, source};

/// How long the end of `run` waits for a terminal that takes nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// The terminal of `run`.
pub struct Terminal {
    queue: Arc<Queue>,
    writer: JoinHandle<()>,
    /// Bytes that the terminal has taken.
    written: Arc<AtomicU64>,
    unread: watch::Receiver<bool>,
    apps: Vec<AppName>,
    quiet: bool,
}

/// One stream on its way to the terminal.
pub struct Mirror {
    queue: Arc<Queue>,
    source: usize,
    place: Place,
}

impl Terminal {
    /// A terminal for these apps, with their labels. `color` is whether colour is wanted where there is a terminal;
    /// `quiet`, that nothing is said beside output and errors.
    pub fn new(apps: Vec<(AppName, String)>, color: bool, quiet: bool) -> io::Result<Self> {
        let (apps, labels): (Vec<_>, Vec<_>) = apps.into_iter().unzip();
        let (queue, written) = (Arc::new(Queue::new(apps.len())), Arc::new(AtomicU64::new(0)));
        let board = Board::standard(&labels, color, &written)?;
        let (nobody_reads, unread) = watch::channel(false);
        let pieces = queue.clone();
        let writer = std::thread::Builder::new()
            .name("terminal".into())
            .spawn(move || write(board, &labels, &pieces, &nobody_reads))?;
        // A process has one terminal.
        let _ = SHOWN.set(queue.clone());
        Ok(Self { queue, writer, written, unread, apps, quiet })
    }

    /// A stream of the output of an app.
    pub fn mirror(&self, app: &AppName, stream: Stream) -> Mirror {
        // Only apps that `run` was given run here.
        let app = self.apps.iter().position(|known| known == app).unwrap_or(0);
        Mirror { queue: self.queue.clone(), source: source(app, stream), place: Place::default() }
    }

    /// Says something about the work, on standard error.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// Says something that should be read however quiet it is meant to be.
    pub fn complain(&self, text: &str) {
        self.queue.push(Piece::Said(text.to_owned()));
    }

    /// Waits until it is known that nobody reads standard output any more.
    pub async fn unread(&self) {
        let mut unread = self.unread.clone();
        if unread.wait_for(|unread| *unread).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until everything has been shown, for as long as the terminal takes something.
    pub async fn finish(&self) {
        self.queue.push(Piece::End);
        let written = || self.written.load(Ordering::Relaxed);
        let (mut seen, mut since) = (written(), Instant::now());
        while !self.writer.is_finished() && since.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if written() != seen {
                (seen, since) = (written(), Instant::now());
            }
        }
    }
}

/// Where a supervisor speaks about its own work: on its standard error, or, once it has a terminal, as all that is
/// shown there: a terminal that has stopped must not stop a supervisor that has something to say.
#[derive(Debug)]
pub struct Voice(());

/// The queue of this process's terminal.
static SHOWN: OnceLock<Arc<Queue>> = OnceLock::new();

/// A voice for one message.
pub fn voice() -> Voice {
    Voice(())
}

impl Write for Voice {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        match SHOWN.get() {
            Some(queue) => queue.push(Piece::Said(String::from_utf8_lossy(message).trim_end().to_owned())),
            None => io::stderr().write_all(message)?,
        }
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl super::mirror::Mirror for Mirror {
    fn show(&mut self, piece: &[u8]) {
        self.queue.show(self.source, &mut self.place, piece);
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.queue.end(self.source, &self.place);
    }
}

/// Shows what is queued, until the end. A terminal that is gone is no reason to stop; a pipe that nobody reads is told.
fn write(mut board: Board, labels: &[String], queue: &Queue, nobody_reads: &watch::Sender<bool>) {
    loop {
        let piece = queue.next(board.due());
        let shown = match piece {
            None => board.tick(Instant::now()),
            Some(Piece::Output(source, bytes)) => board.take(source, &bytes, Instant::now()),
            Some(Piece::Ended(source)) => board.end(source),
            Some(Piece::Skipped(app, skipped)) => {
                let streams = [Stream::Out, Stream::Err].map(|stream| board.end(source(app, stream)));
                let [out, err] = streams;
                out.and(err).and(board.say(&told(&labels[app], skipped), Instant::now()))
            }
            Some(Piece::Said(text)) => {
                // That nobody reads what is said is no reason to end: the output may be read.
                let _ = board.say(&text, Instant::now());
                Ok(())
            }
            Some(Piece::End) => {
                let _ = board.finish();
                return;
            }
        };
        if shown.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            let _ = nobody_reads.send(true);
        }
    }
}

/// How it is told that output was skipped.
fn told(label: &str, skipped: queue::Skipped) -> String {
    let queue::Skipped { lines, bytes } = skipped;
    let (noun, verb) = if lines == 1 { ("line", "it is") } else { ("lines", "they are") };
    format!("{label}: … {lines} {noun} ({}) skipped, {verb} in the log", size(bytes))
}

/// A number of bytes for people: `812 bytes`, `3.4 KiB`, `81 MiB`.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_skipped_is_told_in_words() {
        let told = |lines, bytes| told("web", queue::Skipped { lines, bytes });
        assert_eq!(told(1, 12), "web: … 1 line (12 bytes) skipped, it is in the log");
        assert_eq!(told(70_000, 5_767_168), "web: … 70000 lines (5.5 MiB) skipped, they are in the log");
    }
}
