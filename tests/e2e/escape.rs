//! Processes that try to get away.

use std::time::Duration;

use crate::support::{Home, SOON, always, wait_until, zombies};

/// For those that do not heed SIGTERM.
const SOON_KILLED: &str = "signals.kill_timeout = '500ms'";

#[test]
fn a_process_that_left_session_and_parent_is_stopped_with_its_app() {
    let home = Home::new();
    let app = home.app("web").behaves("fork-setsid 20").conf(SOON_KILLED);
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("ready");
    let processes = app.processes();
    assert_eq!(processes.len(), 21);
    let main = app.status().main_pid();
    let sessions = processes.iter().filter(|process| process.sid != main).count();
    assert_eq!(sessions, 20, "each has a session of its own: {processes:#?}");
    home.ctl(["stop", "web"]).ok();
    assert!(app.processes().is_empty(), "right after stop there still are {:#?}", app.processes());
}

#[test]
fn the_same_after_the_death_of_the_supervisor() {
    let home = Home::new();
    let app = home.app("web").behaves("fork-setsid 3").conf(SOON_KILLED);
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("ready");
    let (supervisor, _) = home.pair("web");
    crate::support::kill(supervisor.pid, nix::sys::signal::Signal::SIGKILL);
    app.wait_for("adopted", |status| status.supervisor.is_some_and(|pid| pid != supervisor.pid));
    home.ctl(["stop", "web"]).ok();
    app.wait_until_gone();
}

#[test]
fn another_app_is_not_mistaken_for_an_escaped_process() {
    let home = Home::new();
    let wild = home.app("wild").behaves("fork-setsid 3").conf(SOON_KILLED);
    let calm = home.app("calm").behaves("fork-setsid 3");
    home.ctl(["start", "wild", "calm"]).ok();
    wild.wait_for_output("ready");
    calm.wait_for_output("ready");
    let before = calm.processes();
    home.ctl(["stop", "wild"]).ok();
    wild.wait_until_gone();
    assert_eq!(calm.processes().len(), before.len());
}

#[test]
fn an_app_that_goes_to_the_background_by_itself_does_not_pile_up() {
    let home = Home::new();
    let app = home
        .app("web")
        .behaves("daemonize")
        .conf("process.restart = 'always'\nprocess.restart_delay = '30ms'\nprocess.restart_max_attempts = 0");
    home.ctl(["start", "web"]).ok();
    app.wait_for("restarted a few times", |status| status.restarts >= 3);
    // The one from before is gone before the next is started.
    always("without copies", Duration::from_millis(500), || match app.processes() {
        few if few.len() <= 2 => Ok(()),
        many => Err(format!("{many:#?}")),
    });
    home.ctl(["stop", "web"]).ok();
    app.wait_until_gone();
}

#[test]
fn orphans_leave_no_zombies() {
    let home = Home::new();
    let app = home
        .app("web")
        .run_script("for i in $(seq 50); do (setsid sh -c 'sleep 0.0' &) ; done; echo ready; exec sleep 1000");
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("ready");
    let (supervisor, keeper) = home.pair("web");
    wait_until("no child of keeper or supervisor is a zombie", SOON, || match zombies(&[supervisor.pid, keeper.pid]) {
        none if none.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });
}

#[test]
fn what_left_the_group_is_asked_before_it_is_killed() {
    let home = Home::new();
    let app = home.app("web").run_script(
        "setsid sh -c 'trap \"echo asked; exit\" TERM; echo waiting; while :; do sleep 0.02; done' &\nexec sleep 1000",
    );
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("waiting");
    let begun = std::time::Instant::now();
    home.ctl(["stop", "web"]).ok();
    assert!(begun.elapsed() < Duration::from_secs(10), "stop took {:?}", begun.elapsed());
    assert!(app.log().contains("asked"), "{}", app.log());
    assert!(app.processes().is_empty());
}

#[test]
fn what_does_not_heed_it_is_killed_and_that_is_told() {
    let home = Home::new();
    let app = home.app("web").run_script("setsid sh -c 'trap \"\" TERM; echo waiting; sleep 1000' &\nexec sleep 1000");
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("waiting");
    home.ctl(["stop", "--timeout", "1", "web"]).ok();
    assert!(app.processes().is_empty());
    assert!(app.events().contains("left behind"), "{}", app.events());
}

#[test]
fn what_stayed_in_the_group_is_asked_once() {
    let home = Home::new();
    let app = home.app("web").run_script(
        "(trap 'echo asked; done=1' TERM; echo waiting; while [ -z \"$done\" ]; do sleep 0.02; done; sleep 0.2; echo over) &\n\
         exec sleep 1000",
    );
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("waiting");
    home.ctl(["stop", "web"]).ok();
    assert_eq!(app.log(), "waiting\nasked\nover\n");
}
