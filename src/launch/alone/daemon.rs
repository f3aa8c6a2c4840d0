//! Into the background: the process that was called waits until the command runs, and leaves.

use std::fs::File;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::super::options::Request;
use super::super::plan::Plan;
use super::super::report::{Report, StepName};
use super::super::sys::processes;
use super::parent;
use super::voice::{Ear, Line, Voice};

/// Starts the parent in the background, passes on what it says, and returns the exit code of whichever process this is.
pub(in crate::launch) fn detach(request: &Request, plan: &Plan, voice: Voice) -> u8 {
    match begin() {
        Ok((None, mouth)) => {
            let quiet = voice.to_a_process(mouth);
            // The caller's standard error is open in it, and would be for as long as the parent stays.
            drop(voice);
            match let_go() {
                Ok(()) => parent::run(request, plan, quiet),
                Err(errno) => fail(&quiet, "leave the caller's session and streams", errno),
            }
        }
        Ok((Some(parent), ear)) => {
            let code = pass_on(Ear::new(ear), &voice);
            if code != 0 || !super::stays(&request.options, &request.extras) {
                // It is just leaving, and is nobody else's to reap.
                let _ = nix::sys::wait::waitpid(parent, None);
            }
            code
        }
        Err(errno) => fail(&voice, "go to the background", errno),
    }
}

/// fork(2), and each side's end of a line between the two.
fn begin() -> Result<(Option<Pid>, UnixStream), Errno> {
    let (mine, theirs) = UnixStream::pair().map_err(errno)?;
    Ok(match processes::fork()? {
        None => (None, theirs),
        Some(parent) => (Some(parent), mine),
    })
}

fn fail(voice: &Voice, what: &str, errno: Errno) -> u8 {
    let report = Report::new(StepName::Parent, what, errno);
    let code = report.exit_code();
    voice.say(&Line::Failure(report));
    code
}

/// A session of its own, and nothing of the caller's held open: who waits for the end of our output would wait for ever.
fn let_go() -> Result<(), Errno> {
    nix::unistd::setsid()?;
    let null = File::options().read(true).write(true).open("/dev/null").map_err(errno)?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)
}

/// Tells the person what the parent says, until the command runs or something has failed.
fn pass_on(mut ear: Ear, voice: &Voice) -> u8 {
    let mut code = None;
    while let Some(lines) = ear.listen() {
        for line in lines {
            match &line {
                Line::Failure(report) => code = Some(report.exit_code()),
                Line::Started => code = code.or(Some(0)),
                Line::Step(_) | Line::Warning(_) => {}
            }
            voice.say(&line);
        }
    }
    code.unwrap_or_else(|| {
        let report = Report::new(StepName::Parent, "start the command", "the process in the background has ended");
        voice.say(&Line::Failure(report.clone()));
        report.exit_code()
    })
}

fn errno(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
