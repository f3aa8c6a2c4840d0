//! The launcher's `main`. It runs in a process of its own, with one thread, before anything else of the program has been
//! set up, and ends by becoming something else.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::sys::socket::{MsgFlags, send};

use super::apply::carry_out;
use super::environment::{Vars, unshield};
use super::options::{self, Refusal};
use super::plan::{explain, plan};
use super::report::{NOT_STARTED, REPORTED, Report, StepName};
use super::spawn::{GATE, GO, Orders};
use super::sys::{Linux, take_gate};

/// Runs `daemonrun`. `args` are its arguments, without its own name. Returns only if the command does not run.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let mut args = args.peekable();
    match args.next_if(|first| first == GATE) {
        Some(_) => under_supervisor(args.collect()),
        None => alone(args.collect()),
    }
}

/// Started by a supervisor, which waits at the other end of standard input.
fn under_supervisor(mut args: Vec<OsString>) -> ExitCode {
    let Ok(gate) = take_gate() else { return ExitCode::from(NOT_STARTED) };
    // The orders are read while the supervisor writes its record; nothing is changed before it says go.
    let Some(Orders { skip, actions }) = wait_at(&gate) else { return ExitCode::from(NOT_STARTED) };
    let command = args.split_off(skip.min(args.len()));
    let start: Vars = std::env::vars_os().map(|(key, value)| (unshield(key), value)).collect();
    tell(&gate, &carry_out(&mut Linux, &actions, &command, start));
    ExitCode::from(REPORTED)
}

/// Reads the orders, and waits for the go byte. None if the supervisor is gone, or has changed its mind.
fn wait_at(gate: &UnixStream) -> Option<Orders> {
    let (mut gate, mut line, mut go) = (BufReader::new(gate), Vec::new(), [0]);
    gate.read_until(b'\n', &mut line).ok()?;
    let orders = serde_json::from_slice(&line).ok()?;
    gate.read_exact(&mut go).ok()?;
    (go == [GO]).then_some(orders)
}

/// Writes the report. If nobody is there to read it, there is nobody to tell.
fn tell(gate: &UnixStream, report: &Report) {
    let bytes = report.encode();
    let mut rest = bytes.as_slice();
    while let Ok(sent @ 1..) = send(gate.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
        rest = &rest[sent..];
    }
}

/// Started by a person or a script.
fn alone(args: Vec<OsString>) -> ExitCode {
    let request = match options::parse(args, false) {
        Ok(request) => request,
        Err(Refusal::Usage(text)) if !text.use_stderr() => {
            let _ = text.print();
            return ExitCode::SUCCESS;
        }
        Err(Refusal::Options(lines)) => return fail(StepName::Options.exit_code(), &lines),
        Err(mistake) => return fail(StepName::Options.exit_code(), &[mistake.to_string()]),
    };
    let plan = plan(&request.options, &request.extras);
    if request.extras.explain {
        let command: Vec<_> = request.command.iter().map(|word| word.to_string_lossy()).collect();
        let text = explain(&plan, &command.join(" "));
        return match io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let actions = plan.iter().map(|step| &step.action);
    let report = carry_out(&mut Linux, actions, &request.command, std::env::vars_os().collect());
    let mut lines = vec![report.message()];
    lines.extend(report.hint().map(|hint| format!("  hint: {hint}")));
    fail(report.exit_code(), &lines)
}

/// Says what went wrong, and ends.
fn fail(code: u8, lines: &[String]) -> ExitCode {
    let mut text = String::new();
    for line in lines {
        text += &if line.starts_with(' ') { format!("{line}\n") } else { format!("daemonrun: {line}\n") };
    }
    let _ = io::stderr().write_all(text.as_bytes());
    ExitCode::from(code)
}
