//! `status --watch`, in a real terminal emulator.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Home, SOON, Window, binary, kill, wait_until};

#[test]
fn apps_are_watched_found_and_acted_on() {
    let home = Home::new();
    let web = home.app("web").run_script("echo here is web; exec sleep 1000");
    home.app("db").run_script("sleep 1000 & exec sleep 1001");
    home.app("never").run_script("exec sleep 1000");
    home.ctl(["start", "web", "db"]).ok();
    let window = Window::open(&home, 80, 24);
    window.line("echo before");
    window.ctl("status --watch --refresh 300ms");
    let seen =
        window.wait_until("both processes of db", |seen| seen.contains("sleep 1001") && seen.contains("└─ sleep 1000"));
    assert!(seen.contains("2 apps: 2 running") && seen.contains("NAME▼"), "{seen}");
    assert!(!seen.contains("never") && !seen.contains("before"), "{seen}");

    window.press("a");
    window.wait_for("never started");
    window.press("End");
    window.wait_for("out | here is web");

    // It is stopped only when that is affirmed.
    window.press("x");
    window.wait_for("stop web? y/n");
    window.press("n");
    window.wait_for("s start");
    assert_eq!(web.status().state, "running");
    window.press("x");
    window.press("y");
    window.wait_for("stopped web (killed by SIGTERM");
    assert_eq!(web.status().state, "stopped");
    window.wait_for("3 apps: 1 running, 2 stopped");
    window.press("s");
    window.wait_for("started web (pid ");
    let pid = web.status().main_pid();
    window.wait_for(&format!("web    running  {pid}"));
    window.press("r");
    window.press("y");
    window.wait_for("restarted web (pid ");
    assert_ne!(web.status().main_pid(), pid);

    // Another size, another app by a filter, another view of it.
    window.resize(120, 30);
    window.press("End"); // What the command said stays until a key is pressed.
    window.wait_until("all keys there is room for", |screen| screen.contains("Enter panel"));
    window.press("/");
    window.tmux(&["send-keys", "-l", "db"]);
    window.wait_for("filter: db");
    window.press("Enter");
    window.press("Tab");
    let seen = window.wait_for("resident");
    assert!(seen.contains("1 with \"db\" of 3 apps") && !seen.contains("\nweb "), "{seen}");

    // The log, and back: Ctrl-C ends the log only, however soon and late the two hear of it.
    window.press("Escape");
    window.wait_for("\nweb ");
    window.press("End");
    for _ in 0..10 {
        window.press("l");
        // Not that of the round before, which ends with its Ctrl-C.
        window.wait_until("the log", |screen| {
            screen.contains("the log of web; Ctrl-C goes back") && !screen.trim_end().ends_with("^C")
        });
        window.press("C-c");
        window.wait_for("NAME▼");
    }

    window.press("q");
    let left = window.wait_until("the shell as it was", Window::is_at_prompt);
    assert!(left.contains("the log of web") && !left.contains("NAME▼"), "{left}");
    home.ctl(["stop-all"]).ok();
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    let home = Home::new();
    home.app("web").behaves("sleep");
    home.ctl(["start", "web"]).ok();
    let window = Window::open(&home, 80, 24);
    let before = window.settings("settings");
    let ways: [(&str, &dyn Fn()); 6] = [
        ("q", &|| window.press("q")),
        ("Ctrl-C", &|| window.press("C-c")),
        ("SIGINT", &|| kill(window.watcher(), Signal::SIGINT)),
        ("SIGTERM", &|| kill(window.watcher(), Signal::SIGTERM)),
        ("SIGHUP", &|| kill(window.watcher(), Signal::SIGHUP)),
        ("SIGQUIT", &|| kill(window.watcher(), Signal::SIGQUIT)),
    ];
    for (way, end) in ways {
        window.ctl("status -w");
        window.wait_for("NAME▼");
        end();
        window.wait_until("the shell", Window::is_at_prompt);
        window.line("echo ended: $?");
        let expected = match way {
            "SIGINT" => "ended: 130",
            "SIGTERM" => "ended: 143",
            "SIGHUP" => "ended: 129",
            "SIGQUIT" => "ended: 131",
            _ => "ended: 0",
        };
        let left = window.wait_until(expected, |screen| screen.lines().any(|line| line == expected));
        assert!(!left.contains("NAME▼"), "{way}: {left}");
        assert_eq!(window.settings(&format!("settings-{}", way.to_lowercase())), before, "{way}");
        window.clear();
    }
    // Ctrl-Z leaves it for a while.
    window.ctl("status -w");
    window.wait_for("NAME▼");
    window.press("C-z");
    window.wait_until("a job that is stopped", |screen| screen.contains("Stopped") && !screen.contains("NAME▼"));
    assert_eq!(window.settings("settings-z"), before);
    window.line("fg");
    window.wait_for("NAME▼");
    window.press("q");
    window.wait_until("the shell", Window::is_at_prompt);
    home.ctl(["stop-all"]).ok();
}

#[test]
fn a_window_that_is_too_small_or_empty_says_so() {
    let home = Home::new();
    let window = Window::open(&home, 80, 24);
    window.ctl("status -w --no-color");
    window.wait_for("no app has been started; a shows those there are");
    window.press("a");
    window.wait_for("daemonctl init NAME makes one");
    window.resize(20, 5);
    window.wait_for("too small");
    window.resize(80, 24);
    window.press("?");
    window.wait_for("any key goes back");
    window.press("x");
    window.wait_for("daemonctl init NAME makes one");
    window.press("C-c");
    window.wait_until("the shell", Window::is_at_prompt);
}

#[test]
fn a_pipe_gets_one_report_after_another() {
    let home = Home::new();
    let web = home.app("web").behaves("sleep");
    home.ctl(["start", "web"]).ok();
    let begin = |args: &[&str]| {
        let mut command = home.command(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("a watcher")
    };
    let mut plain = begin(&["status", "-w", "--refresh", "100ms"]);
    let mut lines = BufReader::new(plain.stdout.take().expect("its output")).lines().map(Result::unwrap);
    let mut report = || lines.by_ref().skip_while(String::is_empty).take(3).collect::<Vec<_>>();
    let pid = web.status().main_pid();
    for _ in 0..3 {
        let report = report();
        assert!(report[0].ends_with("UTC") && report[1].starts_with("# NAME"), "{report:?}");
        assert!(report[2].starts_with(&format!("web     running  {pid}")), "{report:?}");
    }
    home.ctl(["stop", "web"]).ok();
    wait_until("a report says so", SOON, || match report() {
        report if report[2].starts_with("web     stopped") => Ok(()),
        report => Err(format!("{report:?}")),
    });
    // It ends when its reader leaves, not when it next has something to say.
    drop(lines);
    let mut slow = begin(&["status", "-w", "--refresh", "1h"]);
    let mut output = BufReader::new(slow.stdout.take().expect("its output"));
    output.read_line(&mut String::new()).expect("a time");
    output.read_line(&mut String::new()).expect("titles");
    drop(output);
    for mut watcher in [plain, slow] {
        let ended = wait_until("it ends", SOON, || match watcher.try_wait().expect("its status") {
            Some(status) => Ok(status),
            None => Err("it goes on".to_owned()),
        });
        assert_eq!(ended.code(), Some(0));
    }

    let mut json = begin(&["status", "-w", "--refresh", "100ms", "--json", "web"]);
    let mut lines = BufReader::new(json.stdout.take().expect("its output")).lines().map(Result::unwrap);
    for _ in 0..2 {
        let report: Value = serde_json::from_str(&lines.next().expect("a line")).expect("JSON");
        assert_eq!(
            (&report["schema_version"], &report["apps"][0]["state"]),
            (&Value::from(1), &Value::from("stopped"))
        );
    }
    kill(json.id() as i32, Signal::SIGTERM);
    json.wait().expect("its end");
}

#[test]
fn what_cannot_be_watched_is_refused_before_the_screen_is_taken() {
    let home = Home::new();
    assert_eq!(home.ctl(["status", "-w", "wbe"]).code(), 4);
    let fast = home.ctl(["status", "-w", "--refresh", "10ms"]);
    assert!(fast.stderr.contains("10ms is too fast: 100ms is the least"), "{fast}");
    let alone = home.ctl(["status", "--refresh", "2"]);
    assert_eq!(alone.code(), 2, "{alone}");
    let window = Window::open(&home, 80, 24);
    window.ctl("status -w wbe; echo ended: $?");
    let seen = window.wait_for("ended: 4");
    assert!(seen.contains("no app \"wbe\"") || seen.contains("wbe"), "{seen}");
}

#[test]
fn watching_a_hundred_apps_takes_less_than_a_hundredth_of_a_cpu() {
    if cfg!(debug_assertions) && !binary("daemonctl").to_string_lossy().contains("release") {
        eprintln!("SKIPPED: the figure is one of the release build");
        return;
    }
    let home = Home::alone();
    let names: Vec<String> = (0..100).map(|number| format!("app{number:03}")).collect();
    for name in &names {
        home.app(name).run_script("exec sleep 1000");
    }
    home.ctl(["start-all", "-p"]).ok();
    let window = Window::open(&home, 200, 50);
    window.ctl("status -w");
    window.wait_for("100 apps: 100 running");
    let pid = window.watcher();
    let used = || {
        let times = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("its times");
        times.split_ascii_whitespace().next().and_then(|time| time.parse::<f64>().ok()).expect("nanoseconds") / 1e9
    };
    let percent = || {
        let (from, before, time) = (std::time::Instant::now(), used(), Duration::from_secs(10));
        wait_until("ten seconds have passed", time * 2, || {
            if from.elapsed() >= time { Ok(()) } else { Err("not yet".to_owned()) }
        });
        100.0 * (used() - before) / from.elapsed().as_secs_f64()
    };
    // What else the machine does makes the same work dearer, never cheaper.
    let tries: Vec<f64> = std::iter::repeat_with(percent)
        .take(3)
        .scan(false, |done, percent| (!std::mem::replace(done, percent < 1.0)).then_some(percent))
        .collect();
    eprintln!("{tries:.2?} % of one CPU");
    assert!(tries.iter().any(|percent| *percent < 1.0), "{tries:.2?} % of one CPU");
    home.ctl(["stop-all", "-p"]).ok();
}
