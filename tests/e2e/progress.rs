//! What is seen of a wait: one line on a terminal that goes away again, plain lines elsewhere.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{Home, SOON, Shows, kill, wait_until};

/// What takes the line away.
const CLEAR: &str = "\r\x1b[K";

/// Whether everything that was drawn was taken away before the next thing was printed: what a terminal shows in the end.
#[track_caller]
fn left_on_screen(seen: &str) -> String {
    let mut lines = vec![String::new()];
    let mut rest = seen;
    while let Some(sign) = rest.chars().next() {
        let line = lines.last_mut().expect("a line");
        if let Some(after) = rest.strip_prefix("\x1b[K") {
            rest = after;
            continue;
        }
        match (sign, rest.strip_prefix(CLEAR)) {
            (_, Some(after)) => {
                line.clear();
                rest = after;
                continue;
            }
            ('\r', _) => line.clear(),
            ('\n', _) => lines.push(String::new()),
            (sign, _) => line.push(sign),
        }
        rest = &rest[sign.len_utf8()..];
    }
    lines.join("\n")
}

#[test]
fn a_stop_tells_when_sigkill_follows_and_leaves_only_its_result() {
    let home = Home::new();
    let web = home.app("web").behaves("ignore-term");
    home.ctl(["start", "web"]).ok();
    wait_until("it ignores signals", SOON, || if web.log().contains("ready") { Ok(()) } else { Err(web.log()) });
    let stop = home.on_terminal(&["stop", "-t", "60", "web"]);
    let seen = stop.wait_for("of 60 s, then SIGKILL");
    assert!(seen.contains("stopping web: "), "{seen:?}");
    kill(web.status().main_pid(), Signal::SIGKILL);
    let (code, seen) = stop.wait();
    assert_eq!(code, 0, "{seen:?}");
    let left = left_on_screen(&seen);
    assert!(left.starts_with("stopped web (killed by SIGKILL after "), "{seen:?}");
    assert_eq!(left.lines().count(), 1, "{left:?}");
}

#[test]
fn a_start_tells_what_the_last_check_said_without_colour_too() {
    let home = Home::new();
    let web = home.app("web").behaves("sleep");
    let go = web.path("go");
    web.script("check", &format!("test -e {} || {{ echo refused by the one that listens there; exit 1; }}", go.display()))
        .conf("monitoring.enabled = true\nmonitoring.check_interval = '100ms'\nmonitoring.startup_delay = '50s'\nprocess.start_timeout = '50s'");
    let start = home.on_terminal(&["--no-color", "start", "--wait", "web"]);
    let seen = start.wait_for(" of 50 s, last check: exited 1: refused");
    assert!(seen.contains("\rwaiting for web to be ready: "), "{seen:?}");
    let drawn = seen.split(['\r', '\x1b']).map(|line| line.chars().count()).max();
    assert!(drawn <= Some(79), "a line of {drawn:?} would wrap: {seen:?}");
    web.file("go", "");
    let (code, seen) = start.wait();
    assert_eq!(code, 0, "{seen:?}");
    let left = left_on_screen(&seen);
    assert!(left.starts_with("started web (pid ") && left.lines().count() == 1, "{left:?}");
}

#[test]
fn ctrl_c_leaves_the_terminal_clean_and_tells_what_goes_on() {
    let home = Home::new();
    let web = home.app("web").behaves("ignore-term");
    home.ctl(["start", "web"]).ok();
    wait_until("it ignores signals", SOON, || if web.log().contains("ready") { Ok(()) } else { Err(web.log()) });
    let mut stop = home.on_terminal(&["stop", "-t", "60", "web"]);
    stop.wait_for("stopping web: ");
    stop.ctrl_c();
    let (_, seen) = stop.wait();
    let left = left_on_screen(&seen);
    assert_eq!(left, "daemonctl: web goes on stopping; daemonctl status web shows how far it is\n", "{seen:?}");
    assert_eq!(web.status().state, "stopping");
    home.ctl(["stop", "--force", "web"]).ok();
}

#[test]
fn stop_all_counts_and_names_the_one_it_waits_for() {
    let home = Home::new();
    let slow = home.app("slow").behaves("ignore-term");
    home.app("a").behaves("sleep");
    home.ctl(["start", "a", "slow"]).ok();
    wait_until("it ignores signals", SOON, || if slow.log().contains("ready") { Ok(()) } else { Err(slow.log()) });
    let stop = home.on_terminal(&["stop-all", "-t", "60"]);
    stop.wait_for("stop-all: 1 of 2 stopped, waiting for slow (");
    kill(slow.status().main_pid(), Signal::SIGKILL);
    let (code, seen) = stop.wait();
    assert_eq!((code, left_on_screen(&seen).as_str()), (0, "stopped 2\n"), "{seen:?}");
}

#[test]
fn start_all_counts_what_runs_already_before_it_waits() {
    let home = Home::new();
    for name in ["a", "b", "c"] {
        home.app(name).behaves("sleep");
    }
    let slow = home.app("slow").behaves("sleep").script("check", "exit 1");
    slow.conf("monitoring.enabled = true\nmonitoring.startup_delay = '50s'\nprocess.start_timeout = '50s'");
    home.ctl(["start", "a", "c"]).ok();
    let mut start = home.on_terminal(&["start-all", "--wait", "--parallel"]);
    start.wait_for("start-all: 3 of 4 started, waiting for slow (");
    start.ctrl_c();
    let (_, seen) = start.wait();
    let left = left_on_screen(&seen);
    assert_eq!(left, "daemonctl: slow goes on starting; daemonctl status slow shows how far it is\n", "{seen:?}");
    home.ctl(["stop-all", "--force"]).ok();
}

#[test]
fn nothing_is_drawn_where_it_is_not_wanted() {
    let home = Home::new();
    let plain = [("TERM", "dumb")];
    let colours = [("TERM", "xterm")];
    let ways: [(&[&str], Shows, &[_]); 3] =
        [(&[], Shows::Both, &plain), (&["-q"], Shows::Both, &colours), (&[], Shows::Out, &colours)];
    for (options, shows, variables) in ways {
        let web = home.app("web").behaves("slow-term 1200 0");
        home.ctl(["start", "web"]).ok();
        wait_until("it is there", SOON, || if web.log().contains("ready") { Ok(()) } else { Err(web.log()) });
        let stop = home.on_terminal_with(&[options, &["stop", "web"]].concat(), shows, variables);
        if shows == Shows::Out {
            stop.wait_for("stopped web"); // All that could have been drawn in the pipe came before.
            assert_eq!(stop.piped(), "");
        }
        let (_, seen) = stop.wait();
        assert!(!seen.contains('\x1b') && !seen.contains("stopping web"), "{options:?} {shows:?}: {seen:?}");
        std::fs::remove_dir_all(web.dir()).expect("an app to remove");
    }
}

#[test]
fn a_pipe_gets_a_plain_line_every_ten_seconds() {
    let home = Home::new();
    let web = home.app("web").behaves("ignore-term");
    home.ctl(["start", "web"]).ok();
    wait_until("it ignores signals", SOON, || if web.log().contains("ready") { Ok(()) } else { Err(web.log()) });
    let stop = home.spawn(["stop", "-t", "60", "web"]);
    wait_until("a line is said", SOON + Duration::from_secs(10), || {
        if stop.stderr().contains('\n') { Ok(()) } else { Err(stop.stderr()) }
    });
    kill(web.status().main_pid(), Signal::SIGKILL);
    let output = stop.wait();
    let line = output.stderr.lines().next().unwrap_or_default();
    assert!(line.starts_with("daemonctl: stopping web: 1") && line.ends_with("then SIGKILL"), "{output}");
    assert!(!output.stderr.contains('\x1b') && output.stdout.starts_with("stopped web"), "{output}");
}

#[test]
fn a_restart_and_a_kill_that_take_time_tell_what_they_wait_for() {
    let home = Home::new();
    let web = home.app("web").behaves("ignore-term").conf("signals.kill_timeout = '60s'");
    home.ctl(["start", "web"]).ok();
    let begun =
        || wait_until("it ignores signals", SOON, || if web.log().contains("ready") { Ok(()) } else { Err(web.log()) });
    begun();
    let restart = home.on_terminal(&["--no-color", "restart", "web"]);
    restart.wait_for("restarting web: ");
    restart.wait_for(" of 60 s, then SIGKILL");
    kill(web.status().main_pid(), Signal::SIGKILL);
    let (code, seen) = restart.wait();
    assert_eq!(code, 0, "{seen:?}");
    let left = left_on_screen(&seen);
    assert!(left.starts_with("restarted web (pid ") && left.lines().count() == 1, "{left:?}");

    let wait = home.on_terminal(&["--no-color", "kill", "--wait", "--timeout", "60", "web", "CONT"]);
    wait.wait_for("waiting for web to end: ");
    wait.wait_for(" of 60 s");
    kill(web.status().main_pid(), Signal::SIGKILL);
    let (code, seen) = wait.wait();
    assert_eq!((code, left_on_screen(&seen).lines().count()), (0, 1), "{seen:?}");
}

#[test]
fn start_all_counts_and_names_the_one_it_waits_for() {
    let home = Home::new();
    home.app("a").behaves("sleep");
    let slow = home.app("slow").behaves("sleep");
    let go = slow.path("go");
    slow.script("check", &format!("test -e {}", go.display())).conf(
        "monitoring.enabled = true\nmonitoring.check_interval = '100ms'\nmonitoring.startup_delay = '50s'\n\
         process.start_timeout = '50s'",
    );
    let start = home.on_terminal(&["--no-color", "start-all", "--wait"]);
    start.wait_for("start-all: 1 of 2 started, waiting for slow (");
    slow.file("go", "");
    let (code, seen) = start.wait();
    assert_eq!((code, left_on_screen(&seen).as_str()), (0, "started 2\n"), "{seen:?}");
}
