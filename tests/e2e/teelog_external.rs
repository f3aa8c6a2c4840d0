//! An external teelog that writes an app's logs, with a stand-in that has its interface.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::{
    AppDir, Home, Proc, SOON, archives, assert_no_line_lost, binary, copy_program, everything, is_root, kill, process,
    testapp, wait_until,
};

/// It writes what comes to its files, whole lines, rotated by size, and passes it on, as the real one does.
const STAND_IN: &str = r#"#!/usr/bin/env python3
import os, subprocess, sys, threading, time

size, files, args = None, [], sys.argv[1:]
while args and args[0] != "--":
    word = args.pop(0)
    if word in ("-s", "--max-size", "-a", "--max-age", "-c", "--max-count"):
        value = args.pop(0)
        if word.endswith("size"):
            size = int(value)
    elif word.startswith("-"):
        sys.exit("teelog: unknown option " + word)
    else:
        files.append(word)
open(os.environ["HOME"] + "/teelog.args", "a").write(" ".join(sys.argv[1:]) + "\n")
command = args[1:]
child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

def pump(source, name, to):
    os.makedirs(os.path.dirname(name), exist_ok=True)
    for line in iter(source.readline, b""):
        if size and os.path.exists(name) and os.path.getsize(name) + len(line) > size:
            stamp = name + time.strftime(".%Y-%m-%d-%H%M%S")
            number = 0
            while os.path.exists(stamp + (".%d" % number if number else "")):
                number += 1
            os.rename(name, stamp + (".%d" % number if number else ""))
        with open(name, "ab") as log:
            log.write(line)
        to.buffer.write(line)
        to.buffer.flush()

threads = [threading.Thread(target=pump, args=a, daemon=True)
           for a in [(child.stdout, files[0], sys.stdout), (child.stderr, files[1], sys.stderr)]]
for thread in threads: thread.start()
code = child.wait()
for thread in threads: thread.join()
code = 128 - code if code < 0 else code
sys.stdout.write("EOK\n" if code == 0 else "EFAIL %d\n" % code)
sys.stdout.flush()
os._exit(code)
"#;

/// A world with a teelog in `bin`.
fn world(script: &str) -> Home {
    let home = Home::new();
    let bin = home.base().join("bin");
    fs::create_dir(&bin).unwrap();
    let program = bin.join("teelog");
    fs::write(&program, script).unwrap();
    Command::new("chmod").arg("755").arg(&bin).arg(&program).status().unwrap();
    home
}

/// `daemonctl` with the world's `bin` in its PATH.
fn ctl(home: &Home, args: &[&str]) -> Command {
    let mut command = home.command(args);
    let path = command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value).unwrap().to_owned();
    let mut with = home.base().join("bin").into_os_string();
    with.push(":");
    with.push(path);
    command.env("PATH", with);
    command
}

/// The teelog of an app: the parent of its main process.
fn writer(app: &AppDir<'_>) -> Proc {
    let main = process(app.status().pid.unwrap()).unwrap();
    let writer = process(main.ppid).unwrap();
    assert!(writer.command_line().contains("teelog"), "{writer:#?}");
    writer
}

fn told(home: &Home) -> String {
    fs::read_to_string(home.base().join("home/teelog.args")).unwrap_or_default()
}

#[test]
fn the_app_is_the_app_though_another_writes_its_logs() {
    let home = world(STAND_IN);
    let app = home
        .app("web")
        .run_script("trap 'echo bye; exit 7' TERM; echo out; echo err >&2; while :; do sleep 0.05; done")
        .conf("[logging]\ncollector = \"teelog\"\nmax_size = \"1M\"\nmax_age = \"90s\"\nmax_count = 3\n");
    home.finish(ctl(&home, &["start", "web"])).ok();
    app.wait_for_output("out\n");
    let (log, err) = (app.path("logs/web.log"), app.path("logs/web.err"));
    let expected = format!("--max-size 1048576 --max-age 2m --max-count 3 {} {} -- ", log.display(), err.display());
    assert!(told(&home).starts_with(&expected), "{}", told(&home));
    let status = app.status();
    let main = process(status.pid.unwrap()).unwrap();
    assert!(main.command_line().contains("web/run"), "{main:#?}");
    let writer = writer(&app);
    app.wait_for_text("logs/web.err", "err\n");
    wait_until("the times of its lines are known", SOON, || {
        let shown = home.ctl(["logs", "-t", "--since", "1m", "web"]).ok();
        let marks = ["--- | started, pid ", "out | out\n", "err | err\n"];
        if marks.iter().all(|mark| shown.stdout.contains(mark)) { Ok(()) } else { Err(shown.to_string()) }
    });
    // The tree of the app is the app's.
    let tree = home.ctl(["status", "-p", "web"]).ok().stdout;
    assert!(!tree.contains("teelog"), "{tree}");
    home.ctl(["stop", "web"]).ok().says("exited 7");
    assert_eq!(app.status().last_exit.unwrap().code, Some(7));
    app.wait_for_output("bye\n");
    assert!(!app.log().contains("EFAIL"));
    wait_until("the writer is gone", SOON, || match process(writer.pid) {
        None => Ok(()),
        Some(left) => Err(format!("{left:#?}")),
    });
    assert!(!app.events().contains("left behind"), "{}", app.events());
}

#[test]
fn auto_takes_it_where_it_is_and_does_without_where_it_is_not() {
    let home = world(STAND_IN);
    home.app("web").run_script("echo hello; exec sleep 60");
    home.finish(ctl(&home, &["start", "web"])).ok();
    home.app("web").wait_for_output("hello\n");
    assert_eq!(told(&home).lines().count(), 1);
    home.ctl(["stop", "web"]).ok();
    // Not in PATH.
    home.ctl(["start", "web"]).ok();
    assert_eq!(told(&home).lines().count(), 1);
    home.ctl(["stop", "web"]).ok();
    home.finish(ctl(&home, &["start", "web", "--config-override", "logging.collector=builtin"])).ok();
    assert_eq!(told(&home).lines().count(), 1);
    home.ctl(["stop", "web"]).ok();
    let refused = home.ctl(["start", "web", "--config-override", "logging.collector=teelog"]).exits(2);
    refused.explains("there is no teelog in PATH").explains("logging.collector = \"auto\"");
    // What will be run is told whole.
    let line = home.finish(ctl(&home, &["--dry-run", "start", "web"])).ok().stdout;
    assert!(
        line.contains("/bin/teelog") && line.contains(" -- daemonrun ") && line.trim_end().ends_with("/web/run"),
        "{line}"
    );
}

#[test]
fn how_it_ends_is_what_the_app_did() {
    let home = world(STAND_IN);
    for (name, does, how) in
        [("three", "exit 3", "exited 3"), ("term", "signal 15", "killed by SIGTERM"), ("zero", "exit 0", "exited 0")]
    {
        let app = home.app(name).behaves(does);
        home.finish(ctl(&home, &["start", name]));
        let status = app.wait_for("its end", |status| status.last_exit.is_some());
        assert!(app.events().contains(how), "{name}: {status:?}\n{}", app.events());
    }
    // Its time is up.
    let app = home.app("long").behaves("sleep").conf("limits.timeout = '200ms'");
    home.finish(ctl(&home, &["start", "long"])).ok();
    app.wait_for_text("logs/long.run", "stopped at its time limit");
    // What cannot be executed is told as always.
    home.app("lost").conf("process.command = '/no/such/program'").file("note", "");
    home.finish(ctl(&home, &["start", "lost"])).exits(1).explains("/no/such/program");
    // A crash is restarted, with a writer of its own.
    let app = home
        .app("again")
        .run_script("echo run; exit 1")
        .conf("[process]\nrestart = \"always\"\nrestart_delay = \"10ms\"\n");
    home.finish(ctl(&home, &["start", "again"]));
    app.wait_for_state("failed");
    assert_eq!(app.log(), "run\n".repeat(4));
}

#[test]
fn rotation_is_its_own_and_no_line_is_lost() {
    let home = world(STAND_IN);
    let app = home.app("web").behaves("lines 5000 0").conf("[logging]\nmax_size = \"20K\"\n");
    home.finish(ctl(&home, &["start", "web"]));
    app.wait_for_state("exited");
    let log = app.path("logs/web.log");
    assert!(archives(&log).len() > 2, "{:?}", archives(&log));
    assert_no_line_lost(&String::from_utf8(everything(&log)).unwrap());
    // `logs` reads them as one.
    let shown = home.ctl(["logs", "--stdout", "-n", "all", "web"]).ok().stdout;
    assert_no_line_lost(&shown);
}

#[test]
fn a_writer_that_fails_is_told_with_its_own_words() {
    let home = world("#!/bin/sh\necho 'teelog: unknown option --max-size' >&2\nexit 1\n");
    home.app("web").behaves("sleep");
    let refused = home.finish(ctl(&home, &["start", "web"])).exits(1);
    refused
        .explains("has ended and not started it: teelog: unknown option")
        .explains("logging.collector = \"builtin\"");
    assert!(home.app("web").processes().is_empty());

    let home = world("#!/bin/sh\nexec sleep 1000\n");
    home.app("web").behaves("sleep").conf("process.start_timeout = '300ms'");
    home.finish(ctl(&home, &["start", "web"])).explains("not started");
    wait_until("nothing is left of it", SOON, || match home.running("sleep 1000") {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:#?}")),
    });
}

#[test]
fn a_writer_that_is_killed_is_replaced_by_the_built_in_collector() {
    let home = world(STAND_IN);
    let app = home.app("web").behaves("lines 0 2000");
    home.finish(ctl(&home, &["start", "web"])).ok();
    app.wait_for_output("line 00000050\n");
    let pid = app.status().pid.unwrap();
    let writer = writer(&app);
    kill(writer.pid, Signal::SIGKILL);
    app.wait_for_text("logs/web.run", "the built-in collector goes on with the logs");
    let seen = app.log().lines().count();
    wait_until("more lines come", SOON, || match app.log().lines().count() {
        now if now > seen + 100 => Ok(()),
        now => Err(now.to_string()),
    });
    assert_eq!(app.status().pid, Some(pid));
    home.ctl(["stop", "web"]).ok();
    // Lost is at most what the writer had taken and not written.
    let log = app.log();
    assert!(log.lines().last().unwrap().starts_with("end "), "{log}");
}

#[test]
fn it_survives_the_supervisor_and_its_keeper() {
    let home = world(STAND_IN);
    let app = home.app("web").behaves("lines 0 2000");
    home.finish(ctl(&home, &["start", "web"])).ok();
    app.wait_for_output("line 00000020\n");
    let pid = app.status().pid.unwrap();
    let (supervisor, keeper) = home.pair("web");
    kill(supervisor.pid, Signal::SIGKILL);
    wait_until("another supervisor has it", SOON, || match app.status() {
        status if status.supervisor.is_some_and(|now| now != supervisor.pid) => Ok(()),
        status => Err(format!("{status:?}")),
    });
    assert_eq!(app.status().pid, Some(pid));
    // Both.
    let (supervisor, _) = home.pair("web");
    kill(keeper.pid, Signal::SIGKILL);
    kill(supervisor.pid, Signal::SIGKILL);
    wait_until("the next one has taken it over", SOON, || match app.status() {
        status if status.supervisor.is_some_and(|now| now != supervisor.pid) && status.pid == Some(pid) => Ok(()),
        status => Err(format!("{status:?}")),
    });
    assert_eq!(process(pid).unwrap().ppid, writer(&app).pid);
    home.ctl(["stop", "web"]).ok();
    assert_no_line_lost(&app.log());
    assert!(home.running("teelog").is_empty());
}

#[test]
fn the_one_that_comes_with_the_program_does_it_too() {
    let home = world("");
    copy_program(&binary("teelog"), &home.base().join("bin/teelog"), 0o755);
    let app = home.app("web").behaves("lines 0 500").conf("[logging]\ncollector = \"teelog\"\nmax_size = \"10K\"\n");
    home.finish(ctl(&home, &["start", "web"])).ok();
    wait_until("it is rotated", SOON, || {
        let files = fs::read_dir(app.path("logs")).into_iter().flatten().filter_map(Result::ok).count();
        if files > 8 { Ok(()) } else { Err(files.to_string()) }
    });
    home.ctl(["stop", "web"]).ok();
    assert_no_line_lost(&home.ctl(["logs", "--stdout", "-n", "all", "web"]).ok().stdout);
}

#[test]
fn walls_and_another_user_are_the_apps_alone() {
    if !is_root("another user") {
        return;
    }
    let home = world(STAND_IN);
    let app = home.app("web").run_script("id -un; ls /tmp | wc -l; grep NoNewPrivs /proc/self/status; exec sleep 60");
    let asked = ["start", "web", "-u", "nobody", "--private-tmp", "--seccomp"];
    home.finish(ctl(&home, &asked)).ok();
    app.wait_for_output("nobody\n");
    app.wait_for_output("NoNewPrivs:\t1\n");
    let uid = |pid: i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.lines().find_map(|line| line.strip_prefix("Uid:\t")?.split('\t').next().map(str::to_owned)).unwrap()
    };
    assert_eq!((uid(app.status().pid.unwrap()), uid(writer(&app).pid)), ("65534".to_owned(), "0".to_owned()));
    home.ctl(["stop", "web"]).ok();
}

#[test]
fn run_shows_what_it_passes_on_and_not_its_verdict() {
    let home = world(STAND_IN);
    home.app("web").run_script(&format!("echo hello; {} exit 5", testapp().display()));
    let output = home.finish(ctl(&home, &["run", "web"])).exits(5);
    assert_eq!(output.stdout, "hello\n");
}
