//! Scenarios in virtual moments, and properties of every sequence of events.

use proptest::prelude::*;

use super::*;
use crate::value::ExitStatus;

const SECOND: Duration = Duration::from_secs(1);

fn timing() -> Timing {
    Timing {
        start_timeout: 60 * SECOND,
        stop_grace: 30 * SECOND,
        run_timeout: Some(3600 * SECOND),
        ready_when_healthy: false,
    }
}

fn stop(seconds: u32) -> Event {
    Event::Stop { grace: seconds * SECOND, signal: None }
}

/// Feeds events, one a second, and returns all effects.
fn story(machine: &mut Lifecycle, events: &[Event]) -> Vec<Effect> {
    (1..).zip(events).flat_map(|(second, event)| machine.step(second * SECOND, *event, &timing())).collect()
}

#[test]
fn an_app_is_started_and_stopped() {
    let mut machine = Lifecycle::default();
    let effects =
        story(&mut machine, &[Event::Start, Event::Executed, stop(30), Event::Exited(ExitStatus::Code(0).into())]);
    assert_eq!(
        effects,
        [
            Effect::Launch,
            Effect::Observe,
            Effect::Ready,
            Effect::Unobserve,
            Effect::Terminate(None),
            Effect::Sweep { until: 33 * SECOND },
        ]
    );
    let verdict = Verdict::Leave(Rest::Exited);
    let effects = story(&mut machine, &[Event::Swept, Event::Judged(verdict)]);
    assert!(matches!(effects[..], [Effect::Judge(Ending { cause: Some(Cause::Asked), .. })]));
    assert_eq!(machine.phase, Phase::Down(Rest::Stopped));
}

#[test]
fn who_does_not_heed_the_signal_is_killed_and_killed_again() {
    let mut machine = Lifecycle::default();
    story(&mut machine, &[Event::Start, Event::Executed, stop(30)]);
    assert_eq!(machine.step(32 * SECOND, Event::Deadline, &timing()), [], "a second early");
    assert_eq!(machine.step(33 * SECOND, Event::Deadline, &timing()), [Effect::Kill]);
    assert_eq!(machine.step(38 * SECOND, Event::Deadline, &timing()), [Effect::Kill]);
}

#[test]
fn a_process_that_was_killed_for_memory_is_told_from_one_that_we_killed() {
    let status = ExitStatus::Signal { signal: Signal::KILL, core: false };
    let exited = Event::Exited(Exit { status, out_of_memory: true });
    let told = |before: &[Event]| {
        let mut machine = Lifecycle::default();
        story(&mut machine, before);
        machine.step(60 * SECOND, Event::Deadline, &timing());
        machine.step(61 * SECOND, exited, &timing());
        match machine.phase {
            Phase::Sweeping { ending, .. } => (ending.status, ending.out_of_memory),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(told(&[Event::Start, Event::Executed]), (Some(status), true));
    assert_eq!(told(&[Event::Start, Event::Executed, stop(90)]), (Some(status), true), "it was only asked to end");
    assert_eq!(told(&[Event::Start, Event::Executed, stop(30)]), (Some(status), false));
}

#[test]
fn a_start_during_a_stop_runs_it_again_and_a_stop_during_backoff_ends_it() {
    let exited = Event::Exited(ExitStatus::Code(1).into());
    let judged = Event::Judged(Verdict::Again { after: 5 * SECOND });
    let mut machine = Lifecycle::default();
    story(&mut machine, &[Event::Start, Event::Executed, stop(30), Event::Start, exited, Event::Swept]);
    assert_eq!(machine.step(9 * SECOND, Event::Judged(Verdict::Leave(Rest::Failed)), &timing()), [Effect::Launch]);
    story(&mut machine, &[Event::Executed, exited, Event::Swept, judged]);
    assert!(matches!(machine.phase, Phase::Backoff { .. }));
    story(&mut machine, &[stop(30)]);
    assert_eq!(machine.phase, Phase::Down(Rest::Stopped));
}

fn any_event() -> impl Strategy<Value = Event> {
    let grace = prop_oneof![Just(0u32), Just(1), Just(30)];
    prop_oneof![
        Just(Event::Start),
        grace.clone().prop_map(|grace| Event::Stop { grace: grace * SECOND, signal: None }),
        grace.prop_map(|grace| Event::Restart { grace: grace * SECOND, delay: grace * SECOND }),
        Just(Event::Executed),
        Just(Event::LaunchFailed),
        Just(Event::Exited(ExitStatus::Code(1).into())),
        Just(Event::Swept),
        Just(Event::Judged(Verdict::Again { after: SECOND })),
        Just(Event::Judged(Verdict::Again { after: Duration::ZERO })),
        Just(Event::Judged(Verdict::Leave(Rest::Exited))),
        Just(Event::Judged(Verdict::Leave(Rest::Failed))),
        Just(Event::Healthy),
        Just(Event::Unhealthy),
        Just(Event::Deadline),
    ]
}

/// A world in which effects are carried out: it owns the children, and so knows how many live.
#[derive(Default)]
struct World {
    machine: Lifecycle,
    now: Moment,
    alive: bool,
    executed: bool,
    killed: bool,
    sweeping: bool,
    judging: bool,
}

impl World {
    fn feed(&mut self, event: Event) {
        for effect in self.machine.step(self.now, event, &timing()) {
            match effect {
                Effect::Launch => {
                    assert!(!self.alive, "a second child while one lives: {:?}", self.machine);
                    assert!(!self.sweeping && !self.judging, "a child before the last one is cleaned up");
                    (self.alive, self.executed, self.killed) = (true, false, false);
                }
                Effect::Kill => self.killed = true,
                Effect::Sweep { .. } => self.sweeping = true,
                Effect::Judge(_) => self.judging = true,
                Effect::Terminate(_) | Effect::Observe | Effect::Unobserve | Effect::Ready => {}
            }
        }
        assert_eq!(self.alive, self.machine.has_child(), "{:?}", self.machine);
    }

    /// Passes on an event only if it can happen now.
    fn happen(&mut self, event: Event) {
        match event {
            Event::Executed if !self.alive || self.executed => return,
            Event::Executed => self.executed = true,
            Event::LaunchFailed if !self.alive || self.executed => return,
            Event::Exited(_) if !self.executed || !self.alive => return,
            Event::LaunchFailed | Event::Exited(_) => (self.alive, self.executed) = (false, false),
            Event::Swept if !self.sweeping => return,
            Event::Swept => self.sweeping = false,
            Event::Judged(_) if !self.judging => return,
            Event::Judged(_) => self.judging = false,
            _ => {}
        }
        self.feed(event);
    }
}

proptest! {
    #[test]
    fn never_two_children_and_the_last_command_wins(events in prop::collection::vec((any_event(), 0u32..40), 0..60)) {
        let mut world = World::default();
        let mut wanted = false;
        for (event, pause) in events {
            world.now += pause * SECOND;
            match event {
                Event::Start | Event::Restart { .. } => wanted = true,
                Event::Stop { .. } => wanted = false,
                _ => {}
            }
            world.happen(event);
            if wanted && matches!(world.machine.phase, Phase::Down(Rest::Stopped)) {
                prop_assert!(false, "stopped although the last command wants it up: {:?}", world.machine);
            }
        }
    }

    #[test]
    fn a_wanted_stop_ends(events in prop::collection::vec((any_event(), 0u32..40), 0..60), stubborn: bool) {
        let mut world = World::default();
        for (event, pause) in events {
            world.now += pause * SECOND;
            world.happen(event);
        }
        world.happen(stop(30));
        for _ in 0..20 {
            match world.machine.phase {
                Phase::Down(_) => break,
                Phase::Launching { .. } | Phase::Up | Phase::Backoff { .. } => prop_assert!(false, "{:?}", world.machine),
                // The most stubborn program ignores everything but SIGKILL.
                Phase::Stopping { kill_at, .. } if stubborn && !world.killed => {
                    world.now = kill_at;
                    world.happen(Event::Deadline);
                }
                Phase::Stopping { .. } if world.executed => world.happen(Event::Exited(ExitStatus::Code(0).into())),
                Phase::Stopping { .. } => world.happen(Event::LaunchFailed),
                Phase::Sweeping { .. } => world.happen(Event::Swept),
                Phase::Judging(_) => world.happen(Event::Judged(Verdict::Again { after: SECOND })),
            }
        }
        prop_assert_eq!(world.machine.phase, Phase::Down(Rest::Stopped));
    }

    #[test]
    fn a_record_brings_the_machine_back(events in prop::collection::vec(any_event(), 0..20)) {
        let mut machine = Lifecycle::default();
        story(&mut machine, &events);
        let text = serde_json::to_string(&machine).unwrap();
        prop_assert_eq!(serde_json::from_str::<Lifecycle>(&text).unwrap(), machine);
    }
}
