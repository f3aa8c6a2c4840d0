//! What is seen of apps where `run` or `start --attach` was typed: on a terminal, on pipes, and on neither in time.

use nix::sys::signal::Signal;

use crate::support::{Home, SOON, Shows, Terminal, assert_no_line_lost, binary, kill, process, wait_until};

/// Text without its colours.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut parts = text.split("\x1b[");
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (_, rest) = part.split_once('m').unwrap_or_else(|| panic!("more than colours: {text:?}"));
        plain.push_str(rest);
    }
    plain
}

/// Ends a `run` with Ctrl-C; returns what its terminal has shown.
fn end(mut run: Terminal) -> String {
    run.ctrl_c();
    run.wait().1
}

#[test]
fn one_app_has_the_terminal_as_if_it_were_its_own() {
    let home = Home::new();
    let web = home.app("web").run_script(
        r"printf '\033[2J\033[31mred\033[0m\n'; printf 'ten\rtwenty\n'; echo problem >&2; printf 'prompt> '; exec sleep 1000",
    );
    let run = home.on_terminal(&["run", "web"]);
    let all = ["\x1b[2J\x1b[31mred\x1b[0m\n", "ten\rtwenty\n", "problem\n", "prompt> ", "started"];
    wait_until("all is there, as it was written", SOON, || {
        let seen = run.text();
        if all.iter().all(|part| seen.contains(part)) { Ok(()) } else { Err(format!("{seen:?}")) }
    });
    let pid = web.status().main_pid();
    home.ctl(["stop", "web"]).ok();
    let (code, seen) = run.wait();
    assert_eq!(code, 143, "{seen:?}");
    assert!(seen.contains(&format!("\x1b[2mdaemonctl: web: started, pid {pid}\x1b[0m\n")), "{seen:?}");
    // What is said begins a line, also where the app has left one open.
    assert!(plain(&seen.replace("\x1b[2J", "")).contains("\ndaemonctl: web: stopping with SIGTERM\n"), "{seen:?}");
}

#[test]
fn a_pipe_gets_exactly_the_bytes_of_one_app() {
    let home = Home::new();
    let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    home.app("web").file("bytes", &bytes).run_script(r"cat $APPDEPLOY_APP_PATH/bytes; printf 'no end'");
    // Through files, for bytes that are no text.
    let (out, err) = (home.base().join("out"), home.base().join("err"));
    let mut command = home.command(["run", "web"]);
    let create = |path| std::fs::File::create(path).expect("a file");
    command.stdout(create(&out)).stderr(create(&err));
    assert!(command.status().expect("a run").success());
    assert!(std::fs::read(&out).expect("output") == [&bytes[..], b"no end"].concat(), "not the same bytes");
    let said = std::fs::read_to_string(&err).expect("what is said");
    assert!(said.lines().all(|line| line.starts_with("daemonctl: web: ")) && said.lines().count() == 2, "{said}");
}

#[test]
fn several_apps_stand_in_columns_with_a_colour_each() {
    let home = Home::new();
    home.app("web").run_script(r"printf '\033[32mok\033[0m\033[2J\n'; echo problem >&2; exec sleep 1000");
    home.app("cache").run_script(r"echo ready; printf '10%%\r50%%\r100%%\n'; exec sleep 1000");
    home.app("db").run_script("echo named; exec sleep 1000").conf("daemon.name = 'postgres'");
    let apps = ["run", "web", "cache", "db"];
    let lines = [
        "web      | ok\\x1b[2J\n",
        "web      ! problem\n",
        "cache    | ready\n",
        "cache    | 100%\n",
        "postgres | named\n",
    ];
    let run = home.on_terminal(&apps);
    wait_until("each line is there", SOON, || {
        let seen = plain(&run.text());
        if lines.iter().all(|line| seen.contains(line)) { Ok(()) } else { Err(seen) }
    });
    let seen = end(run);
    let labels: Vec<&str> = ["web ", "cache ", "postgres "]
        .iter()
        .map(|label| {
            let at = seen.find(&format!("m{label}")).unwrap_or_else(|| panic!("{label} in {seen:?}"));
            &seen[seen[..at].rfind('\x1b').expect("a colour")..at]
        })
        .collect();
    assert!(labels[0] != labels[1] && labels[1] != labels[2] && labels[2] != labels[0], "{labels:?}");
    assert!(seen.contains("\x1b[32mok\x1b[0m"), "the app's own colour: {seen:?}");

    // Without colour, nothing but text is on the terminal.
    let without = [
        (vec!["--no-color"], vec![("TERM", "xterm")]),
        (vec![], vec![("TERM", "xterm"), ("NO_COLOR", "1")]),
        (vec![], vec![("TERM", "dumb")]),
        (vec![], vec![]),
    ];
    for (options, variables) in without {
        let args = [&options[..], &apps[..]].concat();
        let run = home.on_terminal_with(&args, Shows::Both, &variables);
        wait_until("each line is there", SOON, || {
            let seen = run.text();
            if lines.iter().all(|line| seen.contains(line)) { Ok(()) } else { Err(seen) }
        });
        let seen = end(run);
        assert!(!seen.contains('\x1b'), "{args:?} with {variables:?}: {seen:?}");
    }
}

#[test]
fn each_output_is_judged_by_itself() {
    let home = Home::new();
    for name in ["web", "db"] {
        home.app(name).run_script(r"printf '\033[32mok\033[0m\007\n'; printf '\007problem\n' >&2; exec sleep 1000");
    }
    for (shows, on_terminal, piped) in [
        (Shows::Out, "\x1b[32mok\x1b[0m\\x07\n", " ! \x07problem\n"),
        (Shows::Err, "\\x07problem\n", " | \x1b[32mok\x1b[0m\x07\n"),
    ] {
        let run = home.on_terminal_with(&["run", "web", "db"], shows, &[("TERM", "xterm")]);
        let count = |text: &str, part: &str| text.matches(part).count();
        wait_until("both lines of both", SOON, || match (run.text(), run.piped()) {
            (seen, other) if count(&seen, on_terminal) == 2 && count(&other, piped) == 2 => Ok(()),
            (seen, other) => Err(format!("{seen:?}\n{other:?}")),
        });
        let other = run.piped();
        assert!(other.starts_with("web ") || other.starts_with("db  ") || other.starts_with("daemonctl"), "{other:?}");
        assert!(end(run).contains("\x1b[38;5;"), "{shows:?}");
    }
}

#[test]
fn lines_of_several_apps_stay_whole_and_a_prompt_is_seen() {
    let home = Home::new();
    let name = home.base().join("go");
    nix::unistd::mkfifo(&name, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    home.app("ask").run_script(&format!("printf 'name? '; read name < {}; echo \"hello $name\"", name.display()));
    home.app("busy").behaves("lines 0 500");
    let run = home.on_terminal(&["run", "--no-color", "ask", "busy"]);
    // Its end has not come, and may never come.
    let before = run.wait_for("ask  | name? ");
    assert!(before.contains("\nask  | name? ") || before.starts_with("ask  | name? "), "{before}");
    std::fs::write(&name, "you\n").expect("somebody reads");
    run.wait_for("hello you\n");
    let seen = end(run);
    for line in seen.lines().filter(|line| !line.starts_with("daemonctl: ")) {
        let whole = match line.strip_prefix("busy | ") {
            Some(text) => text.starts_with("line ") && text.len() == 13 || text.starts_with("end "),
            None => ["ask  | name? ", "ask  | hello you", "ask  | name? hello you"].contains(&line),
        };
        assert!(whole, "{line:?} in\n{seen}");
    }
}

#[test]
fn a_terminal_that_is_stopped_slows_no_app_and_says_what_it_missed() {
    let home = Home::new();
    // 12 MB: three times what may wait for the terminal.
    let count = 900_000;
    let flood = home.app("flood").run_script(&format!(
        "while [ ! -e $APPDEPLOY_APP_PATH/go ]; do sleep 0.02; done; seq -f 'line %08.0f' 0 {}; exec sleep 1000",
        count - 1
    ));
    let mut run = home.on_terminal(&["run", "--no-color", "flood"]);
    run.wait_for("started");
    run.stop();
    flood.file("go", "");
    let last = format!("line {:08}\n", count - 1);
    let log = wait_until("the log is complete", SOON * 4, || {
        let log = flood.log();
        if log.ends_with(&last) { Ok(log) } else { Err(format!("{} bytes", log.len())) }
    });
    assert_eq!(log.lines().count(), count);
    let shown = run.text().len();
    assert!(shown < 1 << 20, "the terminal was not stopped: {shown} bytes came");
    let supervisor = flood.status().supervisor.expect("a supervisor");
    let memory = peak_memory(supervisor);
    eprintln!("{shown} bytes shown, supervisor at most {} MiB", memory >> 20);
    assert!(memory < 100 << 20, "{memory} bytes of memory");

    run.go_on();
    run.wait_for("they are in the log\n");
    run.ctrl_c();
    let (_, seen) = run.wait_within(SOON * 4);
    let mut next = 0u64;
    let mut skips = 0;
    for line in seen.lines() {
        if let Some((_, rest)) = line.split_once("daemonctl: flood: … ") {
            next += rest.split(' ').next().and_then(|lines| lines.parse::<u64>().ok()).expect("a number of lines");
            skips += 1;
        } else if !line.starts_with("daemonctl: ") {
            assert_eq!(line, format!("line {next:08}"));
            next += 1;
        }
    }
    assert_eq!(next, count as u64, "each line was shown, or counted, after {skips} gaps");
    assert!(skips >= 1);
}

#[test]
fn a_terminal_that_is_stopped_does_not_stop_a_supervisor_that_has_much_to_say() {
    let home = Home::new();
    let always = "process.restart = 'always'\nprocess.restart_delay = '1ms'\nprocess.restart_delay_max = '1ms'";
    let web = home.app("web").run_script("exit 1").conf(&format!("{always}\nprocess.restart_max_attempts = 0"));
    // No event can be written to a directory, and each time this is said.
    std::fs::create_dir_all(web.path("logs/web.run")).expect("a directory");
    let mut run = home.on_terminal(&["run", "web"]);
    run.wait_for("cannot write an event");
    run.stop();
    let seen = web.status().restarts;
    // Far more words than fit into a terminal.
    web.wait_within(SOON * 3, "restarted as before", |status| status.restarts > seen + 300);
    home.ctl(["stop", "web"]).ok();
    run.go_on();
    run.wait();
}

/// The most memory that a process has used, in bytes.
fn peak_memory(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

#[test]
fn a_pipe_that_nobody_reads_slows_no_app_and_hides_no_other() {
    let home = Home::new();
    let (flood, quiet) = (home.app("flood").behaves("flood"), home.app("quiet").behaves("exit-on-usr1 0"));
    let mut command = home.command(["run", "flood", "quiet"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut run = command.spawn().expect("a run");
    wait_until("far more is in the log than may wait", SOON * 2, || {
        let size = std::fs::metadata(flood.path("logs/flood.log")).map_or(0, |meta| meta.len());
        if size > 64 << 20 { Ok(()) } else { Err(format!("{size} bytes")) }
    });
    quiet.wait_for_output("ready\n");
    home.ctl(["stop", "flood"]).ok();
    home.ctl(["kill", "quiet", "USR1"]).ok();
    // The reader has slept, and finds the quiet one beside all that.
    let mut seen = Vec::new();
    let mut pipe = run.stdout.take().expect("a pipe");
    std::io::Read::read_to_end(&mut pipe, &mut seen).expect("output");
    assert!(run.wait().is_ok());
    let seen = String::from_utf8(seen).expect("text");
    assert!(seen.contains("quiet | ready\n"), "{} bytes", seen.len());
    let line = "flood | all work and no play makes jack a dull boy";
    let wrong = seen.lines().find(|seen| *seen != line && !seen.starts_with("quiet | ") && !line.starts_with(seen));
    assert_eq!(wrong, None);
}

#[test]
fn a_reader_that_goes_away_ends_the_run() {
    let home = Home::new();
    let app = home.app("web").behaves("lines 0 1000").conf("process.restart = 'always'");
    // `daemonctl run web | head -n 3`, in the shell's own words.
    let line = r#"{ "$0" run web; echo "code $?" >&2; } | head -n 3"#;
    let sh = std::path::Path::new("/bin/sh");
    let command = home.program(sh, ["-c", line, &*binary("daemonctl").to_string_lossy()]);
    let output = home.finish(command).ok();
    assert_eq!(output.stdout, "line 00000000\nline 00000001\nline 00000002\n", "{output}");
    let output = output.explains("daemonctl: nobody reads standard output any more: stopping\n");
    // Stopped as by Ctrl-C: the app had its time, and its own exit code is that of the run.
    output.explains("code 0\n");
    assert_no_line_lost(&app.log());
    app.wait_until_gone();
    home.wait_until_unsupervised();
}

#[test]
fn a_window_may_change_its_size_meanwhile() {
    let home = Home::new();
    home.app("web").behaves("lines 0 2000");
    home.app("db").behaves("lines 0 2000");
    let run = home.on_terminal(&["run", "--no-color", "web", "db"]);
    run.wait_for("db  | line 00000010\n");
    run.resize(50, 200);
    let seen = run.text().matches("db  | line ").count();
    run.wait_for(&format!("db  | line {:08}\n", seen + 50));
    let seen = end(run);
    let web: String =
        seen.lines().filter_map(|line| line.strip_prefix("web | ")).fold(String::new(), |all, line| all + line + "\n");
    assert_no_line_lost(&web);
}

#[test]
fn attached_start_looks_like_run() {
    let home = Home::new();
    let script = r"printf '\033[32mok\033[0m\007\n'; echo problem >&2; printf 'prompt> '; exec sleep 1000";
    for name in ["web", "cache"] {
        home.app(name).run_script(script);
    }
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for command in [&["run"][..], &["start", "--attach"][..]] {
        let mut one = home.on_terminal(&[command, &["web"]].concat());
        let seen = one.wait_for("prompt> ");
        alone.push(["\x1b[32mok\x1b[0m\x07\n", "problem\n"].map(|part| seen.contains(part)));
        one.ctrl_c();
        one.wait();
        home.ctl(["stop", "web"]);
        let two = home.on_terminal(&[command, &["web", "cache"]].concat());
        let mut lines = wait_until("all is there", SOON, || {
            let seen = two.text();
            let lines: Vec<String> =
                seen.lines().filter(|line| line.contains("\x1b[38;5;")).map(str::to_owned).collect();
            if seen.matches("prompt> ").count() == 2 { Ok(lines) } else { Err(seen) }
        });
        lines.sort();
        beside.push(lines);
        two.ctl_c_and_stop(&home);
    }
    assert_eq!(alone, [[true; 2]; 2]);
    assert_eq!(beside[0], beside[1]);
    assert_eq!(beside[0].len(), 6);
}

impl Terminal {
    /// Ends what is on the terminal, and what it may have left running.
    fn ctl_c_and_stop(mut self, home: &Home) {
        self.ctrl_c();
        self.wait();
        home.ctl(["stop", "web", "cache"]);
    }
}

#[test]
fn ctrl_c_leaves_the_apps_of_an_attached_start_running() {
    let home = Home::new();
    let web = home.app("web").run_script("echo before; exec sleep 1000");
    home.ctl(["start", "web"]).ok();
    web.wait_for_output("before\n");
    let db = home.app("db").behaves("lines 0 2000");
    let mut attached = home.on_terminal(&["start", "-a", "web", "db"]);
    attached.wait_for("line 00000010");
    attached.ctrl_c();
    let (code, seen) = attached.wait();
    let seen = plain(&seen);
    assert_eq!(code, 0, "{seen}");
    for app in [web, db] {
        let pid = app.status().main_pid();
        let name = app.dir().file_name().expect("a name").to_string_lossy().into_owned();
        let said = format!("daemonctl: {name} goes on running, pid {pid}; daemonctl logs -f {name}\n");
        assert!(seen.contains(&said), "{said} in {seen}");
    }
    assert!(!seen.contains("before"), "what was written before is not shown: {seen}");
}

#[test]
fn an_attached_start_misses_nothing_through_restarts_rotation_and_a_stopped_terminal() {
    let home = Home::new();
    let conf = "logging.max_size = '4K'\nprocess.restart = 'on-failure'\nprocess.restart_delay = '10ms'\nprocess.restart_max_attempts = 3";
    let web = home.app("web").conf(conf).run_script(
        "while [ ! -e $APPDEPLOY_APP_PATH/go ]; do sleep 0.02; done
        read run < $APPDEPLOY_APP_PATH/run-number
        echo $((run + 1)) > $APPDEPLOY_APP_PATH/run-number
        seq -f \"run $run line %05.0f\" 1 3000; [ $run = 2 ]",
    );
    web.file("run-number", "0\n");
    let mut attached = home.on_terminal(&["start", "-a", "web"]);
    attached.wait_for("started web");
    attached.stop();
    web.file("go", "");
    web.wait_for_state("exited");
    attached.go_on();
    let (code, seen) = attached.wait_within(SOON * 2);
    let seen = plain(&seen);
    assert_eq!(code, 0, "{seen}");
    let lines: Vec<&str> = seen.lines().filter(|line| line.starts_with("run ")).collect();
    let expected: Vec<String> =
        (0..3).flat_map(|run| (1..=3000).map(move |line| format!("run {run} line {line:05}"))).collect();
    let odd = lines.iter().zip(&expected).position(|(seen, expected)| seen != expected);
    let around = odd.map(|at| &lines[at.saturating_sub(3)..lines.len().min(at + 6)]);
    assert!(lines == expected, "{} lines, the first odd ones among {around:?}", lines.len());
    assert_eq!(seen.matches("daemonctl: web: exited 1 after ").count(), 2, "{seen}");
    assert_eq!(seen.matches("daemonctl: web: started, pid ").count(), 2, "{seen}");
    assert!(!seen.contains("skipped"), "{seen}");
}

#[test]
fn an_app_that_floods_keeps_neither_another_nor_ctrl_c_from_an_attached_start() {
    let home = Home::new();
    home.app("flood").behaves("flood").conf("logging.max_size = '1M'\nlogging.max_count = 2");
    home.app("quiet")
        .run_script("while [ ! -e $APPDEPLOY_APP_PATH/go ]; do sleep 0.02; done; echo here; exec sleep 1000");
    let mut attached = home.on_terminal(&["start", "-a", "--no-color", "flood", "quiet"]);
    attached.wait_for("flood | all work and no play");
    home.app("quiet").file("go", "");
    attached.wait_for("quiet | here\n");
    attached.ctrl_c();
    let (code, seen) = attached.wait();
    assert_eq!(code, 0);
    assert!(seen.contains("daemonctl: flood goes on running, pid "), "{} bytes", seen.len());
}

#[test]
fn an_attached_start_ends_with_its_apps_and_the_first_failure_of_them() {
    let home = Home::new();
    home.app("good").run_script("echo fine");
    home.app("bad").run_script("echo oops >&2; exit 7");
    home.app("worse").run_script("kill -9 $$");
    let output = home.ctl(["start", "-a", "good", "bad", "worse"]).exits(7);
    let output = output.says("good  | fine\n").explains("bad   ! oops\n").explains("daemonctl: bad: exited 7 after ");
    output.explains("daemonctl: worse: killed by SIGKILL after ");
    let quiet = home.ctl(["-q", "start", "-a", "bad"]).exits(7);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", "oops\n"), "{quiet}");
    // Where events of that kind are not written, it is said all the same.
    home.app("bad").conf("logging.level = 'error'");
    home.ctl(["start", "-a", "bad"]).exits(7).explains("daemonctl: bad has ended: exit 7\n");
}

#[test]
fn a_terminal_that_is_closed_ends_the_attached_command_only() {
    let home = Home::new();
    let web = home.app("web").run_script("echo hello; exec sleep 1000");
    let attached = home.on_terminal(&["start", "-a", "web"]);
    attached.wait_for("hello\n");
    let pid = attached.pid();
    // What the kernel sends the session when its terminal is gone.
    kill(pid, Signal::SIGHUP);
    wait_until("the command is gone", SOON, || match process(pid) {
        None => Ok(()),
        Some(process) => Err(format!("{process:?}")),
    });
    assert_eq!(web.status().state, "running");
}
