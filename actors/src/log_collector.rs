//! Moves the output of all apps from pipes to files, on a thread of its own: a disk that stalls must not delay the
//! exits and checks of the tree.
//!
//! A stream is a [`Tap`]: wait until there is something, move it. After a short read the stream rests for a moment, so
//! that an app that writes line by line does not cost a wake-up a line.

use std::collections::HashMap;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, ResponseFuture, SpawnHandle, WrapFuture};
use tokio::sync::oneshot;

use crate::ports::{Pumped, Tap};
use crate::value::AppName;

/// How long a stream rests after a read that did not fill the buffer.
const REST: Duration = Duration::from_millis(1);

/// How many pieces are moved at the most after the end of an app: many times what a pipe holds.
const DRAIN: usize = 64;

/// One of an app's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

struct Collecting {
    task: SpawnHandle,
    /// Asks the task to drain its pipe and end; it answers by dropping the sender it is given.
    drain: Option<oneshot::Sender<oneshot::Sender<()>>>,
}

impl LogCollector {
    /// A collector that calls `lost` if a panic takes it.
    pub fn new(lost: impl FnOnce() + Send + 'static) -> Self {
        Self { streams: HashMap::new(), lost: Some(Box::new(lost)) }
    }
}

/// Moves a stream until it ends, or until it is asked to drain and is empty.
async fn collect(mut tap: Box<dyn Tap>, mut drain: oneshot::Receiver<oneshot::Sender<()>>) {
    let mut done = None;
    let mut last_pieces = DRAIN;
    loop {
        if done.is_none() {
            tokio::select! {
                biased;
                asked = &mut drain => match asked {
                    Ok(answer) => done = Some(answer),
                    Err(_) => return,
                },
                ready = tap.ready() => if ready.is_err() { return },
            }
        }
        match (tap.pump(), &done) {
            (Ok(Pumped::Full), None) => tokio::task::yield_now().await,
            // Whoever still writes has got away from the app, and must not keep it from its end.
            (Ok(Pumped::Some | Pumped::Full), Some(_)) if last_pieces == 0 => return,
            (Ok(Pumped::Some | Pumped::Full), Some(_)) => last_pieces -= 1,
            (Ok(Pumped::Some), None) => tokio::time::sleep(REST).await,
            (Ok(Pumped::Empty), None) => {}
            (Ok(Pumped::Empty | Pumped::End) | Err(_), _) => return,
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
        let key = (app, stream);
        let ended = key.clone();
        let task = ctx.spawn(collect(tap, asked).into_actor(self).map(move |(), collector, _| {
            if let Some(collecting) = collector.streams.get_mut(&ended) {
                collecting.drain = None;
            }
        }));
        if let Some(old) = self.streams.insert(key, Collecting { task, drain: Some(drain) }) {
            ctx.cancel_future(old.task);
        }
    }
}

impl Handler<Detach> for LogCollector {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Detach { app }: Detach, _: &mut Self::Context) -> Self::Result {
        let mut drained = Vec::new();
        for stream in [Stream::Out, Stream::Err] {
            let collecting = self.streams.remove(&(app.clone(), stream));
            if let Some(drain) = collecting.and_then(|collecting| collecting.drain) {
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
        if let Some(lost) = self.lost.take().filter(|_| std::thread::panicking()) {
            lost();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A pipe with pieces in it, which counts what was moved.
    struct Pipe {
        pieces: VecDeque<Pumped>,
        moved: Arc<Mutex<usize>>,
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
    }

    fn attach(pieces: &[Pumped], moved: &Arc<Mutex<usize>>) -> Attach {
        let pipe = Pipe { pieces: pieces.iter().copied().collect(), moved: moved.clone() };
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
