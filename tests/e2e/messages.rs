//! What people see when they type something that is wrong: every word of it.

use crate::support::{Home, Output, on_terminal};

/// What is typed after `daemonctl`, in a root with a good app `web`, one with mistakes in its configuration, and a
/// directory that is no app. Between them they cover: no command, unknown commands and options, missing, superfluous and
/// malformed values, names that are not names, apps that are not there, files that are not there.
const BAD_COMMAND_LINES: [&str; 31] = [
    "",
    "strat web",
    "help start stop",
    "--verbos status",
    "start",
    "start wbe",
    "start nosuch",
    "start ../web",
    "start /etc",
    "start -- -x",
    "start notanapp",
    "start broken",
    "start --umask 999 web",
    "start --nice 20 web",
    "start --nice fast web",
    "start --cpu-limit 0 web",
    "start --memory-limit 12Q web",
    "start --timeout soon web",
    "start --stop-signal NOSUCH web",
    "start --env NOVALUE web",
    "start --config-override process.restart=sometimes web",
    "start --config-override limits.memroy_limit=1G web",
    "start --config-override nonsense web",
    "start --env-file missing.env web",
    "--path missing status",
    "--path conf.toml status",
    "--config missing.toml start web",
    "--op-timeout never stop web",
    "kill web NOSUCH",
    "stop --signal 65 web",
    "run --exit-on nosuch web",
];

#[test]
fn help_is_short_or_whole_as_it_is_asked_for() {
    let home = Home::new();
    let short = home.ctl(["start", "-h"]).ok().stdout;
    assert!(short.contains("Usage: daemonctl start [OPTIONS] <APP>...") && short.contains("--wait"), "{short}");
    assert!(!short.contains("--memory-limit") && !short.contains("Examples:"), "{short}");
    let long = home.ctl(["start", "--help"]).ok().stdout;
    assert!(["--memory-limit", "Examples:", "--op-timeout"].iter().all(|text| long.contains(text)), "{long}");
    assert_eq!(home.ctl(["help", "start"]).ok().stdout, long);
    // What is before a command changes nothing, and a pipe gets no colour.
    assert_eq!(home.ctl(["--path", "stop", "start", "--help"]).ok().stdout, long);
    assert!(!long.contains('\x1b'));
    let below = home.ctl(["help", "config", "set"]).ok().stdout;
    assert!(below.contains("Usage: daemonctl config set [OPTIONS] [APP] [KEY=VALUE]..."), "{below}");
    assert_eq!(home.ctl(["config", "help", "set"]).ok().stdout, below);
    assert_eq!(home.ctl(["help", "start", "-h"]).ok().stdout, long);
    assert_eq!(home.ctl(["help", "-h"]).ok().stdout, home.ctl(["--help"]).ok().stdout);
    for asked in [["help", "upgrade"], ["upgrade", "--help"]] {
        assert_eq!(home.ctl(asked).exits(1).stderr, "daemonctl: upgrade is not supported yet\n");
    }
    let all = home.ctl(["-h"]).ok().stdout;
    assert!(all.contains("See how they are, and why:\n  status ") && !all.contains("--op-timeout"), "{all}");
    assert!(home.ctl(["--help"]).ok().stdout.contains("--op-timeout"));
}

#[test]
fn bad_command_lines() {
    let home = Home::new();
    home.app("web").behaves("sleep");
    home.app("broken")
        .behaves("sleep")
        .conf("[process]\nrestart = 'sometimes'\nrestart_dealy = '5s'\n\n[limits]\nfile_limit = 'many'\n");
    home.app("notanapp").file("README", "nothing to run\n");
    std::fs::write(home.root().join("conf.toml"), "").unwrap();

    let page: String = BAD_COMMAND_LINES.iter().map(|line| shown(&home, &home.ctl(line.split_whitespace()))).collect();
    assert!(home.supervisors().is_empty(), "a wrong command line has started something");
    insta::assert_snapshot!(page);
}

#[test]
fn an_app_may_be_named_by_its_directory() {
    let home = Home::new();
    home.app("web").behaves("sleep");
    home.app("db").behaves("sleep");
    home.ctl(["start", "web/"]).ok().says("started web");
    home.ctl(["health", "web/"]).ok().says("web");
    assert!(home.ctl(["health", "--json", "web/"]).ok().stdout.contains("\"web\""));
    for line in
        ["status web/ web", "logs web/", "why web/", "config set web/ umask=077", "config show web/", "kill web/ 0"]
    {
        let told = home.ctl(line.split_whitespace());
        assert!(told.code() != 4 && !told.stderr.contains('/'), "{told}");
    }
    let all = home.ctl(["start-all", "-x", "db/"]).ok();
    assert!(home.app("db").status().pid.is_none(), "{all}");
    home.ctl(["stop", "web/"]).ok().says("stopped web");
    home.ctl(["init", "new/", "--", "sleep", "9"]).ok().says("apps/new with");
    home.ctl(["start", "web//"]).exits(4);
    home.ctl(["start", "/"]).exits(4);
}

#[test]
fn names_of_files_do_nothing_to_the_terminal() {
    let home = Home::new();
    // Found below the root, and in the path of the root itself.
    let root = home.base().join("ro\x1b[31mot\nerror: forged");
    let bad = root.join("we\x1b]0;title\x07b\ndb running");
    std::fs::create_dir_all(&bad).unwrap();
    std::fs::write(bad.join("run.sh"), "exit\n").unwrap();
    let web = root.join("web");
    std::fs::create_dir(&web).unwrap();
    std::fs::write(web.join("conf.toml"), "[process]\ncommand = 'true'\nrestart = 'x\\ny'\n").unwrap();
    let ctl = |line: &str| {
        let mut command = home.command(line.split_whitespace());
        command.env("DAEMONCTL_PATH", &root);
        home.finish(command)
    };

    let lines = ["list", "list --long", "status -a", "config check", "start web", "start nosuch", "config show web"];
    for line in lines.map(ctl) {
        let told = line.stdout.clone() + &line.stderr;
        assert!(told.contains(r"ro\x1b[31mot\nerror: forged"), "{line}");
        assert!(told.chars().all(|c| c == '\n' || !c.is_control()), "{line}");
        assert!(
            !told.lines().any(|line| line.starts_with("error: forged") || line.starts_with("db running")),
            "{line}"
        );
    }
    std::fs::write(web.join("conf.toml"), "[process]\ncommand = 'true'\n").unwrap();
    let planned = ctl("start --dry-run web").ok().stdout;
    assert!(planned.contains(r"ro\x1b[31mot\nerror: forged") && planned.lines().count() == 1, "{planned}");
    let left_out = ctl("list").ok().stderr;
    assert!(left_out.contains(r"we\x1b]0;title\x07b\ndb running is left out"), "{left_out}");
    let json: serde_json::Value = serde_json::from_str(&ctl("list --json").ok().stdout).unwrap();
    assert_eq!(json["apps"][0]["path"], web.to_str().unwrap(), "data has the name as it is");
    for dir in [&bad, &web] {
        std::fs::remove_dir_all(dir).unwrap();
    }
    for line in ["list", "status", "start-all"].map(ctl) {
        assert!(line.stderr.contains(r"below") && line.stderr.contains(r"ro\x1b[31mot\nerror: forged"), "{line}");
    }
}

#[test]
fn what_files_contain_does_nothing_to_the_terminal() {
    let home = Home::new();
    let web = home.app("web").program("run", "#!/bin/nosuch\x1b[2Jx\n");
    let told = home.ctl(["start", "web"]).stderr + &home.ctl(["why", "web"]).stdout;
    assert!(told.matches(r"is #!/bin/nosuch\x1b[2Jx").count() == 2 && !told.contains('\x1b'), "{told}");
    let description = "[daemon]\ndescription = \"a\\u001b[2J\u{9b}b\"\n";
    web.behaves("sleep").conf(description);
    for args in [&["config", "show", "web"][..], &["config", "show", "--path", "daemon.description", "web"]] {
        let shown = on_terminal(home.command(args), 80, 24);
        assert!(shown.contains("[2J") && !shown.contains(['\x1b', '\u{9b}']), "{shown:?}");
        assert!(home.ctl(args).ok().stdout.contains('\u{9b}'), "in a pipe it is what it is");
    }
    let set = home.ctl(["config", "set", "web", "description=c"]).ok().stdout;
    assert!(set.contains(r"\u{9b}") || set.contains(r"\x9b"), "{set}");
}

/// A command and all it said, with nothing in it that changes from one run to the next.
fn shown(home: &Home, output: &Output) -> String {
    assert_eq!(output.stdout, "", "complaints go to stderr:\n{output}");
    assert!(output.code() != 0, "{output}");
    assert!(!output.stderr.contains("panicked"), "{output}");
    let stderr = output.stderr.replace(&*home.root().to_string_lossy(), "[ROOT]");
    let stderr = stderr.replace(&*home.base().to_string_lossy(), "[HOME]");
    format!("$ {}\n{}\n[exit code {}]\n\n", output.line, stderr.trim_end(), output.code())
}
