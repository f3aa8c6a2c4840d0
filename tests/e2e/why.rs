//! Why an app is as it is: each cause is named, with what it said and what to do.

use serde_json::Value;

use crate::support::{AppDir, Home, Output, groups, is_root, testapp};

fn why(home: &Home) -> Output {
    home.ctl(["why", "web"]).ok()
}

fn json(home: &Home) -> Value {
    let told = home.ctl(["why", "--json", "web"]).ok();
    serde_json::from_str(&told.stdout).unwrap_or_else(|_| panic!("{told}"))
}

/// An app that is started and ends by itself.
fn ended<'home>(home: &'home Home, script: &str, state: &str) -> AppDir<'home> {
    let app = home.app("web").run_script(script);
    home.ctl(["start", "web"]);
    app.wait_for_state(state);
    app
}

#[test]
fn an_app_that_never_ran_has_nothing_to_tell_but_how_to_start_it() {
    let home = Home::new();
    home.app("web").behaves("sleep");
    why(&home).says("web was never started").says("daemonctl start web");
    home.ctl(["why", "wbe"]).exits(4);
}

#[test]
fn a_code_is_told_with_the_last_lines_of_exactly_that_run() {
    let home = Home::new();
    let app = ended(&home, "echo of the first run; exit 0", "exited");
    app.run_script("for n in $(seq 12); do echo line $n.; done; echo 'bind: Address already in use' >&2; exit 3");
    home.ctl(["start", "web"]);
    app.wait_for("ended with 3", |status| {
        status.state == "exited" && status.last_exit.as_ref().is_some_and(|exit| exit.code == Some(3))
    });
    let told = why(&home).says("exited 3 after").says("err | bind: Address already in use").says("out | line 12.");
    let told = told.says("hint: another process has its port").never_says("of the first run");
    assert_eq!(told.stdout.lines().filter(|line| line.contains(" | ")).count(), 10, "{told}");
    assert!(home.supervisors().is_empty() || told.code() == 0);
}

#[test]
fn the_words_of_a_shell_and_signals_are_explained() {
    for (script, says, hint) in [
        ("nosuchcommand", "exited 127", "a command is not found"),
        ("touch plain; ./plain", "exited 126", "cannot be executed"),
        ("kill -SEGV $$", "killed by SIGSEGV", "it crashed"),
        ("kill -KILL $$", "killed by SIGKILL", "came from outside"),
    ] {
        let home = Home::new();
        ended(&home, script, "exited");
        why(&home).says(says).says(hint);
    }
}

#[test]
fn want_of_memory_is_named_with_its_limit() {
    if !is_root("control groups") || groups::version_1("memory").is_none() {
        return;
    }
    let home = Home::new();
    home.app("web").conf("limits.memory_limit = '64M'");
    ended(&home, &format!("exec {} hog 128", testapp().display()), "exited");
    why(&home).says("out of memory (limit 64M)").says("a greater limits.memory_limit");
    assert_eq!(json(&home)["runs"][0]["out_of_memory"], true);
}

#[test]
fn an_unhealthy_app_is_told_with_what_its_check_said() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").script("check", "echo no database; echo at db:5432; exit 1");
    app.conf("process.restart_delay = '1h'\n[monitoring]\nenabled = true\ncheck_interval = '50ms'\nfailure_threshold = 2\nstartup_delay = 0");
    home.ctl(["start", "web"]).ok();
    app.wait_for_state("backoff");
    why(&home).says("stopped because it was unhealthy").says("exited 1: no database").says("at db:5432");
    let told = json(&home);
    assert!(told["next"]["in_seconds"].as_f64().is_some_and(|left| left > 60.0), "{told:#}");
    assert!(told["next"]["text"].as_str().unwrap().contains("restart 1 of 3"), "{told:#}");
}

#[test]
fn a_time_limit_and_giving_up_are_told() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    app.conf("limits.timeout = '100ms'\nprocess.restart = true\nprocess.restart_delay = '10ms'\nprocess.restart_max_attempts = 1");
    home.ctl(["start", "web"]).ok();
    app.wait_for_state("failed");
    let told = why(&home).says("web has failed: given up after 1 restart").says("stopped at its time limit");
    told.says("2 times in a row").says("nothing by itself; daemonctl start web");
}

#[test]
fn who_stopped_and_who_killed_it_is_told() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    home.ctl(["start", "web"]).ok();
    home.ctl(["stop", "web"]).ok();
    let uid = nix::unistd::geteuid().as_raw();
    why(&home).says("web is stopped since").says(": stop asked by ").says(&format!("(uid {uid}, pid "));
    home.ctl(["start", "web"]).ok();
    home.ctl(["kill", "--wait", "web", "KILL"]).ok();
    app.wait_for_state("exited");
    why(&home).says("killed by SIGKILL").says("kill asked by ").never_says("came from outside");
}

#[test]
fn a_stop_that_had_to_kill_is_not_hidden() {
    let home = Home::new();
    let app = home.app("web").behaves("ignore-term");
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("ready");
    home.ctl(["stop", "--timeout", "100ms", "web"]).ok();
    why(&home).says(", as it did not end in time on SIGTERM").says("hint: process.stop_timeout");
}

#[test]
fn a_check_that_fails_is_told_while_the_app_runs() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").script("check", "echo db gone; exit 1");
    app.conf("[monitoring]\nenabled = true\ncheck_interval = '50ms'\nfailure_threshold = 10000\nstartup_delay = 0");
    home.ctl(["start", "web"]).ok();
    app.wait_for("a check failed", |status| status.note.as_ref().is_some_and(|note| note.contains("db gone")));
    why(&home).says("its health check fails: exited 1: db gone").says(" more failures of its health check");
}

#[test]
fn what_would_be_refused_is_not_promised() {
    let home = Home::new();
    let app = home.app("web").run_script("exit 1").conf("[proces]");
    let refused = "a start would be refused as things are now";
    why(&home).says("web was never started").says("unknown section [proces]").says(refused);
    app.conf("[process]\nrestart = 'always'\nrestart_delay = '1h'\nrestart_delay_max = '1h'");
    home.ctl(["start", "web"]).ok();
    app.wait_for_state("backoff");
    app.conf("[proces]");
    why(&home).says("(restart 1 of 3), which will be refused as things are now");
    home.ctl(["stop", "web"]).ok();
    std::fs::remove_dir_all(app.path("")).unwrap();
    why(&home).says("a start would be refused now: no app \"web\"").says(refused).never_says("starts it");
}

#[test]
fn what_start_said_to_do_is_said_again() {
    let home = Home::new();
    let app = home.app("web").run_script("exit 3");
    home.ctl(["start", "web"]);
    app.wait_for_state("exited");
    why(&home).says("hint: process.restart is \"no\": with daemonctl config set web process.restart=on-failure");
    std::fs::write(app.path("run"), "#!/bin/sh\r\nexit 0\r\n").unwrap();
    let refused = home.ctl(["start", "web"]).exits(1);
    let hint = refused.stderr.lines().find(|line| line.contains("hint: ")).unwrap_or_else(|| panic!("{refused}"));
    why(&home).says(hint.trim());
    app.run_script("exit 0").conf("process.colour = 'red'");
    home.ctl(["start", "web"]).exits(2).explains("hint: the keys of [process] are ");
    why(&home).says("unknown key \"colour\"").says("daemonctl config check web").never_says("the keys of");
}

#[test]
fn what_has_changed_since_it_ran_well_is_told_without_secrets() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    app.conf("limits.file_limit = 64\nprocess.environment = { TOKEN = 'hunter2', KEPT = 'swordfish' }");
    home.ctl(["start", "web"]).ok();
    home.ctl(["stop", "web"]).ok();
    why(&home).says("Changed since it last ran well").says("nothing");
    app.conf("limits.file_limit = 32\nprocess.environment = { TOKEN = 'hunter3', KEPT = 'swordfish', NEW = 'tuna' }");
    app.run_script("exit 5");
    home.ctl(["start", "web"]);
    app.wait_for_state("exited");
    let told =
        why(&home).says("limits.file_limit: 64 → 32").says("run script: changed").says("variable TOKEN: changed");
    let told = told.says("variable NEW: new").says("conf.toml was written").never_says("KEPT");
    for secret in ["hunter", "swordfish", "tuna"] {
        assert!(!told.stdout.contains(secret) && !app.read("logs/.web.good").contains(secret), "{told}");
        assert!(!app.events().contains(secret), "{}", app.events());
        home.ctl(["why", "--json", "web"]).ok().never_says(secret);
    }
    assert_eq!(json(&home)["changes"]["since"], "good");
}

#[test]
fn a_change_that_waits_for_a_restart_is_told_of_an_app_that_runs() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    home.ctl(["start", "web"]).ok();
    why(&home).says("web is running since").never_says("Changed");
    app.conf("limits.file_limit = 32");
    why(&home).says("Changed since it was started").says("limits.file_limit: (not set) → 32");
}

#[test]
fn a_configuration_that_would_be_refused_is_told() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    home.ctl(["start", "web"]).ok();
    home.ctl(["stop", "web"]).ok();
    app.conf("limits.file_limit = 'many'");
    home.ctl(["start", "web"]).exits(2);
    why(&home).says("a start would be refused now").says("conf.toml:1").says("not started:");
    home.app("new").behaves("sleep").conf("limits.file_limit = 'many'");
    home.ctl(["start", "new"]).exits(2);
    home.ctl(["why", "new"]).ok().says("Its configuration as it is now\n  a start would be refused now");
}
