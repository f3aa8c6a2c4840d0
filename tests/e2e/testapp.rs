//! The program that the end-to-end tests supervise: it behaves as its arguments tell it.
//!
//! It has a C `main`, because Rust's own would ignore SIGPIPE, install handlers and open missing descriptors before
//! the first line runs, and `probe` is there to show what the process was given.

#![no_main]
#![allow(unsafe_code, reason = "it makes the system calls that a misbehaving program makes")]

use std::ffi::{CStr, c_char, c_int};
use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::Value;

#[path = "testapp/attempts.rs"]
mod attempts;
#[path = "testapp/deny.rs"]
mod deny;
#[path = "testapp/given.rs"]
mod given;

const USAGE: &str = "\
usage: testapp BEHAVIOUR [ARG...]
  exit CODE              exit at once
  signal N               raise signal N, and stay if that is survived
  sleep                  wait for ever, with the default action for every signal
  ignore-term            ignore SIGTERM, SIGINT and SIGHUP
  slow-term MS CODE      on SIGTERM work for MS milliseconds more, then exit CODE
  exit-on-usr1 CODE      exit CODE on SIGUSR1
  lines N INTERVAL_US    N numbered lines (0: no end) on stdout, one write each; `end COUNT` on SIGTERM or at the end
  record FILE            append the name of each signal to FILE; SIGTERM ends it
  fork-setsid [N]        N processes that have left session and parent; they ignore SIGTERM
  daemonize              go on in the background, the parent exits 0
  flood                  write to stdout as fast as it is taken
  close-output           close stdout and stderr, then wait
  noise FILE             write the lines of FILE, NUL bytes and half a line to stdout and stderr, then wait
  probe [FILE [TARGETS]] write what this process was given as JSON, then wait; with targets, which are pairs such as
                         --pid N, also what it can do (testapp/attempts.rs lists them), and no waiting if
                         FILE is -
  status                 print ids and effective capabilities
  deny-syscalls LIST COMMAND [ARG...]
                         run COMMAND, whose calls in LIST fail: NAME[:FIRST_ARGUMENT][=ERRNO],...
  hog MIB                use MIB of memory, print `held`, and wait
  burn SECONDS           be busy for SECONDS, print `used MS` with the processor time that took, and wait
  breed                  children, until there can be no more; print `bred N`, itself included, and wait
  as-pid PID             a child with exactly this pid; print `ready`, wait, and exit 9 when the child has been killed";

#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // Before anything is changed or opened.
    let mut probed = given::given();
    // SAFETY: the C runtime passes argc valid, NUL-terminated strings.
    let args: Vec<String> =
        (1..argc as usize).map(|at| unsafe { CStr::from_ptr(*argv.add(at)) }.to_string_lossy().into_owned()).collect();
    let text: Vec<&str> = args.iter().map(String::as_str).collect();
    match text[..] {
        ["exit", code] => return number(code),
        ["signal", signal] => raise(number(signal)),
        ["sleep"] => wait_for_ever(),
        ["ignore-term"] => {
            ignore(&[libc::SIGTERM, libc::SIGINT, libc::SIGHUP]);
            say("ready");
            wait_for_ever()
        }
        ["slow-term", ms, code] => {
            let signals = block(&[libc::SIGTERM]);
            say("ready");
            next_signal(&signals, None);
            say("stopping");
            pause_for(Duration::from_millis(number(ms) as u64));
            say("stopped");
            return number(code);
        }
        ["exit-on-usr1", code] => {
            let signals = block(&[libc::SIGUSR1]);
            say("ready");
            next_signal(&signals, None);
            return number(code);
        }
        ["lines", count, interval] => lines(number(count) as u64, Duration::from_micros(number(interval) as u64)),
        ["record", file] => record(file),
        ["fork-setsid"] => fork_setsid(1),
        ["fork-setsid", count] => fork_setsid(number(count)),
        ["daemonize"] => {
            if fork() == 0 {
                set_session();
                wait_for_ever();
            }
        }
        ["flood"] => {
            let block = b"all work and no play makes jack a dull boy\n".repeat(1500);
            while std::io::stdout().write_all(&block).is_ok() {}
        }
        ["close-output"] => {
            // SAFETY: closing descriptors that this program does not use afterwards.
            unsafe { (libc::close(1), libc::close(2)) };
            wait_for_ever()
        }
        ["noise", file] => {
            let text = std::fs::read(file).unwrap_or_default();
            for mut stream in [Box::new(std::io::stdout()) as Box<dyn Write>, Box::new(std::io::stderr())] {
                let _ = stream.write_all(&text).and_then(|()| stream.write_all(b"\0nul\0\xff\nhalf a line"));
                let _ = stream.flush();
            }
            wait_for_ever()
        }
        ["probe"] => {
            say(&probed.to_string());
            wait_for_ever()
        }
        ["probe", file, ref targets @ ..] => {
            if !targets.is_empty() {
                let targets = attempts::targets(targets).unwrap_or_else(|| panic!("{targets:?} are no targets"));
                probed["attempts"] = attempts::attempts(&targets);
            }
            if file == "-" {
                say(&probed.to_string());
                return 0;
            }
            if !report(file, &probed) {
                return 1;
            }
            wait_for_ever()
        }
        ["status"] => {
            let of = |key: &str| probed[key].as_str().unwrap_or_default().to_owned();
            let effective = probed["capabilities"]["effective"].as_str().unwrap_or_default();
            say(&format!("uid {}; gid {}; effective {effective}", of("uid"), of("gid")));
        }
        ["deny-syscalls", list, ref command @ ..] if !command.is_empty() => return deny::deny(list, command),
        ["hog", size] => {
            let mut held = vec![0u8; (number(size) as usize) << 20];
            held.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
            std::hint::black_box(&held);
            say("held");
            wait_for_ever()
        }
        ["burn", seconds] => {
            let (begun, length) = (Instant::now(), Duration::from_secs(number(seconds) as u64));
            while begun.elapsed() < length {}
            say(&format!("used {}", cpu_time().as_millis()));
            wait_for_ever()
        }
        ["breed"] => breed(),
        ["as-pid", pid] => return as_pid(number(pid)),
        _ => {
            let _ = writeln!(std::io::stderr(), "{USAGE}");
            return 2;
        }
    }
    0
}

/// A program whose arguments are wrong would test nothing, so it dies at once.
fn number(text: &str) -> c_int {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is not a number"))
}

/// Writes a report that is there as a whole or not at all.
fn report(file: &str, probed: &Value) -> bool {
    let partial = format!("{file}.part");
    std::fs::write(&partial, probed.to_string()).and_then(|()| std::fs::rename(&partial, file)).is_ok()
}

/// One line, one write.
fn say(line: &str) {
    let line = format!("{line}\n");
    // SAFETY: pointer and length are those of a live string.
    let _ = unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
}

fn wait_for_ever() {
    loop {
        // SAFETY: pause(2) has no arguments.
        unsafe { libc::pause() };
    }
}

fn pause_for(time: Duration) {
    let spec = libc::timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
    // SAFETY: a valid timespec; the rest is not asked for.
    unsafe { libc::nanosleep(&spec, std::ptr::null_mut()) };
}

fn raise(signal: c_int) {
    // SAFETY: raise(3) takes any number.
    unsafe { libc::raise(signal) };
    wait_for_ever();
}

fn ignore(signals: &[c_int]) {
    for signal in signals {
        // SAFETY: SIG_IGN is a valid disposition.
        unsafe { libc::signal(*signal, libc::SIG_IGN) };
    }
}

fn fork() -> libc::pid_t {
    // SAFETY: this program has one thread.
    unsafe { libc::fork() }
}

fn set_session() {
    // SAFETY: setsid(2) has no arguments.
    unsafe { libc::setsid() };
}

/// Holds these signals back, to be fetched with [`next_signal`].
fn block(signals: &[c_int]) -> libc::sigset_t {
    // SAFETY: the set is initialised by sigemptyset before it is read.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in signals {
            libc::sigaddset(&mut set, *signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        set
    }
}

/// The next of the held-back signals, or none within `time`.
fn next_signal(signals: &libc::sigset_t, time: Option<Duration>) -> Option<c_int> {
    let spec = time.map(|t| libc::timespec { tv_sec: t.as_secs() as i64, tv_nsec: t.subsec_nanos().into() });
    let limit = spec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    loop {
        // SAFETY: a valid set, no siginfo wanted, and a valid or absent time limit.
        match unsafe { libc::sigtimedwait(signals, std::ptr::null_mut(), limit) } {
            -1 if time.is_some() => return None,
            -1 => {}
            signal => return Some(signal),
        }
    }
}

fn lines(count: u64, interval: Duration) {
    let signals = block(&[libc::SIGTERM]);
    let mut at = 0;
    let mut due = Instant::now();
    while count == 0 || at < count {
        say(&format!("line {at:08}"));
        at += 1;
        due += interval;
        if next_signal(&signals, Some(due.saturating_duration_since(Instant::now()))).is_some() {
            break;
        }
    }
    say(&format!("end {at}"));
}

fn record(file: &str) {
    let names = [
        (libc::SIGHUP, "HUP"),
        (libc::SIGINT, "INT"),
        (libc::SIGQUIT, "QUIT"),
        (libc::SIGUSR1, "USR1"),
        (libc::SIGUSR2, "USR2"),
        (libc::SIGWINCH, "WINCH"),
        (libc::SIGTERM, "TERM"),
    ];
    let signals = block(&names.map(|(signal, _)| signal));
    let mut out = OpenOptions::new().create(true).append(true).open(file).expect("the file for the signals");
    let _ = writeln!(out, "ready");
    loop {
        let Some(signal) = next_signal(&signals, None) else { continue };
        let name = names.iter().find(|(number, _)| *number == signal).map_or("?", |(_, name)| name);
        let _ = writeln!(out, "{name}");
        if signal == libc::SIGTERM {
            return;
        }
    }
}

fn fork_setsid(count: c_int) {
    for _ in 0..count {
        let middle = fork();
        if middle == 0 {
            set_session();
            // Before there is a process that nobody waits for: it ignores the signal from its first moment.
            ignore(&[libc::SIGTERM]);
            if fork() == 0 {
                set_session();
                wait_for_ever();
            }
            // SAFETY: leaves without running anything of the parent's.
            unsafe { libc::_exit(0) };
        }
        // SAFETY: waits for the child just forked; its status is not asked for.
        unsafe { libc::waitpid(middle, std::ptr::null_mut(), 0) };
    }
    say("ready");
    wait_for_ever();
}

/// As many children as are allowed.
fn breed() {
    let mut family = 1;
    loop {
        match fork() {
            0 => wait_for_ever(),
            -1 => break,
            _ => family += 1,
        }
    }
    say(&format!("bred {family}"));
    wait_for_ever();
}

/// The processor time that this process has used.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes into a valid timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Takes the place of a process that is gone, as the kernel would do when its pids wrap around.
fn as_pid(pid: c_int) -> c_int {
    let wanted = [pid];
    // SAFETY: clone_args is plain data, zero is a valid value for each field.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.exit_signal = libc::SIGCHLD as u64;
    args.set_tid = wanted.as_ptr() as u64;
    args.set_tid_size = 1;
    // SAFETY: no CLONE_VM, so this is a fork; the arguments live until the call returns.
    let child = unsafe { libc::syscall(libc::SYS_clone3, &args, size_of::<libc::clone_args>()) };
    if child == 0 {
        // SAFETY: plain prctl; the child must not outlive the test that asked for it.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        wait_for_ever();
    }
    if child < 0 {
        let _ = writeln!(std::io::stderr(), "cannot have pid {pid}: {}", std::io::Error::last_os_error());
        return 3;
    }
    say("ready");
    // SAFETY: waits for the child just made.
    unsafe { libc::waitpid(child as libc::pid_t, std::ptr::null_mut(), 0) };
    9
}
