//! The tree at work, with scripted processes and a clock that jumps from deadline to deadline.
//!
//! The runtime is paused: time passes only when every actor waits, so that minutes of backoff take no time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, Addr};
use tokio::sync::oneshot;

use crate::cell::{Cell, CheckReport, Child, Policy, StartFailure, Trouble};
use crate::health::HealthPolicy;
use crate::lifecycle::{Phase, Rest};
use crate::ports::{Checker, Clock, Hook, Launched, LocalFuture, Notice, Ports, Scope, Sink, Spawner, Told};
use crate::restarts::When;
use crate::root::{Cells, RootSupervisor, StartApp, Started, StopApp, Stopped};
use crate::value::{AppName, ExitStatus, Moment, Signal};

const SECOND: Duration = Duration::from_secs(1);

/// What the scripted world is like, and what has happened in it.
#[derive(Default)]
struct World {
    policy: Policy,
    next_pid: i32,
    /// Living processes, and how to tell of their end.
    alive: BTreeMap<i32, Vec<oneshot::Sender<ExitStatus>>>,
    /// What is said about the next launch.
    refusal: Option<StartFailure>,
    /// Whether processes end when they get the stop signal.
    obedient: bool,
    /// Results of health checks to come; healthy when there are none.
    checks: Vec<bool>,
    /// What panics next: `signal`, `check`, `watch`.
    panics: Option<&'static str>,
    launched: Vec<i32>,
    signals: Vec<i32>,
    hooks: Vec<Hook>,
    notices: Vec<Notice>,
    records: usize,
}

impl World {
    fn end(&mut self, pid: i32, status: ExitStatus) {
        for watcher in self.alive.remove(&pid).into_iter().flatten() {
            let _ = watcher.send(status);
        }
    }

    fn panic_if(&mut self, place: &'static str) {
        if self.panics == Some(place) {
            self.panics = None;
            panic!("as the story wants it");
        }
    }
}

#[derive(Clone)]
struct Script(Rc<RefCell<World>>, tokio::time::Instant);

impl Spawner for Script {
    fn launch(&self, _: &AppName, _: bool) -> LocalFuture<Result<Launched, StartFailure>> {
        let mut world = self.0.borrow_mut();
        let launched = match world.refusal.take() {
            Some(failure) => Err(failure),
            None => {
                world.next_pid += 1;
                let pid = world.next_pid;
                assert!(world.alive.is_empty(), "a second child beside {:?}", world.alive.keys());
                world.alive.insert(pid, Vec::new());
                world.launched.push(pid);
                let child = Child { pid, start_time: 0 };
                Ok(Launched { child, policy: world.policy.clone(), warnings: Vec::new(), reconfigured: false })
            }
        };
        Box::pin(async move { launched })
    }

    fn release(&self, _: &AppName, _: Child) -> LocalFuture<Result<Vec<String>, StartFailure>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn recover(&self, _: &AppName, _: Child) -> LocalFuture<Result<Vec<String>, StartFailure>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn abandon(&self, _: &AppName, child: Child) -> LocalFuture<()> {
        self.0.borrow_mut().end(child.pid, ExitStatus::Code(119));
        Box::pin(async {})
    }

    fn clear(&self, _: &AppName) -> LocalFuture<()> {
        Box::pin(async {})
    }

    fn ran_out_of_memory(&self, _: &AppName, status: ExitStatus) -> bool {
        status == ExitStatus::Code(137)
    }

    fn watch(&self, _: &AppName, child: Child) -> LocalFuture<ExitStatus> {
        let (end, ended) = oneshot::channel();
        let world = self.0.clone();
        match world.borrow_mut().alive.get_mut(&child.pid) {
            Some(watchers) => watchers.push(end),
            None => drop(end.send(ExitStatus::Unknown)),
        }
        let world = self.0.clone();
        Box::pin(async move {
            let status = ended.await.unwrap_or(ExitStatus::Unknown);
            world.borrow_mut().panic_if("watch");
            status
        })
    }

    fn reap(&self, _: &AppName, _: Child) {}

    fn signal(&self, _: &AppName, child: Child, signal: Signal, _: Scope) -> io::Result<()> {
        let mut world = self.0.borrow_mut();
        world.signals.push(signal.number());
        world.panic_if("signal");
        if signal == Signal::TERM && world.obedient {
            world.end(child.pid, ExitStatus::Code(0));
        }
        Ok(())
    }

    fn kill(&self, _: &AppName, child: Child) {
        self.0.borrow_mut().end(child.pid, ExitStatus::Signal { signal: Signal::KILL, core: false });
    }

    fn sweep(&self, _: &AppName, _: Option<Child>, _: Moment) -> LocalFuture<()> {
        Box::pin(async {})
    }
}

impl Checker for Script {
    fn check(&self, _: &AppName) -> LocalFuture<CheckReport> {
        let world = self.0.clone();
        Box::pin(async move {
            let mut world = world.borrow_mut();
            world.panic_if("check");
            let success = if world.checks.is_empty() { true } else { world.checks.remove(0) };
            CheckReport { success, output: String::new(), took: Duration::ZERO, at: None }
        })
    }

    fn hook(&self, _: &AppName, hook: Hook, _: Option<i32>, _: Option<Told>) -> LocalFuture<()> {
        self.0.borrow_mut().hooks.push(hook);
        Box::pin(async {})
    }
}

impl Clock for Script {
    fn now(&self) -> Moment {
        tokio::time::Instant::now().duration_since(self.1)
    }

    fn wall(&self) -> f64 {
        self.now().as_secs_f64()
    }

    fn chance(&self) -> f64 {
        0.5
    }
}

impl Sink for Script {
    fn save(&self, _: &Cell) -> bool {
        self.0.borrow_mut().records += 1;
        true
    }

    fn note(&self, _: &AppName, notice: Notice) {
        self.0.borrow_mut().notices.push(notice);
    }

    fn at_rest(&self, _: &Cell, _: bool) {}
}

/// A tree in a world, and a few words to tell stories with.
struct Tree {
    world: Rc<RefCell<World>>,
    root: Addr<RootSupervisor>,
}

impl Tree {
    fn web() -> AppName {
        "web".parse().expect("a name")
    }

    async fn start(&self) -> Started {
        self.root.send(StartApp { name: Self::web(), wait: false, timeout: None }).await.expect("a root")
    }

    async fn stop(&self) -> Stopped {
        let stop = StopApp { name: Self::web(), grace: None, signal: None, wait: true };
        self.root.send(stop).await.expect("a root")
    }

    async fn cell(&self) -> Cell {
        self.root.send(Cells).await.expect("a root").remove(0)
    }

    /// Waits until the app's cell is as wanted; an hour of the story's time at the most.
    async fn until(&self, wanted: impl Fn(&Cell) -> bool) -> Cell {
        for _ in 0..36_000 {
            let cell = self.cell().await;
            if wanted(&cell) {
                return cell;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it never came to that: {:#?}", self.cell().await);
    }

    fn living(&self) -> Vec<i32> {
        self.world.borrow().alive.keys().copied().collect()
    }

    fn end(&self, status: ExitStatus) {
        let pid = self.living()[0];
        self.world.borrow_mut().end(pid, status);
    }

    fn rebuilt(&self) -> usize {
        self.world.borrow().notices.iter().filter(|notice| **notice == Notice::Rebuilt).count()
    }
}

/// Runs a story on a paused clock.
fn story<F: Future<Output = ()>>(world: World, tell: impl FnOnce(Tree) -> F) {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().enable_io().start_paused(true).build().expect("a runtime")
    };
    actix::System::with_tokio_rt(runtime).block_on(async {
        let world = Rc::new(RefCell::new(world));
        let script = Rc::new(Script(world.clone(), tokio::time::Instant::now()));
        let ports = Ports { spawner: script.clone(), checker: script.clone(), clock: script.clone(), sink: script };
        let root = RootSupervisor::new(ports, || ()).start();
        tell(Tree { world, root }).await;
    });
}

fn world() -> World {
    World { obedient: true, ..World::default() }
}

fn restarting(when: When) -> World {
    let mut world = world();
    world.policy.restart.when = when;
    world
}

fn monitored() -> World {
    let mut world = world();
    world.policy.health = Some(HealthPolicy {
        interval: 10 * SECOND,
        startup: 60 * SECOND,
        failure_threshold: 2,
        success_threshold: 1,
        monitored: true,
    });
    world.policy.timing.ready_when_healthy = true;
    world
}

#[test]
fn an_app_is_started_once_and_stopped() {
    story(world(), async |tree| {
        assert!(matches!(tree.start().await, Started::Started { pid: 1, ready: true, .. }));
        assert_eq!(tree.start().await, Started::Running { pid: 1 });
        assert!(matches!(tree.stop().await, Stopped::Stopped(_)));
        assert_eq!(tree.stop().await, Stopped::NotRunning);
        assert_eq!(tree.world.borrow().hooks, [Hook::Start, Hook::Stop]);
        assert_eq!(tree.living(), [0; 0]);
    });
}

#[test]
fn who_ignores_the_stop_signal_is_killed_after_its_grace() {
    story(World::default(), async |tree| {
        tree.start().await;
        let begun = tokio::time::Instant::now();
        let Stopped::Stopped(cell) = tree.stop().await else { panic!("not stopped") };
        assert_eq!(begun.elapsed(), 30 * SECOND);
        let killed = ExitStatus::Signal { signal: Signal::KILL, core: false };
        assert_eq!(cell.last.and_then(|last| last.ending.status), Some(killed));
    });
}

#[test]
fn a_crashing_app_is_restarted_with_growing_pauses_and_given_up() {
    story(restarting(When::OnFailure), async |tree| {
        tree.start().await;
        for _ in 0..4 {
            tree.until(|cell| cell.life.phase == Phase::Up).await;
            tree.end(ExitStatus::Code(1));
            tokio::time::sleep(SECOND).await;
        }
        let cell = tree.until(|cell| cell.life.phase == Phase::Down(Rest::Failed)).await;
        assert_eq!((cell.history.attempts, cell.launches), (3, 4));
        let world = tree.world.borrow();
        let pauses = world.notices.iter().filter_map(|notice| match notice {
            Notice::Restarting { after, .. } => Some(after.round() as u32),
            _ => None,
        });
        assert_eq!(pauses.collect::<Vec<_>>(), [5, 10, 20]);
    });
}

#[test]
fn an_unhealthy_app_is_replaced() {
    let mut world = monitored();
    world.checks = vec![false, true, false, false];
    story(world, async |tree| {
        assert!(matches!(tree.start().await, Started::Started { ready: false, .. }));
        tree.until(|cell| cell.life.is_ready()).await;
        let cell = tree.until(|cell| cell.launches == 2 && cell.life.is_ready()).await;
        assert_eq!(cell.history.restarts, 1);
        assert_eq!(tree.living(), [2]);
    });
}

#[test]
fn it_is_known_when_the_next_check_is_and_since_when_the_state_is_what_it_is() {
    story(monitored(), async |tree| {
        tree.start().await;
        let healthy = tree.until(|cell| cell.life.is_ready()).await;
        let began = healthy.since.expect("since when it runs");
        let next = healthy.next_check.expect("a next check");
        // The next check comes then, and not before; that it is healthy does not make it run anew.
        let later = tree.until(|cell| cell.next_check.is_some_and(|check| check > next)).await;
        assert_eq!(later.since, Some(began));
        let interval = later.policy.health.expect("a check").interval;
        assert_eq!(later.next_check.and_then(|check| check.checked_sub(next)), Some(interval));
        tree.stop().await;
        let stopped = tree.cell().await;
        assert_eq!(stopped.next_check, None);
        assert!(stopped.since > Some(began), "{stopped:#?}");
    });
}

#[test]
fn a_stop_cancels_the_restart_and_a_start_does_not_wait_for_it() {
    story(restarting(When::Always), async |tree| {
        tree.start().await;
        tree.end(ExitStatus::Code(1));
        tree.until(|cell| matches!(cell.life.phase, Phase::Backoff { .. })).await;
        assert!(matches!(tree.start().await, Started::Started { pid: 2, .. }));
        tree.end(ExitStatus::Code(1));
        tree.until(|cell| matches!(cell.life.phase, Phase::Backoff { .. })).await;
        assert!(matches!(tree.stop().await, Stopped::Stopped(_)));
        tokio::time::sleep(600 * SECOND).await;
        assert_eq!(tree.world.borrow().launched, [1, 2]);
    });
}

#[test]
fn a_changed_configuration_gives_all_attempts_back() {
    story(restarting(When::Always), async |tree| {
        tree.start().await;
        for launch in 1..=3 {
            tree.until(|cell| cell.launches == launch && cell.life.phase == Phase::Up).await;
            tree.end(ExitStatus::Code(1));
        }
        tree.world.borrow_mut().policy.restart.delay = SECOND;
        let cell = tree.until(|cell| cell.launches == 4 && cell.life.phase == Phase::Up).await;
        assert_eq!((cell.history.attempts, cell.history.restarts), (0, 3));
    });
}

#[test]
fn an_end_that_was_asked_for_is_no_crash() {
    story(restarting(When::Always), async |tree| {
        tree.start().await;
        tree.end(ExitStatus::Code(1));
        tree.until(|cell| cell.launches == 2 && cell.life.phase == Phase::Up).await;
        let Stopped::Stopped(cell) = tree.stop().await else { panic!("not stopped") };
        assert_eq!((cell.history.restarts, cell.history.gave_up), (1, false));
        assert_eq!(cell.life.phase, Phase::Down(Rest::Stopped));
    });
}

#[test]
fn a_start_that_fails_says_why() {
    let failure = StartFailure { trouble: Trouble::Lasting, message: "no such file".into(), hint: None };
    story(World { refusal: Some(failure.clone()), ..restarting(When::Always) }, async |tree| {
        assert_eq!(tree.start().await, Started::Failed(failure));
        assert_eq!(tree.cell().await.life.phase, Phase::Down(Rest::Failed));
        assert!(matches!(tree.start().await, Started::Started { pid: 1, .. }));
    });
}

#[test]
fn a_panic_in_a_command_leaves_the_child_alone_and_the_command_is_carried_out() {
    story(World { panics: Some("signal"), ..world() }, async |tree| {
        tree.start().await;
        // The actor dies of the signal; the next one goes on with the stop.
        assert!(matches!(tree.stop().await, Stopped::Stopped(_)));
        assert_eq!(tree.rebuilt(), 1);
        assert_eq!(tree.world.borrow().launched, [1]);
    });
}

#[test]
fn a_panic_while_an_end_is_taken_in_does_not_lose_the_end() {
    story(World { panics: Some("watch"), ..restarting(When::Always) }, async |tree| {
        tree.start().await;
        tree.end(ExitStatus::Code(3));
        let cell = tree.until(|cell| cell.launches == 2 && cell.life.phase == Phase::Up).await;
        assert_eq!(cell.history.restarts, 1);
        assert_eq!(tree.rebuilt(), 1);
    });
}

#[test]
fn a_panic_in_a_check_is_followed_by_the_next_check() {
    let world = World { panics: Some("check"), ..monitored() };
    story(world, async |tree| {
        tree.start().await;
        tree.until(|cell| cell.life.is_ready()).await;
        assert_eq!(tree.living(), [1]);
    });
}

#[test]
fn panics_without_end_slow_down_and_another_app_goes_on() {
    story(world(), async |tree| {
        tree.start().await;
        for _ in 0..6 {
            tree.world.borrow_mut().panics = Some("signal");
            let message =
                crate::root::SignalApp { name: Tree::web(), signal: Some(Signal::HUP), scope: Scope::Main, wait: None };
            let _ = tree.root.send(message).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert!((1..=4).contains(&tree.rebuilt()), "{}", tree.rebuilt());
        let db = StartApp { name: "db".parse().expect("a name"), wait: false, timeout: None };
        tree.world.borrow_mut().panics = None;
        let living = std::mem::take(&mut tree.world.borrow_mut().alive);
        assert!(matches!(tree.root.send(db).await, Ok(Started::Started { .. })));
        tree.world.borrow_mut().alive.extend(living);
        tokio::time::sleep(30 * SECOND).await;
        assert!(matches!(tree.stop().await, Stopped::Stopped(_)));
    });
}
