//! The grammar, and what is said of mistakes in it.

use super::*;

/// What is said of a bad command line.
fn said(line: &str) -> String {
    let args: Vec<OsString> = std::iter::once("daemonctl").chain(line.split_whitespace()).map(OsString::from).collect();
    let mistake = top().try_get_matches_from(&args).expect_err(line);
    let error = usage::retell(&mistake, &top(), &args);
    format!("$ daemonctl {line}\n{} [exit {}]\n", error.text(), error.code())
}

#[test]
fn mistakes_are_named_with_what_was_probably_meant() {
    let lines = [
        "",
        "strat web",
        "stats",
        "stat",
        "show",
        "ps",
        "tail web",
        "log web",
        "version",
        "config get x",
        "config edit",
        "status --format json",
        "init new sleep 100",
        "frobnicate",
        "--frob list",
        "--pth /x list",
        "-p",
        "-T x status",
        "-T -1 status",
        "--verbose=yes list",
        "start",
        "start --wiat web",
        "start -e FILE web",
        "start --start-timeout 5x web",
        "start web -d -F",
        "start web --memry-limit 1G",
        "start web --umask",
        "run",
        "run --all web",
        "run -d --exit-on any web",
        "stop",
        "stop --timeout",
        "stop --timeout= web",
        "stop -w --no-wait web",
        "stop --signal FOO web",
        "stop -k 5 web",
        "restart --dely 5 web",
        "reload --signal HUP web",
        "kill",
        "kill web FOO",
        "kill web TERM KILL",
        "kill -p -a web",
        "status --all web",
        "list web",
        "logs",
        "logs -n many web",
        "logs -n -1 web",
        "start-all web",
        "stop-all --only-active",
        "config",
        "config shwo",
        "config show --formt json",
        "config show --format xml web",
        "config show -a web",
        "config check --sttrict",
    ];
    insta::assert_snapshot!(lines.map(said).join("\n"));
}

#[test]
fn the_grammar_holds_together() {
    for entry in COMMANDS {
        (entry.args)(Command::new(entry.name)).debug_assert();
    }
    top().debug_assert();
}

#[test]
fn options_may_follow_the_command_unless_it_has_its_own() {
    let globals = |line: &str| {
        let matches = top().try_get_matches_from(line.split_whitespace()).unwrap();
        let (_, after) = matches.subcommand().unwrap();
        Globals::from_arg_matches(&matches).unwrap().overlay(after)
    };
    let before = globals("daemonctl -p /a -T 5 -q -n stop web");
    assert_eq!(before.root(), std::path::Path::new("/a"));
    assert_eq!(before.op_timeout(), std::time::Duration::from_secs(5));
    assert!(before.quiet && before.dry_run && !before.force);

    let after = globals("daemonctl -p /a stop web -p /b -T 6 --dry-run -f");
    assert_eq!(after.root(), std::path::Path::new("/b"));
    assert_eq!(after.op_timeout(), std::time::Duration::from_secs(6));
    assert!(after.dry_run && !after.force, "-f after stop is its own");

    assert!(globals("daemonctl -f stop web").force);
    assert_eq!(globals("daemonctl status -p --path /c").root(), std::path::Path::new("/c"));
    assert!(globals("daemonctl logs -n 3 -f web").path.is_none());
}
