//! One supervisor process: receives what its keeper holds, builds the actor tree around it, serves until nothing is
//! left to supervise.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, Addr, Arbiter};
use daemonctl_actors::log_collector::LogCollector;
use daemonctl_actors::root::{Adopt, RootSupervisor, StopAll};
use daemonctl_actors::value::{AppName, ExitStatus, Signal};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use signal_hook_tokio::Signals;
use tokio::sync::mpsc;

use super::adopt::{self, Handover};
use super::foreground::{self, ExitOn, RunRequest};
use super::host::{Host, Rested};
use super::link::{self, Message};
use super::pidfd::{self, boot_id};
use super::prepare::{Prepared, prepare, socket_path};
use super::server::Server;
use super::{external, keeper};
use crate::config::layers;
use crate::config::values::Level;
use crate::logs::happening::Happening;
use crate::logs::terminal;
use crate::observe;

/// What `argv[0]` must be for this program to be a supervisor.
pub const NAME: &str = "daemonctl-super";

/// A background supervisor that is asked nothing leaves after this time.
const IDLE: Duration = Duration::from_secs(5);

/// What a supervisor is to do: standard input of its keeper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The apps root.
    pub root: PathBuf,
    /// The runtime directory.
    pub runtime: PathBuf,
    /// For `run`: what it asked for. A background supervisor waits for requests.
    pub run: Option<RunRequest>,
}

/// Entered by exec from the keeper; standard input is the link.
pub fn main(_: impl Iterator<Item = OsString>) -> ExitCode {
    match begin() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("daemonctl: the supervisor cannot work: {error}");
            ExitCode::FAILURE
        }
    }
}

fn begin() -> io::Result<u8> {
    // A session of its own: what the terminal sends to its foreground group reaches the keeper, which passes it on once.
    let _ = nix::unistd::setsid();
    let _ = nix::sys::prctl::set_name(c"daemonctl-super");
    let link: OwnedFd = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    let mut handover = receive(&link)?;
    let first = handover.kept.len() == 1;
    let task = handover.kept.remove("task").ok_or_else(|| io::Error::other("the keeper holds no task"))?;
    let task: Task = serde_json::from_str(&read_from_start(task)?)?;
    let level = observe::tracing::level(&|name| match std::env::var(name) {
        Ok(set) if !set.is_empty() => Some(set),
        // A mistake in the file is told by the commands that read it.
        _ => layers::program(&task.root.join("conf.toml"), false).ok()?.log_level.map(|level| level.to_string()),
    });
    observe::tracing::init(level, terminal::voice);

    let system = actix::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime needs only descriptors")
    });
    system.block_on(async {
        match serve(task, link, handover, first).await {
            Ok(code) => Ok(code),
            Err((link, error)) => {
                // Not a crash: another attempt would fail in the same way, so the keeper is told to leave.
                let _ = writeln!(io::stdout(), "error: {error}");
                // A successor may have better luck the next time, and there are apps to look after.
                if let Some(link) = link.filter(|_| first) {
                    let _ = link::tell(link.as_fd(), &Message::Finish(1));
                }
                Err(error)
            }
        }
    })
}

/// Receives what the keeper holds.
fn receive(link: &OwnedFd) -> io::Result<Handover> {
    let mut handover = Handover::default();
    loop {
        match link::receive(link.as_fd(), false)? {
            Some(Message::Put(key, fd)) => drop(handover.kept.insert(key, fd)),
            Some(Message::Exit { pid, status }) => drop(handover.exits.insert(pid, ExitStatus::from_wait(status))),
            Some(Message::Ready) => return Ok(handover),
            Some(Message::Drop(_) | Message::Finish(_)) => {}
            None => return Err(io::Error::other("the keeper is gone")),
        }
    }
}

/// Reads a file that predecessors may have read before.
fn read_from_start(fd: OwnedFd) -> io::Result<String> {
    use std::io::{Read, Seek};
    let mut file = std::fs::File::from(fd);
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

type Failed = (Option<OwnedFd>, io::Error);

async fn serve(task: Task, link: OwnedFd, mut handover: Handover, first: bool) -> Result<u8, Failed> {
    let mut prepared = match prepare(&task, &mut handover).await {
        Ok(prepared) => prepared,
        Err(error) => return Err((Some(link), error)),
    };
    let listening = match link.try_clone().and_then(pidfd::register) {
        Ok(listening) => listening,
        Err(error) => return Err((Some(link), error)),
    };
    let Prepared { root, runtime, identity, terminal, .. } = &mut prepared;
    let boot_id = boot_id().map_err(|error| (None, error))?;
    let host = Host::new(root.clone(), runtime.clone(), boot_id, *identity, link, terminal.take());
    host.keep("socket", &prepared.socket);
    if let Some(lock) = &prepared.lock {
        host.keep("lock", lock);
    }
    if !first {
        host.say("the supervisor was killed; this one goes on in its place");
    }
    run(task, host, handover, listening, prepared.socket).await.map_err(|error| (None, error))
}

/// Starts the collector of output on a thread of its own.
async fn begin_collector(host: &Rc<Host>, lost: &mpsc::UnboundedSender<()>) {
    let lost = lost.clone();
    let collector = LogCollector::start_in_arbiter(&Arbiter::new().handle(), move |_| {
        LogCollector::new(move || {
            let _ = lost.send(());
        })
    });
    host.set_collector(collector);
}

async fn run(
    task: Task,
    host: Rc<Host>,
    mut handover: Handover,
    listening: tokio::io::unix::AsyncFd<OwnedFd>,
    socket: OwnedFd,
) -> io::Result<u8> {
    let (lost, mut collectors_lost) = mpsc::unbounded_channel();
    begin_collector(&host, &lost).await;
    actix::spawn(host.clone().hear_of_output());
    let (root_lost, mut roots_lost) = mpsc::unbounded_channel();
    let root = RootSupervisor::new(host.ports(), move || {
        let _ = root_lost.send(());
    })
    .start();
    let only = task.run.as_ref().map(|run| run.apps.clone());
    let adopted = adopt::restore(&host, &mut handover, only.as_deref());
    let waiting = !adopted.is_empty();
    let adopted_names: Vec<AppName> = adopted.iter().map(|cell| cell.name.clone()).collect();
    for cell in adopted {
        root.do_send(Adopt(cell));
    }
    drop(handover);

    let server = Server::new(host.clone(), root.clone());
    let listener = std::os::unix::net::UnixListener::from(socket.try_clone()?);
    listener.set_nonblocking(true)?;
    let serving = actix::spawn(server.clone().serve(tokio::net::UnixListener::from_std(listener)?));
    let forwarded = keeper::FORWARDED.map(|signal| signal as i32);
    let mut signals = Signals::new(forwarded.into_iter().chain([libc::SIGCHLD]))?;
    // The keeper reads its signals from a descriptor and so blocks them, and a process inherits that. Until here it was
    // just right: what has come meanwhile is taken in now.
    nix::sys::signal::SigSet::all().thread_unblock()?;
    let mark = host.runtime.keeper_mark(host.identity.keeper);
    std::fs::write(&mark, "")?;
    announce(task.run.is_none());
    if let Some(run) = task.run.clone() {
        let run = RunRequest { apps: foreground::still_to_start(&host, &run, &adopted_names), ..run };
        actix::spawn(foreground::start(host.clone(), root.clone(), run));
    }

    let exit_on = task.run.as_ref().map(|run| run.exit_on.clone());
    let mut ending = Ending { exit_on, code: None, asked: 0, signal: None };
    let mut rested = host.at_rest.subscribe();
    let mut busy = server.busy();
    // Whoever started it may die before asking for anything. Once it has been asked, there is no timer left.
    let mut idle = (task.run.is_none() && !waiting).then(|| Box::pin(tokio::time::sleep(IDLE)));
    let mut linked = true;
    let mut read = true;
    loop {
        let done = {
            let news = rested.borrow_and_update();
            ending.news(&news, &root, &host)
        };
        let quiet = *busy.borrow_and_update() == 0;
        if server.has_served() {
            idle = None;
        }
        if done && quiet && idle.is_none() {
            break;
        }
        tokio::select! {
            _ = rested.changed() => {}
            _ = busy.changed() => {}
            () = async { if let Some(idle) = &mut idle { idle.await } }, if idle.is_some() => idle = None,
            () = unread(&host), if read => {
                read = false;
                ending.unread(&host, &root);
            }
            Some(signal) = signals.next() => ending.signal(signal, &task, &host, &root),
            // Without having said that it is done, so that the keeper starts another one, around the same processes.
            Some(()) = roots_lost.recv() => return Err(io::Error::other("the root of the tree was lost to an internal error")),
            Some(()) = collectors_lost.recv() => {
                tracing::error!("the collector of output was lost to an internal error; another one takes its place");
                begin_collector(&host, &lost).await;
                for name in host.names() {
                    host.attach(&name);
                }
            }
            ready = listening.readable(), if linked => {
                linked = hear(&host, listening.get_ref());
                ready?.clear_ready();
                if !linked {
                    host.say("the keeper was killed; apps and supervision go on, but nothing will replace this supervisor");
                    host.lose_keeper();
                    host.reap_orphans();
                }
            }
        }
    }
    serving.abort();
    let _ = std::fs::remove_file(socket_path(&host.runtime, &host.identity));
    let _ = std::fs::remove_file(mark);
    external::clear_up(&host);
    let code = ending.code.unwrap_or(0);
    host.finish(code);
    host.finish_output().await;
    if let Some(terminal) = &host.terminal {
        terminal.finish().await;
    }
    Ok(code)
}

/// Takes in what the keeper says; `false` when it is gone.
fn hear(host: &Rc<Host>, link: &OwnedFd) -> bool {
    loop {
        match link::receive(link.as_fd(), true) {
            Ok(Some(Message::Exit { pid, status })) => host.exit_told(pid, ExitStatus::from_wait(status)),
            Ok(Some(_)) => {}
            Ok(None) => return false,
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

/// Waits until nobody reads the output of `run` any more.
async fn unread(host: &Host) {
    match &host.terminal {
        Some(terminal) => terminal.unread().await,
        None => std::future::pending().await,
    }
}

/// Tells whoever started a background supervisor that it can be talked to.
fn announce(background: bool) {
    if background {
        let _ = writeln!(io::stdout(), "ready");
        if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
            let _ = rustix::stdio::dup2_stdout(null);
        }
    }
}

/// How a supervisor comes to its end.
struct Ending {
    /// For `run`.
    exit_on: Option<ExitOn>,
    /// The exit code, once it is decided.
    code: Option<u8>,
    /// How often it has been asked to end.
    asked: u32,
    /// By which signal.
    signal: Option<u8>,
}

impl Ending {
    /// Takes in the news of apps at rest; `true` when there is nothing left to do.
    fn news(&mut self, news: &Rested, root: &Addr<RootSupervisor>, host: &Rc<Host>) -> bool {
        let at_rest = nothing_runs(host);
        if let (Some(signal), true, None) = (self.signal, at_rest, self.code) {
            self.code = Some(128 + signal); // It came before anything had run.
        }
        let Some(exit_on) = &self.exit_on else { return at_rest };
        let open = self.code.is_none() || *exit_on == ExitOn::All;
        if let Some(code) = foreground::verdict(exit_on, news).filter(|_| open) {
            self.code = Some(code);
            if !at_rest {
                root.do_send(StopAll { kill: false });
            }
        }
        self.code.is_some() && at_rest
    }

    /// The output goes to a pipe whose reader has left: this is what SIGPIPE is to other programs.
    fn unread(&mut self, host: &Rc<Host>, root: &Addr<RootSupervisor>) {
        host.say("nobody reads standard output any more: stopping");
        self.ask(libc::SIGPIPE, root);
    }

    /// Takes in that everything is to end, at once if this has been asked before.
    fn ask(&mut self, number: i32, root: &Addr<RootSupervisor>) {
        self.asked += 1;
        self.signal = Some(number as u8);
        root.do_send(StopAll { kill: self.asked > 1 });
    }

    fn signal(&mut self, number: i32, task: &Task, host: &Rc<Host>, root: &Addr<RootSupervisor>) {
        let Some(signal) = Signal::from_number(number) else { return };
        if signal == Signal::CHLD {
            return host.reap_orphans();
        }
        let foreground = task.run.is_some();
        let end = match signal {
            Signal::TERM | Signal::INT => true,
            Signal::HUP => foreground && foreground::terminal_is_gone(),
            _ => false,
        };
        if end {
            for app in host.names() {
                if host.with(&app, |held| held.lock.is_some()) {
                    host.record_event(&app, Level::Info, &Happening::AskedBySignal(signal).to_string());
                }
            }
            self.ask(number, root);
        } else if foreground {
            actix::spawn(foreground::pass_on(host.clone(), root.clone(), signal));
        }
    }
}

/// Whether every app is at rest: a lock is held from an app's launch until it comes to rest.
fn nothing_runs(host: &Rc<Host>) -> bool {
    host.names().iter().all(|name| host.with(name, |held| held.lock.is_none()))
}
