//! What is configured: shown, changed and checked, with the binary and the files as an operator has them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Home, Output, SOON, example, is_root, kill, wait_until};

/// A root with a global file, and an app with a file of its own.
fn home() -> Home {
    let home = Home::new();
    let global = "[daemonctl]\nop_timeout = \"20s\"\n\n[process]\nenvironment = { LANG = \"C\" }\n\n[logging]\nlevel = \"warn\"\n";
    fs::write(home.root().join("conf.toml"), global).unwrap();
    home.app("web").behaves("sleep").conf(
        "# The site.\n[process]\nrestart = \"on-failure\"  # and no more\nargs = [\"--port\", \"80\"]\n\n\
         [process.environment]\nTOKEN = \"hunter2\"\n\n[limits]\nfile_limit = 256\n",
    );
    home
}

/// What a command printed, without what changes from one run to the next.
fn page(home: &Home, output: &Output) -> String {
    let place = |text: &str| {
        let text = text.replace(&*home.root().to_string_lossy(), "[ROOT]");
        text.replace(&*home.base().to_string_lossy(), "[HOME]")
    };
    let err: String = place(&output.stderr).lines().map(|line| format!("! {line}\n")).collect();
    format!("$ {}\n{}{err}[exit code {}]\n\n", place(&output.line), place(&output.stdout), output.code())
}

#[test]
fn what_is_set_is_shown_in_every_form() {
    let home = home();
    let lines = [
        "config show web",
        "config show",
        "config show --global --format json",
        "config show --all",
        "config show --format json web",
        "config show --format yaml web",
        "config show --reveal web",
        "config show --path file_limit web",
        "config show --path process.args web",
        "config show --path process.args --format json web",
        "config show --path process.environment.TOKEN web",
        "config show --path process.environment.TOKEN --reveal web",
        "config show --path limits.cpu_limit web",
        "config show --path process.restart_delay web",
        "config show --path process.restart_delay --resolved web",
        "config show --path limits.file_limt web",
        "config show --path op_timeout",
        "config show --path logging.level --all",
        "config show wbe",
    ];
    let told: String = lines.iter().map(|line| page(&home, &home.ctl(line.split_whitespace()))).collect();
    insta::assert_snapshot!(told);
}

#[test]
fn every_value_has_an_origin() {
    let home = home();
    let mut command = home.command(["config", "show", "--resolved", "web", "--umask", "077", "--config-override"]);
    command.arg("logging.max_count=3").env("DAEMONCTL_WEB_PRIORITY", "5").env("DAEMONCTL_WEB_PROCESS_PRIORITY", "6");
    let shown = home.finish(command).ok();
    insta::assert_snapshot!(page(&home, &shown));
    // It is a file again, and says the same.
    home.app("copy").behaves("sleep").conf(&shown.stdout.replace("\"***\"", "\"hunter2\""));
    let again = home.ctl(["config", "show", "--resolved", "--no-config", "--format", "json", "copy"]).ok();
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(again["daemon"]["umask"], serde_json::json!({ "value": "022", "origin": "default" }));
    home.ctl(["config", "show", "--path", "daemon.umask", "copy"]).ok().says("077");
    home.ctl(["config", "show", "--path", "process.priority", "copy"]).ok().says("6");
    let all = home.ctl(["config", "show", "--all", "--path", "process.priority", "--format", "json"]).ok();
    let all: Value = serde_json::from_str(&all.stdout).unwrap();
    assert_eq!(all, serde_json::json!({ "copy": 6 }), "of each app that sets it");
    home.ctl(["config", "show", "--path", "logging.max_count", "copy"]).ok().says("3");

    let json = home.ctl(["config", "show", "--resolved", "--format", "json", "web"]).ok();
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    let origin = |section: &str, key: &str| json[section][key]["origin"].as_str().unwrap().to_owned();
    assert_eq!(origin("limits", "file_limit"), format!("{}:10", home.app("web").path("conf.toml").display()));
    assert_eq!(origin("logging", "level"), format!("{}:8", home.root().join("conf.toml").display()));
    assert_eq!(
        json["process"]["environment"]["variables"]["LANG"],
        format!("{}:5", home.root().join("conf.toml").display())
    );
    assert_eq!(json["limits"]["cpu_limit"], serde_json::json!({ "value": null, "origin": "default" }));
}

#[test]
fn a_change_takes_effect_at_the_next_launch_and_leaves_comments_owner_and_mode() {
    let home = home();
    let app = home.app("web");
    let file = app.path("conf.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    if is_root("that a file keeps its owner") {
        std::os::unix::fs::chown(&file, Some(1234), Some(2345)).unwrap();
    }
    let before = fs::metadata(&file).unwrap();
    home.ctl(["start", "web"]).ok();
    let pid = app.status().main_pid();
    let set = home.ctl(["config", "set", "web", "file_limit=128", "process.environment.GREETING=it's, so"]).ok();
    set.explains("daemonctl restart web").says("limits.file_limit = 128 (was 256)").never_says("it's, so");
    let text = app.read("conf.toml");
    assert!(text.starts_with("# The site.\n[process]\nrestart = \"on-failure\"  # and no more\n"), "{text}");
    let after = fs::metadata(&file).unwrap();
    assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
    let limits = |pid: i32| fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let files = |pid: i32| {
        let all = limits(pid);
        let line = all.lines().find(|line| line.starts_with("Max open files")).unwrap();
        line.split_whitespace().nth(3).unwrap().to_owned()
    };
    assert_eq!(files(pid), "256");
    home.ctl(["restart", "web"]).ok();
    let pid = app.status().main_pid();
    assert_eq!(files(pid), "128");
    wait_until("it has its environment", SOON, || {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap();
        let text = String::from_utf8_lossy(&environ).into_owned();
        if text.contains("GREETING=it's, so") { Ok(()) } else { Err(text) }
    });
    // What was added is gone without a trace.
    home.ctl(["config", "unset", "web", "process.environment.GREETING"]).ok().never_says("it's, so");
    home.ctl(["config", "set", "web", "limits.file_limit=256"]).ok();
    assert_eq!(app.read("conf.toml"), text.replace("128", "256").replace("GREETING = \"it's, so\"\n", ""));
    home.ctl(["config", "set", "web", "limits.file_limit=256"]).ok().says("nothing to change");
}

#[test]
fn a_change_that_would_be_wrong_changes_nothing() {
    let home = home();
    let app = home.app("web");
    home.app("walled").behaves("sleep").conf("[sandbox]\nprivate_tmp = true\n");
    home.app("broken")
        .behaves("sleep")
        .conf("[process]\nrestrat = \"no\"\nrestart_delay = \"1M\"\n\n[limits]\nfile_limit = \"many\"\n");
    home.app("torn").behaves("sleep").conf("[process\nrestart = \"no\"\n");
    let files = ["conf.toml", "web/conf.toml", "walled/conf.toml", "broken/conf.toml", "torn/conf.toml"];
    let all = || files.map(|file| fs::read_to_string(home.root().join(file)).unwrap());
    let before = all();
    let lines = [
        "config set web limits.memory_limit=12X restrat=no umask=999",
        "config set web sandbox.type=none sandbox.private_tmp=yes",
        "config set web daemonctl.op_timeout=5",
        "config set web enabled=no",
        "config set web process.environment.A,B=1",
        "config set sandbox.type=none",
        "config set broken process.restart=perhaps",
        "config set torn process.restart=always",
        "config set wbe umask=077",
        "config set web",
        "config set",
        "config set limits.memory_limit 1G",
        "config unset web",
        "config unset umask",
        "config unset web restrat",
        "config set --dry-run web limits.cpu_limit=50 process.environment.TOKEN=new umask=077",
        "config unset -n web process.restart",
    ];
    let told: String = lines.iter().map(|line| page(&home, &home.ctl(line.split_whitespace()))).collect();
    assert_eq!(all(), before);
    let left = fs::read_dir(app.dir()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.ends_with(".new")), "something is left beside the file");
    insta::assert_snapshot!(told);
}

#[test]
fn who_may_not_change_a_file_is_told_so() {
    if !is_root("another user's attempt") {
        return;
    }
    let home = home();
    let before = home.app("web").read("conf.toml");
    let as_nobody = |line: &str| {
        let mut command = home.command(line.split(' '));
        command.env("DAEMONCTL_RUNTIME_DIR", home.base().join("nobodys")).uid(65534).gid(65534);
        home.finish(command)
    };
    as_nobody("config set web umask=077").exits(5).explains("cannot write a new file beside");
    // A directory of one's own is not enough to take a file from its owner.
    std::os::unix::fs::chown(home.app("web").dir(), Some(65534), Some(65534)).unwrap();
    as_nobody("config set web umask=077").exits(5).explains("cannot keep owner and group of");
    assert_eq!(home.app("web").read("conf.toml"), before);
    as_nobody("config show web").ok().says("file_limit = 256");
}

#[test]
fn files_are_made_where_they_belong_and_links_are_followed() {
    let home = home();
    // A directory becomes an app.
    fs::create_dir(home.root().join("new")).unwrap();
    home.ctl(["config", "set", "new", "process.command=sleep", "process.args=1000"]).ok();
    assert_eq!(home.app("new").read("conf.toml"), "[process]\ncommand = \"sleep\"\nargs = [\"1000\"]\n");
    home.ctl(["start", "new"]).ok();
    home.ctl(["stop", "new"]).ok();
    // A setting survives the next version.
    let app = home.app("versioned").script("dist/1/run", "exec sleep 1000");
    symlink("dist/1", app.path("run")).unwrap();
    home.ctl(["config", "set", "versioned", "umask=077"]).ok();
    assert_eq!(app.read("conf.toml"), "[daemon]\numask = \"077\"\n");
    // The link stays one.
    let shared = home.base().join("shared.toml");
    fs::write(&shared, "# everybody's\n").unwrap();
    let link = home.app("linked").behaves("sleep").path("conf.toml");
    symlink(&shared, &link).unwrap();
    home.ctl(["config", "set", "linked", "umask=077"]).ok().says("shared.toml: daemon.umask");
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&shared).unwrap(), "# everybody's\n\n[daemon]\numask = \"077\"\n");
    // Without an app it is the global file, or the one that was named.
    home.ctl(["config", "set", "op_timeout=5s"]).ok();
    // The first word may be an app, whose slash means nothing, or a pair, whose slash does.
    home.ctl(["config", "set", "process.environment.BASE=http://x/api/", "web/"]).exits(2);
    home.ctl(["config", "set", "process.environment.BASE=http://x/api/"]).ok();
    let base = ["config", "show", "--global", "--reveal", "--path", "process.environment.BASE"];
    assert_eq!(home.ctl(base).ok().stdout, "http://x/api/\n");
    home.ctl(["config", "unset", "process.environment.BASE"]).ok();
    assert!(
        fs::read_to_string(home.root().join("conf.toml")).unwrap().starts_with("[daemonctl]\nop_timeout = \"5s\"\n")
    );
    let other = home.base().join("other.toml");
    home.ctl(["--config", &other.to_string_lossy(), "config", "set", "logging.level=debug"]).ok();
    assert_eq!(fs::read_to_string(&other).unwrap(), "[logging]\nlevel = \"debug\"\n");
}

#[test]
fn a_list_may_be_set_as_it_stands_in_a_file() {
    let home = home();
    home.ctl(["config", "set", "web", r#"process.args=["--port", "80 80"]"#, r#"process.environment={A = "1"}"#]).ok();
    let shown = home.ctl(["config", "show", "--reveal", "web"]).ok();
    shown.says(r#"args = ["--port", "80 80"]"#).says(r#"A = "1""#);
}

#[test]
fn of_many_changes_at_the_same_time_none_is_lost() {
    let home = home();
    let changes: Vec<String> = (0..12).map(|at| format!("process.environment.V{at}={at}")).collect();
    let running: Vec<_> = changes.iter().map(|change| home.spawn(["config", "set", "web", change])).collect();
    running.into_iter().for_each(|one| drop(one.wait().ok()));
    for at in 0..12 {
        let key = format!("process.environment.V{at}");
        let shown = home.ctl(["config", "show", "--reveal", "--path", &key, "web"]).ok();
        assert_eq!(shown.stdout.trim(), at.to_string());
    }
}

#[test]
fn every_mistake_below_the_root_is_found_at_once() {
    let home = home();
    let conf = home.root().join("conf.toml");
    fs::write(&conf, "[daemonctl]\nlog_levle = \"info\"\n\n[logging]\nlevel = \"loud\"\n").unwrap();
    home.app("broken")
        .program("run", "#!/nowhere/python\n")
        .conf("[process]\nrestrat = \"no\"\nrestart_delay = \"1M\"\n\n[limits]\nfile_limit = \"many\"\n");
    let report = home.ctl(["config", "check"]).exits(2);
    insta::assert_snapshot!("check_of_broken_files", page(&home, &report));

    fs::write(&conf, "").unwrap();
    home.app("broken").behaves("sleep").conf("");
    home.app("asks").file("run", "#!/usr/bin/python3\n").file(".version", "\n").file("vars.env", "A=1\nB\n").conf(
        "[daemon]\nworking_directory = \"nowhere\"\n\n[process]\nenvironment_file = \"vars.env\"\n\n\
         [security]\nuser = \"nobody-here\"\ngroup = \"no-group\"\n\n[monitoring]\nenabled = true\n\n\
         [sandbox]\nseccomp_profile = \"gone.json\"\n",
    );
    home.app("command").conf("[process]\ncommand = \"no-such-program\"\n");
    home.app("path").conf("[process]\ncommand = \"bin/tool\"\n").file("bin/tool", "text\n");
    home.app("checked")
        .behaves("sleep")
        .script("check", "true")
        .script("on-start", "true")
        .program("on-stop", "echo\n");
    home.app("bad name").behaves("sleep");
    home.app("empty").conf("");
    home.app("notes").file("README", "no app\n");
    home.app("web-limits").behaves("sleep");
    home.app("web_limits").behaves("sleep");
    let check = |args: &[&str]| {
        let mut command = home.command(["config", "check"].iter().chain(args));
        command.env("PATH", "/usr/bin:/bin").env("DAEMONCTL_WEB_USR", "x").env("DAEMONCTL_WBE_USER", "x");
        command.env("DAEMONCTL_WEB_LIMITS_TIMEOUT", "1h");
        home.finish(command)
    };
    let report = check(&[]).exits(2);
    insta::assert_snapshot!("check_of_everything", page(&home, &report));
    assert!(home.supervisors().is_empty(), "a check has started something");

    let report = check(&["--json"]).exits(2);
    insta::assert_snapshot!("check_as_json", page(&home, &report));
    let json: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(json["schema_version"], 1);
    let findings = json["findings"].as_array().unwrap();
    assert_eq!(findings.len() as u64, json["errors"].as_u64().unwrap() + json["warnings"].as_u64().unwrap());
    let user = findings.iter().find(|finding| finding["subject"] == "security.user").unwrap();
    assert_eq!(
        (user["app"].as_str(), user["line"].as_u64(), user["column"].as_u64()),
        (Some("asks"), Some(8), Some(1))
    );

    let warned = home.ctl(["config", "check", "checked"]);
    warned.exits(2).says("on-stop: error: it has no #! line").says("check: warning: the app is not monitored");
    home.ctl(["config", "check", "web"]).ok();
    home.app("web").script("check", "true");
    home.ctl(["config", "check", "web"]).ok().says("warning");
    home.ctl(["config", "check", "--strict", "web"]).exits(2);
}

#[test]
fn what_check_says_of_the_host_is_what_a_start_says() {
    let home = Home::new();
    let asks = [
        "[limits]\ncpu_limit = 50\n",
        "[limits]\nmemory_limit = \"64M\"\n",
        "[sandbox]\nprivate_tmp = true\n",
        "[sandbox]\ntype = \"firejail\"\n",
        "[sandbox]\nseccomp_profile = \"none.json\"\n",
        "[security]\nuser = \"nobody\"\n",
    ];
    for (at, conf) in asks.iter().enumerate() {
        let name = format!("app{at}");
        home.app(&name).behaves("sleep").conf(conf);
        let (checked, started) = (home.ctl(["config", "check", &name]), home.ctl(["start", &name]));
        assert_eq!(checked.code() == 0, started.code() == 0, "{conf}\n{checked}\n{started}");
    }
}

#[test]
fn what_only_root_may_is_an_error_for_others_at_its_own_line() {
    if !is_root("another user's check") {
        return;
    }
    let home = Home::new();
    let limits = "memory_limit = \"64M\"\nprocess_limit = 10\n";
    home.app("web").behaves("sleep").conf(&format!("[limits]\n{limits}[security]\nuser = \"root\"\n"));
    let as_nobody = |line: &str| {
        let mut command = home.command(line.split(' '));
        command.env("DAEMONCTL_RUNTIME_DIR", home.base().join("nobodys")).uid(65534).gid(65534);
        home.finish(command)
    };
    let nobodys = home.base().join("nobodys");
    fs::create_dir(&nobodys).unwrap();
    fs::set_permissions(&nobodys, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&nobodys, Some(65534), Some(65534)).unwrap();
    let checked = as_nobody("config check web").exits(2);
    assert!(
        checked.stdout.contains("conf.toml:5:1: error: security.user: cannot set user root: only root"),
        "{checked}"
    );
    for line in checked.stdout.lines().filter(|line| line.contains("is not limited by a control group")) {
        let place = if line.contains("memory 64M") {
            "2:1: warning: limits.memory_limit: "
        } else {
            "3:1: warning: limits.process_limit: "
        };
        assert!(line.contains(place), "{line}");
    }
    as_nobody("start web").exits(1).explains("only root may change identity");
}

#[test]
fn the_programs_own_variables_are_taken_and_an_empty_one_is_none() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    let with = |name: &str, value: &str, line: &str| {
        let mut command = home.command(line.split(' '));
        command.env(name, value);
        home.finish(command)
    };
    // Empty: the apps root is the working directory, and nothing else is set.
    for name in ["DAEMONCTL_PATH", "DAEMONCTL_CONFIG", "DAEMONCTL_OP_TIMEOUT", "DAEMONCTL_LOG_LEVEL"] {
        let listed = with(name, "", "list").ok().says("web");
        assert_eq!(listed.stderr, "", "{name}");
    }
    let elsewhere = home.base().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    with("DAEMONCTL_PATH", elsewhere.to_str().unwrap(), "list").ok().explains("no app below");
    with("DAEMONCTL_PATH", elsewhere.to_str().unwrap(), &format!("-p {} list", home.root().display())).ok().says("web");

    let global = home.base().join("global.toml");
    fs::write(&global, "[daemon]\numask = \"027\"\n").unwrap();
    with("DAEMONCTL_CONFIG", global.to_str().unwrap(), "config show --resolved web").ok().says("umask = \"027\"");
    with("DAEMONCTL_CONFIG", "gone.toml", "config show --resolved web").exits(2).explains("gone.toml");

    with("DAEMONCTL_OP_TIMEOUT", "abc", "list").exits(2).explains("daemonctl: DAEMONCTL_OP_TIMEOUT: ");
    with("DAEMONCTL_OP_TIMEOUT", "abc", "-T 5 list").ok();
    with("DAEMONCTL_OP_TIMEOUT", "5", "list").ok();

    let loud = with("DAEMONCTL_LOG_LEVEL", "loud", "list").ok();
    assert!(loud.stderr.contains("warning: DAEMONCTL_LOG_LEVEL: \"loud\" is no level"), "{loud}");
    with("DAEMONCTL_LOG_LEVEL", "debug", "start web").ok();
    app.wait_for_state("running");
    // A supervisor that takes over says so at this level.
    kill(home.pair("web").0.pid, Signal::SIGKILL);
    wait_until("its successor says more", SOON, || {
        let dirs = fs::read_dir(home.runtime_dir()).map_err(|error| error.to_string())?;
        let logs = dirs.filter_map(|dir| fs::read_to_string(dir.ok()?.path().join("supervisor.log")).ok());
        let said: String = logs.collect();
        if said.contains(" INFO ") { Ok(()) } else { Err(said) }
    });

    let near = with("DAEMONCTL_PAHT", "/srv", "list").ok();
    assert!(near.stderr.contains("DAEMONCTL_PAHT is not known; did you mean DAEMONCTL_PATH?"), "{near}");
    home.ctl(["status", "--refresh", "5"]).exits(2).explains("--refresh needs --watch");
}

#[test]
fn an_apps_root_behind_config_show_is_told_where_it_belongs() {
    let home = home();
    let told = home.ctl(["config", "show", "--path", "/srv", "web"]).exits(2);
    let expected = "daemonctl: --path names an option here, and \"/srv\" is none\n  \
                    hint: the apps root stands before the command: daemonctl -p /srv config show …\n";
    assert_eq!(told.stderr, expected);
    home.ctl(["config", "show", "--path", "nonsense", "web"]).exits(2).explains("unknown option");
}

#[test]
fn the_examples_are_without_mistakes() {
    let root = example("");
    let home = Home::new();
    let checked = home.ctl(["-p", &root.to_string_lossy(), "config", "check"]).ok();
    assert_eq!(checked.stdout, "", "{checked}");
    let schema: Value = serde_json::from_str(&home.ctl(["config", "schema"]).ok().stdout).unwrap();
    let worker = fs::read_to_string(example("worker").join("conf.toml")).unwrap();
    let worker = serde_json::to_value(worker.parse::<toml::Table>().unwrap()).unwrap();
    assert!(jsonschema::is_valid(&schema, &worker));
    assert!(!jsonschema::is_valid(&schema, &serde_json::json!({ "process": { "restrat": "no" } })));
}

#[test]
fn a_variable_sets_an_option_of_the_app_it_names_and_of_no_other() {
    let home = Home::new();
    for name in ["web", "web-api", "web-limits"] {
        home.app(name).behaves("sleep");
    }
    let variables = [
        ("DAEMONCTL_WEB_API_UMASK", "007"),
        ("DAEMONCTL_WEB_UMASK", "070"),
        ("DAEMONCTL_WEB_LIMITS_TIMEOUT", "1h"),
        ("DAEMONCTL_WEB_API_USR", "x"),
        ("DAEMONCTL_WEB_SUCCESS_EXIT_CODES", "0,3"),
    ];
    let ctl = |line: &str| {
        let mut command = home.command(line.split(' '));
        command.envs(variables);
        home.finish(command)
    };
    let value =
        |app: &str, key: &str| ctl(&format!("config show --resolved --path {key} {app}")).stdout.trim().to_owned();
    assert_eq!(value("web", "daemon.umask"), "070");
    assert_eq!(value("web-api", "daemon.umask"), "007");
    assert_eq!(value("web", "process.success_exit_codes"), "0,3");
    assert_eq!(value("web-limits", "limits.timeout"), "1h");
    assert_eq!(value("web", "limits.timeout"), "");
    // A start does as it says, and says what is odd.
    let umask = |app: &str| {
        let status = fs::read_to_string(format!("/proc/{}/status", home.app(app).status().main_pid())).unwrap();
        status.lines().find_map(|line| line.strip_prefix("Umask:\t").map(str::to_owned)).unwrap()
    };
    ctl("start web").ok().explains("DAEMONCTL_WEB_LIMITS_TIMEOUT: is taken for limits.timeout of web-limits");
    let started = ctl("start web-api").ok();
    started.explains("DAEMONCTL_WEB_API_USR: names no option of web-api; did you mean DAEMONCTL_WEB_API_USER?");
    assert_eq!((umask("web"), umask("web-api")), ("0070".to_owned(), "0007".to_owned()));
}

#[test]
fn a_file_with_mistakes_is_mended_one_by_one() {
    let home = Home::new();
    let web = home.app("web").behaves("sleep");
    web.conf("process.restrat = 'always'\nprocess.restart_delay = '1x'\nlimits.memory_limit = '64M'");
    let file = || std::fs::read_to_string(web.path("conf.toml")).expect("its file");
    let unset = home.ctl(["config", "unset", "web", "process.restrat"]).ok();
    assert!(unset.stdout.contains("process.restrat, which is no option, is taken out"), "{unset}");
    assert!(unset.stderr.contains("warning: 1 mistake left in it: daemonctl config check web tells"), "{unset}");
    assert!(!file().contains("restrat"), "{}", file());
    // What is not there is a mistake of the command line, and what is still wrong is not written.
    assert_eq!(home.ctl(["config", "unset", "web", "process.restrat"]).code(), 2);
    let before = file();
    assert_eq!(home.ctl(["config", "set", "web", "limits.memory_limit=9X"]).code(), 2);
    assert_eq!(home.ctl(["config", "set", "web", "process.stdin=/nowhere", "process.frob=1"]).code(), 2);
    assert_eq!(file(), before);
    let set = home.ctl(["config", "set", "web", "process.restart_delay=2s"]).ok();
    assert_eq!(set.stderr, "", "{set}");
    home.ctl(["config", "check", "web"]).ok();
    home.ctl(["start", "web"]).ok();
    home.ctl(["stop", "web"]).ok();
}

#[test]
fn a_value_that_no_start_gets_along_with_is_set_with_a_warning() {
    let home = home();
    let set = |args: &[&str]| home.ctl([&["config", "set"], args].concat()).ok();
    let warned = set(&["web", "user=nosuchuser"]).explains("warning: security.user: ").explains("nosuchuser");
    let told = home.ctl(["config", "check", "web"]).exits(2);
    let warning = warned.stderr.trim_start_matches("daemonctl: warning: ").trim_end();
    assert!(told.stdout.contains(warning), "{warned}\n{told}");
    // Of what was wrong before, nothing is said again; of what every app is given, it is said once.
    set(&["web", "restart=always"]).never_says("nosuchuser");
    home.app("db").behaves("sleep");
    home.app("other").behaves("sleep");
    let warned = set(&["security.group=nosuchgroup"]).explains("warning: security.group: ");
    assert_eq!(warned.stderr.matches("nosuchgroup").count(), 1, "{warned}");
    home.ctl(["config", "set", "--dry-run", "web", "user=nosuchother"]).ok().never_says("warning");
    set(&["web", "daemon.foreground=true"]).explains("not supported yet, and a start").never_says("foreground: ");
}

#[test]
fn a_log_of_two_apps_is_a_warning() {
    let home = Home::new();
    for name in ["a", "b"] {
        home.app(name).behaves("sleep").conf("[logging]\nstdout_file = '../all.log'\nstderr_file = '/dev/null'\n");
    }
    let found = home.ctl(["config", "check"]).ok();
    found
        .says("b/conf.toml:2:1: warning: logging.stdout_file: it is a log of a as well")
        .says("checked 2 apps: 0 errors, 1 warning");
}
