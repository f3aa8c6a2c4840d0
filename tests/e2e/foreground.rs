//! `run`: supervision in a terminal.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{Home, SOON, process, wait_until};

#[test]
fn the_output_of_the_app_is_the_output_of_run() {
    let home = Home::new();
    home.app("web").run_script("echo to stdout; echo to stderr >&2; echo $APPDEPLOY_APP_NAME; exit 0");
    let output = home.ctl(["run", "web"]).ok();
    assert_eq!(output.stdout, "to stdout\nweb\n", "{output}");
    let output = output.explains("to stderr\n");
    assert!(!output.stdout.contains('\u{1b}'), "colour is for terminals: {output}");
    // It is in the log as well.
    assert_eq!(home.app("web").log(), "to stdout\nweb\n");
    assert_eq!(home.app("web").err(), "to stderr\n");
    home.wait_until_unsupervised();
}

#[test]
fn ctrl_c_stops_cleanly_within_a_second() {
    let home = Home::alone();
    let app = home.app("web").behaves("slow-term 200 7").script("on-stop", "echo bye > $APPDEPLOY_APP_PATH/ended");
    let run = home.spawn(["run", "web"]);
    run.wait_for_output("ready\n");
    let status = app.wait_for_state("running");
    assert_eq!(status.mode.as_deref(), Some("run"));
    // The terminal tells the whole foreground group; the app, in a session of its own, hears of it once.
    let begun = Instant::now();
    run.ctrl_c();
    let output = run.wait();
    assert!(begun.elapsed() < Duration::from_secs(1), "after {:?}: {output}", begun.elapsed());
    let output = output.exits(7);
    assert!(output.stdout.ends_with("stopping\nstopped\n"), "{output}");
    assert_eq!(app.read("ended"), "bye\n");
    app.wait_until_gone();
    home.wait_until_unsupervised();
    assert_eq!(app.status().state, "stopped");
}

#[test]
fn one_signal_to_run_alone_is_enough() {
    let home = Home::new();
    for (signal, code) in [(Signal::SIGINT, 143), (Signal::SIGTERM, 143)] {
        let app = home.app("web").run_script("echo ready; exec sleep 1000");
        let run = home.spawn(["run", "web"]);
        run.wait_for_output("ready\n");
        app.wait_for_state("running");
        run.signal(signal);
        let begun = Instant::now();
        let output = run.wait().exits(code);
        assert!(begun.elapsed() < Duration::from_secs(5), "{signal}: {output}");
        app.wait_until_gone();
    }
}

#[test]
fn a_second_signal_does_not_wait() {
    let home = Home::new();
    let app = home.app("web").behaves("ignore-term");
    let run = home.spawn(["run", "web"]);
    run.wait_for_output("ready\n");
    run.signal(Signal::SIGTERM);
    app.wait_for_state("stopping");
    run.signal(Signal::SIGTERM);
    let begun = Instant::now();
    let output = run.wait().exits(137);
    assert!(begun.elapsed() < Duration::from_secs(5), "{output}");
    app.wait_until_gone();
    home.wait_until_unsupervised();
}

#[test]
fn several_apps_are_told_apart() {
    let home = Home::new();
    home.app("one").run_script("echo first; echo problem >&2; exit 0");
    home.app("second").run_script("echo hello; exit 0");
    let output = home.ctl(["run", "one", "second"]).ok();
    for (name, text) in [("one", "first"), ("second", "hello")] {
        let line = output.stdout.lines().find(|line| line.ends_with(text)).unwrap_or_else(|| panic!("{output}"));
        assert!(line.starts_with(name) && line.len() > name.len() + text.len(), "{output}");
    }
    let line = output.stderr.lines().find(|line| line.ends_with("problem"));
    assert!(line.is_some_and(|line| line.starts_with("one")), "{output}");
    assert_eq!(home.app("one").log(), "first\n", "the files keep what the app wrote");
}

#[test]
fn all_apps_with_all() {
    let home = Home::new();
    home.app("one").run_script("echo one is here; exit 0");
    home.app("two").run_script("echo two is here; exit 0");
    home.ctl(["run", "--all"]).ok().says("one is here").says("two is here");
}

#[test]
fn whole_lines_though_many_write() {
    let home = Home::new();
    let names = ["one", "two", "three"];
    for name in names {
        home.app(name).behaves("lines 2000 0");
    }
    let output = home.ctl(["run", "one", "two", "three"]).ok();
    let mut next = [0; 3];
    for line in output.stdout.lines() {
        let which = names.iter().position(|name| line.starts_with(name)).unwrap_or_else(|| panic!("{line:?}"));
        if line.ends_with(&format!("line {:08}", next[which])) {
            next[which] += 1;
        } else {
            assert!(line.ends_with("end 2000") && next[which] == 2000, "{line:?} after {next:?}");
        }
    }
    assert_eq!(next, [2000; 3]);
}

#[test]
fn run_ends_with_the_last_app_and_its_exit_code() {
    let home = Home::new();
    home.app("short").behaves("exit 3");
    let long = home.app("long").behaves("exit-on-usr1 5");
    let run = home.spawn(["run", "short", "long"]);
    long.wait_for_output("ready");
    home.app("short").wait_for_state("exited");
    home.ctl(["kill", "long", "USR1"]).ok();
    run.wait().exits(5);
}

#[test]
fn run_may_end_with_any_app_or_with_one() {
    let home = Home::new();
    home.app("quick").behaves("exit-on-usr1 3");
    let slow = home.app("slow").behaves("slow-term 100 9");
    let helper = home.app("helper").behaves("exit 4");

    let run = home.spawn(["run", "--exit-on", "any", "quick", "slow"]);
    slow.wait_for_output("ready");
    home.app("quick").wait_for_output("ready");
    home.ctl(["kill", "quick", "USR1"]).ok();
    run.wait().exits(3);
    slow.wait_until_gone();

    let run = home.spawn(["run", "--exit-on", "quick", "quick", "slow", "helper"]);
    helper.wait_for_state("exited");
    slow.wait_for_state("running");
    wait_until("quick is ready again", SOON, || match home.app("quick").log().matches("ready").count() {
        2 => Ok(()),
        seen => Err(format!("{seen} times")),
    });
    home.ctl(["kill", "quick", "USR1"]).ok();
    run.wait().exits(3);
    slow.wait_until_gone();
}

#[test]
fn run_that_gives_up_says_so() {
    let home = Home::new();
    home.app("web").behaves("exit 7");
    let flags = ["process.restart=on-failure", "process.restart_delay=20ms", "process.restart_max_attempts=2"];
    let flags = flags.map(|flag| format!("--config-override={flag}"));
    let output = home.ctl(["run", &flags[0], &flags[1], &flags[2], "web"]);
    output.exits(1).explains("web");
}

#[test]
fn signals_are_handed_on_to_the_app() {
    let home = Home::new();
    let app = home
        .app("web")
        .behaves("record signals")
        .conf("signals.reload_signal = 'USR2'\nsignals.preserve_signals = ['WINCH']");
    let run = home.spawn(["run", "web"]);
    app.wait_for_text("signals", "ready\n");
    run.signal(Signal::SIGUSR1);
    app.wait_for_text("signals", "USR1\n");
    run.signal(Signal::SIGWINCH);
    // A hang-up is a request to reload, in whatever way this app is asked to.
    run.signal(Signal::SIGHUP);
    app.wait_for_text("signals", "USR2\n");
    run.signal(Signal::SIGTERM);
    run.wait().exits(0);
    assert_eq!(app.read("signals"), "ready\nUSR1\nUSR2\nTERM\n");
}

#[test]
fn signals_are_kept_back_where_that_is_asked_for() {
    let home = Home::new();
    let app = home.app("web").behaves("record signals");
    let run = home.spawn(["run", "--no-signal-forward", "web"]);
    app.wait_for_text("signals", "ready\n");
    run.signal(Signal::SIGUSR1);
    run.signal(Signal::SIGUSR2);
    home.ctl(["reload", "web"]).ok();
    app.wait_for_text("signals", "HUP\n");
    run.signal(Signal::SIGTERM);
    run.wait().exits(0);
    assert_eq!(app.read("signals"), "ready\nHUP\nTERM\n");
}

#[test]
fn only_signals_of_the_list_are_handed_on_and_of_these_none_that_is_preserved() {
    let home = Home::new();
    let app = home.app("web").behaves("record signals");
    app.conf("signals.forward_list = ['USR1', 'WINCH']\nsignals.preserve_signals = ['WINCH']");
    let run = home.spawn(["run", "web"]);
    app.wait_for_text("signals", "ready\n");
    for signal in [Signal::SIGUSR2, Signal::SIGWINCH, Signal::SIGUSR1] {
        run.signal(signal);
    }
    app.wait_for_text("signals", "USR1\n");
    run.signal(Signal::SIGTERM);
    run.wait().exits(0);
    assert_eq!(app.read("signals"), "ready\nUSR1\nTERM\n");

    // The command line has the last word.
    let run = home.spawn(["run", "-S", "USR2", "web"]);
    app.wait_for_text("signals", "TERM\nready\n");
    run.signal(Signal::SIGUSR1);
    run.signal(Signal::SIGUSR2);
    app.wait_for_text("signals", "USR2\n");
    run.signal(Signal::SIGTERM);
    run.wait().exits(0);
    assert_eq!(app.read("signals"), "ready\nUSR1\nTERM\nready\nUSR2\nTERM\n");
}

#[test]
fn stop_from_another_terminal() {
    let home = Home::new();
    let app = home.app("web").behaves("slow-term 50 0");
    let run = home.spawn(["run", "web"]);
    run.wait_for_output("ready\n");
    home.ctl(["stop", "web"]).ok();
    run.wait().exits(0);
    app.wait_until_gone();
}

#[test]
fn run_survives_the_death_of_its_supervisor() {
    let home = Home::new();
    let app = home.app("web").behaves("lines 0 2000");
    let run = home.spawn(["run", "web"]);
    run.wait_for_output("line 00000010\n");
    let pid = app.status().main_pid();
    let (supervisor, keeper) = home.pair("web");
    assert_eq!(keeper.pid, run.pid(), "run is the keeper");
    crate::support::kill(supervisor.pid, Signal::SIGKILL);
    app.wait_for("adopted", |status| status.supervisor.is_some_and(|pid| pid != supervisor.pid));
    assert_eq!(app.status().main_pid(), pid);
    assert!(process(run.pid()).is_some());
    let seen = run.stdout().len();
    wait_until("the terminal goes on", SOON, || match run.stdout() {
        now if now.len() > seen + 100 => Ok(()),
        now => Err(now),
    });
    run.ctrl_c();
    // What was on its way to the terminal may be shown twice or not at all; the log has it.
    run.wait().exits(0);
    crate::support::assert_no_line_lost(&app.log());
}

#[test]
fn run_can_be_told_to_go_to_the_background_and_start_to_stay() {
    let home = Home::new();
    let app = home.app("web").run_script("echo hello; exec sleep 1000");
    home.ctl(["run", "-d", "web"]).ok();
    assert_eq!(app.status().mode.as_deref(), Some("background"));
    home.ctl(["stop", "web"]).ok();
    home.wait_until_unsupervised();
    let start = home.spawn(["start", "-F", "web"]);
    start.wait_for_output("hello\n");
    assert_eq!(app.status().mode.as_deref(), Some("run"));
    start.ctrl_c();
    start.wait();
    app.wait_until_gone();
}
