//! The root of the tree: a cell for every app, commands, verdicts, and new actors for lost ones.

mod messages;
mod waits;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Handler, MessageResult, ResponseFuture};

pub use messages::{
    ActorLost, Adopt, AppEnded, AppRested, Cells, RestartApp, SignalApp, SignalFailure, StartApp, Started, StopAll,
    StopApp, Stopped,
};
use waits::{Begun, await_rest, await_start, closing};

use crate::app::{App, Commanded, Happened, SendSignal};
use crate::cell::{Cell, SharedCell, StartFailure};
use crate::lifecycle::{Cause, Event, Phase, Rest, Want};
use crate::ports::{Notice, Ports};
use crate::restarts::{History, Verdict, judge};
use crate::value::{AppName, Moment, Signal};

/// The actor.
pub struct RootSupervisor {
    ports: Ports,
    apps: BTreeMap<AppName, Entry>,
    /// Whether everything is being stopped for good: no more starts.
    closing: bool,
    /// Called if a panic takes this actor: above it there is only the process, and above that the keeper.
    lost: Option<Box<dyn FnOnce()>>,
}

struct Entry {
    cell: SharedCell,
    actor: Addr<App>,
    /// When its actor was rebuilt, lately.
    rebuilt: VecDeque<Moment>,
}

impl Entry {
    /// Gives the app a command, which is not lost even if its actor is.
    fn command(&self, command: Event) {
        self.cell.command(command);
        self.actor.do_send(Commanded);
    }
}

/// More rebuilds than this within [`REBUILD_WINDOW`], and the next one waits for [`REBUILD_PAUSE`]: a panic that comes
/// back at once must not become a loop.
const REBUILD_LIMIT: usize = 3;
const REBUILD_WINDOW: Duration = Duration::from_secs(60);
const REBUILD_PAUSE: Duration = Duration::from_secs(10);

impl RootSupervisor {
    /// A root without apps, which calls `lost` if a panic takes it.
    pub fn new(ports: Ports, lost: impl FnOnce() + 'static) -> Self {
        Self { ports, apps: BTreeMap::new(), closing: false, lost: Some(Box::new(lost)) }
    }

    /// The entry of an app, made if there is none.
    fn entry(&mut self, name: &AppName, ctx: &Context<Self>) -> &mut Entry {
        let ports = &self.ports;
        self.apps.entry(name.clone()).or_insert_with(|| {
            let cell = SharedCell::new(Cell::new(name.clone()));
            let actor = App::new(cell.clone(), ports.clone(), ctx.address(), false).start();
            Entry { cell, actor, rebuilt: VecDeque::new() }
        })
    }

    /// Prepares a start by command: all attempts again, and whether somebody waits for readiness.
    fn forget_attempts(cell: &SharedCell, wait: bool) {
        let mut cell = cell.get_mut();
        cell.history = History::default();
        cell.awaited = wait;
    }

    fn rebuild(&mut self, name: &AppName, ctx: &Context<Self>) {
        if let Some(entry) = self.apps.get_mut(name) {
            self.ports.sink.note(name, Notice::Rebuilt);
            entry.actor = App::new(entry.cell.clone(), self.ports.clone(), ctx.address(), true).start();
        }
    }
}

impl Actor for RootSupervisor {
    type Context = Context<Self>;
}

impl Drop for RootSupervisor {
    fn drop(&mut self) {
        if let Some(lost) = self.lost.take().filter(|_| std::thread::panicking()) {
            lost();
        }
    }
}

impl Handler<StartApp> for RootSupervisor {
    type Result = ResponseFuture<Started>;

    fn handle(&mut self, start: StartApp, ctx: &mut Self::Context) -> Self::Result {
        if self.closing {
            return Box::pin(async { closing() });
        }
        let entry = self.entry(&start.name, ctx);
        let cell = entry.cell.clone();
        let (phase, launches, stops, child) = {
            let cell = cell.get();
            (cell.life.phase, cell.launches, cell.stops, cell.child)
        };
        let launch = match phase {
            Phase::Up if !start.wait || cell.get().life.ready.is_some() => {
                let pid = child.map_or(0, |child| child.pid);
                return Box::pin(async move { Started::Running { pid } });
            }
            // On its way already: this start waits for the same launch.
            Phase::Up | Phase::Launching { .. } => launches,
            Phase::Down(_)
            | Phase::Stopping { .. }
            | Phase::Sweeping { .. }
            | Phase::Judging(_)
            | Phase::Backoff { .. } => {
                Self::forget_attempts(&cell, start.wait);
                entry.command(Event::Start);
                launches + 1
            }
        };
        Box::pin(await_start(cell, Begun { launch, stops }, start))
    }
}

impl Handler<RestartApp> for RootSupervisor {
    type Result = ResponseFuture<Started>;

    fn handle(&mut self, RestartApp { start, grace, delay }: RestartApp, ctx: &mut Self::Context) -> Self::Result {
        if self.closing {
            return Box::pin(async { closing() });
        }
        let entry = self.entry(&start.name, ctx);
        let cell = entry.cell.clone();
        Self::forget_attempts(&cell, start.wait);
        let (begun, own_grace) = {
            let cell = cell.get();
            (Begun { launch: cell.launches + 1, stops: cell.stops }, cell.policy.timing.stop_grace)
        };
        let grace = grace.unwrap_or(own_grace);
        entry.command(Event::Restart { grace, delay });
        // The stop may take its grace before the start's own time begins.
        let timeout = start.timeout.unwrap_or(cell.get().policy.timing.start_timeout) + grace + delay;
        Box::pin(await_start(cell, begun, StartApp { timeout: Some(timeout), ..start }))
    }
}

impl Handler<StopApp> for RootSupervisor {
    type Result = ResponseFuture<Stopped>;

    fn handle(&mut self, stop: StopApp, _: &mut Self::Context) -> Self::Result {
        let Some(entry) = self.apps.get(&stop.name) else { return Box::pin(async { Stopped::NotRunning }) };
        let cell = entry.cell.clone();
        let (rested, stops) = (matches!(cell.get().life.phase, Phase::Down(_)), cell.get().stops);
        let grace = stop.grace.unwrap_or(cell.get().policy.timing.stop_grace);
        // Said even to an app at rest: what had failed is stopped from now on.
        entry.command(Event::Stop { grace, signal: stop.signal });
        match (rested, stop.wait) {
            (true, _) => Box::pin(async { Stopped::NotRunning }),
            (false, false) => Box::pin(async { Stopped::Stopping }),
            (false, true) => Box::pin(async move { Stopped::Stopped(Box::new(await_rest(cell, stops).await)) }),
        }
    }
}

impl Handler<SignalApp> for RootSupervisor {
    type Result = ResponseFuture<Result<(Signal, i32), SignalFailure>>;

    fn handle(&mut self, message: SignalApp, _: &mut Self::Context) -> Self::Result {
        let Some(entry) = self.apps.get(&message.name) else {
            return Box::pin(async { Err(SignalFailure::NotRunning) });
        };
        let (cell, actor) = (entry.cell.clone(), entry.actor.clone());
        Box::pin(async move {
            let (child, signal) = {
                let cell = cell.get();
                (cell.child.filter(|_| cell.life.has_child()), message.signal.unwrap_or(cell.policy.reload_signal))
            };
            let child = child.ok_or(SignalFailure::NotRunning)?;
            let sent = actor.send(SendSignal { signal: Some(signal), scope: message.scope }).await;
            match sent {
                Ok(Ok(())) => {}
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(SignalFailure::NotRunning);
                }
                Ok(Err(error)) => return Err(SignalFailure::Refused(error)),
                Err(_) => return Err(SignalFailure::NotRunning),
            }
            if let Some(limit) = message.wait {
                let mut changes = cell.watch();
                let ended = changes.wait_for(|cell| cell.child != Some(child) || !cell.life.has_child());
                if tokio::time::timeout(limit, ended).await.is_err() {
                    return Err(SignalFailure::TimedOut);
                }
            }
            Ok((signal, child.pid))
        })
    }
}

impl Handler<Cells> for RootSupervisor {
    type Result = MessageResult<Cells>;

    fn handle(&mut self, _: Cells, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.apps.values().map(|entry| entry.cell.get().clone()).collect())
    }
}

impl Handler<Adopt> for RootSupervisor {
    type Result = ();

    fn handle(&mut self, Adopt(cell): Adopt, ctx: &mut Self::Context) {
        let name = cell.name.clone();
        let cell = SharedCell::new(cell);
        let actor = App::new(cell.clone(), self.ports.clone(), ctx.address(), true).start();
        self.apps.insert(name, Entry { cell, actor, rebuilt: VecDeque::new() });
    }
}

impl Handler<StopAll> for RootSupervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, StopAll { kill }: StopAll, _: &mut Self::Context) -> Self::Result {
        self.closing = true;
        let mut cells = Vec::new();
        for entry in self.apps.values() {
            let resting = matches!(entry.cell.get().life.phase, Phase::Down(_));
            if !resting {
                let grace = if kill { Duration::ZERO } else { entry.cell.get().policy.timing.stop_grace };
                entry.command(Event::Stop { grace, signal: None });
                cells.push((entry.cell.clone(), entry.cell.get().stops));
            }
        }
        Box::pin(async move {
            for (cell, stops) in cells {
                await_rest(cell, stops).await;
            }
        })
    }
}

impl Handler<AppEnded> for RootSupervisor {
    type Result = ();

    fn handle(&mut self, AppEnded { name, ending }: AppEnded, _: &mut Self::Context) {
        let Some(entry) = self.apps.get(&name) else { return };
        let verdict = {
            let mut cell = entry.cell.get_mut();
            // An end that was asked for, or an app that is not wanted any more, says nothing about its restarts.
            if ending.cause == Some(Cause::Asked) || cell.life.want == Want::Down {
                drop(cell);
                return entry.actor.do_send(Happened(Event::Judged(Verdict::Leave(Rest::Stopped))));
            }
            let fault = cell.failure.as_ref().filter(|_| ending.status.is_none()).map(StartFailure::fault);
            let policy = cell.policy.restart.clone();
            judge(&mut cell.history, &ending, fault, &policy, self.ports.clock.chance())
        };
        entry.actor.do_send(Happened(Event::Judged(verdict)));
    }
}

impl Handler<AppRested> for RootSupervisor {
    type Result = ();

    fn handle(&mut self, AppRested { name }: AppRested, _: &mut Self::Context) {
        let resting = |entry: &Entry| matches!(entry.cell.get().life.phase, Phase::Down(_));
        let all = self.apps.values().all(resting);
        // A start may have come in between: then it is not at rest any more.
        if let Some(entry) = self.apps.get(&name).filter(|entry| resting(entry)) {
            self.ports.sink.at_rest(&entry.cell.get(), all);
        }
    }
}

impl Handler<ActorLost> for RootSupervisor {
    type Result = ();

    fn handle(&mut self, ActorLost { name }: ActorLost, ctx: &mut Self::Context) {
        let now = self.ports.clock.now();
        let Some(entry) = self.apps.get_mut(&name) else { return };
        entry.rebuilt.retain(|at| now.saturating_sub(*at) < REBUILD_WINDOW);
        entry.rebuilt.push_back(now);
        if entry.rebuilt.len() <= REBUILD_LIMIT {
            return self.rebuild(&name, ctx);
        }
        ctx.run_later(REBUILD_PAUSE, move |root, ctx| root.rebuild(&name, ctx));
    }
}
