//! The terminal that `run` shows output on.
//!
//! A thread of its own writes to it, from a bounded queue: a terminal that is slow, or stopped, never slows an app. What
//! does not fit is skipped, in whole pieces, and the number of skipped bytes is shown. The log files have everything.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use daemonctl_actors::log_collector::Stream;

/// Pieces of up to 64 KiB that may wait for the terminal.
const QUEUE: usize = 64;

/// How long the end of `run` waits for a terminal that does not take more.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the writing thread is sent.
enum Piece {
    Output(Stream, Vec<u8>),
    Said(String),
    End,
}

/// The terminal.
pub struct Terminal {
    queue: SyncSender<Piece>,
    skipped: Arc<AtomicU64>,
    writer: Option<JoinHandle<()>>,
    prefixes: bool,
    colour: bool,
    quiet: bool,
}

/// One stream on its way to the terminal.
pub struct Mirror {
    queue: SyncSender<Piece>,
    skipped: Arc<AtomicU64>,
    stream: Stream,
    prefix: Option<String>,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
}

/// A line longer than this is shown in parts.
const LONGEST: usize = 64 << 10;

impl Terminal {
    /// A terminal; with `prefixes`, each line of output begins with its app's name.
    pub fn new(prefixes: bool, colour: bool, quiet: bool) -> std::io::Result<Self> {
        let (queue, pieces) = sync_channel(QUEUE);
        let skipped = Arc::new(AtomicU64::new(0));
        let counter = skipped.clone();
        let writer = std::thread::Builder::new().name("terminal".into()).spawn(move || write(&pieces, &counter))?;
        Ok(Self { queue, skipped, writer: Some(writer), prefixes, colour, quiet })
    }

    /// A stream of the output of the app with this label.
    pub fn mirror(&self, label: &str, stream: Stream) -> Mirror {
        let prefix = self.prefixes.then(|| prefix(label, self.colour));
        Mirror { queue: self.queue.clone(), skipped: self.skipped.clone(), stream, prefix, partial: Vec::new() }
    }

    /// Says something about the work, on standard error.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            // The queue is full of output only if the terminal has stopped: then nobody reads this either.
            let _ = self.queue.try_send(Piece::Said(text.to_owned()));
        }
    }

    /// Says something that should be read however quiet it is meant to be.
    pub fn complain(&self, text: &str) {
        let _ = self.queue.try_send(Piece::Said(text.to_owned()));
    }

    /// Waits until everything has been shown, but not for ever: the terminal may have stopped.
    pub async fn finish(&self) {
        let give_up = tokio::time::Instant::now() + PATIENCE;
        let pause = || tokio::time::sleep(Duration::from_millis(5));
        while tokio::time::Instant::now() < give_up {
            match self.queue.try_send(Piece::End) {
                Err(TrySendError::Full(_)) => pause().await,
                Ok(()) | Err(TrySendError::Disconnected(_)) => break,
            }
        }
        let written = || self.writer.as_ref().is_none_or(JoinHandle::is_finished);
        while !written() && tokio::time::Instant::now() < give_up {
            pause().await;
        }
    }
}

/// The label of an app in front of its lines, in a colour that depends on nothing but the label.
fn prefix(label: &str, colour: bool) -> String {
    let hue = label.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % 6;
    match colour {
        true => format!("\x1b[{}m{label} |\x1b[0m ", 31 + hue),
        false => format!("{label} | "),
    }
}

impl super::mirror::Mirror for Mirror {
    fn show(&mut self, piece: &[u8]) {
        match &self.prefix {
            None => self.send(piece.to_vec()),
            Some(prefix) => {
                self.partial.extend_from_slice(piece);
                let whole = match self.partial.iter().rposition(|byte| *byte == b'\n') {
                    Some(end) => end + 1,
                    None if self.partial.len() >= LONGEST => self.partial.len(),
                    None => return,
                };
                let lines: Vec<u8> = self.partial.drain(..whole).collect();
                let prefix = prefix.clone();
                let mut shown = Vec::with_capacity(lines.len() + prefix.len() * 8);
                for line in lines.split_inclusive(|byte| *byte == b'\n') {
                    shown.extend_from_slice(prefix.as_bytes());
                    shown.extend_from_slice(line);
                }
                if shown.last() != Some(&b'\n') {
                    shown.push(b'\n');
                }
                self.send(shown);
            }
        }
    }
}

impl Mirror {
    fn send(&self, bytes: Vec<u8>) {
        if let Err(TrySendError::Full(Piece::Output(_, bytes))) = self.queue.try_send(Piece::Output(self.stream, bytes))
        {
            self.skipped.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        if !self.partial.is_empty() {
            super::mirror::Mirror::show(self, b"\n"); // The last line, which had no end.
        }
    }
}

fn write(pieces: &Receiver<Piece>, skipped: &AtomicU64) {
    // A terminal that is gone is no reason to stop: the logs are written.
    for piece in pieces {
        let lost = skipped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(
                std::io::stderr(),
                "daemonctl: {lost} bytes of output were not shown: the terminal is too slow"
            );
        }
        let _ = match piece {
            Piece::Output(Stream::Out, bytes) => {
                std::io::stdout().write_all(&bytes).and_then(|()| std::io::stdout().flush())
            }
            Piece::Output(Stream::Err, bytes) => std::io::stderr().write_all(&bytes),
            Piece::Said(text) => writeln!(std::io::stderr(), "daemonctl: {text}"),
            Piece::End => return,
        };
    }
}
