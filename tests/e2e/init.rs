//! `daemonctl init`: from nothing to an app that runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::Home;

#[test]
fn an_app_that_was_made_can_be_started() {
    let home = Home::new();
    home.ctl([
        "init",
        "web",
        "--check",
        "echo fine",
        "--",
        "python3",
        "-c",
        "print('it\\'s'); import time; time.sleep(99)",
    ])
    .ok();
    let app = home.app("web");
    assert_eq!(fs::metadata(app.path("run")).unwrap().permissions().mode() & 0o777, 0o755);
    home.ctl(["start", "--wait", "web"]).ok();
    home.ctl(["init", "worker"]).ok().explains("daemonctl start worker");
    home.ctl(["start", "worker"]).ok();
    home.app("worker").wait_for_output("worker is a placeholder: edit");
}

#[test]
fn nothing_that_is_there_is_written_over() {
    let home = Home::new();
    let app = home.app("web").file("conf.toml", "mine");
    home.ctl(["init", "web"]).exits(1).explains("has conf.toml already");
    assert_eq!(app.read("conf.toml"), "mine");
    assert!(!app.path("run").exists(), "all or nothing");
    // What is there already may be an app, or may lack what makes it one; then nothing is said that would fail.
    app.file("conf.toml", "[process]\nrestart = 'no'\n");
    let output = home.ctl(["init", "web"]).exits(1).explains("web/run, an executable script, or daemonctl config set");
    output.never_says("daemonctl start");
    home.ctl(["config", "set", "web", "process.command=sleep"]).ok();
    home.ctl(["init", "web"]).exits(1).explains("daemonctl start web starts it; nothing was changed");
    home.ctl(["init", "conf.toml"]).exits(1).explains("conf.toml is the configuration of all apps");
    assert!(!home.root().join("conf.toml").exists());
    // What is no file of an app's is in nobody's way.
    home.app("api").file("server.py", "");
    home.ctl(["--dry-run", "init", "api"]).ok();
    assert!(!home.app("api").path("run").exists());
    home.ctl(["init", "api"]).ok();
    home.ctl(["init", "../x"]).exits(2).explains("is not an app name");
    home.ctl(["init", "lost", "--", "nosuchprogram"]).ok().explains("nosuchprogram is not there yet");
}

#[test]
fn a_strict_umask_leaves_a_script_that_its_owner_can_run() {
    let home = Home::new();
    let line = format!("umask 077; exec {} init web", crate::support::binary("daemonctl").display());
    home.finish(home.program("/bin/sh".as_ref(), ["-c", &line])).ok();
    assert_eq!(fs::metadata(home.app("web").path("run")).unwrap().permissions().mode() & 0o777, 0o700);
}
