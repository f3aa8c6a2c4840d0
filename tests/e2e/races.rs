//! Nothing starts twice, whoever asks, however often, at the same time, and by whatever name.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{AppDir, Home, Output, SOON, binary, copy_program, is_root, wait_until};

/// An app that notes each of its starts.
fn counted<'home>(home: &'home Home) -> AppDir<'home> {
    home.app("web").run_script("echo $$ >> starts; exec sleep 1000")
}

/// Gives these commands all at once.
fn all_at_once(home: &Home, commands: &[Vec<&str>]) -> Vec<Output> {
    std::thread::scope(|scope| {
        let running: Vec<_> = commands.iter().map(|args| scope.spawn(move || home.ctl(args))).collect();
        running.into_iter().map(|command| command.join().expect("a command")).collect()
    })
}

#[track_caller]
fn assert_one(home: &Home, app: &AppDir<'_>, starts: usize, outputs: &[Output]) {
    let shown = || outputs.iter().map(|output| format!("{output}\n")).collect::<String>();
    let noted = app.read("starts");
    assert_eq!(noted.lines().count(), starts, "started more than once:\n{noted}{}", shown());
    assert_eq!(app.processes().len(), 1, "{:#?}\n{}", app.processes(), shown());
    assert_eq!(home.supervisors().len(), 1, "{:#?}\n{}", home.supervisors(), shown());
}

#[test]
fn a_hundred_rounds_of_eight_parallel_starts() {
    let home = Home::new();
    let app = counted(&home);
    for round in 1..=100 {
        let outputs = all_at_once(&home, &vec![vec!["start", "web"]; 8]);
        for output in &outputs {
            assert!(output.code() == 0, "round {round}:\n{output}");
        }
        wait_until("the start is noted", SOON, || match app.read("starts").lines().count() {
            noted if noted >= round => Ok(()),
            noted => Err(format!("{noted} starts in round {round}")),
        });
        assert_one(&home, &app, round, &outputs);
        let pid = app.status().main_pid().to_string();
        assert_eq!(app.read("starts").lines().last(), Some(pid.as_str()));
        home.ctl(["stop", "web"]).ok();
        // Some rounds begin while the old supervisor is leaving, the others with nothing running at all.
        if round % 4 != 0 {
            home.wait_until_unsupervised();
        }
    }
}

#[test]
fn run_beside_start() {
    let home = Home::new();
    let app = counted(&home);
    home.ctl(["start", "web"]).ok();
    let pid = app.status().main_pid().to_string();
    home.ctl(["run", "web"]).exits(1).says_one_of(&["running"]).says(&pid);
    assert_one(&home, &app, 1, &[]);
    home.ctl(["stop", "web"]).ok();
    home.wait_until_unsupervised();

    let run = home.spawn(["run", "web"]);
    let pid = app.wait_for_state("running").main_pid().to_string();
    home.ctl(["start", "web"]).ok().says_one_of(&["already running"]).says(&pid);
    assert_one(&home, &app, 2, &[]);
    // Whoever asks is answered by the supervisor that has the app.
    assert_eq!(app.status().mode.as_deref(), Some("run"));
    home.ctl(["stop", "web"]).ok();
    run.wait();
    app.wait_until_gone();
}

#[test]
fn run_and_start_at_the_same_time() {
    let home = Home::new();
    let app = counted(&home);
    for round in 1..=10 {
        let run = home.spawn(["run", "web"]);
        let start = home.ctl(["start", "web"]).ok();
        wait_until("the start is noted", SOON, || match app.read("starts").lines().count() {
            noted if noted >= round => Ok(()),
            noted => Err(format!("{noted} starts in round {round}")),
        });
        app.wait_for_state("running");
        assert_eq!(app.read("starts").lines().count(), round, "{start}");
        assert_eq!(app.processes().len(), 1, "{start}");
        home.ctl(["stop", "web"]).ok();
        run.wait();
        home.wait_until_unsupervised();
    }
}

#[test]
fn start_stop_and_restart_at_the_same_time() {
    let home = Home::new();
    let app = counted(&home);
    for _ in 0..10 {
        let commands = ["start", "restart", "stop", "start", "restart", "stop"].map(|command| vec![command, "web"]);
        all_at_once(&home, &commands);
        assert!(app.processes().len() <= 1, "{:#?}", app.processes());
    }
    home.ctl(["start", "web"]).ok();
    app.wait_for_state("running");
    assert_eq!((app.processes().len(), home.supervisors().len()), (1, 1));
    home.ctl(["stop", "web"]).ok();
    app.wait_until_gone();
}

#[test]
fn another_spelling_of_the_root_is_the_same_root() {
    let home = Home::new();
    let app = counted(&home);
    let link = home.base().join("link");
    symlink(home.root(), &link).unwrap();
    home.ctl(["start", "web"]).ok();
    let pid = app.status().main_pid().to_string();
    for spelling in [link.as_path(), &home.root().join("."), &home.root().join("web/.."), Path::new(".")] {
        let spelling = spelling.to_string_lossy();
        home.ctl(["--path", &*spelling, "start", "web"]).ok().says_one_of(&["already running"]).says(&pid);
        home.ctl(["--path", &*spelling, "status", "web"]).ok().says(&pid);
    }
    assert_one(&home, &app, 1, &[]);
}

#[test]
fn another_runtime_directory_is_no_way_round_the_lock() {
    let home = Home::new();
    let app = counted(&home);
    home.ctl(["start", "web"]).ok();
    let mut other = home.command(["start", "web"]);
    other.env("DAEMONCTL_RUNTIME_DIR", home.base().join("other"));
    let output = home.finish(other);
    assert!(matches!(output.code(), 0 | 1), "{output}");
    output.says_one_of(&["running", "lock"]);
    assert_eq!((app.read("starts").lines().count(), app.processes().len()), (1, 1));
}

#[test]
fn an_app_out_of_reach_is_not_called_stopped() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    home.app("db").behaves("sleep");
    home.ctl(["start", "web", "db"]).ok();
    let pid = app.status().main_pid();
    let (supervisor, _) = home.pair("web");
    // Seen from another runtime directory, as another user would see it.
    let elsewhere = tempfile::tempdir().unwrap();
    let from_elsewhere = |args: &[&str]| {
        let mut command = home.command(args.iter().copied());
        command.env("DAEMONCTL_RUNTIME_DIR", elsewhere.path().join("runtime"));
        home.finish(command)
    };
    from_elsewhere(&["status", "web"]).ok().says("running");
    let way = format!("DAEMONCTL_RUNTIME_DIR={} before the command", home.runtime_dir().display());
    from_elsewhere(&["stop", "web"]).exits(1).explains("cannot be asked").explains(&way);
    from_elsewhere(&["stop-all"]).exits(1).explains("cannot stop web: ").explains("cannot stop db: ");
    from_elsewhere(&["start", "web"]).exits(1).explains(&format!("supervisor with pid {}", supervisor.pid));
    // And with the way to its supervisor gone.
    let sockets =
        std::fs::read_dir(home.runtime_dir()).unwrap().flatten().map(|entry| entry.path().join("background.sock"));
    sockets.for_each(|socket| drop(std::fs::remove_file(socket)));
    let stopped = home.ctl(["stop", "web"]).exits(1).explains("cannot be asked");
    stopped.explains(&format!("kill {} (SIGTERM) stops it in order", supervisor.pid));
    assert!(crate::support::process(pid).is_some(), "it was stopped all the same");
}

#[test]
fn whoever_asks_for_another_users_app_is_told_whose_it_is() {
    if !is_root("another user") {
        return;
    }
    let home = Home::new();
    home.app("web").behaves("sleep");
    home.ctl(["start", "web"]).ok();
    let (supervisor, _) = home.pair("web");
    // All the way to the app is open to others, and so is the program.
    std::fs::set_permissions(home.base(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = home.base().join("daemonctl");
    copy_program(&binary("daemonctl"), &program, 0o755);
    let other = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(other.path(), Some(65534), Some(65534)).unwrap();
    let as_another = |args: &[&str]| {
        let mut command = home.program(&program, args.iter().copied());
        command.env("DAEMONCTL_RUNTIME_DIR", other.path().join("runtime")).uid(65534).gid(65534);
        home.finish(command)
    };
    let whose = format!("under the supervisor of user root (uid 0), pid {}", supervisor.pid);
    as_another(&["status", "web"]).ok().says("running").says(&whose);
    for args in [&["stop", "web"][..], &["start", "web"], &["kill", "web"], &["health", "web"]] {
        as_another(args).exits(5).explains(&whose).explains("run the command as user root");
    }
    as_another(&["stop-all"]).exits(1).explains(&whose);
}

#[test]
fn root_is_told_whose_supervisor_an_app_runs_under() {
    if !is_root("another user") {
        return;
    }
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    std::fs::set_permissions(home.base(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = home.base().join("daemonctl");
    copy_program(&binary("daemonctl"), &program, 0o755);
    let other = tempfile::tempdir().unwrap();
    for dir in [other.path(), app.dir().as_path()] {
        std::os::unix::fs::chown(dir, Some(65534), Some(65534)).unwrap();
    }
    let as_its_user = |args: &[&str]| {
        let mut command = home.program(&program, args.iter().copied());
        command.env("DAEMONCTL_RUNTIME_DIR", other.path().join("runtime")).uid(65534).gid(65534);
        home.finish(command)
    };
    as_its_user(&["start", "web"]).ok();
    for args in [&["stop", "web"][..], &["start", "web"]] {
        let told = home.ctl(args).exits(5).explains("under the supervisor of user nobody (uid 65534), pid ");
        told.explains("give the command as that user: runuser -u nobody -- daemonctl …");
    }
    home.ctl(["why", "web"]).ok().says("web is running: under the supervisor of user nobody");
    as_its_user(&["stop", "web"]).ok();
}

#[test]
fn a_program_that_has_locked_an_app_is_named() {
    let home = Home::new();
    home.app("web").behaves("sleep");
    let lock = std::fs::File::open(home.root().join("web")).unwrap();
    lock.lock().unwrap();
    let own = format!("(pid {}), which is no supervisor, holds the lock of its directory", std::process::id());
    home.ctl(["start", "web"]).exits(1).explains(&own).explains("or end it");
    // The table of locks goes on with the pid of who took the lock, when only the one it was handed to has it.
    let mut heir = Command::new("cat").stdin(Stdio::piped()).stdout(lock).spawn().unwrap();
    let told = home.ctl(["start", "web"]);
    drop(heir.stdin.take());
    heir.wait().unwrap();
    let told = told.exits(1).explains("its supervisor cannot be asked\n");
    assert!(!told.stderr.contains("end it"), "{told}");
    home.ctl(["start", "web"]).ok();
}
