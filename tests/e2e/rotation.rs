//! Logs are rotated, disks run full, files vanish: not a line is lost that could be written, and none is cut.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;

use crate::support::{
    AppDir, Foreground, Home, SOON, Status, archives, assert_no_line_lost, everything, is_root, kill, kill_in,
    wait_until,
};

pub(super) fn log_of(app: &AppDir<'_>, name: &str) -> PathBuf {
    app.path(&format!("logs/{name}.log"))
}

/// Each file is within the limit and ends with a line.
#[track_caller]
pub(super) fn assert_cut_well(log: &Path, limit: u64) {
    for file in archives(log) {
        let content = fs::read(&file).unwrap();
        assert!(content.len() as u64 <= limit, "{} has {} bytes", file.display(), content.len());
        assert_eq!(content.last(), Some(&b'\n'), "{} does not end with a line", file.display());
    }
}

/// An app that prints numbered lines, 40,000 in a round, in eight bursts with a pause after each; a round begins when there
/// is a file `go0`, `go1` and so on. After the last one it makes the file `done`.
pub(super) fn numbered(rounds: u32) -> String {
    format!(
        "echo 000000000; i=0; round=0\n\
         while [ $round -lt {rounds} ]; do\n\
         while ! test -e go$round; do sleep 0.02; done\n\
         for burst in 1 2 3 4 5 6 7 8; do\n\
         seq -f %09.0f $((i * 5000 + 1)) $((i * 5000 + 5000)); sleep 0.05; i=$((i + 1)); done\n\
         round=$((round + 1)); done\n\
         touch done; exec sleep 1000"
    )
}

/// The app with two who follow it, one of whom is stuck after the first line; its first round may begin.
pub(super) fn watched(home: &Home, app: &AppDir<'_>) -> (Foreground, Foreground) {
    home.ctl(["start", "web"]).ok();
    let [follower, stuck] = [(); 2].map(|()| home.spawn(["logs", "-f", "--stdout", "web"]));
    for watcher in [&follower, &stuck] {
        watcher.wait_for_output("000000000\n");
    }
    stuck.signal(Signal::SIGSTOP);
    app.file("go0", "");
    (follower, stuck)
}

#[test]
fn a_million_lines_survive_200_rotations_20_crashes_and_those_who_watch() {
    let home = Home::new();
    let app = home.app("web");
    app.run_script(&numbered(25));
    app.conf("logging.max_size = 50000");
    let (follower, stuck) = watched(&home, &app);
    for crash in 1..=20 {
        let (supervisor, _) = home.pair("web");
        let log = log_of(&app, "web");
        let rotated = archives(&log).len();
        kill(supervisor.pid, Signal::SIGKILL);
        // Each crash has a round of its own, of which it hits the first bursts: the next crash comes after three.
        app.file(&format!("go{crash}"), "");
        wait_until("another one writes on", SOON, || match archives(&log).len() {
            more if more > rotated + 2 => Ok(()),
            same => Err(format!("{same} archives")),
        });
    }
    for round in 21..25 {
        app.file(&format!("go{round}"), "");
    }
    let log = log_of(&app, "web");
    wait_until("the last line has come", Duration::from_secs(50), || match app.read("logs/web.log") {
        end if end.ends_with("001000000\n") => Ok(()),
        other => Err(other.lines().last().unwrap_or_default().to_owned()),
    });
    stuck.signal(Signal::SIGCONT);
    let all = everything(&log);
    let mut expected = Vec::with_capacity(all.len());
    for number in 0..=1_000_000 {
        expected.extend(format!("{number:09}\n").into_bytes());
    }
    let wrong = all.iter().zip(&expected).position(|(is, should)| is != should);
    assert!(all == expected, "{} bytes of {}, wrong from {wrong:?}", all.len(), expected.len());
    assert!(archives(&log).len() >= 200, "{} archives", archives(&log).len());
    assert_cut_well(&log, 50_000);
    // Those who watched have seen it all, in order, also the one who was held up from the first line to the last.
    for watcher in [follower, stuck] {
        wait_until("it has seen the last line", Duration::from_secs(50), || match watcher.stdout() {
            seen if seen.ends_with("001000000\n") => Ok(()),
            seen => Err(format!("{} bytes, {:?}", seen.len(), seen.lines().last())),
        });
        watcher.ctrl_c();
        let seen = watcher.wait().ok().stdout.into_bytes();
        let wrong = seen.iter().zip(&expected).position(|(is, should)| is != should);
        assert!(seen == expected, "{} bytes of {}, wrong from {wrong:?}", seen.len(), expected.len());
    }
    // Their times have gone with them.
    let timed = archives(&log).iter().filter(|file| Path::new(&format!("{}.times", file.display())).exists()).count();
    assert_eq!(timed, archives(&log).len());
}

#[test]
fn a_log_behind_a_link_is_read_with_its_archives_and_their_times() {
    let home = Home::new();
    let app = home.app("web").run_script("seq -f %09.0f 1 5000; exec sleep 1000").conf("logging.max_size = 10000");
    for dir in ["logs", "disk"] {
        fs::create_dir_all(app.path(dir)).unwrap();
    }
    std::os::unix::fs::symlink("../disk/out", log_of(&app, "web")).unwrap();
    let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("000005000\n");
    assert_eq!(archives(&log_of(&app, "web")), [] as [PathBuf; 0], "nothing lies beside the link");
    assert!(archives(&app.path("disk/out")).len() >= 4);
    let expected: String = (1..=5000).map(|number| format!("{number:09}\n")).collect();
    assert_eq!(home.ctl(["logs", "--stdout", "-n", "all", "web"]).ok().stdout, expected);
    let since = format!("@{before}");
    let timed = home.ctl(["logs", "--stdout", "-t", "--since", &since, "web"]).ok();
    assert_eq!(timed.stderr, "", "the times are known");
    let (times, lines): (Vec<&str>, Vec<&str>) =
        timed.stdout.lines().map(|line| line.split_once(' ').expect("a time and a line")).unzip();
    assert_eq!(lines.join("\n"), expected.trim_end());
    assert!(times.iter().all(|time| time.starts_with("20")) && times.is_sorted());
}

#[test]
fn a_rotation_that_is_killed_at_any_system_call_loses_and_doubles_nothing() {
    let home = Home::new();
    let app = home.app("web").behaves("lines 0 50").conf("logging.max_size = 20000");
    home.ctl(["start", "web"]).ok();
    let log = log_of(&app, "web");
    for (number, call) in
        ["renameat2", "rename", "rename", "openat", "openat", "splice", "splice", "tee", "pwrite64"].iter().enumerate()
    {
        let (supervisor, _) = home.pair("web");
        let rotated = archives(&log).len();
        // The calls of a rotation are the only ones of their kind on the log thread, but for the moves themselves.
        kill_in(supervisor.pid, call, 1 + number % 3);
        wait_until("another one writes on", SOON, || match archives(&log).len() {
            more if more > rotated + 1 => Ok(()),
            same => Err(format!("{same} archives")),
        });
    }
    home.ctl(["stop", "web"]).ok();
    assert_no_line_lost(&String::from_utf8(everything(&log)).unwrap());
    assert_cut_well(&log, 20_000);
}

#[test]
fn pruning_keeps_the_newest_and_spares_what_is_not_ours() {
    let home = Home::new();
    let app = home.app("web").run_script("touch \"$0.started\"; seq 1 20000; exec sleep 1000");
    app.conf("[logging]\nmax_size = '4K'\nmax_count = 3\nmax_age = '30d'");
    let foreign = ["web.log.keep", "web.log.1", "web.log.2020-01-01", "web.log.2020-01-01-000000.bak", "other"];
    for name in foreign {
        app.file(&format!("logs/{name}"), "mine");
    }
    for name in ["web.log.2020-01-01-000000", "web.log.2020-01-01-000000.times", "web.err.2020-01-01-000000.gz"] {
        app.file(&format!("logs/{name}"), "old");
    }
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("\n20000\n");
    let log = log_of(&app, "web");
    wait_until("three are kept", SOON, || match archives(&log).len() {
        3 if !app.path("logs/web.err.2020-01-01-000000.gz").exists() => Ok(()),
        other => Err(format!("{other} archives")),
    });
    assert_cut_well(&log, 4096);
    let kept = String::from_utf8(everything(&log)).unwrap();
    let numbers: Vec<u32> = kept.lines().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "the last ones, in order");
    for name in foreign {
        assert_eq!(app.read(&format!("logs/{name}")), "mine", "{name}");
    }
    assert!(!app.path("logs/web.err.2020-01-01-000000.gz").exists(), "too old, though its log is quiet");
    assert!(!app.path("logs/web.log.2020-01-01-000000.times").exists());
}

/// A file that even root cannot remove, for as long as this lives.
struct Immutable(PathBuf);

impl Immutable {
    /// Nothing where the file system knows no such files.
    fn new(path: &Path) -> Option<Self> {
        let set = Command::new("chattr").arg("+i").arg(path).stderr(Stdio::null()).status().expect("chattr");
        set.success().then(|| Self(path.to_owned()))
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg("-i").arg(&self.0).status();
    }
}

#[test]
fn an_archive_that_cannot_be_removed_keeps_no_other_and_is_told_of() {
    if !is_root("a file that cannot be removed") {
        return;
    }
    let home = Home::new();
    let app = home.app("web").behaves("lines 0 200").conf("[logging]\nmax_size = 2000\nmax_count = 3\nfile = 'events'");
    let evidence = app.path("logs/web.log.2020-01-01-000000");
    app.file("logs/web.log.2020-01-01-000000", "evidence\n");
    let Some(kept) = Immutable::new(&evidence) else {
        eprintln!("SKIPPED: no immutable files here");
        return;
    };
    home.ctl(["start", "web"]).ok();
    let note = |status: &Status| status.note.clone().unwrap_or_default();
    let status = app.wait_for("a note", |status| note(status).contains("cannot remove old archives of "));
    assert!(note(&status).contains(&format!("{}: operation not permitted", evidence.display())), "{status:?}");
    let log = log_of(&app, "web");
    wait_until("the others go", SOON, || match archives(&log) {
        few if few.len() > 3 && few.len() < 7 && few[0] == evidence => Ok(()),
        many => Err(format!("{many:?}")),
    });
    assert_eq!(app.read("events").matches("cannot remove old archives").count(), 1);
    drop(kept);
    home.ctl(["restart", "web"]).ok();
    wait_until("it goes as well", SOON, || if evidence.exists() { Err("not yet".into()) } else { Ok(()) });
    app.wait_for("well", |status| status.note.is_none());
    home.ctl(["stop", "web"]).ok();
}

#[test]
fn an_archive_goes_when_it_is_too_old_though_its_app_is_quiet() {
    let home = Home::new();
    let app = home.app("web").run_script("echo one; echo two; exec sleep 1000");
    app.conf("[logging]\nmax_size = 4\nmax_age = '2s'");
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("two");
    let log = log_of(&app, "web");
    wait_until("the archive is gone", SOON, || match archives(&log) {
        none if none.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });
    assert_eq!(app.log(), "two\n");
}

#[test]
fn the_event_log_is_rotated_too() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").conf("[logging]\nmax_size = 300\nmax_count = 2");
    for _ in 0..6 {
        home.ctl(["start", "web"]).ok();
        home.ctl(["stop", "web"]).ok();
    }
    let events = app.path("logs/web.run");
    assert_eq!(archives(&events).len(), 2);
    assert_cut_well(&events, 300);
}

#[test]
fn archives_of_events_are_pruned_when_an_app_starts() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").conf("logging.max_age = '30d'");
    for name in ["web.run.2020-01-01-000000", "web.run.2020-01-02-000000"] {
        app.file(&format!("logs/{name}"), "old\n");
    }
    let evidence = app.path("logs/web.run.2020-01-01-000000");
    let kept = Immutable::new(&evidence);
    let started = home.ctl(["start", "web"]).ok();
    assert!(!app.path("logs/web.run.2020-01-02-000000").exists());
    assert_eq!(evidence.exists(), kept.is_some());
    if kept.is_some() {
        started.explains(&format!("logs/web.run: {}: operation not permitted", evidence.display()));
    }
    home.ctl(["stop", "web"]).ok();
}

/// A small disk, for as long as this lives.
pub(super) struct Disk(PathBuf);

impl Disk {
    pub(super) fn new(at: &Path, size: &str) -> Self {
        fs::create_dir_all(at).unwrap();
        let disk = Self(at.to_owned());
        disk.mount(size, MsFlags::empty());
        disk
    }

    pub(super) fn grow(&self, size: &str) {
        self.mount(size, MsFlags::MS_REMOUNT);
    }

    pub(super) fn mount(&self, size: &str, flags: MsFlags) {
        let options = format!("size={size},mode=755");
        mount(Some("none"), &self.0, Some("tmpfs"), flags, Some(options.as_str())).expect("a tmpfs");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_costs_output_that_is_counted_and_nothing_else() {
    if !is_root("a small disk") {
        return;
    }
    let home = Home::new();
    let app = home.app("web").behaves("lines 0 20").conf("logging.file = 'events'");
    let disk = Disk::new(&app.path("logs"), "256k");
    let other = home.app("other").behaves("lines 0 1000");
    home.ctl(["start", "web", "other"]).ok();
    let status = app.wait_for("dropping", |status| status.note.as_ref().is_some_and(|note| note.contains("dropped")));
    assert!(status.note.unwrap().contains("no space left"), "says why");
    let now = other.log().len();
    wait_until("the other app is not held up", SOON, || match other.log().len() {
        more if more > now + 1000 => Ok(()),
        same => Err(format!("{same} bytes")),
    });
    let full = app.log().len();
    disk.grow("64m");
    let events = app.wait_for_text("events", " bytes of output were dropped between ");
    assert_eq!(events.matches("output is being dropped").count(), 1, "{events}");
    app.wait_for("well", |status| status.note.is_none());
    wait_until("it is written on", SOON, || match app.log().len() {
        more if more > full + 1000 => Ok(()),
        same => Err(format!("{same} bytes")),
    });
    home.ctl(["stop", "web", "other"]).ok();
    // What is missing is what was said to be.
    let log = app.log();
    let written: u64 = log.lines().last().unwrap().strip_prefix("end ").unwrap().parse().unwrap();
    let dropped: usize = app
        .read("events")
        .lines()
        .filter_map(|line| line.split_once(" bytes of output")?.0.split(' ').next_back()?.parse::<usize>().ok())
        .sum();
    let all = written as usize * "line 00000000\n".len() + format!("end {written}\n").len();
    assert_eq!(log.len() + dropped, all);
    // Where it is missing, there is a mark.
    let shown = home.ctl(["logs", "-n", "all", "web"]).ok().stdout;
    assert!(shown.contains(&format!("\n--- | {dropped} bytes of output were dropped between ")), "{shown}");
    drop(disk);
}

#[test]
fn a_full_disk_takes_its_own_oldest_archives_first() {
    if !is_root("a small disk") {
        return;
    }
    let home = Home::new();
    let app = home.app("web").run_script("seq -f %09.0f 1 200000; echo over; exec sleep 1000");
    app.conf("logging.file = 'events'\nlogging.max_size = '16K'");
    let disk = Disk::new(&app.path("logs"), "256k");
    app.file("logs/web.log.keep", "mine");
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("over");
    let log = log_of(&app, "web");
    let kept = String::from_utf8(everything(&log)).unwrap();
    let numbers: Vec<u32> = kept.lines().filter_map(|line| line.parse().ok()).collect();
    assert!(numbers.len() > 5_000 && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "the newest, in order");
    assert_eq!(numbers.last(), Some(&200_000));
    assert_eq!(app.read("logs/web.log.keep"), "mine");
    home.ctl(["stop", "web"]).ok();
    // What went is told, the first at once and the rest in sums.
    let events = app.read("events");
    assert!(!events.contains("dropped"), "{events}");
    assert!(events.contains("/logs/web.log: removed the oldest archive (16"), "{events}");
    let told: Vec<&str> = events.lines().filter(|line| line.contains(" warn  no room for ")).collect();
    assert!(told.len() < 5, "{events}");
    let bytes = |line: &&str| line.split_once('(')?.1.split_once(" bytes)")?.0.parse::<usize>().ok();
    assert_eq!(told.iter().filter_map(bytes).sum::<usize>() + kept.len(), 200_000 * 10 + "over\n".len(), "{events}");
    drop(disk);
}

#[test]
fn a_flood_holds_up_nobody() {
    let home = Home::new();
    let floods = ["flood1", "flood2", "flood3"];
    for name in floods {
        home.app(name).behaves("flood").conf("[logging]\nmax_size = '1M'\nmax_count = 1");
    }
    let calm = home.app("calm").behaves("lines 1000 1000");
    home.ctl(["start", "flood1", "flood2", "flood3", "calm"]).ok();
    for name in floods {
        let app = home.app(name);
        wait_until("it is rotated", SOON, || match archives(&log_of(&app, name)).len() {
            0 => Err("no archive".to_owned()),
            _ => Ok(()),
        });
    }
    // A thousand lines in a second: the last one is there soon after.
    calm.wait_for_output("end 1000\n");
    assert_no_line_lost(&calm.log());
    let status = calm.wait_for_state("exited");
    let after = status.last_exit.expect("a last exit").after;
    assert!(after < 10.0, "its writer was held up: it took {after} s");
    home.ctl(["stop-all"]).ok();
}

#[test]
fn a_log_directory_that_is_removed_under_load_comes_back() {
    let home = Home::new();
    let app = home.app("web").behaves("lines 0 200");
    home.ctl(["start", "web"]).ok();
    app.wait_for_output("line 00000100");
    let dir = app.path("logs");
    let mode = dir.metadata().unwrap().mode();
    fs::rename(&dir, app.path("old")).unwrap();
    app.wait_for_text("logs/web.log", "\n");
    assert_eq!(dir.metadata().unwrap().mode(), mode);
    // And a file that somebody cuts.
    fs::write(dir.join("web.log"), "").unwrap();
    app.wait_for_output("\n");
    home.ctl(["stop", "web"]).ok();
    assert!(!app.log().contains('\0'), "no hole where the old end was");
    let before = app.read("old/web.log");
    assert!(before.ends_with('\n') && app.log().starts_with("line "), "no line is cut");
}

#[test]
fn a_line_of_100_megabytes_and_any_byte_are_kept_with_little_memory() {
    let home = Home::new();
    let app = home.app("web");
    app.run_script(
        "while ! test -e go; do sleep 0.02; done\n\
         i=0; while [ $i -lt 256 ]; do printf \"\\\\$(printf %03o $i)\"; i=$((i + 1)); done\n\
         head -c 100000000 /dev/zero; printf '\\nover\\n'; exec sleep 1000",
    );
    app.conf("logging.max_size = '1M'");
    home.ctl(["start", "web"]).ok();
    let (supervisor, _) = home.pair("web");
    let before = peak(supervisor.pid);
    app.file("go", "");
    wait_until("it is all there", Duration::from_secs(30), || match app.log() {
        end if end.ends_with("over\n") => Ok(()),
        other => Err(format!("{} bytes", other.len())),
    });
    let all = everything(&log_of(&app, "web"));
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(all.len(), 256 + 100_000_000 + 6);
    assert!(all.starts_with(&bytes) && all[256..256 + 100_000_000].iter().all(|byte| *byte == 0));
    let growth = peak(supervisor.pid) - before;
    assert!(growth < 16 << 10, "{growth} KiB");
}

/// The most memory that a process has used, in KiB.
pub(super) fn peak(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}
