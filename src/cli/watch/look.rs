//! A thread that looks at apps: all of them briefly, the selected one at length.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use daemonctl_actors::value::AppName;

use super::super::error::CliError;
use super::super::globals::Globals;
use super::super::known::{Which, find_mistakes, own_ask};
use super::super::report::Seen;
use super::super::screen::Screen;
use super::super::session::Session;
use super::super::status::snapshot;
use super::super::{drift, recent};
use super::model::Part;
use crate::control::status::{AppStatus, State};
use crate::observe::confinement::Confinement;
use crate::observe::processes::{Snapshot, Tree};

/// How many of its last lines are read of the selected app.
const LINES: usize = 40;

/// How long what the files of an app at rest say is believed: to read and check them takes longer than all else.
const BELIEVED: Duration = Duration::from_secs(20);

/// How long a supervisor may take to answer, if the command line does not say it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) which: Which,
    /// The app to look at closely, and at what of it.
    pub(super) selected: Option<AppName>,
    pub(super) part: Part,
}

/// What the looking thread is told.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    /// Look at something else from now on.
    For(Wish),
    /// Look now: something was done.
    Now,
}

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// Seconds since the epoch.
    pub(super) at: f64,
    pub(super) apps: Vec<Brief>,
    /// The selected app.
    pub(super) close: Option<Seen>,
    /// Whether this is a report of its own, and not only a closer look at another app.
    pub(super) whole: bool,
}

/// What is seen of every app.
#[derive(Clone, Debug)]
pub(super) struct Brief {
    pub(super) status: AppStatus,
    /// Processor time since the last look, in percent of one CPU.
    pub(super) cpu: Option<f64>,
    /// Resident memory.
    pub(super) memory: Option<u64>,
}

/// Looks whenever so much time has passed, and when it is asked to, until nobody can ask any more. What is seen is handed
/// over, or why nothing was.
pub(super) fn looking(
    globals: Globals,
    wish: Wish,
    every: Duration,
    hand_over: impl Fn(Result<Look, String>) + Send + 'static,
) -> Sender<Ask> {
    let (sender, asked) = channel();
    // A supervisor that does not answer should be told of, not waited for.
    let globals = Globals { op_timeout: globals.op_timeout.or(Some(PATIENCE)), ..globals };
    let eye = Eye { globals, wish, believed: HashMap::new(), used: BTreeMap::new(), at: Instant::now(), last: None };
    thread::spawn(move || eye.go_on(&asked, every, &hand_over));
    sender
}

struct Eye {
    globals: Globals,
    wish: Wish,
    /// What the configurations of apps said that may not start the next time.
    believed: HashMap<AppName, Said>,
    /// Processor time that each process of each app had used at the last look.
    used: BTreeMap<AppName, BTreeMap<i32, f64>>,
    at: Instant,
    last: Option<(Look, Snapshot)>,
}

/// What the configuration of an app said.
struct Said {
    state: State,
    at: Instant,
    mistakes: Vec<String>,
}

impl Eye {
    fn go_on(mut self, asked: &Receiver<Ask>, every: Duration, hand_over: &dyn Fn(Result<Look, String>)) {
        let mut next = Instant::now();
        loop {
            hand_over(self.look().map_err(|error| error.text()));
            next = (next + every).max(Instant::now());
            // Meanwhile another app may be selected: that one is looked at as it was seen a moment ago.
            loop {
                match asked.recv_timeout(next.saturating_duration_since(Instant::now())) {
                    Ok(Ask::Now) => break,
                    Ok(Ask::For(wish)) => {
                        let mut others = wish.which != self.wish.which;
                        self.wish = wish;
                        // Whoever holds a key down wants to see the app at the end.
                        for asked in asked.try_iter() {
                            match asked {
                                Ask::For(wish) => {
                                    others |= wish.which != self.wish.which;
                                    self.wish = wish;
                                }
                                Ask::Now => others = true,
                            }
                        }
                        if others {
                            break;
                        }
                        if let Some((look, snapshot)) = &self.last {
                            let close = self.close(&look.apps, snapshot);
                            hand_over(Ok(Look { close, whole: false, ..look.clone() }));
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        }
    }

    fn look(&mut self) -> Result<Look, CliError> {
        // Supervisors come and go: each look finds those there are.
        let mut session = Session::new(self.globals.clone(), Screen::new(true, true));
        let mut found = self.wish.which.told(&mut session)?;
        self.examine(&mut session, &mut found)?;
        let snapshot = snapshot()?;
        let since = self.at.elapsed().as_secs_f64();
        self.at = Instant::now();
        let mut before = std::mem::take(&mut self.used);
        let mut apps = Vec::new();
        for status in found {
            let tree = status.pid.and_then(|pid| snapshot.tree(pid));
            let used: BTreeMap<i32, f64> =
                tree.iter().flat_map(Tree::flat).map(|process| (process.pid, process.used)).collect();
            let cpu = tree.as_ref().map(|tree| match before.remove(&status.name) {
                Some(before) => share(&before, &used, since),
                None => tree.cpu(),
            });
            let memory = tree.as_ref().map(Tree::memory);
            self.used.insert(status.name.clone(), used);
            apps.push(Brief { status, cpu, memory });
        }
        let close = self.close(&apps, &snapshot);
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let look = Look { at, apps, close, whole: true };
        self.last = Some((look.clone(), snapshot));
        Ok(look)
    }

    /// Looks at the files of apps, reads configurations only now and then.
    fn examine(&mut self, session: &mut Session, apps: &mut [AppStatus]) -> Result<(), CliError> {
        drift::since_start(apps);
        let own = own_ask(session)?;
        self.believed.retain(|name, said| said.at.elapsed() < BELIEVED && apps.iter().any(|app| app.name == *name));
        for app in apps.iter_mut().filter(|app| drift::is_in_doubt(app)) {
            match self.believed.get(&app.name).filter(|said| said.state == app.state) {
                Some(said) => app.mistakes.clone_from(&said.mistakes),
                None => {
                    find_mistakes(session, app, &own)?;
                    let said = Said { state: app.state, at: Instant::now(), mistakes: app.mistakes.clone() };
                    self.believed.insert(app.name.clone(), said);
                }
            }
        }
        Ok(())
    }

    /// Looks at the selected app.
    fn close(&self, apps: &[Brief], snapshot: &Snapshot) -> Option<Seen> {
        let app = apps.iter().find(|app| Some(&app.status.name) == self.wish.selected.as_ref())?;
        let mut seen = Seen::new(app.status.clone(), snapshot);
        if matches!(self.wish.part, Part::Resources | Part::All) {
            seen.measure();
        }
        if self.wish.part == Part::All {
            seen.confinement = seen.status.sandbox.as_ref().and(seen.status.pid).and_then(Confinement::of);
        }
        if matches!(self.wish.part, Part::Processes | Part::All) {
            seen.recent = recent::of(&seen.status, LINES);
            seen.processes.iter_mut().for_each(Tree::read_commands);
        }
        Some(seen)
    }
}

/// How much of one CPU processes have used, of which some may be new.
fn share(before: &BTreeMap<i32, f64>, now: &BTreeMap<i32, f64>, seconds: f64) -> f64 {
    let used = now.iter().map(|(pid, used)| (used - before.get(pid).copied().unwrap_or(0.0)).max(0.0)).sum::<f64>();
    if seconds > 0.0 { 100.0 * used / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_counted_since_the_last_look() {
        let before = BTreeMap::from([(1, 2.0), (2, 5.0)]);
        assert_eq!(share(&before, &BTreeMap::from([(1, 3.0), (3, 0.5)]), 2.0), 75.0);
        assert_eq!(share(&before, &BTreeMap::from([(2, 1.0)]), 2.0), 0.0, "another process with an old pid");
        assert_eq!(share(&before, &before, 0.0), 0.0);
    }
}
