//! Health checks: what is ready, what is healthy, and what happens when it is not.

use std::fs;
use std::time::Duration;

use crate::support::{AppDir, Home, SOON, always, wait_until};

/// An app whose check succeeds while the file `healthy` is there.
fn checked<'home>(home: &'home Home, monitoring: &str) -> AppDir<'home> {
    let app = home.app("web").behaves("sleep").script("check", "echo checked; test -e healthy");
    app.conf(&format!("[monitoring]\n{monitoring}"))
}

fn set_healthy(app: &AppDir<'_>, healthy: bool) {
    let path = app.path("healthy");
    if healthy { fs::write(path, "") } else { fs::remove_file(path) }.unwrap();
}

#[test]
fn an_unhealthy_app_is_restarted_whatever_the_policy_says() {
    let home = Home::new();
    let app = checked(&home, "enabled = true\ncheck_interval = '100ms'\nfailure_threshold = 2\nstartup_delay = '30s'");
    app.script("on-stop", r#"echo "$DAEMONCTL_REASON" >> "$APPDEPLOY_APP_PATH/reasons""#);
    set_healthy(&app, true);
    home.ctl(["start", "--wait", "--config-override", "process.restart_delay=50ms", "web"]).ok();
    let before = app.status();
    assert_eq!((before.health.as_str(), before.ready), ("healthy", true));
    set_healthy(&app, false);
    let after = app.wait_for("restarted", |status| status.pid.is_some_and(|pid| Some(pid) != before.pid));
    let exit = after.last_exit.as_ref().expect("a last exit");
    assert_eq!((exit.reason.as_str(), after.health.as_str(), after.ready), ("unhealthy", "starting", false));
    assert_eq!(app.wait_for_text("reasons", "\n"), "unhealthy\n");
    set_healthy(&app, true);
    app.wait_for("healthy again", |status| status.health == "healthy");
}

#[test]
fn one_failure_among_successes_is_forgiven() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    app.script("check", "n=$(cat n 2>/dev/null || echo 0); echo $((n + 1)) > n; test $((n % 2)) = 0");
    app.conf("[monitoring]\nenabled = true\ncheck_interval = '50ms'\nfailure_threshold = 2\nstartup_delay = 0");
    home.ctl(["start", "web"]).ok();
    let pid = app.status().main_pid();
    wait_until("twenty checks have been made", SOON, || match app.read("n").trim().parse() {
        Ok(20..) => Ok(()),
        seen => Err(format!("{seen:?}")),
    });
    let status = app.status();
    assert_eq!((status.main_pid(), status.restarts), (pid, 0));
}

#[test]
fn an_app_that_is_up_after_two_seconds_is_ready_after_two_seconds() {
    let home = Home::new();
    let app = home.app("web").run_script("sleep 2; touch healthy; exec sleep 1000").script("check", "test -e healthy");
    app.script("on-start", "echo up >> $APPDEPLOY_APP_PATH/started");
    app.conf("[monitoring]\nenabled = true\ncheck_interval = '30s'\nfailure_threshold = 1\nstartup_delay = '60s'");
    let background = home.spawn(["start", "--wait", "web"]);
    let status = app.wait_for_state("running");
    assert_eq!((status.health.as_str(), status.ready), ("starting", false));
    assert_eq!(app.read("started"), "", "on-start runs when the app is ready");
    let started = background.wait().ok();
    let took = started.took.as_secs_f64();
    assert!((1.9..4.5).contains(&took), "{started}");
    let status = app.status();
    assert_eq!((status.health.as_str(), status.ready, status.restarts), ("healthy", true, 0));
    assert_eq!(app.wait_for_text("started", "up"), "up\n");
}

#[test]
fn an_app_that_never_comes_up_is_restarted_after_the_startup_delay() {
    let home = Home::new();
    let app =
        checked(&home, "enabled = true\ncheck_interval = '100ms'\nfailure_threshold = 2\nstartup_delay = '1500ms'");
    home.ctl(["start", "--config-override", "process.restart_delay=50ms", "web"]).ok();
    let status = app.wait_for("restarted", |status| status.restarts == 1);
    let exit = status.last_exit.expect("a last exit");
    assert_eq!(exit.reason, "unhealthy");
    assert!((1.5..5.0).contains(&exit.after), "{exit:?}");
}

#[test]
fn waiting_works_without_monitoring_and_restarts_nothing() {
    let home = Home::new();
    let app = checked(&home, "check_interval = '100ms'");
    let waiting = home.spawn(["start", "--wait", "web"]);
    app.wait_for_state("running");
    always("waiting", Duration::from_millis(300), || match app.status() {
        status if !status.ready || status.state != "running" => Ok(()),
        status => Err(format!("{status:#?}")),
    });
    set_healthy(&app, true);
    waiting.wait().ok();
    let status = app.status();
    assert_eq!((status.state.as_str(), status.health.as_str()), ("running", "disabled"));
    set_healthy(&app, false);
    always("left alone", Duration::from_secs(1), || match app.status() {
        now if now.pid == status.pid && now.restarts == 0 => Ok(()),
        now => Err(format!("{now:#?}")),
    });
}

#[test]
fn a_wait_that_is_not_met_names_the_check_and_leaves_the_app() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").script("check", "echo the database is missing; exit 1");
    app.conf("monitoring.enabled = true");
    let output = home.ctl(["start", "--wait", "--start-timeout", "1", "web"]).exits(124).explains("web");
    output.explains("the database is missing");
    assert_eq!(app.status().state, "running");
}

#[test]
fn a_check_that_hangs_fails_and_leaves_nothing() {
    let home = Home::new();
    let app =
        home.app("web").behaves("sleep").script("check", "trap '' TERM; sleep 1001 & echo begun >> checks; sleep 1002");
    app.conf(
        "process.restart_delay = '50ms'
         [monitoring]\nenabled = true\ncheck_interval = '100ms'\ncheck_timeout = '200ms'\nfailure_threshold = 2\nstartup_delay = 0",
    );
    home.ctl(["start", "web"]).ok();
    let status = app.wait_for("restarted", |status| status.restarts >= 1);
    assert_eq!(status.last_exit.unwrap().reason, "unhealthy");
    home.ctl(["stop", "web"]).ok();
    app.wait_until_gone();
}

#[test]
fn checks_never_overlap() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    app.script("check", "echo begin >> checks; sleep 0.2; echo end >> checks");
    app.conf("[monitoring]\nenabled = true\ncheck_interval = '50ms'\nstartup_delay = 0");
    home.ctl(["start", "web"]).ok();
    wait_until("some checks have been made", SOON, || match app.read("checks").lines().count() {
        8.. => Ok(()),
        seen => Err(format!("{seen} lines")),
    });
    home.ctl(["stop", "web"]).ok();
    let checks = app.read("checks");
    let lines: Vec<_> = checks.lines().collect();
    assert!(lines.chunks(2).all(|pair| pair == ["begin", "end"] || pair == ["begin"]), "{lines:?}");
}

#[test]
fn a_check_command_serves_as_well_as_a_script() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    app.conf("[monitoring]\nenabled = true\ncheck_command = 'test -e healthy && test \"$APPDEPLOY_APP_NAME\" = web'\ncheck_interval = '50ms'");
    let waiting = home.spawn(["start", "--wait", "web"]);
    app.wait_for_state("running");
    set_healthy(&app, true);
    waiting.wait().ok();
    assert_eq!(app.status().health, "healthy");
}

#[test]
fn a_start_that_is_waited_for_says_what_the_check_said() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").script("check", "echo nope; exit 1");
    app.conf("[monitoring]\nenabled = true\ncheck_interval = '50ms'\nfailure_threshold = 2\nstartup_delay = 0");
    let told = home.ctl(["start", "--wait", "web"]).exits(1);
    told.explains("cannot start web: it became unhealthy: exited 1: nope; it is started again")
        .explains("hint: daemonctl why web tells more");
    home.ctl(["stop", "web"]).ok();
    app.script("check", "kill -KILL $$");
    home.ctl(["start", "--wait", "web"]).exits(1).explains("it became unhealthy: the check was killed by SIGKILL");
    home.ctl(["stop", "web"]).ok();
    let app = home.app("other").run_script("kill -SEGV $$");
    app.conf("process.restart = 'no'");
    home.ctl(["start", "--wait", "other"]).exits(1).explains("cannot start other: it was killed by SIGSEGV after");
}
