//! Looks after one app: feeds its machine with what happens, and carries out what the machine decides.
//!
//! The actor owns nothing that matters. Its child belongs to the kernel, its state to the cell; when a panic takes the
//! actor, the root starts another around the same cell ([`App::new`] with `resumed`), and the child notices nothing.

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, SpawnHandle, WrapFuture};

use crate::cell::{Cell, Last, SharedCell, StartFailure, Trouble};
use crate::health::{Health, Vitals};
use crate::health_checker::{CheckFinished, CheckerLost, End, HealthChecker};
use crate::lifecycle::{Effect, Event, Exit, Phase};
use crate::ports::{Hook, Launched, LocalFuture, NOT_EXECUTED, Notice, Ports, Scope, Told};
use crate::root::{ActorLost, AppEnded, AppRested, RootSupervisor};
use crate::value::{AppName, ExitStatus, Moment, Signal};

/// The actor.
pub struct App {
    name: AppName,
    cell: SharedCell,
    ports: Ports,
    root: Addr<RootSupervisor>,
    checker: Option<Addr<HealthChecker>>,
    timer: Option<SpawnHandle>,
    resumed: bool,
    _guard: Guard,
}

/// Tells the root when its actor is dropped by a panic.
struct Guard {
    name: AppName,
    root: Addr<RootSupervisor>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.root.do_send(ActorLost { name: self.name.clone() });
        }
    }
}

/// From the root: something that happened to the app, such as a verdict.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Happened(pub Event);

/// From the root: there are commands in the cell's inbox. (In the mailbox they would be lost with this actor.)
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Commanded;

/// From the root: send this signal. The reply is the system's.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "std::io::Result<()>")]
pub struct SendSignal {
    /// Which; the app's reload signal if not given.
    pub signal: Option<Signal>,
    /// Whom it is for.
    pub scope: Scope,
}

impl App {
    /// An actor around `cell`; `resumed` when the cell has a history that another actor, or another supervisor, lived.
    pub fn new(cell: SharedCell, ports: Ports, root: Addr<RootSupervisor>, resumed: bool) -> Self {
        let name = cell.get().name.clone();
        let guard = Guard { name: name.clone(), root: root.clone() };
        Self { name, cell, ports, root, checker: None, timer: None, resumed, _guard: guard }
    }

    /// One turn of the machine: decide, record, act.
    fn event(&mut self, event: Event, ctx: &mut Context<Self>) {
        let now = self.ports.clock.now();
        let (effects, rests) = {
            let mut cell = self.cell.get_mut();
            let before = cell.life;
            let timing = cell.policy.timing;
            let effects = cell.life.step(now, event, &timing);
            if let Event::Stop { .. } = event {
                cell.stops += 1;
                cell.stopped_launch = cell.launches;
            }
            if !cell.life.phase.is_called_like(before.phase) {
                cell.since = Some(self.ports.clock.wall());
            }
            self.keep_books(&mut cell, before.phase, event);
            (effects, matches!(cell.life.phase, Phase::Down(_)))
        };
        self.ports.sink.save(&self.cell.get());
        for effect in effects {
            self.act(effect, ctx);
        }
        self.arm(ctx);
        self.cell.publish();
        if rests {
            self.root.do_send(AppRested { name: self.name.clone() });
        }
    }

    /// Carries out the commands that have come in.
    fn obey(&mut self, ctx: &mut Context<Self>) {
        while let Some(command) = self.cell.next_command() {
            self.event(command, ctx);
        }
    }

    /// What the cell remembers of an event beside the machine's own state, and what the event log is told.
    fn keep_books(&self, cell: &mut Cell, before: Phase, event: Event) {
        let note = |notice| self.ports.sink.note(&self.name, notice);
        match (before, cell.life.phase) {
            (Phase::Launching { .. }, Phase::Up) => {
                cell.executed_launch = cell.launches;
                cell.failure = None;
                cell.started_at = Some(self.ports.clock.wall());
                note(Notice::Started { pid: cell.child.map_or(0, |child| child.pid) });
            }
            (Phase::Launching { .. } | Phase::Up | Phase::Stopping { .. }, Phase::Sweeping { ending, .. }) => {
                let pid = cell.child.filter(|_| ending.status.is_some()).map(|child| child.pid);
                cell.last = Some(Last { ending, at: self.ports.clock.wall(), pid });
                match (&cell.failure, ending.status) {
                    (Some(failure), None) => note(Notice::NotStarted(failure.clone())),
                    _ => note(Notice::Ended { pid, ending }),
                }
            }
            (_, Phase::Backoff { until }) if !matches!(before, Phase::Backoff { .. }) => {
                let after = until.saturating_sub(self.ports.clock.now()).as_secs_f64();
                let (attempt, of) = (cell.history.attempts, cell.policy.restart.max_attempts);
                note(Notice::Restarting { after, attempt, of });
            }
            (Phase::Judging(_), Phase::Down(_)) if cell.history.gave_up => {
                note(Notice::GaveUp { attempts: cell.history.attempts });
            }
            _ => {}
        }
        let killed = |phase| matches!(phase, Phase::Stopping { killed: true, .. });
        if event == Event::Deadline && !killed(before) && killed(cell.life.phase) {
            note(Notice::Killed);
        }
        if let Event::Exited(_) = event {
            cell.vitals = None;
        }
        if !cell.life.has_child() {
            cell.next_check = None;
        }
    }

    fn act(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        let child = self.cell.get().child;
        match effect {
            Effect::Launch => self.launch(ctx),
            Effect::Terminate(signal) => {
                let signal = signal.unwrap_or(self.cell.get().policy.stop_signal);
                if let Some(child) = child {
                    self.ports.sink.note(&self.name, Notice::Stopping { signal });
                    // A process that has just ended needs no signal; its end will be reported.
                    let _ = self.ports.spawner.signal(&self.name, child, signal, Scope::Group);
                    let _ = self.ports.spawner.signal(&self.name, child, Signal::CONT, Scope::Group);
                }
            }
            Effect::Kill => {
                if let Some(child) = child {
                    self.ports.spawner.kill(&self.name, child);
                }
            }
            Effect::Observe => self.observe(ctx),
            Effect::Unobserve => {
                self.unobserve();
                self.cell.get_mut().next_check = None;
            }
            Effect::Ready => {
                self.ports.sink.note(&self.name, Notice::Ready);
                let hook = self.ports.checker.hook(&self.name, Hook::Start, child.map(|child| child.pid), None);
                ctx.spawn(hook.into_actor(self));
            }
            Effect::Sweep { until } => self.sweep(until, ctx),
            Effect::Judge(ending) => {
                self.root.do_send(AppEnded { name: self.name.clone(), ending });
            }
        }
    }

    fn launch(&mut self, ctx: &mut Context<Self>) {
        let awaited = {
            let mut cell = self.cell.get_mut();
            cell.launches += 1;
            cell.child = None;
            cell.failure = None;
            cell.vitals = None;
            cell.check = None;
            cell.awaited
        };
        let launch = self.ports.spawner.launch(&self.name, awaited).into_actor(self);
        ctx.spawn(launch.map(|outcome, app, ctx| app.launched(outcome, ctx)));
    }

    /// The launcher waits at its gate, or could not even be started.
    fn launched(&mut self, outcome: Result<Launched, StartFailure>, ctx: &mut Context<Self>) {
        let launched = match outcome {
            Ok(launched) => launched,
            Err(failure) => return self.not_executed(failure, ctx),
        };
        let child = launched.child;
        let wanted = {
            let mut cell = self.cell.get_mut();
            if launched.reconfigured || cell.policy != launched.policy {
                cell.history.attempts = 0;
            }
            cell.policy = launched.policy;
            cell.warnings = launched.warnings;
            cell.child = Some(child);
            matches!(cell.life.phase, Phase::Launching { .. })
        };
        // The record comes before the go byte: whatever happens from here on, a successor knows the process.
        let recorded = self.ports.sink.save(&self.cell.get());
        self.arm(ctx); // The time a launch may take has just become known.
        if wanted && !recorded {
            let message = "cannot write its record: without one it could not be taken over".to_owned();
            let failure = StartFailure { trouble: Trouble::Passing, message, hint: None };
            let abandon = self.ports.spawner.abandon(&self.name, child).into_actor(self);
            ctx.spawn(abandon.map(|(), app, ctx| app.not_executed(failure, ctx)));
        } else if wanted {
            let release = self.ports.spawner.release(&self.name, child);
            self.await_exec(release, ctx);
        } else {
            let abandon = self.ports.spawner.abandon(&self.name, child).into_actor(self);
            ctx.spawn(abandon.map(|(), app, ctx| app.event(Event::LaunchFailed, ctx)));
        }
    }

    fn await_exec(&mut self, exec: LocalFuture<Result<Vec<String>, StartFailure>>, ctx: &mut Context<Self>) {
        let exec = exec.into_actor(self);
        ctx.spawn(exec.map(|outcome, app, ctx| match outcome {
            Ok(warnings) => {
                app.cell.get_mut().warnings.extend(warnings);
                app.event(Event::Executed, ctx);
                app.await_exit(ctx);
            }
            Err(failure) => app.not_executed(failure, ctx),
        }));
    }

    fn not_executed(&mut self, failure: StartFailure, ctx: &mut Context<Self>) {
        {
            let mut cell = self.cell.get_mut();
            cell.failure = Some(failure);
        }
        self.event(Event::LaunchFailed, ctx);
    }

    fn await_exit(&mut self, ctx: &mut Context<Self>) {
        let Some(child) = self.cell.get().child else { return };
        let exit = self.ports.spawner.watch(&self.name, child).into_actor(self);
        ctx.spawn(exit.map(move |status: ExitStatus, app, ctx| {
            let executed = app.cell.get().life.executed.is_some();
            if !executed && NOT_EXECUTED.contains(&status) {
                app.ports.spawner.reap(&app.name, child);
                return app.event(Event::LaunchFailed, ctx);
            }
            // Recorded first, reaped second: a supervisor that dies in between leaves a status for its successor.
            let out_of_memory = app.ports.spawner.ran_out_of_memory(&app.name, status);
            app.event(Event::Exited(Exit { status, out_of_memory }), ctx);
            app.ports.spawner.reap(&app.name, child);
        }));
    }

    fn observe(&mut self, ctx: &mut Context<Self>) {
        self.unobserve();
        let (policy, vitals) = {
            let mut cell = self.cell.get_mut();
            let Some(policy) = cell.policy.health else { return };
            let begun = cell.life.executed.unwrap_or_default();
            let fresh = Vitals::new(begun, cell.life.ready.is_some(), &policy);
            let vitals = *cell.vitals.get_or_insert(fresh);
            let now = self.ports.clock.now();
            cell.next_check =
                if vitals.health == Health::Starting { Some(now) } else { vitals.next(now, now, &policy) };
            (policy, vitals)
        };
        let app = (ctx.address().recipient(), ctx.address().recipient());
        let checker = HealthChecker::new(self.name.clone(), self.ports.clone(), app, policy, vitals);
        self.checker = Some(checker.start());
    }

    fn unobserve(&mut self) {
        if let Some(checker) = self.checker.take() {
            checker.do_send(End);
        }
    }

    /// Removes what is left, runs on-stop, and goes on with the machine.
    fn sweep(&mut self, until: Moment, ctx: &mut Context<Self>) {
        let (child, life) = {
            let cell = self.cell.get();
            (cell.child, cell.life)
        };
        let swept = self.ports.spawner.sweep(&self.name, child, until).into_actor(self);
        ctx.spawn(swept.then(move |(), app, _| {
            let told = match life.phase {
                Phase::Sweeping { ending, .. } if ending.status.is_some() => Some(Told { ending, want: life.want }),
                _ => None,
            };
            let pid = child.map(|child| child.pid);
            let hook: LocalFuture<()> = match told {
                Some(told) => app.ports.checker.hook(&app.name, Hook::Stop, pid, Some(told)),
                None => Box::pin(async {}), // What never ran has not stopped.
            };
            let cleared =
                hook.into_actor(app).then(|(), app: &mut Self, _| app.ports.spawner.clear(&app.name).into_actor(app));
            cleared.map(|(), app: &mut Self, ctx: &mut Context<Self>| {
                app.cell.get_mut().child = None;
                app.event(Event::Swept, ctx);
            })
        }));
    }

    /// One timer, for the one deadline of the machine.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        if let Some(due) = self.cell.get().deadline() {
            let wait = due.saturating_sub(self.ports.clock.now());
            self.timer = Some(ctx.run_later(wait, |app, ctx| {
                app.timer = None;
                app.event(Event::Deadline, ctx);
            }));
        }
    }

    /// Goes on where another actor left off.
    fn resume(&mut self, ctx: &mut Context<Self>) {
        // Whoever was here before may have been lost between a decision and its record.
        self.ports.sink.save(&self.cell.get());
        let (life, child) = {
            let cell = self.cell.get();
            (cell.life, cell.child)
        };
        match (life.phase, child) {
            (Phase::Launching { .. }, None) => self.launch(ctx),
            (Phase::Launching { .. }, Some(child)) => {
                let recover = self.ports.spawner.recover(&self.name, child);
                self.await_exec(recover, ctx);
            }
            (Phase::Stopping { .. }, None) => return self.event(Event::LaunchFailed, ctx),
            (Phase::Up | Phase::Stopping { .. }, _) => self.await_exit(ctx),
            (Phase::Down(_) | Phase::Sweeping { .. } | Phase::Judging(_) | Phase::Backoff { .. }, _) => {}
        }
        for effect in life.resume() {
            self.act(effect, ctx);
        }
        self.arm(ctx);
        self.cell.publish();
    }
}

impl Actor for App {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.resumed {
            self.resume(ctx);
        }
        self.obey(ctx);
    }
}

impl Handler<Happened> for App {
    type Result = ();

    fn handle(&mut self, Happened(event): Happened, ctx: &mut Self::Context) {
        self.event(event, ctx);
    }
}

impl Handler<Commanded> for App {
    type Result = ();

    fn handle(&mut self, _: Commanded, ctx: &mut Self::Context) {
        self.obey(ctx);
    }
}

impl Handler<SendSignal> for App {
    type Result = std::io::Result<()>;

    fn handle(&mut self, message: SendSignal, _: &mut Self::Context) -> Self::Result {
        let (child, signal) = {
            let cell = self.cell.get();
            (cell.child.filter(|_| cell.life.has_child()), message.signal.unwrap_or(cell.policy.reload_signal))
        };
        let Some(child) = child else { return Err(std::io::ErrorKind::NotFound.into()) };
        self.ports.sink.note(&self.name, Notice::Signalled { signal });
        self.ports.spawner.signal(&self.name, child, signal, message.scope)
    }
}

impl Handler<CheckFinished> for App {
    type Result = ();

    fn handle(&mut self, message: CheckFinished, ctx: &mut Self::Context) {
        if self.checker.is_none() {
            return; // It came from a checker that has been told to end.
        }
        let output = message.report.output.clone();
        {
            let mut cell = self.cell.get_mut();
            let starting = message.vitals.health == Health::Starting;
            if !message.report.success
                && !message.changed
                && cell.check.as_ref().is_none_or(|last| last.output != output)
            {
                self.ports.sink.note(&self.name, Notice::CheckFailed { output: output.clone(), starting });
            }
            cell.vitals = Some(message.vitals);
            cell.check = Some(message.report);
            cell.next_check = message.next;
        }
        match (message.changed, message.vitals.health) {
            (true, Health::Healthy) => {
                self.ports.sink.note(&self.name, Notice::Health { healthy: true, output });
                self.event(Event::Healthy, ctx);
            }
            (true, Health::Unhealthy) => {
                self.ports.sink.note(&self.name, Notice::Health { healthy: false, output });
                self.event(Event::Unhealthy, ctx);
            }
            (true, Health::Starting) | (false, _) => self.cell.publish(),
        }
    }
}

impl Handler<CheckerLost> for App {
    type Result = ();

    fn handle(&mut self, _: CheckerLost, ctx: &mut Self::Context) {
        if self.checker.is_some() {
            self.observe(ctx);
        }
    }
}
