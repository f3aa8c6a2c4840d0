//! What a person sees who asks how things are: why, what next, and what is not any more as it was.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Home, SOON, kill, on_terminal, wait_until};

/// The JSON of one app, as it is.
#[track_caller]
fn told(home: &Home, app: &str) -> Value {
    let output = home.ctl(["status", "--json", app]);
    let mut report: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{output}"));
    report["apps"][0].take()
}

/// Waits until `status APP` says this.
#[track_caller]
fn wait_for_note(home: &Home, app: &str, text: &str) -> String {
    wait_until(&format!("status {app} says {text:?}"), SOON, || match home.ctl(["status", app]).stdout {
        said if said.contains(text) => Ok(said),
        said => Err(said),
    })
}

#[test]
fn a_crash_says_how_and_what_comes_next() {
    let home = Home::new();
    let app = home.app("web").run_script("exit 3");
    app.conf("[process]\nrestart = 'on-failure'\nrestart_delay = '30s'");
    home.ctl(["start", "web"]).ok();
    app.wait_for_state("backoff");
    home.ctl(["status", "web"]).exits(3).says("exit 3 after ").says(", retry 1/3 in ");
    let status = told(&home, "web");
    assert_eq!((status["attempts_max"].as_u64(), status["gave_up"].as_bool()), (Some(3), Some(false)), "{status:#}");
    assert!(status["state_since"].as_f64() >= status["last_exit"]["at"].as_f64(), "{status:#}");

    home.ctl(["stop", "web"]).ok();
    let impatient = ["process.restart_delay=10ms", "process.restart_max_attempts=1"];
    let overrides = impatient.iter().flat_map(|setting| ["--config-override", setting]);
    home.ctl(["start"].into_iter().chain(overrides).chain(["web"])).ok();
    app.wait_for_state("failed");
    home.ctl(["status", "web"]).exits(3).says("gave up after 1 restart: exit 3 after ");
    assert_eq!(told(&home, "web")["gave_up"], true);
}

#[test]
fn an_app_that_does_not_want_to_stop_is_told_when_it_will() {
    let home = Home::new();
    let app = home.app("web").behaves("ignore-term");
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("ready");
    home.ctl(["stop", "--no-wait", "--timeout", "600", "web"]).ok();
    home.ctl(["status", "web"]).exits(3).says("stopping for ").says(", SIGKILL in 9m");
    home.ctl(["stop", "--force", "web"]).ok();
    home.ctl(["status", "web"]).exits(3).says("SIGKILL after ").says(" ago");
}

#[test]
fn a_changed_configuration_is_noticed_and_one_that_says_the_same_is_not() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").conf("process.priority = 1").file("env.sh", "A=1\n");
    home.ctl(["start", "web"]).ok();
    let nothing = serde_json::json!([]);
    assert_eq!(told(&home, "web")["changed"], nothing);
    app.conf("process.priority = 1");
    assert_eq!(told(&home, "web")["changed"], nothing, "it says what it said");
    app.conf("process.priority = 2");
    home.ctl(["status", "web"]).ok().says("config changed since start");
    let conf = app.path("conf.toml").to_string_lossy().into_owned();
    assert_eq!(told(&home, "web")["changed"], serde_json::json!([conf]));
    home.ctl(["status", "-l", "web"]).ok().says(&conf);

    // Whoever takes the app over knows it as well.
    let (supervisor, keeper) = home.pair("web");
    kill(keeper.pid, Signal::SIGKILL);
    kill(supervisor.pid, Signal::SIGKILL);
    wait_for_note(&home, "web", "config changed since start");

    home.ctl(["restart", "web"]).ok().never_says("cannot");
    home.ctl(["status", "web"]).ok().never_says("changed");
    app.file("env.sh", "A=2\n");
    home.ctl(["status", "web"]).ok().says("env.sh changed since start").never_says("config");
    fs::write(home.root().join("conf.toml"), "[process]\npriority = 3\n").unwrap();
    home.ctl(["status", "web"]).ok().says("config changed since start");
    home.ctl(["stop", "web"]).ok();
    home.ctl(["status", "web"]).exits(3).never_says("changed");
}

#[test]
fn a_configuration_that_was_broken_under_a_running_app_is_told() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").conf("process.priority = 1");
    home.ctl(["start", "--config-override", "process.priority=2", "web"]).ok();
    app.conf("process.priority = 'high'");
    home.ctl(["status", "web"]).ok().says("config is broken now, see daemonctl config check web").never_says("changed");
    assert_eq!(told(&home, "web")["mistakes"].as_array().map(Vec::len), Some(1));
    home.ctl(["status", "-l", "web"]).ok().says("conf.toml:1:20: process.priority: ");
    app.conf("process.priority = 3");
    home.ctl(["status", "web"]).ok().says("config changed since start").never_says("broken");
}

#[test]
fn a_run_link_that_has_moved_is_told_with_both_ends() {
    let home = Home::new();
    let app = home.app("web").script("dist/v1/run", "exec sleep 1000").script("dist/v2/run", "exec sleep 1000");
    symlink("dist/v1", app.path("run")).unwrap();
    home.ctl(["start", "web"]).ok();
    assert!(told(&home, "web")["run_moved_to"].is_null());
    let turn = |to: &str| {
        fs::remove_file(app.path("run")).unwrap();
        symlink(to, app.path("run")).unwrap();
    };
    turn("dist/v2");
    home.ctl(["status", "web"]).ok().says("run link moved since start (v1 → v2)");
    turn("dist/v3");
    home.ctl(["status", "web"]).ok().says("run link moved since start (v1 → nowhere)");
    home.ctl(["stop", "web"]).ok();
    home.ctl(["status", "web"]).exits(3).says("run is a link to dist/v3, which is not there");
}

#[test]
fn failing_checks_are_counted_against_what_is_allowed() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").script("check", "echo connection refused; test -e healthy");
    app.conf("[monitoring]\nenabled = true\ncheck_interval = '100ms'\nfailure_threshold = 10000");
    fs::write(app.path("healthy"), "").unwrap();
    home.ctl(["start", "--wait", "web"]).ok();
    let status = told(&home, "web");
    assert_eq!((&status["check"]["failures"], &status["check"]["last"]["success"]), (&0.into(), &true.into()));
    assert!(status["check"]["next_in"].as_f64().is_some_and(|left| left <= 0.1), "{status:#}");
    fs::remove_file(app.path("healthy")).unwrap();
    let said = wait_for_note(&home, "web", "/10000: exited 1: connection refused");
    assert!(said.contains("check failed ") && !said.contains("unhealthy"), "{said}");
    let health = home.ctl(["status", "--health", "web"]).ok();
    health.says("/10000 failures in a row").says("failed ").says("every 100ms").says("connection refused");
    let again = told(&home, "web");
    assert!(again["check"]["failures"].as_u64() > Some(0) && again["health"] == "healthy", "{again:#}");
    home.ctl(["stop", "web"]).ok();
    home.ctl(["status", "--health", "web"]).exits(3).says("not checked while it is not running");
}

#[test]
fn a_check_that_is_not_monitored_is_known_and_says_nothing() {
    let home = Home::new();
    home.app("web").behaves("sleep").script("check", "exit 1");
    home.app("db").behaves("sleep");
    home.ctl(["start", "web", "db"]).ok();
    home.ctl(["status", "--health", "web"]).ok().says("not monitored; daemonctl health web checks once");
    home.ctl(["status", "--health", "db"]).ok().says("not checked: there is no check script");
    assert_eq!(told(&home, "web")["check"]["monitored"], false);
    assert!(told(&home, "db")["check"].is_null());
}

#[test]
fn every_directory_that_was_meant_to_be_an_app_is_shown() {
    let home = Home::new();
    home.app("good").behaves("sleep");
    home.app("typo").behaves("sleep").conf("process.restrat = true");
    home.app("typos").behaves("sleep").conf("process.restrat = true\nprocess.nice = 3");
    home.app("my app").behaves("sleep");
    for nothing in ["gone", "nothing", ".hidden"] {
        fs::create_dir(home.root().join(nothing)).unwrap();
    }
    symlink("dist/9", home.app("gone").path("run")).unwrap();

    let list = home.ctl(["list"]).ok();
    let names: Vec<&str> = list.grid().iter().skip(1).map(|row| row[0]).collect();
    assert_eq!(names, ["gone", "good", "typo", "typos"], "{list}");
    let list = list.explains("my app is left out").explains("typo: never started, conf.toml:1:9: ");
    list.explains("typos: never started, config: 2 mistakes, see daemonctl config check typos");

    let all = home.ctl(["status", "--all"]).ok().says("run is a link to dist/9, which is not there");
    all.says("conf.toml:1:9: unknown key \"restrat\"").says("config: 2 mistakes").explains("my app is left out");
    assert_eq!(told(&home, "typos")["mistakes"].as_array().map(Vec::len), Some(2));
    home.ctl(["status", "-l", "typos"]).exits(3).says("\"restrat\"").says("\"nice\"");
    assert_eq!(told(&home, "good")["mistakes"], serde_json::json!([]));
}

#[test]
fn one_app_on_a_terminal_is_told_of_at_length() {
    let home = Home::new();
    let app = home.app("web").run_script("echo hello; echo trouble >&2; sleep 1000");
    app.conf("daemon.description = 'The shop'\nsandbox.seccomp = true\nlimits.file_limit = 100");
    home.ctl(["start", "web"]).ok();
    app.wait_for_text("logs/web.err", "trouble");
    app.wait_for_output("hello");
    // A shell's child bears the name of the shell until it is what it is to be.
    let seen = wait_until("all of it is there", SOON, || {
        let seen = on_terminal(home.command(["--no-color", "status", "web"]), 100, 40);
        if seen.contains("─ sleep") { Ok(seen) } else { Err(seen) }
    });
    let pid = app.status().main_pid();
    let main = format!("main        {pid} /bin/sh ");
    for text in [
        "● web: running — The shop\n",
        "since       20",
        "in force    user ",
        "system call filter",
        "no new privileges",
        &main,
        "└─ sleep 1000",
        "out | hello\n",
        "err | trouble\n",
    ] {
        assert!(seen.contains(text), "{text:?}\n{seen}");
    }
    // In a pipe it is a line, in columns that do not depend on who looks.
    let line = home.ctl(["status", "web"]).ok();
    assert_eq!(line.grid()[0], ["#", "NAME", "STATUS", "PID", "UPTIME", "HEALTH", "NOTE"], "{line}");
    assert_eq!(
        (line.grid().len(), line.grid()[1][..3].to_vec()),
        (2, vec!["web", "running", &pid.to_string()]),
        "{line}"
    );
    home.ctl(["status", "--long", "web"]).ok().says("● web: running — The shop\n").says("out | hello\n");
}

#[test]
fn the_wrong_directory_is_named_by_whatever_finds_no_app_there() {
    let home = Home::new();
    let nothing = format!("no app below {}: ", home.root().display());
    for command in [&["status"][..], &["status", "-a"], &["list"], &["events"], &["start-all"], &["config", "check"]] {
        home.ctl(command).ok().explains(&nothing);
    }
    home.app("web").behaves("sleep");
    home.ctl(["status"]).ok().explains(&format!("no app has been started below {}; ", home.root().display()));
    home.ctl(["start-all", "-x", "web"]).ok().never_says("no app");
}

#[test]
fn what_a_terminal_has_no_room_for_is_named_and_a_pipe_has_all() {
    let home = Home::new();
    let empty = on_terminal(home.command(["status"]), 80, 24);
    assert!(empty.contains("no app below "), "{empty}");
    home.ctl(["list"]).ok().says("# NAME").explains("no app below ");
    for number in 0..30 {
        home.app(&format!("application-{number:02}")).behaves("sleep");
    }
    home.ctl(["start-all", "--parallel"]).ok();
    let plain = |args: &[&str]| -> Command { home.command(["--no-color"].iter().chain(args)) };
    for (args, columns) in [(&["list"][..], 80), (&["list", "-l"], 80), (&["list"], 200), (&["status"], 80)] {
        let seen = on_terminal(plain(args), columns, 24);
        let rows: Vec<&str> = seen.lines().filter(|line| line.starts_with("application-")).collect();
        assert_eq!(rows.len(), 30, "{args:?} at {columns}\n{seen}");
        assert!(rows.iter().all(|row| row.chars().count() <= usize::from(columns)), "{args:?} at {columns}\n{seen}");
        assert!(!seen.contains('\u{1b}'), "{seen}");
    }
    let narrow = on_terminal(plain(&["list", "-l"]), 80, 24);
    assert!(narrow.contains("no room for ") && narrow.contains("STDERR in 80 columns"), "{narrow}");
    let coloured = on_terminal(home.command(["list"]), 80, 24);
    assert!(coloured.contains("\u{1b}[32mrunning"), "{coloured}");
    assert!(
        !on_terminal(
            {
                let mut list = home.command(["list"]);
                list.env("NO_COLOR", "1");
                list
            },
            80,
            24
        )
        .contains('\u{1b}')
    );
    let piped = home.ctl(["list", "-l"]).ok().never_says("no room").never_says("…");
    let log = home.app("application-07").path("logs/application-07.log");
    piped.says(&log.to_string_lossy());
}
