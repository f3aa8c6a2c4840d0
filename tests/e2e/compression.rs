//! Archives are compressed: nothing is lost by it, whoever is killed, whatever the disk is like, whoever reads meanwhile.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;

use crate::rotation::{Disk, log_of, numbered, watched};
use crate::support::{AppDir, Home, SOON, archives, assert_no_line_lost, inject, is_root, kill, kill_in, wait_until};

#[test]
fn archives_are_compressed_beneath_those_who_write_and_those_who_read() {
    let home = Home::new();
    let app = home.app("web");
    app.run_script(&numbered(5));
    app.conf("[logging]\nmax_size = 50000\nmax_count = 30\ncompress = 'gzip'");
    let (follower, stuck) = watched(&home, &app);
    for round in 1..5 {
        let (supervisor, _) = home.pair("web");
        let before = packed(&app).len();
        wait_until("some are compressed", SOON, || match packed(&app).len() {
            more if more > before => Ok(()),
            same => Err(format!("{same} compressed archives")),
        });
        kill(supervisor.pid, Signal::SIGKILL);
        app.file(&format!("go{round}"), "");
    }
    let log = log_of(&app, "web");
    wait_until("all are compressed", Duration::from_secs(50), || match (app.path("done").exists(), archives(&log)) {
        (true, plain) if plain.is_empty() => Ok(()),
        state => Err(format!("{state:?}")),
    });
    assert_eq!(packed(&app).len(), 30, "{:?}", packed(&app));
    // The newest of them are there, in order, however they are asked for.
    let kept = home.ctl(["logs", "--stdout", "-n", "1000000", "web"]).ok().stdout;
    let numbers: Vec<u32> = kept.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(numbers.last(), Some(&200_000));
    assert!(numbers.len() >= 30 * 4_000 && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{}", numbers.len());
    home.ctl(["logs", "--stdout", "--grep", "^000150000$", "web"]).ok().says("000150000\n");
    let times = home.ctl(["logs", "--stdout", "-t", "--since", "1h", "--head", "1", "web"]).ok().stdout;
    assert!(times.starts_with("20") && times.contains(&format!("{:09}", numbers[0])), "{times}");
    // Who followed has seen all of it; who was held up, what there still was when it could go on.
    stuck.signal(Signal::SIGCONT);
    for (watcher, from) in [(follower, 0), (stuck, numbers[0])] {
        wait_until("it has seen the last line", Duration::from_secs(50), || match watcher.stdout() {
            seen if seen.ends_with("000200000\n") => Ok(()),
            seen => Err(format!("{} bytes, {:?}", seen.len(), seen.lines().last())),
        });
        let seen: Vec<u32> = watcher.stdout().lines().map(|line| line.parse().unwrap()).collect();
        let all = seen.iter().filter(|number| **number >= from);
        let gap = seen.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect::<Vec<_>>();
        assert!(all.copied().eq(from..=200_000), "from {from}: {} lines, gaps {gap:?}", seen.len());
        watcher.ctrl_c();
        watcher.wait();
    }
}

/// The compressed archives of an app's output.
fn packed(app: &AppDir<'_>) -> Vec<String> {
    let entries = fs::read_dir(app.path("logs")).unwrap().filter_map(Result::ok);
    entries.map(|entry| entry.file_name().into_string().unwrap()).filter(|name| name.ends_with(".gz")).collect()
}

#[test]
fn a_compression_that_is_killed_at_any_system_call_loses_and_doubles_nothing() {
    let home = Home::new();
    let app = home.app("web").behaves("lines 0 200").conf("[logging]\nmax_size = 20000\ncompress = 'gzip'");
    home.ctl(["start", "web"]).ok();
    let log = log_of(&app, "web");
    // One at a time, so that each time another archive is made before it goes.
    for call in ["fsync", "linkat", "unlinkat", "unlinkat", "linkat", "fsync"] {
        let (supervisor, _) = home.pair("web");
        kill_in(supervisor.pid, call, 1);
        let before = packed(&app).len();
        wait_until("another one goes on", SOON, || match packed(&app).len() {
            more if more > before => Ok(()),
            same => Err(format!("{same} compressed archives")),
        });
    }
    home.ctl(["stop", "web"]).ok();
    // What an app has left is compressed at its next start.
    app.run_script("exec sleep 1000");
    home.ctl(["start", "web"]).ok();
    wait_until("all are compressed", SOON, || match archives(&log) {
        plain if plain.is_empty() => Ok(()),
        plain => Err(format!("{plain:?}")),
    });
    let all = home.ctl(["logs", "--stdout", "-n", "all", "web"]).ok().stdout;
    assert_no_line_lost(&all);
    // Each has kept its times.
    let timed = home.ctl(["logs", "--stdout", "-n", "all", "-t", "web"]).ok().stdout;
    assert_eq!(timed.lines().count(), all.lines().count());
    assert!(
        timed.lines().all(|line| line.starts_with("20")),
        "{:?}",
        timed.lines().find(|line| !line.starts_with("20"))
    );
}

#[test]
fn room_that_a_compression_takes_is_given_back_before_an_archive_or_a_line_is_lost() {
    if !is_root("a small disk") {
        return;
    }
    let home = Home::new();
    let app = home.app("web");
    let disk = Disk::new(&app.path("logs"), "64m");
    let (before, archive) = (app.path("logs/web.log.2026-01-31-120000"), home.base().join("random"));
    // It does not become smaller: compressed, there is no room for it. Its packer has 24 MB to begin with.
    Command::new("head")
        .args(["-c", "40M", "/dev/urandom"])
        .stdout(fs::File::create(&archive).unwrap())
        .status()
        .unwrap();
    fs::copy(&archive, &before).unwrap();
    // While it is packed, the app writes more than is left by then.
    app.run_script(
        "while test $(stat -f -c %a logs) -gt 5000; do :; done\n\
         head -c 22M /dev/zero; touch done; exec sleep 1000",
    );
    app.conf("[logging]\nmax_size = '100M'\ncompress = 'gzip'\nfile = 'events'");
    home.ctl(["start", "web"]).ok();
    wait_until("all is written", SOON, || match app.path("logs/web.log").metadata().map(|meta| meta.len()) {
        Ok(length) if length == 22 << 20 => Ok(()),
        other => Err(format!("{other:?}, {}", app.read("events"))),
    });
    assert!(fs::read(&before).unwrap() == fs::read(&archive).unwrap(), "the archive is as it was");
    assert!(!app.read("events").contains("drop"), "{}", app.read("events"));
    drop(disk);
}

#[test]
fn a_compression_whose_disk_hangs_holds_up_nobody_elsewhere() {
    if !is_root("a small disk") {
        return;
    }
    let home = Home::new();
    let app = home.app("web");
    let disk = Disk::new(&app.path("logs"), "64m");
    Command::new("head")
        .args(["-c", "6M", "/dev/urandom"])
        .stdout(fs::File::create(app.path("logs/web.log.2026-01-31-120000")).unwrap())
        .status()
        .unwrap();
    // As soon as almost all of that is there a second time, the rest is filled.
    app.run_script(
        "while test $(stat -f -c %a logs) -gt 13400; do :; done; head -c 60M /dev/zero\n\
         while :; do echo more; sleep 0.1; done",
    );
    app.conf("[logging]\nmax_size = '100M'\ncompress = 'gzip'\nfile = 'events'");
    let other = home.app("other").behaves("lines 0 1000");
    home.ctl(["start", "other"]).ok();
    let (supervisor, _) = home.pair("other");
    let mut strace = inject(supervisor.pid, "fsync", "delay_enter=8000000", Path::new("/dev/null"));
    let traced = || fs::read_to_string(format!("/proc/{}/status", supervisor.pid)).unwrap();
    wait_until("it is traced", SOON, || match traced() {
        status if status.contains("TracerPid:\t0\n") => Err(status),
        _ => Ok(()),
    });
    home.ctl(["start", "web"]).ok();
    let hangs = app.wait_for("dropping", |status| status.note.as_ref().is_some_and(|note| note.contains("dropped")));
    assert!(hangs.note.unwrap().contains("no space left"), "says why");
    wait_until("there is room again", SOON, || match app.read("events") {
        events if events.contains("bytes of output") => Ok(()),
        events => Err(events),
    });
    let _ = strace.kill();
    strace.wait().expect("strace to end");
    let lines = home.ctl(["logs", "--json", "-n", "all", "--stdout", "other"]).ok().stdout;
    let times: Vec<SystemTime> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| humantime::parse_rfc3339(line["time"].as_str().unwrap()).unwrap())
        .collect();
    let longest = times.windows(2).map(|pair| pair[1].duration_since(pair[0]).unwrap_or_default()).max().unwrap();
    assert!(longest < Duration::from_secs(4), "{longest:?} without a line, of 8 s");
    assert!(other.log().lines().count() > 3000, "{}", other.log().lines().count());
    drop(disk);
}

#[test]
fn what_is_unpacked_takes_no_more_room_than_there_is() {
    if !is_root("a small disk") {
        return;
    }
    let home = Home::new();
    let app = home.app("web").behaves("sleep");
    home.ctl(["start", "web"]).ok();
    home.ctl(["stop", "web"]).ok();
    let logs = app.path("logs");
    for archive in 0..5 {
        let plain = logs.join(format!("web.log.2026-01-31-12000{archive}"));
        let lines: String =
            (archive * 50_000..(archive + 1) * 50_000).map(|line| format!("line {line:08}\n")).collect();
        fs::write(&plain, lines).unwrap();
        assert!(Command::new("gzip").arg(&plain).status().unwrap().success());
    }
    fs::write(logs.join("web.log"), "line 00250000\nend 250001\n").unwrap();
    // Each takes 700 kB.
    for room in ["1600k", "1m"] {
        let disk = Disk::new(&home.base().join("small"), room);
        for options in [&["-n", "all"][..], &["-n", "225000"], &["-n", "225000", "--level", "info"]] {
            let mut logs = home.command(["logs", "--stdout", "web"].iter().chain(options));
            logs.env("TMPDIR", home.base().join("small"));
            let shown = home.finish(logs).ok();
            assert!(shown.stderr.is_empty(), "{}", shown.stderr);
            match options {
                ["-n", "all"] => assert_no_line_lost(&shown.stdout),
                _ => assert_eq!(shown.stdout.lines().count(), 225_000, "{room} {options:?}"),
            }
        }
        drop(disk);
    }
    let shown = |dir: &str| {
        let mut logs = home.command(["logs", "--stdout", "-n", "all", "web"]);
        logs.env("TMPDIR", dir);
        home.finish(logs)
    };
    assert_no_line_lost(&shown("").ok().stdout);
    shown("/nonexistent")
        .exits(1)
        .explains("web.log.2026-01-31-120000.gz: cannot unpack it to /nonexistent: No such file");
}
