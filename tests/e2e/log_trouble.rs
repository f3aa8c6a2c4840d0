//! Logs in trouble: disks that are read-only or full, rotations that fail, floods, and bytes that are no text.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;

use crate::rotation::{Disk, assert_cut_well, log_of, peak};
use crate::support::{
    Home, SOON, Status, archives, assert_no_line_lost, everything, inject, is_root, kill, wait_until,
};

/// How many bytes of output were dropped, as events say.
fn dropped(events: &str) -> usize {
    let number = |line: &str| line.split_once(" bytes of output")?.0.split(' ').next_back()?.parse::<usize>().ok();
    events.lines().filter_map(number).sum()
}

/// Whether `testapp lines` writes so many bytes in all, for some number of lines.
fn is_all_of_some_lines(bytes: usize) -> bool {
    let line = "line 00000000\n".len();
    (1..9).any(|digits| {
        let lines = bytes.saturating_sub("end \n".len() + digits) / line;
        lines * line + format!("end {lines}\n").len() == bytes
    })
}

#[test]
fn a_log_on_a_read_only_disk_holds_up_nobody_and_goes_on_when_it_can_be_written() {
    if !is_root("a small disk") {
        return;
    }
    let home = Home::new();
    let app = home.app("web").behaves("lines 0 50").conf("logging.file = 'events'");
    let disk = Disk::new(&app.path("logs"), "64m");
    disk.mount("64m", MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY);
    home.ctl(["start", "web"]).ok().explains("read-only file system");
    let status = app.wait_for("dropping", |status| status.note.as_ref().is_some_and(|note| note.contains("dropped")));
    assert!(status.note.unwrap().contains("read-only file system"), "says why");
    disk.grow("64m");
    app.wait_for_text("events", " bytes of output were dropped between ");
    app.wait_for("well", |status| status.note.is_none());
    wait_until("it is written", SOON, || match app.log().len() {
        more if more > 10_000 => Ok(()),
        less => Err(format!("{less} bytes")),
    });
    home.ctl(["stop", "web"]).ok();
    assert!(app.log().lines().last().unwrap().starts_with("end "));
    let (written, dropped) = (app.log().len(), dropped(&app.read("events")));
    assert!(dropped > 0 && is_all_of_some_lines(written + dropped), "{written} bytes written, {dropped} dropped");
    drop(disk);
}

#[test]
fn a_log_that_was_removed_and_cannot_be_made_again_is_told() {
    let home = Home::new();
    let app = home.app("web").behaves("lines 0 500");
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("line 00000010\n");
    let log = app.path("logs/web.log");
    fs::remove_file(&log).unwrap();
    while fs::create_dir(&log).is_err() {
        fs::remove_file(&log).unwrap(); // It has been made again already.
    }
    app.wait_for("a note", |status| status.note.as_ref().is_some_and(|note| note.contains("output is being dropped")));
    fs::remove_dir(&log).unwrap();
    app.wait_for_text("logs/web.run", " bytes of output were dropped between ");
}

#[test]
fn what_was_dropped_is_told_also_when_the_supervisor_leaves_with_its_app() {
    if !is_root("a small disk") {
        return;
    }
    let home = Home::new();
    let app = home.app("web").behaves("lines 0 50").conf("logging.file = 'events'");
    let disk = Disk::new(&app.path("logs"), "64k");
    home.ctl(["start", "web"]).ok();
    app.wait_for_text("events", "output is being dropped");
    home.ctl(["stop", "web"]).ok();
    let events = app.read("events");
    let (written, dropped) = (app.log().len(), dropped(&events));
    assert!(dropped > 0, "{events}");
    assert!(is_all_of_some_lines(written + dropped), "{written} bytes written, {dropped} dropped");
    drop(disk);
}

/// A directory that nobody can write to, for as long as this lives.
struct ReadOnly(PathBuf);

impl ReadOnly {
    fn new(dir: &Path) -> Self {
        // Elsewhere first: where a file is open to be written to, a mount cannot become read-only.
        let elsewhere = tempfile::tempdir().expect("a temporary directory");
        mount(Some(dir), elsewhere.path(), None::<&str>, MsFlags::MS_BIND, None::<&str>).expect("a bind mount");
        let aside = Self(elsewhere.path().to_owned());
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(None::<&str>, elsewhere.path(), None::<&str>, flags, None::<&str>).expect("a read-only mount");
        mount(Some(elsewhere.path()), dir, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .expect("the mount in its place");
        drop(aside);
        Self(dir.to_owned())
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_log_that_cannot_be_rotated_grows_on_and_is_rotated_later() {
    if !is_root("a read-only directory") {
        return;
    }
    let home = Home::new();
    let app = home.app("web").behaves("lines 0 200").conf("logging.file = 'events'\nlogging.max_size = 20000");
    home.ctl(["start", "web"]).ok();
    let log = log_of(&app, "web");
    let rotated = |more_than: usize| match archives(&log).len() {
        more if more > more_than => Ok(()),
        same => Err(format!("{same} archives")),
    };
    wait_until("it is rotated", SOON, || rotated(0));
    let read_only = ReadOnly::new(&app.path("logs"));
    app.wait_for_text("events", "cannot rotate");
    let before = archives(&log).len();
    wait_until("it grows on", SOON, || match fs::metadata(&log).unwrap().len() {
        size if size > 50_000 => Ok(()),
        size => Err(format!("{size} bytes")),
    });
    let note = |status: &Status| status.note.as_ref().is_some_and(|note| note.contains("cannot rotate"));
    app.wait_for("a note", note);
    let events = app.read("events");
    assert!(events.contains("read-only file system"), "{events}");
    assert_eq!(events.matches("cannot rotate").count(), 1, "{events}");
    assert_eq!(archives(&log).len(), before);
    drop(read_only);
    wait_until("it is rotated again", SOON, || rotated(before + 1));
    app.wait_for_text("events", "/logs/web.log is rotated again\n");
    app.wait_for("no note", |status| !note(status));
    home.ctl(["stop", "web"]).ok();
    assert_no_line_lost(&String::from_utf8(everything(&log)).unwrap());
}

#[test]
fn a_trouble_of_a_log_that_both_streams_go_to_ends_whoever_tells_it() {
    let home = Home::new();
    let app = home.app("web").run_script(
        "until test -e go; do echo out; sleep 0.01; done\n\
         exec >/dev/null; while :; do echo err >&2; sleep 0.01; done",
    );
    app.conf("[logging]\nmax_size = 2000\nfile = 'events'\nstdout_file = 'logs/all'\nstderr_file = 'alias/all'");
    app.file("logs/all.9999-12-31-235959.4294967295", "planted\n");
    symlink("logs", app.path("alias")).unwrap();
    home.ctl(["start", "web"]).ok();
    app.wait_for_text("events", "cannot rotate ");
    app.wait_for("a note", |status| status.note.is_some());
    app.file("go", "");
    app.wait_for_text("logs/all", "err\n");
    fs::remove_file(app.path("logs/all.9999-12-31-235959.4294967295")).unwrap();
    app.wait_for_text("events", "/all is rotated again\n");
    app.wait_for("well", |status| status.note.is_none());
    home.ctl(["stop", "web"]).ok();
    assert_eq!(app.read("events").matches("cannot rotate ").count(), 1);
}

#[test]
fn more_floods_than_there_are_wide_pipes_lose_nothing() {
    let home = Home::new();
    let names: Vec<String> = (0..20).map(|number| format!("app{number}")).collect();
    for name in &names {
        home.app(name)
            .run_script("while ! test -e ../go; do sleep 0.05; done; seq -f %09.0f 1 200000; exec sleep 1000")
            .conf("logging.max_size = '300K'");
    }
    home.ctl(["start"].into_iter().chain(names.iter().map(String::as_str))).ok();
    fs::write(home.root().join("go"), "").unwrap();
    let expected: Vec<u8> = (1..=200_000).flat_map(|number| format!("{number:09}\n").into_bytes()).collect();
    for name in &names {
        let app = home.app(name);
        let log = log_of(&app, name);
        wait_until("the last line has come", Duration::from_secs(50), || match app.read(&format!("logs/{name}.log")) {
            end if end.ends_with("000200000\n") => Ok(()),
            other => Err(other.lines().last().unwrap_or_default().to_owned()),
        });
        assert!(everything(&log) == expected, "{name} has other lines");
        assert_cut_well(&log, 300 << 10);
    }
    home.ctl(["stop-all"]).ok();
}

/// 64 MB, or with DAEMONCTL_E2E_LONG=1 1 GB, which takes twice as much of the disk.
#[test]
fn random_bytes_are_kept_with_little_memory() {
    let long = std::env::var_os("DAEMONCTL_E2E_LONG").is_some();
    let (size, within) = if long { (1_000_000_000, SOON * 20) } else { (64_000_000, Duration::from_secs(50)) };
    let home = Home::new();
    let app = home.app("web").conf("logging.max_size = '1M'");
    let app = app.run_script(&format!(
        "head -c {size} /dev/urandom > data; touch ready; while ! test -e go; do sleep 0.02; done\n\
         cat data; touch done; exec sleep 1000"
    ));
    home.ctl(["start", "web"]).ok();
    wait_until("it has its bytes", within, || app.path("ready").exists().then_some(()).ok_or("not yet".to_owned()));
    let (supervisor, _) = home.pair("web");
    let before = peak(supervisor.pid);
    let app = app.file("go", "");
    let log = log_of(&app, "web");
    wait_until("all is there", within, || {
        let files = archives(&log).into_iter().chain([log.clone()]);
        match files.filter_map(|file| Some(file.metadata().ok()?.len())).sum::<u64>() {
            all if all >= size => Ok(()),
            all => Err(format!("{all} of {size} bytes")),
        }
    });
    let mut written = fs::File::open(app.path("data")).unwrap();
    for file in archives(&log).into_iter().chain([log]) {
        let kept = fs::read(&file).unwrap();
        let mut expected = vec![0; kept.len()];
        written.read_exact(&mut expected).unwrap();
        assert!(kept == expected, "other bytes than were written in {}", file.display());
    }
    let growth = peak(supervisor.pid) - before;
    assert!(growth < 16 << 10, "{growth} KiB");
    home.ctl(["stop", "web"]).ok();
}

/// What an app that may write to its log directory, and nothing else, leads root to.
#[test]
fn links_that_an_app_plants_lead_root_to_no_other_file() {
    if !is_root("another user") {
        return;
    }
    let home = Home::new();
    fs::set_permissions(home.base(), fs::Permissions::from_mode(0o755)).unwrap();
    let app = home.app("web").run_script("while ! [ -e logs/go ]; do sleep 0.05; done; echo more; exec sleep 1000");
    app.conf("[security]\nuser = 'nobody'\n[logging]\nmax_size = 2000\nmax_count = 1");
    fs::create_dir(app.path("logs")).unwrap();
    std::os::unix::fs::chown(app.path("logs"), Some(65534), Some(65534)).unwrap();
    let treasure = home.base().join("treasure");
    let gold = "gold\n".repeat(1000);
    fs::write(&treasure, &gold).unwrap();
    home.ctl(["start", "web"]).ok();
    // As the app could: all its logs are links to what is root's.
    for log in ["web.log", "web.err", "web.run"] {
        let log = app.path(&format!("logs/{log}"));
        let _ = fs::remove_file(&log);
        symlink(&treasure, &log).unwrap();
        lchown(&log, Some(65534), Some(65534)).unwrap();
    }
    app.file("logs/go", "");
    app.wait_for("a note", |status| {
        status.note.as_ref().is_some_and(|note| note.contains("it is a symlink that belongs"))
    });
    home.ctl(["kill", "web", "CONT"]).ok();
    home.ctl(["stop", "web"]).ok();
    assert!(fs::read_to_string(&treasure).unwrap() == gold, "nothing was added, and it is where it was");
    let names: Vec<_> = fs::read_dir(home.base()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().starts_with("treasure.")), "{names:?}");
}

#[test]
fn an_archive_with_the_last_name_holds_up_nobody() {
    let home = Home::new();
    let app = home.app("web").behaves("lines 0 200").conf("[logging]\nmax_size = 2000\nfile = 'events'");
    app.file("logs/web.log.9999-12-31-235959.4294967295", "planted\n");
    let other = home.app("other").behaves("lines 0 200");
    home.ctl(["start", "web", "other"]).ok();
    app.wait_for_text("events", "cannot rotate ");
    let now = other.log().len();
    wait_until("the other app is not held up", SOON, || match other.log().len() {
        more if more > now + 1000 => Ok(()),
        same => Err(format!("{same} bytes")),
    });
    home.ctl(["stop", "web", "other"]).ok();
    assert_no_line_lost(&app.log());
}

#[test]
fn a_stream_that_cannot_be_waited_for_is_tried_again() {
    let home = Home::new();
    let app = home.app("web").run_script(
        "n=0; until test -e enough; do n=$((n + 1)); echo \"line $n\"; sleep 0.005; done; echo end; exec sleep 60",
    );
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("line 50\n");
    let (supervisor, _) = home.pair("web");
    // Each wait takes a descriptor, of which there may be none for a while.
    let log = home.base().join("strace");
    let mut strace = inject(supervisor.pid, "fcntl", "error=EMFILE:when=1..3", &log);
    wait_until("three of them have failed", SOON, || match std::fs::read_to_string(&log).unwrap_or_default() {
        log if log.matches("INJECTED").count() == 3 => Ok(()),
        log => Err(log),
    });
    app.file("enough", "");
    app.wait_for_output("end\n");
    kill(strace.id() as i32, Signal::SIGINT);
    strace.wait().unwrap();
}

#[test]
fn output_may_not_go_where_the_events_are() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").conf("logging.stdout_file = 'logs/web.run'");
    home.ctl(["start", "web"]).exits(2).explains("it could forge them");
    home.ctl(["config", "check", "web"]).exits(2).says("it could forge them");
    app.conf("[logging]\nstdout_file = '/dev/null'\nstderr_file = '/dev/null'\nfile = '/dev/null'");
    home.ctl(["start", "web"]).ok();
}
