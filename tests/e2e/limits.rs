//! How much an app may use: the limits bite, what they did is told, and nothing of them stays behind.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{
    AppDir, Home, SOON, Status, binary, copy_program, groups, is_root, kill, testapp, wait_until, wait_until_dead,
};

/// Whether control groups can be made here; says that a story is not told otherwise.
fn has_groups() -> bool {
    let root = is_root("control groups");
    if root && groups::version_1("memory").is_none() {
        eprintln!("SKIPPED: this host has no control groups of version 1");
        return false;
    }
    root
}

fn json(home: &Home, args: &[&str]) -> Value {
    let output = home.ctl(["status", "--json"].iter().chain(args)).ok();
    serde_json::from_str(&output.stdout).expect("status as JSON")
}

#[track_caller]
fn wait_until_no_group(home: &Home) {
    wait_until("the control groups are gone", SOON, || match home.groups() {
        none if none.is_empty() => Ok(()),
        left => Err(format!("{left:#?}")),
    });
}

fn killed_for_memory(app: &AppDir<'_>) -> Status {
    app.wait_for("killed for memory", |status| {
        status.last_exit.as_ref().is_some_and(|exit| exit.reason == "oom-killed") && status.state == "exited"
    })
}

/// An id that no other story uses, and that has no account.
fn somebody() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    200_000 + std::process::id() * 16 + NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Makes the world one of this user, who may not read where the real binaries are.
fn given_to(home: &Home, uid: u32) -> PathBuf {
    let copy = home.base().join("daemonctl");
    copy_program(&binary("daemonctl"), &copy, 0o755);
    copy_program(&testapp(), &home.base().join("testapp"), 0o755);
    let dirs = [home.base().to_owned(), home.root(), home.base().join("home")];
    let apps = fs::read_dir(home.root()).unwrap().map(|entry| entry.unwrap().path());
    for path in dirs.into_iter().chain(apps) {
        chown(path, Some(uid), Some(uid)).unwrap();
    }
    copy
}

#[test]
fn a_memory_hog_is_killed_and_named_everywhere() {
    if !has_groups() {
        return;
    }
    let home = Home::new();
    let app = home.app("web").behaves("hog 128").script("on-stop", "echo reason=$DAEMONCTL_REASON");
    app.conf("limits.memory_limit = '64M'");
    home.ctl(["start", "web"]).ok();
    let status = killed_for_memory(&app);
    assert_eq!(status.last_exit.unwrap().signal.as_deref(), Some("SIGKILL"));
    let note = status.note.unwrap_or_default();
    assert!(note.starts_with("out of memory (limit 64M) after "), "{note}");
    home.ctl(["status", "web"]).exits(3).says("out of memory (limit 64M)");
    let events = app.events();
    assert!(events.contains("out of memory (limit 64M)") && events.contains("on-stop: reason=oom-killed"), "{events}");
    assert!(!app.log().contains("held"), "it got all that memory");
    wait_until_no_group(&home);
}

#[test]
fn who_stays_below_the_limit_lives_and_its_use_is_shown() {
    if !has_groups() {
        return;
    }
    let home = Home::new();
    let app = home.app("web").behaves("hog 57");
    app.conf("limits.memory_limit = '64M'\nlimits.cpu_limit = 50\nlimits.process_limit = 20");
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("held");
    let output = home.ctl(["status", "--resources", "-l", "web"]).ok();
    for text in ["of 64M: cgroup v1", "of 50%: cgroup v1", "processes 1 of 20: cgroup v1"] {
        assert!(output.stdout.contains(text), "{text}\n{output}");
    }
    let report = json(&home, &["--resources", "web"]);
    let used = &report["apps"][0]["resources"];
    let within = |value: &Value, least: u64, most: u64| value.as_u64().is_some_and(|it| (least..=most).contains(&it));
    for key in ["memory_bytes", "memory_proportional_bytes"] {
        assert!(within(&used[key], 57 << 20, 64 << 20), "{key}: {used:#}");
    }
    let memory = used["limits"][0]["used"].as_f64().unwrap() as u64;
    assert!((57 << 20..=64 << 20).contains(&memory), "{used:#}");
    assert!(used["open_files"] == 3 && used["threads"] == 1 && used["processes"] == 1, "{used:#}");
    assert!(used["open_files_limit"].is_u64() && used["read_bytes"].is_u64(), "{used:#}");
    home.ctl(["stop", "web"]).ok();
    wait_until_no_group(&home);
}

#[test]
fn a_shell_whose_child_is_killed_for_memory_is_understood() {
    if !has_groups() {
        return;
    }
    let home = Home::new();
    let app = home.app("web").run_script(&format!("{} hog 128\nexit $?", testapp().display()));
    app.conf("limits.memory_limit = '64M'");
    home.ctl(["start", "web"]).ok();
    assert_eq!(killed_for_memory(&app).last_exit.unwrap().code, Some(137));
}

#[test]
fn that_another_process_was_killed_for_memory_is_an_event() {
    if !has_groups() {
        return;
    }
    let home = Home::new();
    let app = home.app("web").run_script(&format!("{} hog 128\necho survived\nexec sleep 1000", testapp().display()));
    app.conf("limits.memory_limit = '64M'");
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("survived");
    home.ctl(["stop", "web"]).ok();
    assert_eq!(app.status().last_exit.unwrap().reason, "stopped");
    app.wait_for_text("logs/web.run", "1 process was killed: out of memory (limit 64M)");
}

#[test]
fn a_death_for_memory_is_a_failure_that_is_restarted_in_fresh_groups() {
    if !has_groups() {
        return;
    }
    let home = Home::new();
    // The second run ends by a SIGKILL of somebody else: nothing of the first one's counters may be left.
    let second = "[ -e once ] && { echo again; exec sleep 1000; }\ntouch once";
    let app = home.app("web").run_script(&format!("{second}\nexec {} hog 128", testapp().display()));
    let restart = "process.restart = 'on-failure'\nprocess.restart_delay = '10ms'\nprocess.restart_max_attempts = 1";
    app.conf(&format!("limits.memory_limit = '64M'\nprocess.success_exit_codes = [0, 137]\n{restart}"));
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("again");
    let status = app.wait_for_state("running");
    assert_eq!((status.restarts, status.last_exit.clone().unwrap().reason.as_str()), (1, "oom-killed"));
    kill(status.main_pid(), Signal::SIGKILL);
    let status = app.wait_for_state("failed");
    assert_eq!(status.last_exit.unwrap().reason, "exited");
    wait_until_no_group(&home);
}

#[test]
fn a_fifth_of_a_processor_is_a_fifth() {
    if !has_groups() {
        return;
    }
    let home = Home::alone();
    let app = home.app("web").behaves("burn 3").conf("limits.cpu_limit = 20");
    home.ctl(["start", "web"]).ok();
    let log = app.wait_for_output("used ");
    let used: u64 = log.trim().trim_start_matches("used ").parse().unwrap();
    println!("20 % of a processor over 3 s: {used} ms");
    assert!((480..=720).contains(&used), "it used {used} ms of 600");
    home.ctl(["status", "--resources", "web"]).ok().says("of 20%: cgroup v1, held back for");
}

#[test]
fn the_limit_of_processes_is_exact_for_root_and_for_others() {
    if !has_groups() {
        return;
    }
    let home = Home::new();
    for (name, conf) in [("root", ""), ("other", "security.user = 'nobody'")] {
        let app = home.app(name).behaves("breed");
        copy_program(&testapp(), &app.path("testapp"), 0o755);
        app.run_script("exec ./testapp breed").conf(&format!("limits.process_limit = 7\n{conf}"));
        home.ctl(["start", name]).ok();
        assert_eq!(app.wait_for_output("bred "), "bred 7\n", "{name}");
        home.ctl(["stop", name]).ok();
    }
    wait_until_no_group(&home);
}

#[test]
fn hooks_and_checks_share_the_limits_of_their_app() {
    if !has_groups() {
        return;
    }
    let home = Home::new();
    let app = home.app("web").behaves("sleep").conf("limits.memory_limit = '64M'\nmonitoring.enabled = true");
    for script in ["on-start", "on-stop", "check"] {
        app.script(script, &format!("grep memory /proc/self/cgroup > $APPDEPLOY_APP_PATH/{script}.group"));
    }
    home.ctl(["start", "--wait", "web"]).ok();
    app.wait_for_text("on-start.group", "\n");
    home.ctl(["stop", "web"]).ok();
    for script in ["on-start", "on-stop", "check"] {
        let group = app.wait_for_text(&format!("{script}.group"), "\n");
        assert!(group.trim_end().ends_with("/app-web"), "{script}: {group}");
    }
    wait_until_no_group(&home);
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    let home = Home::new();
    for (limit, why) in [
        ("memory_limit = 1", "limits.memory_limit: no program fits in 1: 1M is the least"),
        ("process_limit = 0", "limits.process_limit: with 0"),
        ("process_limit = 99999999", "limits.process_limit: Linux has at most 4194304 processes"),
        ("cpu_limit = 0", "limits.cpu_limit"),
    ] {
        let app = home.app("web").behaves("sleep").conf(&format!("limits.{limit}"));
        home.ctl(["start", "web"]).exits(2).explains(why);
        let app = app.conf("");
        home.ctl(["config", "set", "web", &format!("limits.{}", limit.replace(' ', ""))]).exits(2).explains(why);
        assert!(app.processes().is_empty(), "{limit}");
        assert!(home.groups().is_empty(), "{limit}");
    }
}

#[test]
fn a_launch_that_fails_leaves_no_group() {
    if !has_groups() {
        return;
    }
    let home = Home::new();
    let app = home.app("web").conf("process.command = '/no/such/program'\nlimits.memory_limit = '64M'");
    fs::create_dir_all(app.dir()).unwrap();
    home.ctl(["start", "web"]).exits(1).explains("/no/such/program");
    wait_until_no_group(&home);
}

#[test]
fn groups_are_gone_after_a_crash_and_after_a_kill() {
    if !has_groups() {
        return;
    }
    let home = Home::new();
    let app = home.app("web").behaves("exit-on-usr1 3").conf("limits.process_limit = 50\nlimits.memory_limit = '64M'");
    for end in ["USR1", "KILL"] {
        home.ctl(["start", "web"]).ok();
        assert!(!home.groups().is_empty());
        app.wait_for_output("ready");
        home.ctl(["kill", "web", end]).ok();
        app.wait_for_state("exited");
        wait_until_no_group(&home);
    }
}

/// Leaves session, parent and environment: nothing but its control group says whose it is.
const FUGITIVE: &str =
    "env -i setsid /bin/sh -c 'trap \"\" TERM HUP; sleep 4711 & echo $! > fugitive'\nexec sleep 1000";

fn fugitive(app: &AppDir<'_>) -> i32 {
    app.wait_for_text("fugitive", "\n").trim().parse().unwrap()
}

#[test]
fn whoever_left_everything_but_the_group_is_gone_after_a_stop() {
    if !has_groups() {
        return;
    }
    let home = Home::new();
    let app = home.app("web").run_script(FUGITIVE).conf("limits.process_limit = 50\nsignals.kill_timeout = '300ms'");
    for kill_it in [false, true] {
        let _ = fs::remove_file(app.path("fugitive"));
        home.ctl(["start", "web"]).ok();
        let pid = fugitive(&app);
        let mut stop = vec!["stop", "web"];
        stop.extend(kill_it.then_some("--force"));
        home.ctl(stop).ok();
        wait_until_dead(pid);
        wait_until_no_group(&home);
    }
}

/// Kills both at once, so that neither can replace the other.
fn kill_pair(home: &Home, app: &str) {
    let (supervisor, keeper) = home.pair(app);
    kill(keeper.pid, Signal::SIGSTOP);
    kill(supervisor.pid, Signal::SIGKILL);
    kill(keeper.pid, Signal::SIGKILL);
    wait_until_dead(supervisor.pid);
    wait_until_dead(keeper.pid);
}

#[test]
fn whoever_takes_over_takes_the_groups_over() {
    if !has_groups() {
        return;
    }
    let home = Home::new();
    let app = home.app("web").run_script(FUGITIVE).conf("limits.process_limit = 50\nsignals.kill_timeout = '300ms'");
    home.ctl(["start", "web"]).ok();
    let pid = fugitive(&app);
    kill_pair(&home, "web");
    assert_eq!(app.status().state, "running");
    home.ctl(["stop", "web"]).ok();
    wait_until_dead(pid);
    wait_until_no_group(&home);
    // And when the app has died meanwhile.
    fs::remove_file(app.path("fugitive")).unwrap();
    home.ctl(["start", "web"]).ok();
    let (pid, main) = (fugitive(&app), app.status().main_pid());
    kill_pair(&home, "web");
    kill(main, Signal::SIGKILL);
    app.wait_for("at rest", |status| status.pid.is_none());
    wait_until_dead(pid);
    wait_until_no_group(&home);
}

#[test]
fn a_death_for_memory_while_nobody_looks_is_still_told() {
    if !has_groups() {
        return;
    }
    let home = Home::new();
    let wait = "until [ -e go ]; do sleep 0.02; done";
    let app = home.app("web").run_script(&format!("{wait}\nexec {} hog 128", testapp().display()));
    app.conf("limits.memory_limit = '64M'");
    home.ctl(["start", "web"]).ok();
    let main = app.status().main_pid();
    kill_pair(&home, "web");
    let app = app.file("go", "");
    wait_until_dead(main);
    killed_for_memory(&app);
    wait_until_no_group(&home);
}

/// `daemonctl` where control groups have been taken away by these commands.
fn without_groups(home: &Home, how: &str, args: &[&str]) -> Command {
    let script = format!("{how}\nexec \"$0\" \"$@\"");
    let daemonctl = binary("daemonctl");
    let words = ["--mount", "/bin/sh", "-ec", &script].into_iter().map(str::to_owned);
    let words = words.chain([daemonctl.to_string_lossy().into_owned()]).chain(args.iter().map(|arg| (*arg).to_owned()));
    home.program(Path::new("/usr/bin/unshare"), words)
}

const HIDDEN: &str = "umount -R /sys/fs/cgroup 2>/dev/null || umount -l /sys/fs/cgroup";
const READ_ONLY: &str = "for m in /sys/fs/cgroup/*/; do mount -o remount,bind,ro $m; done";

#[test]
fn where_there_are_no_groups_an_rlimit_stands_in_for_memory_and_says_so() {
    if !has_groups() {
        return;
    }
    for how in [HIDDEN, READ_ONLY] {
        let home = Home::new();
        let app = home.app("web").behaves("hog 128").conf("limits.memory_limit = '64M'");
        let output = home.finish(without_groups(&home, how, &["start", "web"])).ok();
        output.says("RLIMIT_AS holds it: address space is counted");
        let status = app.wait_for_state("exited");
        assert_ne!(status.last_exit.unwrap().reason, "oom-killed", "it was refused the memory");
        assert!(!app.log().contains("held"));
        app.behaves("hog 32");
        home.finish(without_groups(&home, how, &["start", "web"])).ok();
        app.wait_for_output("held");
        home.ctl(["status", "--resources", "web"]).ok().says("of 64M: rlimit (stand-in)");
        let limits = fs::read_to_string(format!("/proc/{}/limits", app.status().main_pid())).unwrap();
        let space = limits.lines().find(|line| line.starts_with("Max address space")).unwrap();
        assert_eq!(space.matches("67108864").count(), 2, "soft and hard: {space}");
    }
}

#[test]
fn what_nothing_stands_in_for_fails_or_is_gone_without_by_force() {
    if !has_groups() {
        return;
    }
    let home = Home::new();
    for (limit, what, how, why) in [
        ("cpu_limit = 20", "cannot limit cpu to 20%", HIDDEN, "there is no control group with the cpu controller"),
        ("cpu_limit = 20", "cannot limit cpu to 20%", READ_ONLY, "is mounted read-only"),
        ("process_limit = 7", "cannot limit processes to 7", READ_ONLY, "RLIMIT_NPROC, which would be next"),
    ] {
        let app = home.app("web").behaves("sleep").conf(&format!("limits.{limit}"));
        let refused = home.finish(without_groups(&home, how, &["start", "web"])).exits(1);
        refused.explains(what).explains(why).explains("--force");
        assert!(app.processes().is_empty(), "{limit}");
        let forced = home.finish(without_groups(&home, how, &["start", "--force", "web"])).ok();
        forced.says(what).says("runs without");
        home.ctl(["status", "-l", "web"]).ok().says("not enforced (--force)").says("runs without");
        home.ctl(["status", "web"]).ok().says("not held to ");
        home.ctl(["stop", "web"]).ok();
        home.wait_until_unsupervised();
    }
}

#[test]
fn the_users_processes_are_counted_where_an_ordinary_user_has_no_groups() {
    if !has_groups() {
        return;
    }
    let home = Home::new();
    let app = home.app("web").run_script("exec ../../testapp breed").conf("limits.process_limit = 12");
    let uid = somebody();
    let daemonctl = given_to(&home, uid);
    let ctl = |args: &[&str]| {
        let mut command = home.program(&daemonctl, args);
        command.uid(uid).gid(uid);
        home.finish(command)
    };
    ctl(&["start", "web"]).ok().says("RLIMIT_NPROC holds it: all processes of the user are counted");
    let log = app.wait_for_output("bred ");
    let family: u32 = log.trim().trim_start_matches("bred ").parse().unwrap();
    // Keeper, supervisor and its threads are the user's, too.
    assert!((2..12).contains(&family), "{family} of 12");
    ctl(&["stop", "web"]).ok();
    home.wait_until_unsupervised();
}

#[test]
fn more_than_the_group_above_allows_is_refused_or_gone_without_by_force() {
    if !has_groups() {
        return;
    }
    let above = Delegated::to(somebody());
    let home = Home::new();
    fs::write(above.0[1].join("cpu.cfs_quota_us"), "10000").unwrap();
    let app = home.app("web").behaves("sleep").conf("limits.cpu_limit = 50\nlimits.process_limit = 9");
    let script = format!("echo $$ > {}/cgroup.procs\nexec \"$0\" \"$@\"", above.0[1].display());
    let ctl = |args: &[&str]| {
        let program = binary("daemonctl").to_string_lossy().into_owned();
        let words = ["-ec", &script, &program].into_iter().chain(args.iter().copied());
        home.finish(home.program(Path::new("/bin/sh"), words))
    };
    ctl(&["start", "web"])
        .exits(1)
        .explains("cannot limit cpu to 50%")
        .explains("the control group above may allow less");
    assert!(app.processes().is_empty());
    wait_until_no_group(&home);
    home.wait_until_unsupervised();
    ctl(&["start", "--force", "web"]).ok().says("cannot limit cpu to 50%");
    // Only what cannot be had is gone without.
    let told = home.ctl(["status", "-l", "web"]).ok();
    told.says("of 50%: not enforced (--force)\n").says("of 9: cgroup v1\n");
    home.ctl(["stop", "web"]).ok();
    wait_until_no_group(&home);
    home.wait_until_unsupervised();
}

/// Groups that an administrator has made for a user, removed at the end.
struct Delegated(Vec<PathBuf>);

impl Delegated {
    fn to(uid: u32) -> Self {
        let name = format!("daemonctl-e2e-{uid}");
        let made = ["memory", "cpu", "pids"].map(|controller| {
            let dir = groups::version_1(controller).expect("a hierarchy of version 1").join(&name);
            fs::create_dir_all(&dir).unwrap();
            for path in [dir.clone(), dir.join("cgroup.procs"), dir.join("tasks")] {
                chown(path, Some(uid), Some(uid)).unwrap();
            }
            dir
        });
        Self(made.to_vec())
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        groups::remove(&self.0);
    }
}

#[test]
fn an_ordinary_user_limits_with_groups_that_were_given_to_it() {
    if !has_groups() {
        return;
    }
    let uid = somebody();
    let given = Delegated::to(uid);
    let home = Home::new();
    let hog = home.app("hog").run_script("exec ../../testapp hog 128").conf("limits.memory_limit = '64M'");
    let breed = home.app("breed").run_script("exec ../../testapp breed");
    breed.conf("limits.process_limit = 5\nlimits.cpu_limit = 90");
    let daemonctl = given_to(&home, uid);
    let enter: String = given.0.iter().map(|dir| format!("echo $$ > {}/cgroup.procs\n", dir.display())).collect();
    let script = format!("{enter}exec setpriv --reuid={uid} --regid={uid} --clear-groups \"$0\" \"$@\"");
    let ctl = |args: &[&str]| {
        let program = daemonctl.to_string_lossy().into_owned();
        let words = ["-ec", &script, &program].into_iter().chain(args.iter().copied());
        home.finish(home.program(Path::new("/bin/sh"), words))
    };
    ctl(&["start", "hog", "breed"]).ok().never_says("RLIMIT");
    assert_eq!(breed.wait_for_output("bred "), "bred 5\n");
    wait_until("the hog is named", SOON, || {
        let output = ctl(&["status", "hog"]);
        if output.stdout.contains("out of memory (limit 64M)") { Ok(()) } else { Err(output.to_string()) }
    });
    assert!(hog.log().is_empty());
    let group = breed_group(&home, &given);
    assert_eq!(group.metadata().unwrap().uid(), uid);
    ctl(&["stop", "breed"]).ok();
    home.wait_until_unsupervised();
    wait_until_no_group(&home);
}

fn breed_group(home: &Home, given: &Delegated) -> PathBuf {
    let found = home.groups().into_iter().find(|dir| dir.starts_with(&given.0[2]) && dir.ends_with("app-breed"));
    found.unwrap_or_else(|| panic!("{:#?}", home.groups()))
}

#[test]
fn the_launcher_alone_limits_and_clears_up_after_others() {
    if !has_groups() {
        return;
    }
    let home = Home::alone();
    let daemonrun = binary("daemonrun");
    let run = |args: &[&str]| home.finish(home.program(&daemonrun, args));
    let seen = run(&[
        "--proc-limit=7",
        "--",
        "/bin/sh",
        "-c",
        "grep pids: /proc/self/cgroup; cat /sys/fs/cgroup/pids/daemonrun-$$/pids.max",
    ])
    .ok();
    assert!(seen.stdout.contains("/daemonrun-") && seen.stdout.ends_with("7\n"), "{seen}");
    let stale = seen.stdout.lines().next().unwrap().rsplit('/').next().unwrap().to_owned();
    let parent = groups::version_1("pids").unwrap();
    // The next one removes it, and leaves one itself: as long as somebody is in it, it stays.
    let mut living = home.program(&daemonrun, ["--proc-limit=7", "--", "/bin/sleep", "1000"]).spawn().unwrap();
    let own = parent.join(format!("daemonrun-{}", living.id()));
    wait_until("the second is in its group", SOON, || {
        let members = fs::read_to_string(own.join("cgroup.procs")).unwrap_or_default();
        if members.trim() == living.id().to_string() { Ok(()) } else { Err(members) }
    });
    let third = run(&["--proc-limit=7", "--", "/bin/sh", "-c", "echo $$"]).ok();
    let left = [own.clone(), parent.join(format!("daemonrun-{}", third.stdout.trim()))];
    let there = left[0].is_dir();
    living.kill().unwrap();
    living.wait().unwrap();
    groups::remove(&left);
    assert!(there, "a group that is in use was removed");
    assert!(!parent.join(&stale).exists(), "{stale} is still there");
    let explained = run(&["--memory-limit=64M", "--explain", "--", "true"]).ok();
    explained.says("enter control groups:").says("memory 64M (cgroup v1)");
}

#[test]
fn soft_and_hard_limits_are_what_was_asked() {
    let home = Home::new();
    let app = home.app("web").is_probe("limits = { file_limit = 333, core_limit = '1M', stack_limit = '4M' }");
    home.ctl(["start", "web"]).ok();
    app.probe();
    let limits = fs::read_to_string(format!("/proc/{}/limits", app.status().main_pid())).unwrap();
    for (name, value) in [("Max open files", "333"), ("Max core file size", "1048576"), ("Max stack size", "4194304")] {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        assert_eq!(line.split_whitespace().filter(|word| *word == value).count(), 2, "{line}");
    }
}

#[test]
fn nothing_asks_for_groups_without_a_limit() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    home.ctl(["start", "web"]).ok();
    app.wait_within(Duration::from_secs(5), "running", |status| status.state == "running");
    assert_eq!(home.groups(), [] as [PathBuf; 0]);
    assert_eq!(json(&home, &["web"])["apps"][0]["limits"], serde_json::json!([]));
}
