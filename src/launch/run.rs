//! The launcher's `main`. It runs in a process of its own, with one thread, before anything else of the program has been
//! set up, and ends by becoming something else.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::sys::socket::{MsgFlags, send};

use super::apply::{Manner, carry_out};
use super::environment::{Vars, unshield};
use super::facts::Facts;
use super::options::{self, Refusal};
use super::plan::{explain, plan};
use super::report::{NOT_STARTED, REPORTED, Report, StepName, Word};
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
    let Some(Orders { skip, force, actions }) = wait_at(&gate) else { return ExitCode::from(NOT_STARTED) };
    let command = args.split_off(skip.min(args.len()));
    let start: Vars = std::env::vars_os().map(|(key, value)| (unshield(key), value)).collect();
    let mut warn = |warning: String| tell(&gate, &Word::Warning(warning));
    let report = carry_out(&mut Linux, &actions, &command, start, Manner { force, warn: &mut warn });
    tell(&gate, &Word::Failure(report));
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

/// Says something through the gate. If nobody is there to read it, there is nobody to tell.
fn tell(gate: &UnixStream, word: &Word) {
    let bytes = word.encode();
    let mut rest = bytes.as_slice();
    while let Ok(sent @ 1..) = send(gate.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
        rest = &rest[sent..];
    }
    // A system call filter that is loaded already may refuse what only sockets need, and hardly ever write(2).
    while let Ok(sent @ 1..) = nix::unistd::write(gate, rest) {
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
    let planned = Facts::gather(&request.options, &request.extras)
        .and_then(|facts| plan(&request.options, &request.extras, &facts));
    let plan = match planned {
        Ok(plan) => plan,
        Err(report) => return fail_at(&report),
    };
    let mut warn = |warning: String| complain(&[format!("warning: {warning}")]);
    plan.warnings.iter().cloned().for_each(&mut warn);
    if request.extras.explain {
        let command: Vec<_> = request.command.iter().map(|word| word.to_string_lossy()).collect();
        let text = explain(&plan.steps, &command.join(" "));
        return match io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let actions = plan.steps.iter().map(|step| &step.action);
    let manner = Manner { force: request.extras.force, warn: &mut warn };
    fail_at(&carry_out(&mut Linux, actions, &request.command, std::env::vars_os().collect(), manner))
}

/// Says which step went wrong, and ends with its code.
fn fail_at(report: &Report) -> ExitCode {
    let mut lines = vec![report.message()];
    lines.extend(report.hint().map(|hint| format!("  hint: {hint}")));
    fail(report.exit_code(), &lines)
}

/// Says what went wrong, and ends.
fn fail(code: u8, lines: &[String]) -> ExitCode {
    complain(lines);
    ExitCode::from(code)
}

fn complain(lines: &[String]) {
    let mut text = String::new();
    for line in lines {
        text += &if line.starts_with(' ') { format!("{line}\n") } else { format!("daemonrun: {line}\n") };
    }
    let _ = io::stderr().write_all(text.as_bytes());
}
