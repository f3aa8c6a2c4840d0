//! The options of `start-all`, `stop` and `restart`, and the pid file, which stops with its app.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{Home, SOON, wait_until};

/// An app that does not hear SIGTERM, and has said so.
const DEAF: &str = "trap '' TERM; echo deaf; while :; do sleep 0.02; done";

#[test]
fn start_all_tells_of_each_app_and_waits_for_none_for_ever() {
    let home = Home::new();
    for name in ["web", "db"] {
        home.app(name).run_script("exec sleep 1000").file(".version", "1\n");
    }
    home.app("cron").run_script("exec sleep 1000");
    home.app("never").run_script("exec sleep 1000").file(".version", "1\n").script("check", "echo not yet; exit 1");
    home.app("never").conf("monitoring.enabled = true");

    let told = home.ctl(["start-all", "-V", "-a", "-x", "never"]).ok();
    let mut lines: Vec<&str> = told.stdout.lines().map(|line| line.split(" (pid").next().unwrap()).collect();
    lines.sort_unstable();
    let expected = [
        "skipped cron (it has no .version)",
        "skipped never (excluded)",
        "started 2, skipped 2",
        "started db",
        "started web",
    ];
    assert_eq!(lines, expected, "{told}");
    assert_eq!((home.status("cron").state, home.status("never").state), ("stopped".into(), "stopped".into()));

    // What has its time and is not ready goes on, and the others have not been kept from theirs.
    let late = home.ctl(["start-all", "-w", "-t", "1"]).exits(1).explains("never").says("not yet");
    assert!(late.took < Duration::from_secs(10), "{late}");
    assert_eq!((home.status("cron").state, home.status("never").state), ("running".into(), "running".into()));
}

#[test]
fn a_restart_has_its_own_time_to_stop_and_pauses_before_it_starts() {
    let home = Home::new();
    let app = home.app("web").run_script(DEAF).conf("process.stop_timeout = '300ms'");
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("deaf");

    // The app's own time; it would be 30 seconds otherwise.
    home.ctl(["restart", "web"]).ok();
    wait_until("it is deaf again", SOON, || match app.log().lines().count() {
        2 => Ok(()),
        lines => Err(format!("{lines} lines")),
    });
    let killed = |events: &str| events.lines().filter(|line| line.contains("killed by SIGKILL after ")).count();
    assert_eq!(killed(&app.events()), 1, "{}", app.events());

    // The command's: longer than the app's, so that it is seen to count.
    let begun = Instant::now();
    home.ctl(["restart", "--stop-timeout", "1", "--delay", "1", "web"]).ok();
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}\n{}", begun.elapsed(), app.events());
    assert_eq!(killed(&app.events()), 2, "{}", app.events());

    let begun = Instant::now();
    wait_until("it is deaf for the third time", SOON, || match app.log().lines().count() {
        3 => Ok(()),
        lines => Err(format!("{lines} lines")),
    });
    home.ctl(["stop", "web"]).ok().says("killed by SIGKILL");
    assert!(begun.elapsed() < Duration::from_secs(15), "stopped in its own time: {:?}", begun.elapsed());
}

#[test]
fn a_pid_file_is_where_it_is_asked_for_or_nowhere_and_can_be_cleared_away() {
    let home = Home::new();
    let [web, none] = ["web", "none"].map(|name| home.app(name).behaves("sleep"));
    web.conf("pidfile.path = 'here/web.pid'");
    fs::create_dir(web.path("here")).unwrap();
    none.conf("pidfile.enabled = false");
    home.ctl(["start", "web", "none"]).ok();
    assert_eq!(web.read("here/web.pid"), format!("{}\n", web.status().main_pid()));
    assert_eq!(pid_files(&home), [] as [String; 0], "neither is in the runtime directory");

    // What names a living process stays.
    fs::copy(web.path("here/web.pid"), home.base().join("living")).unwrap();
    home.ctl(["stop", "web"]).ok();
    assert!(!web.path("here/web.pid").exists(), "it goes with the app");
    web.file("here/web.pid", format!("{}\n", std::process::id()));
    home.ctl(["stop", "--remove-pidfile", "web"]).ok().explains("names a process that runs; it was left as it is");
    assert!(web.path("here/web.pid").exists());
    // So does what is none.
    web.file("here/web.pid", "listen = 80\n");
    home.ctl(["stop", "--remove-pidfile", "web"]).ok().explains("is no pid file; it was left as it is");
    assert!(web.path("here/web.pid").exists());
    // What a power cut has left does not.
    fs::copy(home.base().join("living"), web.path("here/web.pid")).unwrap();
    home.ctl(["stop", "--remove-pidfile", "web"]).ok();
    assert!(!web.path("here/web.pid").exists());

    home.ctl(["restart", "none"]).ok();
    assert_eq!(pid_files(&home), [] as [String; 0]);
    none.conf("");
    home.ctl(["restart", "none"]).ok();
    assert_eq!(pid_files(&home), ["none.pid"]);
}

/// The pid files in the runtime directory.
fn pid_files(home: &Home) -> Vec<String> {
    let mut found = Vec::new();
    let mut dirs = vec![home.runtime_dir()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_dir() {
                dirs.push(entry.path());
            } else if name.ends_with(".pid") {
                found.push(name);
            }
        }
    }
    found
}
