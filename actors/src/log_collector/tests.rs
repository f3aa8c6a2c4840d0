use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::{Event, Metadata, Subscriber, span};

use super::*;

/// A pipe with pieces in it, which counts what was moved.
#[derive(Default)]
struct Pipe {
    pieces: VecDeque<Pumped>,
    /// Whether it can be waited for, each time while it is empty.
    waits: VecDeque<bool>,
    moved: Arc<Mutex<usize>>,
    /// What it says it holds.
    bytes: u64,
    /// Chores that wait, an hour each.
    chores: usize,
}

impl Tap for Pipe {
    fn ready(&mut self) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + '_>> {
        let waits = if self.pieces.is_empty() { self.waits.pop_front() } else { Some(true) };
        match waits {
            Some(true) => Box::pin(async { Ok(()) }),
            Some(false) => Box::pin(async { Err(std::io::Error::other("too many open files")) }),
            None => Box::pin(std::future::pending()),
        }
    }

    fn pump(&mut self) -> std::io::Result<Pumped> {
        let piece = self.pieces.pop_front().unwrap_or(Pumped::Empty);
        assert_ne!(piece, Pumped::End, "as the story wants it");
        *self.moved.lock().unwrap() += 1;
        Ok(piece)
    }

    fn hurry(&mut self) {}

    fn pending(&self) -> u64 {
        self.bytes
    }

    fn moved(&self) -> u64 {
        *self.moved.lock().unwrap() as u64
    }

    fn chore(&self) -> Option<Duration> {
        (self.chores > 0).then_some(Duration::from_secs(3600))
    }

    fn tidy(&mut self) {
        self.chores -= 1;
        *self.moved.lock().unwrap() += 100;
    }
}

fn attach(pieces: &[Pumped], moved: &Arc<Mutex<usize>>) -> Attach {
    let pipe = Pipe { pieces: pieces.iter().copied().collect(), moved: moved.clone(), ..Pipe::default() };
    Attach { app: "web".parse().unwrap(), stream: Stream::Out, make: Box::new(|| Ok(Box::new(pipe))) }
}

#[test]
fn what_is_in_the_pipe_at_the_end_is_moved_before_the_app_is_let_go() {
    actix::System::new().block_on(async {
        let moved = Arc::new(Mutex::new(0));
        let collector = LogCollector::new(|| ()).start();
        collector.send(attach(&[Pumped::Some, Pumped::Full, Pumped::Some, Pumped::Some], &moved)).await.unwrap();
        collector.send(Detach { app: "web".parse().unwrap() }).await.unwrap();
        assert_eq!(*moved.lock().unwrap(), 5, "four pieces, and the look that found nothing more");
        // Nothing is attached any more, and that is no reason to wait.
        collector.send(Detach { app: "web".parse().unwrap() }).await.unwrap();
    });
}

#[tokio::test(start_paused = true)]
async fn chores_are_done_while_nothing_comes() {
    let moved = Arc::new(Mutex::new(0));
    let pipe = Pipe { moved: moved.clone(), chores: 2, ..Pipe::default() };
    let (drain, asked) = oneshot::channel();
    let stream = collect(Box::new(pipe), asked);
    let (answer, done) = oneshot::channel();
    let later = async {
        tokio::time::sleep(Duration::from_secs(9000)).await;
        drain.send(answer).unwrap();
        done.await.unwrap_err();
    };
    tokio::join!(stream, later);
    assert_eq!(*moved.lock().unwrap(), 201, "two chores, and a last look");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_rests_is_drained_at_once() {
    let moved = Arc::new(Mutex::new(0));
    let pipe = Pipe { pieces: [Pumped::Little; 90].into(), moved: moved.clone(), ..Pipe::default() };
    let (drain, asked) = oneshot::channel();
    let begun = tokio::time::Instant::now();
    let (answer, done) = oneshot::channel();
    let later = async {
        tokio::time::sleep(Duration::from_millis(70)).await;
        assert_eq!(*moved.lock().unwrap(), 7, "it rests for 64 ms");
        drain.send(answer).unwrap();
        done.await.unwrap_err();
    };
    tokio::join!(collect(Box::new(pipe), asked), later);
    assert_eq!(begun.elapsed(), Duration::from_millis(70));
    assert_eq!(*moved.lock().unwrap(), 7 + DRAIN, "as much as a pipe may hold, and no more");
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_many_small_pieces_is_drained_to_its_end() {
    let moved = Arc::new(Mutex::new(0));
    let pipe = Pipe { pieces: [Pumped::Full; 900].into(), moved: moved.clone(), bytes: 900, ..Pipe::default() };
    let (drain, asked) = oneshot::channel();
    let (answer, done) = oneshot::channel();
    drain.send(answer).unwrap();
    let _ = tokio::join!(collect(Box::new(pipe), asked), done);
    assert_eq!(*moved.lock().unwrap(), 901, "all of it, and a look that found nothing more");
}

/// Counts what is told.
#[derive(Clone, Default)]
struct Told(Arc<AtomicUsize>);

impl Subscriber for Told {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        self.0.fetch_add(usize::from(event.metadata().target().starts_with("daemonctl")), Ordering::SeqCst);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_cannot_be_waited_for_says_so_once() {
    let told = Told::default();
    let _guard = tracing::subscriber::set_default(told.clone());
    let (drain, asked) = oneshot::channel();
    let faulty = Pipe { waits: [&[false; 20][..], &[true], &[false; 20]].concat().into(), ..Pipe::default() };
    let (answer, done) = oneshot::channel();
    let later = async {
        tokio::time::sleep(FAULT * 50).await;
        drain.send(answer).unwrap();
        done.await.unwrap_err();
    };
    tokio::join!(collect(Box::new(faulty), asked), later);
    assert_eq!(told.0.load(Ordering::SeqCst), 2, "once more after it could be");
}

/// A pipe whose log takes a byte a second, until there is a hurry.
struct Slow {
    begun: Instant,
    moved: u64,
    bytes: u64,
    looks: Arc<AtomicUsize>,
    hurried: bool,
}

impl Tap for Slow {
    fn ready(&mut self) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + '_>> {
        Box::pin(async { Ok(()) })
    }

    fn pump(&mut self) -> std::io::Result<Pumped> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        let taken = if self.hurried { self.bytes } else { self.begun.elapsed().as_secs() };
        match std::mem::replace(&mut self.moved, taken) == self.bytes {
            true => Ok(Pumped::Empty),
            false => Ok(Pumped::Little),
        }
    }

    fn hurry(&mut self) {
        self.hurried = true;
    }

    fn pending(&self) -> u64 {
        self.bytes - self.moved
    }

    fn moved(&self) -> u64 {
        self.moved
    }

    fn chore(&self) -> Option<Duration> {
        None
    }

    fn tidy(&mut self) {}
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_app_waits_for_a_slow_reader_but_not_for_ever() {
    let (begun, looks) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let slow = Slow { begun, moved: 0, bytes: 1000, looks: looks.clone(), hurried: false };
    let (drain, asked) = oneshot::channel();
    let (answer, done) = oneshot::channel();
    drain.send(answer).unwrap();
    let _ = tokio::join!(collect(Box::new(slow), asked), done);
    assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
    let most = PATIENCE.as_millis() as usize + 10;
    assert!(looks.load(Ordering::SeqCst) <= most, "it rests between looks");
}

#[test]
fn a_collector_that_is_lost_says_so() {
    actix::System::new().block_on(async {
        let (lost, told) = oneshot::channel();
        let collector = LogCollector::new(move || lost.send(()).expect("somebody listens")).start();
        collector.send(attach(&[Pumped::End], &Arc::default())).await.unwrap();
        told.await.expect("word of the loss");
    });
}
