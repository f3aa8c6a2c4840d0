//! `daemonrun` alone: in the place of a command, as its parent, and into the background.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{Foreground, Home, Output, SOON, binary, kill, process, testapp, wait_until};

/// `daemonrun FLAGS -- testapp BEHAVIOUR`.
fn line(flags: &[&str], behaviour: &[&str]) -> Vec<String> {
    let app = testapp().to_string_lossy().into_owned();
    flags
        .iter()
        .map(|flag| (*flag).to_owned())
        .chain(["--".to_owned(), app])
        .chain(behaviour.iter().map(|word| (*word).to_owned()))
        .collect()
}

fn begin(home: &Home, flags: &[&str], behaviour: &[&str]) -> Foreground {
    home.begin(home.program(&binary("daemonrun"), line(flags, behaviour)))
}

fn sh(home: &Home, flags: &[&str], script: &str) -> Output {
    home.daemonrun(flags.iter().chain(&["--", "sh", "-c", script]))
}

fn path(home: &Home, name: &str) -> PathBuf {
    home.base().join(name)
}

fn text(path: &PathBuf) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Waits until a file contains this text, and returns all of it.
#[track_caller]
fn wait_for(path: &PathBuf, part: &str) -> String {
    wait_until(&format!("{} contains {part:?}", path.display()), SOON, || match text(path) {
        all if all.contains(part) => Ok(all),
        all => Err(all),
    })
}

#[test]
fn a_parent_ends_as_its_command_does() {
    let home = Home::new();
    for mode in [&[] as &[&str], &["-F"], &["-F", "--no-setsid"]] {
        home.daemonrun(line(mode, &["exit", "7"])).exits(7);
        home.daemonrun(line(mode, &["signal", "9"])).exits(137);
        // A real-time signal, which has no name everywhere.
        home.daemonrun(line(mode, &["signal", "40"])).exits(168);
        let output = sh(&home, mode, "read line; echo $line; echo problem >&2; exit 3");
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("\n", "problem\n"), "{output}");
        output.exits(3);
    }
}

#[test]
fn the_step_that_fails_is_named_whatever_the_mode() {
    let home = Home::new();
    for mode in [&[] as &[&str], &["-F"], &["-d"], &["-d", "--timeout=60"]] {
        let failing = |flags: &[&str], command: &str| home.daemonrun(mode.iter().chain(flags).chain(&["--", command]));
        failing(&[], "no-such-program").exits(127).explains("daemonrun: cannot run no-such-program");
        failing(&["--user=no-such-user"], "true").exits(101).explains("no such user");
        failing(&["--chdir=/no/such/place"], "true").exits(110).explains("cannot enter /no/such/place");
        failing(&["--env-file=/no/such.env"], "true").exits(102).explains("/no/such.env");
        failing(&["--stdout=/proc/self/status/x"], "true").exits(107).explains("cannot append output");
        failing(&[], "/etc/passwd").exits(126);
    }
    let pidfile = path(&home, "never.pid");
    home.daemonrun([&*format!("--pidfile={}", pidfile.display()), "-d", "--", "no-such-program"]).exits(127);
    assert!(!pidfile.exists(), "what never ran has no pid file");
    home.daemonrun(["-F", "--log=/proc/self/status/x", "--", "true"]).exits(125).explains("cannot write events");
}

#[test]
fn what_would_have_no_effect_is_refused() {
    let home = Home::new();
    for (flags, why) in [
        (&["--timeout=5"] as &[&str], "--timeout needs a parent"),
        (&["--pidfile=x"], "--pidfile needs a parent"),
        (&["--stop-signal=INT"], "--stop-signal needs a parent"),
        (&["--no-signal-forward"], "--no-signal-forward needs a parent"),
        (&["-F", "--group=web"], "--group is about the lines of the event log"),
        (&["-d", "--log-level=warn"], "--log-level is about the lines of the event log"),
        (&["-F", "-d"], "cannot be used with"),
        (&["-q", "-v"], "cannot be used with"),
        (&["--sandbox-profile=x"], "it is a profile for firejail"),
        (&["--config-override=process.restart=always"], "is not the launcher's matter"),
    ] {
        home.daemonrun(flags.iter().chain(&["--", "true"])).exits(100).explains(why);
    }
}

#[test]
fn signals_are_passed_on_as_asked() {
    let all = ["USR1", "USR2", "HUP", "QUIT", "WINCH"];
    for (flags, arrive) in [
        (&[] as &[&str], "USR1 USR2 HUP QUIT"),
        (&["-A"], "USR1 USR2 HUP QUIT"),
        (&["--no-signal-forward"], ""),
        (&["--no-signal-forward", "-A"], "USR1 USR2 HUP QUIT"),
        (&["--signal=USR2,WINCH"], "USR2 WINCH"),
        (&["-S", "USR2", "-S", "WINCH"], "USR2 WINCH"),
        (&["--preserve-signals=USR2,HUP"], "USR1 QUIT"),
        (&["--reload-signal=USR1"], "USR1 USR2 USR1 QUIT"),
    ] {
        let home = Home::new();
        let file = path(&home, "signals");
        let parent = begin(&home, &[&["-F"], flags].concat(), &["record", &file.to_string_lossy()]);
        wait_for(&file, "ready\n");
        let mut expected = "ready\n".to_owned();
        let mut arrivals = arrive.split_whitespace();
        let mut next = arrivals.next();
        for name in all {
            parent.signal(format!("SIG{name}").parse().unwrap());
            // One after the other: what is pending together has no order.
            let sent = if name == "HUP" && flags.contains(&"--reload-signal=USR1") { "USR1" } else { name };
            if next == Some(sent) {
                expected += &format!("{sent}\n");
                wait_until("it has arrived", SOON, || match text(&file) {
                    all if all == expected => Ok(()),
                    all => Err(all),
                });
                next = arrivals.next();
            }
        }
        parent.signal(Signal::SIGTERM);
        parent.wait().exits(0);
        assert_eq!(text(&file), expected + "TERM\n", "{flags:?}");
    }
}

#[test]
fn what_the_caller_ignores_is_not_passed_on() {
    let home = Home::new();
    let file = path(&home, "signals");
    let script = format!(
        "trap '' HUP; exec {} -F -- {} record {}",
        binary("daemonrun").display(),
        testapp().display(),
        file.display()
    );
    let parent = home.begin(home.program("/bin/sh".as_ref(), ["-c", &script]));
    wait_for(&file, "ready\n");
    parent.signal(Signal::SIGHUP);
    parent.signal(Signal::SIGUSR1);
    wait_for(&file, "USR1\n");
    parent.signal(Signal::SIGTERM);
    parent.wait().exits(0);
    assert_eq!(text(&file), "ready\nUSR1\nTERM\n");
}

#[test]
fn the_stop_signal_comes_first_and_then_sigkill() {
    let home = Home::new();
    let parent = begin(&home, &["-F"], &["slow-term", "50", "7"]);
    parent.wait_for_output("ready\n");
    parent.signal(Signal::SIGINT);
    let output = parent.wait().exits(7);
    assert_eq!(output.stdout, "ready\nstopping\nstopped\n", "{output}");

    let parent = begin(&home, &["-F", "--stop-signal=USR1"], &["exit-on-usr1", "9"]);
    parent.wait_for_output("ready\n");
    parent.signal(Signal::SIGTERM);
    parent.wait().exits(9);

    let parent = begin(&home, &["-F", "--kill-timeout=200ms"], &["ignore-term"]);
    parent.wait_for_output("ready\n");
    parent.signal(Signal::SIGTERM);
    let output = parent.wait().exits(137).explains("still running after 200ms: 1 process killed");
    assert!(output.took > Duration::from_millis(200), "{output}");

    let parent = begin(&home, &["-F", "--kill-timeout=1h", "--quiet"], &["ignore-term"]);
    parent.wait_for_output("ready\n");
    parent.signal(Signal::SIGTERM);
    parent.signal(Signal::SIGINT);
    let output = parent.wait().exits(137);
    assert_eq!(output.stderr, "", "{output}");
}

#[test]
fn a_time_limit_is_kept_in_both_modes() {
    let home = Home::new();
    let output = home.daemonrun(line(&["-F", "--timeout=300ms", "--kill-timeout=200ms"], &["ignore-term"]));
    assert!(output.took >= Duration::from_millis(500) && output.took < Duration::from_secs(5), "{output}");
    output.exits(124).explains("it has run for 300ms").explains("still running after 200ms");
    home.daemonrun(line(&["-F", "--timeout=300ms"], &["slow-term", "10", "3"])).exits(124);
    home.daemonrun(line(&["-F", "--timeout=60s"], &["exit", "3"])).exits(3);

    let (pidfile, log) = (path(&home, "web.pid"), path(&home, "sub/web.run"));
    let flags = [
        "--daemon",
        "--timeout=300ms",
        &format!("--pidfile={}", pidfile.display()),
        &format!("-l{}", log.display()),
        "-gweb",
    ];
    let output = home.daemonrun(line(&flags, &["sleep"])).ok();
    assert!(output.took < Duration::from_secs(5), "{output}");
    let events = wait_for(&log, "killed by SIGTERM");
    let told: Vec<_> = events.lines().map(|line| line.splitn(3, ' ').collect::<Vec<_>>()).collect();
    for line in &told {
        humantime::parse_rfc3339(line[0]).unwrap_or_else(|error| panic!("{error} in {events}"));
        assert!(line[2].trim_start().starts_with("web: "), "{events}");
    }
    assert!(events.contains(" warn  web: stopping: it has run for 300ms"), "{events}");
    assert!(events.contains("web: started, pid "), "{events}");
    home.wait_until_none_runs("testapp");
    home.wait_until_none_runs("daemonrun");
    assert!(!pidfile.exists(), "the parent removes it");
}

#[test]
fn what_a_command_leaves_behind_does_not_outlive_it() {
    let home = Home::new();
    // Asked to, with children in sessions of their own that ignore it.
    let parent = begin(&home, &["-F", "-k200ms"], &["fork-setsid", "3"]);
    parent.wait_for_output("ready\n");
    assert_eq!(home.running("fork-setsid").iter().filter(|one| one.comm == "testapp").count(), 4);
    parent.signal(Signal::SIGTERM);
    parent.wait().exits(143);
    assert!(home.running("testapp").is_empty());

    // By itself.
    let script = "\"$0\" fork-setsid 2 > out & until grep -qs ready out; do :; done; exit 3";
    let app = testapp().to_string_lossy().into_owned();
    home.daemonrun(["-F", "-k200ms", "--", "sh", "-c", script, &app]).exits(3).explains("left behind");
    assert!(home.running("testapp").is_empty());

    // Asked a second time.
    let parent = begin(&home, &["-F", "-k1h"], &["fork-setsid", "2"]);
    parent.wait_for_output("ready\n");
    parent.signal(Signal::SIGTERM);
    wait_until("the command has ended", SOON, || match home.running("testapp").len() {
        // Two that are left, and the parent, whose command line names it.
        3 => Ok(()),
        seen => Err(seen.to_string()),
    });
    parent.signal(Signal::SIGTERM);
    parent.wait().exits(143);
    assert!(home.running("testapp").is_empty());
}

#[test]
fn a_launch_that_hangs_can_be_given_up() {
    let home = Home::new();
    let script = path(&home, "env.sh");
    fs::write(&script, "echo > begun; sleep 1000\n").unwrap();
    let parent = begin(&home, &["-F", &format!("--env-script={}", script.display())], &["sleep"]);
    let begun = path(&home, "begun");
    wait_until("the script runs", SOON, || if begun.exists() { Ok(()) } else { Err(String::new()) });
    parent.signal(Signal::SIGTERM);
    parent.wait().exits(143);
    assert!(home.running("sleep").is_empty());
}

#[test]
fn children_of_the_caller_are_not_the_commands() {
    let home = Home::new();
    let script = format!("sleep 1000 & exec {} -F -- true", binary("daemonrun").display());
    let mut command = home.program("/bin/sh".as_ref(), ["-c", &script]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("it ends", SOON, || child.try_wait().unwrap().ok_or_else(String::new));
    // The shell's child may have become `sleep` only after that; nobody but this story ends it.
    wait_until("the child of the caller is still there", SOON, || match home.running("sleep 1000").as_slice() {
        [one] if one.comm == "sleep" => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn a_command_whose_parent_is_killed_is_asked_to_end() {
    let home = Home::new();
    let file = path(&home, "signals");
    let parent = begin(&home, &["-F"], &["record", &file.to_string_lossy()]);
    wait_for(&file, "ready\n");
    parent.signal(Signal::SIGKILL);
    wait_for(&file, "TERM\n");
    home.wait_until_none_runs("record");
}

#[test]
fn the_background_holds_nothing_of_the_callers() {
    let home = Home::new();
    let (pidfile, out, err) = (path(&home, "run/web.pid"), path(&home, "logs/web.out"), path(&home, "logs/web.err"));
    let flags = [
        "-d".to_owned(),
        format!("--pidfile={}", pidfile.display()),
        format!("--stdout={}", out.display()),
        format!("--stderr={}", err.display()),
    ];
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    fs::create_dir(path(&home, "logs")).unwrap();
    fs::write(&out, "before\n").unwrap();
    // It returns, and nobody holds the pipes: `ok` waits for the end of both.
    home.daemonrun(line(&flags, &["probe"])).ok();
    let pid: i32 = text(&pidfile).trim().parse().unwrap();
    let text = wait_for(&out, "}\n");
    let probe: serde_json::Value = serde_json::from_str(text.strip_prefix("before\n").unwrap()).unwrap();
    assert_eq!(
        (probe["pid"].as_i64(), probe["sid"].as_i64(), probe["tty"].as_i64()),
        (Some(pid.into()), Some(pid.into()), Some(0))
    );
    assert_eq!((probe["stdin"].as_str(), &probe["fds"]), (Some("/dev/null"), &serde_json::json!([0, 1, 2])));
    assert_eq!(probe["sig_blk"], "0000000000000000");
    assert_eq!(fs::read_to_string(&err).unwrap(), "");
    wait_until("nothing stays but the command", SOON, || match home.running("daemonrun") {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });
    let other = home.daemonrun(line(&flags, &["sleep"])).exits(123);
    other.explains(&format!("cannot write the pid file {}: process {pid} is running", pidfile.display()));
    kill(pid, Signal::SIGTERM);
    home.wait_until_none_runs("testapp");
    // The file is left over, and does not stand in the way.
    assert!(pidfile.exists());
    home.daemonrun(line(&flags, &["sleep"])).ok();
    let new: i32 = fs::read_to_string(&pidfile).unwrap().trim().parse().unwrap();
    assert!(new != pid && process(new).is_some());
    assert_eq!(fs::read_dir(pidfile.parent().unwrap()).unwrap().count(), 1, "nothing else is left there");
}

#[test]
fn a_parent_in_the_background_is_one() {
    let home = Home::new();
    let (pidfile, log, out) = (path(&home, "web.pid"), path(&home, "web.run"), path(&home, "out"));
    let files = [
        format!("--pidfile={}", pidfile.display()),
        format!("--log={}", log.display()),
        format!("--stdout={}", out.display()),
    ];
    let flags: Vec<&str> = ["-d", "--stop-signal=USR1"].into_iter().chain(files.iter().map(String::as_str)).collect();
    home.daemonrun(line(&flags, &["exit-on-usr1", "9"])).ok();
    wait_for(&out, "ready\n");
    let command = process(text(&pidfile).trim().parse().unwrap()).unwrap();
    let parent = process(command.ppid).unwrap();
    assert_eq!(parent.comm, "daemonrun");
    // It lets go of where it was started when the command runs.
    let link = |name: &str| fs::read_link(format!("/proc/{}/{name}", parent.pid)).unwrap();
    wait_until("it is in the background", SOON, || match ["cwd", "fd/0", "fd/1", "fd/2"].map(link) {
        [cwd, fds @ ..] if cwd == *"/" && fds.iter().all(|fd| fd == "/dev/null") => Ok(()),
        links => Err(format!("{links:?}")),
    });
    kill(parent.pid, Signal::SIGTERM);
    wait_for(&log, "exited 9");
    assert!(text(&log).contains("stopping: SIGTERM was received"), "{}", text(&log));
    home.wait_until_none_runs("daemonrun");
    assert!(!pidfile.exists());
}

#[test]
fn a_pid_file_is_not_written_through_a_link() {
    let home = Home::new();
    let (target, link) = (path(&home, "target"), path(&home, "web.pid"));
    symlink(&target, &link).unwrap();
    for mode in ["-F", "-d"] {
        let flag = format!("--pidfile={}", link.display());
        home.daemonrun([mode, &flag, "--", "true"]).exits(123).explains("it is a symlink");
    }
    assert!(!target.exists());
}

#[test]
fn in_the_foreground_the_pid_file_goes_with_the_command() {
    let home = Home::new();
    let pidfile = path(&home, "web.pid");
    let flag = format!("--pidfile={}", pidfile.display());
    let parent = begin(&home, &["-F", &flag], &["slow-term", "0", "0"]);
    parent.wait_for_output("ready\n");
    let pid: i32 = text(&pidfile).trim().parse().unwrap();
    assert_eq!(process(pid).map(|one| one.ppid), Some(parent.pid()), "the command's, not its parent's");
    home.daemonrun(line(&["-F", &flag], &["sleep"])).exits(123).explains("is running");
    assert!(pidfile.exists(), "who is refused removes nothing");
    parent.signal(Signal::SIGTERM);
    parent.wait().ok();
    assert!(!pidfile.exists());
}

#[test]
fn steps_are_told_when_asked_for() {
    let home = Home::new();
    for mode in [&[] as &[&str], &["-F"], &["-d"]] {
        let verbose = home.daemonrun(mode.iter().chain(&["-v", "--umask=077", "--", "true"])).ok();
        verbose.explains("daemonrun: set the umask to 077\n").explains("daemonrun: run the command\n");
        let plain = home.daemonrun(mode.iter().chain(&["--umask=077", "--", "true"])).ok();
        assert_eq!(plain.stderr, "", "{plain}");
        let explained = home.daemonrun(mode.iter().chain(&["--explain", "--umask=077", "--", "touch", "done"])).ok();
        explained.says("set the umask to 077").says("run touch done");
    }
    let explained =
        home.daemonrun(["-d", "--explain", "--pidfile=web.pid", "--timeout=1h", "--", "touch", "done"]).ok();
    let explained = explained.says("go to the background").says("write its pid to ").says("keep the time limit");
    explained.says("get SIGTERM when the parent ends");
    assert!(!home.root().join("done").exists() && !home.root().join("web.pid").exists());
}

/// A command on a terminal of its own: what a person types goes into the file, and what they see comes out of it.
fn on_a_terminal(home: &Home, args: Vec<String>) -> (std::process::Child, File) {
    let pty = nix::pty::openpty(None, None).unwrap();
    let end = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
    let mut command: Command =
        home.program("/usr/bin/setsid".as_ref(), [["--ctty".to_owned()].to_vec(), args].concat());
    let child = command.stdin(end(&pty.slave)).stdout(end(&pty.slave)).stderr(end(&pty.slave)).spawn().unwrap();
    (child, File::from(pty.master))
}

#[test]
fn a_command_may_be_the_job_of_a_terminal() {
    let home = Home::new();
    let script = "read _ _ _ _ group _ _ foreground _ < /proc/$$/stat; echo [$((group == $$)) $((group == foreground))]; \
                  trap 'echo again' CONT; trap 'exit 5' INT; while :; do read line; echo got $line; done";
    let daemonrun = binary("daemonrun").to_string_lossy().into_owned();
    let args = [&daemonrun, "-F", "--no-setsid", "--", "sh", "-c", script].map(str::to_owned).to_vec();
    let (mut child, mut terminal) = on_a_terminal(&home, args);
    let pid = child.id() as i32;
    let mut output = terminal.try_clone().unwrap();
    let (send, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut block = [0; 1024];
        while let Ok(read @ 1..) = output.read(&mut block) {
            let _ = send.send(String::from_utf8_lossy(&block[..read]).into_owned());
        }
    });
    let mut all = String::new();
    let mut wait_to_see = |part: &str| {
        wait_until(&format!("{part:?} is shown"), SOON, || {
            all.extend(seen.try_iter());
            if all.contains(part) { Ok(()) } else { Err(all.clone()) }
        });
    };
    wait_to_see("[1 1]");
    terminal.write_all(b"hello\n").unwrap();
    wait_to_see("got hello");
    // Ctrl-Z: both stop, and go on together.
    terminal.write_all(b"\x1a").unwrap();
    wait_until("the parent has stopped", SOON, || match process(pid) {
        Some(one) if one.state == 'T' => Ok(()),
        other => Err(format!("{other:?}")),
    });
    kill(pid, Signal::SIGCONT);
    wait_to_see("again");
    terminal.write_all(b"once more\n").unwrap();
    wait_to_see("got once more");
    terminal.write_all(b"\x03").unwrap();
    let status = wait_until("it ends", SOON, || child.try_wait().unwrap().ok_or_else(String::new));
    assert_eq!(status.code(), Some(5));
}
