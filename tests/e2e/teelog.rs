//! `teelog` by itself: every byte that comes is in the log and passed on, whoever leaves, fills the disk or is slow.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::rotation::Disk;
use crate::support::{Home, Output, SOON, archives, binary, everything, is_root, kill, process, testapp, wait_until};

/// `teelog ARGS`, in the story's root.
fn teelog(home: &Home, args: &[&str]) -> Command {
    home.program(&binary("teelog"), args)
}

fn run(home: &Home, args: &[&str]) -> Output {
    home.finish(teelog(home, args))
}

/// Starts it with pipes on all sides.
fn start(mut command: Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("teelog runs")
}

/// What became of bytes that went in.
struct Fed {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

/// Writes bytes to its standard input, in pieces of this size, and waits for its end.
fn feed(command: Command, input: &[u8], piece: usize) -> Fed {
    let mut child = start(command);
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.chunks(piece).try_for_each(|piece| stdin.write_all(piece)).expect("it reads on"));
        child.wait_with_output().unwrap()
    });
    Fed {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn numbered(count: usize) -> Vec<u8> {
    (0..count).flat_map(|number| format!("{number:09}\n").into_bytes()).collect()
}

/// Bytes of every kind, without a newline at the end.
fn noise(count: u32) -> Vec<u8> {
    let mut noise: Vec<u8> = (0..count).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    noise.extend(b"\0nul\0\xff\xfe\nhalf a line");
    noise
}

#[track_caller]
fn wait_for_text(path: &Path, part: &str) {
    wait_until(&format!("{} contains {part:?}", path.display()), SOON, || match fs::read_to_string(path) {
        Ok(text) if text.contains(part) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn every_byte_is_logged_and_passed_on() {
    let home = Home::new();
    let input = noise(3_000_000);
    for (number, piece) in [1000, 65_536, 3_000_000].into_iter().enumerate() {
        let name = format!("new/dir{number}/out.log");
        let fed = feed(teelog(&home, &[&name]), &input, piece);
        assert_eq!((fed.code, fed.stderr.as_str()), (Some(0), ""));
        assert!(fed.stdout == input, "{} bytes of {} have been passed on", fed.stdout.len(), input.len());
        assert!(fs::read(home.root().join(name)).unwrap() == input, "the log is not what came");
    }
    // It is appended, and nothing else happens where nothing comes.
    let log = home.root().join("again.log");
    for input in ["one\n", "", "two"] {
        assert_eq!(feed(teelog(&home, &["again.log"]), input.as_bytes(), 10).code, Some(0));
    }
    assert_eq!(fs::read_to_string(log).unwrap(), "one\ntwo");
}

#[test]
fn a_line_of_100_mb_is_not_cut_and_needs_no_memory() {
    let home = Home::new();
    let log = home.root().join("out.log");
    let mut command = teelog(&home, &["-s", "1M", "out.log"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let piece = vec![b'x'; 100_000];
    stdin.write_all(b"first\n").unwrap();
    (0..1000).for_each(|_| stdin.write_all(&piece).unwrap());
    stdin.write_all(b"\nlast\n").unwrap();
    wait_for_text(&log, "last\n");
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim_end_matches("kB");
    assert!(peak.trim().parse::<u64>().unwrap() < 32_000, "{status}");
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(everything(&log).len(), 6 + 100_000_001 + 5);
    assert_eq!(fs::read(&log).unwrap(), b"last\n");
    assert!(archives(&log).iter().all(|file| fs::read(file).unwrap().ends_with(b"\n")));
}

#[test]
fn a_log_is_cut_at_ends_of_lines_and_only_its_own_archives_are_removed() {
    let home = Home::new();
    let root = home.root();
    let log = root.join("web.log");
    let foreign = [
        "web.log.keep",
        "web.log.1",
        "web.log.2020-01-01",
        "web.log.2020-01-01-000000.bak",
        "web.err.2020-01-01-000000",
    ];
    foreign.iter().for_each(|name| fs::write(root.join(name), name).unwrap());
    let input = numbered(50_000);
    let fed = feed(teelog(&home, &["--max-size=10000", "--max-count", "3", "web.log"]), &input, 777);
    assert_eq!((fed.code, fed.stderr.as_str()), (Some(0), ""));
    assert!(fed.stdout == input);
    let kept = archives(&log);
    assert_eq!(kept.len(), 3);
    for file in &kept {
        let content = fs::read(file).unwrap();
        assert!(content.len() <= 10_000 && content.ends_with(b"\n"), "{}", file.display());
    }
    assert!(input.ends_with(&everything(&log)), "what is kept is the end of what came");

    let old = root.join("web.log.2020-01-01-000000");
    fs::write(&old, "old\n").unwrap();
    assert_eq!(feed(teelog(&home, &["--max-age=7d", "web.log"]), b"", 1).code, Some(0));
    assert!(!old.exists(), "an archive of 2020 is older than a week");
    assert_eq!(archives(&log), kept);
    for name in foreign {
        assert_eq!(fs::read_to_string(root.join(name)).unwrap(), name);
    }
}

#[test]
fn variables_are_defaults_and_empty_ones_are_none() {
    let home = Home::new();
    let input = numbered(5000);
    let with = |name: &str, args: &[&str], size: &str, count: &str| {
        let mut command = teelog(&home, &[args, &[name]].concat());
        command.env("TEELOG_MAX_SIZE", size).env("TEELOG_MAX_COUNT", count).env("TEELOG_MAX_AGE", "");
        assert_eq!(feed(command, &input, 10_000).code, Some(0));
        archives(&home.root().join(name)).len()
    };
    assert_eq!(with("a.log", &[], "10K", "2"), 2);
    assert_eq!(with("b.log", &["-c", "3"], "10K", "2"), 3);
    assert_eq!(with("c.log", &[], "", "2"), 0);
    let mut wrong = teelog(&home, &["d.log"]);
    wrong.env("TEELOG_MAX_AGE", "old");
    home.finish(wrong).exits(2).explains(r#"TEELOG_MAX_AGE: "old" is not a duration"#);
}

#[test]
fn a_reader_that_leaves_ends_nothing() {
    let home = Home::new();
    let input = numbered(200_000);
    let mut child = start(teelog(&home, &["out.log"]));
    let mut stdout = child.stdout.take().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&input[..1000]).unwrap();
    stdout.read_exact(&mut [0; 1000]).unwrap();
    drop(stdout);
    stdin.write_all(&input[1000..]).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    assert!(fs::read(home.root().join("out.log")).unwrap() == input);
}

#[test]
fn output_that_cannot_be_passed_on_is_logged_and_said() {
    let home = Home::new();
    let mut command = teelog(&home, &["out.log"]);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut child = command.stdin(Stdio::piped()).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"one\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("cannot write to standard output: no space left on device"), "{told}");
    assert_eq!(fs::read_to_string(home.root().join("out.log")).unwrap(), "one\n");
}

#[test]
fn a_full_disk_drops_what_it_must_and_passes_everything_on() {
    if !is_root("a full disk") {
        return;
    }
    let home = Home::new();
    let disk = Disk::new(&home.root().join("disk"), "1m");
    let input = numbered(300_000);
    let fed = feed(teelog(&home, &["disk/out.log"]), &input, 60_000);
    let log = fs::read(home.root().join("disk/out.log")).unwrap();
    drop(disk);
    assert_eq!(fed.code, Some(1));
    assert!(fed.stdout == input, "all of it is passed on");
    assert!(fed.stderr.contains("no space left on device; output is dropped"), "{}", fed.stderr);
    let missing: usize = fed
        .stderr
        .lines()
        .filter_map(|line| line.split_once(" bytes are missing from"))
        .map(|(head, _)| head.strip_prefix("teelog: ").unwrap().parse::<usize>().unwrap())
        .sum();
    assert_eq!(log.len() + missing, input.len(), "{}", fed.stderr);
    assert!(input.starts_with(&log));
}

#[test]
fn a_full_disk_takes_the_oldest_archives_and_tells_how_many() {
    if !is_root("a full disk") {
        return;
    }
    let home = Home::new();
    let disk = Disk::new(&home.root().join("disk"), "1m");
    let log = home.root().join("disk/out.log");
    let input = numbered(300_000);
    let fed = feed(teelog(&home, &["--max-size", "100k", "disk/out.log"]), &input, 60_000);
    let kept = everything(&log);
    drop(disk);
    assert_eq!(fed.code, Some(0), "{}", fed.stderr);
    assert!(input.ends_with(&kept) && kept.len() > 500_000, "{} bytes are left", kept.len());
    assert!(fed.stderr.contains("disk/out.log: removed the oldest archive ("), "{}", fed.stderr);
    let bytes = |line: &str| line.split_once('(')?.1.split_once(" bytes)")?.0.parse::<usize>().ok();
    assert_eq!(fed.stderr.lines().filter_map(bytes).sum::<usize>() + kept.len(), input.len(), "{}", fed.stderr);
}

#[test]
fn a_log_that_is_moved_or_removed_is_begun_anew() {
    let home = Home::new();
    let log = home.root().join("logs/out.log");
    let mut child = start(teelog(&home, &["logs/out.log"]));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\n").unwrap();
    wait_for_text(&log, "one\n");
    fs::rename(&log, home.root().join("moved")).unwrap();
    stdin.write_all(b"two\n").unwrap();
    wait_for_text(&log, "two\n");
    fs::remove_dir_all(home.root().join("logs")).unwrap();
    stdin.write_all(b"three\n").unwrap();
    wait_for_text(&log, "three\n");
    drop(stdin);
    assert_eq!(child.wait_with_output().unwrap().stdout, b"one\ntwo\nthree\n");
    assert_eq!(fs::read_to_string(&log).unwrap(), "three\n");
    assert_eq!(fs::read_to_string(home.root().join("moved")).unwrap(), "one\n");
}

#[test]
fn several_may_write_to_one_log() {
    let home = Home::new();
    let input = numbered(100_000);
    let feeds = std::thread::scope(|scope| {
        let feeders = [(); 3].map(|()| scope.spawn(|| feed(teelog(&home, &["all.log"]), &input, 10_000)));
        feeders.map(|feeder| feeder.join().unwrap())
    });
    assert!(feeds.iter().all(|fed| fed.code == Some(0) && fed.stdout == input));
    assert_eq!(fs::metadata(home.root().join("all.log")).unwrap().len(), 3 * input.len() as u64);
}

#[test]
fn a_commands_streams_have_a_log_each_and_its_end_is_the_last_line() {
    let home = Home::new();
    let read = |name: &str| fs::read_to_string(home.root().join(name)).unwrap();
    let output = run(&home, &["o.log", "e.log", "--", "sh", "-c", "echo out; echo problem >&2"]).ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\nEOK\n", "problem\n"));
    assert_eq!((read("o.log"), read("e.log")), ("out\n".to_owned(), "problem\n".to_owned()));
    // One log for both, and half a line does not hide the last one.
    let output = run(&home, &["both.log", "--", "sh", "-c", "echo problem >&2; printf half; exit 3"]).exits(3);
    assert_eq!(output.stdout, "half\nEFAIL 3\n");
    let both = read("both.log");
    assert!(both == "problem\nhalf" || both == "halfproblem\n", "{both:?}");
    for (script, code) in [("kill -TERM $$", 143), ("kill -KILL $$", 137), ("exit 255", 255)] {
        let output = run(&home, &["o.log", "--", "sh", "-c", script]).exits(code);
        assert_eq!(output.stdout, format!("EFAIL {code}\n"));
    }
    // What it reads is its own affair.
    let fed = feed(teelog(&home, &["in.log", "--", "cat"]), b"typed\n", 6);
    assert_eq!(String::from_utf8(fed.stdout).unwrap(), "typed\nEOK\n");
}

#[test]
fn a_command_that_cannot_be_run_is_named() {
    let home = Home::new();
    for (command, code, why) in [
        ("no-such-program", 127, "cannot run no-such-program: there is no such command in PATH"),
        ("./no-such-program", 127, "cannot run ./no-such-program"),
        ("/etc/passwd", 126, "cannot run /etc/passwd"),
    ] {
        let output = run(&home, &["o.log", "--", command]).exits(code).explains(why);
        assert_eq!(output.stdout, format!("EFAIL {code}\n"));
    }
    // A script without an interpreter is the shell's.
    let script = home.root().join("script");
    fs::write(&script, "echo $1; exit 4\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(run(&home, &["o.log", "--", "./script", "word"]).exits(4).stdout, "word\nEFAIL 4\n");
}

#[test]
fn a_log_that_cannot_be_written_stops_before_the_command_starts() {
    let home = Home::new();
    fs::create_dir(home.root().join("dir")).unwrap();
    fs::write(home.root().join("file"), "").unwrap();
    for logs in [&["dir"] as &[&str], &["o.log", "dir"], &["file/o.log"], &["/proc/o.log"]] {
        let line = [logs, &["--", "touch", "begun"]].concat();
        run(&home, &line).exits(1).explains("teelog: cannot write to ");
        assert!(!home.root().join("begun").exists(), "{logs:?}");
    }
    run(&home, &["dir"]).exits(1).explains("is a directory");
}

#[test]
fn signals_reach_the_command_and_it_decides() {
    let home = Home::new();
    let file = home.root().join("signals");
    let app = testapp();
    let begun = home.begin(teelog(&home, &["o.log", "--", app.to_str().unwrap(), "record", file.to_str().unwrap()]));
    wait_for_text(&file, "ready\n");
    let mut expected = "ready\n".to_owned();
    for name in ["HUP", "INT", "QUIT", "USR1", "USR2", "WINCH"] {
        begun.signal(format!("SIG{name}").parse().unwrap());
        expected += &format!("{name}\n");
        // One after the other: what is pending together has no order.
        wait_until("it has arrived", SOON, || match fs::read_to_string(&file).unwrap() {
            all if all == expected => Ok(()),
            all => Err(all),
        });
    }
    let pid = begun.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let command = children.trim().parse().unwrap();
    let state = |wanted: fn(char) -> bool| {
        wait_until("it is stopped, or not", SOON, || match process(command) {
            Some(proc) if wanted(proc.state) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    };
    kill(command, Signal::SIGSTOP);
    state(|state| state == 'T');
    begun.signal(Signal::SIGCONT);
    state(|state| state != 'T');
    begun.signal(Signal::SIGTERM);
    assert_eq!(begun.wait().ok().stdout, "EOK\n");
    assert_eq!(fs::read_to_string(&file).unwrap(), expected + "TERM\n");
}

#[test]
fn what_the_caller_ignores_is_not_passed_on() {
    let home = Home::new();
    let file = home.root().join("signals");
    let script = format!(
        "trap '' HUP; exec {} o.log -- sh -c 'trap \"echo TERM >> {file}; exit 0\" TERM; grep SigIgn /proc/$$/status > {file}; while :; do sleep 0.05; done'",
        binary("teelog").display(),
        file = file.display(),
    );
    let begun = home.begin(home.program(Path::new("/bin/sh"), ["-c", &script]));
    // The first bit is SIGHUP's; SIGPIPE is not ignored.
    wait_for_text(&file, "0000001\n");
    begun.signal(Signal::SIGHUP);
    begun.signal(Signal::SIGTERM);
    begun.wait().ok();
    assert!(fs::read_to_string(&file).unwrap().ends_with("TERM\n"));
}

#[test]
fn a_process_that_holds_the_pipe_holds_nobody_up() {
    let home = Home::new();
    let output = run(&home, &["o.log", "--", "sh", "-c", "sleep 1000 & echo $!; seq 5000"]).ok();
    let (pid, rest) = output.stdout.split_once('\n').unwrap();
    let pid = pid.parse().unwrap();
    assert!(process(pid).is_some(), "it is still there, and holds the pipe");
    kill(pid, Signal::SIGKILL);
    assert!(rest.ends_with("4999\n5000\nEOK\n"));
    assert!(output.took < Duration::from_secs(60), "{output}");
}

#[test]
fn a_reader_that_stops_holds_up_no_signal_and_loses_nothing_in_the_log() {
    let home = Home::new();
    let pidfile = home.root().join("pid");
    let script = "echo $$ > pid; exec seq 1000000";
    let child = start(teelog(&home, &["o.log", "--", "sh", "-c", script]));
    // Pipes are full, and seq waits.
    wait_for_text(&pidfile, "\n");
    let command: i32 = fs::read_to_string(&pidfile).unwrap().trim().parse().unwrap();
    let log = home.root().join("o.log");
    let mut before = 0;
    wait_until("the log grows no more", SOON, || match fs::metadata(&log).map_or(0, |meta| meta.len()) {
        same if same == before && same > 60_000 => Ok(()),
        more => Err(std::mem::replace(&mut before, more).to_string()),
    });
    kill(child.id() as i32, Signal::SIGTERM);
    wait_until("the command has got it", SOON, || process(command).map_or(Ok(()), |proc| Err(format!("{proc:?}"))));
    // It waits for its reader, until told again.
    let mut child = child;
    let status = wait_until("it leaves", SOON, || {
        kill(child.id() as i32, Signal::SIGTERM);
        child.try_wait().unwrap().ok_or_else(|| "it runs".to_owned())
    });
    assert_eq!(status.code(), Some(143));
    let passed = {
        let mut all = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut all).unwrap();
        all
    };
    let logged = fs::read(&log).unwrap();
    assert!(logged.len() > passed.len() && logged.starts_with(&passed), "the log has more than the reader took");
}

#[test]
fn the_supervisors_binary_is_teelog_by_that_name() {
    let home = Home::new();
    let link = home.root().join("teelog");
    symlink(binary("daemonctl"), &link).unwrap();
    let output = home.finish(home.program(&link, ["o.log", "--", "echo", "hello"])).ok();
    assert_eq!(output.stdout, "hello\nEOK\n");
}

#[test]
fn help_is_a_page() {
    insta::assert_snapshot!(run(&Home::new(), &["--help"]).ok().stdout);
}

#[test]
fn wrong_command_lines_are_explained() {
    let home = Home::new();
    let lines = [
        "",
        "o.log --",
        "-- echo",
        "o.log e.log x.log",
        "--max-sise 10M o.log",
        "--max-size 10X --max-age 1y --max-count many o.log",
        "-s 0 o.log",
        "-s",
    ];
    let told = lines.map(|line| {
        let output = run(&home, &line.split_whitespace().collect::<Vec<_>>()).exits(2);
        format!("$ teelog {line}\n{}{}", output.stdout, output.stderr)
    });
    assert!(!home.root().join("o.log").exists());
    insta::assert_snapshot!(told.join("\n"));
}
