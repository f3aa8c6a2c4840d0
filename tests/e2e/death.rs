//! The supervisor dies, its keeper dies, both die; the apps do not notice.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{
    Home, Proc, SOON, always, assert_no_line_lost, boot_id, is_root, kill, process, testapp, wait_until,
    wait_until_dead, zombies,
};

const CALM: [&str; 8] = ["a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8"];
const WRITERS: [&str; 2] = ["w1", "w2"];

/// Ten apps, two of which write a numbered line every millisecond; none may be started a second time.
fn ten_apps(home: &Home) -> Vec<Proc> {
    for name in CALM {
        home.app(name).behaves("sleep").conf("process.restart = 'no'");
    }
    for name in WRITERS {
        home.app(name).behaves("lines 0 1000").conf("process.restart = 'no'");
    }
    home.ctl(["start-all", "--parallel"]).ok();
    identities(home)
}

/// The main process of each app, with its start time.
#[track_caller]
fn identities(home: &Home) -> Vec<Proc> {
    let all = home.statuses();
    assert_eq!(all.len(), 10);
    let living = |status: &crate::support::Status| process(status.main_pid());
    all.iter().map(|status| living(status).unwrap_or_else(|| panic!("it is not there: {status:#?}"))).collect()
}

/// The same processes as before, nothing beside them, and the supervisor says so.
#[track_caller]
fn assert_unharmed(home: &Home, before: &[Proc], round: usize) {
    let what_counts = |all: &[Proc]| all.iter().map(|one| (one.pid, one.started)).collect::<Vec<_>>();
    assert_eq!(what_counts(&identities(home)), what_counts(before), "in round {round}");
    for name in CALM.into_iter().chain(WRITERS) {
        let processes = home.app(name).processes();
        assert_eq!(processes.len(), 1, "{name} in round {round}: {processes:#?}");
    }
    for status in home.statuses() {
        assert_eq!((status.state.as_str(), status.restarts), ("running", 0), "round {round}: {status:#?}");
    }
}

/// Waits until all ten apps are looked after by one supervisor that is not `old`; returns how long that took.
#[track_caller]
fn supervised_again(home: &Home, old: &Proc, since: Instant) -> Duration {
    wait_until("supervision is back", SOON, || {
        let all = home.statuses();
        let new = |status: &crate::support::Status| {
            status.state == "running" && status.supervisor.is_some_and(|pid| pid != old.pid && process(pid).is_some())
        };
        if all.len() == 10 && all.iter().all(new) { Ok(since.elapsed()) } else { Err(format!("{all:#?}")) }
    })
}

#[track_caller]
fn stop_and_count_lines(home: &Home) {
    home.ctl(["stop-all", "--parallel"]).ok();
    for name in WRITERS {
        let app = home.app(name);
        app.wait_for_output("end ");
        let log = app.log();
        assert!(log.lines().count() > 500, "only {} lines", log.lines().count());
        assert_no_line_lost(&log);
    }
}

#[test]
fn the_supervisor_is_killed_twenty_times() {
    let home = Home::alone();
    let apps = ten_apps(&home);
    let mut times = Vec::new();
    for round in 1..=20 {
        let (supervisor, keeper) = home.pair("a1");
        let since = Instant::now();
        kill(supervisor.pid, Signal::SIGKILL);
        times.push(supervised_again(&home, &supervisor, since));
        assert_unharmed(&home, &apps, round);
        let (_, still) = home.pair("a1");
        assert_eq!((still.pid, still.started), (keeper.pid, keeper.started), "the keeper is the same");
    }
    times.sort_unstable();
    println!("supervision was back after {times:?}");
    // Logs are on a disk, and whoever else writes there may hold up a few of the rounds; not most of them.
    assert!(times[14] < Duration::from_millis(100), "supervision was back after {times:?}");
    stop_and_count_lines(&home);
}

#[test]
fn keeper_and_supervisor_are_killed_together() {
    let home = Home::new();
    let apps = ten_apps(&home);
    for round in 1..=10 {
        let (supervisor, keeper) = home.pair("a1");
        kill_pair(&supervisor, &keeper);
        // Nobody is left, and everything runs.
        assert!(home.supervisors().is_empty());
        assert!(apps.iter().all(|app| process(app.pid).is_some()), "apps died with the keeper in round {round}");
        // The next command, whatever it is, brings supervision back.
        match round % 3 {
            0 => home.ctl(["status", "--all"]).ok(),
            1 => home.ctl(["start", "a1"]).ok().says_one_of(&["already running"]),
            _ => home.ctl(["list"]).ok(),
        };
        supervised_again(&home, &supervisor, Instant::now());
        assert_unharmed(&home, &apps, round);
        assert_eq!(home.supervisors().len(), 1);
        // It is no secret.
        let (now, _) = home.pair("a1");
        let died = format!("its supervisor, pid {}, has died; pid {} goes on with it\n", supervisor.pid, now.pid);
        home.app("a1").wait_for_text("logs/a1.run", &died);
    }
    stop_and_count_lines(&home);
}

/// A command looks more than once whether a supervisor lives, which may die between any two of these looks.
#[test]
fn a_supervisor_that_dies_under_the_eyes_of_a_command_is_replaced_all_the_same() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").conf("process.restart = 'no'");
    home.ctl(["start", "web"]).ok();
    let main = app.status().main_pid();
    for look in 1.. {
        let (supervisor, keeper) = home.pair("web");
        kill(keeper.pid, Signal::SIGKILL);
        wait_until_dead(keeper.pid);
        // Each look ends with a poll(2) of a pidfd.
        let slowly =
            ["-qq", "-e", "trace=poll,ppoll", "-e", "inject=poll,ppoll:delay_enter=100000"].map(OsString::from);
        let status = home.command(["status", "web"]);
        let words = std::iter::once(status.get_program()).chain(status.get_args()).map(OsStr::to_owned);
        let mut strace = home.program(Path::new("/usr/bin/strace"), slowly.into_iter().chain(words));
        let mut strace = strace.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("strace(1) is installed");
        let said =
            BufReader::new(strace.stderr.take().expect("standard error is a pipe")).lines().map_while(Result::ok);
        let mut looks = said.filter(|line| line.starts_with("poll(") || line.starts_with("ppoll("));
        let looked = looks.by_ref().take(look).count();
        kill(supervisor.pid, Signal::SIGKILL);
        looks.for_each(drop);
        strace.wait().expect("strace to end");
        wait_until_dead(supervisor.pid);
        home.ctl(["start", "web"]).ok().says_one_of(&["already running"]);
        assert_eq!(app.status().main_pid(), main, "after look {look}");
        if looked < look {
            assert!(look > 2, "only {looked} looks");
            break;
        }
    }
}

/// Both at once: the keeper is held still first, so that it cannot start another supervisor in between.
fn kill_pair(supervisor: &Proc, keeper: &Proc) {
    kill(keeper.pid, Signal::SIGSTOP);
    kill(supervisor.pid, Signal::SIGKILL);
    kill(keeper.pid, Signal::SIGKILL);
    wait_until("both are gone", SOON, || match (process(supervisor.pid), process(keeper.pid)) {
        (None, None) => Ok(()),
        left => Err(format!("{left:?}")),
    });
}

#[test]
fn writers_wait_for_a_reader_that_is_gone_for_long() {
    let home = Home::new();
    let program = testapp();
    let app = home.app("web");
    app.run_script(&format!("until test -e go; do sleep 0.01; done; exec {} lines 20000 0", program.display()));
    home.ctl(["start", "web"]).ok();
    let pid = app.status().main_pid();
    let (supervisor, keeper) = home.pair("web");
    kill_pair(&supervisor, &keeper);
    app.file("go", "");
    // A pipe holds a quarter of what it has to say: it waits, it is not killed by the missing reader.
    wait_until("it writes", SOON, || match process(pid) {
        Some(process) if process.comm == "testapp" => Ok(()),
        seen => Err(format!("{seen:?}")),
    });
    always("alive", Duration::from_millis(300), || process(pid).map(|_| ()).ok_or_else(|| "it is gone".to_owned()));
    // `status` of an app that had ended by then would be no success.
    home.ctl(["list"]).ok();
    app.wait_for_output("end 20000");
    assert_no_line_lost(&app.log());
    // Only newer kernels tell how a process ended that was nobody's child; none tells a wrong code.
    let exit = app.wait_for_state("exited").last_exit.expect("a last exit");
    assert!(matches!((exit.code, exit.signal.as_deref()), (Some(0) | None, None)), "{exit:?}");
}

#[test]
fn an_exit_while_nobody_looks_is_still_told_right() {
    let home = Home::new();
    let by_code = home.app("code").behaves("exit-on-usr1 42");
    let by_signal = home.app("signal").behaves("sleep");
    by_code.script("on-stop", r#"echo "$DAEMONCTL_EXIT_CODE" > "$APPDEPLOY_APP_PATH/told""#);
    home.app("other").behaves("sleep");
    home.ctl(["start", "code", "signal", "other"]).ok();
    by_code.wait_for_output("ready");
    let (supervisor, keeper) = home.pair("other");
    let pids = [by_code.status().main_pid(), by_signal.status().main_pid()];
    kill(keeper.pid, Signal::SIGSTOP);
    kill(supervisor.pid, Signal::SIGKILL);
    kill(pids[0], Signal::SIGUSR1);
    kill(pids[1], Signal::SIGSEGV);
    wait_until("both apps have ended", SOON, || match pids.map(process) {
        [None, None] => Ok(()),
        left => Err(format!("{left:?}")),
    });
    kill(keeper.pid, Signal::SIGCONT);
    let code = by_code.wait_for_state("exited").last_exit.expect("a last exit");
    assert_eq!((code.code, code.reason.as_str()), (Some(42), "exited"));
    let signal = by_signal.wait_for_state("exited").last_exit.expect("a last exit");
    assert_eq!(signal.signal.as_deref(), Some("SIGSEGV"));
    assert_eq!(by_code.wait_for_text("told", "\n"), "42\n");
}

#[test]
fn a_new_supervisor_goes_on_with_everything() {
    let home = Home::new();
    let healed = home.app("healed").behaves("sleep");
    healed.conf("process.restart = 'always'\nprocess.restart_delay = '20ms'");
    let checked = home.app("checked").behaves("sleep").script("check", "test -e healthy").file("healthy", "");
    checked.conf("process.restart_delay = '20ms'\n[monitoring]\nenabled = true\ncheck_interval = '50ms'\nfailure_threshold = 2\nstartup_delay = 0");
    let limited = home.app("limited").behaves("sleep").conf("limits.timeout = '3s'");
    home.ctl(["start", "healed", "checked", "limited"]).ok();
    checked.wait_for("healthy", |status| status.health == "healthy");
    let begun = limited.status().started_at.expect("a start");
    let (supervisor, _) = home.pair("healed");
    kill(supervisor.pid, Signal::SIGKILL);
    healed.wait_for("adopted", |status| status.supervisor.is_some_and(|pid| pid != supervisor.pid));

    // Times are those of the process, not of the adoption.
    assert!((limited.status().started_at.expect("a start") - begun).abs() < 0.1);
    // Restart policy, health check, time limit.
    let pid = healed.status().main_pid();
    kill(pid, Signal::SIGKILL);
    healed.wait_for("restarted", |status| status.pid.is_some_and(|now| now != pid));
    let pid = checked.status().main_pid();
    fs::remove_file(checked.path("healthy")).unwrap();
    checked.wait_for("restarted", |status| status.pid.is_some_and(|now| now != pid));
    let exit = limited.wait_for("over", |status| status.pid.is_none()).last_exit.expect("a last exit");
    assert_eq!(exit.reason, "timeout");
    assert!((2.9..6.0).contains(&exit.after), "{exit:?}");
}

#[test]
fn a_stop_survives_the_death_of_the_supervisor() {
    let home = Home::new();
    let app = home.app("web").behaves("ignore-term").conf("signals.kill_timeout = '1s'\nprocess.restart = 'always'");
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("ready");
    let (supervisor, _) = home.pair("web");
    home.ctl(["stop", "--no-wait", "web"]).ok();
    kill(supervisor.pid, Signal::SIGKILL);
    app.wait_for_state("stopped");
    app.wait_until_gone();
}

#[test]
fn commands_wait_for_a_supervisor_that_is_coming_back() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    home.ctl(["start", "web"]).ok();
    let pid = app.status().main_pid();
    for _ in 0..10 {
        let (supervisor, _) = home.pair("web");
        kill(supervisor.pid, Signal::SIGKILL);
        home.ctl(["status", "web"]).ok().says(&pid.to_string());
    }
    let (supervisor, _) = home.pair("web");
    kill(supervisor.pid, Signal::SIGKILL);
    home.ctl(["stop", "web"]).ok();
    app.wait_until_gone();
}

/// A stranger: a process that has nothing to do with this world, with a pid of our choice or any.
struct Stranger {
    helper: Child,
    pid: i32,
}

impl Stranger {
    /// One with the pid of an app that is gone.
    fn with_pid(pid: i32) -> Self {
        let mut helper = std::process::Command::new(testapp())
            .args(["as-pid", &pid.to_string()])
            .env_clear()
            .current_dir("/")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the helper");
        let mut line = String::new();
        let _ = BufReader::new(helper.stdout.take().expect("its output")).read_line(&mut line);
        assert_eq!(line, "ready\n", "pid {pid} cannot be had again");
        Self { helper, pid }
    }

    /// One with any pid.
    fn new() -> Self {
        let mut command = std::process::Command::new(testapp());
        let helper = command.arg("sleep").env_clear().current_dir("/").spawn().expect("the helper");
        let pid = helper.id() as i32;
        Self { helper, pid }
    }

    #[track_caller]
    fn assert_untouched(&self) {
        assert!(process(self.pid).is_some_and(|process| process.state != 'T'), "the stranger was signalled");
    }
}

/// Waits until a process that begins now can be told from this one: the clock of start times ticks a hundred times a
/// second (proc_pid_stat(5)).
#[track_caller]
fn wait_for_a_later_tick(one: &Proc) {
    wait_until("the clock of start times has ticked", SOON, || match process(Stranger::new().pid) {
        Some(new) if new.started > one.started => Ok(()),
        same => Err(format!("{same:?}")),
    });
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.helper.kill();
        let _ = self.helper.wait();
    }
}

/// Gives every command that could reach for the app's process.
fn reach_for(home: &Home, stranger: &Stranger) {
    for args in [
        &["status", "web"][..],
        &["kill", "web", "KILL"],
        &["reload", "web"],
        &["stop", "web"],
        &["stop", "--force", "web"],
    ] {
        home.ctl(args);
        stranger.assert_untouched();
    }
}

/// The files with what a new supervisor would believe.
fn records(home: &Home) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![home.runtime_dir()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().filter_map(Result::ok) {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => left.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found
}

/// Rewrites all records; returns how many changed.
fn rewrite(home: &Home, change: impl Fn(&str) -> String) -> usize {
    let mut changed = 0;
    for path in records(home) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let new = change(&text);
        if new != text {
            fs::write(&path, new).unwrap();
            changed += 1;
        }
    }
    changed
}

/// The same text with one number, as a whole word, replaced by another.
fn replace_number(text: &str, from: i32, to: i32) -> String {
    let (from, mut rest, mut result) = (from.to_string(), text, String::new());
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let end = rest[at..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |length| at + length);
        result += &rest[..at];
        result += if rest[at..end] == from { to.to_string() } else { rest[at..end].to_owned() }.as_str();
        rest = &rest[end..];
    }
    result + rest
}

#[test]
fn a_pid_that_was_given_to_a_stranger_is_not_the_app() {
    if !is_root("choosing a pid") {
        return;
    }
    let home = Home::new();
    let app = home.app("web").behaves("sleep").conf("process.restart = 'always'");
    home.ctl(["start", "web"]).ok();
    let pid = app.status().main_pid();
    let (supervisor, keeper) = home.pair("web");
    kill_pair(&supervisor, &keeper);
    let gone = process(pid).unwrap();
    kill(pid, Signal::SIGKILL);
    wait_for_a_later_tick(&gone);
    wait_until("the pid is free", SOON, || match std::path::Path::new(&format!("/proc/{pid}")).exists() {
        false => Ok(()),
        true => Err("it is a zombie, or still alive".to_owned()),
    });
    let stranger = Stranger::with_pid(pid);
    assert_ne!(app.status().pid, Some(pid), "the stranger is taken for the app");
    reach_for(&home, &stranger);
    home.ctl(["start", "web"]).ok();
    assert_ne!(app.status().main_pid(), pid);
    home.ctl(["stop-all"]).ok();
    stranger.assert_untouched();
}

#[test]
fn a_forged_record_gets_nobody_killed() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    home.ctl(["start", "web"]).ok();
    let pid = app.status().main_pid();
    let (supervisor, keeper) = home.pair("web");
    kill_pair(&supervisor, &keeper);
    let gone = process(pid).unwrap();
    kill(pid, Signal::SIGKILL);
    wait_for_a_later_tick(&gone);
    let stranger = Stranger::new();
    assert!(rewrite(&home, |text| replace_number(text, pid, stranger.pid)) > 0, "no record holds the pid {pid}");
    assert_ne!(app.status().pid, Some(stranger.pid), "the stranger is taken for the app");
    reach_for(&home, &stranger);
}

#[test]
fn a_record_from_before_the_last_boot_is_ignored() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    home.ctl(["start", "web"]).ok();
    let before = app.status();
    let (supervisor, keeper) = home.pair("web");
    kill_pair(&supervisor, &keeper);
    let other = "00000000-1111-2222-3333-444444444444";
    let now = [boot_id(), boot_id().replace('-', "")];
    let other = [other.to_owned(), other.replace('-', "")];
    let changed = rewrite(&home, |text| text.replace(&now[0], &other[0]).replace(&now[1], &other[1]));
    assert!(changed > 0, "no record holds the boot id");
    let status = app.status();
    assert_eq!((status.pid, status.state != "running"), (None, true), "{status:#?}");
    home.ctl(["stop", "web"]).ok();
    home.ctl(["kill", "web", "KILL"]);
    assert!(process(before.main_pid()).is_some(), "a process was signalled on the word of an old record");
}

#[test]
fn records_that_cannot_be_read_do_no_harm() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    for content in ["", "{", "\0\0\0\0", "[[[[[[[[[[[[[[[[[[[[[[[[", "{\"version\":999999}"] {
        home.ctl(["start", "web"]).ok();
        let pid = app.status().main_pid();
        let (supervisor, keeper) = home.pair("web");
        kill_pair(&supervisor, &keeper);
        kill(pid, Signal::SIGKILL);
        wait_until_dead(pid);
        assert!(
            rewrite(&home, |text| if text.contains(&pid.to_string()) { content.to_owned() } else { text.to_owned() })
                > 0
        );
        home.ctl(["status", "web"]).exits(3).never_says("panicked");
    }
    home.ctl(["start", "web"]).ok();
}

#[test]
fn a_supervisor_without_its_keeper_goes_on() {
    let home = Home::new();
    let app = home.app("web").run_script("(sleep 0.05 &) ; exec sleep 1000");
    app.conf("process.restart = 'always'\nprocess.restart_delay = '20ms'");
    home.ctl(["start", "web"]).ok();
    let (supervisor, keeper) = home.pair("web");
    kill(keeper.pid, Signal::SIGKILL);
    wait_until_dead(keeper.pid);
    let before = app.status();
    assert_eq!(before.supervisor, Some(supervisor.pid), "nobody took its place");
    // Exits are seen, restarts happen, and what apps leave behind comes to the supervisor, which reaps it.
    for round in 1..=3 {
        home.ctl(["kill", "web", "KILL"]).ok();
        app.wait_for("restarted", |status| status.restarts == round && status.state == "running");
    }
    wait_until("no zombies", SOON, || match zombies(&[supervisor.pid]) {
        none if none.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });
    home.ctl(["stop", "web"]).ok();
    app.wait_until_gone();
    wait_until("it leaves", SOON, || process(supervisor.pid).map_or(Ok(()), |left| Err(format!("{left:?}"))));
}
