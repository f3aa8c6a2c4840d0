//! The launcher's `main`. It runs in a process of its own, with one thread, before anything else of the program has been
//! set up, and ends by becoming something else.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::sys::socket::{MsgFlags, send};

use super::alone::{self, Line, Mode, Voice};
use super::apply::{Manner, carry_out};
use super::environment::{Vars, unshield};
use super::facts::Facts;
use super::options::{self, Refusal, Request};
use super::plan::{Action, PLAIN, Plan, plan};
use super::report::{NOT_STARTED, REPORTED, Report, StepName, Word};
use super::spawn::{GATE, GO, Orders};
use super::sys::{Linux, take_gate};
use super::through::{THROUGH, come};
use crate::config::Options;

/// Runs `daemonrun`. `args` are its arguments, without its own name. Returns only if the command does not run.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let mut args = args.peekable();
    if args.next_if(|first| first == THROUGH).is_some() {
        return match come() {
            Ok(()) => under_supervisor(args.collect()),
            Err(_) => ExitCode::from(NOT_STARTED), // Whoever was to wait for it is gone.
        };
    }
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
    if let Some(command) = without_options(&args) {
        let warn = &mut |_| {}; // Nothing is asked for that could be missing.
        let start = std::env::vars_os().collect();
        let report = carry_out(&mut Linux, &PLAIN, command, start, Manner { force: false, warn });
        return with_voice(&Options::default(), |voice| fail_at(report, &voice));
    }
    let request = match options::parse(args, false) {
        Ok(request) => request,
        Err(Refusal::Usage(text)) if !text.use_stderr() => {
            let _ = text.print();
            return ExitCode::SUCCESS;
        }
        Err(Refusal::Options(lines)) => return fail(&lines),
        Err(mistake) => return fail(&[mistake.to_string()]),
    };
    with_voice(&request.options, |voice| carry_out_alone(&request, voice))
}

/// The command, where that is all there is.
fn without_options(args: &[OsString]) -> Option<&[OsString]> {
    let command = if args.first()? == "--" { &args[1..] } else { args };
    let is_command = args.len() > command.len() || !args[0].as_encoded_bytes().starts_with(b"-");
    (is_command && !command.is_empty()).then_some(command)
}

/// Does something that may have to be told.
fn with_voice(options: &Options, act: impl FnOnce(Voice) -> ExitCode) -> ExitCode {
    Voice::to_a_person(options).map_or(ExitCode::from(NOT_STARTED), act)
}

/// Plans what was asked for, and does it in the way that was asked for.
fn carry_out_alone(request: &Request, voice: Voice) -> ExitCode {
    let planned = Facts::gather(&request.options, &request.extras)
        .and_then(|facts| plan(&request.options, &request.extras, &facts));
    let plan = match planned {
        Ok(plan) => plan,
        Err(report) => return fail_at(report, &voice),
    };
    plan.warnings.iter().for_each(|warning| voice.say(&Line::Warning(warning.clone())));
    if request.extras.explain {
        return match io::stdout().write_all(alone::explained(request, &plan).as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    match request.extras.mode {
        Mode::Become => fail_at(become_the_command(request, &plan, &voice, |_| {}), &voice),
        Mode::Foreground => alone::run(request, &plan, voice).into(),
        Mode::Daemon => alone::detach(request, &plan, voice).into(),
    }
}

/// Carries out the plan in this process, telling what is done. Returns why it has not become the command.
pub(super) fn become_the_command(request: &Request, plan: &Plan, voice: &Voice, before: impl Fn(&Action)) -> Report {
    let aloud = |action: &&Action| {
        before(action);
        voice.say(&Line::Step(action.to_string()));
    };
    let actions = plan.steps.iter().map(|step| &step.action).inspect(aloud);
    let mut warn = |warning: String| voice.say(&Line::Warning(warning));
    let manner = Manner { force: request.extras.force, warn: &mut warn };
    carry_out(&mut Linux, actions, &request.command, std::env::vars_os().collect(), manner)
}

/// Says which step went wrong, and ends with its code.
fn fail_at(report: Report, voice: &Voice) -> ExitCode {
    let code = report.exit_code();
    voice.say(&Line::Failure(report));
    code.into()
}

/// Says what is wrong with the command line, and ends.
fn fail(lines: &[String]) -> ExitCode {
    let text: String = lines.iter().map(|line| format!("daemonrun: {line}\n")).collect();
    let _ = io::stderr().write_all(text.as_bytes());
    StepName::Options.exit_code().into()
}
