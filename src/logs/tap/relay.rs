//! Output that another program writes to its log: it is only shown, and listened to, and when it came is noted.
//!
//! A teelog that runs a command ends with a line of its own on standard output, `EOK` or `EFAIL N`, which is not the
//! app's and is not shown.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daemonctl_actors::log_collector::Stream;
use daemonctl_actors::ports::{Pumped, Tap};
use tokio::net::unix::pipe::Receiver;

pub use super::witness::Seen;
use super::witness::Witness;
use super::{PIECE, shared};
use crate::logs::mirror::Mirror;

/// So much of what was said last is kept.
const KEPT: usize = 2 << 10;

/// The longest verdict: `EFAIL 255` and a line end.
const VERDICT: usize = 10;

/// What has been heard of a program that writes logs.
#[derive(Debug, Default)]
pub struct Heard {
    /// Bytes that have come.
    pub bytes: u64,
    /// The exit code that its last line names.
    pub verdict: Option<u8>,
    /// The end of what has come.
    pub last: Vec<u8>,
}

/// What both ends of a relay know.
pub type Ear = Arc<Mutex<Heard>>;

struct Relay {
    pipe: OwnedFd,
    mirrors: Vec<Box<dyn Mirror>>,
    ear: Ear,
    witness: Rc<RefCell<Witness>>,
    /// A line that may turn out to be the verdict.
    pending: Vec<u8>,
    /// Whether a verdict may come: on standard output.
    has_verdict: bool,
    /// Whether the next byte begins a line.
    fresh: bool,
}

/// Opens a tap that shows what comes out of `pipe`, and is written by who has passed it on to a log, of which this was
/// seen before. Call it on the thread that will drive the tap.
pub fn open(
    pipe: OwnedFd,
    stream: Stream,
    log: Seen,
    mirrors: Vec<Box<dyn Mirror>>,
    ear: Ear,
) -> io::Result<Box<dyn Tap>> {
    rustix::io::ioctl_fionbio(&pipe, true)?;
    let (witness, has_verdict) = (shared::witness(log), stream == Stream::Out);
    Ok(Box::new(Relay { pipe, mirrors, ear, witness, pending: Vec::new(), has_verdict, fresh: true }))
}

impl Tap for Relay {
    fn ready(&mut self) -> Pin<Box<dyn Future<Output = io::Result<()>> + '_>> {
        Box::pin(async { Receiver::from_owned_fd_unchecked(self.pipe.try_clone()?)?.readable().await })
    }

    fn pump(&mut self) -> io::Result<Pumped> {
        let piece = shared::with(|shared| {
            let buffer = shared.buffer();
            match rustix::io::read(&self.pipe, &mut *buffer) {
                Ok(bytes) => Ok(Some(buffer[..bytes].to_vec())),
                Err(rustix::io::Errno::AGAIN) => Ok(None),
                Err(error) => Err(io::Error::from(error)),
            }
        })?;
        Ok(match piece {
            None => Pumped::Empty,
            Some(piece) if piece.is_empty() => Pumped::End,
            Some(piece) => {
                self.witness.borrow_mut().hear();
                self.take(&piece);
                match piece.len() {
                    much if much >= PIECE / 2 => Pumped::Full,
                    middling if middling >= PIECE / 8 => Pumped::Some,
                    _ => Pumped::Little,
                }
            }
        })
    }

    fn hurry(&mut self) {} // It waits for nobody.

    fn pending(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.pipe).unwrap_or(0)
    }

    fn moved(&self) -> u64 {
        self.ear.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    fn chore(&self) -> Option<Duration> {
        self.witness.borrow().chore()
    }

    fn tidy(&mut self) {
        self.witness.borrow_mut().tidy();
    }
}

impl Relay {
    fn take(&mut self, piece: &[u8]) {
        let mut ear = self.ear.lock().unwrap_or_else(PoisonError::into_inner);
        ear.bytes += piece.len() as u64;
        ear.last.extend_from_slice(piece);
        let excess = ear.last.len().saturating_sub(KEPT);
        ear.last.drain(..excess);
        drop(ear);
        // What was held back is not the last line.
        let mut shown = std::mem::take(&mut self.pending);
        let begins = self.fresh && shown.is_empty();
        shown.extend_from_slice(piece);
        let whole = shown.strip_suffix(b"\n").unwrap_or(&shown);
        let line = whole.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let at_beginning = line > 0 || begins || self.fresh;
        if self.has_verdict && at_beginning && may_be_verdict(&shown[line..]) {
            self.pending = shown.split_off(line);
        }
        self.fresh = if shown.is_empty() { self.fresh } else { shown.ends_with(b"\n") };
        if !shown.is_empty() {
            self.mirrors.iter_mut().for_each(|mirror| mirror.show(&shown));
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        match verdict(&self.pending) {
            Some(code) => self.ear.lock().unwrap_or_else(PoisonError::into_inner).verdict = Some(code),
            None => self.mirrors.iter_mut().for_each(|mirror| mirror.show(&self.pending)),
        }
    }
}

/// The exit code that a last line names.
pub fn verdict(line: &[u8]) -> Option<u8> {
    match line.strip_suffix(b"\n")? {
        b"EOK" => Some(0),
        line => std::str::from_utf8(line.strip_prefix(b"EFAIL ")?).ok()?.parse().ok(),
    }
}

/// Whether a line, or the beginning of one, can be a verdict.
fn may_be_verdict(line: &[u8]) -> bool {
    if verdict(line).is_some() {
        return true;
    }
    let begins = |word: &[u8]| word.starts_with(line);
    let number = line.strip_prefix(b"EFAIL ").is_some_and(|rest| rest.iter().all(u8::is_ascii_digit));
    !line.is_empty() && line.len() < VERDICT && (begins(b"EOK\n") || begins(b"EFAIL ") || number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<u8>>>);

    impl Mirror for Seen {
        fn show(&mut self, bytes: &[u8]) {
            self.0.lock().unwrap().extend_from_slice(bytes);
        }
    }

    /// What is shown of these pieces, and the verdict.
    fn relayed(pieces: &[&str]) -> (String, Option<u8>) {
        let (seen, ear) = (Seen::default(), Ear::default());
        let (pipe, _) = rustix::pipe::pipe().unwrap();
        let mirrors: Vec<Box<dyn Mirror>> = vec![Box::new(seen.clone())];
        let witness = Rc::new(RefCell::new(Witness::new(super::Seen::now(std::path::Path::new("/no/log")))));
        let (ear_of_it, pending) = (ear.clone(), Vec::new());
        let mut relay = Relay { pipe, mirrors, ear: ear_of_it, witness, pending, has_verdict: true, fresh: true };
        pieces.iter().for_each(|piece| relay.take(piece.as_bytes()));
        drop(relay);
        let shown = String::from_utf8(seen.0.lock().unwrap().clone()).unwrap();
        let verdict = ear.lock().unwrap().verdict;
        (shown, verdict)
    }

    #[test]
    fn only_the_last_line_is_a_verdict() {
        for (pieces, shown, verdict) in [
            (&["one\nEOK\n"][..], "one\n", Some(0)),
            (&["EFAIL 3\n"], "", Some(3)),
            (&["a\nEF", "AIL 14", "3\n"], "a\n", Some(143)),
            (&["EOK\n", "more\n", "EFAIL 1\n"], "EOK\nmore\n", Some(1)),
            (&["EOK\nEOK\n"], "EOK\n", Some(0)),
            (&["not EOK\n"], "not EOK\n", None),
            (&["half", "EOK\n"], "halfEOK\n", None),
            (&["EOK"], "EOK", None),
            (&["EFAIL 999\n"], "EFAIL 999\n", None),
            (&["E", "X\n"], "EX\n", None),
            (&[], "", None),
        ] {
            assert_eq!(relayed(pieces), (shown.to_owned(), verdict), "{pieces:?}");
        }
    }
}
