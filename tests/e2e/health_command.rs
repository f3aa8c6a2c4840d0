//! `daemonctl health`: the answer is the exit code.

use serde_json::Value;

use crate::support::Home;

#[test]
fn a_monitored_app_is_told_as_its_checks_have_found_it() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").script("check", "echo no database; test -e healthy");
    app.conf("[monitoring]\nenabled = true\ncheck_interval = '50ms'\nfailure_threshold = 1\nstartup_delay = '60s'");
    home.ctl(["start", "web"]).ok();
    home.ctl(["health", "web"]).exits(1).says("web is not healthy: starting");
    app.file("healthy", "");
    app.wait_for("healthy", |status| status.health == "healthy");
    let quiet = home.ctl(["-q", "health", "web"]).ok();
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    home.ctl(["health", "web"]).ok().says("web is healthy");
}

#[test]
fn the_check_of_an_app_that_is_not_monitored_is_run_now_where_the_app_is_and_restarts_nothing() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").conf("process.environment = { WHERE = 'inside' }");
    app.script("check", "echo checked $WHERE; n=$(cat n 2>/dev/null || echo 0); echo $((n + 1)) > n; test -e healthy");
    home.ctl(["start", "web"]).ok();
    let pid = app.status().main_pid();
    let failed = home.ctl(["health", "web"]).exits(1);
    assert_eq!(failed.stdout, "web is not healthy: its health check failed\n  exited 1: checked inside\n");
    app.file("healthy", "");
    home.ctl(["health", "web"]).ok();
    assert_eq!(app.read("n"), "2\n", "each question is one check");
    let told = home.ctl(["health", "--json", "web"]).ok();
    let object: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!((&object["healthy"], &object["basis"]), (&Value::Bool(true), &Value::from("checked")), "{told}");
    assert_eq!(app.status().main_pid(), pid);
}

#[test]
fn a_check_that_hangs_is_killed_at_its_time_limit() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").script("check", "echo waiting; exec sleep 1000");
    app.conf("monitoring.check_timeout = '200ms'");
    home.ctl(["start", "web"]).ok();
    home.ctl(["health", "web"]).exits(1).says("timed out after 200ms: waiting");
    home.wait_until_none_runs("sleep 1000");
}

#[test]
fn without_a_check_what_runs_is_healthy_and_what_does_not_is_not() {
    let home = Home::new();
    home.app("web").behaves("sleep");
    home.ctl(["health", "web"]).exits(1).says("it is not running: it was never started");
    home.ctl(["start", "web"]).ok();
    home.ctl(["health", "web"]).ok().says("it is running, and has no health check");
    home.ctl(["stop", "web"]).ok();
    home.ctl(["health", "web"]).exits(1).says("it is not running: stopped");
    home.ctl(["health", "wbe"]).exits(4).says("web");
}

#[test]
fn who_asks_at_the_same_time_waits_for_the_check_before() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").script("check", "echo begin >> checks; sleep 0.1; echo end >> checks");
    home.ctl(["start", "web"]).ok();
    let asking: Vec<_> = (0..3).map(|_| home.spawn(["health", "web"])).collect();
    asking.into_iter().for_each(|one| drop(one.wait().ok()));
    // One after the other; those that waited for the same one share the next.
    let checks = app.read("checks");
    assert!([2, 3].iter().any(|number| checks == "begin\nend\n".repeat(*number)), "{checks}");
}
