//! `restart`: what it keeps of the start is said where somebody may expect otherwise.

use crate::support::Home;

#[test]
fn a_variable_that_a_restart_does_not_heed_is_named() {
    let home = Home::new();
    home.app("web").behaves("sleep");
    let with = |verb: &str, time: &str| {
        let mut command = home.command([verb, "web"]);
        command.env("DAEMONCTL_WEB_TIMEOUT", time);
        home.finish(command).ok()
    };
    with("start", "5m").never_says("warning");
    with("restart", "5m").never_says("warning");
    with("restart", "7m").explains("web: DAEMONCTL_WEB_TIMEOUT of this shell is not heeded");
    home.ctl(["stop", "web"]).ok();
    home.wait_until_unsupervised();
    with("restart", "7m").never_says("warning");
}

#[test]
fn a_restart_says_which_flags_of_the_start_it_keeps() {
    let home = Home::new();
    home.app("web").behaves("sleep");
    home.ctl(["start", "--file-limit", "64", "web"]).ok();
    let told = home.ctl(["config", "set", "web", "limits.file_limit=128", "daemon.umask=077"]).ok();
    told.explains("this takes effect after daemonctl stop web: until then --file-limit counts");
    let told = home.ctl(["restart", "web"]).ok();
    told.explains("warning: web: limits.file_limit of ").explains("a restart keeps the --file-limit of the start");
    // One that is given anew counts, and what the files say as well.
    assert!(!home.ctl(["restart", "--file-limit", "128", "web"]).ok().stderr.contains("warning"));
    home.ctl(["stop", "web"]).ok();
    home.ctl(["start", "web"]).ok();
    assert_eq!(home.ctl(["restart", "web"]).ok().stderr, "");
    home.ctl(["stop", "web"]).ok();
}
