use super::*;

fn completed(line: &[&str]) -> Vec<String> {
    let words: Vec<OsString> = [&["daemonctl"], line].concat().iter().map(OsString::from).collect();
    candidates(&words).iter().map(|candidate| candidate.get_value().to_string_lossy().into_owned()).collect()
}

/// A root with these apps.
fn root(apps: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for app in apps {
        std::fs::create_dir(root.path().join(app)).unwrap();
        std::fs::write(root.path().join(app).join("run"), "").unwrap();
    }
    root
}

#[test]
fn commands_options_and_signals_are_completed() {
    assert_eq!(completed(&["stat"]), ["status"]);
    assert_eq!(completed(&["start", "web", "--memory-l"]), ["--memory-limit"]);
    assert_eq!(completed(&["kill", "web", "us"]), ["USR1", "USR2"]);
    assert_eq!(completed(&["kill", "web", "SIGT"]), ["SIGTRAP", "SIGTERM", "SIGTSTP", "SIGTTIN", "SIGTTOU"]);
    assert_eq!(completed(&["restart", "--config-override", "limits.m"]), ["limits.memory_limit="]);
    assert_eq!(completed(&["completions", ""]), ["bash", "zsh", "fish"]);
    assert!(!completed(&[""]).contains(&"upgrade".to_owned()), "it is not supported yet");
}

#[test]
fn help_is_a_command_that_is_followed_by_commands() {
    assert!(completed(&[""]).contains(&"help".to_owned()));
    assert_eq!(completed(&["help", "stop"]), ["stop", "stop-all"]);
    assert_eq!(completed(&["help", "config", "s"]), ["show", "set", "schema"]);
    assert_eq!(
        completed(&["man", "conf"]),
        ["config", "config-show", "config-set", "config-unset", "config-check", "config-schema", "conf"]
    );
    assert_eq!(completed(&["man", "tee"]), ["teelog"]);
}

#[test]
fn options_are_offered_where_a_dash_or_nothing_else_is_typed() {
    let root = root(&["web"]);
    let path = root.path().to_str().unwrap();
    assert_eq!(completed(&["-p", path, "start", ""]), ["web"]);
    assert!(completed(&["-p", path, "start", "web", "--"]).contains(&"--wait".to_owned()));
    assert!(completed(&[""]).iter().all(|word| !word.starts_with('-')));
    assert!(completed(&["stop-all", ""]).contains(&"--exclude".to_owned()));
    assert!(!completed(&["start", "web", "--wait", "--"]).contains(&"--wait".to_owned()), "it is there already");
}

#[test]
fn a_value_is_one_of_the_words_of_its_type() {
    assert_eq!(completed(&["start", "web", "--sandbox", "un"]), ["unshare"]);
    assert_eq!(completed(&["start", "web", "--sandbox=un"]), ["--sandbox=unshare"]);
    assert_eq!(completed(&["logs", "--level", ""]), ["debug", "info", "warn", "error"]);
    assert_eq!(completed(&["start", "--clear-env=t"]), ["--clear-env=true"]);
    let set = |typed: &str| completed(&["config", "set", "web", typed]);
    assert_eq!(set("process.restart="), ["process.restart=no", "process.restart=on-failure", "process.restart=always"]);
    assert_eq!(set("process.restart=al"), ["process.restart=always"]);
    assert_eq!(set("collector=t"), ["collector=teelog"]);
    assert_eq!(set("daemon.enabled="), ["daemon.enabled=true", "daemon.enabled=false"]);
    assert_eq!(set("signals.stop_signal=SIGQ"), ["signals.stop_signal=SIGQUIT"]);
    assert_eq!(set("limits.timeout="), Vec::<String>::new());
    assert_eq!(
        completed(&["restart", "--config-override=logging.compress=g"]),
        ["--config-override=logging.compress=gzip"]
    );
}

#[test]
fn apps_are_those_of_the_root_that_are_not_on_the_line() {
    let root = root(&["web", "worker", "db"]);
    let path = root.path().to_str().unwrap();
    let on = |line: &[&str]| completed(&[&["-p", path], line].concat());
    assert_eq!(on(&["start", "web", "w"]), ["worker"]);
    assert_eq!(on(&["kill", ""]), ["db", "web", "worker"]);
    assert_eq!(on(&["run", "web", "--exit-on", ""]), ["any", "all", "db", "web", "worker"]);
    assert_eq!(completed(&["-p", "/no/such/root", "start", ""]), Vec::<String>::new());
    // The app may be left out of a change.
    assert_eq!(on(&["config", "set", ""]), ["db", "web", "worker"]);
    assert_eq!(on(&["config", "set", "logging.le"]), ["logging.level="]);
    assert_eq!(on(&["config", "unset", "web", "limits.cpu_limit", "limits.c"]), ["limits.core_limit"]);
}

#[test]
fn a_shell_is_told_what_would_be_typed() {
    assert_eq!(as_typed("~/my apps/", "~/m"), "~/my\\ apps/");
    assert_eq!(as_typed("$APPS/a(1)/", "$APPS/"), "$APPS/a\\(1\\)/");
    assert_eq!(as_typed("it's", ""), "it\\'s");
    assert_eq!(as_typed("SIGTERM", "sigte"), "SIGTERM");
    assert_eq!(as_typed("--umask=022", "--um"), "--umask=022");
}
