//! Reading what apps have written: the stories of an operator at night.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{AppDir, Home, SOON, binary, wait_until};

/// Noon of January 31, 2026, in microseconds since the epoch.
const NOON: u64 = 1_769_860_800_000_000;

/// An app that was never started, but has logs.
fn silent<'home>(home: &'home Home, name: &'home str) -> AppDir<'home> {
    let app = home.app(name).run_script("exec sleep 1000");
    fs::create_dir_all(app.path("logs")).unwrap();
    app
}

/// Writes a log, and an index that says when each of its pieces came, in milliseconds after noon.
fn log(path: &Path, pieces: &[(u64, &str)]) {
    let text: String = pieces.iter().map(|(_, text)| *text).collect();
    fs::write(path, text).unwrap();
    let mut index = b"dctlidx1".to_vec();
    index.extend(path.metadata().unwrap().ino().to_le_bytes());
    let mut offset = 0u64;
    for (millis, text) in pieces {
        index.extend(offset.to_le_bytes());
        index.extend((NOON + millis * 1000).to_le_bytes());
        offset += text.len() as u64;
    }
    fs::write(format!("{}.times", path.display()), index).unwrap();
}

fn append(path: &Path, text: impl AsRef<[u8]>) {
    fs::OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_ref()).unwrap();
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

#[test]
fn archives_are_read_in_order_and_to_the_byte() {
    let home = Home::new();
    let web = silent(&home, "web")
        .file("logs/web.log.2026-01-31-120000", "1\n2\n")
        .file("logs/web.log.2026-01-31-120000.1.gz", gzip("3\n4\n"))
        .file("logs/web.log.2026-01-31-120000.bak", "not ours\n")
        .file("logs/web.log", b"5\x1b[m\xff\n6");
    let stdout = |args: &[&str]| {
        let mut command = home.command(["logs", "--stdout"]);
        command.args(args).arg("web");
        command.output().unwrap().stdout
    };
    assert_eq!(stdout(&[]), b"1\n2\n3\n4\n5\x1b[m\xff\n6");
    assert_eq!(stdout(&["-n", "2"]), b"5\x1b[m\xff\n6");
    assert_eq!(stdout(&["-n", "5"]), b"2\n3\n4\n5\x1b[m\xff\n6");
    assert_eq!(stdout(&["--tail", "1"]), b"6");
    assert_eq!(stdout(&["--head", "3"]), b"1\n2\n3\n");
    assert_eq!(stdout(&["--head", "-n", "1"]), b"1\n");
    assert_eq!(stdout(&["-n", "0"]), b"");
    assert_eq!(stdout(&["-n", "all", "--grep", "[135]"]), b"1\n3\n5\x1b[m\xff\n");
    // The name of the app is not a number.
    home.ctl(["logs", "--stdout", "--head", "web"]).ok().says("1\n2\n");
    // What cannot be read is named, and the rest shown. To show what is not in it is no failure.
    fs::write(web.path("logs/web.log.2026-01-31-120001.gz"), "nonsense").unwrap();
    let output = home.ctl(["logs", "--stdout", "web"]).exits(1).explains("web.log.2026-01-31-120001.gz");
    home.ctl(["logs", "--stdout", "-n", "1", "web"]).ok().says("6");
    assert!(output.stdout.starts_with("1\n2\n3\n4\n5"), "{output}");
    let follow = home.spawn(["logs", "--stdout", "-f", "web"]);
    follow.wait_for_output("\n6");
    append(&web.path("logs/web.log"), "\n7\n");
    follow.wait_for_output("\n7\n");
    follow.ctrl_c();
    follow.wait().ok().explains("web.log.2026-01-31-120001.gz");
}

/// Two apps with indices and runs.
fn two_apps(home: &Home) {
    let web = silent(home, "web");
    log(&web.path("logs/web.log"), &[(0, "one\n"), (2000, "INFO three\n  more of it\n"), (6000, "six\n")]);
    log(&web.path("logs/web.err"), &[(1000, "WARN two\n"), (5000, "ERROR five\n  trace\n")]);
    let event = |millis: u32, text| format!("2026-01-31T12:00:{:02}.{:03}Z {text}\n", millis / 1000, millis % 1000);
    web.file(
        "logs/web.run",
        [
            event(500, "info  started, pid 12"),
            event(3000, "warn  exited 1 after 2.5s"),
            event(3100, "info  restart 1 in 1s"),
            event(4100, "info  started, pid 13"),
        ]
        .concat(),
    );
    let db = silent(home, "db");
    log(&db.path("logs/db.log"), &[(1500, "{\"level\":\"warn\",\"msg\":\"disk\"}\n"), (5500, "up\n")]);
}

#[test]
fn outputs_and_events_are_one_story_in_the_order_of_time() {
    let home = Home::new();
    two_apps(&home);
    let shown = |args: &str| {
        let output = home.ctl(["logs"].into_iter().chain(args.split_whitespace())).ok();
        assert_eq!(output.stderr, "", "{output}");
        format!("$ daemonctl logs {args}\n{}", output.stdout)
    };
    let lines = [
        "web",
        "-t web",
        "-n 2 web",
        "--head 2 web",
        "web db",
        "-t --stdout db",
        "--all web",
        "--all -t web",
        "--events web",
        "--level warn web db",
        "--level error web",
        "--grep ^o.e$|i.e web",
        "--json web db",
        "--since @1769860805 web",
        "--since @1769860801 --until @1769860803 -t web",
        "--since 2026-01-31T12:00:02Z --stdout web",
        "--until 2026-01-31T13:00:02+01:00 --stdout web",
        "--stdout -n 1 web db",
    ];
    insta::assert_snapshot!(lines.map(shown).join("\n"));
}

#[test]
fn what_a_run_wrote_lies_between_its_beginning_and_its_end() {
    let home = Home::new();
    let web = silent(&home, "web");
    // Noted a moment after the first line, and cut off to the millisecond before the last was collected.
    log(&web.path("logs/web.log"), &[(501, "first\n"), (3006, "of the second run\n")]);
    log(&web.path("logs/web.err"), &[(3001, "last words\n")]);
    web.file(
        "logs/web.run",
        "2026-01-31T12:00:00.502Z info  started, pid 12\n2026-01-31T12:00:03.000Z warn  exited 1 after 2.5s\n\
         2026-01-31T12:00:03.006Z info  started, pid 13\n",
    );
    let shown = home.ctl(["logs", "web"]).ok().stdout;
    let marks = ["--- | started, pid 12", "out | first", "err | last words", "--- | exited 1 after 2.5s"];
    let expected = [&marks[..], &["--- | started, pid 13", "out | of the second run", ""]].concat().join("\n");
    assert_eq!(shown, expected);
}

#[test]
fn where_output_is_missing_there_is_a_mark() {
    let home = Home::new();
    let web = silent(&home, "web");
    log(&web.path("logs/web.log"), &[(500, "before\n"), (5010, "after\n"), (6000, "later\n")]);
    // It is told once something has been written again.
    let gap = "70 bytes of output were dropped between 2026-01-31T12:00:01.000Z and 2026-01-31T12:00:05.000Z: \
               /apps/web/logs/web.log could not be written";
    web.file("logs/web.run", format!("2026-01-31T12:00:05.020Z error {gap}\n"));
    let shown = home.ctl(["logs", "web"]).ok().stdout;
    assert_eq!(shown, format!("out | before\n--- | {gap}\nout | after\nout | later\n"));
    let event: Value = serde_json::from_str(&home.ctl(["events", "--json", "web"]).ok().stdout).unwrap();
    assert_eq!((&event["kind"], &event["bytes"]), (&Value::from("dropped"), &Value::from(70)));
}

#[test]
fn times_are_local() {
    let home = Home::new();
    two_apps(&home);
    let mut command = home.command(["logs", "--stdout", "-t", "--since", "2026-01-31 07:00:05", "web"]);
    command.env("TZ", "America/New_York");
    assert_eq!(home.finish(command).ok().stdout, "2026-01-31T07:00:06.000-05:00 six\n");
    let mut command = home.command(["logs", "--stdout", "--until", "2026-01-31 07:00:01", "web"]);
    command.env("TZ", "America/New_York");
    assert_eq!(home.finish(command).ok().stdout, "one\n");
}

#[test]
fn without_an_index_lines_tell_their_own_time_or_none() {
    let home = Home::new();
    silent(&home, "web")
        .file("logs/web.log", "2026-01-31 12:00:00 one\n  more\n2026-01-31 12:00:02 three\n")
        .file("logs/web.err", "Jan 31 12:00:01 host two\n");
    let output = home.ctl(["logs", "web"]).ok();
    let expected = "out | 2026-01-31 12:00:00 one\nout |   more\nerr | Jan 31 12:00:01 host two\nout | 2026-01-31 12:00:02 three\n";
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (expected, ""));
    let since = home.ctl(["logs", "--stdout", "--since", "2026-01-31 12:00:01", "web"]).ok();
    assert_eq!(since.stdout, "2026-01-31 12:00:02 three\n");

    home.app("web").file("logs/web.err", "a line\n");
    let output = home.ctl(["logs", "web"]).ok().explains("web.err came is not known: its lines come first");
    assert!(output.stdout.starts_with("err | a line\nout | 2026"), "{output}");
    home.ctl(["logs", "--stderr", "web"]).ok().never_says("not known");
    let output = home.ctl(["logs", "--stderr", "--since", "1h", "web"]).ok().explains("web.err came is not known");
    assert_eq!(output.stdout, "");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let home = Home::new();
    silent(&home, "web").file("logs/web.log", "one\n");
    let lines = [
        "--since sometime web",
        "--until 5 web",
        "--since 1h --until 2h web",
        "--level loud web",
        "--grep ( web",
        "-n few web",
        "-n 3 --head 4 web",
        "--head --tail web",
        "--head -f web",
        "--head",
        "--tail 5",
    ];
    let refused = |args: &str| {
        let output = home.ctl(["logs"].into_iter().chain(args.split_whitespace())).exits(2);
        format!("$ daemonctl logs {args}\n{}{}", output.stdout, output.stderr)
    };
    insta::assert_snapshot!(lines.map(refused).join("\n"));
}

#[test]
fn following_goes_on_through_rotation_truncation_and_removal() {
    let home = Home::new();
    let web = silent(&home, "web").file("logs/web.log", "1\n2\n3\n");
    let path = web.path("logs/web.log");
    let follow = home.spawn(["logs", "-f", "--stdout", "-n", "1", "web"]);
    let mut expected = "3\n".to_owned();
    follow.wait_for_output(&expected);
    let mut second = 0;
    // Between two looks, the log may be rotated more than once.
    for round in 0..20 {
        for part in 0..round % 4 {
            append(&path, format!("round {round} part {part}\n"));
            expected += &format!("round {round} part {part}\n");
            second += 1;
            let archive = format!("logs/web.log.2026-01-31-1200{:02}.{second}", 0);
            fs::rename(&path, web.path(&archive)).unwrap();
        }
        append(&path, format!("round {round}\n"));
        expected += &format!("round {round}\n");
        if round % 5 == 0 {
            wait_until("all is shown", SOON, || match follow.stdout() {
                shown if shown == expected => Ok(()),
                shown => Err(shown),
            });
            match round % 10 {
                0 => fs::write(&path, "").unwrap(),
                _ => fs::remove_file(&path).unwrap(),
            }
            append(&path, "after\n");
            expected += "after\n";
            follow.wait_for_output(&expected);
        }
    }
    // The whole directory may go, and another come.
    for gone in [false, true] {
        follow.wait_for_output(&expected);
        match gone {
            true => fs::remove_dir_all(web.path("logs")).unwrap(),
            false => fs::rename(web.path("logs"), web.path("elsewhere")).unwrap(),
        }
        fs::create_dir(web.path("logs")).unwrap();
        append(&path, "in another directory\n");
        expected += "in another directory\n";
    }
    follow.wait_for_output(&expected);
    append(&path, "half a ");
    follow.wait_for_output("half a ");
    append(&path, "line\n");
    expected += "half a line\n";
    follow.wait_for_output(&expected);
    follow.ctrl_c();
    assert_eq!(follow.wait().ok().stdout, expected);
}

#[test]
fn following_several_logs_shows_whole_lines_that_were_asked_for() {
    let home = Home::new();
    two_apps(&home);
    let (web, db) = (home.app("web"), home.app("db"));
    let follow = home.spawn(["logs", "-f", "-n", "2", "--level", "warn", "web", "db"]);
    follow.wait_for_output("web err |   trace\ndb  out | up\n");
    append(&web.path("logs/web.err"), "  still trace\nINFO fine\n  all fi");
    append(&db.path("logs/db.log"), "WARN odd\n");
    append(&web.path("logs/web.err"), "ne\nERROR again\n");
    follow.wait_for_output("ERROR again\n");
    follow.wait_for_output("WARN odd\n");
    follow.ctrl_c();
    let output = follow.wait().ok();
    assert!(!output.stdout.contains("fi"), "{output}");
    let mut lines: Vec<&str> = output.stdout.lines().skip(2).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["db  out | WARN odd", "web err |   still trace", "web err | ERROR again"]);
}

#[test]
fn following_a_restart_tells_of_it() {
    let home = Home::new();
    let web = home.app("web").run_script("echo hello; exec sleep 1000");
    let follow = home.spawn(["logs", "-f", "web"]);
    home.ctl(["start", "web"]).ok();
    follow.wait_for_output("--- | started, pid ");
    follow.wait_for_output("out | hello\n");
    let pid = web.status().main_pid();
    crate::support::kill(pid, Signal::SIGKILL);
    follow.wait_for_output("--- | killed by ");
    home.ctl(["start", "web"]).ok();
    wait_until("it is told of twice", SOON, || match follow.stdout() {
        shown if shown.matches("--- | started").count() == 2 && shown.matches("hello").count() == 2 => Ok(()),
        shown => Err(shown),
    });
    follow.ctrl_c();
    follow.wait().ok();
}

#[test]
fn following_ends_when_its_time_is_up() {
    let home = Home::new();
    silent(&home, "web").file("logs/web.log", "one\n");
    let soon = std::time::SystemTime::now() + Duration::from_millis(300);
    let at = soon.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let until = format!("@{}.{:03}", at / 1000, at % 1000);
    home.spawn(["logs", "-f", "--stdout", "--until", &until, "web"]).wait_within(Duration::from_secs(5)).ok();
}

#[test]
fn following_ends_when_its_reader_leaves() {
    let home = Home::new();
    home.app("web").run_script("echo hello; exec sleep 1000");
    home.ctl(["start", "web"]).ok();
    // In the shell's own words, though no further line ever comes.
    for line in ["logs -f --stdout web", "logs -f web", "events -f web", "start --attach web"] {
        let shell = format!("{{ \"$0\" {line}; echo \"code $?\" >&2; }} | head -n 1");
        let shown = home.program("/bin/sh".as_ref(), ["-c", &shell, &binary("daemonctl").to_string_lossy()]);
        let shown = home.finish(shown);
        assert!(shown.stderr.ends_with("code 0\n") && shown.stdout.lines().count() == 1, "{line}: {shown}");
    }
    home.ctl(["stop", "web"]).ok();
}

#[test]
fn a_huge_log_is_no_reason_to_wait() {
    let home = Home::alone();
    let web = silent(&home, "web");
    let path = web.path("logs/web.log");
    // A line a mebibyte, the rest of it a hole: reading eight gibibytes would take seconds.
    let file = fs::File::create(&path).unwrap();
    for at in 0..8192u64 {
        let line = format!("{} {at}\n", 1_769_860_800 + at);
        let begin = if at == 0 { 0 } else { (at << 20) - line.len() as u64 };
        file.write_all_at(line.as_bytes(), begin).unwrap();
        file.write_all_at(b"\n", begin.saturating_sub(1)).unwrap();
    }
    file.write_all_at(b"1769860800 first\n", 0).unwrap();
    let end: String = (0..60).map(|at| format!("{} end {at}\n", 1_769_868_992 + at)).collect();
    append(&path, end);
    for args in [["-n", "50"], ["--since", "@1769869049"], ["--head", "1"]] {
        let tries = std::iter::repeat_with(|| home.ctl(["logs", "--stdout", args[0], args[1], "web"]).ok());
        let output = tries.take(3).min_by_key(|output| output.took).unwrap();
        assert!(output.took < Duration::from_secs(1), "{args:?} took {:?}", output.took);
        let last = if args[0] == "--head" { "first\n" } else { " end 59\n" };
        assert!(output.stdout.ends_with(last), "{args:?} shows {} bytes", output.stdout.len());
        let lines = output.stdout.lines().filter(|line| line.starts_with("17698")).count();
        assert_eq!(
            lines,
            match args[0] {
                "-n" => 50,
                "--since" => 3,
                _ => 1,
            },
            "{args:?}"
        );
    }
}

#[test]
fn lines_of_a_file_that_both_outputs_go_to_are_shown_once() {
    let home = Home::new();
    let app = home.app("web").run_script("echo one; echo two >&2; exec sleep 1000");
    app.conf("[logging]\nstdout_file = 'both.log'\nstderr_file = 'both.log'");
    home.ctl(["start", "web"]).ok();
    app.wait_for_text("both.log", "two\n");
    let lines = |args: &[&str]| {
        let shown = home.ctl([&["logs"], args, &["web"]].concat()).ok().stdout;
        shown.lines().filter(|line| !line.contains("---")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&[]), ["out | one", "out | two"]);
    assert_eq!((lines(&["--stderr"]), lines(&["--json"]).len()), (vec!["one".to_owned(), "two".to_owned()], 2));
    let block = home.ctl(["status", "-l", "web"]).ok().stdout;
    assert_eq!((block.matches("| one").count(), block.matches("| two").count()), (1, 1), "{block}");
}

#[test]
fn what_is_over_is_not_followed() {
    let home = Home::new();
    let web = silent(&home, "web");
    log(&web.path("logs/web.log"), &[(500, "before\n"), (5000, "after\n")]);
    let until = "2026-01-31T12:00:02Z";
    let shown = home.ctl(["logs", "-f", "--stdout", "--until", until, "web"]).ok().stdout;
    assert_eq!(shown, "before\n");
}

#[test]
fn several_apps_that_start_at_once_write_nothing_before_their_beginning() {
    let home = Home::new();
    let names: Vec<String> = (0..8).map(|number| format!("app{number}")).collect();
    for name in &names {
        home.app(name).run_script("echo first; exec sleep 1000");
    }
    home.ctl([&["start".to_owned()], &names[..]].concat()).ok();
    for name in &names {
        home.app(name).wait_for_output("first\n");
        let shown = home.ctl(["logs", name]).ok().stdout;
        assert!(shown.starts_with("--- | started, pid "), "{shown}");
    }
}

#[test]
fn that_nothing_is_found_is_said_beside_the_output() {
    let home = Home::new();
    let web = silent(&home, "web");
    log(&web.path("logs/web.log"), &[(0, "INFO fine\n")]);
    let said = |args: &[&str]| {
        let output = home.ctl([&["logs"], args, &["web"]].concat()).ok();
        assert_eq!(output.stdout, "", "{output}");
        output.stderr
    };
    let before = "@1769860000";
    assert_eq!(said(&["--until", before]), "daemonctl: no line came in that time\n");
    assert_eq!(said(&["--until", before, "--json"]), "daemonctl: no line came in that time\n");
    assert_eq!(said(&["--grep", "x"]), "daemonctl: no line matches\n");
    assert_eq!(said(&["--stdout", "--level", "warn"]), "daemonctl: no line matches\n");
    assert_eq!(said(&["--grep", "x", "--since", before]), "daemonctl: no line of that time matches\n");
    // Silence that was asked for, and a log of which it cannot be known.
    assert_eq!(said(&["-q", "--grep", "x"]), "");
    assert_eq!(said(&["-n", "0", "--grep", "fine"]), "");
    fs::remove_file(web.path("logs/web.log.times")).unwrap();
    assert!(!said(&["--stdout", "--until", before]).contains("no line"));
    // An app without logs is told of already.
    silent(&home, "db");
    home.ctl(["logs", "--grep", "x", "db"]).ok().explains("db has written nothing yet").never_says("no line");
    fs::write(web.path("logs/web.run"), "2026-01-31T12:00:00.000Z info  started, pid 7\n").unwrap();
    home.ctl(["events", "--level", "error", "web"]).ok().explains("no event matches");
}

#[test]
fn a_log_that_grows_faster_than_it_is_shown_is_left_all_the_same() {
    let home = Home::new();
    home.app("web").behaves("flood").conf("[logging]\nmax_size = '20M'\nmax_count = 2");
    home.ctl(["start", "web"]).ok();
    for args in [&["logs", "-f", "-t", "--grep", "nothing of it", "web"] as &[&str], &["logs", "-f", "--stdout", "web"]]
    {
        let follower = home.spawn(args.iter().copied());
        wait_until("it follows, and has its own way with Ctrl-C", SOON, || {
            let status = fs::read_to_string(format!("/proc/{}/status", follower.pid())).unwrap_or_default();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default().trim();
            let caught = u64::from_str_radix(caught, 16).unwrap_or(0);
            if caught & 1 << (Signal::SIGINT as u64 - 1) != 0 { Ok(()) } else { Err(status) }
        });
        follower.ctrl_c();
        follower.wait_within(SOON).ok();
    }
    let begun = std::time::Instant::now();
    let until =
        format!("@{}", std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 2);
    home.ctl(["logs", "-f", "--grep", "nothing of it", "--until", &until, "web"]).ok();
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    home.ctl(["stop", "-f", "web"]).ok();
}

#[test]
fn on_a_terminal_streams_have_their_colours_and_the_app_has_no_say_in_it() {
    let home = Home::new();
    let app = home.app("web").run_script(
        "printf 'clear \\033[2J and ring \\007\\n'; while ! test -e go; do sleep 0.02; done; \
         printf '\\033[31mred\\n' >&2; while ! test -e end; do sleep 0.02; done; exit 3",
    );
    home.ctl(["start", "web"]).ok();
    // Each has come before the next: what is written in the last milliseconds of a run may be shown after its end.
    app.wait_for_output("clear");
    let app = app.file("go", "");
    app.wait_for_text("logs/web.err", "red");
    let app = app.file("end", "");
    app.wait_for_state("exited");
    let shown = |args: &[&str]| {
        let (code, shown) = home.on_terminal(args).wait();
        assert_eq!(code, 0, "{shown}");
        shown.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let [dim, red, plain] = ["\x1b[2m", "\x1b[31m", "\x1b[0m"];
    let all = shown(&["logs", "web"]);
    assert!(all[0].starts_with(&format!("{dim}--- |{plain} started, pid ")), "{all:?}");
    assert_eq!(all[1], format!("{dim}out |{plain} clear \\x1b[2J and ring \\x07"));
    assert_eq!(all[2], format!("{red}err |{plain} \\x1b[31mred"));
    assert!(all[3].starts_with(&format!("{dim}--- |{plain} exited 3 after ")), "{all:?}");
    // What is asked for alone needs no mark; without colour the text is the same.
    assert_eq!(shown(&["logs", "--stderr", "web"]), ["\\x1b[31mred"]);
    assert_eq!(
        shown(&["--no-color", "logs", "web"])[1..3],
        ["out | clear \\x1b[2J and ring \\x07", "err | \\x1b[31mred"]
    );
    // Who reads a pipe wants the bytes.
    assert_eq!(home.ctl(["logs", "--stderr", "web"]).ok().stdout, "\x1b[31mred\n");
}

#[test]
fn of_an_app_that_writes_nothing_no_more_marks_are_shown_than_lines_were_asked_for() {
    let home = Home::new();
    let web = home.app("web").run_script("exit 3");
    web.conf(
        "[process]\nrestart = 'always'\nrestart_delay = '20ms'\nrestart_delay_max = '20ms'\nrestart_max_attempts = 9",
    );
    home.ctl(["start", "web"]).ok();
    web.wait_for_state("failed");
    let shown = |number: &str| home.ctl(["logs", "-n", number, "web"]).ok().stdout.lines().count();
    assert_eq!((shown("0"), shown("1"), shown("5"), shown("all")), (0, 1, 5, 21));
}

#[test]
fn a_log_that_cannot_be_read_withholds_no_other() {
    let home = Home::new();
    let web = silent(&home, "web").file("logs/web.log", "one\n");
    fs::create_dir_all(web.path("logs/web.run")).unwrap();
    let shown = home.ctl(["logs", "web"]).exits(1).explains("web.run: it is a directory");
    assert_eq!(shown.stdout, "out | one\n");
    home.ctl(["logs", "--events", "web"]).exits(1).explains("web.run: it is a directory");
    home.ctl(["why", "web"]).ok().explains("warning: cannot read the events (").says("What happens next");
}

#[test]
fn what_comes_before_the_time_that_was_asked_for_is_not_followed() {
    let home = Home::new();
    let web = home.app("web").run_script("n=0; while :; do n=$((n + 1)); echo $n; sleep 0.05; done");
    home.ctl(["start", "web"]).ok();
    web.wait_for_output("1\n");
    let far = home.spawn(["logs", "-f", "--stdout", "--since", "+1h", "web"]);
    let near = home.spawn(["logs", "-f", "--stdout", "--since", "+1s", "--until", "+1h", "web"]);
    near.wait_for_output("\n");
    let first: u32 = near.stdout().lines().next().unwrap().parse().unwrap();
    let before = web.log().lines().position(|line| line == first.to_string());
    assert!(before >= Some(5), "{before:?} lines came before");
    assert_eq!(far.stdout(), "");
    for follower in [near, far] {
        follower.ctrl_c();
        follower.wait().ok();
    }
    home.ctl(["stop", "web"]).ok();
}
