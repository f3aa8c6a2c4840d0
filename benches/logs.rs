//! What it costs to bring output to a file: this collector against `cat`, and against s6-log and svlogd where they are
//! installed (Debian's packages s6 and runit).
//!
//! `cargo bench --bench logs` runs every story with every collector, in turn, several times, and prints medians: how
//! fast the writer could write, how much CPU time the collector took, and the ratio of both to `cat` in the same run.
//! Only ratios mean something: the numbers depend on the machine and on what else it does.
//!
//! A collector is a process of its own that reads its standard input; ours is the log thread with the real actor and
//! tap (this program with `--collect`).
#![allow(missing_docs)] // criterion's macros are not used; `main` is all there is.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use daemonctl::logs::rotate::Rules;
use daemonctl::logs::tap::{self, Target};
use daemonctl_actors::log_collector::{Attach, LogCollector, Stream};

/// The limit of a file and the number of archives, for all who rotate.
const MAX_SIZE: u64 = 10 << 20;
const MAX_COUNT: u32 = 10;

/// One way to write output.
struct Story {
    name: &'static str,
    writers: usize,
    /// Bytes of each writer.
    total: usize,
    /// Bytes of one write(2).
    unit: usize,
    /// Bytes a second of each writer; as many as there can be, if 0.
    rate: usize,
}

/// All of them. `PACED_MIB=40` lets the third, which takes ten seconds a run, write less.
fn stories() -> [Story; 4] {
    let paced = std::env::var("PACED_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    [
        Story { name: "1 GiB in writes of 64 KiB", writers: 1, total: 1 << 30, unit: 64 << 10, rate: 0 },
        Story { name: "200 MiB, a write a line", writers: 1, total: 200 << 20, unit: 100, rate: 0 },
        Story { name: "the same at 20 MB/s", writers: 1, total: paced << 20, unit: 100, rate: 20_000_000 },
        Story { name: "50 apps, 2,000 lines/s each", writers: 50, total: 1_000_000, unit: 100, rate: 200_000 },
    ]
}

/// Who collects.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    Cat,
    Daemonctl,
    S6Log,
    Svlogd,
    /// The writer itself, to a file: what a pipe is measured against.
    Nobody,
}

struct Measured {
    wall: f64,
    cpu: f64,
    /// CPU time of writers and collectors.
    all: f64,
    /// The worst delay of a writer that keeps to a rate.
    late: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--collect", dir, count] => collect(Path::new(dir), count.parse().expect("a number")),
        ["--write", total, unit, rate] => {
            let number = |text: &str| text.parse().expect("a number");
            write(number(total), number(unit), number(rate));
        }
        _ => compare(),
    }
}

fn compare() {
    let rounds = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let installed =
        |name: &str| Command::new("which").arg(name).stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    let mut collectors = vec![("cat", Who::Cat), ("daemonctl", Who::Daemonctl)];
    collectors.push(("no pipe", Who::Nobody));
    collectors.extend(installed("s6-log").then_some(("s6-log", Who::S6Log)));
    collectors.extend(installed("svlogd").then_some(("svlogd", Who::Svlogd)));
    // `STORY=2` is only the second one.
    let only: Option<usize> = std::env::var("STORY").ok().and_then(|text| text.parse().ok());
    let told = stories().into_iter().enumerate().filter(|(at, _)| only.is_none_or(|only| at + 1 == only));
    for (_, story) in told {
        let mut runs: Vec<Vec<Measured>> = collectors.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for ((_, who), runs) in collectors.iter().zip(&mut runs) {
                runs.push(run(&story, *who));
            }
        }
        println!("{} (medians of {rounds})", story.name);
        let of = |runs: &[Measured], what: fn(&Measured) -> f64| median(runs.iter().map(what).collect());
        let (cat_wall, cat_cpu) = (of(&runs[0], |run| run.wall), of(&runs[0], |run| run.cpu));
        for ((name, _), runs) in collectors.iter().zip(&runs) {
            let (wall, cpu) = (of(runs, |run| run.wall), of(runs, |run| run.cpu));
            let bytes = (story.total * story.writers) as f64;
            println!(
                "  {name:<10} {:7.0} MB/s ({:4.2} of cat)  CPU {:6.3} s/GiB, {:5.2} µs/line ({:5.2} of cat), \
                 with the writer {:6.3}  late {:4.0} ms",
                bytes / wall / 1e6,
                cat_wall / wall,
                cpu / bytes * (1u64 << 30) as f64,
                cpu / bytes * 100.0 * 1e6,
                cpu / cat_cpu,
                of(runs, |run| run.all) / bytes * (1u64 << 30) as f64,
                of(runs, |run| run.late) * 1e3,
            );
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs a story with one collector, or one for each writer where a process collects for one only.
fn run(story: &Story, who: Who) -> Measured {
    let home = tempfile::tempdir_in(std::env::var_os("BENCH_DIR").unwrap_or("/tmp".into())).expect("a directory");
    let pipes: Vec<(OwnedFd, OwnedFd)> = (0..story.writers)
        .map(|_| rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe"))
        .collect();
    let (readers, mut inputs): (Vec<OwnedFd>, Vec<OwnedFd>) = pipes.into_iter().unzip();
    let (begun, before) = (Instant::now(), children_cpu());
    let collectors = match who {
        Who::Nobody => {
            let file =
                |number: usize| OwnedFd::from(File::create(home.path().join(number.to_string())).expect("a file"));
            inputs = (0..story.writers).map(file).collect();
            Vec::new()
        }
        _ => begin(who, home.path(), readers),
    };
    let itself = std::env::current_exe().expect("this program");
    let writers: Vec<Child> = inputs
        .into_iter()
        .map(|input| {
            let arguments = [story.total, story.unit, story.rate].map(|number| number.to_string());
            let mut command = Command::new(&itself);
            command.arg("--write").args(arguments).stdout(input).stderr(Stdio::piped()).spawn().expect("a writer")
        })
        .collect();
    let mut late = 0f64;
    for mut writer in writers {
        let mut told = String::new();
        writer.stderr.take().expect("its word").read_to_string(&mut told).expect("its word");
        late = late.max(told.trim().parse().unwrap_or_else(|_| panic!("a writer failed: {told}")));
        assert!(writer.wait().expect("its end").success());
    }
    let cpu = collectors.into_iter().map(end).sum();
    Measured { wall: begun.elapsed().as_secs_f64(), cpu, all: children_cpu() - before, late }
}

/// Starts what collects from these pipes.
fn begin(who: Who, dir: &Path, readers: Vec<OwnedFd>) -> Vec<Child> {
    let size = MAX_SIZE.to_string();
    if who == Who::Daemonctl {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg("--collect").arg(dir).arg(readers.len().to_string());
        // It gets its pipes through its standard input: descriptors do not travel in arguments.
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a socket");
        let child = command.stdin(OwnedFd::from(theirs)).spawn().expect("a collector");
        for reader in readers {
            send(&ours, &reader);
        }
        return vec![child];
    }
    let one = |(number, reader): (usize, OwnedFd)| {
        let place = dir.join(number.to_string());
        let mut command = match who {
            Who::Cat => Command::new("cat"),
            Who::S6Log => Command::new("s6-log"),
            Who::Svlogd | Who::Daemonctl | Who::Nobody => Command::new("svlogd"),
        };
        match who {
            Who::Cat => drop(command.stdout(File::create(&place).expect("a file"))),
            Who::S6Log => drop(command.arg(format!("s{size}")).arg(format!("n{MAX_COUNT}")).arg(&place)),
            Who::Svlogd | Who::Daemonctl | Who::Nobody => {
                std::fs::create_dir(&place).expect("a directory");
                std::fs::write(place.join("config"), format!("s{size}\nn{MAX_COUNT}\n")).expect("its configuration");
                command.arg(&place);
            }
        }
        command.stdin(reader).stderr(Stdio::null()).spawn().expect("a collector")
    };
    readers.into_iter().enumerate().map(one).collect()
}

fn send(socket: &std::os::unix::net::UnixStream, fd: &OwnedFd) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let fds = [fd.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    sendmsg(socket, &[std::io::IoSlice::new(b"x")], &mut control, SendFlags::empty()).expect("a descriptor sent");
}

fn receive(socket: impl AsFd) -> OwnedFd {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [std::io::IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)
        .expect("a descriptor");
    let received = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    received.expect("a descriptor")
}

/// Waits for the end of a collector; returns the CPU time that it took.
fn end(child: Child) -> f64 {
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    // Its times can be read as long as it has not been reaped.
    let flags = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
    nix::sys::wait::waitid(nix::sys::wait::Id::Pid(pid), flags).expect("its end");
    let before = children_cpu();
    nix::sys::wait::waitpid(pid, None).expect("its end");
    children_cpu() - before
}

/// The CPU time of all children that have been reaped.
fn children_cpu() -> f64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).expect("usage");
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// Is our collector, until all streams have ended.
fn collect(dir: &Path, count: usize) {
    actix::System::new().block_on(async {
        let collector = actix::Actor::start(LogCollector::new(|| ()));
        let rules = Rules { max_size: Some(MAX_SIZE), max_count: Some(MAX_COUNT.into()), ..Rules::default() };
        let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel::<()>();
        for number in 0..count {
            let pipe = receive(std::io::stdin());
            // Dropped with its tap, when the stream has ended.
            let ended = ended.clone();
            let target = Target {
                path: dir.join(number.to_string()).join("app.log"),
                home: dir.to_owned(),
                rules,
                mirrors: Vec::new(),
                tell: Box::new(move |news| panic!("{news:?} {}", ended.is_closed())),
            };
            let app = format!("app{number}").parse().expect("a name");
            let make = Box::new(move || tap::open(pipe, target));
            collector.send(Attach { app, stream: Stream::Out, make }).await.expect("the collector");
        }
        drop(ended);
        let _ = ends.recv().await;
    });
}

/// Is an app: writes, and tells how late it was at worst.
fn write(total: usize, unit: usize, rate: usize) {
    let line: Vec<u8> = (0..100).map(|at| if at == 99 { b'\n' } else { b'a' + (at % 26) as u8 }).collect();
    let piece: Vec<u8> = line.iter().copied().cycle().take(unit / 100 * 100 + 100 * usize::from(unit < 100)).collect();
    let mut out = std::io::stdout().lock();
    let mut raw = File::from(out.as_fd().try_clone_to_owned().expect("standard output"));
    out.flush().expect("nothing to flush");
    let begun = Instant::now();
    let (mut written, mut late) = (0, Duration::ZERO);
    while written < total {
        if rate > 0 {
            // In bursts of a millisecond's worth, as programs that log a lot do.
            let due = Duration::from_secs_f64(written as f64 / rate as f64);
            let now = begun.elapsed();
            late = late.max(now.saturating_sub(due));
            if due > now + Duration::from_millis(1) {
                rest(due - now);
            }
        }
        raw.write_all(&piece).expect("a reader");
        written += piece.len();
    }
    eprintln!("{}", late.as_secs_f64());
}

#[allow(clippy::disallowed_methods)] // A writer that keeps to a rate sleeps by its nature.
fn rest(time: Duration) {
    std::thread::sleep(time);
}
