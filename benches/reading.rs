//! How long `daemonctl logs` takes on a log that is much larger than what is shown of it.
//!
//! `cargo bench --bench reading` makes a log of `GIB` gibibytes (a quarter of one, if that is not set) in `BENCH_DIR`
//! (/tmp), three tenths of it in archives, each with its index, and asks the real binary for parts of it: once first,
//! then `ROUNDS` times more, of which the median is told. The log is ten kilobytes a second, so that the last five
//! minutes of it are three megabytes; the last line came when the log was made.
#![allow(missing_docs)] // criterion's macros are not used; `main` is all there is.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use daemonctl::logs::archives::{self, Stamp};
use daemonctl::logs::times::Writer;

/// So many bytes come at once,
const BATCH: u64 = 1000;

/// so many microseconds after those before.
const PERIOD: u64 = 100_000;

/// The parts of the log, in tenths: archives, and the current file.
const PARTS: [u64; 4] = [1, 1, 1, 7];

/// What is looked for, and found six times in a gibibyte.
const RARE: &str = "zebra";

fn number(name: &str, otherwise: f64) -> f64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn main() {
    let total = (number("GIB", 0.25) * (1u64 << 30) as f64) as u64;
    let rounds = number("ROUNDS", 9.0) as usize;
    let home = tempfile::tempdir_in(std::env::var_os("BENCH_DIR").unwrap_or("/tmp".into())).expect("a directory");
    let begun = Instant::now();
    make(home.path(), total);
    println!("{:.2} GB in {} files, made in {:.0} s", total as f64 / 1e9, PARTS.len(), begun.elapsed().as_secs_f64());
    let all: [&[&str]; 10] = [
        &["--help"],
        &["-n", "50"],
        &["--since", "5m"],
        &["--since", "5m", "-t"],
        &["--head", "50"],
        &["-n", "50", "--grep", RARE],
        &["-n", "all", "--grep", RARE],
        &["-n", "all", "--grep", "(?i)ZEBRA|unicorn"],
        &["-n", "50", "--level", "error"],
        &["-n", "all", "--level", "error"],
    ];
    for args in all {
        let mut times: Vec<(f64, u64)> = (0..=rounds).map(|_| run(home.path(), args)).collect();
        let (first, bytes) = times.remove(0);
        tell(&args.join(" "), first, &mut times.iter().map(|(time, _)| *time).collect::<Vec<_>>(), bytes, total);
    }
    let mut times: Vec<f64> = (0..=rounds).map(|_| follow(home.path())).collect();
    let first = times.remove(0);
    tell("-n 50 -f, until they are shown", first, &mut times, 0, total);
}

fn tell(what: &str, first: f64, times: &mut [f64], bytes: u64, total: u64) {
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or(first);
    println!(
        "  logs {what:<32} first {:8.1} ms, then {:8.1} ms ({:8.0} MB/s), {bytes} bytes shown",
        first * 1e3,
        median * 1e3,
        total as f64 / median / 1e6,
    );
}

fn command(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daemonctl"));
    command
        .args(["logs", "--stdout"])
        .args(args)
        .arg("web")
        .env("DAEMONCTL_PATH", home.join("apps"))
        .env("DAEMONCTL_RUNTIME_DIR", home.join("runtime"))
        .stdin(Stdio::null());
    command
}

/// Asks for some lines; returns how long it took to have them all, and how much that was.
fn run(home: &Path, args: &[&str]) -> (f64, u64) {
    let begun = Instant::now();
    let mut child = command(home, args).stdout(Stdio::piped()).spawn().expect("daemonctl");
    let mut out = child.stdout.take().expect("its output");
    let bytes = std::io::copy(&mut out, &mut std::io::sink()).expect("its output");
    let took = begun.elapsed().as_secs_f64();
    assert!(child.wait().expect("its end").success());
    assert!(bytes > 0, "{args:?} shows nothing");
    (took, bytes)
}

/// Follows the log; returns how long it took until what there was had been shown.
fn follow(home: &Path) -> f64 {
    let begun = Instant::now();
    let mut child = command(home, &["-n", "50", "-f"]).stdout(Stdio::piped()).spawn().expect("daemonctl");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    assert!((0..50).all(|_| lines.next().is_some_and(|line| line.is_ok())), "it ends before it has shown 50 lines");
    let took = begun.elapsed().as_secs_f64();
    child.kill().expect("it runs");
    child.wait().expect("its end");
    took
}

/// Makes the log, its archives, and their indices.
fn make(home: &Path, total: u64) {
    let logs = home.join("apps/web/logs");
    std::fs::create_dir_all(&logs).expect("a directory");
    let script = home.join("apps/web/run");
    std::fs::write(&script, "#!/bin/sh\nexec sleep 1000\n").expect("a script");
    let log = logs.join("web.log");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_micros() as u64;
    let mut lines = Lines { number: 0, time: now - total / BATCH * PERIOD };
    for (at, tenths) in PARTS.iter().enumerate() {
        let current = at + 1 == PARTS.len();
        write(&log, total / 10 * tenths, &mut lines);
        if !current {
            let archive = archives::path(&log, Stamp { seconds: lines.time / 1_000_000, number: 0 });
            for suffix in ["", ".times"] {
                let named = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
                std::fs::rename(named(&log), named(&archive)).expect("a rotation");
            }
        }
    }
}

/// Where the lines have got to.
struct Lines {
    number: u64,
    time: u64,
}

fn write(path: &Path, size: u64, lines: &mut Lines) {
    let file = File::create(path).expect("a log");
    let mut index = Writer::open(path, file.metadata().expect("its inode").ino(), 0).expect("an index");
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let (mut at, mut due) = (0, 0);
    while at < size {
        if at >= due {
            index.note(at, lines.time).expect("an index");
            lines.time += PERIOD;
            due += BATCH;
        }
        let line = lines.next();
        out.write_all(line.as_bytes()).expect("a disk");
        at += line.len() as u64;
    }
    out.flush().expect("a disk");
}

impl Lines {
    /// What an app might write: every hundredth line is a warning, every ten thousandth an error.
    fn next(&mut self) -> String {
        self.number += 1;
        let number = self.number;
        let time = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_micros(self.time));
        let level = match number {
            _ if number.is_multiple_of(10_000) => "ERROR",
            _ if number.is_multiple_of(100) => "WARN ",
            _ => "INFO ",
        };
        let animal = if number % 1_900_000 == 7 { RARE } else { "horse" };
        format!(
            "{time} {level} web: request {number:09} of a {animal} took {} ms, told to 10.0.0.{}\n",
            number % 977,
            number % 251
        )
    }
}
