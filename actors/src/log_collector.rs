//! Moves the output of all apps from pipes to files, on a thread of its own: a disk that stalls must not delay the
//! exits and checks of the tree.
//!
//! A stream is a [`Tap`], driven by a task of its own: wait until there is something, move a piece of it, let the others
//! have their turn. After a look that found little the stream rests ([`Pace`]), so that an app that writes line by line
//! does not cost a wake-up a line. A stream at rest costs nothing at all.

use std::collections::HashMap;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, ResponseFuture, WrapFuture};
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::pace::Pace;
use crate::ports::{Pumped, Tap};
use crate::value::AppName;

/// How many pieces are moved at the most after the end of an app, beyond what its pipe holds then: others may still write.
const DRAIN: usize = 64;

/// How long the end of an app waits for those who read its output slowly, from a FIFO for instance.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a stream that is drained rests after a look that moved nothing: the thread is that of all apps.
const NAP: Duration = Duration::from_millis(1);

/// How long a stream rests that could not be read, or waited for: there may be descriptors again by then.
const FAULT: Duration = Duration::from_millis(100);

/// One of an app's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Makes a tap, on the thread that will drive it.
pub type TapMaker = Box<dyn FnOnce() -> std::io::Result<Box<dyn Tap>> + Send>;

/// From the spawner: collect a stream from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Attach {
    /// Of which app.
    pub app: AppName,
    /// Which stream.
    pub stream: Stream,
    /// How to get at it.
    pub make: TapMaker,
}

/// From the spawner: the app has ended; move what its pipes still hold, and let go. The reply comes when that is done.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Detach {
    /// Which app.
    pub app: AppName,
}

/// The actor.
#[derive(Default)]
pub struct LogCollector {
    streams: HashMap<(AppName, Stream), Collecting>,
    lost: Option<Box<dyn FnOnce() + Send>>,
}

/// A stream that is attached. Without it, its task ends.
struct Collecting {
    task: AbortHandle,
    /// Asks the task to drain its pipe and end; it answers by dropping the sender it is given.
    drain: Option<oneshot::Sender<oneshot::Sender<()>>>,
}

impl Drop for Collecting {
    fn drop(&mut self) {
        // Who has been asked to drain ends by itself.
        if self.drain.is_some() {
            self.task.abort();
        }
    }
}

impl LogCollector {
    /// A collector that calls `lost` if a panic takes it.
    pub fn new(lost: impl FnOnce() + Send + 'static) -> Self {
        Self { streams: HashMap::new(), lost: Some(Box::new(lost)) }
    }

    fn tell_lost(&mut self) {
        if let Some(lost) = self.lost.take() {
            lost();
        }
    }
}

/// Faults of one kind in a row, of which the first is told. That a look works is no end of those in waiting.
#[derive(Default)]
struct Faults(bool);

impl Faults {
    fn tell(&mut self, error: &std::io::Error) {
        if !std::mem::replace(&mut self.0, true) {
            tracing::error!(%error, "cannot collect output, trying again");
        }
    }
}

/// What a stream is asked to answer when it is drained.
type Answer = oneshot::Sender<()>;

/// Moves a stream until it ends, or until it is asked to drain and is empty.
async fn collect(mut tap: Box<dyn Tap>, mut drain: oneshot::Receiver<Answer>) {
    let mut pace = Pace::default();
    let (mut waiting, mut moving) = (Faults::default(), Faults::default());
    let mut pumped = Pumped::Empty;
    let answer = loop {
        match pace.after(pumped) {
            Some(rest) => tokio::select! {
                biased;
                asked = &mut drain => break asked,
                () = tokio::time::sleep(rest) => {}
            },
            None if pumped == Pumped::Empty => {
                let chore = tap.chore();
                let tidy = async {
                    match chore {
                        Some(after) => tokio::time::sleep(after).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    asked = &mut drain => break asked,
                    ready = tap.ready() => match ready {
                        Ok(()) => waiting = Faults::default(),
                        Err(error) => {
                            waiting.tell(&error);
                            tokio::time::sleep(FAULT).await;
                        }
                    },
                    () = tidy => {
                        tap.tidy();
                        continue;
                    }
                }
            }
            // Others may have something to move as well.
            None => match drain.try_recv() {
                Ok(answer) => break Ok(answer),
                Err(TryRecvError::Closed) => return,
                Err(TryRecvError::Empty) => tokio::task::yield_now().await,
            },
        }
        pumped = match tap.pump() {
            Ok(Pumped::End) => return,
            Ok(pumped) => {
                moving = Faults::default();
                pumped
            }
            Err(error) => {
                moving.tell(&error);
                tokio::time::sleep(FAULT).await;
                Pumped::Empty
            }
        };
    };
    if answer.is_ok() {
        empty(&mut *tap).await;
    }
    drop(tap); // Whatever it still has to say, it says before the answer.
}

/// Moves what the pipe of an app that has ended holds.
async fn empty(tap: &mut dyn Tap) {
    let all = tap.moved() + tap.pending();
    let until = Instant::now() + PATIENCE;
    // Whoever still writes after this has got away from the app, and must not keep it from its end.
    let mut pieces = DRAIN;
    while pieces > 0 {
        let before = tap.moved();
        match tap.pump() {
            Ok(Pumped::Little | Pumped::Some | Pumped::Full) => {}
            Ok(Pumped::Empty | Pumped::End) | Err(_) => return,
        }
        pieces -= usize::from(tap.moved() >= all);
        if Instant::now() >= until {
            tap.hurry();
        }
        match tap.moved() == before {
            true => tokio::time::sleep(NAP).await,
            false => tokio::task::yield_now().await,
        }
    }
}

impl Actor for LogCollector {
    type Context = Context<Self>;
}

impl Handler<Attach> for LogCollector {
    type Result = ();

    fn handle(&mut self, Attach { app, stream, make }: Attach, ctx: &mut Self::Context) {
        let tap = match make() {
            Ok(tap) => tap,
            Err(error) => return tracing::error!(%app, ?stream, %error, "cannot collect output"),
        };
        let (drain, asked) = oneshot::channel();
        let task = actix::spawn(collect(tap, asked));
        // A panic ends the task alone. This actor cannot tell what it left behind: another one takes its place.
        let abort = task.abort_handle();
        ctx.spawn(task.into_actor(self).map(|end, collector, ctx| {
            if end.is_err_and(|error| error.is_panic()) {
                collector.tell_lost();
                ctx.terminate();
            }
        }));
        // The stream that had this place, if one did, ends.
        self.streams.insert((app, stream), Collecting { task: abort, drain: Some(drain) });
    }
}

impl Handler<Detach> for LogCollector {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Detach { app }: Detach, _: &mut Self::Context) -> Self::Result {
        let mut drained = Vec::new();
        for stream in [Stream::Out, Stream::Err] {
            let collecting = self.streams.remove(&(app.clone(), stream));
            if let Some(drain) = collecting.and_then(|mut collecting| collecting.drain.take()) {
                let (answer, done) = oneshot::channel();
                if drain.send(answer).is_ok() {
                    drained.push(done);
                }
            }
        }
        Box::pin(async move {
            for done in drained {
                let _ = done.await; // An error is the answer: the sender was dropped, the task is over.
            }
        })
    }
}

impl Drop for LogCollector {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell_lost();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tracing::{Event, Metadata, Subscriber, span};

    use super::*;

    /// A pipe with pieces in it, which counts what was moved.
    struct Pipe {
        pieces: VecDeque<Pumped>,
        moved: Arc<Mutex<usize>>,
        /// What it says it holds.
        bytes: u64,
        /// Chores that wait, an hour each.
        chores: usize,
    }

    impl Tap for Pipe {
        fn ready(&mut self) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + '_>> {
            match self.pieces.is_empty() {
                true => Box::pin(std::future::pending()),
                false => Box::pin(async { Ok(()) }),
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
        let pipe = Pipe { pieces: pieces.iter().copied().collect(), moved: moved.clone(), bytes: 0, chores: 0 };
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
        let pipe = Pipe { pieces: VecDeque::new(), moved: moved.clone(), bytes: 0, chores: 2 };
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
        let pipe = Pipe { pieces: [Pumped::Little; 90].into(), moved: moved.clone(), bytes: 0, chores: 0 };
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
        let pipe = Pipe { pieces: [Pumped::Full; 900].into(), moved: moved.clone(), bytes: 900, chores: 0 };
        let (drain, asked) = oneshot::channel();
        let (answer, done) = oneshot::channel();
        drain.send(answer).unwrap();
        let _ = tokio::join!(collect(Box::new(pipe), asked), done);
        assert_eq!(*moved.lock().unwrap(), 901, "all of it, and a look that found nothing more");
    }

    /// An empty pipe that cannot be waited for, as where there are no descriptors left, at each `false`.
    struct Faulty(VecDeque<bool>);

    impl Tap for Faulty {
        fn ready(&mut self) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + '_>> {
            match self.0.pop_front() {
                Some(true) => Box::pin(async { Ok(()) }),
                Some(false) => Box::pin(async { Err(std::io::Error::other("too many open files")) }),
                None => Box::pin(std::future::pending()),
            }
        }

        fn pump(&mut self) -> std::io::Result<Pumped> {
            Ok(Pumped::Empty)
        }

        fn hurry(&mut self) {}

        fn pending(&self) -> u64 {
            0
        }

        fn moved(&self) -> u64 {
            0
        }

        fn chore(&self) -> Option<Duration> {
            None
        }

        fn tidy(&mut self) {}
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
        let faulty = Faulty([&[false; 20][..], &[true], &[false; 20]].concat().into());
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
}
