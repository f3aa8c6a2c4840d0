//! When an app that has ended is started again, how soon, and how often.

use std::time::Duration;

use crate::support::{AppDir, Home, SOON, wait_until};

/// Writes a line with the time at each start, then does `rest`.
fn starts(app: AppDir<'_>, rest: &str) -> impl Fn() -> Vec<f64> {
    let app = app.run_script(&format!("date +%s.%N >> starts; {rest}"));
    let path = app.path("starts");
    move || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.lines().map(|line| line.parse().expect("a time")).collect()
    }
}

#[test]
fn the_policy_decides() {
    let home = Home::new();
    // Policy, further configuration, how the app ends, whether that is a reason to start it again.
    let table = [
        ("no", "", "exit 0", false),
        ("no", "", "exit 1", false),
        ("no", "", "kill -9 $$", false),
        ("on-failure", "", "exit 0", false),
        ("on-failure", "", "exit 1", true),
        ("on-failure", "", "kill -15 $$", true),
        ("on-failure", "process.success_exit_codes = [0, 3]", "exit 3", false),
        ("on-failure", "process.success_exit_codes = [3]", "exit 0", true),
        ("always", "", "exit 0", true),
        ("always", "", "exit 1", true),
        ("always", "", "kill -9 $$", true),
    ];
    let names: Vec<String> = (0..table.len()).map(|row| format!("row{row:02}")).collect();
    for (name, (policy, more, end, _)) in names.iter().zip(table) {
        home.app(name).run_script(&format!("echo >> starts; {end}")).conf(&format!(
            "process.restart = '{policy}'\nprocess.restart_delay = '30ms'\nprocess.restart_max_attempts = 2\n{more}"
        ));
    }
    home.ctl(["start-all", "--parallel"]).ok();
    for (name, (policy, more, end, restarted)) in names.iter().zip(table) {
        let row = format!("{policy} {more}: {end}");
        let app = home.app(name);
        let (state, runs) = if restarted { ("failed", 3) } else { ("exited", 1) };
        let status = app.wait_for(&format!("{state} ({row})"), |status| status.state == state);
        assert_eq!(status.restarts, runs - 1, "{row}");
        assert_eq!(app.read("starts").lines().count(), runs as usize, "{row}");
    }
}

#[test]
fn waits_grow_up_to_a_limit_and_then_the_app_is_given_up() {
    let home = Home::new();
    let app = home.app("web");
    let times = starts(app, "exit 1");
    app.conf(
        "process.restart = 'on-failure'\nprocess.restart_delay = '200ms'\nprocess.restart_delay_max = '500ms'
         process.restart_max_attempts = 4",
    );
    home.ctl(["start", "web"]).ok();
    let waiting = app.wait_for_state("backoff");
    assert!(waiting.retry_in.is_some_and(|time| (0.0..=0.55).contains(&time)), "{waiting:#?}");
    assert_eq!(waiting.last_exit.unwrap().code, Some(1));
    let status = app.wait_for_state("failed");
    assert_eq!((status.restarts, status.attempts), (4, 4));
    assert!(status.note.is_some(), "it says why: {status:#?}");
    let times = times();
    let waits: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits.len(), 4);
    for (wait, expected) in waits.iter().zip([0.2, 0.4, 0.5, 0.5]) {
        // Never early; late by what a busy machine takes to start a shell.
        assert!((expected * 0.9..expected * 1.1 + 0.5).contains(wait), "waits were {waits:?}");
    }
    assert!(app.events().contains("exit"), "the event log tells of it:\n{}", app.events());

    // A start by command begins anew.
    home.ctl(["start", "web"]).ok();
    assert_eq!(app.wait_for_state("failed").restarts, 4);
    assert_eq!(app.read("starts").lines().count(), 10);
}

#[test]
fn an_app_that_stays_up_gets_its_attempts_back() {
    let home = Home::new();
    let app = home.app("web");
    let times = starts(app, "sleep 0.4; exit 1");
    app.conf(
        "process.restart = 'always'\nprocess.restart_delay = '20ms'\nprocess.restart_max_attempts = 1
         process.restart_reset_after = '200ms'",
    );
    home.ctl(["start", "web"]).ok();
    wait_until("it has been restarted more often than attempts allow", SOON, || match times().len() {
        5.. => Ok(()),
        seen => Err(format!("{seen} starts: {:#?}", app.status())),
    });
    assert!(app.status().attempts <= 1);
}

#[test]
fn attempts_without_limit() {
    let home = Home::new();
    let app = home.app("web").behaves("exit 1");
    app.conf("process.restart = true\nprocess.restart_delay = '10ms'\nprocess.restart_delay_max = '20ms'\nprocess.restart_max_attempts = 0");
    home.ctl(["start", "web"]).ok();
    app.wait_for("restarted ten times", |status| status.restarts >= 10);
    home.ctl(["stop", "web"]).ok();
    assert_eq!(app.status().state, "stopped");
    app.wait_until_gone();
}

#[test]
fn stop_ends_a_wait_for_a_restart() {
    let home = Home::new();
    let app = home.app("web");
    let times = starts(app, "exit 1");
    app.conf("process.restart = 'always'\nprocess.restart_delay = '1h'\nprocess.restart_delay_max = '1h'");
    home.ctl(["start", "web"]).ok();
    let status = app.wait_for_state("backoff");
    assert!(status.retry_in.is_some_and(|time| (3200.0..=3960.0).contains(&time)), "{status:#?}");
    home.ctl(["status", "web"]).exits(3).says("backoff");
    // Start does not wait for it, stop ends it.
    home.ctl(["start", "web"]).ok();
    wait_until("it has been started again", SOON, || match times().len() {
        2 => Ok(()),
        seen => Err(format!("{seen} starts")),
    });
    app.wait_for_state("backoff");
    home.ctl(["stop", "web"]).ok().says("stopped web (it was waiting to be started again)");
    assert_eq!(app.status().state, "stopped");
    home.wait_until_unsupervised();
}

#[test]
fn a_kill_is_a_crash_and_is_healed() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").conf("process.restart = 'on-failure'\nprocess.restart_delay = '50ms'");
    home.ctl(["start", "web"]).ok();
    let before = app.status().main_pid();
    home.ctl(["kill", "web", "KILL"]).ok();
    let after = app.wait_for("healed", |status| status.pid.is_some_and(|pid| pid != before));
    assert_eq!((after.restarts, after.attempts), (1, 1));
    assert_eq!(after.last_exit.unwrap().signal.as_deref(), Some("SIGKILL"));
}

#[test]
fn time_limits_stop_the_app_and_count_as_failure() {
    let home = Home::new();
    let once = home.app("once").behaves("sleep").conf("limits.timeout = '300ms'");
    once.script("on-stop", r#"echo "$DAEMONCTL_REASON" > "$APPDEPLOY_APP_PATH/reason""#);
    let again = home.app("again").behaves("sleep");
    again.conf("limits.timeout = '300ms'\nprocess.restart = 'on-failure'\nprocess.restart_delay = '20ms'");
    home.ctl(["start", "once", "again"]).ok();
    let status = once.wait_for("over", |status| status.pid.is_none());
    let exit = status.last_exit.expect("a last exit");
    assert_eq!((exit.reason.as_str(), exit.signal.as_deref()), ("timeout", Some("SIGTERM")));
    assert!((0.3..2.0).contains(&exit.after), "{exit:?}");
    once.wait_for_text("reason", "timeout\n");
    again.wait_for("restarted", |status| status.restarts >= 1);
}

#[test]
fn restart_takes_the_configuration_as_it_is_now() {
    let home = Home::new();
    let app = home.app("web").run_script("echo colour $COLOUR; exec sleep 1000");
    app.conf("process.environment = { COLOUR = 'red' }");
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("colour red");
    app.conf("process.environment = { COLOUR = 'blue' }");
    home.ctl(["restart", "web"]).ok();
    app.wait_for_output("colour blue");
    // A mistake in it leaves the running app alone.
    let before = app.status().main_pid();
    app.conf("process.environment = 7");
    home.ctl(["restart", "web"]).exits(2).explains("process.environment");
    assert_eq!(app.status().main_pid(), before);
}

#[test]
fn what_start_was_told_is_kept_for_restarts() {
    let home = Home::new();
    let app = home.app("web").run_script("echo colour $COLOUR from $CALLER; exec sleep 1000");
    let mut start = home.command(["start", "--env", "COLOUR=green", "--config-override", "process.restart=always"]);
    start.args(["--config-override", "process.restart_delay=20ms", "web"]).env("CALLER", "me");
    home.finish(start).ok();
    app.wait_for_output("colour green from me\n");
    home.ctl(["kill", "web", "KILL"]).ok();
    app.wait_for_output("colour green from me\ncolour green from me\n");
}

#[test]
fn a_restart_is_not_early_when_the_app_dies_while_it_is_stopped() {
    let home = Home::new();
    let app =
        home.app("web").behaves("slow-term 300 1").conf("process.restart = 'always'\nprocess.restart_delay = '10ms'");
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("ready");
    home.ctl(["stop", "web"]).ok();
    crate::support::always("stopped", Duration::from_millis(500), || match app.status() {
        status if status.state == "stopped" => Ok(()),
        status => Err(format!("{status:#?}")),
    });
    app.wait_until_gone();
}
