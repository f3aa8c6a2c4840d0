//! What has happened, and who asked for it.

use std::io::{Read, Write};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::Value;

use crate::support::{AppDir, Home, Output, SOON, binary, copy_program, is_root, wait_until};

/// The objects of `events --json`.
fn objects(output: &Output) -> Vec<Value> {
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{output}"))).collect()
}

fn kinds(objects: &[Value]) -> Vec<&str> {
    objects.iter().map(|object| object["kind"].as_str().unwrap()).collect()
}

/// Who runs these stories, by name.
fn me() -> String {
    let told = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8_lossy(&told.stdout).trim().to_owned()
}

#[test]
fn a_life_is_told_with_who_asked_for_each_turn_of_it() {
    let home = Home::new();
    home.app("web").behaves("sleep").conf("signals.reload_signal = 'CONT'");
    home.ctl(["start", "web"]).ok();
    let first = home.status("web").main_pid();
    home.ctl(["reload", "web"]).ok();
    home.ctl(["restart", "web"]).ok();
    home.ctl(["kill", "--wait", "web", "KILL"]).ok();
    home.app("web").wait_for_state("exited");
    let told = home.ctl(["events", "--json", "web"]).ok();
    let all = objects(&told);
    let expected = [
        "asked",
        "started",
        "asked",
        "signalled",
        "asked",
        "stopping",
        "ended",
        "started",
        "asked",
        "signalled",
        "ended",
    ];
    assert_eq!(kinds(&all), expected, "{told}");
    let asked: Vec<&Value> = all.iter().filter(|object| object["kind"] == "asked").collect();
    let commands: Vec<_> = asked.iter().map(|object| object["command"].as_str().unwrap()).collect();
    assert_eq!(commands, ["start", "reload", "restart", "kill"]);
    let uid = nix::unistd::geteuid().as_raw();
    assert!(
        asked.iter().all(|object| object["user"] == me() && object["uid"] == uid && object["pid"].is_i64()),
        "{told}"
    );
    assert_eq!(all[1]["pid"], first);
    assert_eq!((&all[10]["signal"], &all[10]["code"]), (&Value::from("SIGKILL"), &Value::Null));
    home.ctl(["events", "web"])
        .ok()
        .says(&format!("stop asked by {} (uid {uid}, pid ", me()).replace("stop", "restart"));
}

#[test]
fn what_sudo_says_is_told_as_a_claim_and_only_of_root() {
    let home = Home::new();
    home.app("web").behaves("sleep");
    let mut start = home.command(["start", "web"]);
    start.env("SUDO_USER", "alice");
    home.finish(start).ok();
    let mut stop = home.command(["stop", "web"]);
    stop.env("SUDO_USER", "alice) is fine\n2026-01-31T12:00:00Z info  healthy");
    home.finish(stop).ok();
    let told = home.ctl(["events", "--json", "web"]).ok();
    let all = objects(&told);
    let claimed: Vec<_> =
        all.iter().filter(|object| object["kind"] == "asked").map(|one| &one["claimed_user"]).collect();
    let first = if nix::unistd::geteuid().is_root() { Value::from("alice") } else { Value::Null };
    assert_eq!(claimed, [&first, &Value::Null], "{told}");
    assert!(!kinds(&all).contains(&"healthy"), "{told}");
}

#[test]
fn all_apps_are_told_in_the_order_of_time_and_levels_are_those_of_the_events() {
    let home = Home::new();
    home.app("web").behaves("exit 3");
    home.app("db").behaves("sleep");
    home.ctl(["start", "web"]).ok();
    home.app("web").wait_for_state("exited");
    home.ctl(["start", "db"]).ok();
    home.ctl(["stop", "db"]).ok();
    let told = home.ctl(["events", "--json"]).ok();
    let all = objects(&told);
    let times: Vec<_> = all.iter().map(|object| object["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{told}");
    let apps: Vec<_> = all.iter().map(|object| object["app"].as_str().unwrap()).collect();
    assert!(apps.starts_with(&["web"]) && apps.ends_with(&["db"]), "{told}");
    let warned = home.ctl(["events", "--level", "warn", "--json"]).ok();
    assert_eq!(kinds(&objects(&warned)), ["ended"], "{warned}");
    assert_eq!(objects(&warned)[0]["code"], 3);
    // The same log, as lines.
    let logged = home.ctl(["logs", "--events", "--level", "warn", "--json", "web"]).ok();
    let lines = objects(&logged);
    assert_eq!((lines.len(), &lines[0]["level"]), (1, &"warn".into()), "{logged}");
    assert!(lines[0]["text"].as_str().unwrap().contains("exited 3"), "{logged}");
    home.ctl(["events", "-n", "1", "db"]).ok().says(", as asked").never_says("started");
    home.ctl(["events", "--until", "@1", "web"]).ok().never_says("started");
}

#[test]
fn events_are_followed_as_they_happen() {
    let home = Home::new();
    home.app("web").behaves("sleep");
    home.ctl(["start", "web"]).ok();
    let out = home.base().join("followed");
    let mut follow = home.command(["events", "-f", "web"]);
    follow.stdout(std::fs::File::create(&out).unwrap());
    let mut following = follow.spawn().unwrap();
    let wait_for = |text: &str| {
        wait_until(&format!("{text:?} is told"), SOON, || match std::fs::read_to_string(&out).unwrap() {
            all if all.contains(text) => Ok(()),
            all => Err(all),
        });
    };
    wait_for("started, pid");
    home.ctl(["stop", "web"]).ok();
    wait_for(", as asked");
    following.kill().unwrap();
    following.wait().unwrap();
}

#[test]
fn a_check_cannot_forge_events() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    app.script("check", "echo one; echo '2026-01-31T12:00:00.000Z info  stop asked by root (uid 0, pid 1)'; echo stop asked by root '(uid 0, pid 1)'; exit 1");
    app.conf("[monitoring]\nenabled = true\ncheck_interval = '50ms'\nfailure_threshold = 1\nstartup_delay = 0");
    home.ctl(["start", "web"]).ok();
    app.wait_for_text("logs/web.run", "unhealthy");
    home.ctl(["stop", "web"]).ok();
    let told = home.ctl(["events", "--json", "-n", "all", "web"]).ok();
    let all = objects(&told);
    let forged = all.iter().filter(|one| one["kind"] == "asked" && one["pid"] == 1).count();
    assert_eq!(forged, 0, "{told}");
    assert!(kinds(&all).contains(&"unhealthy") && kinds(&all).contains(&"more"), "{told}");
}

#[test]
fn what_the_supervisor_was_sent_is_told() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    home.ctl(["start", "web"]).ok();
    let (supervisor, _) = home.pair("web");
    crate::support::kill(supervisor.pid, nix::sys::signal::Signal::SIGTERM);
    app.wait_until_gone();
    app.wait_for_text("logs/web.run", "stop asked by SIGTERM to the supervisor");
}

#[test]
fn root_at_the_socket_of_another_user_is_told_apart_from_that_user() {
    if !is_root("other users") {
        return;
    }
    let home = Home::new();
    let app = home.app("web").run_script("exec sleep 1000");
    let uid = 300_000 + std::process::id();
    let program = home.base().join("daemonctl");
    copy_program(&binary("daemonctl"), &program, 0o755);
    for path in [home.base().to_owned(), home.root(), app.dir()] {
        chown(path, Some(uid), Some(uid)).unwrap();
    }
    let mut start = home.program(&program, ["start", "web"]);
    start.uid(uid).gid(uid);
    home.finish(start).ok();
    let socket = std::fs::read_dir(home.runtime_dir()).unwrap().map(|entry| entry.unwrap().path());
    let socket = socket.map(|dir| dir.join("background.sock")).find(|path| path.exists()).expect("a control socket");
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(b"{\"v\":1,\"cmd\":\"stop\",\"apps\":[\"web\"],\"wait\":true}\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.contains("\"stopped\""), "{reply}");
    let events = app.events();
    assert!(events.contains(&format!("start asked by {uid} (uid {uid}, pid ")), "{events}");
    assert!(events.contains(&format!("stop asked by root (uid 0, pid {})", std::process::id())), "{events}");
}

#[test]
fn events_of_several_apps_stand_in_the_order_of_their_times() {
    let home = Home::new();
    let line = |millis: u32, text: &str| format!("2026-01-31T12:00:00.{millis}Z info  {text}\n");
    let a = [line(595, "start asked by root (uid 0, pid 1)"), line(597, "started, pid 12")].concat();
    let b = [line(596, "start asked by root (uid 0, pid 1)"), line(598, "started, pid 13")].concat();
    home.app("a").run_script("exec sleep 1000").file("logs/a.run", a);
    home.app("b").run_script("exec sleep 1000").file("logs/b.run", b);
    let told = home.ctl(["events", "--json"]).ok();
    let times: Vec<String> =
        objects(&told).iter().map(|event| event["time"].as_str().unwrap()[20..23].into()).collect();
    assert_eq!(times, ["595", "596", "597", "598"], "{told}");
}

#[test]
fn an_app_may_be_quiet_or_tell_everything_and_has_its_errors_where_it_wants() {
    let home = Home::new();
    let [quiet, verbose] = ["quiet", "verbose"].map(|name| home.app(name).run_script("echo out; echo err >&2; exit 3"));
    for app in [quiet, verbose] {
        app.script("on-stop", "exit 0");
    }
    quiet.conf("logging.quiet = true\nlogging.stderr_file = 'mistakes'");
    verbose.conf("logging.verbose = true");
    home.ctl(["start", "quiet", "verbose"]).ok();
    let levels = |app: &AppDir| {
        app.wait_for_state("exited");
        let mut levels: Vec<_> =
            app.events().lines().map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect();
        levels.sort();
        levels.dedup();
        levels
    };
    assert_eq!(levels(&quiet), ["warn"], "{}", quiet.events());
    assert_eq!(levels(&verbose), ["debug", "info", "warn"], "{}", verbose.events());
    assert!(verbose.events().contains("debug on-stop succeeded"), "{}", verbose.events());
    assert_eq!((quiet.read("mistakes"), quiet.err()), ("err\n".into(), String::new()));
    assert_eq!(home.ctl(["logs", "--stderr", "quiet"]).ok().stdout, "err\n");
    assert_eq!((quiet.log(), verbose.err()), ("out\n".into(), "err\n".into()));
}
