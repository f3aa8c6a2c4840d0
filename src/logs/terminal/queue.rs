//! What waits for the terminal: bounded in bytes, so that a terminal that has stopped costs memory only up to a point.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::board::app_of;

/// Bytes of output that may wait, all apps together; each has the same share, so that one that floods hides no other.
/// What goes beyond an app's share is skipped, until half of the share has been shown.
pub(super) const MOST: usize = 4 << 20;

/// The least share of an app, however many there are.
const LEAST: usize = 128 << 10;

/// Bytes that may wait beside output, of what is said about the work: there is little of it, and it should be seen.
const SAID: usize = 256 << 10;

/// What a piece takes beside its bytes, roughly.
const OVERHEAD: usize = 128;

/// Pieces of one source are put together up to this length.
const TOGETHER: usize = 64 << 10;

/// What is sent to the terminal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Output of a source.
    Output(usize, Vec<u8>),
    /// A source has ended, for now.
    Ended(usize),
    /// Output of an app has been left out here.
    Skipped(usize, Skipped),
    /// Something about the work.
    Said(String),
    /// Nothing will follow.
    End,
}

/// How much has been left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Skipped {
    /// Ends of lines.
    pub(super) lines: u64,
    pub(super) bytes: u64,
}

#[derive(Debug)]
struct State {
    pieces: VecDeque<Piece>,
    /// What waits of each app's output, in bytes, and of all else.
    waiting: Vec<usize>,
    beside: usize,
    share: usize,
    /// What has been left out of each app's output and has not been told.
    skipped: Vec<Skipped>,
}

/// The queue, between those who have something to show and the one who writes it.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    more: Condvar,
}

/// How one source is getting on with the queue.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Whether its output is being left out.
    skipping: bool,
    /// Whether the last byte that was queued, or left out, is inside of a line.
    inside: bool,
}

impl Queue {
    /// An empty queue for so many apps.
    pub(super) fn new(apps: usize) -> Self {
        let state = State {
            pieces: VecDeque::new(),
            waiting: vec![0; apps],
            beside: 0,
            share: (MOST / apps.max(1)).max(LEAST),
            skipped: vec![Skipped::default(); apps],
        };
        Self { state: Mutex::new(state), more: Condvar::new() }
    }

    /// Queues output of a source of an app, or leaves it out, in whole lines.
    pub(super) fn show(&self, source: usize, place: &mut Place, piece: &[u8]) {
        let app = app_of(source);
        let mut state = self.lock();
        let mut rest = piece;
        while !rest.is_empty() {
            rest = match place.skipping {
                false if state.waiting[app] + rest.len() <= state.share => {
                    place.inside = !rest.ends_with(b"\n");
                    state.push_output(source, rest);
                    &[]
                }
                false => {
                    place.skipping = true;
                    state.finish_line(source, place, rest)
                }
                true if state.waiting[app] > state.share / 2 => {
                    state.skip(app, place, rest);
                    &[]
                }
                true => state.go_on(app, place, rest),
            };
        }
        drop(state);
        self.more.notify_one();
    }

    /// Queues something else.
    pub(super) fn push(&self, piece: Piece) {
        let mut state = self.lock();
        if matches!(piece, Piece::Said(_)) && state.beside > SAID {
            return;
        }
        state.push(piece);
        drop(state);
        self.more.notify_one();
    }

    /// A source ends. What it had left out is told.
    pub(super) fn end(&self, source: usize, place: &Place) {
        let app = app_of(source);
        let mut state = self.lock();
        if place.skipping && place.inside {
            state.skipped[app].lines += 1; // The last line, which had no end.
        }
        state.tell_skipped(app);
        state.push(Piece::Ended(source));
        drop(state);
        self.more.notify_one();
    }

    /// The next piece; nothing if none has come until then. What has been left out is told when all else has been.
    pub(super) fn next(&self, until: Option<Instant>) -> Option<Piece> {
        let mut state = self.lock();
        loop {
            if let Some(piece) = state.pop() {
                return Some(piece);
            }
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.more.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return None,
                Some(left) => self.more.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that is done with the state can panic halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, piece: Piece) {
        *self.account(&piece) += cost(&piece);
        self.pieces.push_back(piece);
    }

    /// What counts a piece.
    fn account(&mut self, piece: &Piece) -> &mut usize {
        match piece {
            Piece::Output(source, _) => &mut self.waiting[app_of(*source)],
            Piece::Ended(_) | Piece::Skipped(..) | Piece::Said(_) | Piece::End => &mut self.beside,
        }
    }

    fn push_output(&mut self, source: usize, bytes: &[u8]) {
        match self.pieces.back_mut() {
            Some(Piece::Output(last, queued)) if *last == source && queued.len() + bytes.len() <= TOGETHER => {
                queued.extend_from_slice(bytes);
                self.waiting[app_of(source)] += bytes.len();
            }
            _ => self.push(Piece::Output(source, bytes.to_vec())),
        }
    }

    fn pop(&mut self) -> Option<Piece> {
        if let Some(piece) = self.pieces.pop_front() {
            *self.account(&piece) -= cost(&piece);
            return Some(piece);
        }
        let app = self.skipped.iter().position(|skipped| skipped.bytes > 0)?;
        Some(Piece::Skipped(app, std::mem::take(&mut self.skipped[app])))
    }

    /// Queues the end of a line that has been begun, though there is no room: what is skipped begins with a line. Hands
    /// back what follows.
    fn finish_line<'a>(&mut self, source: usize, place: &mut Place, rest: &'a [u8]) -> &'a [u8] {
        if !place.inside {
            return rest;
        }
        match memchr::memchr(b'\n', rest) {
            Some(end) if end < TOGETHER => {
                self.push_output(source, &rest[..=end]);
                place.inside = false;
                &rest[end + 1..]
            }
            // Too long: this one is cut.
            _ => rest,
        }
    }

    fn skip(&mut self, app: usize, place: &mut Place, rest: &[u8]) {
        place.inside = !rest.ends_with(b"\n");
        let skipped = &mut self.skipped[app];
        skipped.lines += memchr::memchr_iter(b'\n', rest).count() as u64;
        skipped.bytes += rest.len() as u64;
    }

    /// There is room again: from the next beginning of a line on, output is shown. Hands back what is to be.
    fn go_on<'a>(&mut self, app: usize, place: &mut Place, rest: &'a [u8]) -> &'a [u8] {
        let mut left = rest;
        if place.inside {
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            self.skip(app, place, &rest[..end]);
            left = &rest[end..];
        }
        if !place.inside {
            place.skipping = false;
            self.tell_skipped(app);
        }
        left
    }

    fn tell_skipped(&mut self, app: usize) {
        let skipped = std::mem::take(&mut self.skipped[app]);
        if skipped.bytes > 0 {
            self.push(Piece::Skipped(app, skipped));
        }
    }
}

fn cost(piece: &Piece) -> usize {
    OVERHEAD
        + match piece {
            Piece::Output(_, bytes) => bytes.len(),
            Piece::Said(text) => text.len(),
            Piece::Ended(_) | Piece::Skipped(..) | Piece::End => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that is in the queue: output, and a mark with the number of lines where some were left out.
    fn drain(queue: &Queue) -> String {
        let mut text = String::new();
        while let Some(piece) = queue.next(Some(Instant::now())) {
            match piece {
                Piece::Output(_, bytes) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
                Piece::Skipped(_, skipped) => text.push_str(&format!("<{}>", skipped.lines)),
                Piece::Said(said) => text.push_str(&said),
                Piece::Ended(_) | Piece::End => {}
            }
        }
        text
    }

    #[test]
    fn every_line_is_shown_whole_or_counted() {
        // Pieces that end in the middle of lines.
        for length in [1000, 4096, 65536] {
            let queue = Queue::new(1);
            let mut place = Place::default();
            let all: String = (0..1_000_000).map(|number| format!("line {number:08}\n")).collect();
            let mut shown = String::new();
            for (at, piece) in all.as_bytes().chunks(length).enumerate() {
                queue.show(0, &mut place, piece);
                assert!(queue.lock().waiting[0] <= MOST + 2 * TOGETHER, "{}", queue.lock().waiting[0]);
                // A reader that comes by now and then.
                if at % (8_000_000 / length) == 0 {
                    shown.push_str(&drain(&queue));
                }
            }
            queue.end(0, &place);
            shown.push_str(&drain(&queue));
            let mut next = 0u64;
            for line in shown.replace('<', "\n<").replace('>', ">\n").lines().filter(|line| !line.is_empty()) {
                match line.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
                    Some(skipped) => next += skipped.parse::<u64>().unwrap(),
                    None => {
                        assert_eq!(line, format!("line {next:08}"));
                        next += 1;
                    }
                }
            }
            assert_eq!(next, 1_000_000);
            assert!(shown.contains('<'), "nothing was skipped with pieces of {length}");
        }
    }

    #[test]
    fn one_app_that_floods_does_not_hide_what_is_said_nor_use_more_than_its_share() {
        let queue = Queue::new(2);
        let (mut flood, mut quiet) = (Place::default(), Place::default());
        for _ in 0..200 {
            queue.show(0, &mut flood, &b"flood\n".repeat(10_000));
        }
        assert!(queue.lock().waiting[0] <= MOST / 2 + TOGETHER);
        queue.show(2, &mut quiet, b"quiet\n");
        queue.push(Piece::Said("said".into()));
        let seen = drain(&queue);
        let shown = seen.lines().filter(|line| *line == "flood").count();
        assert!(seen.ends_with(&format!("\nquiet\nsaid<{}>", 2_000_000 - shown)), "{}", &seen[seen.len() - 100..]);
        queue.show(2, &mut quiet, b"again\n");
        assert_eq!(drain(&queue), "again\n");
    }

    #[test]
    fn a_line_that_is_too_long_to_wait_for_is_cut() {
        let queue = Queue::new(1);
        let mut place = Place::default();
        let long = vec![b'x'; 100_000];
        for _ in 0..100 {
            queue.show(0, &mut place, &long);
        }
        queue.show(0, &mut place, b"end of it\n");
        assert!(drain(&queue).ends_with("<1>"));
        queue.show(0, &mut place, b"next\n");
        assert_eq!(drain(&queue), "next\n");
    }
}
