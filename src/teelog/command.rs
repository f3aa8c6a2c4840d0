//! Command mode: a command's output to logs, and on; its signals, and its end.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{AccessFlags, Pid, access};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitOptions, waitpid};

use super::options::Request;
use super::outlet::Outlet;
use super::record::Record;
use super::relay::{Relay, Stream};
use super::say;
use super::signals::Signals;
use crate::app::reason;
use crate::launch::Report;
use crate::launch::diagnose::{Attempt, diagnose, not_found};

/// Something failed before the command could be started.
const FAILED: u8 = 1;

/// Where commands are looked for if nothing says where.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The shell of scripts that name no interpreter.
const SHELL: &CStr = c"/bin/sh";

/// The write ends of the pipes, for a command's standard output and error.
type Ends = [OwnedFd; 2];

/// Runs a command to its end, and returns the exit code.
pub(super) fn run(request: &Request) -> u8 {
    match prepare(request) {
        Ok((relay, signals, ends)) => watch(relay, &signals, start(request, &signals, ends)),
        Err(why) => {
            say(why);
            FAILED
        }
    }
}

/// Everything that can fail before there is a command.
fn prepare(request: &Request) -> Result<(Relay, Signals, Ends), String> {
    let logs = Record::open_both(&request.out, &request.err, request.rules)?;
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|error| format!("cannot make a pipe: {}", reason(&error)));
    let ((from_out, to_out), (from_err, to_err)) = (pipe()?, pipe()?);
    let outlet = |name, fd| Outlet::to(name, fd).map_err(|error| format!("cannot use {name}: {}", reason(&error)));
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let out = outlet("standard output", stdout.as_fd())?;
    let err = outlet("standard error", stderr.as_fd())?;
    let [out_log, err_log] = logs;
    let relay = Relay::new(vec![
        Stream::new("the command's output", from_out, out_log, out),
        Stream::new("the command's errors", from_err, err_log, err),
    ]);
    let signals = Signals::hold().map_err(|error| format!("cannot hold back signals: {}", reason(&error)))?;
    Ok((relay, signals, [to_out, to_err]))
}

/// Starts the command. Where that fails, the error is the exit code, and has been said.
fn start(request: &Request, signals: &Signals, ends: Ends) -> Result<Pid, u8> {
    spawn(&request.command, signals.before, &ends).map_err(|report| {
        let hint = report.hint().map(|hint| format!("\n  hint: {hint}"));
        say(format_args!("{}{}", report.message(), hint.unwrap_or_default()));
        report.exit_code()
    })
}

/// Looks after a command until it has ended and nothing of its output is left in our hands.
fn watch(mut relay: Relay, signals: &Signals, started: Result<Pid, u8>) -> u8 {
    let mut code = started.err();
    let mut announced = false;
    while code.is_none() || !relay.is_done() || !announced {
        if let (Some(code), true, false) = (code, relay.is_done(), announced) {
            relay.announce(&if code == 0 { "EOK".to_owned() } else { format!("EFAIL {code}") });
            announced = true;
            continue;
        }
        let called = relay.turn(Some(signals.as_fd())).unwrap_or_else(|error| {
            say(format_args!("cannot wait for output: {}", reason(&error)));
            relay.give_up();
            true
        });
        if !called {
            continue;
        }
        for signal in signals.received() {
            match started {
                Ok(child) if code.is_none() => signal.pass_on(child),
                // There is no command to tell. Whoever wants an end does not want to wait for a slow reader.
                _ if signal.ends() => relay.give_up(),
                _ => {}
            }
        }
        if let (Ok(child), None) = (started, code) {
            code = exit_code(child);
            if code.is_some() {
                relay.drain();
            }
        }
    }
    relay.finish();
    code.unwrap_or(FAILED)
}

/// How a child has ended, if it has: its exit code, or 128 and the number of the signal.
fn exit_code(child: Pid) -> Option<u8> {
    let child = rustix::process::Pid::from_raw(child.as_raw());
    let status = match waitpid(child, WaitOptions::NOHANG) {
        Ok(ended) => ended?.1,
        Err(_) => return Some(FAILED), // Somebody else has reaped it: nobody will ever know.
    };
    let signal = status.terminating_signal().map(|signal| 128 + signal);
    status.exit_status().or(signal).and_then(|code| u8::try_from(code).ok())
}

/// posix_spawn(3) of a command, found in PATH as by a shell.
fn spawn(command: &[OsString], mask: SigSet, [out, err]: &Ends) -> Result<Pid, Report> {
    let name = Path::new(&command[0]);
    let search = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let path = find(name, &search).ok_or_else(|| not_found(name, &search))?;
    // No argument and no variable has a NUL: they have been some themselves.
    let argv: Vec<CString> = command.iter().filter_map(|word| CString::new(word.as_bytes()).ok()).collect();
    let env: Vec<CString> = std::env::vars_os()
        .filter_map(|(key, value)| CString::new([key.as_bytes(), b"=", value.as_bytes()].concat()).ok())
        .collect();
    let begin = || {
        let mut streams = PosixSpawnFileActions::init()?;
        streams.add_dup2(out.as_raw_fd(), 1)?;
        streams.add_dup2(err.as_raw_fd(), 2)?;
        let mut attributes = PosixSpawnAttr::init()?;
        attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF)?;
        attributes.set_sigmask(&mask)?;
        // This program ignores it, as all Rust programs do.
        attributes.set_sigdefault(&SigSet::from(Signal::SIGPIPE))?;
        match posix_spawn(path.as_path(), &streams, &attributes, &argv, &env) {
            // A script that names no interpreter is the shell's.
            Err(Errno::ENOEXEC) if is_text(&path) => {
                let script = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
                let words: Vec<&CStr> =
                    [SHELL, &script].into_iter().chain(argv[1..].iter().map(|word| &**word)).collect();
                posix_spawn(SHELL, &streams, &attributes, &words, &env)
            }
            spawned => spawned,
        }
    };
    let spawned = begin();
    spawned.map_err(|errno| diagnose(&Attempt { path: &path, errno, argv: &argv, env: &env }))
}

/// The file of a command: the first in the directories of PATH that may be executed, else the first that is there.
fn find(name: &Path, search: &OsStr) -> Option<PathBuf> {
    if name.as_os_str().as_bytes().contains(&b'/') {
        return Some(name.to_owned());
    }
    let there = || std::env::split_paths(search).map(|dir| dir.join(name)).filter(|path| path.is_file());
    there().find(|path| access(path, AccessFlags::X_OK).is_ok()).or_else(|| there().next())
}

/// Whether a file looks like a script rather than like a program of another kind: no NUL where it begins.
fn is_text(path: &Path) -> bool {
    let mut head = [0; 256];
    let read = std::fs::File::open(path).and_then(|mut file| file.read(&mut head));
    read.is_ok_and(|count| !head[..count].contains(&0))
}
