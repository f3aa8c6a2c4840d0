//! Output and events in the system log.
//!
//! Each story has a /dev of its own, in a mount namespace, in which /dev/log leads to a socket of the story: whatever
//! daemon this machine has hears nothing of it.

use std::io::Read;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;

use crate::support::{
    Home, SOON, assert_no_line_lost, binary, is_root, kill, poll, testapp, wait_until, wait_until_dead,
};

/// What makes the /dev: that of the machine with another /dev/log.
const DEV: &str = "\
set -e
mkdir -p \"$BASE/dev\"
mount --rbind /dev \"$BASE/dev\"
mount -t tmpfs -o mode=755 none /dev
for node in null zero full random urandom tty; do
    : > /dev/$node
    mount --bind \"$BASE/dev/$node\" /dev/$node
done
mkdir /dev/pts /dev/shm
ln -s /proc/self/fd /dev/fd
ln -s \"$BASE/log\" /dev/log
exec \"$@\"";

/// The supervisor that this command starts sees that /dev; commands that follow need not.
fn within(home: &Home, args: &[&str]) -> Command {
    let mut command =
        home.program(Path::new("unshare"), ["--mount", "--propagation", "private", "sh", "-c", DEV, "sh"]);
    command.arg(binary("daemonctl")).args(args).env("BASE", home.base());
    command
}

fn socket(home: &Home) -> PathBuf {
    home.base().join("log")
}

/// A daemon that only listens.
struct Daemon {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Daemon {
    fn at(home: &Home) -> Self {
        let path = socket(home);
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, path }
    }

    /// What has come since it was asked last.
    fn heard(&self) -> Vec<String> {
        let mut buffer = vec![0; 70_000];
        let mut heard = Vec::new();
        // None is empty; at the end of what was shut down, recv gives 0.
        while let Ok(length @ 1..) = self.socket.recv(&mut buffer) {
            heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        heard
    }

    /// It goes in order: nothing more comes in, and what had come is heard.
    fn leaves(self) -> Vec<String> {
        self.socket.shutdown(Shutdown::Read).unwrap();
        self.heard()
    }

    /// The same, after a moment for something to come. A socket keeps few messages: whoever sends many waits for who reads,
    /// and not for the next look.
    fn listens(&self) -> Vec<String> {
        let _ = nix::poll::poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], 100u16);
        self.heard()
    }

    /// Everything up to the first message with this text.
    #[track_caller]
    fn hears(&self, text: &str) -> Vec<String> {
        self.hears_all(&[text])
    }

    /// Everything until each of these texts has been in a message.
    #[track_caller]
    fn hears_all(&self, texts: &[&str]) -> Vec<String> {
        let (mut heard, mut missing) = (Vec::new(), texts.to_vec());
        wait_until(&format!("syslog is told {texts:?}"), SOON * 2, || {
            while !missing.is_empty() {
                let new = self.listens();
                if new.is_empty() {
                    break;
                }
                missing.retain(|text| !new.iter().any(|message| message.contains(text)));
                heard.extend(new);
            }
            let last = &heard[heard.len().saturating_sub(50)..];
            if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} not among\n{}", last.join("\n"))) }
        });
        heard
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A message without its time: `<30>web[12]: text`.
fn plain(message: &str) -> String {
    let (priority, rest) = message.split_once('>').unwrap();
    // Mmm dd hh:mm:ss
    assert!(rest.as_bytes()[3] == b' ' && rest.as_bytes()[9] == b':', "{message}");
    format!("{priority}>{}", &rest[16..])
}

#[test]
fn output_and_events_bear_tag_pid_facility_and_severity() {
    if !is_root("a /dev of one's own") {
        return;
    }
    let home = Home::new();
    let daemon = Daemon::at(&home);
    home.app("web").run_script(
        "echo out; echo err >&2; echo '<4>careful'; printf 'tab\\there\\033[0m\\n\\nhalf'; sleep 0.1; echo ' a line'; \
         echo last; exit 3",
    );
    home.app("web").script("on-stop", "echo bye");
    home.finish(within(&home, &["start", "web", "--syslog", "--group", "my web"])).ok();
    // Events take another way than output.
    let heard = daemon.hears_all(&["exited 3", ": last", ": err", ": on-stop: bye"]);
    let status = home.app("web").events();
    let pid = status.split("started, pid ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    let mut told: Vec<String> = heard.iter().map(|message| plain(message)).collect();
    assert!(told.iter().any(|message| message.contains("start asked by root")), "{told:?}");
    told.retain(|message| !message.contains("start asked by root"));
    told.sort();
    let mut expected = [
        format!("<28>my_web[{pid}]: careful"),
        format!("<27>my_web[{pid}]: err"),
        format!("<30>my_web[{pid}]: half a line"),
        format!("<30>my_web[{pid}]: last"),
        format!("<30>my_web[{pid}]: on-stop: bye"),
        format!("<30>my_web[{pid}]: out"),
        format!("<30>my_web[{pid}]: started, pid {pid}"),
        format!("<30>my_web[{pid}]: tab\there#033[0m"),
    ];
    expected.sort();
    let (exited, others): (Vec<_>, Vec<_>) = told.into_iter().partition(|message| message.contains("exited 3"));
    assert_eq!(others, expected);
    assert!(exited[0].starts_with(&format!("<28>my_web[{pid}]: exited 3 after")), "{exited:?}");
    // The files are what they always are.
    assert!(home.app("web").log().starts_with("out\n<4>careful\n"));
}

#[test]
fn a_daemon_that_listens_for_streams_is_told_the_same() {
    if !is_root("a /dev of one's own") {
        return;
    }
    let home = Home::new();
    let app = home
        .app("web")
        .run_script("echo out; echo err >&2; while ! test -e go; do sleep 0.02; done; echo again; exec sleep 1000");
    let listen = || {
        let listener = UnixListener::bind(socket(&home)).unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    };
    let accept = |listener: &UnixListener| {
        let connection = wait_until("syslog is called", SOON, || listener.accept().map_err(|error| error.to_string()));
        connection.0.set_nonblocking(true).unwrap();
        connection.0
    };
    // Messages end with NUL.
    let hears = |stream: &mut UnixStream, texts: &[&str]| {
        let mut bytes = Vec::new();
        wait_until(&format!("syslog is told {texts:?}"), SOON, || {
            let _ = stream.read_to_end(&mut bytes); // What there is; then it would wait.
            let heard = String::from_utf8_lossy(&bytes);
            let whole: Vec<String> = heard.split_terminator('\0').map(plain).collect();
            let has = |text: &&str| whole.iter().any(|message| message.ends_with(*text));
            if heard.ends_with('\0') && texts.iter().all(has) { Ok(whole) } else { Err(heard.into_owned()) }
        })
    };
    let listener = listen();
    home.finish(within(&home, &["start", "web", "--syslog"])).ok();
    let pid = app.status().main_pid();
    let mut stream = accept(&listener);
    let heard = hears(&mut stream, &[": out", ": err", &format!(": started, pid {pid}")]);
    for expected in [format!("<30>web[{pid}]: out"), format!("<27>web[{pid}]: err")] {
        assert_eq!(heard.iter().filter(|message| **message == expected).count(), 1, "{heard:?}");
    }
    // Another daemon comes in its place.
    drop((listener, stream));
    std::fs::remove_file(socket(&home)).unwrap();
    let listener = listen();
    app.file("go", "");
    hears(&mut accept(&listener), &[": again"]);
    home.ctl(["stop", "web"]).ok();
}

/// The numbers of `line N` among messages.
fn numbers(heard: &[String]) -> Vec<u64> {
    heard.iter().filter_map(|message| message.rsplit_once(": line ")?.1.parse().ok()).collect()
}

#[test]
fn a_daemon_that_is_restarted_misses_nothing() {
    if !is_root("a /dev of one's own") {
        return;
    }
    let home = Home::new();
    // First there is none.
    // It does not get ahead of the story: what the last supervisor is to send is written when there is one.
    let app = home.app("web").run_script(
        "n=0; while [ $n -lt 400 ]; do\n\
            n=$((n + 1)); echo \"line $n\"\n\
            if [ $n -eq 300 ]; then while ! [ -e go ]; do sleep 0.05; done; else sleep 0.005; fi\n\
         done; exec sleep 60",
    );
    home.finish(within(&home, &["start", "web", "--syslog"])).ok();
    app.wait_for_output("line 50\n");
    let daemon = Daemon::at(&home);
    let mut heard = daemon.hears(": line 100");
    heard.extend(daemon.leaves());
    app.wait_for_output("line 200\n");
    let daemon = Daemon::at(&home);
    heard.extend(daemon.hears(": line 250"));
    // When it has caught up, another supervisor goes on with it.
    let (supervisor, _) = home.pair("web");
    heard.extend(daemon.hears(": line 300"));
    kill(supervisor.pid, Signal::SIGKILL);
    app.file("go", "");
    heard.extend(daemon.hears(": line 400"));
    assert_eq!(numbers(&heard), (1..=400).collect::<Vec<_>>(), "each once, in order");
}

#[test]
fn a_daemon_that_does_not_read_holds_up_nobody_and_what_is_dropped_is_counted() {
    if !is_root("a /dev of one's own") {
        return;
    }
    let home = Home::new();
    let daemon = Daemon::at(&home);
    let app = home.app("web").run_script(&format!("{} lines 60000 0; exec sleep 60", testapp().display()));
    home.finish(within(&home, &["start", "web", "--syslog"])).ok();
    // It reads nothing, and the file is complete.
    app.wait_for_output("end 60000\n");
    assert_no_line_lost(&app.log());
    // The last of them may still be on their way to the queue, and be dropped once more.
    let (mut lines, mut dropped) = (0, 0);
    wait_until("each line has come or is counted", SOON * 2, || {
        while lines + dropped < 60_000 {
            let new = daemon.listens();
            let told =
                |message: &String| message.split("reached again; ").nth(1)?.split(' ').next()?.parse::<usize>().ok();
            dropped += new.iter().filter_map(told).sum::<usize>();
            lines += new.iter().filter(|message| message.contains(": line ")).count();
            if new.is_empty() {
                return Err(format!("{lines} came, {dropped} were dropped"));
            }
        }
        Ok(())
    });
    assert!(dropped > 0, "{lines} came");
    assert!(app.events().contains("messages for syslog are being dropped: too many wait"), "{}", app.events());
}

#[test]
fn what_was_dropped_is_counted_also_when_its_app_has_ended() {
    if !is_root("a /dev of one's own") {
        return;
    }
    let home = Home::new();
    let daemon = Daemon::at(&home);
    let app = home.app("web").run_script(&format!("exec {} lines 60000 0", testapp().display()));
    home.finish(within(&home, &["start", "web", "--syslog"])).ok();
    app.wait_for_text("logs/web.run", "exited 0 after ");
    let counted = |events: &str| -> u64 {
        let number = |line: &str, before: &str| line.split(before).next()?.split(' ').next_back()?.parse::<u64>().ok();
        let told = |line: &str| {
            let before = [" messages for it were dropped", " messages for syslog were not sent"];
            before.into_iter().find(|before| line.contains(before)).and_then(|before| number(line, before))
        };
        events.lines().filter_map(told).sum()
    };
    let mut lines = 0;
    wait_until("each line has come or is counted", SOON, || {
        lines += daemon.listens().iter().filter(|message| message.contains(": line ")).count() as u64;
        match lines + counted(&app.events()) {
            all if all >= 60_000 => Ok(()),
            all => Err(format!("{all} of 60000, {lines} came: {}", app.events())),
        }
    });
}

#[test]
fn what_could_not_be_sent_at_the_end_is_told() {
    if !is_root("a /dev of one's own") {
        return;
    }
    let home = Home::new();
    let app = home.app("web").run_script("echo hello; exit 0");
    home.finish(within(&home, &["start", "web", "--syslog"])).ok();
    let events = app.wait_for_text("logs/web.run", " messages for syslog were not sent before the supervisor left");
    // That there is no daemon is an event as well; it may come in time to be one of them.
    assert!(events.contains("4 messages") || events.contains("5 messages"), "{events}");
}

#[test]
fn that_there_is_no_daemon_is_told() {
    if !is_root("a /dev of one's own") {
        return;
    }
    let home = Home::new();
    let app = home.app("web").run_script("echo hello; exec sleep 60");
    home.finish(within(&home, &["start", "web", "--syslog"])).ok();
    app.wait_for("a note", |status| {
        status.note.as_deref().is_some_and(|note| note.contains("syslog cannot be reached at /dev/log"))
    });
    let daemon = Daemon::at(&home);
    daemon.hears("hello");
    app.wait_for("no note", |status| status.note.is_none());
    assert!(app.events().contains("syslog is reached again"), "{}", app.events());
}

/// A process that is killed when the story ends.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_real_daemon_writes_what_it_is_told() {
    if !is_root("a /dev of one's own") {
        return;
    }
    let home = Home::new();
    let messages = home.base().join("messages");
    // It follows the link of /dev/log to the place of its socket.
    let mut command = home.program(
        Path::new("unshare"),
        ["--mount", "--propagation", "private", "sh", "-c", DEV, "sh", "busybox", "syslogd", "-n", "-O"],
    );
    command.arg(&messages).env("BASE", home.base()).stdout(Stdio::null()).stderr(Stdio::null());
    let _daemon = Killed(command.spawn().unwrap());
    wait_until("it listens", SOON, || if socket(&home).exists() { Ok(()) } else { Err(String::new()) });
    home.app("web").run_script("echo hello; echo '<2>on fire'; exec sleep 60");
    home.finish(within(&home, &["start", "web", "--syslog"])).ok();
    let read = || std::fs::read_to_string(&messages).unwrap_or_default();
    wait_until("it has written", SOON, || if read().contains("on fire") { Ok(()) } else { Err(read()) });
    let pid = home.status("web").pid.unwrap();
    assert!(read().contains(&format!("daemon.info web[{pid}]: hello")), "{}", read());
    assert!(read().contains(&format!("daemon.crit web[{pid}]: on fire")), "{}", read());
    home.ctl(["stop", "web"]).ok();
    let stopped = poll(Duration::from_secs(10), || if read().contains("as asked") { Ok(()) } else { Err(read()) });
    stopped.unwrap_or_else(|read| panic!("the last words of a supervisor are missing: {read}"));
}

#[test]
fn what_came_while_there_was_no_supervisor_is_sent_by_the_next() {
    if !is_root("a /dev of one's own") {
        return;
    }
    let home = Home::new();
    let daemon = Daemon::at(&home);
    let app = home.app("web").run_script(
        "n=0; while [ $n -lt 200 ]; do\n\
            n=$((n + 1)); echo \"line $n\"\n\
            if [ $n -eq 20 ]; then while ! [ -e go ]; do sleep 0.05; done; fi\n\
         done; touch done; exec sleep 60",
    );
    home.finish(within(&home, &["start", "web", "--syslog"])).ok();
    let (supervisor, keeper) = home.pair("web");
    let mut heard = daemon.hears(": line 20");
    kill(keeper.pid, Signal::SIGSTOP);
    kill(supervisor.pid, Signal::SIGKILL);
    wait_until_dead(supervisor.pid);
    app.file("go", "");
    wait_until("all lines are written", SOON, || app.path("done").exists().then_some(()).ok_or("not yet".to_owned()));
    kill(keeper.pid, Signal::SIGCONT);
    heard.extend(daemon.hears(": line 200"));
    assert_eq!(numbers(&heard), (1..=200).collect::<Vec<_>>());
}
