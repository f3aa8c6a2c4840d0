//! The supervisor's end of the control socket.
//!
//! | command | who may | what it does |
//! |---|---|---|
//! | start, stop, restart, signal, adopt | the owner, root | acts on apps |
//! | status, hello | the owner, root | tells |
//! | check | the owner, root | runs the app's own health check, and tells |
//!
//! Who has something done to an app is noted among its events.
//!
//! A connection carries one request. Whoever is slow, silent, or sends too much is hung up on; a client that leaves
//! does not take its request back. A process of an app that is confined is told so and nothing else (`peers`).

use std::cell::Cell as Counter;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use actix::Addr;
use daemonctl_actors::cell::Cell;
use daemonctl_actors::lifecycle::Phase;
use daemonctl_actors::ports::{Checker, Scope};
use daemonctl_actors::root::{
    Adopt, Cells, RestartApp, RootSupervisor, SignalApp, SignalFailure, StartApp, StopApp, Stopped,
};
use daemonctl_actors::value::AppName;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::adopt::{self, Handover};
use super::answer::{failure_of, internal, started_outcome, understand};
use super::host::{Hands, Host, monotonic, wall};
use super::instance::Asked;
use super::peers;
use super::requester;
use super::view::{self, Now};
use crate::config::values::Level;
use crate::control::protocol::{
    self, AppReply, Basis, Checked, Command, Failure, FailureKind, MAX_LINE, Outcome, Reply, Request,
};
use crate::control::status::{AppStatus, Health, State};
use crate::logs::happening::{Happening, Requester};

/// Connections served at the same time.
const CONNECTIONS: usize = 256;

/// How long a client may take to send its request.
const REQUEST_TIME: Duration = Duration::from_secs(5);

/// The server's hands.
#[derive(Clone)]
pub struct Server {
    host: Rc<Host>,
    root: Addr<RootSupervisor>,
    /// Requests under way.
    busy: Rc<watch::Sender<usize>>,
    served: Rc<Counter<bool>>,
}

impl Server {
    /// A server for this host's apps.
    pub fn new(host: Rc<Host>, root: Addr<RootSupervisor>) -> Self {
        Self { host, root, busy: Rc::new(watch::Sender::new(0)), served: Rc::new(Counter::new(false)) }
    }

    /// The number of requests under way, and its changes.
    pub fn busy(&self) -> watch::Receiver<usize> {
        self.busy.subscribe()
    }

    /// Whether an app was asked to be run.
    pub fn has_served(&self) -> bool {
        self.served.get()
    }

    /// Accepts connections, for ever.
    pub async fn serve(self, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.clone().accept(stream),
                Err(error) => {
                    // Out of descriptors, most likely: whoever waits in line is served when some are free again.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn accept(self, stream: UnixStream) {
        let peer = match stream.peer_cred() {
            Ok(peer) if peers::is_admitted(peer.uid()) => peer,
            Ok(peer) => return tracing::warn!(uid = peer.uid(), "refused a stranger"),
            Err(error) => return tracing::warn!(%error, "cannot tell who is connecting"),
        };
        if *self.busy.borrow() >= CONNECTIONS {
            return tracing::warn!("too many connections");
        }
        self.busy.send_modify(|busy| *busy += 1);
        actix::spawn(async move {
            let busy = Busy(self.busy.clone());
            let inside = peers::confined_app(&self.host, peer.pid());
            let exchange = async {
                match inside {
                    Some(app) => refuse(stream, &app).await,
                    None => self.exchange(stream, peer.uid(), peer.pid()).await,
                }
            };
            if let Err(error) = exchange.await {
                tracing::debug!(%error, "a client went away");
            }
            drop(busy);
        });
    }

    async fn exchange(&self, stream: UnixStream, uid: u32, pid: Option<i32>) -> io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut line = Vec::new();
        let mut limited = BufReader::new(reader).take(MAX_LINE as u64);
        match tokio::time::timeout(REQUEST_TIME, limited.read_until(b'\n', &mut line)).await {
            Ok(read) => read?,
            Err(_) => return Ok(()),
        };
        if line.is_empty() {
            return Ok(());
        }
        let Request { command, sudo_user, .. } = match understand(&line) {
            Ok(request) => request,
            Err(message) => return say(&mut writer, &Reply::Error { message }).await,
        };
        let by = || requester::of(uid, pid, sudo_user.as_deref());
        // Questions are no reason to stay or to leave: whoever started this supervisor may still be on the way with a
        // request.
        if let Command::Start(_) | Command::Restart(_) | Command::Adopt = command {
            self.served.set(true);
        }
        match command {
            Command::Status { apps } => {
                let apps = self.cells(&apps).await.iter().map(|cell| self.status(cell)).collect();
                say(&mut writer, &Reply::Status { apps }).await
            }
            Command::Check { app } => {
                let health = self.check(&app).await;
                say(&mut writer, &Reply::Health(health)).await
            }
            Command::Hello => {
                let identity = self.host.identity;
                let mode = if identity.background { "background" } else { "run" }.to_owned();
                let version = env!("CARGO_PKG_VERSION").to_owned();
                say(&mut writer, &Reply::Supervisor { pid: identity.process.pid, mode, version }).await
            }
            Command::Adopt => {
                for cell in adopt::restore(&self.host, &mut Handover::default(), None) {
                    self.root.do_send(Adopt(cell));
                }
                say(&mut writer, &Reply::Done).await
            }
            Command::Start(start) => {
                let sequential = start.sequential;
                let (apps, by) = (start.apps.clone(), by());
                self.each(&mut writer, apps, sequential, |app| self.start(app, &start, &by)).await
            }
            Command::Stop(stop) => {
                let (apps, by) = (stop.apps.clone(), by());
                self.each(&mut writer, apps, false, |app| self.stop(app, &stop, &by)).await
            }
            Command::Restart(restart) => {
                let sequential = restart.start.sequential;
                let (apps, by) = (restart.start.apps.clone(), by());
                self.each(&mut writer, apps, sequential, |app| self.restart(app, &restart, &by)).await
            }
            Command::Signal(signal) => {
                let (apps, by) = (signal.apps.clone(), by());
                self.each(&mut writer, apps, false, |app| self.signal(app, &signal, &by)).await
            }
        }
    }

    /// Does something for each app, all at once or one after the other, and tells each outcome as it comes.
    async fn each<F: Future<Output = Outcome>>(
        &self,
        writer: &mut (impl AsyncWriteExt + Unpin),
        apps: Vec<AppName>,
        sequential: bool,
        act: impl Fn(AppName) -> F,
    ) -> io::Result<()> {
        let act = |app: AppName| {
            let outcome = act(app.clone());
            async move { Reply::App(AppReply { app, outcome: outcome.await }) }
        };
        // A client that has gone does not stop the work for the others: its replies are no longer told.
        let mut told = Ok(());
        if sequential {
            for app in apps {
                let reply = act(app).await;
                told = if told.is_ok() { say(writer, &reply).await } else { told };
            }
        } else {
            let mut acts: FuturesUnordered<_> = apps.into_iter().map(act).collect();
            while let Some(reply) = acts.next().await {
                told = if told.is_ok() { say(writer, &reply).await } else { told };
            }
        }
        told?;
        say(writer, &Reply::Done).await
    }

    async fn start(&self, app: AppName, start: &protocol::Start, by: &Requester) -> Outcome {
        let begun = monotonic();
        // What it was asked with stays with a running app; a start that starts nothing changes nothing.
        let under_way = |cell: &Cell| matches!(cell.life.phase, Phase::Up | Phase::Launching { .. });
        let running = self.cells(std::slice::from_ref(&app)).await.first().is_some_and(under_way);
        if !running {
            let asked = Asked { ask: start.ask.clone(), environment: start.environment.clone() };
            let request = Happening::Asked { what: "start".to_owned(), by: by.clone() };
            self.host.with(&app, |held| (held.asked, held.request) = (asked, Some(request)));
        }
        let message = StartApp { name: app, wait: start.wait, timeout: start.timeout };
        match self.root.send(message).await {
            Ok(started) => started_outcome(started, monotonic().saturating_sub(begun)),
            Err(_) => internal(),
        }
    }

    async fn restart(&self, app: AppName, restart: &protocol::Restart, by: &Requester) -> Outcome {
        let begun = monotonic();
        let start = &restart.start;
        // What a restart asks for comes on top of what the start before it asked for.
        let asked = self.host.with(&app, |held| match held.instance.is_some() {
            true => Asked { ask: held.asked.ask.followed_by(&start.ask), environment: held.asked.environment.clone() },
            false => Asked { ask: start.ask.clone(), environment: start.environment.clone() },
        });
        // A mistake is told before anything is stopped for it, and is not kept.
        if let Err(failure) = self.host.try_configuration(&app, &asked, start.wait) {
            return Outcome::Failed(failure_of(failure));
        }
        let running = self.is_active(&app).await;
        let request = Happening::Asked { what: "restart".to_owned(), by: by.clone() };
        if running {
            self.host.record_event(&app, Level::Info, &request.to_string());
        }
        self.host.with(&app, |held| (held.asked, held.request) = (asked, (!running).then_some(request)));
        let message = RestartApp {
            start: StartApp { name: app, wait: start.wait, timeout: start.timeout },
            grace: if restart.force { Some(restart.stop_timeout.unwrap_or_default()) } else { restart.stop_timeout },
            delay: restart.delay.unwrap_or_default(),
        };
        match self.root.send(message).await {
            Ok(started) => started_outcome(started, monotonic().saturating_sub(begun)),
            Err(_) => internal(),
        }
    }

    async fn stop(&self, app: AppName, stop: &protocol::Stop, by: &Requester) -> Outcome {
        let before = self.cells(std::slice::from_ref(&app)).await.pop();
        self.note_request("stop", &app, by).await;
        let grace = if stop.force { Some(stop.timeout.unwrap_or_default()) } else { stop.timeout };
        let message = StopApp { name: app, grace, signal: stop.signal, wait: stop.wait };
        match self.root.send(message).await {
            Ok(Stopped::Stopped(cell)) => Outcome::Stopped { how: view::how_it_stopped(before.as_ref(), &cell) },
            Ok(Stopped::Stopping) => Outcome::Stopping,
            Ok(Stopped::NotRunning) => Outcome::NotRunning,
            Err(_) => internal(),
        }
    }

    async fn signal(&self, app: AppName, signal: &protocol::SendSignal, by: &Requester) -> Outcome {
        self.note_request(if signal.signal.is_some() { "kill" } else { "reload" }, &app, by).await;
        let scope = if signal.group { Scope::Group } else { Scope::Main };
        let wait = signal.wait.then(|| signal.timeout.unwrap_or(Duration::from_secs(30)));
        match self.root.send(SignalApp { name: app, signal: signal.signal, scope, wait }).await {
            Ok(Ok((signal, pid))) => Outcome::Signalled { signal, pid },
            Ok(Err(SignalFailure::NotRunning)) => Outcome::NotRunning,
            Ok(Err(SignalFailure::Refused(error))) => {
                let message = format!("cannot send the signal: {error}");
                Outcome::Failed(Failure { kind: FailureKind::Operation, message, hint: None })
            }
            Ok(Err(SignalFailure::TimedOut)) => Outcome::TimedOut { state: "it has not ended".to_owned() },
            Err(_) => internal(),
        }
    }

    /// Notes who asks for something, if there is anything for it to be done to.
    async fn note_request(&self, what: &str, app: &AppName, by: &Requester) {
        if self.is_active(app).await {
            let asked = Happening::Asked { what: what.to_owned(), by: by.clone() };
            self.host.record_event(app, Level::Info, &asked.to_string());
        }
    }

    async fn is_active(&self, app: &AppName) -> bool {
        let resting = |cell: &Cell| matches!(cell.life.phase, Phase::Down(_));
        self.cells(std::slice::from_ref(app)).await.first().is_some_and(|cell| !resting(cell))
    }

    /// Whether an app is healthy. One that is not monitored is asked now, which decides nothing about its restarts.
    async fn check(&self, app: &AppName) -> Checked {
        let known = self.cells(std::slice::from_ref(app)).await.pop().map(|cell| (self.status(&cell), cell));
        let Some((status, cell)) = known.filter(|(status, _)| status.state == State::Running) else {
            let state = "it is not running".to_owned();
            return Checked { healthy: false, basis: Basis::Running, state, output: None };
        };
        let monitored = cell.policy.health.is_some_and(|policy| policy.monitored);
        let has_check = self.host.with(app, |held| held.instance.as_ref().is_some_and(|run| run.check.is_some()));
        if monitored {
            let output = cell.check.map(|check| check.output);
            let state = status.health.as_str().to_owned();
            return Checked { healthy: status.health == Health::Healthy, basis: Basis::Monitored, state, output };
        }
        if !has_check {
            let state = "it is running, and has no health check".to_owned();
            return Checked { healthy: true, basis: Basis::Running, state, output: None };
        }
        let (turn, arrived) = (self.host.with(app, |held| held.checking.clone()), monotonic());
        let mut last = turn.lock().await;
        // One that began after this was asked answers all that wait: they cannot pile up.
        let report = match last.as_ref().filter(|(begun, _)| *begun >= arrived) {
            Some((_, report)) => report.clone(),
            None => {
                let begun = monotonic();
                let report = Hands(self.host.clone()).check(app).await;
                *last = Some((begun, report.clone()));
                report
            }
        };
        drop(last);
        let state = if report.success { "its health check succeeded" } else { "its health check failed" }.to_owned();
        Checked { healthy: report.success, basis: Basis::Checked, state, output: Some(report.output) }
    }

    /// The cells of these apps, or of all.
    async fn cells(&self, apps: &[AppName]) -> Vec<Cell> {
        let mut cells = self.root.send(Cells).await.unwrap_or_default();
        cells.retain(|cell| apps.is_empty() || apps.contains(&cell.name));
        cells
    }

    fn status(&self, cell: &Cell) -> AppStatus {
        let now = Now { moment: monotonic(), wall: wall() };
        let (identity, root) = (&self.host.identity, self.host.root.path());
        let mut status = self
            .host
            .with(&cell.name, |held| view::app_status(cell, held.instance.as_ref(), Some(identity), root, now));
        let notes = [status.note.take(), self.host.output_note(&cell.name)];
        status.note = notes.into_iter().flatten().reduce(|all, more| format!("{all}; {more}"));
        status
    }
}

/// Tells a process of an app that is confined that it is not heard.
async fn refuse(stream: UnixStream, app: &AppName) -> io::Result<()> {
    tracing::warn!(%app, "refused a process of an app in a sandbox");
    let (reader, mut writer) = stream.into_split();
    // Read first: to close a socket with something unread in it would take the reply away from the client.
    let mut line = Vec::new();
    let mut limited = BufReader::new(reader).take(MAX_LINE as u64);
    let _ = tokio::time::timeout(REQUEST_TIME, limited.read_until(b'\n', &mut line)).await;
    let message = format!("{app} runs in a sandbox, and nothing that runs in one may command this supervisor");
    say(&mut writer, &Reply::Error { message }).await
}

/// Counts a request as under way until it is dropped.
struct Busy(Rc<watch::Sender<usize>>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|busy| *busy -= 1);
    }
}

async fn say(writer: &mut (impl AsyncWriteExt + Unpin), reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    match tokio::time::timeout(REQUEST_TIME, writer.write_all(&line)).await {
        Ok(written) => written,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
