//! The screen, alive: one loop that waits for keys, looks and signals at once.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use daemonctl_actors::value::AppName;
use jiff::tz::TimeZone;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ratatui_core::terminal::Terminal;
use ratatui_termion::TermionBackend;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::iterator::Signals;

use super::super::error::CliError;
use super::super::globals::Globals;
use super::super::known::Which;
use super::super::session::Session;
use super::deed::{self, Deed, Outcome};
use super::draw::{Paint, draw, page};
use super::keys::keys;
use super::look::{Ask, Look, Wish, looking};
use super::model::{Effect, Model, Part};
use super::stage::{Stage, typed};
use crate::app::Shown;

/// What is watched.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Watch {
    pub(in crate::cli) which: Which,
    /// What is shown of the selected app.
    pub(in crate::cli) part: Part,
    /// How often apps are looked at.
    pub(in crate::cli) every: Duration,
}

/// What may happen while the screen is up, apart from keys.
enum Event {
    Looked(Result<Box<Look>, String>),
    Done(Deed, AppName, Outcome),
    Signal(i32),
    /// The log is not shown any more. Whether it was shown well.
    LogClosed(bool),
}

/// Wakes the loop with an event.
#[derive(Clone)]
struct Bell {
    events: Sender<Event>,
    wire: Arc<UnixStream>,
}

impl Bell {
    fn ring(&self, event: Event) {
        // The loop has ended, or knows already that there is something.
        let _ = self.events.send(event);
        let _ = (&*self.wire).write(&[0]);
    }
}

/// Shows apps on the terminal until somebody has seen enough.
pub(in crate::cli) fn watch(session: &mut Session, watch: Watch) -> Result<ExitCode, CliError> {
    // What is wrong with the question is said before the screen is taken.
    watch.which.told(session)?;
    let root = session.root()?.path().shown().to_string();
    let paint = Paint { color: session.screen.color, zone: TimeZone::system() };
    let globals = Globals { quiet: false, ..session.globals.clone() };
    let live = Live::new(Model::new(root, watch.which, watch.part), paint, globals, watch.every);
    let ended = live.and_then(Live::run).map_err(|source| CliError::Io { doing: "use the terminal".into(), source })?;
    if let Some(signal) = ended {
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
    Ok(ExitCode::SUCCESS)
}

/// The screen with all that belongs to it. The terminal is given back when it is dropped.
struct Live {
    model: Model,
    paint: Paint,
    globals: Globals,
    /// What is looked at, and whom to tell that something else should be.
    wish: Wish,
    looker: Sender<Ask>,
    bell: Bell,
    wire: UnixStream,
    events: Receiver<Event>,
    interrupted: Interrupted,
    terminal: Terminal<TermionBackend<io::Stdout>>,
    stage: Stage,
}

impl Live {
    fn new(model: Model, paint: Paint, globals: Globals, every: Duration) -> io::Result<Self> {
        let (bell, wire, events) = bell()?;
        let interrupted = signals(&bell)?;
        let (wish, rung) = (model.wish(), bell.clone());
        let stage = Stage::take()?;
        let terminal = Terminal::new(TermionBackend::new(io::stdout()))?;
        let looker =
            looking(globals.clone(), wish.clone(), every, move |look| rung.ring(Event::Looked(look.map(Box::new))));
        Ok(Self { model, paint, globals, wish, looker, bell, wire, events, interrupted, terminal, stage })
    }

    /// Goes on until it is left. Returns the signal that ended it, if one did.
    fn run(mut self) -> io::Result<Option<i32>> {
        loop {
            let (model, paint) = (&self.model, &self.paint);
            self.terminal.draw(|frame| draw(model, paint, frame.area(), frame.buffer_mut()))?;
            let mut effects = Vec::new();
            if await_any(&self.wire, true)? {
                let bytes = typed()?;
                if bytes.is_empty() {
                    return Ok(None); // The terminal has gone.
                }
                let height = self.terminal.size().map_or(24, |size| usize::from(size.height));
                for key in keys(&bytes) {
                    let page = page(&self.model, height);
                    effects.extend(self.model.key(key, page));
                }
            }
            if self.interrupted.take() {
                return Ok(Some(SIGINT));
            }
            while let Ok(event) = self.events.try_recv() {
                match event {
                    Event::Signal(SIGTSTP) => effects.push(Effect::Suspend),
                    event => {
                        if let Some(signal) = self.take_in(event) {
                            return Ok(Some(signal));
                        }
                    }
                }
            }
            for effect in effects {
                if let Some(end) = self.carry_out(effect)? {
                    return Ok(end);
                }
            }
            let wish = self.model.wish();
            if wish != self.wish {
                self.wish = wish;
                let _ = self.looker.send(Ask::For(self.wish.clone()));
            }
        }
    }

    /// Takes in what has happened. Returns a signal that this must end by.
    fn take_in(&mut self, event: Event) -> Option<i32> {
        match event {
            Event::Looked(look) => self.model.looked(look.map(|look| *look)),
            Event::Done(deed, app, outcome) => {
                self.model.done(deed, &app, outcome);
                let _ = self.looker.send(Ask::Now);
            }
            Event::Signal(SIGWINCH | SIGCONT) | Event::LogClosed(_) => {}
            Event::Signal(signal) => return Some(signal),
        }
        None
    }

    /// Does what a key asked for. Returns with what this must end, if it must.
    fn carry_out(&mut self, effect: Effect) -> io::Result<Option<Option<i32>>> {
        match effect {
            Effect::Quit => return Ok(Some(None)),
            Effect::Do(deed, app) => {
                let (bell, globals) = (self.bell.clone(), self.globals.clone());
                thread::spawn(move || {
                    let outcome = deed::done(deed, &app, &globals);
                    bell.ring(Event::Done(deed, app, outcome));
                });
            }
            Effect::Suspend => self.suspend()?,
            Effect::Logs(app) => {
                self.stage.leave();
                if let Some(signal) = self.show_log(&app)? {
                    return Ok(Some(Some(signal)));
                }
                self.enter()?;
            }
        }
        Ok(None)
    }

    /// Stops, as Ctrl-Z would stop it if keys were not taken as they are typed, and goes on when the shell says so.
    fn suspend(&mut self) -> io::Result<()> {
        self.stage.leave();
        signal_hook::low_level::emulate_default_handler(SIGTSTP)?;
        self.enter()
    }

    fn enter(&mut self) -> io::Result<()> {
        self.stage.enter()?;
        // One that knows nothing of what was drawn draws all. `Terminal::clear` would ask the terminal where its cursor is,
        // and take what is typed meanwhile for the answer.
        self.terminal = Terminal::new(TermionBackend::new(io::stdout()))?;
        Ok(())
    }

    /// Shows the log of an app in place of the screen until Ctrl-C. Returns the signal that ended it, if one did.
    fn show_log(&mut self, app: &AppName) -> io::Result<Option<i32>> {
        // The terminal may have gone: the next look at it tells.
        let _ = writeln!(io::stdout(), "the log of {app}; Ctrl-C goes back to the screen");
        let mut child = match deed::logs(app, &self.globals) {
            Ok(child) => child,
            Err(error) => {
                let said = vec![format!("cannot show the log of {app}: {error}")];
                self.model.said = Some(Outcome { good: false, said });
                return Ok(None);
            }
        };
        let (pid, bell) = (Pid::from_raw(child.id() as i32), self.bell.clone());
        // Ctrl-C that came before the log was there to get it.
        if self.interrupted.take() {
            let _ = kill(pid, Signal::SIGINT);
        }
        thread::spawn(move || {
            // Ctrl-C may be quicker than what the log does about it.
            let is_good = |status: ExitStatus| status.success() || status.signal() == Some(SIGINT);
            bell.ring(Event::LogClosed(child.wait().is_ok_and(is_good)));
        });
        loop {
            await_any(&self.wire, false)?;
            while let Ok(event) = self.events.try_recv() {
                match event {
                    Event::LogClosed(good) => {
                        // Ctrl-C was meant for the log. Both got it before the log ended by it.
                        self.interrupted.take();
                        let _ = writeln!(io::stdout()); // After the ^C that the terminal shows.
                        if !good {
                            let said =
                                vec![format!("the log of {app} cannot be shown: daemonctl logs {app} tells why")];
                            self.model.said = Some(Outcome { good, said });
                        }
                        return Ok(None);
                    }
                    // Ctrl-Z is meant for the log too: the shell stops both.
                    Event::Signal(SIGTSTP) => signal_hook::low_level::emulate_default_handler(SIGTSTP)?,
                    event => {
                        if let Some(signal) = self.take_in(event) {
                            let _ = kill(pid, Signal::SIGTERM);
                            return Ok(Some(signal));
                        }
                    }
                }
            }
        }
    }
}

fn bell() -> io::Result<(Bell, UnixStream, Receiver<Event>)> {
    let (near, far) = UnixStream::pair()?;
    near.set_nonblocking(true)?;
    far.set_nonblocking(true)?;
    let (sender, events) = channel();
    Ok((Bell { events: sender, wire: Arc::new(far) }, near, events))
}

/// Hands signals to the loop: SIGINT as it arrives, which is what it is judged by, the others in their turn.
fn signals(bell: &Bell) -> io::Result<Interrupted> {
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH, SIGCONT])?;
    let interrupted = Interrupted::default();
    signal_hook::flag::register(SIGINT, Arc::clone(&interrupted.0))?;
    signal_hook::low_level::pipe::register(SIGINT, bell.wire.try_clone()?)?;
    let bell = bell.clone();
    thread::spawn(move || signals.forever().for_each(|signal| bell.ring(Event::Signal(signal))));
    Ok(interrupted)
}

/// Whether SIGINT has arrived.
#[derive(Default)]
struct Interrupted(Arc<AtomicBool>);

impl Interrupted {
    /// Whether it has since this was last asked.
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

/// Waits until something has happened or, if keys are for the screen, was typed. Says whether something was typed.
fn await_any(wire: &UnixStream, keys: bool) -> io::Result<bool> {
    let stdin = io::stdin();
    let mut polled = [PollFd::new(wire.as_fd(), PollFlags::POLLIN), PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    let polled = if keys { &mut polled[..] } else { &mut polled[..1] };
    match poll(polled, PollTimeout::NONE) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let is_typed = polled.get(1).is_some_and(|stdin| stdin.any().unwrap_or(false));
    if polled[0].any().unwrap_or(false) {
        let mut rings = [0; 256];
        while matches!(io::Read::read(&mut &*wire, &mut rings), Ok(length) if length > 0) {}
    }
    Ok(is_typed)
}
