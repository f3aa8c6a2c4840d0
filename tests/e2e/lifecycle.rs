//! The commands, one after the other, as a person uses them.

use nix::sys::signal::Signal;
use std::os::unix::process::CommandExt;
use std::time::Duration;

use crate::support::{Home, SOON, is_root, kill, process, wait_until};

#[test]
fn a_day_in_the_life() {
    let home = Home::new();
    let web = home.app("web").run_script("echo hello from $$; exec sleep 1000");

    // Nothing runs yet.
    home.ctl(["status", "web"]).exits(3).says("stopped");
    home.ctl(["stop", "web"]).ok().says_one_of(&["not running"]);

    // It starts, and the pid that is told is the app's.
    let started = home.ctl(["start", "web"]).ok();
    let status = web.status();
    assert_eq!((status.state.as_str(), status.mode.as_deref()), ("running", Some("background")));
    assert_eq!(status.path, web.dir().to_string_lossy());
    assert!(status.ready && status.restarts == 0 && status.last_exit.is_none(), "{status:#?}");
    assert!(status.uptime.is_some_and(|uptime| (0.0..60.0).contains(&uptime)), "{status:#?}");
    let pid = status.main_pid();
    let running = started.says(&pid.to_string());
    assert!(running.took < Duration::from_secs(5), "a plain start took {:?}", running.took);
    web.wait_for_output(&format!("hello from {pid}"));
    home.ctl(["status", "web"]).ok().says("running").says(&pid.to_string());

    // Starting what runs is a success, and says so.
    home.ctl(["start", "web"]).ok().says_one_of(&["already running"]).says(&pid.to_string());
    home.ctl(["start", "web", "--umask", "077"]).ok().says("already running").explains("goes on with the options");
    assert_eq!(web.status().main_pid(), pid);

    // A restart is another process.
    home.ctl(["restart", "web"]).ok();
    let next = web.status().main_pid();
    assert_ne!(next, pid);
    web.wait_for_output(&format!("hello from {next}"));
    assert!(process(pid).is_none(), "the old process is still there");

    // Stopped, it says how it ended, and the supervisor goes with its last app.
    home.ctl(["stop", "web"]).ok().says_one_of(&["stopped"]);
    let status = web.status();
    assert_eq!((status.state.as_str(), status.pid), ("stopped", None));
    let exit = status.last_exit.expect("a last exit");
    assert_eq!((exit.code, exit.signal.as_deref(), exit.reason.as_str()), (None, Some("SIGTERM"), "stopped"));
    home.wait_until_unsupervised();
    home.ctl(["status", "web"]).exits(3).says("stopped");
    home.ctl(["stop", "web"]).ok().says_one_of(&["not running"]);
    web.wait_until_gone();
}

#[test]
fn several_apps_in_one_command() {
    let home = Home::new();
    for name in ["one", "two", "three"] {
        home.app(name).behaves("sleep");
    }
    home.ctl(["start", "one", "two", "three"]).ok().says("one").says("two").says("three");
    let supervisors: Vec<_> = home.statuses().iter().map(|status| status.supervisor).collect();
    assert_eq!(supervisors.len(), 3);
    assert!(supervisors.iter().all(|one| one.is_some() && *one == supervisors[0]), "one supervisor for all");
    home.ctl(["stop", "one", "three"]).ok();
    let states: Vec<_> = home.statuses().into_iter().map(|status| (status.name, status.state)).collect();
    let expected = [("one", "stopped"), ("three", "stopped"), ("two", "running")];
    assert_eq!(states, expected.map(|(name, state)| (name.to_owned(), state.to_owned())));
    home.ctl(["status", "one", "two"]).exits(3);
    home.ctl(["status", "two"]).ok();
}

#[test]
fn one_bad_app_does_not_keep_the_others_from_starting() {
    let home = Home::new();
    home.app("good").behaves("sleep");
    home.app("bad").program("run", "#!/no/such/interpreter\n");
    home.ctl(["start", "good", "bad"]).exits(1).explains("bad").says("good");
    assert_eq!(home.status("good").state, "running");
    assert_eq!(home.status("bad").state, "failed");
}

#[test]
fn list_is_a_grid_that_other_programs_can_read() {
    let home = Home::new();
    let web = home.app("web").behaves("sleep");
    home.app("idle").behaves("sleep");
    std::fs::create_dir(home.root().join("no-app")).unwrap();
    home.ctl(["start", "web"]).ok();
    let pid = web.status().main_pid().to_string();

    let list = home.ctl(["list"]).ok();
    let grid = list.grid();
    assert_eq!(grid[0], ["#", "NAME", "STATUS", "PID", "MEMORY", "CPU", "PATH", "STDOUT", "STDERR"], "{list}");
    let rows: Vec<_> = grid[1..].iter().map(|row| row[..2].to_vec()).collect();
    assert_eq!(rows, [["idle", "stopped"], ["web", "running"]], "{list}");
    assert_eq!(grid[2][2], pid, "{list}");
    list.says(&web.dir().to_string_lossy());

    let json = home.ctl(["list", "--json"]).ok();
    let parsed: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(parsed["schema_version"], 1, "{json}");
    assert_eq!(parsed["apps"][1]["name"], "web", "{json}");
    assert_eq!(parsed["apps"][1]["pid"].to_string(), pid, "{json}");
}

#[test]
fn reload_is_a_signal_that_the_app_gets() {
    let home = Home::new();
    let web = home.app("web").behaves("record signals");
    let db = home.app("db").behaves("record signals").conf("signals.reload_signal = 'USR2'");
    home.ctl(["start", "web", "db"]).ok();
    web.wait_for_text("signals", "ready\n");
    db.wait_for_text("signals", "ready\n");
    let pid = web.status().main_pid();
    home.ctl(["reload", "web", "db"]).ok();
    assert_eq!(web.wait_for_text("signals", "HUP\n"), "ready\nHUP\n");
    assert_eq!(db.wait_for_text("signals", "USR2\n"), "ready\nUSR2\n");
    assert_eq!(web.status().main_pid(), pid);
    home.ctl(["stop", "web"]).ok();
    home.ctl(["reload", "web"]).exits(1).says_one_of(&["not running"]);
}

#[test]
fn kill_sends_any_signal_by_any_name() {
    let home = Home::new();
    let web = home.app("web").behaves("record signals");
    home.ctl(["start", "web"]).ok();
    web.wait_for_text("signals", "ready\n");
    let mut expected = "ready\n".to_owned();
    for (signal, name) in [("USR1", "USR1"), ("sigusr2", "USR2"), ("SIGHUP", "HUP"), ("28", "WINCH")] {
        home.ctl(["kill", "web", signal]).ok();
        expected += &format!("{name}\n");
        wait_until(&format!("{signal} arrives"), SOON, || match web.read("signals") {
            seen if seen == expected => Ok(()),
            seen => Err(seen),
        });
    }
    // TERM is the default. Ended by kill is ended by itself, as far as the app's story goes.
    home.ctl(["kill", "--wait", "web"]).ok();
    let status = web.wait_for_state("exited");
    let exit = status.last_exit.expect("a last exit");
    assert_eq!((exit.code, exit.reason.as_str()), (Some(0), "exited"));
    home.ctl(["kill", "web"]).exits(1).says_one_of(&["not running"]);
}

#[test]
fn kill_reaches_the_main_process_or_the_whole_group() {
    let home = Home::new();
    let web =
        home.app("web").run_script("sleep 1000 & sleep 1001 & trap '' TERM; echo ready; wait; wait; exec sleep 1002");
    home.ctl(["start", "web"]).ok();
    web.wait_for_output("ready");
    assert_eq!(web.processes().len(), 3);
    home.ctl(["kill", "web", "TERM"]).ok();
    assert_eq!(web.processes().len(), 3, "TERM went to the main process alone, which ignores it");
    home.ctl(["kill", "--all-processes", "web", "TERM"]).ok();
    wait_until("the two children are gone", SOON, || match web.processes() {
        left if left.len() == 1 => Ok(()),
        left => Err(format!("{left:#?}")),
    });
    let slow = home.ctl(["kill", "--wait", "--timeout", "1", "web", "TERM"]).exits(124);
    assert!(slow.took < Duration::from_secs(4), "{slow}");
    home.ctl(["kill", "--wait", "web", "KILL"]).ok();
    assert_eq!(web.wait_for_state("exited").last_exit.unwrap().signal.as_deref(), Some("SIGKILL"));
}

#[test]
fn stop_waits_and_then_insists() {
    let home = Home::new();
    let stubborn = home.app("stubborn").behaves("ignore-term");
    let slow = home.app("slow").behaves("slow-term 700 5");
    home.ctl(["start", "stubborn", "slow"]).ok();
    stubborn.wait_for_output("ready");
    slow.wait_for_output("ready");

    // One that takes its time is waited for, and its own exit code is kept.
    home.ctl(["stop", "slow"]).ok();
    let exit = slow.status().last_exit.expect("a last exit");
    assert_eq!((exit.code, exit.reason.as_str()), (Some(5), "stopped"));
    slow.wait_for_output("stopped");

    // One that ignores the signal is killed when the time is over.
    let stopped = home.ctl(["stop", "--timeout", "1", "stubborn"]).ok().says("SIGKILL");
    assert!(stopped.took > Duration::from_secs(1), "{stopped}");
    assert!(stopped.took < Duration::from_secs(4), "{stopped}");
    assert_eq!(stubborn.status().last_exit.unwrap().signal.as_deref(), Some("SIGKILL"));
    stubborn.wait_until_gone();

    // Force does not wait.
    home.ctl(["start", "stubborn"]).ok();
    let forced = home.ctl(["stop", "--force", "stubborn"]).ok();
    assert!(forced.took < Duration::from_secs(3), "{forced}");
    stubborn.wait_until_gone();
}

#[test]
fn stop_need_not_be_waited_for() {
    let home = Home::new();
    let slow = home.app("slow").behaves("slow-term 1000 0");
    home.ctl(["start", "slow"]).ok();
    slow.wait_for_output("ready");
    home.ctl(["stop", "--no-wait", "slow"]).ok();
    assert_eq!(slow.status().state, "stopping");
    slow.wait_for_state("stopped");
}

#[test]
fn the_stop_signal_can_be_chosen() {
    let home = Home::new();
    let web =
        home.app("web").run_script("trap 'echo interrupted; exit 4' INT; echo ready; while :; do sleep 0.05; done");
    web.conf("signals.stop_signal = 'INT'");
    home.ctl(["start", "web"]).ok();
    web.wait_for_output("ready");
    home.ctl(["stop", "web"]).ok();
    web.wait_for_output("interrupted");
    assert_eq!(web.status().last_exit.unwrap().code, Some(4));
    home.ctl(["start", "web"]).ok();
    home.ctl(["stop", "--signal", "kill", "web"]).ok();
    assert_eq!(web.status().last_exit.unwrap().signal.as_deref(), Some("SIGKILL"));
}

#[test]
fn a_stopped_process_can_still_be_stopped() {
    let home = Home::new();
    let web = home.app("web").behaves("sleep");
    home.ctl(["start", "web"]).ok();
    let pid = web.status().main_pid();
    home.ctl(["kill", "web", "STOP"]).ok();
    wait_until("it is stopped", SOON, || match process(pid) {
        Some(process) if process.state == 'T' => Ok(()),
        seen => Err(format!("{seen:?}")),
    });
    let stopped = home.ctl(["stop", "web"]).ok();
    assert!(stopped.took < Duration::from_secs(5), "SIGTERM alone waits for a SIGCONT: {stopped}");
    web.wait_until_gone();
}

#[test]
fn logs_show_what_the_app_wrote() {
    let home = Home::new();
    let web = home.app("web").run_script(
        "for i in 1 2 3 4 5; do echo out $i; done; echo problem >&2; while read line; do echo \"$line\"; done < pipe",
    );
    nix::unistd::mkfifo(&web.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    home.ctl(["start", "web"]).ok();
    // Open for reading as well, or this would wait for the app to open it.
    let mut to_app = std::fs::OpenOptions::new().read(true).write(true).open(web.path("pipe")).unwrap();
    web.wait_for_output("out 5");
    web.wait_for_text("logs/web.err", "problem");

    assert_eq!(home.ctl(["logs", "--stdout", "-n", "2", "web"]).ok().stdout, "out 4\nout 5\n");
    assert_eq!(home.ctl(["logs", "--stdout", "web"]).ok().stdout, "out 1\nout 2\nout 3\nout 4\nout 5\n");
    assert_eq!(home.ctl(["logs", "--stderr", "web"]).ok().stdout, "problem\n");
    home.ctl(["logs", "web"]).ok().says("out 1").says("problem");

    // Following shows what comes, until Ctrl-C.
    let follow = home.spawn(["logs", "-f", "--stdout", "-n", "1", "web"]);
    follow.wait_for_output("out 5\n");
    std::io::Write::write_all(&mut to_app, b"later\n").unwrap();
    assert_eq!(follow.wait_for_output("later\n"), "out 5\nlater\n");
    follow.ctrl_c();
    follow.wait();
    assert_eq!(web.status().state, "running");
    home.ctl(["stop", "web"]).ok();
    assert_eq!(home.ctl(["logs", "--stdout", "-n", "1", "web"]).ok().stdout, "later\n");
}

#[test]
fn log_files_keep_exactly_the_bytes() {
    let home = Home::new();
    let mut text: Vec<u8> = (0..=255).collect();
    text.extend(b"\r\n".repeat(10));
    text.extend(vec![b'x'; 3 << 20]);
    let odd = home.app("odd").behaves("noise text").file("text", &text);
    home.ctl(["start", "odd"]).ok();
    text.extend(b"\0nul\0\xff\nhalf a line");
    for stream in ["logs/odd.log", "logs/odd.err"] {
        wait_until(&format!("{stream} is complete"), SOON, || {
            let length = std::fs::metadata(odd.path(stream)).map_or(0, |meta| meta.len());
            if length >= text.len() as u64 { Ok(()) } else { Err(format!("{length} of {} bytes", text.len())) }
        });
        assert!(std::fs::read(odd.path(stream)).unwrap() == text, "{stream} differs from what was written");
    }
}

#[test]
fn apps_that_flood_or_close_their_output_disturb_nobody() {
    let home = Home::new();
    let flood = home.app("flood").behaves("flood").conf("logging.stdout_file = '/dev/null'");
    let quiet = home.app("quiet").behaves("close-output");
    home.ctl(["start", "flood", "quiet"]).ok();
    let pids = [flood.status().main_pid(), quiet.status().main_pid()];
    for _ in 0..20 {
        let asked = home.ctl(["status", "--all"]).ok();
        assert!(asked.took < Duration::from_secs(2), "{asked}");
    }
    assert_eq!([flood.status().main_pid(), quiet.status().main_pid()], pids);
    home.ctl(["stop", "flood", "quiet"]).ok();
    flood.wait_until_gone();
    quiet.wait_until_gone();
}

#[test]
fn attached_start_shows_the_output_and_leaves_the_app_running() {
    let home = Home::new();
    let web = home.app("web").run_script("echo hello; exec sleep 1000");
    let attached = home.spawn(["start", "--attach", "web"]);
    attached.wait_for_output("hello\n");
    attached.ctrl_c();
    attached.wait();
    assert_eq!(web.status().state, "running");
}

#[test]
fn start_all_and_stop_all() {
    let home = Home::new();
    for name in ["app1", "app2", "app3"] {
        home.app(name).behaves("sleep");
    }
    home.app("app2").file(".version", "1.2.3\n");
    home.app("off").behaves("sleep").conf("daemon.enabled = false");
    let running = || {
        let all = home.statuses().into_iter().filter(|status| status.state == "running");
        all.map(|status| status.name).collect::<Vec<_>>().join(" ")
    };

    let plan = home.ctl(["--dry-run", "start-all"]).ok();
    assert_eq!(plan.stdout.trim(), "Would start 3 apps: app1, app2, app3", "{plan}");
    assert_eq!(running(), "");
    home.ctl(["start-all", "--only-active"]).ok();
    assert_eq!(running(), "app2");
    assert_eq!(home.status("app2").version.as_deref(), Some("1.2.3"));
    home.ctl(["start-all", "--exclude", "app3"]).ok();
    assert_eq!(running(), "app1 app2");
    let pid = home.status("app1").main_pid();
    home.ctl(["start-all", "--parallel"]).ok();
    assert_eq!(running(), "app1 app2 app3");
    assert_eq!(home.status("app1").main_pid(), pid, "what ran goes on");

    home.ctl(["stop-all", "--exclude", "app1"]).ok();
    assert_eq!(running(), "app1");
    home.ctl(["stop-all", "--parallel"]).ok();
    assert_eq!(running(), "");
    home.wait_until_unsupervised();

    home.app("broken").program("run", "#!/no/such/interpreter\n");
    home.ctl(["start-all"]).exits(1).explains("broken");
    assert_eq!(running(), "app1 app2 app3");
}

#[test]
fn a_dry_run_prints_what_would_be_run_and_does_nothing() {
    let home = Home::new();
    let web = home.app("web").run_script("touch started; exec sleep 1000").conf("daemon.umask = '027'");
    let plan = home.ctl(["--dry-run", "start", "web"]).ok();
    let line = plan.stdout.lines().find(|line| line.contains("daemonrun")).unwrap_or_else(|| panic!("{plan}"));
    assert!(line.contains("--umask") && line.contains(&*web.path("run").to_string_lossy()), "{plan}");
    home.ctl(["status", "web"]).exits(3);
    assert!(!web.path("started").exists() && home.supervisors().is_empty());
}

#[test]
fn exit_codes_are_those_of_the_manual() {
    let home = Home::new();
    home.app("web").behaves("sleep");
    home.app("never").behaves("sleep").script("check", "exit 1");
    home.app("broken").behaves("sleep").conf("process.restart = 'sometimes'");
    home.ctl(["start", "web"]).ok();
    home.ctl(["status", "web"]).exits(0);
    home.ctl(["frobnicate"]).exits(2);
    home.ctl(["start", "broken"]).exits(2);
    home.ctl(["status", "never"]).exits(3);
    for command in ["start", "stop", "restart", "reload", "status", "logs", "kill", "run"] {
        home.ctl([command, "nosuch"]).exits(4).explains("nosuch");
    }
    let waited = home.ctl(["start", "--wait", "--start-timeout", "1", "never"]).exits(124);
    assert!(waited.took < Duration::from_secs(5), "{waited}");
    home.ctl(["--version"]).ok().says("daemonctl");
    home.ctl(["--help"]).ok().says("start-all");
}

#[test]
fn nobody_else_may_command_a_supervisor() {
    if !is_root("a second user") {
        return;
    }
    let home = Home::new();
    let web = home.app("web").behaves("sleep");
    home.ctl(["start", "web"]).ok();
    // The binary may lie where only root can read: nobody gets a copy.
    let copy = home.base().join("daemonctl");
    crate::support::copy_program(&crate::support::binary("daemonctl"), &copy, 0o755);
    for args in [["stop", "web"], ["restart", "web"], ["kill", "web"]] {
        let mut command = home.program(&copy, args);
        home.finish({
            command.uid(65534).gid(65534);
            command
        })
        .exits(5);
    }
    assert_eq!(web.status().state, "running");
    let mode =
        |path: &std::path::Path| std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
    assert_eq!(mode(&home.runtime_dir()) & 0o777, 0o700);
}

#[test]
fn a_signal_to_the_background_supervisor_stops_everything_cleanly() {
    let home = Home::new();
    let apps = ["one", "two"].map(|name| {
        home.app(name).behaves("slow-term 200 0").script("on-stop", "echo bye >> $APPDEPLOY_APP_PATH/ended")
    });
    home.ctl(["start", "one", "two"]).ok();
    for app in apps {
        app.wait_for_output("ready");
    }
    let (supervisor, _) = home.pair("one");
    crate::support::kill(supervisor.pid, Signal::SIGTERM);
    home.wait_until_unsupervised();
    for app in apps {
        assert_eq!(app.status().state, "stopped");
        assert_eq!(app.read("ended"), "bye\n");
        app.wait_until_gone();
    }
}

#[test]
fn a_configuration_that_leads_nowhere_is_not_passed_over() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    std::os::unix::fs::symlink("nowhere", app.path("conf.toml")).unwrap();
    home.ctl(["start", "web"]).exits(2).explains("conf.toml");
    assert!(app.processes().is_empty());
}

#[test]
fn an_app_that_nothing_checks_is_not_called_ready_when_it_is_dead() {
    let home = Home::new();
    home.app("web").run_script("exit 7");
    home.ctl(["start", "--wait", "web"]).exits(1).says("7");
}

#[test]
fn an_app_whose_directory_is_removed_gets_none_in_its_place() {
    let home = Home::new();
    let app =
        home.app("web").run_script("trap 'echo bye; echo bye >&2; exit 3' TERM; echo up; while :; do sleep 0.05; done");
    app.script("on-stop", "echo stopped");
    let keeps = home
        .app("keeps")
        .run_script("echo up; exec sleep 1000")
        .conf("process.restart = true\nprocess.restart_delay = '10ms'");
    home.ctl(["start", "web", "keeps"]).ok();
    app.wait_for_output("up");
    keeps.wait_for_output("up");
    for app in [&app, &keeps] {
        std::fs::remove_dir_all(app.dir()).unwrap();
    }
    // The next supervisor makes none either.
    let (supervisor, _) = home.pair("web");
    kill(supervisor.pid, Signal::SIGKILL);
    app.wait_for("taken over", |status| status.supervisor.is_some_and(|pid| pid != supervisor.pid));
    home.ctl(["stop", "web"]).ok();
    home.ctl(["kill", "keeps", "KILL"]).ok();
    keeps.wait_for_state("failed");
    assert_eq!((app.dir().exists(), keeps.dir().exists()), (false, false));
}

#[test]
fn each_app_has_its_own_time_also_when_all_are_stopped() {
    let home = Home::new();
    let app = home.app("deaf").run_script("trap '' TERM; echo deaf; while :; do sleep 0.05; done");
    app.conf("process.stop_timeout = '100ms'");
    home.ctl(["start", "deaf"]).ok();
    app.wait_for_output("deaf");
    let stopped = home.ctl(["stop-all", "-V"]).ok().says("stopped deaf (killed by SIGKILL");
    assert!(stopped.took < Duration::from_secs(10), "{:?}", stopped.took);
}

#[test]
fn what_cannot_be_written_beside_an_app_is_said_when_it_starts() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").conf("pidfile.path = 'no/such/dir/pid'\nlogging.file = '/proc/events'");
    home.ctl(["start", "web"])
        .ok()
        .explains("warning: web: cannot write the pid file ")
        .explains("no/such/dir/pid: no such file or directory\n")
        .explains("warning: web: cannot write /proc/events, what happens to the app is lost until that is possible: ");
    app.conf("pidfile.path = 'no/such/dir/pid'");
    home.ctl(["restart", "web"]).ok();
    assert!(app.events().contains("warn  cannot write the pid file "), "{}", app.events());
}
