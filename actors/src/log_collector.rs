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
mod tests;
