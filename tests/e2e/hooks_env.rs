//! What a process of an app is given: environment, identity, limits, a clean slate; and the hooks beside it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{AppDir, Home, is_root, testapp};

fn environment(probe: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(probe["environment"].clone()).expect("an environment")
}

#[test]
fn hooks_run_and_know_why() {
    let home = Home::new();
    let tell = r#"echo "$DAEMONCTL_EVENT $APPDEPLOY_APP_NAME $APPDEPLOY_APP_VERSION main=$DAEMONCTL_MAIN_PID reason=$DAEMONCTL_REASON $COLOUR" >> "$APPDEPLOY_APP_PATH/hooks"; echo said by the hook"#;
    let app = home.app("web").behaves("exit-on-usr1 3").file(".version", "2.1\nsecond line\n");
    app.script("on-start", tell).script("on-stop.sh", tell).conf("process.environment = { COLOUR = 'red' }");
    home.ctl(["start", "web"]).ok();
    let pid = app.status().main_pid();
    let start = format!("start web 2.1 main={pid} reason= red\n");
    assert_eq!(app.wait_for_text("hooks", "\n"), start);
    home.ctl(["stop", "web"]).ok();
    let stop = format!("stop web 2.1 main={pid} reason=stopped red\n");
    assert_eq!(app.wait_for_text("hooks", "stop web"), format!("{start}{stop}"));
    assert!(app.events().contains("said by the hook"), "hooks speak to the event log:\n{}", app.events());
    assert!(!app.log().contains("said by the hook"), "and not into the app's output");
}

#[test]
fn a_hook_that_fails_is_a_warning() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").script("on-start", "exit 3").script("on-stop", "exit 4");
    home.ctl(["start", "web"]).ok();
    app.wait_for_text("logs/web.run", "on-start");
    assert_eq!(app.status().state, "running");
    home.ctl(["stop", "web"]).ok();
    app.wait_for_text("logs/web.run", "on-stop");
    assert_eq!(app.status().state, "stopped");
}

#[test]
fn on_stop_runs_when_the_app_ends_by_itself() {
    let home = Home::new();
    let app = home.app("web").behaves("exit-on-usr1 3");
    app.script("on-stop", r#"echo "$DAEMONCTL_REASON $DAEMONCTL_EXIT_CODE" > "$APPDEPLOY_APP_PATH/reason""#);
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("ready");
    home.ctl(["kill", "web", "USR1"]).ok();
    assert_eq!(app.wait_for_text("reason", "\n"), "exited 3\n");
}

#[test]
fn later_sources_of_the_environment_win() {
    let home = Home::new();
    // Each source sets its own variable and all that follow in the chain.
    let sources = ["INHERITED", "SCRIPT", "FILE", "EXTRA", "CONF", "FLAG"];
    let assignments = |from: usize| sources[from..].iter().map(move |key| (*key, sources[from].to_lowercase()));
    let lines = |from, before: &str| assignments(from).map(|(key, value)| format!("{before}{key}={value}\n")).collect();
    let script: String = lines(1, "export ");
    let app = home.app("web").file("env.sh", script + "export TWICE=\"$INHERITED-$APPDEPLOY_APP_NAME\"\n");
    let conf: Vec<String> = assignments(4).map(|(key, value)| format!("{key} = '{value}'")).collect();
    let file: String = lines(2, "");
    let app = app.file("app.env", file).is_probe(&format!(
        "process.environment_file = {:?}\nprocess.environment = {{ {} }}",
        app.path("app.env"),
        conf.join(", ")
    ));
    let extra = home.base().join("extra.env");
    let extra_text: String = lines(3, "");
    fs::write(&extra, extra_text).unwrap();
    let mut start = home.command(["--env", &extra.to_string_lossy(), "start", "--env", "FLAG=flag", "web"]);
    for (key, value) in assignments(0) {
        start.env(key, value);
    }
    home.finish(start).ok();
    let seen = environment(&app.probe());
    for key in sources {
        assert_eq!(seen.get(key), Some(&key.to_lowercase()), "{key} in {seen:#?}");
    }
    assert_eq!(seen["TWICE"], "inherited-web", "env.sh sees what was there before it");
}

#[test]
fn environment_files_may_be_written_as_people_write_them() {
    let home = Home::new();
    let text =
        "# a comment\n\nexport PLAIN=1\nSINGLE='a $b \\n'\nDOUBLE=\"tab\\\"quote\"\nEMPTY=\nURL=http://h/?a=b#c\n";
    let app = home.app("web").file("app.env", text);
    let app = app.is_probe(&format!("process.environment_file = {:?}", app.path("app.env")));
    // /dev/null is an empty one.
    home.ctl(["--env", "/dev/null", "start", "web"]).ok();
    let seen = environment(&app.probe());
    let expected =
        [("PLAIN", "1"), ("SINGLE", "a $b \\n"), ("DOUBLE", "tab\"quote"), ("EMPTY", ""), ("URL", "http://h/?a=b#c")];
    for (key, value) in expected {
        assert_eq!(seen.get(key).map(String::as_str), Some(value), "{key}");
    }
}

#[test]
fn an_environment_file_that_is_wrong_stops_the_start() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").file("app.env", "GOOD=1\nnot an assignment\n");
    app.conf(&format!("process.environment_file = {:?}", app.path("app.env")));
    let output = home.ctl(["start", "web"]);
    assert!(matches!(output.code(), 1 | 2), "{output}");
    output.explains("app.env").explains("2");
    // Nobody waits for what a named pipe may bring.
    std::fs::remove_file(app.path("app.env")).unwrap();
    nix::unistd::mkfifo(&app.path("app.env"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    home.ctl(["start", "web"]).exits(1).explains("app.env: it is not a regular file");
    home.ctl(["config", "check", "web"]).exits(2).says("app.env: it is not a regular file");
    assert!(app.processes().is_empty());
}

#[test]
fn every_process_knows_its_app() {
    let home = Home::new();
    let app = home.app("web").is_probe("");
    home.ctl(["start", "web"]).ok();
    let seen = environment(&app.probe());
    assert_eq!(seen["APPDEPLOY_APP_PATH"], app.dir().to_string_lossy());
    assert_eq!((seen["APPDEPLOY_APP_NAME"].as_str(), seen["APPDEPLOY_APP_VERSION"].as_str()), ("web", ""));
}

#[test]
fn a_cleared_environment_keeps_four_variables() {
    let home = Home::new();
    let app = home.app("web").is_probe("process.clear_env = true\nprocess.environment = { COLOUR = 'red' }");
    let mut start = home.command(["start", "web"]);
    start.env("TERM", "dumb").env("USER", "me").env("SECRET", "x");
    home.finish(start).ok();
    let seen = environment(&app.probe());
    let names: Vec<&str> = seen.keys().map(String::as_str).filter(|key| !matches!(*key, "LOGNAME" | "SHELL")).collect();
    let ours = ["APPDEPLOY_APP_NAME", "APPDEPLOY_APP_PATH", "APPDEPLOY_APP_VERSION", "COLOUR", "DAEMONCTL_LAUNCH_ID"];
    assert_eq!(names, [&ours[..], &["HOME", "PATH", "TERM", "USER"]].concat(), "{seen:#?}");
}

#[test]
fn what_steers_loaders_or_belongs_to_the_session_is_not_inherited() {
    let home = Home::new();
    let app = home.app("web").is_probe("");
    let steering = [
        "LD_LIBRARY_PATH",
        "BASH_ENV",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "NODE_OPTIONS",
        "PERL5OPT",
        "RUBYOPT",
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "LISTEN_PID",
        "SUDO_USER",
        "SUDO_COMMAND",
        "SSH_CLIENT",
        "SSH_AUTH_SOCK",
        "MALLOC_CHECK_",
        "GCONV_PATH",
    ];
    let mut start = home.command(["start", "web"]);
    for name in steering {
        start.env(name, "/nowhere");
    }
    start.env("HARMLESS", "1");
    home.finish(start).ok();
    let seen = environment(&app.probe());
    let left: Vec<_> = steering.iter().filter(|name| seen.contains_key(**name)).collect();
    assert!(left.is_empty(), "{left:?} were inherited");
    assert_eq!(seen["HARMLESS"], "1");
    // What the configuration asks for, it gets.
    home.ctl(["restart", "--env", "PYTHONPATH=/srv/lib", "web"]).ok();
    fs::remove_file(app.path("probe.json")).unwrap_or_default();
    home.ctl(["restart", "--env", "PYTHONPATH=/srv/lib", "web"]).ok();
    assert_eq!(environment(&app.probe())["PYTHONPATH"], "/srv/lib");
}

#[test]
fn the_child_is_given_a_clean_slate() {
    let home = Home::new();
    let app = home.app("web").is_probe("");
    // A caller with open files, ignored and blocked signals.
    let script = r#"exec 5</dev/null 77</dev/null; trap '' PIPE INT HUP USR1; umask 077; exec "$0" start web"#;
    let bash = std::path::Path::new("/bin/bash");
    let start = home.program(bash, ["-c", script, &*crate::support::binary("daemonctl").to_string_lossy()]);
    home.finish(start).ok();
    let probe = app.probe();
    assert_eq!(probe["fds"], json!([0, 1, 2]));
    assert_eq!(probe["stdin"], "/dev/null");
    for mask in ["sig_ign", "sig_blk", "sig_cgt"] {
        assert_eq!(probe[mask], "0000000000000000", "{mask}: {probe:#}");
    }
    assert!(probe["pid"] == probe["pgid"] && probe["pid"] == probe["sid"], "{probe:#}");
    assert_eq!(probe["tty"], 0);
    assert_eq!(probe["pid"], app.status().main_pid(), "the launcher becomes the app, in the same process");
    assert_eq!(probe["umask"], "0022");
    assert_eq!(probe["cwd"], app.dir().to_string_lossy().into_owned());
}

#[test]
fn the_supervisor_keeps_nothing_of_its_caller() {
    let home = Home::new();
    home.app("web").behaves("sleep");
    home.ctl(["start", "web"]).ok();
    let (supervisor, keeper) = home.pair("web");
    for process in [supervisor, keeper] {
        let stdio = (0..3).map(|fd| fs::read_link(format!("/proc/{}/fd/{fd}", process.pid)).unwrap_or_default());
        let stdio: Vec<_> = stdio.map(|target| target.to_string_lossy().into_owned()).collect();
        let log = |target: &String| target.starts_with(&*home.runtime_dir().to_string_lossy());
        let own = |(fd, target): (usize, &String)| target == "/dev/null" || fd == 2 && log(target);
        let own = stdio.iter().enumerate().all(own);
        assert!(own, "{}: {stdio:?}", process.comm);
        let own_session = process.sid != nix::unistd::getsid(None).unwrap().as_raw();
        assert!(own_session, "{} is still in its caller's session", process.comm);
    }
}

#[test]
fn umask_nice_directory_and_limits_are_as_configured() {
    let home = Home::new();
    let app = home.app("web").file("sub/file", "").is_probe("");
    app.is_probe(&format!(
        "process.priority = 7\nprocess.oom_score_adj = 500\ndaemon.umask = '027'\ndaemon.working_directory = {:?}
         limits.file_limit = 123\nlimits.core_limit = 0\nlimits.stack_limit = '1M'",
        app.path("sub")
    ));
    home.ctl(["start", "web"]).ok();
    let probe = app.probe();
    assert_eq!(probe["nice"], 7);
    assert_eq!(probe["oom_score_adj"], "500");
    assert_eq!(probe["umask"], "0027");
    assert_eq!(probe["cwd"], app.path("sub").to_string_lossy().into_owned());
    assert_eq!(probe["limits"], json!({"nofile": [123, 123], "core": [0, 0], "stack": [1 << 20, 1 << 20]}));
    // Between sessions only the autogroup's nice value counts, where the kernel makes such groups.
    let autogroup = probe["autogroup"].as_str().unwrap_or_default();
    assert!(autogroup.is_empty() || autogroup.ends_with("nice 7"), "{autogroup}");
}

#[test]
fn limits_of_the_supervisor_are_not_those_of_its_apps() {
    let home = Home::new();
    let app = home.app("web").is_probe("");
    let script = r#"ulimit -S -n 222; exec "$0" start web"#;
    let bash = std::path::Path::new("/bin/bash");
    home.finish(home.program(bash, ["-c", script, &*crate::support::binary("daemonctl").to_string_lossy()])).ok();
    assert_eq!(app.probe()["limits"]["nofile"][0], 222, "the caller's soft limit");
}

/// A user with supplementary groups if this machine has one.
fn user_with_groups() -> String {
    let members = fs::read_to_string("/etc/group").unwrap_or_default();
    let mut members = members.lines().filter_map(|line| line.rsplit(':').next()?.split(',').next().map(str::to_owned));
    let exists = |user: &String| {
        !user.is_empty() && user != "root" && nix::unistd::User::from_name(user).is_ok_and(|user| user.is_some())
    };
    members.find(exists).unwrap_or_else(|| "nobody".to_owned())
}

fn id(args: &[&str]) -> Vec<u32> {
    let output = Command::new("id").args(args).output().expect("id(1)");
    let mut ids: Vec<u32> =
        String::from_utf8_lossy(&output.stdout).split_whitespace().map(|id| id.parse().expect("an id")).collect();
    ids.sort_unstable();
    ids
}

/// An app that another user can run: the helper program may lie where only root can read.
fn probe_for_others<'home>(app: AppDir<'home>, conf: &str) -> AppDir<'home> {
    let app = app.program("probe", fs::read(testapp()).unwrap());
    let command = app.path("probe");
    let app = app.conf(&format!("process.command = {command:?}\nprocess.args = ['probe', 'out/probe.json']\n{conf}"));
    let app = app.file("out/keep", "");
    fs::set_permissions(app.path("out"), fs::Permissions::from_mode(0o777)).unwrap();
    app
}

fn probed(app: &AppDir<'_>) -> Value {
    serde_json::from_str(&app.wait_for_text("out/probe.json", "}")).expect("JSON")
}

#[test]
fn another_user_is_that_user_in_every_respect() {
    if !is_root("another user") {
        return;
    }
    let home = Home::new();
    let user = user_with_groups();
    let app = probe_for_others(home.app("web"), &format!("security.user = '{user}'"));
    let mut start = home.command(["start", "web"]);
    start.env("USER", "root").env("LOGNAME", "root").env("SHELL", "/bin/false");
    home.finish(start).ok();
    let probe = probed(&app);
    let four = |id: u32| [id.to_string(), id.to_string(), id.to_string(), id.to_string()].join(" ");
    assert_eq!(probe["uid"], four(id(&["-u", &user])[0]), "{user}");
    assert_eq!(probe["gid"], four(id(&["-g", &user])[0]), "{user}");
    let mut groups: Vec<u32> =
        probe["groups"].as_str().unwrap().split_whitespace().map(|id| id.parse().unwrap()).collect();
    groups.sort_unstable();
    groups.dedup();
    assert_eq!(groups, id(&["-G", &user]), "{user}");
    let account = nix::unistd::User::from_name(&user).unwrap().unwrap();
    let seen = environment(&probe);
    assert_eq!((seen["USER"].as_str(), seen["LOGNAME"].as_str()), (user.as_str(), user.as_str()));
    assert_eq!(seen["HOME"], account.dir.to_string_lossy());
    assert_eq!(seen["SHELL"], account.shell.to_string_lossy());
}

#[test]
fn another_group_alone_leaves_no_group_of_the_caller() {
    if !is_root("another group") {
        return;
    }
    let home = Home::new();
    let app = probe_for_others(home.app("web"), "security.user = 'nobody'\nsecurity.group = 'daemon'");
    home.ctl(["start", "web"]).ok();
    let probe = probed(&app);
    let daemon = id(&["-g", "daemon"])[0];
    assert_eq!(probe["gid"], format!("{daemon} {daemon} {daemon} {daemon}"));
    let groups = probe["groups"].as_str().unwrap();
    assert!(!groups.split(' ').any(|group| group == "0"), "root's group is still there: {groups}");
}

#[test]
fn hooks_and_checks_have_the_identity_of_the_app() {
    if !is_root("another user") {
        return;
    }
    let home = Home::new();
    let app = home.app("web").run_script("exec sleep 1000").file("out/keep", "");
    fs::set_permissions(app.path("out"), fs::Permissions::from_mode(0o777)).unwrap();
    for (script, file) in [("on-start", "start"), ("on-stop", "stop"), ("check", "check")] {
        app.script(script, &format!("id -un > $APPDEPLOY_APP_PATH/out/{file}"));
    }
    app.conf("security.user = 'nobody'\nmonitoring.enabled = true");
    home.ctl(["start", "--wait", "web"]).ok();
    app.wait_for_text("out/start", "\n");
    home.ctl(["stop", "web"]).ok();
    for file in ["start", "stop", "check"] {
        assert_eq!(app.wait_for_text(&format!("out/{file}"), "\n"), "nobody\n", "{file}");
    }
}

#[test]
fn a_program_may_open_its_own_stdout_again() {
    if !is_root("another user") {
        return;
    }
    let home = Home::new();
    let app = home.app("web").run_script("echo again > /dev/stdout; echo problem > /dev/stderr; exec sleep 1000");
    app.conf("security.user = 'nobody'");
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("again\n");
    app.wait_for_text("logs/web.err", "problem\n");
}

#[test]
fn secrets_are_told_to_the_app_alone() {
    let home = Home::new();
    let app = home.app("web").behaves("exit-on-usr1 1").script("on-stop", "true");
    app.conf("process.environment = { TOKEN = 'hunter2' }\nprocess.restart = 'always'\nprocess.restart_delay = '20ms'");
    home.ctl(["-v", "start", "--env", "PASSWORD=hunter3", "web"]).ok().never_says("hunter");
    app.wait_for_output("ready");
    home.ctl(["kill", "web", "USR1"]).ok();
    app.wait_for("restarted", |status| status.restarts == 1 && status.state == "running");
    home.ctl(["status", "--json", "web"]).ok().never_says("hunter");
    home.ctl(["--dry-run", "start", "--env", "PASSWORD=hunter3", "web"]).never_says("hunter");
    assert!(!app.events().contains("hunter"), "{}", app.events());
    let (supervisor, keeper) = home.pair("web");
    let main = crate::support::process(app.status().main_pid()).expect("the app");
    for process in [supervisor, keeper, main] {
        assert!(!process.command_line().contains("hunter"), "{}", process.command_line());
    }
}
