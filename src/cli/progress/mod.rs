//! Waiting shows itself: who is waited for, for how long already, and how long at most.
//!
//! A quick command shows nothing. After [`SILENT`] one line stands on standard error if that is a terminal; it is drawn
//! over as time passes, and gone before anything else is printed. Elsewhere, for the logs of CI, a plain line is said
//! every [`PLAIN`]. What the line says is decided in `line`; here is when it is drawn, and what a supervisor is asked
//! for it: the replies to a command come only when an app is done.

pub(super) mod line;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use daemonctl_actors::value::AppName;
use signal_hook::consts::SIGINT;

use self::line::{Wait, Whole};
use super::outcome::Act;
use super::screen::Screen;
use crate::control::client::Client;
use crate::control::protocol::{Command, Reply};
use crate::control::status::AppStatus;

/// A wait that is shorter is not shown.
const SILENT: Duration = Duration::from_millis(300);

/// The time between two drawings of the line.
const DRAW: Duration = Duration::from_millis(200);

/// The time between two questions how the apps are.
const ASK: Duration = Duration::from_secs(1);

/// How long such a question may hold up the replies.
const PATIENCE: Duration = Duration::from_millis(200);

/// The time between two plain lines.
const PLAIN: Duration = Duration::from_secs(10);

/// What a command shows while it waits, shared by whoever hears replies and whoever waits for them.
pub(super) type Shared = Rc<RefCell<Progress>>;

/// How long an app may take to start, as it is configured.
pub(super) type StartLimit = Box<dyn Fn(&AppName) -> Option<Duration>>;

/// The waiting of one command.
pub(super) struct Progress {
    screen: Screen,
    whole: Whole,
    wait: Wait,
    begun: Instant,
    since: Instant,
    supervisor: Option<PathBuf>,
    start_limit: Option<StartLimit>,
    asked: Option<Instant>,
    said: Instant,
    drawn: Option<Instant>,
    interrupted: Option<Arc<AtomicBool>>,
}

impl Progress {
    pub(super) fn new(screen: Screen) -> Self {
        let now = Instant::now();
        Self {
            screen,
            whole: Whole::default(),
            wait: Wait::default(),
            begun: now,
            since: now,
            supervisor: None,
            start_limit: None,
            asked: None,
            said: now,
            drawn: None,
            interrupted: None,
        }
    }

    /// The command is one for all apps: it is shown by its name, with a count of these.
    pub(super) fn of_all(&mut self, command: &'static str, apps: usize) {
        self.whole = Whole { command: Some(command), apps, ..Whole::default() };
    }

    /// Whether it is such a command, whose line stays from one request to the next.
    pub(super) fn is_of_all(&self) -> bool {
        self.whole.command.is_some()
    }

    /// So many apps are to be dealt with, if it was not said before.
    pub(super) fn expect(&mut self, apps: usize) {
        self.whole.apps = self.whole.apps.max(self.whole.done + self.whole.failed + apps);
    }

    /// A supervisor is about to get a request for some apps.
    pub(super) fn ask(
        &mut self,
        act: Act,
        request: &Command,
        supervisor: Option<PathBuf>,
        start_limit: Option<StartLimit>,
    ) {
        let now = Instant::now();
        // The pauses of a command that asks for one app after the other are counted together.
        if self.wait.is_over() && self.whole.done + self.whole.failed == 0 {
            (self.begun, self.said) = (now, now);
        }
        self.wait = Wait::of(act, request);
        (self.since, self.asked) = (now, None);
        (self.supervisor, self.start_limit) = (supervisor, start_limit);
    }

    /// An app is done, well or not.
    pub(super) fn told(&mut self, app: &AppName, well: bool) {
        *if well { &mut self.whole.done } else { &mut self.whole.failed } += 1;
        if self.wait.heard(app) {
            self.since = Instant::now();
            self.asked = None;
        }
    }

    /// What is to be done while no reply comes: draws, asks, or speaks when it is time to. Returns how long nothing of
    /// this is to be done; breaks off when the user has pressed Ctrl-C.
    pub(super) fn idle(&mut self) -> ControlFlow<(), Option<Duration>> {
        if self.interrupted.as_ref().is_some_and(|pressed| pressed.load(Ordering::Relaxed)) {
            return ControlFlow::Break(());
        }
        if self.screen.is_quiet() {
            return ControlFlow::Continue(None);
        }
        let now = Instant::now();
        let due = match (self.screen.can_draw(), self.drawn) {
            (true, None) => self.begun + SILENT,
            (true, Some(drawn)) => drawn + DRAW,
            (false, _) => self.said + PLAIN,
        };
        if now < due {
            return ControlFlow::Continue(Some(due - now));
        }
        self.look(now);
        let text = line::text(&self.wait, &self.whole, self.since.elapsed());
        if self.screen.can_draw() {
            self.listen();
            self.screen.draw(&text);
            self.drawn = Some(now);
            ControlFlow::Continue(Some(DRAW))
        } else {
            self.screen.note(&text);
            self.said = now;
            ControlFlow::Continue(Some(PLAIN))
        }
    }

    /// What goes on without the user who has pressed Ctrl-C.
    pub(super) fn goes_on(&self) -> String {
        line::goes_on(&self.wait, &self.whole)
    }

    /// Asks how the apps are, but not too often. A supervisor that does not answer in time is no reason to wait for it.
    fn look(&mut self, now: Instant) {
        if self.asked.is_some_and(|asked| now < asked + ASK) {
            return;
        }
        self.asked = Some(now);
        let apps = self.wait.current().to_vec();
        if let Some(status) = self.supervisor.as_deref().and_then(|path| {
            let request = Command::Status { apps: apps.clone() };
            match Client::connect(path).ok()?.exchange(request, Some(PATIENCE), &mut |_| {}).ok()? {
                Reply::Status { apps } => Some(apps),
                _ => None,
            }
        }) {
            self.limit(&status);
            self.wait.status = status;
        }
    }

    /// The time at which patience ends: a supervisor knows it of a stop, the configuration of a start.
    fn limit(&mut self, status: &[AppStatus]) {
        let left = status
            .iter()
            .filter_map(|app| app.kill_in)
            .fold(None, |most: Option<f64>, left| Some(most.map_or(left, |most| most.max(left))));
        let left = left.and_then(|left| Duration::try_from_secs_f64(left).ok());
        self.wait.kill_after = left.map(|left| self.since.elapsed() + left);
        if let (None, Some(limit)) = (self.wait.limit, &self.start_limit) {
            self.wait.limit = self.wait.current().iter().filter_map(limit).max();
        }
    }

    /// From now on Ctrl-C is heard of, unless it was to be ignored; a second one ends the program as ever.
    fn listen(&mut self) {
        if self.interrupted.is_some() || is_ignored(SIGINT) {
            return;
        }
        let pressed = Arc::new(AtomicBool::new(false));
        let twice = signal_hook::flag::register_conditional_default(SIGINT, Arc::clone(&pressed));
        if twice.is_ok() && signal_hook::flag::register(SIGINT, Arc::clone(&pressed)).is_ok() {
            self.interrupted = Some(pressed);
        }
    }
}

/// Whether this process was started with a signal ignored, as shells do with what they start in the background.
fn is_ignored(signal: i32) -> bool {
    let status = procfs::process::Process::myself().and_then(|process| process.status());
    status.is_ok_and(|status| status.sigign & (1 << (signal - 1)) != 0)
}
